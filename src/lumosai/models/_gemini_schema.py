"""JSON Schemas as Gemini takes them: nearly as they are, or in the older form, a subset of OpenAPI 3.0.

Both say what the schema says. Of the JSON Schema form only what Gemini's reader trips over is written otherwise. The
OpenAPI form has no references, no `const`, no lists of types and few limits: references are written out, unions are
`anyOf`, and what has no field of its own is told in the description. Arguments are checked against the real schema anyway.
"""

from __future__ import annotations

from typing import Any, Final

from lumosai.models._encoded import encode

Schema = dict[str, Any]

_OF_SCHEMAS: Final = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_SCHEMAS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONE_SCHEMA: Final = (
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
_EXCLUSIVE: Final = (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1))
_FOREIGN: Final = ("$schema", "discriminator")
_OLD_DEFS: Final = "#/definitions/"

_KEPT: Final = (
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "pattern",
)
_FORMATS: Final = {
    "STRING": ("date-time", "enum"),
    "NUMBER": ("float", "double"),
    "INTEGER": ("int32", "int64"),
}
_SILENT: Final = (
    *("$schema", "$id", "$anchor", "$defs", "$comment", "definitions", "discriminator"),
    *("title", "description", "examples", "example", "deprecated", "readOnly", "writeOnly", "nullable"),
    *("type", "enum", "const", "format", "properties", "required", "items", "prefixItems", "propertyOrdering"),
    *("anyOf", "oneOf", "allOf", "$ref", "additionalProperties", "unevaluatedProperties", *_KEPT),
)
"""What is read by name, or says nothing about values. All other keywords are told in words."""


def json_schema(schema: Schema) -> Schema:
    """The schema as `parametersJsonSchema` and `responseJsonSchema` take it.

    A reference stands alone there, a constant is an enumeration of one, and definitions are in `$defs`.
    """
    told: Schema = _plain(schema)
    if "definitions" in told and "$defs" not in told:
        told["$defs"] = told.pop("definitions")
    return told


