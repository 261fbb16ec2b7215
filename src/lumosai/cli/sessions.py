"""`lumosai sessions …`: people's time with agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumosai.cli.guard import guarded
from lumosai.cli.memories import with_memory
from lumosai.cli.options import (  # noqa: TC001  # typer reads them at run time
    AgentName,
    Config,
    Debug,
    Json,
    MemoryUrl,
)
from lumosai.cli.terminal import one_line, write_json, write_line
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from lumosai.memory.memory import Memory
    from lumosai.memory.session import Session

Id = Annotated[str, typer.Argument(metavar="ID", help="The session's id.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many at the most.")]
Resource = Annotated[str, typer.Option("--resource", metavar="NAME", help="Only this person's.")]

_STATES = ("active", "paused", "completed", "expired", "error")
_DAY_S = 86_400.0


def make() -> typer.Typer:
    """The `sessions` commands."""
    tree = typer.Typer(help="List, show, end and clean up people's sessions with agents.", no_args_is_help=True)
    tree.rich_markup_mode = None
    tree.callback()(lambda: None)
    tree.command("list")(guarded(list_))
    tree.command("show")(guarded(show))
    tree.command("complete")(guarded(complete))
    tree.command("clean")(guarded(clean))
    return tree


def list_(
    *,
    state: Annotated[str, typer.Option("--state", metavar="STATE", help=f"Only these: {', '.join(_STATES)}.")] = "",
    resource: Resource = "",
    limit: Limit = 20,
    memory: MemoryUrl = None,
    agent: AgentName = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List sessions, the one that began last first."""
    _ = debug
    if state and state not in _STATES:
        raise ConfigurationError(f"no session has the state {state!r}: there are {', '.join(_STATES)}")

    async def work(kept: Memory) -> None:
        from lumosai.storage import SessionFilter

        wanted = SessionFilter(resource_id=resource, states=(state,) if state else ())  # type: ignore[arg-type]  # checked above
        page = await kept.list_sessions(wanted, limit=limit)
        if json:
            write_json([_plain(s) for s in page.items])
            return
        for session in page.items:
            write_line(_line(session))
        if not page.items:
            write_line("no session is kept here")

    with_memory(work, memory=memory, agent=agent, config=config)


def show(
    id: Id,  # noqa: A002
    *,
    memory: MemoryUrl = None,
    agent: AgentName = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show a session with its variables and its summary."""
    _ = debug

    async def work(kept: Memory) -> None:
        session = await kept.get_session(id)
        if json:
            write_json(_plain(session))
            return
        for name, value in _plain(session).items():
            if value not in (None, "", {}):
                write_line(f"{name}: {value}")

    with_memory(work, memory=memory, agent=agent, config=config)


def complete(
    id: Id,  # noqa: A002
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it ends.")] = "",
    memory: MemoryUrl = None,
    agent: AgentName = None,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """End a session. The next one of that person with that agent has a thread of its own."""
    _ = debug

    async def work(kept: Memory) -> None:
        await (await kept.get_session(id)).complete(reason=reason)
        write_line(f"{id} is completed")

    with_memory(work, memory=memory, agent=agent, config=config)


def clean(
    *,
    days: Annotated[
        float | None, typer.Option("--days", min=0, help="Delete ended ones in which nothing came for so long.")
    ] = None,
    memory: MemoryUrl = None,
    agent: AgentName = None,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Expire sessions whose time is up, and delete old ones. Their conversations stay."""
    _ = debug

    async def work(kept: Memory) -> None:
        expired, deleted = await kept.clean_sessions(older_than_s=None if days is None else days * _DAY_S)
        write_line(f"{expired} expired, {deleted} deleted")

    with_memory(work, memory=memory, agent=agent, config=config)


def _line(session: Session) -> str:
    when = session.active_at.astimezone().strftime("%Y-%m-%d %H:%M")
    reason = f" ({one_line(session.record.reason, 40)})" if session.record.reason else ""
    who = f"{one_line(session.resource_id, 24)} with {one_line(session.agent_id, 24) or 'nobody'}"
    return f"{session.id}  {when}  {session.state}{reason}  {who}"


def _plain(session: Session) -> dict[str, Any]:
    record = session.record
    return {
        "id": session.id,
        "state": session.state,
        "reason": record.reason,
        "resource": session.resource_id,
        "agent": session.agent_id or None,
        "thread": session.thread_id,
        "variables": session.variables,
        "summary": session.summary,
        "idle_timeout_s": record.idle_timeout_s,
        "max_age_s": record.max_age_s,
        "created_at": session.created_at.isoformat(),
        "active_at": session.active_at.isoformat(),
    }
