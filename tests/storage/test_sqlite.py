"""What is SQLite's own: files that cannot be used, forks, a connection that breaks, backups before a change."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lumosai import Agent, Memory, Message, Scope
from lumosai.errors import StorageBrokenError, StorageError, StorageFullError, StorageUnavailableError
from lumosai.storage import SqliteStorage, _sqlite_run, _sqlite_writer
from lumosai.storage import sqlite as module
from lumosai.testing import ScriptedModel
from tests.conftest import ROOT


async def filled(path: Path, messages: int = 1) -> None:
    """A database with a thread."""
    async with SqliteStorage(path) as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")
        await handle.add_messages("t", [Message.user("x" * 200, id=f"m{i}") for i in range(messages)])


def a_folder(path: Path) -> None:
    path.mkdir()


def a_text(path: Path) -> None:
    path.write_text("This is no database.\n" * 300)


def another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()


def a_newer_version(path: Path) -> None:
    asyncio.run(filled(path))
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO lumosai VALUES (99, 99, 0)")
    connection.close()


def damaged(path: Path) -> None:
    asyncio.run(filled(path, 500))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))


def nothing_in_no_folder(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (a_folder, "is a folder"),
        (a_text, "is no SQLite database"),
        (another_program, "holds other tables"),
        (a_newer_version, "newer version of Lumosai"),
        (damaged, "is damaged"),
        (nothing_in_no_folder, "its folder must exist"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_way_out(make, what: str, tmp_path: Path) -> None:
    """A run on it ends at once, with an error that says what is wrong, and so does a plain read."""
    path = tmp_path / ("no" if make is nothing_in_no_folder else "") / "test.db"
    make(path)

    async def program() -> None:
        storage = SqliteStorage(path)
        agent = Agent("a", model=ScriptedModel("Hello."), memory=Memory(storage))
        with pytest.raises(StorageBrokenError, match=what):
            await agent.generate("Hi.", thread_id="t")
        with pytest.raises(StorageBrokenError, match=what):
            await storage.scope(Scope()).messages("t")
        await storage.close()

    asyncio.run(program())


async def test_a_full_disk_stores_whole_calls_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is refused, what is there stays, and what fits goes in all the same."""
    connect = _sqlite_run.connect

    def small(target: str, **options: bool) -> sqlite3.Connection:
        connection = connect(target, **options)
        connection.execute("PRAGMA max_page_count = 160")
        return connection

    monkeypatch.setattr(_sqlite_run, "connect", small)
    async with SqliteStorage(tmp_path / "small.db") as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")
        big = [Message.user("x" * 9_000, id=f"big{i}") for i in range(60)]
        tried = await asyncio.gather(
            handle.add_messages("t", big),
            handle.add_messages("t", [Message.user("small", id="m1")]),
            return_exceptions=True,
        )
        assert isinstance(tried[0], StorageFullError)
        assert not isinstance(tried[1], BaseException)
        assert [m.message.id for m in (await handle.messages("t")).items] == ["m1"]
        with pytest.raises(StorageFullError):
            await handle.add_messages("t", big)
        await handle.add_messages("t", [Message.user("small", id="m2")])


