"""JSON behind a marker of its own: `<|START_ACTION|>{…}<|END_ACTION|>` and its like, one table row a family."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._calls import calls_of
from lumosai.dialects._describe import signatures
from lumosai.dialects._ending import TOKENS
from lumosai.dialects._json import arguments_text, read, write
from lumosai.dialects._scan import CutError, NotOneError, Scanner, judged, mend
from lumosai.dialects.base import Found, More
from lumosai.messages import ToolCallPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolResultPart
    from lumosai.records import ToolDefinition


def usual_calls(value: Any) -> tuple[ToolCallPart, ...] | None:
    """The calls of `{"name": …, "arguments": …}` in its common variants, one or a list of them."""
    return calls_of(value, loose=True, mend=mend)


def keyed_calls(value: Any) -> tuple[ToolCallPart, ...] | None:
    """The calls of `[{NAME: {…}}]`, the name as the key."""
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) and len(item) == 1 for item in items):
        return None
    pairs = [pair for item in items for pair in item.items()]
    if not all(isinstance(arguments, dict) and name.strip() for name, arguments in pairs):
        return None
    return tuple(new_call(name.strip(), arguments) for name, arguments in pairs) or None


class MarkedJson(msgspec.Struct, frozen=True, kw_only=True):
    """A dialect: a start marker, JSON, an end marker, which the end of the answer may stand for.

    Attributes:
        start: as it is written; the first part of it opens a call where it has several.
        end: as it is written.
        ends: what else may end it, and is passed too.
        form: one call as it is written, with NAME and ARGUMENTS in it.
        result: a result as it is shown, with NAME and RESULT in it.
        error: the same of an error.
        around: brackets around the calls as they are written.
        calls: what calls a JSON value is.
        lines: whether several values may follow each other, one a line, instead of a list.
        thought: what stands around a thought, which is not shown; "" where the family has no tokens for it.
        forgives: whether brackets around the calls that the end of the answer left out are forgiven.
    """

    name: str
    aliases: tuple[str, ...] = ()
    start: tuple[str, ...]
    end: str
    ends: tuple[str, ...] = ()
    form: str = '{"name": NAME, "arguments": ARGUMENTS}'
    around: tuple[str, str] = ("", "")
    result: str = '{"name": NAME, "content": RESULT}'
    error: str = '{"name": NAME, "error": RESULT}'
    calls: Callable[[Any], tuple[ToolCallPart, ...] | None] = usual_calls
    lines: bool = False
    thought: tuple[str, str] = ("", "")
    forgives: bool = False
    marked: bool = True
    control: bool = True

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own marker
        """The start marker, and that of a thought."""
        return (self.start[0], self.thought[0]) if self.thought[0] else (self.start[0],)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = self.form.replace("NAME", '"TOOL"').replace("ARGUMENTS", '{"PARAMETER": VALUE}')
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            f"To call a tool, answer with:\n{''.join(self.start)}{self.around[0]}{form}{self.around[1]}{self.end}"
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call between its markers."""
        before, between, after = self._parts()
        written = f"{before}{write(call.name)}{between}{arguments_text(call)}{after}"
        return f"{''.join(self.start)}{self.around[0]}{written}{self.around[1]}{self.end}"

    def show(self, result: ToolResultPart) -> str:
        """The result as JSON, whose text cannot end it."""
        form = self.error if result.is_error else self.result
        before, _, rest = form.partition("NAME")
        between, _, after = rest.partition("RESULT")
        return f"{before}{write(result.name)}{between}{unmarked(write(result.text))}{after}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:  # noqa: ARG002
        """The calls between the markers that begin here."""
        return judged(self._read, text, final=final)

    def _read(self, s: Scanner) -> Found:
        if self.thought[0] and s.take(self.thought[0]):
            s.find(self.thought[1])
            s.need(self.thought[1])
            return Found(s.at, ())
        s.need(self.start[0])
        for part in self.start[1:]:
            s.blank()
            s.need(part)
        s.blank()
        if s.at < len(s.text) and s.text[s.at] not in "{[":
            raise NotOneError
        ends = (self.end, *self.ends)
        calls: tuple[ToolCallPart, ...] = ()
        while not calls or (self.lines and s.see("{")):
            found = self.calls(self._written(s, ends))
            if not found:
                raise NotOneError(self.end)
            calls += found
        while not s.ended(*ends) and s.take(*ends):
            pass
        return Found(s.at, calls)

    def _written(self, s: Scanner, ends: tuple[str, ...]) -> Any:
        start = s.at
        try:
            return s.value_before(*ends, besides=(*TOKENS, "{") if self.lines else TOKENS, until=self.end)
        except CutError:
            rest = s.text[start:]
            value = _closed(rest) if s.final and self.forgives else None
            if value is None:
                raise
            s.at = len(s.text)
            return value

    def _parts(self) -> tuple[str, str, str]:
        before, _, rest = self.form.partition("NAME")
        between, _, after = rest.partition("ARGUMENTS")
        return before, between, after


def _closed(text: str) -> Any:
    """The list of calls that lacks its last brackets; None where more than those is missing."""
    if not text.rstrip().endswith("}"):
        return None
    found = read(text.rstrip() + "}]", 0) or read(text.rstrip() + "]", 0)
    return None if found is None or isinstance(found, More) or found[1] < len(text.rstrip()) + 1 else found[0]


def unmarked(written: str) -> str:
    r"""JSON text in which no control token stands: `<|` and `<｜` are written as escapes, which read as the same."""
    return written.replace("<|", "\\u003c|").replace("<｜", "\\u003c｜")
