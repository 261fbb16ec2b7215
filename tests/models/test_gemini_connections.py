"""What happens to the connection of a Gemini stream: broken, cut by the caller, used again."""

from __future__ import annotations

import json
from contextlib import aclosing

import pytest

from lumosai.errors import StreamInterruptedError
from lumosai.messages import Message
from lumosai.models import GeminiModel, ModelRequest
from lumosai.models.base import Chunk, Finished, TextChunk
from tests.models.gemini_server import framed
from tests.models.gemini_streams import CODE, KINDS, text
from tests.raw_server import Connection, RawServer

ASK = ModelRequest(messages=(Message.user("go"),))


def event(part: dict[str, object], finish: str | None = None) -> bytes:
    candidate: dict[str, object] = {"content": {"role": "model", "parts": [part]}, "index": 0}
    return framed({"candidates": [{**candidate, "finishReason": finish} if finish else candidate]})


async def broken_after(*events: bytes) -> list[Chunk]:
    """What the model makes of a stream whose connection is reset after these events."""

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        for each in events:
            await connection.chunk(each)
        connection.reset()

    async with RawServer(handle) as server:
        model = GeminiModel("gemini-2.5-flash", base_url=server.url, api_key="k")
        return [chunk async for chunk in model.stream(ASK)]


async def test_a_connection_that_breaks() -> None:
    """Behind the end that is too late to matter; before it, or where the server itself was to go on, it is an error."""
    chunks = await broken_after(event(text("Hi")), event(text(""), "STOP"))
    assert chunks == [TextChunk("Hi"), Finished("stop")]
    for events in ((event(text("Hi")),), (event(text("Hi")), event(CODE, "STOP"))):
        with pytest.raises(StreamInterruptedError) as caught:
            await broken_after(*events)
        assert caught.value.retryable


async def test_a_connection_serves_the_next_request() -> None:
    """A stream is read to its end, although no event says that it is over."""
    heads: list[str] = []

    async def handle(connection: Connection) -> None:
        while True:
            head, body = await connection.request()
            heads.append(head)
            assert json.loads(body)["contents"]
            await connection.begin()
            await connection.chunk(KINDS["text"].sse)
            await connection.chunk(b"")

    async with RawServer(handle) as server:
        model = GeminiModel("gemini-2.5-flash", base_url=f"{server.url}/v1beta", api_key="k")
        for _ in range(3):
            assert [c async for c in model.stream(ASK)][-1] == Finished("stop", "r-1", "gemini-x")
        assert len(server.connections) == 1
    assert heads[0].startswith("POST /v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse HTTP/1.1")
    assert "x-goog-api-key: k" in heads[0]


async def test_an_answer_that_is_given_up() -> None:
    """Closing the chunks closes the connection at once."""

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        await connection.chunk(event(text("Hi")))
        await connection.until_gone()

    async with RawServer(handle) as server:
        model = GeminiModel("gemini-2.5-flash", base_url=server.url, api_key="k")
        async with aclosing(model.stream(ASK)) as chunks:
            async for chunk in chunks:
                assert chunk == TextChunk("Hi")
                break
        await server.connections[0].gone.wait()
