"""Streams of `/chat/completions`: every quirk, at every cut, read directly and through a real server.

The streams in `streams/` are written by hand, one quirk a file; those of the recorded data are read from where it lies.
What each must give was read off the files by eye, not computed by what is tested.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai import _http
from lumosai.errors import (
    BadRequestError,
    LumosaiError,
    MalformedAnswerError,
    ModelError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from lumosai.messages import Message, ProviderPart
from lumosai.models import ModelRequest, OpenAIChatModel
from lumosai.models._openai_stream import Reader
from lumosai.models.base import Chunk, Finished, PartChunk, ReasoningChunk, TextChunk, ToolCallChunk, UsageChunk
from tests.conftest import examples, find_data
from tests.servers import ChatServer, Reply

STREAMS = Path(__file__).parent / "streams"
ASK = ModelRequest(messages=(Message.user("go"),))
SHORT = 6000
"""Bytes up to which a stream is sent byte by byte through a server; longer ones only in larger pieces."""


@dataclass(frozen=True)
class Gives:
    """What a stream must give; `usage` is (input, output, reasoning, cache read, total). `error` comes after the rest."""

    text: str = ""
    reasoning: str = ""
    calls: Sequence[tuple[str, str, str]] = ()
    finish: str = "stop"
    usage: tuple[int, int, int, int, int] | None = None
    error: type[ModelError] | None = None
    says: str = ""


USED = (7, 3, 0, 0, 10)
ADD_1 = ("a", "add", '{"x":1}')

GOLDEN: dict[str, Gives] = {
    "arguments_object": Gives(calls=[("", "add", '{"x":1,"名":"é"}')], finish="tool_calls"),
    "azure_filters": Gives("Hi"),
    "bom": Gives("Hi"),
    "calls_object": Gives(calls=[ADD_1], finish="tool_calls"),
    "comments": Gives("Hello"),
    "content_filter": Gives("Well", finish="content_filter"),
    "content_with_finish": Gives("All at once.", usage=USED),
    "cr": Gives("one two"),
    "crlf": Gives("a\nb\r\nc", usage=USED),
    "cut_in_call": Gives(calls=[("a", "add", '{"x":')], error=StreamInterruptedError),
    "cut_in_event": Gives("Half", error=StreamInterruptedError),
    "cut_in_text": Gives("Half an ans", error=StreamInterruptedError),
    "delta_and_message": Gives("All of it.", usage=USED),
    "document": Gives("All of it.", calls=[ADD_1], finish="tool_calls", usage=USED),
    "document_pretty": Gives("All of it."),
    "done_only": Gives(error=MalformedAnswerError),
    "empty": Gives(error=MalformedAnswerError, says="empty"),
    "empty_choices": Gives("Hi"),
    "error_as_finish": Gives("Half", error=ServerError, says="insufficient_system_resource"),
    "error_event": Gives("Half", error=ServerError, says="upstream overloaded"),
    "error_field": Gives("Half", error=ServerError, says="context shift is disabled"),
    "error_in_choice": Gives("Half", error=ServerError, says="Upstream provider disconnected"),
    "error_object": Gives("Half an ans", error=ServerError, says="The server had an error while processing"),
    "error_rate_limited": Gives("Half", error=RateLimitError, says="Rate limit reached"),
    "error_vllm": Gives(error=ServerError, says="EngineCore encountered an issue"),
    "function_call": Gives(calls=[("", "add", '{"x":1}')], finish="tool_calls"),
    "html": Gives(error=MalformedAnswerError, says="Welcome to nginx!"),
    "id_reused": Gives(calls=[ADD_1, ("a", "add", '{"x":2}')], finish="tool_calls"),
    "index_reused_new_ids": Gives(calls=[ADD_1, ("b", "add", '{"x":2}'), ("c", "mul", '{"y":3}')], finish="tool_calls"),
    "index_reused_no_ids": Gives(calls=[("", "add", '{"x":1}'), ("", "add", '{"x":2}')], finish="tool_calls"),
    "interleaved_calls": Gives(
        calls=[("a", "add", '{"x": 1}'), ("b", "mul", '{"y": 2}')], finish="tool_calls", usage=USED
    ),
    "invalid_utf8": Gives("caf\ufffd"),
    "late_name": Gives(calls=[ADD_1], finish="tool_calls"),
    "length": Gives("and so on and", finish="length", usage=USED),
    "missing_ids": Gives(calls=[("", "add", '{"x":1}'), ("", "mul", '{"y":2}')], finish="tool_calls"),
    "missing_ids_and_index": Gives(calls=[("", "add", '{"x":1}'), ("", "add", '{"x":2}')], finish="tool_calls"),
    "missing_index": Gives(calls=[ADD_1, ("b", "mul", '{"y":2}')], finish="tool_calls"),
    "mixed_ends": Gives("one two"),
    "model_length": Gives("and so on and", finish="length"),
    "multi_line_data": Gives("Hi"),
    "nan": Gives("Hi"),
    "new_id_each_fragment": Gives(calls=[("a1", "add", '{"x":1}')], finish="tool_calls"),
    "no_arguments": Gives(calls=[("a", "now", ""), ("b", "now", "")], finish="tool_calls"),
    "no_done": Gives("done without saying so", usage=USED),
    "no_last_blank_line": Gives("Hi", usage=USED),
    "no_space": Gives("a b"),
    "not_json": Gives("Half", error=MalformedAnswerError, says="no chat completion"),
    "nulls": Gives("Hi"),
    "numbers_as_text": Gives(calls=[("17", "add", "{}")], finish="tool_calls", usage=USED),
    "other_protocol": Gives(error=StreamInterruptedError),
    "reasoning": Gives("391", "Hmm, 17 * 23"),
    "reasoning_content": Gives("391", "Hmm, 17 * 23", usage=USED),
    "reasoning_details": Gives("391", "Hmm"),
    "reasoning_pieces": Gives("391", "Hmm, yes"),
    "reasoning_twice": Gives("391", "Hmm"),
    "refusal": Gives("I cannot help with that.", finish="refusal", usage=USED),
    "repeated_name": Gives(calls=[ADD_1], finish="tool_calls"),
    "said_again": Gives("All of it.", usage=USED),
    "second_choice": Gives("first"),
    "signature": Gives(calls=[("a", "add", "{}")], finish="tool_calls"),
    "split_utf8": Gives("你好，世界 🌍 naïve é", usage=USED),
    "stop_with_calls": Gives("Let me see. ", calls=[ADD_1], finish="tool_calls", usage=USED),
    "surrogate_halves": Gives("a 🌍 b \ufffdc \ufffd"),
    "text_like_sse": Gives('data: [DONE]\n\ndata: x"content":"x"\\"}\\u00e9 \t'),
    "thinking_parts": Gives("391", "Hmm, yes"),
    "thinking_counted_beside": Gives("391", "Hmm", usage=(10, 42, 40, 4, 52)),
    "usage_every_time": Gives("ab", usage=(5, 2, 0, 0, 7)),
    "usage_in_choice": Gives("Hi", usage=(9, 2, 0, 4, 11)),
    "usage_only": Gives("Hi", usage=(70, 30, 20, 64, 100)),
    "whole_calls": Gives(calls=[ADD_1, ("b", "mul", "{}")], finish="tool_calls", usage=USED),
}


@dataclass(frozen=True)
class Long:
    """A long text by its length, its SHA-256's first digits, its beginning and its end."""

    chars: int
    digest: str
    begins: str
    ends: str

    def __eq__(self, text: object) -> bool:
        return (
            isinstance(text, str)
            and len(text) == self.chars
            and hashlib.sha256(text.encode()).hexdigest().startswith(self.digest)
            and text.startswith(self.begins)
            and text.endswith(self.ends)
        )

    __hash__ = None  # type: ignore[assignment]


