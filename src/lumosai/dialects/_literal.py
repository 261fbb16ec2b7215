"""Arguments written as code, `k=v, k2=v2`: literals only, read without ever evaluating anything.

Values are JSON's or Python's. Text between markers may be more of Python: sets and tuples, which are lists, numbers and
words as keys, arguments by position, strings that stand side by side, and strings that hold line breaks, which Python
has not but models write.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from lumosai.dialects.base import MORE, More

MAX_DEPTH = 50

_SPACE = re.compile(r"[ \t\r]*\n?[ \t\r]*")
_SPACES = re.compile(r"[ \t\r\n]*")
_KEYWORD = re.compile(r"([^\W\d][\w-]*)[ \t]*=(?!=)[ \t]*")
_CUT_KEYWORD = re.compile(r"[^\W\d][\w-]*[ \t]*=?")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_CUT_NUMBER = re.compile(r"[-+._\deE]+")
_WORD = re.compile(r"[A-Za-z]+")
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_KEYS: dict[Any, str] = {True: "true", False: "false", None: "null"}
_STRING = {
    '"': re.compile(r'"((?:[^"\\\n]|\\[^\n])*+)"'),
    "'": re.compile(r"'((?:[^'\\\n]|\\[^\n])*+)'"),
}
_LINES = {
    '"': re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL),
    "'": re.compile(r"'((?:[^'\\]|\\.)*+)'", re.DOTALL),
}
_LONG = {
    '"': re.compile(r'"""((?:[^"\\]|\\.|"(?!""))*+)"""', re.DOTALL),
    "'": re.compile(r"'''((?:[^'\\]|\\.|'(?!''))*+)'''", re.DOTALL),
}
_CUT_STRING = re.compile(r"""["'](?:[^\\\n]|\\[^\n])*+\\?""")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_ESCAPES = dict(zip("ntrbfav\\'\"\n", ("\n", "\t", "\r", "\b", "\f", "\a", "\v", "\\", "'", '"', ""), strict=True))
_PAIRS = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_QUOTES = "\"'"
_RAW = ("r'", 'r"', "R'", 'R"')
_TOP = 0x10FFFF


class CutLiteralError(Exception):
    """The text ends before the value does."""


class NoLiteralError(Exception):
    """Something stands here that is no literal."""


class Arguments(msgspec.Struct, frozen=True):
    """What stands between the brackets of a call.

    Attributes:
        end: just behind the closing one.
        placed: the values without a name, which come first.
        named: the others.
    """

    end: int
    placed: tuple[Any, ...]
    named: dict[str, Any]


def read_keywords(text: str, at: int) -> tuple[dict[str, Any], int] | More | None:
    """The arguments from just behind `(` to just behind `)`; `More` where the text was cut; None where it is no such list."""
    try:
        found = Literals(text).arguments(at)
    except CutLiteralError:
        return MORE
    except NoLiteralError:
        return None
    return found.named, found.end


def read_literal(text: str, at: int) -> tuple[Any, int] | More | None:
    """The literal at `at` and where it ends: JSON's or Python's way of writing it."""
    try:
        return Literals(text).value(at, 0)
    except CutLiteralError:
        return MORE
    except NoLiteralError:
        return None


class Literals:
    """Reads literals in one text; each method gives where it stopped.

    Args:
        text: the text.
        code: whether all that Python can write is read.
        lines: whether a string may hold line breaks, and blank lines may stand between values.

    Raises:
        CutLiteralError: by every method: the text ends before it can be told.
        NoLiteralError: by every method: what stands there is none.
    """

    __slots__ = ("_code", "_space", "_strings", "text")

    def __init__(self, text: str, *, code: bool = False, lines: bool = False) -> None:
        self.text = text
        self._code = code
        self._strings = _LINES if lines else _STRING
        self._space = _SPACES if lines else _SPACE

    def arguments(self, at: int) -> Arguments:
        """The arguments from just behind `(` on."""
        named: dict[str, Any] = {}
        placed: list[Any] = []
        at = self.space(at)
        while self.char(at) != ")":
            found = _KEYWORD.match(self.text, at)
            if found is not None and found[1] not in named:
                named[found[1]], at = self.value(found.end(), 1)
            elif _CUT_KEYWORD.fullmatch(self.text, at):
                raise CutLiteralError
            elif found is not None or named or not self._code:
                raise NoLiteralError
            else:
                value, at = self.value(at, 1)
                placed.append(value)
            at = self._comma(at, ")")
        return Arguments(at + 1, tuple(placed), named)

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        """The literal here."""
        first = self.char(at)
        if depth > MAX_DEPTH:
            raise NoLiteralError
        if first in _QUOTES or self.text.startswith(_RAW, at):
            return self._joined(at)
        if first == "[":
            return self._list(at + 1, depth, "]")
        if first == "(" and self._code:
            return self._tuple(at + 1, depth)
        if first == "{":
            return self._dict(at + 1, depth)
        if first in "+-.0123456789":
            return self._number(at)
        return self._word(at)

    def space(self, at: int) -> int:
        """Behind the blank space, which holds no blank line: nobody writes a call that way."""
        found = self._space.match(self.text, at)
        return found.end() if found else at

    def char(self, at: int) -> str:
        """The character here."""
        if at >= len(self.text):
            raise CutLiteralError
        return self.text[at]

    def string(self, at: int) -> tuple[str, int]:
        """The string here."""
        text = self.text
        raw = text.startswith(_RAW, at)
        at += raw
        quote = self.char(at)
        if text[at : at + 3] == quote * 2:
            raise CutLiteralError
        found = _LONG[quote].match(text, at) if text.startswith(quote * 3, at) else self._strings[quote].match(text, at)
        if found is None:
            cut = self._strings is _LINES or text.startswith(quote * 3, at) or _CUT_STRING.fullmatch(text, at)
            raise CutLiteralError if cut else NoLiteralError
        value = found[1]
        return (value if raw or "\\" not in value else unescaped(value)), found.end()

    def _joined(self, at: int) -> tuple[str, int]:
        """The string here, with those that stand beside it."""
        value, at = self.string(at)
        while self._code:
            after = self.space(at)
            if after == len(self.text) or self.text[after] not in _QUOTES:
                break
            more, at = self.string(after)
            value += more
        return value, at

    def _list(self, at: int, depth: int, closing: str) -> tuple[list[Any], int]:
        items: list[Any] = []
        at = self.space(at)
        while self.char(at) != closing:
            item, at = self.value(at, depth + 1)
            items.append(item)
            at = self._comma(at, closing)
        return items, at + 1

    def _tuple(self, at: int, depth: int) -> tuple[Any, int]:
        """A tuple, as a list; a value in brackets is that value."""
        items, end = self._list(at, depth, ")")
        alone = len(items) == 1 and not self.text[at : end - 1].rstrip().endswith(",")
        return (items[0] if alone else items), end

    def _dict(self, at: int, depth: int) -> tuple[Any, int]:
        """An object, or a set, as a list."""
        items: dict[str, Any] = {}
        members: list[Any] = []
        at = self.space(at)
        while (char := self.char(at)) != "}":
            if char not in _QUOTES and not self._code:
                raise NoLiteralError
            key, at = self.value(at, depth + 1)
            at = self.space(at)
            if self.char(at) == ":" and not members:
                items[self._key(key)], at = self.value(self.space(at + 1), depth + 1)
            elif items or not self._code:
                raise NoLiteralError
            else:
                members.append(key)
            at = self._comma(at, "}")
        return members or items, at + 1

    def _key(self, key: Any) -> str:
        """The key as JSON writes it."""
        if isinstance(key, str):
            return key
        if key is None or isinstance(key, bool):
            return _KEYS[key]
        if isinstance(key, int | float):
            return repr(key)
        raise NoLiteralError

    def _comma(self, at: int, closing: str) -> int:
        """Where the next item begins, or the closing bracket stands."""
        at = self.space(at)
        char = self.char(at)
        if char == closing:
            return at
        if char != ",":
            raise NoLiteralError
        return self.space(at + 1)

    def _number(self, at: int) -> tuple[float, int]:
        if _CUT_NUMBER.fullmatch(self.text, at):
            raise CutLiteralError
        found = _NUMBER.match(self.text, at)
        if found is None:
            raise NoLiteralError
        try:
            value = (float if set(".eE") & set(found[0]) else int)(found[0])
        except ValueError:  # more digits than Python reads
            raise NoLiteralError from None
        if value in (float("inf"), float("-inf")):  # beyond all bounds, which JSON cannot write
            raise NoLiteralError
        return value, found.end()

    def _word(self, at: int) -> tuple[Any, int]:
        found = _WORD.match(self.text, at)
        if found is None:
            raise NoLiteralError
        if found.end() == len(self.text):
            raise CutLiteralError
        if found[0] not in _WORDS:
            raise NoLiteralError
        return _WORDS[found[0]], found.end()


def unescaped(value: str) -> str:
    """What is between quotes, as Python reads it: an unknown escape keeps its backslash."""

    def one(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        number = int(code, 16) if code else int(match[4], 8) if match[4] else -1
        if number >= 0:
            return chr(number) if number <= _TOP else match[0]
        return _ESCAPES.get(match[5], match[0])

    value = _ESCAPE.sub(one, value)
    value = _PAIRS.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), value)
    return _SURROGATE.sub("�", value)
