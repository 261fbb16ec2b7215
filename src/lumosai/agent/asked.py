"""What the events of an earlier process say of the approval of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.events import ApprovalRequested, ApprovalResolved, ToolCallComplete, ToolCallStart
from lumosai.ids import content_hash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.events import Event
    from lumosai.tools.base import Tool


def will_ask(events: Sequence[Event], call_id: str, tools: Mapping[str, Tool]) -> str | None:
    """The hash of the arguments of a call that will be asked about when the run has come to it again; else None.

    A call that had begun is asked about only where running its tool twice does harm, or the tool is not known.
    """
    begun = next((e.call.name for e in events if type(e) is ToolCallStart and e.call.id == call_id), None)
    tool = tools.get(begun) if begun is not None else None
    return None if tool is not None and tool.effect != "once" else _waits(events, call_id)


def has_decided(events: Sequence[Event], call_id: str) -> bool:
    """Whether a decision about a call is among them."""
    return any(type(e) is ApprovalResolved and e.call_id == call_id for e in events)


def _waits(events: Sequence[Event], call_id: str) -> str | None:
    """The hash of the arguments of a call that has no end and is not decided about; None where there is none such."""
    digest: str | None = None
    for event in events:
        if type(event) is ToolCallStart and event.call.id == call_id:
            digest = content_hash(event.call.arguments)
        elif type(event) is ApprovalRequested and event.call.id == call_id:
            digest = event.arguments_hash
        elif isinstance(event, ApprovalResolved | ToolCallComplete) and event.call_id == call_id:
            digest = None
    return digest
