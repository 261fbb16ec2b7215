"""The event list: cursors, observers and the one reader that may hold the producer back."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.agent.log import AHEAD, EventLog
from lumosai.events import TextDelta
from tests.conftest import examples


def delta(seq: int, run_id: str = "r") -> TextDelta:
    return TextDelta(run_id, "r", None, seq, 0.0, "s", None, "a", "m", 0, str(seq))


@given(st.lists(st.integers(0, 5), max_size=30), st.lists(st.integers(0, 40), min_size=1, max_size=5))
@settings(max_examples=examples(60), deadline=None)
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


async def test_every_producer_that_waits_is_let_on() -> None:
    """Sub-runs side by side share one log: a slow reader holds all of them, and frees all of them."""
    log = EventLog()
    reader = log.read(bounding=True)
    log.append(delta(1))
    await anext(reader)
    for _ in range(AHEAD + 10):
        log.append(delta(len(log.events) + 1))
    waiting = [asyncio.create_task(log.room()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    for _ in range(300):
        await anext(reader)
    await asyncio.gather(*waiting[1:])
    assert waiting[0].cancelled()
    await reader.aclose()


async def test_once_the_producer_is_free_no_reader_can_bound_it() -> None:
    """Whoever waits for the end must not be held up by an iterator that begins later."""
    log = EventLog()
    log.unbound()
    reader = log.read(bounding=True)
    log.append(delta(1))
    await anext(reader)
    for _ in range(AHEAD + 10):
        log.append(delta(len(log.events) + 1))
    assert not log.bounded
    assert not log.full
    await reader.aclose()


async def test_what_an_observer_brings_about_is_shown_after_what_it_was_shown() -> None:
    """Each observer sees the events in their order, whatever another does in between."""
    log, seen = EventLog(), []
    log.append(delta(1))
    log.watch(lambda e: log.append(delta(3)) if e.seq == 2 else None, None)
    log.watch(lambda e: seen.append(e.seq), None)
    log.append(delta(2))
    assert seen == [2, 3]


async def test_an_observer_that_raises_another_tasks_cancel_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """A CancelledError out of an observer stops nobody."""

    def bad(_) -> None:
        raise asyncio.CancelledError

    log, seen = EventLog(), []
    log.watch(bad, None)
    log.watch(seen.append, None)
    log.append(delta(1))
    log.append(delta(2))
    assert len(seen) == 2
    assert sum("dropped" in r.message for r in caplog.records) == 1


async def test_an_object_may_watch_several_runs_of_one_log() -> None:
    """It sees each event once, and no more of a run that has ended."""
    log, seen = EventLog(), []
    log.watch(seen.append, "a")
    log.watch(seen.append, "a")
    log.watch(seen.append, "b")
    log.append(delta(1, "a"))
    log.append(delta(2, "b"))
    log.unwatch("a")
    log.append(delta(3, "a"))
    log.watch(seen.append, None)
    log.watch(seen.append, "c")
    log.append(delta(4, "c"))
    assert [e.seq for e in seen] == [1, 2, 4]
