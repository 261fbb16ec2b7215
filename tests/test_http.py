"""Requests over real sockets: answers, streams, limits, time-outs, reuse of connections, closing."""

from __future__ import annotations

import asyncio
import gc
import gzip
import os
import socket
import tracemalloc
from contextlib import aclosing

import pytest

from lumosai import _http
from lumosai._http import pool
from lumosai.errors import (
    AnswerTooLargeError,
    ConfigurationError,
    MalformedAnswerError,
    ModelConnectionError,
    ModelNotFoundError,
    ModelTimeoutError,
    StreamInterruptedError,
)
from tests.raw_server import Connection, RawServer

HEADERS = {"Content-Type": "application/json"}
QUICK = _http.Timeouts(connect_s=5.0, read_s=0.05)


async def sse(url: str, **options: object) -> list[bytes]:
    """All payloads of a stream."""
    found: list[bytes] = []
    async with aclosing(_http.post_sse(url, b"{}", headers=HEADERS, **options)) as batches:  # type: ignore[arg-type]
        async for batch in batches:
            found += batch
    return found


async def ok(connection: Connection) -> None:
    """Answers every request with a small JSON object."""
    while True:
        await connection.request()
        await connection.answer(b'{"ok":true}')


# Whole answers.


async def test_a_whole_answer_of_any_status() -> None:
    """`request` gives status, lower-case headers, body and URL, whatever the status."""

    async def handler(connection: Connection) -> None:
        head, body = await connection.request()
        await connection.answer(head.split()[0].encode() + body, "418 I'm a teapot", "text/plain", X_One="1")

    async with RawServer(handler) as server:
        response = await _http.request("PUT", server.url + "/tea", body=b"leaf")
    assert (response.status, response.body, response.url) == (418, b"PUTleaf", server.url + "/tea")
    assert response.headers["x-one"] == "1" and response.headers["content-type"] == "text/plain"


async def test_redirects_are_followed_only_where_asked_for() -> None:
    """Without `redirects` the 302 itself is the answer."""

    async def handler(connection: Connection) -> None:
        while True:
            head, _ = await connection.request()
            if head.startswith("GET /a "):
                await connection.answer(b"", "302 Found", Location="/b")
            else:
                await connection.answer(b"there")

    async with RawServer(handler) as server:
        assert (await _http.request("GET", server.url + "/a")).status == 302
        followed = await _http.request("GET", server.url + "/a", redirects=True)
    assert (followed.status, followed.body, followed.url) == (200, b"there", server.url + "/b")


async def test_a_request_to_fixed_addresses() -> None:
    """`addresses` are connected to whatever the name resolves to; the `Host` header keeps the name."""
    async with RawServer(ok) as server:
        url = f"http://no-such-host.invalid:{server.port}/x"
        response = await _http.request("GET", url, addresses=["127.0.0.1"])
    assert response.status == 200
    assert f"Host: no-such-host.invalid:{server.port}" in server.connections[0].requests[0][0]


async def test_an_address_in_the_url_that_was_not_checked() -> None:
    """No resolver is asked about an address, so it must itself be among those that were checked."""
    async with RawServer(ok) as server:
        assert (await _http.request("GET", server.url, addresses=["127.0.0.1"])).status == 200
        with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1.*10\.0\.0\.1"):
            await _http.request("GET", server.url, addresses=["10.0.0.1"])
        assert len(server.connections) == 1


