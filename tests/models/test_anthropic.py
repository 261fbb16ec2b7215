"""The model of the Messages API as it is asked: headers, whole answers, paused turns, errors, and an agent's whole run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import BaseModel

from lumosai import Agent, Limits, Message, ModelSettings, tool
from lumosai.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ContextLengthError,
    InvalidInputError,
    MediaUnsupportedError,
    MissingKeyError,
    ModelError,
    ModelNotFoundError,
    ModelTimeoutError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    SchemaUnsupportedError,
    ServerError,
    ToolsUnsupportedError,
)
from lumosai.events import Retrying, fold
from lumosai.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.models import AnthropicModel, ModelRequest, Profile, model
from lumosai.models._anthropic_send import CONTINUATIONS, address
from lumosai.models.base import AttemptStarted, Chunk, Finished, Model, PartChunk, TextChunk, ToolCallChunk, UsageChunk
from lumosai.models.retry import RetryModel
from lumosai.records import ToolDefinition
from tests.messages_server import MessagesServer, Said, sse
from tests.models.anthropic_types import check
from tests.models.test_streams import folded
from tests.raw_server import Connection, RawServer
from tests.servers import Reply

GO = (Message.user("go"),)
ASK = ModelRequest(messages=GO)
WHOLE = ModelRequest(messages=GO, incremental=False, settings=ModelSettings(max_output_tokens=100))
HELLO = {"type": "text", "text": "Hello."}
THOUGHT = {"type": "thinking", "thinking": "Hmm.", "signature": "c2ln"}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_a", "name": "web_search", "input": {"query": "q"}}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_a",
    "content": [{"type": "web_search_result", "url": "https://e.com", "title": "t", "encrypted_content": "RW5j"}],
}


def claude(server: MessagesServer, name: str = "claude-sonnet-4-5", **options: Any) -> AnthropicModel:
    return AnthropicModel(name, base_url=server.base_url, api_key="sk-ant-test", **options)


async def ask(asked: Model, request: ModelRequest = ASK) -> list[Chunk]:
    return [chunk async for chunk in asked.stream(request)]


def failing(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> Reply:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return Reply(status=status, body=json.dumps(body).encode(), headers=headers or {})


# What is sent.


async def test_the_head_of_a_request() -> None:
    """The key, the version, the user's headers and the trace; a beta feature is asked for only where it is used."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    upload = Message.user(FilePart(file_id="file_1", media_type="application/pdf"))
    async with MessagesServer([Said(HELLO)]) as server:
        asked = claude(server, headers={"X-Team": "blue", "anthropic-beta": "mcp-client-2025-04-04"})
        await ask(asked, ModelRequest(messages=GO, trace=trace))
        await ask(asked, ModelRequest(messages=(upload,)))
        await ask(claude(server))
    first, second, third = (r.headers for r in server.requests)
    assert first["x-api-key"] == "sk-ant-test" and first["anthropic-version"] == "2023-06-01"
    assert first["content-type"] == "application/json" and first["x-team"] == "blue"
    assert first["traceparent"] == trace and first["anthropic-beta"] == "mcp-client-2025-04-04"
    assert second["anthropic-beta"] == "mcp-client-2025-04-04,files-api-2025-04-14"
    assert "anthropic-beta" not in third and "authorization" not in third
    assert server.requests[0].path == "/v1/messages"


async def test_a_key_in_the_users_headers() -> None:
    """A token for another scheme takes the key's place."""
    async with MessagesServer([Said(HELLO)]) as server:
        asked = AnthropicModel("claude-x", base_url=server.base_url, headers={"Authorization": "Bearer sk-ant-oat"})
        await ask(asked)
    assert server.requests[0].headers["authorization"] == "Bearer sk-ant-oat"
    assert "x-api-key" not in server.requests[0].headers


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/messages"),
        ("https://api.example/anthropic", "https://api.example/anthropic/v1/messages"),
        ("https://api.example/v1beta?key=1", "https://api.example/v1beta/messages?key=1"),
        ("https://api.example/v1/messages", "https://api.example/v1/messages"),
    ],
)
def test_addresses(base_url: str, url: str) -> None:
    """The version may be left out, as the official client's variable has it."""
    assert address(base_url) == url


