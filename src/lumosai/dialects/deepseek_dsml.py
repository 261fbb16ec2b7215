"""DeepSeek V3.2 and V4: calls as elements whose tags are marked with `｜DSML｜`.

    <｜DSML｜function_calls>
    <｜DSML｜invoke name="NAME">
    <｜DSML｜parameter name="KEY" string="true">VALUE</｜DSML｜parameter>
    </｜DSML｜invoke>
    </｜DSML｜function_calls>

V4 says `tool_calls` for `function_calls`, and V4.1 `calls` and a blank behind the mark. `string` tells bare text from JSON. The forms are those of the models' own
encoders (deepseek-ai/DeepSeek-V3.2, encoding_dsv32.py); models also leave out the section, write `|` for `｜`, put all
arguments into one parameter, or write them as one JSON object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import write
from lumosai.dialects._scan import CutError, NotOneError, Scanner, judged
from lumosai.dialects._sections import HEADER, Section
from lumosai.dialects._tags import attributes, sure
from lumosai.dialects._typed import of_schema, tagged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition


_SPELLINGS = ("｜DSML｜", "｜DSML｜ ", "|DSML|", "|DSML| ", "｜｜DSML｜｜", "｜｜DSML｜｜ ")


def _ways(marker: str) -> tuple[str, ...]:
    """A marker as it is in the vocabulary, and as models spell it out of smaller pieces."""
    return tuple(marker.replace("｜DSML｜", written) for written in _SPELLINGS)


_SECTIONS = ("function_calls", "tool_calls", "calls")
_BEGINS = tuple(way for name in _SECTIONS for way in _ways(f"<｜DSML｜{name}>"))
_ENDS = tuple(way for name in _SECTIONS for way in _ways(f"</｜DSML｜{name}>"))
_CALL = _ways("<｜DSML｜invoke")
_CALL_END = _ways("</｜DSML｜invoke>")
_PARAMETER = _ways("<｜DSML｜parameter")
_PARAMETER_END = _ways("</｜DSML｜parameter>")
_STRAY = (*_ENDS, *_CALL_END, *_PARAMETER_END)
_IS_TEXT = {"true": True, "false": False}
_WRAPPERS = ("arguments", "input", "parameters")


class DeepSeekDsml(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two models' forms. Both are read alike, and asked together by whichever name.

    Attributes:
        section: what a section is called.
        mark: what the names of elements begin with.
        result: what stands around a tool's result.
    """

    name: str
    aliases: tuple[str, ...]
    section: str
    mark: str = _SPELLINGS[0]
    result: tuple[str, str]
    marked: bool = True
    control: bool = True

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """The beginnings of a section of this name and of a call."""
        return (*_ways(f"<｜DSML｜{self.section}>"), *_CALL, *_STRAY)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = self._around("TOOL", self._parameter("PARAMETER", "VALUE"))
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            f"To call a tool, answer in this form:\n{form}\n"
            'Text as it is, with string="true"; all else as JSON, with string="false".'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call in a section of its own; arguments that were no JSON in their own words.

        Raises:
            ValueError: a name or value holds the format's own markup, which it cannot escape.
        """
        if call.arguments is None:
            return self._around(call.name, call.raw or "")
        text = self._around(call.name, "".join(self._parameter(k, v) for k, v in call.arguments.items()))
        return sure(text, call, self.name, lambda text, tools: self.recognise(text, tools, final=True))

    def show(self, result: ToolResultPart) -> str:
        """The result between its tags, which its text cannot close."""
        start, end = self.result
        closing = end.strip().partition("\n")[0]
        text = result.text.replace(closing, closing.replace("</", "<\\/"))
        return f"{start}{'Error: ' if result.is_error else ''}{text}{end}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls of the section, or the bare calls, that begin here."""
        section = Section(
            begin=_BEGINS,
            end=_ENDS,
            call=_CALL,
            call_end=_CALL_END,
            after=("<｜end▁of▁sentence｜>",),
            stray=_STRAY,
            item=lambda s, _mark: _call(s, tools),
        )
        return judged(section.read, text, final=final)

    def _around(self, name: str, inner: str) -> str:
        mark, section = self.mark, self.section
        return f'<{mark}{section}>\n<{mark}invoke name="{name}">\n{inner}</{mark}invoke>\n</{mark}{section}>'

    def _parameter(self, key: str, value: Any) -> str:
        is_text = isinstance(value, str)
        text = value if is_text else write(value)
        about = f'name="{key}" string="{"true" if is_text else "false"}"'
        return f"<{self.mark}parameter {about}>{text}</{self.mark}parameter>\n"