RECORDED: dict[str, tuple[Any, ...]] = {
    "alibaba-text.chunks.txt": (
        Long(3771, "aa86fa88ea07918e", '## The Festival of Shared Stories: "Tale', 'We are woven together."*'),
        "",
        [],
        "stop",
        (18, 779, 0, 0, 797),
    ),
    "deepseek-tool-call.chunks.txt": (
        "",
        Long(191, "e9e5190a993cf891", "The user is asking for the weather", 'parameter set to "San Francisco".'),
        [("call_00_ioIn7yN9p1ZOMNpDLwd4MgAF", "weather", '{"location": "San Francisco"}')],
        "tool_calls",
        (339, 83, 39, 320, 422),
    ),
    "groq-tool-call.chunks.txt": ("", "", [("tk85n1k4m", "weather", "{}")], "tool_calls", (210, 15, 0, 0, 225)),
    "mistral-incremental-tool-call.chunks.txt": (
        "",
        "",
        [("chatcmpl-tool-9f149c74c42f265b", "webSearchTool", '{"query": "current Berlin weather"}')],
        "tool_calls",
        (171, 14, 0, 128, 185),
    ),
    "pai-api-mistral-ai-test_mistral_model_thinking_part_iter-0.sse": (
        Long(607, "e61ff78a68761d94", "To cross the street safely", "you can ensure a safe crossing."),
        Long(421, "fcab447a2e58f5b6", "Okay, the user is asking", "a clear and concise response."),
        [],
        "stop",
        (10, 232, 0, 0, 242),
    ),
    "pai-myorg-myaccount-snowflakecomputing-com-test_snowflake_thinking_streaming-0.sse": (
        "15 × 27 = **405**\n\nHere's the breakdown:\n- 15 × 20 = 300\n- 15 × 7 = 105\n- 300 + 105 = **405**",
        "15 * 27 = 405",
        [],
        "stop",
        (45, 73, 0, 0, 118),
    ),
    "pai-openrouter-ai-test_openrouter_cache_streaming_e2e-0.sse": ("Hello!", "", [], "stop", (254, 5, 0, 0, 259)),
    "pai-router-huggingface-co-test_cancel_recorded_provider_stream[huggingface]-1.sse": (
        "Paris",
        "",
        [],
        "stop",
        (40, 2, 0, 0, 42),
    ),
}
GROQ_ERROR = "pai-api-groq-com-test_tool_use_failed_error_streaming_with_text-0.sse"


