"""Streams of `/responses`: recorded ones and those of every kind of event, at every cut, directly and from a real server."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai import _http
from lumosai.errors import LumosaiError
from lumosai.messages import Message
from lumosai.models import ModelRequest, OpenAIResponsesModel
from lumosai.models._responses_stream import Reader
from lumosai.models.base import Chunk
from tests.conftest import examples
from tests.models.responses_server import ResponsesServer, Told, call, events_of, message, thought
from tests.models.responses_streams import STREAMS, raw
from tests.models.test_streams import cut, folded, recorded
from tests.servers import Reply

ASK = ModelRequest(messages=(Message.user("go"),))
SHORT = 6000
"""Bytes up to which a stream is sent byte by byte through a server; longer ones only in larger pieces."""

PARALLEL = (
    '{"tool_uses":[{"recipient_name":"functions.weather","parameters":{"location":"San Francisco"}},'
    '{"recipient_name":"functions.cityAttractions","parameters":{"city":"Rome"}}]}'
)

RECORDED: dict[str, tuple[Any, ...]] = {
    "openai-responses-parallel.chunks.txt": (
        "",
        "",
        [
            (
                "call_parallel",
                "parallel",
                PARALLEL,
            )
        ],
        "tool_calls",
        (34, 28, 0, 0, 62),
    ),
    "pai-api-openai-com-test_openai_responses_stream-0.sse": (
        "",
        "",
        [("call_kL0PCQV7M2WMoVX8V8OtYSAL", "get_capital", '{"country":"France"}')],
        "tool_calls",
        (255, 16, 0, 0, 271),
    ),
    "pai-api-openai-com-test_openai_client_tool_search_streaming-1.sse": (
        "",
        "",
        [("call_gkRScKqY5kWYzIi8VeJfbRp4", "get_exchange_rate", '{"from_currency":"USD","to_currency":"EUR"}')],
        "tool_calls",
        (429, 26, 0, 0, 455),
    ),
    "pai-api-deepseek-com-test_deepseek_responses[function_tool_stream]-0.sse": (
        "",
        "The user asks about temperature in Tokyo. I'll call the tool.",
        [("call_00_xjY8Z2BvSlzgEmmw0DtH0464", "get_temperature", '{"city": "Tokyo"}')],
        "tool_calls",
        (366, 59, 14, 256, 425),
    ),
    "pai-api-deepseek-com-test_deepseek_responses[function_tool_stream]-1.sse": (
        "The current temperature in Tokyo is **21.0°C**.",
        "",
        [],
        "stop",
        (440, 14, 0, 384, 454),
    ),
    "pai-api-deepseek-com-test_deepseek_responses[text_stream]-0.sse": (
        "The capital of France is Paris.",
        "We need answer capital of France.",
        [],
        "stop",
        (90, 15, 7, 0, 105),
    ),
}


def read(pieces: Sequence[bytes]) -> tuple[list[Chunk], Reader, bytes | None]:
    """Decodes and reads a stream with no server; the chunks, the reader, and the data of an error event."""
    decoder, reader = _http.Decoder(), Reader("openai-responses@127.0.0.1")
    chunks: list[Chunk] = []
    for piece in pieces:
        payloads = decoder.feed(piece)
        if not reader.stopped:
            chunks += reader.feed(payloads)
    last = decoder.close()
    if last is not None and not reader.stopped:
        chunks += reader.feed([last])
    return chunks, reader, decoder.error


async def serve(
    pieces: Sequence[bytes], *, incremental: bool = True, **options: Any
) -> tuple[list[Chunk], LumosaiError | None]:
    """Sends the pieces from a real server; what the model made of them, and the error it ended with."""
    chunks: list[Chunk] = []
    async with ResponsesServer([Reply(body=pieces, content_type="text/event-stream")]) as server:
        model = OpenAIResponsesModel("m", base_url=server.base_url, api_key="sk-test", **options)
        try:
            async for chunk in model.stream(ModelRequest(messages=ASK.messages, incremental=incremental)):
                chunks.append(chunk)
        except LumosaiError as error:
            return chunks, error
    return chunks, None


@pytest.mark.parametrize("how", ["whole", "7", "1", "random-1", "random-2"])
@pytest.mark.parametrize("name", sorted(RECORDED))
async def test_a_recorded_stream(name: str, how: str) -> None:
    """Recorded servers' streams give what reading them by eye gives, directly and from a server, at any cut."""
    data = recorded(name)
    chunks, reader, error = read(cut(data, how))
    assert error is None and reader.whole
    assert RECORDED[name] == folded(chunks + reader.answer.end())
    if how != "1" or len(data) < SHORT:
        served, failed = await serve(cut(data, how))
        assert failed is None
        assert served == chunks + reader.answer.end()


