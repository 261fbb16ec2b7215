"""What every model behind a provider's HTTP API is: a name, an address, a key, and a wire made at the first request.

A protocol's model is a subclass that says which headers it sends and how its `Wire` is made; the wire writes requests and
reads answers. What a server refuses of that which nobody asked for, the wire may know to leave out: it is asked again.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

from lumosai.errors import BadRequestError, ServerError
from lumosai.models._attempts import announce
from lumosai.models._batches import one_by_one
from lumosai.models._endpoint import Endpoint, holds_key
from lumosai.models._media import MediaCheck
from lumosai.models.profiles import NOTHING, Change, applied, changes, own_store, profile_key

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Mapping

    from lumosai._http.values import Timeouts
    from lumosai.errors import ModelError
    from lumosai.models._batches import Batches
    from lumosai.models.base import Chunk, ModelRequest, Tell
    from lumosai.models.profiles import Profile, ProfileStore

DEFAULT_TIMEOUT_S = 300.0
"""Seconds without a byte: reasoning models think for minutes before they say a word."""


MAX_REFUSALS = 6
"""Refusals of one request that are got round before the next is taken for final."""


class Wire(Protocol):
    """One protocol, as spoken to one endpoint."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[list[Chunk], None]:
        """Sends a request; the chunks of its answer, in lists: those of one network read together.

        Raises:
            ModelError: no whole answer came, and why.
        """
        ...

    def ask(self, request: ModelRequest) -> Coroutine[None, None, bytes]:
        """Sends a request; its whole answer."""
        ...

    def read_whole(self, data: bytes) -> list[Chunk]:
        """The chunks of an answer that came whole.

        Raises:
            ModelError: it tells of an error, is not whole, or is not of the wire format.
        """
        ...

    def without_refused(self, words: str) -> Profile | None:
        """The profile without what the server refuses in these words; None where a user asked for it."""
        ...


