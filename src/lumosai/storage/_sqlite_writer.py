"""The one thread that writes to an SQLite file in this process, however many storages are open on it.

What waits is taken together into one transaction: the commit before it gives the next ones time to gather, so nothing
waits for a timer and a flood costs few commits. Lanes say who goes first where more waits than one transaction takes.
An operation that fails is alone in its failure: the transaction is rolled back and the others go in without it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lumosai._wake import waker
from lumosai.errors import StorageError
from lumosai.storage import _sqlite_file as files
from lumosai.storage import _sqlite_run as sqlite
from lumosai.storage._sqlite_tidy import tidy
from lumosai.storage._waiter import Waiter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from lumosai.errors import StorageBrokenError
    from lumosai.storage._database import Lane
    from lumosai.storage._op import Op

T = TypeVar("T")

LANES: Final = ("barrier", "memory", "journal", "telemetry")
_AT_ONCE: Final = 512
_LONG_S: Final = 0.02
"""A transaction that has lasted so long takes nothing more in."""


class _Job:
    """One operation that waits for its commit."""

    __slots__ = ("error", "future", "loop", "op", "value", "waker")

    def __init__(self, op: Op[Any], loop: asyncio.AbstractEventLoop, future: Waiter[Any]) -> None:
        self.op = op
        self.loop = loop
        self.waker = waker(loop)
        self.future = future
        self.value: Any = None
        self.error: BaseException | None = None


class Writer:
    """A thread with the connection that writes.

    Args:
        open_connection: makes the connection, in that thread, the schema included.
        path: as errors name the database.
        target: where its file lies, "" of one in memory.
        durable: whether a commit must survive a power cut.

    Attributes:
        durable: as given; may be set later.
        commits: how many there were.
    """

    def __init__(
        self, open_connection: Callable[[], sqlite3.Connection], path: str, target: str = "", *, durable: bool = False
    ) -> None:
        self._open = open_connection
        self._path = path
        self._target = target
        self._mark: files.Mark | None = None
        self.durable = durable
        self._was_durable = durable
        self._lock = threading.Lock()
        self._bell = threading.Lock()  # held while nobody rang; a condition makes a lock each time that it waits
        self._bell.acquire()
        self._writing = threading.Lock()
        self._lanes: dict[str, deque[_Job]] = {lane: deque() for lane in LANES}
        self._waiting = 0
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self.commits = 0

    @property
    def waiting(self) -> int:
        """Operations that were handed over and are not begun."""
        return self._waiting

    def submit(self, op: Op[T], lane: Lane, loop: asyncio.AbstractEventLoop) -> asyncio.Future[T]:
        """Hands over an operation; the future is done once it is committed, or has failed."""
        future: Waiter[T] = Waiter(loop=loop)
        with self._lock:
            if self._stopping:
                raise StorageError(f"the database {self._path!r} is being closed")
            here = self._thread is None and not self._start()
            self._lanes[lane].append(_Job(op, loop, future))
            self._waiting += 1
            if self._waiting == 1:
                self._ring()
        if here:
            self._rounds()
        return future

    def _start(self) -> bool:
        """Starts the thread; whether that could be done. From Python 3.12 on a program that ends starts none: then the caller writes."""
        thread = threading.Thread(target=self._work, name=f"lumosai-writer {self._path}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def _ring(self) -> None:
        """Wakes the thread, or has it look once more. Under the lock."""
        if self._bell.locked():
            self._bell.release()

    def stop(self) -> None:
        """Writes what waits, closes the connection and ends the thread. Blocks until it has."""
        with self._lock:
            self._stopping = True
            self._ring()
        if self._thread is not None:
            self._thread.join()
        else:
            self._end()

    def _work(self) -> None:
        stopping = False
        while not stopping:
            self._bell.acquire()
            stopping = self._stopping  # looked at first: from then on nothing more comes
            self._rounds()
        self._end()

    def _rounds(self) -> None:
        """Writes what waits."""
        with self._writing:
            while self._waiting:
                self._round()

    def _end(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            tidy(self._connection)
            sqlite.close(self._connection)
            self._connection = None

    def _take(self) -> _Job | None:
        """The next operation that waits, by lane."""
        with self._lock:
            for lane in self._lanes.values():
                if lane:
                    self._waiting -= 1
                    return lane.popleft()
        return None

    def _round(self) -> None:
        """One transaction of what waits; of what comes meanwhile, too."""
        done: list[_Job] = []
        try:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
        except BaseException as error:  # noqa: BLE001  # whoever waits must hear of it, whatever it is
            self._fail_all(error)
            self._let_go(error)
            return
        try:
            self._transaction(connection, done)
        except BaseException as error:  # noqa: BLE001  # as above; what was done is undone with the connection
            for job in done:
                job.error = job.error or error
            self._let_go(error)
        _tell(done, self._path)

    def _transaction(self, connection: sqlite3.Connection, done: list[_Job]) -> None:
        began = perf_counter()
        refused: BaseException | None = None
        while len(done) < _AT_ONCE and (job := self._take()) is not None:
            done.append(job)
            before = connection.total_changes
            try:
                job.value = sqlite.drive(connection, job.op)
            except BaseException as error:  # noqa: BLE001  # an operation's error is its caller's
                job.error = error
                if connection.total_changes != before or not connection.in_transaction or _ends(error):
                    self._again(connection, done)
                    refused = error if sqlite.is_read_only(error) else None
                    break
            if perf_counter() - began > _LONG_S:
                break
        if self._is_gone():  # looked at last: what is committed a moment later lies where it lay
            raise self._lost(connection)
        self._commit(connection, done)
        if refused is not None:  # a connection stays as it was opened, though the file may be written to by then
            self._let_go(refused)

    def _again(self, connection: sqlite3.Connection, done: list[_Job]) -> None:
        """A failed operation left something behind: all is undone, and each goes in anew, behind a savepoint."""
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            for job in done:
                job.error = job.error or error
            return
        for job in done:
            if job.error is not None:
                continue
            try:
                connection.execute("SAVEPOINT one")
                job.value = sqlite.drive(connection, job.op)
            except BaseException as error:  # noqa: BLE001  # as above
                job.error = error
                if not connection.in_transaction:  # a full disk may have undone it all
                    for other in done:
                        other.error = other.error or error
                    return
                connection.execute("ROLLBACK TO one")
            connection.execute("RELEASE one")

    def _commit(self, connection: sqlite3.Connection, done: list[_Job]) -> None:
        try:
            if connection.in_transaction:
                connection.execute("COMMIT")
                self.commits += 1
        except sqlite3.Error as error:
            for job in done:
                job.error = job.error or error
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _connected(self) -> sqlite3.Connection:
        """The connection."""
        if self._connection is None:
            connection = self._open()
            self._mark = files.mark_of(self._target) if self._target else None
            self._was_durable = self.durable
            self._connection = connection
        if self.durable is not self._was_durable:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._was_durable = self.durable
        return self._connection

    def _is_gone(self) -> bool:
        return self._mark is not None and files.mark_of(self._target) != self._mark

    def _lost(self, connection: sqlite3.Connection) -> StorageBrokenError:
        self._connection = None
        return files.gone(connection, self._path, writes=True)

    def _let_go(self, error: BaseException) -> None:
        """Gives up a connection whose state is not known; the next transaction opens another one."""
        if self._connection is None or sqlite.is_busy(error):
            return
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._connection = None

    def _fail_all(self, error: BaseException) -> None:
        jobs: list[_Job] = []
        while (job := self._take()) is not None:
            job.error = error
            jobs.append(job)
        _tell(jobs, self._path)


def _ends(error: BaseException) -> bool:
    """Whether SQLite may have undone the transaction by itself."""
    return isinstance(error, sqlite3.Error)


def _tell(jobs: list[_Job], path: str) -> None:
    """Lets those who wait know, each event loop woken once."""
    loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        if isinstance(job.error, sqlite3.Error | OSError):
            cause = job.error
            job.error = sqlite.error_of(cause, path)
            job.error.__cause__ = cause
        loops.setdefault(job.loop, []).append(job)
    for loop, mine in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            mine[0].waker.call(loop, _resolve, mine)


def _resolve(jobs: list[_Job]) -> None:
    for number, job in enumerate(jobs, 1):
        try:
            job.future.finish(job.value, job.error)
        except BaseException:  # whoever waited ends the event loop, which may be run again: the others hear of it then
            if jobs[number:]:
                job.loop.call_soon(_resolve, jobs[number:])
            raise
