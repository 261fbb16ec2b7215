"""Maintenance while others are at work: in small steps, by several processes at once, cut at any moment; copies are whole."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lumosai import Message, Retention, Scope
from lumosai._terms import terms
from lumosai.messages import ImagePart
from lumosai.storage import PostgresStorage, SqliteStorage, Storage
from lumosai.storage import _forgetting as forgetting
from lumosai.storage import _removal as removal
from lumosai.storage._contents import PIECE
from lumosai.storage._op import Query
from lumosai.storage.base import Batch, RunRecord
from lumosai.storage.conformance import Check, branches, messages, searching
from tests.conftest import ROOT

OLD = Retention(journal_days=1e-12, threads_days=1e-12)


async def filled(storage: Storage) -> None:
    """Forty runs that ended and share a content, one that waits and does too, and a thread that it needs."""
    handle = storage.scope(Scope())
    for number in range(40):
        own = {"shared": b"s" * 99, f"h{number}": os.urandom(2_000)}
        lease = await handle.open_run(RunRecord(id=f"r{number}"), Batch(first=1, last=1, data=b'"1"', contents=own))
        await handle.append_events(lease, Batch(first=2, last=2, data=b'"2"', status="ended", reason="stop"))
    for name in ("needed", "old"):
        await handle.create_thread(name)
        await handle.add_messages(name, [Message.user(f"{i}", ImagePart(data=b"i"), id=f"m{i}") for i in range(100)])
    waits = RunRecord(id="waits", thread_id="needed")
    lease = await handle.open_run(waits, Batch(first=1, last=1, data=b'"1"', contents={"shared": b"s" * 99}))
    await handle.append_events(lease, Batch(first=2, last=2, data=b'"2"', status="paused", reason="approval"))


async def what_is_left(storage: Storage) -> None:
    """All that may go is gone, all that may not is there, and nothing lies about."""
    handle = storage.scope(Scope())
    told = await storage.system().info(check=True)
    assert (told.problems, told.runs, told.threads, told.messages, told.blobs) == ((), {"paused": 1}, 1, 100, 2)
    assert await handle.contents(["shared"]) == {"shared": b"s" * 99}
    assert (await handle.messages("needed", limit=1)).items[0].message.parts[1] == ImagePart(data=b"i")
    kinds = {kind.name: kind.rows for kind in told.kinds}
    assert kinds["bookkeeping"] == told.schema  # no step waits to be gone on with


COLLECTING = """
import asyncio, os, signal, sys
from lumosai import Retention
from lumosai.storage import SqliteStorage

async def main():
    storage = SqliteStorage(sys.argv[1])
    write, count = storage.write, 0

    async def counted(*given, **named):
        nonlocal count
        count += 1
        if count == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return await write(*given, **named)

    storage.write = counted
    await storage.system().collect(Retention(journal_days=1e-12, threads_days=1e-12), pause_s=0.001)
    await storage.close()

asyncio.run(main())
"""


def collected_by(path: Path, *killed_at: int) -> list[int]:
    """How processes ended that each do a pass at once, some of them killed at one of their transactions."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    each = [subprocess.Popen([sys.executable, "-c", COLLECTING, str(path), str(at)], env=env) for at in killed_at]
    return [process.wait(60) for process in each]


async def test_processes_remove_at_once_and_are_killed(tmp_path: Path) -> None:
    """One goes on where another was cut; none removes what another still needs."""
    path = tmp_path / "test.db"
    async with SqliteStorage(path) as storage:
        await filled(storage)
    assert collected_by(path, 2, 7) == [-signal.SIGKILL] * 2
    async with SqliteStorage(path) as storage:
        assert (await storage.system().info(check=True)).problems == ()
    assert collected_by(path, 0, 0) == [0, 0]
    async with SqliteStorage(path) as storage:
        await what_is_left(storage)
        told = await storage.system().info()
        assert told.free_bytes == 0


async def test_servers_remove_at_once(postgres_url: str) -> None:
    """On PostgreSQL, too, with somebody who goes on writing."""
    each = [PostgresStorage(postgres_url) for _ in range(3)]
    await filled(each[0])
    handle = each[2].scope(Scope(owner="ann"))

    async def write() -> None:
        await handle.create_thread("t")
        for number in range(20):
            await handle.add_messages("t", [Message.user("x", ImagePart(data=b"i"), id=f"n{number}")])

    done = await asyncio.gather(
        *(s.system().collect(Retention(journal_days=1e-12), pause_s=0) for s in each[:2]), write()
    )
    assert sum(d.runs for d in done[:2]) >= 40
    assert len((await handle.messages("t")).items) == 20
    await handle.delete_thread("t")
    await each[0].system().collect(OLD, pause_s=0)
    await what_is_left(each[0])
    for storage in each:
        await storage.close()


def _pieces() -> Any:
    return (yield Query("SELECT count(*) FROM pieces"))[0][0]


