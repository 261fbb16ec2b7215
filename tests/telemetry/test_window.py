"""Windows are read in parts that lie edge to edge, and statistics say what textbooks say."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai.sketch import Sketch
from lumosai.storage.base import TIERS
from lumosai.telemetry._statistics import of_durations, of_shares
from lumosai.telemetry.window import MINUTES_KEPT_S, parts

NOW = 1_800_000_123.0


@given(st.floats(0, 400 * 86_400), st.floats(1, 200 * 86_400), st.booleans())
def test_parts_cover_the_window_once(ago: float, length: float, finest: bool) -> None:
    since = NOW - ago
    window = (since, min(since + length, NOW + 60))
    if window[0] >= window[1]:
        return
    found = parts(window, NOW, finest=finest)
    assert found[0][1][0] <= window[0]
    assert found[-1][1][1] >= window[1]
    for (_, before), (_, after) in pairwise(found):
        assert before[1] == after[0]
    for tier, (begins, ends) in found:
        assert begins < ends
        assert begins % TIERS[tier] == ends % TIERS[tier] == 0
        assert tier > 0 or begins >= NOW - MINUTES_KEPT_S - TIERS[1]
    if window[0] > NOW - MINUTES_KEPT_S + TIERS[1]:
        assert found[0][1][0] > window[0] - 60, "of what is not long ago the window is exact to the minute"
        assert found[-1][1][1] < window[1] + 60


@pytest.mark.parametrize(
    ("a", "n_a", "b", "n_b", "p"),
    [(1, 9, 11, 14, 0.00276), (8, 10, 1, 6, 0.03497), (0, 10, 0, 10, 1.0), (5, 1000, 20, 1000, 0.00386)],
)
def test_fishers_test_gives_the_known_values(a: int, n_a: int, b: int, n_b: int, p: float) -> None:
    told = of_shares(a, n_a, b, n_b)
    assert told.p_value == pytest.approx(p, rel=0.003)
    assert told.change == pytest.approx(b / n_b - a / n_a)
    assert told.significant == (p < 0.05)


def test_shares_of_very_many_are_told_quickly_and_of_none_not_at_all() -> None:
    assert of_shares(1_000, 1_000_000, 1_300, 1_000_000).significant
    assert of_shares(0, 0, 1, 2).p_value is None


def test_durations_that_differ_are_told_from_those_that_do_not() -> None:
    draw = random.Random(5)
    one, same, slower = (Sketch([draw.lognormvariate(mean, 0.5) for _ in range(400)]) for mean in (3.0, 3.0, 3.2))
    assert not of_durations(one, same).significant
    told = of_durations(one, slower)
    assert told.significant
    assert told.change is not None
    assert told.change > 0
    assert of_durations(Sketch(), one).p_value is None
    assert of_durations(Sketch([1.0] * 9), Sketch([1.0] * 9)).p_value == 1.0


def test_chance_is_called_significant_as_often_as_the_level_says() -> None:
    draw = random.Random(6)
    hits = 0
    for _ in range(400):
        a, b = (Sketch([draw.lognormvariate(2, 1) for _ in range(40)]) for _ in range(2))
        hits += of_durations(a, b).significant
    assert 5 <= hits <= 36
