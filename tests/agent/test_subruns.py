"""An agent as a tool of another: one stream, one numbering, shared limits, one cancellation."""

from __future__ import annotations

import asyncio

import pytest

from lumosai import Agent, Limits, Usage, tool
from lumosai.events import (
    GenerationComplete,
    RunCancelled,
    RunStarted,
    TextDelta,
    ToolCallComplete,
    ToolCallStart,
    fold,
)
from lumosai.testing import Answer, ScriptedModel, call
from tests.agent.helpers import of, record, scripted
from tests.agent.laws import hold


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


async def test_a_slow_reader_lets_all_sub_runs_side_by_side_go_on() -> None:
    """Each of them waits for the reader, and each is woken by it."""
    inner = Agent("sub", model=ScriptedModel(lambda _: Answer(deltas=["x"] * 800)))
    calls = [call("sub", task=str(n)) for n in range(3)]
    agent, _ = scripted([calls, "done"], tools=[inner.as_tool()])
    async with asyncio.timeout(30), agent.stream("go") as run:
        count = 0
        async for _ in run:
            count += 1
            await asyncio.sleep(0)
        assert (await run.result()).text == "done"
    assert count > 2400


async def test_a_sub_agent_has_no_time_out_of_its_own() -> None:
    """`tool_timeout_s` is for tools that may hang; a sub-run has its deadline and its caller's."""
    agent, _ = team(["Oslo."], [call("geo_expert", task="x"), "done"], limits=Limits(tool_timeout_s=0.0))
    events, result = await record(agent)
    assert result.text == "done"
    assert of(events, ToolCallComplete)[0].error_type is None


async def test_a_sub_run_ends_for_its_roots_reason() -> None:
    """The canceller's words stand in both last events."""
    agent, _ = team([Answer(text="a b", gate=asyncio.Event(), gate_at=1)], [call("geo_expert", task="x"), "never"])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is TextDelta:
                run.cancel("lunch time")
        events = [e async for e in run.subscribe()]
    assert [e.reason for e in of(events, RunCancelled)] == ["lunch time", "lunch time"]


async def test_the_roots_deadline_is_its_sub_runs_too() -> None:
    """Both say when it is, and both end as `deadline`, what was said being kept."""
    agent, _ = team(
        [Answer(text="a b", gate=asyncio.Event(), gate_at=1)],
        [call("geo_expert", task="x"), "never"],
        limits=Limits(deadline_s=0.05),
    )
    events, result = await record(agent)
    root, child = of(events, RunStarted)
    assert child.deadline == pytest.approx(root.deadline, abs=0.01)  # each by the clock of its own moment
    assert [e.result.finish_reason for e in of(events, GenerationComplete)] == ["deadline", "deadline"]
    assert result.finish_reason == "deadline"
    assert fold([e for e in events if e.run_id == child.run_id]).text == "a "


async def test_a_sub_run_past_its_own_deadline_gives_what_it_has() -> None:
    """The caller's run goes on."""
    inner, _ = scripted([Answer(text="a b", gate=asyncio.Event(), gate_at=1)], limits=Limits(deadline_s=0.02))
    agent, model = scripted([call("sub", task="x"), "I see."], tools=[inner.as_tool("sub")])
    result = await agent.generate("go")
    assert result.text == "I see."
    assert model.requests[1].messages[-1].tool_results[0].text == "a "


async def test_a_sub_run_that_ends_without_an_answer_is_an_error_the_model_hears() -> None:
    """An empty text would look like one."""
    inner, _ = scripted([Answer(text="", finish="content_filter")])
    agent, model = scripted([call("sub", task="x"), "I see."], tools=[inner.as_tool("sub")])
    await agent.generate("go")
    (told,) = model.requests[1].messages[-1].tool_results
    assert told.is_error
    assert "content_filter" in told.text


async def test_ids_of_calls_are_unique_in_the_whole_tree() -> None:
    """An approval for one names no other."""
    agent, _ = team([call("add", a=1, b=1), "Oslo."], [call("geo_expert", task="x"), call("add", a=1, b=1), "done"])
    events, _ = await record(agent)
    ids = [e.call_id for e in of(events, ToolCallComplete)]
    assert len(set(ids)) == 3


async def test_an_observer_of_the_child_sees_each_of_its_runs() -> None:
    """Not the first alone, and nothing of the tree around them."""
    seen = []
    agent, _ = team(
        ["Oslo.", "Bern."],
        [call("geo_expert", task="x"), call("geo_expert", task="y"), "done"],
        inner_observers=[seen.append],
    )
    events, _ = await record(agent)
    runs = {e.run_id for e in seen}
    assert len(runs) == 2
    assert seen == [e for e in events if e.run_id in runs]


async def test_a_sub_run_that_a_tool_leaves_behind_ends_with_its_call() -> None:
    """Nothing is said in a stream after its end."""
    inner = Agent("sub", model=ScriptedModel([Answer(text="a b c", gate=asyncio.Event(), gate_at=1)])).as_tool()
    left = []

    @tool
    async def careless() -> str:
        """Starts an agent and does not wait for it."""
        left.append(asyncio.ensure_future(inner(task="x")))
        for _ in range(5):
            await asyncio.sleep(0)
        return "started"

    agent, _ = scripted([call("careless"), "done"], tools=[careless])
    events, result = await record(agent)
    hold(events)
    assert result.text == "done"
    assert left[0].cancelled()
    assert len(of(events, RunStarted)) == 2


async def test_sub_agents_asked_side_by_side_in_one_tool_are_its_sub_runs() -> None:
    """A tool of one's own may ask agents as it likes; after its end, or on another event loop, they are on their own."""
    inner = Agent("sub", model=ScriptedModel(lambda r: f"heard {r.messages[-1].text}")).as_tool()
    alone = []

    @tool
    async def both() -> str:
        """Asks twice."""
        alone.append(asyncio.ensure_future(later.wait()))
        return " ".join(await asyncio.gather(inner(task="a"), inner(task="b")))

    @tool
    def elsewhere() -> str:
        """Asks on a loop of its own."""
        return asyncio.run(inner(task="c"))

    later = asyncio.Event()
    agent, model = scripted([[call("both"), call("elsewhere")], "done"], tools=[both, elsewhere])
    events, _ = await record(agent)
    hold(events)
    assert len(of(events, RunStarted)) == 3
    told = [r.text for r in model.requests[1].messages[-1].tool_results]
    assert told == ["heard a heard b", "heard c"]
    later.set()
    await alone[0]


async def test_a_parents_cost_limit_holds_for_its_sub_agents_prices() -> None:
    """A sub-agent whose price is not known cannot be kept to it, and is refused at its start."""
    inner = Agent("sub", model=ScriptedModel(["free?"]))
    outer = Agent(
        "outer",
        model=ScriptedModel([call("sub", task="x"), "No answer."], price=(1, 1)),
        tools=[inner.as_tool()],
        limits=Limits(max_cost_usd=1),
    )
    events, result = await record(outer)
    assert result.text == "No answer."
    assert "price" in of(events, ToolCallComplete)[0].result.text
    hold(events)
