"""Traces as they are stored, and as one is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lumosai._secrets import redact
from lumosai.traces import ExecutionTrace, TraceRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    from lumosai.records import Scope
    from lumosai.traces import TraceStep


def may_see(asking: Scope, owning: Scope) -> bool:
    """Whether a scope sees what another one owns."""
    return asking.tenant == owning.tenant and asking.owner in (None, owning.owner)


class Counts(NamedTuple):
    """How many spans of a trace are stored, and of what kind."""

    spans: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    errors: int = 0

    def plus(self, more: Iterable[TraceStep]) -> Counts:
        """With these as well."""
        spans, calls, tools, errors = self
        for step in more:
            spans += 1
            calls += step.kind == "model_call"
            tools += step.kind == "tool_call"
            errors += step.error_type is not None
        return Counts(spans, calls, tools, errors)


def header_of(trace: ExecutionTrace, counts: Counts, *, owner: str | None, dropped: int = 0) -> TraceRecord:
    """The line of a list for a trace; of its spans only the root is looked at."""
    known = trace.metadata
    root = trace.root
    error = root.error if root is not None else None
    return TraceRecord(
        run_id=trace.run_id,
        trace_id=trace.trace_id,
        agent_id=trace.agent_id,
        status=trace.status,
        started_at=trace.started_at,
        duration_ms=trace.total_duration_ms,
        model=known.get("response_model", known.get("model", "")),
        agent_version=known.get("agent_version", ""),
        thread_id=known.get("thread_id", ""),
        resource_id=known.get("resource_id", ""),
        finish_reason=known.get("finish_reason", ""),
        model_calls=counts.model_calls,
        tool_calls=counts.tool_calls,
        errors=counts.errors,
        spans=counts.spans,
        dropped=dropped,
        usage=trace.usage,
        cost_usd=trace.cost_usd,
        error=redact(error) if error is not None else None,
        error_type=root.error_type if root is not None else None,
        owner=owner,
    )


def joined(found: Sequence[tuple[TraceRecord, tuple[TraceStep, ...]]]) -> ExecutionTrace | None:
    """One trace of what is stored of a run, or of all runs with one trace id."""
    if not found:
        return None
    header, steps = found[0]
    usage, cost = header.usage, header.cost_usd
    for other, more in found[1:]:
        steps = (*steps, *more)
        usage += other.usage
        cost = _both(cost, other.cost_usd)
    ends = [h.started_at + (h.duration_ms or 0.0) / 1e3 for h, _ in found]
    going = any(h.duration_ms is None for h, _ in found)
    duration = header.duration_ms if len(found) == 1 else round((max(ends) - header.started_at) * 1e3, 3)
    root = steps[0] if steps else None
    return ExecutionTrace(
        trace_id=header.trace_id,
        run_id=header.run_id,
        agent_id=header.agent_id,
        status=header.status,
        started_at=header.started_at,
        total_duration_ms=None if going else duration,
        steps=steps if len(found) == 1 else tuple(sorted(steps, key=lambda s: s.start)),
        usage=usage,
        cost_usd=cost,
        metadata=root.attributes if root is not None and root.kind == "run" else {},
    )


def _both(one: Decimal | None, two: Decimal | None) -> Decimal | None:
    return None if one is None or two is None else one + two
