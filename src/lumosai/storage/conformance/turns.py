"""Turns: one run at a time is at work on a branch; the others wait in their order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from lumosai.errors import ConflictError, LeaseLostError, NotFoundError
from lumosai.messages import Message
from lumosai.records import Scope
from lumosai.storage.base import Batch, Place, RunRecord, ThreadRecord
from lumosai.storage.conformance._expect import refused, texts

if TYPE_CHECKING:
    from lumosai.storage.base import Begun, Foreseen, Handle, Storage, Write
    from lumosai.storage.conformance._expect import Check


async def one_run_at_a_time_has_the_turn(storage: Storage) -> None:
    """The first to begin has it; who waits stores nothing yet; when it is given back the next in order has it."""
    mine = storage.scope(Scope())
    assert await mine.look_at_turn("t") == Place()
    first = await _begin(mine, "one", wait=True)
    assert (first.place.ahead, first.earlier, first.place.key > 0) == ("", (), True)
    seen = await mine.look_at_turn("t")
    assert (seen.key, seen.ahead, seen.ahead_key, seen.here) == (0, "one", first.place.key, True)
    refused_one = await _begin(mine, "no", wait=False)
    assert (refused_one.place.key, refused_one.place.ahead) == (0, "one")
    second = await _begin(mine, "two", wait=True)
    third = await mine.take_turn("t", "three")
    assert second.place.ahead == third.ahead == "one"
    assert first.place.key < second.place.key < third.key
    assert (await _begin(mine, "two", wait=True)).place == second.place
    assert await texts(mine, "t") == ["one"]
    waiting = [second.place.key, third.key]
    assert await storage.system().free_turns(waiting) == frozenset()
    await storage.system().renew_turns([first.place.key, *waiting])
    await mine.leave_turn(first.place.key)
    assert await storage.system().free_turns(waiting) == {second.place.key}
    begun = await _begin(mine, "two", wait=True)
    assert ([m.message.text for m in begun.earlier], begun.place.ahead) == (["one"], "")
    await mine.leave_turn(third.key)
    assert await storage.system().free_turns([third.key]) == {third.key}
    await mine.leave_turn(second.place.key)
    assert await mine.look_at_turn("t") == Place()
    assert await texts(mine, "t") == ["one", "two"]


async def branches_have_turns_of_their_own(storage: Storage) -> None:
    """Another branch, another thread, another owner's thread of that name: nobody waits for them."""
    mine = storage.scope(Scope())
    await _begin(mine, "one", wait=True)
    await mine.add_messages("t", [Message.user("x", id="x")])
    branch = await mine.add_branch("t", "x")
    assert (await mine.take_turn("t", "two", branch=branch.number)).ahead == ""
    theirs = storage.scope(Scope("two", "ann"))
    assert (await _begin(theirs, "three", wait=True)).place.ahead == ""
    assert await mine.take_turn("none", "four") == Place()
    await refused(NotFoundError, mine.take_turn("t", "five", branch=9))
    assert (await mine.take_turn("t", "five")).ahead == "one"
    await mine.delete_thread("t")
    assert (await _begin(mine, "six", wait=True)).place.ahead == ""


async def a_run_gives_its_turn_back_with_its_end(storage: Storage) -> None:
    """The transaction that pauses or ends a run lets the next one in; what it keeps needs its place."""
    mine = storage.scope(Scope())
    place = (await _begin(mine, "run", wait=True)).place.key
    lease = await mine.open_run(RunRecord(id="run", thread_id="t"), Batch(first=1, last=1, data=b"1", place=place))
    behind = await mine.take_turn("t", "next")
    await mine.prepare_messages("t", [Message.user("a", id="a")], run_id="run", place=place)
    await mine.append_events(lease, Batch(first=2, last=2, data=b"2", place=place))
    assert await storage.system().free_turns([behind.key]) == frozenset()
    paused = Batch(first=3, last=3, data=b"3", place=place, status="paused", reason="approval")
    await mine.append_events(lease, paused)
    assert await storage.system().free_turns([behind.key]) == {behind.key}
    await refused(LeaseLostError, _awaited(mine, place))
    assert await texts(mine, "t") == ["run", "a"]


async def who_lets_go_of_a_run_leaves_its_turn_to_others(storage: Storage) -> None:
    """Its place is passed by, as that of a process that died, and whoever does so is told of the run."""
    mine = storage.scope(Scope())
    place = (await _begin(mine, "run", wait=True)).place.key
    lease = await mine.open_run(RunRecord(id="run", thread_id="t"), Batch(first=1, last=1, data=b"1", place=place))
    behind = await mine.take_turn("t", "next")
    await mine.let_go(lease)
    assert (await mine.look_at_turn("t")).passed == ("run",)
    await mine.add_messages("t", [Message.user("another", id="another")])
    page, left = await mine.messages_and_left("t", limit=1)
    assert (len(page.items), left) == (1, ())
    page, left = await mine.messages_and_left("t", limit=1, cursor=page.next_cursor)
    assert ([m.message.id for m in page.items], left) == (["another"], ("run",))
    assert await storage.system().free_turns([behind.key]) == {behind.key}
    taken = await mine.take_turn("t", "next")
    assert (taken.ahead, taken.passed) == ("", ("run",))
    await refused(LeaseLostError, _awaited(mine, place))


