"""The critical path: known cases, and that its pieces always lie edge to edge."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai.telemetry.critical import critical_path, own_times
from lumosai.traces import TraceStep


def span(name: str, start: float, end: float | None, parent: str | None = None) -> TraceStep:
    duration = None if end is None else (end - start) * 1e3
    return TraceStep(span_id=name, parent_span_id=parent, kind="step", name=name, start=start, duration_ms=duration)


def told(steps: list[TraceStep]) -> list[tuple[str, float, float]]:
    return [(p.step.name, round(p.start, 6), round(p.end, 6)) for p in critical_path(steps)]


def test_of_two_side_by_side_the_longer_counts() -> None:
    steps = [span("r", 0, 10), span("a", 1, 4, "r"), span("b", 1, 8, "r")]
    assert told(steps) == [("r", 0, 1), ("b", 1, 8), ("r", 8, 10)]
    assert own_times(critical_path(steps)) == pytest.approx({"r": 3000, "b": 7000})


def test_one_behind_the_other_with_a_gap_and_a_grandchild() -> None:
    steps = [span("r", 0, 10), span("a", 1, 4, "r"), span("b", 5, 9, "r"), span("c", 6, 7, "b")]
    wanted = [("r", 0, 1), ("a", 1, 4), ("r", 4, 5), ("b", 5, 6), ("c", 6, 7), ("b", 7, 9), ("r", 9, 10)]
    assert told(steps) == wanted


def test_what_goes_on_is_taken_to_last_until_now() -> None:
    steps = [span("r", 0, None), span("a", 1, None, "r")]
    assert [(p.step.name, p.start, p.end) for p in critical_path(steps, now=5.0)] == [("r", 0, 1), ("a", 1, 5)]
    assert critical_path([]) == ()


@st.composite
def trees(draw: st.DrawFn) -> list[TraceStep]:
    steps = [span("0", 0, 100)]
    for n in range(1, draw(st.integers(1, 20))):
        parent = draw(st.sampled_from(steps))
        low, high = parent.start, parent.end or 100.0
        start, end = sorted((draw(st.floats(low, high)), draw(st.floats(low, high))))
        steps.append(span(str(n), start, end, parent.span_id))
    return steps


@given(trees())
def test_the_pieces_lie_edge_to_edge_from_beginning_to_end(steps: list[TraceStep]) -> None:
    pieces = critical_path(steps)
    assert pieces[0].start == 0
    assert pieces[-1].end == 100
    for before, after in pairwise(pieces):
        assert before.end == after.start
    by_id = {s.span_id: s for s in steps}
    for piece in pieces:
        assert piece.start < piece.end
        assert piece.start >= by_id[piece.step.span_id].start - 1e-9
        assert piece.end <= (by_id[piece.step.span_id].end or 0) + 1e-9
    assert sum(own_times(pieces).values()) == pytest.approx(100_000)


def test_a_chain_of_thousands_is_no_recursion() -> None:
    steps = [span(str(n), n / 1e4, 1, str(n - 1) if n else None) for n in range(3000)]
    assert sum(own_times(critical_path(steps)).values()) == pytest.approx(1000)


def test_loops_and_orphans_end() -> None:
    steps = [
        span("r", 0, 1),
        span("a", 0, 1, "b"),
        span("b", 0, 1, "a"),
        span("o", 0, 1, "nowhere"),
        span("s", 0, 1, "s"),
    ]
    assert told(steps) == [("r", 0, 1)]
