"""Structured output: any type, by whichever way the model has, read, checked and asked for again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

import pytest
from pydantic import BaseModel

from lumosai import Limits, Message
from lumosai.errors import (
    ConfigurationError,
    InvalidInputError,
    ModelError,
    OutputInvalidError,
    SchemaUnsupportedError,
    ServerError,
)
from lumosai.events import OutputComplete, OutputDelta, Retrying, TextDelta, ToolCallComplete, fold
from lumosai.models.profiles import Profile
from lumosai.testing import Answer, ScriptedModel, call
from tests.agent.helpers import of, record, scripted


class City(BaseModel):
    name: str
    people: int


@dataclass
class Point:
    x: int
    y: int


class Row(TypedDict):
    key: str


CITY = '{"name": "Oslo", "people": 700000}'
TYPES = [
    (City, CITY, City(name="Oslo", people=700000)),
    (Point, '{"x": 1, "y": 2}', Point(1, 2)),
    (Row, '{"key": "a"}', {"key": "a"}),
    (list[City], '{"value": [' + CITY + "]}", [City(name="Oslo", people=700000)]),
    (Literal["yes", "no"], '{"value": "yes"}', "yes"),
    (City | Point, '{"value": {"x": 1, "y": 2}}', Point(1, 2)),
    (int, '{"value": 5}', 5),
]
NATIVE = Profile(json_schema=True)
TOOL = Profile(json_schema=False)
PROMPTED = Profile(json_schema=False, native_tools=False, tool_mode="text")


def agent_for(profile: Profile, answers: list, **settings):
    model = ScriptedModel(answers, profile=profile)
    agent, _ = scripted(["unused"], tools=settings.pop("tools", []), **settings)
    return agent.replace(model=model), model


@pytest.mark.parametrize(("output_type", "text", "value"), TYPES)
@pytest.mark.parametrize("profile", [NATIVE, TOOL, PROMPTED], ids=["native", "tool", "prompted"])
async def test_every_type_comes_through_every_way(profile: Profile, output_type, text: str, value) -> None:
    """The result's `output` is the type; the events carry its JSON, and no text delta beside it."""
    import json

    answer = call("final_output", **json.loads(text)) if profile is TOOL else text
    agent, model = agent_for(profile, [answer], output_type=output_type)
    events, result = await record(agent)
    assert result.output == value
    assert type(result.output) is type(value)
    assert of(events, TextDelta) == []
    assert json.loads("".join(e.delta for e in of(events, OutputDelta))) == json.loads(text)
    assert fold(events).output == of(events, OutputComplete)[0].value
    assert of(events, ToolCallComplete) == []
    request = model.requests[0]
    assert (request.output_schema is not None) is (profile is NATIVE)
    assert [t.name for t in request.tools] == (["final_output"] if profile is TOOL else [])
    assert ("JSON Schema" in request.messages[0].text) is (profile is PROMPTED)


@pytest.mark.parametrize("profile", [NATIVE, TOOL, PROMPTED], ids=["native", "tool", "prompted"])
async def test_an_answer_that_does_not_fit_is_asked_for_again_with_its_error(profile: Profile) -> None:
    """The model is shown what was wrong; the second answer counts."""
    bad, good = {"name": "Oslo"}, {"name": "Oslo", "people": 7}
    import json

    answers = [call("final_output", **a) if profile is TOOL else json.dumps(a) for a in (bad, good)]
    agent, model = agent_for(profile, answers, output_type=City)
    events, result = await record(agent)
    assert result.output == City(name="Oslo", people=7)
    assert [r.what for r in of(events, Retrying)] == ["output"]
    assert "people" in model.requests[1].messages[-1].text
    assert {e.attempt for e in of(events, OutputDelta)} == {1, 2}


async def test_after_all_retries_the_run_ends_with_a_named_reason() -> None:
    """At most `max_output_retries` re-asks; then an error with the partial result."""
    agent, model = agent_for(NATIVE, ["no JSON"] * 9, output_type=City, limits=Limits(max_output_retries=2))
    with pytest.raises(OutputInvalidError, match="after 3 attempts") as caught:
        await agent.generate("go")
    assert len(model.requests) == 3
    assert caught.value.result.finish_reason == "output_invalid"
    assert caught.value.result.output is None


async def test_tools_are_called_before_the_output() -> None:
    """Structured output and tools work together, native and through a tool."""
    from tests.agent.helpers import add

    for profile, last in ((NATIVE, '{"x": 3, "y": 4}'), (TOOL, call("final_output", x=3, y=4))):
        agent, model = agent_for(profile, [call("add", a=1, b=2), last], output_type=Point, tools=[add])
        result = await agent.generate("go")
        assert result.output == Point(3, 4)
        assert model.requests[1].messages[-1].tool_results[0].text == "3"


