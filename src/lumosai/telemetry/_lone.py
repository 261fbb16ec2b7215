"""An embedding call of no run, as telemetry stores it: a trace of one span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.ids import new_id
from lumosai.rollups import Cell
from lumosai.telemetry._live import LiveRun, safe
from lumosai.telemetry.measure import cost_of, count, series_of, usage_of, was_stopped
from lumosai.telemetry.trace import TraceFold, embedding_attributes
from lumosai.traces import INDEXING, Recorded, TraceRecord, TraceStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lumosai.events import EmbeddingCall
    from lumosai.records import Scope
    from lumosai.rollups import Series
    from lumosai.telemetry.trace import Content
    from lumosai.traces import Numbered


class LoneSpan(LiveRun):
    """What the recorder takes for a run that has ended."""

    __slots__ = ("_scope", "_trace_id", "step")

    def __init__(self, call: EmbeddingCall, trace_id: str, scope: Scope, content: Content) -> None:
        self.run_id = new_id()
        self.first = 0
        self.fold = TraceFold(content)
        self.late = None
        self.loop = None
        self.dropped = 0
        self.unsure = self.told = False
        self._scope = scope
        self._trace_id = trace_id
        self.step = safe(
            TraceStep(
                span_id=call.span_id,
                kind="embedding",
                name=call.model,
                start=call.at,
                duration_ms=call.duration_ms,
                error=call.error if content != "off" else None,
                error_type=call.error_type,
                attributes=embedding_attributes(call),
            )
        )

    @property
    def begun(self) -> bool:
        return True

    @property
    def scope(self) -> Scope:
        return self._scope

    def recorded(
        self,
        spans: Sequence[Numbered],
        cells: dict[tuple[int, Series], Cell],
        *,
        known: Iterable[Numbered] = (),  # noqa: ARG002  # there is but one
    ) -> Recorded:
        step = self.step
        if spans:
            cell = cells.setdefault((int((step.end or step.start) // 60 * 60), series_of(step, "")), Cell())
            count(cell, step)
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
