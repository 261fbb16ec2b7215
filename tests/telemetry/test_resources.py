"""What a process uses while runs are recorded: looked at, stored, asked for."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lumosai import Agent
from lumosai.records import Scope
from lumosai.rollups import Cell, Series
from lumosai.storage import SqliteStorage, Storage
from lumosai.telemetry import Telemetry, resources
from lumosai.telemetry.recorder import Recorder
from lumosai.testing import ScriptedModel
from lumosai.traces import Counted


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is looked at all the time."""
    monkeypatch.setattr(resources, "LOOK_S", 0.03)


async def held(storage: Storage, until: Any, **how: Any) -> Telemetry:
    """A run that goes on until something is done."""
    telemetry = Telemetry(storage, **how)

    async def answer(request: Any) -> str:
        await until()
        return "done"

    await Agent("a", model=ScriptedModel(answer), observers=[telemetry]).generate("go")
    await telemetry.close()
    return telemetry


@pytest.fixture
def looked(often: None, monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Has one more after each look."""
    looks, look = threading.Semaphore(0), resources.Monitor._look

    def counted(self: resources.Monitor, loops: Any) -> None:
        look(self, loops)
        looks.release()

    monkeypatch.setattr(resources.Monitor, "_look", counted)
    return looks


async def test_what_the_process_uses_is_measured_while_runs_go_on(
    storage: Storage, looked: threading.Semaphore
) -> None:
    async def slow() -> None:
        await asyncio.to_thread(looked.acquire)
        looked.acquire()  # the loop is held up, as a careless tool does
        time.sleep(0.06)  # noqa: ASYNC251
        await asyncio.to_thread(looked.acquire)
        await asyncio.sleep(0)

    telemetry = await held(storage, slow)
    use = await telemetry.resources()
    assert {"cpu_percent", "loop_lag_ms", "queued_spans", "threads"} <= use.keys()
    assert use["loop_lag_ms"].most > 30
    assert use["loop_lag_ms"].most >= use["loop_lag_ms"].p95 * 0.98
    assert use["threads"].count >= 3
    (lag,) = await telemetry.series("loop_lag_max_ms")
    assert max(p.value or 0 for p in lag.points) == pytest.approx(use["loop_lag_ms"].most)
    if os.path.exists("/proc/self/statm"):  # noqa: ASYNC240  # what else it cannot know
        (memory,) = await telemetry.series("rss_mib")
        assert 10 < max(p.value or 0 for p in memory.points) < 10_000
        assert use["open_files"].most >= 3
    assert set(await telemetry.stats(by="agent")) == {"a"}, "they are no runs"
    assert not [t for t in asyncio.all_tasks() if "resources" in t.get_name()]


async def test_a_system_that_does_not_tell_is_not_guessed(
    storage: Storage, looked: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_PROC", "/nowhere")
    telemetry = await held(storage, lambda: asyncio.to_thread(looked.acquire))
    use = await telemetry.resources()
    assert "threads" in use
    assert use.keys().isdisjoint({"rss_mib", "open_files"})


@pytest.mark.usefixtures("often")
async def test_several_that_record_into_one_database_look_once(storage: Storage) -> None:
    both = Telemetry(storage), Telemetry(storage, scope=Scope("other"))
    for telemetry in both:
        model = ScriptedModel(lambda _: "done")
        await Agent("a", model=model, observers=[telemetry]).generate("go")
        await telemetry.flush()
    assert len([i for i in resources._monitors if i == storage.identity]) == 1
    await both[0].close()
    assert storage.identity in resources._monitors
    await both[1].close()
    assert storage.identity not in resources._monitors
    await both[1].close()


@pytest.mark.usefixtures("often")
async def test_a_database_that_was_closed_stays_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tidy(self: Recorder) -> None:
        """Nothing, so that nothing is under way when the database is closed."""

    monkeypatch.setattr(Recorder, "_tidy", tidy)
    storage = SqliteStorage(tmp_path / "t.db")
    telemetry = Telemetry(storage)

    async def answer(request: Any) -> str:
        await asyncio.sleep(0.1)
        return "done"

    await Agent("a", model=ScriptedModel(answer), observers=[telemetry]).generate("go")
    await telemetry.flush()
    await storage.close()
    await telemetry.close()
    assert not storage.opened


async def test_what_several_processes_measured_is_one_series(storage: Storage) -> None:
    telemetry, now = Telemetry(storage, scope=Scope("tenant", "owner")), int(time.time() // 60 * 60)
    for value in (10.0, 30.0):
        cell = Cell()
        cell.duration.add(value)
        await storage.telemetry.count(Scope(), [Counted(now, Series("resource", "", "cpu_percent"), cell)])
    use = await telemetry.resources()
    assert use["cpu_percent"] == resources.ResourceUse(2, 20.0, 30.0, 30.0)
    (cpu,) = await telemetry.series("cpu_percent")
    assert [p.value for p in cpu.points if p.count] == [20.0]
    assert resources.shown(use) == ["cpu 20%"]