def test_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`anthropic:` and a bare `claude-` name it; the variables give key and address."""
    for written in ("anthropic:claude-sonnet-5", "claude-sonnet-5"):
        found = model(written)
        assert isinstance(found, AnthropicModel) and (found.provider, found.name) == ("anthropic", "claude-sonnet-5")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    assert AnthropicModel("claude-sonnet-5").endpoint == "http://127.0.0.1:1"


async def test_a_missing_key() -> None:
    """Anthropic's own address wants one, and it is said which variable is looked at."""
    with pytest.raises(MissingKeyError, match="ANTHROPIC_API_KEY"):
        await ask(AnthropicModel("claude-sonnet-5"))


async def test_whole_and_streamed() -> None:
    """A short whole answer is fetched whole, a long one as a stream: nothing comes for minutes else. Both read alike."""
    said = Said(THOUGHT, HELLO, {"type": "tool_use", "id": "toolu_a", "name": "add", "input": {"x": 1}}, id="msg_1")
    async with MessagesServer([said]) as server:
        streamed = await ask(claude(server))
        whole = await ask(claude(server), WHOLE)
        long = await ask(claude(server), ModelRequest(messages=GO, incremental=False))
        in_one = await claude(server).answer(WHOLE, lambda _: None)
    bodies = [r.json or {} for r in server.requests]
    assert ["stream" in b for b in bodies] == [True, False, True, False]
    assert [b["max_tokens"] for b in bodies] == [32_000, 100, 32_000, 100]
    for chunks in (streamed, whole, long, in_one):
        text, reasoning, calls, finish, usage = folded(chunks)
        assert (text, reasoning, finish, usage) == ("Hello.", "Hmm.", "tool_calls", (10, 5, 0, 0, 15))
        assert [(i, n, json.loads(a)) for i, n, a in calls] == [("toolu_a", "add", {"x": 1})]
    end = whole[-1]
    assert isinstance(end, Finished) and (end.response_id, end.model) == ("msg_1", "claude-test")


# Paused turns.


async def test_a_paused_turn_goes_on() -> None:
    """It is asked again with what it said so far, unchanged; what comes then is more of the same answer, tokens added up."""
    script = [
        Said(THOUGHT, {"type": "text", "text": "Let me look. "}, SEARCH, FOUND, stop="pause_turn"),
        Said({"type": "text", "text": "It is warm."}, usage={"input_tokens": 30, "output_tokens": 7}),
    ]
    for request in (ASK, WHOLE):
        async with MessagesServer(script) as server:
            chunks = await ask(claude(server), request)
        first, second = (r.json or {} for r in server.requests)
        assert second["messages"][:1] == first["messages"]
        text = {"type": "text", "text": "Let me look. "}
        assert second["messages"][1] == {"role": "assistant", "content": [THOUGHT, text, SEARCH, FOUND]}
        check(second)
        assert folded(chunks) == ("Let me look. It is warm.", "Hmm.", [], "stop", (40, 12, 0, 0, 52))
        assert [c.part.kind for c in chunks if isinstance(c, PartChunk)] == [
            "server_tool_use",
            "web_search_tool_result",
        ]
        assert not any(isinstance(c, AttemptStarted) for c in chunks)


async def test_calls_behind_a_pause_are_counted_on() -> None:
    """No two calls of one answer share an index."""

    def call(id_: str) -> dict[str, Any]:
        return {"type": "tool_use", "id": id_, "name": "add", "input": {}}

    async with MessagesServer([Said(call("toolu_a"), stop="pause_turn"), Said(call("toolu_b"))]) as server:
        chunks = await ask(claude(server))
    assert folded(chunks)[2] == [("toolu_a", "add", "{}"), ("toolu_b", "add", "{}")]
    assert {c.index for c in chunks if isinstance(c, ToolCallChunk)} == {0, 1}


async def test_a_turn_that_pauses_for_ever() -> None:
    """It ends as paused, after so many requests."""
    for request in (ASK, WHOLE):
        async with MessagesServer(lambda _: Said(HELLO, stop="pause_turn")) as server:
            chunks = await ask(claude(server), request)
        assert len(server.requests) == CONTINUATIONS + 1
        assert folded(chunks)[:1] == ("Hello." * (CONTINUATIONS + 1),)
        assert folded(chunks)[3] == "pause"


async def test_a_paused_turn_that_is_said_again() -> None:
    """A server that gives the same message in place of what goes on from it is not asked on; nothing is told twice."""
    for request in (ASK, WHOLE):
        async with MessagesServer([Said(HELLO, stop="pause_turn")]) as server:
            chunks = await ask(claude(server), request)
        assert len(server.requests) == 2
        assert folded(chunks) == ("Hello.", "", [], "pause", (10, 5, 0, 0, 15))


