"""Bending arguments to a schema the way models write them: "2" for 2, "[1,2]" for [1,2], a lone item for a list.

Pure and directed by the schema: a value is changed only where its JSON type is not among those allowed at its place and
exactly one reading of the same text is. Nothing is added, and what does not fit stays as it is, for the judge to refuse.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from lumosai._schema import walk

_INTEGER = re.compile(r"\s*[+-]?\d+(?:\.0+)?\s*")
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*")
_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})
_DEPTH = 64


def loosened(value: Any, schema: Any, root: dict[str, Any], depth: int = 0) -> Any:
    """The value as the schema wants it, where the same text can be read so; else the value.

    Args:
        value: a JSON value.
        schema: the schema at its place.
        root: the whole schema, for `$ref`.
        depth: how deep it lies.
    """
    if depth > _DEPTH:
        return value
    ways = walk.branches(schema, root)
    own = [way for way in ways if _is(value, way.get("type"), way)]
    if own:
        exact = next((way for way in own if fits(value, way, root)), None)
        if exact is not None:
            return _inner(value, exact, root, depth)
        made = [_inner(value, way, root, depth) for way in own]
        return next((m for m, way in zip(made, own, strict=True) if fits(m, way, root)), made[0])
    for way in ways:
        read = _read(value, way, root, depth)
        if read is not value and fits(read, way, root):
            return read
    return value


def _inner(value: Any, way: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    if isinstance(value, dict):
        return _object(value, way, root, depth)
    if isinstance(value, list):
        first = way.get("prefixItems", [])
        rest = way.get("items", {})
        return [loosened(v, first[i] if i < len(first) else rest, root, depth + 1) for i, v in enumerate(value)]
    return int(value) if isinstance(value, float) and way.get("type") == "integer" else value


def _object(value: dict[str, Any], way: dict[str, Any], root: dict[str, Any], depth: int) -> dict[str, Any]:
    known = way.get("properties", {})
    other = way.get("additionalProperties", {})
    required = way.get("required", ())
    made = {}
    for name, each in value.items():
        schema = known.get(name, other)
        if each is None and name in known and name not in required and not _nullable(schema, root):
            continue  # in the strict form every property is written; null where it is left out
        made[name] = loosened(each, schema, root, depth + 1)
    return made


def _nullable(schema: Any, root: dict[str, Any]) -> bool:
    return any(_is(None, way.get("type"), way) for way in walk.branches(schema, root))


def _read(value: Any, way: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    """The value read as the type of `way`; the value itself where it cannot be."""
    kind = way.get("type")
    if isinstance(value, str):
        read = _scalar(value, kind)
        if read is not value:
            return read
        if kind in ("array", "object"):
            inner = _json(value, dict if kind == "object" else list)
            if inner is not None:
                return loosened(inner, way, root, depth + 1)
    elif kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    if kind == "array" and value is not None and isinstance(way.get("items", {}), dict) and "prefixItems" not in way:
        return [loosened(value, way.get("items", {}), root, depth + 1)]
    return value


def _scalar(text: str, kind: Any) -> Any:
    if kind == "integer" and _INTEGER.fullmatch(text) and len(text) < 4000:  # noqa: PLR2004  # Python's own bound of digits
        return int(text.strip().partition(".")[0])
    if kind == "number" and _NUMBER.fullmatch(text) and len(text) < 4000:  # noqa: PLR2004
        number = int(text) if _INTEGER.fullmatch(text) and "." not in text else float(text)
        return text if number in (math.inf, -math.inf) else number
    if kind == "boolean" and text.strip().lower() in _TRUE | _FALSE:
        return text.strip().lower() in _TRUE
    if kind == "null" and text.strip().lower() in ("null", "none"):
        return None
    return text


def _json(text: str, kind: type) -> Any:
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, kind) else None


def _is(value: Any, kind: Any, way: dict[str, Any]) -> bool:
    """Whether a JSON value is of a JSON type; every value is of an unnamed one, unless the right ones are listed."""
    if kind is None:
        listed = [way["const"]] if "const" in way else way.get("enum")
        return value in listed if isinstance(listed, list) else True
    if isinstance(value, bool) or kind == "boolean":
        return isinstance(value, bool) and kind == "boolean"
    if kind == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, _PYTHON.get(kind, object))


_PYTHON: dict[Any, Any] = {"string": str, "array": list, "object": dict, "null": type(None), "number": (int, float)}


def fits(value: Any, schema: Any, root: dict[str, Any], depth: int = 0) -> bool:
    """Whether types, required and known properties, constants and enums agree. No full validation: it picks a branch."""
    if depth > _DEPTH:
        return True
    return any(_fits(value, way, root, depth) for way in walk.branches(schema, root))


def _fits(value: Any, way: dict[str, Any], root: dict[str, Any], depth: int) -> bool:
    if not _is(value, way.get("type"), way):
        return False
    if "const" in way and value != way["const"]:
        return False
    if isinstance(way.get("enum"), list) and value not in way["enum"]:
        return False
    if isinstance(value, dict):
        known = way.get("properties", {})
        other = way.get("additionalProperties", True)
        return all(n in value for n in way.get("required", ())) and all(
            fits(v, known[n], root, depth + 1)
            if n in known
            else other is not False and (other is True or fits(v, other, root, depth + 1))
            for n, v in value.items()
        )
    if isinstance(value, list):
        first = way.get("prefixItems", [])
        rest = way.get("items", {})
        return all(fits(v, first[i] if i < len(first) else rest, root, depth + 1) for i, v in enumerate(value))
    return True