async def turns_taken_at_once_are_in_one_order(storage: Storage) -> None:
    """However many come at the same time, each is behind all before it, and all have their turn."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    names = [f"r{n}" for n in range(12)]
    places = await asyncio.gather(*[mine.take_turn("t", name) for name in names])
    assert len({p.key for p in places}) == len(names)
    order = sorted(p.key for p in places)
    first = next(p for p in places if p.key == order[0])
    assert first.ahead == ""
    assert all(p.ahead for p in places if p != first)
    for key in order:
        assert await storage.system().free_turns(order[order.index(key) :]) == {key}
        await mine.leave_turn(key)


async def a_turn_of_another_scope_is_out_of_reach(storage: Storage) -> None:
    """Nobody sees, takes or gives back a place on a thread that it may not see."""
    mine = storage.scope(Scope("one", "ann"))
    place = (await _begin(mine, "run", wait=True)).place.key
    for scope in (Scope("one", "bob"), Scope("two"), Scope()):
        other = storage.scope(scope)
        assert await other.look_at_turn("t") == Place()
        assert await other.take_turn("t", "x") == Place()
        await other.leave_turn(place)
    assert (await mine.look_at_turn("t")).ahead_key == place
    await storage.scope(Scope("one")).leave_turn(place)
    assert (await mine.look_at_turn("t")).ahead_key == 0


async def a_turn_begins_as_it_was_foreseen(storage: Storage) -> None:
    """On a thread that is not there and on one that is; the same call twice is once; where anything came between, never."""
    mine = storage.scope(Scope())
    thread = ThreadRecord(id="t", title="One", created_at=0.0, updated_at=0.0)
    none = await mine.foresee_turn("t")
    assert (none.place, none.thread, none.last, none.earlier) == (Place(), None, 0, ())

    def beginning(run_id: str, seen: Foreseen) -> Write[Begun]:
        return mine.prepare_turn(thread, [Message.user(run_id, id=run_id)], run_id=run_id, wait=True, seen=seen)

    first = await beginning("one", none)
    assert (first.place.ahead, first.place.key > 0, first.thread.title, first.earlier) == ("", True, "One", ())
    assert await beginning("one", none) == first._replace(thread=(await beginning("one", none)).thread)
    await refused(ConflictError, beginning("two", none))
    busy = await mine.foresee_turn("t")
    assert (busy.place.ahead, busy.last, [m.message.text for m in busy.earlier]) == ("one", 1, ["one"])
    await refused(ConflictError, beginning("two", busy))
    await mine.leave_turn(first.place.key)
    free = await mine.foresee_turn("t")
    assert (await mine.foresee_turn("t", last=0)).earlier == ()
    await mine.add_messages("t", [Message.user("between", id="between")])
    await refused(ConflictError, beginning("two", free))
    again = await mine.foresee_turn("t")
    second = await beginning("two", again)
    assert (second.place.ahead, second.branch, second.earlier) == ("", 0, again.earlier)
    await refused(ConflictError, beginning("three", again))
    assert await texts(mine, "t") == ["one", "between", "two"]
    found = await mine.thread("t")
    assert found is not None
    assert (found.message_count, found.title) == (3, "One")
    await refused(NotFoundError, mine.foresee_turn("t", branch=9))


async def _begin(handle: Handle, run_id: str, *, wait: bool) -> Begun:
    """A run begins on thread `t` with its own name as its message."""
    thread = ThreadRecord(id="t", created_at=0.0, updated_at=0.0)
    return await handle.begin_turn(thread, [Message.user(run_id, id=run_id)], run_id=run_id, wait=wait)


async def _awaited(handle: Handle, place: int) -> object:
    return await handle.prepare_messages("t", [Message.user("c", id="c")], run_id="run", place=place)


CHECKS: Final[tuple[Check, ...]] = (
    one_run_at_a_time_has_the_turn,
    branches_have_turns_of_their_own,
    a_run_gives_its_turn_back_with_its_end,
    who_lets_go_of_a_run_leaves_its_turn_to_others,
    turns_taken_at_once_are_in_one_order,
    a_turn_of_another_scope_is_out_of_reach,
    a_turn_begins_as_it_was_foreseen,
)
