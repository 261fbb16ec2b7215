"""A metric over time, and measurements divided by what they are of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, get_args

import msgspec

from lumosai.errors import InvalidInputError
from lumosai.rollups import Cell
from lumosai.telemetry.measure import ASKED
from lumosai.telemetry.window import measured

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lumosai.rollups import Series, SeriesKind
    from lumosai.sketch import Sketch
    from lumosai.storage.base import TelemetryHandle
    from lumosai.traces import Counted

Grouping = Literal["agent", "model", "tool", "version"]
MetricName = Literal[
    "runs",
    "error_rate",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "model_calls",
    "model_error_rate",
    "model_p95_ms",
    "first_chunk_p50_ms",
    "first_chunk_p95_ms",
    "tool_calls",
    "tool_error_rate",
    "tool_p95_ms",
    "memory_operations",
    "memory_p95_ms",
    "embedding_calls",
    "embedding_tokens",
    "embedding_p95_ms",
    "cpu_percent",
    "rss_mib",
    "loop_lag_p95_ms",
    "loop_lag_max_ms",
    "queued_spans",
    "queued_writes",
    "open_files",
    "threads",
]

_KIND_OF: Final[dict[str, SeriesKind]] = {
    "model_calls": "model_call",
    "model_error_rate": "model_call",
    "model_p95_ms": "model_call",
    "first_chunk_p50_ms": "model_call",
    "first_chunk_p95_ms": "model_call",
    "input_tokens": "model_call",
    "output_tokens": "model_call",
    "cost_usd": "model_call",
    "tool_calls": "tool_call",
    "tool_error_rate": "tool_call",
    "tool_p95_ms": "tool_call",
    "memory_operations": "memory",
    "memory_p95_ms": "memory",
    "embedding_calls": "embedding",
    "embedding_tokens": "embedding",
    "embedding_p95_ms": "embedding",
    "cpu_percent": "resource",
    "rss_mib": "resource",
    "loop_lag_p95_ms": "resource",
    "loop_lag_max_ms": "resource",
    "queued_spans": "resource",
    "queued_writes": "resource",
    "open_files": "resource",
    "threads": "resource",
}


class Point(msgspec.Struct, frozen=True):
    """A value of a series.

    Attributes:
        at: the beginning of its step, unix seconds.
        value: None where nothing was measured that it could be told of.
        count: of how many measurements.
    """

    at: float
    value: float | None
    count: int


class MetricSeries(msgspec.Struct, frozen=True):
    """A metric over time.

    Attributes:
        metric: which.
        group: of which agent, model, tool or version; "" of all.
        step: seconds between the points.
        points: in order, one for each step of the window.
    """

    metric: str
    group: str
    step: float
    points: tuple[Point, ...]


def grouped(counted: Iterable[Counted], by: Grouping | None) -> dict[str, list[tuple[Series, Cell]]]:
    """Sums divided by what they are of. What says nothing of a model or a tool is left out where it is divided by those."""
    groups: dict[str, list[tuple[Series, Cell]]] = {}
    for _, series, cell in counted:
        name = _group(series, by)
        if name is not None:
            groups.setdefault(name, []).append((series, cell))
    return groups


def _group(series: Series, by: Grouping | None) -> str | None:
    if by is None:
        return ""
    if by == "agent":
        return series.agent
    if by == "version":
        return series.version
    return series.name if series.kind in (("tool_call",) if by == "tool" else ASKED) else None


POINTS: Final = 100_000
"""Points of one series at most: two months of minutes, eleven years of hours."""


async def series(
    handle: TelemetryHandle,
    metric: MetricName,
    window: tuple[float, float],
    *,
    by: Grouping | None,
    step: float,
    agent: str | None,
    now: float,
) -> tuple[MetricSeries, ...]:
    """A metric over time; see `Telemetry.series`."""
    if metric not in get_args(MetricName):
        raise InvalidInputError(f"no metric {metric!r}: there is {', '.join(get_args(MetricName))}")
    kind = _KIND_OF.get(metric, "run")
    counted = await measured(handle, window, now=now, kinds=(kind,), agent=agent, finest=True)
    begins = window[0] // step * step
    steps = max(1, math.ceil((window[1] - begins) / step))
    groups: dict[str, dict[int, Cell]] = {}
    for at, of, cell in counted:
        name = _group(of, by)
        if name is not None and (kind != "resource" or of.name == _resource(metric)):
            place = min(max(int((at - begins) // step), 0), steps - 1)
            there = groups.setdefault(name, {}).setdefault(place, Cell())
            there.merge(cell)
    if by is None:
        groups.setdefault("", {})
    return tuple(
        [
            MetricSeries(
                metric,
                name,
                step,
                tuple([_point(metric, begins + n * step, cells.get(n)) for n in range(steps)]),
            )
            for name, cells in sorted(groups.items())
        ]
    )


def _point(metric: str, at: float, cell: Cell | None) -> Point:
    if cell is None:
        return Point(at, 0.0 if metric in _COUNTS else None, 0)
    value = _used(metric, cell.duration) if of_process(metric) else _value(metric, cell)
    return Point(at, value, cell.count)


_CALLS: Final = frozenset({"runs", "model_calls", "tool_calls", "memory_operations", "embedding_calls"})
_COUNTS: Final = _CALLS | {"input_tokens", "output_tokens", "embedding_tokens"}


def of_process(metric: str) -> bool:
    """Whether it is of what processes use, which belongs to no agent and no tenant."""
    return _KIND_OF.get(metric) == "resource"


def _resource(metric: str) -> str:
    return "loop_lag_ms" if metric.startswith("loop_lag") else metric


def _used(metric: str, seen: Sketch) -> float | None:
    """CPU on average, a lag as it is asked for, anything else at its highest."""
    if metric == "cpu_percent":
        return seen.mean
    return seen.quantile(0.95) if metric == "loop_lag_p95_ms" else seen.greatest


def _value(metric: str, cell: Cell) -> float | None:
    if metric in _CALLS:
        return float(cell.count)
    if metric in ("input_tokens", "embedding_tokens"):
        return float(cell.usage.input_tokens)
    if metric == "output_tokens":
        return float(cell.usage.output_tokens)
    if metric == "cost_usd":
        return float(cell.cost_usd) if cell.cost_usd is not None else None
    if metric.endswith("error_rate"):
        judged = cell.count - cell.stopped
        return cell.errors / judged if judged else None
    sketch = cell.first if metric.startswith("first_chunk") else cell.duration
    share = {"p50": 0.5, "p95": 0.95, "p99": 0.99}[metric.removesuffix("_ms").rpartition("_")[2]]
    return sketch.quantile(share)
