"""Values that a format writes as bare text, read as what the called tool's schema says they are.

In XML-like formats `<parameter=count>3</parameter>` does not say whether it means a number or a string; the tool does. A
string stays to the character as it was written. What the schema leaves open is read as JSON where it plainly is a number,
true, false, null, an object or an array, and stays a string otherwise. What does not fit the schema stays a string as
well: validating is for `tools.execute`, which tells the model.

Where several types may stand (`anyOf`, a list of types), the first of null, boolean, integer, number, object, array and
string that the text can be is taken, as serving engines do, but a text that is one of the schema's own strings is that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._fit import resolved
from lumosai.dialects._json import read, space
from lumosai.dialects._literal import read_literal
from lumosai.dialects.base import More

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lumosai.records import ToolDefinition

_MOST = 64
_MENDABLE = 32_768
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_MAX_DIGITS = 400
_BOOLEANS = {"true": True, "false": False}
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_ALIASES = {
    **dict.fromkeys(("str", "text", "varchar", "char", "enum"), "string"),
    **dict.fromkeys(("int", "int32", "int64", "uint", "uint32", "uint64", "long", "short", "unsigned"), "integer"),
    **dict.fromkeys(("float", "float32", "float64", "double"), "number"),
    "bool": "boolean",
    "dict": "object",
    **dict.fromkeys(("arr", "list", "sequence"), "array"),
}
"""Names of types that are none of JSON schema's, but that tools are declared with."""

_ORDER = ("null", "boolean", "integer", "number", "object", "array")
_PYTHON: dict[str, type[Any]] = {"object": dict, "array": list}
_OTHER = object()


def typed(raw: str, tool: ToolDefinition | None, key: str, *, containers: bool = True) -> Any:
    """What the text `raw` means as the argument `key` of this tool, None where it is not declared.

    `containers`: whether text of no known type may be an object or an array.
    """
    root = tool.parameters if tool else {}
    return of_schema(raw, property_schema(root, key, root), root, containers=containers)


def tagged(raw: str, tool: ToolDefinition | None, key: str, *, is_text: bool | None) -> Any:
    """What the text means where its own tag tells text from JSON (None: it does not); the schema has the last word."""
    root = tool.parameters if tool else {}
    schema = property_schema(root, key, root)
    kinds = kinds_of(schema, root)
    if is_text:
        return raw if not kinds or "string" in kinds else of_schema(raw, schema, root)
    if is_text is False and raw.lstrip().startswith('"'):
        value = _json(raw.strip())
        if value is not _OTHER:
            return value
    return of_schema(raw, schema, root) if kinds else plain(raw)


def of_schema(raw: str, schema: Any, root: dict[str, Any], *, containers: bool = True) -> Any:
    """What the text means as a value of this schema, whose references lead into `root`."""
    schema = resolved(schema, root)
    kinds = kinds_of(schema, root)
    if not kinds:
        return plain(raw, containers=containers)
    if kinds == {"string"} or raw in _own_strings(schema):
        return raw
    text = raw.strip()
    for kind in _ORDER:
        if kind in kinds:
            value = _as(kind, text)
            if value is not _OTHER:
                return value
    if kinds == {"object"}:
        return _mended(text, raw)
    return raw


def plain(raw: str, *, containers: bool = True) -> Any:
    """What the text means where nothing is known of its type."""
    text = raw.strip()
    if text in _WORDS:
        return _WORDS[text]
    if text.startswith(("{", "[")):
        value = _json(text) if containers else _OTHER
        return raw if value is _OTHER else value
    number = _number(text)
    # 007 and +49 are names rather than numbers, which JSON writes in one way.
    return raw if number is _OTHER or _json(text) is _OTHER else number


def property_schema(schema: Any, key: str, root: dict[str, Any]) -> Any:
    """The schema of an object's member: its own, else that of all others; {} where nothing is said."""
    for each in _with_variants(schema, root, []):
        properties = each.get("properties")
        if isinstance(properties, dict) and key in properties:
            return properties[key]
    more = resolved(schema, root)
    more = more.get("additionalProperties") if isinstance(more, dict) else None
    return more if isinstance(more, dict) else {}


def kinds_of(schema: Any, root: dict[str, Any]) -> set[str]:
    """The JSON types that a value of this schema may have; empty where nothing is said."""
    return set(_kinds(schema, root))


def _with_variants(schema: Any, root: dict[str, Any], seen: list[Any]) -> Iterator[dict[str, Any]]:
    """The schema and all that it is made of, each once."""
    schema = resolved(schema, root)
    if not isinstance(schema, dict) or any(s is schema for s in seen) or len(seen) > _MOST:
        return
    seen.append(schema)
    yield schema
    for word in ("anyOf", "oneOf", "allOf"):
        each = schema.get(word)
        for variant in each if isinstance(each, list) else ():
            yield from _with_variants(variant, root, seen)


def _kinds(schema: Any, root: dict[str, Any]) -> Iterator[str]:
    for each in _with_variants(schema, root, []):
        kind = each.get("type")
        for name in kind if isinstance(kind, list) else [kind]:
            if isinstance(name, str):
                known = _ALIASES.get(name.lower(), name.lower())
                if known in (*_ORDER, "string"):  # any other says nothing
                    yield known
        if kind is None:
            values = each["enum"] if isinstance(each.get("enum"), list) else [each["const"]] if "const" in each else []
            yield from map(_kind_of, values)
            if isinstance(each.get("properties"), dict):
                yield "object"
            elif "items" in each:
                yield "array"


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    return {type(None): "null", dict: "object", list: "array"}.get(type(value), "string")


def _own_strings(schema: Any) -> list[Any]:
    """The strings that the schema itself names as values."""
    if not isinstance(schema, dict):
        return []
    values = schema.get("enum")
    return [v for v in (*(values if isinstance(values, list) else ()), schema.get("const")) if isinstance(v, str)]


def _as(kind: str, text: str) -> Any:
    """The text as a value of this kind; `_OTHER` where it is none."""
    if kind == "null":
        return None if text in ("null", "None") else _OTHER
    if kind == "boolean":
        return _BOOLEANS.get(text.lower(), _OTHER)
    if kind in ("integer", "number"):
        number = _number(text)
        return number if kind == "number" or isinstance(number, int) or _is_whole(number) else _OTHER
    for value in (_json(text), _literal(text)):
        if isinstance(value, _PYTHON[kind]):
            return value
    return _OTHER


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _number(text: str) -> Any:
    if len(text) > _MAX_DIGITS or not _NUMBER.fullmatch(text):
        return _OTHER
    if not set(".eE") & set(text):
        return int(text)
    value = float(text)
    return _OTHER if value in (float("inf"), float("-inf")) else value


def _json(text: str) -> Any:
    found = read(text, 0)
    return _OTHER if found is None or isinstance(found, More) or space(text, found[1]) < len(text) else found[0]


def _literal(text: str) -> Any:
    """The text as Python would write it."""
    found = read_literal(text + " ", 0)
    return _OTHER if found is None or isinstance(found, More) or found[1] < len(text) else found[0]


def _mended(text: str, raw: str) -> Any:
    if text[:1] != "{" or len(text) > _MENDABLE:
        return raw
    from lumosai._repair import repair_object

    value = repair_object(text, closed=True)
    return raw if value is None else value
