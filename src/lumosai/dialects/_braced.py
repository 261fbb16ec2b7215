"""Arguments in braces whose strings stand between a token of their own: `{city:<|"|>Paris<|"|>,days:3}`.

Keys are bare, or written as the strings are. What a model writes as JSON or Python instead, keys or values, is read as
that. The token that begins a string may be missing, and it may stand in a string for a quotation mark, where that is
plain from the parameters that the tool has.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._json import write
from lumosai.dialects._literal import MAX_DEPTH, CutLiteralError, Literals, NoLiteralError
from lumosai.dialects._typed import kinds_of, of_schema, plain, property_schema

if TYPE_CHECKING:
    from lumosai.records import ToolDefinition

_KEY = re.compile(r"\s*([^\s:=,{}\[\]<>\"']+)\s*[:=]")
_CUT_KEY = re.compile(r"\s*[^\s:=,{}\[\]<>\"']*\s*")
_RUN = re.compile(r"[^{}\[\]<>\"\n]*")
_BARE = re.compile(r"[^,{}\[\]<>\"\n]+")
_BARE_KEY = re.compile(r"[^\W\d][\w-]*")
_OPENING = (":", ",", "=", "")
_QUOTES = "\"'"
_MAX_BARE = 512
_MAX_KEY = 256


class Braced:
    """Reads such values in one text; each method gives where it stopped.

    Args:
        text: the text.
        quote: the token around strings.
        keys: the keys that the outermost object may have; its strings end where one of them, or its end, follows.

    Raises:
        CutLiteralError: by every method: the text ends before it can be told.
        NoLiteralError: by every method: what stands there is no such value.
    """

    __slots__ = ("_closing", "_keys", "_literals", "_quote", "_text")

    def __init__(self, text: str, quote: str, keys: frozenset[str] = frozenset()) -> None:
        self._text = text
        self._quote = quote
        self._keys = keys
        self._closing = re.compile(rf"\s*(?:\}}|,?\s*(?:{'|'.join(map(re.escape, keys))})\s*[:=])")
        self._literals = Literals(text, lines=True)

    def mapping(self, at: int, depth: int = 0) -> tuple[dict[str, Any], int]:
        """The object whose brace stands here."""
        items: dict[str, Any] = {}
        if self._literals.char(at) != "{" or depth > MAX_DEPTH:
            raise NoLiteralError
        at = self._literals.space(at + 1)
        while self._literals.char(at) != "}":
            key, at = self._key(at)
            if key in items or (self._keys and not depth and key not in self._keys):
                raise NoLiteralError
            items[key], at = self._value(self._literals.space(at), depth + 1)
            at = self._comma(at, "}")
        return items, at + 1

    def _list(self, at: int, depth: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        at = self._literals.space(at + 1)
        while self._literals.char(at) != "]":
            item, at = self._value(at, depth + 1)
            items.append(item)
            at = self._comma(at, "]")
        return items, at + 1

    def _value(self, at: int, depth: int) -> tuple[Any, int]:
        first = self._literals.char(at)
        if first == "{":
            return self.mapping(at, depth)
        if depth > MAX_DEPTH:
            raise NoLiteralError
        if first == "[":
            return self._list(at, depth)
        if first in _QUOTES:
            return self._literals.string(at)
        if first == "<":
            return self._string(at, quoting=depth == 1 and bool(self._keys))
        return self._bare(at)

    def _string(self, at: int, *, quoting: bool = False) -> tuple[str, int]:
        """The string between two of its tokens. `quoting`: those behind which nothing can follow are quotation marks."""
        if not self._text.startswith(self._quote, at):
            raise CutLiteralError if self._quote.startswith(self._text[at:]) else NoLiteralError
        start = at = at + len(self._quote)
        while (end := self._text.find(self._quote, at)) >= 0:
            at = end + len(self._quote)
            if not quoting:
                return self._text[start:end], at
            if self._closing.match(self._text, at):
                return self._text[start:end].replace(self._quote, '"'), at
            if len(self._text) - at <= _MAX_KEY and self._begins_key(self._text[at:]):
                break
        raise CutLiteralError

    def _begins_key(self, rest: str) -> bool:
        """Whether the text ends in what may become the next key."""
        rest = rest.lstrip().removeprefix(",").lstrip()
        return any(key.startswith(rest.rstrip()) for key in self._keys)

    def _key(self, at: int) -> tuple[str, int]:
        first = self._literals.char(at)
        if first in "<\"'":
            key, at = self._string(at) if first == "<" else self._literals.string(at)
            at = self._literals.space(at)
            if self._literals.char(at) not in ":=":
                raise NoLiteralError
            return key, at + 1
        found = _KEY.match(self._text, at)
        if found is None:
            raise CutLiteralError if _CUT_KEY.fullmatch(self._text, at) else NoLiteralError
        return found[1], found.end()

    def _bare(self, at: int) -> tuple[Any, int]:
        """A number or a word of JSON's or Python's; any other text is a string."""
        run = self._run(at)
        end = at + len(run)
        if run.rstrip()[-1:] not in _OPENING and self._text.startswith(self._quote, end):
            end += len(self._quote)
            if self._literals.char(self._literals.space(end)) not in ",}]":
                raise NoLiteralError
            return run.strip(), end
        found = _BARE.match(run)
        text = found[0].strip() if found else ""
        end = at + len(found[0]) if found else at
        if not text or len(text) > _MAX_BARE or self._text[end] not in ",}]\n":
            raise NoLiteralError
        if text[-1] == "." and text[:-1].lstrip("+-").isdecimal():
            return float(text), end
        return plain(text), end

    def _run(self, at: int) -> str:
        """The text up to the next bracket, line break or token."""
        found = _RUN.match(self._text, at)
        end = found.end() if found else at
        if end == len(self._text) or (end > at and self._quote.startswith(self._text[end:])):
            raise CutLiteralError if end - at <= _MAX_BARE else NoLiteralError
        return self._text[at:end]

    def _comma(self, at: int, closing: str) -> int:
        """Where the next item begins, or the closing bracket stands. A comma behind a string's token may be missing."""
        behind_string = self._text.endswith(self._quote, 0, at)
        at = self._literals.space(at)
        char = self._literals.char(at)
        if char == ",":
            return self._literals.space(at + 1)
        if char != closing and not behind_string:
            raise NoLiteralError
        return at


