"""A run is read, steered, answered and stopped from elsewhere as by who holds it, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from lumosai import Agent, Cursor, Lumosai, Memory, Message, Scope, tool
from lumosai.agent import live
from lumosai.errors import CursorError, InvalidInputError, NotFoundError, RunError
from lumosai.events import (
    TERMINAL,
    ApprovalRequested,
    ApprovalResolved,
    Error,
    Event,
    InputReceived,
    ModelCallStarted,
    RunCancelled,
    RunResumed,
    TextDelta,
    ToolCallComplete,
    fold,
    to_json,
)
from lumosai.storage import Storage
from lumosai.storage.base import Batch
from lumosai.testing import Answer, ScriptedModel, call
from tests.agent.helpers import add, kinds, of
from tests.agent.test_journal import _taken_back
from tests.agent.test_resume import events_of


@pytest.fixture(params=["here", "elsewhere"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether a run in this event loop is joined directly, or by way of the storage as from another process."""
    if request.param == "elsewhere":
        monkeypatch.setattr(live, "find", lambda *_: None)
    return request.param


def gated(storage: Storage, *deltas: str, at: int = 1, more: tuple[Any, ...] = (), **settings: Any) -> Any:
    """An agent whose first answer stops behind some deltas until the gate is opened."""
    gate = asyncio.Event()
    model = ScriptedModel([Answer(deltas=list(deltas), gate=gate, gate_at=at), *more])
    settings.setdefault("storage", storage)
    return Agent("a", model=model, **settings), gate


async def until(events: AsyncIterator[Event], kind: type) -> list[Event]:
    """The events up to one of a kind."""
    found = []
    async for event in events:
        found.append(event)
        if type(event) is kind:
            break
    return found


async def connected(agent: Agent, run: Any) -> Any:
    """The run as others see it; from elsewhere, once its first events are kept."""
    while live.find(agent.storage, run.id) is None and not run._log.visible:
        await asyncio.sleep(0)
    return await agent.connect(run.id)


def plain(events: list[Event]) -> list[bytes]:
    """Events as they are stored."""
    return [to_json(e) for e in events]


async def test_a_live_run_is_read_from_anywhere(storage: Storage, where: str) -> None:
    """Every reader sees the one history, while it goes on and afterwards, whatever its place was cut at."""
    agent, gate = gated(storage, "one ", "two ", "three", at=2)
    async with agent.stream("Go.") as run:
        mine = asyncio.create_task(_all(run))
        other = await connected(agent, run)
        reader = other.subscribe()
        first = await until(reader, TextDelta)
        assert str(reader.cursor) == f"1.{first[-1].seq}"
        waiting = asyncio.create_task(other.result())
        gate.set()
        rest = [e async for e in reader]
        await mine
    stored = plain(await events_of(storage, run.id))
    assert plain(first + rest) == stored
    assert (await waiting).text == "one two three"
    assert other.id == run.id
    assert [t async for t in other.text()] == ["one ", "two ", "three"]
    for cut in range(len(stored) + 1):
        assert plain([e async for e in other.subscribe(f"1.{cut}" if cut else None or Cursor())]) == stored[cut:]
        assert plain([e async for e in other.subscribe(cut)]) == stored[cut:]


async def _all(run: Any) -> list[Event]:
    return [e async for e in run]


async def test_a_cursor_beyond_the_history_is_refused(storage: Storage) -> None:
    """The error names the last good one; what is no cursor is said to be none."""
    agent = Agent("a", model=ScriptedModel(["Hello."]), storage=storage)
    result = await agent.generate("Hi.")
    run = await agent.connect(result.run_id)
    last = (await run.record()).last
    for bad in (f"1.{last + 1}", "2.3", "1.999999999999999999", last + 1):
        with pytest.raises(CursorError, match="last good one") as caught:
            await anext(run.subscribe(bad))
        good = Cursor.parse(caught.value.last)
        assert good in (Cursor(1, last), Cursor())
    for none in ("", "1", "1.", ".1", "1.2.3", "-1.2", "a.b", "1.٣", "1.9999999999999999999", "x" * 999):
        with pytest.raises(InvalidInputError, match="no cursor"):
            run.subscribe(none)
    assert await anext(run.subscribe(f"1.{last}"), None) is None
    for scope in (Scope("two"), Scope("default", "ann")):
        with pytest.raises(NotFoundError):
            await agent.connect(result.run_id, scope=scope)
    with pytest.raises(NotFoundError, match="journal=False"):
        await agent.connect("none")