@pytest.mark.parametrize("how", ["whole", "7", "1", "random-1"])
@pytest.mark.parametrize("name", sorted(STREAMS))
async def test_a_stream_from_a_server(name: str, how: str) -> None:
    """Whatever the cut, a stream gives what its answer says, and its error where it has one; never a false end."""
    events, wanted = STREAMS[name]
    chunks, error = await serve(cut(raw(events), how))
    text, reasoning, calls, finish, usage = folded(chunks)
    if wanted.error is None:
        assert error is None
        assert (text, reasoning, calls, finish, usage) == (
            wanted.text,
            wanted.reasoning,
            list(wanted.calls),
            wanted.finish,
            wanted.usage,
        )
    else:
        assert (text, reasoning, calls) == (wanted.text, wanted.reasoning, list(wanted.calls))
        assert type(error) is wanted.error
        assert wanted.says in str(error)
        assert finish is None


@pytest.mark.parametrize("name", sorted(STREAMS))
async def test_a_stream_where_a_whole_answer_was_asked_for(name: str) -> None:
    """A server that streams unasked is understood all the same, and fails alike."""
    events, wanted = STREAMS[name]
    chunks, error = await serve([raw(events)], incremental=False)
    if wanted.error is not None:
        assert type(error) is wanted.error
        assert chunks == []
        return
    assert error is None
    assert folded(chunks) == (wanted.text, wanted.reasoning, list(wanted.calls), wanted.finish, wanted.usage)


@settings(max_examples=examples(150), deadline=None)
@given(name=st.sampled_from(sorted(STREAMS)), seed=st.integers(0, 10**6))
def test_a_stream_at_random_cuts(name: str, seed: int) -> None:
    """No cut of any stream changes a single chunk."""
    data = raw(STREAMS[name][0])
    whole_chunks, whole_reader, whole_error = read([data])
    chunks, reader, error = read(cut(data, f"random-{seed}"))
    assert chunks == whole_chunks
    assert (reader.whole, reader.torn, reader.failed, error) == (
        whole_reader.whole,
        whole_reader.torn,
        whole_reader.failed,
        whole_error,
    )


ONE = Told([thought("Look.", id="rs_a"), message("The capital of France is Paris.", id="msg_a"), call("add", '{"x": 1}', id="fc_a", call_id="a")], id="resp_a", size=4)  # fmt: skip
TWO = Told([thought("Hm.", id="rs_b"), message("An answer to something else.", id="msg_b"), call("sub", '{"y": 22}', id="fc_b", call_id="b")], id="resp_b", size=3)  # fmt: skip
SAID = [
    (
        told.output[1]["content"][0]["text"],
        [(told.output[2]["call_id"], told.output[2]["name"], told.output[2]["arguments"])],
    )
    for told in (ONE, TWO)
]


@settings(max_examples=examples(400), deadline=None)
@given(data=st.data(), numbered=st.booleans())
def test_two_answers_are_never_put_together(data: st.DataObject, numbered: bool) -> None:
    """Whatever is cut, lost, doubled or spliced: an answer that ends well is one of the two, whole."""
    events = [events_of(ONE), events_of(TWO)]
    if not numbered:
        events = [[{k: v for k, v in e.items() if k != "sequence_number"} for e in each] for each in events]
    stream: list[dict[str, Any]] = []
    for _ in range(data.draw(st.integers(1, 4))):
        source = events[data.draw(st.integers(0, 1))]
        start, end = sorted((data.draw(st.integers(0, len(source))), data.draw(st.integers(0, len(source)))))
        stream += source[start:end]
    for _ in range(data.draw(st.integers(0, 2))):
        if stream:
            del stream[data.draw(st.integers(0, len(stream) - 1))]
    chunks, reader, _ = read([raw(stream)])
    if reader.answer.status == "completed" and reader.torn is None:
        text, _, calls, _, _ = folded(chunks + reader.answer.end())
        assert (text, calls) in SAID


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda v: (
        st.lists(v, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "type", "text", "content", "name"]), v, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=examples(400), deadline=None)
@given(data=st.data())
def test_any_field_may_hold_anything(data: st.DataObject) -> None:
    """A stream of nonsense ends in an answer or in an error by its name, at any cut, and never in an exception."""
    stream = copy.deepcopy(events_of(data.draw(st.sampled_from([ONE, TWO]))))
    for _ in range(data.draw(st.integers(1, 4))):
        target: Any = data.draw(st.sampled_from(stream))
        for _ in range(data.draw(st.integers(0, 3))):
            inner = [
                v for v in (target.values() if isinstance(target, dict) else target) if isinstance(v, dict | list) and v
            ]
            if inner:
                target = data.draw(st.sampled_from(inner))
        if isinstance(target, dict):
            target[data.draw(st.sampled_from(sorted(target)))] = data.draw(JUNK)
        else:
            target[0] = data.draw(JUNK)
    payload = raw(stream)
    chunks, reader, _ = read([payload])
    again, second, _ = read(cut(payload, "7"))
    assert again == chunks
    assert (second.torn, second.broken, second.failed) == (reader.torn, reader.broken, reader.failed)
    assert all(isinstance(c, Chunk) for c in chunks + reader.answer.end())
