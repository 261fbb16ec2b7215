"""What the spans of many runs measure, added up before it is stored: each span is put to others, each sum is made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lumosai.events import ModelCallComplete, RunCancelled, ToolCallStart
from lumosai.records import Usage
from lumosai.rollups import Cell
from lumosai.telemetry.measure import FREE, STOPPED, count, series_of, series_of_span
from lumosai.traces import Counted

if TYPE_CHECKING:
    from decimal import Decimal

    from lumosai.rollups import Series
    from lumosai.telemetry._span import GrowingSpan
    from lumosai.traces import TraceStep

_MINUTE: Final = 60
_NOTHING: Final = Usage()


class Sums:
    """The sums of spans that are stored together."""

    __slots__ = ("_cells", "_tallies")

    def __init__(self) -> None:
        self._cells: dict[tuple[str, int, Series], Cell] = {}
        self._tallies: dict[tuple[str, float, str, str, str, str, str], _Tally] = {}

    def add(self, tenant: str, span: GrowingSpan, version: str) -> None:
        """Counts a span of a run of which this is the agent's version."""
        kind, took = span.kind, span.duration_ms or 0.0
        if kind == "embedding":
            self.add_step(tenant, span.step, version)
            return
        began: Any = span.began
        of = began.provider if kind == "model_call" else began.model if kind == "run" else ""
        place = (tenant, (span.start + took / 1e3) // _MINUTE, kind, began.agent, span.name, version, of)
        tally = self._tallies.get(place)
        if tally is None:
            tally = self._tallies[place] = _Tally(series_of_span(span, version))
        tally.durations.append(took)
        ended: Any = span.ended
        if span.error_type is not None:
            if span.error_type in STOPPED:
                tally.stopped += 1
            else:
                tally.errors += 1
        elif kind == "run" and type(ended) is RunCancelled:
            tally.stopped += 1
        if kind == "model_call":
            tally.ask(ended)
        elif (kind == "run" or type(began) is ToolCallStart) and began.queued_ms:
            tally.queued.append(began.queued_ms)

    def add_step(self, tenant: str, step: TraceStep, version: str) -> None:
        """Counts a span that is made already."""
        place = (tenant, int((step.end or step.start) // _MINUTE * _MINUTE), series_of(step, version))
        count(self._cells.setdefault(place, Cell()), step)

    def counted(self) -> dict[str, tuple[Counted, ...]]:
        """The sums, by tenant."""
        cells = self._cells
        for (tenant, minute, *_), tally in self._tallies.items():
            tally.put_into(cells.setdefault((tenant, int(minute) * _MINUTE, tally.series), Cell()))
        self._tallies = {}
        found: dict[str, tuple[Counted, ...]] = {}
        for (tenant, at, series), cell in cells.items():
            found[tenant] = (*found.get(tenant, ()), Counted(at, series, cell))
        return found


class _Tally:
    """What spans of one series and minute measure, one behind the other."""

    __slots__ = ("asked", "durations", "errors", "firsts", "queued", "series", "stopped")

    def __init__(self, series: Series) -> None:
        self.series = series
        self.durations: list[float] = []
        self.firsts: list[float] = []
        self.queued: list[float] = []
        self.asked: list[tuple[Usage, Decimal | None]] = []
        self.errors = 0
        self.stopped = 0

    def ask(self, ended: Any) -> None:
        """What a model call took; nothing is known of one that nobody ended."""
        if type(ended) is not ModelCallComplete:
            self.asked.append((_NOTHING, FREE))
            return
        usage, cost = ended.usage, ended.cost_usd
        if not (usage.input_tokens or usage.output_tokens or usage.total_tokens):
            usage = _NOTHING
            cost = FREE if cost is None else cost
        self.asked.append((usage, cost))
        if ended.time_to_first_chunk_ms is not None:
            self.firsts.append(ended.time_to_first_chunk_ms)

    def put_into(self, cell: Cell) -> None:
        """Adds it all."""
        cell.duration.add_all(self.durations)
        cell.first.add_all(self.firsts)
        cell.queued.add_all(self.queued)
        cell.errors += self.errors
        cell.stopped += self.stopped
        for usage, cost in self.asked:
            cell.spend(usage, cost)
