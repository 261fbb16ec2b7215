"""Telemetry in storage, the same on every back end: each method is one operation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from lumosai.errors import InvalidInputError
from lumosai.storage import _arriving as pieces
from lumosai.storage import _spans as spans
from lumosai.storage import _sums as sums
from lumosai.storage import _traces as traces
from lumosai.storage._page import MOST
from lumosai.storage._who import who_of
from lumosai.traces import TraceFilter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.records import Scope
    from lumosai.rollups import SeriesKind
    from lumosai.storage._database import Database
    from lumosai.storage._page import Page
    from lumosai.traces import Arriving, Counted, Recorded, TraceRecord, TraceStep
_QUIET_S: Final = 60.0
"""How long after its run's end a trace is left to the process that had it."""


class StoredTelemetry:
    """`lumosai.storage.base.TelemetryStore` over any database."""

    __slots__ = ("_database", "_names")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names: dict[str, int] = {}

    def scope(self, scope: Scope) -> ScopedTelemetry:
        return ScopedTelemetry(self._database, scope)

    async def record(self, batch: Sequence[Recorded]) -> None:
        new = await self._database.write(partial(spans.record, batch, self._names), "telemetry")
        self._names |= new

    async def count(self, scope: Scope, counted: Sequence[Counted]) -> None:
        await self._database.write(partial(sums.count, scope.tenant, counted), "telemetry")

    async def stored(self, scope: Scope, run_id: str) -> frozenset[int]:
        return await self._database.read(partial(spans.stored_numbers, who_of(scope), run_id))

    async def arriving(self, scope: Scope, wanted: Mapping[str, tuple[str, Sequence[str]]]) -> dict[str, Arriving]:
        return await self._database.read(partial(pieces.arriving, who_of(scope), wanted))

    async def unfinished(self, *, limit: int = 100) -> tuple[tuple[Scope, str], ...]:
        return await self._database.read(partial(traces.unfinished, self._database.now() - _QUIET_S, limit))

    async def scope_of(self, run_id: str) -> Scope | None:
        return await self._database.read(partial(traces.scope_of, run_id))

    async def put_together(self) -> bool:
        return await self._database.write(partial(sums.put_together, self._database.now()), "telemetry")


class ScopedTelemetry:
    """`lumosai.storage.base.TelemetryHandle` over any database."""

    __slots__ = ("_database", "_who", "scope")

    def __init__(self, database: Database, scope: Scope) -> None:
        self.scope = scope
        self._who = who_of(scope)
        self._database = database

    async def traces(
        self, wanted: TraceFilter | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> Page[TraceRecord]:
        if not 1 <= limit <= MOST:
            raise InvalidInputError(f"limit={limit}: a page has from 1 to {MOST} items")
        return await self._database.read(partial(traces.listed, self._who, wanted or TraceFilter(), limit, cursor))

    async def trace(self, name: str) -> tuple[tuple[TraceRecord, tuple[TraceStep, ...]], ...]:
        return await self._database.read(partial(spans.found, self._who, name))

    async def measured(
        self,
        kinds: Sequence[SeriesKind],
        window: tuple[float, float],
        *,
        tier: int = 0,
        names: Mapping[str, str] | None = None,
    ) -> tuple[Counted, ...]:
        if self._who.owner:
            raise InvalidInputError(
                "measurements are summed up for a whole tenant: read them through a scope without an owner, or count "
                "that owner's traces"
            )
        return await self._database.read(partial(sums.told, self._who.tenant, kinds, names or {}, window, tier))
