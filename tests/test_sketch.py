"""The sketch: its error, merging, and its stored bytes."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai.sketch import ERROR, Sketch

VALUES = st.lists(st.floats(min_value=0, max_value=1e12, allow_nan=False), max_size=60)
SHARES = (0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)


def exact(values: list[float], q: float) -> float:
    return sorted(values)[max(1, math.ceil(q * len(values))) - 1]


@given(VALUES.filter(bool))
def test_a_quantile_is_never_further_off_than_the_error_says(values: list[float]) -> None:
    sketch = Sketch(values)
    for q, told in zip(SHARES, sketch.quantiles(SHARES), strict=True):
        assert told == pytest.approx(exact(values, q), rel=ERROR * 1.000001)
        assert told == sketch.quantile(q)


def test_the_error_is_under_eleven_thousandths_on_skewed_data() -> None:
    draw = random.Random(7)
    values = [draw.lognormvariate(3, 2) for _ in range(20_000)]
    sketch = Sketch(values)
    for q in SHARES:
        assert sketch.quantile(q) == pytest.approx(exact(values, q), rel=0.011)


@given(VALUES, VALUES, VALUES)
def test_merging_in_any_order_is_as_if_all_had_been_added_to_one(
    a: list[float], b: list[float], c: list[float]
) -> None:
    left, right = Sketch(a), Sketch(c)
    left.merge(Sketch(b))
    left.merge(Sketch(c))
    right.merge(Sketch(a))
    right.merge(Sketch(b))
    assert left == right == Sketch([*a, *b, *c])
    assert left.count == len(a) + len(b) + len(c)
    assert left.quantiles(SHARES) == right.quantiles(SHARES)


@given(VALUES)
def test_the_stored_bytes_give_the_same_sketch_again(values: list[float]) -> None:
    sketch = Sketch(values)
    again = Sketch.from_bytes(sketch.to_bytes())
    assert again == sketch
    assert (again.total, again.least, again.greatest) == (sketch.total, sketch.least, sketch.greatest)
    assert again.quantiles(SHARES) == sketch.quantiles(SHARES)


def test_bytes_that_were_stored_are_read_for_ever() -> None:
    stored = bytes.fromhex("9701cb4008000000000000cb0000000000000000cb400000000000000000920020920101")
    sketch = Sketch.from_bytes(stored)
    assert sketch == Sketch([0.0, 1.0, 2.0])
    assert (sketch.total, sketch.least, sketch.greatest) == (3.0, 0.0, 2.0)
    assert sketch.to_bytes() == stored
    with pytest.raises(ValueError, match="no sketch"):
        Sketch.from_bytes(stored[:-1])
    with pytest.raises(ValueError, match="differ in number"):
        Sketch.from_bytes(stored[:-3] + bytes.fromhex("9101"))


def test_nothing_and_what_is_no_number() -> None:
    assert Sketch().quantile(0.5) is None
    assert not Sketch()
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="no finite number"):
            Sketch([bad])
    with pytest.raises(ValueError, match="from 0 to 1"):
        Sketch([1.0]).quantile(95)


def test_counts_under_a_bound_are_those_of_a_histogram() -> None:
    sketch = Sketch([0.0, 0.5, 1.0, 2.0, 4.0])
    assert [sketch.at_most(b) for b in (-1.0, 0.0, 0.5, 1.0, 3.0, 4.0, 1e9)] == [0, 1, 2, 3, 4, 5, 5]
