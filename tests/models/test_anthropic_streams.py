"""Streams of `/v1/messages`: every quirk, at every cut, read directly and through a real server.

The streams in `anthropic_streams/` are written by hand, one quirk a file; those of the recorded data are read from where
it lies. What each must give was read off the files by eye, not computed by what is tested.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai import _http
from lumosai.errors import (
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    LumosaiError,
    MalformedAnswerError,
    ModelError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from lumosai.messages import Message, ProviderPart
from lumosai.models import AnthropicModel, ModelRequest
from lumosai.models._anthropic_answer import Answer
from lumosai.models._anthropic_stream import Reader
from lumosai.models.base import Chunk, Finished, PartChunk, ReasoningChunk, ToolCallChunk
from lumosai.records import ModelSettings
from tests.conftest import examples
from tests.messages_server import MessagesServer
from tests.models.test_streams import Long, cut, folded, recorded
from tests.servers import Reply

STREAMS = Path(__file__).parent / "anthropic_streams"
ASK = ModelRequest(messages=(Message.user("go"),))
ASK_WHOLE = ModelRequest(messages=ASK.messages, incremental=False, settings=ModelSettings(max_output_tokens=100))

USED = (10, 5, 0, 0, 15)
BEGUN = (10, 1, 0, 0, 11)
"""Usage as a stream that did not come to its end told it at its beginning."""

ADD_1 = ("toolu_a", "add", '{"x":1}')


def own(kind: str, data: Any) -> ProviderPart:
    return ProviderPart("anthropic", kind, data)


@dataclass(frozen=True)
class Gives:
    """What a stream must give; `usage` is (input, output, reasoning, cache read, total). `error` comes after the rest."""

    text: str = ""
    reasoning: str = ""
    calls: Sequence[tuple[str, str, str]] = ()
    finish: str = "stop"
    usage: tuple[int, int, int, int, int] | None = USED
    parts: Sequence[ProviderPart] = ()
    error: type[ModelError] | None = None
    says: str = ""


CITED = {
    "type": "char_location",
    "cited_text": "It is warm.",
    "document_index": 0,
    "document_title": "W",
    "start_char_index": 0,
    "end_char_index": 11,
}
SEARCHED = {"type": "server_tool_use", "id": "srvtoolu_a", "name": "web_search", "input": {"query": "weather"}}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_a",
    "content": [
        {
            "type": "web_search_result",
            "url": "https://example.com",
            "title": "W",
            "encrypted_content": "RW5j",
            "page_age": None,
        }
    ],
}
RAN = {
    "type": "code_execution_tool_result",
    "tool_use_id": "srvtoolu_a",
    "content": {"type": "code_execution_result", "stdout": "1\n", "stderr": "", "return_code": 0, "content": []},
}

GOLDEN: dict[str, Gives] = {
    "arguments_at_once": Gives(calls=[ADD_1], finish="tool_calls"),
    "behind_the_end": Gives("Whole"),
    "block_never_begun": Gives(error=MalformedAnswerError, says="adds to block 3", usage=BEGUN),
    "broken_arguments": Gives(calls=[("toolu_a", "add", '{"x": 1,, "')], finish="tool_calls"),
    "calls": Gives(
        "Let me see. ", calls=[("toolu_a", "add", '{"x": 1}'), ("toolu_b", "mul", '{"y": 2}')], finish="tool_calls"
    ),
    "citations": Gives("So: it is warm.", parts=[own("citations", {"text": "it is warm", "citations": [CITED]})]),
    "comments": Gives("Hello"),
    "compaction": Gives("Hi", parts=[own("compaction", {"type": "compaction", "content": "Summary."})]),
    "content_at_start": Gives(
        calls=[ADD_1], finish="tool_calls", usage=BEGUN, parts=[own("code_execution_tool_result", RAN)]
    ),
    "crlf": Gives("a\nb\r\nc"),
    "cut_call": Gives(calls=[("toolu_a", "add", '{"x": 1')], finish="length"),
    "cut_call_before_arguments": Gives(calls=[("toolu_a", "now", "{}"), ("toolu_b", "add", "")], finish="length"),
    "cut_in_call": Gives(calls=[("toolu_a", "add", '{"x":')], error=StreamInterruptedError, usage=BEGUN),
    "cut_in_event": Gives("Half", error=StreamInterruptedError, usage=BEGUN),
    "cut_in_text": Gives("Half an ans", error=StreamInterruptedError, usage=BEGUN),
    "direct_caller": Gives(calls=[ADD_1], finish="tool_calls"),
    "document": Gives("All of it.", "Hm", [ADD_1], "tool_calls"),
    "done_behind": Gives("Hello"),
    "empty": Gives(error=MalformedAnswerError, says="empty", usage=None),
    "error_document": Gives(error=ServerError, says="Overloaded", usage=None),
    "error_invalid": Gives(error=BadRequestError, says="non-empty content", usage=None),
    "error_key": Gives(error=AuthenticationError, says="invalid x-api-key", usage=None),
    "error_overloaded": Gives("Half", error=ServerError, says="529: Overloaded", usage=BEGUN),
    "error_rate_limit": Gives(error=RateLimitError, says="per-minute rate limit", usage=BEGUN),
    "error_too_long": Gives(error=ContextLengthError, says="prompt is too long", usage=None),
    "error_unnamed": Gives("Half", error=ServerError, says="Internal server error", usage=BEGUN),
    "halves_apart": Gives("b \ufffd", calls=[("toolu_a", "add", '{"x":"🌍"}')], finish="tool_calls"),
    "html": Gives(error=MalformedAnswerError, says="Welcome to nginx!", usage=None),
    "input_in_text": Gives("Hi"),
    "interleaved_calls": Gives(calls=[ADD_1, ("toolu_b", "mul", '{"y":2}')], finish="tool_calls"),
    "invalid_utf8": Gives("caf\ufffd"),
    "max_tokens": Gives("and so on and", finish="length"),
    "no_arguments": Gives(calls=[("toolu_a", "now", "{}"), ("toolu_b", "now", "{}")], finish="tool_calls"),
    "no_block_stop": Gives("Hi", "Hm"),
    "no_stop": Gives("Whole, but who knows", error=StreamInterruptedError, says="no message_stop", usage=BEGUN),
    "not_json": Gives("Half", error=MalformedAnswerError, says="no event of a message", usage=BEGUN),
    "nulls": Gives("Hi"),
    "numbers_as_text": Gives("Hi"),
    "other_protocol": Gives(error=MalformedAnswerError, says="without a type", usage=None),
    "padded": Gives("Hello"),
    "pause": Gives("Searching.", finish="pause"),
    "ping": Gives("Hello"),
    "programmatic": Gives(calls=[ADD_1], finish="tool_calls"),
    "refusal": Gives(
        finish="refusal",
        parts=[own("stop_details", {"type": "refusal", "category": "cyber", "explanation": "Not that."})],
    ),
    "refusal_midway": Gives("Well, ", finish="refusal"),
    "repeated_start": Gives("Hello"),
    "replaced_start": Gives("Hello", usage=(12, 5, 0, 0, 17)),
    "server_tools": Gives(
        "I look.It is warm.", parts=[own("server_tool_use", SEARCHED), own("web_search_tool_result", FOUND)]
    ),
    "spliced_after_end": Gives("Whole", error=StreamInterruptedError, says="second message, 'msg_2'", usage=BEGUN),
    "spliced_block": Gives("Half", error=StreamInterruptedError, says="block 0 a second time", usage=BEGUN),
    "spliced_same_id": Gives("Half", error=StreamInterruptedError, says="two answers came as one", usage=BEGUN),
    "spliced_start": Gives("Half", error=StreamInterruptedError, says="second message, 'msg_2'", usage=BEGUN),
    "split_utf8": Gives("你好，世界 🌍 naïve é"),
    "start_said_again": Gives("Hello"),
    "stop_only": Gives(error=MalformedAnswerError, says="without any message", usage=None),
    "stop_sequence": Gives("a, b"),
    "surrogate_halves": Gives("a 🌍 b \ufffdc \ufffd"),
    "text": Gives("Hello"),
    "text_at_start": Gives("Hello"),
    "thinking": Gives("391", "Hmm."),
    "thinking_counted": Gives("Hi", usage=(125, 42, 40, 100, 167)),
    "thinking_in_loop": Gives(
        "",
        "One.Two.",
        [ADD_1],
        "tool_calls",
        parts=[own("redacted_thinking", {"type": "redacted_thinking", "data": "EncryptedAA=="})],
    ),
    "thinking_omitted": Gives(
        "391", parts=[own("thinking", {"type": "thinking", "thinking": "", "signature": "dHdv"})]
    ),
    "thinking_unsealed": Gives("391", "Hmm"),
    "unknown_reason": Gives("Hi"),
    "unknown_types": Gives("yes", parts=[own("brand_new_block", {"type": "brand_new_block", "stuff": {"a": 1}})]),
    "untyped_block": Gives(error=MalformedAnswerError, says="block 0 without a type", usage=BEGUN),
    "usage_late": Gives("Hi", usage=(13, 2, 0, 4, 15)),
    "usage_missing": Gives("Hi", usage=None),
    "window": Gives("and so on and", finish="length"),
}
RECORDED: dict[str, tuple[Any, ...]] = {
    "anthropic-tool-no-args.chunks.txt": (
        "I'll update the issue list for you.",
        "",
        [("toolu_01QE1WLsSVp5hy5Q3GmGTmjP", "updateIssueList", "{}")],
        "tool_calls",
        (565, 48, 0, 0, 613),
    ),
    "pai-api-anthropic-com-test_anthropic_code_execution_tool_stream-0.sse": (
        Long(
            501,
            "daa935c0ed5d88c9",
            "I'll calculate that expression for you right away!Following",
            "**-428,330,955.97745**",
        ),
        "Let me calculate this mathematical expression.",
        [],
        "stop",
        (4714, 304, 0, 0, 5018),
    ),
}


def read(pieces: Sequence[bytes]) -> tuple[list[Chunk], Reader, bytes | None]:
    """Decodes and reads a stream with no server; the chunks, the reader, and the data of an error event."""
    decoder, reader = _http.Decoder(), Reader(Answer("anthropic"))
    chunks = [c for piece in pieces for c in reader.feed(decoder.feed(piece))]
    last = decoder.close()
    return chunks + (reader.feed([last]) if last is not None else []), reader, decoder.error


async def serve(pieces: Sequence[bytes], request: ModelRequest = ASK) -> tuple[list[Chunk], LumosaiError | None]:
    """Sends the pieces from a real server; what the model made of them, and the error it ended with."""
    chunks: list[Chunk] = []
    async with MessagesServer([Reply(body=pieces, content_type="text/event-stream")]) as server:
        model = AnthropicModel("claude-test", base_url=server.base_url, api_key="sk-test")
        try:
            async for chunk in model.stream(request):
                chunks.append(chunk)
        except LumosaiError as error:
            return chunks, error
    return chunks, None


def parts_of(chunks: Sequence[Chunk]) -> list[Any]:
    return [c.part for c in chunks if isinstance(c, PartChunk)]


def test_every_stream_of_the_folder_has_its_expectation() -> None:
    """No hand-written stream lies about untested."""
    assert {p.stem for p in STREAMS.glob("*.sse")} == set(GOLDEN)


@pytest.mark.parametrize("how", ["whole", "7", "1", "random-1"])
@pytest.mark.parametrize("name", sorted(GOLDEN))
async def test_a_stream_from_a_server(name: str, how: str) -> None:
    """Whatever the cut, a stream gives what its file says, and its error where it has one; never a false end."""
    wanted = GOLDEN[name]
    chunks, error = await serve(cut((STREAMS / f"{name}.sse").read_bytes(), how))
    text, reasoning, calls, finish, usage = folded(chunks)
    assert (text, reasoning, calls) == (wanted.text, wanted.reasoning, list(wanted.calls))
    assert usage == wanted.usage
    assert parts_of(chunks) == list(wanted.parts)
    if wanted.error is None:
        assert error is None
        assert finish == wanted.finish
    else:
        assert type(error) is wanted.error
        assert wanted.says in str(error)
        assert finish is None


@pytest.mark.parametrize("name", sorted(n for n, g in GOLDEN.items() if g.error is None))
async def test_a_stream_where_a_whole_answer_was_asked_for(name: str) -> None:
    """A server that streams unasked is understood all the same."""
    wanted = GOLDEN[name]
    chunks, error = await serve([(STREAMS / f"{name}.sse").read_bytes()], ASK_WHOLE)
    assert error is None
    assert folded(chunks) == (wanted.text, wanted.reasoning, list(wanted.calls), wanted.finish, wanted.usage)
    assert parts_of(chunks) == list(wanted.parts)


@pytest.mark.parametrize("name", sorted(n for n, g in GOLDEN.items() if g.error is not None))
async def test_a_failed_stream_where_a_whole_answer_was_asked_for(name: str) -> None:
    """An answer that failed is an error, and never passed off as whole."""
    chunks, error = await serve(cut((STREAMS / f"{name}.sse").read_bytes(), "whole"), ASK_WHOLE)
    assert chunks == []
    assert isinstance(error, ModelError)


@pytest.mark.parametrize("how", ["whole", "7", "1", "random-1", "random-2"])
@pytest.mark.parametrize("name", sorted(RECORDED))
async def test_a_recorded_stream(name: str, how: str) -> None:
    """Recorded streams give what reading them by eye gives, directly and from a server, at any cut."""
    chunks, reader, error = read(cut(recorded(name), how))
    assert error is None and reader.done
    assert RECORDED[name] == folded(chunks + reader.answer.end())
    served, failed = await serve(cut(recorded(name), how))
    assert failed is None
    assert served[: len(chunks)] == chunks and folded(served) == RECORDED[name]


@settings(max_examples=examples(150), deadline=None)
@given(name=st.sampled_from(sorted(GOLDEN)), seed=st.integers(0, 10**6))
def test_a_stream_at_random_cuts(name: str, seed: int) -> None:
    """No cut of any stream changes a single chunk."""
    data = (STREAMS / f"{name}.sse").read_bytes()
    whole_chunks, whole_reader, whole_error = read([data])
    chunks, reader, error = read(cut(data, f"random-{seed}"))
    assert chunks == whole_chunks
    assert (reader.done, reader.stopped, error) == (whole_reader.done, whole_reader.stopped, whole_error)
    if reader.done:
        assert reader.answer.end() == whole_reader.answer.end()


@pytest.mark.parametrize("name", ["text", "thinking_in_loop", "calls", "server_tools", "split_utf8"])
async def test_a_stream_cut_after_every_event(name: str) -> None:
    """Wherever the connection ends before the message's end, it is an error that may be retried, never an answer."""
    events = (STREAMS / f"{name}.sse").read_bytes().split(b"\n\n")[:-2]
    for count in range(1, len(events) + 1):
        chunks, error = await serve([b"\n\n".join(events[:count]) + b"\n\n"])
        assert isinstance(error, StreamInterruptedError) and error.retryable
        assert not any(isinstance(c, Finished) for c in chunks)


