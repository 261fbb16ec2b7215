"""What is posted into a run's inbox is applied once, whatever becomes of its owner, and looking for it costs next to nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from lumosai import Agent, Message, Scope, tool
from lumosai.agent import inbox, live
from lumosai.errors import InvalidInputError, LeaseLostError
from lumosai.events import ApprovalResolved, InputReceived, RunCancelled, TextDelta
from lumosai.storage import Storage
from lumosai.storage import _inbox as rows
from lumosai.storage._op import Query
from lumosai.storage._system import SystemHandle
from lumosai.storage.base import InboxItem
from lumosai.testing import Answer, ScriptedModel, call
from tests.agent.helpers import of
from tests.agent.test_resume import events_of


@tool(approval=True)
def pay(amount: int) -> str:
    """Pays."""
    return f"paid {amount}"


async def paused(storage: Storage, *answers: Any) -> tuple[Agent, Any, Any]:
    """A run that waits for an approval, at work nowhere; its agent, its result and itself."""
    agent = Agent("a", model=ScriptedModel([call("pay", amount=1), *answers]), tools=[pay], storage=storage)
    result = await agent.generate("Pay.")
    return agent, result, await agent.connect(result.run_id)


async def test_a_row_that_is_seen_again_is_applied_once(storage: Storage) -> None:
    """Where a row was applied and is there all the same, as of a restored backup, nothing more comes of it."""
    agent, result, other = await paused(storage, "Done.")
    handle = storage.scope(Scope())
    two = [Message.user("one", id="m1"), Message.user("two", id="m2")]
    item = inbox.sending(two)
    await handle.post(result.run_id, item)
    async with agent.resume(result.run_id) as run:
        while not run._loop.inbox:
            await asyncio.sleep(0.01)
        await run.leave()
    await other.send("three")
    async with agent.resume(result.run_id) as run:
        run.deny(result.pending[0].id)
        final = await run.result()
        run._loop.journal.inbox.take([item])
    assert run._loop.inbox == []
    stored = await events_of(storage, result.run_id)
    assert [e.message.text for e in of(stored, InputReceived)] == ["one", "two", "three"]
    assert final.text == "Done."


async def test_a_row_half_applied_is_gone_on_with(storage: Storage) -> None:
    """Its owner died between two of its messages: the first is there, the second is taken in, once."""
    agent, result, _ = await paused(storage, "Done.")
    handle = storage.scope(Scope())
    first, second = Message.user("one", id="m1"), Message.user("two", id="m2")
    await handle.post(result.run_id, inbox.sending([first]))
    events = await events_of(storage, result.run_id)
    both = inbox.sending([first, second])
    loop = agent.loop_of("x", {}, interactive=True)
    loop.state.past = type("Past", (), {"events": [*events, _received(events[0], first)]})()
    mine = inbox.Inbox(loop.state, loop.inbox, loop.stop)
    mine.take([both])
    assert loop.inbox == [second]
    assert mine.taken([_received(events[0], first)]) == ()
    assert mine.taken([_received(events[0], second)]) == (both.id,)


def _received(header: Any, message: Message) -> InputReceived:
    values = {
        f: getattr(header, f)
        for f in ("run_id", "root_id", "parent_run_id", "seq", "at", "span_id", "parent_span_id", "agent")
    }
    return InputReceived(**values, message=message)


async def test_a_decision_is_applied_once(storage: Storage) -> None:
    """Two who decide, and a row that comes again: the first decision stands, and is there once."""
    agent, result, other = await paused(storage, "Done.")
    call_id = result.pending[0].id
    await other.approve(call_id, by="ann")
    await other.deny(call_id, "no", by="bob")
    async with agent.resume(result.run_id) as run:
        await run.result()
    (resolved,) = of(await events_of(storage, result.run_id), ApprovalResolved)
    assert (resolved.decision, resolved.by) == ("granted", "ann")
    assert await storage.read(_count) == 0


async def test_an_approval_of_other_arguments_is_worth_nothing(storage: Storage) -> None:
    """What was approved is what was shown: a decision with another hash lets nothing run."""
    agent, result, _ = await paused(storage, "Done.")
    forged = inbox.deciding(inbox.Decision(result.pending[0].id, "0" * 64, "eve"), granted=True)
    await storage.scope(Scope()).post(result.run_id, forged)
    async with agent.resume(result.run_id) as run:
        reader = run.subscribe()
        async for event in reader:
            if type(event).__struct_config__.tag == "run_paused" and event.seq > 8:
                break
        run.deny(result.pending[0].id)
        await run.result()
    assert [e.decision for e in of(await events_of(storage, result.run_id), ApprovalResolved)] == ["denied"]


async def test_a_cancel_outlives_the_owner(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose owner holds it and never looks is cancelled by whoever takes it up, before it does anything."""
    monkeypatch.setattr(live, "find", lambda *_: None)
    agent = Agent(
        "a", model=ScriptedModel([Answer(deltas=["a", "b"], gate=asyncio.Event(), gate_at=1)]), storage=storage
    )
    async with agent.stream("Go.") as run:
        async for event in run:
            if isinstance(event, TextDelta):
                break
        run._loop.journal._tenure.lookout.disown(run.id)
        other = await agent.connect(run.id)
        await other.cancel("enough")
        assert (await other.record()).status == "running"
        await storage.write(_left)
        async with agent.resume(run.id) as again:
            result = await again.result()
        with pytest.raises(LeaseLostError):
            run._loop.journal._tenure.renew()
            await run.result()
    assert (result.finish_reason, result.text) == ("cancelled", "a")
    stored = await events_of(storage, run.id)
    assert (type(stored[-1]), stored[-1].reason) == (RunCancelled, "enough")


