"""Traces across processes: the W3C headers `traceparent`, `tracestate` and `baggage`, read and written.

What comes in is given to a run as its options of the same names; `incoming` takes them out of a request:

    async with agent.stream(text, **incoming(scope)) as run: …

What goes out is on every request to a model, and in a tool's `ToolContext.trace_headers`. Sources: W3C Trace Context
(Recommendation of 23 November 2021) and W3C Baggage. What does not fit them is dropped, never sent on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
BAGGAGE: Final = "baggage"

_NAMES: Final = (TRACEPARENT, TRACESTATE, BAGGAGE)
_PARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_PLAIN: Final = 55
"""Characters of a `traceparent` of version 00, the only ones that version may have."""
_STATE_KEY: Final = r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_STATE: Final = re.compile(rf"({_STATE_KEY})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
_MOST_STATES: Final = 32
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE: Final = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
_BAGGAGE: Final = re.compile(rf"{_WORD}[ \t]*=[ \t]*{_VALUE}(?:[ \t]*;[ \t]*{_WORD}(?:[ \t]*=[ \t]*{_VALUE})?)*")
_MOST_BAGGAGE: Final = 64
_LONGEST: Final = 8192
"""Characters of a whole `tracestate` or `baggage` beyond which it is not sent on."""


class SpanIds(NamedTuple):
    """A span, as others need to know it to belong to its trace.

    Attributes:
        trace_id: 32 lower-case hex digits.
        span_id: 16 of them.
        sampled: whether whoever made it records it.
        tracestate: that header, "" for none.
        baggage: likewise.
        parent_id: the span around it, where whoever made it knows; it is not sent.
    """

    trace_id: str
    span_id: str
    sampled: bool = True
    tracestate: str = ""
    baggage: str = ""
    parent_id: str | None = None

    @property
    def traceparent(self) -> str:
        """That header."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    @property
    def carried(self) -> tuple[tuple[str, str], ...]:
        """The headers that go with `traceparent`, those that say something."""
        return carried(self.tracestate, self.baggage)

    def headers(self) -> dict[str, str]:
        """All of them, to be sent on."""
        return {TRACEPARENT: self.traceparent, **dict(self.carried)}


def carried(tracestate: str, baggage: str) -> tuple[tuple[str, str], ...]:
    """The headers that go with a `traceparent`, those that say something."""
    return tuple([(n, v) for n, v in ((TRACESTATE, tracestate), (BAGGAGE, baggage)) if v])


def parent_of(traceparent: str | None, tracestate: str | None = None, baggage: str | None = None) -> SpanIds | None:
    """The span that these headers name, None where `traceparent` is none that W3C allows."""
    given = traceparent.strip().lower() if traceparent else ""
    found = _PARENT.fullmatch(given)
    if found is None or (given.startswith("00") and len(given) != _PLAIN):
        return None
    sampled = bool(int(found[3], 16) & 1)
    return SpanIds(found[1], found[2], sampled, tracestate_of(tracestate), baggage_of(baggage))


def checked(ids: SpanIds) -> SpanIds | None:
    """Ids that somebody else gave, as far as they may be sent on; None where they are none."""
    found = parent_of(ids.traceparent, ids.tracestate, ids.baggage)
    return found._replace(parent_id=ids.parent_id) if found is not None else None


def tracestate_of(text: str | None) -> str:
    """A `tracestate` as it may be sent on: "" where it does not hold to the rule, for half of one says something else."""
    members = [m.strip(" \t") for m in text.split(",")] if text and len(text) <= _LONGEST else []
    members = [m for m in members if m]
    found = [_STATE.fullmatch(m) for m in members]
    keys = {f[1] for f in found if f is not None}
    return ",".join(members) if len(keys) == len(members) <= _MOST_STATES else ""


def baggage_of(text: str | None) -> str:
    """A `baggage` as it may be sent on: the members that hold to the rule, as far as there is room."""
    kept: list[str] = []
    room = _LONGEST
    for member in (text or "").split(","):
        each = member.strip(" \t")
        if len(kept) < _MOST_BAGGAGE and len(each) <= room and _BAGGAGE.fullmatch(each):
            kept.append(each)
            room -= len(each) + 1
    return ",".join(kept)


def incoming(request: Mapping[str, Any] | Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """The options that make a run part of the trace a request belongs to: those of the three that it names.

    Args:
        request: an ASGI scope; or its headers, as a mapping or as pairs, text or bytes, names in any case.

    Returns:
        What `generate` and `stream` take: `traceparent`, `tracestate`, `baggage`. A header that came twice is joined, as
        HTTP has it; two `traceparent`s are none.
    """
    inner = request.get("headers") if isinstance(request, Mapping) else None
    pairs: Any = request if inner is None or isinstance(inner, str | bytes) else inner  # a header may have that name
    pairs = pairs.items() if isinstance(pairs, Mapping) else pairs
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        key = _text(name).lower()
        if key in _NAMES:
            found.setdefault(key, []).append(_text(value))
    parents = found.get(TRACEPARENT, [])
    if len(parents) > 1:
        del found[TRACEPARENT]
    return {name: ",".join(values) for name, values in found.items()}


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes | bytearray) else str(value)
