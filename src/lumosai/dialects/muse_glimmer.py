"""Muse Glimmer: messages with a recipient, and in those to a tool a call as elements.

     to=self<|message|>THOUGHT<|eom|>
    <|start|>assistant to=NAME<|message|><atem:function_calls>
    <atem:invoke name="NAME">
    <atem:parameter name="KEY">VALUE</atem:parameter>
    </atem:invoke>
    </atem:function_calls><|eom|>
    <|start|>assistant to=user<|message|>ANSWER<|eot|>

The first header begins where the prompt ended. The form is that of the model's chat template, as vLLM reads it; the
elements count by themselves as well.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from lumosai.dialects._elements import Elements, Form
from lumosai.dialects._scan import CutError, NotOneError, Scanner, judged
from lumosai.dialects.base import NO, Found, More, No

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_START, _MESSAGE = "<|start|>assistant", "<|message|>"
_ENDS = ("<|eom|>", "<|eot|>")
_TO = "to="
_RECIPIENT = re.compile(r"to=([^\s<>|{}]{1,256})<\|message\|>")
_CUT_RECIPIENT = re.compile(r"(?:t(?:o(?:=[^\s<>|{}]{0,256})?)?)?")
_INVOKE = "<atem:invoke name="

_ELEMENTS = Elements(
    "muse-glimmer",
    Form(
        call=_INVOKE,
        parameter="<atem:parameter name=",
        close=("</atem:invoke>", "</atem:parameter>"),
        section=("<atem:function_calls>", "</atem:function_calls>"),
        template=(
            '<atem:function_calls>\n<atem:invoke name="NAME">\nPARAMETERS</atem:invoke>\n</atem:function_calls>',
            '<atem:parameter name="KEY">VALUE</atem:parameter>\n',
        ),
    ),
)


class MuseGlimmer:
    """The elements, in a message or alone. What a message says to nobody but the model is not shown."""

    name = "muse-glimmer"
    marked = True
    control = True
    aliases = ("atem", "muse")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The elements' own, the beginnings of a header, and what ends a message."""
        return (*_ELEMENTS.openers(tools), _START, _TO, *_ENDS)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        return _ELEMENTS.describe(tools)

    def encode(self, call: ToolCallPart) -> str:
        """The call as elements.

        Raises:
            ValueError: a name or value holds the format's own markup, which it cannot escape.
        """
        return _ELEMENTS.encode(call)

    def show(self, result: ToolResultPart) -> str:
        """The result between its tags, which its text cannot close."""
        return _ELEMENTS.show(result)

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls, the message or the header that begins here."""
        if text.startswith("<atem:"):
            return _once_named(_ELEMENTS.recognise(text, tools, final=final), tools)
        return judged(lambda s: _read(s, tools), text, final=final)


def _read(s: Scanner, tools: Mapping[str, ToolDefinition]) -> Found:
    if s.take(*_ENDS):
        return Found(s.at, ())
    s.take(_START)
    s.blank()
    header = s.match(_RECIPIENT)
    if header is None:
        rest = s.text[s.at :]
        cut = _CUT_RECIPIENT.match(rest)
        raise CutError if cut and _MESSAGE.startswith(rest[cut.end() :]) else NotOneError
    if header[1] == "self":
        return _thought(s)
    if header[1] == "user":
        return Found(s.at, (), opens=True)
    return _call(s, tools)


def _thought(s: Scanner) -> Found:
    """A message to the model itself, which the end of the answer ends as well."""
    try:
        s.find(*_ENDS)
    except CutError:
        if not s.final:
            raise
        s.at = len(s.text)
    else:
        s.take(*_ENDS)
    return Found(s.at, (), opens=True)


def _call(s: Scanner, tools: Mapping[str, ToolDefinition]) -> Found:
    s.blank()
    if not s.see("<atem:function_calls>", _INVOKE):
        if s.at == len(s.text):
            raise CutError
        raise NotOneError
    verdict = _once_named(_ELEMENTS.recognise(s.text[s.at :], tools, final=s.final), tools)
    if isinstance(verdict, More):
        raise CutError(verdict.until)
    if isinstance(verdict, No):
        raise NotOneError(verdict.until)
    s.at += verdict.end
    s.take(*_ENDS)
    return Found(s.at, verdict.calls, opens=True)


def _once_named(verdict: Verdict, tools: Mapping[str, ToolDefinition]) -> Verdict:
    """With `NAME.NAME`, which the model writes for a tool without a namespace, as the tool's own name."""
    if not isinstance(verdict, Found):
        return verdict
    calls = tuple(msgspec.structs.replace(c, name=_once(c.name, tools)) for c in verdict.calls)
    return msgspec.structs.replace(verdict, calls=calls) if calls else NO


def _once(name: str, tools: Mapping[str, ToolDefinition]) -> str:
    space, _, own = name.rpartition(".")
    return own if space == own and name not in tools and own in tools else name
