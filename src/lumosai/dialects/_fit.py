"""Whether a call fits a declared tool: what a format without markers must show before it counts.

This is no validation, which `tools.execute` does and which tells the model what is wrong. It asks only whether a reader
would take the text for a call of this tool: every required argument is there, none is unknown, and none has a type
that no coercion could turn into the right one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.messages import ToolCallPart
    from lumosai.records import ToolDefinition

_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*")
_BOOLEANS = frozenset({"true", "false", "yes", "no", "0", "1"})
_MAX_DEPTH = 12


def fits(call: ToolCallPart, tools: Mapping[str, ToolDefinition]) -> bool:
    """Whether a declared tool has this name and could take these arguments."""
    tool = tools.get(call.name)
    if tool is None or call.arguments is None:
        return False
    return _object_fits(call.arguments, tool.parameters, tool.parameters, 0)


def _object_fits(arguments: dict[str, Any], schema: Any, root: dict[str, Any], depth: int) -> bool:
    schema = resolved(schema, root)
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return schema is not False
    variants = schema.get("anyOf") or schema.get("oneOf")
    if variants and not any(_object_fits(arguments, v, root, depth + 1) for v in variants):
        return False
    if "properties" not in schema and ("allOf" in schema or variants):
        return all(_object_fits(arguments, s, root, depth + 1) for s in schema.get("allOf", ()))
    if _is_schema(arguments) and "properties" not in (schema.get("properties") or {}):
        return False
    return _has_required(arguments, schema) and all(
        _property_fits(key, value, schema, root) for key, value in arguments.items()
    )


def _has_required(arguments: dict[str, Any], schema: dict[str, Any]) -> bool:
    return all(key in arguments for key in schema.get("required") or ())


def _property_fits(key: str, value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    properties = schema.get("properties") or {}
    if key not in properties:
        if "patternProperties" in schema:
            return True
        # A schema that names no property at all says nothing; one that names some means those.
        return schema.get("additionalProperties", not properties) is not False
    if value is None and key not in (schema.get("required") or ()):
        return True
    return plausible(value, properties[key], root)


def _is_schema(arguments: dict[str, Any]) -> bool:
    """Whether these are not arguments but the description of some: a model that recites a tool's definition."""
    return isinstance(arguments.get("properties"), dict) and arguments.get("type", "object") == "object"


def plausible(value: Any, schema: Any, root: dict[str, Any], depth: int = 0) -> bool:
    """Whether the value is of the schema's type or could be coerced into it."""
    schema = resolved(schema, root)
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return schema is not False
    variants = schema.get("anyOf") or schema.get("oneOf")
    if variants:
        return any(plausible(value, v, root, depth + 1) for v in variants)
    kind = schema.get("type")
    if kind is None:
        return True
    kinds = kind if isinstance(kind, list) else [kind]
    return any(_is_like(value, k) for k in kinds)


def _is_like(value: Any, kind: str) -> bool:  # noqa: PLR0911  # a flat list of cases
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "string":
            return isinstance(value, str) or number
        case "integer" | "number":
            return number or (isinstance(value, str) and _NUMBER.fullmatch(value) is not None)
        case "boolean":
            return isinstance(value, bool) or str(value).strip().lower() in _BOOLEANS
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "null":
            return value is None
    return True


def resolved(schema: Any, root: dict[str, Any]) -> Any:
    """The schema that a local `$ref` names; the schema itself where it names none."""
    for _ in range(_MAX_DEPTH):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str):
            return schema
        target: Any = root
        for key in reference.removeprefix("#").strip("/").split("/"):
            target = target.get(key) if isinstance(target, dict) and key else target
        schema = {} if target is None else target
    return {}
