"""The recorder: has the spans of live runs stored, a few milliseconds after they ended and from elsewhere.

An event is only put behind those of its run, which takes half a microsecond. A task on the background loop folds what came
and stores the spans that ended, of many runs in one transaction, at most 50 ms after the first of them came; who asks for
the trace of a run that goes on folds what came of that one first. What would be more than may wait is dropped, counted,
and shown by its trace. A run that another process began is folded from its stored events first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Final, cast

from lumosai._background import at_end, background_loop, forget
from lumosai._loggers import logger_of
from lumosai.errors import ConflictError, StorageError
from lumosai.events import TERMINAL, RunPaused, RunResumed, RunStarted
from lumosai.telemetry import resources
from lumosai.telemetry._adding import Sums
from lumosai.telemetry._live import LiveRun
from lumosai.telemetry._lone import LoneSpan
from lumosai.telemetry._rebuild import AT_ONCE, rebuild, stored_events, told_apart, with_sums
from lumosai.telemetry._told import may_see
from lumosai.telemetry.measure import metrics_of
from lumosai.telemetry.trace import CLOSING, HANDLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.events import EmbeddingCall, Event
    from lumosai.records import Scope
    from lumosai.storage.base import Storage
    from lumosai.telemetry._span import Content, GrowingSpan
    from lumosai.telemetry.metrics import MetricsCollector
    from lumosai.traces import ExecutionTrace, Recorded

logger = logger_of("lumosai.telemetry")

WAIT_S: Final = 0.03
"""How long spans gather before they are stored: with the transaction they are then at most 50 ms behind."""
_TIDY_S: Final = 60.0
_AGAIN_S: Final = 1.0
_MOST_AGAIN_S: Final = 60.0
_PAUSED_S: Final = 600.0
_LAST_S: Final = 2.0
"""Seconds that what waits has to be stored in when the program ends."""

_STANDING: Final = frozenset({RunStarted, RunPaused, RunResumed})
"""Events that close no span, and yet say how a trace stands."""

_forks = 0
"""How many forks lie between this process and the one that loaded this; asking for the process's id each time costs more."""


def _count_fork() -> None:
    global _forks  # noqa: PLW0603  # of the process
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


_Taken = tuple[LiveRun, list["GrowingSpan"]]
"""A run, and those of its spans that are stored together."""


