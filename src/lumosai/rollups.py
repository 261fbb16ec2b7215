"""Measurements added up: how often, how long, how many tokens, for how much; by whom, with what, minute by minute.

A `Cell` is what many measurements of one `Series` add up to. Cells merge without loss, so that minutes make hours, and
what several processes measured makes one sum. A cell's bytes are a stored format: they are read for ever.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal, NamedTuple

import msgspec

from lumosai.records import Usage
from lumosai.sketch import Sketch

SeriesKind = Literal["run", "model_call", "tool_call", "memory", "resource", "embedding"]

_NANO: Final = 10**9


class Series(NamedTuple):
    """What is added up together.

    Attributes:
        kind: of what.
        agent: the agent's name, "" where there is none.
        name: of a run, a model call and an embedding the model, of a tool call the tool, of memory the operation, of a resource its
            name and unit, such as "rss_mib".
        version: the agent's version.
    """

    kind: SeriesKind
    agent: str = ""
    name: str = ""
    version: str = ""


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    duration: bytes
    errors: int
    stopped: int
    usage: tuple[int, int, int, int, int, int]
    cost_nano: int
    unpriced: int
    first: bytes
    queued: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode
_NOTHING: Final = Usage()


class Cell:
    """What measurements of one series add up to.

    Attributes:
        duration: milliseconds, of a resource what its name says; its count is that of all.
        errors: how many failed.
        stopped: how many were stopped from outside: neither good nor bad.
        usage: tokens.
        cost_nano: cost in 10^-9 US dollars, of those whose price is known.
        unpriced: how many had a price that is not known.
        first: milliseconds to the first chunk, of model calls that streamed.
        queued: milliseconds that were waited before it began, of those that waited.
    """

    __slots__ = ("cost_nano", "duration", "errors", "first", "queued", "stopped", "unpriced", "usage")

    def __init__(self) -> None:
        self.duration = Sketch()
        self.errors = 0
        self.stopped = 0
        self.usage = _NOTHING
        self.cost_nano = 0
        self.unpriced = 0
        self.first = Sketch()
        self.queued = Sketch()

    @property
    def count(self) -> int:
        """How many measurements there were."""
        return self.duration.count

    @property
    def cost_usd(self) -> Decimal | None:
        """The cost of those whose price is known; None where it is known of none."""
        priced = self.count - self.unpriced
        return Decimal(self.cost_nano) / _NANO if priced > 0 else None

    def add(
        self,
        duration_ms: float,
        *,
        failed: bool = False,
        stopped: bool = False,
        first_ms: float | None = None,
        queued_ms: float | None = None,
    ) -> None:
        """Adds one measurement; what was stopped did not fail."""
        self.duration.add(duration_ms)
        if stopped:
            self.stopped += 1
        elif failed:
            self.errors += 1
        if first_ms is not None:
            self.first.add(first_ms)
        if queued_ms is not None:
            self.queued.add(queued_ms)

    def spend(self, usage: Usage, cost: Decimal | None) -> None:
        """Adds the tokens and the cost of one measurement."""
        if usage is not _NOTHING:
            self.usage = self.usage + usage if self.usage is not _NOTHING else usage
        if cost is None:
            self.unpriced += 1
        elif cost:
            self.cost_nano += int(cost * _NANO)

    def merge(self, other: Cell) -> None:
        """Adds all that another one holds."""
        self.duration.merge(other.duration)
        self.errors += other.errors
        self.stopped += other.stopped
        self.usage += other.usage
        self.cost_nano += other.cost_nano
        self.unpriced += other.unpriced
        self.first.merge(other.first)
        self.queued.merge(other.queued)

    def to_bytes(self) -> bytes:
        """All of it, as it is stored."""
        u = self.usage
        return _encode(
            _Stored(
                self.duration.to_bytes(),
                self.errors,
                self.stopped,
                (
                    u.input_tokens,
                    u.output_tokens,
                    u.reasoning_tokens,
                    u.cache_read_tokens,
                    u.cache_write_tokens,
                    u.total_tokens,
                ),
                self.cost_nano,
                self.unpriced,
                self.first.to_bytes() if self.first else b"",
                self.queued.to_bytes() if self.queued else b"",
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Cell:
        """What `to_bytes` gave.

        Raises:
            ValueError: it is no such data.
        """
        try:
            stored = _decode(data)
        except msgspec.DecodeError as error:
            raise ValueError(f"these {len(data)} bytes are no sum of measurements: {error}") from None
        made = cls()
        made.duration = Sketch.from_bytes(stored.duration)
        made.errors, made.stopped = stored.errors, stored.stopped
        made.usage = Usage(*stored.usage)
        made.cost_nano, made.unpriced = stored.cost_nano, stored.unpriced
        made.first = Sketch.from_bytes(stored.first) if stored.first else Sketch()
        made.queued = Sketch.from_bytes(stored.queued) if stored.queued else Sketch()
        return made
