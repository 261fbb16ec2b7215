"""Mistral: `[TOOL_CALLS]`, then a list of JSON calls or, since the eleventh tokenizer, a name and its arguments.

    [TOOL_CALLS] [{"name": NAME, "arguments": {…}}, …]
    [TOOL_CALLS]NAME[CALL_ID]123456789[ARGS]{…}[TOOL_CALLS]NAME[ARGS]{…}

The forms are those of mistral-common and of the models' chat templates; `[CALL_ID]` and `[ARGS]` may be missing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text, write
from lumosai.dialects._marked_json import usual_calls
from lumosai.dialects._scan import CutError, NotOneError, Scanner, judged
from lumosai.dialects.base import Found

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_OPEN = "[TOOL_CALLS]"
_HEAD = re.compile(r"([^\s\[\]{}<>]+)\s*(?:\[CALL_ID\]\s*\w*\s*)?(?:\[ARGS\]\s*)?")
_CUT_HEAD = re.compile(r"[^\s\[\]{}<>]{0,256}\s*(?:\[CALL_ID\]\s*\w{0,64}\s*)?(?:\[[A-Z_]{0,8}|\[ARGS\]\s*)?")
_ALIASES = ("mistral [TOOL_CALLS]", "mistral_nemo", "mistral_small", "ministral", "magistral", "devstral")
_FORBIDDEN = re.compile(r"[\s\[\]{}<>]")


class Mistral(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two forms; both are asked together by whichever name.

    Attributes:
        listed: whether calls are written as a list, as the older models do.
    """

    name: str
    aliases: tuple[str, ...]
    listed: bool
    marked: bool = True
    control: bool = True

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own marker
        """The marker."""
        return (_OPEN,)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = (
            '[{"name": "TOOL", "arguments": {"PARAMETER": VALUE}}]' if self.listed else 'TOOL[ARGS]{"PARAMETER": VALUE}'
        )
        return f"Tools:\n{signatures(tools)}\n\nTo call a tool, answer with:\n{_OPEN}{form}"

    def encode(self, call: ToolCallPart) -> str:
        """The call behind its marker.

        Raises:
            ValueError: the tool's name cannot be written without a list: it holds a blank or a bracket.
        """
        if self.listed:
            return f'{_OPEN} [{{"name": {write(call.name)}, "arguments": {arguments_text(call)}}}]'
        if _FORBIDDEN.search(call.name) or not call.name:
            raise ValueError(f"{call.name!r} cannot be written in this dialect: a name holds no blank and no bracket")
        return f"{_OPEN}{call.name}[ARGS]{arguments_text(call)}"

    def show(self, result: ToolResultPart) -> str:
        """The result between its markers, which its text cannot close."""
        body = {"name": result.name, "error" if result.is_error else "content": result.text}
        return f"[TOOL_RESULTS]{write(body).replace('[/', '[ /').replace('[TOOL', '[ TOOL')}[/TOOL_RESULTS]"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:  # noqa: ARG002
        """The calls behind the marker that begins here."""
        return judged(_read_list if self.listed else _read_one, text, final=final)


def _read_list(s: Scanner) -> Found:
    s.need(_OPEN)
    s.blank()
    if not s.see("[", "{"):
        raise NotOneError
    calls = usual_calls(s.value())
    if calls is None:
        raise NotOneError
    return Found(s.at, calls)


def _read_one(s: Scanner) -> Found:
    s.need(_OPEN)
    s.blank()
    start = s.at
    head = s.match(_HEAD)
    if s.at == len(s.text) or s.text[s.at] != "{":
        raise CutError if _CUT_HEAD.fullmatch(s.text, start) else NotOneError
    arguments = s.value()
    if head is None or not isinstance(arguments, dict):
        raise NotOneError
    return Found(s.at, (new_call(head[1], arguments),))


OLD = Mistral(name="mistral-v3", aliases=("mistral", "xlam", *_ALIASES), listed=True)
NEW = Mistral(name="mistral", aliases=("mistral_v3", *_ALIASES), listed=False)
