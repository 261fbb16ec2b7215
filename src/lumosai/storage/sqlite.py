"""Storage in one SQLite file, with nothing but the standard library.

One thread a file writes (`_sqlite_writer`), shared by all storages of this process that are open on it; a few threads
read, each on a connection of its own, while it does. Other processes may use the file at the same time: each waits up to
10 s for the other's transaction, which are short.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar
from urllib.parse import unquote

from lumosai._wake import Waker, waker
from lumosai.errors import ConfigurationError, StorageBrokenError, StorageError
from lumosai.storage import _runs as runs
from lumosai.storage import _sqlite_file as files
from lumosai.storage import _sqlite_run as sqlite
from lumosai.storage import _sqlite_schema as schema
from lumosai.storage import _sqlite_upkeep as upkeep
from lumosai.storage._handle import ScopedHandle
from lumosai.storage._indexing import Indexing
from lumosai.storage._migrations import NEWEST
from lumosai.storage._op import Query
from lumosai.storage._sqlite_readers import Readers
from lumosai.storage._sqlite_writer import Writer
from lumosai.storage._system import SystemHandle
from lumosai.storage._telemetry import StoredTelemetry
from lumosai.storage._waiter import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from lumosai.records import Scope
    from lumosai.storage._database import Lane
    from lumosai.storage._op import Op, Steps
    from lumosai.storage._who import Who
    from lumosai.storage.base import Batch, Lease

T = TypeVar("T")

_READERS: Final = 3


class SqliteStorage:
    """Storage in an SQLite file.

    Args:
        url: `sqlite:///file.db` (beside the working directory), `sqlite:////abs/file.db`, `sqlite://` (in memory, gone
            with the storage); or a path.
        durability: "process": what was acknowledged survives a killed process; "power": a power cut, too. Where several
            storages of this process are open on one file, the strictest holds for all.
        now: the clock for what is stored, unix seconds.

    Raises:
        ConfigurationError: the URL is of another kind.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        durability: Literal["process", "power"] = "process",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._path = _path_of(url)
        # A name is resolved here and once: a program that changes its folder later means the same file.
        self._file = files.real_path(self._path) if self._path else ""
        self._durable = durability == "power"
        self._now = now
        self._shared: _Shared | None = None

    def __repr__(self) -> str:
        return f"SqliteStorage({self.url!r})"

    def __getstate__(self) -> dict[str, Any]:
        """For another process: where it is; there it opens anew."""
        left = {k: v for k, v in self.__dict__.items() if k != "telemetry"}  # which is made anew at its next use
        return left | {"_shared": None}

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def path(self) -> str:
        """The file's path, whatever folder the program is in, "" in memory."""
        return self._file

    @property
    def url(self) -> str:
        """Where it is."""
        return f"sqlite:///{self._path}" if self._path else "sqlite://"

    @property
    def identity(self) -> Hashable:
        """Equal for storages of this process on one file, however it was named."""
        return ("sqlite", self._file) if self._file else ("sqlite in memory", id(self))

    @property
    def opened(self) -> bool:
        """Whether it is open now; it is from its first use until it is closed."""
        return self._shared is not None

    @property
    def writes_waiting(self) -> int:
        """How many operations wait for the file's writer."""
        shared = self._shared
        return shared.writer.waiting if shared is not None else 0

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
        return SystemHandle(upkeep.SqliteUpkeep(self))

    async def open(self) -> None:
        """Makes the file and its schema, or brings the schema up to date behind a backup copy.

        A file that may not be written to is open when it can be read; each write is refused then.

        Raises:
            StorageError: it cannot be opened, and why.
        """
        if await self._open().is_current():
            return
        try:
            await self.write(_nothing, "barrier")
        except StorageBrokenError as error:
            if not (self._file and files.may_be_read(error)):
                raise
            await self._open().read_only(_nothing, error)

    async def close(self) -> None:
        """Waits for what is under way and closes the file. The next use opens it again."""
        with _guard:
            shared, self._shared = self._shared, None
        if shared is not None and shared.process == os.getpid():
            await asyncio.get_running_loop().run_in_executor(None, shared.release)

    async def write(self, op: Op[T], lane: Lane = "memory", *, again: bool = False) -> T:  # noqa: ARG002  # a commit here is known to have been made or not
        """Drives an operation in a transaction of the writer's; returns once it is committed."""
        return await self._open().writer.submit(op, lane, asyncio.get_running_loop())

    async def append(self, who: Who, lease: Lease, batch: Batch) -> None:
        """Stores a run's next events, for which nobody waits."""
        await self.write(partial(runs.append, who, lease, batch, now=self.now()), "journal", again=True)

    async def read(self, op: Op[T]) -> T:
        """Drives an operation that changes nothing, on one state of the database."""
        if not await self._open().is_current():
            try:
                await self.write(_nothing, "barrier")
            except StorageBrokenError as error:
                if not (self._file and files.may_be_read(error)):
                    raise
                return await self._open().read_only(op, error)
        return await self._open().read(op)

    def _open(self) -> _Shared:
        shared = self._shared
        if shared is None or shared.process != os.getpid():
            with _guard:
                shared = self._shared
                if shared is None or shared.process != os.getpid():
                    shared = self._shared = _Shared.take(self._path, self._file, durable=self._durable)
        return shared


