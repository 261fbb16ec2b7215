"""One pool of connections for each event loop, closed with its loop.

A loop's pool lives as long as the loop: it is held by an async generator that waits inside the loop, and every proper
end of a loop (`asyncio.run`, a `Runner`) closes such generators. So nobody has to close anything, and nobody is warned
of connections left open.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
from yarl import URL

from lumosai._http.exchange import Line
from lumosai._http.proxies import proxy_for
from lumosai._http.silence import listener
from lumosai._version import __version__
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from lumosai._http.values import Timeouts

_KEPT: Final = 512
"""Prepared targets and time-outs a pool remembers."""

_CA_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

opened: ContextVar[int] = ContextVar("lumosai_http_opened", default=0)
"""How many connections the current context has opened: tells a failure on a fresh one from one on a pooled one."""


class Target(NamedTuple):
    """A URL made ready: parsed, with its proxy, its trust, and the straight way there, where nothing stands in it."""

    url: URL
    proxy: str | None
    ssl: ssl.SSLContext | bool
    line: Line | None = None


class Pool:
    """The connections of one event loop, and what is worth preparing once.

    Attributes:
        loop: whose they are.
        session: the HTTP client's session.
        targets, timeouts: prepared values by URL and by `Timeouts`.
    """

    __slots__ = ("__weakref__", "_keeper", "_trust", "loop", "session", "targets", "timeouts")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.session = new_session(Connector(limit=0, loop=loop))
        self.targets: dict[str, Target] = {}
        self.timeouts: dict[Timeouts, aiohttp.ClientTimeout] = {}
        self._trust: ssl.SSLContext | bool | None = None
        self._keeper: AsyncGenerator[None, None] | None = None

    async def start(self) -> None:
        """Ties the pool to its loop's end."""
        self._keeper = self._until_the_loop_ends()
        await anext(self._keeper)

    async def close(self) -> None:
        """Closes every connection. The loop's next request opens a new pool."""
        if self._keeper is not None:
            await self._keeper.aclose()

    def target(self, url: str) -> Target:
        """`url` made ready, and remembered.

        Raises:
            ConfigurationError: not an http or https URL, or a proxy or CA file that cannot be used.
        """
        if len(self.targets) >= _KEPT:
            self.targets.clear()
        ready = self.prepared(url)
        if ready.proxy is None and ready.url.raw_user is None and ready.url.raw_password is None:
            line = Line(ready.url, trust=ready.ssl, session=self.session, loop=self.loop)
            ready = ready._replace(line=line)
        self.targets[url] = ready
        return ready

    def prepared(self, url: str, *, proxies: bool = True) -> Target:
        """`url` made ready for once; without `proxies` it is reached directly whatever the environment says.

        Raises:
            ConfigurationError: as `target`.
        """
        parsed = parse(url)
        proxy = proxy_for(parsed) if proxies else None
        return Target(parsed, proxy, self._trusted() if parsed.scheme == "https" else True)

    def timeout(self, timeouts: Timeouts) -> aiohttp.ClientTimeout:
        """The client's form of `timeouts`, remembered."""
        if len(self.timeouts) >= _KEPT:
            self.timeouts.clear()
        ready = aiohttp.ClientTimeout(
            total=timeouts.total_s, connect=timeouts.connect_s, sock_read=timeouts.read_s, sock_connect=None
        )
        self.timeouts[timeouts] = ready
        return ready

    def _trusted(self) -> ssl.SSLContext | bool:
        if self._trust is None:
            self._trust = trust()
        return self._trust

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            _forget(self)
            await self.session.close()


class Connector(aiohttp.TCPConnector):
    """The client's connector, which counts what it opens in the context that asked for it, and listens in our way."""

    def __init__(self, *, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=limit, loop=loop)
        self._factory = partial(listener(), loop=loop)

    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        opened.set(opened.get() + 1)
        return await super()._create_connection(*args, **kwargs)


class FixedResolver(aiohttp.abc.AbstractResolver):
    """Answers every name with the same addresses, which the caller has checked."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[Any]:
        """The fixed addresses, in their order."""
        del family
        shared = {"hostname": host, "port": port, "proto": 0, "flags": 0}
        kinds = [socket.AF_INET6 if ":" in a else socket.AF_INET for a in self._addresses]
        return [{**shared, "host": a, "family": k} for a, k in zip(self._addresses, kinds, strict=True)]

    async def close(self) -> None:
        """Nothing to close."""


_pools: dict[asyncio.AbstractEventLoop, Pool] = {}
_last: Pool | None = None


def current() -> Pool | None:
    """The running loop's pool, where it is the one that was used last: nearly always, and quicker than `here`."""
    pool = _last
    return pool if pool is not None and pool.loop is asyncio.get_running_loop() else None


async def here() -> Pool:
    """The running loop's pool, opened where there is none."""
    global _last  # noqa: PLW0603  # see `current`
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        _drop_closed_loops()
        pool = _pools[loop] = Pool(loop)
        await pool.start()
    _last = pool
    return pool


async def close() -> None:
    """Closes the running loop's pool, where it has one."""
    pool = _pools.get(asyncio.get_running_loop())
    if pool is not None:
        await pool.close()


def new_session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    """A session without cookies; its only header of its own is the user agent."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"lumosai/{__version__}"},
    )


def parse(url: str) -> URL:
    """The URL, parsed.

    Raises:
        ConfigurationError: not an http or https URL with a host.
    """
    try:
        parsed = URL(url)
        fits = parsed.scheme in ("http", "https") and bool(parsed.host)
    except ValueError:
        fits = False
    if not fits:
        msg = f"{url!r} is not a URL that can be reached: it needs http:// or https:// and a host"
        raise ConfigurationError(msg)
    return parsed


def trust() -> ssl.SSLContext | bool:
    """Whom to trust over TLS: what the first set of the usual variables names, else what the system does.

    Raises:
        ConfigurationError: the variable names nothing that can be read as certificates.
    """
    for variable in _CA_VARIABLES:
        path = os.environ.get(variable)
        if path:
            try:
                if Path(path).is_dir():
                    return ssl.create_default_context(capath=path)
                return ssl.create_default_context(cafile=path)
            except OSError as error:
                msg = f"{variable}={path!r} cannot be read as CA certificates ({error}): correct or unset it"
                raise ConfigurationError(msg) from error
    return True


def _forget(pool: Pool) -> None:
    global _last  # noqa: PLW0603  # see `current`
    if _last is pool:
        _last = None
    if _pools.get(pool.loop) is pool:
        del _pools[pool.loop]


def _drop_closed_loops() -> None:
    """Lets go of pools whose loop was closed without its asynchronous generators: nothing can be sent on them."""
    for loop in [loop for loop in _pools if loop.is_closed()]:
        _pools.pop(loop).session.detach()
