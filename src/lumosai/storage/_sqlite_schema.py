"""The schema of an SQLite file: made, or brought up to date behind a copy of the file."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Final

from lumosai.errors import StorageBrokenError, StorageFullError
from lumosai.storage import _sqlite_run as sqlite
from lumosai.storage import _whole as whole
from lumosai.storage._ids import packed
from lumosai.storage._migrations import MIGRATIONS, NEWEST

_APPLICATION: Final = 0x4C756D6F  # "Lumo", in the file's header
_COPYING_MS: Final = 600_000
"""How long another process is waited for that copies the file and changes its schema."""
_SMALL: Final = 64 * 1024 * 1024
"""Bytes of a file that is written anew when its schema changes, so that it can give free pages back from then on."""


def version(connection: sqlite3.Connection, path: str) -> int:
    """How many steps a database has, of those that this program knows.

    Raises:
        StorageBrokenError: a newer version made it, or it is somebody else's.
    """
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "lumosai" not in tables:
        if tables - {"sqlite_sequence"}:
            raise StorageBrokenError(
                f"the database {path!r} holds other tables ({', '.join(sorted(tables)[:3])}, …) and none of Lumosai's: "
                "give it a file of its own"
            )
        return 0
    have, oldest = connection.execute("SELECT max(number), max(oldest) FROM lumosai").fetchone()
    if oldest is not None and oldest > NEWEST:
        raise StorageBrokenError(
            f"the database {path!r} was made by a newer version of Lumosai (schema {have}, which this version, with "
            f"schema {NEWEST}, cannot use): upgrade, or use a backup from before"
        )
    return min(have or 0, NEWEST)


def migrate(connection: sqlite3.Connection, path: str, file: str) -> None:
    """Makes the schema, or brings it up to date; others wait meanwhile, and find it done.

    The copy is made under the lock under which the schema changes, so that it holds all that was stored before. Where the
    change fails the file is as it was, and there is no copy.

    Raises:
        StorageBrokenError: as `version`.
        StorageFullError: there is no room for the copy.
    """
    if version(connection, path) == NEWEST:
        return
    waits = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute(f"PRAGMA busy_timeout = {_COPYING_MS}")
    try:
        connection.execute("BEGIN IMMEDIATE")
    finally:
        connection.execute(f"PRAGMA busy_timeout = {waits}")
    copy: Path | None = None
    try:
        have = version(connection, path)  # another process may have been quicker
        if have and have < NEWEST and file:
            copy = back_up(file, have)
        _step(connection, have)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if copy is not None:
            copy.unlink(missing_ok=True)
        raise
    if copy is not None and Path(file).stat().st_size <= _SMALL:
        with contextlib.suppress(sqlite3.Error):  # who reads it at this moment may keep it from that: it only is larger
            connection.execute("VACUUM")


def _step(connection: sqlite3.Connection, have: int) -> None:
    if not have:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS lumosai (number INTEGER PRIMARY KEY, oldest INTEGER NOT NULL, at REAL NOT NULL)"
        )
    connection.create_function("packed_id", 1, packed, deterministic=True)
    for migration in MIGRATIONS[have:]:
        for statement in (*migration.statements, *migration.sqlite):
            connection.execute(sqlite.spelled(statement))
        connection.execute(
            "INSERT INTO lumosai (number, oldest, at) VALUES (?, ?, ?)",
            (migration.number, migration.oldest, time.time()),
        )
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")


def back_up(file: str, have: int) -> Path:
    """A copy of a file as it is, beside it, under a name that says its schema and that no other copy has."""
    number = 1
    while True:
        copy = Path(f"{file}.schema-{have}{'' if number == 1 else f'.{number}'}.backup")
        try:
            copied(file, copy)
        except FileExistsError:
            number += 1
            continue
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
                raise StorageFullError(
                    f"there is no room for the copy of {file!r} that is made before its schema changes ({copy.name}): "
                    "make room there. The database is as it was"
                ) from error
            raise
        return copy


def copied(file: str, copy: Path, *, check: bool = False) -> str:
    """Writes a copy of a file as it is, by SQLite's backup API: one state of it, while others write.

    Returns:
        With `check`, what is wrong with the copy, which is not there then; "ok" where it is sound.

    Raises:
        FileExistsError: there is a file of that name.
        sqlite3.Error, OSError: it could not be written; nothing is left of it.
    """
    if copy.exists():
        raise FileExistsError(str(copy))
    unfinished = whole.beside(copy)
    try:
        source = sqlite.connect(file, durable=False, reads_only=True)
        try:
            found = _into(source, unfinished, check=check)
        finally:
            source.close()
        if found == "ok":
            whole.give_name(unfinished, copy)
        return found
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            Path(f"{unfinished}{end}").unlink(missing_ok=True)


def _into(source: sqlite3.Connection, path: Path, *, check: bool) -> str:
    target = sqlite3.Connection(path, isolation_level=None)
    try:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # so that the copy is one file
        return str(target.execute("PRAGMA integrity_check(1)").fetchone()[0]) if check else "ok"
    finally:
        target.close()
