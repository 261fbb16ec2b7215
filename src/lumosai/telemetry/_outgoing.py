"""OTLP's JSON as its protobuf, for receivers that read no other: a request's few messages, written field by field.

Source: opentelemetry-proto, `trace/v1/trace.proto` and `common/v1/common.proto`, whose field numbers stand here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MASK: Final = 2**64 - 1


def as_protobuf(resource_spans: Iterable[dict[str, Any]]) -> bytes:
    """An `ExportTraceServiceRequest` of the parts of one in JSON."""
    return b"".join([_message(1, _resource_spans(each)) for each in resource_spans])


def _resource_spans(told: dict[str, Any]) -> bytes:
    resource = b"".join([_message(1, _pair(p)) for p in told["resource"]["attributes"]])
    return _message(1, resource) + b"".join([_message(2, _scope_spans(s)) for s in told["scopeSpans"]])


def _scope_spans(told: dict[str, Any]) -> bytes:
    scope = _text(1, told["scope"]["name"])
    spans = b"".join([_message(2, _span(s)) for s in told["spans"]])
    return _message(1, scope) + spans + _text(3, told.get("schemaUrl", ""))


def _span(told: dict[str, Any]) -> bytes:
    parts = [
        _message(1, bytes.fromhex(told["traceId"])),
        _message(2, bytes.fromhex(told["spanId"])),
        _message(4, bytes.fromhex(told["parentSpanId"])) if "parentSpanId" in told else b"",
        _text(5, told["name"]),
        _number(6, told["kind"]),
        _fixed(7, int(told["startTimeUnixNano"])),
        _fixed(8, int(told["endTimeUnixNano"])),
        *[_message(9, _pair(p)) for p in told["attributes"]],
        *[_message(11, _event(e)) for e in told["events"]],
    ]
    status = told.get("status")
    if status is not None:
        parts.append(_message(15, _text(2, status["message"]) + _number(3, status["code"])))
    parts.append(_key(16, _FIXED32) + struct.pack("<I", told["flags"]))
    return b"".join(parts)


def _event(told: dict[str, Any]) -> bytes:
    attributes = [_message(3, _pair(p)) for p in told.get("attributes", ())]
    return _fixed(1, int(told["timeUnixNano"])) + _text(2, told["name"]) + b"".join(attributes)


def _pair(told: dict[str, Any]) -> bytes:
    return _text(1, str(told["key"])) + _message(2, _value(told["value"]))


def _value(told: dict[str, Any]) -> bytes:  # noqa: PLR0911  # one a type
    for kind, value in told.items():
        match kind:
            case "stringValue":
                return _message(1, _utf8(value))
            case "boolValue":
                return _number(2, int(value), whole=True)
            case "intValue":
                return _number(3, int(value), whole=True)
            case "doubleValue":
                return _key(4, _FIXED64) + struct.pack("<d", float(value))
            case "arrayValue":
                return _message(5, b"".join([_message(1, _value(v)) for v in value.get("values", ())]))
            case "kvlistValue":
                return _message(6, b"".join([_message(1, _pair(p)) for p in value.get("values", ())]))
            case _:
                continue
    return b""


def _message(field: int, body: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(body)) + body


def _text(field: int, text: str) -> bytes:
    return _message(field, _utf8(text)) if text else b""


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _number(field: int, value: int, *, whole: bool = False) -> bytes:
    return _key(field, _VARINT) + _varint(value & _MASK) if value or whole else b""


def _fixed(field: int, value: int) -> bytes:
    return _key(field, _FIXED64) + struct.pack("<Q", value) if value else b""


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint(value: int) -> bytes:
    if value < 0x80:  # noqa: PLR2004  # most are of one byte
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004  # seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
