"""ReAct: `Thought:`, `Action:` and `Action Input:`, one a line, as agents' prompts have taught since Yao et al. (2022).

The input is JSON, over several lines or in a fence too, or plain text for a tool that takes one argument.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._alone import line_ends, waiting
from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text, space
from lumosai.dialects._lenient import read_block
from lumosai.dialects._literal import read_literal
from lumosai.dialects._typed import typed
from lumosai.dialects.base import MORE, NO, Found, More, No

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_QUOTES = "'\"`*“” \t\r"
_BOLD = "**"
_ACTION = re.compile(r"(?:\*\*)?Action[ \t]*:([^\n]*)\n\s*")
_CUT_ACTION = re.compile(r"\*{0,2}(?:A(?:c(?:t(?:i(?:on?)?)?)?)?)?|(?:\*\*)?Action[ \t]*(?::([^\n]*))?")
_INPUT = re.compile(r"(?:\*\*)?Action[ _]Input[ \t]*:(?:\*\*)?[ \t]*", re.IGNORECASE)
_INPUT_WORDS = "action input:"
_FENCE = re.compile(r"```[ \t]*(?:json)?[ \t\r]*\n")
_CUT_FENCE = re.compile(r"`{1,3}[ \t]*(?:j(?:s(?:on?)?)?)?[ \t\r]*")
_NOTHING = frozenset({"", "none", "null", "n/a", "{}"})
_RESULT = re.compile(r"\s*(?:\*\*)?Observation[ \t]*:(?:\*\*)?")
_RESULT_WORD = "Observation"
_THOUGHT = "Thought:"
_WORDS = ("Action", "Observation", "Final Answer", _THOUGHT[:-1])
_MAX_THOUGHT = 4096
_BLOB = frozenset({"action", "action_input"})


class React:
    """A thought, which may be left out, a tool and its input. What a model goes on with behind an observation of its own is dropped."""

    name = "react"
    marked = False
    control = False
    aliases = ("re-act", "langchain", "thought-action")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The first words of the first line."""
        words = (_THOUGHT, "Action:")
        return (*words, *(_BOLD + word for word in words)) if tools else ()

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            "To use a tool, answer with these lines only, and wait for the observation:\n"
            'Thought: why\nAction: TOOL\nAction Input: {"PARAMETER": VALUE}'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The two lines that make the call."""
        return f"Action: {call.name}\nAction Input: {arguments_text(call)}"

    def show(self, result: ToolResultPart) -> str:
        """The line that follows them."""
        return f"Observation: {'Error: ' if result.is_error else ''}{result.text}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The call of the lines that begin here."""
        at = _behind_thought(text) if text.startswith((_THOUGHT, _BOLD + _THOUGHT)) else 0
        value = at if isinstance(at, More | No) else _call(text, at, tools, final=final)
        if isinstance(value, More | No):
            return value
        call, end = value
        ends = line_ends(text, end, final=final)
        if isinstance(ends, More) or not ends:
            return ends or NO
        result = _RESULT.match(text, end)
        rest = text[end:].lstrip().removeprefix(_BOLD).rstrip(" \t")
        if not final and not result and (_RESULT_WORD.startswith(rest) or rest == "*"):
            return MORE
        return Found(result.end() if result else end, (call,), ends=result is not None)


def _call(
    text: str, at: int, tools: Mapping[str, ToolDefinition], *, final: bool
) -> tuple[ToolCallPart, int] | More | No:
    """The call of the lines that begin at `at`, and where it ends."""
    head = _head(text, at, tools)
    if isinstance(head, More | No):
        return head
    name, at = head
    value = _input(text, at, tools[name], final=final) if name else _fenced(text, at)
    if isinstance(value, More | No):
        return value
    arguments, end = value
    return (new_call(name, arguments), end) if name else _packed(arguments, end, tools)


