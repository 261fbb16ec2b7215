"""A conversation kept in memory: what was said so far, and what of a new run is added to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lumosai.events import Error, Event, fold
from lumosai.messages import Message, ToolCallPart

if TYPE_CHECKING:
    from collections.abc import Sequence


def after(earlier: Sequence[Message], question: Message, events: Sequence[Event]) -> tuple[Message, ...]:
    """The conversation after a run that was asked `question`.

    A run that was cut leaves what it said; a run that failed before it said anything leaves nothing, so that asking
    again is as if for the first time. Tool calls without a result are dropped: no model would take them back.
    """
    new = settled(fold(events).messages) if events else ()
    if not new and (not events or isinstance(events[-1], Error)):
        return tuple(earlier)
    return (*earlier, question, *new)


def settled(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages without tool calls that have no result, and without messages that are empty then."""
    answered = {r.call_id for m in messages for r in m.tool_results}
    kept: list[Message] = []
    for message in messages:
        parts = tuple(p for p in message.parts if not isinstance(p, ToolCallPart) or p.id in answered)
        if len(parts) != len(message.parts):
            message = msgspec.structs.replace(message, parts=parts)  # noqa: PLW2901  # the same message, mended
        if parts:
            kept.append(message)
    return tuple(kept)
