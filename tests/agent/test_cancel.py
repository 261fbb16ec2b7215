"""Cancelling at any point: streams closed, tools stopped, partial text kept, exactly one last event."""

from __future__ import annotations

import asyncio
import threading

import pytest

from lumosai import ToolContext, tool
from lumosai.events import TERMINAL, ModelCallComplete, RunCancelled, TextDelta, ToolCallComplete, ToolCallStart, fold
from lumosai.testing import Answer, call
from tests.agent.helpers import kinds, of, scripted


async def test_cancelling_in_mid_answer_keeps_what_came() -> None:
    """The provider's stream is closed, the text so far is the result's, marked as interrupted."""
    agent, model = scripted([Answer(text="one two three four", gate=asyncio.Event(), gate_at=2)])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is TextDelta and event.delta == "two ":
                await run.cancel("user pressed stop")
        result = await run.result()
        events = [e async for e in run.subscribe()]
    assert result.finish_reason == "cancelled"
    assert result.text == "one two "
    assert result.messages[-1].metadata == {"interrupted": True}
    assert model.closed == 1
    assert isinstance(events[-1], RunCancelled)
    assert events[-1].reason == "user pressed stop"
    assert fold(events).text == "one two "
    assert of(events, ModelCallComplete)[-1].error_type == "cancelled"


async def test_cancelling_stops_async_and_sync_tools() -> None:
    """Each call that had begun gets exactly one end; a sync tool is told through its context."""
    told, started = threading.Event(), threading.Event()
    async_cancelled = asyncio.Event()

    @tool
    def sync_tool(context: ToolContext) -> str:
        """Wait in a thread."""
        started.set()
        if context.wait_cancelled(10):
            told.set()
        return "late"

    @tool
    async def async_tool() -> str:
        """Wait in the loop."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            async_cancelled.set()
            raise
        return ""

    agent, _ = scripted([[call("sync_tool"), call("async_tool")], "never"], tools=[sync_tool, async_tool])
    async with agent.stream("go") as run:
        begun = 0
        async for event in run:
            if type(event) is ToolCallStart:
                begun += 1
                if begun == 2:
                    while not started.is_set():
                        await asyncio.sleep(0.001)
                    run.cancel()
        result = await run.result()
        events = [e async for e in run.subscribe()]
    assert told.wait(5)
    assert async_cancelled.is_set()
    ends = of(events, ToolCallComplete)
    assert sorted(e.call_id for e in ends) == sorted(c.id for c in result.tool_calls)
    assert all(e.is_error for e in ends)
    assert result.finish_reason == "cancelled"
    assert [m.role for m in result.messages] == ["assistant", "tool"]


async def test_leaving_the_block_early_cancels_as_abandoned() -> None:
    """A caller that goes away stops the run, and nothing is left behind."""
    agent, model = scripted([Answer(text="a b c d", gate=asyncio.Event(), gate_at=1)])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is TextDelta:
                break
    result = await run.result()
    assert result.finish_reason == "abandoned"
    assert result.text == "a "
    assert model.closed == 1
    assert len(asyncio.all_tasks()) == 1


async def test_an_exception_in_the_block_cancels_and_passes() -> None:
    """The caller's own error is the one that is raised."""
    agent, _ = scripted([Answer(text="a b", gate=asyncio.Event(), gate_at=1)])
    with pytest.raises(KeyError):
        async with agent.stream("go") as run:
            raise KeyError("mine")
    assert (await run.result()).finish_reason == "abandoned"


async def test_a_detached_run_goes_on() -> None:
    """After `detach` the block can be left, and the result still comes."""
    gate = asyncio.Event()
    agent, _ = scripted([Answer(text="a b c", gate=gate, gate_at=1)])
    async with agent.stream("go") as run:
        run.detach()
    gate.set()
    assert (await run.result()).text == "a b c"


async def test_cancelling_generate_cancels_the_run() -> None:
    """Cancelling the caller's task closes the model's stream and raises CancelledError."""
    gate, seen = asyncio.Event(), []
    agent, model = scripted([Answer(text="a b", gate=gate, gate_at=1)], observers=[seen.append])
    task = asyncio.create_task(agent.generate("go"))
    while not of(seen, TextDelta):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(seen[-1], RunCancelled)
    assert model.closed == 1


async def test_a_time_out_around_generate_is_the_callers() -> None:
    """`asyncio.timeout` around a run works as around anything else."""
    agent, _ = scripted([Answer(text="a b", gate=asyncio.Event(), gate_at=1)])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await agent.generate("go")


@pytest.mark.parametrize("at", range(1, 16))
async def test_cancelled_after_any_event_a_run_ends_once_and_stays_loadable(at: int) -> None:
    """Whatever the moment, one last event, and every call in the messages has its result."""
    script = [["Let me. ", call("add", a=1, b=2), call("shout", text="x")], "The answer is three."]
    agent, _ = scripted(script)
    async with agent.stream("go") as run:
        async for event in run:
            if event.seq == at:
                run.cancel()
        result = await run.result()
        events = [e async for e in run.subscribe()]
    assert sum(isinstance(e, TERMINAL) for e in events) == 1
    assert isinstance(events[-1], TERMINAL)
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    open_calls: set[str] = set()
    for message in result.messages:
        open_calls -= {r.call_id for r in message.tool_results}
        open_calls |= {c.id for c in message.tool_calls}
    assert not open_calls
    assert kinds(events).count("model_call_started") == kinds(events).count("model_call_complete")


async def test_cancelling_twice_or_after_the_end_changes_nothing() -> None:
    """Cancel is idempotent."""
    agent, _ = scripted(["done"])
    async with agent.stream("go") as run:
        assert (await run.result()).finish_reason == "stop"
        run.cancel()
        await run.cancel()
        assert (await run.result()).finish_reason == "stop"