async def test_the_container_of_a_paused_turn() -> None:
    """Where the server's code ran is named when it goes on."""
    container = {"id": "container_1", "expires_at": "2030-01-01T00:00:00Z"}
    for request in (ASK, WHOLE):
        async with MessagesServer([Said(HELLO, stop="pause_turn", container=container), Said(HELLO)]) as server:
            chunks = await ask(claude(server), request)
        assert [(r.json or {}).get("container") for r in server.requests] == [None, "container_1"]
        parts = [c.part for c in chunks if isinstance(c, PartChunk)]
        assert parts == ([ProviderPart("anthropic", "container", container)] if request is ASK else parts)


async def test_an_error_behind_a_pause() -> None:
    """It is the answer's error."""
    script = [Said(HELLO, stop="pause_turn"), failing(529, "overloaded_error", "Overloaded")]
    for request in (ASK, WHOLE):
        async with MessagesServer(script) as server:
            with pytest.raises(ServerError, match="Overloaded"):
                await ask(claude(server), request)


# Errors.


@pytest.mark.parametrize(
    ("status", "kind", "message", "wanted", "retryable"),
    [
        (400, "invalid_request_error", "messages: at least one message is required", BadRequestError, False),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", ContextLengthError, False),
        (400, "invalid_request_error", "Your credit balance is too low", QuotaExceededError, False),
        (400, "invalid_request_error", "claude-2 does not support tools", ToolsUnsupportedError, False),
        (400, "invalid_request_error", "claude-x does not support output format.", SchemaUnsupportedError, False),
        (400, "invalid_request_error", "output_config: Extra inputs are not permitted", SchemaUnsupportedError, False),
        (400, "invalid_request_error", "output_config.effort: Extra inputs are not permitted", BadRequestError, False),
        (400, "invalid_request_error", "tools.0.custom.name: String should match", BadRequestError, False),
        (401, "authentication_error", "invalid x-api-key", AuthenticationError, False),
        (402, "billing_error", "payment", QuotaExceededError, False),
        (403, "permission_error", "not yours", PermissionDeniedError, False),
        (404, "not_found_error", "model: claude-x", ModelNotFoundError, False),
        (413, "request_too_large", "Request exceeds the maximum size", BadRequestError, False),
        (429, "rate_limit_error", "too many", RateLimitError, True),
        (500, "api_error", "Internal server error", ServerError, True),
        (504, "timeout_error", "timed out", ModelTimeoutError, True),
        (529, "overloaded_error", "Overloaded", ServerError, True),
    ],
)
async def test_error_answers(status: int, kind: str, message: str, wanted: type[ModelError], retryable: bool) -> None:
    """Each is the error that its type and its words mean, before the answer and in the middle of a stream."""
    begun = Said(HELLO).events()
    event = {"type": "error", "error": {"type": kind, "message": message}}
    midway = Reply(body=sse([next(begun), next(begun), event]), content_type="text/event-stream")
    async with MessagesServer([failing(status, kind, message), midway]) as server:
        for _ in range(2):
            with pytest.raises(ModelError) as caught:
                await ask(claude(server))
            error = caught.value
            assert type(error) is wanted
            assert (error.status, error.code, error.retryable) == (status, kind, retryable)
            assert message in str(error) and "sk-ant-test" not in str(error)