async def test_a_connection_cut_hard_behind_the_end() -> None:
    """It has come too late to matter."""
    data = (STREAMS / "text.sse").read_bytes()
    async with MessagesServer([Reply(body=[data, b""], content_type="text/event-stream", cut_after=1)]) as server:
        model = AnthropicModel("claude-test", base_url=server.base_url, api_key="sk-test")
        chunks = [c async for c in model.stream(ASK)]
    assert folded(chunks)[:4] == ("Hello", "", [], "stop")


def test_thoughts_and_their_seals() -> None:
    """Each seal stands right behind its thought, one a thought, in the order of the answer."""
    chunks, reader, _ = read([(STREAMS / "thinking_in_loop.sse").read_bytes()])
    told = [c for c in chunks + reader.answer.end() if isinstance(c, ReasoningChunk | PartChunk)]
    assert told == [
        ReasoningChunk("One."),
        ReasoningChunk("", "c2ln"),
        PartChunk(own("redacted_thinking", {"type": "redacted_thinking", "data": "EncryptedAA=="})),
        ReasoningChunk("Two."),
        ReasoningChunk("", "dHdv"),
    ]
    chunks, _, _ = read([(STREAMS / "thinking_omitted.sse").read_bytes()])
    assert [c for c in chunks if isinstance(c, ReasoningChunk)] == [ReasoningChunk("", "b25l")]


