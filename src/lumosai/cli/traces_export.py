"""`lumosai traces export`: recorded runs as a file that other programs read."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from lumosai.cli.options import Config, DatabaseUrl, Debug, Owner, Tenant  # noqa: TC001  # typer reads them
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
from lumosai.cli.terminal import is_terminal

if TYPE_CHECKING:
    from typing import BinaryIO

    from lumosai.telemetry.telemetry import Telemetry
    from lumosai.telemetry.trace import Content


def export(
    *,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="otlp (JSON) or parquet.")] = "otlp",
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; '-' is standard output.")
    ] = "-",
    content: Annotated[
        str, typer.Option("--content", metavar="HOW", help="How much of what was said goes out: off, metadata or full.")
    ] = "off",
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
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="How many at the most; all of them.")
    ] = None,
    database: DatabaseUrl = None,
    tenant: Tenant = None,
    owner: Owner = None,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Write recorded runs as OTLP's JSON, which any OpenTelemetry receiver takes in, or as Parquet, a row a span."""
    _ = debug
    if form not in ("otlp", "parquet"):
        raise typer.BadParameter(f"--format {form!r}: it is otlp or parquet")
    if content not in ("off", "metadata", "full"):
        raise typer.BadParameter(f"--content {content!r}: it is off, metadata or full")
    if output == "-" and form == "parquet" and is_terminal(sys.stdout):
        raise typer.BadParameter("Parquet is not for terminals: --output names a file")
    wanted = wanted_of(agent, model, tool, status, thread, text, min_ms, min_cost, since, until)

    async def work(telemetry: Telemetry) -> None:
        from lumosai.telemetry.export import as_otlp, as_parquet, recorded
        from lumosai.traces import TraceFilter

        traces = recorded(telemetry.storage.telemetry.scope(telemetry.scope), TraceFilter(**wanted), limit=limit)
        how = cast("Content", content)

        async def written(file: BinaryIO) -> int:
            if form == "parquet":
                return await as_parquet(traces, file, content=how)
            return await as_otlp(traces, file.write, content=how)

        if output == "-":
            await written(sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        part = Path(f"{output}.part")  # a file that is there is whole
        try:
            with part.open("wb") as file:  # noqa: ASYNC230  # nothing else is done meanwhile
                count = await written(file)
            os.replace(part, output)  # noqa: PTH105  # as text, as it was given
        finally:
            part.unlink(missing_ok=True)  # noqa: ASYNC240  # likewise
        typer.echo(f"{count} traces in {output}", err=True)

    with_telemetry(work, database=database, tenant=tenant, owner=owner, config=config)