async def test_messages_are_sent_from_anywhere(storage: Storage, where: str) -> None:
    """A message that is sent from elsewhere joins the run once, and is answered by it; then its row is gone."""
    agent, gate = gated(storage, "one", more=("two",))
    async with agent.stream("Go.") as run:
        await until(aiter(run), ModelCallStarted)
        other = await agent.connect(run.id)
        await other.send("And?")
        with pytest.raises(InvalidInputError, match="user's"):
            await other.send(Message.assistant("no"))
        await _seen(run, 1)
        gate.set()
        result = await run.result()
    assert [m.text for m in result.messages] == ["one", "And?", "two"]
    assert len(of(await events_of(storage, run.id), InputReceived)) == 1
    with pytest.raises(InvalidInputError, match="has ended"):
        await other.send("More?")
    await other.cancel()


async def _seen(run: Any, count: int) -> None:
    """Waits until the owner has looked into its inbox."""
    async with asyncio.timeout(30):
        while len(run._loop.inbox) < count:
            await asyncio.sleep(0.01)


async def test_a_message_that_comes_while_the_run_ends_is_answered(storage: Storage) -> None:
    """Its end is taken back, which nobody has seen, and the run answers, as often as that happens."""
    agent, gate = gated(storage, "one", memory=Memory(storage), more=("two", "three"))
    async with agent.stream("Go.", thread_id="t") as run:
        await until(aiter(run), TextDelta)
        sent = _sends_at_each_end(run, await agent.connect(run.id), ["Wait!", "And then?"])
        gate.set()
        result = await run.result()
    assert sent == []
    assert [m.text for m in result.messages] == ["one", "Wait!", "two", "And then?", "three"]
    assert (result.finish_reason, len(result.steps)) == ("stop", 3)
    await _all_agree(storage, agent, run, result)
    page = await storage.scope(Scope()).messages("t")
    assert [m.message.text for m in page.items] == ["Go.", *[m.text for m in result.messages]]
    assert (await storage.scope(Scope()).look_at_turn("t")).ahead == ""


def _sends_at_each_end(run: Any, other: Any, messages: list[str]) -> list[str]:
    """Sends them, one in the moment in which the run ends, one when it ends again; those that are still to come."""
    storing = run._loop.journal._storing
    put = storing.put

    async def putting(events: list[Event], along: Any, **how: Any) -> None:
        if messages and isinstance(events[-1], TERMINAL):
            await other.send(messages.pop(0))
        await put(events, along, **how)

    storing.put = putting
    return messages


async def _all_agree(storage: Storage, agent: Agent, run: Any, result: Any) -> None:
    """What is stored is whole, and folds into the result."""
    stored = await events_of(storage, run.id)
    assert [e for e in stored if isinstance(e, TERMINAL)] == [stored[-1]]
    assert [e.seq for e in stored] == list(range(1, len(stored) + 1))
    assert fold(stored).messages == result.messages
    assert stored[-1].result.message_ids == tuple(m.id for m in result.messages)
    assert result == await (await agent.connect(run.id)).result()


