"""Telemetry: what a run's events say of where time, tokens and money went.

    telemetry = Telemetry("sqlite:///lumosai.db")
    agent = Agent("assistant", observers=[telemetry])
    …
    for trace in (await telemetry.traces(status="error")).items: …

It is kept in the same database as threads and runs, or in one of its own; nothing leaves the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lumosai.telemetry.compare import Comparison, Slice
    from lumosai.telemetry.metrics import MemoryMetrics, MetricsCollector
    from lumosai.telemetry.series import MetricSeries, Point
    from lumosai.telemetry.telemetry import Telemetry
    from lumosai.telemetry.trace import trace_of
    from lumosai.traces import (
        AgentMetrics,
        ExecutionTrace,
        PerformanceStats,
        ToolStats,
        TraceFilter,
        TraceRecord,
        TraceStep,
    )

__all__ = [
    "AgentMetrics",
    "Comparison",
    "ExecutionTrace",
    "MemoryMetrics",
    "MetricSeries",
    "MetricsCollector",
    "PerformanceStats",
    "Point",
    "Slice",
    "Telemetry",
    "ToolStats",
    "TraceFilter",
    "TraceRecord",
    "TraceStep",
    "trace_of",
]

_HOMES: Final = {
    "Comparison": "lumosai.telemetry.compare",
    "Slice": "lumosai.telemetry.compare",
    "MemoryMetrics": "lumosai.telemetry.metrics",
    "MetricsCollector": "lumosai.telemetry.metrics",
    "MetricSeries": "lumosai.telemetry.series",
    "Point": "lumosai.telemetry.series",
    "Telemetry": "lumosai.telemetry.telemetry",
    "trace_of": "lumosai.telemetry.trace",
}
_RECORDS: Final = "lumosai.traces"


def __getattr__(name: str) -> object:
    if name not in __all__:
        msg = f"module 'lumosai.telemetry' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(_HOMES.get(name, _RECORDS)), name)
    globals()[name] = value
    return value
