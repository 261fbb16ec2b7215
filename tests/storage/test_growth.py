"""What a run, a page and a list do does not grow with what else is kept: counted in the databases' own steps, not timed."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from benchmarks import filling
from lumosai import Scope
from lumosai.messages import Message
from lumosai.storage import MessageFilter, PostgresStorage, SqliteStorage, ThreadFilter, _sqlite_run, postgres
from lumosai.storage._cursor import write as cursor_of
from lumosai.storage._handle import ScopedHandle
from lumosai.storage._messages import cursor_at
from lumosai.storage.base import Batch, Handle, RunRecord, ThreadRecord

SMALL = filling.Size(messages=400, threads=1_000, segments=40)
LARGE = filling.Size(messages=6_000, threads=3_000, segments=40)

Job = Callable[[Handle, Handle, filling.Size], Awaitable[object]]
_numbers = itertools.count()


async def _run(mine: Handle, _: Handle, __: filling.Size) -> None:
    """A run from its first to its last event."""
    name = f"run{next(_numbers)}"
    lease = await mine.open_run(RunRecord(id=name, agent="a", thread_id=name), Batch(first=1, last=1, data=b"1"))
    await mine.begin_turn(ThreadRecord(id=name, created_at=0.0, updated_at=0.0), [Message.user("x")], run_id=name)
    await mine.add_messages(name, [Message.assistant("y")], run_id=name, lease=lease)
    await mine.append_events(lease, Batch(first=2, last=2, data=b"2"))
    await mine.renew(lease)
    await mine.append_events(lease, Batch(first=3, last=3, data=b"3", status="ended"), urgent=True)
    await mine.run(name)
    await mine.events(name)


async def _go_on(mine: Handle, _: Handle, __: filling.Size) -> None:
    await mine.begin_turn(ThreadRecord(id=filling.LONG, created_at=0.0, updated_at=0.0), [Message.user("x")])


JOBS: dict[str, Job] = {
    "a run": _run,
    "going on with a long thread": _go_on,
    "a thread": lambda mine, _, __: mine.thread(filling.LONG),
    "an owner's thread": lambda _, ann, __: ann.thread("t7"),
    "an owner's thread for its tenant": lambda mine, _, __: mine.thread("t7"),
    "no thread": lambda mine, _, __: mine.thread("none"),
    "its first page": lambda mine, _, __: mine.messages(filling.LONG),
    "its last page": lambda mine, _, __: mine.messages(filling.LONG, newest=True),
    "a page in its midst": lambda mine, _, size: mine.messages(
        filling.LONG, cursor=cursor_at(filling.LONG, 0, size.messages // 2, 1)
    ),
    "a page back": lambda mine, _, size: mine.messages(
        filling.LONG, cursor=cursor_at(filling.LONG, 0, size.messages // 2, -1)
    ),
    "a fork's last page": lambda mine, _, __: mine.messages(filling.FORKED, newest=True),
    "messages of one role": lambda mine, _, __: mine.messages(filling.LONG, filter=MessageFilter(roles=("user",))),
    "a message": lambda mine, _, __: mine.message(filling.LONG, filling.id_of(77)),
    "a message that others have": lambda mine, _, __: mine.message(filling.FORKED, filling.id_of(77)),
    "the first threads": lambda mine, _, __: mine.list_threads(),
    "threads in the midst": lambda mine, _, size: mine.list_threads(
        cursor=cursor_of("threads", filling.BEGAN + size.threads / 2, 0)
    ),
    "an owner's threads": lambda _, ann, __: ann.list_threads(limit=1),
    "a resource's threads": lambda mine, _, __: mine.list_threads(filter=ThreadFilter(resource_id="r7"), limit=1),
    "an agent's threads": lambda mine, _, __: mine.list_threads(filter=ThreadFilter(agent_id="agent7"), limit=20),
    "an unknown agent's threads": lambda mine, _, __: mine.list_threads(filter=ThreadFilter(agent_id="none")),
    "an unknown resource's threads": lambda _, ann, __: ann.list_threads(filter=ThreadFilter(resource_id="none")),
    "a new thread": lambda mine, _, __: mine.create_thread(),
    "a thread's title": lambda mine, _, __: mine.update_thread(filling.LONG, title="New"),
    "a fork": lambda mine, _, __: mine.fork_thread(filling.LONG),
    "a branch": lambda mine, _, __: mine.add_branch(filling.LONG, filling.id_of(100)),
    "runs": lambda mine, _, __: mine.list_runs(),
    "an owner's runs": lambda _, ann, __: ann.list_runs(status="running"),
    "a search for what is said often": lambda mine, _, __: mine.search("harbour"),
    "an owner's search": lambda _, ann, __: ann.search("harbour", limit=2),
}
"""What must cost the same however much there is; an owner's threads are few in both."""


