"""Whether two samples differ by more than chance: of shares, and of durations that only a sketch knows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from lumosai.sketch import Sketch


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How b differs from a.

    Attributes:
        a, b: the share, or the median; None where there was nothing to tell it of.
        change: b less a.
        p_value: how likely a difference at least as great is if both were drawn from one and the same; None where a sample
            is empty. Under 0.05 it is called significant by custom; of many comparisons some are by chance.
        test: how that was told: "fisher" (exact) or "mann-whitney" (normal approximation, ties corrected).
        n_a, n_b: how many measurements.
    """

    a: float | None
    b: float | None
    change: float | None
    p_value: float | None
    test: str
    n_a: int
    n_b: int

    @property
    def significant(self) -> bool:
        """Whether the p-value is under 0.05."""
        return self.p_value is not None and self.p_value < 0.05  # noqa: PLR2004  # the custom of the field


def of_shares(hits_a: int, n_a: int, hits_b: int, n_b: int) -> Difference:
    """How two shares differ, by Fisher's exact test, two-sided."""
    a = hits_a / n_a if n_a else None
    b = hits_b / n_b if n_b else None
    return Difference(
        a=a,
        b=b,
        change=None if a is None or b is None else b - a,
        p_value=_fisher(hits_a, n_a, hits_b, n_b) if n_a and n_b else None,
        test="fisher",
        n_a=n_a,
        n_b=n_b,
    )


def of_durations(a: Sketch, b: Sketch) -> Difference:
    """How two distributions differ, by the Mann-Whitney test over their buckets; values of one bucket count as equal."""
    one, two = a.quantile(0.5), b.quantile(0.5)
    return Difference(
        a=one,
        b=two,
        change=None if one is None or two is None else two - one,
        p_value=_mann_whitney(a, b) if a and b else None,
        test="mann-whitney",
        n_a=a.count,
        n_b=b.count,
    )


def _fisher(hits_a: int, n_a: int, hits_b: int, n_b: int) -> float:
    """Sums the chances of all tables with the same margins that are no likelier than this one."""
    hits, n = hits_a + hits_b, n_a + n_b
    whole = _log_choose(n, hits)

    def log_chance(k: int) -> float:
        return _log_choose(n_a, k) + _log_choose(n_b, hits - k) - whole

    limit = log_chance(hits_a) + 1e-9
    least, most = max(0, hits - n_b), min(hits, n_a)
    total = 0.0
    # From this table outwards on either side: far out the chances vanish, and adding them up can stop.
    for places in (range(hits_a, most + 1), range(hits_a - 1, least - 1, -1)):
        total += _tail(log_chance, places, limit)
    return min(1.0, total)


def _tail(log_chance: Callable[[int], float], places: range, limit: float) -> float:
    total = 0.0
    for k in places:
        chance = log_chance(k)
        if chance <= limit:
            total += math.exp(chance)
            if chance < _VANISHING and k != places.start:
                break
    return total


_VANISHING = -60.0


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _mann_whitney(a: Sketch, b: Sketch) -> float:
    n_a, n_b = a.count, b.count
    n = n_a + n_b
    mine, theirs = _counts(a), _counts(b)
    below, rank_sum, ties = 0, 0.0, 0.0
    for place in sorted(mine.keys() | theirs.keys()):
        here_a, here = mine.get(place, 0), mine.get(place, 0) + theirs.get(place, 0)
        rank_sum += here_a * (below + (here + 1) / 2)
        ties += here**3 - here
        below += here
    u = rank_sum - n_a * (n_a + 1) / 2
    mean = n_a * n_b / 2
    spread = n_a * n_b / 12 * (n + 1 - ties / (n * (n - 1))) if n > 1 else 0.0
    if spread <= 0:
        return 1.0
    z = max(0.0, abs(u - mean) - 0.5) / math.sqrt(spread)
    return math.erfc(z / math.sqrt(2))


def _counts(sketch: Sketch) -> dict[int, int]:
    """Counts by bucket; what is 0 lies below all of them."""
    counts = dict(sketch.buckets())
    if sketch.zeros:
        counts[_BELOW] = sketch.zeros
    return counts


_BELOW = -(10**9)
