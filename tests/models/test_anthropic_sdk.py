"""The official client beside ours: the same bytes give the same answer, and it knows every request that is built here."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lumosai.errors import InvalidInputError
from lumosai.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.models import ModelRequest, Profile
from lumosai.models._anthropic_request import Encoder
from lumosai.models.base import PartChunk, ReasoningChunk
from lumosai.models.providers import profile_of
from lumosai.records import ModelSettings, ToolDefinition
from tests.conftest import examples
from tests.messages_server import MessagesServer
from tests.models.anthropic_types import check
from tests.models.test_anthropic_streams import ASK_WHOLE, GOLDEN, RECORDED, STREAMS, folded, serve
from tests.models.test_streams import recorded
from tests.servers import Reply

anthropic = pytest.importorskip("anthropic")

# Answers.

OURS_ALONE = {
    "behind_the_end",  # the client reads on
    "broken_arguments",  # the client gives up on what a model may be told of
    "cut_call",  # the client completes what was cut
    "cut_call_before_arguments",
    "document",  # the client reads no document where it asked for events
    "halves_apart",
    "invalid_utf8",
    "nulls",
    "replaced_start",  # the client counts the first message
    "surrogate_halves",
    "usage_missing",
}
"""Streams that the official client reads otherwise, or not at all."""

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "pause_turn": "pause",
}


async def official(data: bytes) -> tuple[str, str, list[tuple[str, str, Any]], str, tuple[int, ...], list[str]]:
    """What the official client makes of a stream: text, thoughts, calls, finish, usage, seals."""
    async with MessagesServer([Reply(body=data, content_type="text/event-stream")]) as server:
        client = anthropic.AsyncAnthropic(
            api_key="sk-test", base_url=server.base_url.removesuffix("/v1"), max_retries=0
        )
        async with client.messages.stream(
            model="claude-test", max_tokens=100, messages=[{"role": "user", "content": "go"}]
        ) as stream:
            message = await stream.get_final_message()
        await client.close()
    blocks = message.content
    usage = message.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    given = usage.input_tokens + read + written
    thought = usage.output_tokens_details.thinking_tokens if usage.output_tokens_details else 0
    return (
        "".join(b.text for b in blocks if b.type == "text"),
        "".join(b.thinking for b in blocks if b.type == "thinking"),
        [(b.id, b.name, b.input) for b in blocks if b.type == "tool_use"],
        FINISH.get(message.stop_reason or "", "tool_calls" if any(b.type == "tool_use" for b in blocks) else "stop"),
        (given, usage.output_tokens, thought, read, given + usage.output_tokens),
        [b.signature for b in blocks if b.type == "thinking" and b.signature]
        + [b.data for b in blocks if b.type == "redacted_thinking"],
    )


async def ours(data: bytes) -> tuple[str, str, list[tuple[str, str, Any]], str | None, Any, list[str]]:
    chunks, error = await serve([data])
    assert error is None
    text, reasoning, calls, finish, usage = folded(chunks)
    parts = [c.part for c in chunks if isinstance(c, PartChunk)]
    seals = [c.signature for c in chunks if isinstance(c, ReasoningChunk) and c.signature]
    own = [p.data for p in parts if isinstance(p, ProviderPart)]
    seals += [d["signature"] for d in own if d.get("type") == "thinking"]
    seals += [d["data"] for d in own if d.get("type") == "redacted_thinking"]
    return text, reasoning, [(i, n, json.loads(a)) for i, n, a in calls], finish, usage, seals


@pytest.mark.parametrize("name", sorted(n for n, g in GOLDEN.items() if g.error is None and n not in OURS_ALONE))
async def test_the_same_bytes(name: str) -> None:
    """Text, thoughts and their seals, calls, the end and usage are those of the official client."""
    data = (STREAMS / f"{name}.sse").read_bytes()
    assert await ours(data) == await official(data)


@pytest.mark.parametrize("name", sorted(RECORDED))
async def test_the_same_recorded_bytes(name: str) -> None:
    """So they are for recorded streams."""
    data = recorded(name)
    if not data.startswith(b"event:"):
        events = [json.loads(line.removeprefix(b"data: ")) for line in data.splitlines() if line]
        data = b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)
    assert await ours(data) == await official(data)


async def test_the_same_whole_answer() -> None:
    """A whole answer is read as the official client reads it."""
    data = (STREAMS / "document.sse").read_bytes()
    async with MessagesServer([Reply(body=data)]) as server:
        client = anthropic.AsyncAnthropic(
            api_key="sk-test", base_url=server.base_url.removesuffix("/v1"), max_retries=0
        )
        message = await client.messages.create(
            model="claude-test", max_tokens=100, messages=[{"role": "user", "content": "go"}]
        )
        await client.close()
    chunks, error = await serve([data], ASK_WHOLE)
    assert error is None
    text, reasoning, calls, finish, usage = folded(chunks)
    thought, said, called = message.content
    assert (text, reasoning) == (said.text, thought.thinking)
    assert [(i, n, json.loads(a)) for i, n, a in calls] == [(called.id, called.name, called.input)]
    assert finish == FINISH[message.stop_reason]
    assert usage[:2] == (message.usage.input_tokens, message.usage.output_tokens)


def test_what_is_not_compared() -> None:
    """Every name that is left out is one of a stream."""
    assert OURS_ALONE <= set(GOLDEN)


# Requests.

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
NAME = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
IDS = st.one_of(NAME, TEXT)
DATA = st.dictionaries(TEXT, st.one_of(st.integers(-5, 5), TEXT, st.lists(TEXT, max_size=2)), max_size=3)
MARKS = st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}, None])
IMAGES = st.one_of(
    st.builds(
        ImagePart, data=st.binary(min_size=1, max_size=8), media_type=st.sampled_from(["image/png", "image/jpg"])
    ),
    st.builds(ImagePart, url=st.sampled_from(["https://example.com/a.png", "data:image/webp;base64,AAAA"])),
)
FILES = st.one_of(
    st.builds(FilePart, data=st.just(b"%PDF-1.7"), media_type=st.just("application/pdf"), name=st.none() | NAME),
    st.builds(FilePart, data=st.binary(max_size=8), media_type=st.sampled_from(["text/plain", "application/json"])),
    st.builds(FilePart, url=st.just("https://example.com/a.pdf"), media_type=st.just("application/pdf")),
    st.builds(FilePart, file_id=NAME, media_type=st.just("application/pdf")),
)
SAID = st.one_of(st.builds(TextPart, TEXT), IMAGES, FILES)
MARK = st.builds(ProviderPart, st.just("anthropic"), st.just("cache_control"), MARKS)
SERVER = st.sampled_from(
    [
        ProviderPart("anthropic", "redacted_thinking", {"type": "redacted_thinking", "data": "x"}),
        ProviderPart(
            "anthropic",
            "server_tool_use",
            {"type": "server_tool_use", "id": "srvtoolu_a", "name": "web_search", "input": {"query": "q"}},
        ),
        ProviderPart(
            "anthropic",
            "web_search_tool_result",
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_a",
                "content": [
                    {"type": "web_search_result", "url": "https://e.com", "title": "t", "encrypted_content": "RW5j"}
                ],
            },
        ),
        ProviderPart("anthropic", "container", {"id": "container_a", "expires_at": "2026-01-01T00:00:00Z"}),
        ProviderPart("anthropic", "stop_details", {"type": "refusal"}),
        ProviderPart("openrouter", "reasoning_details", [{"text": "x"}]),
        ProviderPart(
            "anthropic",
            "citations",
            {
                "text": "a",
                "citations": [
                    {
                        "type": "char_location",
                        "cited_text": "a",
                        "document_index": 0,
                        "document_title": None,
                        "start_char_index": 0,
                        "end_char_index": 1,
                    }
                ],
            },
        ),
    ]
)
CALLS = st.builds(
    ToolCallPart,
    IDS,
    st.one_of(NAME, TEXT),
    st.none() | DATA,
    signature=st.sampled_from(
        [None, '{"google":{"thought_signature":"x"}}', "not json", '{"caller":{"type":"direct"}}']
    ),
)
THOUGHTS = st.builds(ReasoningPart, TEXT, st.none() | st.just("c2ln"), st.sampled_from(["anthropic", "deepseek", None]))
RESULTS = st.builds(
    ToolResultPart,
    IDS,
    NAME,
    st.one_of(TEXT, st.lists(st.one_of(st.builds(TextPart, TEXT), IMAGES, FILES), max_size=2).map(tuple)),
    st.booleans(),
)
MESSAGES = st.one_of(
    st.builds(lambda p: Message("user", tuple(p)), st.lists(st.one_of(SAID, MARK), min_size=1, max_size=3)),
    st.builds(lambda t: Message.system(t), TEXT),
    st.builds(
        lambda p: Message("assistant", tuple(p)),
        st.lists(
            st.one_of(
                THOUGHTS,
                st.builds(TextPart, TEXT),
                CALLS,
                SERVER,
                MARK,
                st.builds(AudioPart, data=st.just(b"x"), transcript=st.none() | TEXT),
                IMAGES,
            ),
            max_size=4,
        ),
    ),
    st.builds(lambda p: Message("tool", tuple(p)), st.lists(RESULTS, min_size=1, max_size=3)),
)
SCHEMAS = st.sampled_from(
    [
        {"type": "object", "properties": {"x": {"type": "integer", "minimum": 3}}, "required": ["x"]},
        {"type": "object", "properties": {}, "additionalProperties": False},
        {"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, {"type": "object"}]},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {},
    ]
)
TOOLS = st.lists(st.builds(ToolDefinition, NAME, TEXT, SCHEMAS, st.booleans()), max_size=3, unique_by=lambda t: t.name)
EXTRAS = st.sampled_from(
    [
        None,
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]},
        {
            "tools": [
                {"type": "code_execution_20250825", "name": "code_execution", "cache_control": {"type": "ephemeral"}}
            ]
        },
        {"thinking": {"type": "enabled", "budget_tokens": 50_000}},
        {"output_config": {"effort": "low"}, "metadata": {"user_id": "u"}},
        {"cache_control": {"type": "ephemeral"}},
        {"cache_control": None},
        {"top_k": 5, "service_tier": "auto"},
    ]
)
SETTINGS = st.builds(
    ModelSettings,
    temperature=st.none() | st.floats(0, 1),
    top_p=st.none() | st.floats(0, 1),
    max_output_tokens=st.none() | st.integers(1, 60_000),
    stop=st.none() | st.just(("END",)),
    seed=st.none() | st.just(3),
    reasoning=st.sampled_from([None, True, False, "none", "minimal", "low", "medium", "high", "xhigh", "max"]),
    parallel_tool_calls=st.none() | st.booleans(),
    extra=EXTRAS,
)
NAMES = st.sampled_from(
    [
        "claude-3-haiku-20240307",
        "claude-3-7-sonnet-latest",
        "claude-sonnet-4-5",
        "claude-opus-4-5",
        "claude-opus-4-6",
        "claude-opus-4-8",
        "claude-sonnet-5",
        "claude-sonnet-5-5",
        "claude-opus-5-5",
        "claude-haiku-5-5",
        "claude-fable-5-1",
        "some-other",
    ]
)


def built(request: ModelRequest, name: str, *, stream: bool = True) -> dict[str, Any]:
    profile = profile_of("anthropic", name, "http://127.0.0.1/v1") if name.startswith("claude") else Profile()
    found: dict[str, Any] = json.loads(Encoder("anthropic", profile).body(name, request, stream=stream))
    return found


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    history=st.lists(MESSAGES, min_size=1, max_size=6),
    tools=TOOLS,
    chosen=st.sampled_from([None, "auto", "none", "required", "one"]),
    wanted=SETTINGS,
    schema=st.none() | SCHEMAS,
    name=NAMES,
    stream=st.booleans(),
)
def test_every_request_is_known(
    history: list[Message],
    tools: list[ToolDefinition],
    chosen: Any,
    wanted: ModelSettings,
    schema: dict[str, Any] | None,
    name: str,
    stream: bool,
) -> None:
    """The official types know every field of every request, and the API's own rules hold in it."""
    choice = {"tool": tools[0].name} if chosen == "one" and tools else None if chosen == "one" else chosen
    request = ModelRequest(
        messages=(*history, Message.user("go")),
        tools=tuple(tools),
        tool_choice=choice,
        settings=wanted,
        output_schema=schema,
    )
    body = built(request, name, stream=stream)
    check(body)
    own = sum(isinstance(p, ProviderPart) and p.kind == "cache_control" for m in history for p in m.parts)
    rules(body, own + ("cache_control" in json.dumps(wanted.extra)))


