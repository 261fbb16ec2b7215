"""The event list of a run and its sub-runs, and the cursors that read it.

One list a root run. The producer appends; readers are cursors over the list, each woken once per batch, so a late reader
sees the same history as an early one. Only the opener's own iterator, once started, bounds the producer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lumosai.events import Event

    Observer = Callable[[Event], None]

logger = logging.getLogger("lumosai")

AHEAD = 512
"""How many events the producer may be ahead of the opener's iterator."""
BATCH = 256
SLOW_OBSERVER_S = 0.005


class EventLog:
    """Events in order, from number 1 without gaps. Belongs to one event loop; not thread-safe."""

    __slots__ = ("_observers", "_read", "_room", "_waiters", "bounded", "closed", "events")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = False
        self.bounded = False
        """Whether a reader holds the producer to its pace."""
        self._waiters: list[asyncio.Future[None]] = []
        self._observers: list[_Watch] = []
        self._read = 0
        self._room: asyncio.Future[None] | None = None

    def watch(self, observer: Observer, run_id: str | None) -> None:
        """Shows `observer` each further event: of the whole tree where `run_id` is None, else of that run only.

        An object that watches already is not added twice.
        """
        if not any(w.observer == observer for w in self._observers):
            self._observers = [*self._observers, _Watch(observer, run_id)]

    def append(self, event: Event) -> None:
        """Adds an event, numbered by its maker; shows it to the observers and wakes the readers."""
        self.events.append(event)
        if self._observers:
            self._show(event)
        if self._waiters:
            self._wake()

    def close(self) -> None:
        """No more events come: readers end when they have read them all."""
        self.closed = True
        self._wake()

    @property
    def full(self) -> bool:
        """Whether the opener's iterator is so far behind that the producer should wait in `room`."""
        return self.bounded and len(self.events) - self._read > AHEAD

    async def room(self) -> None:
        """Waits until the opener's iterator has caught up, or has gone."""
        while self.full:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def unbound(self) -> None:
        """From here on nobody holds the producer back."""
        self.bounded = False
        self._release()

    async def read(self, after: int = 0, *, bounding: bool = False) -> AsyncIterator[Event]:
        """The events with numbers above `after`, then each further one as it comes, until the log is closed."""
        events = self.events
        at = after
        if bounding:
            self.bounded = True
            self._read = at
        try:
            while True:
                if at < len(events):
                    batch = events[at : at + BATCH]
                    for event in batch:
                        yield event
                    at += len(batch)
                    if bounding:
                        self._read = at
                        self._release()
                elif self.closed:
                    return
                else:
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await waiter
        finally:
            if bounding:
                self.unbound()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _release(self) -> None:
        room = self._room
        if room is not None and not self.full:
            self._room = None
            if not room.done():
                room.set_result(None)

    def _show(self, event: Event) -> None:
        for watch in self._observers:
            if watch.run_id is not None and watch.run_id != event.run_id:
                continue
            started = time.perf_counter()
            try:
                watch.observer(event)
            except Exception:  # an observer is the user's code: it may raise anything and must not hurt the run
                logger.exception("observer %r raised and is dropped", watch.observer)
                self._observers = [w for w in self._observers if w is not watch]
            if not watch.warned and time.perf_counter() - started > SLOW_OBSERVER_S:
                watch.warned = True
                logger.warning(
                    "observer %r took over %d ms for one event: observers run inline and hold the run up",
                    watch.observer,
                    SLOW_OBSERVER_S * 1000,
                )


class _Watch:
    """One observer and which events it sees."""

    __slots__ = ("observer", "run_id", "warned")

    def __init__(self, observer: Observer, run_id: str | None) -> None:
        self.observer = observer
        self.run_id = run_id
        self.warned = False