async def test_a_message_that_comes_while_the_thread_of_a_run_is_deleted(storage: Storage) -> None:
    """The run ends for want of its thread, whatever else comes in that moment; the message is the last it has."""
    agent, gate = gated(storage, "one", memory=Memory(storage), more=("two",))
    async with agent.stream("Go.", thread_id="t") as run:
        await until(aiter(run), TextDelta)
        other, storing, ends = await agent.connect(run.id), run._loop.journal._storing, []
        put = storing.put

        async def putting(events: list[Event], along: Any, **how: Any) -> None:
            if isinstance(events[-1], TERMINAL):
                ends.append(type(events[-1]))
                if len(ends) == 1:
                    await agent.memory.delete_thread("t")
                elif len(ends) == 2:
                    await other.send("Wait!")
            await put(events, along, **how)

        storing.put = putting
        gate.set()
        with pytest.raises(NotFoundError):
            await run.result()
    stored = await events_of(storage, run.id)
    assert [e for e in stored if isinstance(e, TERMINAL)] == [stored[-1]]
    assert type(stored[-1]) is Error


async def test_a_message_that_comes_while_a_stopped_run_ends_is_kept(storage: Storage) -> None:
    """Nothing answers it there: it is the last of the run's messages, and in the thread for the next turn."""
    agent, _ = gated(storage, "one", "two", memory=Memory(storage), more=("never",))
    async with agent.stream("Go.", thread_id="t") as run:
        await until(aiter(run), TextDelta)
        _sends_at_each_end(run, await agent.connect(run.id), ["Wait!"])
        run.cancel("enough")
        result = await run.result()
    assert [m.text for m in result.messages] == ["one", "Wait!"]
    assert result.finish_reason == "cancelled"
    await _all_agree(storage, agent, run, result)
    page = await storage.scope(Scope()).messages("t")
    assert [m.message.text for m in page.items] == ["Go.", "one", "Wait!"]


async def test_a_run_that_is_stopped_while_it_ends_answers_nothing_more(storage: Storage) -> None:
    """It has its answer, and a message that came late is its last one; nobody is asked again."""
    agent, gate = gated(storage, "one", more=("never",))
    async with agent.stream("Go.") as run:
        await until(aiter(run), TextDelta)
        other, storing = await agent.connect(run.id), run._loop.journal._storing
        put = storing.put

        async def putting(events: list[Event], along: Any, **how: Any) -> None:
            if isinstance(events[-1], TERMINAL) and not run._loop.unwanted:
                await other.send("Wait!")
                run.cancel("enough")
            await put(events, along, **how)

        storing.put = putting
        gate.set()
        result = await run.result()
    assert ([m.text for m in result.messages], result.finish_reason) == (["one", "Wait!"], "stop")
    await _all_agree(storage, agent, run, result)


async def test_the_answer_to_a_late_message_may_ask_for_an_approval(storage: Storage) -> None:
    """As an answer in time would: the run waits, and goes on from there."""

    @tool(approval=True)
    def pay(amount: int) -> str:
        """Pays."""
        return f"paid {amount}"

    agent, gate = gated(storage, "one", more=(call("pay", amount=3), "Paid."), tools=[pay], memory=Memory(storage))
    async with agent.stream("Go.", thread_id="t") as run:
        await until(aiter(run), TextDelta)
        _sends_at_each_end(run, await agent.connect(run.id), ["Pay!"])
        gate.set()
        async for event in run.subscribe():
            if type(event) is ApprovalRequested:
                run.approve(event.call.id)
        result = await run.result()
    assert (result.text, result.finish_reason) == ("Paid.", "stop")
    await _all_agree(storage, agent, run, result)


async def test_a_run_is_cancelled_from_anywhere(storage: Storage, where: str) -> None:
    """It ends as if its holder had, with the reason, and what it said is kept."""
    agent, _ = gated(storage, "one ", "two", at=1)
    async with agent.stream("Go.") as run:
        await until(aiter(run), TextDelta)
        other = await agent.connect(run.id)
        await other.cancel("enough")
        result = await run.result()
    assert (result.finish_reason, result.text) == ("cancelled", "one ")
    last = (await events_of(storage, run.id))[-1]
    assert (type(last), last.reason) == (RunCancelled, "enough")
    assert (await other.result()).finish_reason == "cancelled"
    await other.cancel("again")


