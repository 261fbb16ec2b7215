"""What a run's earlier process left open, and nobody goes on with: it is ended before the run's own last event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.agent.past import descendants
from lumosai.events import (
    TERMINAL,
    Folding,
    ModelCallComplete,
    RunCancelled,
    RunStarted,
    ToolCallComplete,
    ToolCallStart,
)
from lumosai.ids import new_span_id
from lumosai.messages import ToolCallPart, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.events import Event

_STOPPED = "The run was stopped before this call ended."


class _Call:
    """A call that has no end."""

    __slots__ = ("answer", "call", "start")

    def __init__(self, call: ToolCallPart, answer: ModelCallComplete) -> None:
        self.call = call
        self.answer = answer
        self.start: ToolCallStart | None = None


def leftovers(events: Sequence[Event], root_id: str, reason: str, at: float) -> list[Event]:
    """The events that end calls without an end, and sub-runs without a last event, the innermost first.

    Args:
        events: of the whole tree.
        root_id: the root run, which does not end here.
        reason: why the sub-runs end.
        at: unix seconds.
    """
    runs: dict[str, RunStarted] = {}
    calls: dict[str, dict[str, _Call]] = {}
    for event in events:
        if type(event) is RunStarted:
            runs[event.run_id] = event
        elif isinstance(event, TERMINAL):
            runs.pop(event.run_id, None)
        else:
            _book(event, calls.setdefault(event.run_id, {}))
    new: list[Event] = []
    for started in reversed(runs.values()):
        for call in calls.get(started.run_id, {}).values():
            new.append(_end_of(call, len(events) + len(new) + 1, at))
        if started.run_id != root_id:
            tree = descendants(events, started.run_id)
            totals = Folding([e for e in (*events, *new) if e.run_id in tree]).totals("cancelled", 0.0)
            new.append(
                RunCancelled(
                    started.run_id,
                    started.root_id,
                    started.parent_run_id,
                    len(events) + len(new) + 1,
                    at,
                    started.span_id,
                    started.parent_span_id,
                    started.agent,
                    reason,
                    totals,
                )
            )
    return new


def _book(event: Event, calls: dict[str, _Call]) -> None:
    """What an event says of a run's open calls."""
    if type(event) is ModelCallComplete and event.message is not None:
        calls.clear()
        calls.update({c.id: _Call(c, event) for c in event.message.tool_calls})
    elif type(event) is ToolCallStart and event.call.id in calls:
        calls[event.call.id].start = event
    elif type(event) is ToolCallComplete:
        calls.pop(event.call_id, None)


def _end_of(open_call: _Call, seq: int, at: float) -> Event:
    call, of = open_call.call, open_call.start or open_call.answer
    span = open_call.start.span_id if open_call.start is not None else new_span_id()
    duration_ms = round((at - open_call.start.at) * 1e3, 3) if open_call.start is not None else 0.0
    return ToolCallComplete(
        of.run_id,
        of.root_id,
        of.parent_run_id,
        seq,
        at,
        span,
        of.parent_span_id,
        of.agent,
        call.id,
        call.name,
        ToolResultPart(call.id, call.name, _STOPPED, True),
        True,
        "interrupted",
        max(0.0, duration_ms),
    )
