"""Storage in PostgreSQL, through asyncpg (extra `postgres`).

Nothing depends on a connection's session: no prepared statement outlives a transaction, no advisory lock, no LISTEN, so
that a transaction pooler may stand between. No connection is held longer than one operation takes.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import asynccontextmanager, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import parse_qs, urlsplit, urlunsplit

from lumosai.errors import (
    ConfigurationError,
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
from lumosai.storage._postgres_connection import Connection, gives_rows, is_tried
from lumosai.storage._postgres_pool import Connections
from lumosai.storage._system import SystemHandle
from lumosai.storage._telemetry import StoredTelemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Sequence

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
                await self._ready()
            except (errors.UndoneError, errors.LostError) as error:
                await tries.again(error, self._mine())
            else:
                return

    async def migrate(self) -> int:
        """Brings the schema up to date, under a lock; how many steps that took."""
        async with self._translated():
            connections = self._mine().connections
            async with connections.one() as connection:
                steps = await schema.migrate(connection.raw, words.spelled, self.url)
            connections.forget()
            return steps

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[_State]:
        """One state of the database, read for as long as it is open."""
        async with self._translated():
            connections = await self._ready()
            async with (
                connections.one() as connection,
                connection.raw.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield _State(connection.raw)

    async def outside(self, statement: str) -> None:
        """A statement that no transaction may hold, such as VACUUM, however long it takes."""
        async with self._translated():
            connections = await self._ready()
            async with connections.one() as connection:
                await connection.raw.execute(statement, timeout=_LONG_S)

    async def close(self) -> None:
        """Closes this event loop's connections, when those in use are given back. The next use opens new ones."""
        pool = self._pools.get(asyncio.get_running_loop())
        if pool is not None and pool.gatherer is not None:
            await pool.gatherer.settled()
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.connections.close()
        self._abandon_gone()

    async def write(self, op: Op[T], lane: Lane = "memory", *, again: bool = False, late: bool = False) -> T:
        """Drives an operation in a transaction; returns once it is committed.

        Args:
            op: may be driven several times.
            lane: what is for the journal or telemetry is not waited for until it is on the disk.
            again: whether it may be done twice: then it is, where the connection was lost in the midst of its commit.
            late: whether what may be apart is, as in what only reads.
        """
        opening = _BEGIN_RELAXED if lane in ("journal", "telemetry") else _BEGIN
        tries = _Tries()
        while True:
            try:
                return await self._attempt(opening, op, late=late)
            except (errors.UndoneError, errors.LostError) as error:
                if isinstance(error, errors.LostError) and error.committing and not again:
                    raise errors.unknown(error) from error
                await tries.again(error, self._mine())

    async def append(self, who: Who, lease: Lease, batch: Batch) -> None:
        """Stores a run's next events, for which nobody waits: those of many runs go together."""
        now = self.now()
        if journal.is_plain(batch):
            mine = self._mine()
            if mine.gatherer is None:
                mine.gatherer = journal.Gatherer(partial(self.write, lane="journal", again=True, late=True))
            if await mine.gatherer.store(journal.Delta(who, lease, batch, now)):
                return
        await self.write(partial(runs.append, who, lease, batch, now=now), "journal", again=True)

    async def read(self, op: Op[T]) -> T:
        """Drives an operation that changes nothing, on one state of the database."""
        tries = _Tries()
        while True:
            try:
                return await self._attempt(_BEGIN_READING, op, late=True)
            except (errors.UndoneError, errors.LostError) as error:
                await tries.again(error, self._mine())

    async def _attempt(self, opening: str, op: Op[T], *, late: bool = False) -> T:
        """Drives an operation once, in a transaction that begins so; a late one behind what may be apart."""
        committing = late
        try:
            mine = self._mine()
            connections = mine.connections if mine.ready else await self._ready()
            connection = await connections.take()
            try:
                await connection.begin(opening, late=late)
                value = await _drive(connection, op)
                committing = True
                await connection.commit()
            except BaseException:
                with suppress(Exception):
                    await connection.rollback()
                raise
            finally:
                connections.give(connection)
        except self._foreign as error:
            told = errors.error_of(error, self.url)
            if isinstance(told, errors.LostError):
                told.committing = committing
            raise told from error
        return value

    async def _ready(self) -> Connections:
        """This event loop's connections, the schema looked at."""
        mine = self._mine()
        if not mine.ready:
            async with self._translated(), mine.opening:
                if not mine.ready:
                    async with mine.connections.one() as connection:
                        await schema.check(connection.raw, words.spelled, self.url)
                    mine.ready = True
        return mine.connections

    async def _connect(self) -> Connection:
        raw = await self._asyncpg.connect(
            self._url,
            timeout=_CONNECT_S,
            command_timeout=_COMMAND_S,
            statement_cache_size=256 if self._direct else 0,
            server_settings={"application_name": "lumosai"},
        )
        return Connection(raw, named=self._direct, ahead=is_tried(self._asyncpg.__version__))

    def _mine(self) -> _Pool:
        loop = asyncio.get_running_loop()
        found = self._pools.get(loop)
        if found is None:
            self._abandon_gone()
            found = self._pools[loop] = _Pool(Connections(self._connect, self._size))
        return found

    @property
    def writes_waiting(self) -> int:
        """How many batches of runs' events wait for a transaction that takes them together."""
        return sum([pool.gatherer.waiting for pool in [*self._pools.values()] if pool.gatherer is not None])

    def _abandon_gone(self) -> None:
        """Lets go of what event loops had that were closed without `close`."""
        for gone in [other for other in self._pools if other.is_closed()]:
            self._pools.pop(gone).connections.abandon()

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Foreign errors as ours."""
        try:
            yield
        except self._foreign as error:
            raise errors.error_of(error, self.url) from error

    @cached_property
    def _foreign(self) -> tuple[type[Exception], ...]:
        """What asyncpg and the connection raise."""
        found = self._asyncpg
        return found.PostgresError, found.InterfaceError, found.InternalClientError, OSError, TimeoutError


class _State:
    """What one transaction sees."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """What a statement gives."""
        found: Rows = await self._connection.fetch(words.spelled(sql), *parameters, timeout=_LONG_S)
        return found


class _Pool:
    """What one event loop has."""

    __slots__ = ("connections", "gatherer", "opening", "ready")

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.gatherer: journal.Gatherer | None = None
        self.opening = asyncio.Lock()
        self.ready = False


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


async def _drive(connection: Connection, op: Op[T]) -> T:
    """Goes through an operation on a connection, inside its transaction."""
    steps = op()
    try:
        shared, parameters, many, apart = next(steps)
        while True:
            rows: Rows = ()
            sql = words.spelled(shared)
            if apart:
                rows = await connection.rows_apart(sql, parameters)
            elif not many and gives_rows(sql):
                rows = await connection.rows(sql, parameters)
            elif not connection.tell(sql, told := parameters if many else (parameters,)):
                await connection.run(sql, told)
            shared, parameters, many, apart = steps.send(rows)
    except StopIteration as end:
        value: T = end.value
        return value
    except UNREADABLE as error:
        raise unreadable(error) from error
    finally:
        steps.close()
