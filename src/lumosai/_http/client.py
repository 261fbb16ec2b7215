"""Requests: whole answers, streams of events, downloads."""

from __future__ import annotations

import asyncio
import io
import ipaddress
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from lumosai._http import pool as _pool
from lumosai._http.errors import from_answer, from_client, malformed, too_large
from lumosai._http.exchange import header_line
from lumosai._http.sse import Decoder, is_events
from lumosai._http.values import MAX_BYTES, Peer, Response, Timeouts
from lumosai.errors import ConfigurationError, ModelNotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

    from lumosai._http.exchange import Answer, Line

Carried = tuple[tuple[str, str], ...]
"""Headers, each with its value."""

_FOREIGN: Final = (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError)
"""Everything the HTTP client raises; `ssl.SSLError` and socket errors are of `OSError`."""

_STALE: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError)
_TRIES: Final = 3
_LARGE_BODY: Final = 256 * 1024
"""Bytes from which a request's body is written in pieces, so that it does not block the loop."""

_ERROR_BYTES: Final = 256 * 1024
_SHOWN: Final = 256
"""Bytes of an answer's beginning that are kept to be shown, should it turn out to be none."""

_FRAMING: Final = 512
"""Bytes of each event that do not count towards the largest answer: ids and names, repeated with every few letters."""

_LINGER_S: Final = 0.25
"""Seconds a stream may stay open after its last event before its connection is given up instead of kept for reuse."""

_DONE: Final = b"[DONE]"
_TAIL: Final = 64
"""Bytes at the end of what came in which the last word is looked for."""
_DOCUMENT: Final = (b"{", b"[", b"<", b"")
"""What no stream of events begins with."""

_TRACE: Final = "traceparent"
_NOBODY: Final = Peer()
_USUAL: Final = Timeouts()
_OK: Final = 200
_REDIRECT: Final = 300
_ERROR: Final = 400


