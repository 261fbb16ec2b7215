"""Inboxes: what is asked of a run reaches whoever goes on with it, once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from lumosai.errors import ConflictError, LeaseLostError, NotFoundError, UnreadInboxError
from lumosai.records import Scope
from lumosai.storage.base import Batch, InboxItem, RunRecord
from lumosai.storage.conformance._expect import refused

if TYPE_CHECKING:
    from lumosai.storage.base import Lease, Storage
    from lumosai.storage.conformance._expect import Check


async def an_inbox_is_read_in_order_and_emptied_once(storage: Storage) -> None:
    """Items come in the order they were posted; they go with the batch of the events they came to, and with no other."""
    mine = storage.scope(Scope())
    lease = await mine.open_run(RunRecord(id="run"), Batch(first=1, last=1, data=b"1", children=("child",)))
    other = await mine.open_run(RunRecord(id="other"), Batch(first=1, last=1, data=b"1"))
    for name, run in (("c", "run"), ("a", "child"), ("x", "other"), ("b", "run"), ("a", "run")):
        found = await mine.post(run, InboxItem(name, "send", b"\x00" + name.encode()))
        assert found.id == ("other" if name == "x" else "run")
    waiting = await storage.system().inbox([lease])
    assert [(i.id, i.kind, i.data, i.run_id) for i in waiting] == [
        (n, "send", b"\x00" + n.encode(), "run") for n in "cab"
    ]
    assert [i.id for i in await storage.system().inbox([lease, other])] == ["c", "a", "x", "b"]
    await mine.append_events(lease, Batch(first=2, last=2, data=b"2", taken=("a", "x")))
    assert [i.id for i in await storage.system().inbox([lease, other])] == ["c", "x", "b"]
    await refused(ConflictError, mine.append_events(lease, Batch(first=9, last=9, data=b"9", taken=("c",))))
    _, taken = await _taken_over(storage, lease)
    await refused(LeaseLostError, mine.append_events(lease, Batch(first=3, last=3, data=b"3", taken=("c",))))
    assert [i.id for i in await storage.system().inbox([taken])] == ["c", "b"]


async def a_run_ends_with_nothing_unread(storage: Storage) -> None:
    """An end is refused while a message waits that its owner has not taken; all else goes, and then nothing comes in."""
    mine = storage.scope(Scope())
    lease = await mine.open_run(RunRecord(id="run"), Batch(first=1, last=1, data=b"1"))
    await mine.post("run", InboxItem("late", "send", b"{}"))
    await mine.post("run", InboxItem("stop", "cancel"))
    end = Batch(first=2, last=2, data=b"2", status="ended", reason="stop")
    unread: tuple[InboxItem, ...] = ()
    try:
        await mine.append_events(lease, end)
    except UnreadInboxError as error:
        unread = error.items
    assert [i.id for i in unread] == ["late"]
    assert await mine.events("run") == (b"1",)
    await mine.append_events(
        lease, Batch(first=2, last=3, data=b"2\n3", taken=("late",), status="ended", reason="stop")
    )
    assert await storage.system().inbox([lease]) == ()
    await refused(ConflictError, mine.post("run", InboxItem("more", "send")))
    await refused(ConflictError, mine.post("run", InboxItem("more", "cancel")))
    await refused(NotFoundError, mine.post("none", InboxItem("more", "cancel")))
    assert await mine.delete_run("run") is True


async def posts_at_once_are_all_there(storage: Storage) -> None:
    """Many who post at the same time lose nothing; a paused run keeps what is posted until somebody takes it up."""
    mine = storage.scope(Scope())
    lease = await mine.open_run(RunRecord(id="run"), Batch(first=1, last=1, data=b"1"))
    await mine.append_events(lease, Batch(first=2, last=2, data=b"2", status="paused", reason="approval"))
    await asyncio.gather(*[mine.post("run", InboxItem(f"i{n}", "approve")) for n in range(20)])
    record, taken = await mine.take_run("run")
    assert (record.status, taken is None) == ("paused", False)
    assert taken is not None
    assert sorted(i.id for i in await storage.system().inbox([taken])) == sorted(f"i{n}" for n in range(20))
    many = [Batch(first=3, last=3, data=b"3", taken=tuple(f"i{n}" for n in range(20)))] * 2
    await asyncio.gather(*[mine.append_events(taken, batch) for batch in many])
    assert await storage.system().inbox([taken]) == ()
    assert await mine.events("run", after=2) == (b"3",)


async def an_inbox_of_another_scope_is_out_of_reach(storage: Storage) -> None:
    """Nobody posts into a run that it may not see, nor learns that there is one."""
    mine = storage.scope(Scope("one", "ann"))
    lease = await mine.open_run(RunRecord(id="run"), Batch(first=1, last=1, data=b"1"))
    for scope in (Scope("one", "bob"), Scope("two"), Scope("two", "ann"), Scope()):
        other = storage.scope(scope)
        await refused(NotFoundError, other.post("run", InboxItem("x", "cancel")))
        await refused(NotFoundError, other.stretch("run"))
    await storage.scope(Scope("one")).post("run", InboxItem("tenant", "cancel"))
    assert [i.id for i in await storage.system().inbox([lease])] == ["tenant"]


async def the_standing_of_runs_is_told_at_once(storage: Storage) -> None:
    """How far runs are is read of many together, and where each epoch begins."""
    mine = storage.scope(Scope())
    lease = await mine.open_run(RunRecord(id="run"), Batch(first=1, last=4, data=b"1\n2\n3\n4"))
    await mine.open_run(RunRecord(id="other"), Batch(first=1, last=1, data=b"1"))
    assert (await mine.stretch("run", limit=0)).epochs == {1: 1}
    _, taken = await _taken_over(storage, lease)
    await mine.append_events(taken, Batch(first=5, last=6, data=b"5\n6", status="paused", reason="approval"))
    found = {s.run_id: (s.status, s.last, s.epoch) for s in await storage.system().standings(["other", "run", "none"])}
    assert found == {"run": ("paused", 6, 2), "other": ("running", 1, 1)}
    stretch = await mine.stretch("run", after=4)
    assert (stretch.epochs, stretch.batches, stretch.run) == ({1: 1, 2: 5}, (b"5\n6",), await mine.run("run"))
    assert (await mine.stretch("run", after=6)).batches == (await mine.stretch("run", limit=0)).batches == ()
    assert await storage.system().standings([]) == ()
    assert await storage.system().inbox([]) == ()


async def _taken_over(storage: Storage, lease: Lease) -> tuple[RunRecord, Lease]:
    """A run that its owner lets go of is taken up by another."""
    mine = storage.scope(Scope())
    await mine.let_go(lease)
    record, taken = await mine.take_run(lease.run_id)
    assert taken is not None
    return record, taken


CHECKS: Final[tuple[Check, ...]] = (
    an_inbox_is_read_in_order_and_emptied_once,
    a_run_ends_with_nothing_unread,
    posts_at_once_are_all_there,
    an_inbox_of_another_scope_is_out_of_reach,
    the_standing_of_runs_is_told_at_once,
)
