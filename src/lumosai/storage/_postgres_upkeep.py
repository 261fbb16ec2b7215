"""Maintenance of a PostgreSQL database: how large it is, and its room given back.

The server's autovacuum makes the room of removed rows free for new ones by itself; a pass by hand does so at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from lumosai.errors import ConfigurationError
from lumosai.storage import _tables as tables
from lumosai.storage._op import Query, marks
from lumosai.storage._system import Sizes

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from lumosai.storage._database import Lane
    from lumosai.storage._export import Snapshot
    from lumosai.storage._op import Op, Steps

T = TypeVar("T")


class Server(Protocol):
    """What is asked of the storage."""

    @property
    def url(self) -> str: ...

    def now(self) -> float: ...

    async def migrate(self) -> int: ...

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]: ...

    async def outside(self, statement: str) -> None: ...

    async def write(self, op: Op[T], lane: Lane = "memory", *, again: bool = False) -> T: ...

    async def read(self, op: Op[T]) -> T: ...


class PostgresUpkeep:
    """`lumosai.storage._system.Engine` of a database of a server's."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.now, self.read, self.write, self.migrate = server.now, server.read, server.write, server.migrate

    @property
    def url(self) -> str:
        """Where it is, without the password."""
        return self._server.url

    async def sizes(self) -> Sizes:
        """How large our tables are, with their indexes."""
        by_table = await self.read(_by_table)
        return Sizes(sum(by_table.values()), None, by_table, shrinks=True)

    async def beyond(self, most: int) -> int:
        """Bytes of content beyond so many.

        What the tables take on the disk does not fall when rows go, so it only says whether to count what is in them.
        """
        if sum((await self.read(_by_table)).values()) <= most:
            return 0
        return max(0, await self.read(_content) - most)

    async def check(self) -> tuple[str, ...]:
        """Nothing: checksums and `pg_amcheck` are for who runs the server."""
        return ()

    async def give_back(self, budget_s: float) -> bool:  # noqa: ARG002  # autovacuum's work
        """Leaves it to the server."""
        return False

    async def settle(self, *, thorough: bool) -> None:  # noqa: ARG002  # both are the same here
        """Frees the room of removed rows, of each table at once; nobody is locked out."""
        for table in tables.TABLES:
            await self._server.outside(f"VACUUM {table.name}")

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """One state of the database, in a transaction that reads."""
        return self._server.snapshot()

    async def backup(self, path: str) -> int:
        """Refuses: the server has its own ways, and an export is one state, too."""
        raise ConfigurationError(
            f"a copy of {self.url} is the server's own matter (pg_dump, or its archive for a point in time); "
            f"`lumosai db export` writes one consistent state of it, which any database takes in: not to {path!r}"
        )

    async def shred(self, *, on: bool) -> None:
        """Nothing: a removed row's bytes go when its page is vacuumed."""


def _by_table() -> Steps[dict[str, int]]:
    names = [t.name for t in tables.TABLES]
    rows = yield Query(
        f"""SELECT relname, pg_total_relation_size(oid) FROM pg_class
            WHERE oid = to_regclass(CAST(relname AS TEXT)) AND relname IN ({marks(len(names))})""",
        names,
    )
    return {row[0]: row[1] for row in rows}


def _content() -> Steps[int]:
    rows = yield Query(
        """SELECT (SELECT COALESCE(sum(octet_length(data)), 0) FROM events)
            + (SELECT COALESCE(sum(octet_length(body)), 0) FROM messages)
            + (SELECT COALESCE(sum(size), 0) FROM contents)"""
    )
    return int(rows[0][0])
