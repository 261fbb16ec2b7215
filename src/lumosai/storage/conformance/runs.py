"""Runs: their events, and who may write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.errors import ConflictError, InvalidInputError, LeaseLostError, NotFoundError
from lumosai.messages import Message
from lumosai.records import Scope
from lumosai.storage.base import Batch, RunRecord, ThreadRecord
from lumosai.storage.conformance._expect import refused, texts

if TYPE_CHECKING:
    from lumosai.storage.base import Storage
    from lumosai.storage.conformance._expect import Check


async def events_come_back_in_order(storage: Storage) -> None:
    """A run's batches come back as they were stored, from any number on; what they refer to is kept once."""
    mine = storage.scope(Scope())
    record = RunRecord(id="run", agent="a", definition_hash="d", thread_id="t", has_context=True)
    first = Batch(first=1, last=2, data=b"1\n2", contents={"h": b"content"}, children=("child",))
    lease = await mine.open_run(record, first)
    await mine.append_events(lease, Batch(first=3, last=3, data=b"3"))
    await mine.append_events(lease, Batch(first=4, last=6, data=b"4\n5\n6", contents={"h": b"content"}), urgent=True)
    assert await mine.events("run") == (b"1\n2", b"3", b"4\n5\n6")
    assert await mine.events("run", after=1) == (b"1\n2", b"3", b"4\n5\n6")
    assert await mine.events("run", after=2, limit=1) == (b"3",)
    assert await mine.events("child", after=5) == (b"4\n5\n6",)
    assert await mine.events("run", after=6) == ()
    assert await mine.contents(["h", "none"]) == {"h": b"content"}
    found = await mine.run("child")
    assert found is not None
    assert (found.id, found.agent, found.thread_id, found.has_context) == ("run", "a", "t", True)
    assert (found.status, found.last, found.epoch) == ("running", 6, 1)
    await refused(ConflictError, mine.append_events(lease, Batch(first=9, last=9, data=b"9")))
    await mine.append_events(lease, Batch(first=7, last=7, data=b"7", status="ended", reason="stop"))
    assert [(r.id, r.status, r.reason) for r in (await mine.list_runs()).items] == [("run", "ended", "stop")]
    assert (await mine.list_runs(status="running")).items == ()
    assert (await mine.list_runs(agent="a", status="ended")).items != ()
    before = b"\n".join(await mine.events("run"))
    for _ in range(2):
        assert await mine.compact_run("run") == 1
        assert await mine.events("run") == (before,)
        assert await mine.events("run", after=5) == (before,)
        assert await mine.events("run", after=7) == ()
    assert await mine.delete_run("run") is True
    assert await mine.delete_run("run") is False
    assert await mine.run("child") is None
    assert await mine.contents(["h"]) == {}
    await refused(NotFoundError, mine.events("run"))


