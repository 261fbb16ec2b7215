"""JSON behind a marker that none at the end answers: `<|tool_call|>[{…}]`, `functools[{…}]` and their like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lumosai.dialects._lenient import read_loose
from lumosai.dialects._marked_json import MarkedJson
from lumosai.dialects._scan import CutError, NotOneError, Scanner
from lumosai.dialects.base import Found, More

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.messages import ToolCallPart
    from lumosai.records import ToolDefinition


class OpenJson(MarkedJson, frozen=True, kw_only=True):
    """A dialect: a start marker and JSON. An end marker that is there all the same is passed.

    Attributes:
        starts: what else may stand for the start marker.
        listed: whether the calls must be in a list.
    """

    end: str = ""
    starts: tuple[str, ...] = ()
    listed: bool = False

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own marker
        """The start markers."""
        return (self.start[0], *self.starts)

    def _read(self, s: Scanner) -> Found:
        s.need(self.start[0], *self.starts)
        calls: tuple[ToolCallPart, ...] = ()
        while True:
            s.blank()
            if s.done or not (s.see("[") if self.listed else s.see("{", "[")):
                raise NotOneError
            value = self._value(s)
            found = self.calls(value)
            if found is None and not (self.control and value == []):
                raise NotOneError
            calls += found or ()
            end = s.at
            s.blank()
            if not s.take(",", ";"):
                break
        return Found(s.at if self._pass_ends(s) else end, calls)

    def _value(self, s: Scanner) -> Any:
        """The JSON here, strict or nearly."""
        found = read_loose(s.text, s.at)
        if isinstance(found, More):
            raise CutError("}]")
        if found is None:
            raise NotOneError
        value, s.at = found
        return value

    def _ends(self) -> tuple[str, ...]:
        return tuple(m for m in (self.end, *self.ends) if m)

    def _pass_ends(self, s: Scanner) -> bool:
        """Passes the end markers that stand here. Whether there are any, or the answer ends here."""
        ends, passed = self._ends(), False
        while True:
            if s.ended(*ends):
                return True
            if not s.take(*ends):
                return passed
            passed = True