def _call(s: Scanner, tools: Mapping[str, ToolDefinition]) -> ToolCallPart:
    about, is_empty = _tag(s)
    name = about.get("name", "").strip()
    if not name:
        raise NotOneError
    if is_empty:
        return new_call(name, {})
    s.blank()
    if s.see("{"):
        return new_call(name, s.object_before(*_CALL_END))
    tool = tools.get(name)
    arguments: dict[str, Any] = {}
    while not s.see(*_CALL_END):
        s.need(*_PARAMETER)
        about, _ = _tag(s)
        key = about.get("name", "")
        value = tagged(_text(s), tool, key, is_text=_IS_TEXT.get(about.get("string", "")))
        if not key or arguments.setdefault(key, value) != value:
            raise NotOneError
        s.blank()
    return new_call(name, _unwrapped(arguments, tool))


def _tag(s: Scanner) -> tuple[dict[str, str], bool]:
    """The attributes of the start tag that goes on here, which is passed, and whether it is its own end."""
    written = s.before(">", most=HEADER)
    s.need(">")
    return attributes(written), written.endswith("/")


def _text(s: Scanner) -> str:
    """The text up to an end tag that the format goes on behind, which is passed."""
    start = s.at
    while True:
        s.find(*_PARAMETER_END)
        end = s.at
        s.need(*_PARAMETER_END)
        behind = s.at
        s.blank()
        if s.at == len(s.text) and not s.final:
            raise CutError
        if s.see(*_PARAMETER, *_CALL_END):
            s.at = behind
            return s.text[start:end]


def _unwrapped(arguments: dict[str, Any], tool: ToolDefinition | None) -> dict[str, Any]:
    """The arguments out of the one parameter that holds them all, where the tool knows no such parameter."""
    if len(arguments) != 1:
        return arguments
    ((key, value),) = arguments.items()
    known = (tool.parameters.get("properties") or {}) if tool else {}
    if isinstance(value, str) and known:
        value = of_schema(value, {"type": "object"}, {})
    if key not in _WRAPPERS or key in known or not isinstance(value, dict):
        return arguments
    return value if not known or known.keys() & value.keys() else arguments


_SHARED = (
    "deepseek",
    "dsml",
    "deepseek dsml",
    "deepseek_v32",
    "deepseek32",
    "deepseek_v4",
    "deepseek4",
    "deepseek_v41",
    "deepseekv41",
)

V32 = DeepSeekDsml(
    name="deepseek-v3.2",
    aliases=(*_SHARED, "deepseek-ai-DeepSeek-V3.2"),
    section="function_calls",
    result=("<function_results>\n<result>", "</result>\n</function_results>"),
)
V4 = DeepSeekDsml(
    name="deepseek-v4",
    aliases=(*_SHARED, "deepseek-ai-DeepSeek-V4", "deepseek-ai-DeepSeek-V4-Flash"),
    section="tool_calls",
    result=("<tool_result>", "</tool_result>"),
)
V41 = DeepSeekDsml(
    name="deepseek-v4.1",
    aliases=(*_SHARED, "deepseek-ai-DeepSeek-V4.1"),
    section="calls",
    mark=_SPELLINGS[1],
    result=("<tool_result>", "</tool_result>"),
)