class ServerModel:
    """A model that is asked over HTTP.

    Cheap to make: nothing is looked up before the first use, and all models share one pool of connections.

    Args:
        name: the model's name at its server.
        base_url: where the API is, the version in its path included; else `<PROVIDER>_BASE_URL`, else the provider's own.
        api_key: else the provider's variables. Only the provider's own address insists on one.
        timeout_s: seconds without a single byte, of a connection or of an answer, after which it is given up; not the
            length of the whole answer. A `Timeouts` says each on its own; None waits for ever.
        headers: sent besides.
        profile: what the model can do, where the table of providers does not know.
        price: what it costs, where no price list knows: (input, output) in US dollars for a million tokens, or as
            `models.prices` says.
        provider: a name of the table of providers.
    """

    __slots__ = (
        "__weakref__",
        "_api_key",
        "_applied",
        "_base",
        "_base_url",
        "_headers",
        "_key",
        "_media",
        "_own",
        "_profile",
        "_timeout",
        "_wire",
        "name",
        "price",
        "provider",
    )

    PROVIDER: ClassVar[str]
    """Whose model it is where nothing else is said."""

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
        provider: str = "",
    ) -> None:
        self.name = name
        self.provider = provider or self.PROVIDER
        self.price = price
        self._base_url = base_url
        self._api_key = api_key
        self._timeout = timeout_s
        self._headers = headers
        self._base = profile
        self._profile: Profile | None = None
        self._applied: tuple[Change, ...] = ()
        self._key = ""
        self._own: ProfileStore | None = None
        self._media: MediaCheck | None = None
        self._wire: Wire | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, provider={self.provider!r}, base_url={self.endpoint!r})"

    @property
    def profile(self) -> Profile:
        """What the model can do, without what its server was found to refuse."""
        if self._profile is None:
            if self._base is None:
                from lumosai.models.providers import profile_of

                self._base = profile_of(self.provider, self.name, self.endpoint)
            self._profile = applied(self._base, self._applied) if self._applied else self._base
        return self._profile

    @property
    def endpoint(self) -> str:
        """The base URL in use."""
        if self._base_url is None:
            from lumosai.models.providers import base_url_of

            self._base_url = base_url_of(self.provider)
        return self._base_url

    @property
    def in_one_piece(self) -> bool:
        """Whether `answer` may be asked: some servers only stream."""
        return not self.profile.stream_only

    def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """The answer's chunks. Closing the generator closes the connection.

        A server that refuses what the wire adds on its own account is asked again without it, and the model's profile
        remembers.

        Raises:
            ModelError: what the server answered instead, or that it did not.
            MediaUnsupportedError: a part that the model does not take.
            MissingKeyError: the provider needs a key and none is set.
        """
        return one_by_one(self.batches(request))

    async def batches(self, request: ModelRequest) -> Batches:
        """As `stream`, in lists: the chunks of one network read together."""
        (self._media or self._check())(request.messages)
        attempt = 1
        met: tuple[Change, ...] = ()
        while True:
            wire = self._ready(request, met)
            shown = False
            try:
                if request.incremental or self._only_streams(request):
                    async with aclosing(wire.stream(request)) as lists:
                        async for chunks in lists:
                            if chunks:
                                shown = True
                                yield chunks
                else:
                    yield wire.read_whole(await wire.ask(request))
            except (BadRequestError, ServerError) as error:
                met = self._learn(request, wire, error, met)
            else:
                return
            attempt += 1
            yield (announce(self, request, attempt, f"rejected: {met[-1].why}", discard=shown),)

    async def answer(self, request: ModelRequest, tell: Tell) -> list[Chunk]:
        """The answer's chunks in one piece; else as `stream`.

        Raises:
            ModelError: as `stream`.
        """
        (self._media or self._check())(request.messages)
        attempt = 1
        met: tuple[Change, ...] = ()
        while True:
            wire = self._ready(request, met)
            try:
                if self._only_streams(request):
                    async with aclosing(wire.stream(request)) as batches:
                        return [chunk async for chunks in batches for chunk in chunks]
                return wire.read_whole(await wire.ask(request))
            except (BadRequestError, ServerError) as error:
                met = self._learn(request, wire, error, met)
            attempt += 1
            tell(announce(self, request, attempt, f"rejected: {met[-1].why}", discard=False))

    def _check(self) -> MediaCheck:
        """What raises where messages hold a part that the model does not take."""
        made = self._media = MediaCheck(self.provider, self.name, self.profile)
        return made

    def _own_headers(self, key: str | None) -> dict[str, str]:
        """The protocol's headers, the key's among them."""
        raise NotImplementedError

    def _make_wire(self, to: Endpoint) -> Wire:
        """The protocol's wire to that server."""
        raise NotImplementedError

    def _only_streams(self, request: ModelRequest) -> bool:
        """Whether the server gives no whole answer to this request."""
        profile = self.profile
        return profile.stream_only or (profile.stream_thinking and profile.thinks_in(request.settings))

    def _ready(self, request: ModelRequest, met: tuple[Change, ...]) -> Wire:
        """The wire to ask by: without what the request's store knows to be refused, and what this request has `met`.

        A store may have forgotten, and may keep nothing.
        """
        learned = self._store(request).get(self._key or self._place())
        known = learned.changed if learned is not None else ()
        changed = (*known, *[c for c in met if all(c.changes != k.changes for k in known)]) if met else known
        if changed != self._applied:
            self._applied, self._profile, self._wire = changed, None, None
        return self._wire or self._open()

    def _learn(
        self, request: ModelRequest, wire: Wire, error: ModelError, met: tuple[Change, ...]
    ) -> tuple[Change, ...]:
        """Remembers what the server refuses of that which nobody asked for; raises any other refusal on.

        A chat template's refusal comes as an internal error from some servers, so that those are looked at, too.
        """
        learned = wire.without_refused(str(error)) if len(met) < MAX_REFUSALS else None
        if learned is None:
            raise error
        change = Change(changes(self.profile, learned), str(error))
        store, key = self._store(request), self._key
        known = store.get(key) or NOTHING
        store.put(key, msgspec.structs.replace(known, changed=(*known.changed, change)))
        return (*met, change)

    def _store(self, request: ModelRequest) -> ProfileStore:
        store: ProfileStore | None = request.services.get("profiles") if request.services else None
        if store is None:
            store = self._own
        if store is None:
            store = self._own = own_store(self)
        return store

    def _place(self) -> str:
        """The key under which experience with this model is kept."""
        self._key = profile_key(self.provider, self.endpoint, self.name)
        return self._key

    def _open(self) -> Wire:
        """Looks up what the first request needs."""
        from lumosai.models import prices
        from lumosai.models.providers import key_of

        if self.price is None:
            prices.prepare(self.provider, self.name)
        headers, key = self._headers or {}, self._api_key
        if not key and not holds_key(headers):
            key = key_of(self.provider, self.endpoint)
        own = self._own_headers(key)
        to = Endpoint(self.provider, self.name, self.endpoint, own=own, given=headers, timeout_s=self._timeout)
        self._wire = self._make_wire(to)
        return self._wire
