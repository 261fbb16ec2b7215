"""A trace made again of the events that are stored: of a run whose process was killed before it had stored all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from lumosai.errors import ConflictError
from lumosai.events import RunStarted, from_json
from lumosai.telemetry._adding import Sums
from lumosai.telemetry._live import LiveRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lumosai.events import Event
    from lumosai.records import Scope
    from lumosai.storage.base import Storage
    from lumosai.telemetry._span import Content, GrowingSpan
    from lumosai.traces import ExecutionTrace, Recorded

AT_ONCE: Final = 256
"""Spans of one transaction, at the most."""
PAGE: Final = 500
_TRIES: Final = 5


async def rebuild(
    storage: Storage, scope: Scope, run_id: str, *, content: Content = "metadata"
) -> ExecutionTrace | None:
    """Makes a run's trace of its stored events, and stores what of it is not; None where there are none."""
    events = await stored_events(storage, scope, run_id)
    if not events or type(events[0]) is not RunStarted:
        return None
    for _ in range(_TRIES):
        try:
            return await _completed(storage, events, content)
        except ConflictError:  # another process is at it; what it stored is left to it
            continue
    return await _completed(storage, events, content)


async def _completed(storage: Storage, events: Sequence[Event], content: Content) -> ExecutionTrace:
    live = LiveRun(events[0], content)
    for event in events:
        live.fold.add(event)
    new, known = await told_apart(storage, live, live.fold.closed)
    for start in range(0, len(new) or 1, AT_ONCE):
        sums = Sums()
        recorded = live.recorded(new[start : start + AT_ONCE], sums, known=known if start == 0 else ())
        await storage.telemetry.record(with_sums([recorded], sums))
        live.stored()
    return live.fold.trace()


async def told_apart(
    storage: Storage, live: LiveRun, spans: Sequence[GrowingSpan]
) -> tuple[list[GrowingSpan], list[GrowingSpan]]:
    """Those that are not stored yet, and those that are."""
    there = await storage.telemetry.stored(live.scope, live.run_id)
    return [n for n in spans if n.number not in there], [n for n in spans if n.number in there]


async def stored_events(storage: Storage, scope: Scope, run_id: str) -> list[Event]:
    """A run's events, as far as they are stored."""
    handle = storage.scope(scope)
    events: list[Event] = []
    while True:
        after = events[-1].seq if events else 0
        batches = await handle.events(run_id, after=after, limit=PAGE)
        new = [e for b in batches for line in b.split(b"\n") if (e := from_json(line)).seq > after]
        if not new:
            return events
        events += new


def with_sums(batch: Iterable[Recorded], sums: Sums) -> list[Recorded]:
    """The batch, each tenant's sums given with its first trace."""
    counted = sums.counted()
    out: list[Recorded] = []
    for recorded in batch:
        mine = counted.pop(recorded.scope.tenant, None)
        out.append(msgspec.structs.replace(recorded, counted=mine) if mine else recorded)
    return out
