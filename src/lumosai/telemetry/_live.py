"""A run that goes on in this process, as telemetry sees it: its trace so far, and what of it is stored."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from lumosai._secrets import redact, redacted
from lumosai.events import RunStarted
from lumosai.records import Scope
from lumosai.rollups import Cell
from lumosai.telemetry._told import Counts, header_of
from lumosai.telemetry.measure import MEASURED, count, series_of
from lumosai.telemetry.trace import TraceFold
from lumosai.traces import Recorded

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Sequence

    from lumosai.events import Event
    from lumosai.rollups import Series
    from lumosai.telemetry.trace import Content
    from lumosai.traces import Numbered, TraceStep

_EVERYBODY: Final = Scope()
_CALLS: Final = frozenset({"model_call", "tool_call", "embedding"})
_WORDS: Final = frozenset({"notes", "reason", "arguments", "result", "input", "output", "prompt", "cancelled"})
"""Attributes whose values somebody wrote."""


class LiveRun:
    """A run that goes on here.

    Attributes:
        run_id: the root's; of an agent that is watched while its caller is not, its own.
        first: the number of the first event that was seen here.
        fold: its trace so far.
        late: events that wait until the older ones, which another process had, are folded; None where this process has all.
        loop: where it goes on, None where that is not known.
        dropped: spans that did not fit the queue.
        unsure: whether some of its spans may be stored already.
        told: whether it was said that it has no trace.
    """

    __slots__ = ("_counts", "_new", "dropped", "first", "fold", "late", "loop", "run_id", "told", "unsure")

    def __init__(self, event: Event, content: Content) -> None:
        begins = type(event) is RunStarted
        self.run_id = event.run_id if begins else event.root_id
        self.first = event.seq
        self.fold = TraceFold(content)
        self.late: deque[Event] | None = None if begins else deque()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.dropped = 0
        self.unsure = False
        self.told = False
        self._counts = self._new = Counts()

    def add(self, event: Event) -> None:
        """Takes its next event."""
        if self.late is None:
            self.fold.add(event)
        else:
            self.late.append(event)

    @property
    def begun(self) -> bool:
        """Whether it is known how it began, so that it can be stored."""
        return self.fold.started is not None

    @property
    def scope(self) -> Scope:
        """Whose it is."""
        started = self.fold.started
        return (started.scope if started is not None else None) or _EVERYBODY

    def recorded(
        self, spans: Sequence[Numbered], cells: dict[tuple[int, Series], Cell], *, known: Iterable[Numbered] = ()
    ) -> Recorded:
        """What is stored of it now; its spans are counted to `cells`. Once it is, `stored` is to be called.

        Args:
            spans: those that are stored now.
            cells: the sums that they are counted to.
            known: those that are stored already, and were not known to be.
        """
        before = self._counts.plus([n.step for n in known])
        self._new = before.plus([n.step for n in spans])
        kept: list[Numbered] = []
        for numbered in spans:
            step = numbered.step
            if step.kind in MEASURED:
                series = series_of(step, self.fold.version_of(step.run_id))
                place = (int((step.end or step.start) // 60 * 60), series)
                cell = cells.get(place)
                if cell is None:
                    cell = cells[place] = Cell()
                count(cell, step)
            clean = safe(step)
            kept.append(numbered if clean is step else numbered._replace(step=clean))
        return Recorded(
            scope=self.scope,
            header=header_of(self.fold.summary(), self._new, owner=self.scope.owner, dropped=self.dropped),
            spans=tuple(kept),
            before=before.spans,
            names=frozenset([n.step.name for n in spans if n.step.kind in _CALLS]),
        )

    def stored(self) -> None:
        """What was recorded last is stored."""
        self._counts = self._new
        self.unsure = False


def safe(step: TraceStep) -> TraceStep:
    """The span without what looks like a secret."""
    error = redact(step.error) if step.error is not None else None
    known = step.attributes
    words = [] if _WORDS.isdisjoint(known) else [k for k in _WORDS if k in known]
    if not words and error is step.error:
        return step
    clean = {**known, **{k: redacted(known[k]) for k in words}}
    return msgspec.structs.replace(step, error=error, attributes=clean)
