"""Arguments in braces whose strings stand between a token of their own: `{city:<|"|>Paris<|"|>,days:3}`.

Keys are bare, or written as the strings are. What a model writes as JSON instead, keys or values, is read as that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._json import write
from lumosai.dialects._literal import MAX_DEPTH, CutLiteralError, Literals, NoLiteralError
from lumosai.dialects._typed import kinds_of, of_schema, plain, property_schema

if TYPE_CHECKING:
    from lumosai.records import ToolDefinition

_KEY = re.compile(r"\s*([^\s:,{}\[\]<>\"']+)\s*:")
_CUT_KEY = re.compile(r"\s*[^\s:,{}\[\]<>\"']*\s*")
_BARE = re.compile(r"[^,{}\[\]<>\"\n]+")
_BARE_KEY = re.compile(r"[^\W\d][\w-]*")
_MAX_BARE = 512


class Braced:
    """Reads such values in one text; each method gives where it stopped.

    Args:
        text: the text.
        quote: the token around strings.

    Raises:
        CutLiteralError: by every method: the text ends before it can be told.
        NoLiteralError: by every method: what stands there is no such value.
    """

    __slots__ = ("_literals", "_quote", "_text")

    def __init__(self, text: str, quote: str) -> None:
        self._text = text
        self._quote = quote
        self._literals = Literals(text, lines=True)

    def mapping(self, at: int, depth: int = 0) -> tuple[dict[str, Any], int]:
        """The object whose brace stands here."""
        items: dict[str, Any] = {}
        if self._literals.char(at) != "{" or depth > MAX_DEPTH:
            raise NoLiteralError
        at = self._literals.space(at + 1)
        while self._literals.char(at) != "}":
            key, at = self._key(at)
            if key in items:
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
        if first == '"':
            return self._literals.string(at)
        if first == "<":
            return self._string(at)
        return self._bare(at)

    def _string(self, at: int) -> tuple[str, int]:
        """The string between two of its tokens."""
        if not self._text.startswith(self._quote, at):
            raise CutLiteralError if self._quote.startswith(self._text[at:]) else NoLiteralError
        at += len(self._quote)
        end = self._text.find(self._quote, at)
        if end < 0:
            raise CutLiteralError
        return self._text[at:end], end + len(self._quote)

    def _key(self, at: int) -> tuple[str, int]:
        first = self._literals.char(at)
        if first in '<"':
            key, at = self._string(at) if first == "<" else self._literals.string(at)
            at = self._literals.space(at)
            if self._literals.char(at) != ":":
                raise NoLiteralError
            return key, at + 1
        found = _KEY.match(self._text, at)
        if found is None:
            raise CutLiteralError if _CUT_KEY.fullmatch(self._text, at) else NoLiteralError
        return found[1], found.end()

    def _bare(self, at: int) -> tuple[Any, int]:
        """A number or a word of JSON's or Python's; any other text is a string."""
        found = _BARE.match(self._text, at)
        if found is None or len(found[0]) > _MAX_BARE:
            raise NoLiteralError
        if found.end() == len(self._text):
            raise CutLiteralError
        text = found[0].strip()
        if not text or self._text[found.end()] not in ",}]\n":
            raise NoLiteralError
        if text[-1] == "." and text[:-1].lstrip("+-").isdecimal():
            return float(text), found.end()
        return plain(text), found.end()

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


def typed_strings(arguments: dict[str, Any], tool: ToolDefinition | None) -> dict[str, Any]:
    """The arguments, the strings among them read as what the tool's schema wants where it wants no string."""
    root = tool.parameters if tool else {}
    return {key: _typed(value, property_schema(root, key, root), root) for key, value in arguments.items()}


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
