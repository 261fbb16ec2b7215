"""The wire's types: one event of a stream of `/chat/completions`, or a whole answer, tolerant of every dialect.

Types name only what is used; unknown fields are passed by, and anything may be null or missing.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | list[Any] | None = None


class Call(msgspec.Struct):
    index: int | None = None
    id: str | int | None = None
    function: Function | None = None
    extra_content: Any = None


class Piece(msgspec.Struct):
    """A part of `content` where that is a list: text, or a thought that is itself a list of texts."""

    type: str | None = None
    text: str | None = None
    thinking: str | list[Piece] | None = None
    summary: str | list[Piece] | None = None
    image_url: Any = None


class Delta(msgspec.Struct):
    """What a choice adds; a whole message has the same fields."""

    content: str | list[Piece] | None = None
    tool_calls: list[Call] | Call | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    refusal: str | None = None
    function_call: Function | None = None
    images: Any = None
    audio: Any = None


class Tokens(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class Told(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: Tokens | None = None
    completion_tokens_details: Tokens | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None


class Choice(msgspec.Struct):
    delta: Delta | None = None
    finish_reason: str | None = None
    index: int | None = None
    message: Delta | None = None
    usage: Told | None = None
    error: Any = None


class Groq(msgspec.Struct):
    usage: Told | None = None
    error: Any = None


class Event(msgspec.Struct):
    """One event of a stream, or a whole answer."""

    choices: list[Choice] | None = None
    usage: Told | None = None
    id: str | int | None = None
    model: str | None = None
    error: Any = None
    object: str | None = None
    message: Any = None
    detail: Any = None
    x_groq: Groq | None = None

    @property
    def failed(self) -> bool:
        """Whether this is an error, in any of the shapes that servers give it."""
        if self.error or (self.x_groq is not None and self.x_groq.error):
            return True
        choices = self.choices
        if choices is None:
            return self.object == "error" or (self.usage is None and bool(self.message or self.detail))
        return bool(choices) and bool(choices[0].error)


text_of: Final = msgspec.json.Decoder(str).decode
NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `text_of` and `decode` raise."""

decode: Final = msgspec.json.Decoder(Event).decode


def decode_loosely(payload: bytes) -> Event:
    """An event that is not quite JSON or not quite of these types.

    Half of a surrogate pair, bytes that are no UTF-8 (which become U+FFFD), NaN, numbers written as text.

    Raises:
        ValueError: it is no JSON object, or nothing like an event.
    """
    try:
        return msgspec.convert(json.loads(payload.decode(errors="replace")), Event, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from error
