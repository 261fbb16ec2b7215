"""Databases that earlier programs stored are opened, migrated and read, and their runs go on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from lumosai import Scope
from lumosai.events import ApprovalRequested, RunResumed
from lumosai.storage import PostgresStorage, Storage, open_storage
from lumosai.storage._migrations import NEWEST
from tests.storage import stored

SCHEMAS = sorted(int(path.stem.partition("-")[2]) for path in stored.HERE.glob("schema-*.json"))
BOB = Scope(owner="bob")


def test_a_stored_database_of_the_last_release_is_there() -> None:
    """Each step of the schema is followed by a stored database before the next release, and each has all its files."""
    assert SCHEMAS
    for number in SCHEMAS:
        assert all((stored.HERE / f"schema-{number}.{kind}").is_file() for kind in ("db", "sql", "json"))
    assert SCHEMAS[-1] <= NEWEST


@pytest.fixture(params=[f"{kind}-{number}" for number in SCHEMAS for kind in ("sqlite", "postgres")])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Any]:
    """The URL of a stored database, and what it is expected to answer."""
    kind, _, number = request.param.partition("-")
    expected = msgspec.json.decode((stored.HERE / f"schema-{number}.json").read_bytes())[kind]
    if kind == "sqlite":
        shutil.copyfile(stored.HERE / f"schema-{number}.db", tmp_path / "old.db")
        return f"sqlite:///{tmp_path / 'old.db'}", expected
    url = request.getfixturevalue("bare_postgres_url")

    async def load() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute((stored.HERE / f"schema-{number}.sql").read_text())
        await connection.close()
        storage = PostgresStorage(url)
        assert await storage.migrate() == NEWEST - int(number)
        await storage.close()

    asyncio.run(load())
    return url, expected


@pytest.fixture
async def opened(old: tuple[str, Any]) -> AsyncIterator[tuple[Storage, Any]]:
    """A stored database in use by the present program, and what it is expected to answer."""
    storage = open_storage(old[0])
    yield storage, old[1]
    await storage.close()


def asked(value: Any, expected: Any) -> Any:
    """Of what is answered now what was asked for then: what is new since then was not there."""
    if isinstance(value, dict) and isinstance(expected, dict):
        return {k: asked(v, expected[k]) for k, v in value.items() if k in expected}
    if isinstance(value, list) and isinstance(expected, list) and len(value) == len(expected):
        return [asked(v, e) for v, e in zip(value, expected, strict=True)]
    return value


async def test_a_stored_database_answers_as_it_did(opened: tuple[Storage, Any]) -> None:
    """Threads, messages, runs, and the events that each run shows, to the byte."""
    storage, expected = opened
    answers = await stored.answers(storage)
    assert asked(answers, expected["answers"]) == expected["answers"]
    assert await stored.shown(storage) == expected["shown"]


async def test_runs_of_a_stored_database_go_on(opened: tuple[Storage, Any]) -> None:
    """One that waits for a yes goes on with it; one whose process died goes on from its call."""
    storage, _ = opened
    made = stored.agents(storage)
    waiting = (await storage.scope(BOB).list_runs(status="paused")).items[0]
    async with made["letters"].resume(waiting.id, scope=BOB) as run:
        resumed = False
        async for event in run:
            resumed = resumed or type(event) is RunResumed
            if type(event) is ApprovalRequested and resumed:
                run.approve(event.call.id)
        assert (await run.result()).text == "Done: sent to Ann"
    assert [r.id for _, r in await storage.system().orphans(["sums"])] == ["cut"]
    async with made["sums"].resume("cut", scope=BOB) as run:
        assert (await asyncio.wait_for(run.result(), 20)).text == "The sum is 42."
    thread = await storage.scope(BOB).messages("letters")
    said = [m.message for m in thread.items if m.message.id != "sent"]  # which waited in the run's inbox, if it had one
    assert [m.role for m in said] == ["user", "assistant", "tool", "assistant"]
