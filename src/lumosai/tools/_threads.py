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
import queue
import threading
from typing import TYPE_CHECKING, Any

from lumosai.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 32
"""Jobs that run at once in a process."""

MOST_HUNG = 96
"""Abandoned jobs that may still run."""

IDLE_S = 30.0
"""Seconds after which a thread without work ends."""


class Job:
    """One call in a thread.

    Attributes:
        future: resolves in the loop to `(True, value)` or `(False, exception)`, or to None where the time ran out.
        started: whether a thread has taken it.
        abandoned: whether nobody wants its result any more.
    """

    __slots__ = ("_call", "_context", "_loop", "_told", "abandoned", "done", "future", "hung", "started")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[tuple[bool, Any] | None] = self._loop.create_future()
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
            with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime: nobody waits
                self._loop.call_soon_threadsafe(self._tell, told)

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
        self.future = self._loop.create_future()
        timer = self._loop.call_later(grace_s, self.expire)
        try:
            return await self.future
        except asyncio.CancelledError:  # cancelled again: no more grace, and the first cancel is on its way already
            return None
        finally:
            timer.cancel()

    def _tell(self, told: tuple[bool, Any]) -> None:
        self._told = told
        if not self.future.done():
            self.future.set_result(told)


class Pool:
    """A bounded pool of daemon threads that grows as it is used. Safe from any thread and any event loop.

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
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._free = 0  # threads without a job less jobs without a thread

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
            self._free -= 1
            grow = self._may_grow()
        self._jobs.put(job)
        if grow:
            self._start()
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
            grow = self._may_grow()
        if grow:
            self._start()

    def _may_grow(self) -> bool:
        """Whether a thread is missing and allowed; then it is counted at once. With the lock held."""
        if self._free >= 0 or self.threads - self.hung >= self.size:
            return False
        self._free += 1
        self.threads += 1
        return True

    def _start(self) -> None:
        threading.Thread(target=self._work, name="lumosai-tool", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._idle_s)
            except queue.Empty:
                if self._leaves():
                    return
                continue
            with self._lock:
                job.started = True
            told = None if job.abandoned else job.run()
            leaves = self._ended(job)  # booked before it is told, so that whoever hears of it finds this thread free
            if told is not None:
                job.tell(told)
            if leaves:
                return
            del job, told  # a thread at rest holds nobody's objects

    def _leaves(self) -> bool:
        """Whether a thread at rest may end: none of the waiting jobs is meant for it."""
        with self._lock:
            if self._free <= 0:
                return False
            self._free -= 1
            self.threads -= 1
            return True

    def _ended(self, job: Job) -> bool:
        """Book a job's end; whether its thread has been replaced and ends too."""
        with self._lock:
            job.done = True
            self.hung -= job.hung
            if self.threads - self.hung > self.size:
                self.threads -= 1
                return True
            self._free += 1
            return False


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
