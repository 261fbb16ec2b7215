"""Tools described in as few words as a small model needs: a signature and a sentence each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.records import ToolDefinition

DEEPEST = 3
"""Levels of nested objects that are written out."""


def signature(tool: ToolDefinition) -> str:
    """One line: `- name(argument: type, optional?: type): what it does (argument: what it is)`."""
    properties: Mapping[str, Any] = tool.parameters.get("properties") or {}
    required = set(tool.parameters.get("required") or ())
    arguments = ", ".join(_argument(n, s, n in required, tool.parameters) for n, s in properties.items())
    about = "; ".join(f"{n}: {d}" for n, s in properties.items() if (d := _description(s, tool.parameters)))
    says = _one_line(tool.description)
    line = f"- {tool.name}({arguments})"
    if says:
        line += f": {says}"
    return f"{line} ({about})" if about else line


def _argument(name: str, schema: Any, required: bool, root: Mapping[str, Any]) -> str:  # noqa: FBT001
    return f"{name}{'' if required else '?'}: {_type(schema, root, DEEPEST)}"


def _description(schema: Any, root: Mapping[str, Any]) -> str:
    if not isinstance(schema, dict):
        return ""
    return _one_line(schema.get("description") or _resolved(schema, root).get("description") or "")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _type(schema: Any, root: Mapping[str, Any], depth: int) -> str:  # noqa: PLR0911  # a flat list of cases
    """A schema as a short type, such as `integer`, `"a" | "b"`, `string[]` or `{city: string, days?: integer}`."""
    if not isinstance(schema, dict):
        return "any"
    schema = _resolved(schema, root)
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if "enum" in schema:
        return " | ".join(json.dumps(v, ensure_ascii=False) for v in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(_type(s, root, depth) for s in schema[key])) or "any"
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(kind)
    if kind == "array":
        inner = _type(schema.get("items"), root, depth)
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if "properties" in schema and depth:
        required = set(schema.get("required") or ())
        inner = ", ".join(
            f"{n}{'' if n in required else '?'}: {_type(s, root, depth - 1)}" for n, s in schema["properties"].items()
        )
        return f"{{{inner}}}"
    return str(kind or "any")


def _resolved(schema: dict[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """The schema that a `$ref` of this document names; the schema itself where there is none."""
    for _ in range(8):
        ref = schema.get("$ref")
        if not isinstance(ref, str) or not ref.startswith("#"):
            return schema
        target: Any = root
        for key in ref[1:].split("/")[1:]:
            target = target.get(key.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            return schema
        schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
    return schema
