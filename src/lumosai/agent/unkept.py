"""Events in the place of others that nobody has seen, where what these say could not be stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.events import TERMINAL, Error, Event, MemoryRecalled, MemorySaved

if TYPE_CHECKING:
    from lumosai.agent.log import EventLog
    from lumosai.errors import LumosaiError


def unkept(log: EventLog, event: Event, run_id: str, error: LumosaiError) -> Event:
    """The event as it is shown though it is not kept: a run's end that nobody will find again is shown as a failure."""
    if not isinstance(event, TERMINAL) or event.run_id != run_id:
        return event
    totals = msgspec.structs.replace(event.result, finish_reason="error")
    return _instead(log, event, Error, type(error).__name__, str(error), error.retryable, totals)


def unsaved(log: EventLog, event: Event, saved: tuple[str, ...], error: LumosaiError) -> Event:
    """The event where the messages of these ids could not be stored."""
    if saved and type(event) is MemorySaved and event.message_ids == saved:
        return _instead(log, event, MemoryRecalled, (), "save", "", 0, 0.0, str(error))
    return event


def _instead(log: EventLog, event: Event, kind: Any, *fields: Any) -> Event:
    made: Event = kind(*[getattr(event, f) for f in Event.__struct_fields__], *fields)
    log.events[event.seq - 1] = made
    return made
