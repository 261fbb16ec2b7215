"""The way to one server of `/chat/completions`: what all requests of a model share, made at the first of them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from lumosai import _http
from lumosai.errors import ModelConnectionError, ServerError, StreamInterruptedError
from lumosai.models._openai_answer import FAILED, whole
from lumosai.models._openai_request import Encoder
from lumosai.models._openai_stream import Reader
from lumosai.models._openai_wire import NOT_JSON, decode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Mapping

    from lumosai.models.base import Chunk, Model, ModelRequest

_CONNECT_S = 10.0

KEY_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
"""Headers that hold a key, in lower case: where a user sends one, no other is looked for, and none is shown."""


def address(base_url: str) -> str:
    """Where completions are asked for under a base URL, which may have a query, or be that address itself."""
    path, mark, query = base_url.partition("?")
    path = path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return path + mark + query


class Wire:
    """Where requests go and with what.

    Attributes:
        encoder: writes them.
        url, headers, timeouts: where to, with what, and how long to wait.
        peer: whose errors these are.
    """

    __slots__ = ("encoder", "headers", "name", "peer", "timeouts", "url")

    def __init__(
        self,
        model: Model,
        endpoint: str,
        key: str | None,
        headers: Mapping[str, str],
        timeout_s: float | _http.Timeouts | None,
    ) -> None:
        self.name = model.name
        self.encoder = Encoder(model.provider, model.profile)
        self.url = address(endpoint)
        own = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        given = {h.lower() for h in headers}
        self.headers = {**{h: v for h, v in own.items() if h.lower() not in given}, **headers}
        if not isinstance(timeout_s, _http.Timeouts):
            timeout_s = _http.Timeouts(None if timeout_s is None else min(_CONNECT_S, timeout_s), timeout_s)
        self.timeouts = timeout_s
        secrets = [v for k, v in self.headers.items() if k.lower() in KEY_HEADERS]
        secrets += [v.partition(" ")[2] for v in secrets]
        self.peer = _http.Peer(model.provider, model.name, tuple(filter(None, secrets)))

    def ask(self, request: ModelRequest) -> Coroutine[None, None, bytes]:
        """Sends a request; its whole answer."""
        return _http.post_json(
            self.url,
            self.encoder.body(self.name, request, stream=False),
            headers=self._headers(request),
            timeouts=self.timeouts,
            peer=self.peer,
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[list[Chunk], None]:
        """Sends a request; the chunks of its answer, in lists: those of one network read together.

        A connection that breaks after the reason for the end was named has broken too late to matter.

        Raises:
            ModelError: no whole answer came, and why.
        """
        reader = Reader()
        events = _http.post_sse(
            self.url,
            self.encoder.body(self.name, request, stream=True),
            headers=self._headers(request),
            timeouts=self.timeouts,
            peer=self.peer,
        )
        try:
            async with aclosing(events):
                async for payloads in events:
                    yield reader.feed(payloads)
                    if reader.stopped:
                        break
        except ModelConnectionError:
            if reader.answer.finish is None:
                raise
        self.check(reader)
        yield reader.answer.end(self.peer.provider)

    def read_whole(self, data: bytes) -> list[Chunk]:
        """The chunks of an answer that came whole: as JSON or, from a server that streams unasked, as events.

        Raises:
            ModelError: it tells of an error, is not whole, or is not of the wire format.
        """
        try:
            usual = whole(decode(data))
        except NOT_JSON:
            usual = None
        if usual is not None:
            return usual
        reader = Reader()
        if not _http.is_events(data):
            chunks = reader.feed([data])
            reader.done = True
        else:
            decoder = _http.Decoder()
            payloads = decoder.feed(data)
            last = decoder.close()
            if decoder.error is not None:
                payloads.append(decoder.error)
            chunks = reader.feed(payloads if last is None else [*payloads, last])
        self.check(reader)
        return chunks + reader.answer.end(self.peer.provider)

    def check(self, reader: Reader) -> None:
        """Raises where the reading ended without a whole answer.

        Raises:
            ServerError: the server says that it failed; or another error by its words.
            MalformedAnswerError: a payload that is not of the wire format, or no answer in it.
            StreamInterruptedError: no reason for the end was named, and no `[DONE]` came.
        """
        if reader.failed is not None:
            raise _http.from_answer(None, reader.failed, peer=self.peer, url=self.url)
        if reader.broken is not None:
            payload, why = reader.broken
            what = f"sent what is no chat completion ({why})"
            raise _http.malformed(what, payload, peer=self.peer, url=self.url)
        finish = reader.answer.finish
        if finish is not None and finish.lower() in FAILED:
            msg = f"{self.url} ended its answer with {finish!r}"
            raise ServerError(msg, provider=self.peer.provider, model=self.peer.model)
        if reader.whole:
            return
        if reader.done:
            raise _http.malformed("answered without any choice", b"", peer=self.peer, url=self.url)
        msg = f"{self.url} ended its stream before the answer was whole: no finish_reason, no [DONE]"
        raise StreamInterruptedError(msg, provider=self.peer.provider, model=self.peer.model)

    def _headers(self, request: ModelRequest) -> Mapping[str, str]:
        return self.headers if request.trace is None else {**self.headers, "traceparent": request.trace}
