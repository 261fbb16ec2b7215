"""The client's end of a connection, whose read time-out costs no timer for each read.

The client's own takes a timer back and sets the next at each read, which is a good part of what a short exchange costs.
Here the time is noted by which something has to come, and a timer a connection looks, when it is due, how that stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp.client_proto import ResponseHandler

from lumosai._http.receiving import Receiver

if TYPE_CHECKING:
    import asyncio

_REPLACED: Final = ("_reschedule_timeout", "_drop_timeout", "_on_read_timeout")
"""What of the client's own is replaced or used here, and not promised to stay."""


class Listener(Receiver):
    """A connection that is given up once nothing has come for as long as its answer's reader waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._due: float | None = None
        self._look: asyncio.TimerHandle | None = None
        self._looks_at = 0.0

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing more comes, and nobody waits."""
        super().connection_lost(exc)
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _reschedule_timeout(self) -> None:
        """Something came, or is awaited from now on."""
        timeout_s = self._read_timeout
        if not timeout_s:
            self._due = None
            return
        due = self._due = self._loop.time() + timeout_s
        if self._look is None or due < self._looks_at:
            self._look_at(due)

    def _drop_timeout(self) -> None:
        """Nothing is awaited."""
        self._due = None

    def _look_at(self, when: float) -> None:
        if self._look is not None:
            self._look.cancel()
        self._looks_at = when
        self._look = self._loop.call_at(when, self._is_silent)

    def _is_silent(self) -> None:
        self._look = None
        if self._due is None:
            return
        if self._due > self._loop.time():
            self._look_at(self._due)
        else:
            self._on_read_timeout()


def listener() -> type[ResponseHandler]:
    """`Listener`, or the client's own where a version of the client has other names for what is replaced."""
    return Listener if all(hasattr(ResponseHandler, name) for name in _REPLACED) else ResponseHandler