def read_braced(text: str, at: int, quote: str, tool: ToolDefinition | None) -> tuple[dict[str, Any], int]:
    """The arguments whose brace stands at `at`, and where they end.

    Raises:
        CutLiteralError: the text ends before it can be told.
        NoLiteralError: no such arguments stand there.
    """
    root = tool.parameters if tool else {}
    try:
        arguments, end = Braced(text, quote).mapping(at)
    except NoLiteralError:
        keys = frozenset(root.get("properties") or ())
        if not keys:
            raise
        arguments, end = Braced(text, quote, keys).mapping(at)
    return {k: _typed(v, property_schema(root, k, root), root) for k, v in arguments.items()}, end


def _typed(value: Any, schema: Any, root: dict[str, Any]) -> Any:
    if not isinstance(value, str):
        return value
    kinds = kinds_of(schema, root)
    return value if not kinds or "string" in kinds else of_schema(value, schema, root)


def braced(value: Any, quote: str) -> str:
    """The value as this is written.

    Raises:
        ValueError: a string holds the token that would end it.
    """
    if isinstance(value, str):
        if quote in value or value.endswith(tuple(quote[:i] for i in range(1, len(quote)))):
            raise ValueError(f"{value!r} cannot be written in this dialect: it holds {quote!r}, or ends as that begins")
        return f"{quote}{value}{quote}"
    if isinstance(value, list):
        return f"[{','.join(braced(item, quote) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_written_key(k, quote)}:{braced(v, quote)}" for k, v in value.items()) + "}"
    return write(value)


def _written_key(key: str, quote: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else braced(key, quote)
