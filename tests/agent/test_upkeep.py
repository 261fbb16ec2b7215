"""An application keeps its databases to their age and size, by itself."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from lumosai import Agent, Lumosai, Memory, Retention, Scope
from lumosai.agent import upkeep
from lumosai.agent.config import load_all
from lumosai.storage import SqliteStorage
from lumosai.storage.base import Batch, RunRecord
from lumosai.testing import ScriptedModel

DAY = 86_400.0


class Clock:
    """A time that is set."""

    at = 1_000_000_000.0

    def __call__(self) -> float:
        return self.at


async def test_an_application_removes_what_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A week after its end a run is gone, whoever's it was, though two agents share the database; its messages stay."""
    clock = Clock()
    storage = SqliteStorage(tmp_path / "test.db", now=clock)
    agents = [Agent(n, model=ScriptedModel("Hello."), memory=Memory(storage)) for n in ("one", "two")]
    await agents[0].generate("Hi.", thread_id="t", scope=Scope(owner="ann"))
    monkeypatch.setattr(upkeep, "FIRST_S", 0.0)
    handle = storage.scope(Scope(owner="ann"))
    clock.at += 6.9 * DAY
    async with Lumosai(agents):
        await asyncio.sleep(0.1)
        assert len((await handle.list_runs()).items) == 1
    clock.at += 0.2 * DAY
    async with Lumosai(agents, retention=None):
        await asyncio.sleep(0.1)
        assert len((await handle.list_runs()).items) == 1
    async with Lumosai(agents):
        async with asyncio.timeout(30):
            while (await handle.list_runs()).items:
                await asyncio.sleep(0.01)
    assert len((await handle.messages("t")).items) == 2
    await storage.close()


async def test_a_database_beyond_its_size_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """What ended within the hour stays, the oldest goes first, and where nothing is left to remove that is said once."""
    clock = Clock()
    storage = SqliteStorage("sqlite://", now=clock)
    handle = storage.scope(Scope())
    for name in ("a", "b", "c"):
        lease = await handle.open_run(RunRecord(id=name), Batch(first=1, last=1, data=b"." + os.urandom(500_000)))
        await handle.append_events(lease, Batch(first=2, last=2, data=name.encode(), status="ended"))
        clock.at += 2_000.0
    told = await storage.system().info(retention=Retention(max_mib=1.4))
    assert told.removable is not None
    assert (told.removable.runs, told.removable.over) == (1, 0)
    await upkeep.Upkeep([storage], Retention(max_mib=1.4)).once()
    assert [r.id for r in (await handle.list_runs()).items] == ["c", "b"]
    keeper = upkeep.Upkeep([storage], Retention(max_mib=0.01))
    with caplog.at_level(logging.WARNING):
        await keeper.once()
        await keeper.once()
    assert [r.id for r in (await handle.list_runs()).items] == ["c"]
    assert caplog.text.count("larger than retention.max_mib") == 1
    await storage.close()


def test_what_keeps_longest_counts() -> None:
    """Of agents that share an application, and from file and environment, as for every other key."""
    file = {
        "retention": {"journal_days": 3, "max_mib": "none"},
        "agents": {"a": {}, "b": {"retention": {"journal_days": 30, "threads_days": 9}}},
    }
    read = load_all(file, environ={})
    assert upkeep.longest(c.retention for c in read) == Retention(journal_days=30, max_mib=None)
    assert load_all({}, environ={"LUMOSAI_RETENTION_JOURNAL_DAYS": "1.5"})[0].retention == Retention(journal_days=1.5)
    assert upkeep.longest([]) == Retention()
