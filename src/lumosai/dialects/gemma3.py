"""Gemma 3: calls as Python in a `tool_code` fence that ends the answer.

The form is that of Google's guide to function calling with Gemma; models also write `print(…)` around a call, or
`default_api.` before its name. Nothing is evaluated, and a line that is anything else than such a call makes the fence an
example.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lumosai.dialects._alone import line_ends
from lumosai.dialects._code import read_call, read_list, written
from lumosai.dialects._describe import signatures
from lumosai.dialects._fit import fits
from lumosai.dialects._literal import CutLiteralError, Literals, NoLiteralError
from lumosai.dialects._scan import CutError, NotOneError, Scanner, judged
from lumosai.dialects.base import Found, More

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_OPEN = "```tool_code"
_CLOSE = "```"
_HEAD = re.compile(r"[ \t\r]*\n")
_CUT_HEAD = re.compile(r"[ \t\r]*")
_PRINT = "print("
_SEPARATORS = re.compile(r"[ \t\r]*[;,]?[ \t\r]*(?:\n\s*)?")
_BLANK = re.compile(r"[ \t\r]*")


class Gemma3:
    """A fence of its own language; a JSON call in such a fence is another dialect's."""

    name = "gemma3"
    marked = False
    control = False
    aliases = ("gemma", "gemma2", "tool_code")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The fence; none where there is no tool that could be meant."""
        return (_OPEN,) if tools else ()

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            "To call a tool, end your answer with this, all arguments by name, and nothing after it:\n"
            f'{_OPEN}\nTOOL(PARAMETER=VALUE, PARAMETER="TEXT")\n{_CLOSE}'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call in a fence.

        Raises:
            ValueError: its name, or one of a parameter, cannot be written as code.
        """
        return f"{_OPEN}\n{written(call)}\n{_CLOSE}"

    def show(self, result: ToolResultPart) -> str:
        """The result in a fence of its own language, which its text cannot end."""
        text = result.text.replace(_CLOSE, "` ` `")
        return f"```tool_output\n{'Error: ' if result.is_error else ''}{text}\n{_CLOSE}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls of the fence that begins here."""
        return judged(lambda s: _read(s, tools), text, final=final)


def _read(s: Scanner, tools: Mapping[str, ToolDefinition]) -> Found:
    s.need(_OPEN)
    if s.match(_HEAD) is None:
        raise CutError("\n") if _CUT_HEAD.fullmatch(s.text, s.at) else NotOneError
    literals = Literals(s.text, code=True)
    calls: list[ToolCallPart] = []
    s.blank()
    while not _closes(s):
        try:
            found, s.at = _statement(literals, s, tools)
        except CutLiteralError:
            raise CutError from None
        except NoLiteralError:
            raise NotOneError from None
        if not all(fits(call, tools) for call in found):
            raise NotOneError
        calls.extend(found)
        separator = s.match(_SEPARATORS)
        if not (_closes(s) or (separator and separator[0].strip(" \t\r"))):
            raise NotOneError
    s.take(_CLOSE)
    s.match(_BLANK)
    ends = line_ends(s.text, s.at, final=s.final)
    if isinstance(ends, More):
        raise CutError
    if not (calls and ends):
        raise NotOneError
    return Found(s.at, tuple(calls), last=True)


def _closes(s: Scanner) -> bool:
    """Whether the fence ends here, or the answer in it."""
    return s.done or bool(s.see(_CLOSE))


def _statement(literals: Literals, s: Scanner, tools: Mapping[str, ToolDefinition]) -> tuple[list[ToolCallPart], int]:
    """The call that is this statement, or the list of calls, bare or printed, and where it ends."""
    at = s.at
    printed = "print" not in tools and bool(s.take(_PRINT))
    at = literals.space(s.at) if printed else at
    if literals.char(at) == "[":
        calls, at = read_list(literals, at, tools)
    else:
        call, at = read_call(literals, at, tools)
        calls = [call]
    if printed:
        at = literals.space(at)
        if literals.char(at) != ")":
            raise NoLiteralError
        at += 1
    return calls, at
