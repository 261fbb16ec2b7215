"""The part of a handle that is about runs: their events, leases and inboxes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from lumosai.storage import _owner as owners
from lumosai.storage import _runs as runs
from lumosai.storage import _turns as turns
from lumosai.storage._database import Database
from lumosai.storage._page import page_size
from lumosai.storage._who import name_of, optional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.storage._database import Lane
    from lumosai.storage._op import Op, Steps
    from lumosai.storage._page import Page
    from lumosai.storage._pending import Pending
    from lumosai.storage._who import Who
    from lumosai.storage.base import Batch, InboxItem, Lease, RunRecord, RunStatus, Stretch, Write

T = TypeVar("T")


class JournalDatabase(Database, Protocol):
    """What it asks besides, for runs."""

    async def append(self, who: Who, lease: Lease, batch: Batch) -> None:
        """Stores a run's next events, for which nobody waits: those of several runs may go together."""
        ...


class Journalling:
    """`lumosai.storage.base.Handle`, what of it is about runs, over any database."""

    __slots__ = ()

    _database: JournalDatabase
    _who: Who

    async def open_run(self, record: RunRecord, batch: Batch, *, along: Sequence[Write[Any]] = ()) -> Lease:
        name_of(record.id, "run id")
        optional(record.thread_id, "thread id")
        optional(record.resource_id, "resource id")
        _check(batch)
        lease, ttl = owners.me(), owners.LEASE_S
        op = partial(runs.open_run, self._who, record, batch, lease=lease, ttl_s=ttl, now=self._database.now())
        return await self._together(op, along, batch, "barrier")

    async def append_events(
        self, lease: Lease, batch: Batch, *, urgent: bool = False, along: Sequence[Write[Any]] = ()
    ) -> None:
        _check(batch)
        if urgent or along or batch.status != "running":
            op = partial(runs.append, self._who, lease, batch, now=self._database.now())
            end = partial(runs.put_all, lease, batch) if runs.is_short_end(batch) else None
            await self._together(op, along, batch, "barrier", end)
        else:
            await self._database.append(self._who, lease, batch)

    async def _together(
        self,
        op: Op[T],
        along: Sequence[Write[Any]],
        batch: Batch,
        lane: Lane,
        behind: Callable[[Sequence[Any]], Steps[None]] | None = None,
    ) -> T:
        """A batch's operation and what goes along with it, in one transaction, which may let the next run onto a branch.

        What comes behind is given what came of all that went along.
        """
        pending = [cast("Pending[Any]", write) for write in along]
        ops = [write.of(self._database, self._who) for write in pending]
        leave = batch.place if batch.status != "running" else 0
        if not ops and behind is None and not leave:
            return await self._database.write(op, lane, again=True)

        def together() -> Steps[tuple[T, list[Any]]]:
            value = yield from op()
            given: list[Any] = []
            for other in ops:
                one = yield from other()
                given.append(one)
            if behind is not None:
                yield from behind(given)
            if leave:
                yield from turns.leave(self._who, leave)
            return value, given

        value, given = await self._database.write(together, lane, again=True)
        for write, what in zip(pending, given, strict=True):
            write.take(what)
        return value

    async def post(self, run_id: str, item: InboxItem) -> RunRecord:
        name_of(item.id, "id of an inbox item")
        op = partial(runs.post, self._who, name_of(run_id, "run id"), item, self._database.now())
        return await self._database.write(op, "barrier", again=True)

    async def stretch(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Stretch:
        return await self._database.read(partial(runs.stretch, self._who, name_of(run_id, "run id"), after, limit))

    async def compact_run(self, run_id: str) -> int:
        op = partial(runs.compact, self._who, name_of(run_id, "run id"))
        return await self._database.write(op, "telemetry", again=True)

    async def take_run(self, run_id: str) -> tuple[RunRecord, Lease | None]:
        op = partial(runs.take, self._who, name_of(run_id, "run id"), lease=owners.me(), ttl_s=owners.LEASE_S)
        return await self._database.write(op, "barrier")

    async def let_go(self, lease: Lease) -> None:
        await self._database.write(partial(runs.let_go, self._who, lease), "barrier", again=True)

    async def renew(self, lease: Lease) -> bool:
        op = partial(runs.renew, self._who, lease, ttl_s=owners.LEASE_S)
        return await self._database.write(op, "barrier", again=True)

    async def run(self, run_id: str) -> RunRecord | None:
        return await self._database.read(partial(runs.record, self._who, name_of(run_id, "run id")))

    async def list_runs(
        self, *, status: RunStatus | None = None, agent: str = "", limit: int = 50, cursor: str | None = None
    ) -> Page[RunRecord]:
        return await self._database.read(partial(runs.listed, self._who, status, agent, page_size(limit), cursor))

    async def events(self, run_id: str, *, after: int = 0, limit: int = 1000) -> tuple[bytes, ...]:
        return await self._database.read(partial(runs.events, self._who, name_of(run_id, "run id"), after, limit))

    async def delete_run(self, run_id: str) -> bool:
        return await self._database.write(partial(runs.delete, self._who, name_of(run_id, "run id")))


def _check(batch: Batch) -> None:
    """Refuses names in a batch that the tables cannot hold."""
    for what, names in (("hash", batch.contents), ("run id", batch.children), ("id of an inbox item", batch.taken)):
        for name in names:
            name_of(name, what)
