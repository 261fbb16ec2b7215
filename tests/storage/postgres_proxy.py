"""A proxy before PostgreSQL that cuts connections at a chosen message, or is not there for a while."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from typing import Literal
from urllib.parse import parse_qs, urlsplit, urlunsplit

Moment = Literal["before", "after", "half"]
"""Before a message reaches the server; when its answer comes, which nobody sees; or in the middle of that answer."""


class Proxy:
    """Stands between a storage and its server.

    Attributes:
        url: the database's, by way of this proxy.
        cuts: how many connections it cut.
        answers: how often the server was ready for the next statement, or told of one's types.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        host = parse_qs(parts.query).get("host", [""])[0]
        self._socket = f"{host}/.s.PGSQL.{parts.port or 5432}" if host.startswith("/") else ""
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 5432
        self._parts = parts
        self.url = ""
        self.cuts = self.answers = 0
        self._left = 0
        self._moment: Moment = "before"
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut_at(self, message: int, moment: Moment) -> None:
        """Cuts at the so-many-th message from now on, once."""
        self._left, self._moment = message, moment

    async def up(self) -> None:
        """Takes connections, at the same place as before."""
        port = urlsplit(self.url).port if self.url else 0
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        port = self._server.sockets[0].getsockname()[1]
        user = self._parts.username or "postgres"
        password = f":{self._parts.password}" if self._parts.password else ""
        place = f"{user}{password}@127.0.0.1:{port}"
        self.url = urlunsplit(self._parts._replace(netloc=place, query="sslmode=disable"))

    async def down(self) -> None:
        """Cuts every connection and takes no more."""
        if self._server is not None:
            self._server.close()
        for writer in [*self._open]:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._socket:
            back, forth = await asyncio.open_unix_connection(self._socket)
        else:
            back, forth = await asyncio.open_connection(self._host, self._port)
        self._open |= {writer, forth}
        link = _Link(self, writer, forth)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(link.to_server(reader), link.to_client(back))
        for end in (writer, forth):
            end.transport.abort()
            self._open.discard(end)

    def reached(self) -> Moment | None:
        """Counts a message; what is to happen to it."""
        if self._left:
            self._left -= 1
            if not self._left:
                self.cuts += 1
                return self._moment
        return None


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.cut: Moment | None = None

    async def to_server(self, reader: asyncio.StreamReader) -> None:
        kind = b""  # the first message has none
        while True:
            size = await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack("!I", size)[0] - 4)
            moment = self.proxy.reached()
            if moment == "before":
                raise ConnectionResetError
            self.cut = moment or self.cut
            self.server.write(kind + size + body)
            self.proxy.answers += kind in b"QSH"
            kind = await reader.readexactly(1)

    async def to_client(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65536):
            if self.cut is not None:
                if self.cut == "half":
                    self.client.write(data[: len(data) // 2])
                    await self.client.drain()
                    self.client.close()
                raise ConnectionResetError
            self.client.write(data)
        raise ConnectionResetError


@contextlib.asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """A proxy before the database at `url`."""
    proxy = Proxy(url)
    await proxy.up()
    try:
        yield proxy
    finally:
        await proxy.down()
