"""What a line of Markdown is by its first characters: the part that decides whether a call may stand in it."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

HEAD = 1024
"""Characters within which a line must have shown what it is; beyond, it is prose."""

STRUCTURE = frozenset("`~>|-*+:0123456789")
"""The characters with which a line begins that may be more than prose."""

_INDENT = re.compile(r"[ \t\r\f\v]*")
_RUN = re.compile(r"`+|~+")
_LIST = re.compile(r"(?:[-*+]|\d{1,9}[.)])(?=[ \t\r\n])[ \t\r]*")
_CUT_LIST = re.compile(r"[-*+][ \t\r]*|\d{1,9}(?:[.)][ \t\r]*)?")
_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-*:?[ \t]*)+\r?")
_RULE_CHARS = re.compile(r"[-:| \t\r]*")
_MIN_RUN = 3
_TAB = 4


class Line(msgspec.Struct, frozen=True, gc=False):
    """What begins here.

    Attributes:
        kind: a code fence, a line of a block quote, an item of a list, the rule below a table's head, or anything else.
        fence: the fence's run, such as "```"; also that of a fence that begins inside a list item.
        end: behind the fence's opening line, or what was read of it.
    """

    kind: Literal["fence", "quote", "list", "table", "prose"]
    fence: str = ""
    end: int = 0


PROSE = Line("prose")
_QUOTE = Line("quote")
_TABLE = Line("table")


def indent_end(text: str, at: int) -> int:
    """Where the line's indentation ends."""
    found = _INDENT.match(text, at)
    return found.end() if found else at


def width(indent: str) -> int:
    """An indentation in columns, tabs counted as four."""
    return len(indent) + (_TAB - 1) * indent.count("\t")


def classify(text: str, at: int, *, final: bool) -> Line | None:
    """What the line is whose first character stands at `at`; None where more text is needed to tell."""
    char = text[at]
    if char not in STRUCTURE:
        return PROSE
    waits = not final and len(text) - at <= HEAD
    if char in "`~":
        return _fence(text, at, waits=waits)
    if char == ">":
        return _QUOTE
    if char in "-:|":
        end = _span(_RULE_CHARS, text, at)
        if end == len(text) and waits:
            return None
        if "|" in text[at:end] and (end == len(text) or text[end] == "\n") and _RULE.fullmatch(text, at, end):
            return _TABLE
    return _list(text, at, waits=waits)


def _list(text: str, at: int, *, waits: bool) -> Line | None:
    mark = _LIST.match(text, at)
    if mark is None or mark.end() == len(text):
        if waits and _CUT_LIST.fullmatch(text, at):
            return None
        return PROSE if mark is None else Line("list")
    inner = mark.end()
    if text[inner] not in "`~":
        return Line("list")
    line = _fence(text, inner, waits=waits)
    if line is None:
        return None
    return Line("list", line.fence, line.end)


def _fence(text: str, at: int, *, waits: bool) -> Line | None:
    run = _span(_RUN, text, at)
    if run == len(text) and waits:
        return None
    if run - at < _MIN_RUN:
        return PROSE
    end = text.find("\n", run, at + HEAD)
    if text[at] == "`" and text.find("`", run, end if end >= 0 else at + HEAD) >= 0:
        return PROSE  # inline code: the language after a fence of backticks holds none
    if end < 0:
        return None if waits else Line("fence", text[at : min(run, at + HEAD)], min(len(text), at + HEAD))
    return Line("fence", text[at:run], end + 1)


def _span(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
