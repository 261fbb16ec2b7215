"""Event loops woken from other threads, as `call_soon_threadsafe` does it, with less handing over of the interpreter.

A loop that is woken by that makes the call first and then looks twice into its own pipe, for which it lets go of the
interpreter each time; and what it has just called has often given the next job to the very thread that told it, which
takes the interpreter then. Here it looks once, before it makes the calls; and those that come together wake it once.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary, ref

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Self

_RINGS: Final = 64
"""More than a bell is rung before it is heard."""


class Bell:
    """Wakes an event loop from a thread, as `call_soon_threadsafe` does, at half its cost: nothing is made to be called.

    Args:
        heard, pulled: the ends of a pipe, which are its own from now on.
    """

    __slots__ = ("_heard", "_pulled")

    def __init__(self, heard: int, pulled: int) -> None:
        self._heard = heard
        self._pulled = pulled

    @classmethod
    def hung(cls, loop: asyncio.AbstractEventLoop, answer: Callable[[], None]) -> Self | None:
        """One that `answer` is called for in the loop, None where the loop cannot listen to it or the system has none left."""
        if sys.platform == "win32":  # whose loops watch sockets at most
            return None
        try:
            ends = os.pipe()
        except OSError:
            return None
        made = cls(*ends)
        try:
            for end in ends:
                os.set_blocking(end, False)
            loop.add_reader(ends[0], answer)
        except (NotImplementedError, OSError):
            return None
        return made

    def ring(self) -> None:
        """In any thread."""
        os.write(self._pulled, b"\0")

    def quiet(self) -> None:
        """In the loop: it was heard."""
        os.read(self._heard, _RINGS)

    def __del__(self, _close: Callable[[int], None] = os.close) -> None:  # which is there to the end of the interpreter
        _close(self._heard)
        _close(self._pulled)


class Waker:
    """Calls into one event loop. Use `waker`. Lives, as its bell does, as long as the loop is open or who calls needs it."""

    __slots__ = ("__weakref__", "_bell", "_calls", "_loop", "_rung")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._rung = False
        self._bell = Bell.hung(loop, self._look)

    def is_of(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it is this loop's, and not one's that lay in the same place."""
        return self._loop() is loop

    def call(self, loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> None:
        """Has the loop, whose waker this is, call something soon. From any thread.

        Raises:
            RuntimeError: the loop is closed.
        """
        if self._bell is None:
            loop.call_soon_threadsafe(callback, *args)
            return
        if loop.is_closed():
            raise RuntimeError("Event loop is closed")
        self._calls.append((callback, args))
        if not self._rung:  # else the loop has yet to look, and will find this, too
            self._rung = True
            self._bell.ring()

    def _look(self) -> None:
        """Somebody rang. In the loop."""
        if self._bell is not None:
            self._bell.quiet()
        self._rung = False
        self._make()

    def _make(self) -> None:
        """Makes the calls that were asked for; whatever one raises, the others are made."""
        calls = self._calls
        while calls:
            callback, args = calls.popleft()
            try:
                callback(*args)
            except Exception as error:  # noqa: BLE001  # as an event loop does with a callback that fails
                loop = self._loop()
                if loop is not None:
                    loop.call_exception_handler({"message": f"a call of {callback!r} failed", "exception": error})
            except BaseException:  # which ends the loop; should it be run again, it goes on
                loop = self._loop()
                if calls and loop is not None:
                    loop.call_soon(self._make)
                raise


_all: Final[WeakValueDictionary[int, Waker]] = WeakValueDictionary()
"""By the event loop's identity."""


def waker(loop: asyncio.AbstractEventLoop) -> Waker:
    """An event loop's. In its own thread."""
    found = _all.get(id(loop))
    if found is None or not found.is_of(loop):
        found = _all[id(loop)] = Waker(loop)
    return found
