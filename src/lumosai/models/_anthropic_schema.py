"""JSON Schemas as structured outputs take them.

Every object is closed, and only some keywords are known; what others say is told in the description, where the model
reads it. A schema that needs more (free keys, recursion, tuples) cannot be held to.
"""

from __future__ import annotations

from typing import Any, Final

from lumosai.models._encoded import encode

_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_KEPT: Final = ("title", "description")
_HANDLED: Final = frozenset(
    {*_KEPT, "$schema", "$id", "$defs", "definitions", "$ref", "type", "anyOf", "oneOf", "allOf", "enum", "const"}
    | {"properties", "required", "additionalProperties", "items", "format", "minItems", "examples"}
)
_NEEDED: Final = frozenset({"patternProperties", "prefixItems", "not", "if", "dependentSchemas", "propertyNames"})
_TYPES: Final = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})


class _UnfitError(ValueError):
    """The schema says what cannot be said."""


def fitted(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema in the form that the API holds a model to; None where it has none."""
    try:
        if _recurs(schema):
            return None
        return _fit(schema)
    except _UnfitError:
        return None


def _fit(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict) or _NEEDED & schema.keys():
        raise _UnfitError
    fit: dict[str, Any] = {}
    for name in ("$defs", "definitions"):
        if name in schema:
            fit[name] = {k: _fit(v) for k, v in schema[name].items()}
    if "$ref" in schema:
        return {"$ref": schema["$ref"], **fit}
    fit |= {k: schema[k] for k in _KEPT if k in schema}
    said = {k: v for k, v in schema.items() if k not in _HANDLED}
    kind = schema.get("type")
    if "enum" in schema or "const" in schema:
        fit |= {k: schema[k] for k in ("enum", "const") if k in schema}
    elif isinstance(kind, list):
        rest = {k: v for k, v in schema.items() if k not in (*_KEPT, "type", "$defs", "definitions")}
        fit["anyOf"] = [_fit({**rest, "type": k}) for k in kind]
        return fit
    elif kind is None:
        _add_choices(schema, fit)
    else:
        _add_type(schema, kind, fit, said)
    if said:
        text = ", ".join(f"{k}: {encode(v).decode()}" for k, v in said.items())
        before = fit.get("description")
        fit["description"] = f"{before} ({text})" if before else f"({text})"
    return fit


def _add_choices(schema: dict[str, Any], fit: dict[str, Any]) -> None:
    for name, told in (("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf")):
        if schema.get(name):
            fit[told] = [_fit(s) for s in schema[name]]
            return
    raise _UnfitError


def _add_type(schema: dict[str, Any], kind: Any, fit: dict[str, Any], said: dict[str, Any]) -> None:
    if kind not in _TYPES:
        raise _UnfitError
    fit["type"] = kind
    if kind == "object":
        more = schema.get("additionalProperties", not schema.get("properties"))
        if more is not False:
            raise _UnfitError
        fit["properties"] = {k: _fit(v) for k, v in (schema.get("properties") or {}).items()}
        fit["additionalProperties"] = False
        if "required" in schema:
            fit["required"] = list(schema["required"])
    elif kind == "array":
        if "items" in schema:
            fit["items"] = _fit(schema["items"])
        if "minItems" in schema:
            (fit if schema["minItems"] in (0, 1) else said)["minItems"] = schema["minItems"]
    elif "format" in schema:
        (fit if schema["format"] in _FORMATS else said)["format"] = schema["format"]


def _recurs(schema: dict[str, Any]) -> bool:
    """Whether a definition is needed to say itself, or stands elsewhere."""
    known = {f"#/{name}/{k}": v for name in ("$defs", "definitions") for k, v in (schema.get(name) or {}).items()}
    own = {k: v for k, v in schema.items() if k not in ("$defs", "definitions")}

    def visit(value: Any, path: tuple[str, ...]) -> bool:
        if isinstance(value, list):
            return any(visit(v, path) for v in value)
        if not isinstance(value, dict):
            return False
        ref = value.get("$ref")
        if isinstance(ref, str):
            return ref in path or ref not in known or visit(known[ref], (*path, ref))
        return any(visit(v, path) for v in value.values())

    return visit(own, ())