async def test_a_server_that_refuses_the_schema_is_asked_in_another_way() -> None:
    """The run goes on through a tool."""
    refusal = SchemaUnsupportedError("response_format is not supported", provider="scripted")
    agent, model = agent_for(NATIVE, [refusal, call("final_output", x=1, y=2)], output_type=Point)
    events, result = await record(agent)
    assert result.output == Point(1, 2)
    assert [bool(r.output_schema) for r in model.requests] == [True, False]
    assert of(events, Retrying)[0].reason.startswith("schema_rejected")


async def test_an_agent_whose_tools_are_off_still_gets_its_output() -> None:
    """Through the one tool that carries it, where the model has no schema."""
    from tests.agent.helpers import add

    agent, model = agent_for(TOOL, [call("final_output", x=1, y=2)], output_type=Point, tools=[add], tool_calling="off")
    assert (await agent.generate("go")).output == Point(1, 2)
    assert [t.name for t in model.requests[0].tools] == ["final_output"]


async def test_partial_objects_stream() -> None:
    """`outputs()` gives growing JSON values, the last one the output's."""
    deltas = ['{"na', 'me": "Os', 'lo", "peo', 'ple": 70', "0}"]
    agent, _ = agent_for(NATIVE, [Answer(deltas=deltas)], output_type=City)
    async with agent.stream("go") as run:
        seen = [value async for value in run.outputs()]
        result = await run.result()
    assert seen[-1] == {"name": "Oslo", "people": 700}
    assert {"name": "Oslo"} in seen or {"name": "Os"} in seen
    assert result.output == City(name="Oslo", people=700)


async def test_partial_lists_are_the_list_itself() -> None:
    """The object that wraps a list on the wire is not shown."""
    agent, _ = agent_for(NATIVE, [Answer(deltas=['{"value": [1', ", 2", "]}"])], output_type=list[int])
    async with agent.stream("go") as run:
        seen = [value async for value in run.outputs()]
    assert seen[-1] == [1, 2]
    assert all(isinstance(v, list) for v in seen)


async def test_outputs_of_a_text_run_is_a_clear_error() -> None:
    """There is nothing structured to stream."""
    agent, _ = scripted(["x"])
    async with agent.stream("go") as run:
        with pytest.raises(InvalidInputError, match="output_type"):
            await anext(run.outputs())


async def test_an_output_that_is_none_is_given_too() -> None:
    """Null is a value, in the end."""
    agent, _ = scripted(['{"value": null}'])
    async with agent.stream("go", output_type=Point | None) as run:
        assert [value async for value in run.outputs()] == [None]
        assert (await run.result()).output is None


async def test_json_in_a_fence_is_read() -> None:
    """Models that were only asked nicely often wrap it."""
    agent, _ = agent_for(PROMPTED, ["Here it is:\n```json\n" + CITY + "\n```"], output_type=City)
    assert (await agent.generate("go")).output.name == "Oslo"


async def test_an_output_type_for_one_run() -> None:
    """`output_type` may be given with the call."""
    agent, _ = agent_for(NATIVE, ['{"x": 1, "y": 2}', "text"])
    assert (await agent.generate("go", output_type=Point)).output == Point(1, 2)
    assert (await agent.generate("go")).output == "text"


async def test_a_type_without_a_schema_is_refused() -> None:
    """At the start, with the type's name."""

    class Opaque:
        pass

    agent, _ = agent_for(NATIVE, ["x"], output_type=Opaque)
    with pytest.raises(ConfigurationError, match="Opaque"):
        await agent.generate(Message.user("go"))


async def test_a_chain_of_models_gives_structured_output() -> None:
    """A `FallbackModel` answers by the first that can; each is asked in its own way."""
    from lumosai.models import FallbackModel

    gone = ScriptedModel([ModelError("gone")], profile=NATIVE)
    second = ScriptedModel([CITY], profile=PROMPTED)
    agent, _ = scripted(["unused"], output_type=City, tools=[])
    assert (await agent.replace(model=FallbackModel(gone, second)).generate("go")).output.name == "Oslo"


