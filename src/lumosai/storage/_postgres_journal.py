"""Deltas of many runs in one transaction of PostgreSQL's: while one is on its way, the next ones gather.

A run's deltas are a short write that happens some dozen times a second; with a hundred runs at once, the messages to and
from the server cost more than the writes. So all that waits goes as one statement, as the one writer of an SQLite file
takes what waits into one transaction. Whatever is more than a run's next deltas, and what cannot be stored so, such as those
of a run that another process has taken over, goes alone, and its error is its caller's.
"""

from __future__ import annotations

import asyncio
import copy
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from lumosai.errors import LumosaiError, StorageUnavailableError
from lumosai.storage._op import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from lumosai.storage._op import Op, Steps
    from lumosai.storage._who import Who
    from lumosai.storage.base import Batch, Lease

_AT_ONCE: Final = 256

# A transaction of its own, which says by itself that nobody waits for the disk.
_STORE: Final = """
    WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) AS said),
    given AS (
        SELECT g.* FROM relaxed, unnest(
            CAST(? AS BIGINT[]), CAST(? AS BIGINT[]), CAST(? AS BIGINT[]), CAST(? AS BIGINT[]), CAST(? AS BYTEA[]),
            CAST(? AS TEXT[]), CAST(? AS TEXT[]), CAST(? AS DOUBLE PRECISION[])
        ) AS g (key, fence, first, last, data, tenant, owner, at)
        WHERE relaxed.said = 'off'),
    moved AS (
        UPDATE runs SET last = given.last, updated_at = given.at FROM given
        WHERE runs.key = given.key AND runs.fence = given.fence AND runs.last = given.first - 1 AND runs.status = 'running'
            AND runs.tenant = given.tenant AND (given.owner = '' OR runs.owner = given.owner)
        RETURNING runs.key),
    stored AS (
        INSERT INTO events (run, first, last, data)
        SELECT given.key, given.first, given.last, given.data FROM given JOIN moved ON moved.key = given.key)
    SELECT key FROM moved"""


class Delta(NamedTuple):
    """A run's next events, of which nobody needs to know that they are on the disk."""

    who: Who
    lease: Lease
    batch: Batch
    at: float


def is_plain(batch: Batch) -> bool:
    """Whether a batch is nothing but events of a run that goes on."""
    return batch.status == "running" and not (batch.contents or batch.children or batch.taken)


def _store(deltas: Sequence[Delta]) -> Steps[frozenset[int]]:
    """Stores what can be stored so; the keys of those runs."""
    columns = zip(
        *[
            (d.lease.key, d.lease.fence, d.batch.first, d.batch.last, d.batch.data, d.who.tenant, d.who.owner, d.at)
            for d in deltas
        ],
        strict=True,
    )
    rows = yield Query(_STORE, [list(column) for column in columns], apart=True)
    return frozenset([row[0] for row in rows])


class Gatherer:
    """Stores deltas for one event loop.

    Args:
        write: drives an operation in a transaction.
    """

    def __init__(self, write: Callable[[Op[frozenset[int]]], Coroutine[None, None, frozenset[int]]]) -> None:
        self._write = write
        self._waiting: list[tuple[Delta, asyncio.Future[bool]]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Batches that were handed over and are in no transaction yet."""
        return len(self._waiting)

    async def store(self, delta: Delta) -> bool:
        """Whether it was stored; else it is to be tried alone.

        Raises:
            StorageUnavailableError: the server cannot be reached.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()
        self._waiting.append((delta, done))
        if self._task is None:
            self._task = loop.create_task(self._work(), context=Context())
        return await done

    async def settled(self) -> None:
        """Waits until nothing is under way."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        some: dict[int, tuple[Delta, asyncio.Future[bool]]] = {}
        try:
            while self._waiting:
                some = self._take()
                try:
                    stored = await self._write(partial(_store, [delta for delta, _ in some.values()]))
                except StorageUnavailableError as error:
                    _tell(some, error)
                except Exception:  # noqa: BLE001  # whichever of them it is about, each finds out for itself
                    _tell(some, None)
                else:
                    for key, (_, done) in some.items():
                        if not done.done():
                            done.set_result(key in stored)
                some = {}
        finally:  # cancelled, as all tasks are when an event loop ends: each is tried alone
            self._task = None
            _tell(some, None)
            waiting, self._waiting = self._waiting, []
            for _, done in waiting:
                if not done.done():
                    done.set_result(False)

    def _take(self) -> dict[int, tuple[Delta, asyncio.Future[bool]]]:
        """What waits, of each run once; what its caller has given up is left out."""
        some: dict[int, tuple[Delta, asyncio.Future[bool]]] = {}
        later: list[tuple[Delta, asyncio.Future[bool]]] = []
        for each in self._waiting:
            if each[1].done():
                continue
            key = each[0].lease.key
            if key in some or len(some) == _AT_ONCE:
                later.append(each)
            else:
                some[key] = each
        self._waiting = later
        return some


def _tell(some: dict[int, tuple[Delta, asyncio.Future[bool]]], error: LumosaiError | None) -> None:
    for _, done in some.values():
        if done.done():
            continue
        if error is None:
            done.set_result(False)
        else:
            own = copy.copy(error)  # which several tasks cannot raise at once
            own.__cause__ = error
            done.set_exception(own)