def rules(body: dict[str, Any], marked: int = 0) -> None:
    """What the API refuses though the types allow it."""
    roles = [m["role"] for m in body["messages"]]
    assert roles[0] == "user" and all(a != b for a, b in pairwise(roles))
    places = [body.get("tools", []), body.get("system", []), *(m["content"] for m in body["messages"])]
    marks = sum("cache_control" in block for place in places for block in place) + ("cache_control" in body)
    assert marks <= max(4, marked)
    for message in body["messages"]:
        assert message["content"]
        kinds = [b["type"] for b in message["content"]]
        if message["role"] == "user":
            assert kinds == sorted(kinds, key=lambda k: k != "tool_result")
        for block in message["content"]:
            assert block["type"] != "text" or block["text"].strip()
            assert "cache_control" not in block or block["type"] not in ("thinking", "redacted_thinking")
    think = body.get("thinking", {})
    if think.get("type") == "enabled":
        assert 1024 <= think["budget_tokens"] < body["max_tokens"] or body["max_tokens"] <= 50_000
        assert body.get("tool_choice", {}).get("type") not in ("any", "tool")
    if think.get("type") in ("enabled", "adaptive"):
        assert "temperature" not in body and "top_p" not in body
    if any(b["type"] == "tool_use" for m in body["messages"] for b in m["content"]):
        assert body["tools"]


def test_audio_is_refused_before_a_request() -> None:
    """A part that the API does not take is told before anything is sent."""
    request = ModelRequest(messages=(Message.user(AudioPart(data=b"x")),))
    with pytest.raises(InvalidInputError, match="AudioPart"):
        built(request, "claude-sonnet-5")