def recorded(name: str) -> bytes:
    """A recorded stream as its server sent it; skips where there is no recorded data."""
    data = find_data()
    path = data / "streams" / name if data is not None else None
    if path is None or not path.is_file():
        pytest.skip("recorded streams are not part of a checkout: set LUMOSAI_TEST_DATA to where they are")
    raw = path.read_bytes()
    if name.endswith(".txt"):
        return b"".join(b"data: " + line + b"\n\n" for line in raw.splitlines() if line.strip())
    return raw


def cut(data: bytes, how: str) -> list[bytes]:
    """The stream in pieces: whole, of 7 bytes, of 1, or at places that chance (`random-SEED`) picks."""
    if how == "whole":
        return [data] if data else []
    if how.startswith("random"):
        places = sorted(random.Random(how).sample(range(len(data)), min(len(data), 12)))
        return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]
    size = int(how)
    return [data[i : i + size] for i in range(0, len(data), size)]


def read(pieces: Sequence[bytes]) -> tuple[list[Chunk], Reader, bytes | None]:
    """Decodes and reads a stream with no server; the chunks, the reader, and the data of an error event."""
    decoder, reader = _http.Decoder(), Reader()
    chunks = [c for piece in pieces for c in _read_piece(decoder, reader, piece)]
    last = decoder.close()
    if last is not None and not reader.stopped:
        chunks += reader.feed([last])
    return chunks, reader, decoder.error


def _read_piece(decoder: _http.Decoder, reader: Reader, piece: bytes) -> Iterator[Chunk]:
    payloads = decoder.feed(piece)
    if not reader.stopped and not reader.done:
        yield from reader.feed(payloads)


async def serve(pieces: Sequence[bytes], *, incremental: bool = True) -> tuple[list[Chunk], LumosaiError | None]:
    """Sends the pieces from a real server; what the model made of them, and the error it ended with."""
    chunks: list[Chunk] = []
    async with ChatServer([Reply(body=pieces, content_type="text/event-stream")]) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="sk-test")
        try:
            async for chunk in model.stream(
                ASK if incremental else ModelRequest(messages=ASK.messages, incremental=False)
            ):
                chunks.append(chunk)
        except LumosaiError as error:
            return chunks, error
    return chunks, None


