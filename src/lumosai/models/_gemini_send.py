"""The way to one server of `:generateContent`: what all requests of a model share, made at the first of them."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from lumosai import _http
from lumosai.errors import BadRequestError, ModelConnectionError, ServerError, StreamInterruptedError
from lumosai.models._gemini_answer import FINISH
from lumosai.models._gemini_request import Encoder, without_refused
from lumosai.models._gemini_stream import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from lumosai.models._endpoint import Endpoint
    from lumosai.models.base import Chunk, ModelRequest
    from lumosai.models.profiles import Profile

_VERSION: Final = "/v1beta"
_METHOD: Final = re.compile(r"/[^/]+/[^/]+:(generateContent|streamGenerateContent)$")
_REQUESTS: Final = ("MISSING_THOUGHT_SIGNATURE",)
"""Ends that the request is to blame for: the same one would end so again."""


def address(base_url: str, model: str, *, stream: bool) -> str:
    """Where answers are asked for under a base URL, which may lack its version, have a query, or be that address itself.

    Args:
        base_url: such as "https://generativelanguage.googleapis.com/v1beta".
        model: its name, or where it is: "tunedModels/NAME".
        stream: whether as a stream of events.
    """
    path, _, query = base_url.partition("?")
    path = _METHOD.sub("", path.rstrip("/"))
    if path.count("/") == 2:  # noqa: PLR2004  # scheme://host
        path += _VERSION
    name = quote(model if "/" in model else f"models/{model}", safe="/@")
    queries = [q for q in query.split("&") if q and not q.startswith("alt=")] + (["alt=sse"] if stream else [])
    method = "streamGenerateContent" if stream else "generateContent"
    return f"{path}/{name}:{method}" + ("?" + "&".join(queries) if queries else "")


class GeminiWire:
    """The protocol as spoken to one server.

    Args:
        to: where requests go.
        profile: what the model can do.

    Attributes:
        encoder: writes the requests.
        to: as given.
        url, stream_url: where they go.
    """

    __slots__ = ("encoder", "stream_url", "to", "url")

    def __init__(self, to: Endpoint, profile: Profile) -> None:
        self.to = to
        self.encoder = Encoder(to.peer.provider, profile)
        self.url = address(to.base_url, to.peer.model, stream=False)
        self.stream_url = address(to.base_url, to.peer.model, stream=True)

    def without_refused(self, words: str) -> Profile | None:
        """The profile without what the server refuses in these words, of that which nobody asked for."""
        return without_refused(self.encoder.profile, words)

    def ask(self, request: ModelRequest) -> Coroutine[None, None, bytes]:
        """Sends a request; its whole answer."""
        return _http.post_json(
            self.url,
            self.encoder.body(request),
            headers=self.to.headers,
            trace=request.trace,
            carried=request.carried,
            timeouts=self.to.timeouts,
            peer=self.to.peer,
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[list[Chunk], None]:
        """Sends a request; the chunks of its answer, in lists: those of one network read together.

        A connection that breaks after the reason for the end was named has broken too late to matter.

        Raises:
            ModelError: no whole answer came, and why.
        """
        reader = Reader(self.to.peer.provider)
        events = _http.post_sse(
            self.stream_url,
            self.encoder.body(request),
            headers=self.to.headers,
            trace=request.trace,
            carried=request.carried,
            timeouts=self.to.timeouts,
            peer=self.to.peer,
        )
        try:
            async with aclosing(events):
                async for payloads in events:
                    yield reader.feed(payloads)
                    if reader.stopped:
                        break
        except ModelConnectionError:
            if not reader.whole or reader.answer.goes_on:
                raise
        self.check(reader)
        yield reader.answer.end()

    def read_whole(self, data: bytes) -> list[Chunk]:
        """The chunks of an answer that came whole: as JSON or, from a server that streams unasked, as events.

        Raises:
            ModelError: it tells of an error, is not whole, or is not of the wire format.
        """
        reader = Reader(self.to.peer.provider)
        if not _http.is_events(data):
            chunks = reader.feed([data])
            reader.done = True
        else:
            chunks = reader.feed(_http.payloads_of(data))
        self.check(reader)
        return chunks + reader.answer.end()

    def check(self, reader: Reader) -> None:
        """Raises where the reading ended without a whole answer.

        Raises:
            ServerError: the server says that it or the model failed; or another error by its words.
            BadRequestError: it ended the answer because of the request.
            MalformedAnswerError: a payload that is not of the wire format, or no answer in it.
            StreamInterruptedError: no reason for the end was named.
        """
        peer, answer = self.to.peer, reader.answer
        if reader.failed is not None:
            raise _http.from_answer(None, reader.failed, peer=peer, url=self.url)
        if reader.broken is not None:
            payload, why = reader.broken
            raise _http.malformed(
                f"sent what is no answer of generateContent ({why})", payload, peer=peer, url=self.url
            )
        finish = answer.finish
        if finish is not None and finish not in FINISH:
            why = f": {answer.finish_message}" if answer.finish_message else ""
            kind = BadRequestError if finish in _REQUESTS else ServerError
            raise kind(
                f"{self.url} ended its answer with {finish!r}{why}",
                provider=peer.provider,
                model=peer.model,
                code=finish,
            )
        if reader.whole:
            return
        if reader.done and not answer.begun:
            raise _http.malformed("answered without any candidate", b"", peer=peer, url=self.url)
        msg = f"{self.url} ended its stream before the answer was whole: no finishReason"
        raise StreamInterruptedError(msg, provider=peer.provider, model=peer.model)
