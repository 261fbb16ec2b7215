"""The straight way of a POST: what is on the wire, what goes the client's usual way, and when a connection is kept."""

from __future__ import annotations

import asyncio
import socket

import pytest

from lumosai import _http
from lumosai._http import pool
from lumosai._http.client import _LARGE_BODY
from lumosai.errors import ConfigurationError, MalformedAnswerError, StreamInterruptedError
from tests.raw_server import Connection, RawServer

JSON = {"Content-Type": "application/json"}


async def ok(connection: Connection) -> None:
    """Answers every request with a small JSON object."""
    while True:
        await connection.request()
        await connection.answer(b'{"ok":true}')


async def post(url: str, body: bytes = b"{}", *, headers: dict[str, str] | None = None, **options) -> bytes:
    return await _http.post_json(url, body, headers={**JSON, **(headers or {})}, **options)


def headers_of(head: str) -> dict[str, str]:
    """The headers of a request by lower-case name; a repeated one would be lost, so there is none."""
    lines = head.strip().split("\r\n")[1:]
    pairs = [line.split(": ", 1) for line in lines]
    assert len({name.lower() for name, _ in pairs}) == len(pairs)
    return {name.lower(): value for name, value in pairs}


async def test_what_is_sent() -> None:
    """The path with its query, the usual headers once, the length, and the body behind it."""
    async with RawServer(ok) as server:
        assert await post(server.url + "/v1/chat?api-version=1#part", b'{"n":1}') == b'{"ok":true}'
        host = server.url.removeprefix("http://")
        ((head, body),) = server.connections[0].requests
    assert head.startswith("POST /v1/chat?api-version=1 HTTP/1.1\r\n")
    sent = headers_of(head)
    assert (sent["host"], sent["content-type"], sent["content-length"]) == (host, "application/json", "7")
    assert sent["user-agent"].startswith("lumosai/") and "gzip" in sent["accept-encoding"]
    assert body == b'{"n":1}'


async def test_a_users_header_replaces_the_usual_one() -> None:
    """In whatever case it is written, it stands once; the next request without it has the usual one again."""
    async with RawServer(ok) as server:
        await post(server.url, headers={"USER-AGENT": "mine/1", "X-Team": "blå"})
        await post(server.url)
        first, second = (headers_of(head) for head, _ in server.connections[0].requests)
    assert first["user-agent"] == "mine/1"
    assert first["x-team"].encode("latin-1").decode() == "blå"
    assert second["user-agent"].startswith("lumosai/")


@pytest.mark.parametrize(
    "headers", [{"Connection": "close"}, {"Host": "other.example"}, {"content-encoding": "identity"}]
)
async def test_a_header_about_the_connection(headers: dict[str, str]) -> None:
    """It is sent, and the client's usual way keeps to it."""
    async with RawServer(ok) as server:
        assert await post(server.url, headers=headers) == b'{"ok":true}'
        sent = headers_of(server.connections[0].requests[0][0])
    assert {name: sent[name.lower()] for name in headers} == headers


async def test_a_large_body_and_a_total_time_out() -> None:
    """Both go the client's usual way, and over the same connections."""
    async with RawServer(ok) as server:
        await post(server.url)
        await post(server.url, b" " * _LARGE_BODY + b"{}")
        await post(server.url, timeouts=_http.Timeouts(total_s=5.0))
        assert [len(c.requests) for c in server.connections] == [3]
        assert len(server.connections[0].requests[1][1]) == _LARGE_BODY + 2


async def test_a_user_in_the_url() -> None:
    """It is sent as credentials, which is the client's usual way."""
    async with RawServer(ok) as server:
        await post(server.url.replace("http://", "http://alice:secret@"))
        sent = headers_of(server.connections[0].requests[0][0])
    assert sent["authorization"] == "Basic YWxpY2U6c2VjcmV0"


@pytest.mark.parametrize("value", ["k\r\nX-Evil: 1", "k\n", "k\r", "k\0", "\r\n"])
async def test_a_header_that_would_end_its_line(value: str) -> None:
    """Nothing is sent; the error names the header and does not show what is in it."""
    async with RawServer(ok) as server:
        with pytest.raises(ConfigurationError, match="'Authorization' holds a line break") as caught:
            await post(server.url, headers={"Authorization": f"Bearer {value}"})
        assert server.connections == []
    assert "Evil" not in str(caught.value)


async def test_interim_answers() -> None:
    """What a server says before its answer (RFC 9110, section 15.2) is passed over."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await connection.answer(b'{"late":true}')

    async with RawServer(handler) as server:
        assert await post(server.url) == b'{"late":true}'


async def test_an_answer_without_a_length() -> None:
    """It ends with its connection, which is then not used again."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"n":')
        await connection.send(b"1}")
        connection.writer.close()

    async with RawServer(handler) as server:
        assert await post(server.url) == b'{"n":1}'
        assert await post(server.url) == b'{"n":1}'
        assert len(server.connections) == 2


async def test_an_answer_before_the_request_was_taken() -> None:
    """The connection is closed: what is left of the request must not run into the next one."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.answer(b"{}")
        connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.answer(b'{"early":true}')
        await connection.until_gone()

    body = b'{"x":"' + b"x" * (_LARGE_BODY - 100) + b'"}'
    async with RawServer(handler) as server, asyncio.timeout(30):
        await post(server.url)
        kept = (await pool.here()).session.connector._conns  # type: ignore[union-attr]  # to narrow it
        ((protocol, _),) = [c for conns in kept.values() for c in conns if _port(c[0]) == server.port]
        protocol.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        assert await post(server.url, body) == b'{"early":true}'
        await server.connections[0].gone.wait()


def _port(protocol) -> int:
    return protocol.transport.get_extra_info("peername")[1]


async def test_closing_an_unread_answer_wakes_its_reader() -> None:
    """Whoever waits for more of a closed answer is told so and does not wait for ever."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        await connection.chunk(b"data: 1\n\n")
        await connection.until_gone()

    async with RawServer(handler) as server:
        line = (await pool.here()).target(server.url).line
        assert line is not None
        head = line.head(JSON)
        assert head is not None
        answer = await line.post(head, b"{}", (await pool.here()).timeout(_http.Timeouts()))
        assert (answer.status, answer.content_length) == (200, None)
        assert await answer.content.readany() == b"data: 1\n\n"
        reader = asyncio.ensure_future(answer.content.readany())
        await asyncio.sleep(0)
        answer.close()
        answer.close()
        with pytest.raises(Exception, match="Connection closed"):
            await reader
        await server.connections[0].gone.wait()


async def test_what_is_no_http() -> None:
    """It is told as such, and its connection is given up."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"NOPE\r\n\r\n")
        await connection.until_gone()

    async with RawServer(handler) as server:
        with pytest.raises(MalformedAnswerError, match="does not speak HTTP"):
            await post(server.url)
        await server.connections[0].gone.wait()


async def test_a_connection_that_is_reset_before_an_answer() -> None:
    """A retryable error, and nothing sent twice."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        connection.reset()

    async with RawServer(handler) as server:
        with pytest.raises(StreamInterruptedError) as caught:
            await post(server.url)
        assert caught.value.retryable
        assert len(server.connections) == 1


async def test_many_kinds_of_headers() -> None:
    """However many sets of names are sent, only so many are remembered."""
    async with RawServer(ok) as server:
        for n in range(100):
            await post(server.url, headers={f"X-{n}": "1"})
        line = (await pool.here()).target(server.url).line
    assert line is not None
    assert len(line._heads) <= 64  # a bound on memory shows nowhere else