class Counted:
    """A database whose operations are counted in its own steps."""

    steps = 0

    def now(self) -> float:
        return filling.BEGAN + 10**8 + next(_numbers)

    async def append(self, who: Any, lease: Any, batch: Any) -> None:
        await SqliteStorage.append(self, who, lease, batch)  # type: ignore[arg-type]


class CountedSqlite(Counted):
    """In steps of SQLite's virtual machine."""

    def __init__(self, path: Path) -> None:
        self._connection = _sqlite_run.connect(str(path), durable=False)
        self._connection.set_progress_handler(self._step, 10)

    def _step(self) -> int:
        self.steps += 10
        return 0

    async def write(self, op: Any, _: str = "memory", *, again: bool = False) -> Any:
        self._connection.execute("BEGIN IMMEDIATE")
        value = _sqlite_run.drive(self._connection, op)
        self._connection.execute("COMMIT")
        return value

    read = write

    async def close(self) -> None:
        self._connection.close()


class CountedPostgres(Counted):
    """In rows that PostgreSQL looks at."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def write(self, op: Any, _: str = "memory", *, again: bool = False) -> Any:
        async with self._connection.transaction():
            return await postgres._drive(self, op)

    read = write

    async def rows(self, sql: str, parameters: Any) -> Any:
        undone = self._connection.transaction()
        await undone.start()
        explained = await self._connection.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", *parameters)
        await undone.rollback()
        self.steps += sum(map(_rows_of, _nodes(json.loads(explained)[0]["Plan"])))
        return await self._connection.fetch(sql, *parameters)

    rows_apart = rows

    def tell(self, sql: str, rows: Any) -> bool:
        return False

    async def run(self, sql: str, rows: Any) -> None:
        await self._connection.executemany(sql, rows)


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *[node for inner in plan.get("Plans", ()) for node in _nodes(inner)]]


def _rows_of(node: dict[str, Any]) -> int:
    """How many rows of a table or an index a node of a plan looked at."""
    if not node["Node Type"].endswith(("Scan", "ModifyTable")):
        return 0
    removed = sum(count for name, count in node.items() if name.startswith("Rows Removed by"))
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])


async def _steps(database: Any, size: filling.Size) -> dict[str, int]:
    mine, ann = ScopedHandle(database, Scope()), ScopedHandle(database, Scope(owner="user7"))
    steps: dict[str, int] = {}
    for job, do in JOBS.items():
        before = database.steps
        await do(mine, ann, size)
        steps[job] = database.steps - before
    return steps


def _grown(small: dict[str, int], large: dict[str, int], by: int) -> dict[str, tuple[int, int]]:
    return {job: (few, large[job]) for job, few in small.items() if large[job] > few * 1.3 + by}


@pytest.mark.parametrize("looked_at", [True, False])
async def test_sqlite_does_no_more_where_more_is_kept(tmp_path: Path, looked_at: bool) -> None:
    """Where there is many times as much the same takes as many steps, whether SQLite knows how much there is or not."""
    counted: list[dict[str, int]] = []
    for name, size in (("small", SMALL), ("large", LARGE)):
        path = tmp_path / f"{name}.db"
        async with SqliteStorage(path):
            pass
        filling.fill_sqlite(path, size)
        if looked_at:
            connection = sqlite3.connect(path)
            connection.execute("ANALYZE")
            connection.close()
        database = CountedSqlite(path)
        counted.append(await _steps(database, size))
        await database.close()
    assert not _grown(*counted, by=500)


async def test_postgres_does_no_more_where_more_is_kept(postgres_url: str) -> None:
    """Where there is many times as much the same looks at as many rows."""
    counted: list[dict[str, int]] = []
    connection = await asyncpg.connect(postgres_url)
    for size in (SMALL, LARGE):
        async with PostgresStorage(postgres_url):
            pass
        await filling.fill_postgres(postgres_url, size)
        counted.append(await _steps(CountedPostgres(connection), size))
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    assert not _grown(*counted, by=100)
