"""Gemma 4 and FunctionGemma: `call:NAME{…}` between tokens, strings between tokens of their own.

    <|tool_call>call:NAME{city:<|"|>Paris<|"|>,days:3}<tool_call|>
    <start_function_call>call:NAME{city:<escape>Paris<escape>,days:3}<end_function_call>

The forms are those of the models' chat templates. Gemma 4 thinks between `<|channel>thought` and `<channel|>`, which is
not shown, and is known to leave out the tokens around a call, or to write JSON between them.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.dialects._alone import line_ends
from lumosai.dialects._braced import braced, read_braced
from lumosai.dialects._calls import call as new_call
from lumosai.dialects._code import declared_name
from lumosai.dialects._describe import signatures
from lumosai.dialects._literal import CutLiteralError, NoLiteralError
from lumosai.dialects._marked_json import usual_calls
from lumosai.dialects._scan import CutError, NotOneError, Scanner, judged
from lumosai.dialects.base import NO, Found, More

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_CALL = "call:"
_NAME = re.compile(r"[^\s{}<>\[\]()\"'`,:|][^\s{}<>\[\]()\"'`,|]*")
_BEFORE = re.compile(r"\s*:?\s*(?:call\s*:\s*|call\s+(?=\{))?")
_MAX_NAME = 256
_CHANNEL, _CHANNEL_END = "<|channel>", "<channel|>"
_HIDDEN = ("thought", "thinking", "analysis")
_WORD = re.compile(r"\w{0,16}")


class Gemma(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two.

    Attributes:
        start: what begins a call.
        end: what ends one, as it is written.
        ends: what else may end it, and is passed too.
        quote: the token around strings.
        response: what begins and what ends a result.
        channels: whether it thinks in channels.
    """

    name: str
    aliases: tuple[str, ...]
    start: str
    end: str
    ends: tuple[str, ...]
    quote: str
    response: tuple[str, str]
    channels: bool = False
    marked: bool = True
    control: bool = True

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """The start token, and those of channels."""
        return (self.start, _CHANNEL, _CHANNEL_END) if self.channels else (self.start,)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = f"{self.start}{_CALL}TOOL{{PARAMETER:VALUE,PARAMETER:{self.quote}TEXT{self.quote}}}{self.end}"
        return f"Tools:\n{signatures(tools)}\n\nTo call a tool, answer with:\n{form}"

    def encode(self, call: ToolCallPart) -> str:
        """The call between its tokens.

        Raises:
            ValueError: the tool's name, or a string, cannot be written: it holds what would end it.
        """
        return f"{self.start}{_written(call, self.quote)}{self.end}"

    def show(self, result: ToolResultPart) -> str:
        """The result between its tokens, which its text cannot end."""
        text = re.sub(r"<(?=[|a-z])", "< ", result.text)
        key = "error" if result.is_error else "value"
        body = f"response:{result.name}{{{key}:{self.quote}{text}{self.quote}}}"
        return f"{self.response[0]}{body}{self.response[1]}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls between the tokens that begin here, or a thought."""
        return judged(partial(self._read, tools=tools), text, final=final)

    def _read(self, s: Scanner, tools: Mapping[str, ToolDefinition]) -> Found:
        if self.channels and s.see(_CHANNEL, _CHANNEL_END):
            return self._channel(s, tools)
        s.need(self.start)
        calls: list[ToolCallPart] = []
        while not calls or s.see(_CALL):
            calls.extend(self._calls(s, tools))
            end = s.at
            s.blank()
            if s.done:
                break
        ends = (self.end, *self.ends)
        ended = s.ended(*ends)
        while not ended and s.take(*ends):
            self._pass_response(s)
            ended, end = s.ended(*ends), s.at
        return Found(s.at if ended else end, tuple(calls))

    def _calls(self, s: Scanner, tools: Mapping[str, ToolDefinition]) -> tuple[ToolCallPart, ...]:
        """One call, or those that JSON is."""
        s.match(_BEFORE)
        if s.see("{", "["):
            found = usual_calls(s.value_before(self.end, *self.ends, until=self.end))
            if found is None:
                raise NotOneError(self.end)
            return found
        return (_read_call(s, tools, self.quote, self.end),)

    def _pass_response(self, s: Scanner) -> None:
        """Passes a result that the model made up."""
        if s.text.endswith(self.response[0], 0, s.at) and s.take("response:"):
            try:
                s.find(self.response[1])
            except CutError:
                if not s.final:
                    raise
                s.at = len(s.text)
            else:
                s.take(self.response[1])

    def _channel(self, s: Scanner, tools: Mapping[str, ToolDefinition]) -> Found:
        """A thought up to its end, the header of another channel, or the end of one."""
        if s.take(_CHANNEL_END):
            return Found(s.at, ())
        s.need(_CHANNEL)
        if s.see(_CHANNEL):  # one too many
            return Found(s.at, (), opens=True)
        word = s.match(_WORD)
        if s.at == len(s.text) and not s.final:
            raise CutError
        if not word or word[0] not in _HIDDEN:
            s.need("\n")
            return Found(s.at, (), opens=True)
        if not (s.done or s.see("\n", _CHANNEL_END)):
            raise NotOneError
        try:
            s.find(_CHANNEL_END)
        except CutError:
            if not s.final:
                raise
            s.at = self._end_of_thought(s.text, tools)
        s.take(_CHANNEL_END)
        return Found(s.at, (), opens=True)

    def _end_of_thought(self, text: str, tools: Mapping[str, ToolDefinition]) -> int:
        """Where a thought that nothing ends breaks off: at the calls with which the answer ends, if it does."""
        at = text.find(self.start)
        while at >= 0:
            rest = text[at:]
            verdict = self.recognise(rest, tools, final=True)
            if isinstance(verdict, Found) and not rest[verdict.end :].strip():
                return at
            at = text.find(self.start, at + (verdict.end if isinstance(verdict, Found) else len(self.start)))
        return len(text)