async def test_calls_are_decided_about_from_anywhere(storage: Storage, where: str) -> None:
    """A waiting call is let run, or refused, exactly as it was shown; who comes second changes nothing."""

    @tool(approval=True)
    def pay(amount: int) -> str:
        """Pays."""
        return f"paid {amount}"

    model = ScriptedModel([call("pay", amount=1), call("pay", amount=2), "Done."])
    agent = Agent("a", model=model, tools=[pay], storage=storage)
    async with agent.stream("Pay.") as run:
        other = await connected(agent, run)
        reader = other.subscribe()
        (asked,) = of(await until(reader, ApprovalRequested), ApprovalRequested)
        with pytest.raises(InvalidInputError, match="waiting: " + asked.call.id):
            await other.approve("none")
        await other.approve(asked.call.id, by="ann")
        (asked,) = of(await until(reader, ApprovalRequested), ApprovalRequested)
        await other.deny(asked.call.id, "too much")
        rest = [e async for e in reader]
        result = await run.result()
    await other.approve(asked.call.id)
    (denied,) = of(rest, ApprovalResolved)
    assert (denied.decision, denied.reason) == ("denied", "too much")
    stored = await events_of(storage, run.id)
    assert [(e.decision, e.by) for e in of(stored, ApprovalResolved)] == [("granted", "ann"), ("denied", "")]
    assert of(stored, ToolCallComplete)[0].result.text == "paid 1"
    assert result.text == "Done."


async def test_a_paused_run_keeps_what_is_asked_of_it(storage: Storage) -> None:
    """An approval and a message that were posted while nobody was at work are applied by whoever goes on."""

    @tool(approval=True)
    def pay(amount: int) -> str:
        """Pays."""
        return f"paid {amount}"

    model = ScriptedModel([call("pay", amount=1), "Yes, paid."])
    agent = Agent("a", model=model, tools=[pay], storage=storage)
    paused = await agent.generate("Pay.")
    assert paused.finish_reason == "paused"
    other = await agent.connect(paused.run_id)
    assert (await other.result()).pending == paused.pending
    reading = asyncio.create_task(_all(other))
    await other.approve(paused.pending[0].id, by="ann")
    await other.send("Really?")
    async with agent.resume(paused.run_id) as run:
        result = await run.result()
    assert [m.text for m in result.messages][-2:] == ["Really?", "Yes, paid."]
    stored = await events_of(storage, paused.run_id)
    assert [e.by for e in of(stored, ApprovalResolved)] == ["ann"]
    assert plain(await reading) == plain(stored)
    cursor = str((reader := other.subscribe("1.2")).cursor)
    assert cursor == "1.2"
    epochs = [str(reader.cursor) async for _ in reader]
    assert {c.partition(".")[0] for c in epochs} == {"1", "2"}


async def test_every_cursor_that_was_given_is_good(storage: Storage) -> None:
    """Also where the run was taken up: each leads to exactly the rest, and the same number of another epoch to none."""
    agent, _ = gated(storage, "one ", "two", at=1, more=("again ",))
    async with agent.stream("Go.") as run:
        await until(aiter(run), TextDelta)
        other = await agent.connect(run.id)
        await run.leave()
    async with agent.resume(run.id) as again:
        await again.result()
    reader = other.subscribe()
    given = [(str(reader.cursor), event) async for event in reader]
    assert [event.seq for _, event in given] == list(range(1, len(given) + 1))
    assert {cursor.partition(".")[0] for cursor, _ in given} == {"1", "2"}
    for number, (cursor, event) in enumerate(given, 1):
        assert plain([e async for e in other.subscribe(cursor)]) == plain([e for _, e in given[number:]])
        epoch = 3 - int(cursor.partition(".")[0])
        with pytest.raises(CursorError):
            await anext(other.subscribe(f"{epoch}.{event.seq}"))


