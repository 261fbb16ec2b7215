"""A file that is closed is left small, and what another process does is not waited for."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from lumosai import Memory, Message, Scope
from lumosai.messages import TextPart


async def talk(path: Path) -> Memory:
    """A thread of sixty messages, indexed a few at a time; another one was deleted before."""
    memory = Memory(f"sqlite:///{path}")
    handle = memory.storage.scope(Scope())
    for thread in ("gone", "stays"):
        await handle.create_thread(thread)
        for n in range(15):
            text = " ".join(f"harbour{n + i} ferry{thread} morning" for i in range(40))
            await handle.add_messages(thread, [Message("user", (TextPart(f"{text} {i}"),)) for i in range(4)])
            await memory.settled()
        await handle.delete_thread("gone")
    return memory


def state(path: Path) -> tuple[int, int]:
    """Free pages, and pieces of the full text."""
    with closing(sqlite3.connect(path)) as connection:
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (pieces,) = connection.execute(
            "SELECT count(DISTINCT id >> 37) FROM fulltext_data WHERE id >> 37 > 0"
        ).fetchone()
    return free, pieces


async def test_a_closed_file_has_no_free_pages(tmp_path: Path) -> None:
    """The full text is in one piece, and what was deleted takes no room; all that is left is found."""
    path = tmp_path / "a.db"
    memory = await talk(path)
    free, pieces = state(path)
    assert free > 0
    assert pieces > 3
    await memory.close()
    assert state(path) == (0, 1)
    memory = Memory(f"sqlite:///{path}")
    assert len((await memory.search("harbour7", limit=50)).items) == 32
    await memory.close()


async def test_a_file_that_another_process_writes_to_is_left_as_it_is(tmp_path: Path) -> None:
    """Closing does not wait for it."""
    path = tmp_path / "a.db"
    memory = await talk(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        await memory.close()
        assert time.monotonic() - began < 5  # SQLite would wait for ten seconds
        other.execute("COMMIT")
    assert state(path)[0] > 0