class Download(NamedTuple):
    """An answer whose body is read piece by piece.

    Attributes:
        status: the HTTP status.
        headers: by lower-case name.
        chunks: the body, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


async def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeouts: Timeouts = _USUAL,
    max_bytes: int = MAX_BYTES,
    redirects: bool = False,
    addresses: Sequence[str] | None = None,
) -> Response:
    """A whole answer, whatever its status.

    Args:
        method: such as "GET".
        url: http or https.
        headers: to send.
        body: to send.
        timeouts: how long to wait.
        max_bytes: the largest body that is read.
        redirects: whether they are followed.
        addresses: connect to exactly these IP addresses, whatever the name resolves to, past any proxy; the name
            still stands in the `Host` header and is what TLS checks.

    Raises:
        ModelConnectionError: no answer; `ModelTimeoutError` and `StreamInterruptedError` among them.
        AnswerTooLargeError: a body of more than `max_bytes`.
        MalformedAnswerError: not HTTP, or a body that cannot be decompressed.
        ConfigurationError: a URL, proxy or CA file that cannot be used.
    """
    begun = False
    try:
        async with _opened(method, url, headers, body, timeouts, redirects=redirects, addresses=addresses) as response:
            begun = True
            data = await _whole(response, max_bytes, _NOBODY, url)
            return Response(response.status, _lower(response.headers), data, str(response.url))
    except _FOREIGN as error:
        raise from_client(error, peer=_NOBODY, url=url, timeouts=timeouts, begun=begun) from error


@asynccontextmanager
async def stream_bytes(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeouts: Timeouts = _USUAL,
    redirects: bool = True,
) -> AsyncGenerator[Download, None]:
    """Gives a body of any size, piece by piece.

    `async with stream_bytes("GET", url) as (status, headers, chunks): …`

    Leaving the block closes the connection.

    Raises:
        ModelConnectionError: no answer, or one that was cut, which the iterator may raise too.
        ConfigurationError: a URL, proxy or CA file that cannot be used.
    """
    async with AsyncExitStack() as stack:
        opening = _opened(method, url, headers, None, timeouts, redirects=redirects, addresses=None)
        try:
            response = await stack.enter_async_context(opening)
        except _FOREIGN as error:
            raise from_client(error, peer=_NOBODY, url=url, timeouts=timeouts) from error
        yield Download(response.status, _lower(response.headers), _pieces(response, url, timeouts))


async def post_json(
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    timeouts: Timeouts = _USUAL,
    peer: Peer = _NOBODY,
    max_bytes: int = MAX_BYTES,
    trace: str | None = None,
    carried: Carried = (),
) -> bytes:
    """The body of the answer to a POST of JSON, which has a 2xx status.

    Args:
        url: where to.
        body: JSON.
        headers: all that is to be sent, `Content-Type` included.
        timeouts: how long to wait.
        peer: whose errors these are.
        max_bytes: the largest body that is read.
        trace: the `traceparent` header, the one that is another with each request.
        carried: the headers that go with it.

    Raises:
        ModelError: the most specific one, with the server's own words.
        ConfigurationError: a URL, proxy or CA file that cannot be used.
    """
    response = await _post(url, body, headers, timeouts, peer, trace=trace, carried=carried)
    content = response.content
    try:
        # A short answer has mostly come as a whole with its head: nothing has to be waited for.
        data = content.read_nowait() if content.is_eof() else await _whole(response, max_bytes, peer, url, until=_DONE)
    except _FOREIGN as error:
        raise from_client(error, peer=peer, url=url, timeouts=timeouts, begun=True) from error
    finally:
        if not response.closed:
            response.close()
    if len(data) > max_bytes:
        raise too_large(max_bytes, peer=peer, url=url)
    if not data:
        raise malformed("answered with an empty body", data, peer=peer, url=url)
    return data


async def post_sse(
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    timeouts: Timeouts = _USUAL,
    peer: Peer = _NOBODY,
    max_bytes: int = MAX_BYTES,
    is_last: Callable[[bytes], bool] = _DONE.__eq__,
    trace: str | None = None,
    carried: Carried = (),
) -> AsyncGenerator[list[bytes], None]:
    """The `data` payloads of the events that answer a POST of JSON, in lists: those of one network read together.

    An answer that is one JSON document, because the server does not stream, is given as one payload, with a `[DONE]`
    behind it. Closing the generator closes the connection at once. The arguments are those of `post_json`, and `is_last`,
    which tells the payload behind which nothing comes.

    Raises:
        ModelError: the most specific one; `StreamInterruptedError` where the connection was cut.
        ConfigurationError: a URL, proxy or CA file that cannot be used.
    """
    response = await _post(url, body, headers, timeouts, peer, trace=trace, carried=carried)
    try:
        read = response.content.readany
        data = await read()
        if data.lstrip()[:1] in _DOCUMENT:
            yield [await _document(response, data, max_bytes, peer, url), _DONE]
            return
        decoder, size, start = Decoder(), 0, data[:_SHOWN]
        while data:
            batch = decoder.feed(data)
            size += max(0, len(data) - _FRAMING * len(batch))
            if size > max_bytes:
                raise too_large(max_bytes, peer=peer, url=url)
            if batch:
                yield batch
                if is_last(batch[-1]):
                    await _drain(response)
                    return
            if decoder.error is not None:
                break
            data = await read()
        if last := _last(decoder, start, peer, url):
            yield last
    except _FOREIGN as error:
        raise from_client(error, peer=peer, url=url, timeouts=timeouts, begun=True) from error
    finally:
        response.close()


async def _post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    timeouts: Timeouts,
    peer: Peer,
    *,
    trace: str | None,
    carried: Carried,
) -> Answer | aiohttp.ClientResponse:
    """The answer to a POST, its status checked.

    A connection out of the pool that turns out to be dead is replaced without a word, as long as nothing of an answer
    came on it (RFC 9112, section 9.3.1).
    """
    pool = _pool.current()
    if pool is None:
        pool = await _pool.here()
    target = pool.targets.get(url) or pool.target(url)
    timeout = pool.timeouts.get(timeouts) or pool.timeout(timeouts)
    line = target.line
    is_plain = line is not None and len(body) < _LARGE_BODY and timeouts.total_s is None
    head = _head(line, headers, trace, carried) if is_plain and line is not None else None
    if head is None and trace is not None:
        ours = {_TRACE: trace, **dict(carried)}
        headers = {name: value for name, value in headers.items() if name.lower() not in ours} | ours
    seen = _pool.opened.get()
    for tries in range(_TRIES):
        try:
            if line is not None and head is not None:
                response: Answer | aiohttp.ClientResponse = await line.post(head, body, timeout)
            else:
                response = await pool.session.post(
                    target.url,
                    data=body if len(body) < _LARGE_BODY else io.BytesIO(body),
                    headers=headers,
                    timeout=timeout,
                    allow_redirects=False,
                    proxy=target.proxy,
                    ssl=target.ssl,
                )
        except _FOREIGN as error:
            if isinstance(error, _STALE) and tries + 1 < _TRIES and _pool.opened.get() == seen:
                continue
            raise from_client(error, peer=peer, url=url, timeouts=timeouts) from error
        if response.status != _OK:
            await _check(response, url, timeouts, peer)
        return response
    raise AssertionError  # the last try returned or raised


def _head(line: Line, headers: Mapping[str, str], trace: str | None, carried: Carried) -> str | None:
    """What the request begins with, on the straight way; None where that is not for these headers."""
    if trace is None:
        return line.head(headers)
    if _TRACE in headers:
        headers = {name: value for name, value in headers.items() if name != _TRACE}
    if carried:
        ours = dict(carried)
        headers = {name: value for name, value in headers.items() if name.lower() not in ours}
    head = line.head(headers)
    if head is None:
        return None
    head += header_line(_TRACE, trace)
    return head + "".join([header_line(name, value) for name, value in carried]) if carried else head


async def _check(response: Answer | aiohttp.ClientResponse, url: str, timeouts: Timeouts, peer: Peer) -> None:
    """Raises what an answer means that is not of a 2xx status."""
    status = response.status
    if _OK <= status < _REDIRECT:
        return
    try:
        if _REDIRECT <= status < _ERROR:
            where = response.headers.get("Location", "")
            msg = f"{url} redirects ({status}) to {where!r}: set the base URL to where the API really is"
            raise ModelNotFoundError(msg, provider=peer.provider, model=peer.model, status=status)
        data = await _start(response, _ERROR_BYTES)
        raise from_answer(status, data, peer=peer, url=url, headers=response.headers)
    except _FOREIGN as error:
        raise from_client(error, peer=peer, url=url, timeouts=timeouts, begun=True) from error
    finally:
        response.close()


@asynccontextmanager
async def _opened(
    method: str,
    url: str,
    headers: Mapping[str, str] | None,
    body: bytes | None,
    timeouts: Timeouts,
    *,
    redirects: bool,
    addresses: Sequence[str] | None,
) -> AsyncGenerator[aiohttp.ClientResponse, None]:
    """The answer to one request, its connection closed or given back at the block's end."""
    pool = await _pool.here()
    target = pool.prepared(url, proxies=addresses is None)
    session = pool.session
    if addresses is not None:
        if _is_other_address(target.url.host or "", addresses):
            msg = f"{url} names an address of its own, which is none of {', '.join(addresses)}"
            raise ConfigurationError(msg)
        connector = aiohttp.TCPConnector(resolver=_pool.FixedResolver(addresses), use_dns_cache=False, force_close=True)
        session = _pool.new_session(connector)
    try:
        async with session.request(
            method,
            target.url,
            data=body,
            headers=headers,
            timeout=pool.timeout(timeouts),
            allow_redirects=redirects,
            proxy=target.proxy,
            ssl=target.ssl,
        ) as response:
            yield response
    finally:
        if addresses is not None:
            await session.close()


