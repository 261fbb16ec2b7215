"""OTLP in: spans of any instrumented program, taken over HTTP, stored and shown like our own.

    app = receiver(telemetry)                # ASGI; POST /v1/traces
    uvicorn.run(app, port=4318)

Protobuf (extra `otel`) and JSON, plain or packed. A span that comes twice is stored and counted once; a trace may come in
pieces, late and in any order. Spans of a run that this database recorded itself are left to it.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any, Final

from lumosai._loggers import logger_of
from lumosai.errors import ConflictError, InvalidInputError, MissingExtraError, StorageError
from lumosai.records import Scope
from lumosai.telemetry import _incoming as incoming
from lumosai.telemetry._asgi import RefusedError, answer, body_of, headers_of, live, whose
from lumosai.telemetry._foreign import Reader
from lumosai.telemetry._pieces import Names, Piece, pieces_of
from lumosai.telemetry.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from lumosai.storage.base import Storage
    from lumosai.telemetry._asgi import Asgi, Authorize, Receive, Send
    from lumosai.telemetry._incoming import Incoming
    from lumosai.telemetry.trace import Content

logger = logger_of("lumosai.telemetry.otlp")

MOST: Final = 64 * 2**20
_PATH: Final = "/v1/traces"
_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_AT_ONCE: Final = 256
"""Spans of one transaction, at the most."""
_TRIES: Final = 8
_AHEAD_S: Final = 86_400.0
"""How far a sender's clock may be ahead."""
_NAMES: Final = 2_000
_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 8, 415: 3, 429: 8, 503: 14}
"""gRPC's codes of HTTP's."""
_NO_ID: Final = frozenset({"0" * 16, "0" * 32})
_TRACE, _SPAN = 32, 16
"""Hex digits of their ids."""
_HEX: Final = frozenset("0123456789abcdef")


def receiver(
    target: Telemetry | Storage,
    *,
    scope: Scope | None = None,
    authorize: Authorize | None = None,
    max_bytes: int = MOST,
    content: Content | None = None,
    most_waiting: int = 64,
    clock: Callable[[], float] = time.time,
) -> Callable[[Asgi, Receive, Send], Awaitable[None]]:
    """An ASGI application that takes spans by OTLP over HTTP, `POST /v1/traces`, and stores them.

    A request is answered once its spans are stored. What of it cannot be is told as OTLP's partial success; where nothing
    can be stored now, the sender is told to come again.

    Args:
        target: where to.
        scope: whose the spans are, where `authorize` does not say.
        authorize: says of a request's headers whether it is served, and in which scope. Without it only requests from this
            machine are.
        max_bytes: of a body, packed or not.
        content: how much of what was said is kept, as in `Telemetry`; by default as its `Telemetry` does, or "metadata".
        most_waiting: requests that are worked on at once; further ones are told to come again.
        clock: gives unix seconds.
    """
    telemetry = target if isinstance(target, Telemetry) else None
    if isinstance(target, Telemetry):
        storage, kept = target.storage, content or target.content
        scope = scope or target.scope
    else:
        storage, kept = target, content or "metadata"
    if max_bytes < 1 or most_waiting < 1:
        raise InvalidInputError("max_bytes and most_waiting are at least 1")
    return _Receiver(
        storage,
        telemetry,
        scope=scope or Scope(),
        authorize=authorize,
        most=max_bytes,
        content=kept,
        most_waiting=most_waiting,
        clock=clock,
    )


