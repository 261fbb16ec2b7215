"""The way to one server of `/chat/completions`: what all requests of a model share, made at the first of them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from lumosai import _http
from lumosai.errors import BadRequestError, ModelConnectionError, ServerError, StreamInterruptedError
from lumosai.models._openai_answer import FAILED, whole
from lumosai.models._openai_refusals import without_refused
from lumosai.models._openai_request import Encoder
from lumosai.models._openai_rescue import answer, raw, rescued
from lumosai.models._openai_stream import Reader
from lumosai.models._openai_wire import NOT_JSON, decode
from lumosai.models.base import Finished, ToolCallChunk
from lumosai.models.providers import at_home

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lumosai.models._endpoint import Endpoint
    from lumosai.models.base import Chunk, ModelRequest
    from lumosai.models.profiles import Profile


_USUAL: Final = ("", "/v1")


def address(base_url: str) -> str:
    """Where completions are asked for under a base URL, which may have a query, or be that address itself."""
    path, mark, query = base_url.partition("?")
    path = path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return path + mark + query


def beside(base_url: str, path: str) -> str:
    """Where completions are asked for under another path of the same server, where the base URL has the usual one."""
    parts = urlsplit(base_url)
    return address(urlunsplit(parts._replace(path=path)) if parts.path.rstrip("/") in _USUAL else base_url)


class ChatWire:
    """The protocol as spoken to one server.

    Args:
        to: where requests go.
        profile: what the model can do.

    Attributes:
        encoder: writes the requests.
        to: as given.
        url: where they go.
        prefix_url: where those go whose answer is to go on from an assistant's text.
    """

    __slots__ = ("encoder", "prefix_url", "to", "url")

    def __init__(self, to: Endpoint, profile: Profile) -> None:
        self.to = to
        # No provider of the table seals calls here; Google does, whose server is asked by its address.
        self.encoder = Encoder(to.peer.provider, profile, seals=not at_home(to.peer.provider, to.base_url))
        self.url = address(to.base_url)
        self.prefix_url = beside(to.base_url, profile.prefix_path) if profile.prefix_path else self.url

    def without_refused(self, words: str) -> Profile | None:
        """The profile without what the server refuses in these words, of that which nobody asked for."""
        return without_refused(self.encoder.profile, words)

    async def ask(self, request: ModelRequest) -> bytes:
        """Sends a request; its whole answer.

        Raises:
            ModelError: what the server answered instead.
        """
        try:
            return await _http.post_json(
                self._url(request),
                self.encoder.body(self.to.peer.model, request, stream=False),
                headers=self.to.headers,
                trace=request.trace,
                carried=request.carried,
                timeouts=self.to.timeouts,
                peer=self.to.peer,
            )
        except BadRequestError as error:
            calls = rescued(error, request.tools)
            if not calls:
                raise
            return answer(calls, self.to.peer.model)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[list[Chunk], None]:
        """Sends a request; the chunks of its answer, in lists: those of one network read together.

        A connection that breaks after the reason for the end was named has broken too late to matter.

        Raises:
            ModelError: no whole answer came, and why.
        """
        reader = Reader()
        events = _http.post_sse(
            self._url(request),
            self.encoder.body(self.to.peer.model, request, stream=True),
            headers=self.to.headers,
            trace=request.trace,
            carried=request.carried,
            timeouts=self.to.timeouts,
            peer=self.to.peer,
        )
        try:
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
        except BadRequestError as error:
            calls = rescued(error, request.tools)
            if not calls:
                raise
            first = reader.answer.count
            yield [ToolCallChunk(first + i, "", c.name, raw(c)) for i, c in enumerate(calls)]
            yield [Finished("tool_calls", reader.answer.id, reader.answer.model)]
        else:
            yield reader.answer.end(self.to.peer.provider)

    def _url(self, request: ModelRequest) -> str:
        return self.prefix_url if self.encoder.goes_on(request) else self.url

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
            chunks = reader.feed(_http.payloads_of(data))
        self.check(reader)
        return chunks + reader.answer.end(self.to.peer.provider)

    def check(self, reader: Reader) -> None:
        """Raises where the reading ended without a whole answer.

        Raises:
            ServerError: the server says that it failed; or another error by its words.
            MalformedAnswerError: a payload that is not of the wire format, or no answer in it.
            StreamInterruptedError: no reason for the end was named, and no `[DONE]` came.
        """
        if reader.failed is not None:
            raise _http.from_answer(None, reader.failed, peer=self.to.peer, url=self.url)
        if reader.broken is not None:
            payload, why = reader.broken
            what = f"sent what is no chat completion ({why})"
            raise _http.malformed(what, payload, peer=self.to.peer, url=self.url)
        finish = reader.answer.finish
        if finish is not None and finish.lower() in FAILED:
            msg = f"{self.url} ended its answer with {finish!r}"
            raise ServerError(msg, provider=self.to.peer.provider, model=self.to.peer.model)
        if reader.whole:
            return
        if reader.done:
            raise _http.malformed("answered without any choice", b"", peer=self.to.peer, url=self.url)
        msg = f"{self.url} ended its stream before the answer was whole: no finish_reason, no [DONE]"
        raise StreamInterruptedError(msg, provider=self.to.peer.provider, model=self.to.peer.model)
