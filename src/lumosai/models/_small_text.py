"""Textual calling for small models, which are helped by other words than large ones.

Measured with the half-billion model of `docs/local-models.md`. Told of tools as JSON definitions, in the words of the
template that most small open models were trained with, it calls the right one; told in signatures or shown example turns
it does not. It writes calls as plain JSON whatever the format it is told, so that earlier calls are told so too. Where its
own answers stand behind them it answers on without calling, so those that tell a tool's result are left out, for the result
stands there already. And asked to tell a result in a conversation that holds calls, it repeats the call: it is asked in
one that holds none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.messages import Message, TextPart, ToolCallPart, ToolResultPart
from lumosai.models._plain_history import plain_history, with_system

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lumosai.messages import Part
    from lumosai.records import ToolChoice, ToolDefinition

_TELLING = frozenset({"type", "description", "enum", "const", "items", "properties", "required", "minimum", "maximum"})
"""Keywords of a schema that are told; what else there is such a model takes for arguments."""


def asked(
    messages: Sequence[Message], tools: Sequence[ToolDefinition], choice: ToolChoice | None
) -> tuple[Message, ...]:
    """The conversation, as it is told where a tool may be called."""
    told = plain_history(_without_told_results(messages), _call, _result)
    return with_system(told, _describe(tools, choice))


def answered(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation, as it is told where the last results are to be answered with: without any call in it."""
    return tuple(_without_calls(messages))


def _describe(tools: Sequence[ToolDefinition], choice: ToolChoice | None) -> str:
    definitions = "\n".join(
        msgspec.json.encode(
            {
                "type": "function",
                "function": {"name": t.name, "description": t.description, "parameters": _terse(t.parameters)},
            }
        ).decode()
        for t in tools
    )
    text = (
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        f"You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{definitions}\n</tools>\n\n"
        "For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML "
        'tags:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
    )
    if isinstance(choice, dict):
        return f"{text}\n\nAnswer with a call of the function {choice['tool']} now."
    return f"{text}\n\nAnswer with a function call now." if choice == "required" else text


def _terse(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with what tells how to fill it in.

    No defaults, no titles, and no property that may be left out or null: such a model fills in whatever it is told of, if
    need be with the word "integer".
    """
    kept = {k: v for k, v in schema.items() if k in _TELLING}
    if isinstance(properties := kept.get("properties"), dict):
        needed = kept.get("required") or ()
        kept["properties"] = {
            name: _terse(each) if isinstance(each, dict) else each
            for name, each in properties.items()
            if name in needed or not _may_be_null(each)
        }
    if isinstance(items := kept.get("items"), dict):
        kept["items"] = _terse(items)
    return kept


def _may_be_null(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    kind = schema.get("type")
    return (
        kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or any(map(_may_be_null, schema.get("anyOf") or ()))
    )


def _call(call: ToolCallPart) -> str:
    if call.arguments is None:
        return call.raw or ""
    return msgspec.json.encode({"name": call.name, "arguments": call.arguments}).decode()


def _result(result: ToolResultPart) -> str:
    return f"<tool_response>\n{result.text}\n</tool_response>"


def _without_told_results(messages: Sequence[Message]) -> list[Message]:
    """Without the assistant's text that stands between a result and what the user says next."""
    kept: list[Message] = []
    for number, message in enumerate(messages):
        before = messages[number - 1].role if number else ""
        after = messages[number + 1].role if number + 1 < len(messages) else ""
        if not (message.role == "assistant" and not message.tool_calls and before == "tool" and after == "user"):
            kept.append(message)
    return kept


def _without_calls(messages: Sequence[Message]) -> Iterator[Message]:
    """Each user's message with the results that serve it and that no text of the assistant tells."""
    asked: Message | None = None
    results: list[Part] = []
    for message in messages:
        if message.role == "tool":
            for result in message.tool_results:
                results.append(TextPart(f"{'Error' if result.is_error else 'Result'} of {result.name}: {result.text}"))
                if not isinstance(result.content, str):
                    results += [p for p in result.content if not isinstance(p, TextPart)]
        elif not message.tool_calls:
            told = message.role == "assistant"
            if asked is not None:
                yield _with(asked, [] if told else results)
            asked, results = (None, []) if told or message.role == "system" else (message, [])
            if asked is None:
                yield message
    if asked is not None:
        yield _with(asked, results)


def _with(message: Message, results: Sequence[Part]) -> Message:
    if not results:
        return message
    parts = list(message.parts)
    for number, result in enumerate(results):
        before = parts[-1] if parts else None
        if isinstance(result, TextPart) and isinstance(before, TextPart):
            parts[-1] = TextPart(f"{before.text}\n{'' if number else chr(10)}{result.text}")
        else:
            parts.append(result)
    return msgspec.structs.replace(message, parts=tuple(parts))