async def test_a_step_is_small() -> None:
    """With no time at all a transaction removes a few rows, and each that follows goes on there."""
    async with SqliteStorage("sqlite://") as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t", resource_id="eve")
        await handle.add_messages("t", [Message.user(f"word{i}", id=f"m{i}") for i in range(100)])
        assert await storage.write(partial(removal.erase, "default", "eve")) is not None
        assert await handle.thread("t") is None
        counts = []
        more = True
        while more:
            counts.append((await storage.system().info()).messages)
            more = await storage.write(partial(removal.sweep, 0.0))
        assert counts[0] == 100
        assert all(0 <= a - b <= 16 for a, b in pairwise(counts))
        await handle.create_thread("t", resource_id="eve")
        await handle.add_messages("t", [Message.user(ImagePart(data=b"i" * 40 * PIECE), id="m")])
        assert await storage.write(partial(removal.erase, "default", "eve")) is not None
        counts, more = [], True
        while more:
            more = await storage.write(partial(removal.sweep, 0.0))
            counts.append(await storage.read(_pieces))
        assert counts[0] >= 39 - 16
        assert all(0 <= a - b <= 16 for a, b in pairwise(counts))
        assert counts[-1] == 0
        assert (await storage.system().info(check=True)).problems == ()


async def test_a_copy_is_one_state_while_others_write(tmp_path: Path) -> None:
    """Whatever is in it is whole: each message with what lies beside it, none behind one that is missing."""
    async with SqliteStorage(tmp_path / "test.db") as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")
        stop = asyncio.Event()

        async def write() -> int:
            number = 0
            while not stop.is_set():
                parts = (f"{number}", ImagePart(data=os.urandom(3_000)))
                await handle.add_messages("t", [Message.user(*parts, id=f"m{number}")])
                number += 1
            return number

        writing = asyncio.create_task(write())
        for number in range(3):
            await asyncio.sleep(0.02)
            await storage.system().backup(str(tmp_path / f"copy{number}.db"))
        stop.set()
        assert await writing > 3
        sizes = []
        for number in range(3):
            async with SqliteStorage(tmp_path / f"copy{number}.db") as copy:
                assert (await copy.system().info(check=True)).problems == ()
                known = (await copy.scope(Scope()).messages("t", limit=1000)).items
                assert [m.message.id for m in known] == [f"m{i}" for i in range(len(known))]
                sizes.append(len(known))
        assert sizes == sorted(sizes)
        assert sizes[-1] > 0


async def test_an_export_is_one_state_while_others_write(tmp_path: Path, postgres_url: str) -> None:
    """What is written or deleted behind its first line is not in it, or still is."""
    for storage in (SqliteStorage(tmp_path / "test.db"), PostgresStorage(postgres_url)):
        handle = storage.scope(Scope())
        await handle.create_thread("t")
        await handle.add_messages("t", [Message.user("one", id="m1"), Message.user("two", id="m2")])
        written = storage.system().export()
        lines = [await anext(written)]
        await handle.delete_messages("t", ["m1"])
        await handle.add_messages("t", [Message.user("three", id="m3")])
        await handle.create_thread("late")
        lines += [line async for line in written]
        text = b"".join(lines)
        assert b"one" in text
        assert b"three" not in text
        assert b"late" not in text
        await storage.close()


async def test_what_is_on_its_way_out_is_not_indexed_any_more(storage: Storage) -> None:
    """A thread is removed while some of it is being indexed: nothing of it comes into the index, and nobody waits for it."""
    mine = storage.scope(Scope())
    await mine.vector_space("e")
    for name in ("t", "other"):
        await mine.create_thread(name)
        await mine.add_messages(name, [Message.user(f"{name} {n}") for n in range(3)])
    texts = await storage.index.claim(0, 1)
    await storage.index.put_texts([(c, terms(c.message.text)) for c in texts])
    (space,) = await storage.index.spaces("e")
    texts, vectors = await storage.index.claim(0, 1), await storage.index.claim(space, 1)
    key = (await storage.read(lambda: _rows("SELECT key FROM threads WHERE id = 't'")))[0][0]
    await storage.write(partial(removal.remove_thread, key))
    assert await storage.index.put_texts([(c, terms(c.message.text)) for c in texts]) == 0
    assert await storage.index.put_vectors(space, [(c, b"v") for c in vectors]) == 0
    assert not {c.branch for c in await storage.index.claim(0, 9)} & {c.branch for c in texts}
    assert (await storage.index.waiting((0, space)))[0] == 3
    await storage.system().collect(OLD, pause_s=0)
    assert (await storage.system().info(check=True)).problems == ()


@pytest.mark.parametrize(
    "check",
    [
        branches.forks_outlive_their_original,
        messages.deleted_content_is_gone,
        searching.what_is_deleted_leaves_the_index,
    ],
    ids=lambda check: check.__name__,
)
async def test_a_large_thread_is_deleted_as_any_other(
    check: Check, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In many small steps: it is gone with the first, and with the last all that it held."""
    monkeypatch.setattr(forgetting, "LARGE", 0)
    await check(storage)
    handle, write, seen = storage.scope(Scope()), storage.write, []
    await handle.create_thread("large")
    await handle.add_messages("large", [Message.user(f"m{n}" * 99) for n in range(200)])

    async def looked(*given: Any, **named: Any) -> Any:
        done = await write(*given, **named)
        seen.append(await handle.thread("large"))
        return done

    monkeypatch.setattr(removal.sweep, "__defaults__", (0.0, removal.perf_counter))
    monkeypatch.setattr(storage, "write", looked, raising=False)
    assert await handle.delete_thread("large") is True
    assert len(seen) > 10
    assert set(seen) == {None}
    monkeypatch.undo()
    told = await storage.system().info(check=True)
    assert told.problems == ()
    assert {kind.name: kind.rows for kind in told.kinds}["bookkeeping"] == told.schema


def _rows(sql: str) -> Any:
    return (yield Query(sql))
