"""The wire's types: one event of a stream of `:streamGenerateContent`, or a whole answer of `:generateContent`.

Types name only what is used; unknown fields are passed by, and anything may be null or missing. The parts of a content
stay plain objects: what of a part is not understood here goes back to the model as it came.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from lumosai.models._encoded import whole_characters

Part = dict[str, Any]


class Content(msgspec.Struct):
    parts: list[Part] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    safety_ratings: list[Any] | None = None
    grounding_metadata: dict[str, Any] | None = None
    url_context_metadata: dict[str, Any] | None = None
    citation_metadata: dict[str, Any] | None = None


class Told(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    total_token_count: int | None = None


class Event(msgspec.Struct, rename="camel"):
    """One event of a stream, or a whole answer."""

    candidates: list[Candidate] | None = None
    prompt_feedback: dict[str, Any] | None = None
    usage_metadata: Told | None = None
    response_id: str | None = None
    model_version: str | None = None
    error: Any = None

    @property
    def blocked(self) -> str | None:
        """Why the prompt was refused, None where it was not."""
        reason = (self.prompt_feedback or {}).get("blockReason")
        return str(reason) if reason else None


class PartialArg(msgspec.Struct, rename="camel"):
    """A piece of a call's arguments: a value, or more of a string, at a place named by a JSON Path (RFC 9535)."""

    json_path: str
    string_value: str | None = None
    number_value: float | int | None = None
    bool_value: bool | None = None
    will_continue: bool | None = None


class Call(msgspec.Struct, rename="camel"):
    id: str | None = None
    name: str | None = None
    args: dict[str, Any] | None = None
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError)
"""What `decode` raises."""

Events = Event | list[Event]
"""An event; several of them as one document, from a server that was not told `alt=sse` or does not heed it."""

decode: Final = msgspec.json.Decoder(Events).decode


def decode_loosely(payload: bytes) -> Events:
    """Events that are not quite JSON or not quite of these types.

    Half of a surrogate pair and bytes that are no UTF-8 (which become U+FFFD), NaN, numbers written as text.

    Raises:
        ValueError: it is no JSON object or list of them, or nothing like an event.
    """
    try:
        loose: Events = msgspec.convert(
            whole_characters(json.loads(payload.decode(errors="replace"))), Events, strict=False
        )
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from error
    return loose


def call_of(part: Part) -> Call:
    """The call in a part.

    Raises:
        ValueError: it is none.
    """
    try:
        return msgspec.convert(part["functionCall"], Call, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
