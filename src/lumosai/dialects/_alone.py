"""What unmarked forms share: a call stands on lines of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._calls import KEYS, may_become
from lumosai.dialects._ending import TOKENS
from lumosai.dialects._json import read
from lumosai.dialects._lenient import block, read_loose
from lumosai.dialects.base import MORE, NO, More, No

if TYPE_CHECKING:
    from collections.abc import Collection

_BLANK = re.compile(r"[ \t\r]*")
_CLOSING = More("}]")
_SHORT = 256


def line_ends(text: str, at: int, *, final: bool) -> bool | More:
    """Whether nothing but blank follows at `at` to the end of the line or to a token that ends the answer.

    `More` where the text ends before it does.
    """
    found = _BLANK.match(text, at)
    at = found.end() if found else at
    if at == len(text):
        return True if final else MORE
    if text[at] != "<":
        return text[at] == "\n"
    if text.startswith(TOKENS, at):
        return True
    return MORE if not final and any(token.startswith(text[at:]) for token in TOKENS) else False


def call_value(
    text: str,
    at: int,
    names: Collection[str],
    keys: Collection[str] = KEYS,
    *,
    loose: bool = False,
    blank_lines: bool = False,
) -> tuple[Any, int] | More | No:
    """The JSON value at `at`, if it is or may become a call of one of `names`; `loose`: what is nearly JSON, too."""
    if not may_become(text, at, names, keys):
        return NO
    value = (read_loose if loose else read)(text, at)
    found = waiting(value if blank_lines else block(value, text, at))
    # While it is short, each further word may show that it is none.
    return MORE if isinstance(found, More) and len(text) - at < _SHORT else found


def waiting(found: tuple[Any, int] | More | None) -> tuple[Any, int] | More | No:
    """What `read` said, as a verdict: unfinished JSON is not asked again before a bracket closes."""
    if found is None:
        return NO
    if isinstance(found, More):
        return _CLOSING
    return found