def _packed(value: dict[str, Any], end: int, tools: Mapping[str, ToolDefinition]) -> tuple[ToolCallPart, int] | No:
    """The call that is all in one object, as agents for structured chat write it."""
    name, given = value.get("action"), value.get("action_input", {})
    tool = tools.get(name) if isinstance(name, str) else None
    if tool is None or not _BLOB.issuperset(value):
        return NO
    if isinstance(given, str):
        found = _plain(given.strip(), end, tool)
        return found if isinstance(found, No) else (new_call(tool.name, found[0]), end)
    return (new_call(tool.name, given), end) if isinstance(given, dict) else NO


def _behind_thought(text: str) -> int | More | No:
    """Where the line after the thought begins, which may take several lines but holds no blank one."""
    at = text.find("\n")
    while at >= 0:
        first = space(text, at)
        first += len(_BOLD) if text.startswith(_BOLD, first) else 0
        rest = text[first : first + len("Final Answer")]
        if rest == "*" and first + 1 == len(text):
            return MORE
        if any(w.startswith(rest) for w in _WORDS) and first + len(rest) == len(text):
            return MORE
        if rest.startswith(_WORDS):
            return first if rest.startswith("Action") else NO
        if text[at:first].count("\n") > 1 or first > _MAX_THOUGHT:
            return NO
        at = text.find("\n", first)
    return More("\n") if len(text) <= _MAX_THOUGHT else NO


def _head(text: str, at: int, tools: Mapping[str, ToolDefinition]) -> tuple[str, int] | More | No:
    """The tool's name and where its input begins; no name where a fence holds both."""
    action = _ACTION.match(text, at)
    if action is None:
        cut = _CUT_ACTION.fullmatch(text, at)
        begun = (cut[1] or "").strip(_QUOTES) if cut else ""
        return MORE if cut and any(n.startswith(begun) for n in tools) else NO
    name = action[1].strip(_QUOTES)
    if not name:
        rest = text[action.end() : action.end() + 1]
        return MORE if not rest else ("", action.end()) if rest == "`" else NO
    if name not in tools:
        return NO
    found = _INPUT.match(text, action.end())
    if found is None:
        rest = text[action.end() :].removeprefix(_BOLD).lower().replace("_", " ")
        if rest == "*":
            return MORE
        return MORE if _INPUT_WORDS.startswith(rest.rstrip()) and len(rest) <= len(_INPUT_WORDS) else NO
    return name, found.end()


def _input(text: str, at: int, tool: ToolDefinition, *, final: bool) -> tuple[dict[str, Any], int] | More | No:
    """The arguments, and where they end."""
    start = space(text, at)
    if start == len(text):
        return MORE if not final else _plain("", at, tool)
    if text[start] == "`":
        return _fenced(text, start)
    if text[start] == "{":
        return _object(text, start)
    line_end = text.find("\n", at)
    if line_end < 0 and not final:
        return More("\n")
    line_end = len(text) if line_end < 0 else line_end
    return _plain(text[at:line_end].strip(), line_end, tool)


def _object(text: str, at: int) -> tuple[dict[str, Any], int] | More | No:
    found = read_block(text, at)
    if found is None:
        found = read_literal(text, at)  # as Python would write it
    value = waiting(found)
    return NO if not isinstance(value, More | No) and not isinstance(value[0], dict) else value


def _fenced(text: str, at: int) -> tuple[dict[str, Any], int] | More | No:
    fence = _FENCE.match(text, at)
    if fence is None:
        return MORE if _CUT_FENCE.fullmatch(text, at) else NO
    start = space(text, fence.end())
    if start == len(text):
        return MORE
    value = _object(text, start) if text[start] == "{" else NO
    if isinstance(value, More | No):
        return value
    end = space(text, value[1])
    if text.startswith("```", end):
        return value[0], end + 3
    return MORE if "```".startswith(text[end:]) else NO


def _plain(text: str, end: int, tool: ToolDefinition) -> tuple[dict[str, Any], int] | No:
    """Text as the one argument that the tool takes."""
    properties = tool.parameters.get("properties") or {}
    required = tool.parameters.get("required") or ()
    if not required and text.lower() in _NOTHING:
        return {}, end
    keys = list(required) if len(required) == 1 else list(properties)
    if len(keys) != 1 or not text or text[0] in "[{":
        return NO
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return {keys[0]: typed(text[1:-1] if quoted else text, tool, keys[0])}, end