async def test_a_reader_is_told_of_events_that_a_database_lost(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had read is not there any more, and another process went on from before: it reads on from the last good place."""
    monkeypatch.setattr(live, "find", lambda *_: None)
    agent, _ = gated(storage, *"abcdef", at=5)
    async with agent.stream("Go.") as run:
        other = await connected(agent, run)
        reader = other.subscribe()
        while reader.cursor.seq < 8:
            await anext(reader)
        run._loop.journal._tenure.lookout.disown(run.id)
        await storage.write(partial(_taken_back, run.id, to=6))
        handle = storage.scope(Scope())
        kept = (await handle.run(run.id)).last
        await handle.let_go(run._loop.journal.lease)
        _, lease = await handle.take_run(run.id)
        resumed = replace(reader_event(run), seq=kept + 1)
        await handle.append_events(lease, Batch(first=kept + 1, last=kept + 1, data=to_json(resumed)))
        with pytest.raises(CursorError, match="lost") as caught:
            async for _ in reader:
                pass
        assert caught.value.last == f"1.{kept}"
        go_on = other.subscribe(caught.value.last)
        assert ((await anext(go_on)).seq, str(go_on.cursor)) == (kept + 1, f"2.{kept + 1}")


def reader_event(run: Any) -> Event:
    """A run_resumed of a run."""
    started = run._log.visible[0]
    header = [getattr(started, f) for f in Event.__struct_fields__]
    return RunResumed(*header, 2)


async def test_a_run_at_work_nowhere_is_cancelled_without_its_agent(storage: Storage) -> None:
    """A paused run ends where it is cancelled: its calls end, its thread holds what it said, its reader sees the end."""

    @tool(approval=True)
    def pay(amount: int) -> str:
        """Pays."""
        return f"paid {amount}"

    model = ScriptedModel([["Let me pay. ", call("pay", amount=1)]])
    agent = Agent("a", model=model, tools=[pay], memory=Memory(storage))
    paused = await agent.generate("Pay.", thread_id="t")
    other = await Agent("another", model=ScriptedModel([]), memory=Memory(storage)).connect(paused.run_id)
    await other.send("Never mind.")
    await other.cancel("no money")
    result = await other.result()
    assert (result.finish_reason, result.text) == ("cancelled", "Let me pay. ")
    stored = await events_of(storage, paused.run_id)
    assert kinds(stored)[-4:] == ["tool_call_complete", "input_received", "memory_saved", "run_cancelled"]
    page = await storage.scope(Scope()).messages("t")
    assert [(m.message.role, m.message.text) for m in page.items] == [
        ("user", "Pay."),
        ("assistant", "Let me pay. "),
        ("tool", ""),
        ("user", "Never mind."),
    ]
    async with agent.resume(paused.run_id) as run:
        assert (await run.result()).finish_reason == "cancelled"


async def test_an_app_connects_to_any_of_its_runs(storage: Storage) -> None:
    """Whichever agent's it is; an error is raised as the run raised it."""
    one = Agent("one", model=ScriptedModel([RuntimeError("broken")]), storage=storage)
    two = Agent("two", model=ScriptedModel([call("add", a=1, b=2), "3"]), tools=[add], storage=storage)
    app = Lumosai([one, two], take_up=False)
    with pytest.raises(RunError) as caught:
        await one.generate("Go.")
    failed = await app.connect(caught.value.result.run_id)
    with pytest.raises(RunError, match="broken"):
        await failed.result()
    with pytest.raises(RunError, match="broken"):
        assert [t async for t in failed.text()] == []
    result = await two.generate("1+2")
    assert await (await app.connect(result.run_id)).result() == result
    with pytest.raises(NotFoundError):
        await app.connect("none")
    assert isinstance([e async for e in failed][-1], TERMINAL)


async def test_a_typed_output_is_typed_wherever_it_is_read(storage: Storage) -> None:
    """Of a run that has ended, too: by who connects to it, and by who resumes it; as JSON where the type is another now."""
    agent = Agent("a", model=ScriptedModel(["[1, 2]"]), storage=storage, output_type=tuple[int, ...])
    result = await agent.generate("Count.")
    assert result.output == (1, 2)
    other = agent.replace(output_type=dict[str, str])
    for by, output in ((agent, (1, 2)), (other, [1, 2])):
        assert (await (await by.connect(result.run_id)).result()).output == output
        async with by.resume(result.run_id) as run:
            assert (await run.result()).output == output