async def test_a_rate_limit_is_waited_for() -> None:
    """As long as the server asks."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    script = [
        failing(429, "rate_limit_error", "slow down", {"retry-after": "7"}),
        failing(529, "overloaded_error", "Overloaded"),
        Said(HELLO),
    ]
    async with MessagesServer(script) as server:
        chunks = await ask(RetryModel(claude(server), sleep=sleep))
    assert folded(chunks)[0] == "Hello." and waits[0] == 7 and len(waits) == 2


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        ("cache_control: Extra inputs are not permitted", "cache_control"),
        ("tools.0.custom.strict: Extra inputs are not permitted", "strict"),
        ("max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for claude-x", "32000"),
    ],
)
async def test_what_nobody_asked_for_is_left_out(words: str, gone: str) -> None:
    """A server that refuses what is sent on our own account is asked again without it, and it is remembered."""
    add = ToolDefinition(
        "add", "Adds.", {"type": "object", "properties": {}, "additionalProperties": False}, strict=True
    )
    request = ModelRequest(messages=GO, tools=(add,))
    async with MessagesServer([failing(400, "invalid_request_error", words), Said(HELLO)]) as server:
        asked = claude(server)
        assert isinstance((await ask(asked, request))[0], AttemptStarted)
        await ask(asked, request)
    assert [gone.encode() in r.body for r in server.requests] == [True, False, False]


async def test_thoughts_that_belong_to_another_history() -> None:
    """A model that refuses them, since something before them was changed, is given leave to drop them."""
    words = (
        "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation. "
        'Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to "drop_block".'
    )
    async with MessagesServer([failing(400, "invalid_request_error", words), Said(HELLO)]) as server:
        asked = claude(server, "claude-sonnet-5-5")
        await ask(asked, ModelRequest(messages=GO, settings=ModelSettings(reasoning="low")))
        await ask(asked)
    first, second, third = (r.json or {} for r in server.requests)
    binding = {"block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    assert first["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert second["thinking"] == {**first["thinking"], **binding} and third["thinking"] == {
        "type": "adaptive",
        **binding,
    }
    betas = [r.headers.get("anthropic-beta") for r in server.requests]
    assert betas == [None, *["thinking-binding-controls-2026-08-01"] * 2]


async def test_a_display_that_is_refused() -> None:
    """It is left out."""
    words = "thinking.adaptive.display: Extra inputs are not permitted"
    async with MessagesServer([failing(400, "invalid_request_error", words), Said(HELLO)]) as server:
        settings = ModelSettings(reasoning="low")
        await ask(claude(server, "claude-opus-4-6"), ModelRequest(messages=GO, settings=settings))
    assert [(r.json or {})["thinking"].get("display") for r in server.requests] == ["summarized", None]


async def test_what_was_asked_for_is_refused() -> None:
    """A longest answer of the user's own is not cut."""
    words = "max_tokens: 99999 > 8192, which is the maximum allowed number of output tokens"
    async with MessagesServer([failing(400, "invalid_request_error", words)]) as server:
        with pytest.raises(BadRequestError):
            await ask(claude(server), ModelRequest(messages=GO, settings=ModelSettings(max_output_tokens=99_999)))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        (AudioPart(data=b"x"), MediaUnsupportedError),
        (ImagePart(data=b"x", media_type="image/tiff"), MediaUnsupportedError),
        (FilePart(data=b"x", media_type="application/zip"), MediaUnsupportedError),
    ],
)
async def test_parts_that_it_does_not_take(part: Any, wanted: type[Exception]) -> None:
    """They are an error that names them, before any request; so they are where nothing is known of the model."""
    async with MessagesServer([Said(HELLO)]) as server:
        with pytest.raises(wanted):
            await ask(claude(server), ModelRequest(messages=(Message.user(part),)))
        with pytest.raises(InvalidInputError):
            await ask(claude(server, profile=Profile()), ModelRequest(messages=(Message.user(part),)))
    assert server.requests == []


async def test_a_header_that_breaks_the_line() -> None:
    """A key with a line break is a setting that cannot work."""
    async with MessagesServer([Said(HELLO)]) as server:
        with pytest.raises(ConfigurationError):
            await ask(AnthropicModel("claude-x", base_url=server.base_url, api_key="sk\nx"))


async def test_a_stream_that_is_left() -> None:
    """Closing it closes the connection: the server need not say the rest."""
    begun, opened, first, *_ = Said(HELLO).events()
    hold = asyncio.Event()
    reply = Reply(body=[sse([begun, opened, first]), b"x"], content_type="text/event-stream", hold=hold, hold_at=1)
    async with MessagesServer([reply]) as server:
        stream = claude(server).stream(ASK)
        while not isinstance(await anext(stream), TextChunk):
            pass
        await stream.aclose()
        async with asyncio.timeout(30):
            await server.requests[0].closed.wait()
        assert server.requests[0].cancelled