class Recorder:
    """Records runs of this process.

    Args:
        storage: where to; None keeps nothing, and only tells the collectors.
        content: how much of what was said is kept.
        collectors: are told of each run, tool call and memory operation that ends.
        most: spans that may wait to be stored.

    Attributes:
        dropped: spans that did not fit the queue, since the recorder was made.
        live: runs that go on here, by the root's id.
    """

    def __init__(
        self,
        storage: Storage | None,
        *,
        content: Content = "metadata",
        collectors: Sequence[MetricsCollector] = (),
        most: int = 20_000,
    ) -> None:
        self.dropped = 0
        self.live: dict[str, LiveRun] = {}
        self._storage = storage
        self._content: Content = content
        self._collectors = tuple(collectors)
        self._most = most
        self._queue: deque[LiveRun] = deque()
        self._folding = threading.Lock()
        self._came = self._gone = 0
        self._signalled = False
        self._forks = _forks
        self._task: asyncio.Task[None] | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._wake: asyncio.Event | None = None
        self._storing: asyncio.Lock | None = None
        self._told_dropped = False
        self._tidied = -_TIDY_S
        self._watching = self._ending = False

    @property
    def storage(self) -> Storage | None:
        """Where to, as given."""
        return self._storage

    @property
    def waiting(self) -> int:
        """Spans that wait to be stored, or a few more: each event that ends one counts until it is."""
        return max(0, self._came - self._gone)

    def loops(self) -> set[asyncio.AbstractEventLoop]:
        """The event loops that runs go on in."""
        return {live.loop for live in [*self.live.values()] if live.loop is not None}

    def add(self, event: Event) -> None:
        """Takes a run's next event."""
        kind = type(event)
        if kind not in HANDLED:
            return
        if self._forks != _forks:
            self._forked()
        live = self.live.get(event.root_id) or self.live.get(event.run_id) or self._begun(event)
        if kind is RunResumed:
            live = self._resumed(live, cast("RunResumed", event))
        if kind in CLOSING and self._storage is not None:
            self._came += 1
        if self._collectors and live.whole:
            self._tell(live, event)
        else:
            live.coming.append(event)
        if kind in CLOSING:
            self._put(live, event)
        elif kind in _STANDING:
            self._queue_up(live)

    def embedded(self, call: EmbeddingCall, trace_id: str, scope: Scope) -> None:
        """Takes an embedding call of no run."""
        if self._forks != _forks:
            self._forked()
        alone = LoneSpan(call, trace_id, scope, self._content)
        for collector in self._collectors:
            told = getattr(collector, "record_step", None)
            if told is not None:
                told(alone.step, "")
        if self._storage is None:
            return
        if self._came - self._gone >= self._most:
            self._lost(1)
        else:
            self._came += 1
            self._queue_up(alone)

    def earlier(self, events: Sequence[Event], run_id: str) -> None:
        """Takes what a run had said in other processes, which have told of the spans that ended there, where no storage has it."""
        mine = [e for e in events if run_id in (e.run_id, e.root_id)]
        if mine and mine[0].root_id != run_id and mine[0].root_id in self.live:
            return  # its root's trace has it
        for place, event in enumerate(mine):
            if type(event) is RunStarted and event.run_id == run_id:
                live = LiveRun(event, self._content)
                live.coming = mine[place:]
                live.fold_all()
                live.fold.closed = []
                live.epoch = max([e.epoch for e in mine if type(e) is RunResumed and e.run_id == run_id], default=1)
                live.loop = _loop_here()
                self.live[run_id] = live
                return

    def _resumed(self, live: LiveRun, event: RunResumed) -> LiveRun:
        """A run goes on: what is known here of one that others had in the meantime is not all of it."""
        if event.run_id != live.run_id:
            return live
        if event.epoch > live.epoch + 1:
            live = self._begun(event)
        live.epoch = event.epoch
        return live

    def _begun(self, event: Event) -> LiveRun:
        live = LiveRun(event, self._content)
        self.live[live.run_id] = live
        live.loop = _loop_here()
        return live

    def _put(self, live: LiveRun, event: Event) -> None:
        """An event has come that closes a span: it is to be stored, unless more waits than may."""
        if type(event) in TERMINAL and event.run_id == live.run_id:
            self.live.pop(live.run_id, None)
        if self._came - self._gone > self._most:
            self._drop(live, event)
        self._queue_up(live)

    def _queue_up(self, live: LiveRun) -> None:
        if live.queued or self._storage is None or len(self._queue) >= self._most:
            return
        live.queued = True
        self._queue.append(live)
        if not self._signalled:
            self._signal()

    def trace(self, run_id: str, scope: Scope) -> ExecutionTrace | None:
        """The trace of a run that goes on here, so far; None where there is none that the scope sees, or it began elsewhere."""
        live = self.live.get(run_id)
        if live is None or not live.whole:
            return None
        with self._folding:
            live.fold_all()
            return live.fold.trace() if may_see(scope, live.scope) else None

    def _tell(self, live: LiveRun, event: Event) -> None:
        """Folds an event at once, and tells the collectors of what it closed."""
        with self._folding:
            new = self._fold(live, event, drop=self._came - self._gone > self._most)
            if self._storage is None:
                live.fold.closed = []
        for span in new:
            self._tell_of(live, span)

    def _drop(self, live: LiveRun, event: Event) -> None:
        """Folds what came of a run, and leaves out what this last event closes: more waits than may."""
        with self._folding:
            if not live.whole or not live.coming or live.coming[-1] is not event:  # it is folded already
                return
            del live.coming[-1]
            live.fold_all()
            self._fold(live, event, drop=True)

    def _fold(self, live: LiveRun, event: Event, *, drop: bool) -> list[GrowingSpan]:
        """Folds an event; the spans that it closes, which are not stored where they are dropped."""
        closed = live.fold.closed
        kept = len(closed)
        live.fold.add(event)
        new = closed[kept:]
        if new and drop:
            del closed[kept:]
            live.dropped += len(new)
            self._gone += 1
            self._lost(len(new))
        return new

    def _lost(self, count: int) -> None:
        """So many spans are not stored: more wait than may."""
        self.dropped += count
        if not self._told_dropped:
            self._told_dropped = True
            logger.warning(
                "telemetry drops spans: %d wait to be stored, more than it takes; traces say how many they miss",
                self._most,
            )

    def _tell_of(self, live: LiveRun, span: GrowingSpan) -> None:
        fold, step = live.fold, span.step
        for collector in self._collectors:
            told = getattr(collector, "record_step", None)
            if told is not None:
                told(step, fold.version_of(step.run_id))
            elif step.kind == "run":
                collector.record_agent_execution(metrics_of(step, fold.inside(step.run_id)))
            elif step.kind == "tool_call":
                collector.record_tool_execution(step.name, step.duration_ms or 0.0, step.error_type, step.agent)
            elif step.kind == "memory":
                collector.record_memory_operation(step.name, step.duration_ms or 0.0)

    def _signal(self) -> None:
        """Has the background loop know that there is something to store."""
        self._signalled = True
        if not self._watching:
            self._watching = True
            at_end(self._at_exit)
        if self._task is None:  # the first time, what it takes to start may take milliseconds
            threading.Thread(target=self._start, name="lumosai-telemetry-start", daemon=True).start()
        else:
            background_loop().call_soon_threadsafe(self._ring)

    def _start(self) -> None:
        with contextlib.suppress(RuntimeError):  # the program is ending: what waits is stored by `_at_exit`
            background_loop().call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        """On the background loop: there is something to store."""
        if self._wake is None or self._task is None or self._task.done():
            self._wake, self._storing = asyncio.Event(), asyncio.Lock()
            self._task = asyncio.get_running_loop().create_task(
                self._work(), name="lumosai telemetry", context=Context()
            )  # it is no run's
            resources.watch(self)
        self._wake.set()

    async def _work(self) -> None:
        wake = self._wake
        again_s = _AGAIN_S
        while wake is not None:
            await wake.wait()
            wake.clear()
            await asyncio.sleep(WAIT_S)
            try:
                await self.store()
                again_s = _AGAIN_S
                self._tidy_beside()
            except StorageError as error:
                logger.warning("telemetry is not stored yet, and will be tried again in %g s: %s", again_s, error)
                await asyncio.sleep(again_s)
                again_s = min(again_s * 2, _MOST_AGAIN_S)
                wake.set()

    async def flush(self) -> None:
        """Waits until all that has ended is stored.

        Raises:
            StorageError: it cannot be.
        """
        if self._storage is None or self._forks != _forks or not (self._queue or self._storing):
            return
        loop = background_loop()
        if asyncio.get_running_loop() is loop:
            await self.store()
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._flush(), loop))

    async def _flush(self) -> None:
        self._ring()
        await self.store()

    async def store(self) -> None:
        """On the background loop: stores what waits."""
        storing = self._storing
        if storing is None or self._storage is None:
            return
        async with storing:
            self._signalled = False
            left = len(self._queue)  # what comes meanwhile gathers for the next time
            while left > 0:
                came = self._came
                taken, left = self._take(left)
                try:
                    await self._store(taken)
                except ConflictError:  # another process has made a trace of stored events: only what it lacks is added
                    left += self._back(taken)
                except BaseException:  # whether they were stored may not be known
                    self._back(taken)
                    raise
                else:
                    self._gone = came if not self._queue else self._gone + sum([len(spans) for _, spans in taken])

    def _take(self, left: int) -> tuple[list[_Taken], int]:
        """Some of the first runs that wait, each once, with spans that ended, as many as one transaction stores.

        Args:
            left: of so many runs; how many of them are left is told with those that are taken.
        """
        taken: dict[int, _Taken] = {}
        room = AT_ONCE
        while left > 0 and room > 0:
            live = self._queue.popleft()
            live.queued = False
            left -= 1
            spans = self._closed(live, room) if live.whole else []
            if live.fold.closed and not live.queued:
                live.queued = True
                self._queue.appendleft(live)
                left += 1
            taken.setdefault(id(live), (live, []))[1].extend(spans)
            room -= len(spans) or 1
        return [*taken.values()], left

    def _closed(self, live: LiveRun, most: int | None = None) -> list[GrowingSpan]:
        """Folds what came of a run, and takes spans that ended, at most so many."""
        with self._folding:
            live.fold_all()
            closed = live.fold.closed
            live.fold.closed = closed[most:] if most is not None else []
            return closed[:most]

    def _back(self, taken: Sequence[_Taken]) -> int:
        """These wait again, before all others; whether they are stored is looked up before they are. How many runs it are."""
        count = 0
        for live, spans in reversed(taken):
            live.unsure = True
            with self._folding:
                live.fold.closed = [*spans, *live.fold.closed]
            if not live.queued:
                live.queued = True
                self._queue.appendleft(live)
                count += 1
        return count

    async def _store(self, taken: Sequence[_Taken]) -> None:
        storage = self._storage
        if storage is None:
            return
        batch: list[Recorded] = []
        sums = Sums()
        for live, spans in taken:
            if not live.whole:
                await self._catch_up(storage, live)
                if live.fold.started is not None:
                    spans.extend(self._closed(live))
            if live.begun:
                new, known = await told_apart(storage, live, spans) if live.unsure else (spans, [])
                batch.append(live.recorded(new, sums, known=known))
        if batch:
            await storage.telemetry.record(with_sums(batch, sums))
        for live, _ in taken:
            live.stored()

    async def _catch_up(self, storage: Storage, live: LiveRun) -> None:
        """Folds the stored events of a run that another process began."""
        if live.fold.started is not None:
            return
        scope = await storage.telemetry.scope_of(live.run_id)
        if scope is None:
            if not live.told:
                live.told = True
                logger.warning(
                    "run %s began in another process and its events are not stored here: it has no trace",
                    live.run_id,
                )
            live.coming.clear()
            return
        for event in await stored_events(storage, scope, live.run_id):
            if event.seq < live.first:
                live.fold.add(event)
        live.unsure = True

    def _tidy_beside(self) -> None:
        """Tidies now and then, in a task of its own: spans are stored meanwhile."""
        storage = self._storage
        if storage is None or self._ending or time.monotonic() - self._tidied < _TIDY_S:
            return
        if not getattr(storage, "opened", True):  # it was closed when all was stored, and is not opened again for this
            return
        if self._tidying is None or self._tidying.done():
            self._tidied = time.monotonic()
            self._tidying = asyncio.get_running_loop().create_task(
                self._tidy(storage), name="lumosai telemetry, tidying", context=Context()
            )

    async def _tidy(self, storage: Storage) -> None:
        """Completes traces that other processes could not; puts sums together."""
        try:
            for scope, run_id in await storage.telemetry.unfinished():
                await rebuild(storage, scope, run_id, content=self._content)
            await self._forget(storage)
            while await storage.telemetry.put_together():  # noqa: ASYNC110  # nothing tells of an end of it
                await asyncio.sleep(WAIT_S)  # others may write meanwhile
        except StorageError as error:
            logger.info("telemetry is not put together now, and will be later: %s", error)

    async def _forget(self, storage: Storage) -> None:
        """Lets go of kept runs that have waited long: they may end elsewhere, and one that goes on here is read again."""
        before = time.time() - _PAUSED_S
        for live in [*self.live.values()]:
            waits = live.fold.status == "paused" and live.fold.last_at < before and not (live.queued or live.coming)
            if waits and await storage.telemetry.scope_of(live.run_id) is not None:
                self.live.pop(live.run_id, None)

    def _forked(self) -> None:
        """In a forked child: what waits is the parent's to store."""
        self._forks = _forks
        self._queue = deque()
        self._folding = threading.Lock()
        self._gone = self._came
        self.live = {}
        self._signalled = False
        self._task = self._tidying = self._wake = self._storing = None

    def _at_exit(self) -> None:
        self._ending = True  # nothing is tidied any more
        storing = self._storing
        if self._forks != _forks or not (self._queue or (storing is not None and storing.locked())):
            return
        with contextlib.suppress(Exception):
            try:
                loop = background_loop()
            except RuntimeError:  # it was too late to start that
                asyncio.run(asyncio.wait_for(self._flush(), _LAST_S))
            else:
                asyncio.run_coroutine_threadsafe(self._flush(), loop).result(_LAST_S)

    async def close(self) -> None:
        """Stores what waits, and works no more until something comes again."""
        try:
            await self.flush()
        finally:  # what could not be stored waits for the next event
            await self._stop()

    async def _stop(self) -> None:
        """Works no more."""
        task, self._task = self._task, None
        if self._tidying is not None and not self._tidying.done():
            self._tidying.get_loop().call_soon_threadsafe(self._tidying.cancel)
        if task is not None and not task.done():
            await self._leave(task.get_loop())
            task.get_loop().call_soon_threadsafe(task.cancel)
        forget(self._at_exit)
        self._watching = False

    async def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """What the process uses is not looked at any more for this one's sake."""
        if asyncio.get_running_loop() is loop:
            await resources.leave(self)
        elif loop.is_running():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(resources.leave(self), loop))


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
