"""The event list of a run and its sub-runs, and the cursors that read it.

One list a root run. The producer appends; readers are cursors over the list, each woken once per batch, so a late reader
sees the same history as an early one. Only the opener's own iterator, once started, bounds the producer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from lumosai._loggers import logger_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from lumosai.events import Event

    Observer = Callable[[Event], None]

logger = logger_of("lumosai.agent")

AHEAD = 512
"""How many events the producer may be ahead of the opener's iterator."""
BATCH = 256
SLOW_OBSERVER_S = 0.005
_RAISED = "observer %r raised and is dropped"


class NotBegunError(Exception):
    """A run's first events are not kept, since its turn on its thread is not what it took it for: it begins anew.

    Never leaves `lumosai.agent`.
    """


class Keeper(Protocol):
    """Who keeps events before anybody sees them."""

    def add(self, event: Event) -> None:
        """Takes an event; `EventLog.show` is called with it once it is kept."""
        ...

    async def settled(self) -> None:
        """Waits until all that was taken is kept.

        Raises:
            StorageError: it cannot be.
            NotBegunError: the run has to begin anew; nobody has seen anything of it.
        """
        ...


class EventLog:
    """Events in order, from number 1 without gaps. Belongs to one event loop; not thread-safe.

    With a keeper an event becomes visible once it is kept, else at once.

    Attributes:
        events: all of them, so far.
        visible: those that readers and observers see: the same list, or its beginning.
        keeper: as given, None where nothing is kept.
        heard: whether anybody is told of events as they come, or was.
        closed: whether no more come.
        bounded: whether somebody holds the producer back.
        most: beyond how many events the producer has to wait for `room` before it goes on.
    """

    __slots__ = (
        "_free",
        "_halted",
        "_leaving",
        "_observers",
        "_read",
        "_rooms",
        "_showing",
        "_shown",
        "_waiters",
        "bounded",
        "closed",
        "events",
        "heard",
        "keeper",
        "most",
        "visible",
    )

    def __init__(self, past: Iterable[Event] = ()) -> None:
        self.events: list[Event] = [*past]
        self.visible = self.events
        self.keeper: Keeper | None = None
        self.heard = False
        self.closed = False
        self.bounded = False
        self.most: float = inf
        self._free = False
        self._halted = False
        self._waiters: tuple[asyncio.Future[None], ...] = ()
        self._rooms: tuple[asyncio.Future[None], ...] = ()
        self._observers: tuple[_Watch, ...] = ()
        self._leaving = False
        self._showing = False
        self._shown = len(self.events)
        self._read: float = 0
        """How far the opener's iterator is: -inf where the producer is to stop, inf where nobody holds it back."""

    def watch(self, observer: Observer, run_id: str | None) -> None:
        """Shows `observer` each further event: of the whole tree where `run_id` is None, else of that run only.

        An object that sees those events already is not added twice.
        """
        self.heard = True
        if not self._observers:
            self._shown = len(self.visible)
        if not any(w.observer == observer and w.run_id in (None, run_id) for w in self._observers):
            self._observers = (*self._observers, _Watch(observer, run_id))

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Those that are shown events, each once."""
        return tuple({id(w.observer): w.observer for w in self._observers}.values())

    def unwatch(self, run_id: str) -> None:
        """That run has ended: its own observers see no more, once they have seen all."""
        for watch in self._observers:
            if watch.run_id == run_id:
                watch.until = len(self.events)
                self._leaving = True
        if self._leaving:
            self._let_go()

    def _let_go(self) -> None:
        """Drops the observers that have seen all that they are to see."""
        shown = len(self.visible) if self.keeper is None else self._shown
        self._observers = tuple([w for w in self._observers if w.until is None or w.until > shown])
        self._leaving = any(w.until is not None for w in self._observers)

    def append(self, event: Event) -> None:
        """Adds an event, numbered by its maker; shows it to the observers and wakes the readers."""
        self.events.append(event)
        if self.heard:
            self.tell(event)

    def tell(self, event: Event) -> None:
        """Has an event kept that was added; else shows it to the observers and wakes the readers."""
        if self.keeper is not None:
            self.keeper.add(event)
            return
        if self._observers:
            self._show()
        if self._waiters:
            self._wake()

    def keep(self, keeper: Keeper) -> None:
        """From here on events are kept before they are seen."""
        self.heard = True
        self.keeper = keeper
        self.visible = [*self.events]

    def mirror(self) -> None:
        """From here on the events are another run's, which its own observers see."""
        self._observers = ()
        self.visible = [*self.events]

    def show(self, events: Iterable[Event]) -> None:
        """These are kept: they become visible."""
        self.visible.extend(events)
        if self._observers:
            self._show()
        if self._waiters:
            self._wake()

    async def settled(self) -> None:
        """Waits until every event so far is visible.

        Raises:
            StorageError: what there is cannot be kept.
        """
        if self.keeper is not None:
            await self.keeper.settled()

    def close(self) -> None:
        """No more events come: readers end when they have read them all."""
        self.closed = True
        if self._waiters:
            self._wake()

    @property
    def full(self) -> bool:
        """Whether the producer should wait in `room`: the opener's iterator is far behind, or the run is to stop."""
        return len(self.events) - self._read > AHEAD

    async def room(self) -> None:
        """Waits until the opener's iterator has caught up, or has gone. A cancel that was asked for arrives here."""
        if self._halted:
            await asyncio.sleep(0)
        while self.full and not self._halted:
            room = asyncio.get_running_loop().create_future()
            self._rooms = (*self._rooms, room)
            await room

    def unbound(self) -> None:
        """From here on nobody holds the producer back, nor can anybody begin to."""
        self._free = True
        if not self._halted:
            self.bounded, self._read, self.most = False, inf, inf
            self._release()

    def halt(self) -> None:
        """The run is to stop: whoever produces lets its task be cancelled at the next event, if not before."""
        self._free = self._halted = self.bounded = True
        self._read = self.most = -inf
        self._release()

    async def read(self, after: int = 0, *, bounding: bool = False) -> AsyncGenerator[Event, None]:
        """The events with numbers above `after`, then each further one as it comes, until the log is closed."""
        at = max(after, 0)
        if bounding and not self._free:
            self.bounded = True
            self._read, self.most = at, at + AHEAD
        try:
            while True:
                events = self.visible  # another list once events are kept, which may begin behind the reading
                if at < len(events):
                    batch = events[at : at + BATCH]
                    for event in batch:
                        yield event
                    at += len(batch)
                    if bounding and not self._free:
                        self._read, self.most = at, at + AHEAD
                        self._release()
                elif self.closed:
                    return
                else:
                    waiter = asyncio.get_running_loop().create_future()
                    self.heard = True
                    self._waiters = (*self._waiters, waiter)
                    await waiter
        finally:
            if bounding:
                self.unbound()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, ()
        _resolve(waiters)

    def _release(self) -> None:
        if self._rooms and (self._halted or not self.full):
            rooms, self._rooms = self._rooms, ()
            _resolve(rooms)

    def _show(self) -> None:
        """Shows the observers what they have not seen. What one of them brings about is shown after what it was shown."""
        if self._showing:
            return
        self._showing = True
        try:
            while self._shown < len(self.visible):
                event = self.visible[self._shown]
                self._shown += 1
                for watch in self._observers:
                    if watch.run_id is None or watch.run_id == event.run_id:
                        if watch.timed:
                            self._tell(watch, event)
                            continue
                        try:
                            watch.call(event)
                        except (Exception, asyncio.CancelledError):  # as below
                            logger.exception(_RAISED, watch.observer)
                            self._drop(watch)
            if self._leaving:
                self._let_go()
        finally:
            self._showing = False

    def _tell(self, watch: _Watch, event: Event) -> None:
        started = time.perf_counter()
        try:
            watch.observer(event)
        # An observer is the user's code: it may raise anything and must not hurt the run. A CancelledError out of it is
        # some other task's, for nothing is awaited here.
        except (Exception, asyncio.CancelledError):
            logger.exception(_RAISED, watch.observer)
            self._drop(watch)
            return
        if time.perf_counter() - started > SLOW_OBSERVER_S:
            _note_slow(watch.observer)

    def _drop(self, watch: _Watch) -> None:
        """This observer has raised: it is shown no more."""
        self._observers = tuple([w for w in self._observers if w is not watch])


_slow: weakref.WeakSet[Any] = weakref.WeakSet()
"""Observers that were warned of."""


def _note_slow(observer: Observer) -> None:
    """Warns of a slow observer, once however many runs it sees."""
    known = getattr(observer, "__self__", observer)
    with contextlib.suppress(TypeError):  # one that cannot be remembered is warned of again
        if known in _slow:
            return
        _slow.add(known)
    logger.warning(
        "observer %r took over %d ms for one event: observers run inline and hold the run up",
        observer,
        SLOW_OBSERVER_S * 1000,
    )


def _resolve(futures: Iterable[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


class _Watch:
    """One observer, which events it sees, and up to which number, where that is known.

    How long our own take is not looked at: a benchmark tells what they cost, and where they seem slow the machine is busy.
    """

    __slots__ = ("call", "observer", "run_id", "timed", "until")

    def __init__(self, observer: Observer, run_id: str | None) -> None:
        self.observer = observer
        self.run_id = run_id
        self.timed = getattr(getattr(observer, "__self__", observer), "measured", False) is not True
        # What an object of a class does when it is called is found once, and not with every event.
        self.call: Observer = observer if self.timed else getattr(observer, "__call__")  # noqa: B004, B009
        self.until: int | None = None
