"""What a parser has found so far: text and calls in order, and what counts only if nothing but calls follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.dialects import _inline

if TYPE_CHECKING:
    from lumosai.dialects.base import Found
    from lumosai.messages import ToolCallPart

HOLD = 4_194_304
"""Characters: what might be a call and is longer is given out as text. A file that a model writes fits many times."""

LINE, PROSE, FENCE, BLOCK, OVER = range(5)
"""What is being read: the start of a line, a line of prose, a code fence, a block in which nothing counts, or nothing any more."""
QUOTE, NOTHING, WORDS, SENTENCE = range(4)
"""What stands on a line of prose before a place in it."""


class Said:
    """What was said, and the state of the text that it leaves.

    Attributes:
        seen: the name of the dialect in which the last call was written; "" while there was none.
    """

    __slots__ = (
        "_after_call",
        "_behind",
        "_fresh",
        "_gap",
        "_in_list",
        "_inline",
        "_mode",
        "_not_here",
        "_open_fences",
        "_open_size",
        "_out",
        "seen",
    )

    def __init__(self) -> None:
        self._inline = _inline.Inline()
        self._out: list[str | ToolCallPart] = []
        self._mode = LINE
        # Since the answer's start or the last call: nothing but blank lines, which are these.
        self._fresh = True
        self._after_call = False
        self._gap: list[str] = []
        # What counts only if nothing follows, each with its text and dialect; their text alone where it does not.
        self._open_fences: list[tuple[str, tuple[str | ToolCallPart, ...], str]] = []
        self._open_size = 0
        # What the lines before make of this one.
        self._in_list = self._not_here = False
        self._behind = NOTHING
        self.seen = ""

    def _joined(self) -> list[str | ToolCallPart]:
        """What was found since the last time, neighbouring texts joined."""
        items, self._out = self._out, []
        out: list[str | ToolCallPart] = []
        texts: list[str] = []
        for item in items:
            if isinstance(item, str):
                texts.append(item)
                continue
            if texts:
                out.append("".join(texts))
                texts = []
            out.append(item)
        if texts:
            out.append("".join(texts))
        return [item for item in out if item]

    def _say(self, text: str) -> None:
        """Text that is none of a call's."""
        if self._fresh:
            self._settle_as_text()
            self._fresh = self._after_call = False
        self._out.append(text)

    def _settle_as_text(self) -> None:
        """Something other than calls follows: what waited for that is text."""
        if self._open_fences:
            for raw, calls, name in self._open_fences:
                self._out.append(raw)
                if not raw:
                    self._out.extend(calls)
                    self.seen = name or self.seen
            self._open_fences = []
            self._open_size = 0
        if self._gap:
            if not self._after_call:
                self._out.extend(self._gap)
            self._gap = []

    def _blank_line(self, text: str) -> None:
        """A blank line ends a paragraph. One behind a call belongs to neither text."""
        self._inline.clear()
        self._not_here = False
        if not self._fresh:
            self._out.append(text)
        elif not self._after_call:
            self._gap.append(text)

    def _found(self, found: Found, raw: str, name: str, *, last: bool) -> None:
        """Takes what a dialect found in `raw`. `last`: it counts only if nothing but calls or blank follows."""
        if last:
            self._open_fence(found, raw, name)
        elif found.calls:
            self._call(found, name)
        elif found.text:
            self._say(found.text)
        elif self._open_fences:
            self._open_fences.append((raw, (), ""))
        if found.named:
            return
        if not (found.calls or found.text):
            self._in_list = self._not_here = False
            self._inline.clear()
        self._mode, self._behind = OVER if found.ends else LINE, NOTHING

    def _call(self, found: Found, name: str) -> None:
        if found.text:
            self._say(found.text)
        if self._open_fences:
            self._open_fences += [("".join(self._gap), (), ""), ("", found.calls, name)]
            self._gap = []
        else:
            self._out.extend(found.calls)
            self._gap = []
            self.seen = name
        self._fresh = self._after_call = True
        self._inline.clear()

    def _open_fence(self, found: Found, raw: str, name: str) -> None:
        raw = "".join(self._gap) + raw
        self._gap = []
        self._open_size += len(raw)
        if self._open_size > HOLD:
            self._say(raw)
        else:
            self._open_fences.append((raw, (found.text, *found.calls), name if found.calls else ""))
        self._fresh, self._after_call = True, False
        self._inline.clear()
