"""The connections of one event loop: made when they are needed, shared, and closed when nobody has needed them for long.

asyncpg's own pool has each connection asked for and given back through tasks and locks, which costs more than most of our
statements; and it gives a connection that another user may have left in any state, where ours are left at rest.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lumosai.storage._postgres_connection import Connection

_WAIT_S: Final = 10.0
"""How long is waited for a connection that others use, and for one to say good-bye."""
_IDLE_S: Final = 300.0
_USES: Final = 20_000
"""Transactions of one connection: what the server remembers for it grows."""


class Connections:
    """Up to `size` connections, each used by one at a time.

    Args:
        connect: makes one.
        size: how many there are, at the most.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._loop = asyncio.get_running_loop()
        self._all: set[Connection] = set()
        self._free: list[Connection] = []
        self._coming = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Future[None] | None = None

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Connection]:
        """A connection, given back behind the block."""
        connection = await self.take()
        try:
            yield connection
        finally:
            self.give(connection)

    async def take(self) -> Connection:
        """A connection, which `give` gives back.

        Raises:
            TimeoutError: others used them all for too long.
            ConnectionError: they are being closed.
        """
        if self._closing is not None:
            raise ConnectionError("the connections are being closed")
        while self._free:
            connection = self._free.pop()
            if connection.usable:
                return connection
            self._drop(connection)
        if len(self._all) + self._coming < self._size:
            self._coming += 1
        else:
            found = await self._wait()
            if found is not None:
                return found
        try:
            made = await self._connect()
        except BaseException:
            self._make_room()
            raise
        self._coming -= 1
        self._all.add(made)
        return made

    def give(self, connection: Connection) -> None:
        """Gives a connection back; one that is not at rest is closed."""
        if not connection.usable or connection.uses > _USES:
            self._drop(connection)
            self._coming += 1
            self._make_room()
        elif (waiter := self._next()) is not None:
            waiter.set_result(connection)
        else:
            connection.since = self._loop.time()
            self._free.append(connection)
            if self._timer is None:
                self._timer = self._loop.call_later(_IDLE_S, self._close_idle)
        self._tell_closing()

    def forget(self) -> None:
        """The tables are no longer what they were."""
        for connection in self._all:
            connection.forget()

    async def close(self) -> None:
        """Closes them, when those in use are given back."""
        self._closing = self._loop.create_future()
        while (waiter := self._next()) is not None:
            waiter.set_exception(ConnectionError("the connections are being closed"))
        if self._timer is not None:
            self._timer.cancel()
        self._tell_closing()
        try:
            await self._closing
            for connection in self._free:
                with suppress(Exception):  # whatever it is, the connection is ended below
                    await connection.raw.close(timeout=_WAIT_S)
        finally:
            for connection in self._all:
                if not connection.raw.is_closed():
                    connection.raw.terminate()
            self._free.clear()
            self._all.clear()

    def abandon(self) -> None:
        """Ends the connections of an event loop that was closed without `close`: nothing can be awaited on it any more."""
        for connection in self._all:
            with suppress(AttributeError, OSError, RuntimeError, ValueError):
                theirs = connection.raw._transport.get_extra_info("socket").fileno()  # noqa: SLF001  # asyncpg offers no way without its loop
                with socket.socket(fileno=os.dup(theirs)) as mine:  # that of uvloop cannot be shut down
                    mine.shutdown(socket.SHUT_RDWR)
        self._all.clear()
        self._free.clear()

    def _drop(self, connection: Connection) -> None:
        self._all.discard(connection)
        connection.raw.terminate()

    async def _wait(self) -> Connection | None:
        """A connection that another one gives back, or None: there is room for one more."""
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(_WAIT_S):
                return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:  # it came all the same
                found = waiter.result()
                if found is not None:
                    self.give(found)
                else:
                    self._make_room()
            waiter.cancel()
            raise

    def _next(self) -> asyncio.Future[Connection | None] | None:
        """Who has waited longest."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def _make_room(self) -> None:
        """One that was to come does not: whoever waits may make another one."""
        waiter = self._next()
        if waiter is not None:
            waiter.set_result(None)
        else:
            self._coming -= 1
            self._tell_closing()

    def _tell_closing(self) -> None:
        closing = self._closing
        if closing is not None and not closing.done() and len(self._free) == len(self._all) and not self._coming:
            closing.set_result(None)

    def _close_idle(self) -> None:
        """Closes those that nobody has needed for long: whoever comes takes the one that was given back last."""
        self._timer = None
        now = self._loop.time()
        while self._free and self._free[0].since <= now - _IDLE_S:
            self._drop(self._free.pop(0))
        if self._free:
            self._timer = self._loop.call_at(self._free[0].since + _IDLE_S, self._close_idle)
