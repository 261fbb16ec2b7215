"""Harmony, the format of gpt-oss: messages with a channel and a recipient.

    <|channel|>analysis<|message|>THOUGHT<|end|>
    <|start|>assistant<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{…}<|call|>
    <|start|>assistant<|channel|>final<|message|>ANSWER<|return|>

What goes to a recipient is a call, what is said on the channel of analysis a thought, which is not shown, and all else
is the answer. A header may say the recipient before or behind the channel, and the first one of an answer begins where
the prompt ended. The form is that of openai/harmony, its guide and its renderer.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text
from lumosai.dialects._scan import CutError, NotOneError, Scanner, judged
from lumosai.dialects._sections import HEADER
from lumosai.dialects.base import Found
from lumosai.messages import ToolCallPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolResultPart
    from lumosai.records import ToolDefinition

_START, _CHANNEL, _CONSTRAIN, _MESSAGE = "<|start|>", "<|channel|>", "<|constrain|>", "<|message|>"
_MOST_ENDS = 4
"""As many ends are passed at once, so that a run of them is not read from each."""
_HEADS = (_START, _CHANNEL)
_ENDS = ("<|call|>", "<|end|>", "<|return|>")
_STOPS = (*_ENDS, *_HEADS)
_MODEL = "assistant"
_CHANNELS = ("analysis", "commentary", "final")
_THOUGHT_STOPS = (*_ENDS, f"{_START}{_MODEL}", *(f"{_CHANNEL}{name}" for name in _CHANNELS))
_FILLERS = ("commentary", _MODEL, "analysis", "final")
"""Words that the model writes behind a call, on its way to the next header."""
_TO = "to="
_RECIPIENT = re.compile(r"to=[^\s<>|{}]{1,256}[ \t]*(?:\w{1,32}[ \t]*)?(?=<\||\Z)")
_CUT_RECIPIENT = re.compile(r"to=[^\s<>|{}]{0,256}[ \t]*(?:\w{1,32}[ \t]*)?<?")
_PIECE = re.compile(r"\s+|<\|(?:start|channel|constrain)\|>|to=([^\s<>|]+)|[\w./:=+-]+")
_NO_RECIPIENTS = frozenset({"assistant", "user", "self", "all"})
_NAMESPACE = "functions."
_FORBIDDEN = re.compile(r"[\s<>|{}]")


class Header(msgspec.Struct, frozen=True):
    """What a message's header says.

    Attributes:
        role: who speaks; "" where it is the model.
        channel: "analysis", "commentary", "final", or "" where it says none.
        recipient: to whom; "" where it is the user.
    """

    role: str
    channel: str
    recipient: str


class Harmony:
    """Each message is read by itself; one without a recipient only to the end of its header."""

    name = "harmony"
    marked = True
    control = True
    aliases = ("gpt_oss", "openai", "gpt-oss harmony", "openai-gpt-oss-120b", "openai-gpt-oss-20b", "gpt-oss-120b")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """The beginnings of a header, and what ends a message."""
        return (*_HEADS, *_ENDS, _TO)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = _written("TOOL", '{"PARAMETER": VALUE}')
        return f"Tools:\n{signatures(tools)}\n\nTo call a tool, answer with:\n{form}"

    def encode(self, call: ToolCallPart) -> str:
        """The call as a message of its own.

        Raises:
            ValueError: the tool's name cannot be written: it holds a blank, a bracket or a bar.
        """
        if _FORBIDDEN.search(call.name) or not call.name:
            raise ValueError(f"{call.name!r} cannot be written in this dialect: a name holds no blank, bracket or bar")
        return _written(call.name, arguments_text(call))

    def show(self, result: ToolResultPart) -> str:
        """The result as a message of the tool's, which its text cannot end."""
        text = result.text.replace("<|", "< |")
        said = f"{'Error: ' if result.is_error else ''}{text}"
        return f"{_START}{_NAMESPACE}{result.name} to=assistant{_CHANNEL}commentary{_MESSAGE}{said}<|end|>"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The message that begins here, or the end of one."""
        return judged(lambda s: _read(s, tools), text, final=final)


def _written(name: str, arguments: str) -> str:
    return f"{_START}{_MODEL}{_CHANNEL}commentary to={_NAMESPACE}{name} {_CONSTRAIN}json{_MESSAGE}{arguments}{_ENDS[0]}"


def _read(s: Scanner, tools: Mapping[str, ToolDefinition]) -> Found:
    if s.take(*_ENDS):
        return _end(s)
    header = _header(s)
    if header.role or (header.channel == "analysis" and not header.recipient):
        return _thought(s)
    if not header.recipient:
        return Found(s.at, (), opens=True)
    start = s.at
    try:
        call = _call(s, header.recipient, tools)
    except (NotOneError, CutError) as error:
        if isinstance(error, CutError) and not s.final:
            raise
        s.at = start
        raise NotOneError(_closing(s)) from None
    _pass_end(s)
    return Found(s.at, (call,), opens=True)


def _closing(s: Scanner) -> str:
    """The marker up to which a broken call goes."""
    try:
        stop = s.find(*_STOPS)
    except CutError:
        return _MESSAGE
    return stop if stop in _ENDS else _MESSAGE


def _end(s: Scanner) -> Found:
    """The end of a message, if another follows, or none of anything."""
    _pass_end(s)
    at = s.at
    s.blank()
    if not s.done and not s.see(*_STOPS):
        raise NotOneError
    return Found(at, ())


def _pass_end(s: Scanner) -> None:
    """Passes what ends a message, and the word behind it that belongs to neither."""
    for _ in range(_MOST_ENDS):
        if not s.take(*_ENDS):
            break
    at = s.at
    if s.take(*_FILLERS) and not (s.done or s.see(*_HEADS)):
        s.at = at


def _header(s: Scanner) -> Header:
    if s.text.startswith(_TO, s.at) and not _RECIPIENT.match(s.text, s.at):
        raise CutError if _CUT_RECIPIENT.fullmatch(s.text, s.at) else NotOneError
    begins = s.text.startswith(_START, s.at)
    written = s.before(_MESSAGE, "{", *_ENDS, most=HEADER)
    said = _said(written)
    if said is None:
        raise NotOneError
    words, recipients = said
    role = words[1] if begins and len(words) > 1 and not words[1].startswith("<") else ""
    channel = next((word.lower() for word, before in pairwise(reversed(words)) if before == _CHANNEL), "")
    recipient = next((r for r in reversed(recipients) if r not in _NO_RECIPIENTS), "")
    if not (recipient or role or channel in _CHANNELS):
        raise NotOneError
    if not s.take(_MESSAGE) and not (recipient and s.see("{")):
        raise NotOneError
    if role.startswith(_MODEL):  # some leave out the token behind it
        return Header("", channel or role.removeprefix(_MODEL), recipient)
    return Header(role, channel, recipient)


def _said(written: str) -> tuple[list[str], list[str]] | None:
    """The words and tokens of a header, and its recipients; None where it is none."""
    words: list[str] = []
    recipients: list[str] = []
    at = 0
    while at < len(written):
        found = _PIECE.match(written, at)
        if found is None:
            return None
        if found[1]:
            recipients.append(found[1])
        elif not found[0].isspace():
            words.append(found[0])
        at = found.end()
    return words, recipients


def _thought(s: Scanner) -> Found:
    """A message that is not for the user, which the end of the answer ends as well."""
    try:
        s.find(*_THOUGHT_STOPS)
    except CutError:
        if not s.final:
            raise
        s.at = len(s.text)
    else:
        _pass_end(s)
    return Found(s.at, (), opens=True)


def _call(s: Scanner, recipient: str, tools: Mapping[str, ToolDefinition]) -> ToolCallPart:
    name = recipient.removeprefix(_NAMESPACE)
    if not name:
        raise NotOneError
    start = s.at
    s.blank()
    if s.see("{"):
        return new_call(name, s.object_before(*_STOPS))
    s.at = start
    try:
        s.find(*_STOPS)
    except CutError:
        # A text may have been cut off anywhere, so it is not for a tool that there is.
        if not s.final or name in tools:
            raise
        s.at = len(s.text)
    return _of_text(name, s.text[start : s.at], tools)


def _of_text(name: str, text: str, tools: Mapping[str, ToolDefinition]) -> ToolCallPart:
    """A call whose body is no JSON: code, or the one text that a tool takes."""
    if not text.strip():
        return new_call(name, {})
    properties: Any = tools[name].parameters.get("properties") if name in tools else None
    keys = list(properties) if isinstance(properties, dict) else []
    if len(keys) == 1:
        return new_call(name, {keys[0]: text})
    if name == "python":
        return new_call(name, {"code": text})
    return ToolCallPart("", name, None, text)
