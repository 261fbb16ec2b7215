"""The W3C headers of a trace: what is taken from them, and that nothing else is sent on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai.propagation import SpanIds, baggage_of, incoming, parent_of, tracestate_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "ids"),
    [
        (f"00-{TRACE}-{SPAN}-01", SpanIds(TRACE, SPAN)),
        (f" 00-{TRACE}-{SPAN}-00 ", SpanIds(TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-03", SpanIds(TRACE, SPAN)),
        (f"cc-{TRACE}-{SPAN}-01-what-later-versions-say", SpanIds(TRACE, SPAN)),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE[:-1]}g-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"00-{TRACE}-{SPAN}-01\r\nX-Evil: 1", None),
        ("", None),
        (None, None),
    ],
)
def test_a_traceparent(header: str | None, ids: SpanIds | None) -> None:
    """Version 00 to the letter; of a later one what this one knows; anything else is none."""
    assert parent_of(header) == ids
    if ids is not None:
        assert parent_of(ids.traceparent) == ids


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("fw529a3039@dt=FfAAAAZ,", "fw529a3039@dt=FfAAAAZ"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a=1\r\nX-Evil: 1", ""),
        ("a=ü", ""),
        (",".join(f"k{n}=v" for n in range(33)), ""),
        ("a=" + "v" * 9000, ""),
    ],
)
def test_a_tracestate_is_kept_whole_or_not_at_all(header: str, kept: str) -> None:
    assert tracestate_of(header) == kept


def test_of_a_baggage_what_fits_is_kept() -> None:
    """Members that break the rule are left out, as are those for which there is no room."""
    assert baggage_of("user=al%20ice;p=1;q , bad member, tier=gold\r\nX-Evil: 1, c=d") == "user=al%20ice;p=1;q,c=d"
    assert baggage_of(",".join(f"k{n}=v" for n in range(99))).count(",") == 63
    assert len(baggage_of(",".join(f"k{n}={'v' * 1000}" for n in range(9)))) <= 8192


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_text_breaks_out_of_its_header(traceparent: str, state: str, baggage: str) -> None:
    """Whatever comes in, what goes out is printable ASCII."""
    ids = parent_of(traceparent, state, baggage) or SpanIds(
        TRACE, SPAN, True, tracestate_of(state), baggage_of(baggage)
    )
    for value in ids.headers().values():
        assert value.isascii()
        assert value.isprintable()


HEADERS = {"Headers": "y", "TraceParent": f"00-{TRACE}-{SPAN}-01", "baggage": "a=1", "Host": "x"}


@pytest.mark.parametrize(
    "request_",
    [
        HEADERS,
        [*HEADERS.items()],
        {"type": "http", "headers": [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]},
    ],
)
def test_what_comes_in_is_options(request_: Any) -> None:
    assert incoming(request_) == {"traceparent": HEADERS["TraceParent"], "baggage": "a=1"}


def test_a_header_that_came_twice() -> None:
    """Two parents are none; members of the others are joined in their order."""
    twice = [*HEADERS.items(), *HEADERS.items(), ("tracestate", "a=1"), ("tracestate", "b=2")]
    assert incoming(twice) == {"baggage": "a=1,a=1", "tracestate": "a=1,b=2"}
