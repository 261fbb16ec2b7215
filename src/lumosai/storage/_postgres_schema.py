"""The schema of a PostgreSQL database: made where there is none; brought up to date when somebody says so."""

from __future__ import annotations

import time
from typing import Any, Final

from lumosai.errors import StorageBrokenError
from lumosai.storage._migrations import MIGRATIONS, NEWEST

_LOCK: Final = 0x4C756D6F
_LONG_S: Final = 86_400.0


async def check(connection: Any, spelled: Any, where: str) -> None:
    """Makes the schema where there is none.

    Raises:
        StorageBrokenError: it is older than this program, with what to type; or a newer version's.
    """
    have = await _version(connection, where)
    if have == 0:
        await migrate(connection, spelled, where, only_new=True)
    elif have < NEWEST:
        raise _old(have, where)


async def migrate(connection: Any, spelled: Any, where: str, *, only_new: bool = False) -> int:
    """Brings the schema up to date in one transaction, under a lock that ends with it; how many steps that took.

    Args:
        connection: where.
        spelled: puts a statement into PostgreSQL's words.
        where: as errors name the database.
        only_new: whether there must be none yet, or one that another process has just made.

    Raises:
        StorageBrokenError: a newer version made it.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK, timeout=_LONG_S)
        have = await _version(connection, where)
        if only_new and 0 < have < NEWEST:
            raise _old(have, where)
        if have == 0:
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS lumosai "
                "(number BIGINT PRIMARY KEY, oldest BIGINT NOT NULL, at DOUBLE PRECISION NOT NULL)"
            )
        missing = MIGRATIONS[have:]
        for migration in missing:
            for statement in (*map(spelled, migration.statements), *migration.postgres):
                await connection.execute(statement, timeout=_LONG_S)
            await connection.execute(
                "INSERT INTO lumosai (number, oldest, at) VALUES ($1, $2, $3)",
                migration.number,
                migration.oldest,
                time.time(),
            )
        return len(missing)


async def _version(connection: Any, where: str) -> int:
    """How many steps a database has, of those that this program knows."""
    if await connection.fetchval("SELECT to_regclass('lumosai')") is None:
        return 0
    row = await connection.fetchrow("SELECT max(number), max(oldest) FROM lumosai")
    have, oldest = row[0] or 0, row[1] or 0
    if oldest > NEWEST:
        raise StorageBrokenError(
            f"{where} was made by a newer version of Lumosai (schema {have}, which this version, with schema {NEWEST}, "
            "cannot use): upgrade"
        )
    return min(have, NEWEST)


def _old(have: int, where: str) -> StorageBrokenError:
    return StorageBrokenError(
        f"{where} has schema {have} and this version needs {NEWEST}: run\n"
        f"    lumosai db migrate --database '{where}'\n"
        "once, with the password in the URL or in PGPASSWORD; a backup before is wise"
    )
