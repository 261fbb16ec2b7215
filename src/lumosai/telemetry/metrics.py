"""Collectors of metrics, and the stats that are told of what they collected.

A collector is anything with the three methods of `MetricsCollector`; `Telemetry` calls them as runs, tool calls and
memory operations end. `MemoryMetrics` keeps what it is told in this process, minute by minute.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from lumosai.records import Usage
from lumosai.rollups import Cell, Series
from lumosai.traces import PerformanceStats, ToolStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lumosai.rollups import SeriesKind
    from lumosai.traces import AgentMetrics

MINUTE: Final = 60
_KEPT_S: Final = 86_400


@runtime_checkable
class MetricsCollector(Protocol):
    """Who is told of every execution. Its methods are called inline: they must return in microseconds.

    One that also has `record_step(step, version)` is told of every span that ends by it, model calls among them, with the
    agent's version, and not by the others.
    """

    def record_agent_execution(self, metrics: AgentMetrics) -> None:
        """A run of an agent has ended."""
        ...

    def record_tool_execution(
        self, tool: str, duration_ms: float, error: str | None = None, agent_id: str | None = None
    ) -> None:
        """A call of a tool has ended; `error` is its type where it failed."""
        ...

    def record_memory_operation(self, operation: str, duration_ms: float) -> None:
        """Memory was read or written."""
        ...


class MemoryMetrics:
    """A collector that keeps the sums of each minute in this process, for a day.

    Args:
        clock: gives unix seconds; of measurements that do not say when they were taken.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._minutes: dict[int, dict[Series, Cell]] = {}

    def record_agent_execution(self, metrics: AgentMetrics) -> None:
        """A run of an agent has ended."""
        cell = self._cell(Series("run", metrics.agent_id, metrics.model, metrics.agent_version), metrics.at)
        cell.duration.add(metrics.execution_time_ms)
        cell.errors += not metrics.success
        cell.spend(metrics.token_usage, metrics.cost_usd)

    def record_tool_execution(
        self, tool: str, duration_ms: float, error: str | None = None, agent_id: str | None = None
    ) -> None:
        """A call of a tool has ended."""
        cell = self._cell(Series("tool_call", agent_id or "", tool))
        cell.duration.add(duration_ms)
        cell.errors += error is not None

    def record_memory_operation(self, operation: str, duration_ms: float) -> None:
        """Memory was read or written."""
        self._cell(Series("memory", "", operation)).duration.add(duration_ms)

    def get_performance_stats(self, agent_id: str | None = None, window: float = 3600.0) -> PerformanceStats:
        """How an agent did in the last `window` seconds, to the minute; all agents together where none is named."""
        until = self._clock()
        since = until - window
        cells = [
            (series, cell)
            for minute, sums in [*self._minutes.items()]
            if (minute + 1) * MINUTE > since
            for series, cell in sums.items()
            if agent_id is None or series.agent == agent_id
        ]
        return stats_of(cells, (since, until))

    def _cell(self, series: Series, at: float = 0.0) -> Cell:
        minute = int((at or self._clock()) // MINUTE)
        sums = self._minutes.get(minute)
        if sums is None:
            self._minutes = {m: s for m, s in self._minutes.items() if m > minute - _KEPT_S // MINUTE}
            sums = self._minutes[minute] = {}
        cell = sums.get(series)
        if cell is None:
            cell = sums[series] = Cell()
        return cell


def stats_of(
    cells: Iterable[tuple[Series, Cell]], window: tuple[float, float], *, of: SeriesKind = "run"
) -> PerformanceStats:
    """What sums of one window say of runs, or of model calls or tool calls where `of` says so.

    Tokens and cost are those of the model calls where there are sums of them, else what the runs were told to have used.
    """
    runs, calls = Cell(), Cell()
    tools: dict[str, Cell] = {}
    for series, cell in cells:
        if series.kind == of:
            runs.merge(cell)
        elif series.kind == "model_call":
            calls.merge(cell)
        elif series.kind == "tool_call":
            tools.setdefault(series.name, Cell()).merge(cell)
    spent = calls if calls.count else runs
    judged = runs.count - runs.stopped
    p50, p90, p95, p99 = runs.duration.quantiles((0.5, 0.9, 0.95, 0.99))
    return PerformanceStats(
        count=runs.count,
        success_rate=1 - runs.errors / judged if judged else None,
        error_rate=runs.errors / judged if judged else None,
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        usage=spent.usage if spent.count else Usage(),
        cost_usd=spent.cost_usd,
        tools={
            name: ToolStats(count=c.count, errors=c.errors, p95_ms=c.duration.quantile(0.95))
            for name, c in sorted(tools.items())
        },
        window=window,
    )
