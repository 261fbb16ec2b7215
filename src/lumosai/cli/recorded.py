"""What the commands about recorded runs share: which runs are asked for, and of which database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumosai.cli.options import check_there, choose_agent, configured, default_database
from lumosai.cli.times import moment_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lumosai.telemetry.telemetry import Telemetry

AgentOf = Annotated[str, typer.Option("--agent", "-a", metavar="NAME", help="Only of this agent.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Begun since then: 2h (ago), 2026-05-01, 2026-05-01T12:30."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Begun before then.")]
ModelOf = Annotated[str, typer.Option("--model", "-m", metavar="NAME", help="That asked this model.")]
ToolOf = Annotated[str, typer.Option("--tool", metavar="NAME", help="That called this tool.")]
StatusOf = Annotated[
    str | None, typer.Option("--status", metavar="STATUS", help="running, paused, ok, error or cancelled.")
]
ThreadOf = Annotated[str, typer.Option("--thread", metavar="NAME", help="On this thread.")]
TextOf = Annotated[str, typer.Option("--text", metavar="TEXT", help="With this in an error, an id or a name.")]
MinMs = Annotated[float | None, typer.Option("--min-ms", metavar="N", help="That took at least as long.")]
MinCost = Annotated[float | None, typer.Option("--min-cost", metavar="USD", help="That cost at least as much.")]


def wanted_of(  # noqa: PLR0917  # as the options stand
    agent: str,
    model: str,
    tool: str,
    status: str | None,
    thread: str,
    text: str,
    min_ms: float | None,
    min_cost: float | None,
    since: str | None,
    until: str | None,
) -> dict[str, Any]:
    """What the options ask for.

    Raises:
        typer.BadParameter: there is no such status, or a time cannot be read.
    """
    if status not in (None, "running", "paused", "ok", "error", "cancelled"):
        raise typer.BadParameter(f"--status {status!r}: it is running, paused, ok, error or cancelled")
    now = time.time()
    return {
        "agent": agent,
        "model": model,
        "tool": tool,
        "status": status,
        "thread": thread,
        "text": text,
        "min_duration_ms": min_ms,
        "min_cost": min_cost,
        "since": moment_of(since, now),
        "until": moment_of(until, now),
    }


def with_telemetry(
    work: Callable[[Telemetry], Awaitable[None]],
    *,
    database: str | None,
    tenant: str | None,
    owner: str | None,
    config: str | None,
) -> None:
    """Asks the database that the options, the configuration or the user's own one are.

    Raises:
        ConfigurationError: there is no such database.
    """
    from lumosai.agent.config import telemetry_url
    from lumosai.records import Scope
    from lumosai.storage.base import open_storage
    from lumosai.telemetry.telemetry import Telemetry

    settings = configured(choose_agent(config=config))
    url = database if database is not None else (telemetry_url(settings) or f"sqlite:///{default_database()}")
    storage = open_storage(url)
    check_there(getattr(storage, "path", ""))

    import asyncio

    async def main() -> None:
        try:
            await work(Telemetry(storage, scope=Scope(tenant or "default", owner)))
        finally:
            await storage.close()

    asyncio.run(main())
