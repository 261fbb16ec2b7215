"""Large databases for `scale`, filled by the databases themselves: a million messages take seconds, not the hours of a user.

The schema is made by the storage; its rows are written here, as the storage would have written them.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.keeping import postgres
from lumosai.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LONG = "long"
"""The thread of `Size.messages` messages, of no owner; other threads belong to `user0`, `user1`, …"""
FORKED = "forked"
"""The thread whose path goes through `Size.segments` branches, with `OWN` messages of each."""
OWN = 20
OWNERS, RESOURCES, AGENTS, TOPICS = 1_000, 5_000, 10, 500
NEEDLE = "needle"
"""A word that one message in ten thousand of the long thread holds."""


@dataclass(frozen=True)
class Size:
    """How much there is of everything.

    Attributes:
        messages: of the long thread.
        threads: besides, with two messages each.
        segments: of the forked thread's path.
    """

    messages: int = 1_000_000
    threads: int = 100_000
    segments: int = 1_000

    def times(self, scale: float) -> Size:
        """The same by a factor."""
        return Size(*(max(100, round(n * scale)) for n in (self.messages, self.threads, self.segments)))


BEGAN = 1_700_000_000.0
"""When the first message was stored; each is a second later than the one before."""

_ID = {
    "sqlite": "CAST(x'ff' || printf('0192%032x', {}) AS BLOB)",
    "postgresql": "'\\xff'::bytea || convert_to('0192' || lpad(to_hex({}), 32, '0'), 'UTF8')",
}
_ROWS = {
    "sqlite": "(WITH RECURSIVE n(i) AS (SELECT {} UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT i FROM n)",
    "postgresql": "(SELECT i FROM generate_series({}::bigint, {}::bigint) AS n(i))",
}
_MANY = 1 << 40
"""Numbers of messages beyond the long thread's begin here."""


def id_of(number: int) -> str:
    """The id of the long thread's message of that number; also of the run that made those from four times it on."""
    return f"0192{number:032x}"


def statements(kind: str, size: Size) -> list[str]:
    """What fills an empty database of that kind, in order."""

    def rows(first: int, last: int) -> str:
        return _ROWS[kind].format(first, last) + " AS s"

    def thread(key: str, owner: str, name: str, count: str, at: str) -> str:
        return f"""{key}, 'default', {owner}, {name}, {_named("r", RESOURCES)}, {_named("agent", AGENTS)},
            'Thread ' || i, '{{"topic":"t' || (i % {TOPICS}) || '","n":' || i || '}}', 1, 0, {count}, {at}, {at}"""

    def _named(name: str, count: int) -> str:
        return f"'{name}' || (i % {count})"

    def text(number: str) -> str:
        return (
            f"""CASE WHEN {number} % 10 = 0 THEN '{{"p":[{{"type":"text","text":' ELSE '' END || '"Message number ' || {number} || ' of a conversation that has gone on for """
            f"""long, about the harbour, the ferry and the weather, as people talk when they have the time"""
            f"""' || CASE WHEN {number} % 10000 = 7 THEN ' {NEEDLE}' ELSE '' END || '"' ||
            CASE WHEN {number} % 10 = 0 THEN '}}],"m":{{"topic":"t' || (({number} / 10) % {TOPICS}) || '"}}}}' ELSE '' END"""
        )

    def message(branch: str, seq: str, number: str) -> str:
        number = f"({number})"
        role = f"CASE WHEN {number} % 1000 = 1 THEN 'system' WHEN {number} % 2 = 0 THEN 'user' ELSE 'assistant' END"
        run = _ID[kind].format(f"({number}) / 4")
        return f"{branch}, {seq}, {_ID[kind].format(number)}, {role}, {run}, {BEGAN} + ({number}) % {_MANY}, {text(number)}"

    threads = "INSERT INTO threads (key, tenant, owner, id, resource_id, agent_id, title, metadata, version, active, messages, created_at, updated_at)"
    branches = "INSERT INTO branches (key, thread, number, start, last, created_at)"
    messages = "INSERT INTO messages (branch, seq, id, role, run_id, at, body)"
    many, many_first = size.threads, 3
    forks = many + 10
    last = OWN * size.segments
    return [
        f"{threads} SELECT {thread('1', repr(''), repr(LONG), str(size.messages), str(BEGAN))} FROM {rows(0, 0)}",
        f"{branches} SELECT 1, 1, 0, 0, {size.messages}, {BEGAN} FROM {rows(0, 0)}",
        f"{messages} SELECT {message('1', 'i', 'i')} FROM {rows(1, size.messages)}",
        f"{threads} SELECT {thread('2', repr(''), repr(FORKED), str(last), str(BEGAN))} FROM {rows(0, 0)}",
        f"""{branches} SELECT {forks} + i, 2, i, {OWN} * i, {OWN} * (i + 1), {BEGAN} FROM {rows(0, size.segments - 1)}""",
        f"""INSERT INTO segments (branch, first, last, source)
            SELECT {forks + size.segments - 1}, {OWN} * i + 1, {OWN} * (i + 1), {forks} + i
            FROM {rows(0, size.segments - 2)}""",
        f"{messages} SELECT {message(f'{forks} + (i - 1) / {OWN}', 'i', f'i + {2 * _MANY}')} FROM {rows(1, last)}",
        f"UPDATE threads SET active = {size.segments - 1} WHERE key = 2",
        f"""{threads} SELECT {thread(f"{many_first} + i", _named("user", OWNERS), "'t' || i", "2", f"{BEGAN} + i")}
            FROM {rows(0, many - 1)}""",
        f"{branches} SELECT {many_first} + i, {many_first} + i, 0, 0, 2, {BEGAN} + i FROM {rows(0, many - 1)}",
        f"""{messages} SELECT {message(f"{many_first} + i / 2", "i % 2 + 1", f"i + {_MANY}")}
            FROM {rows(0, 2 * many - 1)}""",
    ]


def fill_sqlite(path: Path, size: Size) -> None:
    """Fills a file in which there is a schema and nothing else."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -400000")
    connection.execute("BEGIN")
    for statement in statements("sqlite", size):
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


async def fill_postgres(url: str, size: Size) -> None:
    """Fills a database in which there is a schema and nothing else, and lets the server look at what came."""
    import asyncpg

    connection = await asyncpg.connect(url)
    async with connection.transaction():
        for statement in statements("postgresql", size):
            await connection.execute(statement, timeout=600)
        for table in ("threads", "branches"):
            await connection.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'key'), (SELECT max(key) FROM {table}))"
            )
    await connection.execute("VACUUM ANALYZE", timeout=600)
    await connection.close()


async def _schema(url: str) -> None:
    storage = open_storage(url)
    await storage.open()
    await storage.close()


@contextlib.asynccontextmanager
async def filled(kind: str, size: Size | None) -> AsyncIterator[str]:
    """The URL of a database of that kind, filled where a size is given, for the length of the block."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="lumosai-bench-") as folder:
            path = Path(folder) / "scale.db"
            await _schema(f"sqlite:///{path}")
            if size is not None:
                fill_sqlite(path, size)
            yield f"sqlite:///{path}"
        return
    async with postgres() as url:
        await _schema(url)
        if size is not None:
            await fill_postgres(url, size)
        yield url
