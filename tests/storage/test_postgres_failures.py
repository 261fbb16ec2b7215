"""A PostgreSQL that fails: connections cut at every point, a server that is away for a while, one that refuses."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from lumosai import Message, Scope
from lumosai.errors import StorageBrokenError, StorageUnavailableError
from lumosai.storage import PostgresStorage, postgres
from lumosai.storage.base import Batch, Handle, RunRecord
from tests.storage.postgres_proxy import Moment, proxied


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another try follows without a pause."""
    monkeypatch.setattr(postgres, "_PAUSE_S", 0.0005)
    yield


EVERY = 1 if "LUMOSAI_CRASH_ROUNDS" in os.environ else 7
"""Every so-many-th message is a place to cut at."""
MOMENTS: tuple[Moment, ...] = ("before", "after", "half")


def cuts(every: int = EVERY) -> Iterator[tuple[int, Moment]]:
    """Places to cut at, and moments, without an end: where every place is tried, each moment at each."""
    for number, message in enumerate(itertools.count(1, every)):
        for moment in MOMENTS if every == 1 else (MOMENTS[number % 3],):
            yield message, moment


Deed = Callable[[Handle, str], Awaitable[object]]


def batch(first: int, last: int, **more: object) -> Batch:
    """Events of these numbers."""
    lines = [b'{"seq":%d}' % number for number in range(first, last + 1)]
    return Batch(first=first, last=last, data=b"\n".join(lines), **more)  # type: ignore[arg-type]


async def add(handle: Handle, name: str) -> None:
    await handle.add_messages("t", [Message.user("x" * 100, id=f"{name}.{i}") for i in range(3)])


async def begin(handle: Handle, name: str) -> None:
    thread = await handle.thread("t")
    assert thread is not None
    await handle.begin_turn(thread, [Message.user("y", id=name)], run_id=name)


async def run(handle: Handle, name: str) -> None:
    lease = await handle.open_run(RunRecord(id=name, agent="a"), batch(1, 2, contents={f"hash {name}": b"c"}))
    await handle.append_events(lease, batch(3, 4), urgent=True)
    assert await handle.renew(lease)
    await handle.append_events(lease, batch(5, 5, status="ended", reason="stop"))


async def learn(handle: Handle, name: str) -> None:
    await handle.keep_experience({"m": name.encode()})


@pytest.mark.parametrize("deed", [add, begin, run, learn])
async def test_a_connection_cut_at_any_message_loses_and_doubles_nothing(
    postgres_url: str, at_once: None, deed: Deed
) -> None:
    """What may be done twice is tried again until it is done: nobody outside sees that anything was cut."""
    async with proxied(postgres_url) as proxy, PostgresStorage(proxy.url, pool_size=1) as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")
        done = 0
        for message, moment in cuts():
            done += 1
            before = proxy.cuts
            proxy.cut_at(message, moment)
            await deed(handle, f"{deed.__name__}{done}")
            if proxy.cuts == before:
                break
        assert proxy.cuts >= 1
        proxy.cut_at(0, "before")
        await _check(storage.scope(Scope()), deed, done)


async def _check(handle: Handle, deed: Deed, done: int) -> None:
    """Each deed is there, once."""
    names = [f"{deed.__name__}{number}" for number in range(1, done + 1)]
    if deed is learn:
        assert (await handle.experience())["m"] == names[-1].encode()
        return
    if deed is run:
        assert sorted(r.id for r in (await handle.list_runs(limit=500)).items) == sorted(names)
        for name in names:
            record = await handle.run(name)
            assert record is not None
            assert (record.status, record.last, record.epoch) == ("ended", 5, 1)
            lines = b"\n".join(await handle.events(name)).split(b"\n")
            assert lines == [b'{"seq":%d}' % number for number in range(1, 6)]
        return
    ids = [m.message.id for m in (await handle.messages("t", limit=1000)).items]
    wanted = [f"{name}.{i}" for name in names for i in range(3)] if deed is add else names
    assert ids == wanted
    thread = await handle.thread("t")
    assert thread is not None
    assert thread.message_count == len(wanted)


async def test_what_may_not_be_done_twice_is_done_or_told(postgres_url: str, at_once: None) -> None:
    """A change whose commit was cut may have been made: the caller hears so, and it was made once or not at all."""
    async with proxied(postgres_url) as proxy, PostgresStorage(proxy.url, pool_size=1) as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")
        told: set[Moment] = set()
        version = 1
        for message, moment in cuts(every=1):
            before = proxy.cuts
            proxy.cut_at(message, moment)
            try:
                made = (await handle.update_thread("t", title=f"title {version}")).version
                assert made == version + 1
            except StorageUnavailableError as error:
                assert "may or may not have been stored" in str(error)  # only some are cut there
                assert not error.retryable
                told.add(moment)
                proxy.cut_at(0, moment)
                found = await handle.thread("t")
                assert found is not None
                made = found.version
                assert made == version + (moment != "before")
            version = made
            if proxy.cuts == before:
                break
        assert told == set(MOMENTS)


