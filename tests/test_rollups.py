"""Cells: what measurements add up to, and their stored bytes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lumosai.records import Usage
from lumosai.rollups import Cell


def cell(*durations: float, errors: int = 0, cost: str | None = None, first: float | None = None) -> Cell:
    made = Cell()
    for duration in durations:
        made.duration.add(duration)
        made.spend(Usage(1, 2, 3, 4, 5, 6), Decimal(cost) if cost is not None else None)
        if first is not None:
            made.first.add(first)
    made.errors = errors
    return made


def test_cells_merge_and_are_stored_without_loss() -> None:
    whole = cell(1.0, 2.0, errors=1, cost="0.000000123", first=7.0)
    whole.merge(cell(30.0, cost=None))
    whole.queued.add(5.0)
    again = Cell.from_bytes(whole.to_bytes())
    for it in (whole, again):
        assert (it.count, it.errors, it.unpriced, it.cost_nano) == (3, 1, 1, 246)
        assert it.usage == Usage(3, 6, 9, 12, 15, 18)
        assert it.cost_usd == Decimal("0.000000246")
        assert (it.first.count, it.queued.count) == (2, 1)
    assert again.duration == whole.duration
    assert cell(1.0).cost_usd is None, "a price that is not known is not 0"
    assert cell(1.0, cost="0").cost_usd == 0


def test_bytes_that_were_stored_are_read_for_ever() -> None:
    stored = cell(1.0, errors=1, cost="0.5", first=2.0).to_bytes()
    assert stored == bytes.fromhex(STORED)
    assert Cell.from_bytes(bytes.fromhex(STORED)).cost_usd == Decimal("0.5")
    with pytest.raises(ValueError, match="no sum of measurements"):
        Cell.from_bytes(b"\x00")


STORED = "98c4229700cb3ff0000000000000cb3ff0000000000000cb3ff00000000000000091009101010096010203040506ce1dcd650000c4229700cb4000000000000000cb4000000000000000cb40000000000000002091009101c400"