class GemmaBare:
    """Gemma 4's call without the tokens around it, alone on its lines."""

    name = "gemma4-bare"
    marked = False
    control = False
    aliases = ("gemma", "gemma4")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The word; none where there is no tool that could be meant."""
        return (_CALL, "<call>") if tools else ()

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = f"{_CALL}TOOL{{PARAMETER:VALUE,PARAMETER:{GEMMA4.quote}TEXT{GEMMA4.quote}}}"
        return f"Tools:\n{signatures(tools)}\n\nTo call a tool, answer with one line:\n{form}"

    def encode(self, call: ToolCallPart) -> str:
        """The call alone.

        Raises:
            ValueError: the tool's name, or a string, cannot be written: it holds what would end it.
        """
        return _written(call, GEMMA4.quote)

    def show(self, result: ToolResultPart) -> str:
        """The result between the model's tokens."""
        return GEMMA4.show(result)

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The call that begins here, if nothing else stands on its lines."""
        verdict = judged(partial(_read_bare, tools=tools), text, final=final)
        if not isinstance(verdict, Found):
            return verdict
        ends = line_ends(text, verdict.end, final=final)
        return ends if isinstance(ends, More) else verdict if ends else NO


def _read_bare(s: Scanner, tools: Mapping[str, ToolDefinition]) -> Found:
    s.need(_CALL, "<call>")
    rest = _NAME.match(s.text, s.at)
    name = _declared(rest[0], tools) if rest else ""
    if rest and rest.end() < len(s.text) and name not in tools:
        raise NotOneError
    call = _read_call(s, tools, GEMMA4.quote, "")
    ends = (GEMMA4.end, *GEMMA4.ends)
    while not s.ended(*ends) and s.take(*ends):
        pass
    return Found(s.at, (call,))


def _read_call(s: Scanner, tools: Mapping[str, ToolDefinition], quote: str, end: str) -> ToolCallPart:
    """The name and the arguments in braces."""
    found = s.match(_NAME)
    if found is None or len(found[0]) > _MAX_NAME:
        raise NotOneError if s.at < len(s.text) else CutError
    s.blank()
    if s.at == len(s.text):
        raise CutError
    if not s.see("{"):
        raise NotOneError
    name = _declared(found[0], tools)
    try:
        arguments, s.at = read_braced(s.text, s.at, quote, tools.get(name))
    except CutLiteralError:
        raise (NotOneError(end) if s.final else CutError("}")) from None
    except NoLiteralError:
        raise NotOneError(end) from None
    return new_call(name, arguments)


def _declared(name: str, tools: Mapping[str, ToolDefinition]) -> str:
    """The name without the namespace that the model put before it, where only so it is a declared tool's."""
    last = name.rpartition(":")[2]
    return last if name not in tools and last in tools else declared_name(name, tools)


def _written(call: ToolCallPart, quote: str) -> str:
    if _NAME.fullmatch(call.name) is None:
        raise ValueError(f"{call.name!r} cannot be written in this dialect: a name holds no blank, quote or bracket")
    written: Any = call.raw if call.arguments is None else braced(call.arguments, quote)
    return f"{_CALL}{call.name}{written}"


GEMMA4 = Gemma(
    name="gemma4",
    aliases=("gemma", "google-gemma-4-31B-it"),
    start="<|tool_call>",
    end="<tool_call|>",
    ends=("<|tool_response>", "<turn|>", "<end_of_turn>", "<eos>"),
    quote='<|"|>',
    response=("<|tool_response>", "<tool_response|>"),
    channels=True,
)

FUNCTIONGEMMA = Gemma(
    name="functiongemma",
    aliases=("gemma", "function-gemma"),
    start="<start_function_call>",
    end="<end_function_call>",
    ends=("<start_function_response>", "<end_of_turn>", "<eos>"),
    quote="<escape>",
    response=("<start_function_response>", "<end_function_response>"),
)