async def test_a_compressed_answer() -> None:
    """gzip is undone; the limit counts what comes out of it."""
    body = gzip.compress(b"[" + b" " * 2_000_000 + b"]")

    async def handler(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.answer(body, Content_Encoding="gzip")

    async with RawServer(handler) as server:
        assert len(await _http.post_json(server.url, b"{}", headers=HEADERS)) == 2_000_002
        with pytest.raises(AnswerTooLargeError):
            await _http.post_json(server.url, b"{}", headers=HEADERS, max_bytes=1_000_000)


async def test_an_answer_that_cannot_be_decompressed() -> None:
    """Broken gzip is a malformed answer, not a cut connection that would be tried again."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.answer(b"this is no gzip at all", Content_Encoding="gzip")

    async with RawServer(handler) as server:
        with pytest.raises(MalformedAnswerError):
            await _http.post_json(server.url, b"{}", headers=HEADERS)


@pytest.mark.parametrize("told", [True, False], ids=["length told", "chunked"])
async def test_an_answer_of_50_mb(told: bool) -> None:
    """Reading stops at the limit: a named error, and memory stays below it."""
    piece = b" " * 1_000_000

    async def handler(connection: Connection) -> None:
        await connection.request()
        if told:
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
            for _ in range(50):
                await connection.send(piece)
            return
        await connection.begin("application/json")
        for _ in range(50):
            await connection.chunk(piece)
        await connection.chunk(b"")

    async with RawServer(handler) as server:
        tracemalloc.start()
        with pytest.raises(AnswerTooLargeError, match=str(4 * 1024 * 1024)):
            await _http.post_json(server.url, b"{}", headers=HEADERS, max_bytes=4 * 1024 * 1024)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16 * 1024 * 1024
    assert _http.MAX_BYTES == 32 * 1024 * 1024


async def test_an_empty_body() -> None:
    """200 with nothing in it is a malformed answer."""

    async def handler(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.answer(b"")

    async with RawServer(handler) as server:
        with pytest.raises(MalformedAnswerError, match="empty"):
            await _http.post_json(server.url, b"{}", headers=HEADERS)
        with pytest.raises(MalformedAnswerError, match="empty"):
            await sse(server.url)


async def test_a_redirected_post() -> None:
    """A key is not sent on to wherever a redirect points; the error says where that is."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.answer(b"", "308 Permanent Redirect", Location="https://example.invalid/v1")

    async with RawServer(handler) as server:
        with pytest.raises(ModelNotFoundError, match=r"https://example\.invalid/v1"):
            await _http.post_json(server.url, b"{}", headers=HEADERS)


async def test_a_large_request_body() -> None:
    """Images make bodies of megabytes: they arrive whole, without a warning and without blocking the loop."""
    async with RawServer(ok) as server:
        body = bytes(range(256)) * 20_000
        await _http.post_json(server.url, body, headers=HEADERS)
        assert server.connections[0].requests[0][1] == body


# Streams.


async def test_events_that_come_together_are_given_together() -> None:
    """One network read, one list."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        await connection.chunk(b"data: 1\n\ndata: 2\n\n")
        await connection.chunk(b"data: 3\n\ndata: [DONE]\n\n")
        await connection.chunk(b"")

    async with RawServer(handler) as server:
        assert await sse(server.url) == [b"1", b"2", b"3", b"[DONE]"]


async def test_a_stream_that_stays_open_after_done() -> None:
    """A server that does not hang up after `[DONE]` holds nobody up, and its connection is not used again."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        await connection.chunk(b"data: 1\n\ndata: [DONE]\n\n")
        await connection.until_gone()

    async with RawServer(handler) as server:
        async with asyncio.timeout(30):
            assert await sse(server.url) == [b"1", b"[DONE]"]
            await server.connections[0].gone.wait()


async def test_a_document_where_events_were_asked_for() -> None:
    """One JSON document is one payload, whatever its content type says."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin("text/event-stream")
        await connection.chunk(b'{"choices"')
        await connection.chunk(b":[]}")
        await connection.chunk(b"")

    async with RawServer(handler) as server:
        assert await sse(server.url) == [b'{"choices":[]}', b"[DONE]"]


async def test_a_stream_of_50_mb() -> None:
    """Text beyond the limit ends the reading; the framing of many small events does not count."""
    text = b"data: " + b"x" * 100_000 + b"\n\n"

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        for _ in range(500):
            await connection.chunk(text)

    async with RawServer(handler) as server:
        with pytest.raises(AnswerTooLargeError):
            await sse(server.url, max_bytes=1_000_000)

    async def small(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        for _ in range(100):
            await connection.chunk((b"data: " + b"x" * 250 + b"\n\n") * 100)
        await connection.chunk(b"")

    async with RawServer(small) as server:
        assert len(await sse(server.url, max_bytes=1_000_000)) == 10_000


@pytest.mark.parametrize("payload", [b"data: " + b"x" * 200_000, b": comment\n" * 20_000, b"\n" * 200_000])
async def test_a_stream_without_an_end_of_event(payload: bytes) -> None:
    """An event without an end, comments for ever, blank lines for ever: all are bounded."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        await connection.chunk(b"data: 1\n\n" + payload[:100])
        while True:
            await connection.chunk(payload)

    async with RawServer(handler) as server:
        with pytest.raises(AnswerTooLargeError):
            await sse(server.url, max_bytes=1_000_000)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_stream_whose_connection_is_cut(how: str) -> None:
    """What came is given, then the cut is an error."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        await connection.chunk(b"data: 1\n\ndata: 2")
        if how == "reset":
            connection.reset()

    async with RawServer(handler) as server:
        found: list[bytes] = []
        with pytest.raises(StreamInterruptedError) as caught:
            async for batch in _http.post_sse(server.url, b"{}", headers=HEADERS):
                found += batch
    assert found == [b"1"]
    assert caught.value.retryable


# Closing.


async def test_closing_a_stream_closes_its_connection() -> None:
    """`aclose` in mid-stream is seen by the server at once."""
    told = asyncio.Event()

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        await connection.chunk(b"data: 1\n\n")
        told.set()
        await connection.until_gone()

    async with RawServer(handler) as server:
        batches = _http.post_sse(server.url, b"{}", headers=HEADERS)
        assert await anext(batches) == [b"1"]
        await told.wait()
        await batches.aclose()
        async with asyncio.timeout(30):
            await server.connections[0].gone.wait()


@pytest.mark.parametrize("stage", ["before the head", "in mid-stream", "in a whole answer"])
async def test_cancelling_closes_the_connection(stage: str) -> None:
    """Whenever the task is cancelled, the server sees it at once."""
    waiting = asyncio.Event()

    async def handler(connection: Connection) -> None:
        await connection.request()
        if stage == "in mid-stream":
            await connection.begin()
            await connection.chunk(b"data: 1\n\n")
        if stage == "in a whole answer":
            await connection.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"half')
        waiting.set()
        await connection.until_gone()

    async with RawServer(handler) as server:
        if stage == "in mid-stream":
            task = asyncio.create_task(sse(server.url))
        else:
            task = asyncio.create_task(_http.post_json(server.url, b"{}", headers=HEADERS))  # type: ignore[arg-type]
        await waiting.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(30):
            await server.connections[0].gone.wait()


async def test_the_pool_closes_and_opens_again() -> None:
    """`close` closes the idle connections; the next request opens a new pool."""
    idle = asyncio.Event()

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.answer(b"{}")
        idle.set()
        await connection.until_gone()

    async with RawServer(handler) as server:
        await _http.post_json(server.url, b"{}", headers=HEADERS)
        await _http.close()
        async with asyncio.timeout(30):
            await server.connections[0].gone.wait()
        await _http.post_json(server.url, b"{}", headers=HEADERS)
        assert len(server.connections) == 2
        await _http.close()
        await _http.close()


def open_files() -> int:
    """Descriptors of this process (Linux; elsewhere the warnings that are errors have to do)."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def test_a_loop_that_ends_closes_its_pool() -> None:
    """Nobody closes anything, and nothing is left open: no warning, no descriptor, in loop after loop."""

    async def job() -> None:
        async with RawServer(ok) as server:
            await _http.post_json(server.url, b"{}", headers=HEADERS)

    asyncio.run(job())
    gc.collect()
    before = open_files()
    for _ in range(5):
        asyncio.run(job())
    gc.collect()
    assert open_files() < before + 5  # what other tests left to the collector may close meanwhile
    assert not [loop for loop in pool._pools if loop.is_closed()]


# Reuse.


async def test_connections_are_used_again() -> None:
    """Whole answers, streams, and errors that were read to their end leave their connection for the next request."""

    async def handler(connection: Connection) -> None:
        while True:
            head, _ = await connection.request()
            if "/sse" in head:
                await connection.begin()
                await connection.chunk(b"data: 1\n\ndata: [DONE]\n\n")
                await connection.chunk(b"")
            else:
                await connection.answer(b"{}")

    async with RawServer(handler) as server:
        for _ in range(3):
            await _http.post_json(server.url, b"{}", headers=HEADERS)
            await sse(server.url + "/sse")
            await _http.request("GET", server.url)
        assert len(server.connections) == 1


async def test_a_hundred_requests_at_once() -> None:
    """The pool has no limit that would make them wait for each other."""
    here = 0
    all_here = asyncio.Event()

    async def handler(connection: Connection) -> None:
        nonlocal here
        await connection.request()
        here += 1
        if here == 100:
            all_here.set()
        await all_here.wait()
        await connection.answer(b"{}")

    async with RawServer(handler) as server:
        async with asyncio.timeout(30):
            await asyncio.gather(*(_http.post_json(server.url, b"{}", headers=HEADERS) for _ in range(100)))


async def test_a_kept_connection_that_the_server_has_closed() -> None:
    """It is replaced without a word: the request had no answer at all on it."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.answer(b"{}")
        if connection.number == 1:
            await connection.request()  # the second request arrives, and the connection is closed unanswered
            return
        await connection.request()
        await connection.answer(b'{"second":true}')

    async with RawServer(handler) as server:
        await _http.post_json(server.url, b"{}", headers=HEADERS)
        assert await _http.post_json(server.url, b'{"n":2}', headers=HEADERS) == b"{}"
        assert [len(c.requests) for c in server.connections] == [2, 1]
        assert server.connections[1].requests[0][1] == b'{"n":2}'


async def test_a_fresh_connection_that_is_closed_unanswered() -> None:
    """The request may have been taken: it is not sent twice behind the caller's back."""

    async def handler(connection: Connection) -> None:
        await connection.request()

    async with RawServer(handler) as server:
        with pytest.raises(StreamInterruptedError) as caught:
            await _http.post_json(server.url, b"{}", headers=HEADERS)
        assert caught.value.retryable
        assert len(server.connections) == 1


# Time-outs.


async def test_no_byte_of_an_answer() -> None:
    """The read time-out names itself and the way out."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.until_gone()

    async with RawServer(handler) as server:
        with pytest.raises(ModelTimeoutError, match=r"sent nothing for 0\.05 s.*timeout_s"):
            await _http.post_json(server.url, b"{}", headers=HEADERS, timeouts=QUICK)
        async with asyncio.timeout(30):
            await server.connections[0].gone.wait()


async def test_no_further_byte_of_a_stream() -> None:
    """The same in mid-stream, after what came was given."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        await connection.chunk(b"data: 1\n\n")
        await connection.until_gone()

    async with RawServer(handler) as server:
        batches = _http.post_sse(server.url, b"{}", headers=HEADERS, timeouts=_http.Timeouts(5.0, 0.5))
        assert await anext(batches) == [b"1"]
        with pytest.raises(ModelTimeoutError):
            await anext(batches)


async def test_a_stream_that_never_ends() -> None:
    """The total time-out holds whatever moves meanwhile."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        while True:
            await connection.chunk(b"data: 1\n\n")
            await asyncio.sleep(0.005)

    async with RawServer(handler) as server:
        with pytest.raises(ModelTimeoutError, match=r"did not finish within 0\.1 s"):
            await sse(server.url, timeouts=_http.Timeouts(5.0, 5.0, 0.1))


async def test_a_connection_that_nobody_accepts() -> None:
    """A listener with a full backlog: the connect time-out ends the wait."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            with pytest.raises(ModelTimeoutError, match=r"no connection .* within 0\.1 s"):
                await _http.post_json(
                    f"http://127.0.0.1:{port}", b"{}", headers=HEADERS, timeouts=_http.Timeouts(0.1, 5.0)
                )
        finally:
            for filler in fillers:
                filler.close()


# What cannot be reached.


async def test_a_server_that_is_not_there() -> None:
    """Refused: the error names the address and asks the two questions that matter."""
    async with RawServer(ok) as server:
        url = server.url
    with pytest.raises(ModelConnectionError, match="is the server running, and the base URL right") as caught:
        await _http.post_json(url + "/v1", b"{}", headers=HEADERS)
    assert url in str(caught.value) and caught.value.retryable


async def test_a_name_that_does_not_resolve() -> None:
    """`.invalid` never resolves (RFC 2606)."""
    with pytest.raises(ModelConnectionError, match="cannot be resolved"):
        await _http.post_json("http://no-such-host.invalid/v1", b"{}", headers=HEADERS)


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://example.invalid", "http://", "", "http:///v1", "http://[::1"]
)
async def test_what_is_no_url(url: str) -> None:
    """Said before anything is sent."""
    with pytest.raises(ConfigurationError, match="http://"):
        await _http.post_json(url, b"{}", headers=HEADERS)