def test_who_calls() -> None:
    """A call that the server's own code made keeps that in its seal; one that the model made has none."""
    for name, seal in (
        ("programmatic", '{"caller":{"type":"code_execution_20260120","tool_id":"srvtoolu_a"}}'),
        ("direct_caller", None),
    ):
        chunks, _, _ = read([(STREAMS / f"{name}.sse").read_bytes()])
        assert next(c for c in chunks if isinstance(c, ToolCallChunk)).signature == seal


@settings(deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """Whatever comes is read or told to be wrong; nothing is raised."""
    _, reader, _ = read([data, b"\n\n"])
    _, reader, _ = read([b"data: " + data + b"\n\n"])
    reader.answer.end()


KEYS = st.sampled_from(
    [
        "type",
        "index",
        "delta",
        "content_block",
        "message",
        "usage",
        "text",
        "input",
        "id",
        "name",
        "content",
        "citations",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.text(max_size=5),
    lambda c: st.lists(c, max_size=3) | st.dictionaries(KEYS, c, max_size=5),
    max_leaves=12,
)
TYPES = st.sampled_from(
    [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "message",
    ]
)


@settings(deadline=None)
@given(payloads=st.lists(st.tuples(TYPES, st.dictionaries(KEYS, JSON, max_size=5)), max_size=8))
def test_events_of_any_content(payloads: list[tuple[str, dict[str, Any]]]) -> None:
    """Events with anything in them are read or told to be wrong; nothing is raised."""
    reader = Reader(Answer("anthropic"))
    reader.feed([json.dumps({**content, "type": kind}).encode() for kind, content in payloads])
    reader.answer.end()


KINDS = st.sampled_from(
    [
        "text",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "server_tool_use",
        "web_search_tool_result",
        "compaction",
        "x",
        5,
    ]
)
FIELDS = st.sampled_from(
    ["text", "thinking", "signature", "data", "id", "name", "input", "caller", "citations", "content"]
)
DELTAS = st.sampled_from(
    ["text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta", "compaction_delta", "x"]
)
ADDED = st.fixed_dictionaries(
    {"type": DELTAS},
    optional={
        "text": st.none() | st.text(max_size=3),
        "thinking": st.none() | st.text(max_size=3),
        "signature": st.none() | st.text(max_size=3),
        "partial_json": st.none() | st.text('{}":1,\\', max_size=5),
        "citation": st.none() | st.dictionaries(KEYS, JSON, max_size=2),
        "content": JSON,
    },
)


@settings(deadline=None)
@given(
    blocks=st.lists(
        st.tuples(KINDS, st.dictionaries(FIELDS, JSON, max_size=5), st.lists(ADDED, max_size=3)), max_size=4
    ),
    reason=st.sampled_from([None, "end_turn", "tool_use", "max_tokens", "refusal", "x"]),
    whole=st.booleans(),
)
def test_blocks_of_any_content(blocks: list[tuple[Any, dict[str, Any], list[Any]]], reason: Any, whole: bool) -> None:
    """Blocks with anything in them are read or told to be wrong, streamed or whole; nothing is raised."""
    reader = Reader(Answer("anthropic"))
    begun = [{**fields, "type": kind} for kind, fields, _ in blocks]
    if whole:
        message = {"type": "message", "id": "msg_1", "content": begun, "stop_reason": reason}
        reader.feed([json.dumps(message).encode()])
    else:
        events: list[dict[str, Any]] = [{"type": "message_start", "message": {"id": "msg_1", "content": []}}]
        for index, (block, (_, _, deltas)) in enumerate(zip(begun, blocks, strict=True)):
            events.append({"type": "content_block_start", "index": index, "content_block": block})
            events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
            events.append({"type": "content_block_stop", "index": index})
        events += [{"type": "message_delta", "delta": {"stop_reason": reason}}, {"type": "message_stop"}]
        reader.feed([json.dumps(e).encode() for e in events])
    chunks = reader.answer.end()
    assert reader.stopped and isinstance(chunks[-1], Finished)
    assert all(isinstance(b, dict) for b in reader.answer.turn)
