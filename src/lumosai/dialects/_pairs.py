"""Calls as a name and pairs: `<tool_call>NAME`, `<arg_key>` and `<arg_value>` for each argument, `</tool_call>`.

GLM 4.5 began it; Ling, Spark, Laguna, Hunyuan 3 and K2 Horizon took it over. Values are bare text without escapes: an end
tag is one only where the format goes on behind it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import space, write
from lumosai.dialects._tags import BrokenError, Cursor, CutError, OtherError, settle, sure
from lumosai.dialects._typed import typed
from lumosai.dialects.base import Found, No, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_NAME = re.compile(r"[^\s<>{}\[\]\"'`()|]{1,256}")


class Form(msgspec.Struct, frozen=True):
    """The words of one format.

    Attributes:
        call: start and end of a call.
        key: those of an argument's name.
        value: those of its value.
        section: those of what stands around all calls; "" where nothing does.
        separator: what stands behind the name; "" where nothing does.
        line: what stands between all of these where the model writes them.
        whole: whether a section without its end is none, and nothing in it counts.
    """

    call: tuple[str, str] = ("<tool_call>", "</tool_call>")
    key: tuple[str, str] = ("<arg_key>", "</arg_key>")
    value: tuple[str, str] = ("<arg_value>", "</arg_value>")
    section: tuple[str, str] = ("", "")
    separator: str = ""
    line: str = "\n"
    whole: bool = False


class Pairs:
    """A dialect of pairs, made by its form.

    Args:
        name: the dialect's name.
        form: its words.
        aliases: what else it is called.
        control: whether its markers are control tokens.
    """

    marked = True

    def __init__(self, name: str, form: Form, *, aliases: tuple[str, ...] = (), control: bool = False) -> None:
        self.name = name
        self.form = form
        self.aliases = aliases
        self.control = control

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """The start of the section, or of a call where there is none."""
        return (self.form.section[0] or self.form.call[0],)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            "To call a tool, answer in this form:\n"
            f"{self._text('TOOL', {'PARAMETER': 'VALUE'})}\n"
            "Text as it is, all else as JSON."
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call between its tags; arguments that were no JSON in their own words.

        Raises:
            ValueError: a name or value holds the format's own markup, which it cannot escape.
        """
        if call.arguments is None:
            return self._around(call.name, call.raw or "")
        text = self._text(call.name, call.arguments)
        return sure(text, call, self.name, lambda text, tools: self.recognise(text, tools, final=True))

    def show(self, result: ToolResultPart) -> str:
        """The result between its tags, which its text cannot close."""
        text = result.text.replace("</tool_response", "<\\/tool_response")
        return f"<tool_response>\n{'Error: ' if result.is_error else ''}{text}\n</tool_response>"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The call, or the section of calls, that begins here."""
        failed = No(self.form.section[1] or self.form.call[1])
        return settle(lambda cursor: self._calls(cursor, tools), text, failed, final=final)

    def _calls(self, cursor: Cursor, tools: Mapping[str, ToolDefinition]) -> Found:
        start, end = self.form.section
        if not start:
            cursor.take(self.form.call[0])
            call = self._call(cursor, tools)
            return Found(cursor.at, (call,))
        cursor.take(start)
        calls: list[ToolCallPart] = []
        cursor.blank()
        while not self._closed(cursor, end, last=bool(calls)):
            if not cursor.take(self.form.call[0]):
                raise BrokenError if calls else OtherError
            try:
                calls.append(self._call(cursor, tools))
            except CutError:
                if self.form.whole or not (calls and cursor.final):
                    raise
                return Found(len(cursor.text), tuple(calls))  # the last one is cut off
            cursor.blank()
        if not calls:
            raise OtherError
        return Found(cursor.at, tuple(calls))

    def _closed(self, cursor: Cursor, end: str, *, last: bool) -> bool:
        """Whether the section ends here; the end of the answer may do for its end."""
        if cursor.final and cursor.ended and last and not self.form.whole:
            return True
        return cursor.take(end)

    def _call(self, cursor: Cursor, tools: Mapping[str, ToolDefinition]) -> ToolCallPart:
        """The call behind its start tag."""
        form = self.form
        name = self._name(cursor)
        separated = bool(form.separator) and cursor.take(form.separator)
        cursor.blank()
        tool = tools.get(name)
        if not cursor.sees(form.key[0]) and not (cursor.sees(form.call[1]) and (separated or tool is not None)):
            raise OtherError
        arguments: dict[str, Any] = {}
        while not cursor.take(form.call[1]):
            cursor.need(form.key[0])
            key = cursor.up_to(form.key[1])
            cursor.at += len(form.key[1])
            cursor.blank()
            cursor.need(form.value[0])
            value = typed(self._raw(cursor), tool, key)
            if not key or arguments.setdefault(key, value) != value:
                raise BrokenError
            cursor.blank()
        return new_call(name, arguments)

    def _name(self, cursor: Cursor) -> str:
        cursor.blank()
        found = _NAME.match(cursor.text, cursor.at)
        if found is None:
            raise CutError if cursor.ended else OtherError
        if found.end() == len(cursor.text):
            raise CutError
        cursor.at = found.end()
        cursor.blank()
        return found[0]

    def _raw(self, cursor: Cursor) -> str:
        """The text of a value, up to an end tag that the format goes on behind."""
        start = cursor.at
        closing = self.form.value[1]
        end = cursor.text.find(closing, start)
        while end >= 0:
            at = space(cursor.text, end + len(closing))
            if at == len(cursor.text):
                raise CutError
            if cursor.sees_at(self.form.key[0], at) or cursor.sees_at(self.form.call[1], at):
                cursor.at = at
                return cursor.text[start:end]
            end = cursor.text.find(closing, end + len(closing))
        raise CutError(">")

    def _text(self, name: str, arguments: dict[str, Any]) -> str:
        form = self.form
        pairs = (
            f"{form.line}{form.key[0]}{key}{form.key[1]}{form.line}"
            f"{form.value[0]}{v if isinstance(v, str) else write(v)}{form.value[1]}"
            for key, v in arguments.items()
        )
        return self._around(name, "".join(pairs))

    def _around(self, name: str, inner: str) -> str:
        form = self.form
        text = f"{form.call[0]}{name}{form.separator}{inner}{form.line}{form.call[1]}"
        return f"{form.section[0]}{form.line}{text}{form.line}{form.section[1]}" if form.section[0] else text
