"""Arguments that stand in quotes though the tool's schema says they are none: `"5"` for 5, `"[1, 2]"` for a list.

Only where the schema allows no string, and the text is exactly such a value; what fits in no way is left as it is, for
`tools.execute` to tell the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.dialects._fit import resolved
from lumosai.dialects._typed import kinds_of, of_schema, property_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.dialects.base import Found
    from lumosai.messages import ToolCallPart
    from lumosai.records import ToolDefinition

_MAX_DEPTH = 12


def coerced(found: Found, tools: Mapping[str, ToolDefinition]) -> Found:
    """What was found, with the calls' arguments as the tools' schemas say."""
    calls = tuple(_coerced(call, tools[call.name].parameters) if call.name in tools else call for call in found.calls)
    return msgspec.structs.replace(found, calls=calls) if calls else found


def _coerced(call: ToolCallPart, schema: dict[str, Any]) -> ToolCallPart:
    if not call.arguments:
        return call
    arguments = _value(call.arguments, schema, schema, 0)
    return call if arguments is call.arguments else msgspec.structs.replace(call, arguments=arguments)


def _value(value: Any, schema: Any, root: dict[str, Any], depth: int) -> Any:
    """The value as the schema says; the very same object where nothing changes."""
    if depth > _MAX_DEPTH:
        return value
    if isinstance(value, str):
        kinds = kinds_of(schema, root)
        return of_schema(value, schema, root) if kinds and "string" not in kinds else value
    if isinstance(value, dict):
        members = {k: _value(v, property_schema(schema, k, root), root, depth + 1) for k, v in value.items()}
        return members if any(members[k] is not v for k, v in value.items()) else value
    if isinstance(value, list):
        known = resolved(schema, root)
        items = known.get("items", {}) if isinstance(known, dict) else {}
        each = [_value(v, items, root, depth + 1) for v in value]
        return each if any(a is not b for a, b in zip(each, value, strict=True)) else value
    return value
