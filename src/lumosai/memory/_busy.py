"""One run at a time on a branch: whoever comes while one is at work waits its turn, in order."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from lumosai.errors import ThreadBusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_all: Final[dict[Hashable, _Line]] = {}
_guard = threading.Lock()


class _Line:
    """Who is at work on a branch, and who waits."""

    __slots__ = ("at_work", "waiting")

    def __init__(self, at_work: Place) -> None:
        self.at_work = at_work
        self.waiting: deque[Place] = deque()


class Place:
    """A run's place on a branch."""

    __slots__ = ("_future", "_interrupt", "_key", "_loop")

    def __init__(self, key: Hashable, interrupt: Callable[[str], None]) -> None:
        self._key = key
        self._interrupt = interrupt
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_gone(self) -> bool:
        """Whether its event loop was closed, and the run with it, which then could not leave."""
        return self._loop.is_closed()

    def leave(self) -> None:
        """Lets the next one in, or gives up waiting. Doing it twice does nothing more."""
        with _guard:
            line = _all.get(self._key)
            if line is None:
                return
            if line.at_work is not self:
                if self in line.waiting:
                    line.waiting.remove(self)
                return
            while line.waiting:
                line.at_work = following = line.waiting.popleft()
                try:
                    following._loop.call_soon_threadsafe(following._let_in)  # noqa: SLF001  # of this class
                except RuntimeError:  # its event loop is gone, and it with it
                    continue
                return
            del _all[self._key]

    def interrupt(self, reason: str) -> None:
        """Ends the run at this place, from whichever thread."""
        self._loop.call_soon_threadsafe(self._interrupt, reason)

    def _let_in(self) -> None:
        if self._future.done():  # it gave up in the same moment
            self.leave()
        else:
            self._future.set_result(None)

    async def wait(self, timeout_s: float | None) -> None:
        """Waits until it is this one's turn."""
        async with asyncio.timeout(timeout_s):
            await self._future


async def enter(
    key: Hashable,
    what: str,
    interrupt: Callable[[str], None],
    *,
    if_busy: Literal["queue", "reject", "interrupt"],
    timeout_s: float | None,
) -> Place:
    """A place on a branch, once no other run is at work there.

    Args:
        key: the branch.
        what: as an error names it.
        interrupt: ends the run, where a later one is to take its place.
        if_busy: waits, refuses, or ends the run that is at work and then waits.
        timeout_s: how long it waits.

    Raises:
        ThreadBusyError: another run is at work, and it does not wait, or waited in vain.
    """
    place = Place(key, interrupt)
    with _guard:
        line = _all.get(key)
        if line is None or line.at_work.is_gone:
            waiting = line.waiting if line is not None else ()
            line = _all[key] = _Line(place)
            line.waiting.extend(waiting)
            return place
        if if_busy == "reject":
            raise ThreadBusyError(f"another run is at work on {what}: wait for it, or use if_busy='queue'")
        line.waiting.append(place)
        before = line.at_work
    if if_busy == "interrupt":
        before.interrupt(f"another run takes its place on {what}")
    try:
        await place.wait(timeout_s)
    except TimeoutError:
        place.leave()
        raise ThreadBusyError(
            f"waited {timeout_s:g} s for another run that is at work on {what}: raise busy_timeout_s, or interrupt it"
        ) from None
    except BaseException:
        place.leave()
        raise
    return place


def _forget() -> None:
    """In a forked child: the parent's runs are not here, and none of them would ever leave."""
    global _guard  # noqa: PLW0603  # another thread of the parent may have held it
    _guard = threading.Lock()
    _all.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