def folded(chunks: Sequence[Chunk]) -> tuple[str, str, list[tuple[str, str, str]], str | None, Any]:
    """Text, reasoning, calls, the finish reason and usage of an answer's chunks."""
    text = "".join(c.delta for c in chunks if isinstance(c, TextChunk))
    reasoning = "".join(c.delta for c in chunks if isinstance(c, ReasoningChunk))
    calls: dict[int, list[str]] = {}
    for c in chunks:
        if isinstance(c, ToolCallChunk):
            if c.index not in calls:
                calls[c.index] = [c.id, c.name, ""]
            calls[c.index][2] += c.delta
    ends = [c for c in chunks if isinstance(c, Finished)]
    assert len(ends) <= 1 and (not ends or chunks[-1] is ends[0])
    used = [c.usage for c in chunks if isinstance(c, UsageChunk)]
    usage = None
    if used:
        u = used[-1]
        usage = (u.input_tokens, u.output_tokens, u.reasoning_tokens, u.cache_read_tokens, u.total_tokens)
    in_order = [(c[0], c[1], c[2]) for _, c in sorted(calls.items())]
    return text, reasoning, in_order, ends[0].reason if ends else None, usage


def test_every_stream_of_the_folder_has_its_expectation() -> None:
    """No hand-written stream lies about untested."""
    assert {p.stem for p in STREAMS.glob("*.sse")} == set(GOLDEN)


@pytest.mark.parametrize("how", ["whole", "7", "1", "random-1"])
@pytest.mark.parametrize("name", sorted(GOLDEN))
async def test_a_stream_from_a_server(name: str, how: str) -> None:
    """Whatever the cut, a stream gives what its file says, and its error where it has one; never a false end."""
    wanted = GOLDEN[name]
    data = (STREAMS / f"{name}.sse").read_bytes()
    chunks, error = await serve(cut(data, how))
    text, reasoning, calls, finish, usage = folded(chunks)
    assert (text, reasoning, calls) == (wanted.text, wanted.reasoning, list(wanted.calls))
    if wanted.error is None:
        assert error is None
        assert (finish, usage) == (wanted.finish, wanted.usage)
    else:
        assert type(error) is wanted.error
        assert wanted.says in str(error)
        assert finish is None


@pytest.mark.parametrize("name", sorted(n for n, g in GOLDEN.items() if g.error is None))
async def test_a_stream_where_a_whole_answer_was_asked_for(name: str) -> None:
    """A server that streams unasked is understood all the same."""
    wanted = GOLDEN[name]
    chunks, error = await serve([(STREAMS / f"{name}.sse").read_bytes()], incremental=False)
    assert error is None
    usage = wanted.usage
    assert folded(chunks) == (wanted.text, wanted.reasoning, list(wanted.calls), wanted.finish, usage)


@pytest.mark.parametrize("name", sorted(n for n, g in GOLDEN.items() if g.error is not None))
async def test_a_failed_stream_where_a_whole_answer_was_asked_for(name: str) -> None:
    """An answer that failed is an error, and never passed off as whole."""
    chunks, error = await serve(cut((STREAMS / f"{name}.sse").read_bytes(), "whole"), incremental=False)
    assert chunks == []
    assert isinstance(error, ModelError)


@pytest.mark.parametrize("how", ["whole", "7", "1", "random-1", "random-2"])
@pytest.mark.parametrize("name", sorted(RECORDED))
async def test_a_recorded_stream(name: str, how: str) -> None:
    """Recorded providers' streams give what reading them by eye gives, directly and from a server, at any cut."""
    data = recorded(name)
    chunks, reader, error = read(cut(data, how))
    assert error is None and reader.whole
    assert RECORDED[name] == folded(chunks + reader.answer.end())
    if how != "1" or len(data) < SHORT:
        served, failed = await serve(cut(data, how))
        assert failed is None
        assert served == chunks + reader.answer.end()


