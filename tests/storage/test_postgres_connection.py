"""One connection to PostgreSQL: what goes ahead is done in its order, what fails leaves nothing behind, few messages go there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from lumosai import Message, Scope
from lumosai.errors import InvalidInputError
from lumosai.storage import PostgresStorage
from lumosai.storage._op import Query, Steps
from lumosai.storage._postgres_connection import Connection, gives_rows, is_tried
from tests.storage.postgres_proxy import proxied

BEGIN = "BEGIN; SET LOCAL jit = off"
PUT = "INSERT INTO things (number, share, name, data) VALUES ($1, $2, $3, $4)"
ALL = "SELECT number, share, name, data FROM things ORDER BY key"
TABLE = (
    "CREATE TEMPORARY TABLE things (key BIGINT GENERATED ALWAYS AS IDENTITY, number BIGINT, share DOUBLE PRECISION, "
    "name TEXT, data BYTEA)"
)


@pytest.fixture(params=[False, True], ids=["pooled", "direct"])
async def connection(bare_postgres_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    raw = await asyncpg.connect(bare_postgres_url, statement_cache_size=256 if request.param else 0)
    await raw.execute(TABLE)
    made = Connection(raw, named=request.param)
    await made.begin(BEGIN)
    await made.run(PUT, [VALUES[0]])  # so that it is known
    await made.rollback()
    yield made
    await raw.close()


def test_statements_go_ahead_where_that_was_tried() -> None:
    """Whoever takes a newer asyncpg has the tests of this file pass with it, and says so where the newest is named."""
    assert is_tried(asyncpg.__version__)
    assert is_tried("0.30.0")
    assert not any(map(is_tried, ("0.33.0", "1.0", "0.33.0.dev0", "next")))
    raw = asyncpg.Connection
    assert Connection(raw, named=False, ahead=False)._transport is None


async def rows(connection: Connection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.rows(ALL)]


VALUES = [
    (1, 0.1, "a", b"\x00\xff"),
    (-(2**63), -1e300, "", b""),
    (2**63 - 1, float("inf"), "'; DROP TABLE things; --\\ ü 中 \U0001f600", b"\\x00'"),
    (None, None, None, None),
]


@pytest.mark.parametrize("apart", [False, True])
async def test_what_goes_ahead_is_stored_as_it_is(
    connection: Connection, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each type to the bit, in its order, seen by what follows; where asyncpg does not show its transport too."""
    if apart:
        monkeypatch.setattr(connection, "_transport", None)
        monkeypatch.setattr(connection, "_nothing", None)
    for _ in range(2):
        await connection.begin(BEGIN)
        for given in (VALUES[:1], VALUES[1:]):
            if not connection.tell(PUT, given):
                await connection.run(PUT, given)
        assert await rows(connection) == VALUES
        sql = "DELETE FROM things"
        if not connection.tell(sql, [()]):
            await connection.run(sql, [()])
        assert await rows(connection) == []
        await connection.commit()
        assert connection.usable
        assert not connection.raw.is_in_transaction()


@pytest.mark.parametrize("value", [True, [1], "\ud800", 1.5j])
async def test_what_only_asyncpg_can_write_does_not_go_ahead(connection: Connection, value: Any) -> None:
    """A truth value, a list, half a surrogate pair: its codecs take them, or refuse them by name."""
    assert not connection.tell(PUT, [(value, None, None, None)])


async def test_what_is_large_goes_behind_what_went_ahead(connection: Connection) -> None:
    """Nothing overtakes: many rows or bytes are sent as asyncpg sends them, once what waits was sent."""
    large = b"x" * 300_000
    await connection.begin(BEGIN)
    for number, data in enumerate((b"a", large, b"c", large)):
        given = [(number, 0.0, "", data)]
        assert connection.tell(PUT, given) == (data is not large)
        if data is large:
            await connection.run(PUT, given)
    assert [row[0] for row in await rows(connection)] == [0, 1, 2, 3]
    assert not connection.tell(PUT, [VALUES[0]] * 1000)
    await connection.run(PUT, [VALUES[0]] * 1000)
    assert len(await rows(connection)) == 1004
    await connection.rollback()
    assert connection.usable


@pytest.mark.parametrize("ask", [ALL, "COMMIT"])
async def test_what_fails_ahead_fails_what_follows(connection: Connection, ask: str) -> None:
    """Nothing of the transaction is stored, and the connection is as good as before."""
    for _ in range(2):
        await connection.begin(BEGIN)
        assert connection.tell(PUT, [VALUES[0]])
        assert connection.tell(PUT, [(10**30, None, None, None)])
        assert connection.tell(PUT, [VALUES[1]])
        with pytest.raises(asyncpg.NumericValueOutOfRangeError):
            await connection.rows(ask)
        await connection.rollback()
        assert connection.usable
        await connection.begin(BEGIN)
        assert await rows(connection) == []
        await connection.commit()


