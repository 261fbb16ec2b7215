"""`lumosai traces`, `trace`, `stats` and `top`: what was recorded of runs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from lumosai.cli.guard import guarded
from lumosai.cli.options import Config, DatabaseUrl, Debug, Json, Owner, Tenant  # noqa: TC001  # typer reads them
from lumosai.cli.recorded import (
    AgentOf,
    MinCost,
    MinMs,
    ModelOf,
    Since,
    StatusOf,
    TextOf,
    ThreadOf,
    ToolOf,
    Until,
    wanted_of,
    with_telemetry,
)
from lumosai.cli.terminal import is_terminal, one_line, style_for, write, write_json, write_line
from lumosai.cli.times import clock, lasted, seconds_of
from lumosai.cli.traces_export import export
from lumosai.errors import NotFoundError

if TYPE_CHECKING:
    from lumosai.cli.terminal import Style
    from lumosai.telemetry.telemetry import Telemetry
    from lumosai.traces import PerformanceStats, TraceRecord

_LOOK_S = 0.5
_DRAW_S = 2.0
_RECENT = 10

Window = Annotated[str, typer.Option("--window", "-w", metavar="TIME", help="How far back: 15m, 1h, 7d.")]


def make() -> typer.Typer:
    """The `traces` commands."""
    tree = typer.Typer(help="List recorded runs, the one that began last first.", invoke_without_command=True)
    tree.rich_markup_mode = None
    tree.callback()(guarded(traces))
    tree.command("export")(guarded(export))
    return tree


def traces(
    context: typer.Context,
    *,
    agent: AgentOf = "",
    model: ModelOf = "",
    tool: ToolOf = "",
    status: StatusOf = None,
    thread: ThreadOf = "",
    text: TextOf = "",
    min_ms: MinMs = None,
    min_cost: MinCost = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many at the most.")] = 20,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="TEXT", help="Go on behind an earlier list.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing runs as they end, until Ctrl-C.")
    ] = False,
    database: DatabaseUrl = None,
    tenant: Tenant = None,
    owner: Owner = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List recorded runs, the one that began last first."""
    _ = debug
    if context.invoked_subcommand is not None:
        return
    wanted = wanted_of(agent, model, tool, status, thread, text, min_ms, min_cost, since, until)

    async def work(telemetry: Telemetry) -> None:
        page = await telemetry.traces(**wanted, limit=limit, cursor=cursor)
        style = style_for(sys.stdout)
        if follow:
            await _follow(telemetry, wanted, list(reversed(page.items)), style, json=json)
            return
        if json:
            write_json({"traces": [_plain(t) for t in page.items], "next_cursor": page.next_cursor})
            return
        for record in page.items:
            write_line(_line(record, style))
        if not page.items:
            write_line("nothing of the kind was recorded here: an agent with a memory records its runs")

    with_telemetry(work, database=database, tenant=tenant, owner=owner, config=config)


def trace(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id or a trace id, or its end; 'last' for the last.")
    ] = "last",
    *,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show also what went into its prompts, what not, and why.")
    ] = False,
    database: DatabaseUrl = None,
    tenant: Tenant = None,
    owner: Owner = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show a run as a tree with a time line. A dot marks what its end waited for, a share how much of it was its own."""
    _ = debug

    async def work(telemetry: Telemetry) -> None:
        from lumosai.cli.trace_tree import lines_of

        found = await telemetry.trace(run)
        if found is None:
            recent = (await telemetry.traces(limit=1 if run == "last" else 1000)).items
            match = next((t for t in recent if run == "last" or t.run_id.endswith(run)), None)
            found = await telemetry.trace(match.run_id) if match is not None else None
        if found is None:
            raise NotFoundError(f"there is no trace {run!r} here: lumosai traces lists those there are")
        planned = await telemetry.plan(found.run_id) if plan else None
        later = await telemetry.later_plans(found.run_id) if planned is not None else ()
        if json:
            import msgspec

            told = msgspec.to_builtins(found)
            plans = {"plan": msgspec.to_builtins(planned), "later_plans": msgspec.to_builtins(later)}
            write_json({**told, **plans} if planned is not None else told)
            return
        for line in lines_of(found, style_for(sys.stdout), now=time.time() if found.status == "running" else None):
            write_line(line)
        if planned is not None:
            from lumosai.memory import plan_table

            for each in (planned, *later):
                write_line(f"\n{plan_table(each)}")
        elif plan:
            write_line("\nno plan is kept of it here: it ran without a memory, or its events are not kept any more")

    with_telemetry(work, database=database, tenant=tenant, owner=owner, config=config)


def stats(
    *,
    agent: AgentOf = "",
    by: Annotated[
        str | None, typer.Option("--by", metavar="WHAT", help="Divided by agent, model, tool or version.")
    ] = "agent",
    window: Window = "1h",
    database: DatabaseUrl = None,
    tenant: Tenant = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say how agents, models or tools did: how many, how often they failed, how long they took, what they cost."""
    _ = debug
    if by not in (None, "agent", "model", "tool", "version"):
        raise typer.BadParameter(f"--by {by!r}: it is agent, model, tool or version")
    seconds = seconds_of(window)

    async def work(telemetry: Telemetry) -> None:
        rows = await telemetry.stats(agent or None, window=seconds, by=cast("Any", by))
        if json:
            import msgspec

            write_json({name: msgspec.to_builtins(s) for name, s in rows.items()})
            return
        style = style_for(sys.stdout)
        write_line(style.dim(_HEAD))
        for name, row in rows.items():
            write_line(_row(name or "all", row, style))
            for tool, told in row.tools.items():
                failed = f"  {told.errors} failed" if told.errors else ""
                write_line(style.dim(f"  {one_line(tool, 24):<24} {told.count:>7}  p95 {lasted(told.p95_ms)}{failed}"))
        if not rows:
            write_line(f"nothing was measured in the last {window}")

    with_telemetry(work, database=database, tenant=tenant, owner=None, config=config)


