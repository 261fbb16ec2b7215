"""Spans as rows: what a span says, each value at its place, and many spans in a few bytes.

A run's spans are made, sent to storage and kept as such rows; the dictionary that a reader sees is made when somebody
reads. What stands at which place is a stored format: places and kinds are only ever added, at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.messages import scrub, scrubbed
from lumosai.traces import SpanRow, TraceStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.traces import StepKind

KINDS: Final[tuple[StepKind, ...]] = (
    "span",
    "run",
    "step",
    "model_call",
    "tool_call",
    "memory",
    "guard",
    "approval",
    "embedding",
)
"""Kinds of spans by their number. Only ever added to."""
KIND: Final = {kind: number for number, kind in enumerate(KINDS)}
"""The number of each."""

_TOKENS: Final = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "reasoning_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
)
PLACES: Final[dict[str, tuple[str, ...]]] = {
    "run": (
        "model",
        "agent_version",
        "thread_id",
        "resource_id",
        "parent_run_id",
        "definition_hash",
        "queued_ms",
        "finish_reason",
        "steps",
        "tool_calls",
        "response_model",
        "cost_usd",
        "cancelled",
        *_TOKENS,
    ),
    "step": ("index", "tool_mode", *_TOKENS),
    "model_call": (
        "purpose",
        "provider",
        "model",
        "endpoint",
        "model_call_id",
        "step",
        "attempt",
        "tool_mode",
        "messages",
        "finish_reason",
        "response_model",
        "response_id",
        "time_to_first_chunk_ms",
        "message_id",
        "tool_calls",
        "cost_usd",
        "price_version",
        *_TOKENS,
    ),
    "tool_call": ("call_id", "idempotency_key", "queued_ms", "result_chars", "refused"),
}
"""The names of the attributes that have a place of their own, by the kind of span. Only ever added to, at the end."""
_NOWHERE: Final = ()


def attributes_of(kind: StepKind, values: Sequence[Any], more: dict[str, Any] | None) -> dict[str, Any]:
    """The attributes that a reader sees: those that have a place, and the others."""
    places = PLACES.get(kind, _NOWHERE)
    found = {name: value for name, value in zip(places, values, strict=False) if value is not None}
    return found if not more else found | more


def step_of(row: SpanRow, run_id: str) -> TraceStep:
    """What a reader sees of a row; `run_id` is the trace's own run."""
    kind = KINDS[row.kind] if 0 <= row.kind < len(KINDS) else "span"
    return TraceStep(
        span_id=row.span_id,
        parent_span_id=row.parent,
        kind=kind,
        name=row.name,
        start=row.start_us / 1e6,
        duration_ms=row.duration_us / 1e3,
        run_id=run_id if row.run_id is None else row.run_id,
        agent=row.agent,
        error=row.error,
        error_type=row.error_type,
        attributes=attributes_of(kind, row.values, row.more),
    )


_FIELDS: Final = len(SpanRow._fields)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[list[Any]]).decode


def packed(rows: Sequence[SpanRow]) -> bytes:
    """Spans as they are stored. What no database holds, such as half a character, is left out of them."""
    try:
        return _encode(rows)
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError):
        return _encode([_storable(row) for row in rows])


def unpacked(data: bytes) -> list[SpanRow]:
    """What `packed` gave, also where a later version gave it.

    Raises:
        ValueError: it is no such data.
    """
    try:
        return [SpanRow(*row[:_FIELDS]) for row in _decode(data)]
    except (msgspec.DecodeError, TypeError) as error:
        raise ValueError(f"these {len(data)} bytes are no spans: {error}") from None


def _storable(row: SpanRow) -> SpanRow:
    clean = SpanRow(*scrubbed(tuple(row)))
    try:
        _encode(clean)
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError):
        told = scrub(repr({"values": row.values, "more": row.more})[:1_000])
        return clean._replace(values=(), more={"unreadable": told})
    return clean
