"""Finds the calls in a model's text, as it streams: the position rules, and what is held back until it is decided.

A call counts only at the start of the answer or of a line, outside fences, block quotes, quotations, tables, lists,
inline code and thoughts. At such a place the dialects are asked whose opener stands there; text that begins no call
is given out at once, and mid-line prose costs one search (`plain`). A model's control token may stand behind prose on
its line as well: anywhere where its dialect was named; else behind a sentence, if only calls follow to the end. Where a
dialect's markup has opened the answer's text, its tokens count in lists, tables and behind fences too. Every text is read in small windows, so that a
whole text and a stream take one path, and no text is read more than a few times.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lumosai.dialects import _inline, _said
from lumosai.dialects._asking import WAIT
from lumosai.dialects._ending import Ending
from lumosai.dialects._insides import Insides
from lumosai.dialects._known import known_for
from lumosai.dialects._said import BLOCK, FENCE, PROSE, WORDS
from lumosai.dialects._table import THOUGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.messages import ToolCallPart
    from lumosai.records import HasDefinition, ToolDefinition

_WINDOW = 1024
_EAGER = 512
_LOOKS = 16
_line_break = re.compile(r"[\n<]").search
_any_mark = re.compile(r"[<\[\]]").search
_special = _inline.CALM.search


class DialectParser(Insides):
    """Takes the calls out of one answer. `feed` it the text in any pieces, then `close` it.

    The pieces that come out, joined, are the answer without its calls' markup; where the text was cut makes no
    difference to them. A call's `id` is "".

    Args:
        tools: what may be called. Where there are none, only formats with markers of their own are recognised.
        dialect: the name or an alias of the one in which calls are written; "auto" recognises all.
        alone: whether only that one is recognised; else it is asked first, and the others as on "auto".
        show_broken: whether a call that the answer's end cut off is given out as text; else it is left out.

    Attributes:
        seen: the name of the dialect in which the last call was written; "" while there was none.
        broken: the call that the answer's end cut off, as it was written; "" where none was, and before `close`.

    Raises:
        ConfigurationError: no dialect has that name.
    """

    __slots__ = ("_calm", "_ending", "_held", "_looked", "_size")

    def __init__(
        self,
        *,
        tools: Sequence[ToolDefinition | HasDefinition],
        dialect: str = "auto",
        alone: bool = True,
        show_broken: bool = True,
    ) -> None:
        super().__init__(*known_for(tools, dialect, alone=alone), show_broken=show_broken)
        self._ending = Ending()
        self._calm: Callable[[str], object] | None = None
        # Text that waits: its pieces, their length, and how much was looked at.
        self._held: list[str] = []
        self._size = self._looked = 0

    def plain(self, chunk: str) -> bool:
        """Whether this chunk may be passed on unread: `feed` would give it back unchanged and change nothing."""
        calm = self._calm
        return calm is not None and calm(chunk) is None and not self._ending.held

    def feed(self, chunk: str) -> list[str | ToolCallPart]:
        """What can be told of the text so far: text for the user, and calls, in order."""
        if self.plain(chunk):
            return [chunk] if chunk else []
        self._take(chunk)
        return self._given()

    def close(self) -> list[str | ToolCallPart]:
        """What was held back, now that no more text comes."""
        while self._held:
            text = "".join(self._held)
            self._held.clear()
            self._run(text, final=True)
        if self._open_fences:
            fences, self._open_fences = self._open_fences, []
            for _, calls, name in fences:
                self._out.extend(calls)
                self.seen = name or self.seen
        elif not self._after_call:
            self._out.extend(self._gap)
        self._gap = []
        self._calm = None
        return self._ending.close(self._joined())

    def _given(self) -> list[str | ToolCallPart]:
        """What was found since the last time, without what may end the answer."""
        items = self._joined()
        if self._ending.held or any("<" in item for item in items if isinstance(item, str)):
            return self._ending.take(items)
        return items

    def _take(self, chunk: str) -> None:
        waiting = [chunk]
        while waiting:
            text = waiting.pop()
            if len(text) > _WINDOW:
                waiting.extend(text[i : i + _WINDOW] for i in reversed(range(0, len(text), _WINDOW)))
                continue
            if not self._held:
                self._looked = 0
            else:
                self._held.append(text)
                self._size += len(text)
                if not self._due(text):
                    continue
                text = "".join(self._held)
                self._held.clear()
            rest = self._run(text, final=False)
            if rest:
                waiting.append(rest)

    def _due(self, chunk: str) -> bool:
        """Whether what waits is worth another look. All looks together stay linear in its length."""
        if self._size > _said.HOLD:
            return True
        if self._until and not any(c in chunk for c in self._until):
            return False
        self._until = ""
        return self._size <= _EAGER or self._looked <= _LOOKS * self._size

    def _run(self, text: str, *, final: bool) -> str:
        """Reads on as far as can be told and keeps the rest. What is left of a long text is given back to be read anew."""
        steps = (self._at_lines, self._in_prose, self._in_fence, self._in_block, self._behind_end)
        at = 0
        self._until = ""
        self._final = final
        while at < len(text):
            after = steps[self._mode](text, at)
            if after == WAIT:
                self._held.append(text[at:] if at else text)
                self._size = len(text) - at
                self._looked = (0 if at else self._looked) + self._size
                break
            at = after
            if len(text) > _WINDOW and at < len(text) and not final:
                self._calm = None
                return text[at:]
            if final and at < len(text):
                # Only the whole rest may be read as final, so it is taken in windows first.
                self._take(text[at:])
                break
        self._calm = None if self._held else self._calmness()
        return ""

    def _calmness(self) -> Callable[[str], object] | None:
        """The search that must find nothing in a chunk for it to be plain."""
        if self._mode == PROSE and self._inline.settled and self._behind == WORDS:
            return _special
        if self._mode == FENCE and not self._start_of_line:
            return _line_break
        if self._mode == BLOCK and not self._tail:
            return _any_mark if self._closed_by in THOUGHTS.values() else _first_of(self._closed_by)
        return None


_searches: dict[str, Callable[[str], object]] = {}


def _first_of(marker: str) -> Callable[[str], object]:
    """The search for a marker's first character, or that of a token which ends the answer."""
    if marker[0] not in _searches:
        _searches[marker[0]] = re.compile(f"[<{re.escape(marker[0])}]").search
    return _searches[marker[0]]
