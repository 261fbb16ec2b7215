"""Llama 3: JSON behind `<|python_tag|>`, or a call as in code, `NAME.call(k="v")`, for the tools built in.

Without the tag the model writes bare JSON, `{"name": …, "parameters": {…}}`, which is another dialect's; both are asked
together by this one's name. The forms are those of the model's prompt format (meta-llama/llama-models).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._calls import calls_of
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text, write
from lumosai.dialects._literal import read_keywords
from lumosai.dialects._scan import CutError, NotOneError, Scanner, judged, mend
from lumosai.dialects.base import Found, More

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_OPEN = "<|python_tag|>"
_ENDS = ("<|eom_id|>", "<|eot_id|>")
_SEPARATORS = (";", ",")
_NAME = re.compile(r"([^\W\d][\w-]*)\.call\(")
_CUT_NAME = re.compile(r"(?:[^\W\d][\w-]{0,127})?(?:\.(?:c(?:a(?:ll?)?)?)?)?")


class Llama3:
    """Behind the tag the answer is calls to its end, several with `;` between."""

    name = "llama3"
    marked = True
    control = True
    aliases = ("llama", "llama3_json", "llama4_json", "llama_3_1", 'llama3 json {"name","parameters"} / <|python_tag|>')

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own marker
        """The tag."""
        return (_OPEN,)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            f'To call a tool, answer with:\n{_OPEN}{{"name": "TOOL", "parameters": {{"PARAMETER": VALUE}}}}'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call behind the tag."""
        return f'{_OPEN}{{"name": {write(call.name)}, "parameters": {arguments_text(call)}}}'

    def show(self, result: ToolResultPart) -> str:
        """The result as JSON."""
        return write({"tool": result.name, "error" if result.is_error else "output": result.text})

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:  # noqa: ARG002
        """The calls behind the tag that begins here."""
        return judged(_read, text, final=final)


def _read(s: Scanner) -> Found:
    s.need(_OPEN)
    calls: list[ToolCallPart] = []
    while True:
        s.blank()
        calls.extend(_json_calls(s) if s.see("{", "[") else (_code_call(s),))
        end = s.at
        s.blank()
        if s.done or s.take(*_ENDS):
            return Found(s.at, tuple(calls))
        if not s.take(*_SEPARATORS) and not s.see("{"):
            return Found(end, tuple(calls))


def _json_calls(s: Scanner) -> tuple[ToolCallPart, ...]:
    found = calls_of(s.value(), loose=True, mend=mend)
    if found is None:
        raise NotOneError
    return found


def _code_call(s: Scanner) -> ToolCallPart:
    start = s.at
    name = s.match(_NAME)
    if name is None:
        raise CutError if _CUT_NAME.fullmatch(s.text, start) else NotOneError
    arguments = read_keywords(s.text, s.at)
    if isinstance(arguments, More):
        raise CutError
    if arguments is None:
        raise NotOneError
    s.at = arguments[1]
    return new_call(name[1], arguments[0])
