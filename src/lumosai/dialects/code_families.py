"""The families that write calls as Python between markers of their own: Llama 4, LFM 2 and OLMo 3.

    <|python_start|>[f(a=1), g(b="x")]<|python_end|>
    <|tool_call_start|>[f(a=1)]<|tool_call_end|>
    <function_calls>f(a=1)
    g(b="x")</function_calls>

The forms are those of the models' chat templates. Between the markers JSON may stand as well, as LFM 2 writes it when it
is told to.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from lumosai.dialects._code import NAME, behind_separators, read_broken, read_call, read_list, written
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import write
from lumosai.dialects._literal import CutLiteralError, Literals, NoLiteralError
from lumosai.dialects._marked_json import unmarked, usual_calls
from lumosai.dialects._scan import MENDABLE, CutError, NotOneError, Scanner, judged
from lumosai.dialects.base import Found

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition


class CodeBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A dialect: a start marker, calls as code, an end marker, which the end of the answer may stand for.

    Attributes:
        starts: the start marker as it is written, and what else it may be.
        ends: likewise for the end marker; all that follow are passed.
        around: brackets around the calls as they are written.
        result: a result as it is shown, with RESULT in it.
        open_end: whether the end marker may be missing where more of the answer follows.
    """

    name: str
    aliases: tuple[str, ...]
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    around: tuple[str, str] = ("[", "]")
    result: str = "RESULT"
    open_end: bool = True
    marked: bool = True
    control: bool = True

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """The start markers."""
        return self.starts

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = f'{self.around[0]}TOOL(PARAMETER=VALUE, PARAMETER="TEXT"){self.around[1]}'
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            f"To call a tool, answer with this, all arguments by name:\n{self.starts[0]}{form}{self.ends[0]}"
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call between its markers.

        Raises:
            ValueError: its name, or one of a parameter, cannot be written as code.
        """
        return f"{self.starts[0]}{self.around[0]}{written(call)}{self.around[1]}{self.ends[0]}"

    def show(self, result: ToolResultPart) -> str:
        """The result as JSON, whose text cannot end it."""
        body = write({"tool": result.name, "error" if result.is_error else "output": result.text})
        return self.result.replace("RESULT", unmarked(body))

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls between the markers that begin here."""
        return judged(partial(self._read, tools=tools), text, final=final)

    def _read(self, s: Scanner, tools: Mapping[str, ToolDefinition]) -> Found:
        s.need(*self.starts)
        s.blank()
        calls = self._json(s) if s.see("{") or _is_json_list(s) else self._code(s, tools)
        end = s.at
        s.blank()
        ended = self._pass_ends(s)
        if not ended and not calls:
            raise NotOneError
        if not ended:
            s.at = len(s.text) if s.done else end
        elif calls:
            self._pass_echo(s, calls, tools)
        return Found(s.at, calls)

    def _json(self, s: Scanner) -> tuple[ToolCallPart, ...]:
        """JSON calls, one or several or a list of them."""
        calls: list[ToolCallPart] = []
        while not calls or s.see("{", "["):
            found = usual_calls(s.value_before(*self.ends, besides=("{", ",", ";"), until=self.ends[0]))
            if found is None:
                raise NotOneError(self.ends[0])
            calls.extend(found)
            end = s.at
            s.blank()
            if s.take(",", ";"):
                s.blank()
        s.at = end
        return tuple(calls)

    def _code(self, s: Scanner, tools: Mapping[str, ToolDefinition]) -> tuple[ToolCallPart, ...]:
        """Calls as code; where they are slightly broken, those that are whole up to the end marker."""
        start = s.at
        if not s.see("[") and NAME.match(s.text, s.at) is None:
            raise NotOneError if s.at < len(s.text) else CutError
        try:
            calls = self._whole(s, tools)
        except NoLiteralError:
            calls = []
        except CutLiteralError:
            if not s.final:
                raise CutError from None
            calls = []
        if self._ends_here(s, start):
            return tuple(calls)
        s.at = start
        try:
            s.find(*self.ends)
        except CutError:
            raise (NotOneError(self.ends[0]) if s.final else CutError(">")) from None
        calls = read_broken(s.text[start : s.at], tools) if s.at - start <= MENDABLE else []
        if not calls:
            raise NotOneError(self.ends[0])
        return tuple(calls)

    def _whole(self, s: Scanner, tools: Mapping[str, ToolDefinition]) -> list[ToolCallPart]:
        """A list of calls, or calls in sequence, each behind a separator."""
        literals = Literals(s.text, code=True, lines=True)
        calls: list[ToolCallPart] = []
        if s.see("["):
            calls, s.at = read_list(literals, s.at, tools)
            return calls
        at = s.at
        while NAME.match(s.text, at):
            call, s.at = read_call(literals, at, tools)
            calls.append(call)
            at = behind_separators(s.text, s.at)
            if at == s.at:
                break
        return calls

    def _ends_here(self, s: Scanner, start: int) -> bool:
        """Whether what was read from `start` on is all that stands before the end marker, or on its lines."""
        if s.at == start:
            return False
        end = s.at
        s.at = behind_separators(s.text, end)
        s.blank()
        line_ends = self.open_end and "\n" in s.text[end : s.at]
        ends = s.done or s.ended(*self.ends) or bool(s.see(*self.ends)) or line_ends
        s.at = end
        return ends

    def _pass_ends(self, s: Scanner) -> bool:
        """Passes the end markers that stand here. Whether there are any, or the answer ends in one."""
        ended = False
        while True:
            if s.ended(*self.ends):
                return True
            if not s.take(*self.ends):
                return ended
            ended = True

    def _pass_echo(self, s: Scanner, calls: tuple[ToolCallPart, ...], tools: Mapping[str, ToolDefinition]) -> None:
        """Passes the same calls once more with another end marker behind, as LFM 2 is known to write them."""
        start = s.at
        if not s.see("["):
            return
        try:
            again, s.at = read_list(Literals(s.text, code=True, lines=True), s.at, tools)
        except CutLiteralError:
            if not s.final:
                raise CutError from None
        except NoLiteralError:
            pass
        else:
            if tuple(again) == calls and self._pass_ends(s):
                return
        s.at = start


def _is_json_list(s: Scanner) -> bool:
    """Whether a list of objects begins here."""
    at = s.at
    if not s.take("["):
        return False
    s.blank()
    found = bool(s.see("{"))
    s.at = at
    return found


LLAMA4 = CodeBlock(
    name="llama4",
    aliases=("llama4_pythonic", "pythonic", "llama4_json", "pythonic [f(a=1)]"),
    starts=("<|python_start|>", "<|python_tag|>"),
    ends=("<|python_end|>", "<|eom|>", "<|eot|>", "<|eom_id|>", "<|eot_id|>"),
)
"""Llama 4, and those of Llama 3.2's kin that write their list behind the tag of Llama 3."""

LFM2 = CodeBlock(
    name="lfm2",
    aliases=("lfm2.5", "liquid", "lfm2 pythonic <|tool_call_start|>"),
    starts=("<|tool_call_start|>",),
    ends=("<|tool_call_end|>", "<|im_end|>"),
    result="<|tool_response_start|>RESULT<|tool_response_end|>",
)
"""LFM 2 and 2.5 (LiquidAI)."""

OLMO3 = CodeBlock(
    name="olmo3",
    aliases=("olmo", "pythonic", "pythonic [f(a=1)]"),
    starts=("<function_calls>",),
    ends=("</function_calls>", "<|im_end|>"),
    around=("", ""),
    open_end=False,
)
"""OLMo 3 (allenai): its template writes the section right behind the prose."""
