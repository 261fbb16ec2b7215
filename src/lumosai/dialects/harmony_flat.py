"""Harmony without its tokens, as a server gives it that drops them: their words run into each other.

    analysisTHOUGHTassistantcommentary to=functions.NAME json{…}
    analysisTHOUGHTassistantfinalANSWER

The words are none that only such a model writes, so a call counts only if a declared tool takes it, and a thought only if
another message follows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._fit import fits
from lumosai.dialects._json import arguments_text
from lumosai.dialects._scan import CutError, NotOneError, Scanner, judged
from lumosai.dialects.base import Found

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_COMMENTARY, _ANALYSIS, _FINAL = "assistantcommentary", "assistantanalysis", "assistantfinal"
_NEXT = (_COMMENTARY, _ANALYSIS, _FINAL)
_FIRST = "analysis"
"""With what an answer begins whose prompt ended with the name of the speaker."""
_THOUGHT = re.compile(r"(?:assistant)?analysis(?=[A-Z\"'“(])")
_CALL = re.compile(r"(?:assistant)?commentary to=(?:functions\.)?([^\s{}<>]{1,256}?)[ \t]*(?:json|code)?[ \t]*(?=\{)")
_CUT_CALL = re.compile(
    r"(?:assistant)?commentary(?: (?:t(?:o(?:=[^\s{}<>]{0,264}[ \t]*(?:j(?:s(?:on?)?)?|c(?:o(?:de?)?)?)?[ \t]*)?)?)?)?"
)
_JSON = "json"
_FORBIDDEN = re.compile(r"[\s{}<>]|json$|code$")


class HarmonyFlat:
    """Each message is read by itself, as in harmony."""

    name = "harmony-flat"
    marked = True
    control = False
    aliases = ("harmony", "gpt_oss", "openai", "gpt-oss harmony", "openai-gpt-oss-120b", "openai-gpt-oss-20b")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The words with which a message begins; none where there is no tool that could be meant."""
        return (*_NEXT, _FIRST, "commentary to=") if tools else ()

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = _written("TOOL", '{"PARAMETER": VALUE}')
        return f"Tools:\n{signatures(tools)}\n\nTo call a tool, answer with:\n{form}"

    def encode(self, call: ToolCallPart) -> str:
        """The call as a message of its own.

        Raises:
            ValueError: the tool's name cannot be written: it holds a blank or a bracket, or ends like a type.
        """
        if _FORBIDDEN.search(call.name) or not call.name:
            raise ValueError(f"{call.name!r} cannot be written in this dialect: a name holds no blank and no bracket")
        return _written(call.name, arguments_text(call))

    def show(self, result: ToolResultPart) -> str:
        """The result as a message of the tool's."""
        return f"functions.{result.name} to=assistantcommentary{'Error: ' if result.is_error else ''}{result.text}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The message that begins here."""
        return judged(lambda s: _read(s, tools), text, final=final)


def _written(name: str, arguments: str) -> str:
    return f"{_COMMENTARY} to=functions.{name} {_JSON}{arguments}"


def _read(s: Scanner, tools: Mapping[str, ToolDefinition]) -> Found:
    if s.take(_FINAL):
        return Found(s.at, (), opens=True)
    if s.text.startswith((_ANALYSIS, _FIRST), s.at):
        return _thought(s)
    start = s.at
    head = s.match(_CALL)
    if head is None:
        raise CutError if _CUT_CALL.fullmatch(s.text, start) else NotOneError
    arguments = s.value()
    name = head[1] + _JSON if head[1] + _JSON in tools else head[1]
    if not isinstance(arguments, dict) or not fits(new_call(name, arguments), tools):
        raise NotOneError
    s.take("<|call|>")
    return Found(s.at, (new_call(name, arguments),), opens=True)


def _thought(s: Scanner) -> Found:
    """A thought up to the message behind it, which is left."""
    start = s.at
    if not s.match(_THOUGHT):
        words = (_ANALYSIS, _FIRST)
        raise CutError if any(s.text[start:] == word for word in words) else NotOneError
    s.find(*_NEXT)
    return Found(s.at, (), opens=True)
