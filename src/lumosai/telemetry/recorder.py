"""The recorder: folds the events of live runs, and has what ends stored, a few milliseconds later and from elsewhere.

Events are folded where they happen, which takes microseconds. Spans that ended wait in a bounded queue; a task on the
background loop stores them in small transactions, at most 50 ms after the first of them came. What does not fit the queue
is dropped, counted, and shown by its trace. A run that another process began is folded from its stored events first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Final

from lumosai._background import at_end, background_loop, forget
from lumosai.errors import ConflictError, StorageError
from lumosai.events import TERMINAL, RunPaused, RunResumed, RunStarted
from lumosai.telemetry import resources
from lumosai.telemetry._live import LiveRun
from lumosai.telemetry._lone import LoneSpan
from lumosai.telemetry._rebuild import AT_ONCE, rebuild, stored_events, told_apart, with_sums
from lumosai.telemetry.measure import metrics_of
from lumosai.telemetry.trace import HANDLED
from lumosai.traces import Numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.events import EmbeddingCall, Event
    from lumosai.records import Scope
    from lumosai.rollups import Cell, Series
    from lumosai.storage.base import Storage
    from lumosai.telemetry.metrics import MetricsCollector
    from lumosai.telemetry.trace import Content, TraceFold
    from lumosai.traces import Recorded, TraceStep

logger = logging.getLogger("lumosai.telemetry")

WAIT_S: Final = 0.05
"""How long spans gather before they are stored."""
_TIDY_S: Final = 60.0
_AGAIN_S: Final = 1.0
_MOST_AGAIN_S: Final = 60.0
_LAST_S: Final = 2.0
"""Seconds that what waits has to be stored in when the program ends."""

_forks = 0
"""How many forks lie between this process and the one that loaded this; asking for the process's id each time costs more."""