async def test_reads_are_tried_again(postgres_url: str, at_once: None) -> None:
    """A read gives what is there, wherever its connection is cut."""
    async with proxied(postgres_url) as proxy, PostgresStorage(proxy.url, pool_size=1) as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")
        await add(handle, "a")
        for message, moment in cuts():
            before = proxy.cuts
            proxy.cut_at(message, moment)
            assert len((await handle.messages("t")).items) == 3
            if proxy.cuts == before:
                break
        assert proxy.cuts >= 1


async def test_a_first_connection_cut_at_any_message_makes_the_schema_once(
    bare_postgres_url: str, at_once: None
) -> None:
    """A new database is made whole, whichever message of the first call was the last."""
    number = 0
    async with proxied(bare_postgres_url) as proxy:
        while True:
            number += 3 if EVERY == 1 else 60
            before = proxy.cuts
            proxy.cut_at(number, "after")
            async with PostgresStorage(proxy.url) as storage:
                await storage.scope(Scope()).ensure_thread(f"t{number}")
            if proxy.cuts == before:
                break
            await _forget_schema(bare_postgres_url)
    assert proxy.cuts >= 2


async def _forget_schema(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()


@pytest.fixture
async def user(postgres_url: str) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    """The database's URL for a user of few rights, and a connection of its owner, who may change that."""
    name = f"user_{uuid4().hex}"
    async with PostgresStorage(postgres_url) as storage:
        await storage.scope(Scope()).create_thread("t")
    owner = await asyncpg.connect(postgres_url)
    await owner.execute(
        f"CREATE ROLE {name} LOGIN; GRANT USAGE, CREATE ON SCHEMA public TO {name};"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}"
    )
    parts = urlsplit(postgres_url)
    yield urlunsplit(parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}")), owner
    await owner.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    await owner.close()


async def test_what_a_server_refuses_is_told_with_the_way_out(
    user: tuple[str, asyncpg.Connection], at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few connections are shared; none left, no time, no writes, no rights: each has its word, and reading goes on."""
    url, owner = user
    name = urlsplit(url).username
    await owner.execute(f"ALTER ROLE {name} CONNECTION LIMIT 1")
    async with PostgresStorage(url) as storage:
        handle = storage.scope(Scope())
        found = await asyncio.gather(*[handle.thread("t") for _ in range(8)])
        assert [t.id for t in found if t is not None] == ["t"] * 8
        monkeypatch.setattr(postgres, "_PATIENCE_S", 0.05)
        second = PostgresStorage(url)
        with pytest.raises(StorageUnavailableError, match="has no connection left for us"):
            await second.open()
        await second.close()
    await owner.execute(f"ALTER ROLE {name} CONNECTION LIMIT -1; ALTER ROLE {name} SET statement_timeout = '60ms'")
    async with PostgresStorage(url) as storage:
        handle = storage.scope(Scope())
        async with owner.transaction():
            await owner.execute("SELECT 1 FROM threads FOR UPDATE")
            with pytest.raises(StorageUnavailableError, match="statement_timeout") as caught:
                await handle.update_thread("t", title="late")
            assert caught.value.retryable
        await handle.update_thread("t", title="in time")
        await handle.add_messages("t", [Message.user("x")])
    await owner.execute(
        f"ALTER ROLE {name} RESET statement_timeout; ALTER ROLE {name} SET default_transaction_read_only = on"
    )
    async with PostgresStorage(url) as storage:
        handle = storage.scope(Scope())
        assert (await handle.thread("t")).title == "in time"  # type: ignore[union-attr]  # it is there
        with pytest.raises(StorageBrokenError, match="takes no writes"):
            await handle.update_thread("t", title="never")
    await owner.execute(
        f"ALTER ROLE {name} RESET default_transaction_read_only; REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM {name}"
    )
    async with PostgresStorage(url) as storage:
        handle = storage.scope(Scope())
        assert (await handle.thread("t")).title == "in time"  # type: ignore[union-attr]  # as above
        with pytest.raises(StorageBrokenError, match="GRANT it what it needs"):
            await handle.add_messages("t", [Message.user("x")])
        await owner.execute("ALTER TABLE messages RENAME TO elsewhere")
        with pytest.raises(StorageBrokenError, match="has lost tables"):
            await handle.messages("t")
        await owner.execute("ALTER TABLE elsewhere RENAME TO messages")
