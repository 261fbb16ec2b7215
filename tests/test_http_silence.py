"""`lumosai._http.silence`: when a connection that says nothing is given up, and how many timers that takes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from lumosai import _http
from lumosai._http import silence
from tests.raw_server import RawServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.raw_server import Connection


class Handle:
    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when, self.call, self.cancelled = when, call, False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """The part of an event loop that a listener uses, its time moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.handles: list[Handle] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> Handle:
        self.handles.append(Handle(when, call))
        return self.handles[-1]

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    def pass_to(self, now: float) -> None:
        self.now = now
        for handle in [h for h in self.handles if h.when <= now and not h.cancelled]:
            handle.cancel()
            handle.call()


def listening(clock: Clock, read_s: float) -> silence.Listener:
    made = silence.Listener(clock)  # type: ignore[arg-type]  # as much of a loop as it uses
    made.set_response_params(read_timeout=read_s)
    made.start_timeout()
    return made


async def test_silence_is_given_up_after_the_last_byte() -> None:
    """What counts is the time since something came, however many timers came due meanwhile."""
    clock = Clock()
    made = listening(clock, 10.0)
    clock.pass_to(9.0)
    made.data_received(b"HTTP/1.1 200 OK\r\n")
    clock.pass_to(10.0)
    clock.pass_to(18.9)
    assert made.exception() is None
    clock.pass_to(19.0)
    assert isinstance(made.exception(), aiohttp.SocketTimeoutError)
    assert len(clock.handles) == 2


async def test_a_shorter_wait_is_not_kept_by_a_longer_one() -> None:
    """A connection that served a patient request is given up in time by an impatient one."""
    clock = Clock()
    made = listening(clock, 300.0)
    made.set_response_params(read_timeout=1.0)
    made.start_timeout()
    clock.pass_to(1.0)
    assert isinstance(made.exception(), aiohttp.SocketTimeoutError)
    assert [h.cancelled for h in clock.handles] == [True, True]


async def test_nothing_awaited_is_no_silence() -> None:
    """A connection at rest is not given up, nor one whose reader asked it to wait; nor does it set timers."""
    clock = Clock()
    made = listening(clock, 10.0)
    made.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
    made.pause_reading()
    clock.pass_to(10.0)
    clock.pass_to(1000.0)
    assert made.exception() is None
    assert len(clock.handles) == 1
    made.resume_reading()
    clock.pass_to(1010.0)
    assert isinstance(made.exception(), aiohttp.SocketTimeoutError)


async def test_a_lost_connection_leaves_no_timer() -> None:
    """The timer would keep it in memory for as long as the wait."""
    clock = Clock()
    made = listening(clock, 300.0)
    made.connection_lost(None)
    assert [h.cancelled for h in clock.handles] == [True]


async def test_exchanges_on_a_connection_share_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One timer serves whatever is asked on a connection while it runs, not two for each exchange."""
    loop = asyncio.get_running_loop()
    set_, usual = [], loop.call_at

    def call_at(when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        set_.append(args[0])
        return usual(when, *args, **kwargs)

    async def handler(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.answer(b"{}")

    async with RawServer(handler) as server:
        monkeypatch.setattr(loop, "call_at", call_at)
        for _ in range(20):
            assert await _http.post_json(server.url, b"{}", headers={"Content-Type": "application/json"}) == b"{}"
        assert len(server.connections) == 1
    assert len([f for f in set_ if type(getattr(f, "__self__", None)) is silence.Listener]) == 1
    assert len(set_) <= 6  # the others are of the connection's beginning


def test_another_client_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the client has other names for what is replaced, its own time-outs hold."""
    assert silence.listener() is silence.Listener
    monkeypatch.setattr(silence, "_REPLACED", ("_no_such_name",))
    assert silence.listener() is silence.ResponseHandler
