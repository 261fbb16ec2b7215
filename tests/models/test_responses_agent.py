"""Runs of an agent over a server of `/responses` that minds its history as OpenAI's does: thoughts with their calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from lumosai import Agent
from lumosai.agent.run import Run
from lumosai.events import ModelCallComplete, ReasoningDelta, Retrying, TextDelta, ToolCallDelta
from lumosai.messages import ImagePart, Message, ProviderPart
from lumosai.models import FallbackModel, OpenAIChatModel, OpenAIResponsesModel
from lumosai.tools import tool
from tests.models.responses_server import (
    Item,
    ResponsesServer,
    Told,
    call,
    custom,
    events_of,
    message,
    refusal,
    sse,
    thought,
)
from tests.servers import ChatServer, Reply, Request


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@tool
def multiply(a: int, b: int) -> int:
    """Multiplies."""
    return a * b


class Minded:
    """Answers by script, but refuses a request whose items its own server would refuse.

    Every call has its output and every output its call; a thought is followed by what it led to, and goes back as it came.
    """

    def __init__(self, answers: Sequence[Told]) -> None:
        self._answers: Iterator[Told] = iter(answers)
        self.given: list[Item] = []

    def __call__(self, request: Request) -> Told | Reply:
        body = request.json or {}
        items: list[Item] = body["input"]
        if why := self._refusal(items):
            return Reply(status=400, text=why)
        told = next(self._answers)
        self.given += told.output
        return told

    def _refusal(self, items: list[Item]) -> str:
        calls = [i["call_id"] for i in items if i.get("type") in ("function_call", "custom_tool_call")]
        outputs = [i["call_id"] for i in items if str(i.get("type")).endswith("_output")]
        if sorted(calls) != sorted(outputs):
            return f"No tool output found for function call among {calls}"
        thoughts = [i for i in items if i.get("type") == "reasoning"]
        if thoughts != [i for i in self.given if i["type"] == "reasoning"]:
            return f"The encrypted content of {[i['id'] for i in thoughts]} was not given or is not all there"
        for one, after in zip(items, [*items[1:], {}], strict=True):
            if one.get("type") == "reasoning" and after.get("role", "assistant") != "assistant":
                return f"Item {one['id']!r} of type 'reasoning' was provided without its required following item."
        kinds = {i["call_id"]: i["type"] for i in items if str(i.get("type")).endswith("_call") and "call_id" in i}
        for item in items:
            kind = str(item.get("type"))
            if kind.endswith("_output") and not kind.startswith(kinds[item["call_id"]].removesuffix("_call")):
                return f"{kind} for a {kinds[item['call_id']]}"
        return ""


STEPS = [
    Told(
        [
            thought("Both at once."),
            call("add", '{"a": 1, "b": 2}'),
            call("multiply", '{"a": 3, "b": 4}', id="fc_2", call_id="call_2"),
        ]
    ),
    Told(
        [
            thought(id="rs_2", sealed="s2"),
            thought("Now.", id="rs_3", sealed="s3"),
            message("Let me see.", phase="commentary"),
            call("multiply", '{"a": 3, "b": 12}', id="fc_3", call_id="call_3"),
        ],
        id="resp_2",
    ),
    Told([thought(id="rs_4", sealed="s4"), message("It is 36.", id="msg_2", phase="final_answer")], id="resp_3"),
]


def made(server: ChatServer, name: str = "gpt-5-mini", **options: Any) -> OpenAIResponsesModel:
    return OpenAIResponsesModel(name, base_url=server.base_url, api_key="sk-test", **options)


def clerk(model: Any, **options: Any) -> Agent[Any]:
    return Agent("clerk", model=model, tools=[add, multiply], instructions="Count well.", **options)


async def finished(run: Run[Any]) -> list[Any]:
    async with run:
        return [e async for e in run]


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_run_of_two_tools(streamed: bool) -> None:
    """Parallel calls, one more, the answer: every item goes back as it came, and again in the next run."""
    async with ResponsesServer(Minded([*STEPS, Told([message("Yes.", id="msg_3")], id="resp_4")])) as server:
        agent = clerk(made(server))
        if streamed:
            run = agent.stream("3 times (3 times 4), and 1 and 2?")
            events = await finished(run)
            assert [e.delta for e in events if isinstance(e, ReasoningDelta)]
            assert "".join(e.delta for e in events if isinstance(e, TextDelta)) == "Let me see.It is 36."
            assert {e.call_id for e in events if isinstance(e, ToolCallDelta)} == {"call_1", "call_2", "call_3"}
            ended = [e for e in events if isinstance(e, ModelCallComplete)]
            assert [e.response_id for e in ended] == ["resp_1", "resp_2", "resp_3"]
            result = await run.result()
        else:
            result = await agent.generate("3 times (3 times 4), and 1 and 2?")
        again = await agent.generate(
            [Message.user("3 times (3 times 4), and 1 and 2?"), *result.messages, Message.user("Sure?")]
        )
        bodies = [r.json or {} for r in server.requests]
    assert (result.text, result.finish_reason, again.text) == ("It is 36.", "stop", "Yes.")
    assert [r.text for s in result.steps for r in s.tool_results] == ["3", "12", "36"]
    assert (result.usage.input_tokens, result.usage.reasoning_tokens, result.usage.cache_read_tokens) == (60, 12, 24)
    assert all(b["store"] is False and "previous_response_id" not in b for b in bodies)
    assert all(b["instructions"] == "Count well." for b in bodies)
    told = [i for t in STEPS for i in t.output]
    assert [
        i
        for i in bodies[-1]["input"]
        if i.get("type") not in (None, "function_call_output") and i.get("role") != "user"
    ] == told


async def test_arguments_that_are_no_json_go_back_to_the_model() -> None:
    """The tool does not run; the model is told what it wrote, and mends it."""
    broken, mended = call("add", '{"a": 1, "b"'), call("add", '{"a": 1, "b": 2}', id="fc_2", call_id="call_2")
    async with ResponsesServer(Minded([Told([broken]), Told([mended]), Told([message("3.")])])) as server:
        result = await clerk(made(server)).generate("1 and 2?")
        second = (server.requests[1].json or {})["input"]
    assert result.text == "3."
    assert [r.is_error for s in result.steps for r in s.tool_results] == [True, False]
    assert json.loads(second[1]["arguments"]) == {"invalid_json": '{"a": 1, "b"'}


async def test_arguments_that_were_cut_do_not_run() -> None:
    """An answer that reached its longest in the middle of a call runs nothing."""
    cut = Told(
        [{**call("add", '{"a": 1, "b": 2'), "status": "incomplete"}], status="incomplete", why="max_output_tokens"
    )
    async with ResponsesServer(Minded([cut, Told([message("3.")])])) as server:
        result = await clerk(made(server)).generate("1 and 2?")
    assert [r.is_error for s in result.steps for r in s.tool_results] == [True]


async def test_a_custom_tool() -> None:
    """Its free text is the one argument `input`, and its result goes back as a custom tool's."""
    heard: list[str] = []

    @tool
    def run(input: str) -> str:  # noqa: A002  # the argument's name
        """Runs code."""
        heard.append(input)
        return "42"

    code = 'print("é\\n" + \'"\')\n🌍'
    declared = {"type": "custom", "name": "run", "description": "Runs code.", "format": {"type": "text"}}
    answers = [Told([thought("Hm."), custom("run", code)], size=1), Told([message("42.")])]
    async with ResponsesServer(Minded(answers)) as server:
        agent = Agent("coder", model=made(server, tools=[declared]), tools=[run, add])
        result = await agent.generate("Run it.", settings=None)
        first, second = (r.json or {} for r in server.requests)
    assert (result.text, heard) == ("42.", [code])
    assert [(t["type"], t["name"]) for t in first["tools"]] == [("custom", "run"), ("function", "add")]
    assert second["input"][2] == {
        "type": "custom_tool_call",
        "id": "ctc_1",
        "call_id": "call_1",
        "name": "run",
        "input": code,
    }
    assert second["input"][3] == {"type": "custom_tool_call_output", "call_id": "call_1", "output": "42"}


