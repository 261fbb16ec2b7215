"""Ids as rows hold them: each text comes back, and the databases read what Python wrote."""

from __future__ import annotations

import asyncpg
from hypothesis import example, given
from hypothesis import strategies as st

from lumosai.storage import Storage
from lumosai.storage import _ids as ids
from lumosai.storage._op import Query, Steps

TEXTS = (
    "",
    "m",
    "ü€𐀀",
    "0192f0c1-2a3b-7c4d-8e5f-0123456789ab",
    "ff92f0c1-2a3b-7c4d-8e5f-0123456789ab",
    "0192F0C1-2a3b-7c4d-8e5f-0123456789ab",
    "0192f0c1-2a3b-7c4d-8e5f-0123456789ab\n",
    "{0192f0c1-2a3b-7c4d-8e5f-0123456789ab}",
)


@given(st.text() | st.uuids().map(str))
@example("ff92f0c1-2a3b-7c4d-8e5f-0123456789ab")
@example("0192F0C1-2a3b-7c4d-8e5f-0123456789ab")
@example("fifteen bytes..")
def test_an_id_comes_back(text: str) -> None:
    """Whatever it is, and no other has the same bytes."""
    assert ids.text(ids.packed(text)) == text


def test_a_uuid_is_sixteen_bytes() -> None:
    """As nearly all ids are that this program makes."""
    assert len(ids.packed(TEXTS[3])) == 16


async def test_databases_read_ids(storage: Storage) -> None:
    """The run that said a message is found by its id as text."""

    def told() -> Steps[list[str]]:
        found = []
        for text in TEXTS:
            rows = yield Query(
                "SELECT {said_by} FROM (SELECT CAST(? AS {data}) AS run_id) AS messages", (ids.packed(text),)
            )
            found.append(rows[0][0])
        return found

    assert await storage.read(told) == [*TEXTS]  # type: ignore[attr-defined]


async def test_postgresql_packs_ids_alike(postgres_url: str) -> None:
    """The step of the schema that changed the columns wrote what the program looks for."""
    connection = await asyncpg.connect(postgres_url)
    try:
        sql = f"SELECT {ids.PACKED_IN_POSTGRES.format('given')} FROM (SELECT CAST($1 AS TEXT) AS given) AS one"
        assert [await connection.fetchval(sql, text) for text in TEXTS] == [ids.packed(text) for text in TEXTS]
    finally:
        await connection.close()
