"""JSON as models write it when they slip: single quotes, bare keys, trailing commas, Python's words, odd escapes.

Each of these can be read in one way only, and the end of the value is as plain as that of strict JSON. What needs
guessing is `_repair`'s, and what was cut off nobody's.
"""

from __future__ import annotations

import re
from typing import Any

from lumosai.dialects._json import read, without_surrogates
from lumosai.dialects._literal import CutLiteralError, Literals, NoLiteralError
from lumosai.dialects.base import MORE, More

_KEY = re.compile(r"[^\W\d][\w$-]{0,127}")
_STRING = {
    '"': re.compile(r'"((?:[^"\\\n]|\\[^\n])*+)"'),
    "'": re.compile(r"'((?:[^'\\\n]|\\[^\n])*+)'"),
}
_CUT_STRING = re.compile(r"""["'](?:[^\\\n]|\\[^\n])*+\\?""")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", **{c: c for c in "\\\"'/"}}
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")


def read_loose(text: str, at: int) -> tuple[Any, int] | More | None:
    """The object or list at `at` and where it ends, strict JSON or nearly; `More` where it was cut, None where it is none."""
    found = read(text, at)
    if found is not None or text[at : at + 1] not in ("{", "["):
        return found
    try:
        value, end = _Lenient(text).value(at, 0)
    except CutLiteralError:
        return MORE
    except NoLiteralError:
        return None
    return without_surrogates(value), end


def read_block(text: str, at: int) -> tuple[Any, int] | More | None:
    """Like `read_loose`, for JSON that stands in a text without markers: a blank line inside ends the attempt.

    Nobody writes a call that way, and it keeps an endless attempt from hiding a later call.
    """
    return block(read_loose(text, at), text, at)


def block(found: tuple[Any, int] | More | None, text: str, at: int) -> tuple[Any, int] | More | None:
    """What was read at `at`, None where a blank line stands in it."""
    if found is None:
        return None
    end = len(text) if isinstance(found, More) else found[1]
    return None if _BLANK_LINE.search(text, at, end) else found


class _Lenient(Literals):
    __slots__ = ()

    def string(self, at: int) -> tuple[str, int]:
        """The string here, in either kind of quotes, on one line."""
        quote = self.char(at)
        pattern = _STRING.get(quote)
        if pattern is None:
            raise NoLiteralError
        found = pattern.match(self.text, at)
        if found is None:
            raise CutLiteralError if _CUT_STRING.fullmatch(self.text, at) else NoLiteralError
        return (_unescaped(found[1]) if "\\" in found[1] else found[1]), found.end()

    def _dict(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        items: dict[str, Any] = {}
        at = self.space(at)
        while self.char(at) != "}":
            key, at = self._name(at)
            at = self.space(at)
            if self.char(at) != ":" or key in items:
                raise NoLiteralError
            items[key], at = self.value(self.space(at + 1), depth + 1)
            at = self._comma(at, "}")
        return items, at + 1

    def _name(self, at: int) -> tuple[str, int]:
        """A key, with quotes or without."""
        found = _KEY.match(self.text, at)
        if found is None:
            return self.string(at)
        if found.end() == len(self.text):
            raise CutLiteralError
        return found[0], found.end()


def _unescaped(value: str) -> str:
    """What is between quotes, by JSON's escapes; an unknown one keeps its backslash, as in a path or a pattern."""
    value = _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPES.get(m[2], m[0]), value)
    return _PAIR.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), value)
