"""An agent with a Gemini model: runs to their end over a server that checks its history as the real one does."""

from __future__ import annotations

from typing import Any

import pytest

from lumosai import Agent
from lumosai.errors import BadRequestError
from lumosai.messages import Message, ToolCallPart, ToolResultPart
from lumosai.models import GeminiModel
from lumosai.tools import tool
from tests.models.gemini_server import GeminiServer, Turn

SEALED = {"functionCall": {"name": "add", "args": {"a": 1, "b": 2}}, "thoughtSignature": "c2lnQQ=="}


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@tool
def multiply(a: int, b: int) -> int:
    """Multiplies."""
    return a * b


def agent(server: GeminiServer, name: str = "gemini-3.8-flash", **options: Any) -> Agent[str]:
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