@pytest.mark.parametrize("tail", [b"", b'event: ping\ndata: {"type":"ping"}\n\n', b"data: [DONE]\n\n"])
async def test_a_stream_that_stays_open_behind_its_end(tail: bytes) -> None:
    """The message's end is the end, whatever the server does with the connection."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        await connection.chunk(sse(Said(HELLO).events()) + tail)
        await connection.until_gone()

    async with RawServer(handler) as server, asyncio.timeout(30):
        asked = AnthropicModel("claude-x", base_url=server.url, api_key="sk-test")
        assert folded(await ask(asked))[:1] == ("Hello.",)


async def test_a_connection_is_used_again() -> None:
    """A stream that came to its end leaves its connection for the next request."""

    async def handler(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.begin()
            await connection.chunk(sse(Said(HELLO).events()))
            await connection.chunk(b"")

    async with RawServer(handler) as server:
        asked = AnthropicModel("claude-x", base_url=server.url, api_key="sk-test")
        for _ in range(3):
            await ask(asked)
        assert len(server.connections) == 1


async def test_usage_is_told_at_the_beginning() -> None:
    """A stream that is left or breaks has told what its prompt costs."""
    async with MessagesServer([Said(HELLO)]) as server:
        stream = claude(server).stream(ASK)
        first = await anext(stream)
        await stream.aclose()
    assert isinstance(first, UsageChunk) and first.usage.input_tokens == 10


# Whole runs.


class Number(BaseModel):
    """A typed answer."""

    n: int


@tool
def add(x: int, y: int) -> int:
    """Adds."""
    return x + y


@tool
def double(x: int) -> int:
    """Doubles."""
    return 2 * x


def run_script() -> Iterable[Said]:
    return [
        Said(
            {"type": "thinking", "thinking": "First the sum.", "signature": "Zmlyc3Q="},
            {"type": "redacted_thinking", "data": "c2VjcmV0"},
            {"type": "text", "text": "I add."},
            {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"x": 1, "y": 2}},
            {"type": "tool_use", "id": "toolu_2", "name": "double", "input": {"x": 5}},
        ),
        Said(
            {"type": "thinking", "thinking": "", "signature": "c2Vjb25k"},
            {"type": "thinking", "thinking": "", "signature": "dGhpcmQ="},
            {"type": "tool_use", "id": "toolu_3", "name": "double", "input": {"x": 3}},
        ),
        Said({"type": "text", "text": "It is 6."}),
    ]


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_agents_run(streamed: bool) -> None:
    """Two tools, called side by side and again, to the answer; thoughts and their seals go back unchanged and in order."""
    settings = ModelSettings(reasoning="high")
    async with MessagesServer(run_script()) as server:
        agent = Agent("a", model=claude(server), tools=[add, double], settings=settings, instructions="Be brief.")
        if streamed:
            async with agent.stream("What is 2 * (1 + 2)?") as run:
                events = [e async for e in run]
                result = await run.result()
            assert fold(events).text == result.text
        else:
            result = await agent.generate("What is 2 * (1 + 2)?")
    assert result.text == "It is 6." and result.finish_reason == "stop"
    assert [r.text for s in result.steps for r in s.tool_results] == ["3", "10", "6"]
    assert result.usage.total_tokens == 45
    bodies = [r.json or {} for r in server.requests]
    for body in bodies:
        check(body)
        assert body["thinking"] == {"type": "enabled", "budget_tokens": 20_000}
        assert body["system"][0]["text"] == "Be brief."
    assert [m["role"] for m in bodies[2]["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    _, first, results, second, last = bodies[2]["messages"]
    said = list(run_script())
    assert first["content"] == said[0].message["content"]
    assert second["content"] == said[1].message["content"]
    assert [(b["type"], b["tool_use_id"], b["content"]) for b in results["content"]] == [
        ("tool_result", "toolu_1", "3"),
        ("tool_result", "toolu_2", "10"),
    ]
    assert [b["tool_use_id"] for b in last["content"]] == ["toolu_3"]


async def test_a_run_with_broken_arguments() -> None:
    """They go back to the model, as the text they were, and it tries again; nothing is made up and nothing runs."""
    half = [
        {"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": []}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "toolu_1", "name": "add"},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": '{"x": 1, "y": '},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    script = [
        Reply(body=sse(half), content_type="text/event-stream"),
        Said({"type": "tool_use", "id": "toolu_2", "name": "add", "input": {"x": 1, "y": 2}}),
        Said(HELLO),
    ]
    async with MessagesServer(script) as server:
        async with Agent("a", model=claude(server), tools=[add]).stream("go") as run:
            result = await run.result()
    bodies = [r.json or {} for r in server.requests]
    _, told, results = bodies[1]["messages"]
    assert told["content"][0]["input"] == {"invalid_json": '{"x": 1, "y": '}
    assert results["content"][0]["is_error"] is True
    assert result.text == "Hello." and [r.is_error for s in result.steps for r in s.tool_results] == [True, False]


async def test_a_run_of_server_tools() -> None:
    """What the server's own tools did stands in the message, in order, and goes back unchanged in the next turn."""
    said = Said({"type": "text", "text": "I look."}, SEARCH, FOUND, {"type": "text", "text": "Warm."})
    search = {"type": "web_search_20250305", "name": "web_search"}
    async with MessagesServer([said, Said(HELLO)]) as server:
        agent = Agent("a", model=claude(server), tools=[add], settings=ModelSettings(extra={"tools": [search]}))
        result = await agent.generate("How is the weather?")
        await agent.generate([Message.user("How is the weather?"), *result.messages, Message.user("Thanks.")])
    assert [type(p) for p in result.messages[0].parts] == [TextPart, ProviderPart, ProviderPart, TextPart]
    bodies = [r.json or {} for r in server.requests]
    assert [t["name"] for t in bodies[0]["tools"]] == ["web_search", "add"]
    assert bodies[1]["messages"][1]["content"] == said.message["content"]
    check(bodies[1])


