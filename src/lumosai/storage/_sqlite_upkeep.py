"""Maintenance of an SQLite file: how large it is, its own check, free pages given back, what was deleted overwritten."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from lumosai.errors import ConfigurationError, StorageBrokenError, StorageError
from lumosai.storage import _sqlite_run as sqlite
from lumosai.storage import _sqlite_schema as schema
from lumosai.storage._migrations import NEWEST
from lumosai.storage._op import Query
from lumosai.storage._system import Sizes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from lumosai.storage._database import Lane
    from lumosai.storage._export import Snapshot
    from lumosai.storage._op import Op, Rows, Steps

T = TypeVar("T")

_INCREMENTAL: Final = 2
_PAGES: Final = 8
"""Free pages that are given back between two looks at the clock."""
_PROBLEMS: Final = 20


class File(Protocol):
    """What is asked of the storage."""

    @property
    def path(self) -> str: ...

    @property
    def url(self) -> str: ...

    def now(self) -> float: ...

    async def open(self) -> None: ...

    async def write(self, op: Op[T], lane: Lane = "memory", *, again: bool = False) -> T: ...

    async def read(self, op: Op[T]) -> T: ...


class SqliteUpkeep:
    """`lumosai.storage._system.Engine` of a file, or of a database in memory."""

    def __init__(self, file: File) -> None:
        self._file = file
        self.now, self.read, self.write = file.now, file.read, file.write
        self._shredded = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return self._file.url

    async def sizes(self) -> Sizes:
        """How large it is; by table where SQLite was built to tell."""
        size, count, free, mode = await self.read(_pages)
        try:
            by_table = await self.read(_by_table)
        except StorageError:
            by_table = {}
        log = Path(f"{self._file.path}-wal") if self._file.path else None
        beside = log.stat().st_size if log is not None and log.exists() else 0
        return Sizes(size * count + beside, size * free, by_table, mode == _INCREMENTAL)

    async def beyond(self, most: int) -> int:
        """Bytes in use beyond so many."""
        size, count, free, _ = await self.read(_pages)
        return max(0, size * (count - free) - most)

    async def check(self) -> tuple[str, ...]:
        """What SQLite's integrity check finds."""
        rows = await self.read(_integrity)
        return tuple(text for text in rows if text != "ok")

    async def give_back(self, budget_s: float) -> bool:
        """Gives free pages back; whether there are more. A file that was made without this has none to give."""
        return await self.write(partial(_vacuumed, budget_s), "telemetry")

    async def settle(self, *, thorough: bool) -> None:
        """Brings the log into the file and empties it; `thorough`: writes a file anew that cannot shrink otherwise."""
        if not self._file.path:
            return
        if thorough and not (await self.sizes()).shrinks:
            await self._alone(_rewritten)
        await self._alone(_checkpointed)

    async def shred(self, *, on: bool) -> None:
        """Whether what is deleted is overwritten with zeros."""
        self._shredded = await self.write(partial(_shredding, on=on, before=self._shredded), "telemetry")

    async def migrate(self) -> int:
        """Brings the schema up to date, as opening does; how many steps that took."""
        have: list[int] = []
        if self._file.path:
            with suppress(StorageError):  # what is wrong with it opening tells
                await self._alone(lambda connection: have.append(_steps(connection)))
        await self._file.open()
        return NEWEST - have[0] if have else NEWEST

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """One state of the file, on a connection and in a thread of its own. In memory it is the states one after another."""
        if not self._file.path:
            yield _Now(self._file)
            return
        await self._file.open()
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="lumosai-snapshot") as thread:
            state = _State(self._file.path, loop, thread)
            try:
                await loop.run_in_executor(thread, state.open)
                yield state
            finally:
                await loop.run_in_executor(thread, state.close)

    async def backup(self, path: str) -> int:
        """A copy by SQLite's backup API: one state of the file; those who write go on meanwhile."""
        if not self._file.path:
            raise ConfigurationError("a database in memory has no backup: export it")
        await self._file.open()
        return await asyncio.get_running_loop().run_in_executor(None, _backed_up, self._file.path, path)

    async def _alone(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Something that no transaction may hold, on a connection of its own, in a thread."""

        def run() -> None:
            try:
                connection = sqlite.connect(self._file.path, durable=False)
                try:
                    work(connection)
                finally:
                    connection.close()
            except sqlite3.Error as error:
                raise sqlite.error_of(error, self._file.path) from error

        await asyncio.get_running_loop().run_in_executor(None, run)


class _Now:
    """A database in memory, which only this process has."""

    def __init__(self, file: File) -> None:
        self._file = file

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """What a statement gives."""

        def ask() -> Steps[Rows]:
            return (yield Query(sql, parameters))

        return await self._file.read(ask)


class _State:
    """One state of a file."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop, thread: ThreadPoolExecutor) -> None:
        self._path = path
        self._loop = loop
        self._thread = thread
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Begins to read it."""
        self._connection = sqlite.connect(self._path, durable=False, reads_only=True)
        self._connection.execute("BEGIN")

    def close(self) -> None:
        """Lets go of it."""
        if self._connection is not None:
            self._connection.close()

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """What a statement gives."""
        return await self._loop.run_in_executor(self._thread, self._rows, sql, parameters)

    def _rows(self, sql: str, parameters: Sequence[Any]) -> Rows:
        assert self._connection is not None  # noqa: S101  # it was opened
        try:
            return self._connection.execute(sqlite.spelled(sql), parameters).fetchall()
        except sqlite3.Error as error:
            raise sqlite.error_of(error, self._path) from error


def _backed_up(path: str, copy: str) -> int:
    try:
        found = schema.copied(path, Path(copy), check=True)
    except FileExistsError:
        raise ConfigurationError(f"{copy!r} is there already: name a new file") from None
    except sqlite3.Error as error:
        raise sqlite.error_of(error, copy) from error
    except OSError as error:
        raise StorageError(f"{copy!r} cannot be written: {error.strerror or error}") from error
    if found != "ok":
        raise StorageBrokenError(f"the copy of {path!r} is not sound ({found}): look at the database's health first")
    return Path(copy).stat().st_size


def _pages() -> Steps[tuple[int, int, int, int]]:
    """Size of a page, pages, free pages, and how they are given back."""
    found: list[Any] = []
    for name in ("page_size", "page_count", "freelist_count", "auto_vacuum"):
        rows = yield Query(f"PRAGMA {name}")
        found.append(rows[0][0])
    return found[0], found[1], found[2], found[3]


def _by_table() -> Steps[dict[str, int]]:
    rows = yield Query(
        """SELECT sqlite_master.tbl_name, sum(dbstat.pgsize) FROM dbstat JOIN sqlite_master ON sqlite_master.name = dbstat.name
            WHERE dbstat.aggregate = 1 GROUP BY sqlite_master.tbl_name"""
    )
    return {row[0]: row[1] for row in rows}


def _integrity() -> Steps[tuple[str, ...]]:
    rows = yield Query(f"PRAGMA integrity_check({_PROBLEMS})")
    return tuple(row[0] for row in rows)


def _vacuumed(budget_s: float) -> Steps[bool]:
    began = perf_counter()
    rows = yield Query("PRAGMA auto_vacuum")
    if rows[0][0] != _INCREMENTAL:
        return False
    while True:
        rows = yield Query("PRAGMA freelist_count")
        if not rows[0][0]:
            return False
        if perf_counter() - began >= budget_s:
            return True
        yield Query(f"PRAGMA incremental_vacuum({_PAGES})")


def _shredding(*, on: bool, before: int) -> Steps[int]:
    """Sets it, or sets it back; how it was."""
    rows = yield Query("PRAGMA secure_delete")
    yield Query(f"PRAGMA secure_delete = {1 if on else before}")
    return int(rows[0][0])


def _steps(connection: sqlite3.Connection) -> int:
    connection.execute("PRAGMA query_only = ON")
    return int(connection.execute("SELECT max(number) FROM lumosai").fetchone()[0])


def _checkpointed(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _rewritten(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("VACUUM")
