"""Llama 3.2, Llama 4 and ToolACE: a list of calls as Python writes it, `[f(a=1), g(b="x")]`, on lines of its own.

The form is that of the models' prompt formats (meta-llama/llama-models). What they put around it, where they do, is
another dialect's; both are asked together by either's name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lumosai.dialects._alone import line_ends
from lumosai.dialects._code import read_broken, read_list, written
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import write
from lumosai.dialects._literal import CutLiteralError, Literals, NoLiteralError
from lumosai.dialects.base import MORE, NO, Found, More

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_HEAD = re.compile(r"\[\s{0,8}[^\W\d][\w.-]{0,127}\(")
_CUT_HEAD = re.compile(r"\[\s{0,8}(?:[^\W\d][\w.-]{0,127})?")
_LAST = re.compile(r"\)\s*\][ \t\r]*(\n)?")
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_SHORT = 256
_MAX_BROKEN = 16_384
_CLOSING = More("]\n")


class Pythonic:
    """The list alone; a call in it that is broken does not count, and the others do."""

    name = "pythonic"
    marked = False
    control = False
    aliases = ("llama3.2", "llama4", "llama4_pythonic", "toolace", "lfm2", "gemma", "gemma3", "pythonic [f(a=1)]")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The bracket; none where there is no tool that could be meant."""
        return ("[",) if tools else ()

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            "To call tools, answer only with a list of calls, all arguments by name:\n"
            '[TOOL(PARAMETER=VALUE, PARAMETER="TEXT"), TOOL()]'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call in a list of its own.

        Raises:
            ValueError: its name, or one of a parameter, cannot be written as code.
        """
        return f"[{written(call)}]"

    def show(self, result: ToolResultPart) -> str:
        """The result as JSON."""
        return write({"tool": result.name, "error" if result.is_error else "output": result.text})

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls of the list that begins here, if nothing else stands on its lines."""
        if _HEAD.match(text) is None:
            return MORE if _CUT_HEAD.fullmatch(text) else NO
        try:
            calls, end = read_list(Literals(text, code=True), 0, tools)
        except CutLiteralError:
            return MORE if len(text) < _SHORT else _CLOSING
        except NoLiteralError:
            return _broken(text, tools, final=final)
        ends = line_ends(text, end, final=final)
        return ends if isinstance(ends, More) else Found(end, tuple(calls)) if ends else NO


def _broken(text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
    """The whole calls of a list in which not all are, up to the first bracket that ends both a list and its line."""
    blank = _BLANK_LINE.search(text, 0, _MAX_BROKEN)
    limit = blank.start() + 1 if blank else _MAX_BROKEN
    for last in _LAST.finditer(text, 0, limit):
        if not last[1]:
            if last.end() < len(text):
                continue
            if not final:
                return MORE
        end = last.end() - len(last[1] or "")
        calls = tuple(read_broken(text[:end].rstrip(), tools))
        return Found(end, calls) if calls else NO
    return NO if blank or len(text) > _MAX_BROKEN else _CLOSING
