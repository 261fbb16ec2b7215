"""A reader of a run's events, wherever the run goes on: each event once and in order, from any place on."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from lumosai.agent import live
from lumosai.agent.history import PAGE, Epochs, events_in
from lumosai.errors import CursorError, NotFoundError, StorageError
from lumosai.events import TERMINAL, ModelCallStarted
from lumosai.records import Cursor
from lumosai.storage.base import RunRecord
from lumosai.storage.lookout import lookout_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import TracebackType
    from typing import Self

    from lumosai.agent.live import AtWork
    from lumosai.events import Event
    from lumosai.storage.base import Handle, Storage, Stretch
    from lumosai.storage.lookout import Following

_PATIENCE_S: Final = 60.0
"""How long a storage that cannot be reached is asked again."""
_PAUSE_S: Final = 0.5


class Subscription:
    """A reader of a run's events. Iterate it; it may be used as an async context manager, so that it ends at once.

    Attributes:
        cursor: the place behind the event that was given last: `subscribe(after=cursor)` goes on from there. `str` of it
            is the form on the wire.
        until_paused: whether it ends, too, where the run is paused and at work nowhere.
    """

    def __init__(self, storage: Storage, handle: Handle, run_id: str, after: Cursor | int) -> None:
        self.cursor = after if isinstance(after, Cursor) else Cursor(0, max(after, 0))
        self.until_paused = False
        self._storage = storage
        self._handle = handle
        self._run_id = run_id
        self._epochs = Epochs({1: 1})
        self._events: AsyncGenerator[Event, None] | None = None
        self._numbered = not isinstance(after, Cursor)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Reads no more."""
        if self._events is not None:
            await self._events.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._events is None:
            self._events = self._read()
        return await anext(self._events)

    async def _read(self) -> AsyncGenerator[Event, None]:
        await self._begin()
        async with aclosing(self._from_here()) as events:
            async for event in events:
                self.cursor = self._epochs.cursor(event.seq)
                yield event
                if _ends(event, self._run_id):
                    return
        lookout = lookout_of(self._storage)
        following = lookout.follow(self._run_id)
        try:
            async with aclosing(self._from_storage(following)) as events:
                async for event in events:
                    self.cursor = self._epochs.cursor(event.seq)
                    yield event
        finally:
            lookout.unfollow(following)

    async def _begin(self) -> None:
        """Looks whether the place to begin at is good.

        Raises:
            CursorError: it is not.
        """
        try:
            stretch = await self._stretch(0, 0)
        except NotFoundError:
            record = await record_of(self._storage, self._handle, self._run_id)
            if record is None:
                raise
        else:
            record, self._epochs = stretch.run, Epochs(stretch.epochs)
        if self._numbered:
            self.cursor = Cursor(self._epochs.cursor(self.cursor.seq).epoch, self.cursor.seq)
        self._epochs.check(self.cursor, record)

    async def _from_here(self) -> AsyncGenerator[Event, None]:
        """The events of a run that is at work in this event loop, until it leaves."""
        here = at_work_here(self._storage, self._run_id)
        if here is None or here.journal is None:
            return
        light = here.journal.light
        async with aclosing(here.state.log.read(self.cursor.seq)) as events:
            async for event in events:
                yield light(event) if type(event) is ModelCallStarted else event

    async def _from_storage(self, following: Following) -> AsyncGenerator[Event, None]:
        """The events as they are stored, until the last."""
        while True:
            at = self.cursor.seq
            stretch = await self._stretch(at, PAGE)
            if len(stretch.epochs) != self._epochs.count:
                self._next_epoch(stretch.epochs, at)
            new = events_in(stretch.batches, at)
            for event in new:
                yield event
                if _ends(event, self._run_id):
                    return
            if not new:
                run = stretch.run
                if run.status == "ended" or (self.until_paused and run.status == "paused"):
                    return
                await following.beyond(run)

    def _next_epoch(self, epochs: dict[int, int], at: int) -> None:
        """The run was taken up.

        Raises:
            CursorError: by somebody who did not find all that was read here, which a database's crash took back.
        """
        known, self._epochs = self._epochs, Epochs(epochs)
        lost = [first for epoch, first in epochs.items() if epoch > known.newest and first <= at]
        if lost:
            last = self._epochs.cursor(min(lost) - 1)
            raise CursorError(
                f"run {self._run_id} went on without its events from {min(lost)} on, which its database lost: read on "
                f"from {last}",
                last=str(last),
            )

    async def _stretch(self, after: int, limit: int) -> Stretch:
        """What is stored behind an event, however long the storage cannot be reached, up to a minute."""
        began = time.monotonic()
        while True:
            try:
                return await self._handle.stretch(self._run_id, after=after, limit=limit)
            except StorageError as error:
                if not error.retryable or time.monotonic() - began > _PATIENCE_S:
                    raise
                await asyncio.sleep(_PAUSE_S)


async def record_of(storage: Storage, handle: Handle, run_id: str) -> RunRecord | None:
    """A run as it is kept; one that has just begun here, and is not kept yet, without an event."""
    found = await handle.run(run_id)
    here = at_work_here(storage, run_id) if found is None else None
    if here is not None and here.seen_by(handle.scope):
        return RunRecord(id=run_id, agent=here.state.name)
    return found


def _ends(event: Event, run_id: str) -> bool:
    return isinstance(event, TERMINAL) and event.run_id == run_id


def at_work_here(storage: Storage, run_id: str) -> AtWork | None:
    """The run, where it is at work in this event loop."""
    found = live.find(storage, run_id)
    return found if found is not None and found.home is asyncio.get_running_loop() else None


def gone(handle: Handle, run_id: str) -> NotFoundError:
    """What is said of a run that was there a moment ago."""
    return NotFoundError(f"run {run_id} is not there any more in {handle.scope}")
