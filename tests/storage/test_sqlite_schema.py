"""An SQLite file of an earlier schema is brought up to date behind a copy, once, whoever opens it and whatever fails."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lumosai import Message, Scope
from lumosai.errors import StorageFullError
from lumosai.storage import SqliteStorage, _sqlite_schema
from lumosai.storage._migrations import NEWEST
from tests.conftest import ROOT
from tests.storage import stored


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file of schema 3."""
    path = tmp_path / "test.db"
    shutil.copyfile(stored.HERE / "schema-3.db", path)
    return path


def ask(path: Path, sql: str) -> Any:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchone()[0]
    finally:
        connection.close()


def copies(path: Path) -> list[str]:
    return sorted(p.name for p in path.parent.iterdir() if "backup" in p.name or "unfinished" in p.name)


async def test_an_old_file_is_copied_and_brought_up_to_date(old: Path) -> None:
    """The copy is whole and of the old schema; the file is of the new one, and gives room back from then on."""
    assert ask(old, "PRAGMA auto_vacuum") == 0
    async with SqliteStorage(old) as storage:
        told = await storage.system().info(check=True)
    assert (told.schema, told.problems, told.shrinks) == (NEWEST, (), True)
    assert copies(old) == ["test.db.schema-3.backup"]
    copy = old.with_name("test.db.schema-3.backup")
    assert ask(copy, "SELECT max(number) FROM lumosai") == 3
    assert ask(copy, "PRAGMA integrity_check") == "ok"
    shutil.copyfile(copy, old)  # somebody went back to it, and upgrades again
    async with SqliteStorage(old) as storage:
        assert await storage.system().migrate() == 0
    assert copies(old) == ["test.db.schema-3.2.backup", "test.db.schema-3.backup"]


OPENING = """
import asyncio, sys
from lumosai import Message, Scope
from lumosai.storage import SqliteStorage

async def main():
    async with SqliteStorage(sys.argv[1]) as storage:
        await storage.scope(Scope(owner="ann")).add_messages("t", [Message.user(sys.argv[2])])

sys.stdin.readline()
asyncio.run(main())
"""


def opened_at_once(path: Path, count: int) -> list[int]:
    """How processes ended that each say something in a database, all at once."""
    command = [sys.executable, "-c", OPENING, str(path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    each = [subprocess.Popen([*command, f"said {i}"], stdin=subprocess.PIPE, env=env) for i in range(count)]
    for process in each:
        process.communicate(b"go\n", timeout=150)
    return [process.returncode for process in each]


async def test_processes_that_open_it_at_once_copy_it_once(old: Path) -> None:
    """The copy holds what was there before, the file what all of them wrote behind it."""
    assert opened_at_once(old, 3) == [0, 0, 0]
    assert copies(old) == ["test.db.schema-3.backup"]
    copy = old.with_name("test.db.schema-3.backup")
    assert ask(copy, "SELECT count(*) FROM messages WHERE body LIKE '%said %'") == 0
    async with SqliteStorage(old) as storage:
        texts = [m.message.text for m in (await storage.scope(Scope(owner="ann")).messages("t", limit=99)).items]
        assert {"said 0", "said 1", "said 2"} <= set(texts)
        assert (await storage.system().info(check=True)).problems == ()


async def test_a_full_disk_leaves_all_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room for the copy, then none for the change: the error says so, nothing is left behind; with room it goes on."""
    pages = ask(old, "PRAGMA page_count")
    connect, small = sqlite3.Connection, {"unfinished": 9}

    def connected(target: str, **options: object) -> sqlite3.Connection:
        connection = connect(target, **options)
        for part, most in small.items():
            if part in str(target):
                connection.execute(f"PRAGMA max_page_count = {most}")
        return connection

    monkeypatch.setattr(_sqlite_schema.sqlite3, "Connection", connected)
    storage = SqliteStorage(old)
    with pytest.raises(StorageFullError, match=r"no room for the copy of .* before its schema changes"):
        await storage.open()
    await storage.close()
    small = {"test.db": pages}
    with pytest.raises(StorageFullError, match="cannot grow"):
        await storage.open()
    await storage.close()
    assert copies(old) == []
    assert ask(old, "SELECT max(number) FROM lumosai") == 3
    small = {}
    await storage.scope(Scope(owner="ann")).add_messages("t", [Message.user("there is room")])
    await storage.close()
    assert copies(old) == ["test.db.schema-3.backup"]


def test_a_copy_that_was_cut_short_counts_for_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the copy's name lies a whole one or none."""

    def cut(_source: sqlite3.Connection, path: Path, **_: bool) -> str:
        path.write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_sqlite_schema, "_into", cut)
        with pytest.raises(KeyboardInterrupt):
            _sqlite_schema.back_up(str(old), 3)
    assert copies(old) == []
    assert _sqlite_schema.back_up(str(old), 3).name == "test.db.schema-3.backup"
