"""Walking a JSON Schema: where in it other schemas stand, what a `$ref` means, what a schema expects in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = (
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
)
_ARTICLES = {"integer": "an integer", "number": "a number", "string": "a string", "boolean": "true or false"}
_ARTICLES |= {"null": "null", "object": "an object", "array": "a list"}
BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "matching {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}


def rebuilt(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """A copy in which every schema inside was replaced by what `change` makes of it, innermost first."""
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    for key in _MAPS:
        if isinstance(made.get(key), dict):
            made[key] = {name: rebuilt(each, change) for name, each in made[key].items()}
    for key in _LISTS:
        if isinstance(made.get(key), list):
            made[key] = [rebuilt(each, change) for each in made[key]]
    for key in _SINGLE:
        if isinstance(made.get(key), dict):
            made[key] = rebuilt(made[key], change)
    return change(made)


def resolved(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """The schema that a local `$ref` means, with what stands beside the `$ref`; `{}` for one that says nothing."""
    for _ in range(20):  # a chain of references, which a broken schema may make endless
        if not isinstance(schema, dict):
            return {}
        ref = schema.get("$ref")
        if not isinstance(ref, str) or not ref.startswith("#"):
            return schema
        target: Any = root
        for step in ref.lstrip("#").strip("/").split("/"):
            if step:
                target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
        beside = {k: v for k, v in schema.items() if k != "$ref"}
        schema = {**target, **beside} if isinstance(target, dict) else beside
    return {}


def branches(schema: Any, root: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives of a schema, unions in unions laid flat; itself where it has none."""
    return list(_branches(schema, root, 0))


def _branches(schema: Any, root: dict[str, Any], depth: int) -> Iterable[dict[str, Any]]:
    schema = resolved(schema, root)
    inner = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(inner, list) and depth < 20:  # noqa: PLR2004  # deeper only if it is endless
        for each in inner:
            yield from _branches(each, root, depth + 1)
        return
    if isinstance(schema.get("type"), list):
        for kind in schema["type"]:
            yield {**schema, "type": kind}
        return
    whole = schema.get("allOf")
    if isinstance(whole, list) and len(whole) == 1 and depth < 20:  # noqa: PLR2004
        beside = {k: v for k, v in schema.items() if k != "allOf"}
        for each in _branches(whole[0], root, depth + 1):
            yield {**each, **beside}
        return
    yield schema


def described(schema: Any, root: dict[str, Any]) -> str:
    """What a schema expects, in a few words: "an integer ≥ 1", "a list of strings", `"red" or "blue"`."""
    words: list[str] = []
    for each in branches(schema, root):
        word = _described(each, root)
        if word not in words:
            words.append(word)
    return " or ".join(words) if words else "nothing"


def _described(schema: dict[str, Any], root: dict[str, Any]) -> str:
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if isinstance(schema.get("enum"), list):
        return "one of " + ", ".join(json.dumps(v, ensure_ascii=False) for v in schema["enum"])
    kind = schema.get("type")
    if kind == "array" and isinstance(schema.get("items"), dict) and schema["items"]:
        word = f"a list, each {described(schema['items'], root)}"
    elif kind == "array" and isinstance(schema.get("prefixItems"), list):
        word = "a list of " + ", ".join(described(each, root) for each in schema["prefixItems"])
    elif kind == "object" and isinstance(schema.get("properties"), dict) and schema["properties"]:
        required = schema.get("required", ())
        word = f"an object with {', '.join(n if n in required else n + '?' for n in schema['properties'])}"
    else:
        word = _ARTICLES.get(kind, "any value") if isinstance(kind, str) else "any value"
    if kind == "string" and isinstance(schema.get("format"), str):
        word += f" ({schema['format']})"
    bounds = [text.format(schema[key]) for key, text in BOUNDS.items() if key in schema]
    return f"{word} {', '.join(bounds)}" if bounds else word


def at(path: Iterable[str | int], root: dict[str, Any]) -> Any:
    """The schema of the value at `path`; None where no schema says."""
    schema: Any = root
    for step in path:
        schema = _inside(schema, step, root)
        if schema is None:
            return None
    return schema


def _inside(schema: Any, step: str | int, root: dict[str, Any]) -> Any:
    for each in branches(schema, root):
        if isinstance(step, str):
            found = each.get("properties", {}).get(step)
            if found is None and isinstance(each.get("additionalProperties"), dict):
                found = each["additionalProperties"]
        else:
            listed = each.get("prefixItems", ())
            found = listed[step] if step < len(listed) else each.get("items")
        if isinstance(found, dict):
            return found
    return None
