"""The threads that sync tools run in: ours, bounded, daemons, and never lost to a tool that hangs.

asyncio's own executor joins its threads when the loop closes and counts a hung one for ever. Here a job can be abandoned:
its thread no longer counts, another takes its place, and what it returns one day is dropped. A hard cap bounds how many
may hang at once; beyond it a job is refused with that reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary, ref

from lumosai._wake import Bell
from lumosai.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 32
"""Jobs that run at once in a process."""

MOST_HUNG = 96
"""Abandoned jobs that may still run."""

IDLE_S = 30.0
"""Seconds after which a thread without work ends."""


class _Desk:
    """Where one event loop hears of its jobs: those that are done together wake it once, and one timer watches them all.

    Lives as long as its loop is open, or a job needs it.
    """

    __slots__ = ("__weakref__", "_bell", "_called", "_due", "_looks_at", "_timer", "_told", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._told: deque[tuple[Job, tuple[bool, Any]]] = deque()
        self._called = False
        self._bell = Bell.hung(loop, self._look)
        self._due: dict[Job, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = 0.0

    def tell(self, job: Job, told: tuple[bool, Any]) -> None:
        """In a thread: what came of a job."""
        self._told.append((job, told))
        if not self._called:  # else the loop has yet to look, and will find this, too
            self._called = True
            if self._bell is not None:
                self._bell.ring()
                return
            with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime: nobody waits
                self.loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        if self._bell is not None:
            self._bell.quiet()
        self._called = False
        while self._told:
            job, told = self._told.popleft()
            job.take(told)

    def watch(self, job: Job, timeout_s: float) -> None:
        """Has a job expire in so many seconds."""
        due = self._due[job] = self.loop.time() + timeout_s
        if self._timer is None or due < self._looks_at:
            self._look_at(due)

    def unwatch(self, job: Job) -> None:
        """It does not expire any more. The timer stays for the next one: setting it costs more than a look in vain."""
        self._due.pop(job, None)

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at = when
        self._timer = self.loop.call_at(when, _expire, ref(self))

    def expire(self) -> None:
        """The timer is due."""
        self._timer = None
        now = self.loop.time()
        for job in [job for job, due in self._due.items() if due <= now]:
            del self._due[job]
            job.expire()
        if self._due:
            self._look_at(min(self._due.values()))


def _expire(desk: ref[_Desk]) -> None:
    """A desk's timer, which does not keep it: a closed loop's is let go at once."""
    if (made := desk()) is not None:
        made.expire()


_desks: WeakValueDictionary[int, _Desk] = WeakValueDictionary()
"""By the event loop's identity."""


def _desk() -> _Desk:
    """The running event loop's."""
    loop = asyncio.get_running_loop()
    desk = _desks.get(id(loop))
    if desk is None or desk.loop is not loop:
        desk = _desks[id(loop)] = _Desk(loop)
    return desk


class Job:
    """One call in a thread.

    Attributes:
        future: resolves in the loop to `(True, value)` or `(False, exception)`, or to None where the time ran out.
        started: whether a thread has taken it.
        abandoned: whether nobody wants its result any more.
    """

    __slots__ = ("_call", "_context", "_desk", "_told", "abandoned", "done", "future", "hung", "started")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._context = contextvars.copy_context()
        self._desk = _desk()
        self.future: asyncio.Future[tuple[bool, Any] | None] = self._desk.loop.create_future()
        self._told: tuple[bool, Any] | None = None
        self.started = self.abandoned = self.hung = self.done = False

    def run(self) -> tuple[bool, Any]:
        """Call it, in a thread: what `tell` is to tell."""
        try:
            return (True, self._context.run(self._call))
        except BaseException as error:  # noqa: BLE001  # a tool's own, whatever it is: the loop's side decides what it means
            return (False, error)

    def tell(self, told: tuple[bool, Any]) -> None:
        """Tell the loop, from a thread."""
        if not self.abandoned:
            self._desk.tell(self, told)

    def take(self, told: tuple[bool, Any]) -> None:
        """Hear what came of it, in the loop."""
        self._told = told
        if not self.future.done():
            self.future.set_result(told)

    def expire_in(self, timeout_s: float | None) -> None:
        """Has it expire in so many seconds, unless it is told or left before; None is never."""
        if timeout_s is not None:
            self._desk.watch(self, timeout_s)

    def leave(self) -> None:
        """Nobody waits any more."""
        self._desk.unwatch(self)

    def expire(self) -> None:
        """Stop waiting: the time ran out. In the loop."""
        if not self.future.done():
            self.future.set_result(None)

    async def settled(self, grace_s: float) -> tuple[bool, Any] | None:
        """What a job whose waiter was cancelled came to after all; None where it is still not there after `grace_s`."""
        if not self.future.cancelled():
            return self.future.result()
        if self._told is not None:
            return self._told
        self.future = self._desk.loop.create_future()
        self.expire_in(grace_s)
        try:
            return await self.future
        except asyncio.CancelledError:  # cancelled again: no more grace, and the first cancel is on its way already
            return None
        finally:
            self.leave()


