"""The event list: cursors, observers and the one reader that may hold the producer back."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.agent.log import AHEAD, EventLog
from lumosai.events import TextDelta


def delta(seq: int, run_id: str = "r") -> TextDelta:
    return TextDelta(run_id, "r", None, seq, 0.0, "s", None, "a", "m", 0, str(seq))


@given(st.lists(st.integers(0, 5), max_size=30), st.lists(st.integers(0, 40), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_any_reader_from_any_cursor_gets_each_event_once_in_order(bursts: list[int], cursors: list[int]) -> None:
    """However the events come and whenever the reader does."""

    async def check() -> None:
        log = EventLog()
        total = sum(bursts)

        async def read(after: int) -> list[int]:
            return [e.seq async for e in log.read(after)]

        readers = [asyncio.create_task(read(c)) for c in cursors]
        for burst in bursts:
            for _ in range(burst):
                log.append(delta(len(log.events) + 1))
            await asyncio.sleep(0)
        log.close()
        for cursor, reader in zip(cursors, readers, strict=True):
            assert await reader == list(range(cursor + 1, total + 1))

    asyncio.run(check())


async def test_a_reader_that_goes_away_lets_the_producer_on() -> None:
    """The bound ends with its reader."""
    log = EventLog()
    reader = log.read(bounding=True)
    log.append(delta(1))
    assert (await anext(reader)).seq == 1
    for _ in range(AHEAD + 10):
        log.append(delta(len(log.events) + 1))
    assert log.full
    waiting = asyncio.create_task(log.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await reader.aclose()
    await waiting
    assert not log.full


async def test_a_slow_observer_is_warned_of_once(caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    """Observers hold the run up, so one that takes long is named."""
    clock = iter(range(100))
    monkeypatch.setattr("lumosai.agent.log.time.perf_counter", lambda: next(clock))
    log = EventLog()
    log.watch(lambda _: None, None)
    with caplog.at_level(logging.WARNING, "lumosai"):
        log.append(delta(1))
        log.append(delta(2))
    assert sum("took over" in r.message for r in caplog.records) == 1


async def test_an_observer_of_one_run_sees_that_run_only() -> None:
    """A child's observers do not see the tree."""
    log, seen = EventLog(), []
    log.watch(seen.append, "child")
    log.append(delta(1))
    log.append(delta(2, "child"))
    assert [e.seq for e in seen] == [2]
