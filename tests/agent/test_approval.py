"""Approvals: nothing that needs one runs without, and each is for one call and its very arguments."""

from __future__ import annotations

import asyncio

import pytest

from lumosai import Agent, Limits, tool
from lumosai.errors import InvalidInputError, ToolFailuresError
from lumosai.events import (
    ApprovalRequested,
    ApprovalResolved,
    RunPaused,
    RunResumed,
    ToolCallComplete,
    ToolCallStart,
    fold,
)
from lumosai.testing import ScriptedModel, call
from tests.agent.helpers import kinds, of, record, scripted
from tests.agent.laws import hold, loadable

ran: list[str] = []


@tool(approval=True)
def delete(path: str) -> str:
    """Delete a file."""
    ran.append(path)
    return f"deleted {path}"


@tool(approval=lambda arguments, _context: arguments["amount"] > 100)
def pay(amount: int) -> str:
    """Pay."""
    ran.append(str(amount))
    return f"paid {amount}"


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


async def test_an_approved_call_runs() -> None:
    """The call waits, then runs with the arguments that were shown."""
    agent, _ = scripted([call("delete", path="a.txt"), "Gone."], tools=[delete])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is ApprovalRequested:
                assert ran == []
                await run.approve(event.call.id, by="ada")
                run.approve(event.call.id)
        result = await run.result()
        events = [e async for e in run.subscribe()]
    assert ran == ["a.txt"]
    assert result.text == "Gone."
    names = [k for k in kinds(events) if "approval" in k or k.startswith(("tool_call_s", "tool_call_c", "run_"))]
    assert names == [
        "run_started",
        "approval_requested",
        "run_paused",
        "approval_resolved",
        "run_resumed",
        "tool_call_start",
        "tool_call_complete",
    ]
    (resolved,) = of(events, ApprovalResolved)
    assert (resolved.decision, resolved.by) == ("granted", "ada")


async def test_a_denied_call_does_not_run_and_the_model_hears_why() -> None:
    """A refused call has no start; its result says why."""
    agent, model = scripted([call("delete", path="a.txt"), "As you wish."], tools=[delete])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is ApprovalRequested:
                run.deny(event.call.id, "not that one")
        events = [e async for e in run.subscribe()]
    assert ran == []
    assert of(events, ToolCallStart) == []
    assert of(events, ToolCallComplete)[0].error_type == "denied"
    assert "not that one" in model.requests[1].messages[-1].tool_results[0].text


async def test_a_predicate_decides_which_calls_need_one() -> None:
    """Small sums go through; the large one waits, and several are answered in any order."""
    agent, _ = scripted([[call("pay", amount=5), call("pay", amount=500), call("pay", amount=700)], "ok"], tools=[pay])
    async with agent.stream("go") as run:
        waiting = []
        async for event in run:
            if type(event) is ApprovalRequested:
                waiting.append(event.call)
                if len(waiting) == 2:
                    run.approve(waiting[1].id)
                    run.deny(waiting[0].id)
    assert sorted(ran) == ["5", "700"]  # side by side, each in a thread


async def test_more_waiting_calls_than_may_run_at_once_all_ask() -> None:
    """A call that waits takes no place of a running one."""
    agent, _ = scripted(
        [[call("pay", amount=1000 + i) for i in range(4)], "ok"], tools=[pay], limits=Limits(tool_concurrency=1)
    )
    async with agent.stream("go") as run:
        waiting = []
        async for event in run:
            if type(event) is ApprovalRequested:
                waiting.append(event.call.id)
                if len(waiting) == 4:
                    for call_id in reversed(waiting):
                        run.approve(call_id)
    assert sorted(ran) == ["1000", "1001", "1002", "1003"]


async def test_generate_returns_at_once_with_what_is_pending() -> None:
    """Nobody can answer there: the run is paused, other calls of the answer have run."""
    agent, _ = scripted([[call("pay", amount=5), call("pay", amount=500)], "never"], tools=[pay])
    result = await agent.generate("go")
    assert result.finish_reason == "paused"
    assert [c.arguments for c in result.pending] == [{"amount": 500}]
    assert ran == ["5"]


async def test_nobody_answers_in_time() -> None:
    """After `approval_wait_s` the call counts as refused."""
    agent, _ = scripted([call("delete", path="x"), "ok"], tools=[delete], limits=Limits(approval_wait_s=0.05))
    events, result = await record(agent)
    assert [e.decision for e in of(events, ApprovalResolved)] == ["expired"]
    assert of(events, ToolCallComplete)[0].error_type == "denied"
    assert result.text == "ok"
    assert fold(events).pending == ()
    assert ran == []


async def test_an_answer_for_no_waiting_call_is_a_clear_error() -> None:
    """The error names what does wait."""
    agent, _ = scripted([call("delete", path="x"), "ok"], tools=[delete])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is ApprovalRequested:
                with pytest.raises(InvalidInputError, match=r"call_x.*waiting: call_1"):
                    run.approve("call_x")
                run.deny(event.call.id)


