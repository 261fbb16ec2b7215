"""What every embedding model behind a provider's HTTP API is: batches, a few at once, retried, and checked.

A protocol's model is a subclass that writes a request and reads an answer. All texts get a vector or the call fails: an
answer with fewer vectors than texts, with vectors of several lengths or with a number that is none is an error.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, ClassVar

from lumosai import _http
from lumosai.errors import BadRequestError, ConfigurationError, ModelError
from lumosai.models._embedding_table import dimensions_of, embedder_of, prefixes_of
from lumosai.models._embedding_texts import batches, checked
from lumosai.models._endpoint import Endpoint, holds_key
from lumosai.models.base import Embeddings
from lumosai.models.embedding_calls import OUTGOING
from lumosai.models.retry import wait_s
from lumosai.records import Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from lumosai._http.values import Timeouts
    from lumosai.models.base import EmbeddingKind

_AT_ONCE = 4
"""Requests of one call that run side by side."""
_LARGE = 256 * 1024
"""Bytes of an answer beyond which it is read in a thread, so that the event loop goes on."""


class ServerEmbeddingModel:
    """An embedding model that is asked over HTTP.

    Cheap to make: nothing is looked up before the first use. Failures that pass are tried again, batch by batch.

    Args:
        name: the model's name at its server.
        dimensions: numbers in a vector, for models that can give fewer; else the model's own number.
        base_url: where the API is, the version in its path included; else `<PROVIDER>_BASE_URL`, else the provider's own.
        api_key: else the provider's variables. Only the provider's own address insists on one.
        timeout_s: seconds without a single byte after which a request is given up; a `Timeouts` says each on its own.
        headers: sent besides.
        texts_per_request: texts in a request, at most; else what the provider takes.
        prefixes: what stands before each query and before each passage; else what the model was trained with, where its
            name tells it. ("", "") for none.
        kind_field: where the server is told what texts are for: the field's name, and its words for queries and for
            passages, such as ("input_type", "query", "passage").
        extra: merged into each request as it is, for what only one server has.
        attempts: requests for one batch at most, the first included.
        sleep: how to wait between them, given seconds.
        provider: a name of the table of providers.

    Attributes:
        name, provider: as given.

    Raises:
        ConfigurationError: a number below 1.
    """

    PROVIDER: ClassVar[str]
    """Whose model it is where nothing else is said."""

    def __init__(
        self,
        name: str,
        *,
        dimensions: int | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float | Timeouts | None = 60.0,
        headers: Mapping[str, str] | None = None,
        texts_per_request: int | None = None,
        prefixes: tuple[str, str] | None = None,
        kind_field: tuple[str, str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        attempts: int = 3,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        provider: str = "",
    ) -> None:
        for word, number in (
            ("dimensions", dimensions),
            ("texts_per_request", texts_per_request),
            ("attempts", attempts),
        ):
            if number is not None and number < 1:
                msg = f"{word}={number!r}: must be 1 or more"
                raise ConfigurationError(msg)
        self.name = name
        self.provider = provider or self.PROVIDER
        self._asked_dimensions = dimensions
        self._known_dimensions = dimensions or dimensions_of(self.provider, name)
        self._base_url = base_url
        self._api_key = api_key
        self._timeout = timeout_s
        self._headers = headers
        self._extra = dict(extra or {})
        self._prefixes = prefixes_of(name) if prefixes is None else prefixes
        self._kind_field = kind_field or embedder_of(self.provider).kind_field
        self._texts = texts_per_request or embedder_of(self.provider).texts
        self._attempts = attempts
        self._sleep = sleep
        self._to: Endpoint | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, provider={self.provider!r}, base_url={self.endpoint!r})"

    @property
    def dimensions(self) -> int:
        """Numbers in a vector; 0 until the first answer where the model is not known and none were asked for."""
        return self._known_dimensions

    @property
    def endpoint(self) -> str:
        """The base URL in use."""
        if self._base_url is None:
            from lumosai.models.providers import base_url_of

            self._base_url = base_url_of(self.provider) or self._own_address()
        return self._base_url

    async def embed(self, texts: Sequence[str], kind: EmbeddingKind = "passage") -> Embeddings:
        """One vector a text, in their order, whatever number of requests that takes.

        Raises:
            InvalidInputError: a text is blank or is not text.
            MissingKeyError: the provider needs a key and none is set.
            ModelError: what the server answered to one batch, or that it did not; a note says which texts those were.
            MalformedAnswerError: not one usable vector a text.
        """
        sent = checked(texts, self._prefixes[kind == "passage"])
        groups = list(batches(sent, most=self._texts, most_bytes=embedder_of(self.provider).bytes))
        waiting = iter(groups)  # one for all workers: each takes the next group that nobody has
        vectors: list[list[float]] = [[]] * len(sent)
        usages: list[Usage] = []

        async def work() -> None:
            for start, group in waiting:
                try:
                    found, usage = await self._batch(group, kind)
                except ModelError as error:
                    error.add_note(f"asked for vectors of texts {start} to {start + len(group) - 1} of {len(sent)}")
                    raise
                vectors[start : start + len(found)] = found
                usages.append(usage)

        await _side_by_side(work, min(_AT_ONCE, len(groups)))
        return Embeddings(vectors, sum(usages, Usage()))

    async def _batch(self, texts: list[str], kind: EmbeddingKind) -> tuple[list[list[float]], Usage]:
        """The vectors of one request, asked again where that may help."""
        failures = 0
        span = OUTGOING.get()
        trace, carried = (span.traceparent, span.carried) if span is not None else (None, ())
        while True:
            to = self._to or self._open()
            url, body = self._request(to, texts, kind)
            try:
                data = await _http.post_json(
                    url, body, headers=to.headers, timeouts=to.timeouts, peer=to.peer, trace=trace, carried=carried
                )
            except BadRequestError as error:
                if not self._learn(str(error), body):
                    raise
            except ModelError as error:
                failures += 1
                delay_s = wait_s(error, failures) if failures < self._attempts else None
                if delay_s is None:
                    raise
                await self._sleep(delay_s)
            else:
                if len(data) > _LARGE:
                    return await asyncio.to_thread(self._checked, data, len(texts), to, url)
                return self._checked(data, len(texts), to, url)

    def _checked(self, data: bytes, count: int, to: Endpoint, url: str) -> tuple[list[list[float]], Usage]:
        """An answer's vectors, if they are as many as the texts, all of one length and all of numbers."""
        try:
            vectors, usage = self._read(data, count)
            self._known_dimensions = _check(vectors, count, self._known_dimensions)
        except ValueError as error:
            what = f"sent no usable embeddings ({error})"
            raise _http.malformed(what, data, peer=to.peer, url=url) from error
        return vectors, usage

    def _open(self) -> Endpoint:
        """Looks up what the first request needs."""
        from lumosai.models.providers import key_of

        headers, key = self._headers or {}, self._api_key
        if not key and not holds_key(headers):
            key = key_of(self.provider, self.endpoint)
        own = {"Content-Type": "application/json", **self._own_headers(key)}
        self._to = Endpoint(self.provider, self.name, self.endpoint, own=own, given=headers, timeout_s=self._timeout)
        return self._to

    def _own_address(self) -> str:
        """Where the API is, for a provider that the table does not have."""
        return ""

    def _own_headers(self, key: str | None) -> dict[str, str]:
        """The header that holds the key."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _request(self, to: Endpoint, texts: list[str], kind: EmbeddingKind) -> tuple[str, bytes]:
        """Where one batch is asked for, and its body."""
        raise NotImplementedError

    def _read(self, data: bytes, count: int) -> tuple[list[list[float]], Usage]:
        """An answer's vectors, in the order of the texts, and its usage.

        Raises:
            ValueError: it is not of the wire format, and why.
        """
        raise NotImplementedError

    def _learn(self, words: str, body: bytes) -> bool:  # noqa: ARG002  # a subclass may know what these words mean
        """Whether the server refuses, in these words, what in `body` nobody asked for; it is left out from now on."""
        return False


async def _side_by_side(work: Callable[[], Awaitable[None]], count: int) -> None:
    """Runs `work` so many times at once; the first error ends all and is raised as it is."""
    if count == 1:
        await work()
        return
    failed: list[BaseException] = []

    async def guarded() -> None:
        try:
            await work()
        except BaseException as error:
            failed.append(error)
            raise

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(guarded())
    except BaseExceptionGroup:
        raise failed[0] from None


def _check(vectors: list[list[float]], count: int, dimensions: int) -> int:
    """How long the vectors are; `dimensions` is how long they must be, 0 where nobody knows.

    Raises:
        ValueError: one cannot be used, or they are not as many as the texts.
    """
    if len(vectors) != count:
        msg = f"{len(vectors)} vectors for {count} texts"
        raise ValueError(msg)
    dimensions = dimensions or len(vectors[0])
    for index, vector in enumerate(vectors):
        if not vector or len(vector) != dimensions:
            msg = f"vector {index} has {len(vector)} numbers, not {dimensions}"
            raise ValueError(msg)
        if not math.isfinite(sum(vector)):  # what is not finite stays so in a sum
            msg = f"vector {index} holds a number that is not finite"
            raise ValueError(msg)
    return dimensions
