"""The decoder of server-sent events, held to a slow and plain one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai._http import Decoder
from tests.conftest import examples, find_data


def plain(data: bytes) -> list[str]:
    """The payloads of a whole stream, decoded as the specification's text says, line by line."""
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    payloads: list[str] = []
    buffer: list[str] = []
    for line in lines:
        if not line:
            if buffer:
                payloads.append("\n".join(buffer))
            buffer = []
            continue
        name, _, value = line.partition(":")
        if name == "data":
            buffer.append(value.removeprefix(" "))
    return payloads


def decoded(data: bytes, size: int) -> list[str]:
    decoder = Decoder()
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return [p.decode("utf-8", "surrogateescape") for piece in pieces for p in decoder.feed(piece)]


LINE = st.sampled_from(
    [
        b"data: x",
        b"data:",
        b"data",
        b"data:  two",
        b"data: \xe4\xbd\xa0",
        b": note",
        b"id: 3",
        b"retry: 1",
        b"event: message",
        b"",
        b"",
    ]
)
END = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"])


@settings(max_examples=examples(200), deadline=None)
@given(
    lines=st.lists(st.tuples(LINE, END), max_size=24),
    bom=st.booleans(),
    size=st.integers(1, 40),
)
def test_any_stream_at_any_cut(lines: list[tuple[bytes, bytes]], bom: bool, size: int) -> None:
    """The decoder gives what the specification's own words give, wherever the bytes are cut."""
    data = (b"\xef\xbb\xbf" if bom else b"") + b"".join(line + end for line, end in lines)
    assert decoded(data, size) == plain(data)


@settings(max_examples=examples(100), deadline=None)
@given(
    payloads=st.lists(
        st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=8
    ),
    size=st.integers(1, 64),
)
def test_what_providers_write(payloads: list[str], size: int) -> None:
    """Nothing but `data: …` events: every payload comes out, byte for byte."""
    data = b"".join(b"data: " + p.encode() + b"\n\n" for p in payloads)
    assert decoded(data, size) == payloads


def test_events_are_given_as_soon_as_they_are_whole() -> None:
    """An event waits for its blank line, and for nothing more."""
    decoder = Decoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\n") == [b"a"]
    assert decoder.feed(b"data: b\n\ndata: c\n\ndata: d") == [b"b", b"c"]
    assert decoder.feed(b"\r\n\r\n") == [b"d"]


def test_the_second_half_of_a_cut_line_end_is_no_blank_line() -> None:
    """A CR at the end of one read and the LF at the start of the next are one line end."""
    decoder = Decoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"\ndata: b\r") == []
    assert decoder.feed(b"\n\r") == [b"a\nb"]
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"data: c\n\n") == [b"c"]


def test_a_last_event_without_a_blank_line() -> None:
    """`close` gives it, once."""
    decoder = Decoder()
    assert decoder.feed(b"data: a\n\ndata: [DONE]") == [b"a"]
    assert decoder.close() == b"[DONE]"
    assert decoder.close() is None


def test_an_error_event_ends_the_reading() -> None:
    """Its data is kept apart, and nothing behind it is looked at."""
    decoder = Decoder()
    assert decoder.feed(b"data: a\n\nevent: error\ndata: {}\n\ndata: b\n\n") == [b"a"]
    assert decoder.error == b"{}"
    assert decoder.feed(b"data: c\n\n") == []
    assert decoder.close() is None


def test_a_long_event_in_many_small_pieces() -> None:
    """A megabyte in pieces of 100 bytes is joined once, not over and over."""
    data = b"data: " + b"x" * 1_000_000 + b"\n\n"
    decoder = Decoder()
    payloads = [p for i in range(0, len(data), 100) for p in decoder.feed(data[i : i + 100])]
    assert payloads == [b"x" * 1_000_000]


@pytest.mark.parametrize("size", [1, 7, 4096, 10**6])
def test_a_recorded_stream_with_comments_and_crlf(size: int) -> None:
    """An MCP server's stream: comments, named events, CRLF, no `[DONE]`; its messages come out whole."""
    data = find_data()
    path = data / "streams" / "pai-mcp-deepwiki-com-test_mcptoolset_dynamic_toolset_in_workflow-7.sse" if data else None
    if path is None or not path.is_file():
        pytest.skip("recorded streams are not part of a checkout: set LUMOSAI_TEST_DATA to where they are")
    raw = path.read_bytes()
    decoder = Decoder()
    payloads = [p for i in range(0, len(raw), size) for p in decoder.feed(raw[i : i + size])]
    last = decoder.close()
    messages = [json.loads(p) for p in [*payloads, *([last] if last else [])]]
    assert [m.get("method", "result") for m in messages] == ["notifications/message", "result"]
    assert messages[1]["result"]["content"][0]["text"].startswith("Pydantic AI is a Python agent framework")
