"""DeepSeek V3, R1 and V3.1: calls in sections of `<｜tool▁calls▁begin｜>`.

V3 and R1 write `function<｜tool▁sep｜>NAME`, then a JSON fence; V3.1 writes `NAME<｜tool▁sep｜>{…}`. The forms are those of
the models' chat templates; models also write the markers with `_` or a blank for `▁`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text
from lumosai.dialects._scan import NotOneError, Scanner, judged
from lumosai.dialects._sections import HEADER, Section
from lumosai.dialects.base import NO, Found

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition


def _ways(marker: str) -> tuple[str, ...]:
    """A marker as it is in the vocabulary, and as models spell it out of smaller pieces."""
    return (marker, marker.replace("▁", "_"), marker.replace("▁", " "), marker.replace("▁", "\\_"))


_BEGIN = "<｜tool▁calls▁begin｜>"
_END = "<｜tool▁calls▁end｜>"
_CALL = "<｜tool▁call▁begin｜>"
_CALL_END = "<｜tool▁call▁end｜>"
_SEP = "<｜tool▁sep｜>"
_KIND = "function"
_IS_FENCED = re.compile(r"\A[^｜]*(?:｜[^｜]*){2,4}function<｜tool[▁_\\ ]{1,2}sep｜>[ \t\r\n]*[^ \t\r\n{]")
_FORBIDDEN = re.compile(r"[\s<>｜`]")


class DeepSeek(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two shapes, which the first call of a section shows; both are asked together by whichever name.

    Attributes:
        fenced: whether calls are written as V3 and R1 write them.
    """

    name: str
    aliases: tuple[str, ...]
    fenced: bool
    marked: bool = True
    control: bool = True

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """The beginnings of a section and of a call."""
        return (*_SECTION.begin, *_ways(_CALL), *_SECTION.stray)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = self._written("TOOL", '{"PARAMETER": VALUE}')
        return f"Tools:\n{signatures(tools)}\n\nTo call a tool, answer with:\n{form}"

    def encode(self, call: ToolCallPart) -> str:
        """The call in a section of its own.

        Raises:
            ValueError: the tool's name cannot be written: it holds a blank, a bracket or a backtick.
        """
        if _FORBIDDEN.search(call.name) or not call.name:
            raise ValueError(f"{call.name!r} cannot be written in this dialect: a name holds no blank, `<`, `>` or '`'")
        return self._written(call.name, arguments_text(call))

    def show(self, result: ToolResultPart) -> str:
        """The result between its markers, which its text cannot close."""
        text = result.text.replace("<｜", "< ｜")
        return f"<｜tool▁output▁begin｜>{'error: ' if result.is_error else ''}{text}<｜tool▁output▁end｜>"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:  # noqa: ARG002
        """The calls of the section that begins here."""
        verdict = judged(_SECTION.read, text, final=final)
        if isinstance(verdict, Found) and bool(_IS_FENCED.search(text)) != self.fenced:
            return NO
        return verdict

    def _written(self, name: str, arguments: str) -> str:
        body = f"{_KIND}{_SEP}{name}\n```json\n{arguments}\n```" if self.fenced else f"{name}{_SEP}{arguments}"
        return f"{_BEGIN}{_CALL}{body}{_CALL_END}{_END}"


def _item(s: Scanner, mark: str) -> ToolCallPart:
    kind = _KIND
    if mark not in _BARE:
        kind = s.before(*_SEPS, *_CALL_ENDS, most=HEADER).strip()
        s.need(*_SEPS)
    return _after_kind(s, kind)


def _after_kind(s: Scanner, kind: str) -> ToolCallPart:
    s.blank()
    if kind != _KIND or s.see("{"):
        s.blank()
        if not kind or not s.see("{"):
            raise NotOneError
        return new_call(kind, s.object_before(*_STOPS))
    name = s.before("\n", *_CALL_ENDS, most=HEADER).strip()
    s.need("\n")
    s.blank()
    if s.take("```json", "```"):
        s.blank()
    if not name or not s.see("{"):
        raise NotOneError
    arguments = s.object_before(*_STOPS, besides=("```",))
    s.blank()
    if not s.done:
        s.take("```")
    return new_call(name, arguments)


_SEPS = _ways(_SEP)
_BARE = tuple(_KIND + sep for sep in _SEPS)
"""How a call begins where its first marker was left out."""
_CALL_ENDS = _ways(_CALL_END)
_STOPS = (*_CALL_ENDS, *_ways(_CALL), *_ways(_END))
_SECTION = Section(
    begin=(*_ways(_BEGIN), "<｜tool▁calls｜>"),
    end=(*_ways(_END),),
    call=_ways(_CALL),
    bare=_BARE,
    call_end=_CALL_ENDS,
    after=("<｜end▁of▁sentence｜>",),
    stray=(*_ways(_END), *_CALL_ENDS),
    item=_item,
)

V3 = DeepSeek(
    name="deepseek-v3",
    aliases=("deepseek", "deepseek_r1", "deepseek_v31", "deepseek31", "deepseek v3/r1/v3.1 <｜tool▁calls▁begin｜>"),
    fenced=True,
)
V31 = DeepSeek(
    name="deepseek-v3.1",
    aliases=("deepseek", "deepseek_v3", "deepseek_r1", "deepseek31", "deepseek v3/r1/v3.1 <｜tool▁calls▁begin｜>"),
    fenced=False,
)