def _count_fork() -> None:
    global _forks  # noqa: PLW0603  # of the process
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


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
        self._queue: deque[tuple[LiveRun, Numbered | None]] = deque()
        self._signalled = False
        self._forks = _forks
        self._task: asyncio.Task[None] | None = None
        self._wake: asyncio.Event | None = None
        self._storing: asyncio.Lock | None = None
        self._told_dropped = False
        self._tidied = 0.0
        self._watching = self._ending = False

    @property
    def storage(self) -> Storage | None:
        """Where to, as given."""
        return self._storage

    @property
    def waiting(self) -> int:
        """Spans that wait to be stored."""
        return len(self._queue)

    def loops(self) -> set[asyncio.AbstractEventLoop]:
        """The event loops that runs go on in."""
        return {live.loop for live in [*self.live.values()] if live.loop is not None}

    def add(self, event: Event) -> None:
        """Takes a run's next event."""
        if type(event) not in HANDLED:
            return
        if self._forks != _forks:
            self._forked()
        live = self.live.get(event.root_id) or self.live.get(event.run_id)
        if live is None:
            live = LiveRun(event, self._content)
            live.loop = _loop_here()
            self.live[live.run_id] = live
        live.add(event)
        if live.late is None:
            self._settle(live, event)
        else:
            self._put(live, None)
        if isinstance(event, TERMINAL) and event.run_id == live.run_id:
            self.live.pop(live.run_id, None)

    def embedded(self, call: EmbeddingCall, trace_id: str, scope: Scope) -> None:
        """Takes an embedding call of no run."""
        if self._forks != _forks:
            self._forked()
        alone = LoneSpan(call, trace_id, scope, self._content)
        for collector in self._collectors:
            told = getattr(collector, "record_step", None)
            if told is not None:
                told(alone.step, "")
        self._put(alone, Numbered(0, -1, alone.step))

    def _settle(self, live: LiveRun, event: Event) -> None:
        """Passes on what an event closed."""
        fold = live.fold
        if fold.closed:
            closed, fold.closed = fold.closed, []
            for numbered in closed:
                self._put(live, numbered)
                if self._collectors:
                    self._tell(fold, numbered.step)
        elif isinstance(event, RunStarted | RunPaused | RunResumed):
            self._put(live, None)

    def _tell(self, fold: TraceFold, step: TraceStep) -> None:
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

    def _put(self, live: LiveRun, numbered: Numbered | None) -> None:
        if self._storage is None:
            return
        if not self._watching:
            self._watching = True
            at_end(self._at_exit)
        if numbered is not None and len(self._queue) >= self._most:
            live.dropped += 1
            self.dropped += 1
            if not self._told_dropped:
                self._told_dropped = True
                logger.warning(
                    "telemetry drops spans: %d wait to be stored, more than it takes; traces say how many they miss",
                    self._most,
                )
            return
        self._queue.append((live, numbered))
        if not self._signalled:
            self._signalled = True
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
                await self._tidy()
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
            while self._queue:
                taken = [self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))]
                try:
                    await self._store(taken)
                except ConflictError:  # another process has made a trace of stored events: only what it lacks is added
                    self._back(taken)
                except BaseException:  # whether they were stored may not be known
                    self._back(taken)
                    raise

    def _back(self, taken: Sequence[tuple[LiveRun, Numbered | None]]) -> None:
        """These wait again; whether they are stored is looked up before they are."""
        self._queue.extendleft(reversed(taken))
        for live, _ in taken:
            live.unsure = True

    async def _store(self, taken: Sequence[tuple[LiveRun, Numbered | None]]) -> None:
        storage = self._storage
        if storage is None:
            return
        spans: dict[int, tuple[LiveRun, list[Numbered]]] = {}
        for live, numbered in taken:
            mine = spans.setdefault(id(live), (live, []))[1]
            if numbered is not None:
                mine.append(numbered)
        batch: list[Recorded] = []
        cells: dict[str, dict[tuple[int, Series], Cell]] = {}
        for live, mine in spans.values():
            if live.late is not None:
                await self._catch_up(storage, live)
                mine.extend(live.fold.closed)
                live.fold.closed = []
            if live.begun:
                new, known = await told_apart(storage, live, mine) if live.unsure else (mine, [])
                batch.append(live.recorded(new, cells.setdefault(live.scope.tenant, {}), known=known))
        if batch:
            await storage.telemetry.record(with_sums(batch, cells))
        for live, _ in spans.values():
            live.stored()

    async def _catch_up(self, storage: Storage, live: LiveRun) -> None:
        """Folds the stored events of a run that another process began, then those that came here."""
        if live.fold.started is None:
            scope = await storage.telemetry.scope_of(live.run_id)
            if scope is None:
                if not live.told:
                    live.told = True
                    logger.warning(
                        "run %s began in another process and its events are not stored here: it has no trace",
                        live.run_id,
                    )
                live.late = deque()
                return
            for event in await stored_events(storage, scope, live.run_id):
                if event.seq < live.first:
                    live.fold.add(event)
            live.unsure = True
        while live.late:
            live.fold.add(live.late.popleft())

    async def _tidy(self) -> None:
        """At the beginning completes traces that other processes could not; puts sums together, now and then."""
        storage = self._storage
        if storage is None or self._ending or time.monotonic() - self._tidied < _TIDY_S:
            return
        if not getattr(storage, "opened", True):  # it was closed when all was stored, and is not opened again for this
            return
        first, self._tidied = self._tidied == 0.0, time.monotonic()
        if first:
            for scope, run_id in await storage.telemetry.unfinished():
                await rebuild(storage, scope, run_id, content=self._content)
        while await storage.telemetry.put_together():  # noqa: ASYNC110  # nothing tells of an end of it
            await asyncio.sleep(WAIT_S)  # others may write meanwhile

    def _forked(self) -> None:
        """In a forked child: what waits is the parent's to store."""
        self._forks = _forks
        self._queue = deque()
        self.live = {}
        self._signalled = False
        self._task = self._wake = self._storing = None

    def _at_exit(self) -> None:
        self._ending = True  # nothing is tidied any more
        if self._forks != _forks or not self._queue:
            return
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._flush(), background_loop()).result(_LAST_S)

    async def close(self) -> None:
        """Stores what waits, and works no more until something comes again."""
        await self.flush()
        task, self._task = self._task, None
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
