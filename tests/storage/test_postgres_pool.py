"""The connections of one event loop: never more than may be, none lost whoever gives up, none kept that is not at rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from lumosai.storage import _postgres_pool as pool
from lumosai.storage._postgres_pool import Connections


class Raw:
    def __init__(self) -> None:
        self.closed = False

    def terminate(self) -> None:
        self.closed = True

    def is_closed(self) -> bool:
        return self.closed

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109  # as asyncpg's
        await asyncio.sleep(0)
        self.closed = True


class Fake:
    """A connection to nowhere."""

    def __init__(self) -> None:
        self.raw = Raw()
        self.since = 0.0
        self.uses = 0
        self.at_rest = True

    @property
    def usable(self) -> bool:
        return self.at_rest and not self.raw.closed


class Server:
    """Makes them, as many as it is asked for; refuses where it is told so."""

    def __init__(self) -> None:
        self.made: list[Fake] = []
        self.refuses = False

    async def connect(self) -> Fake:
        await asyncio.sleep(0)
        if self.refuses:
            raise OSError("no")
        self.made.append(Fake())
        return self.made[-1]


@pytest.fixture
def server() -> Server:
    return Server()


def shared(server: Server, size: int = 2) -> Connections:
    return Connections(server.connect, size)  # type: ignore[arg-type]  # as much of one as is needed


async def test_no_more_than_so_many_are_made_and_the_one_used_last_comes_first(server: Server) -> None:
    connections = shared(server)
    order: list[int] = []

    async def use(number: int) -> None:
        async with connections.one():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*[use(n) for n in range(20)])
    assert (len(server.made), sorted(order)) == (2, [*range(20)])
    assert order == sorted(order)  # whoever waited longest is next
    first, second = await connections.take(), await connections.take()
    connections.give(first)
    connections.give(second)
    assert await connections.take() is second


async def test_one_that_is_not_at_rest_or_closed_is_not_given_to_anybody(server: Server) -> None:
    connections = shared(server, 1)
    broken = await connections.take()
    waiting = asyncio.create_task(connections.take())
    await asyncio.sleep(0)
    broken.at_rest = False  # type: ignore[attr-defined]
    connections.give(broken)
    fresh = await waiting
    assert fresh is not broken
    assert broken.raw.closed  # type: ignore[attr-defined]
    connections.give(fresh)
    fresh.raw.terminate()  # by the server, while nobody used it
    last = await connections.take()
    assert last not in (fresh, broken)
    last.uses = pool._USES + 1
    connections.give(last)
    assert await connections.take() is not last


async def test_who_gives_up_waiting_takes_nothing_along(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled before, and in the very turn in which a connection came; or out of time."""
    connections = shared(server, 1)
    held = await connections.take()
    gone, late = [asyncio.create_task(connections.take()) for _ in range(2)]
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    connections.give(held)  # to the second, which is cancelled before it goes on
    late.cancel()
    await asyncio.gather(gone, late, return_exceptions=True)
    assert await connections.take() is held
    late = asyncio.create_task(connections.take())
    await asyncio.sleep(0)
    held.at_rest = False  # type: ignore[attr-defined]
    connections.give(held)  # there is room for one, which the one that is cancelled does not make
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    held = await connections.take()
    monkeypatch.setattr(pool, "_WAIT_S", 0.01)
    with pytest.raises(TimeoutError):
        await connections.take()
    connections.give(held)
    assert await connections.take() is held


async def test_one_that_cannot_be_made_leaves_its_room_to_the_next(server: Server) -> None:
    connections = shared(server, 1)
    server.refuses = True
    failed = await asyncio.gather(*[connections.take() for _ in range(3)], return_exceptions=True)
    assert [type(f) for f in failed] == [OSError] * 3
    server.refuses = False
    assert (await connections.take()).usable


async def test_closing_waits_for_those_in_use(server: Server) -> None:
    connections = shared(server)
    first, second = await connections.take(), await connections.take()
    waiting = asyncio.create_task(connections.take())
    connections.give(first)
    await asyncio.sleep(0)
    closing = asyncio.create_task(connections.close())
    later = asyncio.create_task(connections.take())
    await asyncio.sleep(0)
    assert await waiting is first
    assert isinstance((await asyncio.gather(later, return_exceptions=True))[0], ConnectionError)
    connections.give(second)
    await asyncio.sleep(0)
    assert not closing.done()
    first.at_rest = False  # type: ignore[attr-defined]
    connections.give(first)
    await closing
    assert all(c.raw.closed for c in server.made)
    with pytest.raises(ConnectionError):
        await connections.take()


async def test_nobody_is_given_one_that_is_about_to_be_closed(server: Server) -> None:
    """Nor is one left open where the closing itself is cancelled."""
    connections = shared(server)
    first, second = await connections.take(), await connections.take()
    connections.give(first)
    connections.give(second)
    closing = asyncio.create_task(connections.close())
    await asyncio.sleep(0)
    with pytest.raises(ConnectionError):
        await connections.take()
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    assert all(c.raw.closed for c in server.made)


async def test_those_that_nobody_needs_are_closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, those that are used on and on stay."""
    connections = shared(server)
    now = 1000.0
    timers: list[Callable[[], None]] = []
    monkeypatch.setattr(connections._loop, "time", lambda: now)

    def later(_: float, call: Callable[[], None]) -> object:
        timers.append(call)
        return timers

    monkeypatch.setattr(connections._loop, "call_later", later)
    monkeypatch.setattr(connections._loop, "call_at", later)
    first, second = await connections.take(), await connections.take()
    connections.give(first)
    connections.give(second)
    now += 200
    connections.give(await connections.take())
    now += 150
    timers.pop()()
    assert [c.raw.closed for c in server.made] == [True, False]
    now += 300
    timers.pop()()
    assert [c.raw.closed for c in server.made] == [True, True]
    assert not timers
    assert (await connections.take()).usable
