"""Calls as elements: `<function=NAME>`, a `<parameter=KEY>` for each argument, `</function>`, often in a section.

Qwen 3 Coder, Seed-OSS, Nemotron, MiniMax M2, Step 3, MiniCPM 5 and the format of Claude's prompts differ in the words of
their tags only. Values are bare text without escapes, so that a value may hold tags itself: its end tag is one only where
the format goes on behind it.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import space, write
from lumosai.dialects._tags import BrokenError, Cursor, CutError, OtherError, settle, sure, unescaped
from lumosai.dialects._typed import of_schema, typed
from lumosai.dialects.base import Found, No, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_NAME_CHARS = 256
_WRAPPERS = ("arguments", "properties")
_NAME_LINE = re.compile(r"[^\s<>]{1,256}\s*")
_CDATA = ("<![CDATA[", "]]>")


class Form(msgspec.Struct, frozen=True):
    """The words of one format.

    Attributes:
        call: how a call's start tag begins, up to the name: `<function=`, or `<invoke name=` with quotes to follow.
        parameter: the same of an argument.
        close: the end tags of the two.
        section: start and end of what stands around all calls; "" where nothing does.
        lead: markers of which each may stand before a call, in order.
        tail: likewise behind one.
        between: what may stand before each call but the first.
        spellings: other ways to begin the two start tags.
        bare: whether a call counts without its section, and end tags may be missing where it is plain what is meant.
        lines: whether a line break at either end of a value is none of it.
        xml: whether values are XML: with CDATA and entities, and blank space around them that means nothing.
        containers: whether a value of no known type may be an object or a list.
        template: a call as the model writes it, with NAME and PARAMETERS; a parameter with KEY and VALUE.
        result: a tool's result as the model reads it, with TEXT.
    """

    call: str
    parameter: str
    close: tuple[str, str]
    template: tuple[str, str]
    section: tuple[str, str] = ("", "")
    lead: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    between: str = ""
    spellings: tuple[tuple[str, str], ...] = ()
    bare: bool = False
    lines: bool = False
    xml: bool = False
    containers: bool = True
    result: tuple[str, str] = ("<tool_response>\n", "\n</tool_response>")


class Elements:
    """A dialect of elements, made by its form.

    Args:
        name: the dialect's name.
        form: its words.
        aliases: what else it is called.
        control: whether its section begins with a control token.
    """

    marked = True

    def __init__(self, name: str, form: Form, *, aliases: tuple[str, ...] = (), control: bool = False) -> None:
        self.name = name
        self.form = form
        self.aliases = aliases
        self.control = control

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """The section's start, the markers before a call, and a call's start tag where that counts alone."""
        form = self.form
        calls = (form.call, *(c for c, _ in form.spellings)) if form.bare or not form.section[0] else ()
        return tuple(o for o in (form.section[0], *form.lead[:1], *calls) if o)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = self._text("TOOL", {"PARAMETER": "VALUE"})
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            f"To call a tool, answer in this form:\n{form}\n"
            "Text as it is, all else as JSON."
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call between its tags; arguments that were no JSON in their own words.

        Raises:
            ValueError: a name or value holds the format's own markup, which it cannot escape.
        """
        if call.arguments is None:
            return _filled(self.form.template[0], "NAME", call.name, "PARAMETERS", call.raw or "")
        text = self._text(call.name, call.arguments)
        return sure(text, call, self.name, lambda text, tools: self.recognise(text, tools, final=True))

    def show(self, result: ToolResultPart) -> str:
        """The result between its tags, which its text cannot close."""
        start, end = self.form.result
        closing = end.strip()
        text = result.text.replace(closing, closing.replace("</", "<\\/", 1))
        return f"{start}{'Error: ' if result.is_error else ''}{text}{end}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls of the section, or the call, that begins here."""
        form = self.form
        sectioned = form.section[0] and not text.startswith(tuple(c for c, _ in self._tags))
        failed = No(form.section[1] if sectioned else form.close[0])
        return settle(lambda cursor: self._calls(cursor, tools), text, failed, final=final)

    # Reading.

    @cached_property
    def _tags(self) -> tuple[tuple[str, str], ...]:
        return ((self.form.call, self.form.parameter), *self.form.spellings)

    def _calls(self, cursor: Cursor, tools: Mapping[str, ToolDefinition]) -> Found:
        form = self.form
        inside = bool(form.section[0]) and cursor.take(form.section[0])
        calls: list[ToolCallPart] = []
        end = 0
        while self._begins(cursor, again=bool(calls)):
            try:
                calls.append(self._call(cursor, tools, inside=inside))
            except CutError:
                if not (calls and cursor.final):
                    raise
                return Found(len(cursor.text), tuple(calls))  # the last one is cut off
            end = cursor.at
            if not inside:
                break
        if not calls:
            raise OtherError
        if form.section[0]:
            end = self._end_section(cursor, end, inside=inside)
        return Found(end, tuple(calls))

    def _begins(self, cursor: Cursor, *, again: bool) -> bool:
        """Whether a call begins behind blank space and its markers; `again`: another one."""
        cursor.blank()
        if again and cursor.final and self._is_cut(cursor):
            return False
        if again and self.form.between and cursor.take(self.form.between):
            cursor.blank()
        led = False
        for marker in self.form.lead:
            led = cursor.take(marker) or led
            cursor.blank()
        found = any(cursor.sees(call) for call, _ in self._tags)
        if led and not found:
            _pass_line(cursor)
            found = any(cursor.sees(call) for call, _ in self._tags)
        if led and not found:
            raise BrokenError
        return found

    def _end_section(self, cursor: Cursor, end: int, *, inside: bool) -> int:
        """Behind the section's end, if that stands here; a missing one is forgiven at the end of the answer."""
        cursor.blank()
        if cursor.final and self._is_cut(cursor):
            return len(cursor.text) if inside else end
        if cursor.take(self.form.section[1]):
            return cursor.at
        if inside and not self.form.bare:
            raise BrokenError
        return end

    def _is_cut(self, cursor: Cursor) -> bool:
        """Whether the answer ends here or within the section's end."""
        rest = cursor.text[cursor.at : cursor.at + len(self.form.section[1])]
        return rest != self.form.section[1] and self.form.section[1].startswith(rest)

    def _call(self, cursor: Cursor, tools: Mapping[str, ToolDefinition], *, inside: bool) -> ToolCallPart:
        form = self.form
        opening, parameter = next(tags for tags in self._tags if cursor.sees(tags[0]))
        name = cursor.tag(opening)
        tool = tools.get(name)
        arguments: dict[str, Any] = {}
        cursor.blank()
        if cursor.text.startswith("{", cursor.at):
            raise OtherError  # another format's arguments
        while not cursor.take(form.close[0]):
            if cursor.sees(parameter):
                key, value = self._argument(cursor, tool, parameter, arguments)
                if arguments.setdefault(key, value) != value:
                    raise BrokenError
            elif inside and form.bare and cursor.sees(form.section[1]):
                break
            else:
                raise BrokenError
            cursor.blank()
        for marker in form.tail:
            cursor.blank()
            cursor.take(marker)
        return new_call(name, _declared(arguments, tool) if form.xml else arguments)

    def _argument(
        self, cursor: Cursor, tool: ToolDefinition | None, parameter: str, known: dict[str, Any]
    ) -> tuple[str, Any]:
        key = cursor.tag(parameter)
        if self.form.xml and cursor.sees(_CDATA[0]):
            raw = _character_data(cursor)
            cursor.blank()
            cursor.need(self.form.close[1])
        else:
            raw = self._trimmed(self._raw(cursor, parameter, _properties(tool) - {key, *known}))
        if self.form.xml and _wraps(key, tool):
            return key, of_schema(raw, {"type": "object"}, {})
        return key, typed(raw, tool, key, containers=self.form.containers)

    def _trimmed(self, raw: str) -> str:
        if self.form.xml:
            return unescaped(raw.strip())
        if self.form.lines:
            return _no_line_break(raw)
        # A value on lines of its own, in a format that does not ask for them.
        return raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] == "\n" else raw

    @cached_property
    def _ends(self) -> re.Pattern[str]:
        """Where a value may end: at its end tag, and in a form that forgives its lack at what follows it."""
        form = self.form
        words = [re.escape(form.close[1])]
        if form.bare:
            words += [f"\n{re.escape(form.parameter)}", re.escape(form.close[0])]
        return re.compile("|".join(words))

    def _raw(self, cursor: Cursor, parameter: str, others: set[str]) -> str:
        """The text of a value, up to an end that the format goes on behind."""
        form, text, start = self.form, cursor.text, cursor.at
        for found in self._ends.finditer(text, start):
            if found[0] == form.close[1]:
                if self._goes_on(cursor, space(text, found.end()), parameter):
                    cursor.at = found.end()
                    return text[start : found.start()]
            elif found[0] == form.close[0]:
                if cursor.final and self._is_last(text, found.end()):
                    cursor.at = found.start()
                    return text[start : found.start()]
            elif _names(text, found.end(), others):
                cursor.at = found.start()
                return text[start : found.start()]
        raise CutError(">")

    def _goes_on(self, cursor: Cursor, at: int, parameter: str) -> bool:
        """Whether what may follow a value stands there."""
        if at == len(cursor.text):
            raise CutError
        follows = (parameter, self.form.close[0], *((self.form.section[1],) if self.form.bare else ()))
        return any(cursor.sees_at(marker, at) for marker in follows)

    def _is_last(self, text: str, at: int) -> bool:
        """Whether nothing but the section's end follows."""
        at = space(text, at)
        if text.startswith(self.form.section[1], at):
            at = space(text, at + len(self.form.section[1]))
        return at == len(text)

    # Writing.

    def _text(self, name: str, arguments: dict[str, Any]) -> str:
        whole, each = self.form.template
        parameters = "".join(_filled(each, "KEY", key, "VALUE", self._value(v)) for key, v in arguments.items())
        return _filled(whole, "NAME", name, "PARAMETERS", parameters)

    def _value(self, value: Any) -> str:
        if not isinstance(value, str):
            return write(value)
        if self.form.xml and (set("<&>") & set(value) or value.strip() != value):
            return _CDATA[0] + value.replace("]]>", "]]]]><![CDATA[>") + _CDATA[1]
        if not (self.form.lines or self.form.xml) and len(value) > 1 and value[0] == value[-1] == "\n":
            return f"\n{value}\n"
        return value


