"""Maintenance, the same on every back end: what reaches all scopes of a database."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from msgspec.structs import astuple, replace

from lumosai.errors import StorageError
from lumosai.storage import _contents as contents
from lumosai.storage import _import as imports
from lumosai.storage import _inbox as inboxes
from lumosai.storage import _index as index
from lumosai.storage import _info as info
from lumosai.storage import _owner as owners
from lumosai.storage import _removal as removal
from lumosai.storage import _runs as runs
from lumosai.storage import _tables as tables
from lumosai.storage import _threads as threads
from lumosai.storage import _turns as turns
from lumosai.storage._database import Database
from lumosai.storage._export import Export
from lumosai.storage._line_reader import Reader
from lumosai.storage._migrations import NEWEST
from lumosai.storage._who import name_of
from lumosai.storage.upkeep import Collected, DatabaseInfo, Erased, Kind, Loaded, Removable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from lumosai.records import Retention, Scope
    from lumosai.storage._export import Snapshot
    from lumosai.storage._lines import Line
    from lumosai.storage._op import Op, Steps
    from lumosai.storage.base import InboxItem, Lease, RunRecord, Standing

T = TypeVar("T")

_DAY_S: Final = 86_400.0
_SPARED_S: Final = 3_600.0
"""A run that ended so lately does not go for the database's size: somebody may be reading it."""
_UNUSED_S: Final = 86_400.0
"""Contents so new are not taken for unused: who refers to them may be on the way."""
_BEHIND_S: Final = 0.2
"""How far what is written beside a run, such as its trace, may be behind it: so long later what is erased is looked for again."""
_AT_ONCE: Final = 64
_MANY: Final = 2_000
_LINES: Final = 50
_BYTES: Final = 512 * 1024
"""Lines of an import, and their bytes, that go into one transaction."""


class Sizes(NamedTuple):
    """How large a database is, in bytes.

    Attributes:
        total: on the disk.
        free: of that, room for new rows; None where the database does not tell.
        tables: with their indexes, as far as the database tells.
        shrinks: whether free room is given back by itself.
    """

    total: int
    free: int | None
    tables: dict[str, int]
    shrinks: bool


