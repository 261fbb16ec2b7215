"""What waits to be indexed, of every scope, the same on every back end: each method is one short transaction."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from lumosai.storage import _index as index

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lumosai.storage._database import Database
    from lumosai.storage.base import Claimed

_AT_ONCE: Final = 200


class Indexing:
    """`lumosai.storage.base.SearchIndex` over any database."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, kind: int, limit: int, *, hold_s: float = 60.0) -> tuple[Claimed, ...]:
        now = self._database.now()
        return await self._database.write(partial(index.claim, kind, limit, now, now + hold_s), "telemetry")

    async def reclaim(self, kind: int) -> int:
        return await self._database.write(partial(index.reclaim, kind, self._database.now()), "telemetry", again=True)

    async def put_texts(self, done: Sequence[tuple[Claimed, Collection[str]]]) -> int:
        rows = [(c, index.joined(terms)) for c, terms in done]
        return await self._database.write(partial(index.put_texts, rows, self._database.now()), "telemetry", again=True)

    async def put_vectors(self, space: int, done: Sequence[tuple[Claimed, bytes]]) -> int:
        return await self._database.write(partial(index.put_vectors, space, done), "telemetry", again=True)

    async def postpone(self, kind: int, claimed: Sequence[Claimed], delay_s: float) -> None:
        due = self._database.now() + delay_s
        op = partial(index.postpone, kind, [(c.branch, c.seq) for c in claimed], due)
        await self._database.write(op, "telemetry", again=True)

    async def drop(self, kind: int, claimed: Sequence[Claimed]) -> None:
        op = partial(index.drop, kind, [(c.branch, c.seq) for c in claimed])
        await self._database.write(op, "telemetry", again=True)

    async def waiting(self, kinds: Collection[int]) -> tuple[int, float | None]:
        count, due = await self._database.read(partial(index.waiting, tuple(kinds)))
        return count, None if due is None else max(0.0, due - self._database.now())

    async def spaces(self, name: str) -> tuple[int, ...]:
        return await self._database.read(partial(index.spaces, name))

    async def backfill(self, space: int) -> bool:
        return await self._database.write(partial(index.backfill, space, _AT_ONCE), "telemetry", again=True)

    async def clear_stale(self) -> bool:
        stale = await self._database.read(partial(index.stale, self._database.now()))
        if stale:
            await self._database.write(partial(index.clear_space, stale[0], _AT_ONCE), "telemetry", again=True)
        return bool(stale)

    async def purge(self) -> None:
        await self._database.write(index.purge, "telemetry", again=True)
