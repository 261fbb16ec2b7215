"""Storage in PostgreSQL, through asyncpg (extra `postgres`).

Nothing depends on a connection's session: no prepared statement outlives a transaction, no advisory lock, no LISTEN, so
that a transaction pooler may stand between. No connection is held longer than one operation takes.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from contextlib import asynccontextmanager, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import parse_qs, urlsplit, urlunsplit

from lumosai.errors import (
    ConfigurationError,
    LumosaiError,
    MissingExtraError,
    StorageError,
    StorageUnavailableError,
)
from lumosai.storage import _postgres_errors as errors
from lumosai.storage import _postgres_journal as journal
from lumosai.storage import _postgres_schema as schema
from lumosai.storage import _postgres_upkeep as upkeep
from lumosai.storage import _postgres_words as words
from lumosai.storage import _runs as runs
from lumosai.storage._handle import ScopedHandle
from lumosai.storage._indexing import Indexing
from lumosai.storage._op import UNREADABLE, unreadable
from lumosai.storage._system import SystemHandle
from lumosai.storage._telemetry import StoredTelemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Sequence

    import asyncpg

    from lumosai.records import Scope
    from lumosai.storage._database import Lane
    from lumosai.storage._op import Op, Rows
    from lumosai.storage._who import Who
    from lumosai.storage.base import Batch, Lease

T = TypeVar("T")

_TRIES: Final = 5
_PAUSE_S: Final = 0.05
_PATIENCE_S: Final = 15.0
"""How long a server that was there is waited for, as while it starts anew."""
_CONNECT_S: Final = 10.0
_COMMAND_S: Final = 60.0
"""A statement that takes so long is taken for one that no server works on any more."""
_LONG_S: Final = 86_400.0
"""As the above, of what is done to a whole table."""
_SMALL: Final = "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off"
"""All we ask is small: help from other processes, and code made for one question, cost more than the answer."""
_BEGIN: Final = f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s'; {_SMALL}"
"""A process that is stopped in the midst of a transaction holds what it locked no longer than a lease."""
_BEGIN_READING: Final = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_SMALL}"
_BEGIN_RELAXED: Final = f"{_BEGIN}; SET LOCAL synchronous_commit = off"


class PostgresStorage:
    """Storage in a PostgreSQL database (14 or later).

    Args:
        url: `postgresql://user:password@host/database`, with libpq's parameters behind `?`.
        pool_size: connections of one event loop, at the most.
        direct: whether no transaction pooler stands between, so that statements may be prepared once a connection.
        now: the clock for what is stored, unix seconds.

    Raises:
        MissingExtraError: asyncpg is not installed.
    """

    def __init__(
        self, url: str, *, pool_size: int = 10, direct: bool = False, now: Callable[[], float] = time.time
    ) -> None:
        if not re.match(r"postgres(ql)?://", url):
            raise ConfigurationError("a PostgreSQL URL begins with postgresql://")
        try:
            import asyncpg
        except ImportError:
            raise MissingExtraError("storage in PostgreSQL", extra="postgres") from None
        self._asyncpg = asyncpg
        self._url = url
        self._size = pool_size
        self._direct = direct
        self._now = now
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}

    def __repr__(self) -> str:
        return f"PostgresStorage({self.url!r})"

    def __getstate__(self) -> dict[str, Any]:
        """For another process: where it is; there it connects anew."""
        left = {k: v for k, v in self.__dict__.items() if k != "telemetry"}  # which is made anew at its next use
        return left | {"_pools": {}, "_asyncpg": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        import asyncpg

        self.__dict__.update(state | {"_asyncpg": asyncpg})

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where it is, without the password."""
        parts = urlsplit(self._url)
        user, mark, host = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{mark}{host}"))

    @cached_property
    def identity(self) -> Hashable:
        """Equal for storages of one database of a server, whoever the user is."""
        parts = urlsplit(self._url)
        return (
            "postgresql",
            parts.netloc.rpartition("@")[2].lower(),
            parts.path,
            parse_qs(parts.query).get("host", [""])[0],
        )

    def scope(self, scope: Scope) -> ScopedHandle:
        """What that scope may do."""
        return ScopedHandle(self, scope)

    @property
    def index(self) -> Indexing:
        """What waits to be indexed."""
        return Indexing(self)

    @cached_property
    def telemetry(self) -> StoredTelemetry:
        """Traces and measurements."""
        return StoredTelemetry(self)

    def now(self) -> float:
        """Unix seconds."""
        return self._now()

    def system(self) -> SystemHandle:
        """What maintenance may do, in all scopes."""
        return SystemHandle(upkeep.PostgresUpkeep(self))

    async def open(self) -> None:
        """Connects, and makes the schema where there is none.

        Raises:
            StorageError: it cannot be reached or used; a schema of an older version is brought up to date by `migrate`.
        """
        tries = _Tries()
        while True:
            try:
                await self._pool()
            except (errors.UndoneError, errors.LostError) as error:
                await tries.again(error, self._mine())
            else:
                return

    async def migrate(self) -> int:
        """Brings the schema up to date, under a lock; how many steps that took."""
        async with self._translated():
            pool = await self._connected()
            async with pool.acquire() as connection:
                return await schema.migrate(connection, words.spelled, self.url)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[_State]:
        """One state of the database, read for as long as it is open."""
        async with self._translated():
            pool = await self._pool()
            async with (
                pool.acquire(timeout=_CONNECT_S) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield _State(connection)

    async def outside(self, statement: str) -> None:
        """A statement that no transaction may hold, such as VACUUM, however long it takes."""
        async with self._translated():
            pool = await self._pool()
            async with pool.acquire(timeout=_CONNECT_S) as connection:
                await connection.execute(statement, timeout=_LONG_S)

    async def close(self) -> None:
        """Closes this event loop's connections, when those in use are given back. The next use opens new ones."""
        pool = self._pools.get(asyncio.get_running_loop())
        if pool is not None and pool.gatherer is not None:
            await pool.gatherer.settled()
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None and pool.connections is not None:
            await pool.connections.close()
        self._abandon_gone()

    async def write(self, op: Op[T], lane: Lane = "memory", *, again: bool = False) -> T:
        """Drives an operation in a transaction; returns once it is committed.

        Args:
            op: may be driven several times.
            lane: what is for the journal or telemetry is not waited for until it is on the disk.
            again: whether it may be done twice: then it is, where the connection was lost in the midst of its commit.
        """
        relaxed = lane in ("journal", "telemetry")
        tries = _Tries()
        while True:
            committing = False
            try:
                async with self._translated():
                    pool = await self._pool()
                    async with pool.acquire(timeout=_CONNECT_S) as connection:
                        try:
                            await connection.execute(_BEGIN_RELAXED if relaxed else _BEGIN)
                            value = await _drive(connection, op)
                            committing = True
                        except BaseException:
                            with suppress(Exception):
                                await connection.execute("ROLLBACK")
                            raise
                        await connection.execute("COMMIT")
                        return value
            except (errors.UndoneError, errors.LostError) as error:
                if isinstance(error, errors.LostError) and committing and not again:
                    raise errors.unknown(error) from error
                await tries.again(error, self._mine())

    async def append(self, who: Who, lease: Lease, batch: Batch) -> None:
        """Stores a run's next events, for which nobody waits: those of many runs go together."""
        now = self.now()
        if journal.is_plain(batch):
            mine = self._mine()
            if mine.gatherer is None:
                mine.gatherer = journal.Gatherer(partial(self.write, lane="journal", again=True))
            if await mine.gatherer.store(journal.Delta(who, lease, batch, now)):
                return
        await self.write(partial(runs.append, who, lease, batch, now=now), "journal", again=True)

    async def read(self, op: Op[T]) -> T:
        """Drives an operation that changes nothing, on one state of the database."""
        tries = _Tries()
        while True:
            try:
                async with self._translated():
                    pool = await self._pool()
                    async with pool.acquire(timeout=_CONNECT_S) as connection:
                        try:
                            await connection.execute(_BEGIN_READING)
                            value = await _drive(connection, op)
                        except BaseException:
                            with suppress(Exception):
                                await connection.execute("ROLLBACK")
                            raise
                        await connection.execute("COMMIT")
                        return value
            except (errors.UndoneError, errors.LostError) as error:
                await tries.again(error, self._mine())

    async def _pool(self) -> asyncpg.Pool:
        """This event loop's connections, the schema looked at."""
        mine = self._mine()
        if not mine.ready:
            async with self._translated():
                pool = await self._connected()
                async with mine.opening:
                    if not mine.ready:
                        async with pool.acquire() as connection:
                            await schema.check(connection, words.spelled, self.url)
                        mine.ready = True
        assert mine.connections is not None  # noqa: S101  # as `ready` says
        return mine.connections

    async def _connected(self) -> asyncpg.Pool:
        mine = self._mine()
        async with mine.opening:
            if mine.connections is None:
                mine.connections = await self._asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._size,
                    timeout=_CONNECT_S,
                    command_timeout=_COMMAND_S,
                    statement_cache_size=256 if self._direct else 0,
                    server_settings={"application_name": "lumosai"},
                    reset=_at_rest,
                )
            return mine.connections

    def _mine(self) -> _Pool:
        loop = asyncio.get_running_loop()
        found = self._pools.get(loop)
        if found is None:
            self._abandon_gone()
            found = self._pools[loop] = _Pool()
        return found

    @property
    def writes_waiting(self) -> int:
        """How many batches of runs' events wait for a transaction that takes them together."""
        return sum([pool.gatherer.waiting for pool in [*self._pools.values()] if pool.gatherer is not None])

    def _abandon_gone(self) -> None:
        """Lets go of what event loops had that were closed without `close`."""
        for gone in [other for other in self._pools if other.is_closed()]:
            self._pools.pop(gone).abandon()

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Foreign errors as ours."""
        try:
            yield
        except LumosaiError:
            raise
        except (
            self._asyncpg.PostgresError,
            self._asyncpg.InterfaceError,
            self._asyncpg.InternalClientError,
            OSError,
            TimeoutError,
        ) as error:
            raise errors.error_of(error, self.url) from error


class _State:
    """What one transaction sees."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """What a statement gives."""
        found: Rows = await self._connection.fetch(words.spelled(sql), *parameters, timeout=_LONG_S)
        return found


class _Pool:
    """One event loop's connections."""

    __slots__ = ("connections", "gatherer", "opening", "ready")

    def __init__(self) -> None:
        self.connections: asyncpg.Pool | None = None
        self.gatherer: journal.Gatherer | None = None
        self.opening = asyncio.Lock()
        self.ready = False

    def abandon(self) -> None:
        """Ends the connections of an event loop that was closed without `close`: nothing can be awaited on it any more."""
        pool, self.connections = self.connections, None
        for holder in getattr(pool, "_holders", ()):
            with suppress(AttributeError, OSError, RuntimeError, ValueError):
                theirs = holder._con._transport.get_extra_info("socket").fileno()  # noqa: SLF001  # asyncpg offers no way without its loop
                with socket.socket(fileno=os.dup(theirs)) as mine:  # that of uvloop cannot be shut down
                    mine.shutdown(socket.SHUT_RDWR)