class _Receiver:
    def __init__(
        self,
        storage: Storage,
        telemetry: Telemetry | None,
        *,
        scope: Scope,
        authorize: Authorize | None,
        most: int,
        content: Content,
        most_waiting: int,
        clock: Callable[[], float],
    ) -> None:
        self._storage = storage
        self._telemetry = telemetry
        self._scope = scope
        self._authorize = authorize
        self._most = most
        self._reader = Reader(content)
        self._names = Names(_NAMES)
        self._most_waiting = most_waiting
        self._waiting = 0
        self._clock = clock

    async def __call__(self, asgi: Asgi, receive: Receive, send: Send) -> None:
        if asgi["type"] == "lifespan":
            await live(receive, send)
            return
        if asgi["type"] != "http":
            raise InvalidInputError(f"OTLP comes by HTTP, not by {asgi['type']}")
        headers = headers_of(asgi)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        json = kind != _PROTOBUF
        try:
            scope = await self._admitted(asgi, headers, kind)
            body = await self._taken(headers, receive, scope, json=json)
        except RefusedError as refused:
            code = _CODES.get(refused.status, 2)
            make = incoming.failure_json if json else incoming.failure_protobuf
            await answer(
                send, refused.status, make(code, refused.reason), _JSON if json else _PROTOBUF, refused.headers
            )
        else:
            await answer(send, 200, body, _JSON if json else _PROTOBUF)

    async def _admitted(self, asgi: Asgi, headers: Mapping[str, str], kind: str) -> Scope:
        path = str(asgi.get("path", ""))
        root = str(asgi.get("root_path", "")).rstrip("/")
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        if path.rstrip("/") != _PATH:
            raise RefusedError(404, f"spans are taken at {_PATH}; logs and metrics are not")
        if asgi["method"] != "POST":
            raise RefusedError(405, f"spans are sent by POST, not by {asgi['method']}", ("allow", "POST"))
        scope = await whose(asgi, headers, self._authorize, self._scope)
        if kind not in (_PROTOBUF, _JSON):
            raise RefusedError(415, f"content-type {kind[:80]!r} is not read: send {_PROTOBUF} or {_JSON}")
        return scope

    async def _taken(self, headers: Mapping[str, str], receive: Receive, scope: Scope, *, json: bool) -> bytes:
        """Stores a request's spans; the answer's body."""
        if self._waiting >= self._most_waiting:
            raise RefusedError(429, "too many requests wait to be stored: come again", ("retry-after", "1"))
        self._waiting += 1
        try:
            data = await body_of(headers, receive, self._most)
            sent = incoming.read_json(data) if json else incoming.read_protobuf(data)
            del data
            rejected, why = await self._store(sent, scope)
        except (InvalidInputError, MissingExtraError) as error:
            raise RefusedError(400 if isinstance(error, InvalidInputError) else 415, str(error)) from None
        except StorageError as error:
            logger.warning("spans cannot be stored; their sender is told to come again: %s", error)
            raise RefusedError(503, "they cannot be stored now: come again", ("retry-after", "5")) from None
        finally:
            self._waiting -= 1
        return (incoming.answer_json if json else incoming.answer_protobuf)(rejected, why)

    async def _store(
        self, sent: list[tuple[dict[str, Any], Iterator[Incoming | None]]], scope: Scope
    ) -> tuple[int, str]:
        """Stores what can be; how many spans cannot, and why the first of them."""
        if self._telemetry is not None:  # what it has recorded itself of the same runs comes first
            await self._telemetry.flush()
        rejected, why = 0, ""
        latest = int((self._clock() + _AHEAD_S) * 1e9)
        pieces: dict[str, Piece] = {}
        held = 0
        for resource, spans in sent:
            service = self._names.few(_service(resource))
            for span in spans:
                wrong = "a number or a value of it cannot be read" if span is None else _wrong(span, latest)
                if span is None or wrong:
                    rejected, why = rejected + 1, why or f"a span was left out: {wrong}"
                    continue
                self._add(pieces, span, service, scope)
                held += 1
                if held >= _AT_ONCE:
                    await self._keep(list(pieces.values()), scope)
                    pieces, held = {}, 0
        if pieces:
            await self._keep(list(pieces.values()), scope)
        return rejected, why

    def _add(self, pieces: dict[str, Piece], span: Incoming, service: str, scope: Scope) -> None:
        step, root = self._reader.step(span, service)
        run_id = root if _RUN_ID.fullmatch(root) else span.trace
        piece = pieces.get(run_id)
        if piece is None:
            piece = pieces[run_id] = Piece(scope, run_id, span.trace, service)
        piece.add(step, span.above)

    async def _keep(self, pieces: list[Piece], scope: Scope) -> None:
        """Stores spans, beside what other processes store of the same traces."""
        telemetry = self._storage.telemetry
        pieces.sort(key=lambda p: p.run_id)
        wanted = pieces_of(pieces)
        for tried in range(_TRIES):
            there = await telemetry.arriving(scope, wanted)
            batch = [made for p in pieces if (made := p.recorded(there[p.run_id], self._names)) is not None]
            if not batch:
                return
            try:
                await telemetry.record(batch)
            except ConflictError:
                if tried == _TRIES - 1:
                    raise
                await asyncio.sleep(0.002 * 2**tried)
            else:
                return


_RUN_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def _service(resource: dict[str, Any]) -> str:
    told = resource.get("service.name")
    text = told if isinstance(told, str) and told else "unknown_service"
    return text[:200].encode("utf-8", "replace").decode().replace("\0", "")


def _wrong(span: Incoming, latest: int) -> str:
    """What is wrong with a span so that it cannot be stored; "" where nothing is."""
    if len(span.trace) != _TRACE or span.trace in _NO_ID or not _HEX.issuperset(span.trace):
        return "its trace id is not 16 bytes, or nothing but zeros"
    if len(span.span) != _SPAN or span.span in _NO_ID or not _HEX.issuperset(span.span):
        return "its span id is not 8 bytes, or nothing but zeros"
    if span.parent and (len(span.parent) != _SPAN or not _HEX.issuperset(span.parent)):
        return "its parent's id is not 8 bytes"
    if span.start <= 0:
        return "it says no time at which it began"
    if span.start > latest or span.end > latest:
        return "its time is more than a day ahead of this clock"
    return ""
