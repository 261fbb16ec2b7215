"""Broken JSON, mended where the text leaves no doubt; the only user of the JSON-repair library.

The library mends anything, also by inventing: a value for a key that has none, an object for prose, an end for a string
that was cut off. What it gives is therefore checked against the text from both sides: every key and value of the result
must stand in the text, and every token of the text's object must be in the result, in order. Where that fails there is no
object, and the model is asked again.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_EMPTY = re.compile(r"(?:```\w*)?\s*\{\s*\}\s*;?\s*(?:```)?")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_TOKEN = re.compile(r"(\d[\d_]*\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([^\W\d]\w*)|[^\w\s{}\[\]:,;\"'`\\“”‘’]")
_COMMENT = re.compile(r"(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')|//[^\n]*|/\*.*?\*/|#[^\n]*", re.DOTALL)
_HOLLOW = re.compile(r"\[[\s,]*\]|\{[\s,]*\}")
_LITERALS = {"true": "true", "false": "false", "none": "null", "null": "null"}
_NO_VALUE = frozenset({"undefined", "nan", "infinity", "inf"})
_NOTHING = re.compile(r"(?<!\\)(?:\"\"|''|“”)")
_PACKED = re.compile(r"\s*(?:[\"'“]\s*)?\{\s*\\+\"|\s*[\"'“]\s*\{")
_MARK = re.compile(r"[\"'“{}\[\]]|//|/\*|#")
_COMMENT_END = {"//": "\n", "#": "\n", "/*": "*/"}
_STRING_END = {
    quote: re.compile(
        rf"(?:\\.|[^{end}\\])*+{end}(?:(?!\s*(?:[,:;}}\]\"'“/#]|\Z))(?:\\.|[^{end}\\])*+{end})*+", re.DOTALL
    )
    for quote, end in {'"': '"', "'": "'", "“": "”"}.items()
}
_OUTER = tuple("\"'“”")
_PAIRS = {"}": "{", "]": "["}
_BRACKET = re.compile(r"[{}\[\]]")
_QUOTES = "\"'`“”‘’"
_TWICE = 3
_LONGEST = 200_000
_MOST_WORK = 50_000_000
_DEEPEST = 100


def repair_object(raw: str, *, closed: bool = False) -> dict[str, Any] | None:
    """The JSON object that a broken text most plainly means, None where it is not one.

    Mended are: single or missing quotes, trailing or missing commas, a missing bracket inside, Python's True, False and
    None, comments, raw newlines in strings, code fences and prose around the object, an object written twice or packed
    into a string or a list of one. Not mended is what does not end with its own bracket, for it may have been cut off
    anywhere, and nobody knows the rest; nor what can be read in two ways.

    `closed`: a marker behind the text tells that it was not cut off; then missing brackets at its end are mended too.

    Every key and value of the result stands in the text, modulo escapes; `{}` comes only from `{}`.
    """
    if _EMPTY.fullmatch(raw.strip()):
        return {}
    if "{" not in raw or len(raw) > _LONGEST or _deep(raw):
        return None
    whole = _is_whole(raw)
    if not (whole or closed):
        return None
    found = _one_object(_library(raw), depth=3)
    return _paired(found) if found and _believed(_paired(found), raw, whole=whole) else None


def _is_whole(raw: str) -> bool:
    """Whether every bracket that the text opens is closed in it, but for one inside another that is."""
    if raw.lstrip()[:1] in _OUTER and raw.rstrip()[-1:] not in _OUTER:
        return False
    text = _unescaped(raw) if _PACKED.match(raw) else raw
    opened: list[str] = []
    at = end = 0
    while mark := _MARK.search(text, at):
        sign, at = mark[0], mark.end()
        if sign in "{[":
            opened.append(sign)
        elif sign in _PAIRS:
            if _PAIRS[sign] in opened:
                while opened.pop() != _PAIRS[sign]:
                    pass
                end = end if opened else at
            elif not opened and text[end : mark.start()].strip(" \t\r\n}]"):
                return False  # it closes what seemed to be closed before
        elif opened:
            at = _behind(text, sign, at)
    return not opened and end > 0


def _behind(text: str, sign: str, at: int) -> int:
    """Behind the string or comment that `sign` begins before `at`."""
    if sign in _COMMENT_END:
        end = text.find(_COMMENT_END[sign], at)
        return end + len(_COMMENT_END[sign]) if end >= 0 else len(text)
    string = _STRING_END[sign].match(text, at)
    return string.end() if string else len(text)


def _believed(found: dict[str, Any], raw: str, *, whole: bool) -> bool:
    """Whether an object says no more and no less than the text."""
    leaves = list(_leaves(found))
    text = _unescaped(raw)
    empty = sum(each == "" for each, _ in leaves)
    return (
        len(leaves) * len(raw) <= _MOST_WORK
        and _lists(found) <= raw.count("[")  # else an object that was cut inside its first key
        and empty
        <= len(_NOTHING.findall(raw if raw.lstrip()[:1] != '"' else text))  # else a value is missing, not empty
        and all(_in_text(each, raw, text, key=key) for each, key in leaves)
        and _all_of(found, raw, text, whole=whole)
        and not _cut_off(found, raw, text)
    )


def _library(raw: str) -> Any:
    from json_repair import repair_json

    try:
        return repair_json(raw, return_objects=True)
    except Exception:  # noqa: BLE001  # it is meant to mend anything, and raises whatever on what it did not foresee
        return None


def _one_object(value: Any, depth: int) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    if isinstance(value, str) and value.lstrip()[:1] == "{" and depth:
        return _one_object(_library(value), depth - 1)
    if isinstance(value, list) and value and all(v == value[0] for v in value):
        return _one_object(value[0], depth - 1) if depth else None
    return None


def _deep(raw: str) -> bool:
    """Whether brackets are nested deeper than anything a tool takes; the library needs a second for each 20,000."""
    depth = 0
    for bracket in _BRACKET.findall(raw):
        depth = depth + 1 if bracket in "{[" else max(depth - 1, 0)
        if depth > _DEEPEST:
            return True
    return False


def _paired(value: Any) -> Any:
    """With surrogates joined that the library read one by one."""
    if isinstance(value, str):
        return _join(value)
    if isinstance(value, dict):
        return {_join(key): _paired(each) for key, each in value.items()}
    return [_paired(each) for each in value] if isinstance(value, list) else value


def _join(text: str) -> str:
    return _SURROGATES.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code, char = match.groups()
        return chr(int(code, 16)) if code else _ESCAPES.get(char, char)

    return _join(_ESCAPE.sub(one, text))


def _leaves(value: Any) -> Iterator[tuple[Any, bool]]:
    """Keys and values in order, each with whether it is a key."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield key, True
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value, False