class _Shared:
    """What all storages of this process that are open on one file have together."""

    _all: Final[dict[str, _Shared]] = {}
    _memories: int = 0

    def __init__(self, key: str, path: str, file: str) -> None:
        self.process = os.getpid()
        self._key = key
        self._path = path
        self._file = file
        self._users = 0
        self.ready = False
        self._target = file or ":memory:"
        self._local = threading.local()
        self._reading: list[sqlite3.Connection] = []
        self._readers = Readers(_READERS, "lumosai-reader")
        self.writer = Writer(self._writing, path or ":memory:", file)

    @classmethod
    def take(cls, path: str, file: str, *, durable: bool) -> _Shared:
        """That of a file, made where there is none. A database in memory is each storage's own. Under the guard."""
        key = file
        if not file:
            cls._memories += 1
            key = f":memory: {cls._memories}"
        shared = cls._all.get(key)
        if shared is None:
            shared = cls._all[key] = cls(key, path, file)
        shared._users += 1
        shared.writer.durable = shared.writer.durable or durable
        return shared

    @classmethod
    def forget(cls) -> None:
        """In a forked child: the parent's threads are not there, and its connections must be neither used nor closed."""
        global _guard  # noqa: PLW0603  # another thread of the parent may have held it
        _guard = threading.Lock()
        _parents.extend(cls._all.values())
        cls._all.clear()

    def release(self) -> None:
        """One storage lets go; the last one closes the file."""
        with _guard:
            self._users -= 1
            if self._users:
                return
            self._all.pop(self._key, None)
        self._readers.end()
        for connection in self._reading:
            sqlite.close(connection)
        self.writer.stop()

    async def read(self, op: Op[T]) -> T:
        """Drives an operation in one of the reading threads; a database in memory has one connection, the writer's."""
        if not self._path:
            return await self.writer.submit(op, "barrier", asyncio.get_running_loop())
        return await self._in_reader(self._read, op)

    async def is_current(self) -> bool:
        """Whether the schema is there, and is this version's: then nothing has to be written before it is read."""
        return self.ready or (bool(self._file) and await self._in_reader(self._look))

    async def _in_reader(self, work: Callable[..., T], *given: Any) -> T:
        loop = asyncio.get_running_loop()
        waiter: Waiter[T] = Waiter(loop=loop)
        job = partial(_told, loop, waker(loop), waiter, work, given)
        try:
            self._readers.submit(job)
        except RuntimeError as error:
            raise StorageError(f"the database {self._path!r} is being closed") from error
        try:
            return await waiter
        except asyncio.CancelledError:
            self._readers.drop(job)
            raise

    def _look(self) -> bool:
        if files.mark_of(self._file) is None:  # else it would be made here
            return False
        try:
            self.ready = schema.version(self._connected(), self._path) == NEWEST
        except (sqlite3.Error, StorageError) as error:  # whoever opens it to write says why
            self._drop()
            if isinstance(error, sqlite3.Error) and sqlite.is_busy(error):  # and would wait for as long again
                raise sqlite.error_of(error, self._path) from error
        return self.ready

    def _read(self, op: Op[T]) -> T:
        try:
            return _whole(self._connected(), op)
        except sqlite3.Error as error:
            raise sqlite.error_of(error, self._path) from error

    def _connected(self) -> sqlite3.Connection:
        """This reading thread's connection.

        Raises:
            StorageBrokenError: another file lies under its name now, or none.
        """
        mine = self._local.__dict__
        connection: sqlite3.Connection | None = mine.get("connection")
        if connection is not None and mine["mark"] == files.mark_of(self._target):
            return connection
        if connection is not None:
            mine.clear()
            self._reading.remove(connection)
            self.ready = False
            raise files.gone(connection, self._path, writes=False)
        connection = sqlite.connect(self._target, durable=False, reads_only=True)
        self._reading.append(connection)
        mine["mark"], mine["connection"] = files.mark_of(self._target), connection
        return connection

    def _drop(self) -> None:
        """Closes this reading thread's connection."""
        connection = self._local.__dict__.pop("connection", None)
        if connection is not None:
            self._reading.remove(connection)
            sqlite.close(connection)

    async def read_only(self, op: Op[T], error: StorageError) -> T:
        """As `read`, of a file that may not be written to.

        Raises:
            StorageError: it cannot be read either; `error`, where that says more.
        """
        return await self._in_reader(self._read_only, op, error)

    def _read_only(self, op: Op[T], refused: StorageError) -> T:
        try:
            connection = files.connect_to_read(self._target, sqlite.BUSY_MS)
        except sqlite3.Error:
            raise refused from None
        try:
            have = schema.version(connection, self._path)
            if have < NEWEST:
                raise StorageBrokenError(
                    f"the database {self._path!r} is read-only and has an older schema ({have}; this version needs "
                    f"{NEWEST}): open it once where it may be written to"
                )
            return _whole(connection, op)
        except sqlite3.Error as error:
            raise sqlite.error_of(error, self._path) from error
        finally:
            connection.close()

    def _writing(self) -> sqlite3.Connection:
        """The connection that writes, the schema up to date. Called in the writer's thread."""
        if self._file and Path(self._file).is_dir():
            raise StorageBrokenError(f"the database {self._path!r} is a folder: name a file in it")
        connection = sqlite.connect(self._target, durable=self.writer.durable)
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of a new file; an old one has it after a VACUUM
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            schema.migrate(connection, self._path, self._file)
        except BaseException:
            connection.close()
            raise
        self.ready = True
        return connection


