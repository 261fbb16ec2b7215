"""What a run carries over into the next process: its budgets, its time, its decisions, its scope, its pauses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from lumosai import Agent, Limits, Memory, Message, Scope, ToolContext, tool
from lumosai.errors import ConfigurationError, NotFoundError, ToolError, ToolFailuresError
from lumosai.events import ApprovalRequested, BudgetWarning, RunPaused, RunStarted, from_json, to_json
from lumosai.messages import ToolCallPart
from lumosai.storage import SqliteStorage
from lumosai.storage.base import Batch, RunRecord
from lumosai.testing import Call, ScriptedModel, call
from tests.agent.helpers import kinds, of
from tests.agent.test_resume import cut, events_of, results


@pytest.fixture
async def storage() -> AsyncIterator[SqliteStorage]:
    async with SqliteStorage("sqlite://") as made:
        yield made


async def shown(agent: Agent, **options: Any) -> tuple[str, list]:
    """A run's id and events."""
    async with agent.stream("Go.", **options) as run:
        return run.id, [e async for e in run]


async def test_a_call_that_is_made_again_is_booked_once(storage: SqliteStorage) -> None:
    """However often a run is cut in the midst of a call, the call takes one place of `max_tool_calls`."""

    @tool
    def look(context: ToolContext) -> str:
        """Looks."""
        return "seen"

    model = ScriptedModel(lambda r: "Done." if results(r) else [Call("look", {}, "a"), Call("look", {}, "b")])
    agent = Agent("a", model=model, tools=[look], limits=Limits(max_tool_calls=2), storage=storage)
    run_id, events = await shown(agent)
    left = await cut(storage, run_id, max(i for i, k in enumerate(kinds(events), 1) if k == "tool_call_start"))
    for _ in range(3):  # three more processes begin the call and end in its midst
        begun = [e async for e in _resumed(agent.replace(storage=left), run_id)]
        new = [e for e in begun if e.seq > (await left.scope(Scope()).run(run_id)).last - len(begun)]
        again = max(i for i, e in enumerate(new, 1) if kinds([e]) == ["tool_call_start"])
        left = await cut(left, run_id, again)
    async with agent.replace(storage=left).resume(run_id) as run:
        result = await run.result()
    assert result.finish_reason == "stop"
    assert not any(r.is_error for s in result.steps for r in s.tool_results)


async def _resumed(agent: Agent, run_id: str) -> AsyncIterator:
    async with agent.resume(run_id) as run:
        async for event in run:
            yield event


async def test_time_that_was_used_is_used(storage: SqliteStorage) -> None:
    """A deadline holds for the time at work in all processes together; the time between them does not count."""

    @tool
    async def work() -> str:
        """Works."""
        await asyncio.sleep(30)
        return "never"

    agent = Agent("a", model=ScriptedModel(lambda r: call("work")), tools=[work], storage=storage)
    agent = agent.replace(limits=Limits(deadline_s=0.4))
    run_id, events = await shown(agent)
    begun = kinds(events).index("tool_call_start") + 1
    aged = await cut(storage, run_id, begun)
    early = await aged.scope(Scope()).events(run_id)
    moved = [from_json(line) for batch in early for line in batch.split(b"\n")]
    moved[-1] = replace(moved[-1], at=moved[-1].at + 0.3)
    storage_of_another = SqliteStorage("sqlite://")
    handle = storage_of_another.scope(Scope())
    hashes = [h for e in moved for h in (*getattr(e, "prompt_hashes", ()), getattr(e, "tools_hash", None)) if h]
    contents = await aged.scope(Scope()).contents(hashes)
    batch = Batch(first=1, last=begun, data=b"\n".join(map(to_json, moved)), contents=contents)
    await handle.let_go(await handle.open_run(RunRecord(id=run_id, agent="a"), batch))
    began = asyncio.get_running_loop().time()
    async with agent.replace(storage=storage_of_another).resume(run_id) as run:
        result = await run.result()
    assert result.finish_reason == "deadline"
    assert asyncio.get_running_loop().time() - began < 0.35


async def test_a_limit_is_warned_of_once(storage: SqliteStorage) -> None:
    """Who takes a run up does not warn again of what was warned of."""

    @tool
    def look() -> str:
        """Looks."""
        return "seen"

    model = ScriptedModel(lambda r: "Done." if len(results(r)) > 1 else call("look"))
    agent = Agent("a", model=model, tools=[look], limits=Limits(max_tool_calls=1), storage=storage)
    run_id, events = await shown(agent)
    assert len(of(events, BudgetWarning)) == 1
    left = await cut(storage, run_id, kinds(events).index("budget_warning") + 1)
    async with agent.replace(storage=left).resume(run_id) as run:
        assert len(of([e async for e in run], BudgetWarning)) == 1