async def one_process_writes_to_a_run(storage: Storage) -> None:
    """A run that is at work is not taken; one that is paused is; whoever had it before writes nothing more."""
    mine = storage.scope(Scope())
    lease = await mine.open_run(RunRecord(id="run"), Batch(first=1, last=1, data=b"1"))
    await refused(ConflictError, mine.open_run(RunRecord(id="run"), Batch(first=1, last=2, data=b"1\n2")))
    await refused(LeaseLostError, mine.take_run("run"))
    await refused(ConflictError, mine.delete_run("run"))
    assert await mine.renew(lease) is True
    assert await mine.compact_run("run") == 1
    assert await storage.system().orphans(["", "a"]) == ()
    await mine.append_events(lease, Batch(first=2, last=2, data=b"2", status="paused", reason="approval"))
    assert await mine.renew(lease) is False
    record, taken = await mine.take_run("run")
    assert taken is not None
    assert (record.status, record.reason, record.last, taken.fence, taken.epoch) == ("paused", "approval", 2, 2, 2)
    await refused(LeaseLostError, mine.append_events(lease, Batch(first=3, last=3, data=b"zombie")))
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user("mine", id="m1")], lease=taken)
    await refused(LeaseLostError, mine.add_messages("t", [Message.user("zombie", id="m2")], lease=lease))
    await mine.let_go(taken)
    await refused(LeaseLostError, mine.add_messages("t", [Message.user("gone", id="m3")], lease=taken))
    assert await texts(mine, "t") == ["mine"]
    assert [(s, r.id) for s, r in await storage.system().orphans([""])] == [(Scope(), "run")]
    assert await storage.system().orphans(["another"]) == ()
    await mine.append_events(taken, Batch(first=3, last=3, data=b"3", status="ended", reason="stop"))
    assert await storage.system().orphans([""]) == ()
    _, none = await mine.take_run("run")
    assert none is None
    assert b"\n".join(await mine.events("run")) == b"1\n2\n3"
    other = storage.scope(Scope("two"))
    await refused(NotFoundError, other.take_run("run"))
    await refused(NotFoundError, other.events("run"))
    assert await other.run("run") is None
    assert await other.delete_run("run") is False
    assert (await other.list_runs()).items == ()


async def a_lease_is_worth_nothing_in_another_scope(storage: Storage) -> None:
    """Who guesses a lease writes to no run outside its scope, and neither prolongs nor ends its lease."""
    mine = storage.scope(Scope("one", "ann"))
    lease = await mine.open_run(RunRecord(id="run"), Batch(first=1, last=1, data=b"1"))
    for scope in (Scope("one", "bob"), Scope("two"), Scope("two", "ann")):
        other = storage.scope(scope)
        await refused(LeaseLostError, other.append_events(lease, Batch(first=2, last=2, data=b"2")))
        assert await other.renew(lease) is False
        await other.let_go(lease)
        await other.create_thread("t")
        await refused(LeaseLostError, other.add_messages("t", [Message.user("x")], lease=lease))
        await refused(ConflictError, other.open_run(RunRecord(id="run"), Batch(first=1, last=1, data=b"1")))
    assert await mine.renew(lease) is True
    assert await mine.events("run") == (b"1",)


async def what_goes_along_is_stored_with_the_events(storage: Storage) -> None:
    """Messages that go along with a run's events are stored with them or neither is, and in one scope only."""
    mine = storage.scope(Scope())
    now = ThreadRecord(id="t", created_at=0.0, updated_at=0.0)
    begun = mine.prepare_turn(now, [Message.user("one", id="m1")], run_id="run")
    lease = await mine.open_run(RunRecord(id="run", thread_id="t"), Batch(first=1, last=1, data=b"1"), along=[begun])
    assert begun.value.earlier == ()
    for wrong, why in (
        (mine.prepare_messages("none", [Message.user("x")]), NotFoundError),
        (storage.scope(Scope("two")).prepare_messages("t", [Message.user("x")]), InvalidInputError),
    ):
        good = mine.prepare_messages("t", [Message.assistant("two", id="m2")], run_id="run")
        await refused(why, mine.append_events(lease, Batch(first=2, last=2, data=b"2"), along=[good, wrong]))
        assert await mine.events("run") == (b"1",)
        assert await texts(mine, "t") == ["one"]
    good = mine.prepare_messages("t", [Message.assistant("two", id="m2")], run_id="run")
    for _ in range(2):  # whose answer was lost, and which comes again
        await mine.append_events(lease, Batch(first=2, last=2, data=b"2", status="ended"), along=[good])
        assert [m.seq for m in good.value] == [2]
    assert b"\n".join(await mine.events("run")) == b"1\n2"
    assert await texts(mine, "t") == ["one", "two"]


CHECKS: Final[tuple[Check, ...]] = (
    events_come_back_in_order,
    one_process_writes_to_a_run,
    what_goes_along_is_stored_with_the_events,
    a_lease_is_worth_nothing_in_another_scope,
)
