"""The common shapes of a JSON call in a code fence at the end of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.dialects import _fence
from lumosai.dialects._calls import calls_of
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition


class FencedJson:
    """A `json` fence with `{"name": …, "arguments": {…}}`, several of them, or a list."""

    name = "fenced-json"
    marked = False
    control = False
    aliases = ("json", "plain", "xlam", "gemma", "gemma3", "phi4", "plain JSON / fenced")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The fences of Markdown; none where there is no tool that could be meant."""
        return _fence.OPENERS if tools else ()

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            "To call a tool, end your answer with its name and arguments as JSON, and nothing after it:\n"
            '```json\n{"name": "TOOL", "arguments": {"PARAMETER": VALUE}}\n```'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call in a fence."""
        return f'```json\n{{"name": {write(call.name)}, "arguments": {arguments_text(call)}}}\n```'

    def show(self, result: ToolResultPart) -> str:
        """The result in a fence of its own language."""
        key = "error" if result.is_error else "result"
        return f"```json\n{write({'tool': result.name, key: result.text})}\n```"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls of the fence that begins here."""
        return _fence.recognise_fenced(text, tools, final=final, calls_of=calls_of)