async def test_what_does_not_speak_http() -> None:
    """An SSH server, say."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"SSH-2.0-OpenSSH_9.6\r\n")
        await connection.until_gone()

    async with RawServer(handler) as server:
        with pytest.raises(MalformedAnswerError, match="does not speak HTTP"):
            await _http.post_json(server.url, b"{}", headers=HEADERS)


# Downloads.


async def test_a_download_piece_by_piece() -> None:
    """Status and headers first, then the body as it comes; a range may be asked for."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin("application/octet-stream")
        for i in range(5):
            await connection.chunk(bytes([i]) * 1000)
        await connection.chunk(b"")

    async with RawServer(handler) as server:
        headers = {"Range": "bytes=10-"}
        async with _http.stream_bytes("GET", server.url, headers=headers) as (status, found, chunks):
            body = b"".join([c async for c in chunks])
        assert "Range: bytes=10-" in server.connections[0].requests[0][0]
    assert (status, found["content-type"], len(body)) == (200, "application/octet-stream", 5000)


async def test_a_download_that_is_cut() -> None:
    """Cut short of its length: an error, so that nobody takes it for whole."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    async with RawServer(handler) as server:
        with pytest.raises(StreamInterruptedError):
            async with _http.stream_bytes("GET", server.url) as (_, _, chunks):
                async for _ in chunks:
                    pass


async def test_a_download_that_is_left_early() -> None:
    """Leaving the block closes the connection."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        await connection.chunk(b"x")
        await connection.until_gone()

    async with RawServer(handler) as server:
        async with _http.stream_bytes("GET", server.url) as (_, _, chunks):
            async for _ in chunks:
                break
        async with asyncio.timeout(30):
            await server.connections[0].gone.wait()


async def test_a_callers_own_error_in_a_download() -> None:
    """A full disk while a download is written is the caller's error, not the server's."""
    async with RawServer(ok) as server:
        with pytest.raises(OSError, match="disk full") as caught:
            async with _http.stream_bytes("GET", server.url):
                raise OSError(28, "disk full")
    assert type(caught.value) is OSError


async def test_a_download_from_nowhere() -> None:
    """Unreachable is said as everywhere."""
    async with RawServer(ok) as server:
        url = server.url
    with pytest.raises(ModelConnectionError, match="is the server running"):
        async with _http.stream_bytes("GET", url):
            pytest.fail("there was an answer")
