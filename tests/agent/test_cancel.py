"""Cancelling at any point: streams closed, tools stopped, partial text kept, exactly one last event."""

from __future__ import annotations

import asyncio
import threading

import pytest

from lumosai import ToolContext, tool
from lumosai.errors import InvalidInputError, RunError
from lumosai.events import (
    TERMINAL,
    Error,
    ModelCallComplete,
    RunCancelled,
    TextDelta,
    ToolCallComplete,
    ToolCallStart,
    fold,
)
from lumosai.testing import Answer, call
from tests.agent.helpers import kinds, of, scripted, shout
from tests.agent.laws import hold, loadable


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
    assert told.wait(30)
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


async def test_a_run_that_is_cancelled_before_its_first_step_has_a_first_and_a_last_event() -> None:
    """By its holder, or with its task by the event loop."""
    agent, model = scripted(["x"])
    async with agent.stream("go") as run:
        run.cancel("changed my mind")
        result = await run.result()
        events = [e async for e in run.subscribe()]
    hold(events)
    assert kinds(events) == ["run_started", "run_cancelled"]
    assert (result.finish_reason, events[-1].reason) == ("cancelled", "changed my mind")
    async with agent.stream("go") as run:
        run._task.cancel()
        assert (await run.result()).finish_reason == "cancelled"
        assert kinds([e async for e in run]) == ["run_started", "run_cancelled"]
    assert model.requests == []


@pytest.mark.parametrize("at", ["run_started", "text_delta", "model_call_complete", "step_complete"])
async def test_a_cancel_by_an_observer_is_heeded_at_once(at: str) -> None:
    """Even where the model never gives the loop a turn, and even with the last step's end."""
    held = []
    agent, _ = scripted(
        [Answer(deltas=["x"] * 100)], observers=[lambda e: held[0].cancel() if kinds([e]) == [at] else None]
    )
    held.append(agent.stream("go"))
    async with held[0] as run:
        result = await run.result()
        events = [e async for e in run.subscribe()]
    hold(events)
    assert result.finish_reason == "cancelled"
    assert len(of(events, TextDelta)) <= 1 or at in ("model_call_complete", "step_complete")


async def test_a_cancel_that_nobody_asked_for_is_a_failure() -> None:
    """A model, a tool or an instructions function that raises CancelledError by itself does not pass for the user."""

    def instructions(_context) -> str:
        raise asyncio.CancelledError

    for agent in (scripted([asyncio.CancelledError()])[0], scripted(["x"], instructions=instructions)[0]):
        with pytest.raises(RunError, match="CancelledError"):
            await agent.generate("go")
        async with agent.stream("go") as run:
            events = [e async for e in run]
        hold(events)
        assert isinstance(events[-1], Error)


class Leave(BaseException):
    """As Ctrl-C is one, but harmless to the event loop."""


@pytest.mark.parametrize("where", ["model", "observer", "tool", "async tool", "side by side"])
async def test_what_is_no_error_passes_and_the_run_ends_all_the_same(where: str) -> None:
    """Ctrl-C and its like come through to who waits; the events say how the run ended."""
    seen = []

    def observe(event) -> None:
        if where == "observer" and type(event) is ToolCallStart:
            raise Leave

    @tool
    def sync_tool() -> str:
        """Leaves."""
        raise Leave

    @tool
    async def async_tool() -> str:
        """Leaves."""
        raise Leave

    script = {
        "model": [Answer(text="a b", error=Leave(), error_at=1)],
        "async tool": [call("async_tool")],
        "side by side": [[call("async_tool"), call("shout", text="x"), call("sync_tool")]],
    }.get(where, [call("sync_tool")])
    agent, _ = scripted(script, tools=[sync_tool, async_tool, shout], observers=[seen.append, observe])
    with pytest.raises(Leave):
        await agent.generate("go")
    hold(seen)
    assert (type(seen[-1]), seen[-1].reason) == (RunCancelled, "Leave")
    loadable(fold(seen).messages)


def test_ctrl_c_in_a_tool_ends_the_program_and_the_run() -> None:
    """A KeyboardInterrupt in a tool of a streamed run comes out of `asyncio.run`."""
    seen = []

    @tool
    async def interrupt() -> str:
        """Interrupts."""
        raise KeyboardInterrupt

    agent, _ = scripted(
        [[call("interrupt"), call("shout", text="x")]], tools=[interrupt, shout], observers=[seen.append]
    )

    async def main() -> None:
        async with agent.stream("go") as run:
            await run.result()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    hold(seen)


