"""The way to one server of `/v1/messages`: what all requests of a model share, made at the first of them.

A server whose own tools run long may pause in the middle of a turn. It is asked to go on, with what it said so far, and
what it says then is more of the same answer. One that only says the same message again is not asked on.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai import _http
from lumosai.errors import ModelConnectionError, StreamInterruptedError
from lumosai.models._anthropic_answer import Answer
from lumosai.models._anthropic_request import Encoder, without_refused
from lumosai.models._anthropic_stream import Reader, is_last
from lumosai.models._encoded import encode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from lumosai.models._endpoint import Endpoint
    from lumosai.models.base import Chunk, ModelRequest
    from lumosai.models.profiles import Profile

CONTINUATIONS: Final = 8
"""How often a paused turn is gone on with; after that it ends as paused."""

_VERSIONED: Final = re.compile(r"/v\d[^/]*$")


def address(base_url: str) -> str:
    """Where messages are asked for under a base URL, which may lack the version, have a query, or be that address."""
    path, mark, query = base_url.partition("?")
    path = path.rstrip("/")
    if not path.endswith("/messages"):
        path += "/messages" if _VERSIONED.search(path) else "/v1/messages"
    return path + mark + query


class MessagesWire:
    """The protocol as spoken to one server.

    Args:
        to: where requests go.
        profile: what the model can do.

    Attributes:
        encoder: writes the requests.
        to: as given.
        url: where they go.
    """

    __slots__ = ("encoder", "to", "url")

    def __init__(self, to: Endpoint, profile: Profile) -> None:
        self.to = to
        self.encoder = Encoder(to.peer.provider, profile)
        self.url = address(to.base_url)

    def without_refused(self, words: str) -> Profile | None:
        """The profile without what the server refuses in these words, of that which nobody asked for."""
        return without_refused(self.encoder.profile, words)

    async def ask(self, request: ModelRequest) -> bytes:
        """Sends a request; its whole answer, which a paused turn's later parts are joined to.

        Raises:
            ModelError: what the server answered instead.
        """
        said: list[dict[str, Any]] = []
        for _ in range(CONTINUATIONS):
            data = await self._post(request, said)
            part = _paused(data)
            if part is None:
                break
            if said and part.get("id") == said[-1].get("id"):
                return _joined(said[:-1], encode(said[-1]))  # the paused answer itself, once more
            said.append(part)
        else:
            data = await self._post(request, said)
        return _joined(said, data) if said else data

    async def stream(self, request: ModelRequest) -> AsyncGenerator[list[Chunk], None]:
        """Sends a request; the chunks of its answer, in lists: those of one network read together.

        Raises:
            ModelError: no whole answer came, and why.
        """
        answer = Answer(self.to.peer.provider)
        for again in range(CONTINUATIONS, -1, -1):
            reader = Reader(answer)
            async with aclosing(self._events(request, answer)) as events:
                try:
                    async for payloads in events:
                        yield reader.feed(payloads)
                        if reader.stopped and not (reader.done and is_last(payloads[-1])):
                            break  # else the stream ends by itself, and its connection can be used again
                except ModelConnectionError:
                    if not reader.stopped:
                        raise
            self.check(reader)
            if answer.replayed or not (answer.paused and again):
                break
            yield answer.close()
            answer = Answer(self.to.peer.provider, answer)
        yield answer.end()

    def read_whole(self, data: bytes) -> list[Chunk]:
        """The chunks of an answer that came whole: as JSON or, from a server that streams unasked, as events.

        Raises:
            ModelError: it tells of an error, is not whole, or is not of the wire format.
        """
        reader = Reader(Answer(self.to.peer.provider))
        chunks = reader.feed(_http.payloads_of(data) if _http.is_events(data) else [data])
        self.check(reader)
        return chunks + reader.answer.end()

    def check(self, reader: Reader) -> None:
        """Raises where the reading ended without a whole answer.

        Raises:
            ServerError: the server says that it failed; or another error by its words.
            MalformedAnswerError: a payload that is not of the wire format, or no message in it.
            StreamInterruptedError: the message's end did not come, or another message came before it.
        """
        peer = self.to.peer
        if reader.failed is not None:
            raise _http.from_answer(None, reader.failed, peer=peer, url=self.url)
        if reader.broken is not None:
            payload, why = reader.broken
            raise _http.malformed(f"sent what is no event of a message ({why})", payload, peer=peer, url=self.url)
        if reader.spliced:
            msg = f"{self.url} {reader.spliced}: two answers came as one, of which neither is whole"
            raise StreamInterruptedError(msg, provider=peer.provider, model=peer.model)
        if not (reader.done or reader.answer.replayed):
            msg = f"{self.url} ended its stream before the answer was whole: no message_stop"
            raise StreamInterruptedError(msg, provider=peer.provider, model=peer.model)
        if not reader.answer.begun:
            raise _http.malformed("answered without any message", b"", peer=peer, url=self.url)

    async def _post(self, request: ModelRequest, said: list[dict[str, Any]]) -> bytes:
        turn = [block for part in said for block in part["content"]]
        container = next((p["container"] for p in reversed(said) if p.get("container")), None)
        return await _http.post_json(
            self.url,
            self.encoder.body(self.to.peer.model, request, stream=False, turn=turn, container=container),
            headers=self._headers(request),
            trace=request.trace,
            carried=request.carried,
            timeouts=self.to.timeouts,
            peer=self.to.peer,
        )

    def _events(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[list[bytes], None]:
        return _http.post_sse(
            self.url,
            self.encoder.body(self.to.peer.model, request, stream=True, turn=answer.turn, container=answer.container),
            headers=self._headers(request),
            trace=request.trace,
            carried=request.carried,
            timeouts=self.to.timeouts,
            peer=self.to.peer,
            is_last=is_last,
        )

    def _headers(self, request: ModelRequest) -> Mapping[str, str]:
        headers = self.to.headers
        needed = self.encoder.betas(request)
        if not needed:
            return headers
        name = next((h for h in headers if h.lower() == "anthropic-beta"), "anthropic-beta")
        given = [b.strip() for b in headers.get(name, "").split(",") if b.strip()]
        return {**headers, name: ",".join(dict.fromkeys([*given, *needed]))}


def _paused(data: bytes) -> dict[str, Any] | None:
    """A whole answer whose turn goes on; None where it ended, or where it is nothing like an answer."""
    if b"pause_turn" not in data:
        return None
    try:
        part = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return part if part.get("stop_reason") == "pause_turn" and isinstance(part.get("content"), list) else None


def _joined(parts: list[dict[str, Any]], data: bytes) -> bytes:
    """The parts of a turn as one answer; `data` as it is where that is none."""
    try:
        last = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    if not isinstance(last.get("content"), list):
        return data
    whole = {**last, "content": [block for part in [*parts, last] for block in part["content"]]}
    told = [usage for part in [*parts, last] if isinstance(usage := part.get("usage"), dict)]
    numbers = {k for usage in told for k, v in usage.items() if isinstance(v, int)}
    whole["usage"] = {**(told[-1] if told else {}), **{k: sum(u.get(k) or 0 for u in told) for k in numbers}}
    return encode(whole)
