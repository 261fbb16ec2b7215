"""Tools in a prompt: short enough for a small model, exact enough to call them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.records import ToolDefinition

_MAX_DEPTH = 4


class Parameter(msgspec.Struct, frozen=True):
    """One parameter as a prompt shows it."""

    name: str
    type: str
    required: bool
    description: str


def parameters(tool: ToolDefinition) -> list[Parameter]:
    """A tool's parameters, in the order of its schema."""
    schema = tool.parameters
    required = schema.get("required") or ()
    return [
        Parameter(name, type_of(each, schema), name in required, _one_line(_description(each)))
        for name, each in (schema.get("properties") or {}).items()
    ]


def signatures(tools: Sequence[ToolDefinition]) -> str:
    """The tools, one a line with their parameters' types, then a line for each parameter that needs words."""
    return "\n".join(line for tool in tools for line in _signature(tool))


def _signature(tool: ToolDefinition) -> list[str]:
    each = parameters(tool)
    listed = ", ".join(f"{p.name}{'' if p.required else '?'}: {p.type}" for p in each)
    head = f"- {tool.name}({listed})"
    description = _one_line(tool.description)
    words = [f"  {p.name}: {p.description}" for p in each if p.description]
    return [f"{head}: {description}" if description else head, *words]


def type_of(schema: Any, root: dict[str, Any], depth: int = 0) -> str:  # noqa: PLR0911  # a flat list of cases
    """What a value of this schema is, in a few words: `integer`, `array of string`, `"a" | "b"`, `{city: string}`."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return "any"
    if isinstance(reference := schema.get("$ref"), str):
        return type_of(_definition(reference, root), root, depth + 1)
    if "enum" in schema:
        return " | ".join(json.dumps(v, ensure_ascii=False) for v in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    variants = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if variants:
        return " | ".join(dict.fromkeys(type_of(v, root, depth + 1) for v in variants))
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " | ".join(kind)
    if kind == "array" and schema.get("items"):
        return f"array of {type_of(schema['items'], root, depth + 1)}"
    if kind == "object" and schema.get("properties"):
        return _shape(schema, root, depth)
    return str(kind)


def _shape(schema: dict[str, Any], root: dict[str, Any], depth: int) -> str:
    required = schema.get("required") or ()
    inner = (
        f"{name}{'' if name in required else '?'}: {type_of(each, root, depth + 1)}"
        for name, each in schema["properties"].items()
    )
    return "{" + ", ".join(inner) + "}"


def _definition(reference: str, root: dict[str, Any]) -> Any:
    target: Any = root
    for key in reference.removeprefix("#").strip("/").split("/"):
        target = target.get(key) if isinstance(target, dict) and key else target
    return target


def _description(schema: Any) -> str:
    return str(schema.get("description") or "") if isinstance(schema, dict) else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
