"""Asking the dialects: whether a call of theirs stands at a place, and whether it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.dialects import _ending, _said, _thoughts
from lumosai.dialects._coerce import coerced
from lumosai.dialects._fit import fits
from lumosai.dialects._said import BLOCK, LINE, PROSE, SENTENCE, WORDS, Said
from lumosai.dialects.base import Found, More, No

if TYPE_CHECKING:
    from lumosai.dialects._table import Table
    from lumosai.dialects.base import Dialect

WAIT = -1
"""In place of how far something goes: that cannot be told yet."""
BRACKETS = ("{", "[", "<")
_FRAME = Found(0, ())


class Asking(Said):
    """Asks the dialects of a table.

    Args:
        known: what may begin at the start of a line, and whose it is.
        names: the dialects that were named.
        show_broken: whether a call that the answer's end cut off is given out as text; else it is left out.

    Attributes:
        broken: the call that the answer's end cut off, as it was written; "" where none was.
    """

    __slots__ = (
        "_aside",
        "_closed_by",
        "_final",
        "_named",
        "_opened_by",
        "_show_broken",
        "_table",
        "_tail",
        "_until",
        "broken",
    )

    def __init__(self, known: Table, names: frozenset[str], *, show_broken: bool) -> None:
        super().__init__()
        self._table = known
        self._named = names
        self._show_broken = show_broken
        # What makes it worth while to look again at text that waits.
        self._until = ""
        # Whether the line is code or a table's row.
        self._aside = False
        self._closed_by = self._tail = ""
        # The dialect whose markup stands around the answer's text.
        self._opened_by: Dialect | None = None
        self._final = False
        self.broken = ""

    def _ask(self, text: str, at: int, first: int) -> int | None:
        """What stands at a place for calls: how far it goes, that it must wait, or None where it is nothing special."""
        known = self._table
        if not self._final and known.cut_opener(text, first):
            return WAIT
        opener = known.opener(text, first)
        if opener is None:
            return self._end_turn(text, at, first) if self._open_fences else None
        closing = known.blocks.get(opener[0])
        if closing is not None:
            return self._enter(text, at, opener.end(), closing)
        if opener[0] in known.frame.markers and (self._fresh or opener[0] not in known.frame.first):
            self._found(_FRAME, text[at : opener.end()], "", last=False)
            return opener.end()
        if opener[0] not in known.dialects:
            return None
        return self._hear(known.dialects[opener[0]], text, at, first, opener.end())

    def _end_turn(self, text: str, at: int, first: int) -> int | None:
        """Behind a token that ends the turn, which is as good as nothing behind what counts only if nothing follows."""
        token = _ending.token(text, first, final=self._final)
        if token is None:
            return WAIT
        if not token:
            return None
        self._open_fences.append((text[at : first + len(token)], (), ""))
        return first + len(token)

    def _hear(self, dialects: tuple[Dialect, ...], text: str, at: int, first: int, end: int) -> int | None:
        """What these dialects say of the opener from `first` to `end`. Up to `at` everything was given out."""
        known = self._table
        rest = text[first : first + _said.HOLD]
        whole = self._final and len(rest) == len(text) - first
        failed = ""
        for dialect in dialects:
            verdict = dialect.recognise(rest, known.tools, final=whole)
            if isinstance(verdict, More):
                if not whole and len(text) - first <= _said.HOLD:
                    self._until = verdict.until
                    return WAIT
            elif isinstance(verdict, No):
                failed = failed or verdict.until
            elif verdict.named and dialect.name not in self._named and dialect is not self._opened_by:
                continue
            elif dialect.marked or all(fits(c, known.tools) for c in verdict.calls):
                aside = self._mode == LINE and self._aside
                last = (
                    verdict.last
                    or aside
                    or (self._mode == PROSE and self._is_doubtful(verdict, dialect, text[first:end]))
                )
                if dialect.marked:
                    verdict = coerced(verdict, known.tools)
                if verdict.opens and not last:
                    self._open_text(dialect)
                self._found(verdict, text[at : first + verdict.end], dialect.name, last=last)
                return first + verdict.end
        if whole and self._leaves_out(dialects, rest):
            return len(text)
        return self._enter(text, at, end, failed) if failed else None

    def _leaves_out(self, dialects: tuple[Dialect, ...], rest: str) -> bool:
        """Whether this is left out: a call between markers that the end of the answer cut off, as more of it was to come."""
        tools = self._table.tools
        if any(d.marked and isinstance(d.recognise(rest, tools, final=False), More) for d in dialects):
            self.broken = rest
        return bool(self.broken) and not self._show_broken

    def _open_text(self, dialect: Dialect) -> None:
        """This dialect's markup opens the answer's text: what waited as markup without calls was its own."""
        self._opened_by = dialect
        if not any(name for _, _, name in self._open_fences):
            self._open_fences = []

    def _is_doubtful(self, found: Found, dialect: Dialect, opener: str) -> bool:
        """Whether what was found behind prose might be quoted."""
        if dialect is self._opened_by:
            return bool(found.calls) and (self._in_list or self._not_here or self._aside)
        return dialect.name not in self._named or _thoughts.is_printable(opener)

    def _enter(self, text: str, at: int, end: int, closing: str) -> int:
        """Passes by a block up to its closing marker."""
        self._say(text[at:end])
        self._mode, self._closed_by, self._tail = BLOCK, closing, ""
        self._behind = WORDS
        return end

    def _token(self, text: str, at: int) -> int | None:
        """At what may be a control token in prose: how far it goes, that it must wait, or None where it is none."""
        known = self._table
        if not self._final and known.cut_token(text, at):
            return WAIT
        opener = known.control.match(text, at) if known.control else None
        if opener is None or not self._may_token(opener[0]):
            return None
        return self._hear(known.tokens[opener[0]], text, at, at, opener.end())

    def _quoted(self, text: str, at: int) -> int | None:
        """At a call where none may stand: behind it, so that none of its lines is taken for another."""
        known = self._table
        if not self._final and known.cut_opener(text, at):
            return WAIT
        opener = known.opener(text, at)
        rest = text[at : at + _said.HOLD]
        whole = self._final and len(rest) == len(text) - at
        failed = ""
        for dialect in known.dialects.get(opener[0], ()) if opener else ():
            verdict = dialect.recognise(rest, known.tools, final=whole) if dialect.marked else None
            if isinstance(verdict, More) and not whole and len(text) - at <= _said.HOLD:
                self._until = verdict.until
                return WAIT
            if isinstance(verdict, Found) and verdict.calls:
                self._behind = WORDS
                self._say(text[at : at + verdict.end])
                return at + verdict.end
            failed = failed or (verdict.until if isinstance(verdict, No) else "")
        # An attempt that went wrong, rather than a tag that is spoken of: what is in it is not for calling either.
        if failed and opener and opener[0][0] == "<" and text[opener.end() :].lstrip()[:1] in BRACKETS:
            return self._enter(text, at, opener.end(), failed)
        return None

    def _may_token(self, token: str) -> bool:
        """Whether this control token may stand here, behind what is on its line."""
        if self._is_framing(token):
            return True
        if self._in_list or self._not_here or self._aside:
            return False
        trusted = self._named and not _thoughts.is_printable(token) and self._is_named(token)
        return self._behind >= (WORDS if trusted else SENTENCE)

    def _is_named(self, token: str) -> bool:
        return any(d.name in self._named for d in self._table.tokens.get(token, ()))

    def _is_framing(self, token: str) -> bool:
        return self._opened_by is not None and self._opened_by in self._table.tokens.get(token, ())
