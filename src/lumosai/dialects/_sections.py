"""Calls in a section: markers around all calls, markers around each, and in each a header and JSON.

    <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{…}<｜tool▁call▁end｜><｜tool▁calls▁end｜>

A call in it that is broken does not count, and the others do. The section's own markers may be missing, and the end of
the answer ends everything; a call whose JSON was cut off is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from lumosai.dialects._scan import CutError, NotOneError, Scanner
from lumosai.dialects.base import Found
from lumosai.messages import ToolCallPart

_BLANK = re.compile(r"[ \t\r]*")
HEADER = 512
"""Characters: no call's header is longer."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """The markers of a family, each in all the ways in which it is written.

    Attributes:
        begin: what begins a section.
        end: what ends one.
        call: what begins a call.
        call_end: what ends one.
        bare: with what a call begins where its first marker was left out.
        after: what may follow the section and is passed, too.
        stray: what is markup, where the dialect is named, also if it was left over alone or with more markup behind it.
        item: reads a call up to its end from behind its beginning, which it is told.
    """

    begin: tuple[str, ...]
    end: tuple[str, ...]
    call: tuple[str, ...]
    call_end: tuple[str, ...]
    bare: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    stray: tuple[str, ...] = ()
    item: Callable[[Scanner, str], ToolCallPart]

    def read(self, s: Scanner) -> Found:
        """The calls of the section, or the bare calls, that begin here.

        Raises:
            CutError: the text ends before it can be told.
            NotOneError: there is no whole call.
        """
        if self.stray and s.take(*self.stray):
            return _left_over(s)
        within = bool(s.take(*self.begin))
        calls: list[ToolCallPart] = []
        tried = False
        while True:
            end = s.at
            s.blank()
            if tried and s.ended(*self.call, *self.end):
                break
            if mark := s.take(*self.call, *self.bare):
                tried = True
                if not self._one(s, mark, calls):
                    break
            elif within and s.take(*self.end):
                end = s.at
                break
            elif not tried:
                raise NotOneError
            else:
                s.at = end
                break
        if not calls:
            raise NotOneError(self.end[0] if within else self.call_end[0])
        while self.after and s.take(*self.after):
            pass
        return Found(s.at, tuple(calls))

    def _one(self, s: Scanner, mark: str, calls: list[ToolCallPart]) -> bool:
        """Reads one call, or passes it where it is broken. Whether another may follow."""
        start = s.at
        try:
            call = self.item(s, mark)
            s.blank()
            ended = s.ended(*self.call_end) or bool(s.take(*self.call_end) or s.see(*self.call, *self.end))
        except NotOneError:
            ended = False
        except CutError:
            if not s.final:
                raise
            s.at = len(s.text)
            return False
        if ended:
            calls.append(call)
            return True
        s.at = start
        return self._passed(s)

    def _passed(self, s: Scanner) -> bool:
        """Passes what is left of a broken call. Whether the text goes on behind it."""
        try:
            s.find(*self.call_end, *self.call, *self.end)
        except CutError:
            if not s.final:
                raise
            s.at = len(s.text)
            return False
        s.take(*self.call_end)
        return True


def _left_over(s: Scanner) -> Found:
    """An end without its beginning, which was passed."""
    at = s.at
    s.match(_BLANK)
    if not s.done and not s.see("\n", "<"):
        raise NotOneError
    return Found(at, (), named=True)