class Pool:
    """A bounded pool of daemon threads that grows as it is used. Safe from any thread and any event loop.

    One thread is on its way to the waiting jobs at a time: it takes one and, where there are more, calls the next thread
    before it begins. So quick jobs that come together take few threads, of which each would have to be woken and to wait
    for the interpreter, and jobs that wait for something have a thread each.

    Attributes:
        size: jobs that run at once, abandoned ones not counted.
        most_hung: abandoned jobs that may still run.
        threads: threads alive.
        hung: abandoned jobs that still run.
    """

    def __init__(self, size: int = SIZE, most_hung: int = MOST_HUNG, idle_s: float = IDLE_S) -> None:
        self.size = size
        self.most_hung = most_hung
        self.threads = 0
        self.hung = 0
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._resting: list[threading.Lock] = []  # the bells of threads without a job, the last to rest is called first
        self._coming = False  # whether a thread is on its way to the jobs

    def submit(self, call: Callable[[], Any]) -> Job:
        """Run `call` in a thread, in a copy of this context; it waits its turn where all are busy.

        Raises:
            RunError: too many abandoned jobs still run.
        """
        if self.hung >= self.most_hung:
            raise RunError(
                f"{self.hung} tool calls that were given up still occupy their threads, so no more can be started; let these "
                "tools look at ToolContext.cancelled, or give what they wait for a time-out of its own"
            )
        job = Job(call)
        with self._lock:
            self._jobs.append(job)
            grow = self._call_one()
        if grow and not self._start():
            job.abandoned = True
            raise RunError("the system starts no thread for a tool call, and none of the process's is free to take it")
        return job

    def abandon(self, job: Job) -> None:
        """Give a job up: its result is dropped, and its thread no longer counts."""
        with self._lock:
            if job.done or job.abandoned:
                return
            job.abandoned = True
            if not job.started:
                return  # whichever thread takes it passes it by
            job.hung = True
            self.hung += 1
            grow = self._call_one()
        if grow:
            self._start()

    def _call_one(self) -> bool:
        """Calls a thread to the waiting jobs, if need be; whether it has to be started. With the lock held."""
        if self._coming or not self._jobs:
            return False
        if self._resting:
            self._coming = True
            self._resting.pop().release()
            return False
        if self.threads - self.hung >= self.size:
            return False
        self._coming = True
        self.threads += 1
        return True

    def _start(self) -> bool:
        """Starts a thread that was counted already; whether there is any to take the waiting jobs."""
        try:
            threading.Thread(target=self._work, name="lumosai-tool", daemon=True).start()
        except RuntimeError:  # the system has none left: those that there are come to the jobs one day
            with self._lock:
                self._coming = False
                self.threads -= 1
                return self.threads > self.hung
        return True

    def _work(self) -> None:
        bell = threading.Lock()
        bell.acquire()
        job, grow = self._come(bell)
        while True:
            if grow:
                self._start()
            if job is None:
                if not bell.acquire(timeout=self._idle_s):
                    if self._leaves(bell):
                        return
                    bell.acquire()  # it was called in the last moment
                job, grow = self._come(bell)
                continue
            told = job.run()
            # Booked before it is told, so that whoever hears of it finds this thread free.
            done, (job, grow, leaves) = job, self._next(job, bell)
            done.tell(told)
            if leaves:
                return
            del done, told  # a thread at rest holds nobody's objects

    def _come(self, bell: threading.Lock) -> tuple[Job | None, bool]:
        """A thread that was called takes a job, or rests again; whether another one has to be started for those left."""
        with self._lock:
            self._coming = False
            return self._take(bell), self._call_one()

    def _next(self, job: Job, bell: threading.Lock) -> tuple[Job | None, bool, bool]:
        """Books a job's end; the thread's next one, as `_come`, and whether it has been replaced and ends instead."""
        with self._lock:
            job.done = True
            self.hung -= job.hung
            if self.threads - self.hung > self.size:
                self.threads -= 1
                return None, False, True
            return self._take(bell), self._call_one(), False

    def _take(self, bell: threading.Lock) -> Job | None:
        """The next job that anybody wants; where there is none, the thread rests. With the lock held."""
        while self._jobs:
            job = self._jobs.popleft()
            job.started = True
            if not job.abandoned:
                return job
        self._resting.append(bell)
        return None

    def _leaves(self, bell: threading.Lock) -> bool:
        """Whether a thread at rest may end: nobody has called it in the meantime."""
        with self._lock:
            if bell not in self._resting:
                return False
            self._resting.remove(bell)
            self.threads -= 1
            return True


_pool: Pool | None = None


def pool() -> Pool:
    """This process's pool."""
    global _pool  # noqa: PLW0603  # one a process, made on first use
    if _pool is None:
        _pool = Pool()
    return _pool


def _forget() -> None:
    global _pool  # noqa: PLW0603  # a forked child has none of its parent's threads
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