async def test_what_asyncpg_refuses_behind_what_went_ahead_ends_the_connection(connection: Connection) -> None:
    """The server waits for more, which never comes: nobody uses that connection again. With nothing ahead it is as good as before."""
    sql = "SELECT CAST($1 AS BIGINT)"
    await connection.begin(BEGIN)
    with pytest.raises(asyncpg.DataError):
        await connection.rows(sql, ("x",))
    await connection.rollback()
    assert connection.usable
    await connection.begin(BEGIN)
    await connection.rows(sql, (1,))
    assert connection.tell(PUT, [VALUES[0]])
    with pytest.raises(asyncpg.DataError):
        await connection.rows(sql, ("x",))
    await connection.rollback()
    assert not connection.usable


@pytest.mark.parametrize("known", [False, True])
async def test_a_cancelled_transaction_leaves_nothing(connection: Connection, known: bool) -> None:
    """In the midst of a statement, with something ahead: it is undone, and the connection is as good as before."""
    slow = "SELECT pg_sleep(20)"
    if known:
        await connection.begin(BEGIN)
        await connection._statement(slow)
        await connection.commit()
    await connection.begin(BEGIN)
    assert not known or connection.tell(PUT, [VALUES[0]])
    task = asyncio.create_task(connection.rows(slow))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await connection.rollback()
    assert connection.usable
    await connection.begin(BEGIN)
    assert await rows(connection) == []
    await connection.commit()


async def test_a_transaction_that_the_server_never_heard_of_is_given_up_without_it(connection: Connection) -> None:
    await connection.begin(BEGIN)
    await connection.commit()
    await connection.begin(BEGIN)
    assert connection.tell(PUT, [VALUES[0]])
    connection.raw.terminate()
    await connection.rollback()
    assert not connection.usable


@pytest.mark.parametrize("late", [False, True])
async def test_what_may_be_apart_goes_before_a_transaction_that_is_late(connection: Connection, late: bool) -> None:
    """Alone it needs none; what follows is in one; and where something is written it is no exception."""
    await connection.begin(BEGIN, late=late)
    await connection.rows_apart(ALL)
    assert connection.raw.is_in_transaction() is not late
    await connection.commit()
    assert connection.usable
    await connection.begin(BEGIN, late=late)
    for _ in range(2):
        await connection.rows_apart(ALL)
        await connection.rows(ALL)
        assert connection.raw.is_in_transaction()
    await connection.commit()
    await connection.begin(BEGIN, late=late)
    with pytest.raises(asyncpg.DataError):
        await connection.rows_apart("SELECT CAST($1 AS BIGINT)", ("x",))
    await connection.rollback()
    assert connection.usable
    assert not connection.raw.is_in_transaction()


@pytest.mark.parametrize(
    ("sql", "gives"),
    [
        ("INSERT INTO t VALUES (1)", False),
        ("\n  UPDATE t\n SET a = 1", False),
        ("DELETE FROM t", False),
        ("DELETE FROM t\n RETURNING a", True),
        ("insert into t values (1) returning a", True),
        ("WITH a AS (DELETE FROM t) SELECT 1", True),
        ("SELECT 1", True),
        ("COMMIT", True),
    ],
)
def test_only_what_surely_gives_no_rows_goes_ahead(sql: str, gives: bool) -> None:
    assert gives_rows(sql) == gives


@pytest.mark.parametrize("direct", [False, True])
async def test_a_statement_goes_to_the_server_once(postgres_url: str, direct: bool) -> None:
    """Neither its types nor the beginning of its transaction take a message and an answer of their own, once they were."""
    async with proxied(postgres_url) as proxy, PostgresStorage(proxy.url, direct=direct, pool_size=1) as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")
        answers: list[int] = []
        for number in range(5):
            before = proxy.answers
            await handle.add_messages("t", [Message.user("x", id=f"m{number}")])
            answers.append(proxy.answers - before)
        assert answers[0] > answers[3] == answers[4] <= 5
        await handle.thread("t")
        before = proxy.answers
        await handle.thread("t")
        assert proxy.answers == before + 1


async def test_an_operation_that_fails_ahead_is_told_as_any_other(postgres_url: str) -> None:
    """The error is that of the statement, and nothing of the operation is stored."""

    def op(number: int) -> Steps[None]:
        yield Query(
            "INSERT INTO inbox (run_id, id, kind, data, at) VALUES (?, ?, ?, ?, ?)", ("r", f"i{number}", "k", b"", 1.0)
        )
        yield Query("UPDATE runs SET last = ? WHERE key = 0", (number,))

    async with PostgresStorage(postgres_url) as storage:
        await storage.write(lambda: op(1))
        for _ in range(2):
            with pytest.raises(InvalidInputError):
                await storage.write(lambda: op(10**30))
        count = await storage.read(lambda: (yield Query("SELECT count(*) FROM inbox")))  # type: ignore[arg-type,return-value]
        assert count[0][0] == 1
