"""An embedding call of no run, as telemetry stores it: a trace of one span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lumosai._secrets import redact
from lumosai.ids import new_id
from lumosai.telemetry._live import LiveRun
from lumosai.telemetry._span import embedding_attributes
from lumosai.telemetry.measure import cost_of, usage_of, was_stopped
from lumosai.telemetry.trace import TraceFold
from lumosai.traces import INDEXING, Numbered, Recorded, TraceRecord, TraceStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.events import EmbeddingCall
    from lumosai.records import Scope
    from lumosai.telemetry._adding import Sums
    from lumosai.telemetry._span import Content, GrowingSpan


class LoneSpan(LiveRun):
    """What the recorder takes for a run that has ended."""

    __slots__ = ("_scope", "_trace_id", "step")

    def __init__(self, call: EmbeddingCall, trace_id: str, scope: Scope, content: Content) -> None:
        self.run_id = new_id()
        self.first = 0
        self.epoch = 1
        self.fold = TraceFold(content)
        self.coming = []
        self.whole = True
        self.loop = None
        self.dropped = 0
        self.unsure = self.told = self.queued = False
        self._scope = scope
        self._trace_id = trace_id
        self.step = TraceStep(
            span_id=call.span_id,
            kind="embedding",
            name=call.model,
            start=call.at,
            duration_ms=call.duration_ms,
            error=redact(call.error) if call.error is not None and content != "off" else None,
            error_type=call.error_type,
            attributes=embedding_attributes(call),
        )
        # Of a span that ended the recorder asks but the number.
        self.fold.closed.append(cast("GrowingSpan", Numbered(0, -1, self.step)))

    @property
    def begun(self) -> bool:
        return True

    @property
    def scope(self) -> Scope:
        return self._scope

    def recorded(self, spans: Sequence[Any], sums: Sums, *, known: Sequence[Any] = ()) -> Recorded:  # noqa: ARG002  # there is but one
        step = self.step
        if spans:
            sums.add_step(self._scope.tenant, step, "")
        cost = cost_of(step)
        return Recorded(
            scope=self._scope,
            header=TraceRecord(
                run_id=self.run_id,
                trace_id=self._trace_id,
                status="ok" if step.error_type is None else "cancelled" if was_stopped(step) else "error",
                started_at=step.start,
                duration_ms=step.duration_ms,
                model=step.name,
                errors=int(step.error_type is not None),
                spans=1,
                usage=usage_of(step),
                cost_usd=cost,
                error=step.error,
                error_type=step.error_type,
                owner=self._scope.owner,
                source=INDEXING,
            ),
            spans=tuple(spans),
            names=frozenset([step.name]),
        )

    def stored(self) -> None:
        self.unsure = False
