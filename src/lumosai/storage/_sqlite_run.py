"""SQLite as one connection speaks it: opening, driving operations, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from lumosai.errors import (
    InvalidInputError,
    LumosaiError,
    StorageBrokenError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from lumosai.storage._op import UNREADABLE, Words, unreadable

if TYPE_CHECKING:
    from lumosai.storage._op import Op, Rows

T = TypeVar("T")

WORDS: Final = Words(
    key="INTEGER PRIMARY KEY AUTOINCREMENT",
    real="REAL",
    data="BLOB",
    by_key=" WITHOUT ROWID",
    now="((julianday('now') - 2440587.5) * 86400.0)",
    lower="",
    bytewise="",
    lock="",
    guard="",
    hold="",
    there="NOTHING",
    # Told that a branch is equal to one of many, SQLite may go through all messages there are to make itself a filter.
    in_ranges="ranges CROSS JOIN messages ON (messages.branch, messages.seq) >= (ranges.source, ranges.low)"
    " AND (messages.branch, messages.seq) <= (ranges.source, ranges.high)",
    # Where the run's other rows lie, whose room is free once they are put together.
    in_pieces=" INDEXED BY spans_in_pieces",
    # Named once, for from Python 3.14 on `sqlite3` refuses values in a row for parameters that have numbers. What a run at
    # work says lies behind all else, so that it is appended; what once lay below its place today is read there.
    put_events="INSERT INTO events (rowid, run, first, last, data)"
    " SELECT (1 << 62) | (run << 31) | first, run, first, last, data FROM (SELECT ? AS run, ? AS first, ? AS last, ? AS data)"
    " WHERE 1",  # else what comes behind it, ON CONFLICT, would be read as a join's ON
    # Before all that comes and goes, one behind the other, so that no room is left between them.
    put_packed="INSERT INTO events (rowid, run, first, last, data)"
    " VALUES (max(coalesce((SELECT max(rowid) FROM events WHERE rowid < 1 << 62), 0) + 1, 1 << 61), ?, ?, ?, ?)",
    said_by="CASE WHEN substr(messages.run_id, 1, 1) = x'ff' THEN CAST(substr(messages.run_id, 2) AS TEXT)"
    " WHEN length(messages.run_id) = 16 THEN lower(substr(hex(messages.run_id), 1, 8) || '-' || substr(hex(messages.run_id), 9, 4) || '-'"
    " || substr(hex(messages.run_id), 13, 4) || '-' || substr(hex(messages.run_id), 17, 4) || '-'"
    " || substr(hex(messages.run_id), 21)) ELSE '' END",
    skip="",
    # Neither the texts nor their places in them: the messages are there, and are scored when they are read.
    fulltext="CREATE VIRTUAL TABLE fulltext USING fts5(terms, content='', detail=none, columnsize=0, tokenize='ascii')",
    fulltext_index="SELECT 1",
    place="rowid",
    matches="fulltext MATCH '\"' || ? || '\"'",
    begins="fulltext MATCH '\"' || ? || '\" *'",
    remember="INSERT INTO fulltext (rowid, terms) VALUES (?, ?)",
    forget="INSERT INTO fulltext (fulltext, rowid, terms) VALUES ('delete', ?, ?)",
    purge="INSERT INTO fulltext (fulltext) VALUES ('optimize')",
)

BUSY_MS: Final = 10_000
_PAGE: Final = 4096
_FULL: Final = (sqlite3.SQLITE_FULL,)
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BROKEN: Final = {
    sqlite3.SQLITE_READONLY: "is read-only: give its file and folder back their permission to be written",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore a backup, or save what can be read with the sqlite3 program's .recover",
    sqlite3.SQLITE_NOTADB: "is no SQLite database: give another path, or move that file away",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: its folder must exist and may be written to",
    sqlite3.SQLITE_PERM: "may not be opened: look at its permissions",
    sqlite3.SQLITE_IOERR: "could not be read or written by the disk: look at its health and its free space",
}

_spelled: dict[str, str] = {}


def spelled(sql: str) -> str:
    """A statement in SQLite's words."""
    found = _spelled.get(sql)
    if found is None:
        found = sql if "{" not in sql else sql.format_map(WORDS._asdict())
        _spelled[sql] = found
    return found


def connect(target: str, *, durable: bool, reads_only: bool = False) -> sqlite3.Connection:
    """A connection that leaves transactions to us.

    Args:
        target: a path, or ":memory:".
        durable: whether a commit must survive a power cut, and not only a killed process.
        reads_only: whether it may change anything.
    """
    connection = sqlite3.Connection(  # what `connect` gives, unless the program has an instrumentation wrap that
        target, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA temp_store = MEMORY")
        if reads_only:
            connection.execute("PRAGMA query_only = ON")
    except UnicodeDecodeError as error:  # in what SQLite says of the schema
        connection.close()
        damaged = sqlite3.DatabaseError(f"malformed database schema: {error}")
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged from error
    except BaseException:
        connection.close()
        raise
    return connection


def close(connection: sqlite3.Connection) -> None:
    """Closes a connection without waiting for others: SQLite would, to put its log away, which the last one does anyway."""
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout = 0")
    connection.close()


def drive(connection: sqlite3.Connection, op: Op[T]) -> T:
    """Goes through an operation on a connection, inside whatever transaction is open."""
    steps = op()
    execute, executemany = connection.execute, connection.executemany
    try:
        sql, parameters, many, _ = next(steps)
        while True:
            rows: Rows = (
                executemany(spelled(sql), parameters).fetchall()
                if many
                else execute(spelled(sql), parameters).fetchall()
            )
            sql, parameters, many, _ = steps.send(rows)
    except StopIteration as end:
        value: T = end.value
        return value
    except (UnicodeEncodeError, OverflowError) as error:
        raise InvalidInputError(f"no database can store this: {str(error)[:200]}") from error
    except UNREADABLE as error:
        raise unreadable(error) from error
    finally:
        steps.close()


def is_busy(error: BaseException) -> bool:
    """Whether another connection's lock is all that is in the way."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _BUSY


def is_read_only(error: BaseException) -> bool:
    """Whether the file, or this connection to it, may not be written to."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF == sqlite3.SQLITE_READONLY


def error_of(error: sqlite3.Error | OSError, path: str) -> LumosaiError:
    """What one of SQLite's errors, or the file system's, means for the database at `path`."""
    code = getattr(error, "sqlite_errorcode", None)
    code = code & 0xFF if isinstance(code, int) else None
    name = f"the database {path!r}"
    if isinstance(error, OSError):
        return StorageBrokenError(f"{name} cannot be opened: look at its permissions and its folder's ({error})")
    if code in _FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path)):
        return StorageFullError(
            f"{name} cannot grow: the disk, or its share of it, is full. Nothing of this call was stored: make room there"
        )
    if code in _BUSY:
        return StorageUnavailableError(
            f"{name} was locked by another program for over {BUSY_MS // 1000} s. Nothing of this call was stored"
        )
    if code in _BROKEN:
        return StorageBrokenError(f"{name} {_BROKEN[code]} ({error})")
    return StorageError(f"{name}: {error}")


def _is_full(path: str) -> bool:
    """Whether a file system has no room left for even one page; some errors of the disk are that."""
    try:
        found = os.statvfs(Path(path).parent)
    except (OSError, AttributeError):  # Windows has no such call
        return False
    return found.f_bavail * found.f_frsize < _PAGE
