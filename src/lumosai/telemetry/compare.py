"""Two slices of what was measured beside one another: windows, agents, versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lumosai.errors import InvalidInputError
from lumosai.rollups import Cell
from lumosai.telemetry._statistics import Difference, of_durations, of_shares
from lumosai.telemetry.metrics import stats_of
from lumosai.telemetry.window import measured
from lumosai.traces import PerformanceStats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lumosai.rollups import Series
    from lumosai.storage.base import TelemetryHandle


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared: an agent, a version of it, a window.

    Attributes:
        agent: None for all.
        version: None for all.
        since, until: unix seconds; by default the last hour.
    """

    agent: str | None = None
    version: str | None = None
    since: float | None = None
    until: float | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two slices beside one another.

    Attributes:
        a, b: how each did.
        differences: by name: "error_rate" and "duration_ms" of the runs, "first_chunk_ms" of the model calls, and
            "tool NAME error_rate" and "tool NAME duration_ms" of each tool that both have.
    """

    a: PerformanceStats
    b: PerformanceStats
    differences: dict[str, Difference]


async def compare(handle: TelemetryHandle, a: Slice, b: Slice, *, now: float) -> Comparison:
    """Two slices beside one another; see `Telemetry.compare`."""
    cells: list[list[tuple[Series, Cell]]] = []
    stats: list[PerformanceStats] = []
    for part in (a, b):
        until = now if part.until is None else part.until
        since = until - 3600 if part.since is None else part.since
        if since >= until:
            raise InvalidInputError(f"the window from {since:.0f} to {until:.0f} is empty")
        counted = await measured(handle, (since, until), now=now, agent=part.agent, version=part.version)
        cells.append([(c.series, c.cell) for c in counted])
        stats.append(stats_of(cells[-1], (since, until)))
    before, after = (_summed(c) for c in cells)
    differences: dict[str, Difference] = {}
    for key in sorted(before.keys() & after.keys()):
        kind, name = key
        one, two = before[key], after[key]
        label = f"tool {name} " if kind == "tool_call" else ""
        if kind in ("run", "tool_call"):
            differences[f"{label}error_rate"] = of_shares(
                one.errors, one.count - one.stopped, two.errors, two.count - two.stopped
            )
            differences[f"{label}duration_ms"] = of_durations(one.duration, two.duration)
        else:
            differences["first_chunk_ms"] = of_durations(one.first, two.first)
    return Comparison(a=stats[0], b=stats[1], differences=differences)


def _summed(cells: Iterable[tuple[Series, Cell]]) -> dict[tuple[str, str], Cell]:
    """By kind, and of tools by name."""
    sums: dict[tuple[str, str], Cell] = {}
    for of, cell in cells:
        if of.kind not in ("memory", "embedding"):
            key = (of.kind, of.name if of.kind == "tool_call" else "")
            sums.setdefault(key, Cell()).merge(cell)
    return sums