class Engine(Database, Protocol):
    """What maintenance asks of a back end, besides what handles ask."""

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        ...

    async def sizes(self) -> Sizes:
        """How large it is."""
        ...

    async def beyond(self, most: int) -> int:
        """Bytes in use beyond so many, 0 where there are none; free room does not count."""
        ...

    async def check(self) -> tuple[str, ...]:
        """What the database's own check finds wrong."""
        ...

    async def give_back(self, budget_s: float) -> bool:
        """Gives some free room back to the disk; whether there may be more."""
        ...

    async def settle(self, *, thorough: bool) -> None:
        """Makes sure that what was removed is gone from the disk, too; `thorough` rewrites the whole file where it must."""
        ...

    async def shred(self, *, on: bool) -> None:
        """Whether what is deleted is overwritten from here on."""
        ...

    async def migrate(self) -> int:
        """Brings the schema up to date; how many steps that took."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """One state of the database, read for as long as it is open; others write meanwhile."""
        ...

    async def backup(self, path: str) -> int:
        """Writes a copy of the database, and looks whether it is sound; its size in bytes."""
        ...


class SystemHandle:
    """`lumosai.storage.base.System` over any database."""

    __slots__ = ("_database",)

    def __init__(self, database: Engine) -> None:
        self._database = database

    def __repr__(self) -> str:
        return f"<system handle of {self._database.url}>"

    async def orphans(self, agents: Sequence[str], *, limit: int = 100) -> tuple[tuple[Scope, RunRecord], ...]:
        known = [threads.plain(agent) for agent in agents]
        return await self._database.read(partial(runs.orphans, known, limit)) if known else ()

    async def inbox(self, leases: Sequence[Lease]) -> tuple[InboxItem, ...]:
        return await self._database.read(partial(inboxes.waiting, [lease.run_id for lease in leases])) if leases else ()

    async def standings(self, run_ids: Sequence[str]) -> tuple[Standing, ...]:
        return await self._database.read(partial(runs.standings, list(run_ids))) if run_ids else ()

    async def free_turns(self, places: Sequence[int]) -> frozenset[int]:
        return await self._database.read(partial(turns.free, list(places))) if places else frozenset()

    async def renew_turns(self, places: Sequence[int]) -> None:
        if places:
            await self._database.write(partial(turns.renew, list(places), ttl_s=owners.LEASE_S), "barrier", again=True)

    async def migrate(self) -> int:
        return await self._database.migrate()

    async def info(self, *, check: bool = False, retention: Retention | None = None) -> DatabaseInfo:
        read = self._database.read
        schema = await read(info.schema)
        rows, sizes = await read(info.counts), await self._database.sizes()
        problems = (*await self._database.check(), *await read(info.problems)) if check else None
        return DatabaseInfo(
            url=self._database.url,
            schema=schema,
            newest=NEWEST,
            bytes=sizes.total,
            free_bytes=sizes.free,
            shrinks=sizes.shrinks,
            kinds=_kinds(rows, sizes.tables),
            threads=rows["threads"],
            messages=rows["messages"],
            blobs=rows["contents"],
            runs=await read(info.statuses),
            oldest=await read(info.oldest),
            problems=problems,
            removable=await self._removable(retention) if retention is not None else None,
        )

    async def collect(self, retention: Retention, *, pause_s: float = 0.02, thorough: bool = False) -> Collected:
        done = _Pass(self._database, pause_s)
        await done.sweep()
        now = self._database.now()
        if retention.journal_days is not None:
            await done.runs(now - retention.journal_days * _DAY_S)
        if retention.threads_days is not None:
            await done.threads(now - retention.threads_days * _DAY_S)
        if retention.telemetry_days is not None:
            await done.traces(now - retention.telemetry_days * _DAY_S)
        over = 0
        if retention.max_mib is not None:
            over = await done.size(_bytes(retention.max_mib), now - _SPARED_S)
        await self._release(imports.released, int((now - _UNUSED_S) * 1_000))
        await done.unused(now - _UNUSED_S)
        await self._give_back(pause_s)
        if thorough:
            await self._database.settle(thorough=True)
        return Collected(**done.counts, transactions=done.transactions, over=over)

    async def erase(self, resource_id: str, *, tenant: str = "default") -> Erased:
        op = partial(removal.erase, name_of(tenant, "tenant"), name_of(resource_id, "resource id"))
        found = Erased()
        await self._database.shred(on=True)
        try:
            for wait_s in (0.0, _BEHIND_S):
                await asyncio.sleep(wait_s)
                while (some := await self._database.write(op)) is not None:
                    found = Erased(*[a + b for a, b in zip(astuple(found), astuple(some), strict=True)])
            await _Pass(self._database, 0.0).sweep()
        finally:
            await self._database.shred(on=False)
        await self._database.write(index.purge, "telemetry")
        await self._give_back(0.0)
        await self._database.settle(thorough=False)
        return found

    async def export(self, scope: Scope | None = None) -> AsyncIterator[bytes]:
        async with self._database.snapshot() as snapshot:
            async for line in Export(snapshot, scope).written(self._database.now()):
                yield line

    async def load(self, lines: AsyncIterable[bytes]) -> Loaded:
        now = self._database.now()
        hold, reader, loaded = int(now * 1_000), Reader(), Loaded()
        await self._release(imports.released, int((now - _UNUSED_S) * 1_000))
        some: list[Line] = []
        size = 0
        try:
            async for data in lines:
                line = reader.read(data)
                if line is not None:
                    some.append(line)
                    size += len(data)
                if len(some) >= _LINES or size >= _BYTES:
                    loaded, some, size = await self._take(some, hold, loaded), [], 0
            loaded = await self._take(some, hold, loaded)
            reader.finish()
        finally:
            with suppress(StorageError):  # else a later pass of retention does it
                await self._release(partial(imports.released, only=hold), 0)
        return replace(loaded, unknown=reader.unknown)

    async def backup(self, path: str) -> int:
        return await self._database.backup(path)

    async def _take(self, some: list[Line], hold: int, loaded: Loaded) -> Loaded:
        if not some:
            return loaded
        op = partial(imports.taken, some, hold, self._database.now())
        return (await self._database.write(op, again=True)).after(loaded)

    async def _release(self, op: Callable[[int], Steps[bool]], before: int) -> None:
        while await self._database.write(partial(op, before), "telemetry", again=True):
            pass

    async def _give_back(self, pause_s: float) -> None:
        more = True
        while more:
            more = await self._database.give_back(removal.BUDGET_S)
            await asyncio.sleep(pause_s)

    async def _removable(self, retention: Retention) -> Removable:
        now = self._database.now()

        def before(days: float | None) -> float | None:
            return None if days is None else now - days * _DAY_S

        op = partial(
            info.removable,
            ended=before(retention.journal_days),
            idle=before(retention.threads_days),
            told=before(retention.telemetry_days),
            spared=now - _SPARED_S,
            over=await self._database.beyond(_bytes(retention.max_mib)) if retention.max_mib is not None else 0,
        )
        return await self._database.read(op)


class _Sort(NamedTuple):
    """What goes by its age.

    Attributes:
        name: as it is counted.
        found: the oldest of before a moment, each with its bytes.
        remove: removes some of these.
        at_once: how many are looked for, fewer where an index finds them.
    """

    name: str
    found: Callable[[float, int], Steps[tuple[tuple[int, int], ...]]]
    remove: Callable[[list[int], float], Steps[int]]
    at_once: int


_RUNS: Final = _Sort("runs", removal.ended, removal.remove_ended, _AT_ONCE)
_TRACES: Final = _Sort("traces", removal.told, removal.remove_told, _MANY)


class _Pass:
    """One pass of removing, in small transactions with a pause behind each, so that whoever else writes comes between."""

    def __init__(self, database: Engine, pause_s: float) -> None:
        self._database = database
        self._pause_s = pause_s
        self.counts = {"runs": 0, "threads": 0, "traces": 0, "blobs": 0}
        self.transactions = 0

    async def sweep(self) -> None:
        """Removes what is in `removed`."""
        while await self._write(removal.sweep):
            pass

    async def runs(self, before: float) -> None:
        """Removes runs that ended before a moment."""
        await self._old(_RUNS, before)

    async def traces(self, before: float) -> None:
        """Removes traces that began before a moment, and what was measured before it."""
        await self._old(_TRACES, before)
        while await self._write(partial(removal.remove_sums, before)):
            pass

    async def _old(self, sort: _Sort, before: float) -> None:
        while found := await self._database.read(partial(sort.found, before, sort.at_once)):
            await self._remove(sort, [key for key, _ in found], before)

    async def threads(self, before: float) -> None:
        """Removes threads that were not written to since a moment."""
        while found := await self._database.read(partial(removal.idle, before, _MANY)):
            for key in found:
                while not await self._write(partial(removal.remove_idle, key, before)):
                    pass
                self.counts["threads"] += 1
            await self.sweep()

    async def size(self, most: int, before: float) -> int:
        """Removes traces, then runs, the oldest first, until the database is small enough; what it is over."""
        for sort in (_TRACES, _RUNS):
            while over := await self._database.beyond(most):
                found = await self._database.read(partial(sort.found, before, sort.at_once))
                if not found:
                    break
                keys = []
                for key, size in found:
                    keys.append(key)
                    over -= size
                    if over <= 0:
                        break
                await self._remove(sort, keys, before)
        return over

    async def unused(self, before: float) -> None:
        """Removes contents that nobody refers to, which is what a bug or another program may leave."""
        place = 0
        while found := await self._database.read(partial(contents.unused, place, _AT_ONCE, before)):
            place = found[-1]
            for one in found:
                await self._write(partial(contents.drop_unused, [one], later=True))
            self.counts["blobs"] += len(found)
            await self.sweep()

    async def _remove(self, sort: _Sort, keys: list[int], before: float) -> None:
        self.counts[sort.name] += len(keys)
        while keys:
            keys = keys[await self._write(partial(sort.remove, keys, before)) :]
        await self.sweep()

    async def _write(self, op: Op[T]) -> T:
        self.transactions += 1
        value = await self._database.write(op, "telemetry", again=True)
        await asyncio.sleep(self._pause_s)
        return value


def _bytes(mib: float) -> int:
    return int(mib * 1024 * 1024)


def _kinds(rows: dict[str, int], sizes: dict[str, int]) -> tuple[Kind, ...]:
    found: dict[str, Kind] = {}
    for table in tables.TABLES:
        was = found.get(table.kind, Kind(table.kind, 0, 0 if sizes else None))
        inner = (n for name, n in sizes.items() if name == table.name or name.startswith(f"{table.name}_"))
        size = None if was.bytes is None else was.bytes + sum(inner)
        found[table.kind] = Kind(table.kind, was.rows + rows[table.name], size)
    return tuple(found.values())
