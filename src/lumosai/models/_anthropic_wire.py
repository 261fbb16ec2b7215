"""The wire's types: one event of a stream of `/v1/messages`, or a whole message, tolerant of what servers leave out.

Types name only what is used; unknown fields and unknown types are passed by, and anything may be null or missing. A
content block is kept as the JSON object it is: what nobody here understands is given back to its server unchanged.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec


class Delta(msgspec.Struct):
    """What an event adds: to a block (by `type`), or to the message."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: dict[str, Any] | None = None
    content: Any = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None
    container: dict[str, Any] | None = None


class Thought(msgspec.Struct):
    thinking_tokens: int | None = None


class Told(msgspec.Struct):
    """Tokens so far. Cached ones are not among `input_tokens`."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: Thought | None = None


class Whole(msgspec.Struct):
    """A message: with its content where it came whole, without where it begins a stream."""

    id: str | int | None = None
    model: str | None = None
    content: list[dict[str, Any]] | None = None
    stop_reason: str | None = None
    stop_details: dict[str, Any] | None = None
    container: dict[str, Any] | None = None
    usage: Told | None = None


class Event(msgspec.Struct):
    """One event of a stream, or a whole answer: an error in one has the same form as one in the other."""

    type: str | None = None
    index: int | None = None
    delta: Delta | None = None
    content_block: dict[str, Any] | None = None
    message: Whole | str | None = None
    usage: Told | None = None
    error: Any = None

    @property
    def failed(self) -> bool:
        """Whether this is an error."""
        return self.type == "error" or bool(self.error)


NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `decode` and `decode_whole` raise."""

decode: Final = msgspec.json.Decoder(Event).decode
decode_whole: Final = msgspec.json.Decoder(Whole).decode


def decode_loosely(payload: bytes, kind: type[Any] = Event) -> Any:
    """An event or a message that is not quite JSON or not quite of these types.

    Half of a surrogate pair, bytes that are no UTF-8 (which become U+FFFD), NaN, numbers written as text.

    Raises:
        ValueError: it is no JSON object, or nothing like it.
    """
    try:
        return msgspec.convert(json.loads(payload.decode(errors="replace")), kind, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from error