async def test_failures_are_counted_through(storage: SqliteStorage) -> None:
    """A run that was cut right behind the failure that ends it ends with it, and asks no model once more."""

    @tool
    def fail() -> str:
        """Fails."""
        raise ToolError("no")

    model = ScriptedModel(lambda r: call("fail"))
    agent = Agent("a", model=model, tools=[fail], storage=storage)
    async with agent.stream("Go.") as run:
        events = [e async for e in run]
        with pytest.raises(ToolFailuresError):
            await run.result()
    asked = len(model.requests)
    for at in range(kinds(events).index("tool_call_complete") + 1, len(events)):
        model.requests.clear()
        left = await cut(storage, run.id, at)
        async with agent.replace(storage=left).resume(run.id) as again:
            with pytest.raises(ToolFailuresError):
                await again.result()
        assert len(model.requests) == asked - kinds(events[:at]).count("model_call_complete")
        await left.close()


@pytest.mark.parametrize("interactive", [True, False])
async def test_a_sub_run_that_pauses_pauses_its_root(storage: SqliteStorage, interactive: bool) -> None:
    """A call of a sub-run's that may not be made twice pauses the whole run, which says which call and lets go of it."""
    paid: list[str] = []

    @tool(effect="once")
    def pay(amount: int) -> str:
        """Pays."""
        paid.append(str(amount))
        return "paid"

    inner = Agent("clerk", model=ScriptedModel(lambda r: "Paid." if results(r) else ["I pay. ", call("pay", amount=3)]))
    inner = inner.replace(tools=[pay])
    outer = Agent(
        "boss", model=ScriptedModel(lambda r: f"It says {results(r)[0]}" if results(r) else call("clerk", task="x"))
    )
    outer = outer.replace(tools=[inner.as_tool()], storage=storage)
    run_id, events = await shown(outer)
    starts = [i for i, e in enumerate(events, 1) if kinds([e]) == ["tool_call_start"]]
    left = await cut(storage, run_id, starts[1])
    outer = outer.replace(storage=left)
    for _ in range(2):
        async with outer.resume(run_id) as run:
            again = [e async for e in run]
            result = await run.result()
        assert (result.finish_reason, [c.name for c in result.pending]) == ("paused", ["pay"])
        last = of(again, RunPaused)[-1]
        assert (last.run_id, last.reason, [c.name for c in last.pending]) == (run_id, "unknown_effect", ["pay"])
        record = await left.scope(Scope()).run(run_id)
        assert record is not None
        assert (record.status, record.reason) == ("paused", "unknown_effect")
    assert paid == ["3"]


async def test_a_sub_runs_approval_is_given_in_another_process(storage: SqliteStorage) -> None:
    """`generate` pauses for a sub-run's call; who resumes the root is asked, and the call is made once."""
    made: list[str] = []

    @tool(approval=True, effect="once")
    def delete(path: str) -> str:
        """Deletes."""
        made.append(path)
        return "gone"

    inner = Agent("clerk", model=ScriptedModel(lambda r: "Deleted." if results(r) else call("delete", path="x")))
    inner = inner.replace(tools=[delete])
    outer = Agent(
        "boss", model=ScriptedModel(lambda r: f"It says {results(r)[0]}" if results(r) else call("clerk", task="x"))
    )
    outer = outer.replace(tools=[inner.as_tool()], storage=storage)
    paused = await outer.generate("Go.")
    assert (paused.finish_reason, [c.name for c in paused.pending]) == ("paused", ["delete"])
    seen = (await storage.scope(Scope()).run(paused.run_id)).last
    async with outer.resume(paused.run_id) as run:
        async for event in run:
            if type(event) is ApprovalRequested and event.seq > seen:
                run.approve(event.call.id)
        assert (await run.result()).text == "It says Deleted."
    assert made == ["x"]
    # Cut behind every event from the decision on: an approval that was given is not asked for again.
    events = await events_of(storage, run.id)
    given = kinds(events).index("approval_resolved") + 1
    for at in range(given, len(events)):
        made.clear()
        left = await cut(storage, run.id, at)
        async with outer.replace(storage=left).resume(run.id) as again:
            new = [e async for e in again if e.seq > at]
            result = await again.result()
        begun = "tool_call_start" in kinds(e for e in events[given:at])
        ended = any(kinds([e]) == ["tool_call_complete"] for e in events[given:at])
        assert bool(of(new, ApprovalRequested)) == (begun and not ended)  # whether it had its effect is not known
        if begun and not ended:
            assert (result.finish_reason, made) == ("paused", [])
        else:
            assert (result.text, made) == ("It says Deleted.", [] if ended else ["x"])
        await left.close()


async def test_a_denied_call_stays_denied(storage: SqliteStorage) -> None:
    """A decision against a call holds in the next process."""
    made: list[str] = []

    @tool(approval=True)
    def delete(path: str) -> str:
        """Deletes."""
        made.append(path)
        return "gone"

    model = ScriptedModel(lambda r: f"So: {results(r)[0]}" if results(r) else call("delete", path="x"))
    agent = Agent("janitor", model=model, tools=[delete], storage=storage)
    async with agent.stream("Go.") as run:
        events = []
        async for event in run:
            events.append(event)
            if type(event) is ApprovalRequested:
                run.deny(event.call.id, "not that one")
    for at in range(kinds(events).index("approval_resolved") + 1, len(events)):
        left = await cut(storage, run.id, at)
        async with agent.replace(storage=left).resume(run.id) as again:
            assert "not that one" in (await again.result()).text
        await left.close()
    assert made == []