_guard = threading.Lock()
_parents: Final[list[_Shared]] = []
"""What a forked child has from its parent, kept so that it is never closed: that would undo the parent's locks."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Shared.forget)


def _told(
    loop: asyncio.AbstractEventLoop,
    tells: Waker,
    waiter: Waiter[T],
    work: Callable[..., T],
    given: tuple[Any, ...],
) -> None:
    """Does some work in a reading thread, and tells whoever waits for it."""
    told: tuple[Any, BaseException | None]
    try:
        told = work(*given), None
    except BaseException as error:  # noqa: BLE001  # whoever waits must hear of it, whatever it is
        told = None, error
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        tells.call(loop, waiter.finish, *told)


def _whole(connection: sqlite3.Connection, op: Op[T]) -> T:
    """Drives an operation on one state of the database."""
    connection.execute("BEGIN")
    try:
        return sqlite.drive(connection, op)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _nothing() -> Steps[None]:
    """An operation that does nothing but be committed."""
    yield Query("SELECT 1")


def _path_of(url: str | os.PathLike[str]) -> str:
    text = os.fspath(url)
    if not isinstance(url, str) or "://" not in text:
        return text if text != ":memory:" else ""
    scheme, _, rest = text.partition("://")
    if scheme.lower() != "sqlite":
        raise ConfigurationError(f"{text!r} is no SQLite URL: sqlite:///file.db, sqlite:////abs/file.db or sqlite://")
    if rest and not rest.startswith("/"):
        raise ConfigurationError(
            f"{text!r} names a host; a file is sqlite:///{rest}, an absolute path has four slashes"
        )
    path = unquote(rest[1:])
    return "" if path == ":memory:" else path
