"""A kept run's writes by hand: what `keeping` holds ours against, on sqlite3 and on asyncpg.

The same facts are written (a thread, its messages, a run, its events with their content) in as many transactions as the
contract asks for: one before each model request, one before each tool, and one with the end. The schema is the least that
holds them: no scopes, no leases, no lists by time, no search. Before each transaction the event loop sleeps a moment, as it
does while a provider answers, and what that takes is taken off: work on caches that went cold costs more. SQLite is
written to from the event loop's own thread, which no program that serves more than one run may do; `threaded` does it
from a thread, as ours does.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson

if TYPE_CHECKING:
    import asyncpg

PAUSE_S = 0.0004
"""Seconds before each transaction."""
_TABLES = """
    CREATE TABLE threads (id TEXT PRIMARY KEY, title TEXT NOT NULL, created_at {real} NOT NULL, updated_at {real} NOT NULL);
    CREATE TABLE messages (thread TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT NOT NULL, role TEXT NOT NULL,
        run TEXT NOT NULL, at {real} NOT NULL, body {data} NOT NULL, PRIMARY KEY (thread, seq));
    CREATE TABLE runs (id TEXT PRIMARY KEY, thread TEXT NOT NULL, status TEXT NOT NULL, last BIGINT NOT NULL,
        started_at {real} NOT NULL, updated_at {real} NOT NULL);
    CREATE TABLE events (run TEXT NOT NULL, first BIGINT NOT NULL, data {data} NOT NULL, PRIMARY KEY (run, first));
"""
_THREAD = "INSERT INTO threads VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_LAST = "SELECT body FROM messages WHERE thread = ? ORDER BY seq DESC LIMIT 20"
_MESSAGE = "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)"
_RUN = "INSERT INTO runs VALUES (?, ?, 'running', ?, ?, ?)"
_EVENTS = "INSERT INTO events VALUES (?, ?, ?)"
_MOVED = "UPDATE runs SET last = ?, status = ?, updated_at = ? WHERE id = ?"
_TOUCHED = "UPDATE threads SET updated_at = ? WHERE id = ?"

Statement = tuple[str, tuple[Any, ...]]


class Written(NamedTuple):
    """What one run writes: events and messages as JSON values, by transaction."""

    batches: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]
    journal: bool = True


class Bare(Protocol):
    """One database, written to by hand."""

    async def run(self, written: Written, *, sleeps_only: bool = False) -> None:
        """The writes of one run on a fresh thread, a sleep before each; or the sleeps alone."""
        ...

    async def close(self) -> None: ...


def transactions(written: Written) -> list[list[Statement]]:
    """The statements of one run, by transaction, with ids of their own."""
    thread, run, now = str(uuid.uuid4()), str(uuid.uuid4()), time.time()
    done: list[list[Statement]] = []
    seq = 0
    called: list[dict[str, Any]] = []
    for number, (events, messages) in enumerate(written.batches):
        statements: list[Statement] = []
        last = events[-1]["seq"]
        if number == 0:
            statements += [(_THREAD, (thread, "Calculate 2+2", now, now)), (_LAST, (thread,))]
            statements.append((_RUN, (run, thread, last, now, now)))
        if not written.journal:  # a call is stored with its result
            messages = [*called, *messages]
            called = messages[-1:] if messages and messages[-1]["parts"][-1]["type"] == "tool_call" else []
            messages = messages[: len(messages) - len(called)]
        for message in messages:
            seq += 1
            body = orjson.dumps(message["parts"])
            statements.append((_MESSAGE, (thread, seq, str(uuid.uuid4()), message["role"], run, now, body)))
        statements.append((_EVENTS, (run, events[0]["seq"], b"\n".join(map(orjson.dumps, events)))))
        if number:
            status = "ended" if number + 1 == len(written.batches) else "running"
            statements.append((_MOVED, (last, status, now, run)))
        if messages:
            statements.append((_TOUCHED, (now, thread)))
        if not written.journal:
            statements = [s for s in statements if s[0] not in (_RUN, _EVENTS, _MOVED)]
        if statements:
            done.append(statements)
    return done


class BareSqlite:
    """sqlite3, in WAL, as durable as ours."""

    def __init__(self, path: str, *, threaded: bool = False) -> None:
        self._pool = ThreadPoolExecutor(1) if threaded else None
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_TABLES.format(real="REAL", data="BLOB"))

    async def run(self, written: Written, *, sleeps_only: bool = False) -> None:
        for statements in transactions(written):
            await asyncio.sleep(PAUSE_S)
            if sleeps_only:
                continue
            if self._pool is None:
                self._write(statements)
            else:
                await asyncio.get_running_loop().run_in_executor(self._pool, self._write, statements)

    def _write(self, statements: list[Statement]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for sql, parameters in statements:
            execute(sql, parameters).fetchall()
        execute("COMMIT")

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self._connection.close()


class BarePostgres:
    """asyncpg on one connection, without prepared statements, as behind a pooler that ours works behind, too."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._spelled: dict[str, str] = {}

    @classmethod
    async def open(cls, url: str) -> BarePostgres:
        import asyncpg

        connection = await asyncpg.connect(url, statement_cache_size=0)
        await connection.execute("CREATE SCHEMA IF NOT EXISTS bare; SET search_path = bare")
        await connection.execute(_TABLES.format(real="DOUBLE PRECISION", data="BYTEA"))
        return cls(connection)

    async def run(self, written: Written, *, sleeps_only: bool = False) -> None:
        for statements in transactions(written):
            await asyncio.sleep(PAUSE_S)
            if sleeps_only:
                continue
            async with self._connection.transaction():
                for sql, parameters in statements:
                    await self._connection.fetch(self._sql(sql), *parameters)

    def _sql(self, sql: str) -> str:
        found = self._spelled.get(sql)
        if found is None:
            first, *rest = sql.split("?")
            found = self._spelled[sql] = first + "".join(f"${i}{text}" for i, text in enumerate(rest, 1))
        return found

    async def close(self) -> None:
        await self._connection.close()
