"""Arguments written as code, `k=v, k2=v2`: literals only, read without ever evaluating anything."""

from __future__ import annotations

import re
from typing import Any

from lumosai.dialects.base import MORE, More

MAX_DEPTH = 50

_SPACE = re.compile(r"[ \t\r]*\n?[ \t\r]*")
_KEYWORD = re.compile(r"([^\W\d]\w*)[ \t]*=[ \t]*")
_CUT_KEYWORD = re.compile(r"[^\W\d]\w*[ \t]*")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_CUT_NUMBER = re.compile(r"[-+.\deE]+")
_WORD = re.compile(r"[A-Za-z]+")
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_STRING = {
    '"': re.compile(r'"((?:[^"\\\n]|\\[^\n])*+)"'),
    "'": re.compile(r"'((?:[^'\\\n]|\\[^\n])*+)'"),
}
_CUT_STRING = re.compile(r"""["'](?:[^\\\n]|\\[^\n])*+\\?""")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
_PAIRS = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _CutError(Exception):
    """The text ends before the value does."""


class _NoLiteralError(Exception):
    """Something stands here that is no literal."""


def read_keywords(text: str, at: int) -> tuple[dict[str, Any], int] | More | None:
    """The arguments from just behind `(` to just behind `)`; `More` where the text was cut; None where it is no such list."""
    try:
        return _keywords(text, at)
    except _CutError:
        return MORE
    except _NoLiteralError:
        return None


def read_literal(text: str, at: int) -> tuple[Any, int] | More | None:
    """The literal at `at` and where it ends: JSON's or Python's way of writing it."""
    try:
        return _value(text, at, 0)
    except _CutError:
        return MORE
    except _NoLiteralError:
        return None


def _keywords(text: str, at: int) -> tuple[dict[str, Any], int]:
    arguments: dict[str, Any] = {}
    at = _space(text, at)
    while _char(text, at) != ")":
        found = _KEYWORD.match(text, at)
        if found is None:
            raise _CutError if _CUT_KEYWORD.fullmatch(text, at) else _NoLiteralError
        if found[1] in arguments:
            raise _NoLiteralError
        arguments[found[1]], at = _value(text, found.end(), 1)
        at = _comma(text, at, ")")
    return arguments, at + 1


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    first = _char(text, at)
    if depth > MAX_DEPTH:
        raise _NoLiteralError
    if first in "\"'":
        return _string(text, at, first)
    if first == "[":
        return _list(text, at + 1, depth)
    if first == "{":
        return _dict(text, at + 1, depth)
    if first in "+-.0123456789":
        return _number(text, at)
    return _word(text, at)


def _list(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    at = _space(text, at)
    while _char(text, at) != "]":
        item, at = _value(text, at, depth + 1)
        items.append(item)
        at = _comma(text, at, "]")
    return items, at + 1


def _dict(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    items: dict[str, Any] = {}
    at = _space(text, at)
    while (quote := _char(text, at)) != "}":
        if quote not in "\"'":
            raise _NoLiteralError
        key, at = _string(text, at, quote)
        at = _space(text, at)
        if _char(text, at) != ":":
            raise _NoLiteralError
        items[key], at = _value(text, _space(text, at + 1), depth + 1)
        at = _comma(text, at, "}")
    return items, at + 1


def _comma(text: str, at: int, closing: str) -> int:
    """Where the next item begins, or the closing bracket stands."""
    at = _space(text, at)
    char = _char(text, at)
    if char == closing:
        return at
    if char != ",":
        raise _NoLiteralError
    return _space(text, at + 1)


def _string(text: str, at: int, quote: str) -> tuple[str, int]:
    found = _STRING[quote].match(text, at)
    if found is None:
        raise _CutError if _CUT_STRING.fullmatch(text, at) else _NoLiteralError
    value = found[1]
    return _unescaped(value) if "\\" in value else value, found.end()


def _unescaped(value: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        return chr(int(code, 16)) if code else _ESCAPES.get(match[3], match[3])

    value = _ESCAPE.sub(one, value)
    value = _PAIRS.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), value)
    return _SURROGATE.sub("�", value)


def _number(text: str, at: int) -> tuple[float, int]:
    if _CUT_NUMBER.fullmatch(text, at):
        raise _CutError
    found = _NUMBER.match(text, at)
    if found is None:
        raise _NoLiteralError
    try:
        return (float if set(".eE") & set(found[0]) else int)(found[0]), found.end()
    except ValueError:  # more digits than Python reads
        raise _NoLiteralError from None


def _word(text: str, at: int) -> tuple[Any, int]:
    found = _WORD.match(text, at)
    if found is None:
        raise _NoLiteralError
    if found.end() == len(text):
        raise _CutError
    if found[0] not in _WORDS:
        raise _NoLiteralError
    return _WORDS[found[0]], found.end()


def _space(text: str, at: int) -> int:
    """Behind the blank space, which holds no blank line: nobody writes a call that way."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _char(text: str, at: int) -> str:
    if at >= len(text):
        raise _CutError
    return text[at]