def _plain(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    out: Schema = {}
    for key, value in schema.items():
        if key in _FOREIGN:
            continue
        if key in _OF_SCHEMAS and isinstance(value, dict):
            out[key] = {name: _plain(each) for name, each in value.items()}
        elif key in _SCHEMAS and isinstance(value, list):
            out[key] = [_plain(each) for each in value]
        elif key in _ONE_SCHEMA:
            out[key] = [_plain(each) for each in value] if isinstance(value, list) else _plain(value)
        elif key == "const" and "enum" not in schema:
            out["enum"] = [value]
        elif key == "$ref" and isinstance(value, str) and value.startswith(_OLD_DEFS):
            out[key] = "#/$defs/" + value.removeprefix(_OLD_DEFS)
        else:
            out[key] = value
    if out.get("type") == "integer":
        _inclusive(out)
    return _alone(out)


def _inclusive(schema: Schema) -> None:
    """Bounds of an integer that exclude themselves, as bounds that do not: Gemini knows only those."""
    for key, limit, step in _EXCLUSIVE:
        if isinstance(schema.get(key), int) and limit not in schema:
            schema[limit] = schema.pop(key) + step


def _alone(schema: Schema) -> Schema:
    """A reference with words beside it, and an intersection of one, as a union of one, which means the same."""
    if "anyOf" in schema:
        return schema
    if "$ref" in schema and not all(key.startswith("$") for key in schema):
        schema["anyOf"] = [{"$ref": schema.pop("$ref")}]
    elif len(schema.get("allOf") or ()) == 1:
        schema["anyOf"] = schema.pop("allOf")
    return schema


def openapi_schema(schema: Schema) -> Schema:
    """The schema as `parameters` and `responseSchema` take it."""
    return _Writer(schema).of(schema, ())


class _Writer:
    """Writes the parts of one schema in the OpenAPI form."""

    __slots__ = ("_root",)

    def __init__(self, root: Schema) -> None:
        self._root = root

    def of(self, schema: Any, inside: tuple[str, ...]) -> Schema:
        """A schema.

        Args:
            schema: in JSON Schema's form.
            inside: the references that led here.
        """
        if not isinstance(schema, dict):
            return {}
        if "$ref" in schema:
            return self._referred(schema, inside)
        schema = _intersected(schema)
        if "$ref" in schema:
            return self.of(schema, inside)
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return self._union(schema, union, inside)
        types = schema.get("type")
        if isinstance(types, list):
            return self._union({**schema, "anyOf": [{"type": t} for t in types]}, "anyOf", inside)
        return self._simple(schema, inside)

    def _referred(self, schema: Schema, inside: tuple[str, ...]) -> Schema:
        ref = str(schema["$ref"])
        beside = {k: v for k, v in schema.items() if k != "$ref"}
        target = self._target(ref)
        if ref not in inside:
            return self.of(_joined(target, beside), (*inside, ref))
        words = _words(beside.get("description"), f"Again {ref.rpartition('/')[2]}, see above.")
        kind = _kind(target)
        told = {"nullable": True} if beside.get("nullable") else {}
        return {**({"type": kind} if kind else {}), **told, "description": words}

    def _target(self, ref: str) -> Schema:
        found: Any = self._root
        for step in ref.removeprefix("#").strip("/").split("/"):
            if step:
                found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def _union(self, schema: Schema, union: str, inside: tuple[str, ...]) -> Schema:
        """A union, which may have no other field beside it: what is said of all is said of each."""
        common = {k: v for k, v in schema.items() if k not in (union, "type") or (k == "type" and isinstance(v, str))}
        members = [m for m in schema[union] if not _is_null(m)]
        if len(members) < len(schema[union]):
            common["nullable"] = True
        if not members:
            return {"type": "NULL"}
        told = [self.of(_joined(m, common) if isinstance(m, dict) else common, inside) for m in members]
        flat = [each for one in told for each in (one["anyOf"] if set(one) == {"anyOf"} else [one])]
        unlike = [each for n, each in enumerate(flat) if each not in flat[:n]]
        return unlike[0] if len(unlike) == 1 else {"anyOf": unlike}

    def _simple(self, schema: Schema, inside: tuple[str, ...]) -> Schema:
        kind = _kind(schema)
        wire: Schema = {"type": kind} if kind else {}
        if schema.get("nullable"):
            wire["nullable"] = True
        words = _enumerated(wire, schema, kind)
        words += _limited(wire, schema, kind)
        if isinstance(schema.get("properties"), dict) and schema["properties"]:
            named = {name: self.of(each, inside) for name, each in schema["properties"].items() if each is not False}
            wire["properties"] = named
            wire["propertyOrdering"] = list(named)
            if required := [name for name in schema.get("required") or () if name in named]:
                wire["required"] = required
        if isinstance(more := schema.get("additionalProperties"), dict):
            words.append(f"Any other key may be used, with values that fit the JSON Schema {_json(more)}.")
        if kind == "ARRAY":
            self._listed(wire, schema, inside)
        return _described(wire, schema, *words)

    def _listed(self, wire: Schema, schema: Schema, inside: tuple[str, ...]) -> None:
        places = schema.get("prefixItems")
        if not isinstance(places, list):
            wire["items"] = self.of(schema.get("items"), inside)
            return
        rest = schema.get("items", True)
        if rest is False or schema.get("maxItems", len(places) + 1) <= len(places):
            wire.setdefault("maxItems", len(places))
            wire["items"] = self.of({"anyOf": places}, inside)
        else:
            wire["items"] = self.of({"anyOf": [*places, rest]}, inside)


def _intersected(schema: Schema) -> Schema:
    """A schema with what its `allOf` says in itself."""
    if not isinstance(schema.get("allOf"), list):
        return schema
    out = {k: v for k, v in schema.items() if k != "allOf"}
    for each in schema["allOf"]:
        if isinstance(each, dict):
            out = _joined(out, each)
    return out


def _joined(one: Schema, other: Schema) -> Schema:
    """What fits both: properties and requirements together, of all else the latter's."""
    out = {**one, **other}
    if isinstance(one.get("properties"), dict) and isinstance(other.get("properties"), dict):
        out["properties"] = {**one["properties"], **other["properties"]}
    if one.get("required") and other.get("required"):
        out["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    return out


def _kind(schema: Schema) -> str:
    """The type's name, from the values where none is given; "" for any type."""
    if isinstance(kind := schema.get("type"), str):
        return kind.upper()
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    kinds = {_TYPES.get(type(v), "") for v in values if v is not None}
    if len(kinds) == 1:
        return kinds.pop()
    if "properties" in schema:
        return "OBJECT"
    return "ARRAY" if "items" in schema or "prefixItems" in schema else ""


def _enumerated(wire: Schema, schema: Schema, kind: str) -> list[str]:
    """Adds the values to choose from; in words where they are no texts, for a text would not be what fits."""
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    given = [v for v in values if v is not None]
    if values and len(given) < len(values):
        wire["nullable"] = True
    if given and kind == "STRING" and all(isinstance(v, str) for v in given):
        wire["enum"] = given
        return []
    return [f"One of {', '.join(map(_json, given))}."] if given else []


def _limited(wire: Schema, schema: Schema, kind: str) -> list[str]:
    """Adds the limits that have a field; the others in words."""
    if kind == "INTEGER":
        schema = dict(schema)
        _inclusive(schema)
    wire.update({key: schema[key] for key in _KEPT if key in schema})
    told = {k: v for k, v in schema.items() if k not in _SILENT}
    if "format" in schema:
        if schema["format"] in _FORMATS.get(kind, ()):
            wire["format"] = schema["format"]
        else:
            told["format"] = schema["format"]
    words = [f"By default {_json(told.pop('default'))}."] if "default" in told else []
    return [*words, f"It must fit the JSON Schema {_json(told)}, too."] if told else words


def _described(wire: Schema, schema: Schema, *words: str) -> Schema:
    description = _words(schema.get("description"), *words)
    return {**wire, "description": description} if description else wire


def _words(*words: Any) -> str:
    return " ".join(w for w in words if isinstance(w, str) and w)


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "null"


def _json(value: Any) -> str:
    return encode(value).decode()


_TYPES: Final = {str: "STRING", bool: "BOOLEAN", int: "INTEGER", float: "NUMBER", list: "ARRAY", dict: "OBJECT"}