def top(
    *,
    window: Window = "15m",
    once: Annotated[bool, typer.Option("--once", help="Draw once, and end.")] = False,
    database: DatabaseUrl = None,
    tenant: Tenant = None,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Watch: agents by how much they do, and the runs of this moment, drawn anew every two seconds, until Ctrl-C."""
    _ = debug
    seconds = seconds_of(window)

    async def work(telemetry: Telemetry) -> None:
        from asyncio import sleep

        from lumosai.telemetry.resources import shown

        style = style_for(sys.stdout)
        while True:
            rows = await telemetry.stats(window=seconds, by="agent")
            running = await telemetry.traces(status="running", limit=_RECENT)
            failed = await telemetry.traces(status="error", limit=_RECENT // 2)
            used = shown(await telemetry.resources(window=seconds))
            lines = [f"{clock(time.time())}  the last {window}", *([f"process: {', '.join(used)}"] if used else [])]
            lines += ["", style.dim(_HEAD)]
            busiest = sorted(rows.items(), key=lambda r: -r[1].count)
            lines += [_row(name, row, style) for name, row in busiest]
            lines += ["", style.bold(f"running: {len(running.items)}{'+' if running.next_cursor else ''}")]
            lines += [_line(t, style) for t in running.items]
            lines += ["", style.bold("failed last")]
            lines += [_line(t, style) for t in failed.items]
            if once or not is_terminal(sys.stdout):
                write_line("\n".join(lines))
                return
            write(f"\x1b[H\x1b[2J{chr(10).join(lines)}\n")
            await sleep(_DRAW_S)

    with_telemetry(work, database=database, tenant=tenant, owner=None, config=config)


_HEAD = f"{'':<26} {'count':>7} {'failed':>7} {'p50':>9} {'p95':>9} {'p99':>9} {'tokens':>17} {'cost':>10}"


def _row(name: str, row: PerformanceStats, style: Style) -> str:
    failed = f"{row.error_rate:>7.1%}" if row.error_rate is not None else f"{'':>7}"
    failed = style.red(failed) if row.error_rate else failed
    tokens = (
        f"{row.usage.input_tokens:,}→{row.usage.output_tokens:,}"
        if row.usage.total_tokens or row.usage.input_tokens
        else ""
    )
    cost = f"${row.cost_usd:.4f}" if row.cost_usd is not None else ""
    took = " ".join(f"{lasted(v) if v is not None else '':>9}" for v in (row.p50_ms, row.p95_ms, row.p99_ms))
    return f"{one_line(name, 26):<26} {row.count:>7,} {failed} {took} {tokens:>17} {cost:>10}".rstrip()


def _line(record: TraceRecord, style: Style) -> str:
    paint = {"ok": style.green, "error": style.red, "running": style.cyan}.get(record.status, style.yellow)
    tokens = f"{record.usage.input_tokens:,}→{record.usage.output_tokens:,}"
    cost = f"${record.cost_usd:.4f}" if record.cost_usd is not None else ""
    calls = f"{record.model_calls} calls, {record.tool_calls} tools"
    error = (
        style.red(one_line(f"{record.error_type}: {record.error or ''}".rstrip(": "), 60)) if record.error_type else ""
    )
    dropped = style.yellow(f"{record.dropped} spans missing") if record.dropped else ""
    parts = [
        clock(record.started_at),
        f"{one_line(record.agent_id or record.source, 20):<20}",
        paint(f"{record.status:<9}"),
        f"{lasted(record.duration_ms):>9}",
        f"{calls:<18}",
        f"{tokens:>13}",
        f"{cost:>9}",
        style.dim(record.run_id),
        error,
        dropped,
    ]
    return "  ".join(p for p in parts if p)


async def _follow(
    telemetry: Telemetry, wanted: dict[str, Any], first: list[TraceRecord], style: Style, *, json: bool
) -> None:
    """Shows these, then each run once more whenever it stands otherwise than it was shown, until Ctrl-C."""
    from asyncio import sleep

    shown: dict[str, str] = {}
    fresh = first
    while True:
        for record in fresh:
            if shown.get(record.run_id) != record.status:
                shown[record.run_id] = record.status
                write_line(_json_line(_plain(record)) if json else _line(record, style))
        await sleep(_LOOK_S)
        fresh = list(reversed((await telemetry.traces(**wanted, limit=200)).items))


def _plain(record: TraceRecord) -> dict[str, Any]:
    import msgspec

    told: dict[str, Any] = msgspec.to_builtins(record)
    return told


def _json_line(value: dict[str, Any]) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