async def test_a_tool_that_gives_a_picture() -> None:
    """It stands in the call's own output."""

    @tool
    def look() -> ImagePart:
        """Looks."""
        return ImagePart(b"\x89PNG\r\n\x1a\n")

    async with ResponsesServer(Minded([Told([call("look", "")]), Told([message("A cat.")])])) as server:
        result = await Agent("eye", model=made(server), tools=[look]).generate("What is it?")
        output = (server.requests[1].json or {})["input"][2]["output"]
    assert result.text == "A cat."
    assert [p["type"] for p in output] == ["input_image"]


class City(BaseModel):
    name: str
    people: int


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_typed_answer(streamed: bool) -> None:
    """The schema is in `text.format`, and the answer becomes the type."""
    told = Told([thought("Hm."), message('{"name": "Paris", "people": 2100000}')])
    async with ResponsesServer(Minded([told])) as server:
        agent = Agent("geo", model=made(server), output_type=City)
        if streamed:
            async with agent.stream("Paris?") as run:
                result = await run.result()
        else:
            result = await agent.generate("Paris?")
        format_ = (server.requests[0].json or {})["text"]["format"]
    assert result.output == City(name="Paris", people=2_100_000)
    assert (format_["type"], format_["strict"]) == ("json_schema", True)


async def test_a_refusal_ends_the_run_by_its_name() -> None:
    """Not as an answer."""
    async with ResponsesServer([Told([refusal("I cannot.")])]) as server:
        result = await clerk(made(server)).generate("Do it.")
    assert (result.text, result.finish_reason) == ("I cannot.", "refusal")


