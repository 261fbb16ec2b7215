"""Maintenance: what retention removes and what it never does, what an erasure reaches, what is told of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.messages import ImagePart, Message
from lumosai.records import Retention, Scope
from lumosai.storage.base import Batch, RunRecord
from lumosai.storage.conformance._expect import all_of, texts

if TYPE_CHECKING:
    from lumosai.storage.base import Handle, Lease, Storage
    from lumosai.storage.conformance._expect import Check
    from lumosai.storage.upkeep import DatabaseInfo

_AT_ONCE: Final = 1e-12
"""Days after which something is old, in a test."""
_NOTHING: Final = Retention(journal_days=None, threads_days=None, max_mib=None)


async def only_what_has_ended_gets_old(storage: Storage) -> None:
    """A run that ended goes whole, its sub-runs and unread inbox with it; one that is at work or paused never does."""
    mine = storage.scope(Scope("one", "ann"))
    await _run(mine, "done", contents={"a": b"only its own", "b": b"shared"}, children=("sub",), ends=True)
    await _run(mine, "paused", contents={"b": b"shared"}, status="paused")
    await _run(mine, "at work", contents={"c": b"its own"})
    kept = await storage.system().collect(Retention(), pause_s=0)
    assert (kept.runs, kept.threads) == (0, 0)
    done = await storage.system().collect(Retention(journal_days=_AT_ONCE), pause_s=0)
    assert done.runs == 1
    assert await mine.run("done") is None
    assert await mine.run("sub") is None
    assert [r.id for r in (await mine.list_runs()).items] == ["at work", "paused"]
    assert await mine.contents(["a", "b", "c"]) == {"b": b"shared", "c": b"its own"}
    assert len(await mine.events("paused")) == 2
    assert await _rows(storage) == {"threads": 0, "messages": 0, "runs": 7, "media and contents": 2}
    await _run(mine, "done", ends=True)  # its name is free again


async def a_thread_gets_old_only_where_that_is_wanted(storage: Storage) -> None:
    """Threads stay for ever by default; with a time they go, but for those that a run may go on with; forks keep theirs."""
    mine = storage.scope(Scope("one", "ann"))
    picture = ImagePart(data=b"picture" * 100)
    for name in ("old", "in use"):
        await mine.create_thread(name)
        await mine.add_messages(name, [Message.user(f"{name} {i}", picture, id=f"{name} {i}") for i in range(70)])
    await mine.fork_thread("old", new_id="fork", after="old 59")
    await _run(mine, "run", thread_id="in use", status="paused")
    system = storage.system()
    assert (await system.collect(_NOTHING, pause_s=0)).threads == 0
    shown = await mine.messages("fork", limit=100)
    await mine.update_thread("fork", title="in use, too")
    await _run(mine, "another", thread_id="fork")
    assert (await system.collect(Retention(threads_days=_AT_ONCE), pause_s=0)).threads == 1
    assert await mine.thread("old") is None
    assert (await mine.messages("fork", limit=100)).items == shown.items
    assert [t.message_count for t in (await mine.list_threads()).items] == [60, 70]
    assert await _rows(storage) == {"threads": 6, "messages": 260, "runs": 5, "media and contents": 1}


async def contents_of_any_length_come_back_whole(storage: Storage) -> None:
    """Whatever length they are stored in pieces of, in messages and of runs; the last who deletes them deletes it all."""
    mine = storage.scope(Scope("one", "ann"))
    sizes = [0, 1, *[2**n + more for n in (16, 17) for more in (-2, -1, 0)], 3_000_000]
    whole = {f"h{n}": b"%d" % n * (size // len(b"%d" % n)) + b"." for n, size in enumerate(sizes)}
    await _run(mine, "run", contents=whole, ends=True)
    assert await mine.contents([*whole]) == whole
    pictures = [ImagePart(data=data) for data in whole.values()]
    for name in ("t", "another"):
        await mine.create_thread(name)
        await mine.add_messages(name, [Message.user("see", *pictures, id=f"{name} {n}") for n in range(2)])
    assert [m.parts[1:] for m in await all_of(mine, "t")] == [tuple(pictures)] * 2
    await mine.delete_thread("t")
    await mine.delete_messages("another", ["another 0"])
    assert [m.parts[1:] for m in await all_of(mine, "another")] == [tuple(pictures)]
    assert (await storage.system().info(check=True)).problems == ()
    await mine.delete_messages("another", ["another 1"])
    await mine.delete_run("run")
    assert (await _rows(storage))["media and contents"] == 0
    assert (await storage.system().info(check=True)).problems == ()


async def an_erasure_reaches_all_there_is(storage: Storage) -> None:
    """Threads about somebody, what anybody forked from them, their branches, media, runs and journals; nothing else."""
    ann, all_of_it = storage.scope(Scope("one", "ann")), storage.scope(Scope("one"))
    picture = ImagePart(data=b"a face")
    await ann.create_thread("about her", resource_id="eve")
    await ann.add_messages("about her", [Message.user("secret", picture, id=f"m{i}") for i in range(40)])
    await ann.add_branch("about her", "m3", messages=[Message.user("secret too", id="b")])
    await all_of_it.fork_thread("about her", new_id="fork")  # nobody's own, of somebody's
    await all_of_it.update_thread("fork", resource_id="somebody else")
    await all_of_it.fork_thread("fork", new_id="fork of the fork")
    await ann.create_thread("gone", resource_id="eve")
    await _run(ann, "of a thread that was deleted", thread_id="gone", ends=True)
    await ann.delete_thread("gone")
    await _run(ann, "ended", thread_id="about her", contents={"h": b"secret prompt", "k": b"tools"}, ends=True)
    at_work = await _run(all_of_it, "at work", thread_id="fork", children=("sub",))
    await _run(ann, "alone", resource_id="eve", status="paused")
    for scope in (Scope("one", "bob"), Scope("two", "ann")):
        other = storage.scope(scope)
        await other.create_thread("about her", resource_id="eve" if scope.tenant == "two" else "her sister")
        await other.add_messages("about her", [Message.user("stays", picture)])
        await _run(other, f"{scope.tenant}'s", thread_id="about her", contents={"k": b"tools"})
    erased = await storage.system().erase("eve", tenant="one")
    assert (erased.threads, erased.messages, erased.runs) == (3, 41, 4)
    for handle in (ann, all_of_it):
        assert (await handle.search("secret")).items == ()
        assert [t.owner for t in (await handle.list_threads(limit=9)).items] == (["bob"] if handle is all_of_it else [])
    assert (await ann.list_runs()).items == ()
    assert await all_of_it.renew(at_work) is False
    assert await all_of_it.run("sub") is None
    for scope in (Scope("one", "bob"), Scope("two", "ann")):
        other = storage.scope(scope)
        assert await texts(other, "about her") == ["stays"]
        assert (await other.messages("about her")).items[0].message.parts[1] == picture
        assert await other.contents(["h", "k"]) == {"k": b"tools"}
    assert await _rows(storage) == {"threads": 4, "messages": 4, "runs": 6, "media and contents": 4}
    again = await storage.system().erase("eve", tenant="one")
    assert (again.threads, again.runs) == (0, 0)
    assert (await storage.system().info(check=True)).problems == ()


async def a_database_says_how_it_is(storage: Storage) -> None:
    """Its schema, what it holds, how old that is, that it is sound, and what retention would remove."""
    mine = storage.scope(Scope())
    empty = await storage.system().info(check=True)
    assert empty.schema == empty.newest
    assert (empty.threads, empty.messages, empty.runs, empty.oldest, empty.problems) == (0, 0, {}, {}, ())
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user("x", ImagePart(data=b"y"))])
    await _run(mine, "done", ends=True)
    await _run(mine, "at work")
    told = await storage.system().info(check=True, retention=Retention(journal_days=_AT_ONCE, threads_days=_AT_ONCE))
    assert (told.threads, told.messages, told.blobs, told.runs) == (1, 1, 1, {"ended": 1, "running": 1})
    assert told.oldest.keys() == {"thread", "message", "run"}
    assert told.bytes > 0
    assert told.problems == ()
    assert told.removable is not None
    assert (told.removable.runs, told.removable.threads, told.removable.over) == (1, 1, 0)
    assert (await mine.list_runs()).items[0].id == "at work"  # it only told


async def _run(
    handle: Handle,
    name: str,
    *,
    contents: dict[str, bytes] | None = None,
    children: tuple[str, ...] = (),
    status: str = "running",
    ends: bool = False,
    thread_id: str = "",
    resource_id: str = "",
) -> Lease:
    """A run of one or two events."""
    first = Batch(first=1, last=1, data=b"1", contents=contents or {}, children=children)
    lease = await handle.open_run(RunRecord(id=name, thread_id=thread_id, resource_id=resource_id), first)
    if ends or status == "paused":
        await handle.append_events(
            lease, Batch(first=2, last=2, data=b"2", status="ended" if ends else "paused", reason="stop")
        )
    return lease


async def _rows(storage: Storage) -> dict[str, int]:
    """Rows of each kind, so that what nothing refers to is seen."""
    told: DatabaseInfo = await storage.system().info()
    return {k.name: k.rows for k in told.kinds if k.name in ("threads", "messages", "runs", "media and contents")}


CHECKS: Final[tuple[Check, ...]] = (
    only_what_has_ended_gets_old,
    a_thread_gets_old_only_where_that_is_wanted,
    contents_of_any_length_come_back_whole,
    an_erasure_reaches_all_there_is,
    a_database_says_how_it_is,
)
