"""A PostgreSQL database of another schema: what is done by whom, and what is said."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from lumosai import Scope
from lumosai.errors import StorageBrokenError
from lumosai.storage import PostgresStorage
from lumosai.storage._migrations import NEWEST
from tests.storage import stored


async def test_an_old_schema_is_brought_up_to_date_by_who_says_so(bare_postgres_url: str) -> None:
    """Opening says exactly what to type; two that type it at once do it once; a newer schema is refused by its number."""
    connection = await asyncpg.connect(bare_postgres_url)
    await connection.execute((stored.HERE / "schema-3.sql").read_text())
    storage = PostgresStorage(bare_postgres_url)
    command = f"schema 3 and this version needs {NEWEST}: run\n    lumosai db migrate --database '{storage.url}'"
    with pytest.raises(StorageBrokenError) as caught:
        await storage.scope(Scope()).list_threads()
    assert command in str(caught.value)
    others = [PostgresStorage(bare_postgres_url) for _ in range(3)]
    steps = await asyncio.gather(*(s.system().migrate() for s in others))
    assert sorted(steps) == [0, 0, NEWEST - 3]
    assert (await storage.system().info(check=True)).problems == ()
    await connection.execute("INSERT INTO public.lumosai VALUES (99, 99, 0)")
    newer = PostgresStorage(bare_postgres_url)
    for call in (newer.open, newer.migrate):
        with pytest.raises(StorageBrokenError, match=f"schema 99, which this version, with schema {NEWEST}"):
            await call()
    for each in (storage, newer, *others):
        await each.close()
    await connection.close()


async def test_programs_that_begin_at_once_make_the_schema_once(bare_postgres_url: str) -> None:
    """An empty database needs nobody to say so."""
    each = [PostgresStorage(bare_postgres_url) for _ in range(4)]
    await asyncio.gather(*(s.scope(Scope()).create_thread(f"t{i}") for i, s in enumerate(each)))
    assert len((await each[0].scope(Scope()).list_threads()).items) == 4
    for storage in each:
        await storage.close()
