"""Where a call may stand at the start of a line: not in code, lists, tables or quotations, as Markdown reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lumosai.dialects import _lines
from lumosai.dialects._asking import WAIT, Asking
from lumosai.dialects._bulk import LIST
from lumosai.dialects._said import FENCE, NOTHING, PROSE

if TYPE_CHECKING:
    from lumosai.dialects._table import Table

_MAX_INDENT = 3
_BULK = 64
"""Characters: of less, whole lines are not looked for, as pieces of a stream seldom hold one."""
_blank_lines = re.compile(r"\n++")


class LineStarts(Asking):
    """Reads at the start of a line."""

    __slots__ = ("_fence", "_start_of_line")

    def __init__(self, known: Table, names: frozenset[str], *, show_broken: bool) -> None:
        super().__init__(known, names, show_broken=show_broken)
        # The run of characters that closes the code fence, and whether its text stands at the start of a line.
        self._fence = ""
        self._start_of_line = False

    def _at_lines(self, text: str, at: int) -> int:
        after = self._in_bulk(text, at) if len(text) - at >= _BULK and not self._inline.open else at
        return after if after > at else self._at_line(text, at)

    def _in_bulk(self, text: str, at: int) -> int:
        """Passes by lines in which nothing can stand; gives `at` where none follow."""
        blank = _blank_lines.match(text, at) if text[at] == "\n" and not self._fresh else None
        found = self._table.bulk.match(text, blank.end() if blank else at)
        if found is None:
            return at
        lines = text[at : found.end()]
        self._say(lines)
        self._in_list = found.lastindex == LIST
        self._not_here = self._not_here and not blank and "\n\n" not in lines
        return found.end()

    def _at_line(self, text: str, at: int) -> int:
        first = _lines.indent_end(text, at)
        self._behind = NOTHING
        self._aside = _lines.width(text[at:first]) > _MAX_INDENT or text.startswith("|", first)
        if first - at > _lines.HEAD:
            return self._prose(at, indented=True)
        if first == len(text):
            if not self._final:
                return WAIT
            self._blank_line(text[at:])
            return first
        char = text[first]
        if char == "\n":
            self._blank_line(text[at : first + 1])
            return first + 1
        if char not in (_lines.STRUCTURE if self._inline.open else self._table.starts):
            return self._prose(at, indented=first > at)
        line = _lines.classify(text, first, final=self._final)
        return WAIT if line is None else self._structure(line, text, at, first)

    def _structure(self, line: _lines.Line, text: str, at: int, first: int) -> int:
        here = self._may_call(text[at:first], fence=line.kind == "fence")
        if here and (line.kind in ("fence", "prose") or text[first] in self._table.literals):
            after = self._ask(text, at, first)
            if after is not None:
                return after
        if line.fence:
            self._in_list = self._in_list or line.kind == "list"
            self._open(text[at : line.end], line.fence)
            return line.end
        if line.kind in ("quote", "table"):
            self._not_here = True
        if line.kind == "list":
            self._in_list = True
            self._mode = PROSE
            return at
        return self._prose(at, indented=first > at)

    def _may_call(self, indent: str, *, fence: bool) -> bool:
        """Whether a call may stand behind this indentation. A fence ends a table or the quotation of a line before."""
        if self._inline.open or (self._not_here and not fence):
            return False
        if self._fresh:
            return True
        return not indent if self._in_list else _lines.width(indent) <= _MAX_INDENT

    def _prose(self, at: int, *, indented: bool) -> int:
        """The line is prose: it is given out from `at` on."""
        self._in_list = self._in_list and indented
        self._mode = PROSE
        return at

    def _open(self, text: str, fence: str) -> None:
        """A code fence begins with this line."""
        self._say(text)
        self._inline.clear()
        self._mode, self._fence = FENCE, fence
        self._start_of_line = text.endswith("\n")
