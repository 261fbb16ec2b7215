"""Events as JSON, one object on one line."""

from __future__ import annotations

from typing import Any

import msgspec

from lumosai.events._kinds import AnyEvent, Event, ModelCallStarted, UnknownEvent
from lumosai.ids import content_hash

_KINDS = frozenset(t.__struct_config__.tag for t in AnyEvent.__args__) - {"unknown"}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnyEvent).decode


class _Kind(msgspec.Struct):
    type: str = ""


_kind = msgspec.json.Decoder(_Kind).decode


def to_json(event: Event) -> bytes:
    """The wire form of an event: one JSON object on one line. A prompt is sent as hashes, never as content."""
    if type(event) is ModelCallStarted and (event.prompt or event.tools):
        event = msgspec.structs.replace(
            event,
            prompt=(),
            tools=(),
            prompt_hashes=tuple(content_hash(m) for m in event.prompt),
            tools_hash=content_hash(event.tools) if event.tools else None,
        )
    elif type(event) is UnknownEvent:
        return _encode(event.data)
    return _encode(event)


def from_json(data: bytes | str) -> Event:
    """The event that `to_json` wrote. A type of a later version gives an `UnknownEvent`.

    Raises:
        msgspec.ValidationError: a known type with fields that do not fit it, or no event header.
        msgspec.DecodeError: not JSON.
    """
    kind = _kind(data).type
    if kind in _KINDS:
        event: Event = _decode(data)
        return event
    raw = msgspec.json.decode(data, type=dict[str, Any])
    header = {f: raw.get(f) for f in Event.__struct_fields__}
    return msgspec.convert({**header, "type": "unknown", "kind": kind, "data": raw}, UnknownEvent)