class _Tries:
    """How often, and for how long, one call is tried."""

    __slots__ = ("_began", "_count")

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._count = 0

    async def again(self, error: StorageError, pool: _Pool) -> None:
        """Waits before the next try.

        Raises:
            StorageUnavailableError: there is to be none.
        """
        self._count += 1
        waited = time.monotonic() - self._began
        patient = isinstance(error, errors.LostError) and pool.ready and waited < _PATIENCE_S
        if (self._count >= _TRIES or waited > _PATIENCE_S) and not patient:
            raise StorageUnavailableError(str(error)) from error  # by the name that users and events know
        await asyncio.sleep(min(_PAUSE_S * 2**self._count, 1.0))


async def _at_rest(connection: Any) -> None:
    """Before a connection is used again: nothing of ours lasts beyond a transaction, so there is nothing else to undo.

    asyncpg's own way asks the server each time, and fails a call that was committed where the connection is lost then.
    """
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


async def _drive(connection: Any, op: Op[T]) -> T:
    """Goes through an operation on a connection, inside its transaction."""
    steps = op()
    try:
        sql, parameters, many = next(steps)
        while True:
            rows: Rows = ()
            if many:
                await connection.executemany(words.spelled(sql), parameters)
            else:
                rows = await connection.fetch(words.spelled(sql), *parameters)
            sql, parameters, many = steps.send(rows)
    except StopIteration as end:
        value: T = end.value
        return value
    except UNREADABLE as error:
        raise unreadable(error) from error
    finally:
        steps.close()
