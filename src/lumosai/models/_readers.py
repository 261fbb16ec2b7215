"""How an answer's text is read: as it is, or through the dialects' parser, which takes calls out of it.

A reader gets the text of one answer delta by delta, and is told of the calls that came the native way. What it finds is
given as chunks, so that every tool mode looks the same from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from lumosai.dialects import DialectParser
from lumosai.dialects._known import is_prose
from lumosai.messages import ToolCallPart
from lumosai.models.base import TextChunk, ToolCallChunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lumosai.models.base import Chunk
    from lumosai.records import ToolDefinition

_encode = msgspec.json.Encoder(order="sorted").encode
_object = msgspec.json.Decoder(dict).decode


class Reader(Protocol):
    """Turns the text of one answer into chunks.

    Attributes:
        called: whether `close` or an earlier `feed` gave a call.
    """

    @property
    def called(self) -> bool: ...

    @property
    def natives(self) -> int:
        """How many calls came the native way."""
        ...

    def plain(self, delta: str) -> bool:
        """Whether this delta may be passed on as it is, unread. Cheap: it is asked of every delta.

        After a `feed` it may be another function.
        """
        ...

    def feed(self, delta: str) -> Sequence[Chunk]:
        """What this delta adds."""
        ...

    def whole(self, chunk: TextChunk) -> Sequence[Chunk]:
        """As `feed`, of the only text that an answer has."""
        ...

    def native(self, chunk: ToolCallChunk) -> None:
        """A piece of a call that came the native way, and is passed on besides."""
        ...

    def close(self) -> Sequence[Chunk]:
        """What is left when the answer is whole: text held back, and calls."""
        ...


class PlainReader:
    """Passes text on as it is."""

    called = False
    natives = 0

    def plain(self, delta: str) -> bool:  # noqa: ARG002  # the contract's
        """Always."""
        return True

    def feed(self, delta: str) -> list[Chunk]:
        """The delta itself."""
        return [TextChunk(delta)]

    def whole(self, chunk: TextChunk) -> list[Chunk]:
        """The text itself."""
        return [chunk]

    def native(self, chunk: ToolCallChunk) -> None:
        """Of no concern."""

    def close(self) -> list[Chunk]:
        """Nothing was held back."""
        return []


class TextReader:
    """Takes calls out of text, in whatever dialect they are written.

    They are given when the answer is whole, for only then is it known which of them came the native way too.

    Args:
        tools: what may be called.
        keep: whether calls count; where they do not, they are dropped, markup and all.
        dialect: in which the model was told to write them; those that it was not are read all the same.
    """

    __slots__ = ("_dialect", "_keep", "_native", "_parser", "_tools", "called", "first_index", "found", "plain")

    def __init__(self, tools: Sequence[ToolDefinition], *, keep: bool = True, dialect: str = "auto") -> None:
        self._dialect = dialect
        self._tools = tools
        self._keep = keep
        self._native: dict[int, list[str]] = {}
        self._parser: DialectParser | None = None  # made for the first text: an answer that only calls has none
        self.plain: Callable[[str], bool] = _unread
        self.found: list[ToolCallPart] = []
        self.first_index = 0
        self.called = False

    @property
    def dialect(self) -> str:
        """The dialect that the calls found were written in; "" where none was found."""
        return "" if self._parser is None else self._parser.seen

    @property
    def natives(self) -> int:
        """How many calls came the native way."""
        return len(self._native)

    def feed(self, delta: str) -> list[Chunk]:
        """The text that is surely none of a call's."""
        parser = self._parser
        if parser is None:
            parser = self._parser = DialectParser(
                tools=self._tools, dialect=self._dialect, alone=False, show_broken=False
            )
            self.plain = parser.plain
        return self._sort(parser.feed(delta))

    def whole(self, chunk: TextChunk) -> list[Chunk]:
        """The text without calls; most texts hold none, which is seen at once."""
        if is_prose(chunk.delta, self._tools, self._dialect):
            return [chunk]
        return self.feed(chunk.delta)

    def native(self, chunk: ToolCallChunk) -> None:
        """Remembers a native call, so that its echo in the text is not taken for another."""
        if chunk.index in self._native:
            self._native[chunk.index].append(chunk.delta)
        else:
            self._native[chunk.index] = [chunk.name, chunk.delta]

    def close(self) -> list[Chunk]:
        """The rest of the text, then the calls found in it."""
        out = self._sort(self._parser.close()) if self._parser is not None else []
        if self._parser is not None and self._parser.broken:
            self._take_broken(self._parser.broken)
        if not self.found or not self._keep:
            self.found = []
            return out
        if self._native:
            same = {_key(c[0], "".join(c[1:])) for c in self._native.values()}
            self.found = [c for c in self.found if _key(c.name, _raw(c)) not in same]
        first = max(self._native, default=self.first_index - 1) + 1
        out.extend(ToolCallChunk(first + i, "", c.name, _raw(c)) for i, c in enumerate(self.found))
        self.called = bool(self.found)
        return out

    def _take_broken(self, broken: str) -> None:
        """A call that the answer's end cut off goes back to the model, which is told that it is not whole."""
        names = [t.name for t in self._tools if t.name in broken]
        if names:
            name = min(names, key=lambda n: (broken.index(n), -len(n)))
            self.found.append(ToolCallPart("", name, None, broken))

    def _sort(self, items: Iterable[str | ToolCallPart]) -> list[Chunk]:
        out: list[Chunk] = []
        for item in items:
            if isinstance(item, str):
                if item:
                    out.append(TextChunk(item))
            else:
                self.found.append(item)
        return out


def _unread(_delta: str) -> bool:
    """Before anything was read, nothing may pass unread."""
    return False


def _raw(call: ToolCallPart) -> str:
    """The call's arguments as text."""
    if call.arguments is None:
        return call.raw or ""
    return msgspec.json.encode(call.arguments).decode()


def _key(name: str, raw: str) -> tuple[str, bytes]:
    """What two calls have in common that are one: the name, and the arguments in whatever order and spacing."""
    try:
        return name, _encode(_object(raw or "{}"))
    except (msgspec.DecodeError, RecursionError):
        return name, raw.strip().encode()
