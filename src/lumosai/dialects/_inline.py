"""What is open in a paragraph: inline code, a quotation, a bracket. Inside any of them nothing is a call.

Read as Markdown reads it, as far as that can be done without knowing what comes: an unclosed backtick counts as open to
the end of its paragraph. The state is a few scalars, so a stream may be cut anywhere.
"""

from __future__ import annotations

import re

ENDS = ".!?…。！？"
"""What ends a sentence."""

CLOSERS = ' \t\r)]*_"”’」』）】'
"""What may stand behind the end of a sentence without beginning another."""

_SPECIAL = re.compile(r'[\n`"“”「」『』{}\[\]\\]|<(?=[/a-z_|｜]|\Z)|>(?=>>|>?\Z)')
CALM = re.compile(f"{_SPECIAL.pattern}|[{ENDS}][{re.escape(CLOSERS)}]*\\Z|'\\Z")
"""What changes the state, or may: text without any of these is passed by in one search."""

_CUT_TOKENS = frozenset({"]", "]<", "]<]", ">", ">>", ">>>"})
_IN_CODE = re.compile(r"[\n`]")
_CLOSING = {"“": "”", "「": "」", "『": "』"}
_LANGUAGE = re.compile(r"[ \t]*[\w+.#-]*[ \t\r]*")
_LANGUAGE_CHARS = 40
_FENCE = 3
NO_QUOTE = frozenset(" \t\r.,;:!?)，。；：！？）、")
"""After a `"` that closes nothing, these say that it opens nothing either: 5" by 7"."""


def _may_be_token(text: str, at: int) -> bool:
    """Whether a tag or a token may begin there: `<`, `[`, or the `]<]` or `>>>` of one family."""
    return text[at] in "<[" or (text[at] in "]>" and text[at : at + 3] in _CUT_TOKENS)


class Inline:
    """The state of one paragraph."""

    __slots__ = ("_doubt", "_escape", "_info", "_run", "_ticks", "depth", "quote")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """A new paragraph begins."""
        self._run = self._ticks = self.depth = 0
        self._escape = self._doubt = False
        self._info = self.quote = ""

    @property
    def open(self) -> bool:
        """Whether a place here is inside something."""
        return bool(self._ticks or self.quote or self.depth)

    @property
    def settled(self) -> bool:
        """Whether text that `CALM` does not find in would change nothing."""
        return not (self._run or self._escape or self._doubt or self._ticks)

    def scan(self, text: str, at: int, *, in_brackets: bool = False) -> int:
        """Reads on from `at` to the next line break, or to what may be a tag or token outside everything, or to the end.

        `in_brackets`: a bracket that was opened is no such thing, as prose often holds half of a pair.
        """
        while at < len(text):
            if self._run or self._escape or self._doubt:
                at = self._settle(text, at)
                continue
            pattern = _IN_CODE if self._ticks else _SPECIAL
            found = pattern.search(text, at)
            end = found.start() if found else len(text)
            if self._ticks:
                self._info = (self._info + text[at : min(end, at + _LANGUAGE_CHARS)])[:_LANGUAGE_CHARS]
            if found is None or found[0] == "\n":
                return end
            if _may_be_token(text, end) and (not self.open or (in_brackets and self._only_brackets(found[0]))):
                return end
            self._see(found[0])
            at = end + 1
        return at

    def enter_bracket(self) -> None:
        """What `scan` stopped at was a bracket and no token."""
        self.depth += 1

    def end_line(self) -> int:
        """Ends the line. The length of the run of backticks, if the line ended with the beginning of a code fence."""
        if self._run:
            self._end_run()
        self._escape = self._doubt = False
        if self._ticks < _FENCE:
            return 0
        language, self._info = self._info, "\n"  # what follows is no language
        return self._ticks if _LANGUAGE.fullmatch(language) else 0

    def _only_brackets(self, char: str) -> bool:
        """Whether nothing but brackets is open, and this closes none."""
        return not (self._ticks or self.quote) and char != "]"

    def _see(self, char: str) -> None:
        if self._ticks or (char == "`" and not self.quote):
            self._run = 1
        elif char == "\\":
            self._escape = True
        elif self.quote:
            self.quote = "" if char == self.quote else self.quote
        elif char == '"':
            self.quote = char
            self._doubt = not self.depth
        elif char in _CLOSING:
            self.quote = _CLOSING[char]
        elif char in "{[":
            self.depth += 1
        elif char in "}]":
            self.depth = max(0, self.depth - 1)

    def _settle(self, text: str, at: int) -> int:
        """Decides what waited for the next character."""
        char = text[at]
        if self._run:
            if char == "`":
                self._run += 1
                return at + 1
            self._end_run()
        elif self._escape:
            self._escape = False
            return at + (char != "\n")
        else:
            self._doubt = False
            if char in NO_QUOTE:
                self.quote = ""
        return at

    def _end_run(self) -> None:
        if not self._ticks:
            self._ticks, self._info = self._run, ""
        elif self._ticks == self._run:
            self._ticks = 0
        self._run = 0
