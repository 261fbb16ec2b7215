"""JSON that is nested deeper than anybody reads it is an answer or an error that is not of the wire format, on every wire."""

from __future__ import annotations

import pytest

from lumosai import Agent
from lumosai.errors import BadRequestError, LumosaiError, MalformedAnswerError
from lumosai.models import AnthropicModel, GeminiModel, OpenAIChatModel, OpenAIResponsesModel
from tests.raw_server import Connection, RawServer

DEEP = b'{"x":' * 50_000
EVENTS, JSON = "text/event-stream", "application/json"


@pytest.mark.parametrize("wire", [OpenAIChatModel, OpenAIResponsesModel, AnthropicModel, GeminiModel])
@pytest.mark.parametrize(
    ("status", "kind", "body", "error"),
    [
        ("200 OK", EVENTS, b'data: {"choices":' + DEEP + b"\n\n", MalformedAnswerError),
        ("200 OK", EVENTS, b"data: " + b"[" * 50_000 + b"\n\n", MalformedAnswerError),
        ("200 OK", JSON, b'{"content":' + DEEP, MalformedAnswerError),
        ("400 Bad Request", JSON, b'{"error":' + DEEP, BadRequestError),
    ],
    ids=["event", "lists", "whole", "error"],
)
async def test_json_that_is_too_deep(
    wire: type, status: str, kind: str, body: bytes, error: type[LumosaiError]
) -> None:
    """It ends the run with its own error, streamed or not."""

    async def handler(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.answer(body, status, kind)

    async with RawServer(handler) as server:
        agent = Agent("a", model=wire("m", base_url=server.url, api_key="k"))
        with pytest.raises(error):
            await agent.generate("go")
        async with agent.stream("go") as run:
            with pytest.raises(error):
                await run.result()
