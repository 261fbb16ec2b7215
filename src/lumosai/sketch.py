"""A percentile sketch that merges: counts in buckets whose bounds grow by 2^(1/32).

Any quantile of what was added is told with a relative error of at most 1.1 %, however much was added and however often
sketches were merged, for merging adds counts and loses nothing. The buckets are those of OpenTelemetry's exponential
histogram at scale 5. The bytes are a stored format: they are read for ever.
"""

from __future__ import annotations

from itertools import accumulate, islice
from math import ceil, inf, isfinite, log2
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

SCALE: Final = 5
"""As in OpenTelemetry: a bucket's upper bound is 2^(1 / 2^SCALE) times its lower one."""
_PER_DOUBLING: Final = 2**SCALE
_GROWTH: Final = 2 ** (1 / _PER_DOUBLING)
_MIDDLE: Final = 2 / (1 + _GROWTH)
"""A bucket's upper bound times this is as far from it as from the lower one, in proportion."""
ERROR: Final = (_GROWTH - 1) / (_GROWTH + 1)
"""The greatest relative error of a quantile."""


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    zeros: int
    total: float
    least: float
    greatest: float
    first: int
    steps: list[int]
    counts: list[int]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


class Sketch:
    """How a quantity was distributed. Values of 0 and less are counted together, as 0.

    Attributes:
        count: how many values were added.
        total: their sum.
        least, greatest: the smallest and the largest, exactly; inf and -inf where nothing was added.
    """

    __slots__ = ("_buckets", "_zeros", "count", "greatest", "least", "total")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._buckets: dict[int, int] = {}
        self._zeros = 0
        self.count = 0
        self.total = 0.0
        self.least = inf
        self.greatest = -inf
        self.add_all(values)

    def add_all(self, values: Iterable[float]) -> None:
        """Adds values.

        Raises:
            ValueError: one of them is no finite number; those before it are added.
        """
        buckets, count, total = self._buckets, 0, 0.0
        least, greatest = self.least, self.greatest
        try:
            for value in values:
                if 0.0 < value < inf:
                    index = ceil(log2(value) * _PER_DOUBLING)
                    buckets[index] = buckets.get(index, 0) + 1
                    count += 1
                    total += value
                    if value < least:  # noqa: PLR1730  # as in `add`
                        least = value
                    if value > greatest:  # noqa: PLR1730
                        greatest = value
                else:
                    self.add(value)
        finally:
            self.count += count
            self.total += total
            self.least, self.greatest = min(least, self.least), max(greatest, self.greatest)

    def add(self, value: float, count: int = 1) -> None:
        """Adds a value, `count` times.

        Raises:
            ValueError: it is no finite number.
        """
        if value > 0.0 and value != inf:
            index = ceil(log2(value) * _PER_DOUBLING)
            self._buckets[index] = self._buckets.get(index, 0) + count
        elif isfinite(value):
            self._zeros += count
        else:
            raise ValueError(f"{value!r} cannot be added to a sketch: it is no finite number")
        self.count += count
        self.total += value * count
        if value < self.least:  # noqa: PLR1730  # a call costs more than the rest of this method
            self.least = value
        if value > self.greatest:  # noqa: PLR1730
            self.greatest = value

    def merge(self, other: Sketch) -> None:
        """Adds all that was added to another one."""
        buckets = self._buckets
        if not buckets:
            self._buckets = {**other._buckets}
        else:
            for index, count in other._buckets.items():
                buckets[index] = buckets.get(index, 0) + count
        self._zeros += other._zeros
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)

    def quantile(self, q: float) -> float | None:
        """The value that a share `q` of all lies at or under; None where nothing was added.

        Raises:
            ValueError: `q` is not from 0 to 1.
        """
        return self.quantiles((q,))[0]

    def quantiles(self, shares: Iterable[float]) -> list[float | None]:
        """Several quantiles in one pass, in the order they were asked for."""
        asked = list(shares)
        for q in asked:
            if not 0.0 <= q <= 1.0:
                raise ValueError(f"a quantile of {q!r} cannot be told: it goes from 0 to 1")
        found: list[float | None] = [None] * len(asked)
        if not self.count:
            return found
        ordered = sorted(self._buckets.items())
        place, seen, value = -1, self._zeros, 0.0
        for at in sorted(range(len(asked)), key=asked.__getitem__):
            rank = max(1, ceil(asked[at] * self.count))
            while seen < rank:
                place += 1
                index, count = ordered[place]
                seen += count
                value = 2 ** (index / _PER_DOUBLING) * _MIDDLE
            found[at] = min(max(value, self.least), self.greatest)
        return found

    @property
    def mean(self) -> float | None:
        """The mean, exactly; None where nothing was added."""
        return self.total / self.count if self.count else None

    def buckets(self) -> list[tuple[int, int]]:
        """Index and count of each bucket that holds anything, rising; bucket i ends at 2^(i / 32), its upper bound counts to it."""
        return sorted(self._buckets.items())

    @property
    def zeros(self) -> int:
        """How many values were 0 or less."""
        return self._zeros

    def at_most(self, bound: float) -> int:
        """How many values were at or under a bound, to the width of the bucket that it lies in."""
        if bound < 0.0:
            return 0
        last = ceil(log2(bound) * _PER_DOUBLING) if bound > 0.0 else -(10**9)
        return self._zeros + sum(count for index, count in self._buckets.items() if index <= last)

    def __bool__(self) -> bool:
        return self.count > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sketch):
            return NotImplemented
        return (self._buckets, self._zeros, self.count) == (other._buckets, other._zeros, other.count)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        if not self.count:
            return "<Sketch of nothing>"
        p50, p95 = self.quantiles((0.5, 0.95))
        return f"<Sketch of {self.count} values, p50 {p50:g}, p95 {p95:g}, {self.least:g} to {self.greatest:g}>"

    def to_bytes(self) -> bytes:
        """All of it, as it is stored: about two bytes a bucket."""
        ordered = sorted(self._buckets.items())
        first = ordered[0][0] if ordered else 0
        before, steps = first, []
        for index, _ in ordered:
            steps.append(index - before)
            before = index
        return _encode(
            _Stored(self._zeros, self.total, self.least, self.greatest, first, steps, [c for _, c in ordered])
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Sketch:
        """What `to_bytes` gave.

        Raises:
            ValueError: it is no such data.
        """
        try:
            stored = _decode(data)
        except msgspec.DecodeError as error:
            raise ValueError(f"these {len(data)} bytes are no sketch: {error}") from None
        made = cls()
        counts = stored.counts
        if len(stored.steps) != len(counts):
            raise ValueError(f"these {len(data)} bytes are no sketch: its buckets and their counts differ in number")
        made._zeros, made.total = stored.zeros, stored.total
        made.least, made.greatest = stored.least, stored.greatest
        indices = islice(accumulate(stored.steps, initial=stored.first), 1, None)
        made._buckets = dict(zip(indices, counts, strict=True))
        made.count = stored.zeros + sum(counts)
        return made
