"""What a process uses while runs are recorded in it: CPU, memory, the lag of its event loops, queues, files, threads.

It is looked at every few seconds by the background loop, as long as runs go on, and summed up by the minute like any
other measurement, whichever processes it comes from. What a system does not tell is not measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakSet

import msgspec

from lumosai._loggers import logger_of
from lumosai.errors import LumosaiError
from lumosai.records import Scope
from lumosai.rollups import Cell, Series
from lumosai.traces import Counted

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from lumosai.storage.base import Storage

logger = logger_of("lumosai.telemetry")

LOOK_S: Final = 5.0
"""Seconds between two looks."""
STORE_S: Final = 15.0
"""How long what was seen gathers before it is stored."""
RESOURCES: Final = ("cpu_percent", "rss_mib", "loop_lag_ms", "queued_spans", "queued_writes", "open_files", "threads")
"""What is looked at.

`cpu_percent` is of one core, of the time since the last look; `rss_mib` resident memory; `loop_lag_ms` how long a callback
waits in an event loop that runs go on in; `queued_spans` spans that wait to be stored, `queued_writes` what
waits for a transaction: operations for an SQLite file's writer, batches of events for PostgreSQL.
"""
_LEAST_S: Final = 0.02
_MIB: Final = 1 << 20
_PROC: Final = "/proc/self"


class ResourceUse(msgspec.Struct, frozen=True):
    """What was seen of one resource in a window.

    Attributes:
        count: how often it was looked at.
        mean: exactly; as the others in the unit that its name tells.
        p95: at most 1.1 % off.
        most: exactly.
    """

    count: int
    mean: float
    p95: float
    most: float


def use_of(counted: Iterable[Counted]) -> dict[str, ResourceUse]:
    """What sums of resources say, by name."""
    cells: dict[str, Cell] = {}
    for _, series, cell in counted:
        cells.setdefault(series.name, Cell()).merge(cell)
    return {
        name: ResourceUse(s.count, s.mean or 0.0, s.quantile(0.95) or 0.0, s.greatest)
        for name in RESOURCES
        if name in cells and (s := cells[name].duration)
    }


class Watched(Protocol):
    """What is recorded, as the monitor sees it."""

    @property
    def storage(self) -> Storage | None: ...

    @property
    def waiting(self) -> int:
        """Spans that wait to be stored."""
        ...

    def loops(self) -> set[asyncio.AbstractEventLoop]:
        """Those that runs go on in."""
        ...


class Monitor:
    """Looks at the process for all that is recorded into one database. Lives on the background loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._watched: WeakSet[Any] = WeakSet()
        self._lags: deque[float] = deque(maxlen=10_000)
        self._cells: dict[tuple[int, Series], Cell] = {}
        self._stored = time.monotonic()
        self._cpu: tuple[float, float] | None = None
        self._task = self.loop.create_task(self._work(), name="lumosai resources", context=Context())

    @property
    def done(self) -> bool:
        """Whether it looks no more."""
        return self._task.done()

    def watch(self, watched: Watched) -> None:
        """Looks for this one too."""
        self._watched.add(watched)

    async def leave(self, watched: Watched) -> bool:
        """Stores what was seen, into this one's database, and looks for it no more; whether it was the last one."""
        if watched.storage is not None:
            await self._store(watched.storage)
        self._watched.discard(watched)
        if self._watched:
            return False
        self._task.cancel()
        return True

    async def _work(self) -> None:
        while True:
            loops = {loop for watched in [*self._watched] for loop in watched.loops()}
            if loops:
                self._look(loops)
                if time.monotonic() - self._stored >= STORE_S:
                    await self._store(next((w.storage for w in [*self._watched]), None))
            elif not self._watched:  # nobody said so, but they are gone
                return
            else:
                self._cpu = None
            await asyncio.sleep(LOOK_S)

    def _look(self, loops: Iterable[asyncio.AbstractEventLoop]) -> None:
        seen: dict[str, float | None] = {
            "cpu_percent": self._cpu_percent(),
            "rss_mib": rss_mib(),
            "queued_spans": sum(w.waiting for w in [*self._watched]),
            "queued_writes": next((getattr(w.storage, "writes_waiting", None) for w in [*self._watched]), None),
            "open_files": open_files(),
            "threads": threading.active_count(),
        }
        for name, value in seen.items():
            if value is not None:
                self._add(name, value)
        while self._lags:
            self._add("loop_lag_ms", self._lags.popleft())
        for loop in loops:
            began = time.perf_counter()
            with contextlib.suppress(RuntimeError):  # it was closed meanwhile
                loop.call_soon_threadsafe(self._come, began)

    def _come(self, began: float) -> None:
        """In the loop that was asked at `began`."""
        self._lags.append((time.perf_counter() - began) * 1e3)

    def _add(self, name: str, value: float) -> None:
        place = (int(time.time() // 60 * 60), Series("resource", "", name, ""))
        cell = self._cells.get(place)
        if cell is None:
            cell = self._cells[place] = Cell()
        cell.duration.add(value)

    def _cpu_percent(self) -> float | None:
        """Of one core since the last look; None where there was none."""
        now, before = (time.monotonic(), time.process_time()), self._cpu
        self._cpu = now
        if before is None or now[0] - before[0] < _LEAST_S:
            return None
        return (now[1] - before[1]) / (now[0] - before[0]) * 100

    async def _store(self, storage: Storage | None) -> None:
        self._stored = time.monotonic()
        while self._lags:
            self._add("loop_lag_ms", self._lags.popleft())
        cells, self._cells = self._cells, {}
        if storage is None or not cells or not getattr(storage, "opened", True):  # nor is it opened again for this
            return
        counted = [Counted(at, series, cell) for (at, series), cell in cells.items()]
        try:
            await storage.telemetry.count(Scope(), counted)
        except LumosaiError as error:  # what a process used a while ago is not worth to be tried again
            logger.debug("what the process uses is not stored: %s", error)


_monitors: Final[dict[Hashable, Monitor]] = {}
"""By what is recorded into. Touched on the background loop alone."""


def watch(watched: Watched) -> None:
    """On the background loop: what the process uses is measured as long as this one has runs that go on."""
    if watched.storage is None:
        return
    monitor = _monitors.get(watched.storage.identity)
    if monitor is None or monitor.done or monitor.loop is not asyncio.get_running_loop():
        monitor = _monitors[watched.storage.identity] = Monitor()
    monitor.watch(watched)


async def leave(watched: Watched) -> None:
    """On the background loop: this one is done."""
    identity = watched.storage.identity if watched.storage is not None else None
    monitor = _monitors.get(identity)
    if monitor is None or monitor.loop is not asyncio.get_running_loop():
        return
    if await monitor.leave(watched) and _monitors.get(identity) is monitor:
        del _monitors[identity]


def rss_mib() -> float | None:
    """Resident memory in MiB; None where the system does not tell."""
    try:
        with open(f"{_PROC}/statm", "rb", buffering=0) as file:  # noqa: PTH123  # a Path costs ten times as much
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MIB
    except (OSError, ValueError, IndexError):
        return None


def open_files() -> int | None:
    """Open files and sockets; None where the system does not tell."""
    try:
        return len(os.listdir(f"{_PROC}/fd")) - 1  # noqa: PTH208  # likewise; the one is this listing's
    except OSError:
        return None


def shown(use: Mapping[str, ResourceUse]) -> list[str]:
    """What a person is told of it, a few words each."""
    words = {
        "cpu_percent": ("cpu", "mean", "%"),
        "rss_mib": ("memory", "most", " MiB"),
        "loop_lag_ms": ("loop lag p95", "p95", " ms"),
        "queued_spans": ("spans waiting", "most", ""),
        "queued_writes": ("writes waiting", "most", ""),
        "open_files": ("files", "most", ""),
        "threads": ("threads", "most", ""),
    }
    return [f"{word} {getattr(use[n], which):.3g}{unit}" for n, (word, which, unit) in words.items() if n in use]
