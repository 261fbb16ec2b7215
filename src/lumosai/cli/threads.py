"""`lumosai threads …`: the conversations that are kept."""

from __future__ import annotations

import datetime as dt
import re
import sys
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
from lumosai.cli.terminal import one_line, safe, style_for, write_json, write_line
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from lumosai.cli.terminal import Style
    from lumosai.memory.memory import Memory
    from lumosai.memory.search import Hit
    from lumosai.memory.thread import MemoryThread
    from lumosai.storage.base import StoredMessage

Name = Annotated[str, typer.Argument(metavar="NAME", help="The thread's name.")]
_SNIPPET = 100
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many at the most.")]


def make() -> typer.Typer:
    """The `threads` commands."""
    tree = typer.Typer(help="List, show, search, fork, export and delete kept conversations.", no_args_is_help=True)
    tree.rich_markup_mode = None
    tree.callback()(lambda: None)
    tree.command("list")(guarded(list_))
    tree.command("show")(guarded(show))
    tree.command("search")(guarded(search))
    tree.command("fork")(guarded(fork))
    tree.command("rm")(guarded(remove))
    tree.command("export")(guarded(export))
    return tree


def list_(
    *,
    limit: Limit = 20,
    memory: MemoryUrl = None,
    agent: AgentName = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List conversations, the one that was written to last first."""
    _ = debug

    async def work(kept: Memory) -> None:
        page = await kept.list_threads(limit=limit)
        if json:
            write_json([_summary(t) for t in page.items])
            return
        width = max((len(one_line(t.id, 40)) for t in page.items), default=0)
        for thread in page.items:
            when = thread.updated_at.astimezone().strftime("%Y-%m-%d %H:%M")
            count = thread.record.message_count
            write_line(f"{one_line(thread.id, 40):<{width}}  {when}  {count:>5} messages  {one_line(thread.title, 60)}")
        if not page.items:
            write_line("no conversation is kept here yet: lumosai chat --thread NAME begins one")

    with_memory(work, memory=memory, agent=agent, config=config)


def show(
    name: Name,
    *,
    limit: Limit = 50,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what its last run was sent of it, what not, and why.")
    ] = False,
    memory: MemoryUrl = None,
    agent: AgentName = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show a conversation's last messages."""
    _ = debug

    async def work(kept: Memory) -> None:
        thread = await kept.thread(name)
        page = await thread.get_messages(limit=limit, newest=True)
        if plan:
            await _show_plan(kept, name, [m for m in page.items if m.run_id], json=json)
            return
        items = page.items[-limit:]
        if json:
            write_json({**_summary(thread), "messages": [_plain(m) for m in items]})
            return
        for item in items:
            _write_message(item)

    with_memory(work, memory=memory, agent=agent, config=config)


def search(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="What to look for, in any form of its words; in quotes, just so.")
    ],
    *,
    thread: Annotated[
        str | None, typer.Option("--thread", "-t", metavar="NAME", help="Only in this conversation.")
    ] = None,
    resource: Annotated[
        str | None, typer.Option("--resource", metavar="ID", help="Only in conversations about this one.")
    ] = None,
    limit: Limit = 20,
    memory: MemoryUrl = None,
    agent: AgentName = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Find messages by their words, the best first."""
    _ = debug

    async def work(kept: Memory) -> None:
        style = style_for(sys.stdout)
        shown: list[Hit] = []
        cursor: str | None = None
        while len(shown) < limit:
            page = await kept.search(
                text, thread_id=thread, resource_id=resource, limit=limit - len(shown), cursor=cursor
            )
            shown += page.items
            for hit in () if json else page.items:
                told = _highlighted(*hit.snippet(_SNIPPET), style)
                write_line(f"{one_line(hit.thread.id, 40)}  {hit.message.message.role}: {told}")
            cursor = page.next_cursor
            if cursor is None:
                break
        if json:
            write_json([_found(hit) for hit in shown])
        elif not shown:
            write_line("no message holds that")

    with_memory(work, memory=memory, agent=agent, config=config)


def fork(
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new thread's name.")],
    *,
    after: Annotated[
        str | None, typer.Option("--after", metavar="ID", help="The last message to take over; by default all.")
    ] = None,
    memory: MemoryUrl = None,
    agent: AgentName = None,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Begin a conversation with what another one holds."""
    _ = debug

    async def work(kept: Memory) -> None:
        made = await kept.fork_thread(name, new_id=new, after=after)
        write_line(f"{made.id} begins as {name} does")

    with_memory(work, memory=memory, agent=agent, config=config)


