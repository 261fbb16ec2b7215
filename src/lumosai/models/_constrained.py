"""Constrained calling: tools for a model that can be held to a JSON Schema but was not trained to call them.

The model is asked for one JSON object of two kinds: `{"tool": NAME, "arguments": {…}}` calls a tool, and
`{"tool": "none", "reply": …}` answers. The schema has a branch for each tool, so no other call can be written.
"""

from __future__ import annotations

import json
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

from lumosai.dialects._describe import signatures
from lumosai.messages import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolChoice, ToolDefinition

_WORDS = frozenset({"title", "description", "examples", "default", "$comment", "$schema", "$id"})
_VALUES = frozenset({"enum", "const"})
"""Keys whose values are data, not schemas."""
_NAMED = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
"""Keys whose values are schemas by name, so that a name may look like a keyword."""
_EXAMPLES: Final[tuple[tuple[str, str, Any], ...]] = (
    ("Hi there!", "", "Hello! How can I help you?"),
    ("Who wrote Hamlet?", "", "William Shakespeare wrote Hamlet."),
    ("谢谢！", "", "不客气！"),
    ("How long is the river Rhine?", "search", {"query": "length of the Rhine"}),
    ("Book a table for two at noon.", "book_table", {"people": 2, "time": "12:00"}),
    ("Send my boss the message: I am late.", "send_message", {"to": "my boss", "body": "I am late."}),
)
"""Turns that show the form, of tools that nobody declared; "" is a reply. As many of each kind, the calls last: with replies
alone, or with them last, small models hardly call (`docs/local-models.md` has the figures)."""
_REPLIES: Final = (
    ("Who painted the Mona Lisa?", "Leonardo da Vinci painted it."),
    ("一年有多少天？", "一年有365天。"),
)
"""One before each call that a declared tool shows of itself: with calls alone, the model calls for anything."""
_REPEATED: Final = 400
"""Letters of a user's message that is repeated before a result."""
ROUNDS_AFTER_FAILURE = 2
"""How many times tools are offered again when each call since the user spoke has failed."""


def none_of(tools: Sequence[ToolDefinition]) -> str:
    """The name that stands for no tool: "none", unless a tool is called so."""
    name = "none"
    while any(t.name == name for t in tools):
        name += "_"
    return name


def schema(
    tools: Sequence[ToolDefinition], choice: ToolChoice | None, reply: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The schema of an answer. `reply` is the schema of a reply that is not plain text."""
    definitions: dict[str, Any] = {}
    wanted = choice["tool"] if isinstance(choice, dict) else None
    branches = [
        _branch(t.name, "arguments", _placed(_terse(t.parameters), t.name, definitions))
        for t in tools
        if wanted is None or t.name == wanted
    ]
    if choice != "required" and wanted is None:
        none = none_of(tools)
        said = {"type": "string"} if reply is None else _placed(_terse(reply), none, definitions)
        branches.append(_branch(none, "reply", said))
    whole = branches[0] if len(branches) == 1 else {"anyOf": branches}
    return {**whole, "$defs": definitions} if definitions else whole


def describe(tools: Sequence[ToolDefinition], choice: ToolChoice | None) -> str:
    """What the system prompt says of the tools and of the answer's form.

    The words were chosen by measurement with small models, for which each of them counts.
    """
    lines = "\n".join(signatures([t]).replace("\n  ", " ") for t in tools)
    if isinstance(choice, dict):
        how = f'Answer with one JSON object that calls the tool {choice["tool"]}: {{"tool": "{choice["tool"]}", "arguments": {{…}}}}'
    elif choice == "required":
        how = 'Answer with one JSON object that calls a tool: {"tool": "<tool name>", "arguments": {…}}'
    else:
        how = (
            "Choose what to do about the user's last message and answer with one JSON object.\n"
            'A tool, when it does what is asked: {"tool": "<tool name>", "arguments": {…}}\n'
            f'A reply, only when no tool is made for it: {{"tool": "{none_of(tools)}", "reply": "…"}}'
        )
    return f"{how}\n\nTools:\n{lines}"


def reply_schema(none: str, reply: dict[str, Any] | None = None) -> dict[str, Any]:
    """The schema of an answer that may call nothing."""
    definitions: dict[str, Any] = {}
    said = {"type": "string"} if reply is None else _placed(_terse(reply), none, definitions)
    whole = _branch(none, "reply", said)
    return {**whole, "$defs": definitions} if definitions else whole


def describe_reply(none: str) -> str:
    """What the system prompt says of the form where no tool is declared any more."""
    return f'Answer with one JSON object: {{"tool": "{none}", "reply": "…"}}'


def examples(tools: Sequence[ToolDefinition]) -> list[Message]:
    """A conversation before the conversation, which shows the form, and what declared tools show of themselves.

    Of its own tools, those of the same names as declared ones are left out.
    """
    none, declared = none_of(tools), {t.name for t in tools}
    shown = []
    for asked, name, value in _EXAMPLES:
        if name not in declared:
            answer = _call(name, value) if name else reply_text(value, none)
            shown += [Message.user(asked), Message.assistant(answer)]
    replies = cycle(_REPLIES)
    for tool in tools:
        for example in tool.examples:
            asked, told = next(replies)
            shown += [Message.user(asked), Message.assistant(reply_text(told, none))]
            shown += [Message.user(example.said), Message.assistant(_call(tool.name, example.arguments))]
    return shown


def call_text(call: ToolCallPart) -> str:
    """An earlier call, as the model wrote it."""
    if call.arguments is None:
        return call.raw or ""
    return _call(call.name, call.arguments)


def reply_text(text: str, none: str) -> str:
    """An earlier reply, as the model wrote it."""
    return json.dumps({"tool": none, "reply": text}, ensure_ascii=False)


def result_text(result: ToolResultPart) -> str:
    """A call's result, as the model reads it."""
    return f"{'Error' if result.is_error else 'Result'} of {result.name}: {result.text}"


def asked_text(text: str) -> str:
    """What is said, before a result, of the user's message: the message itself, if it is short.

    A small model that is told a result alone takes it for news from the user, and says thanks.
    """
    return f"{text}\n" if 0 < len(text) <= _REPEATED else ""


def _call(name: str, arguments: dict[str, Any]) -> str:
    # With blanks after commas and colons, as models write JSON themselves.
    return json.dumps({"tool": name, "arguments": arguments}, ensure_ascii=False)


def _branch(name: str, key: str, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"tool": {"type": "string", "const": name}, key: value},
        "required": ["tool", key],
        "additionalProperties": False,
    }


def _terse(value: Any) -> Any:
    """A schema without words: they are told in the prompt, and a grammar has no use for them."""
    if isinstance(value, list):
        return [_terse(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {
        k: v
        if k in _VALUES
        else {n: _terse(s) for n, s in v.items()}
        if k in _NAMED and isinstance(v, dict)
        else _terse(v)
        for k, v in value.items()
        if k not in _WORDS
    }


def _placed(schema: dict[str, Any], name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """`schema` as a part of a larger one: references into itself are led to where it now stands."""
    if not _refers(schema):
        return schema
    place = f"#/$defs/{name}"
    definitions[name] = _led(schema, place)
    return {"$ref": place}


def _refers(value: Any) -> bool:
    if isinstance(value, dict):
        return "$ref" in value or any(_refers(v) for v in value.values())
    return isinstance(value, list) and any(_refers(v) for v in value)


def _led(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return {
            k: place + v[1:] if k == "$ref" and isinstance(v, str) and v.startswith("#") else _led(v, place)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_led(v, place) for v in value]
    return value
