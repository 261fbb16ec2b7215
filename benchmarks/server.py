"""A fake OpenAI-compatible server on loopback, fast enough not to be what is measured.

    python -m benchmarks.server [--port N]     prints "ready PORT" and serves until it is stopped

`POST …/chat/completions` answers what `answers` scripts, whole or as server-sent events; every event is an HTTP chunk of
its own, as hosted providers send them. `GET /stats` gives what came in so far. It speaks HTTP/1.1 by hand on an asyncio
protocol, on uvloop where that is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, cast

import msgspec

from benchmarks import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

GAP_S = 0.02
"""Seconds between the deltas of a drip."""

_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding: *chunked")
_JSON_HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"


class Stats(msgspec.Struct):
    """What came in since the server began."""

    connections: int = 0
    requests: int = 0
    bytes_in: int = 0


class Connection(asyncio.Protocol):
    """One client's connection: requests are answered in the order they come."""

    def __init__(self, stats: Stats) -> None:
        self.stats = stats
        self.received = bytearray()
        self.writable = asyncio.Event()
        self.writable.set()
        self.streaming: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.stats.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if self.streaming is not None:
            self.streaming.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (request := self._next_request()) is not None:
            self._answer(*request)

    def _next_request(self) -> tuple[bytes, bytes] | None:
        """Takes a whole request, head and body, off what was received; None while it is not all there."""
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head, start = bytes(self.received[:end]), end + 4
        if _CHUNKED.search(head):
            taken = _chunked_body(self.received, start)
            if taken is None:
                return None
            body, stop = taken
        else:
            found = _LENGTH.search(head)
            stop = start + (int(found[1]) if found else 0)
            if len(self.received) < stop:
                return None
            body = bytes(self.received[start:stop])
        del self.received[:stop]
        return head, body

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET"):
            self._json(b"200 OK", msgspec.json.encode(self.stats))
            return
        self.stats.requests += 1
        self.stats.bytes_in += len(body)
        try:
            request = answers.read_request(body)
        except msgspec.DecodeError as error:
            self._json(b"400 Bad Request", msgspec.json.encode({"error": {"message": str(error)}}))
            return
        script = answers.script(request)
        if script.kind == "fail":
            self._json(b"500 Internal Server Error", b'{"error":{"message":"the fake provider fails on purpose"}}')
        elif not request.stream:
            self._json(b"200 OK", answers.whole(request, script))
        elif script.kind in ("text", "call"):
            events = answers.opening(request, script) + answers.closing(request, script)
            self.transport.write(_SSE_HEAD + b"".join(map(_chunk, events)) + _LAST_CHUNK)
        else:
            self.streaming = asyncio.get_running_loop().create_task(self._stream(request, script))

    def _json(self, status: bytes, body: bytes) -> None:
        self.transport.write(_JSON_HEAD % (status, len(body)) + body)

    async def _stream(self, request: answers.Request, script: answers.Script) -> None:
        self.transport.write(_SSE_HEAD + b"".join(map(_chunk, answers.opening(request, script))))
        if script.kind == "stall":
            return
        if script.kind == "cut":
            self.transport.abort()
            return
        await (self._flood if script.kind == "flood" else self._drip)(request, script.count)
        self.transport.write(b"".join(map(_chunk, answers.closing(request, script))) + _LAST_CHUNK)

    async def _flood(self, request: answers.Request, count: int) -> None:
        pair = [_chunk(answers.text_event(request, words)) for words in answers.WORDS]
        block = b"".join(pair) * 32
        for _ in range(count // 64):
            self.transport.write(block)
            await self.writable.wait()
        self.transport.write(b"".join(pair[i % 2] for i in range(count % 64)))

    async def _drip(self, request: answers.Request, count: int) -> None:
        before, after = answers.text_event(request, "@").split(b"@")
        for _ in range(count):
            await asyncio.sleep(GAP_S)
            self.transport.write(_chunk(before + b"%d " % time.monotonic_ns() + after))


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


def _chunked_body(data: bytearray, at: int) -> tuple[bytes, int] | None:
    """The body of a chunked request that begins at `at`, and where it ends; None while it is not all there."""
    parts = []
    while (line_end := data.find(b"\r\n", at)) >= 0:
        size = int(bytes(data[at:line_end]).split(b";")[0], 16)
        at = line_end + 2 + size + 2
        if len(data) < at:
            return None
        if size == 0:
            return b"".join(parts), at
        parts.append(bytes(data[line_end + 2 : line_end + 2 + size]))
    return None


async def serve(port: int) -> None:
    """Serves on 127.0.0.1 until cancelled; port 0 takes a free one."""
    stats = Stats()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(stats), "127.0.0.1", port, backlog=2048)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def running() -> Iterator[str]:
    """A server in a process of its own for the length of the block; gives its base URL, which ends in `/v1`."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.server"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready "):
            msg = f"the fake server did not start: it printed {line!r}"
            raise RuntimeError(msg)
        yield f"http://127.0.0.1:{line.split()[1]}/v1"
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def main() -> None:
    """The command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0, help="0 takes a free one")
    port = arguments.parse_args().port
    try:
        from uvloop import run  # an accelerator, not a need
    except ImportError:
        run = asyncio.run
    with contextlib.suppress(KeyboardInterrupt):
        run(serve(port))


if __name__ == "__main__":
    main()
