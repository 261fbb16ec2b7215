"""Calls as JSON in a code fence that ends the answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._alone import call_value, line_ends
from lumosai.dialects._calls import KEYS
from lumosai.dialects._fit import fits
from lumosai.dialects._lines import HEAD
from lumosai.dialects.base import MORE, NO, Found, More, No, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from lumosai.messages import ToolCallPart
    from lumosai.records import ToolDefinition

OPENERS = ("```", "~~~")

_OPENING = re.compile(r"(`{3,}+|~{3,}+)[ \t]*+([^\s`]*+)[ \t\r]*+\n")
_LANGUAGES = frozenset(
    {"", "json", "jsonc", "json5", "text", "plaintext"}
    | {"tool", "tools", "tool_call", "tool_calls", "tool_code", "tool_use", "function", "function_call"}
)
_BETWEEN = re.compile(r"[ \t\r\n,;]*")
_CLOSING = re.compile(r"(`+|~+|)[ \t\r]*")


def recognise_fenced(
    text: str,
    tools: Mapping[str, ToolDefinition],
    *,
    final: bool,
    calls_of: Callable[[Any], tuple[ToolCallPart, ...] | None],
    keys: Collection[str] = KEYS,
    loose: bool = False,
) -> Verdict:
    """The calls in the fence with which `text` begins: JSON values, each a call that fits a declared tool.

    `loose`: what is nearly JSON counts, too.

    A fence that the end of the answer leaves open counts too, as it does in Markdown.
    """
    if text.find("\n", 0, HEAD) < 0:
        return MORE if len(text) <= HEAD else NO
    opening = _OPENING.match(text)
    if opening is None or opening[2].lower() not in _LANGUAGES:
        return NO
    calls: list[ToolCallPart] = []
    at = _between(text, opening.end())
    while at < len(text) and text[at] in "{[":
        value = call_value(text, at, tools, keys, loose=loose, blank_lines=True)
        if isinstance(value, More | No):
            return value
        found = calls_of(value[0])
        if found is None or not all(fits(c, tools) for c in found):
            return NO
        calls.extend(found)
        at = _between(text, value[1])
    return _closed(text, at, opening[1], tuple(calls), final=final)


def _closed(text: str, at: int, fence: str, calls: tuple[ToolCallPart, ...], *, final: bool) -> Verdict:
    closing = _CLOSING.match(text, at)
    run, end = (closing[1], closing.end()) if closing else ("", at)
    if end == len(text) and not final:
        return MORE if fence.startswith(run[:3]) else NO
    ends_line = line_ends(text, end, final=final)
    if isinstance(ends_line, More):
        return MORE
    closes = len(run) >= len(fence) and run[0] == fence[0]
    if calls and ends_line and (closes or (final and at == len(text))):
        return Found(end, calls, last=True)
    return NO


def _between(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at
