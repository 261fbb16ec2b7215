"""A kept run's writes by hand: what `keeping` holds ours against, on sqlite3 and on asyncpg.

The same facts are written (a thread, its messages, a run, its events with their content) in as many transactions as the
contract asks for: one before each model request, one before each tool, and one with the end. The schema is the least that
holds them. SQLite is written to from the event loop's own thread, which no program with more to do than one run should
do: the barest there is.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from typing import TYPE_CHECKING, Any, Protocol

import orjson

if TYPE_CHECKING:
    import asyncpg

    from benchmarks.keeping import Written

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


class Bare(Protocol):
    """One database, written to by hand."""

    async def run(self, written: Written) -> None:
        """The writes of one run on a fresh thread."""
        ...

    async def close(self) -> None: ...


def transactions(written: Written) -> list[list[Statement]]:
    """The statements of one run, by transaction, with ids of their own."""
    thread, run, now = str(uuid.uuid4()), str(uuid.uuid4()), time.time()
    done: list[list[Statement]] = []
    seq = 0
    for number, (events, messages) in enumerate(written.batches):
        statements: list[Statement] = []
        last = events[-1]["seq"]
        if number == 0:
            statements += [(_THREAD, (thread, "Calculate 2+2", now, now)), (_LAST, (thread,))]
            statements.append((_RUN, (run, thread, last, now, now)))
        for message in messages if written.memory else ():
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

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_TABLES.format(real="REAL", data="BLOB"))

    async def run(self, written: Written) -> None:
        execute = self._connection.execute
        for statements in transactions(written):
            execute("BEGIN IMMEDIATE")
            for sql, parameters in statements:
                execute(sql, parameters).fetchall()
            execute("COMMIT")

    async def close(self) -> None:
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

    async def run(self, written: Written) -> None:
        for statements in transactions(written):
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
