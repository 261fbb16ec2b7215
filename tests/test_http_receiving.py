"""`lumosai._http.receiving`: reads go into one place a thread, and every connection gets its own bytes all the same."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from typing import Any

import pytest

from lumosai import _http
from lumosai._http import receiving
from tests.raw_server import Connection, RawServer

SIZE = 1_000_000


def content(name: str) -> bytes:
    """A JSON text of `SIZE` bytes, of which no two names have a long piece in common."""
    block = hashlib.sha512(name.encode()).hexdigest().encode()
    return b'"' + (block * (SIZE // len(block) + 1))[: SIZE - 2] + b'"'


async def say(connection: Connection) -> None:
    """Answers each request with what its body names, in uneven pieces, more than one read takes."""
    while True:
        _, body = await connection.request()
        data = content(body.decode())
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % SIZE)
        for start in range(0, SIZE, 150_001):
            await connection.send(data[start : start + 150_001])


async def ask(url: str, names: list[str]) -> list[bytes]:
    try:
        return await asyncio.gather(*[_http.post_json(url, n.encode(), headers={}) for n in names])
    finally:
        await _http.close()


async def in_threads(url: str, new_loop: Any) -> dict[str, bytes]:
    """What connections of two event loops in two threads read at the same time."""
    got: dict[str, bytes] = {}

    def one(prefix: str) -> None:
        names = [f"{prefix}{i}" for i in range(4)]
        with asyncio.Runner(loop_factory=new_loop) as runner:
            got.update(zip(names, runner.run(ask(url, names)), strict=True))

    threads = [threading.Thread(target=one, args=(prefix,)) for prefix in "ab"]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(lambda: [thread.join(20) for thread in threads])
    return got


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
async def test_connections_and_threads_that_read_at_once_keep_their_bytes_apart(kind: str) -> None:
    """Under either event loop, of several of them at once too."""
    new_loop = asyncio.new_event_loop if kind == "asyncio" else pytest.importorskip("uvloop").new_event_loop
    async with RawServer(say) as server:
        got = await in_threads(f"{server.url}/x", new_loop)
    assert len(got) == 8
    assert [name for name, data in got.items() if data != content(name)] == []


async def test_a_connection_of_ours_reads_into_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop asks it for room, in place of making some for each read."""
    sizes: list[int] = []
    updated = receiving.Receiver.buffer_updated
    monkeypatch.setattr(receiving.Receiver, "buffer_updated", lambda self, n: sizes.append(n) or updated(self, n))  # type: ignore[func-returns-value]
    async with RawServer(say) as server:
        await ask(f"{server.url}/x", ["a"])
    assert sum(sizes) > SIZE
    assert max(sizes) <= len(receiving._here.room)
