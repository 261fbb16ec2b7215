"""Which trace a run belongs to."""

from __future__ import annotations

from lumosai.ids import new_trace_id
from lumosai.propagation import SpanIds, baggage_of, carried, parent_of


class Tracing:
    """The trace of a tree of runs.

    Args:
        traceparent, tracestate, baggage: headers of the caller's; without a `traceparent` the trace is a new one.

    Attributes:
        id: the trace's.
        above: the caller's span in another process, None where there is none; `parent_span` is its id.
        flags: "01" where the trace is recorded by whoever began it, else "00".
        tracestate, baggage: what goes with it; `carried` are the two as headers.
    """

    __slots__ = ("above", "baggage", "carried", "flags", "id", "parent_span", "tracestate")

    def __init__(
        self, traceparent: str | None = None, tracestate: str | None = None, baggage: str | None = None
    ) -> None:
        above = self.above = parent_of(traceparent, tracestate, baggage) if traceparent else None
        self.baggage = baggage_of(baggage) if baggage else ""
        self.parent_span: str | None
        if above is None:
            self.id, self.parent_span, self.flags, self.tracestate = new_trace_id(), None, "01", ""
        else:
            self.id, self.parent_span, self.tracestate = above.trace_id, above.span_id, above.tracestate
            self.flags = "01" if above.sampled else "00"
        self.carried = carried(self.tracestate, self.baggage) if self.tracestate or self.baggage else ()

    def ids(self, span: str) -> SpanIds:
        """A span of it, as others are to know it."""
        return SpanIds(self.id, span, self.flags == "01", self.tracestate, self.baggage)

    @classmethod
    def of(cls, ids: SpanIds) -> Tracing:
        """The trace of a span that somebody else has begun."""
        made = cls(ids.traceparent, ids.tracestate, ids.baggage)
        made.above = None
        return made
