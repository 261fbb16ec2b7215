"""The file of an SQLite database: its one name, whether it is still the one that was opened, how to read it unwritten."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from lumosai.errors import StorageBrokenError

if TYPE_CHECKING:
    from lumosai.errors import StorageError

_gone: Final[list[sqlite3.Connection]] = []
"""Connections to files that lie under their names no more, never closed: SQLite would delete the log that lies beside
that name, which by now may be another database's.
"""


class Mark(NamedTuple):
    """Which file lay under a name."""

    device: int
    number: int


def real_path(path: str) -> str:
    """One name for one file, whichever way it was named."""
    return os.path.realpath(path)


def mark_of(path: str) -> Mark | None:
    """Which file lies under a name, None where none does, or nobody may look."""
    try:
        found = os.stat(path)  # noqa: PTH116  # before each transaction: a Path costs as much again
    except OSError:
        return None
    return Mark(found.st_dev, found.st_ino)


def gone(connection: sqlite3.Connection, path: str, *, writes: bool) -> StorageBrokenError:
    """Gives up a connection whose file was taken away; what to tell whoever was about to use it.

    One that writes first puts into its file what is still in the log: wherever the file lies now, it is whole, and the
    log beside its old name does no harm to another one that lies there.
    """
    _gone.append(connection)
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if writes:
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return StorageBrokenError(
        f"the database {path!r} was moved, replaced or deleted while it was open. Nothing of this call was stored: put "
        "the file back; the next call opens what lies under that name then, or makes a new one"
    )


def may_be_read(error: StorageError) -> bool:
    """Whether an error says only that the file may not be written to."""
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    refused = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
    return isinstance(code, int) and code & 0xFF in refused


def connect_to_read(path: str, busy_ms: int) -> sqlite3.Connection:
    """A connection to a file that may not be written to, nor anything beside it; for one read, for it sees no later state.

    Raises:
        sqlite3.Error: it cannot be read either.
    """
    try:
        return _opened(f"file:{quote(path)}?mode=ro", busy_ms)
    except sqlite3.OperationalError:
        # Without a log nobody is at work on the file, and it is whole by itself.
        if not _has_log(path):
            return _opened(f"file:{quote(path)}?immutable=1", busy_ms)
        # Without the index of a log nobody is at work on it either: a copy that was made of both. The index is made in
        # memory then, where nobody else is to be locked out.
        if Path(f"{path}-shm").exists():
            raise
        return _opened(f"file:{quote(path)}?mode=ro&vfs=unix-none", busy_ms, "PRAGMA locking_mode = EXCLUSIVE")


def _opened(uri: str, busy_ms: int, *first: str) -> sqlite3.Connection:
    connection = sqlite3.Connection(
        uri, uri=True, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False
    )
    try:
        for statement in first:
            connection.execute(statement)
        connection.execute("SELECT 1 FROM sqlite_master").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _has_log(path: str) -> bool:
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except OSError:
        return False
