"""GigaChat 3 and 3.1: JSON behind a header of its own, in a message of its own.

    <|message_sep|>

    function call<|role_sep|>
    {"name": NAME, "arguments": {…}}

    <|function_call|>{"name": NAME, "arguments": {…}}

The forms are those of the models' chat templates (ai-sage/GigaChat3-10B-A1.8B and 3.1). GigaChat 3.5 writes DeepSeek's
elements with `｜GCML｜` for their mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text, write
from lumosai.dialects._marked_json import unmarked, usual_calls
from lumosai.dialects._scan import NotOneError, Scanner, judged
from lumosai.dialects.base import Found, No
from lumosai.dialects.deepseek_dsml import V4

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_NEXT = "<|message_sep|>"
_HEADERS = ("<|function_call|>", "function call<|role_sep|>")
_ANSWER = "assistant<|role_sep|>\n"
_ENDS = (_NEXT, "</s>")


class GigaChat:
    """One call a message."""

    name = "gigachat3"
    marked = True
    control = True
    aliases = ("gigachat", "gigachat31", "GigaChat3-10B-A1.8B", "GigaChat3.1-10B-A1.8B")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """The end of the message before, and both headers."""
        return (_NEXT, *_HEADERS)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            f'To call a tool, answer with:\n{_HEADERS[0]}{{"name": "TOOL", "arguments": {{"PARAMETER": VALUE}}}}'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call as the newer model writes it."""
        return f'{_HEADERS[0]}{{"name": {write(call.name)}, "arguments": {arguments_text(call)}}}'

    def show(self, result: ToolResultPart) -> str:
        """The result as JSON, whose text cannot end its message."""
        return unmarked(write({"name": result.name, "error" if result.is_error else "content": result.text}))

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:  # noqa: ARG002
        """The call of the message that begins here, or the header of one that is an answer."""
        return judged(_read, text, final=final)


def _read(s: Scanner) -> Found:
    behind = bool(s.take(_NEXT))
    s.blank()
    if behind and s.take(_ANSWER):
        return Found(s.at, ())
    s.need(*_HEADERS)
    s.blank()
    start = s.at
    try:
        value = s.value()
    except NotOneError:
        s.at = start
        value = s.value_before(*_ENDS)
    calls = usual_calls(value)
    if calls is None:
        raise NotOneError
    end = s.at
    s.blank()
    if s.done or s.take("</s>"):
        end = s.at
    return Found(end, calls)


_MARK, _THEIRS = "｜GCML｜", "｜DSML｜"
"""Of one length, so that what is found in a text with one stands at the same place in that with the other."""


class GigaChat35:
    """Elements as DeepSeek V4 writes them, with a mark of its own."""

    name = "gigachat3.5"
    marked = True
    control = True
    aliases = ("gigachat", "gcml")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """The beginnings of a section and of a call."""
        return (f"<{_MARK}tool_calls>", f"<{_MARK}invoke")

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return V4.describe(tools).replace(_THEIRS, _MARK)

    def encode(self, call: ToolCallPart) -> str:
        """The call in a section of its own.

        Raises:
            ValueError: a name or value holds the format's own markup, which it cannot escape.
        """
        text = V4.encode(call)
        if _MARK in text:
            raise ValueError(
                f"the call of {call.name!r} cannot be written in this dialect: it holds the mark {_MARK!r}"
            )
        return text.replace(_THEIRS, _MARK)

    def show(self, result: ToolResultPart) -> str:
        """The result between its tags, which its text cannot close."""
        return V4.show(result)

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls of the section, or the bare calls, that begin here."""
        verdict = V4.recognise(_as_theirs(text), tools, final=final)
        return No(verdict.until.replace(_THEIRS, _MARK)) if isinstance(verdict, No) else verdict


def _as_theirs(text: str) -> str:
    """The text with the other mark, also where it ends within one."""
    text = text.replace(_MARK, _THEIRS)
    for size in range(len(_MARK) - 1, 1, -1):
        if text.endswith(_MARK[:size]):
            return text[:-size] + _THEIRS[:size]
    return text