async def test_a_run_is_resumed_in_its_own_scope(storage: SqliteStorage) -> None:
    """Whoever sees the whole tenant goes on with a user's run as that user's, on that user's thread."""
    agent = Agent("a", model=ScriptedModel(lambda r: "Done."), memory=Memory(storage))
    ann = Scope("default", "ann")
    async with agent.stream("Go.", thread_id="t", scope=ann) as run:
        events = [e async for e in run]
    handle = storage.scope(Scope())
    left = SqliteStorage("sqlite://")
    first = of(events, RunStarted)[0]
    hers = left.scope(ann)
    await hers.let_go(
        await hers.open_run(RunRecord(id=run.id, agent="a", thread_id="t"), Batch(first=1, last=1, data=to_json(first)))
    )
    assert (await handle.run(run.id)).owner == "ann"
    again = Agent("a", model=ScriptedModel(lambda r: "Done."), memory=Memory(left))
    with pytest.raises(NotFoundError):
        async with again.resume(run.id, scope=Scope("default", "bob")):
            pass
    async with again.resume(run.id) as resumed:
        assert (await resumed.result()).text == "Done."
    thread = await hers.thread("t")
    assert thread is not None
    assert (thread.owner, thread.message_count) == ("ann", 2)


async def test_an_answer_to_a_thread_as_it_is_stores_nothing_twice(storage: SqliteStorage) -> None:
    """A run without an input of its own, on a thread with a call that has no result, adds its answer and no more."""
    memory = Memory(storage)
    thread = await memory.create_thread("t")
    await thread.add_message(Message.user("First."))
    await thread.add_message(Message("assistant", (ToolCallPart("c0", "gone", {}),), "m1"))
    await thread.add_message(Message.user("And?"))

    @tool
    def look() -> str:
        """Looks."""
        return "seen"

    model = ScriptedModel(lambda r: "Done." if results(r) else call("look"))
    agent = Agent("a", model=model, tools=[look], memory=memory)
    async with agent.stream(None, thread_id="t") as run:
        events = [e async for e in run]
    expected = [m.message.role for m in (await thread.get_messages()).items]
    assert expected == ["user", "assistant", "user", "assistant", "tool", "assistant"]
    for at in range(1, len(events)):
        left = await cut(storage, run.id, at)
        theirs = left.scope(Scope())
        await theirs.create_thread("t")
        await theirs.add_messages("t", [m.message for m in (await thread.get_messages(limit=3)).items])
        async with agent.replace(memory=Memory(left), storage=left).resume(run.id) as again:
            assert (await again.result()).text == "Done."
        assert [m.message.role for m in (await theirs.messages("t")).items] == expected, at
        await left.close()


async def test_what_a_run_was_told_of_its_memory_holds(storage: SqliteStorage) -> None:
    """A run cut before its first request recalls as many messages as it was to."""
    agent = Agent("a", model=ScriptedModel(lambda r: "Done."), memory=Memory(storage))
    for text in ("One.", "Two.", "Three."):
        await agent.generate(text, thread_id="t")
    async with agent.stream("Go.", thread_id="t", memory_options={"last_messages": 2}) as run:
        [e async for e in run]
    started = (await events_of(storage, run.id))[0]
    assert started.memory_options == {"last_messages": 2}


async def test_a_run_is_cut_again_and_again(storage: SqliteStorage) -> None:
    """Each process adds one event, and dies; the run ends all the same."""

    @tool
    def look(n: int) -> str:
        """Looks."""
        return str(n)

    model = ScriptedModel(lambda r: "All seen." if len(results(r)) == 3 else call("look", n=len(results(r))))
    agent = Agent("a", model=model, tools=[look], storage=storage)
    run_id, events = await shown(agent)
    at, left = 1, await cut(storage, run_id, 1)
    for _ in range(80):
        async with agent.replace(storage=left).resume(run_id) as run:
            events = [e async for e in run]
            result = await run.result()
        assert result.text == "All seen."
        if len(events) == at + 1:
            break
        at += 2 if len(events) > at + 2 else 1
        left = await cut(left, run_id, at)
    assert at > 20


async def test_a_type_that_the_agent_does_not_have_is_asked_for(storage: SqliteStorage) -> None:
    """A run that was to give a type gives it in the next process, or says what is missing."""
    agent = Agent("a", model=ScriptedModel(lambda r: "[1, 2]"), storage=storage)
    run_id, events = await shown(agent, output_type=list[int])
    left = await cut(storage, run_id, len(events) - 3)
    agent = agent.replace(storage=left)
    with pytest.raises(ConfigurationError, match="output_type"):
        async with agent.resume(run_id):
            pass
    async with agent.resume(run_id, output_type=list[int]) as run:
        assert (await run.result()).output == [1, 2]
