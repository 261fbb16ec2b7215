"""JSON as it stands in a text that may still be growing: strict reading, and one form for writing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects.base import MORE, More

if TYPE_CHECKING:
    from lumosai.messages import ToolCallPart

MAX_DEPTH = 200

_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
# How a literal, a number or an escape may look where the text was cut.
_CUT_TOKEN = re.compile(r"t(?:ru?)?|f(?:al?|als)?|n(?:ul?)?|-|\.|(?:\.\d+)?[eE][+-]?")
_CUT_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{0,4}\Z")
_ESCAPE_CHARS = 6


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def space(text: str, at: int) -> int:
    """Where the blank space that begins at `at` ends."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def read(text: str, at: int) -> tuple[Any, int] | More | None:
    """The strict JSON value at `at` and where it ends; `More` where the text was cut; None where it is no JSON."""
    try:
        value, end = _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        return MORE if _was_cut(text, error) and not _too_deep(text, at, len(text)) else None
    except (ValueError, RecursionError):  # a constant JSON has not, a number beyond all bounds, nesting likewise
        return None
    if _too_deep(text, at, end):
        return None
    return _without_surrogates(value, text, at, end), end


def read_object(text: str) -> dict[str, Any] | None:
    """The JSON object that the whole of `text` is, else None."""
    start = space(text, 0)
    found = read(text, start)
    if found is None or isinstance(found, More):
        return None
    value, end = found
    return value if isinstance(value, dict) and space(text, end) == len(text) else None


def write(value: Any) -> str:
    """The value as JSON on one line, in the characters of its own script."""
    return json.dumps(value, ensure_ascii=False)


def arguments_text(call: ToolCallPart) -> str:
    """A call's arguments as JSON text; the raw text where it was none."""
    if call.arguments is None:
        return call.raw or "{}"
    return write(call.arguments)


def _was_cut(text: str, error: json.JSONDecodeError) -> bool:
    if error.msg.startswith("Unterminated string"):
        return text.find("\n", error.pos) < 0  # a string of JSON holds no line break
    if error.msg.startswith("Invalid \\"):
        return _CUT_ESCAPE.search(text, max(0, len(text) - _ESCAPE_CHARS)) is not None
    if not error.msg.startswith(("Expecting", "Illegal trailing")):
        return False
    at = space(text, error.pos)
    return at == len(text) or _CUT_TOKEN.fullmatch(text, at) is not None


def _too_deep(text: str, at: int, end: int) -> bool:
    if text.count("{", at, end) + text.count("[", at, end) <= MAX_DEPTH:
        return False
    depth = deepest = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[{\[]|[}\]]', text[at:end]):
        if token[0] in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "}]":
            depth -= 1
    return deepest > MAX_DEPTH


def _without_surrogates(value: Any, text: str, at: int, end: int) -> Any:
    r"""The value with lone surrogates, which only `\ud800` escapes can make, as U+FFFD."""
    if text.find("\\ud", at, end) < 0 and text.find("\\uD", at, end) < 0:
        return value
    return without_surrogates(value)


def without_surrogates(value: Any) -> Any:
    """The value with lone surrogates as U+FFFD."""
    if isinstance(value, str):
        return _SURROGATE.sub("�", value)
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return value