def _pass_line(cursor: Cursor) -> None:
    """Passes the tool's name alone on a line, which the call's start tag says again."""
    found = _NAME_LINE.match(cursor.text, cursor.at)
    if found is None or found.end() == len(cursor.text):
        raise CutError if found else BrokenError
    cursor.at = found.end()


def _filled(template: str, first: str, one: str, second: str, other: str) -> str:
    """The template with its two words replaced."""
    before, _, rest = template.partition(first)
    between, _, after = rest.partition(second)
    return f"{before}{one}{between}{other}{after}"


def _properties(tool: ToolDefinition | None) -> set[str]:
    """The parameters that a tool names."""
    properties = tool.parameters.get("properties") if tool else None
    return set(properties) if isinstance(properties, dict) else set()


def _wraps(key: str, tool: ToolDefinition | None) -> bool:
    """Whether this is no parameter of the tool, but around them all."""
    known = _properties(tool)
    return bool(known) and key in _WRAPPERS and key not in known


def _declared(arguments: dict[str, Any], tool: ToolDefinition | None) -> dict[str, Any]:
    """The arguments that the tool knows, out of what stands around them; the family's own reader drops others, too."""
    known = _properties(tool)
    if not tool or not known or tool.parameters.get("additionalProperties"):
        return arguments
    kept: dict[str, Any] = {}
    for key, value in arguments.items():
        if _wraps(key, tool):
            inner = {k: v for k, v in value.items() if k in known and k not in arguments} if _is_object(value) else {}
            if not inner:
                raise BrokenError
            kept |= inner
        elif key in known:
            kept[key] = value
    return kept


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _names(text: str, at: int, keys: set[str]) -> bool:
    """Whether the start tag whose name begins there is one of these parameters'."""
    name, found, _ = text[at : at + _NAME_CHARS].partition(">")
    if "\n" in name or "<" in name or (not found and len(name) == _NAME_CHARS):
        return False
    if not found:
        raise CutError(">\n")
    return name.strip().strip("\"'") in keys


def _no_line_break(raw: str) -> str:
    """Without the line break after the start tag and that before the end tag."""
    raw = raw[2:] if raw.startswith("\r\n") else raw.removeprefix("\n")
    return raw[:-2] if raw.endswith("\r\n") else raw.removesuffix("\n")


def _character_data(cursor: Cursor) -> str:
    """The text of the CDATA sections that follow each other here."""
    pieces: list[str] = []
    while cursor.take(_CDATA[0]):
        end = cursor.text.find(_CDATA[1], cursor.at)
        if end < 0:
            raise CutError
        pieces.append(cursor.text[cursor.at : end])
        cursor.at = end + len(_CDATA[1])
    return "".join(pieces)
