"""What a span measures: which series it counts to, and the metrics of the run that it ends."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

from lumosai.records import Usage
from lumosai.rollups import Series
from lumosai.traces import AgentMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lumosai.rollups import Cell, SeriesKind
    from lumosai.telemetry._span import GrowingSpan
    from lumosai.traces import TraceStep

FREE: Final = Decimal(0)
"""What a call costs that used nothing."""
_NOTHING: Final = Usage()
MEASURED: Final = frozenset({"run", "model_call", "tool_call", "memory", "embedding"})
"""Kinds of spans that are counted to a series."""
ASKED: Final[frozenset[Literal["model_call", "embedding"]]] = frozenset({"model_call", "embedding"})
"""Those that ask a model, and cost."""
STOPPED: Final = frozenset({"cancelled", "abandoned", "interrupted", "paused"})
"""Ends that say nothing of whether it would have gone well."""


def usage_of(step: TraceStep) -> Usage:
    """The tokens that a span says it took."""
    get = step.attributes.get
    read, written, total = get("input_tokens", 0), get("output_tokens", 0), get("total_tokens", 0)
    if not (read or written or total):
        return _NOTHING
    return Usage(
        read, written, get("reasoning_tokens", 0), get("cache_read_tokens", 0), get("cache_write_tokens", 0), total
    )


def cost_of(step: TraceStep) -> Decimal | None:
    """What a model call cost; 0 of one that used nothing, None where the price is not known."""
    told = step.attributes.get("cost_usd")
    if told is not None:
        return Decimal(told)
    return FREE if usage_of(step) is _NOTHING else None


def was_stopped(step: TraceStep) -> bool:
    """Whether it was ended from outside."""
    return step.error_type in STOPPED or "cancelled" in step.attributes


def series_of(step: TraceStep, version: str) -> Series:
    """The series that a run, a call or a memory operation counts to."""
    if step.kind in ASKED:
        return _series(step.kind, step.agent, f"{step.attributes.get('provider', '')}:{step.name}", version)
    if step.kind == "run":
        return _series("run", step.agent, step.attributes.get("model", ""), version)
    return _series("tool_call" if step.kind == "tool_call" else "memory", step.agent, step.name, version)


def series_of_span(span: GrowingSpan, version: str) -> Series:
    """The same of a run's span, of which no step is made for it."""
    began: Any = span.began
    if span.kind == "embedding":
        return series_of(span.step, version)
    if span.kind == "model_call":
        return _series("model_call", began.agent, f"{began.provider}:{span.name}", version)
    if span.kind == "run":
        return _series("run", began.agent, began.model, version)
    return _series("tool_call" if span.kind == "tool_call" else "memory", began.agent, span.name, version)


@lru_cache(1024)
def _series(kind: SeriesKind, agent: str, name: str, version: str) -> Series:
    return Series(kind, agent, name, version)


def count(cell: Cell, step: TraceStep) -> None:
    """Adds a span that has ended to the sum of its series. Tokens and cost are those of calls of models."""
    known = step.attributes
    cell.add(
        step.duration_ms or 0.0,
        failed=step.error_type is not None,
        stopped=was_stopped(step),
        first_ms=known.get("time_to_first_chunk_ms") if step.kind in ASKED else None,
        queued_ms=known.get("queued_ms"),
    )
    if step.kind in ASKED:
        cell.spend(usage_of(step), cost_of(step))


def metrics_of(run: TraceStep, inner: Iterable[TraceStep]) -> AgentMetrics:
    """The metrics of a run that has ended.

    Args:
        run: its span.
        inner: the other spans of the same run, those of sub-runs not among them.
    """
    known = run.attributes
    calls = memory = errors = 0
    usage, cost = _NOTHING, FREE
    unknown = False
    for step in inner:
        if step.kind == "model_call":
            usage += usage_of(step)
            price = cost_of(step)
            unknown = unknown or price is None
            cost += price or FREE
            errors += step.error_type is not None
        elif step.kind == "tool_call":
            calls += 1
            errors += step.error_type is not None
        elif step.kind == "memory":
            memory += 1
            errors += step.error_type is not None
    failed = run.error_type is not None
    return AgentMetrics(
        agent_id=run.agent,
        run_id=run.run_id,
        model=known.get("response_model", known.get("model", "")),
        agent_version=known.get("agent_version", ""),
        success=not failed and not was_stopped(run),
        cost_usd=None if unknown else cost,
        at=run.end or run.start,
        execution_time_ms=run.duration_ms or 0.0,
        token_usage=usage,
        tool_calls_count=calls,
        memory_operations=memory,
        error_count=errors + failed,
    )