async def _pieces(response: aiohttp.ClientResponse, url: str, timeouts: Timeouts) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in response.content.iter_any():
            yield piece
    except _FOREIGN as error:
        raise from_client(error, peer=_NOBODY, url=url, timeouts=timeouts, begun=True) from error


async def _whole(
    response: Answer | aiohttp.ClientResponse, limit: int, peer: Peer, url: str, until: bytes | None = None
) -> bytes:
    """The whole body, as long as it is not larger than `limit` bytes.

    Args:
        response: whose body.
        limit: bytes.
        peer: whose it is, as errors name it.
        url: where it came from.
        until: what is the last word of a body that is a stream of events, behind which its end is not waited for: some
            servers stream unasked, and leave the connection open.
    """
    content = response.content
    data = await content.readany()
    if content.at_eof() and len(data) <= limit:
        return data
    if (response.content_length or 0) > limit:
        raise too_large(limit, peer=peer, url=url)
    pieces, size = [data], len(data)
    start = tail = data if until is not None else b""
    while data and size <= limit:
        if until is not None and tail[-_TAIL:].rstrip().endswith(until) and is_events(start[:_SHOWN]):
            break
        data = await content.readany()
        pieces.append(data)
        size += len(data)
        if until is not None:
            start = start if len(start) >= _TAIL else start + data
            tail = tail[-_TAIL:] + data
    if size > limit:
        raise too_large(limit, peer=peer, url=url)
    return b"".join(pieces)


