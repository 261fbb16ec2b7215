"""The third form of the Rust Lumosai: `name({json})` or `name(k=v, k2=v2)`, for declared names only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lumosai.dialects._alone import line_ends, waiting
from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text, space
from lumosai.dialects._lenient import read_block
from lumosai.dialects._literal import read_keywords
from lumosai.dialects.base import MORE, NO, Found, More, No

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition


class LegacyFunction:
    """A call as in code, alone on its lines. Values are literals, JSON's or Python's; nothing is evaluated."""

    name = "legacy-function"
    marked = False
    control = False
    aliases = ("granite_pythonic", "gemma3")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """Each declared name with its bracket."""
        return tuple(f"{name}(" for name in tools)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            "To call a tool, answer with one line, its arguments as JSON:\n"
            'NAME({"PARAMETER": VALUE})'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call with its arguments as JSON."""
        return f"{call.name}({arguments_text(call)})"

    def show(self, result: ToolResultPart) -> str:
        """The result as a shell for code would show it."""
        return f"{result.name}() {'failed: ' if result.is_error else '-> '}{result.text}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The call that begins here, if nothing else stands on its lines."""
        name = text.partition("(")[0]
        value = _arguments(text, len(name) + 1) if name in tools else NO
        if isinstance(value, More | No):
            return value
        arguments, end = value
        end += text.startswith(";", end)
        ends = line_ends(text, end, final=final)
        return ends if isinstance(ends, More) else Found(end, (new_call(name, arguments),)) if ends else NO


def _arguments(text: str, at: int) -> tuple[dict[str, Any], int] | More | No:
    start = space(text, at)
    if start == len(text):
        return MORE
    if text[start] != "{":
        return read_keywords(text, at) or NO
    found = waiting(read_block(text, start))
    if isinstance(found, More | No):
        return found
    end = space(text, found[1])
    if end == len(text):
        return MORE
    return (found[0], end + 1) if text[end] == ")" else NO