async def test_cancelling_while_an_approval_is_awaited_runs_nothing() -> None:
    """The call is closed as interrupted."""
    agent, _ = scripted([call("delete", path="x"), "ok"], tools=[delete])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is ApprovalRequested:
                run.cancel()
        result = await run.result()
    assert ran == []
    assert result.finish_reason == "cancelled"
    assert result.steps[0].tool_results[0].is_error


def nested(*, tools=(), inner_script=None, **settings):
    """An agent that asks one whose tool needs an approval."""
    inner = Agent("inner", model=ScriptedModel(inner_script or [call("delete", path="a.txt"), "Gone."]), tools=[delete])
    script = [[call("inner", task="x"), *(call(t.name) for t in tools)], "It is gone."]
    return scripted(script, tools=[inner.as_tool(), *tools], **settings)


async def test_a_call_of_a_sub_agent_is_approved_at_the_root() -> None:
    """Both runs say that they wait and that they go on; the id names the call wherever it was made."""
    agent, _ = nested()
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is RunPaused and event.parent_run_id is None:
                (waiting,) = event.pending
                assert fold([*run._log.events]).pending == (waiting,)
                run.approve(waiting.id, by="ada")
        result = await run.result()
        events = [e async for e in run.subscribe()]
    hold(events)
    assert ran == ["a.txt"]
    assert result.text == "It is gone."
    turns = [(type(e).__name__, e.parent_run_id is None) for e in events if type(e) in (RunPaused, RunResumed)]
    assert turns == [("RunPaused", False), ("RunPaused", True), ("RunResumed", False), ("RunResumed", True)]


async def test_a_run_with_work_to_do_is_not_paused_by_its_sub_run() -> None:
    """It says so once the rest is done."""
    done = asyncio.Event()

    @tool
    async def other() -> str:
        """Something else."""
        await done.wait()
        return "done"

    agent, _ = nested(tools=[other])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is RunPaused:
                assert (event.parent_run_id is None) is done.is_set()
                if done.is_set():
                    run.approve(event.pending[0].id)
                done.set()
        events = [e async for e in run.subscribe()]
    hold(events)
    assert [e.parent_run_id is None for e in of(events, RunPaused)] == [False, True]


async def test_where_nobody_can_answer_a_sub_agents_call_is_pending_at_the_root() -> None:
    """`generate` ends as paused; the messages can be gone on with all the same."""
    agent, model = nested()
    seen = []
    result = await agent.replace(observers=[seen.append]).generate("go")
    assert result.finish_reason == "paused"
    assert [c.name for c in result.pending] == ["delete"]
    assert ran == []
    loadable(result.messages)
    hold(seen, paused=True)
    assert "waits for an approval" in result.messages[-1].tool_results[0].text
    assert len(model.requests) == 1
    paused = of(seen, RunPaused)
    assert [e.pending for e in paused] == [result.pending, result.pending]


async def test_a_paused_sub_run_ends_with_a_run_that_fails() -> None:
    """Each run of the tree has its end, each call has its end, whichever way the root goes."""

    @tool
    def bad() -> str:
        """Fails."""
        raise ValueError("no")

    agent, _ = nested(tools=[bad], limits=Limits(max_identical_failures=1))
    seen = []
    with pytest.raises(ToolFailuresError):
        await agent.replace(observers=[seen.append]).generate("go")
    hold(seen)
    assert fold(seen).pending == ()


async def test_a_cancelled_generate_leaves_no_call_waiting() -> None:
    """A call that waits for nobody is closed when another of the same answer is cut."""
    started = asyncio.Event()

    @tool
    async def slow() -> str:
        """Takes its time."""
        started.set()
        await asyncio.Event().wait()
        return ""

    seen = []
    agent, _ = scripted(
        [[call("delete", path="x"), call("slow")], "never"], tools=[delete, slow], observers=[seen.append]
    )
    task = asyncio.create_task(agent.generate("go"))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hold(seen)
    assert [e.error_type for e in of(seen, ToolCallComplete)] == ["interrupted", "interrupted"]


async def test_an_observer_may_answer_at_once() -> None:
    """An approval that is given while it is asked for pauses nothing."""
    held = []
    agent, _ = scripted(
        [call("delete", path="x"), "ok"],
        tools=[delete],
        observers=[lambda e: held[0].approve(e.call.id) if type(e) is ApprovalRequested else None],
    )
    held.append(agent.stream("go"))
    async with held[0] as run:
        assert (await run.result()).text == "ok"
        events = [e async for e in run.subscribe()]
    assert ran == ["x"]
    assert of(events, RunPaused) == []
    hold(events)


@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_an_answer_at_the_very_moment_of_expiry_stands_as_it_was_recorded(decision: str) -> None:
    """Whichever comes first counts, and the call does what the record says."""
    agent, _ = scripted([call("delete", path="x"), "ok"], tools=[delete], limits=Limits(approval_wait_s=0.0))
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is ApprovalRequested:
                try:
                    getattr(run, decision)(event.call.id)
                except InvalidInputError:
                    pass
        events = [e async for e in run.subscribe()]
    (resolved,) = of(events, ApprovalResolved)
    assert (ran == ["x"]) is (resolved.decision == "granted")
    hold(events)
