"""An agent with a Gemini model: runs to their end over a server that checks its history as the real one does."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from lumosai import Agent
from lumosai.errors import BadRequestError
from lumosai.events import Retrying
from lumosai.messages import Message, ProviderPart, ToolCallPart, ToolResultPart
from lumosai.models import GeminiModel
from lumosai.tools import tool
from tests.models.gemini_server import GeminiServer, Turn, framed

SEALED = {"functionCall": {"name": "add", "args": {"a": 1, "b": 2}}, "thoughtSignature": "c2lnQQ=="}


@dataclass
class Sum:
    """A sum."""

    total: int


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@tool
def multiply(a: int, b: int) -> int:
    """Multiplies."""
    return a * b


def agent(server: GeminiServer, name: str = "gemini-3.8-flash", **options: Any) -> Agent[Any]:
    model = GeminiModel(name, base_url=server.base_url, api_key="key-1234567")
    return Agent("clerk", model=model, tools=[add, multiply], instructions="Count well.", **options)


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_run_of_two_tools(streamed: bool) -> None:
    """Parallel calls, then one more, then the answer; every part goes back as it came, signatures and thoughts with it."""
    turns = [
        Turn(
            [
                {"text": "Both.", "thought": True},
                SEALED,
                {"functionCall": {"name": "multiply", "args": {"a": 3, "b": 4}}},
            ]
        ),
        Turn([{"functionCall": {"name": "multiply", "args": {"a": 3, "b": 12}}, "thoughtSignature": "c2lnQg=="}]),
        Turn([{"text": "It is "}, {"text": "36."}, {"text": "", "thoughtSignature": "c2lnQw=="}]),
    ]
    async with GeminiServer(turns, signatures=True) as server:
        clerk = agent(server)
        if streamed:
            async with clerk.stream("3 times (3 times 4), and 1 and 2?") as run:
                async for _ in run:
                    pass
                result = await run.result()
        else:
            result = await clerk.generate("3 times (3 times 4), and 1 and 2?")
        again = await clerk.generate([Message.user("hi"), *result.messages, Message.user("Sure?")])
    assert (result.text, result.finish_reason) == ("It is 36.", "stop")
    assert again.text == "It is 36."
    assert (result.usage.input_tokens, result.usage.output_tokens) == (30, 15)
    method = "streamGenerateContent" if streamed else "generateContent"
    assert server.requests[0].path == f"/v1beta/models/gemini-3.8-flash:{method}"
    assert server.requests[0].headers["x-goog-api-key"] == "key-1234567"
    assert server.requests[0].json["systemInstruction"] == {"parts": [{"text": "Count well."}]}
    contents = server.requests[-1].contents
    assert contents[1] == {"role": "model", "parts": list(turns[0].parts)}
    assert contents[2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "add", "response": {"output": "3"}}},
            {"functionResponse": {"name": "multiply", "response": {"output": "12"}}},
        ],
    }
    assert contents[3] == {"role": "model", "parts": list(turns[1].parts)}
    assert contents[5] == {
        "role": "model",
        "parts": [{"text": "It is 36."}, {"text": "", "thoughtSignature": "c2lnQw=="}],
    }


async def test_a_history_of_another_provider() -> None:
    """A call that Gemini did not make gets the documented placeholder; a server that insists on one takes it."""
    history = [
        Message.user("1 and 2?"),
        Message.assistant(
            ToolCallPart("toolu_1", "add", {"a": 1, "b": 2}), ToolCallPart("toolu_2", "add", {"a": 2, "b": 2})
        ),
        Message.tool(ToolResultPart("toolu_2", "add", "4"), ToolResultPart("toolu_1", "add", "3")),
        Message.assistant("3 and 4."),
        Message.user("Thanks."),
    ]
    async with GeminiServer([Turn([{"text": "Welcome."}])], signatures=True) as server:
        assert (await agent(server).generate(history)).text == "Welcome."
        with pytest.raises(BadRequestError, match="thought_signature"):
            await agent(server, "gemini-2.5-flash").generate(history)
    first, second = server.requests[0].contents[1]["parts"]
    assert first == {
        "functionCall": {"name": "add", "args": {"a": 1, "b": 2}, "id": "toolu_1"},
        "thoughtSignature": "skip_thought_signature_validator",
    }
    assert "thoughtSignature" not in second


async def test_a_seal_behind_text_that_was_held_back() -> None:
    """Text that might have been a call is shown late; the seal behind it goes back behind it."""
    words = 'Look:\n```json\n{"name": "nothing"}\n```'
    parts = [{"text": words[:20]}, {"text": words[20:]}, {"text": "", "thoughtSignature": "c2lnQw=="}]
    async with GeminiServer([Turn(parts)]) as server:
        clerk = agent(server)
        result = await clerk.generate("Show me.")
        await clerk.generate([Message.user("Show me."), *result.messages, Message.user("Thanks.")])
    assert result.text == words
    sealed = {"text": "", "thoughtSignature": "c2lnQw=="}
    assert server.requests[-1].contents[1]["parts"] == [{"text": words}, sealed]


async def test_a_call_that_the_model_could_not_write() -> None:
    """The model is asked again, as after any passing failure; the run says so and reaches its end."""
    failed = Turn([], finish="MALFORMED_FUNCTION_CALL", candidate={"finishMessage": "Malformed function call: add(1"})
    async with GeminiServer([failed, Turn([{"text": "Three."}])]) as server:
        async with agent(server).stream("1 and 2?") as run:
            events = [event async for event in run]
            result = await run.result()
    assert result.text == "Three."
    reasons = [e.reason for e in events if isinstance(e, Retrying)]
    assert len(reasons) == 1 and "MALFORMED_FUNCTION_CALL" in reasons[0]


async def test_an_answer_that_was_stopped() -> None:
    """The run ends with the reason, keeps what was said, and has the filter's own words in the message."""
    async with GeminiServer([Turn([{"text": "Well"}], finish="SAFETY")]) as server:
        result = await agent(server).generate("Say it.")
    assert (result.text, result.finish_reason) == ("Well", "content_filter")
    (told,) = [p for p in result.messages[0].parts if isinstance(p, ProviderPart)]
    assert told.data == {"finishReason": "SAFETY"}
    async with GeminiServer([Turn(body=framed({"promptFeedback": {"blockReason": "OTHER"}}))]) as server:
        assert (await agent(server).generate("Say it.")).finish_reason == "content_filter"


async def test_typed_answers_beside_tools() -> None:
    """A model that can is held to the schema; another gives the answer as a tool's arguments."""
    for name, turn in (
        ("gemini-3.8-flash", Turn([{"text": '{"total": 3}'}])),
        ("gemini-2.5-flash", Turn([{"functionCall": {"name": "final_output", "args": {"total": 3}}}])),
    ):
        async with GeminiServer([turn]) as server:
            result = await agent(server, name, output_type=Sum).generate("1 and 2?")
        assert result.output == Sum(3)
        held = "responseJsonSchema" in server.requests[0].json.get("generationConfig", {})
        assert held == (name == "gemini-3.8-flash")


async def test_what_it_costs() -> None:
    """By the price list, thoughts among the output."""
    pytest.importorskip("genai_prices")
    used = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "thoughtsTokenCount": 900, "totalTokenCount": 2000}
    async with GeminiServer([Turn([{"text": "Hi"}], usage=used)]) as server:
        result = await agent(server, "gemini-2.5-flash").generate("Hi")
    assert result.cost_usd == pytest.approx(Decimal("0.0028"))
