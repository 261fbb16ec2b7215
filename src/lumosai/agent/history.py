"""The stored events of a run: read in order from any number on, and what cursors mean in them."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from lumosai import errors
from lumosai.errors import CursorError, LumosaiError, RunError, StorageBrokenError
from lumosai.events import from_json
from lumosai.records import Cursor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lumosai.events import Error, Event
    from lumosai.storage.base import RunRecord

PAGE: Final = 32
"""How many batches are read at once; a batch of a run that has ended may hold 256 KiB."""


class _Numbered(msgspec.Struct):
    seq: int


_number: Final = msgspec.json.Decoder(_Numbered).decode


def events_in(batches: Iterable[bytes], after: int) -> list[Event]:
    """The events of stored batches with numbers above `after`.

    Raises:
        StorageBrokenError: they are not as they were stored.
    """
    try:
        return _events_in(batches, after)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StorageBrokenError(f"an event that is stored is damaged, and cannot be read: {error}") from error


def _events_in(batches: Iterable[bytes], after: int) -> list[Event]:
    found: list[Event] = []
    for batch in batches:
        lines = batch.split(b"\n")
        behind = 0
        if not found:
            first = _number(lines[0]).seq
            behind = max(0, after + 1 - first)
        found += [from_json(line) for line in lines[behind:]]
    return [e for e in found if e.seq > after]


class Epochs:
    """Where each epoch of a run begins.

    Args:
        firsts: the number of each epoch's first event.
    """

    def __init__(self, firsts: Mapping[int, int]) -> None:
        self._numbers = sorted(firsts)
        self._firsts = [firsts[n] for n in self._numbers]

    @property
    def newest(self) -> int:
        """The last epoch's number."""
        return self._numbers[-1]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._numbers)

    def cursor(self, seq: int) -> Cursor:
        """The place behind an event."""
        return Cursor(self._numbers[bisect_right(self._firsts, seq) - 1], seq) if seq > 0 else Cursor()

    def check(self, after: Cursor, record: RunRecord) -> None:
        """Sees that a cursor lies in the run's history.

        Raises:
            CursorError: it does not.
        """
        if after.seq == 0:
            return
        good = record.last
        if after.epoch in self._numbers:
            place = self._numbers.index(after.epoch)
            if place + 1 < len(self._firsts):
                good = min(good, self._firsts[place + 1] - 1)
            if self._firsts[place] <= after.seq <= good:
                return
        if after.seq <= good:  # events with these numbers are there, and they are others than the cursor's
            good = 0
        last = self.cursor(good)
        raise CursorError(
            f"the cursor {after} lies beyond what is kept of run {record.id}, whose last good one is {last}",
            last=str(last),
        )


def error_of(last: Error) -> LumosaiError:
    """The error that a run ended with in another process."""
    kind = getattr(errors, last.error_type, None)
    if isinstance(kind, type) and issubclass(kind, LumosaiError):
        with suppress(TypeError):  # one that is made from more than its text
            return kind(last.message)
    return RunError(f"{last.error_type}: {last.message}")
