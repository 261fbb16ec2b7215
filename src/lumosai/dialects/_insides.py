"""What stands inside: a line of prose, a code fence, a quoted block or a thought, each up to where it ends."""

from __future__ import annotations

import re

from lumosai.dialects import _inline, _lines, _said, _thoughts
from lumosai.dialects._asking import BRACKETS, WAIT
from lumosai.dialects._line_starts import LineStarts
from lumosai.dialects._said import LINE, NOTHING, PROSE, QUOTE, SENTENCE, WORDS
from lumosai.dialects._table import BLOCKS, THOUGHT_ENDS, THOUGHTS, TOKENS_OF_THOUGHT

_tag = re.compile(r"(</?[a-z_]+>)(?:[ \t\r]{0,8}(\n)[ \t]{0,8})?")
_cut_tag = re.compile(r"(</?[a-z_]{0,32})|(</?[a-z_]{1,32}>)[ \t\r]{0,8}(?:\n[ \t]{0,8})?")
_fence_line = re.compile(r"\n(?=[ \t]*+[`~])")
_closing_run = re.compile(r"[ \t]*(`+|~+|)[ \t\r]*")
_mark = re.compile(r"[<\[\]]").finditer
_thought_end_at = re.compile("|".join(map(re.escape, THOUGHT_ENDS))).match


class Insides(LineStarts):
    """Reads on inside of what has begun."""

    __slots__ = ()

    def _in_prose(self, text: str, at: int) -> int:
        end = self._inline.scan(text, at, in_brackets=bool(self._named))
        if end > at:
            self._hold_in_mind(text[at:end])
        if end == len(text):
            self._say(text[at:end])
            return end
        if text[end] == "\n":
            self._say(text[at : end + 1])
            fence = self._inline.end_line()
            self._mode = LINE
            if fence:
                self._open("", "`" * fence)
                self._start_of_line = True
            return end + 1
        if end > at:
            self._say(text[at:end])
            return end
        for ask in (self._token, self._quoted):
            after = ask(text, at)
            if after is not None:
                return after
        return self._angle(text, at)

    def _hold_in_mind(self, text: str) -> None:
        """What this text leaves to stand before what follows it on its line."""
        said = text.rstrip(_inline.CLOSERS)
        if text[-1] == "'":
            self._behind = QUOTE
        elif said:
            self._behind = SENTENCE if said[-1] in _inline.ENDS else WORDS
        elif self._behind == QUOTE or (self._behind == NOTHING and not text.isspace()):
            self._behind = WORDS

    def _angle(self, text: str, at: int) -> int:
        """At a tag in prose. One that ends the line begins a block, a dialect's own if what follows looks like its call."""
        cut = None if self._final else _cut_tag.fullmatch(text, at)
        if cut and any(t.startswith(cut[1] or cut[2]) for t in self._table.tags):
            return WAIT
        tag = _tag.match(text, at)
        end = tag.end() if tag else at + 1
        thought = _thought_end(text, at)
        if thought:
            end = at + len(thought)
            if thought not in TOKENS_OF_THOUGHT:
                self._say(text[at:end])
            self._begin_anew()
        elif tag and tag[2] and tag[1] in self._table.tags and (tag[1] in BLOCKS or text[end : end + 1] in BRACKETS):
            self._enter(text, at, end, self._table.tags[tag[1]])
        else:
            end = at + 1
            if text[at] == "[":
                self._inline.enter_bracket()
            self._behind = WORDS
            self._say(text[at:end])
        return end

    def _begin_anew(self) -> None:
        self._mode = LINE
        self._fresh, self._after_call = True, False
        self._in_list = self._not_here = False
        self._inline.clear()

    def _in_fence(self, text: str, at: int) -> int:
        if self._start_of_line:
            run = _closing_run.match(text, at)
            end = run.end() if run else at
            if end == len(text) and not self._final and end - at <= _lines.HEAD:
                return WAIT
            if end - at <= _lines.HEAD and run and run[1].startswith(self._fence) and text[end : end + 1] in ("", "\n"):
                self._say(text[at : end + 1])
                self._mode = LINE
                return min(end + 1, len(text))
            if run and run[1].startswith(self._fence) and self._opened_by:
                if not self._final and self._table.cut_token(text, end):
                    return WAIT
                token = self._table.control.match(text, end) if self._table.control else None
                if token and self._is_framing(token[0]):
                    self._say(text[at:end])
                    self._mode, self._behind = PROSE, WORDS
                    return end
        # The next line that may end the fence, or else the last one that is whole.
        closing = _fence_line.search(text, at)
        end = closing.start() + 1 if closing else text.rfind("\n", at) + 1 or len(text)
        self._start_of_line = text[end - 1] == "\n"
        self._say(text[at:end])
        return end

    def _in_thought(self, text: str, at: int) -> int | None:
        """At the first token in what is left of a thought: how far it goes, or that it must wait; None where none stands."""
        known = self._table
        for mark in _mark(text, at):
            place = mark.start()
            is_token = bool(_thoughts.token(text, place, known))
            if text.startswith(self._closed_by, place):
                return None
            if not is_token and (self._final or not known.cut_token(text, place)):
                continue
            if place > at:
                return self._think(text, at, place)
            found = _thoughts.last_calls(text, at, known, most=_said.HOLD, final=self._final) if is_token else WAIT
            if isinstance(found, int):
                return WAIT if found == WAIT else self._think(text, at, found)
            for each, name in found:
                if each.calls:
                    self._call(each, name)
            self._mode = LINE
            return len(text)
        return None

    def _think(self, text: str, at: int, end: int) -> int:
        self._tail = ""
        self._say(text[at:end])
        return end

    def _behind_end(self, text: str, _at: int) -> int:
        """What follows the end is dropped."""
        return len(text)

    def _in_block(self, text: str, at: int) -> int:
        after = self._in_thought(text, at) if self._closed_by in THOUGHTS.values() else None
        if after is not None:
            return after
        seen = self._tail + text[at:]
        found = seen.find(self._closed_by)
        if found < 0:
            self._tail = _beginning(seen, self._closed_by)
            self._say(text[at:])
            return len(text)
        end = at + found + len(self._closed_by) - len(self._tail)
        self._say(text[at:end])
        self._tail = ""
        if self._closed_by in THOUGHTS.values():
            self._begin_anew()
        else:
            self._mode = PROSE
        return end


def _thought_end(text: str, at: int) -> str:
    """The end of a thought that stands at `at`; "" where none does."""
    found = _thought_end_at(text, at)
    return found[0] if found else ""


def _beginning(text: str, marker: str) -> str:
    """The longest end of `text` that `marker` begins with, and goes on after."""
    for size in range(min(len(marker) - 1, len(text)), 0, -1):
        if text.endswith(marker[:size]):
            return marker[:size]
    return ""
