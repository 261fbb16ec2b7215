"""Threads: made, found, changed, listed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from lumosai.errors import ConflictError, InvalidInputError, NotFoundError
from lumosai.messages import Message
from lumosai.records import Scope
from lumosai.storage.base import ThreadFilter
from lumosai.storage.conformance._expect import refused

if TYPE_CHECKING:
    from lumosai.storage.base import Storage
    from lumosai.storage.conformance._expect import Check


async def thread_is_made_found_and_changed(storage: Storage) -> None:
    """A thread is what it was made as; a change gives it the next version; a stale version is refused."""
    mine = storage.scope(Scope())
    made = await mine.create_thread("t", title="One", agent_id="a", resource_id="r", metadata={"k": [1, {"x": None}]})
    assert (made.id, made.title, made.agent_id, made.resource_id) == ("t", "One", "a", "r")
    assert made.metadata == {"k": [1, {"x": None}]}
    assert made.version == 1
    assert await mine.thread("t") == made
    changed = await mine.update_thread("t", title="Two", version=1)
    assert (changed.title, changed.version, changed.metadata) == ("Two", 2, made.metadata)
    await refused(ConflictError, mine.update_thread("t", title="Three", version=1))
    assert await mine.thread("t") == changed
    assert (await mine.update_thread("t", metadata={})).metadata == {}


async def thread_without_a_name_gets_one(storage: Storage) -> None:
    """Without an id a thread gets a new one; with one that is taken it is refused, or found."""
    mine = storage.scope(Scope())
    one, two = await mine.create_thread(), await mine.create_thread()
    assert one.id != two.id
    await refused(ConflictError, mine.create_thread(one.id))
    assert await mine.ensure_thread(one.id, title="no") == one
    assert (await mine.ensure_thread("new", title="yes")).title == "yes"


async def the_same_thread_made_at_once_is_made_once(storage: Storage) -> None:
    """Many tasks that make one thread: one makes it, the others hear so, or find it."""
    mine = storage.scope(Scope())
    made = await asyncio.gather(*[mine.create_thread("t") for _ in range(8)], return_exceptions=True)
    assert sum(not isinstance(m, BaseException) for m in made) == 1
    assert all(isinstance(m, ConflictError) for m in made if isinstance(m, BaseException))
    found = await asyncio.gather(*[mine.ensure_thread("u") for _ in range(8)])
    assert len(set(map(str, found))) == 1
    results = await asyncio.gather(
        *[mine.update_thread("t", title=str(i), version=1) for i in range(8)], return_exceptions=True
    )
    assert sum(not isinstance(r, BaseException) for r in results) == 1


async def what_is_not_there_is_said(storage: Storage) -> None:
    """Every call about a thread, branch or message that is not there says so, and nothing else happens."""
    mine = storage.scope(Scope())
    assert await mine.thread("none") is None
    assert await mine.delete_thread("none") is False
    for call in (
        mine.update_thread("none", title="x"),
        mine.add_messages("none", [Message.user("x")]),
        mine.messages("none"),
        mine.message("none", "m"),
        mine.branches("none"),
        mine.select_branch("none", 0),
        mine.add_branch("none", "m"),
        mine.fork_thread("none"),
        mine.delete_messages("none", ["m"]),
    ):
        await refused(NotFoundError, call)
    await mine.create_thread("t")
    for call in (
        mine.messages("t", branch=1),
        mine.add_messages("t", [Message.user("x")], branch=7),
        mine.select_branch("t", 1),
        mine.add_branch("t", "m"),
        mine.fork_thread("t", after="m"),
    ):
        await refused(NotFoundError, call)
    assert await mine.message("t", "m") is None
    assert await mine.delete_messages("t", ["m"]) == 0
    assert (await mine.list_threads()).items == (await mine.thread("t"),)


async def threads_are_listed_by_their_last_change(storage: Storage) -> None:
    """The thread that was written to last comes first; pages show each once; filters narrow down."""
    mine = storage.scope(Scope())
    for i in range(7):
        await mine.create_thread(f"t{i}", title=f"Thread {i}", agent_id="ab"[i % 2], metadata={"n": i, "odd": i % 2})
    await mine.add_messages("t2", [Message.user("x")])
    expected = ["t2", "t6", "t5", "t4", "t3", "t1", "t0"]
    for limit in (1, 2, 7, 50):
        names, cursor = [], None
        while True:
            page = await mine.list_threads(limit=limit, cursor=cursor)
            names += [t.id for t in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert names == expected, names

    async def found(**wanted: Any) -> list[str]:
        return [t.id for t in (await mine.list_threads(filter=ThreadFilter(**wanted))).items]

    assert await found(agent_id="b") == ["t5", "t3", "t1"]
    assert await found(metadata={"odd": 0}) == ["t2", "t6", "t4", "t0"]
    assert await found(text="THREAD 3") == ["t3"]
    assert await found(text="%") == []
    assert await found(metadata={"n": 3.0}) == []
    await refused(InvalidInputError, mine.list_threads(cursor="WzEsMSwxXQ"))


CHECKS: Final[tuple[Check, ...]] = (
    thread_is_made_found_and_changed,
    thread_without_a_name_gets_one,
    the_same_thread_made_at_once_is_made_once,
    what_is_not_there_is_said,
    threads_are_listed_by_their_last_change,
)
