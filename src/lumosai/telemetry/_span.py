"""A span while it grows, from the event that begins it to the one that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lumosai.traces import TraceStep

if TYPE_CHECKING:
    from lumosai.events import Event
    from lumosai.traces import StepKind


class GrowingSpan:
    """A span while it grows.

    Args:
        event: begins it.
        kind, name, span_id, parent, start: as in `TraceStep`.

    Attributes:
        number: its number in the trace.
        waited: whether somebody was asked in it, so that no single clock measured it.
    """

    __slots__ = (
        "_made",
        "agent",
        "attributes",
        "duration_ms",
        "error",
        "error_type",
        "kind",
        "name",
        "number",
        "parent",
        "run_id",
        "span_id",
        "start",
        "waited",
    )

    def __init__(  # noqa: PLR0917  # a span's header
        self, event: Event, kind: StepKind, name: str, span_id: str, parent: str | None, start: float
    ) -> None:
        self.span_id = span_id
        self.parent = parent
        self.kind = kind
        self.name = name
        self.start = start
        self.run_id = event.run_id
        self.agent = event.agent
        self.duration_ms: float | None = None
        self.error: str | None = None
        self.error_type: str | None = None
        self.attributes: dict[str, Any] = {}
        self.waited = False
        self.number = 0
        self._made: TraceStep | None = None

    def fail(self, error_type: str, error: str | None) -> None:
        """What it stood for went wrong."""
        self.error_type, self.error = error_type, error

    def step(self) -> TraceStep:
        """What it is now; for good, once it has ended."""
        if self._made is not None:
            return self._made
        ended = self.duration_ms is not None
        made = TraceStep(
            span_id=self.span_id,
            parent_span_id=self.parent,
            kind=self.kind,
            name=self.name,
            start=self.start,
            duration_ms=self.duration_ms,
            run_id=self.run_id,
            agent=self.agent,
            error=self.error,
            error_type=self.error_type,
            attributes=self.attributes if ended else {**self.attributes},
        )
        if ended:
            self._made = made
        return made
