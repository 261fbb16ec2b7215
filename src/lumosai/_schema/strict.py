"""The strict form that OpenAI's constrained decoding asks for: every property required, no others, a subset of keywords.

An optional property becomes a nullable one; `loosen` reads its null as "left out". Where a schema cannot be put so (a
free dictionary, anything at all, a tuple of different types) there is no strict form.
Source: OpenAI's guide to structured outputs, "Supported schemas".
"""

from __future__ import annotations

import json
from typing import Any

from lumosai._schema import walk

_DROPPED = frozenset(
    {
        "title",
        "examples",
        "discriminator",
        "minLength",
        "maxLength",
        "uniqueItems",
        "readOnly",
        "writeOnly",
        "deprecated",
        "contentMediaType",
        "contentEncoding",
        "minProperties",
        "maxProperties",
        "$schema",
        "$id",
        "$comment",
    }
)
_REFUSED = frozenset(
    {
        "not",
        "if",
        "then",
        "else",
        "allOf",
        "prefixItems",
        "patternProperties",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "contains",
        "unevaluatedProperties",
        "unevaluatedItems",
    }
)
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_MOST_PROPERTIES = 5000
_DEEPEST = 10
_TYPED = ("type", "anyOf", "$ref", "enum", "const")


class _NoStrictForm(Exception):  # noqa: N818  # a signal inside this file
    pass


def strict_form(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema in strict form, None where it has none."""
    if schema.get("type") != "object":
        return None
    try:
        made = walk.rebuilt(schema, lambda each: _changed(each, schema))
        made = walk.rebuilt(made, lambda each: {k: v for k, v in each.items() if k != "default"})
    except _NoStrictForm:
        return None
    if _properties(made) > _MOST_PROPERTIES or _depth(made) > _DEEPEST:
        return None
    return dict(made)


def _changed(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if _REFUSED & schema.keys():
        raise _NoStrictForm
    made = {k: v for k, v in schema.items() if k not in _DROPPED}
    if "oneOf" in made:
        made["anyOf"] = made.pop("oneOf")
    if made.get("format") not in _FORMATS:
        made.pop("format", None)
    if "(?" in str(made.get("pattern", "")):  # no look-around there
        del made["pattern"]
    if "$ref" in made and len(made) > 1:  # nothing may stand beside a `$ref`
        made = {"anyOf": [{"$ref": made.pop("$ref")}], **made}
    if not any(key in made for key in _TYPED):
        raise _NoStrictForm
    if made.get("type") == "array" and not made.get("items"):
        raise _NoStrictForm
    return _closed(made, root) if made.get("type") == "object" or "properties" in made else made


def _closed(made: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if made.get("additionalProperties", False) is not False:
        raise _NoStrictForm
    if not made.get("properties") and "additionalProperties" not in made:
        raise _NoStrictForm
    properties = made.get("properties", {})
    if not all(isinstance(each, dict) for each in properties.values()):
        raise _NoStrictForm
    required = made.get("required", ())
    made["properties"] = {
        name: each if name in required or "const" in each else _nullable(each, root)
        for name, each in properties.items()
    }
    made["required"] = list(properties)
    made["additionalProperties"] = False
    return made


def _nullable(made: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    made = dict(made)
    default = made.pop("default", None)
    if default is not None:
        said = f"{made['description']} " if made.get("description") else ""
        made["description"] = f"{said}(default {json.dumps(default, ensure_ascii=False)})"
    if any(each.get("type") == "null" for each in walk.branches(made, root)):
        return made
    if isinstance(made.get("type"), str) and not {"enum", "const"} & made.keys():
        return {**made, "type": [made["type"], "null"]}
    if isinstance(made.get("anyOf"), list):
        return {**made, "anyOf": [*made["anyOf"], {"type": "null"}]}
    outer = {k: made.pop(k) for k in ("description",) if k in made}
    return {"anyOf": [made, {"type": "null"}], **outer}


def _properties(schema: Any) -> int:
    if isinstance(schema, dict):
        own = len(schema["properties"]) if isinstance(schema.get("properties"), dict) else 0
        return own + sum(_properties(v) for v in schema.values())
    return sum(_properties(v) for v in schema) if isinstance(schema, list) else 0


def _depth(schema: Any) -> int:
    """Levels of objects and lists, definitions counted each for itself."""
    if isinstance(schema, dict):
        deepest = max((_depth(v) for v in schema.values()), default=0)
        return deepest + (1 if schema.get("type") in ("object", "array") else 0)
    return max((_depth(v) for v in schema), default=0) if isinstance(schema, list) else 0
