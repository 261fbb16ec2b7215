"""The first form of the Rust Lumosai: a fenced `{"tool": …, "parameters": …}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lumosai.dialects import _fence
from lumosai.dialects._calls import call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text, read_object, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_KEYS = frozenset({"tool", "parameters"})


class LegacyJson:
    """A `json` fence with `{"tool": NAME, "parameters": {…}}`.

    Parameters that are a string of JSON are read; any other value becomes `{"value": …}`, as it did there.
    """

    name = "legacy-json"
    marked = False
    control = False
    aliases: tuple[str, ...] = ()

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The fences of Markdown; none where there is no tool that could be meant."""
        return _fence.OPENERS if tools else ()

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            "To use a tool, end your answer with this block and nothing after it:\n"
            '```json\n{"tool": "NAME", "parameters": {"PARAMETER": VALUE}}\n```'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call in a fence."""
        return f'```json\n{{"tool": {write(call.name)}, "parameters": {arguments_text(call)}}}\n```'

    def show(self, result: ToolResultPart) -> str:
        """The result in a fence."""
        key = "error" if result.is_error else "result"
        return f"```json\n{write({'tool': result.name, key: result.text})}\n```"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls of the fence that begins here."""
        return _fence.recognise_fenced(text, tools, final=final, calls_of=_calls_of, keys=_KEYS)


def _calls_of(value: Any) -> tuple[ToolCallPart, ...] | None:
    if not isinstance(value, dict) or value.keys() != _KEYS or not isinstance(value["tool"], str):
        return None
    return (call(value["tool"], _parameters(value["parameters"])),)


def _parameters(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    packed = read_object(value) if isinstance(value, str) else None
    return {"value": value} if packed is None else packed