def remove(
    name: Name,
    *,
    memory: MemoryUrl = None,
    agent: AgentName = None,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Delete a conversation. Forks of it keep what they show."""
    _ = debug

    async def work(kept: Memory) -> None:
        if not await kept.delete_thread(name):
            raise ConfigurationError(f"there is no thread {name!r}; `lumosai threads list` shows what there is")
        write_line(f"{name} is deleted")

    with_memory(work, memory=memory, agent=agent, config=config)


def export(
    name: Name,
    *,
    memory: MemoryUrl = None,
    agent: AgentName = None,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Print a conversation's messages as JSON, one a line, the first one first."""
    import msgspec

    _ = debug

    async def work(kept: Memory) -> None:
        thread = await kept.thread(name)
        cursor: str | None = None
        while True:
            page = await thread.get_messages(limit=500, cursor=cursor)
            for item in page.items:
                sys.stdout.buffer.write(msgspec.json.encode(item.message) + b"\n")
            cursor = page.next_cursor
            if cursor is None:
                break
        sys.stdout.buffer.flush()

    with_memory(work, memory=memory, agent=agent, config=config)


async def _show_plan(kept: Memory, name: str, messages: list[StoredMessage], *, json: bool) -> None:
    """The context plan of the last run on a thread.

    Raises:
        ConfigurationError: its events are not kept, or not any more.
    """
    import msgspec

    from lumosai.memory import plan_table
    from lumosai.telemetry.telemetry import Telemetry

    run = messages[-1].run_id if messages else ""
    recalled = await Telemetry(kept.storage).plan(run) if run else None
    if recalled is None:
        raise ConfigurationError(f"no plan is kept of a run on thread {name!r}: its last run was not kept, or is gone")
    if json:
        write_json({"run_id": run, **msgspec.to_builtins(recalled)})
        return
    write_line(plan_table(recalled, {str(m.message.id): m.message.text for m in messages}))


def _summary(thread: MemoryThread) -> dict[str, Any]:
    return {
        "id": thread.id,
        "title": thread.title,
        "agent": thread.agent_id,
        "resource": thread.resource_id,
        "messages": thread.record.message_count,
        "created_at": thread.created_at.isoformat(),
        "updated_at": thread.updated_at.isoformat(),
    }


def _plain(item: StoredMessage) -> dict[str, Any]:
    message = item.message
    return {
        "id": message.id,
        "role": message.role,
        "text": message.text,
        "interrupted": bool(message.metadata.get("interrupted")),
        "tool_calls": [{"name": c.name, "arguments": c.arguments} for c in message.tool_calls],
        "tool_results": [{"name": r.name, "text": r.text, "is_error": r.is_error} for r in message.tool_results],
        "run_id": item.run_id or None,
        "at": dt.datetime.fromtimestamp(item.at, tz=dt.UTC).isoformat(),
    }


def _write_message(item: StoredMessage) -> None:
    import json

    style, message = style_for(sys.stdout), item.message
    if message.text:
        mark = " (interrupted)" if message.metadata.get("interrupted") else ""
        write_line(f"{style.bold(message.role + mark)}: {message.text}")
    for call in message.tool_calls:
        arguments = json.dumps(call.arguments, ensure_ascii=False) if call.arguments is not None else call.raw or ""
        write_line(style.dim(f"→ {call.name} {one_line(arguments, 100)}"))
    for result in message.tool_results:
        write_line(style.dim(f"← {result.name}: {one_line(result.text, 100)}"))


def _found(hit: Hit) -> dict[str, Any]:
    return {
        "thread": hit.thread.id,
        "score": hit.score,
        **_plain(hit.message),
        "searched": hit.text,
        "highlights": hit.highlights,
    }


def _highlighted(text: str, places: tuple[tuple[int, int], ...], style: Style) -> str:
    """One line of a text, with what was looked for in bold."""
    text = re.sub(r"\s", " ", text)
    pieces, at = [], 0
    for start, end in places:
        pieces += [safe(text[at:start]), style.bold(safe(text[start:end]))]
        at = end
    return "".join([*pieces, safe(text[at:])])
