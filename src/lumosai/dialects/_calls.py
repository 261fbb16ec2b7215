"""The JSON shapes in which models write a call, and the call that a value of such a shape means.

{"name": …, "arguments": {…}}                                 and with "tool", "parameters", "args", …
{"type": "function", "function": {"name": …, "arguments": "{…}"}}
{"tool_calls": [ … ]}
[ …, … ]
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._json import read_object, space
from lumosai.dialects._lenient import read_loose
from lumosai.dialects.base import More
from lumosai.messages import ToolCallPart

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

NAMES = ("name", "tool", "tool_name", "function", "function_name", "action")
ARGUMENTS = ("arguments", "parameters", "args", "params", "input", "tool_input", "action_input")
WRAPPERS = ("function", "tool", "function_call", "tool_call", "tool_calls", "calls")
_TYPES = ("function", "tool_call", "function_call", "tool_use", "tool", "call")
_BESIDES = ("id", "call_id", "tool_call_id", "index", "type", "role", "content")
KEYS = frozenset({*NAMES, *ARGUMENTS, *WRAPPERS, *_BESIDES})

_MEMBER = re.compile(r"""[ \t\r\n]*(?:"([^"\\\n]*)"|'([^'\\\n]*)'|([^\W\d]\w*))[ \t\r\n]*:[ \t\r\n]*""")
_QUOTES = "\"'"
_CUT_NUMBER = re.compile(r"[-+.\deE]+")
_COMMA = re.compile(r"[ \t\r\n]*,?")
_KEY_CHARS = 64
_NESTING = 4


def call(name: str, arguments: dict[str, Any]) -> ToolCallPart:
    """A call as a dialect gives it: without an id."""
    return ToolCallPart("", name, arguments)


def calls_of(
    value: Any, *, loose: bool = False, mend: Callable[[str], dict[str, Any] | None] = read_object, depth: int = 0
) -> tuple[ToolCallPart, ...] | None:
    """The calls that a JSON value is, or None where it is anything else.

    `loose`: it stands between markers, so that it may hold further keys, and leave out arguments where there are none.
    `mend` reads arguments that were written as a string of JSON.
    """
    if depth > _NESTING:
        return None
    if isinstance(value, list):
        each = [calls_of(item, loose=loose, mend=mend, depth=depth + 1) for item in value]
        return tuple(c for calls in each for c in calls or ()) if each and all(each) else None
    if not isinstance(value, dict) or not (loose or (KEYS.issuperset(value) and _besides_fit(value))):
        return None
    wrapped = [k for k in WRAPPERS if isinstance(value.get(k), dict | list)]
    if wrapped:
        inner = value[wrapped[0]]
        alone = len(wrapped) == 1 and not any(k in value for k in (*NAMES, *ARGUMENTS) if k != wrapped[0])
        return calls_of(inner, loose=loose, mend=mend, depth=depth + 1) if alone else None
    return _one(value, mend, loose=loose)


def _one(
    value: dict[str, Any], mend: Callable[[str], dict[str, Any] | None], *, loose: bool
) -> tuple[ToolCallPart, ...] | None:
    names = [k for k in NAMES if k in value]
    given = [k for k in ARGUMENTS if k in value]
    if loose:
        names, given = names[:1], given[:1]
    if len(names) != 1 or len(given) > 1 or not (given or loose):
        return None
    name = value[names[0]]
    arguments = _object(value[given[0]], mend) if given else {}
    if not isinstance(name, str) or not name.strip() or arguments is None:
        return None
    return (call(name.strip(), arguments),)


def _object(value: Any, mend: Callable[[str], dict[str, Any] | None]) -> dict[str, Any] | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return {}
    if isinstance(value, str):
        return mend(value)
    return value if isinstance(value, dict) else None


def _besides_fit(value: dict[str, Any]) -> bool:
    return value.get("type", "function") in _TYPES and value.get("content") in (None, "")


def may_become(text: str, at: int, names: Collection[str], keys: Collection[str] = KEYS, depth: int = 0) -> bool:
    """Whether the unfinished JSON at `at` may still become a call of one of `names`.

    It may not as soon as it shows a key that a call has not or the name of no declared tool, so that an answer which is
    data begins to stream at once.
    """
    if text[at] == "[":
        at = space(text, at + 1)
        if at >= len(text):
            return True
    if text[at] != "{":
        return False
    at += 1
    while member := _MEMBER.match(text, at):
        key, at = member[member.lastindex or 1], member.end()
        if key not in keys:
            return False
        if at >= len(text):
            return True
        after = _after_value(text, at, key, names, depth)
        if isinstance(after, bool):
            return after
        found = _COMMA.match(text, after)
        at = found.end() if found else after
    rest = text[at : at + _KEY_CHARS].lstrip()
    return not rest or rest[0] == "}" or any(_begins(k, rest) for k in keys)


def _after_value(text: str, at: int, key: str, names: Collection[str], depth: int) -> int | bool:  # noqa: PLR0911  # a flat list of cases
    """Where the value at `at` ends; True where it is unfinished and may do, False where it cannot."""
    first = text[at]
    if key in NAMES and first in _QUOTES:
        end = text.find(first, at + 1)
        if end < 0:
            return any(n.startswith(text[at + 1 :]) for n in names)
        return end + 1 if text[at + 1 : end] in names else False
    if key in WRAPPERS and first in "{[":
        if depth < _NESTING and not may_become(text, at, names, depth=depth + 1):
            return False
    elif key in NAMES or key in WRAPPERS or not _may_stand(key, text, at):
        return False
    found = read_loose(text, at)
    if isinstance(found, More):
        return True
    if found is None:
        return False
    return True if _CUT_NUMBER.fullmatch(text, at) else found[1]


def _may_stand(key: str, text: str, at: int) -> bool:
    if key == "type":
        return any(f"{q}{t}{q}".startswith(text[at : at + len(t) + 2]) for t in _TYPES for q in _QUOTES)
    if key == "content":
        return any(word.startswith(text[at : at + len(word)]) for word in ('""', "''", "null", "None"))
    return True


def _begins(key: str, rest: str) -> bool:
    """Whether `rest`, from its opening quote if it has one, is the beginning of this key or the whole of it."""
    if rest[0] not in _QUOTES:
        return key.startswith(rest) or rest.rstrip() == key
    name, quote, after = rest[1:].partition(rest[0])
    return key == name and not after.strip() if quote else key.startswith(name)
