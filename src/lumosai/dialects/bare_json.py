"""The common shapes of a JSON call as they stand, on lines of their own: what small models write most."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lumosai.dialects._alone import call_value, line_ends
from lumosai.dialects._calls import calls_of
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text, write
from lumosai.dialects.base import MORE, NO, Found, More, No

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_BETWEEN = re.compile(r"[ \t\r]*(?:[;,][ \t\r]*\n?[ \t\r]*)?")
_CUT_BETWEEN = re.compile(r"[ \t\r]*[;,][ \t\r]*\n?[ \t\r]*")


class BareJson:
    """`{"name": …, "arguments": {…}}`, a list of them, or several with `;` or `,` between."""

    name = "json"
    marked = False
    control = False
    aliases = (
        "plain",
        "xlam",
        "llama3",
        "llama3_json",
        "llama4_json",
        *("llama3.2", "llama4", "gemma", "gemma3", "granite", "lfm2", "phi4", "phi4_mini_json"),
        "plain JSON / fenced",
        'llama3 json {"name","parameters"} / <|python_tag|>',
    )

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The brackets of JSON; none where there is no tool that could be meant."""
        return ("{", "[") if tools else ()

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            "To call a tool, answer only with JSON, one line a call:\n"
            '{"name": "TOOL", "arguments": {"PARAMETER": VALUE}}'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call on one line."""
        return f'{{"name": {write(call.name)}, "arguments": {arguments_text(call)}}}'

    def show(self, result: ToolResultPart) -> str:
        """The result as JSON."""
        return write({"tool": result.name, "error" if result.is_error else "result": result.text})

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls of the JSON that begins here, if nothing else stands on its lines."""
        calls: tuple[ToolCallPart, ...] = ()
        at = 0
        while True:
            value = call_value(text, at, tools)
            if isinstance(value, More | No):
                return value
            found, end = calls_of(value[0]), value[1]
            if found is None:
                return NO
            calls += found
            between = _BETWEEN.match(text, end)
            at = between.end() if between else end
            if at == len(text) or text[at] not in "{[":
                break
        if at == len(text) and _CUT_BETWEEN.fullmatch(text, end):
            return MORE
        ends = line_ends(text, end, final=final)
        return ends if isinstance(ends, More) else Found(end, calls) if ends else NO