async def test_a_file_that_is_locked_too_long_is_told_and_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program's lock is waited for, then refused; once it is gone all goes on."""
    monkeypatch.setattr(_sqlite_run, "BUSY_MS", 200)
    path = tmp_path / "test.db"
    await filled(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with SqliteStorage(path) as storage:
        handle = storage.scope(Scope())
        assert [m.message.id for m in (await handle.messages("t")).items] == ["m0"]  # nobody who only reads waits
        with pytest.raises(StorageUnavailableError, match="locked by another program"):
            await handle.add_messages("t", [Message.user("x", id="m1")])
        other.execute("ROLLBACK")
        await handle.add_messages("t", [Message.user("x", id="m2")])
        assert [m.message.id for m in (await handle.messages("t")).items] == ["m0", "m2"]
    other.close()


async def test_a_file_that_is_locked_for_reading_too_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opens it to read waits as long as is told, and not again for the connection that writes."""
    monkeypatch.setattr(_sqlite_run, "BUSY_MS", 200)
    path = tmp_path / "test.db"
    await filled(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    opened = []
    monkeypatch.setattr(_sqlite_writer.Writer, "submit", lambda *given: opened.append(given))
    storage = SqliteStorage(path)
    with pytest.raises(StorageUnavailableError, match="locked by another program"):
        await storage.scope(Scope()).messages("t")
    assert opened == []
    other.close()
    monkeypatch.undo()
    assert await storage.scope(Scope()).thread("t") is not None
    await storage.close()


async def test_a_connection_that_breaks_is_opened_anew(tmp_path: Path) -> None:
    """Whatever happens in the thread that writes, whoever waits hears of it, and the next call works."""
    async with SqliteStorage(tmp_path / "test.db") as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")
        writer = storage._open().writer

        def broken():
            writer._connection.close()
            yield module.Query("SELECT 1")

        with pytest.raises(StorageError):
            await asyncio.wait_for(storage.write(broken), 30)
        await asyncio.wait_for(handle.add_messages("t", [Message.user("x")]), 30)


async def test_a_storage_may_be_used_while_it_is_closed(tmp_path: Path) -> None:
    """Who comes in between is served or refused, never left waiting."""
    async with SqliteStorage(tmp_path / "test.db") as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")

        async def use() -> int:
            stored = 0
            for number in range(40):
                try:
                    await handle.add_messages("t", [Message.user(str(number))])
                    stored += 1
                    await handle.messages("t")
                except StorageError:
                    pass
            return stored

        async def close() -> None:
            for _ in range(10):
                await storage.close()
                await asyncio.sleep(0.002)

        first, second, _ = await asyncio.wait_for(asyncio.gather(use(), use(), close()), 30)
        assert len((await handle.messages("t", limit=100)).items) == first + second


FORKED = """
import asyncio, os, sys
from lumosai import Message, Scope
from lumosai.storage import SqliteStorage

storage = SqliteStorage(sys.argv[1])
handle = storage.scope(Scope())

async def say(text):
    await handle.ensure_thread("t")
    await asyncio.wait_for(handle.add_messages("t", [Message.user(text)]), 30)
    return len((await handle.messages("t")).items)

asyncio.run(say("parent"))
child = os.fork()
if child == 0:
    os._exit(0 if asyncio.run(say("child")) == 2 else 1)
assert os.waitpid(child, 0)[1] == 0
assert asyncio.run(say("parent again")) == 3
asyncio.run(storage.close())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_has_threads_and_connections_of_its_own(tmp_path: Path) -> None:
    """What was opened before a fork works in the child and in the parent."""
    command = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path / "test.db")]
    subprocess.run(command, check=True, timeout=150, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})


def test_no_statement_numbers_its_parameters() -> None:
    """Python 3.12 warns of values in a row for `?1`, and 3.14 refuses them."""
    storage = ROOT / "src" / "lumosai" / "storage"
    assert not [
        path.name for path in storage.rglob("*.py") if re.search(r"[( ,]\?\d", path.read_text(encoding="utf-8"))
    ]


async def test_where_no_thread_can_be_started_the_caller_writes_and_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a program that ends, which from Python 3.12 on starts none: what is stored is, by several at once too."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        storage = SqliteStorage(tmp_path / "t.db")
        handle = storage.scope(Scope())
        await asyncio.gather(*[handle.create_thread(f"t{n}") for n in range(5)])
        assert len((await handle.list_threads()).items) == 5
    await handle.create_thread("later")  # by a thread, now that there is one
    assert storage._open().writer._thread is not None
    await storage.close()
    async with SqliteStorage(tmp_path / "t.db") as again:
        assert len((await again.scope(Scope()).list_threads()).items) == 6
