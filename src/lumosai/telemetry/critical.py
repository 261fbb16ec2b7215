"""The critical path of a trace: what its end waited for, moment by moment.

Walking back from a span's end, whichever child finished last was waited for; before it began, the one that had finished
last by then; and so on. What is between them is the span's own time. So the pieces lie edge to edge, from the root's
beginning to its end, and shortening any of them would have ended the run earlier; shortening anything else would not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lumosai.traces import TraceStep

_DEEPEST = 500


class Piece(NamedTuple):
    """A part of the critical path.

    Attributes:
        step: the span whose own time it is.
        start, end: from when until when, unix seconds.
    """

    step: TraceStep
    start: float
    end: float

    @property
    def duration_ms(self) -> float:
        """How long it is."""
        return (self.end - self.start) * 1e3


def critical_path(steps: Iterable[TraceStep], *, now: float | None = None) -> tuple[Piece, ...]:
    """The pieces of the critical path, in order.

    Args:
        steps: a trace's spans; the first without a parent among them is its root.
        now: when a span that goes on is taken to end; by default when the last span of all ended.
    """
    spans = list(steps)
    if not spans:
        return ()
    known = {s.span_id for s in spans}
    last = now if now is not None else max(s.end if s.end is not None else s.start for s in spans)
    children: dict[str | None, list[TraceStep]] = {}
    for span in spans:
        parent = span.parent_span_id if span.parent_span_id in known and span.parent_span_id != span.span_id else None
        children.setdefault(parent, []).append(span)
    roots = children.get(None)
    if not roots:
        return ()
    root = roots[0]
    pieces: list[Piece] = []
    _walk(root, _end(root, last), children, last, pieces)
    pieces.reverse()
    return tuple(pieces)


def own_times(pieces: Iterable[Piece]) -> dict[str, float]:
    """Milliseconds of the critical path that are each span's own, by span id."""
    times: dict[str, float] = {}
    for piece in pieces:
        times[piece.step.span_id] = times.get(piece.step.span_id, 0.0) + piece.duration_ms
    return times


class _Place(NamedTuple):
    """Where the walk is: in a span, at a moment, with those of its children that may still have been waited for."""

    span: TraceStep
    at: float
    waiting: list[tuple[float, TraceStep]]
    slack: float


def _walk(
    root: TraceStep, end: float, children: dict[str | None, list[TraceStep]], last: float, pieces: list[Piece]
) -> None:
    """Adds pieces from the end backwards. A stack of its own, for traces may be deep."""

    def place(span: TraceStep, at: float) -> _Place:
        inner = sorted(
            [(min(_end(s, last), at), s) for s in children.get(span.span_id, ())], key=lambda found: found[0]
        )
        return _Place(span, at, inner, _TOGETHER_S + (at - span.start) * _TOGETHER)

    stack = [place(root, end)]
    while stack:
        span, at, waiting, slack = stack.pop()
        found: tuple[float, TraceStep] | None = None
        while waiting and found is None:
            ended, child = waiting.pop()
            if ended <= at + slack and child.start < at and len(stack) < _DEEPEST:
                found = (min(ended, at), child)
        if found is None:
            if at > span.start:
                pieces.append(Piece(span, span.start, at))
            continue
        ended, child = found
        if ended < at:
            pieces.append(Piece(span, ended, at))
        stack.append(_Place(span, max(child.start, span.start), waiting, slack))
        stack.append(place(child, ended))


_TOGETHER_S = 0.002
_TOGETHER = 0.005
"""By how much, and by what share of the span around it, a child may seem to end behind the beginning of the one that
waited for it: clocks are read one after another."""


def _end(span: TraceStep, last: float) -> float:
    return span.end if span.end is not None else max(last, span.start)
