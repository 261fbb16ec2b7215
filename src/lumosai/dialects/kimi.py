"""Kimi K2: calls in sections, each with an id that holds the tool's name and a number.

    <|tool_calls_section_begin|><|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{…}<|tool_call_end|>
    <|tool_calls_section_end|>

The form is that of the model's chat template and its guide to tool calling (moonshotai/Kimi-K2-Instruct). Where the id is
no more than a number, the one declared tool that takes the arguments is meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._fit import fits
from lumosai.dialects._json import arguments_text
from lumosai.dialects._scan import NotOneError, Scanner, judged
from lumosai.dialects._sections import HEADER, Section
from lumosai.messages import ToolCallPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolResultPart
    from lumosai.records import ToolDefinition

_BEGIN = ("<|tool_calls_section_begin|>", "<|tool_call_section_begin|>")
_END = ("<|tool_calls_section_end|>", "<|tool_call_section_end|>")
_CALL = "<|tool_call_begin|>"
_CALL_END = ("<|tool_call_end|>", "<|func_end|>")
_STRAY = (*_END, *_CALL_END)
_ARGUMENTS = ("<|tool_call_argument_begin|>", "<|func_start|>")
_ID = re.compile(r"\s*(?:functions\.)?([^\s:<>{}]+):\d+\s*")
_NUMBER = re.compile(r"\s*\d+\s*")
_FORBIDDEN = re.compile(r"[\s:<>{}]")


class Kimi:
    """JSON arguments behind an id. A call without an id of that form is none; one whose arguments are no JSON is told so."""

    name = "kimi-k2"
    marked = True
    control = True
    aliases = ("kimi", "kimik2", "kimi_k2_thinking", "kimi <|tool_calls_section_begin|>")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """The beginnings of a section and of a call."""
        return (*_BEGIN, _CALL, *_STRAY)

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

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls of the section that begins here, or an end that was left over."""
        section = Section(
            begin=_BEGIN,
            end=_END,
            call=(_CALL,),
            call_end=_CALL_END,
            stray=_STRAY,
            item=lambda s, _mark: _item(s, tools),
        )
        return judged(section.read, text, final=final)


def _written(name: str, arguments: str) -> str:
    return f"{_BEGIN[0]}{_CALL}functions.{name}:0{_ARGUMENTS[0]}{arguments}{_CALL_END[0]}{_END[0]}"


def _item(s: Scanner, tools: Mapping[str, ToolDefinition]) -> ToolCallPart:
    header = s.before("<|", "{", most=HEADER)
    named = _ID.fullmatch(header)
    s.take(*_ARGUMENTS)
    if not named and not _NUMBER.fullmatch(header):
        raise NotOneError
    start = s.at
    arguments = _arguments(s)
    name = named[1] if named else _tool_for(arguments, tools)
    if arguments is None:
        return ToolCallPart("", name, None, s.text[start : s.at].strip())
    return new_call(name, arguments)


def _arguments(s: Scanner) -> dict[str, Any] | None:
    """The arguments; None where what stands up to the call's own end is no JSON object."""
    s.blank()
    if s.see(*_CALL_END):
        return {}
    if not s.see("{"):
        raise NotOneError
    try:
        return s.object_before(*_CALL_END, _CALL, *_END)
    except NotOneError:
        if s.see(*_CALL_END):
            return None
        raise


def _tool_for(arguments: dict[str, Any] | None, tools: Mapping[str, ToolDefinition]) -> str:
    """The one tool that these arguments can be for.

    Raises:
        NotOneError: there is none, or there are several.
    """
    found = [
        name
        for name in tools
        if (arguments is None and len(tools) == 1) or (arguments is not None and fits(new_call(name, arguments), tools))
    ]
    if len(found) != 1:
        raise NotOneError
    return found[0]