@pytest.mark.parametrize("how", ["whole", "7", "random-1"])
async def test_a_recorded_stream_that_ends_in_an_error(how: str) -> None:
    """Groq's refusal in mid-stream, an `event: error`, is that error with its words, after all that came before it."""
    chunks, error = await serve(cut(recorded(GROQ_ERROR), how))
    text, reasoning, calls, finish, _ = folded(chunks)
    assert (text, calls, finish) == ("maybe", [], None)
    assert reasoning == Long(361, "5912a8b8200a4253", 'The user says: "dont make', "So just plain text: maybe.")
    assert type(error) is BadRequestError
    assert error.status == 400 and error.code == "tool_use_failed"
    assert "Tool choice is required, but model did not call a tool" in str(error)


@settings(max_examples=examples(150), deadline=None)
@given(name=st.sampled_from(sorted(GOLDEN)), seed=st.integers(0, 10**6))
def test_a_stream_at_random_cuts(name: str, seed: int) -> None:
    """No cut of any stream changes a single chunk."""
    data = (STREAMS / f"{name}.sse").read_bytes()
    whole_chunks, whole_reader, whole_error = read([data])
    chunks, reader, error = read(cut(data, f"random-{seed}"))
    assert chunks == whole_chunks
    assert (reader.whole, reader.done, reader.stopped, error) == (
        whole_reader.whole,
        whole_reader.done,
        whole_reader.stopped,
        whole_error,
    )


@pytest.mark.parametrize("name", ["split_utf8", "crlf", "comments", "whole_calls", "reasoning", "bom", "usage_only"])
async def test_a_connection_cut_hard_in_mid_answer(name: str) -> None:
    """A reset before any reason for an end was named is an error that may be retried, never a finished answer."""
    data = (STREAMS / f"{name}.sse").read_bytes()
    end = data.find(b"finish_reason")
    async with ChatServer([Reply(body=[data[:end], b""], content_type="text/event-stream", cut_after=1)]) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="sk-test")
        with pytest.raises(StreamInterruptedError) as caught:
            async for chunk in model.stream(ASK):
                assert not isinstance(chunk, Finished)
    assert caught.value.retryable


TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=examples(200), deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=12), ascii_only=st.booleans(), spaced=st.booleans())
def test_a_flood_of_deltas(texts: list[str], ascii_only: bool, spaced: bool) -> None:
    """What the reader learns about a stream's repetition never changes what it reads."""
    mark = (", ", ": ") if spaced else (",", ":")
    payloads = [
        json.dumps(
            {"id": "c", "choices": [{"index": 0, "delta": {"content": t}, "finish_reason": None}]},
            ensure_ascii=ascii_only,
            separators=mark,
        ).encode()
        for t in texts
    ]
    chunks = Reader().feed(payloads)
    assert [c.delta for c in chunks if isinstance(c, TextChunk)] == [t for t in texts if t]
    assert len(chunks) == len([t for t in texts if t])


def test_events_that_only_look_alike() -> None:
    """An event that begins and ends like the last, but holds more in between, is read in full."""
    plain = b'{"choices":[{"delta":{"content":"one"},"finish_reason":null}]}'
    more = b'{"choices":[{"delta":{"content":"two","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}],"x":"y"},"finish_reason":null}]}'
    short = b'{"choices":[{"delta":{"content":""},"finish_reason":null}]}'
    chunks = Reader().feed([plain, more, short, plain])
    assert folded(chunks)[:3] == ("onetwoone", "", [("a", "f", "")])


async def test_details_that_their_provider_wants_back() -> None:
    """OpenRouter's `reasoning_details` come out as one opaque part, put together; others' do not."""
    data = (STREAMS / "reasoning_details.sse").read_bytes()
    wanted = [{"type": "reasoning.text", "text": "Hmm", "index": 0, "format": "f", "signature": "c2VhbA=="}]
    for provider, parts in (("openrouter", [ProviderPart("openrouter", "reasoning_details", wanted)]), ("openai", [])):
        async with ChatServer([Reply(body=cut(data, "7"), content_type="text/event-stream")]) as server:
            model = OpenAIChatModel("m", base_url=server.base_url, api_key="sk-test", provider=provider)
            chunks = [c async for c in model.stream(ASK)]
        assert [c.part for c in chunks if isinstance(c, PartChunk)] == parts
        assert isinstance(chunks[-1], Finished)
