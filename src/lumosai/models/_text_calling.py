"""Textual calling: tools for a model that takes no `tools` and cannot be held to a schema.

The tools, and how a call is written, are told in the system prompt in the words of a dialect; earlier calls and results
are told in the same. What the model answers is read by the dialects' parser.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai import dialects
from lumosai.errors import ConfigurationError
from lumosai.messages import ToolCallPart
from lumosai.models._dialect_table import dialect_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.dialects.base import Dialect
    from lumosai.models._plain_history import SayCall
    from lumosai.records import ToolChoice, ToolDefinition

DEFAULT = "hermes"
"""What a model of unknown training is asked to write. It is the format that most open models were shown, and it has
markers of its own, so that a call cannot be taken for prose nor prose for a call."""


def text_dialect(learned: str, profile: str, name: str) -> Dialect:
    """How a model is to write its calls: as it was seen to, as its profile says, as its name tells, else the default.

    What was seen counts only where it has markers of its own: what weak models write without being told is no format.

    Args:
        learned: the dialect that it was seen to write, "" where none was.
        profile: its profile's dialect or an alias, "auto" where unknown.
        name: the model's name.
    """
    if has_markers(learned):
        return dialects.get(learned)
    for known in (profile, dialect_of(name)):
        if known and known != "auto":
            with suppress(ConfigurationError):
                return dialects.get(known)
    return dialects.get(DEFAULT)


def has_markers(name: str) -> bool:
    """Whether this is a dialect with markers of its own."""
    return name in dialects.DIALECTS and dialects.get(name).marked


def describe(dialect: Dialect, tools: Sequence[ToolDefinition], choice: ToolChoice | None) -> str:
    """What the system prompt says of the tools, and whether one must be called."""
    text = dialect.describe(tools)
    if isinstance(choice, dict):
        return f"{text}\n\nYou must answer with a call of the tool {choice['tool']!r} now."
    if choice == "required":
        return f"{text}\n\nYou must answer with a tool call now."
    return text


def say_call(dialect: Dialect) -> SayCall:
    """How an earlier call is told. One whose arguments were no JSON is told as it was written.

    One that the dialect has no way to write is told in the default one.
    """

    def said(call: ToolCallPart) -> str:
        if call.arguments is None:
            return f"{call.name} {call.raw or ''}"
        bare = ToolCallPart("", call.name, call.arguments)  # as a model writes it: ids are ours
        try:
            return dialect.encode(bare)
        except ValueError:
            return dialects.get(DEFAULT).encode(bare)

    return said


def describe_output(schema: dict[str, Any]) -> str:
    """What the system prompt says where the answer must fit a schema and the model cannot be held to it."""
    text = msgspec.json.encode(schema).decode()
    return f"Give your final answer as JSON only, without a fence or other words. It must fit this JSON Schema:\n{text}"
