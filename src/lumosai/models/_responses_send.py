"""The way to one server of `/responses`: what all requests of a model share, made at the first of them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

import msgspec

from lumosai import _http
from lumosai.errors import ModelError, ServerError, StreamInterruptedError
from lumosai.models._responses_request import Encoder, Options, without_refused
from lumosai.models._responses_seals import home
from lumosai.models._responses_stream import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from lumosai.models._endpoint import Endpoint
    from lumosai.models.base import Chunk, ModelRequest
    from lumosai.models.profiles import Profile

_LINGER_S: Final = 0.25
"""Seconds a stream may stay open after its last event before its connection is given up instead of kept for reuse."""


def address(base_url: str) -> str:
    """Where responses are asked for under a base URL, which may have a query, or be that address itself."""
    path, mark, query = base_url.partition("?")
    path = path.rstrip("/")
    if not path.endswith("/responses"):
        path += "/responses"
    return path + mark + query


class ResponsesWire:
    """The protocol as spoken to one server.

    Args:
        to: where requests go.
        profile: what the model can do.
        options: as the model was made with.

    Attributes:
        encoder: writes the requests.
        to: as given.
        url: where they go.
    """

    __slots__ = ("_at", "encoder", "to", "url")

    def __init__(self, to: Endpoint, profile: Profile, options: Options) -> None:
        self.to = to
        self.url = address(to.base_url)
        self._at = home(to.peer.provider, to.base_url)
        self.encoder = Encoder(to.peer.provider, self._at, profile, options)

    def without_refused(self, words: str) -> Profile | None:
        """The profile without what the server refuses in these words, of that which nobody asked for."""
        return without_refused(self.encoder.profile, words)

    def ask(self, request: ModelRequest) -> Coroutine[None, None, bytes]:
        """Sends a request; its whole answer."""
        return _http.post_json(
            self.url,
            self.encoder.body(self.to.peer.model, request, stream=False),
            headers=self.to.headers,
            trace=request.trace,
            carried=request.carried,
            timeouts=self.to.timeouts,
            peer=self.to.peer,
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[list[Chunk], None]:
        """Sends a request; the chunks of its answer, in lists: those of one network read together.

        Raises:
            ModelError: no whole answer came, and why.
        """
        reader = self._reader()
        events = _http.post_sse(
            self.url,
            self.encoder.body(self.to.peer.model, request, stream=True),
            headers=self.to.headers,
            trace=request.trace,
            carried=request.carried,
            timeouts=self.to.timeouts,
            peer=self.to.peer,
        )
        async with aclosing(events):
            async for payloads in events:
                yield reader.feed(payloads)
                if reader.stopped:
                    break
            self.check(reader)
            yield reader.answer.end(stored=self.encoder.options.stored)
            # No event says that a stream is over: what may follow is read, so that the connection can be used again.
            with suppress(TimeoutError, ModelError):
                async with asyncio.timeout(_LINGER_S):
                    async for _ in events:
                        pass

    def read_whole(self, data: bytes) -> list[Chunk]:
        """The chunks of an answer that came whole: as JSON or, from a server that streams unasked, as events.

        Raises:
            ModelError: it tells of an error, is not whole, or is not of the wire format.
        """
        reader = self._reader()
        if not _http.is_events(data):
            chunks = reader.feed([data])
            reader.done = True
        else:
            decoder = _http.Decoder()
            payloads = decoder.feed(data)
            last = decoder.close()
            chunks = reader.feed(payloads if last is None else [*payloads, last])
            if decoder.error is not None and not reader.stopped:
                reader.failed = decoder.error
        self.check(reader)
        return chunks + reader.answer.end(stored=self.encoder.options.stored)

    def check(self, reader: Reader) -> None:
        """Raises where the reading ended without a whole answer.

        Raises:
            ServerError: the server says that it failed; or another error by its words.
            MalformedAnswerError: a payload that is not of the wire format, or no response in it.
            StreamInterruptedError: the response did not come to its end, or was mixed up with another.
        """
        peer, answer = self.to.peer, reader.answer
        if reader.failed is not None:
            raise _http.from_answer(None, reader.failed, peer=peer, url=self.url)
        if reader.broken is not None:
            payload, why = reader.broken
            raise _http.malformed(f"sent what is no response ({why})", payload, peer=peer, url=self.url)
        if reader.torn is not None:
            msg = f"{self.url} sent an answer that does not belong together: {reader.torn}"
            raise StreamInterruptedError(msg, provider=peer.provider, model=peer.model)
        if answer.status in ("completed", "incomplete"):
            return
        if answer.error:
            told = msgspec.json.encode({"error": answer.error})
            raise _http.from_answer(None, told, peer=peer, url=self.url)
        if reader.whole and answer.status not in ("queued", "in_progress"):
            msg = f"{self.url} ended its answer as {answer.status!r}"
            raise ServerError(msg, provider=peer.provider, model=peer.model)
        if reader.done and not answer.begun:
            raise _http.malformed("answered without any response", b"", peer=peer, url=self.url)
        msg = f"{self.url} ended its stream before the answer was whole: no response.completed"
        raise StreamInterruptedError(msg, provider=peer.provider, model=peer.model)

    def _reader(self) -> Reader:
        return Reader(self._at, self.encoder.custom if self.encoder.options.tools else None)
