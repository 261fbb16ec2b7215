"""Tool calling against real servers on loopback: those that reject a feature, and models that write calls as text."""

from __future__ import annotations

import json

import pytest

from lumosai import Agent
from lumosai.errors import ToolsUnsupportedError
from lumosai.events import ModelChanged, StepStarted, TextDelta, ToolCallComplete
from lumosai.models import OpenAIChatModel, Profile
from tests.servers import Call, ChatServer, Reply, Request, improvise

HERMES = '<tool_call>\n{"name": "add", "arguments": {"a": 17, "b": 23}}\n</tool_call>'


def add(a: int, b: int) -> int:
    """Adds two numbers.

    Args:
        a: the first.
        b: the second.
    """
    return a + b


def agent(server: ChatServer, *, profile: Profile | None = None, **options) -> Agent:
    model = OpenAIChatModel("test-model", base_url=server.base_url, api_key="sk-test", profile=profile)
    return Agent("test", model=model, tools=[add], **options)


async def events_of(agent: Agent, question: str = "What is 17 + 23?") -> tuple[list, str]:
    async with agent.stream(question) as run:
        events = [event async for event in run]
        return events, (await run.result()).text


def of(kind: type, events: list) -> list:
    return [e for e in events if type(e) is kind]


def modes(events: list) -> list[str]:
    return [e.tool_mode for e in of(StepStarted, events)]


def no_tools(request: Request) -> Reply:
    """A server that knows nothing of tools, with a model that writes Hermes."""
    if "tools" in (request.json or {}):
        return Reply(status=400, text="tools is not supported by this model")
    assert all(m["role"] != "tool" and "tool_calls" not in m for m in request.messages)
    last = request.messages[-1]
    return Reply("It is 40.") if "tool_response" in last["content"] else Reply(f"Let me see.\n{HERMES}\n")


async def test_a_server_that_rejects_tools() -> None:
    """The first request is refused, the run goes on in text, says so, and the next run does not try again."""
    async with ChatServer(no_tools) as server:
        asker = agent(server)
        events, text = await events_of(asker)
        assert text == "It is 40."
        (changed,) = of(ModelChanged, events)
        assert changed.tool_mode == "text"
        assert "not supported" in changed.reason
        assert [(c.name, c.result.text) for c in of(ToolCallComplete, events)] == [("add", "40")]
        assert "<" not in "".join(e.delta for e in of(TextDelta, events))
        assert len(server.requests) == 3

        events, text = await events_of(asker)
        assert text == "It is 40."
        assert of(ModelChanged, events) == []
        assert modes(events) == ["text", "text"]
        assert len(server.requests) == 5


async def test_a_server_that_rejects_tools_but_keeps_to_a_schema() -> None:
    """It is asked for the constrained object, whose reply and arguments are streamed."""

    def answer(request: Request) -> Reply:
        body = request.json or {}
        if "tools" in body:
            return Reply(status=422, text="Unrecognized request argument supplied: tools")
        assert body["response_format"]["type"] == "json_schema"
        if "40" in request.messages[-1]["content"]:
            return Reply(json.dumps({"tool": "none", "reply": 'It is "40".'}), pieces=None)
        return Reply('{"tool": "add", "arguments": {"a": 17, "b": 23}}')

    async with ChatServer(answer) as server:
        events, text = await events_of(agent(server, profile=Profile(json_schema=True)))
    assert text == 'It is "40".'
    assert [e.tool_mode for e in of(ModelChanged, events)] == ["constrained"]
    assert [(c.name, c.result.text) for c in of(ToolCallComplete, events)] == [("add", "40")]


async def test_a_server_that_is_asked_natively_and_says_no() -> None:
    """Who insists on native calls is told that there are none."""
    async with ChatServer(no_tools) as server:
        with pytest.raises(ToolsUnsupportedError, match="not supported"):
            await agent(server, tool_calling="native").generate("What is 17 + 23?")


@pytest.mark.parametrize("pieces", [None, [*HERMES]])
async def test_a_model_that_writes_its_calls_as_text(pieces: list[str] | None) -> None:
    """The first two are run although they came as text; from then on it is asked in text, and the run says why."""
    count = 0

    def answer(request: Request) -> Reply:
        nonlocal count
        count += 1
        return Reply(HERMES, pieces=pieces) if count <= 3 else Reply("Done: 40.")

    async with ChatServer(answer) as server:
        events, text = await events_of(agent(server))
        assert text == "Done: 40."
        assert [c.result.text for c in of(ToolCallComplete, events)] == ["40", "40", "40"]
        assert modes(events) == ["native", "native", "text", "text"]
        (changed,) = of(ModelChanged, events)
        assert "hermes" in changed.reason
        assert ["tools" in r.json for r in server.requests] == [True, True, False, False]
        assert "".join(e.delta for e in of(TextDelta, events)) == "Done: 40."


async def test_every_mode_by_request() -> None:
    """The same question gets the same answer in each mode, from a server that does what it is asked."""

    def answer(request: Request) -> Reply:
        body = request.json or {}
        asked = request.messages[-1]
        if asked["role"] == "tool" or "40" in asked["content"]:
            schema = body.get("response_format")
            return Reply('{"tool": "none", "reply": "It is 40."}' if schema else "It is 40.")
        if "tools" in body:
            return Reply(calls=[Call("add", {"a": 17, "b": 23})])
        if "response_format" in body:
            return Reply('{"tool": "add", "arguments": {"a": 17, "b": 23}}')
        return Reply(HERMES)

    async with ChatServer(answer) as server:
        told = []
        for mode in ("native", "constrained", "text"):
            result = await agent(server, tool_calling=mode).generate("What is 17 + 23?")
            told.append((result.text, [(c.name, c.arguments) for c in result.tool_calls], result.finish_reason))
    assert told == [("It is 40.", [("add", {"a": 17, "b": 23})], "stop")] * 3


async def test_a_server_that_ignores_the_schema() -> None:
    """It answers in prose, or in the calls of its training: both are understood."""
    script = [Reply("Sure.\n" + HERMES), Reply("It is 40.")]
    async with ChatServer(script) as server:
        events, text = await events_of(agent(server, tool_calling="constrained"))
    assert text == "It is 40."
    assert [c.result.text for c in of(ToolCallComplete, events)] == ["40"]


async def test_the_improvising_server_fills_the_constrained_schema() -> None:
    """Whatever fits the schema is an answer: the schema as sent is one that a server can fill."""
    async with ChatServer(improvise) as server:
        result = await agent(server, tool_calling="constrained", profile=Profile(answers_after_tools=True)).generate(
            "Add 17 and 23."
        )
    assert [c.name for c in result.tool_calls] == ["add"]


async def test_an_answer_cut_in_the_middle_of_a_call_is_no_call() -> None:
    """A stream that breaks is tried again; the half of a call that came is neither shown nor run."""
    script = [Reply(HERMES, pieces=[HERMES[:20], HERMES[20:]], cut_after=2), Reply("Nothing to add.")]
    async with ChatServer(script) as server:
        events, text = await events_of(agent(server))
    assert text == "Nothing to add."
    assert of(ToolCallComplete, events) == []