async def test_what_the_servers_tools_did_is_in_the_messages() -> None:
    """A search's item stands in the answer and goes back in the next run."""
    search = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "q"},
    }
    async with ResponsesServer(Minded([Told([search, message("Found.")]), Told([message("Yes.")])])) as server:
        agent = Agent("finder", model=made(server, tools=[{"type": "web_search"}]))
        result = await agent.generate("Find it.")
        await agent.generate([Message.user("Find it."), *result.messages, Message.user("Sure?")])
        items = (server.requests[1].json or {})["input"]
    assert result.messages[0].parts[0] == ProviderPart("openai-responses", "web_search_call", search)
    assert items[1] == search


def spliced() -> Reply:
    """A stream that another answer breaks into."""
    one, other = Told([message("The capital is Par")]), Told([message("Berlin.", id="msg_9")], id="resp_9")
    return Reply(body=sse([*events_of(one)[:6], *events_of(other)]), content_type="text/event-stream")


async def test_an_answer_that_was_mixed_up_is_asked_for_again() -> None:
    """What was shown of it is void, and the run ends with the next answer alone."""
    async with ResponsesServer([spliced(), Told([message("Paris.")])]) as server:
        run = clerk(made(server)).stream("The capital?")
        events = await finished(run)
        result = await run.result()
    assert result.text == "Paris."
    assert [e.discard for e in events if isinstance(e, Retrying)] == [True]


@pytest.mark.parametrize("other", ["responses", "chat"])
async def test_a_fallback_goes_on_with_what_the_first_began(other: str) -> None:
    """Another host, and another protocol, are sent calls and results, but no thought and no id that is not theirs."""
    first = Told([thought("Hm."), call("add", '{"a": 1, "b": 2}')])
    down = Reply(status=400, text="The model is gone.")
    async with ResponsesServer([first, down]) as one, ResponsesServer([Told([message("3.")])]) as two, ChatServer([Reply("3.")]) as chat:  # fmt: skip
        elsewhere = two.base_url.replace("127.0.0.1", "localhost")
        models: dict[str, Any] = {
            "responses": OpenAIResponsesModel("m", base_url=elsewhere, api_key="k"),
            "chat": OpenAIChatModel("m", base_url=chat.base_url, api_key="k"),
        }
        result = await clerk(FallbackModel(made(one), models[other])).generate("1 and 2?")
        text = json.dumps((chat if other == "chat" else two).requests[0].json)
    assert result.text == "3."
    assert "call_1" in text
    assert not [own for own in ("gAAAA", "fc_1", "rs_1", "extra_content") if own in text]
