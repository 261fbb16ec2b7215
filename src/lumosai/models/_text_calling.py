"""Textual calling: tools for a model that takes no `tools` and cannot be held to a schema.

The tools, and how a call is written, are told in the system prompt in the words of a dialect; earlier calls and results
are told in the same. What the model answers is read by the dialects' parser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lumosai import dialects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.dialects.base import Dialect
    from lumosai.messages import ToolCallPart
    from lumosai.models._plain_history import SayCall
    from lumosai.records import ToolChoice, ToolDefinition

DEFAULT = "hermes"
"""What a model of unknown training is asked to write. It is the format that most open models were shown, and it has
markers of its own, so that a call cannot be taken for prose nor prose for a call."""


def text_dialect(*names: str) -> Dialect:
    """The first of `names` that is one, else the default."""
    for name in names:
        if name and name != "auto" and name in dialects.DIALECTS:
            return dialects.get(name)
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
        try:
            return dialect.encode(call)
        except ValueError:
            return dialects.get(DEFAULT).encode(call)

    return said


def describe_output(schema: dict[str, Any]) -> str:
    """What the system prompt says where the answer must fit a schema and the model cannot be held to it."""
    text = msgspec.json.encode(schema).decode()
    return f"Give your final answer as JSON only, without a fence or other words. It must fit this JSON Schema:\n{text}"
