"""Broken JSON, mended where the text leaves no doubt; the only user of the JSON-repair library.

The library mends anything, also by inventing: a value for a key that has none, an object for prose. What it gives is
therefore checked against the text from both sides: every key and value of the result must stand in the text, and every
word of the text's object must be in the result. Where that fails there is no object, and the model is asked again.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

_EMPTY = re.compile(r"(?:```\w*)?\s*\{\s*\}\s*;?\s*(?:```)?")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_NUMBER = re.compile(r"-?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[^\W\d]\w*")
_LITERALS = frozenset({"true", "false", "none", "null"})
_DEPTH = 100


def repair_object(raw: str) -> dict[str, Any] | None:
    """The JSON object that a broken text most plainly means, None where it is not one.

    Mended are: single or missing quotes, trailing or missing commas, missing closing brackets, Python's True, False and
    None, comments, raw newlines in strings, code fences and prose around the object, an object written twice or packed
    into a string or a list of one. Not mended is what was cut off inside a key or a string: nobody knows the rest.

    Every key and value of the result stands in the text, modulo escapes; `{}` comes only from `{}`.
    """
    if _EMPTY.fullmatch(raw.strip()):
        return {}
    found = _one_object(_library(raw), depth=3)
    if not found:
        return None
    text = _unescaped(raw)
    if _in_text(found, raw, text) and _all_of(found, raw) and not _cut_off(found, raw):
        return found
    return None


def _library(raw: str) -> Any:
    from json_repair import repair_json

    try:
        return repair_json(raw, return_objects=True)
    except (ValueError, RecursionError):  # too deep, or a number of too many digits
        return None


def _one_object(value: Any, depth: int) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    if isinstance(value, str) and value.lstrip()[:1] == "{" and depth:
        return _one_object(_library(value), depth - 1)
    if isinstance(value, list) and value and all(v == value[0] for v in value):
        return _one_object(value[0], depth - 1) if depth else None
    return None


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code, char = match.groups()
        return chr(int(code, 16)) if code else _ESCAPES.get(char, char)

    joined = _ESCAPE.sub(one, text)
    return _SURROGATES.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), joined)


def _in_text(value: Any, raw: str, text: str, depth: int = 0) -> bool:
    """Whether every key and value stands in the text, as it is or unescaped."""
    if depth > _DEPTH:
        return False
    if isinstance(value, dict):
        return all(_in_text(k, raw, text) and _in_text(v, raw, text, depth + 1) for k, v in value.items())
    if isinstance(value, list):
        return all(_in_text(v, raw, text, depth + 1) for v in value)
    if isinstance(value, str):
        return value in raw or value in text if value else '""' in raw or "''" in raw
    if value is None or isinstance(value, bool):
        return re.search("none|null" if value is None else str(value), raw, re.IGNORECASE) is not None
    return any(_same_number(value, n) for n in _NUMBER.findall(raw))


def _same_number(value: float, text: str) -> bool:
    plain = text.replace("_", "")
    try:
        return value == int(plain)
    except ValueError:
        pass
    try:
        return value == float(plain)
    except ValueError:
        return False


def _all_of(found: dict[str, Any], raw: str) -> bool:
    """Whether no word of the object's text was left out. Comments may be: a text that has some is not counted."""
    start = raw.find("{")
    end = raw.rfind("}") + 1
    body = raw[max(start, 0) : end if end > start else len(raw)]
    if "//" in body or "/*" in body or "#" in body:
        return True
    words = Counter(_words(_unescaped(body)))
    kept: Counter[str] = Counter()
    _count(found, kept)
    return not (words.keys() - kept.keys())


def _words(text: str) -> list[str]:
    return [w for w in _WORD.findall(text) if w.lower() not in _LITERALS]


def _count(value: Any, kept: Counter[str]) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            kept.update(_words(key))
            _count(each, kept)
    elif isinstance(value, list):
        for each in value:
            _count(each, kept)
    elif isinstance(value, str):
        kept.update(_words(value))


def _cut_off(found: dict[str, Any], raw: str) -> bool:
    """Whether the text ends inside the last string: then its rest is unknown."""
    last: Any = found
    while isinstance(last, dict | list) and last:
        last = list(last.values())[-1] if isinstance(last, dict) else last[-1]
    end = raw.rstrip()
    return (
        isinstance(last, str)
        and bool(last.rstrip())
        and (end.endswith(last.rstrip()) or _unescaped(end).endswith(last))
    )
