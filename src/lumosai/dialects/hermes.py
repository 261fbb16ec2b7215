"""Hermes and Qwen 2: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.

The form is that of the Hermes function-calling prompt (NousResearch/Hermes-Function-Calling), which Qwen 2 and 2.5,
many fine-tunes and most serving engines took over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lumosai.dialects._calls import calls_of
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text, space, write
from lumosai.dialects._lenient import read_loose
from lumosai.dialects._scan import mend
from lumosai.dialects.base import MORE, NO, Found, More, No, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_OPEN = "<tool_call>"
_CLOSE = "</tool_call>"
_FAILED = No(_CLOSE)
_CLOSING = More(">")


class Hermes:
    """JSON between `<tool_call>` and `</tool_call>`; slightly broken JSON is mended. A missing end tag is no call, but before the next start tag."""

    name = "hermes"
    marked = True
    control = False
    aliases = (
        *("qwen", "qwen2", "qwen25", "qwen3", "hermes-2-pro", "nous", "hermes <tool_call>{json}"),
        *("ernie", "ernie45", "ernie45_moe", "Reka-Edge", "reka", "xlam", "granite", "granite4", "ling", "ring"),
    )

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own marker
        """The start tag."""
        return (_OPEN,)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            "To call a tool, answer with its name and arguments as JSON in these tags:\n"
            f'{_OPEN}\n{{"name": "TOOL", "arguments": {{"PARAMETER": VALUE}}}}\n{_CLOSE}'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call between its tags."""
        return f'{_OPEN}\n{{"name": {write(call.name)}, "arguments": {arguments_text(call)}}}\n{_CLOSE}'

    def show(self, result: ToolResultPart) -> str:
        """The result between `<tool_response>` tags, which its text cannot close."""
        key = "error" if result.is_error else "content"
        body = write({"name": result.name, key: result.text}).replace("</", "<\\/")
        return f"<tool_response>\n{body}\n</tool_response>"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:  # noqa: ARG002, PLR0911
        """The calls between the tags that begin here."""
        start = at = space(text, len(_OPEN))
        if at == len(text):
            return MORE
        if text[at] not in "{[":
            return _FAILED if text[at] == "<" or "\n" in text[len(_OPEN) : at] else NO
        calls: tuple[ToolCallPart, ...] = ()
        while text[at] in "{[":
            value = read_loose(text, at)
            if isinstance(value, More) and not final:
                return _CLOSING
            if value is None or isinstance(value, More):
                return _mended(text, start)
            found = calls_of(value[0], loose=True, mend=_mend)
            if found is None:
                return _FAILED
            calls += found
            at = space(text, value[1])
            if at == len(text):
                return MORE if not final else _FAILED
        return _ended(text, at, calls, final=final) or (_mended(text, start) if text[at] in "}])" else _FAILED)


def _ended(text: str, at: int, calls: tuple[ToolCallPart, ...], *, final: bool) -> Verdict | None:
    """The calls that end at `at`, with their end tag or before the next start tag; None where neither stands there."""
    if text.startswith((_CLOSE, _OPEN), at):
        return Found(at + (len(_CLOSE) if text.startswith(_CLOSE, at) else 0), calls)
    if any(tag.startswith(text[at:]) for tag in (_CLOSE, _OPEN)):
        return MORE if not final else _FAILED
    return None


def _mended(text: str, start: int) -> Verdict:
    """What the broken JSON up to the next end tag means; a call where that is beyond doubt."""
    end, again = text.find(_CLOSE, start), text.find(_OPEN, start)
    if again >= 0 and (end < 0 or again < end):
        return _FAILED
    if end < 0:
        return _CLOSING
    value = _mend(text[start:end])
    calls = calls_of(value, loose=True, mend=_mend) if value else None
    return Found(end + len(_CLOSE), calls) if calls else _FAILED


def _mend(raw: str) -> dict[str, Any] | None:
    return mend(raw, closed=True)