def _lists(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, list) + sum(map(_lists, inner))


def _in_text(value: Any, raw: str, text: str, *, key: bool) -> bool:
    """Whether a key or value stands in the text, whole, as it is or unescaped, and can be nothing else."""
    if key:
        after = re.escape(value) + rf"\\*[{_QUOTES}]?\s*:"
        return bool(value) and (re.search(after, raw) is not None or re.search(after, text) is not None)
    if not isinstance(value, str):
        # Its token is looked for among all the text's; these two have none.
        return not isinstance(value, float) or math.isfinite(value)
    quoted = re.compile(rf"[{_QUOTES}]{re.escape(value)}\\*[{_QUOTES}]")
    if quoted.search(raw):  # with bare quotes in it, a string may have swallowed what comes after it
        return re.search(r"[\"']\s*[:+]", value) is None
    if quoted.search(text):
        return True
    bare = re.search(rf"[:,\[]\s*{re.escape(value)}\s*[,;}}\]]", raw)
    return bool(value) and bare is not None and value.lower() not in _NO_VALUE


def _all_of(found: dict[str, Any], raw: str, text: str, *, whole: bool) -> bool:
    """Whether the tokens of the text's object are those of the result, in order; comments may be left out.

    Behind an object that is `whole` prose may follow.
    """
    kept = [token for value, _ in _leaves(found) for token in _tokens(_written(value))]
    hollow = _hollow(found)
    start = raw.find("{")
    body = raw[start : raw.rfind("}") + 1 if whole else len(raw)]
    empty = {
        len(_HOLLOW.findall(_COMMENT.sub(lambda m: "x" if m[1] else " ", each))) for each in (body, _unescaped(body))
    }
    inner = text[text.find("{") : text.rfind("}") + 1 if whole else len(text)]
    return any(
        tokens == kept * times and hollow * times in empty
        for tokens in (
            list(_tokens(_unescaped(body))),
            list(_tokens(_unescaped(_COMMENT.sub(lambda m: m[1] or " ", body)))),
            list(_tokens(_unescaped(inner))),
        )
        for times in range(1, _TWICE + 1)
    )


def _hollow(value: Any) -> int:
    """How many objects and lists in it are empty."""
    if not isinstance(value, dict | list):
        return 0
    return sum(map(_hollow, value.values() if isinstance(value, dict) else value)) if value else 1


def _written(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else repr(value)


def _tokens(text: str) -> Iterator[str | float]:
    """Numbers, words and signs; no quotes, brackets or commas, which are what is broken."""
    for match in _TOKEN.finditer(text):
        number, word = match.groups()
        if number:
            yield _number(number)
        else:
            yield _LITERALS.get(word.lower(), word) if word else match[0]


def _number(text: str) -> float | str:
    plain = text.replace("_", "")
    try:
        return float(plain) if re.search(r"[.eE]", plain) else int(plain)
    except (ValueError, OverflowError):
        return text


def _cut_off(found: dict[str, Any], raw: str, text: str) -> bool:
    """Whether the last string has no visible end: then its rest is unknown."""
    *_, (last, _) = _leaves(found)
    if not isinstance(last, str) or not last.strip():
        return False
    where = raw if last in raw else text
    at = where.rfind(last)
    quoted = where[:at].rstrip()[-1:] in _QUOTES
    after = where[at + len(last) :].lstrip("\\")[:1]
    return quoted and not (after and after in _QUOTES)