def _left() -> Any:
    yield Query("UPDATE runs SET lease = ''")


def _count() -> Any:
    return (yield Query("SELECT count(*) FROM inbox"))[0][0]


async def test_a_row_that_cannot_be_read_holds_nobody_up(storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged one, or one of a later version, is told of and passed by; the run goes on and ends."""
    agent, result, other = await paused(storage, "Done.")
    handle = storage.scope(Scope())
    for number, kind in enumerate(["cancel", "deny", "later", "approve"]):
        await handle.post(result.run_id, InboxItem(f"bad{number}", kind, b"\xff{"))
    await other.approve(result.pending[0].id)
    async with agent.resume(result.run_id) as run:
        assert (await run.result()).text == "Done."
    assert caplog.text.count("cannot be read") == 3


async def test_a_full_inbox_is_said_to_be(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody fills a database with what waits for a run that nobody goes on with."""
    monkeypatch.setattr(rows, "MOST", 2)
    _, _, other = await paused(storage)
    await other.send("1")
    await other.send("2")
    with pytest.raises(InvalidInputError, match="full"):
        await other.send("3")


async def test_a_hundred_runs_are_looked_for_together(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many runs are at work in a process, their inboxes are read together, a few times a second, and quickly."""
    looks = 0
    plain: Callable[..., Any] = SystemHandle.inbox

    async def counted(self: SystemHandle, leases: Any) -> Any:
        nonlocal looks
        looks += 1
        return await plain(self, leases)

    monkeypatch.setattr(SystemHandle, "inbox", counted)
    gate = asyncio.Event()
    model = ScriptedModel(lambda request: Answer(deltas=["a", "b"], gate=gate, gate_at=1))
    agent = Agent("a", model=model, storage=storage)
    runs = [agent.stream("Go.") for _ in range(100)]
    for run in runs:
        await run.__aenter__()
        run.detach()
    for run in runs:
        async for event in run:
            if isinstance(event, TextDelta):
                break
    looks, began = 0, time.monotonic()
    await storage.scope(Scope()).post(runs[-1].id, inbox.sending([Message.user("x", id="x")]))
    while not runs[-1]._loop.inbox:
        await asyncio.sleep(0.005)
        assert time.monotonic() - began < 30
    assert looks <= 2 + (time.monotonic() - began) / 0.1
    gate.set()
    results = [await run.result() for run in runs]
    assert [len(r.messages) for r in results] == [1] * 99 + [3]
