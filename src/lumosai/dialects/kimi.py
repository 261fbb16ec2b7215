"""Kimi K2: calls in sections, each with an id that holds the tool's name and a number.

    <|tool_calls_section_begin|><|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{…}<|tool_call_end|>
    <|tool_calls_section_end|>

The form is that of the model's chat template and its guide to tool calling (moonshotai/Kimi-K2-Instruct).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text
from lumosai.dialects._scan import NotOneError, Scanner, judged
from lumosai.dialects._sections import HEADER, Section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_BEGIN = ("<|tool_calls_section_begin|>", "<|tool_call_section_begin|>")
_END = ("<|tool_calls_section_end|>", "<|tool_call_section_end|>")
_CALL = "<|tool_call_begin|>"
_CALL_END = ("<|tool_call_end|>", "<|func_end|>")
_ARGUMENTS = ("<|tool_call_argument_begin|>", "<|func_start|>")
_ID = re.compile(r"\s*(?:functions\.)?([^\s:<>{}]+):\d+\s*")
_FORBIDDEN = re.compile(r"[\s:<>{}]")


class Kimi:
    """JSON arguments behind an id. A call without an id of that form is none."""

    name = "kimi-k2"
    marked = True
    control = True
    aliases = ("kimi", "kimik2", "kimi_k2_thinking", "kimi <|tool_calls_section_begin|>")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """The beginnings of a section and of a call."""
        return (*_BEGIN, _CALL)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = _written("TOOL", '{"PARAMETER": VALUE}')
        return f"Tools:\n{signatures(tools)}\n\nTo call a tool, answer with:\n{form}"

    def encode(self, call: ToolCallPart) -> str:
        """The call in a section of its own.

        Raises:
            ValueError: the tool's name cannot be written: it holds a blank, a colon or a bracket.
        """
        if _FORBIDDEN.search(call.name) or not call.name:
            raise ValueError(
                f"{call.name!r} cannot be written in this dialect: a name holds no blank, colon or bracket"
            )
        return _written(call.name, arguments_text(call))

    def show(self, result: ToolResultPart) -> str:
        """The result below its name. Its text cannot be taken for a marker."""
        text = result.text.replace("<|", "< |")
        return f"## Return of {result.name}\n{'Error: ' if result.is_error else ''}{text}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:  # noqa: ARG002
        """The calls of the section that begins here."""
        return judged(_SECTION.read, text, final=final)


def _written(name: str, arguments: str) -> str:
    return f"{_BEGIN[0]}{_CALL}functions.{name}:0{_ARGUMENTS[0]}{arguments}{_CALL_END[0]}{_END[0]}"


def _item(s: Scanner, _mark: str) -> ToolCallPart:
    name = _ID.fullmatch(s.before("<|", "{", most=HEADER))
    s.take(*_ARGUMENTS)
    s.blank()
    if name is None or not s.see("{"):
        raise NotOneError
    return new_call(name[1], s.object_before(*_CALL_END, _CALL, *_END))


_SECTION = Section(begin=_BEGIN, end=_END, call=(_CALL,), call_end=_CALL_END, item=_item)
