"""Reads the answer of constrained calling as it streams: `{"tool": …, "arguments": …}` or `{"tool": "none", "reply": …}`.

The reply's characters and the arguments' raw text are given out as they come, wherever the stream is cut; the envelope
around them is never shown. A server that ignores the schema answers in its own way: then the whole text goes to the
dialects' parser, so that a call still counts and its markup is not shown either.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from lumosai.models.base import TextChunk, ToolCallChunk

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from lumosai.models._readers import TextReader
    from lumosai.models.base import Chunk

    Steps = Generator[None, None, None]

_FENCE = re.compile(r"```[A-Za-z0-9_-]*[ \t]*\r?\n")
_FENCE_BEGUN = re.compile(r"`{1,3}|```[A-Za-z0-9_-]*[ \t]*\r?")
_SPACE = re.compile(r"\s*")
_SCALAR = re.compile(r"[^\s,{}\[\]\"]*")
_PLAIN = re.compile(r'[^"\\]*')
_STRUCTURE = re.compile(r'["{}\[\]]')
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPED = {'"': '"', "\\": "\\", "/": "/", "'": "'", "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_LOST = "\ufffd"
_HIGH_HALF = range(0xD800, 0xDC00)
_LOW_HALF = range(0xDC00, 0xE000)


class _Foreign(Exception):  # noqa: N818  # a turn in the reading, not an error
    """The text is not of the form that was asked for."""


class _Over(Exception):  # noqa: N818  # likewise
    """The text ended inside the envelope."""


class ConstrainedReader:
    """The incremental reader of one answer.

    Args:
        fallback: reads an answer, or what comes after it, that is not of the form asked for.
        none: the name that stands for no tool.
        reply_json: whether the reply is JSON to be given out as it stands, not a string to be unescaped.
        keep: whether a call counts; where it does not, it is dropped.
    """

    def __init__(
        self, fallback: TextReader, *, none: str = "none", reply_json: bool = False, keep: bool = True
    ) -> None:
        self._fallback = fallback
        self._none = none
        self._reply_json = reply_json
        self._keep = keep
        self._text = ""
        self._at = 0
        self._final = False
        self._foreign = False
        self._fenced = False
        self._given = False
        self._name: str | None = None
        self._waiting: list[str] = []
        self._opened = False
        self._out: list[Chunk] = []
        self._said: list[str] = []
        self._steps = self._envelope()

    @property
    def natives(self) -> int:
        """How many calls came the native way, where no tools were sent: a model's own idea."""
        return self._fallback.natives

    @property
    def called(self) -> bool:
        """Whether a call was given."""
        return self._opened or self._fallback.called

    def plain(self, delta: str) -> bool:
        """Only an answer in its own way can have deltas that need no reading."""
        return self._foreign and self._fallback.plain(delta)

    def feed(self, delta: str) -> list[Chunk]:
        """The reply's text, or the call's arguments, that this delta brings."""
        if self._foreign:
            return self._fallback.feed(delta)
        self._text += delta
        return self._advance()

    def whole(self, chunk: TextChunk) -> list[Chunk]:
        """As `feed`."""
        return self.feed(chunk.delta)

    def native(self, chunk: ToolCallChunk) -> None:
        """A call that came the native way although it was not asked for so."""
        self._fallback.native(chunk)

    def close(self) -> list[Chunk]:
        """What the end makes plain. An envelope that was cut before anything stood in it gives nothing."""
        self._final = True
        out = [] if self._foreign else self._advance()
        self._fallback.first_index = int(self._opened)
        return [*out, *self._fallback.close()]

    def _advance(self) -> list[Chunk]:
        try:
            next(self._steps, None)
        except _Foreign:
            self._foreign = True
            whole, self._text, self._at = self._text, "", 0
            return self._fallback.feed(whole)
        except _Over:
            pass
        self._flush()
        if self._given:
            self._text, self._at = self._text[self._at :], 0
        out, self._out = self._out, []
        return out

    # What follows reads on from `_at` and yields wherever more text is needed.

    def _envelope(self) -> Steps:
        yield from self._opening()
        while True:
            yield from self._space()
            char = self._text[self._at]
            if char == "}":
                break
            if char == ",":
                self._at += 1
                continue
            if char != '"':
                self._stray()
                continue
            key = yield from self._word()
            yield from self._space()
            if self._text[self._at] != ":":
                self._stray()
                continue
            self._at += 1
            yield from self._space()
            yield from self._member(key)
        self._at += 1
        if not self._given:
            self._no_arguments()
        yield from self._rest()

    def _opening(self) -> Steps:
        """The `{`, perhaps in a fence."""
        yield from self._space()
        while self._text[self._at] == "`":
            fence = _FENCE.match(self._text, self._at)
            if fence is not None:
                self._at = fence.end()
                self._fenced = True
                yield from self._space()
                break
            if not _FENCE_BEGUN.fullmatch(self._text, self._at):
                raise _Foreign
            yield from self._more()
        if self._text[self._at] != "{":
            raise _Foreign
        self._at += 1

    def _member(self, key: str) -> Steps:
        if key == "tool" and self._text[self._at] == '"' and self._name is None:
            self._name = yield from self._word()
            waiting, self._waiting = self._waiting, []
            for piece in waiting:
                self._argument(piece)
        elif key == "reply" and self._text[self._at] == '"' and not self._reply_json:
            self._given = True
            yield from self._string()
        elif key == "reply":
            self._given = True
            if self._reply_json or self._text[self._at] in "{[":
                yield from self._value(self._said.append)
            else:
                scalar: list[str] = []
                yield from self._value(scalar.append)
                self._said.extend(s for s in scalar if s != "null")
        elif key == "arguments":
            yield from self._value(self._argument)
        elif self._given:
            yield from self._value(_drop)
        else:
            raise _Foreign

    def _rest(self) -> Steps:
        """What comes after the envelope: nothing, the end of a fence, or the model going on in its own way."""
        tail = self._text[self._at :]
        while not tail.strip() or tail.strip() in ("`", "``", "```"):
            yield from self._more()
            tail = self._text[self._at :]
        tail = tail.lstrip()
        if self._fenced:
            tail = tail.removeprefix("```").lstrip()
        self._at = len(self._text)
        self._flush()
        self._foreign = True
        self._out.extend(self._fallback.feed(tail))

    def _more(self) -> Steps:
        """Waits for more text."""
        if self._final:
            raise _Over
        length = len(self._text) - self._at
        yield
        while len(self._text) - self._at == length:
            if self._final:
                raise _Over
            yield

    def _need(self, count: int) -> Steps:
        while len(self._text) - self._at < count:
            yield from self._more()

    def _space(self) -> Steps:
        """Passes blank space; afterwards there is a character to look at."""
        while True:
            self._at = _end(_SPACE, self._text, self._at)
            if self._at < len(self._text):
                return
            yield from self._more()

    def _word(self) -> Generator[None, None, str]:
        """A whole string, unescaped."""
        raw: list[str] = []
        yield from self._raw_string(raw.append)
        try:
            return str(json.loads("".join(raw), strict=False))
        except ValueError:  # a broken escape: no word of ours, so what it says does not matter
            return "".join(raw)

    def _string(self) -> Steps:
        """Says the characters of a string."""
        self._at += 1
        while True:
            yield from self._need(1)
            end = _end(_PLAIN, self._text, self._at)
            self._said.append(self._text[self._at : end])
            self._at = end
            if end == len(self._text):
                continue
            if self._text[end] == '"':
                self._at += 1
                return
            yield from self._escape()

    def _escape(self) -> Steps:
        yield from self._need(2)
        kind = self._text[self._at + 1]
        if kind != "u":
            self._at += 2
            self._said.append(_ESCAPED.get(kind, "\\" + kind))
            return
        code = yield from self._code()
        if code in _HIGH_HALF:
            yield from self._pair(code)
        elif code < 0:
            self._said.append("\\u")
        else:
            self._said.append(_LOST if code in _LOW_HALF else chr(code))

    def _code(self) -> Generator[None, None, int]:
        r"""The number of a `\uXXXX`; -1, with only `\u` passed, where no such number stands."""
        yield from self._need(6)
        digits = self._text[self._at + 2 : self._at + 6]
        if not _HEX.fullmatch(digits):
            self._at += 2
            return -1
        self._at += 6
        return int(digits, 16)

    def _pair(self, high: int) -> Steps:
        """The second half of a surrogate pair, if that is what comes."""
        yield from self._need(1)
        if self._text[self._at] == "\\":
            yield from self._need(2)
            if self._text[self._at + 1] == "u":
                yield from self._need(6)
                digits = self._text[self._at + 2 : self._at + 6]
                if _HEX.fullmatch(digits) and (low := int(digits, 16)) in _LOW_HALF:
                    self._at += 6
                    self._said.append(chr(0x10000 + (high - _HIGH_HALF.start << 10) + low - _LOW_HALF.start))
                    return
        self._said.append(_LOST)

    def _value(self, give: Callable[[str], None]) -> Steps:
        """Gives a value's raw text, a compound one's as it comes."""
        first = self._text[self._at]
        if first == '"':
            yield from self._raw_string(give)
        elif first in "{[":
            yield from self._raw_compound(give)
        else:
            end = _end(_SCALAR, self._text, self._at)
            while end == len(self._text):
                yield from self._more()
                end = _end(_SCALAR, self._text, self._at)
            scalar, self._at = self._text[self._at : end], end
            give(scalar)

    def _raw_string(self, give: Callable[[str], None]) -> Steps:
        give('"')
        self._at += 1
        while True:
            yield from self._need(1)
            end = _end(_PLAIN, self._text, self._at)
            if end > self._at:
                give(self._text[self._at : end])
                self._at = end
            elif self._text[end] == '"':
                give('"')
                self._at += 1
                return
            else:
                yield from self._need(2)
                give(self._text[self._at : self._at + 2])
                self._at += 2

    def _raw_compound(self, give: Callable[[str], None]) -> Steps:
        depth = 0
        while True:
            yield from self._need(1)
            mark = _STRUCTURE.search(self._text, self._at)
            end = len(self._text) if mark is None else mark.start()
            if end > self._at:
                give(self._text[self._at : end])
                self._at = end
            if mark is None:
                continue
            if mark[0] == '"':
                yield from self._raw_string(give)
                continue
            give(mark[0])
            self._at += 1
            depth += 1 if mark[0] in "{[" else -1
            if depth == 0:
                return

    def _stray(self) -> None:
        """A character that no JSON object has there."""
        if not self._given:
            raise _Foreign
        self._at += 1

    def _argument(self, raw: str) -> None:
        if self._name is None:
            self._waiting.append(raw)
            return
        self._given = True
        if self._name != self._none and self._keep:
            self._flush()
            self._out.append(ToolCallChunk(0, "", "" if self._opened else self._name, raw))
            self._opened = True

    def _no_arguments(self) -> None:
        """The envelope is closed and held neither arguments nor a reply."""
        if self._name is None:
            raise _Foreign
        self._argument("")

    def _flush(self) -> None:
        if self._said:
            text = "".join(self._said)
            self._said.clear()
            if text:
                self._out.append(TextChunk(text))


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where a pattern that may be empty ends."""
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _drop(_raw: str) -> None:
    """A value that nobody asked for."""
