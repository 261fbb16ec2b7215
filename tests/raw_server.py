"""A TCP server on loopback that a test scripts byte by byte, for what no well-behaved HTTP server would do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Self

Handler = Callable[["Connection"], Awaitable[None]]


class Connection:
    """One client's connection.

    Attributes:
        number: from 1, in the order in which connections were made.
        requests: heads and bodies of the requests that came on it.
        gone: set once the client has closed its side or reset it.
    """

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer
        self.requests: list[tuple[str, bytes]] = []
        self.gone = asyncio.Event()

    async def request(self) -> tuple[str, bytes]:
        """The next whole request: its head and its body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lengths = [line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length:")]
        body = await self.reader.readexactly(int(lengths[0])) if lengths else b""
        self.requests.append((head, body))
        return head, body

    async def send(self, data: bytes) -> None:
        """Writes bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes, status: str = "200 OK", kind: str = "application/json", **headers: str) -> None:
        """A whole answer with a length, which leaves the connection open."""
        more = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        await self.send(head.encode() + body)

    async def begin(self, kind: str = "text/event-stream") -> None:
        """The head of a chunked answer."""
        await self.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())

    async def chunk(self, data: bytes) -> None:
        """One chunk of it; an empty one ends it."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def reset(self) -> None:
        """Ends the connection by a reset, not an orderly close."""
        self.writer.transport.abort()

    async def until_gone(self) -> None:
        """Waits until the client has gone away."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.gone.set()


class RawServer:
    """The server; `handler` is called with each connection. `url` is its address."""

    def __init__(self, handler: Handler, *, tls: ssl.SSLContext | None = None) -> None:
        self.connections: list[Connection] = []
        self.url = ""
        self.port = 0
        self._handler = handler
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self.connections:
            connection.writer.transport.abort()
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(len(self.connections) + 1, reader, writer)
        self.connections.append(connection)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._handler(connection)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass  # the server ends, which asyncio's streams would report as an error of the handler
        finally:
            self._tasks.discard(task)
            writer.close()
