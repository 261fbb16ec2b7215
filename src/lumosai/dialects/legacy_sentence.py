"""The second form of the Rust Lumosai, the one its prompt asks for: `Using the tool 'NAME' with parameters: {…}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.dialects._alone import line_ends, waiting
from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import parameters
from lumosai.dialects._json import arguments_text, space
from lumosai.dialects._lenient import read_block
from lumosai.dialects.base import MORE, NO, Found, More, No

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_QUOTES = (("'", "'"), ('"', '"'), ("`", "`"), ("‘", "’"), ("“", "”"), ("", ""))
_BEGIN = ("Using the tool ", "using the tool ")
_MIDDLE = (" with parameters:", " with parameters：", " with arguments:")


class LegacySentence:
    """The sentence, with any quotes around the name; the object may go over several lines."""

    name = "legacy-sentence"
    marked = False
    control = False
    aliases: tuple[str, ...] = ()

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The sentence up to the name."""
        return tuple(b + q[0] for b in _BEGIN for q in _QUOTES) if tools else ()

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools, their parameters, and the sentence."""
        listed = "\n".join(_listed(tool) for tool in tools)
        return (
            f"You can use these tools:\n{listed}\n\n"
            "To use a tool, answer with exactly this line, the parameters as JSON:\n"
            "Using the tool 'NAME' with parameters: {\"PARAMETER\": VALUE}"
        )

    def encode(self, call: ToolCallPart) -> str:
        """The sentence."""
        return f"Using the tool '{call.name}' with parameters: {arguments_text(call)}"

    def show(self, result: ToolResultPart) -> str:
        """The result in a sentence."""
        return f"The tool '{result.name}' {'failed' if result.is_error else 'returned'}: {result.text}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The call of the sentence that begins here."""
        heads = [(name, head) for name in tools for head in _heads(name)]
        name, at = next(((n, len(h)) for n, h in heads if text.startswith(h)), ("", 0))
        if not name:
            return MORE if any(h.startswith(text) for _, h in heads) else NO
        at = space(text, at)
        if at == len(text):
            return MORE
        if text[at] != "{":
            return NO
        value = waiting(read_block(text, at))
        if isinstance(value, More | No):
            return value
        arguments, end = value
        end += text.startswith((".", "。"), end)
        ends = line_ends(text, end, final=final)
        return ends if isinstance(ends, More) else Found(end, (new_call(name, arguments),)) if ends else NO


def _heads(name: str) -> list[str]:
    return [f"{b}{q[0]}{name}{q[1]}{m}" for b in _BEGIN for q in _QUOTES for m in _MIDDLE]


def _listed(tool: ToolDefinition) -> str:
    lines = [f"- {tool.name}: {' '.join(tool.description.split())}"]
    each = parameters(tool)
    if each:
        lines.append("  Parameters:")
        lines.extend(
            f"  - {p.name} ({p.type}, {'required' if p.required else 'optional'}): {p.description or p.name}"
            for p in each
        )
    return "\n".join(lines)
