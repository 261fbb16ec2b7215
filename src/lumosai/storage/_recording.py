"""The contract of telemetry in storage: traces and measurements, written by telemetry itself and read by a scope.

What is recorded goes in through its own lane, behind everything that a run waits for. Reading goes through a scope like
any other: a handle sees the traces of its tenant, or of its owner, and no other. Measurements are summed up for a whole
tenant, so only a handle without an owner reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.records import Scope
    from lumosai.rollups import SeriesKind
    from lumosai.storage._page import Page
    from lumosai.traces import Arriving, Counted, Recorded, TraceFilter, TraceRecord, TraceStep

TIERS: Final = (60, 3_600, 86_400)
"""Seconds for which measurements are summed up together: a minute, an hour, a day."""


class TelemetryStore(Protocol):
    """The traces and measurements of a database."""

    def scope(self, scope: Scope) -> TelemetryHandle:
        """What that scope may read."""
        ...

    async def record(self, batch: Sequence[Recorded]) -> None:
        """Stores spans, what they were counted to, and how their traces stand: one transaction.

        A span that is stored already is brought up to date; what it was counted to is counted again, so each is given
        with its counts once (see `stored`, and `Recorded.before`).

        Raises:
            ConflictError: of one of the traces more is stored than was thought, or less; nothing was stored.
        """
        ...

    async def count(self, scope: Scope, counted: Sequence[Counted]) -> None:
        """Stores what was measured of a tenant and belongs to no trace, such as what a process uses."""
        ...

    async def stored(self, scope: Scope, run_id: str) -> frozenset[int]:
        """The numbers of a trace's spans that have ended and are stored, and so are counted."""
        ...

    async def arriving(self, scope: Scope, wanted: Mapping[str, tuple[str, Sequence[str]]]) -> dict[str, Arriving]:
        """What is stored of traces that spans come of from elsewhere, by the ids of their runs.

        Args:
            scope: whose; with an owner those of that owner, without one those of nobody.
            wanted: by the id of the run, the trace id and the ids of the spans.
        """
        ...

    async def unfinished(self, *, limit: int = 100) -> tuple[tuple[Scope, str], ...]:
        """Runs that have ended, by what is stored of them, though their trace does not say so a minute later: its last spans are lost."""
        ...

    async def scope_of(self, run_id: str) -> Scope | None:
        """Whose a root run is, None where none of its events are stored."""
        ...

    async def put_together(self) -> bool:
        """Makes hours of minutes and days of hours that are over, a little at a time; whether there may be more to do."""
        ...


class TelemetryHandle(Protocol):
    """What one scope may read of traces and measurements."""

    @property
    def scope(self) -> Scope: ...

    async def traces(
        self, wanted: TraceFilter | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page[TraceRecord]:
        """Traces, the one that began last first.

        Raises:
            InvalidInputError: the limit is not from 1 to 1,000, or the cursor is not of this list.
        """
        ...

    async def trace(self, name: str) -> tuple[tuple[TraceRecord, tuple[TraceStep, ...]], ...]:
        """The trace of a run, by its id, or all those that have a trace id, each with its spans in the order of their beginning."""
        ...

    async def measured(
        self,
        kinds: Sequence[SeriesKind],
        window: tuple[float, float],
        *,
        tier: int = 0,
        names: Mapping[str, str] | None = None,
    ) -> tuple[Counted, ...]:
        """What was measured in a window, summed up by series and by minute, hour or day.

        Args:
            kinds: of these.
            window: from when until when, unix seconds; what it cuts is counted whole.
            tier: 0 by minute, 1 by hour, 2 by day.
            names: the "agent", the "name" or the "version" that are asked for; by default all of them.

        Raises:
            InvalidInputError: the scope has an owner.
        """
        ...
