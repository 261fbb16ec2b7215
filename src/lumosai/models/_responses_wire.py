"""The wire's types: one event of a stream of `/responses`, or a whole answer, tolerant of every server that speaks it.

Types name only what is used; unknown fields are passed by, and anything may be null or missing. What is sent back as it
came (items) is not decoded here: it stays a plain dict.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from lumosai.models._encoded import encode


class Details(msgspec.Struct):
    """Tokens told apart, and why an answer is not complete."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    reason: str | None = None


class Told(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: Details | None = None
    output_tokens_details: Details | None = None


class Response(msgspec.Struct):
    """A response: whole, as far as it has come, or failed."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[dict[str, Any]] | None = None
    usage: Told | None = None
    error: Any = None
    incomplete_details: Details | None = None


_NULL: Final = b"null"


class Event(msgspec.Struct):
    """One event of a stream; an answer that came whole has the fields of a `Response` instead, and a `text` of its own."""

    type: str | None = None
    delta: Any = None
    output_index: int | None = None
    item_id: str | int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    sequence_number: int | None = None
    item: dict[str, Any] | None = None
    part: Any = None
    annotation: Any = None
    text: Any = None
    refusal: Any = None
    response: msgspec.Raw = msgspec.Raw(_NULL)
    error: Any = None
    object: str | None = None
    output: msgspec.Raw = msgspec.Raw(_NULL)
    message: Any = None
    detail: Any = None

    @property
    def failed(self) -> bool:
        """Whether this is an error, in any of the shapes that servers give it: an event, an object, or a field."""
        if self.type is not None:
            return self.type in ("error", "response.error")
        return bool(self.error) or self.object == "error" or (not self.whole and bool(self.message or self.detail))

    @property
    def whole(self) -> bool:
        """Whether it is no event but a whole answer."""
        return self.type is None and bytes(self.output) != _NULL


NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `decode` and `decode_response` raise."""

decode: Final = msgspec.json.Decoder(Event).decode
decode_response: Final = msgspec.json.Decoder(Response).decode


def decode_loosely(payload: bytes) -> Event:
    """An event that is not quite JSON or not quite of these types.

    Half of a surrogate pair, bytes that are no UTF-8 (which become U+FFFD), NaN, numbers written as text; and an event
    that lacks nothing but its own last brace, since the response in it is whole.

    Raises:
        ValueError: it is no JSON object, or nothing like an event.
    """
    text = payload.decode(errors="replace")
    try:
        value = json.loads(text)
    except ValueError:
        if not text.endswith("}"):
            raise
        value = json.loads(text + "}")
    except RecursionError as error:
        raise ValueError(str(error)) from error
    if not isinstance(value, dict):
        msg = f"expected an object, got {type(value).__name__}"
        raise ValueError(msg)  # noqa: TRY004  # as all else that is wrong with a payload
    for key in ("item", "response", "output"):
        if value.get(key) is not None:
            value[key] = msgspec.json.decode(encode(value[key]))
    raws = {k: msgspec.Raw(encode(value.pop(k))) for k in ("response", "output") if k in value}
    try:
        event = msgspec.convert(value, Event, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    for key, raw in raws.items():
        setattr(event, key, raw)
    return event


def response_of(payload: bytes | msgspec.Raw) -> Response:
    """A response decoded, loosely where it must be; an empty one where there is none.

    Raises:
        ValueError: it is nothing like a response.
    """
    if bytes(payload) == _NULL:
        return Response()
    try:
        return decode_response(payload)
    except NOT_JSON:
        try:
            value = json.loads(bytes(payload).decode(errors="replace"))
            return msgspec.convert(msgspec.json.decode(encode(value)), Response, strict=False)
        except (msgspec.ValidationError, RecursionError) as error:
            raise ValueError(str(error)) from error
