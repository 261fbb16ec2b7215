"""Cohere's Command R7B, A and later: sections for thoughts, calls and the answer.

    <|START_THINKING|>THOUGHT<|END_THINKING|>
    <|START_ACTION|>[{"tool_call_id": "0", "tool_name": NAME, "parameters": {…}}]<|END_ACTION|>
    <|START_RESPONSE|>ANSWER<|END_RESPONSE|>

Later models say TEXT for RESPONSE. A thought is not shown. Command R and R+ write `Action:` and a JSON fence instead. The
forms are those of the models' chat templates (CohereForAI on Hugging Face).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lumosai.dialects._calls import calls_of
from lumosai.dialects._describe import signatures
from lumosai.dialects._fence import recognise_fenced
from lumosai.dialects._json import arguments_text, write
from lumosai.dialects._marked_json import unmarked, usual_calls
from lumosai.dialects._scan import CutError, NotOneError, Scanner, judged
from lumosai.dialects.base import MORE, NO, Found

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_ACTION, _ACTION_END = "<|START_ACTION|>", "<|END_ACTION|>"
_THOUGHT, _THOUGHT_END = "<|START_THINKING|>", "<|END_THINKING|>"
_OPENS = ("<|START_RESPONSE|>", "<|START_TEXT|>", "<|CHATBOT_TOKEN|>")
_TURN_END = "<|END_OF_TURN_TOKEN|>"
_ENDS = ("<|END_RESPONSE|>", "<|END_TEXT|>", _TURN_END, _THOUGHT_END)
_CITES = ("<co>", "<co:", "</co:")
_CITE = re.compile(r"</?co(?::[\s\d:,\[\]]{0,256})?>")
_CUT_CITE = re.compile(r"</?co:[\s\d:,\[\]]{0,256}")
_THOUGHT_STOPS = (_THOUGHT_END, _ACTION, *_OPENS, _TURN_END)
_KEYS = frozenset({"tool_name", "name", "parameters", "arguments", "tool_call_id"})
_WORD = re.compile(r"Action:[ \t]*\n?[ \t]*(?=`|\Z)")


class Cohere:
    """Calls as a list between two tokens, or one of them alone; the other tokens and the marks of citations are not shown."""

    name = "cohere"
    marked = True
    control = True
    aliases = (
        *("command", "command_a", "command_r7b", "cohere_command3", "cohere_command4", "cohere2", "Cohere2MoE"),
        *("cohere <|START_ACTION|>", "CohereForAI-c4ai-command-r7b-12-2024-tool_use"),
        "CohereForAI-c4ai-command-r-plus-tool_use",
    )

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """The sections' tokens, and what begins the mark of a citation."""
        return (_ACTION, _THOUGHT, *_OPENS, *_ENDS, *_CITES)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return f"Tools:\n{signatures(tools)}\n\nTo call a tool, answer with:\n" + _written(
            '{"tool_call_id": "0", "tool_name": "TOOL", "parameters": {"PARAMETER": VALUE}}'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call in a section of its own."""
        return _written(
            f'{{"tool_call_id": "0", "tool_name": {write(call.name)}, "parameters": {arguments_text(call)}}}'
        )

    def show(self, result: ToolResultPart) -> str:
        """The result in its section, which its text cannot end."""
        said = {"tool_name": result.name, "results": {"0": result.text}, "is_error": result.is_error or None}
        return f"<|START_TOOL_RESULT|>[{unmarked(write(said))}]<|END_TOOL_RESULT|>"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:  # noqa: ARG002
        """The section of calls or of a thought that begins here, or the token of another."""
        return judged(_read, text, final=final)


class CommandR:
    """`Action:` and a JSON fence, with which the answer ends."""

    name = "command-r"
    marked = False
    control = False
    aliases = ("cohere", "command", "cohere <|START_ACTION|>", "CohereForAI-c4ai-command-r-plus-tool_use")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The word; none where there is no tool that could be meant."""
        return ("Action:",) if tools else ()

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = _fenced('{"tool_name": "TOOL", "parameters": {"PARAMETER": VALUE}}')
        return f"Tools:\n{signatures(tools)}\n\nTo call a tool, end your answer with:\n{form}"

    def encode(self, call: ToolCallPart) -> str:
        """The call behind the word."""
        return _fenced(f'{{"tool_name": {write(call.name)}, "parameters": {arguments_text(call)}}}')

    def show(self, result: ToolResultPart) -> str:
        """The result between its tags, which its text cannot close."""
        text = result.text.replace("</results>", "<\\/results>")
        return f"<results>\n{'Error: ' if result.is_error else ''}{text}\n</results>"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls of the fence behind the word."""
        word = _WORD.match(text)
        if word is None:
            return NO
        if word.end() == len(text):
            return MORE
        verdict = recognise_fenced(text[word.end() :], tools, final=final, calls_of=calls_of, keys=_KEYS, loose=True)
        return Found(word.end() + verdict.end, verdict.calls, last=True) if isinstance(verdict, Found) else verdict


def _written(call: str) -> str:
    return f"{_ACTION}[\n    {call}\n]{_ACTION_END}"


def _fenced(call: str) -> str:
    return f"Action: ```json\n[\n    {call}\n]```"


def _read(s: Scanner) -> Found:
    if s.take(*_OPENS):
        return Found(s.at, (), opens=True)
    if s.take(_THOUGHT):
        return _thought(s)
    if s.take(*_ENDS):
        return Found(s.at, (), opens=True)
    if s.text.startswith(_CITES, s.at):
        return _cite(s)
    s.need(_ACTION)
    s.blank()
    if s.at < len(s.text) and s.text[s.at] not in "{[":
        raise NotOneError(_ACTION_END)
    value = s.value_before(_ACTION_END, _TURN_END, until=_ACTION_END)
    calls = () if value == [] else usual_calls(value)
    if calls is None:
        raise NotOneError(_ACTION_END)
    if not s.ended(_ACTION_END):
        s.take(_ACTION_END)
    return Found(s.at, calls, opens=True)


def _cite(s: Scanner) -> Found:
    """The mark at either end of what a document or a result is cited for."""
    if not s.match(_CITE):
        raise CutError if _CUT_CITE.fullmatch(s.text, s.at) else NotOneError
    return Found(s.at, (), named=True)


def _thought(s: Scanner) -> Found:
    """A thought, which the end of the answer ends as well."""
    try:
        stop = s.find(*_THOUGHT_STOPS)
    except CutError:
        if not s.final:
            raise
        s.at = len(s.text)
    else:
        s.at += len(stop) if stop == _THOUGHT_END else 0
    return Found(s.at, (), opens=True)
