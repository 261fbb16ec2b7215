"""One POST over a connection of the client's pool, past the client's own request and response objects.

A short run is little else than its two requests, and what the client builds around each of them (redirects, cookies,
authentication, tracing, multipart bodies) costs more than the exchange itself: see `docs/performance.md`. A plain POST
needs none of it. It takes a connection from the client's connector, which dials, speaks TLS and keeps what can be used
again; it writes a head, most of which is made once a URL, and the body; and the client's parser reads the answer. What is
not plain (a proxy, a large body, a bound on the whole exchange, a header about the connection) goes the client's usual
way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import aiohttp

from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Mapping

    from aiohttp.connector import Connection
    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader
    from yarl import URL

_USUAL_HEADERS: Final = ("host", "accept", "accept-encoding", "user-agent")
"""Headers that the client adds where nobody else set them."""

_UNUSUAL_HEADERS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "content-encoding", "expect", "upgrade", "te"}
)
"""Headers that change how a request is sent: such a one goes the client's usual way."""

_KEPT: Final = 64
_CONTINUES: Final = range(100, 200)
_SWITCHING: Final = 101


class Answer:
    """The answer to a POST, its body still to be read. A body that was read to its end gives its connection back.

    Attributes:
        status: the HTTP status.
        headers: without regard to case.
        content: the body, decompressed.
        closed: whether the connection was closed or given back.
    """

    __slots__ = ("_connection", "closed", "content", "headers", "status")

    def __init__(self, connection: Connection, message: RawResponseMessage, content: StreamReader) -> None:
        self.status = message.code
        self.headers: Mapping[str, str] = message.headers
        self.content = content
        self.closed = False
        self._connection = connection
        content.on_eof(self._ended)

    @property
    def content_length(self) -> int | None:
        """The body's size as the server says it, before decompression."""
        told = self.headers.get("Content-Length")
        return None if told is None else int(told)

    def close(self) -> None:
        """Closes the connection, wherever the body is, for who waits for more of it too. One given back stays open."""
        if not self.closed:
            self.closed = True
            _drop(self._connection)
            if self.content.exception() is None:
                self.content.set_exception(aiohttp.ClientConnectionError("Connection closed"))

    def _ended(self) -> None:
        """The whole body has come, read or not."""
        if self.closed:
            return
        self.closed = True
        transport = self._connection.transport
        if transport is not None and transport.get_write_buffer_size():
            _drop(self._connection)  # answered before the whole request was sent: the rest must not meet the next one
        else:
            self._connection.release()


class _Destination(aiohttp.ClientRequest):
    """Where to connect to: a connector is told that by a request, of which it needs no more. Its key is made once."""

    _key: Any = None

    @property
    def connection_key(self) -> Any:
        if self._key is None:
            self._key = super().connection_key
        return self._key


class Line:
    """The straight way to one URL.

    Args:
        url: where to.
        trust: whom to trust over TLS.
        session: whose connector dials, and whose usual headers are sent.
        loop: the session's.
    """

    __slots__ = ("_connector", "_heads", "_request", "_start", "_usual")

    def __init__(
        self,
        url: URL,
        *,
        trust: ssl.SSLContext | bool,
        session: aiohttp.ClientSession,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._request = _Destination(
            "POST",
            url,
            headers=session.headers,
            loop=loop,
            response_class=aiohttp.ClientResponse,
            session=session,
            ssl=trust,
        )
        assert session.connector is not None  # noqa: S101  # a session has one until it is closed
        self._connector = session.connector
        self._start = f"POST {url.raw_path_qs} HTTP/1.1\r\n"
        self._usual = {n.lower(): f"{n}: {v}\r\n" for n, v in self._request.headers.items()}
        self._heads: dict[tuple[str, ...], str | None] = {}

    def head(self, headers: Mapping[str, str]) -> str | None:
        """What a request with `headers` begins with, all but the length of its body; None where they are unusual.

        Raises:
            ConfigurationError: a header that would end its line.
        """
        key = (*headers, *headers.values())
        try:
            return self._heads[key]
        except KeyError:
            head = self._head(headers)
        if len(self._heads) >= _KEPT:
            self._heads.clear()
        self._heads[key] = head
        return head

    def _head(self, headers: Mapping[str, str]) -> str | None:
        given = {name.lower() for name in headers}
        if given & _UNUSUAL_HEADERS:
            return None
        lines = [self._usual[n] for n in _USUAL_HEADERS if n in self._usual and n not in given]
        return self._start + "".join([*lines, *[header_line(n, v) for n, v in headers.items()]])

    async def post(self, head: str, body: bytes, timeout: aiohttp.ClientTimeout) -> Answer:  # noqa: ASYNC109  # the client's own form
        """Sends a request that begins with `head`; its answer.

        Raises:
            aiohttp.ClientError: as the client raises it, or an `OSError` or `HttpProcessingError`.
        """
        try:
            connection = await self._connector.connect(self._request, [], timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {self._request.url}") from error
        try:
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None:  # lost between the connector and here
                raise aiohttp.ServerDisconnectedError  # noqa: TRY301  # it is dropped as after any other failure
            protocol.set_response_params(read_until_eof=True, read_timeout=timeout.sock_read)
            transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            protocol.start_timeout()
            while True:
                message, content = await protocol.read()
                if message.code not in _CONTINUES or message.code == _SWITCHING:
                    return Answer(connection, message, content)
        except BaseException:  # whatever ended the wait, a cancel too: what comes on this connection is nobody's
            _drop(connection)
            raise


def header_line(name: str, value: str) -> str:
    """One header as it is sent.

    Raises:
        ConfigurationError: it would end its line.
    """
    line = f"{name}: {value}\r\n"
    if line.count("\n") != 1 or line.count("\r") != 1 or "\0" in line:
        msg = f"the header {name!r} holds a line break or NUL: is there one in the API key or in `headers`?"
        raise ConfigurationError(msg)
    return line


def _drop(connection: Connection) -> None:
    """Closes a connection at once: nobody waits for what of the request was not sent yet."""
    transport = connection.transport
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()
    connection.close()
