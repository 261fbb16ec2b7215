"""A call that may be made once only, and of which nobody knows whether it was: somebody says what is to be done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lumosai import Agent, Scope, ToolContext, tool
from lumosai.agent.adopt import Adopter
from lumosai.errors import InvalidInputError, StorageUnavailableError
from lumosai.events import ApprovalRequested, ApprovalResolved, RunPaused, ToolCallComplete
from lumosai.storage import SqliteStorage
from lumosai.testing import ScriptedModel, call
from tests.agent.helpers import kinds, of
from tests.agent.test_resume import cut, events_of, results


@pytest.fixture
async def storage() -> AsyncIterator[SqliteStorage]:
    async with SqliteStorage("sqlite://") as made:
        yield made


class Office:
    """An agent that books and pays in one answer, and whoever is outside.

    Attributes:
        made: idempotency keys of the payments.
    """

    def __init__(self, *, approval: bool = False) -> None:
        self.made: list[str] = []
        self.told: list[str] = []

        @tool(effect="once", approval=approval)
        def pay(amount: int, context: ToolContext) -> str:
            """Pays."""
            self.made.append(context.idempotency_key.partition(":")[2])
            return f"paid {amount}"

        @tool
        def book(what: str) -> str:
            """Books."""
            return f"{what} is booked"

        def answer(request: Any) -> Any:
            self.told = results(request)
            if self.told:
                return "Done."
            return [call("book", what="a room"), call("pay", amount=3), call("pay", amount=4)]

        self.agent = Agent("clerk", model=ScriptedModel(answer), tools=[pay, book])


async def crashed(office: Office, storage: SqliteStorage) -> tuple[str, SqliteStorage]:
    """A run whose process died when all three calls had begun and none had ended."""
    async with office.agent.replace(storage=storage).stream("Book and pay.") as run:
        async for event in run:
            if type(event) is ApprovalRequested:
                run.approve(event.call.id)
    events = await events_of(storage, run.id)
    left = await cut(storage, run.id, kinds(events).index("tool_call_complete"))
    office.made.clear()
    return run.id, left


@pytest.mark.parametrize("approval", [False, True])
async def test_each_call_is_made_again_or_given_up_as_somebody_says(storage: SqliteStorage, approval: bool) -> None:
    """The run names the calls and lets go; decided about in another process, it goes on, the model told what was given up."""
    office = Office(approval=approval)
    run_id, left = await crashed(office, storage)
    agent = office.agent.replace(storage=left)
    async with agent.resume(run_id) as run:
        seen = [e async for e in run]
        paused = await run.result()
        with pytest.raises(InvalidInputError, match="left this process: resume it"):
            run.approve(paused.pending[0].id)
    assert paused.finish_reason == "paused"
    assert office.made == []
    last = of(seen, RunPaused)[-1]
    assert last.reason == "unknown_effect"
    three, four = [c.id for c in last.pending]
    assert [e.call.id for e in of(seen, ApprovalRequested)][-2:] == [three, four]
    record = await left.scope(Scope()).run(run_id)
    assert record is not None
    assert (record.status, record.reason) == ("paused", "unknown_effect")
    async with agent.resume(run_id) as run:
        with pytest.raises(InvalidInputError, match="no call 'other'"):
            run.approve("other")
        run.approve(three, by="ann")
        run.deny(four, "The bank shows it, under number 17.")
        run.deny(four, "Too late.")
        result = await run.result()
    assert result.text == "Done."
    assert office.made == [f"0:{three}"]
    assert office.told[:2] == ["a room is booked", "paid 3"]
    assert office.told[2].startswith(
        "The process ended while this call was running, and whether it had its effect is not"
    )
    assert office.told[2].endswith("It was not made again. The bank shows it, under number 17.")
    stored = await events_of(left, run_id)
    given = of(stored, ApprovalResolved)[-2:]
    assert [(e.call_id, e.decision, e.by) for e in given] == [(three, "granted", "ann"), (four, "denied", "")]
    assert {e.call_id: e.error_type for e in of(stored, ToolCallComplete)}[four] == "denied"
    await left.close()


async def test_a_decision_outlives_the_next_crash_and_covers_one_time(storage: SqliteStorage) -> None:
    """Cut behind any event of the second process: what was decided is not asked again, unless the call began once more."""
    office = Office()
    run_id, left = await crashed(office, storage)
    before = len(await events_of(left, run_id))
    async with office.agent.replace(storage=left).resume(run_id) as run:
        pays = {c.id for c in run._loop.state.past.pending if c.name == "pay"}
        for call_id in pays:
            run.approve(call_id)
        assert (await run.result()).text == "Done."
    events = await events_of(left, run_id)
    for at in range(before + 1, len(events)):
        some = events[:at]
        office.made.clear()
        third = await cut(left, run_id, at)
        async with office.agent.replace(storage=third).resume(run_id) as run:
            new = [e async for e in run if e.seq > at]
            result = await run.result()
        decided = {e.call_id for e in of(some, ApprovalResolved)}
        ended = {e.call_id for e in of(some, ToolCallComplete)}
        again = {e.call.id for e in some[before:] if kinds([e]) == ["tool_call_start"]}
        pays = (
            {c.id for c in run._loop.state.past.answer.tool_calls if c.name == "pay"} if at < len(events) - 8 else None
        )
        asked = {e.call.id for e in of(new, ApprovalRequested)}
        if pays is not None:
            assert asked == pays - ended - (decided - again)
        assert (result.finish_reason == "paused") == bool(asked)
        if not asked:
            assert result.text == "Done."
        await third.close()
    await left.close()


async def test_it_is_decided_from_anywhere(storage: SqliteStorage) -> None:
    """Who holds nothing but the run's id says so; whoever goes on with the run then does as was said, sub-runs too."""
    office = Office()
    boss = Agent("boss", model=ScriptedModel(lambda r: "All done." if results(r) else call("clerk", task="x")))
    boss = boss.replace(tools=[office.agent.as_tool()])
    async with boss.replace(storage=storage).stream("Go.") as run:
        events = [e async for e in run]
    first = next(i for i, e in enumerate(events) if type(e) is ToolCallComplete and e.name != "clerk")
    left = await cut(storage, run.id, first)
    office.made.clear()
    boss = boss.replace(storage=left)
    async with boss.resume(run.id) as again:
        paused = await again.result()
    assert [c.name for c in paused.pending] == ["pay", "pay"]
    connected = await boss.connect(run.id)
    for pending in paused.pending:
        await connected.approve(pending.id)
    async with boss.resume(run.id) as again:
        assert (await again.result()).text == "All done."
    assert len(office.made) == 2
    await left.close()


async def test_an_application_goes_on_with_what_is_decided(
    storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paused runs are left alone until somebody has decided; then whoever is open goes on. A database away is no refusal."""
    office = Office()
    run_id, left = await crashed(office, storage)
    agent = office.agent.replace(storage=left)
    adopter = Adopter([agent], None)
    write, away = left.write, True

    async def perhaps(op: Any, *given: Any, **named: Any) -> Any:
        if away:
            raise StorageUnavailableError("away")
        return await write(op, *given, **named)

    monkeypatch.setattr(left, "write", perhaps)
    await adopter.once()
    away = False
    for expected in (1, 0):  # it is found again, says what is unknown, and is not found any more
        await adopter.once()
        assert len(adopter.runs) == expected
        await asyncio.gather(*[run.result() for run in adopter.runs.values()])
    assert office.made == []
    connected = await agent.connect(run_id)
    pending = (await connected.result()).pending
    for call_ in pending:
        await connected.approve(call_.id, by="ann")
    await adopter.once()
    (run,) = adopter.runs.values()
    assert (await run.result()).text == "Done."
    assert len(office.made) == 2
    await adopter.once()
    await adopter.close()
    await left.close()
