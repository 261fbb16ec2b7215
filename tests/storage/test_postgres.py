"""What is PostgreSQL's own: who is not let in, connections that are cut, event loops that are gone."""

from __future__ import annotations

import asyncio
import gc
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from lumosai import Message, Scope
from lumosai.errors import StorageBrokenError, StorageUnavailableError
from lumosai.storage import PostgresStorage, postgres


async def ask(url: str, statement: str) -> list:
    """Rows of a statement, on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def test_what_is_not_there_is_told_at_once(postgres_url: str) -> None:
    """No such database, no such user, nobody there: each with the way out, and without a password."""
    parts = urlsplit(postgres_url)
    nobody = "postgresql://ann:secret@127.0.0.1:1/x"
    for url, kind, what in (
        (urlunsplit(parts._replace(path="/no_such_database")), StorageBrokenError, "database's name"),
        (urlunsplit(parts._replace(netloc="no_such_user:secret@")), StorageBrokenError, "user, password"),
        (nobody, StorageUnavailableError, "cannot be reached"),
    ):
        with pytest.raises(kind, match=what) as caught:
            await PostgresStorage(url).open()
        assert "secret" not in str(caught.value)
        assert type(caught.value) is kind  # its name stands in events


async def test_connections_that_are_cut_are_made_again(postgres_url: str) -> None:
    """Whoever ends our connections, in whatever moment, loses nothing that was stored and stores nothing twice."""
    async with PostgresStorage(postgres_url) as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")

        async def write(name: str) -> None:
            for number in range(40):
                await handle.add_messages("t", [Message.user("x", id=f"{name}{number}")])

        async def cut() -> None:
            for _ in range(12):
                await ask(
                    postgres_url,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'lumosai' AND datname = current_database()",
                )
                await asyncio.sleep(0.02)

        await asyncio.gather(write("a"), write("b"), cut())
        ids = [m.message.id for m in (await handle.messages("t", limit=200)).items]
    assert sorted(ids) == sorted(f"{name}{number}" for name in "ab" for number in range(40))


async def test_a_process_that_is_stopped_in_a_transaction_holds_nobody_up(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had locked is free after a while, and nothing of its transaction is stored."""
    monkeypatch.setattr(postgres, "_BEGIN", postgres._BEGIN.replace("10s", "300ms"))
    async with PostgresStorage(postgres_url) as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")
        stopped = await asyncpg.connect(postgres_url)
        await stopped.execute(postgres._BEGIN)
        await stopped.execute("UPDATE threads SET title = 'half'")
        await asyncio.wait_for(handle.add_messages("t", [Message.user("x")]), 30)
        assert (await handle.thread("t")).title == ""
        # The last of these where the server's farewell is read only now.
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
            await stopped.execute("COMMIT")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_event_loops_that_are_gone_hold_no_connections(postgres_url: str) -> None:
    """A program that calls `asyncio.run` again and again, and never closes its storage, does not use the server up."""
    storage = PostgresStorage(postgres_url)

    async def use() -> None:
        await storage.scope(Scope()).list_threads()

    for _ in range(10):
        asyncio.run(use())
    gc.collect()
    here = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lumosai' AND datname = current_database()"
    assert asyncio.run(ask(postgres_url, here))[0] <= 2
    asyncio.run(storage.close())
    assert asyncio.run(ask(postgres_url, here))[0] == 0
    gc.collect()  # what nobody closed complains here
