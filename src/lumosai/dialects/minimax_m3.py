"""MiniMax M3: nested elements, each tag behind the token `]<]minimax[>[`; lists hold `<item>`s, objects their members.

The form is that of the model's chat template, as llama.cpp's tests of it show it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import space, write
from lumosai.dialects._tags import BrokenError, Cursor, CutError, OtherError, settle, sure
from lumosai.dialects._typed import kinds_of, of_schema, property_schema
from lumosai.dialects.base import Found, No, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_MARK = "]<]minimax[>["
_OPEN = f"{_MARK}<tool_call>"
_CLOSE = f"{_MARK}</tool_call>"
_INVOKE = f"{_MARK}<invoke name="
_END = f"{_MARK}</invoke>"
_TAG = re.compile(re.escape(_MARK) + r"<([^\s<>/]{1,256})>")
_ELEMENT = re.compile(re.escape(_MARK) + r"<(/?)([^\s<>/]{1,256})>")
_KEY = re.compile(r"[^\s<>/]{1,256}")
_MAX_DEPTH = 20


class MinimaxM3:
    """`<invoke name=…>` with an element for each argument, in a `<tool_call>` section."""

    name = "minimax-m3"
    marked = True
    control = True
    aliases = ("minimax", "minimax <invoke>")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own marker
        """The section's start."""
        return (_OPEN,)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            f"To call a tool, answer in this form:\n{_around('TOOL', _element('PARAMETER', 'VALUE', nested=True))}"
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call in its section; lists and objects as elements, where those say what they are, else as JSON.

        Raises:
            ValueError: a parameter's name is none of a tag, or a value holds the format's own markup.
        """
        if call.arguments is None:
            return _around(call.name, call.raw or "")
        nested, plain = (
            _around(call.name, "".join(_element(k, v, nested=n) for k, v in call.arguments.items()))
            for n in (True, False)
        )
        try:
            return sure(nested, call, self.name, self._whole)
        except ValueError:
            return sure(plain, call, self.name, self._whole)

    def show(self, result: ToolResultPart) -> str:
        """The result between its tags, which its text cannot close."""
        text = result.text.replace("</tool_response", "<\\/tool_response")
        return f"<tool_response>\n{'Error: ' if result.is_error else ''}{text}\n</tool_response>"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls of the section that begins here."""
        return settle(lambda cursor: _calls(cursor, tools), text, No(_CLOSE), final=final)

    def _whole(self, text: str, tools: Mapping[str, ToolDefinition]) -> Verdict:
        return self.recognise(text, tools, final=True)


def _calls(cursor: Cursor, tools: Mapping[str, ToolDefinition]) -> Found:
    cursor.take(_OPEN)
    calls: list[ToolCallPart] = []
    cursor.blank()
    try:
        while not cursor.take(_CLOSE):
            if not cursor.sees(_INVOKE):
                raise BrokenError if calls else OtherError
            calls.append(_call(cursor, tools))
            cursor.blank()
    except CutError:
        if not (calls and cursor.final):
            raise
        cursor.at = len(cursor.text)  # the section's end, or a last call, is cut off
    if not calls:
        raise OtherError
    return Found(cursor.at, tuple(calls))


def _call(cursor: Cursor, tools: Mapping[str, ToolDefinition]) -> ToolCallPart:
    name = cursor.tag(_INVOKE)
    root = tools[name].parameters if name in tools else {}
    arguments: dict[str, Any] = {}
    cursor.blank()
    while not cursor.take(_END):
        cursor.need(f"{_MARK}<")
        key = cursor.up_to(">")
        if key in arguments or not _KEY.fullmatch(key):
            raise BrokenError
        cursor.at += 1
        raw, cursor.at = _inner(cursor.text, cursor.at, key)
        arguments[key] = _value(raw, property_schema(root, key, root), root, 0)
        cursor.blank()
    return new_call(name, arguments)


def _inner(text: str, at: int, key: str) -> tuple[str, int]:
    """The text up to the end tag of the element whose content begins there, and where that tag ends."""
    depth = 1
    for found in _ELEMENT.finditer(text, at):
        if found[2] == key:
            depth += -1 if found[1] else 1
            if not depth:
                return text[at : found.start()], found.end()
    raise CutError(">")


def _value(raw: str, schema: Any, root: dict[str, Any], depth: int) -> Any:
    """What the content of an element means by its schema: members, items, or text."""
    kinds = kinds_of(schema, root)
    if depth > _MAX_DEPTH or not raw.lstrip().startswith(_MARK) or not (not kinds or kinds & {"array", "object"}):
        return of_schema(raw, schema, root)
    children = _children(raw)
    if not children:
        return of_schema(raw, schema, root)
    if all(key == "item" for key, _ in children) and "object" not in kinds - {"array"}:
        items = schema.get("items", {}) if isinstance(schema, dict) else {}
        return [_value(inner, items, root, depth + 1) for _, inner in children]
    if len({key for key, _ in children}) < len(children) or kinds == {"array"}:
        return of_schema(raw, schema, root)
    return {key: _value(inner, property_schema(schema, key, root), root, depth + 1) for key, inner in children}


def _children(raw: str) -> list[tuple[str, str]]:
    """The elements that the text is; none where it is anything else."""
    children: list[tuple[str, str]] = []
    at = space(raw, 0)
    while at < len(raw):
        found = _TAG.match(raw, at)
        if found is None:
            return []
        try:
            inner, at = _inner(raw, found.end(), found[1])
        except CutError:
            return []
        children.append((found[1], inner))
        at = space(raw, at)
    return children


def _around(name: str, inner: str) -> str:
    return f'{_OPEN}\n{_INVOKE}"{name}">{inner}{_END}\n{_CLOSE}'


def _element(key: str, value: Any, *, nested: bool) -> str:
    return f"{_MARK}<{key}>{_written(value, nested=nested)}{_MARK}</{key}>"


def _written(value: Any, *, nested: bool) -> str:
    if isinstance(value, str):
        return value
    if nested and value and isinstance(value, list):
        return "".join(_element("item", item, nested=True) for item in value)
    if nested and value and isinstance(value, dict):
        return "".join(_element(key, each, nested=True) for key, each in value.items())
    return write(value)
