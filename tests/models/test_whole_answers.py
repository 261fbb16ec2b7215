"""Answers in one piece: for a request that nobody reads in deltas, `answer` gives what `stream` would, in every wrapper."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from lumosai.errors import AuthenticationError, ServerError
from lumosai.messages import Message
from lumosai.models import ModelRequest, OpenAIChatModel, Profile, RetryModel
from lumosai.models.base import AttemptStarted, Chunk, Finished, Model, TextChunk, WholeModel
from lumosai.models.calling import CallingModel, prepare
from lumosai.records import ModelSettings, ToolDefinition
from lumosai.testing import ScriptedModel
from tests.raw_server import Connection, RawServer
from tests.servers import Call, ChatServer, Reply, Request

ADD = ToolDefinition("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
HERMES = 'Let me see.\n<tool_call>\n{"name": "add", "arguments": {"a": 17}}\n</tool_call>\n'
BARE = ModelRequest(messages=(Message.user("go"),), incremental=False)
WITH_TOOLS = ModelRequest(messages=(Message.user("go"),), tools=(ADD,), tool_mode="auto", incremental=False)


def no_tools(request: Request) -> Reply:
    if "tools" in (request.json or {}):
        return Reply(status=400, text="tools is not supported by this model")
    return Reply(HERMES)


def no_long_name(request: Request) -> Reply:
    if "max_completion_tokens" in (request.json or {}):
        return Reply(status=400, text="Unsupported parameter: max_completion_tokens. Use max_tokens.")
    return Reply("fine")


def failing_once() -> Callable[[Request], Reply]:
    replies = [Reply("boom", status=503), Reply("", calls=[Call("add", '{"a":1}')]), Reply("fine")]
    return lambda _request: replies.pop(0)


SCENES: dict[str, tuple[Callable[[], Callable[[Request], Reply]], ModelRequest]] = {
    "text": (lambda: lambda _: Reply("Hello."), BARE),
    "text beside tools": (lambda: lambda _: Reply("Hello."), WITH_TOOLS),
    "a call": (lambda: lambda _: Reply("", calls=[Call("add", '{"a":1}')]), WITH_TOOLS),
    "text and calls": (lambda: lambda _: Reply("Now.", calls=[Call("add", '{"a":1}')] * 2), WITH_TOOLS),
    "a call as text": (lambda: lambda _: Reply(HERMES), WITH_TOOLS),
    "a passing failure": (failing_once, WITH_TOOLS),
    "tools refused": (lambda: no_tools, WITH_TOOLS),
}


async def no_wait(_seconds: float) -> None:
    """Lets no time pass."""


def asked(server: ChatServer, profile: Profile | None = None) -> CallingModel:
    model = OpenAIChatModel("m", base_url=server.base_url, api_key="k", profile=profile)
    return CallingModel(RetryModel(model, sleep=no_wait))


async def streamed(model: Model, request: ModelRequest) -> tuple[list[Chunk], list[AttemptStarted]]:
    chunks = [c async for c in model.stream(request)]
    return [c for c in chunks if type(c) is not AttemptStarted], [c for c in chunks if type(c) is AttemptStarted]


async def whole(model: WholeModel, request: ModelRequest) -> tuple[list[Chunk], list[AttemptStarted]]:
    told: list[AttemptStarted] = []
    return list(await model.answer(request, told.append)), told


@pytest.mark.parametrize("scene", SCENES)
async def test_the_same_as_a_stream(scene: str) -> None:
    """The same chunks in the same order, the same further requests announced, and the same learned."""
    script, request = SCENES[scene]
    async with ChatServer(script()) as server:
        first = asked(server)
        by_stream = await streamed(first, request)
        sent = len(server.requests)
    async with ChatServer(script()) as server:
        second = asked(server)
        assert second.in_one_piece
        by_answer = await whole(second, request)
        assert len(server.requests) == sent
    assert [_placeless(c) for c in by_answer[0]] == [_placeless(c) for c in by_stream[0]]
    assert [_placeless(c) for c in by_answer[1]] == [_placeless(c) for c in by_stream[1]]
    assert len(by_stream[0]) > 1
    assert second.mode(request) == first.mode(request)


def _placeless(chunk: Chunk) -> str:
    """A chunk without what differs from server to server: its port, and the jitter of a wait."""
    if isinstance(chunk, AttemptStarted):
        return f"{chunk.attempt} {chunk.model} {chunk.tool_mode} {chunk.discard} {chunk.reason.partition(':')[0]}"
    return repr(chunk)


async def test_a_failure_that_stays() -> None:
    """Each attempt but the first is announced, and the last error is raised."""
    async with ChatServer(lambda _: Reply("boom", status=500)) as server:
        told: list[AttemptStarted] = []
        with pytest.raises(ServerError, match="boom"):
            await asked(server).answer(WITH_TOOLS, told.append)
        assert [t.attempt for t in told] == [2, 3]
        assert len(server.requests) == 3


async def test_a_failure_that_no_repetition_helps() -> None:
    """It is raised at once."""
    async with ChatServer(lambda _: Reply("who?", status=401)) as server:
        with pytest.raises(AuthenticationError):
            await whole(asked(server), BARE)
        assert len(server.requests) == 1


async def test_a_field_that_the_server_refuses() -> None:
    """It is asked again without what nobody asked for by that name, and told through every wrapper."""
    profile = Profile(max_tokens_field="max_completion_tokens")
    settings = ModelSettings(max_output_tokens=50)
    request = ModelRequest(messages=BARE.messages, settings=settings, incremental=False)
    async with ChatServer(no_long_name) as server:
        chunks, told = await whole(asked(server, profile), request)
    assert chunks[0] == TextChunk("fine") and type(chunks[-1]) is Finished
    assert [t.attempt for t in told] == [2]
    assert told[0].reason.startswith("rejected: ")


def test_who_cannot() -> None:
    """A model without `answer`, and a server that only streams, are asked for a stream."""
    assert not prepare(ScriptedModel("hi")).in_one_piece  # type: ignore[attr-defined]  # a CallingModel has it
    only = OpenAIChatModel("m", base_url="http://localhost:1", api_key="k", profile=Profile(stream_only=True))
    assert not CallingModel(RetryModel(only)).in_one_piece
    assert isinstance(only, WholeModel)


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_server_that_streams_unasked_and_never_ends(size: int) -> None:
    """Its last word is enough: nobody waits for the end of a connection that stays open."""
    said = {"choices": [{"index": 0, "delta": {"content": "Hello [DONE]"}, "finish_reason": "stop"}]}
    body = b"data: " + msgspec.json.encode(said) + b"\n\ndata: [DONE]\n\n"

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        for start in range(0, len(body), size):
            await connection.chunk(body[start : start + size])
            await asyncio.sleep(0)
        await connection.gone.wait()

    async with RawServer(handler) as server:
        model = OpenAIChatModel("m", base_url=f"{server.url}/v1", api_key="k")
        chunks = await asyncio.wait_for(model.answer(BARE, lambda _: None), 30)
    assert "".join(c.delta for c in chunks if isinstance(c, TextChunk)) == "Hello [DONE]"