@pytest.mark.parametrize("reader", ["none", "part", "dropped", "text", "closed text", "two", "later", "subscriber"])
async def test_the_result_comes_whatever_the_readers_do(reader: str) -> None:
    """Read in part, dropped, abandoned, begun late: nothing but the run holds the result up."""
    agent, _ = scripted([Answer(deltas=["x"] * 3000)])
    async with asyncio.timeout(20), agent.stream("go") as run:
        kept = []
        if reader in ("part", "two"):
            kept.append(aiter(run))
            await anext(kept[0])
        if reader == "two":
            kept.append(aiter(run))
            await anext(kept[1])
        if reader == "dropped":
            await anext(aiter(run))
        if reader in ("text", "closed text"):
            kept.append(run.text())
            await anext(kept[0])
        if reader == "closed text":
            await kept[0].aclose()
        if reader == "subscriber":
            kept.append(run.subscribe(2))
            await anext(kept[0])
        waiting = asyncio.create_task(run.result())
        await asyncio.sleep(0)
        if reader == "later":
            kept.append(aiter(run))
            await anext(kept[0])
        assert len((await waiting).text) == 3000
    for each in kept:
        await each.aclose()


async def test_leaving_waits_for_the_runs_end_however_often_its_task_is_cancelled() -> None:
    """No task is left behind, and the cancel comes through."""
    released = asyncio.Event()

    @tool
    async def stubborn() -> str:
        """Needs a while to stop."""
        try:
            await asyncio.Event().wait()
        finally:
            await released.wait()
        return ""

    agent, _ = scripted([call("stubborn")], tools=[stubborn])
    seen = []

    async def hold_it() -> None:
        async with agent.replace(observers=[seen.append]).stream("go") as run:
            await run.result()

    task = asyncio.create_task(hold_it())
    while not of(seen, ToolCallStart):
        await asyncio.sleep(0)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
    hold(seen)


def test_a_run_belongs_to_its_event_loop() -> None:
    """From another loop or a thread it says so while it goes; what has ended can be read anywhere."""
    agent, _ = scripted(lambda _: Answer(text="a b", gate=gate, gate_at=1))
    gate = asyncio.Event()
    refused = []

    def elsewhere(run) -> None:
        for use in (run.cancel, run.subscribe, run.detach, lambda: run.send("x"), lambda: run.approve("x")):
            with pytest.raises(InvalidInputError, match="belongs to the event loop"):
                use()
            refused.append(use)
        with pytest.raises(InvalidInputError, match="call_soon_threadsafe"):
            asyncio.run(run.result())

    async def main():
        async with agent.stream("go") as run:
            await asyncio.to_thread(elsewhere, run)
            gate.set()
            await run.result()
        return run

    run = asyncio.run(main())
    assert len(refused) == 5

    async def after() -> None:
        assert (await run.result()).text == "a b"
        assert len([e async for e in run.subscribe()]) == len(run._log.events)

    asyncio.run(after())
    run.cancel()


def test_a_detached_run_ends_with_its_event_loop() -> None:
    """`asyncio.run` cancels what is left: the run says so, and nobody complains."""
    seen = []
    agent, _ = scripted([Answer(text="a b", gate=asyncio.Event(), gate_at=1)], observers=[seen.append])

    async def main() -> None:
        async with agent.stream("go") as run:
            run.detach()
            while not of(seen, TextDelta):
                await asyncio.sleep(0)

    asyncio.run(main())
    hold(seen)
    assert isinstance(seen[-1], RunCancelled)


async def test_a_run_in_a_task_group_that_fails_ends_with_it() -> None:
    """Cancelled from outside through its reader's task."""
    seen = []
    agent, _ = scripted([Answer(text="a b", gate=asyncio.Event(), gate_at=1)], observers=[seen.append])

    async def reader() -> None:
        async with agent.stream("go") as run:
            await run.result()

    async def fails() -> None:
        while not of(seen, TextDelta):
            await asyncio.sleep(0)
        raise KeyError("mine")

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(reader())
            group.create_task(fails())
    hold(seen)
    assert seen[-1].reason == "abandoned"
