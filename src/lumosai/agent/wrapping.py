"""A run and what it does, wrapped by those of its observers that wrap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lumosai.agent.tracing import Tracing
from lumosai.propagation import SpanIds

if TYPE_CHECKING:
    from lumosai.agent.around import Opened, SpanKind
    from lumosai.agent.state import RunState
    from lumosai.models.calling import CallingModel


def wrap_run(state: RunState, model: CallingModel, version: str) -> Opened | None:
    """Enters what wraps a run as a whole, in its own task, before its first event; its ids are the run's."""
    if state.around is None:
        return None
    tracing, resumed = state.tracing, state.past is not None
    if state.parent is not None:
        above: SpanIds | None = tracing.ids(state.parent_span or state.parent.span)
    else:
        above = tracing.ids(state.span) if resumed else tracing.above
    if above is None and tracing.baggage:
        above = SpanIds("", "", baggage=tracing.baggage)
    known = _known(state, state.span) | {"version": version, "provider": model.provider, "model": model.name}
    if resumed:
        known["resumed"] = True
    opened = state.around.open("run", state.name, known, above)
    ids = opened.ids
    if ids is not None and not resumed:
        state.span = state.step_span = ids.span_id
        state.tracing = Tracing.of(ids)
        if state.parent is None and ids.parent_id is not None:
            state.parent_span = ids.parent_id
    return opened


def wrap_inner(state: RunState, kind: SpanKind, name: str, span: str, known: dict[str, Any]) -> Opened:
    """Enters what wraps something inside the step that is going on. Only where something does."""
    assert state.around is not None  # noqa: S101  # as said
    return state.around.open(kind, name, _known(state, span) | known, state.tracing.ids(state.step_span))


def _known(state: RunState, span: str) -> dict[str, Any]:
    """What those that wrap are told of the run."""
    known = {
        "span_id": span,
        "run_id": state.run_id,
        "root_id": state.root_id,
        "parent_run_id": state.parent_id,
        "agent": state.name,
    }
    return known if state.thread_id is None else known | {"thread_id": state.thread_id}
