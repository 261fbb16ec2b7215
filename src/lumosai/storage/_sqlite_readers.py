"""The threads that read an SQLite file: as many as are needed at once, up to a few, each at rest until it is called.

An executor makes a future with a lock of its own for every call and counts who is idle by another; a read of some rows
takes no longer than that.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Readers:
    """Threads that do short jobs, which raise nothing.

    Args:
        size: how many there are, at the most.
        name: their name.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._lock = threading.Lock()
        self._jobs: deque[Callable[[], None]] = deque()
        self._resting: list[threading.Lock] = []  # bells, held while nobody rang; the last to rest is called first
        self._threads: list[threading.Thread] = []
        self._ended = False

    def submit(self, job: Callable[[], None]) -> None:
        """Has a job done. Where no thread can be started, as in a program that ends, the caller does it.

        Raises:
            RuntimeError: they have ended.
        """
        with self._lock:
            if self._ended:
                raise RuntimeError("the reading threads have ended")
            self._jobs.append(job)
            if self._resting:
                self._resting.pop().release()
                return
            if len(self._threads) >= self._size:
                return
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError:  # the system has none left: those that there are come to the job
            with self._lock:
                self._threads.remove(thread)
                if self._threads or job not in self._jobs:
                    return
                self._jobs.remove(job)
            job()

    def drop(self, job: Callable[[], None]) -> None:
        """Takes a job back that is not begun."""
        with self._lock:
            if job in self._jobs:
                self._jobs.remove(job)

    def end(self) -> None:
        """Does what waits, and ends the threads. Blocks until they have."""
        with self._lock:
            self._ended = True
            resting, self._resting = self._resting, []
        for bell in resting:
            bell.release()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        bell = threading.Lock()
        bell.acquire()
        while True:
            with self._lock:
                job = self._jobs.popleft() if self._jobs else None
                if job is None:
                    if self._ended:
                        return
                    self._resting.append(bell)
            if job is None:
                bell.acquire()
            else:
                job()
                del job  # a thread at rest holds nobody's objects
