"""Spans as OTLP brings them, protobuf or JSON: one reading for both.

Protobuf is read by the library (extra `otel`), imported here alone. OTLP's JSON differs from protobuf's own: ids are hex,
64-bit numbers are texts or numbers, and what is not known is passed by.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from lumosai.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST_NS: Final = 2**63 - 1
_DEEPEST: Final = 64
FAILED: Final = 2
"""A status's code."""
LOCAL, REMOTE, UNKNOWN = 0, 1, 2


class Incoming(NamedTuple):
    """A span as it came.

    Attributes:
        trace, span: their ids, hex; not checked yet.
        parent: "" of the first.
        above: where its parent is: in the same process, in another, or nobody said.
        name, attributes: as they were sent.
        start, end: nanoseconds since 1970; an end of 0 is none.
        notes: time, name and attributes of each of its events.
        code, message: its status.
    """

    trace: str
    span: str
    parent: str
    above: int
    name: str
    start: int
    end: int
    attributes: dict[str, Any]
    notes: list[tuple[int, str, dict[str, Any]]]
    code: int
    message: str


def _above(flags: int) -> int:
    return (REMOTE if flags & 0x200 else LOCAL) if flags & 0x100 else UNKNOWN


@lru_cache(1)
def _library() -> tuple[Any, Any]:
    try:
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError:
        raise MissingExtraError("OTLP in protobuf", extra="otel") from None
    return ExportTraceServiceRequest, DecodeError


def read_protobuf(data: bytes) -> list[tuple[dict[str, Any], Iterator[Incoming | None]]]:
    """The spans of an `ExportTraceServiceRequest`, resource by resource.

    Raises:
        InvalidInputError: it is none.
        MissingExtraError: the library is not installed.
    """
    request, wrong = _library()
    try:
        sent = request.FromString(data)
    except wrong:
        raise InvalidInputError("the body is no ExportTraceServiceRequest in protobuf") from None
    return [(_proto_attributes(r.resource.attributes), _proto_spans(r)) for r in sent.resource_spans]


def _proto_spans(resource: Any) -> Iterator[Incoming | None]:
    for part in resource.scope_spans:
        for span in part.spans:
            status = span.status
            yield Incoming(
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                _above(span.flags),
                span.name,
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                _proto_attributes(span.attributes),
                [(e.time_unix_nano, e.name, _proto_attributes(e.attributes)) for e in span.events]
                if span.events
                else [],
                status.code,
                status.message,
            )


def _proto_attributes(pairs: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        # Most are texts; what is none, or empty, is looked at more closely.
        out[pair.key] = value.string_value or _proto_value(value, value.WhichOneof("value"))
    return out


def _proto_value(value: Any, which: str | None) -> Any:
    if which is None:
        return None
    if which == "int_value":
        return value.int_value
    read = _VALUES.get(which)
    return read(value) if read is not None else None


def _proto_values(value: Any) -> list[Any]:
    return [_proto_value(v, v.WhichOneof("value")) for v in value.array_value.values]


_VALUES: Final[dict[str, Callable[[Any], Any]]] = {
    "string_value": lambda v: v.string_value,
    "int_value": lambda v: v.int_value,
    "double_value": lambda v: v.double_value,
    "bool_value": lambda v: v.bool_value,
    "bytes_value": lambda v: base64.b64encode(v.bytes_value).decode(),
    "array_value": _proto_values,
    "kvlist_value": lambda v: _proto_attributes(v.kvlist_value.values),
}

_Number = int | str | None


class _Value(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bytes_value: str | None = None
    array_value: _Array | None = None
    kvlist_value: _Pairs | None = None


class _Pair(msgspec.Struct):
    key: str = ""
    value: _Value | None = None


class _Array(msgspec.Struct):
    values: list[_Value | None] | None = None


class _Pairs(msgspec.Struct):
    values: list[_Pair] | None = None


class _Event(msgspec.Struct, rename="camel"):
    time_unix_nano: _Number = None
    name: str | None = None
    attributes: list[_Pair] | None = None


class _Status(msgspec.Struct):
    code: int | str | None = None
    message: str | None = None


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    flags: int | None = None
    name: str | None = None
    start_time_unix_nano: _Number = None
    end_time_unix_nano: _Number = None
    attributes: list[_Pair] | None = None
    events: list[_Event] | None = None
    status: _Status | None = None


class _ScopeSpans(msgspec.Struct):
    spans: list[_Span] | None = None


class _Resource(msgspec.Struct):
    attributes: list[_Pair] | None = None


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


_request = msgspec.json.Decoder(_Request).decode


def read_json(data: bytes) -> list[tuple[dict[str, Any], Iterator[Incoming | None]]]:
    """The same of OTLP's JSON.

    Raises:
        InvalidInputError: it is none.
    """
    try:
        sent = _request(data)
        return [
            (_attributes(r.resource.attributes) if r.resource is not None else {}, _spans(r))
            for r in sent.resource_spans or ()
        ]
    except RecursionError:
        raise InvalidInputError("the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise InvalidInputError(f"the body is no ExportTraceServiceRequest in JSON: {error}") from None


def _spans(resource: _ResourceSpans) -> Iterator[Incoming | None]:
    for part in resource.scope_spans or ():
        for span in part.spans or ():
            status = span.status or _Status()
            try:
                yield Incoming(
                    (span.trace_id or "").lower(),
                    (span.span_id or "").lower(),
                    (span.parent_span_id or "").lower(),
                    _above(span.flags or 0),
                    span.name or "",
                    _time(span.start_time_unix_nano),
                    _time(span.end_time_unix_nano),
                    _attributes(span.attributes),
                    [(_time(e.time_unix_nano), e.name or "", _attributes(e.attributes)) for e in span.events or ()],
                    FAILED if status.code in (FAILED, "2", "STATUS_CODE_ERROR") else 0,
                    status.message or "",
                )
            except (ValueError, RecursionError):
                yield None


def _time(value: _Number) -> int:
    return int(value) if value else 0


def _attributes(pairs: list[_Pair] | None, depth: int = 0) -> dict[str, Any]:
    return {p.key: _value(p.value, depth) for p in pairs} if pairs else {}


def _value(value: _Value | None, depth: int = 0) -> Any:  # noqa: PLR0911  # one a type
    if value is None or depth > _DEEPEST:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.bool_value is not None:
        return value.bool_value
    if value.int_value is not None:
        return int(value.int_value)
    if value.double_value is not None:
        return float(value.double_value)
    if value.array_value is not None:
        return [_value(v, depth + 1) for v in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return _attributes(value.kvlist_value.values, depth + 1)
    return value.bytes_value


def answer_protobuf(rejected: int, why: str) -> bytes:
    """An `ExportTraceServiceResponse`."""
    if not rejected:
        return b""
    words = why.encode()
    partial = b"\x08" + _varint(rejected) + b"\x12" + _varint(len(words)) + words
    return b"\x0a" + _varint(len(partial)) + partial


def answer_json(rejected: int, why: str) -> bytes:
    """The same in JSON."""
    if not rejected:
        return b"{}"
    return msgspec.json.encode({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": why}})


def failure_protobuf(code: int, why: str) -> bytes:
    """A `google.rpc.Status`."""
    words = why.encode("utf-8", "replace")
    return b"\x08" + _varint(code) + b"\x12" + _varint(len(words)) + words


def failure_json(code: int, why: str) -> bytes:
    """The same in JSON."""
    return msgspec.json.encode({"code": code, "message": why})


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004  # seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