async def test_a_run_whose_first_stream_is_spliced() -> None:
    """The answer is asked for again; of the two that came as one nothing is left in what the run gives."""
    first, second = (
        list(Said({"type": "text", "text": "Half of one."}).events()),
        Said({"type": "text", "text": "Two."}),
    )
    spliced = Reply(body=sse([*first[:3], *second.events()]), content_type="text/event-stream")
    async with MessagesServer([spliced, Said({"type": "text", "text": "The answer."})]) as server:
        async with Agent("a", model=claude(server)).stream("go") as run:
            events = [e async for e in run]
            result = await run.result()
    assert result.text == fold(events).text == "The answer."
    assert [e.discard for e in events if isinstance(e, Retrying)] == [True]


async def test_a_typed_answer() -> None:
    """A model that can be held to a schema is; another is given a tool that it must call."""
    text = Said({"type": "text", "text": '{"n": 3}'})
    call = Said({"type": "tool_use", "id": "toolu_1", "name": "final_output", "input": {"n": 3}})
    for name, said in (("claude-sonnet-4-5", text), ("claude-3-haiku-20240307", call)):
        async with MessagesServer([said]) as server:
            result = await Agent("a", model=claude(server, name), output_type=Number).generate("go")
        body = server.requests[0].json or {}
        check(body)
        assert result.output == Number(n=3)
        if said is text:
            schema = body["output_config"]["format"]["schema"]
            assert schema["properties"]["n"]["type"] == "integer" and schema["additionalProperties"] is False
        else:
            assert body["tool_choice"] == {"type": "any"}


async def test_a_run_that_ends_without_tools() -> None:
    """The last answer of a run that may call no more is asked for with the calls of its history still declared."""
    call = Said({"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"x": 1, "y": 2}})
    async with MessagesServer([call, Said(HELLO)]) as server:
        agent = Agent("a", model=claude(server), tools=[add], limits=Limits(max_steps=1))
        result = await agent.generate("go")
    body = server.requests[-1].json or {}
    check(body)
    assert result.text == "Hello."
    assert [t["name"] for t in body["tools"]] == ["add"] and body["tool_choice"] == {"type": "none"}


async def test_a_refusal_is_told() -> None:
    """A run that the model declined ends with that reason, and what the API says of it stands in the message."""
    details = {"type": "refusal", "category": "cyber", "explanation": "Not that."}
    async with MessagesServer([Said(stop="refusal", stop_details=details)]) as server:
        result = await Agent("a", model=claude(server)).generate("go")
    assert result.finish_reason == "refusal" and result.text == ""
    assert result.messages[0].parts == (ProviderPart("anthropic", "stop_details", details),)


async def test_a_conversation_begun_elsewhere() -> None:
    """Its calls keep their results, by ids that this API takes; thoughts of others stay there."""
    history = [
        Message.user("What is 1 + 2?"),
        Message.assistant(
            ReasoningPart("Hmm.", "sig", "deepseek"),
            ProviderPart("openrouter", "reasoning_details", [{"type": "x"}]),
            ToolCallPart("functions.add:0", "add", {"x": 1, "y": 2}, signature='{"google":{"thought_signature":"x"}}'),
        ),
    ]
    history += [Message.tool(ToolResultPart("functions.add:0", "add", "3")), Message.user("And doubled?")]
    async with MessagesServer([Said(HELLO)]) as server:
        await Agent("a", model=claude(server), tools=[add]).generate(history)
    body = server.requests[0].json or {}
    check(body)
    call, (result, more) = body["messages"][1]["content"], body["messages"][2]["content"]
    assert [b["type"] for b in call] == ["tool_use"] and "caller" not in call[0]
    assert call[0]["id"] == result["tool_use_id"] and call[0]["id"].replace("_", "").isalnum()
    assert more["text"] == "And doubled?"
