"""The little of ASGI that the endpoints of telemetry speak: a body up to a size, an answer, and who may ask."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Any, Final

from lumosai.records import Scope

Asgi = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Allowed = Scope | bool | None
Authorize = Callable[[Mapping[str, str]], Allowed | Awaitable[Allowed]]
"""Says of a request's headers, their names in small letters, whose it is: a scope, or whether it may be at all."""

_PIECE: Final = 65_536
_MEMBERS: Final = 16


class RefusedError(Exception):
    """A request that is answered with an error.

    Args:
        status: the HTTP status.
        reason: in words.
        headers: sent besides.
    """

    def __init__(self, status: int, reason: str, *headers: tuple[str, str]) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


def headers_of(asgi: Asgi) -> dict[str, str]:
    """A request's headers; of one that is there more than once the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in asgi.get("headers", ())}


async def whose(asgi: Asgi, headers: Mapping[str, str], authorize: Authorize | None, scope: Scope) -> Scope:
    """The scope that a request is served in.

    Raises:
        RefusedError: it may not be served.
    """
    if authorize is None:
        if not _is_near(asgi.get("client")):
            raise RefusedError(
                403,
                "only this machine is served: authorize=… says who else may ask, authorize=lambda headers: True all",
            )
        return scope
    told = authorize(headers)
    allowed = await told if inspect.isawaitable(told) else told
    if isinstance(allowed, Scope):
        return allowed
    if not allowed:
        raise RefusedError(401, "not authorized", ("www-authenticate", "Bearer"))
    return scope


def _is_near(client: Any) -> bool:
    """Whether a request comes from this machine; one by a socket file or without a network has no address."""
    try:
        address = ip_address(str(client[0]).partition("%")[0]) if client else None
    except ValueError:
        return True
    if address is None:
        return True
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


async def body_of(headers: Mapping[str, str], receive: Receive, most: int) -> bytes:
    """A request's body, unpacked.

    Raises:
        RefusedError: it is larger than `most` bytes, packed or not, packed in a way that is not known, or cut off.
    """
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise RefusedError(400, "content-length is no number")
    if int(length) > most:
        raise _too_large(most)
    packed = headers.get("content-encoding", "identity").strip().lower() or "identity"
    if packed not in ("identity", "gzip", "deflate"):
        raise RefusedError(415, f"content-encoding {packed[:40]!r} is not read: send gzip, deflate or none")
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "the request was cut off")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        chunks.append(chunk)
        if not message.get("more_body"):
            break
    data = b"".join(chunks)
    if packed == "identity" or not data:
        return data
    return _unpacked(data, 31 if packed == "gzip" else 15, most)


def _unpacked(data: bytes, way: int, most: int) -> bytes:
    """The data unpacked, piece by piece, so that a small body never becomes a large one."""
    out: list[bytes] = []
    size = 0
    for _ in range(_MEMBERS):
        unpacker = zlib.decompressobj(way)
        while True:
            try:
                piece = unpacker.decompress(data, _PIECE)
            except zlib.error as error:
                raise RefusedError(400, f"the body cannot be unpacked: {error}") from None
            size += len(piece)
            if size > most:
                raise _too_large(most)
            out.append(piece)
            data = unpacker.unconsumed_tail
            if unpacker.eof:
                break
            if not data and not piece:
                raise RefusedError(400, "the body cannot be unpacked: it is cut off")
        data = unpacker.unused_data.lstrip(b"\0")
        if not data:
            return b"".join(out)
    raise RefusedError(400, f"the body cannot be unpacked: it is more than {_MEMBERS} packed one behind the other")


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, f"the body is larger than {most} bytes: send fewer at once")


async def answer(
    send: Send, status: int, body: bytes, content_type: str, headers: tuple[tuple[str, str], ...] = ()
) -> None:
    """Sends an answer."""
    told = [("content-type", content_type), ("content-length", str(len(body))), *headers]
    await send(
        {"type": "http.response.start", "status": status, "headers": [(k.encode(), v.encode()) for k, v in told]}
    )
    await send({"type": "http.response.body", "body": body})


async def live(receive: Receive, send: Send) -> None:
    """Takes part in a server's beginning and end, in which nothing is to be done."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
