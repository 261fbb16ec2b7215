"""An agent as a tool of another: one stream, one numbering, shared limits, one cancellation."""

from __future__ import annotations

import asyncio

from lumosai import Limits, Usage, tool
from lumosai.events import (
    GenerationComplete,
    RunCancelled,
    RunStarted,
    TextDelta,
    ToolCallComplete,
    ToolCallStart,
    fold,
)
from lumosai.testing import Answer, call
from tests.agent.helpers import of, record, scripted


def team(inner_script, outer_script, **settings):
    inner, _ = scripted(inner_script, instructions="You know capitals.\nMore.")
    inner = inner.replace(name="geo expert", observers=settings.pop("inner_observers", ()))
    return scripted(outer_script, tools=[inner.as_tool()], **settings)


async def test_a_sub_agents_events_are_in_the_roots_stream() -> None:
    """Root numbering has no gaps; the child's events name root and parent; the root's text is its own."""
    agent, model = team([call("add", a=1, b=1), "Oslo."], [call("geo_expert", task="Norway?"), "It is Oslo."])
    events, result = await record(agent)
    assert result.text == "It is Oslo."
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    root, child = of(events, RunStarted)
    assert child.root_id == root.run_id == child.parent_run_id
    assert child.trace_id == root.trace_id
    assert child.agent == "geo expert"
    assert {e.run_id for e in of(events, GenerationComplete)} == {root.run_id, child.run_id}
    assert events[-1].run_id == root.run_id
    assert "".join(e.delta for e in of(events, TextDelta) if e.run_id == child.run_id) == "Oslo."
    assert len(result.steps) == 2
    assert fold(events).usage == result.usage
    assert model.requests[1].messages[-1].tool_results[0].text == "Oslo."
    assert agent.tools[0].description == "You know capitals."


async def test_limits_are_shared_through_sub_agents() -> None:
    """A child's use counts against its parent's budget."""
    usage = Usage(input_tokens=1, output_tokens=80, total_tokens=81)
    agent, model = team(
        [Answer(text="Oslo.", usage=usage)],
        [call("geo_expert", task="Norway?"), "never"],
        limits=Limits(max_output_tokens=80),
    )
    result = await agent.generate("go")
    assert result.finish_reason == "token_limit"
    assert len(model.requests) == 1


async def test_cancelling_the_root_cancels_the_child() -> None:
    """The child ends with its own last event before the root's."""
    agent, _ = team([Answer(text="a b", gate=asyncio.Event(), gate_at=1)], [call("geo_expert", task="x"), "never"])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is TextDelta:
                run.cancel()
        events = [e async for e in run.subscribe()]
    ends = of(events, RunCancelled)
    assert [e.parent_run_id is None for e in ends] == [False, True]
    assert events[-1] is ends[-1]


async def test_each_call_around_a_cancelled_one_ends_with_a_result_of_its_own() -> None:
    """The inner call's end is not taken for the outer one's."""

    @tool
    async def wait() -> str:
        """Wait."""
        await asyncio.Event().wait()
        return ""

    inner, _ = scripted([call("wait")], tools=[wait])
    agent, _ = scripted([call("geo", task="x")], tools=[inner.as_tool("geo")])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is ToolCallStart and event.call.name == "wait":
                run.cancel()
        events = [e async for e in run.subscribe()]
    ends = of(events, ToolCallComplete)
    assert [e.name for e in ends] == ["wait", "geo"]
    assert [e.call_id for e in ends] == [e.result.call_id for e in ends]


async def test_observers_of_the_child_see_the_childs_run_only() -> None:
    """The root's see the whole tree, no object twice."""
    inner_seen, outer_seen = [], []
    agent, _ = team(
        ["Oslo."],
        [call("geo_expert", task="x"), "done"],
        inner_observers=[inner_seen.append, outer_seen.append],
        observers=[outer_seen.append],
    )
    events, _ = await record(agent)
    assert len({id(e) for e in events}) == len(events)
    assert {e.agent for e in inner_seen} == {"geo expert"}
    assert len(outer_seen) == len(events)


async def test_a_failing_sub_agent_is_an_error_the_model_hears() -> None:
    """The caller's run goes on."""
    agent, model = team([RuntimeError("broke")], [call("geo_expert", task="x"), "It failed."])
    result = await agent.generate("go")
    assert result.text == "It failed."
    assert model.requests[1].messages[-1].tool_results[0].is_error
