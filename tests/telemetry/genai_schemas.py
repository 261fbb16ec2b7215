"""What the conventions' JSON schemas ask of content, written down from their text.

Source: open-telemetry/semantic-conventions-genai, `docs/gen-ai/gen-ai-input-messages.json`, `-output-messages.json`,
`-system-instructions.json` and `-tool-definitions.json`, and `docs/gen-ai/non-normative/models.py`, which they are made of.
The published ones let any part with a `type` pass; here a part of a type that they describe must fit its description.
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string"}
ANY_TEXT = {"type": ["string", "null"]}


def part(kind: str, required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "if": {"properties": {"type": {"const": kind}}},
        "then": {"required": [*required], "properties": {**required, **optional}},
    }


MEDIUM = {"modality": TEXT}
PART = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": TEXT},
    "allOf": [
        part("text", {"content": TEXT}),
        part("reasoning", {"content": TEXT}),
        part("tool_call", {"name": TEXT}, id=ANY_TEXT, arguments={}),
        part("tool_call_response", {"response": {}}, id=ANY_TEXT),
        part("blob", MEDIUM | {"content": TEXT}, mime_type=ANY_TEXT),
        part("file", MEDIUM | {"file_id": TEXT}, mime_type=ANY_TEXT),
        part("uri", MEDIUM | {"uri": TEXT}, mime_type=ANY_TEXT),
    ],
}
PARTS = {"type": "array", "items": PART}
MESSAGE = {"type": "object", "required": ["role", "parts"], "properties": {"role": TEXT, "parts": PARTS}}
INPUT_MESSAGES = {"type": "array", "items": MESSAGE}
OUTPUT_MESSAGES = {
    "type": "array",
    "items": {
        **MESSAGE,
        "required": ["role", "parts", "finish_reason"],
        "properties": {
            **MESSAGE["properties"],
            "finish_reason": {"enum": ["stop", "length", "content_filter", "tool_call", "error"]},
        },
    },
}
SYSTEM_INSTRUCTIONS = PARTS
TOOL_DEFINITIONS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["type", "name", "description"],
        "properties": {"type": TEXT, "name": TEXT, "description": TEXT, "parameters": {"type": "object"}},
    },
}
