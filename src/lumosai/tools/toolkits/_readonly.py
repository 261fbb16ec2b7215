"""An SQLite connection that can only read, with no step that takes long.

SQLite looks at the clock between two steps of its machine and not within one, so a single function call can take minutes:
`instr` of two long texts compares each with each. Therefore only functions that pass once over their arguments are
authorised, and those that do not are put in place by ones of Python's, which do.
"""

from __future__ import annotations

import re
import sqlite3
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Value = str | int | float | bytes | None

MAX_LENGTH = 4_000_000
"""The longest value and row, in bytes."""
_STEPS = 10_000
"""How many steps pass between two looks at the clock: some 0.1 ms."""
_LIMITS = (
    (sqlite3.SQLITE_LIMIT_LENGTH, MAX_LENGTH),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 20_000),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 100),
    (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 50),
    (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
)
_ACTIONS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_FUNCTIONS = frozenset(
    {
        *("avg", "count", "group_concat", "max", "min", "string_agg", "sum", "total"),
        *("row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile"),
        *("lag", "lead", "first_value", "last_value", "nth_value"),
        *(
            "abs",
            "ceil",
            "ceiling",
            "exp",
            "floor",
            "ln",
            "log",
            "log10",
            "log2",
            "mod",
            "pi",
            "pow",
            "power",
            "random",
        ),
        *("round", "sign", "sqrt", "trunc"),
        *("char", "concat", "concat_ws", "format", "glob", "instr", "length", "like", "lower", "ltrim", "octet_length"),
        *("printf", "replace", "rtrim", "substr", "substring", "trim", "typeof", "unicode", "upper"),
        *("coalesce", "if", "ifnull", "iif", "nullif"),
        *("date", "datetime", "julianday", "strftime", "time", "timediff", "unixepoch"),
        *("current_date", "current_time", "current_timestamp"),
    }
)
_FORMAT = re.compile(r"%([-+ 0,]*)([0-9]{0,3})(?:\.([0-9]{0,3}))?([a-zA-Z%])|%")
"""A place in a format of `printf`: flags, width and precision of at most three digits, kind."""


def close_in(database: sqlite3.Connection) -> None:
    """From here on the connection reads what it holds, and nothing else is possible."""
    for name, arguments, function in _REPLACED:
        database.create_function(name, arguments, function, deterministic=True)
    for limit, value in _LIMITS:
        database.setlimit(limit, value)
    database.set_authorizer(_authorise)


def bound(database: sqlite3.Connection, timeout_s: float) -> None:
    """The next query is interrupted after so many seconds."""
    deadline = time.monotonic() + timeout_s
    database.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)


def _authorise(action: int, _first: str | None, second: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_OK if (second or "").lower() in _FUNCTIONS else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ACTIONS else sqlite3.SQLITE_DENY


def _text(value: Value) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _instr(text: Value, part: Value) -> int | None:
    return None if text is None or part is None else _text(text).find(_text(part)) + 1


def _replace(text: Value, old: Value, new: Value) -> str | None:
    if text is None or old is None or new is None:
        return None
    whole, part, put = _text(text), _text(old), _text(new)
    if not part:
        return whole
    if len(whole) + whole.count(part) * len(put) > MAX_LENGTH:
        raise OverflowError
    return whole.replace(part, put)


def _trimmer(trim: Callable[[str, str], str]) -> Callable[..., str | None]:
    def function(text: Value, signs: Value = " ") -> str | None:
        return None if text is None or signs is None else trim(_text(text), _text(signs))

    return function


def _printf(form: Value, *values: Value) -> str | None:
    """The text with its places filled, as C does it. Missing values are 0 or empty."""
    left = iter(values)
    return None if form is None else _FORMAT.sub(lambda place: _place(place, left), _text(form))


def _place(place: re.Match[str], values: Iterator[Value]) -> str:
    flags, width, precision, kind = place.groups()
    if kind == "%":
        return "%"
    value = next(values, None)
    if kind in ("d", "i", "u"):
        filled = format(int(float(value or 0)), "," if "," in flags else "d")
    elif kind in ("f", "e", "E", "g", "G"):
        filled = format(float(value or 0), f"{',' if ',' in flags else ''}.{precision or 6}{kind}")
    elif kind in ("x", "X", "o"):
        filled = format(int(value or 0), kind)
    elif kind in ("s", "z"):
        filled = "" if value is None else _text(value)
        filled = filled[: int(precision)] if precision else filled
    else:
        raise ValueError(place.group())
    if kind not in ("s", "z") and not filled.startswith("-"):
        filled = ("+" if "+" in flags else " " if " " in flags else "") + filled
    if "-" in flags:
        return filled.ljust(int(width or 0))
    return filled.zfill(int(width or 0)) if "0" in flags else filled.rjust(int(width or 0))


_REPLACED: tuple[tuple[str, int, Callable[..., Value]], ...] = (
    ("instr", 2, _instr),
    ("replace", 3, _replace),
    *(
        (name, n, _trimmer(trim))
        for name, trim in (("trim", str.strip), ("ltrim", str.lstrip), ("rtrim", str.rstrip))
        for n in (1, 2)
    ),
    ("printf", -1, _printf),
    ("format", -1, _printf),
)