async def _start(response: Answer | aiohttp.ClientResponse, limit: int) -> bytes:
    """The body's first `limit` bytes."""
    pieces, size = [], 0
    while size < limit and (piece := await response.content.readany()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)[:limit]


async def _document(response: Answer | aiohttp.ClientResponse, first: bytes, limit: int, peer: Peer, url: str) -> bytes:
    """The one document that came instead of events."""
    rest = await _whole(response, limit, peer, url)
    data = first + rest if rest else first
    if len(data) > limit:
        raise too_large(limit, peer=peer, url=url)
    start = data.lstrip()[:1]
    if start == b"<" or not start:
        raise malformed("answered with no events", data, peer=peer, url=url)
    return data


async def _drain(response: Answer | aiohttp.ClientResponse) -> None:
    """Reads to the end of a stream that has said `[DONE]`, so that its connection can be used again.

    Nothing that happens to the connection now can change the answer, so its errors are nobody's.
    """
    content = response.content
    if content.at_eof():
        return
    timer = asyncio.get_running_loop().call_later(_LINGER_S, response.close)
    try:
        while await content.readany():
            pass
    except _FOREIGN:
        return
    finally:
        timer.cancel()


def _last(decoder: Decoder, start: bytes, peer: Peer, url: str) -> list[bytes]:
    """What a stream's end leaves to give: the last event, where no blank line ended it and it is all there."""
    last = decoder.close()
    if decoder.error is not None:
        raise from_answer(None, decoder.error, peer=peer, url=url)
    if last is not None and _is_whole(last):
        return [last]
    if not is_events(start):
        raise malformed("answered with what is no stream of events", start, peer=peer, url=url)
    return []


def _is_whole(payload: bytes) -> bool:
    """Whether a payload that no blank line ended is all there."""
    if payload == _DONE:
        return True
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _is_other_address(host: str, addresses: Sequence[str]) -> bool:
    """Whether `host` is an IP address, which no resolver is asked about, and not among `addresses`."""
    try:
        return ipaddress.ip_address(host) not in [ipaddress.ip_address(a) for a in addresses]
    except ValueError:
        return False


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    lowered: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        lowered[key] = f"{lowered[key]}, {value}" if key in lowered else value
    return lowered
