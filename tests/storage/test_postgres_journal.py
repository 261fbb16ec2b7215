"""Deltas of many runs in few transactions of PostgreSQL's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lumosai import Scope
from lumosai.errors import StorageBrokenError, StorageUnavailableError
from lumosai.storage import PostgresStorage
from lumosai.storage.base import Batch, Handle, Lease, RunRecord


class Counting(PostgresStorage):
    """Counts the journal's transactions; `fails` is raised in the next one's place."""

    transactions = 0
    fails: Exception | None = None

    async def write(self, op: Any, lane: Any = "memory", **how: bool) -> Any:
        if lane == "journal":
            self.transactions += 1
            if self.fails is not None:
                error, self.fails = self.fails, None
                raise error
        return await super().write(op, lane, **how)


@pytest.fixture
async def storage(postgres_url: str) -> AsyncIterator[Counting]:
    """An empty storage."""
    async with Counting(postgres_url) as made:
        yield made


async def _runs(handle: Handle, count: int) -> list[Lease]:
    return [await handle.open_run(RunRecord(id=f"r{n}"), Batch(first=1, last=1, data=b"1")) for n in range(count)]


def _delta(number: int) -> Batch:
    return Batch(first=number, last=number, data=b"%d" % number)


async def test_many_go_in_few_transactions(storage: Counting) -> None:
    """Forty runs' deltas at once are a transaction or two, for each of several rounds."""
    mine = storage.scope(Scope())
    leases = await _runs(mine, 40)
    for seq in range(2, 7):
        await asyncio.gather(*[mine.append_events(lease, _delta(seq)) for lease in leases])
    assert storage.transactions <= 10
    for n in range(40):
        assert b"".join(await mine.events(f"r{n}")) == b"123456"


async def test_who_gives_up_hinders_nobody(storage: Counting) -> None:
    """A caller that is cancelled, waiting or on its way, may try again; the others are not cut short."""
    mine = storage.scope(Scope())
    leases = await _runs(mine, 6)
    for after_turns in range(4):
        tasks = [asyncio.ensure_future(mine.append_events(lease, _delta(2 + after_turns))) for lease in leases]
        for _ in range(after_turns):
            await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[5].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert done[1:5] == [None] * 4
        for lease in (leases[0], leases[5]):
            await mine.append_events(lease, _delta(2 + after_turns))
    for n in range(6):
        assert b"".join(await mine.events(f"r{n}")) == b"12345"


async def test_a_failure_is_each_ones_own(storage: Counting) -> None:
    """What the server refuses together is tried alone; one that is not there is told to all, to each by itself."""
    mine = storage.scope(Scope())
    leases = await _runs(mine, 3)
    storage.fails = StorageBrokenError("refused")
    await asyncio.gather(*[mine.append_events(lease, _delta(2)) for lease in leases])
    storage.fails = StorageUnavailableError("gone")
    failed = await asyncio.gather(*[mine.append_events(lease, _delta(3)) for lease in leases], return_exceptions=True)
    assert [type(error) for error in failed] == [StorageUnavailableError] * 3
    assert len(set(map(id, failed))) == 3
    await asyncio.gather(*[mine.append_events(lease, _delta(3)) for lease in leases])
    for n in range(3):
        assert b"".join(await mine.events(f"r{n}")) == b"123"


async def test_closing_waits_for_what_is_under_way(storage: Counting) -> None:
    """What was given before `close` is stored, and the storage opens again."""
    mine = storage.scope(Scope())
    leases = await _runs(mine, 5)
    tasks = [asyncio.ensure_future(mine.append_events(lease, _delta(2))) for lease in leases]
    await asyncio.sleep(0)
    await storage.close()
    await asyncio.gather(*tasks)
    for n in range(5):
        assert b"".join(await mine.events(f"r{n}")) == b"12"
