"""Models behind `/chat/completions`, the wire format that most servers speak.

One class serves every provider of that protocol; what differs between them is data: `models.providers` says where each
is, which key it takes and what its models can do. `_openai_request` writes requests, `_openai_answer` reads answers.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.errors import ModelConnectionError, ModelError, StreamInterruptedError
from lumosai.models._openai_answer import FAILED, Answer, Event, Repeat, decode, decode_loosely, text_of, whole
from lumosai.models._openai_request import Encoder
from lumosai.models.base import TextChunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from lumosai._http import Peer, Timeouts
    from lumosai.models.base import Chunk, ModelRequest
    from lumosai.models.profiles import Profile

DEFAULT_TIMEOUT_S = 300.0


class OpenAIChatModel:
    """A model of any OpenAI-compatible server.

    Cheap to make: nothing is looked up before the first use, and all models share one pool of connections.

    Args:
        name: the model's name at its server.
        base_url: where the API is, `/v1` included; else `<PROVIDER>_BASE_URL`, else the provider's own.
        api_key: else the provider's variables. Only the provider's own address insists on one.
        timeout_s: seconds without a single byte of an answer, or a `Timeouts`.
        headers: sent besides.
        profile: what the model can do, where the table of providers does not know.
        price: US dollars a token, where no price list knows; see `models.prices`.
        provider: a name of the table of providers.
    """

    __slots__ = (
        "__weakref__",
        "_api_key",
        "_base_url",
        "_headers",
        "_profile",
        "_timeout",
        "_wire",
        "name",
        "price",
        "provider",
    )

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float | Timeouts | None = DEFAULT_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
        profile: Profile | None = None,
        price: Any = None,
        provider: str = "openai",
    ) -> None:
        self.name = name
        self.provider = provider
        self.price = price
        self._base_url = base_url
        self._api_key = api_key
        self._timeout = timeout_s
        self._headers = headers
        self._profile = profile
        self._wire: _Wire | None = None

    def __repr__(self) -> str:
        return f"OpenAIChatModel({self.name!r}, provider={self.provider!r}, base_url={self.endpoint!r})"

    @property
    def profile(self) -> Profile:
        """What the model can do."""
        if self._profile is None:
            from lumosai.models.providers import profile_of

            self._profile = profile_of(self.provider, self.name, self._base_url)
        return self._profile

    @property
    def endpoint(self) -> str:
        """The base URL in use."""
        if self._base_url is None:
            from lumosai.models.providers import base_url_of

            self._base_url = base_url_of(self.provider)
        return self._base_url

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """The answer's chunks. Closing the generator closes the connection.

        Raises:
            ModelError: what the server answered instead, or that it did not.
            MissingKeyError: the provider needs a key and none is set.
        """
        wire = self._wire or self._open()
        body = wire.encoder.body(self.name, request)
        headers = wire.headers if request.trace is None else {**wire.headers, "traceparent": request.trace}
        if not request.incremental:
            data = await wire.post_json(wire.url, body, headers=headers, timeouts=wire.timeouts, peer=wire.peer)
            for chunk in wire.read_whole(data):
                yield chunk
            return
        answer, repeat, done = Answer(), Repeat(), False
        head, tail = repeat.head, repeat.tail
        events = wire.post_sse(wire.url, body, headers=headers, timeouts=wire.timeouts, peer=wire.peer)
        try:
            async with aclosing(events):
                async for batch in events:
                    for payload in batch:
                        if payload.startswith(head) and payload.endswith(tail):
                            try:
                                text = text_of(payload[repeat.start : len(payload) - repeat.stop])
                            except msgspec.DecodeError:
                                pass
                            else:
                                if text:
                                    yield repeat.chunk(text)
                                continue
                        try:
                            event = decode(payload)
                        except msgspec.DecodeError:
                            if payload.strip() == b"[DONE]":
                                done = True
                                break
                            event = wire.read_loosely(payload)
                        if event.failed:
                            raise wire.from_answer(None, payload, peer=wire.peer, url=wire.url)
                        chunks = answer.feed(event)
                        for chunk in chunks:
                            yield chunk
                        if len(chunks) == 1 and repeat.tries and repeat.learn(payload, event, chunks[0]):
                            head, tail = repeat.head, repeat.tail
        except ModelConnectionError:
            if answer.finish is None:
                raise
        wire.check_end(answer, done=done)
        for chunk in answer.end():
            yield chunk

    def _open(self) -> _Wire:
        """Looks up what the first request needs."""
        self._wire = _Wire(self)
        return self._wire

    def _make(self) -> tuple[str, dict[str, str], Peer, Timeouts]:
        """The URL, the headers, whose errors they are, and how long to wait."""
        from lumosai import _http
        from lumosai.models.providers import key_of

        key = self._api_key or key_of(self.provider, self.endpoint)
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        headers.update(self._headers or {})
        timeouts = self._timeout
        if not isinstance(timeouts, _http.Timeouts):
            timeouts = _http.Timeouts(None if timeouts is None else min(10.0, timeouts), timeouts)
        peer = _http.Peer(self.provider, self.name, (key,) if key else ())
        return self.endpoint.rstrip("/") + "/chat/completions", headers, peer, timeouts


class _Wire:
    """What all requests of a model share, made at the first."""

    __slots__ = ("encoder", "from_answer", "headers", "malformed", "peer", "post_json", "post_sse", "timeouts", "url")

    def __init__(self, model: OpenAIChatModel) -> None:
        from lumosai import _http

        self.url, self.headers, self.peer, self.timeouts = model._make()  # noqa: SLF001  # two halves of one thing
        self.encoder = Encoder(model.provider, model.profile)
        self.post_json = _http.post_json
        self.post_sse = _http.post_sse
        self.from_answer = _http.from_answer
        self.malformed = _http.malformed

    def read_loosely(self, payload: bytes) -> Event:
        """An event that is not quite of the wire format.

        Raises:
            MalformedAnswerError: it is not of it at all.
        """
        try:
            return decode_loosely(payload)
        except msgspec.DecodeError as error:
            raise self.malformed(
                f"sent what is no chat completion ({error})", payload, peer=self.peer, url=self.url
            ) from error

    def read_whole(self, data: bytes) -> list[Chunk]:
        """The chunks of an answer that came whole, as JSON or, from a server that streams unasked, as events."""
        from lumosai._http import Decoder

        try:
            event = decode(data)
            usual = whole(event)
            if usual is not None:
                return usual
            payloads, events = [data], [event]
        except msgspec.DecodeError:
            if data.lstrip()[:1] == b"{":
                payloads, events = [data], [self.read_loosely(data)]
            else:
                decoder = Decoder()
                payloads = [*decoder.feed(data), decoder.close() or b""]
                payloads = [p for p in payloads if p and p.strip() != b"[DONE]"]
                events = [self.read_loosely(p) for p in payloads]
        answer = Answer()
        chunks: list[Chunk] = []
        for payload, event in zip(payloads, events, strict=True):
            if event.failed:
                raise self.from_answer(None, payload, peer=self.peer, url=self.url)
            chunks += answer.feed(event)
        if not answer.begun:
            raise self.malformed("answered without choices", data, peer=self.peer, url=self.url)
        self.check_end(answer, done=True)
        return chunks + answer.end()

    def check_end(self, answer: Answer, *, done: bool) -> None:
        """Raises where the answer ended without being whole."""
        names = {"provider": self.peer.provider, "model": self.peer.model}
        if answer.finish is not None and answer.finish.lower() in FAILED:
            from lumosai.errors import ServerError

            raise ServerError(f"{self.url} ended its answer with {answer.finish!r}", **names)
        if answer.finish is None and not (done and answer.begun):
            msg = f"{self.url} ended its stream without finishing the answer (no finish_reason, no [DONE])"
            raise StreamInterruptedError(msg, **names)


__all__ = ["DEFAULT_TIMEOUT_S", "ModelError", "OpenAIChatModel", "TextChunk"]