@pytest.mark.parametrize("profile", [NATIVE, TOOL, PROMPTED], ids=["native", "tool", "prompted"])
async def test_what_was_said_before_a_call_is_no_part_of_the_output(profile: Profile) -> None:
    """Text beside tool calls may come as `output_delta`, but under another attempt than the output's own."""
    from tests.agent.helpers import add

    first = ["Let me {see", call("add", a=1, b=2)]
    last = call("final_output", x=3, y=4) if profile is TOOL else '{"x": 3, "y": 4}'
    agent, _ = agent_for(profile, [first, last], output_type=Point, tools=[add])
    async with agent.stream("go") as run:
        values = [v async for v in run.outputs()]
        result = await run.result()
        events = [e async for e in run.subscribe()]
    assert values[-1] == {"x": 3, "y": 4}
    assert result.output == Point(3, 4)
    assert result.text.replace(" ", "") == '{"x":3,"y":4}'
    last_attempt = max(e.attempt for e in of(events, OutputDelta))
    assert "".join(e.delta for e in of(events, OutputDelta) if e.attempt == last_attempt).replace(
        " ", ""
    ) == result.text.replace(" ", "")


async def test_a_retry_begins_the_output_anew() -> None:
    """Void deltas are of an attempt of their own."""
    script = [Answer(text='{"x": 1, ', error=ServerError("busy", retry_after_s=0), error_at=1), '{"x": 3, "y": 4}']
    agent, _ = agent_for(NATIVE, script, output_type=Point)
    async with agent.stream("go") as run:
        assert [v async for v in run.outputs()][-1] == {"x": 3, "y": 4}
        assert {e.attempt for e in of([e async for e in run.subscribe()], OutputDelta)} == {1, 2}


async def test_calls_beside_the_output_call_are_run() -> None:
    """An answer that calls tools and gives an output at once is asked again; nothing that was called is lost."""
    from tests.agent.helpers import add

    both = [call("add", a=1, b=2), call("final_output", x=0, y=0), call("add", a=3, b=4)]
    twice = [call("final_output", x=3, y=7), call("final_output", x=9, y=9)]
    agent, model = agent_for(TOOL, [both, twice], output_type=Point, tools=[add])
    events, result = await record(agent)
    assert [r.text for r in model.requests[1].messages[-1].tool_results] == ["3", "7"]
    assert result.output == Point(3, 7)
    assert len(of(events, ToolCallComplete)) == 2


async def test_a_cut_output_keeps_what_came() -> None:
    """Cancelled in mid-output there is no output, but its text so far; `outputs` gives no last value."""
    import asyncio

    agent, _ = agent_for(
        NATIVE, [Answer(deltas=['{"x": 1', ', "y"'], gate=asyncio.Event(), gate_at=2)], output_type=Point
    )
    async with agent.stream("go") as run:
        values = []
        async for value in run.outputs():
            values.append(value)
            if len(values) == 1:
                while len(run._log.events) < 5:
                    await asyncio.sleep(0)
                run.cancel()
        result = await run.result()
    assert values
    assert None not in values
    assert result.output is None
    assert result.text == '{"x": 1, "y"'
    assert result.messages[-1].metadata == {"interrupted": True}


async def test_a_type_whose_json_does_not_load_again_is_the_value_that_was_checked() -> None:
    """What the answer meant is not read a second time from what it is written as."""
    from pydantic import Field

    class Hidden(BaseModel):
        name: str = Field(serialization_alias="title")
        secret: str = Field(exclude=True)

    agent, _ = agent_for(NATIVE, ['{"name": "a", "secret": "b"}'], output_type=Hidden)
    events, result = await record(agent)
    assert result.output == Hidden(name="a", secret="b")
    assert "secret" not in fold(events).output


async def test_no_tool_runs_where_the_choice_is_none() -> None:
    """Only the output's own tool is offered, and a call all the same is refused."""
    from tests.agent.helpers import add

    script = [call("add", a=1, b=1), call("final_output", x=1, y=2)]
    agent, model = agent_for(TOOL, script, output_type=Point, tools=[add])
    events, result = await record(agent, tool_choice="none")
    assert [t.name for t in model.requests[0].tools] == ["final_output"]
    assert [e.error_type for e in of(events, ToolCallComplete)] == ["undeclared"]
    assert result.output == Point(1, 2)


async def test_a_long_output_costs_as_much_as_its_length() -> None:
    """Partial values of a long answer come as it grows, not at each delta, and the last is the whole."""
    agent, _ = agent_for(
        NATIVE, [Answer(deltas=['{"value": [', *["1234567890,"] * 20_000, "1]}"])], output_type=list[int]
    )
    async with agent.stream("go") as run:
        count, last = 0, None
        async for value in run.outputs():
            count, last = count + 1, value
    assert len(last) == 20_001
    assert count < 1000
