"""A call that the server itself could not read, taken from the words of its refusal.

Groq checks what a model writes against the declared tools, and answers with the error `tool_use_failed` where it does not
fit: an unknown name, an argument of another type, the model's own markup. What was written stands in
`failed_generation` (https://console.groq.com/docs/tool-use/local-tool-calling). The call is given as the model meant it:
whoever runs calls checks the name and the arguments anyway, and tells the model what was wrong with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.dialects import parse
from lumosai.messages import ToolCallPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.errors import ModelError
    from lumosai.records import ToolDefinition

CODE: Final = "tool_use_failed"
_ARGUMENTS: Final = ("arguments", "parameters", "args", "input")


def rescued(error: ModelError, tools: Sequence[ToolDefinition]) -> tuple[ToolCallPart, ...]:
    """The calls that the refused text holds, their `id` ""; none where it holds none or the error is another."""
    text = (error.wrote or "").strip()
    if error.code != CODE or not text or not tools:
        return ()
    return _as_json(text) or parse(text, tools=tools).calls


def answer(calls: Sequence[ToolCallPart], model: str) -> bytes:
    """The whole answer that a server would have given with these calls."""
    wires = [
        {
            "id": "",
            "type": "function",
            "function": {"name": c.name, "arguments": raw(c)},
        }
        for c in calls
    ]
    message = {"role": "assistant", "content": None, "tool_calls": wires}
    return msgspec.json.encode({"model": model, "choices": [{"message": message, "finish_reason": "tool_calls"}]})


def raw(call: ToolCallPart) -> str:
    """The call's arguments as text."""
    return call.raw or "" if call.arguments is None else msgspec.json.encode(call.arguments).decode()


def _as_json(text: str) -> tuple[ToolCallPart, ...]:
    """Calls written as one JSON object or a list of them, whether or not they fit a tool."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ()
    found = [_call(item) for item in (value if isinstance(value, list) else [value])]
    return tuple(c for c in found if c is not None) if found and all(found) else ()


def _call(item: Any) -> ToolCallPart | None:
    if not isinstance(item, dict):
        return None
    function = item.get("function")
    item = function if isinstance(function, dict) else item
    name = item.get("name")
    arguments: Any = next((item[key] for key in _ARGUMENTS if key in item), {})
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments or "{}")
        except (msgspec.DecodeError, RecursionError):
            return None
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    return ToolCallPart("", name, arguments)
