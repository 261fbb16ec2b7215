"""`http`: fetch from hosts that were allowed, and never from an inner network unless that was allowed too.

A name is resolved once, every address is checked, and those very addresses are connected to, so a name that resolves
differently a moment later (DNS rebinding) changes nothing. Redirects are followed here, each one read and checked like the
first URL. Proxies of the environment are passed by: behind one, nobody could tell which address is reached.
"""  # the toolkit's name; imports are absolute

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin

from lumosai.errors import (
    AnswerTooLargeError,
    ConfigurationError,
    LumosaiError,
    MalformedAnswerError,
    ModelConnectionError,
    ModelTimeoutError,
    ToolError,
)
from lumosai.tools.base import Tool, tool
from lumosai.tools.toolkits._addresses import Rule, Target, check_allowed, check_public, inner, read_url, rule
from lumosai.tools.toolkits._text import cut, decode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from lumosai._http import Response
    from lumosai.tools.base import Approve

    Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
    """Gives the IP addresses of a host name; `OSError` where it has none."""

MAX_BYTES = 2_000_000
SHOWN_CHARS = 20_000
SHOWN_ERROR_CHARS = 1_000
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_REDIRECTS = (301, 302, 303, 307, 308)
_OK = range(200, 300)
_ACCEPT = "text/html, application/json;q=0.9, text/*;q=0.8, */*;q=0.1"
_TEXTUAL = re.compile(
    r"text/.*|.*[/+](?:json|xml|yaml|javascript|ecmascript|csv|x-www-form-urlencoded|graphql|toml)|.*ndjson.*"
)
_NO_CHARSETS = ("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape")
"""Codecs of Python's that no page is written in: some fail, one takes minutes over a megabyte."""
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)


def http(
    allow: Sequence[str],
    *,
    allow_private: bool = False,
    methods: Sequence[str] = ("GET",),
    headers: Mapping[str, str] | None = None,
    approval: Approve = False,
    max_bytes: int = MAX_BYTES,
    max_redirects: int = 5,
    timeout_s: float = 20.0,
    resolve: Resolve | None = None,
) -> list[Tool]:
    """Tools for the web: `fetch`, and `http_request` where other methods than GET are allowed.

    Args:
        allow: hosts such as `example.com`, `*.example.com` (all below it), `https://api.example.com:8443`, `localhost:*` (any
            port), or `*`. Without a port, the scheme's own.
        allow_private: whether loopback, private, link-local and the like may be reached, metadata services among them.
        methods: what may be done.
        headers: to send with each request, such as a key; not shown to the model, and not sent on to another origin.
        approval: whether a person must agree before a request other than GET and HEAD; as in `Tool`.
        max_bytes: the largest answer, after decompression.
        max_redirects: how many are followed, each one checked.
        timeout_s: seconds for everything, redirects included.
        resolve: instead of the system's name resolution.

    Raises:
        ConfigurationError: nothing is allowed, or a pattern or method that cannot be.
    """
    if isinstance(allow, str) or not allow:
        raise ConfigurationError("http(allow=…) needs a list of hosts, such as ['example.com', '*.example.org']")
    wanted = tuple(method.upper() for method in methods)
    for method in wanted:
        if method not in METHODS:
            raise ConfigurationError(f"http(methods=…): {method!r} is not one of {', '.join(METHODS)}")
    client = _Client(
        patterns=tuple(allow),
        rules=tuple(rule(pattern) for pattern in allow),
        allow_private=allow_private,
        headers={"Accept": _ACCEPT, **(headers or {})},
        max_bytes=max_bytes,
        max_redirects=max_redirects,
        timeout_s=timeout_s,
        resolve=resolve or system_resolve,
    )
    made = [_fetch(client)] if "GET" in wanted else []
    return made if set(wanted) <= {"GET"} else [*made, _request(client, wanted, approval)]


def _fetch(client: _Client) -> Tool:
    @tool(effect="pure")
    async def fetch(url: str, raw: bool = False) -> str:  # noqa: FBT001, FBT002  # arguments come by name
        """Fetch a web page or API.

        Args:
            url: http or https.
            raw: give HTML as it is, not its text.
        """
        return await client.answer("GET", url, None, None, raw=raw)

    return fetch


def _request(client: _Client, methods: tuple[str, ...], approval: Approve) -> Tool:
    @tool(
        effect="once" if {"POST", "PATCH"} & {*methods} else "idempotent",
        approval=approval,
        description=f"Send an HTTP request. Methods: {', '.join(methods)}.",
    )
    async def http_request(method: str, url: str, body: str = "", content_type: str = "application/json") -> str:
        """Send an HTTP request.

        Args:
            method: one of those allowed.
            url: http or https.
            body: what to send.
            content_type: of the body.
        """
        if method.upper() not in methods:
            raise ToolError(f"the method {method!r} is not allowed: only {', '.join(methods)}")
        if not content_type.isascii() or not content_type.isprintable():
            raise ToolError(f"{content_type!r} is not a content type")
        data = body.encode("utf-8", "replace") if body else None
        return await client.answer(method.upper(), url, data, content_type if body else None, raw=False)

    return http_request


async def system_resolve(host: str, port: int) -> list[str]:
    """The addresses that the system gives for a name, in its order."""
    import socket

    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _Client(NamedTuple):
    """What is allowed, and how a request under it is made."""

    patterns: tuple[str, ...]
    rules: tuple[Rule, ...]
    allow_private: bool
    headers: dict[str, str]
    max_bytes: int
    max_redirects: int
    timeout_s: float
    resolve: Resolve

    async def answer(self, method: str, url: str, body: bytes | None, content_type: str | None, *, raw: bool) -> str:
        """The answer as text for the model.

        Raises:
            ToolError: not allowed, not reached, not text, too large, too slow, or a status other than 2xx.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                target, response = await self.follow(method, read_url(url), body, content_type)
                text = await _shown(response, raw=raw)
        except TimeoutError:
            raise ToolError(f"{url!r} took more than {self.timeout_s:g} s") from None
        if response.status not in _OK:
            raise ToolError(f"{target.url} answered {_status(response.status)}: {cut(text, SHOWN_ERROR_CHARS)}")
        moved = "" if target == read_url(url) else f"[from {target.url}]\n"
        return moved + cut(text, SHOWN_CHARS, "ask for a more precise page")

    async def follow(
        self, method: str, target: Target, body: bytes | None, content_type: str | None
    ) -> tuple[Target, Response]:
        """The first answer that is no redirect, and where it came from."""
        origin = target.origin
        for _ in range(self.max_redirects + 1):
            headers = dict(self.headers) if target.origin == origin else {"Accept": _ACCEPT}
            if body is not None and content_type is not None:
                headers["Content-Type"] = content_type
            response = await self.send(method, target, headers, body)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or not location:
                return target, response
            target = read_url(urljoin(target.url, location))
            if response.status == HTTPStatus.SEE_OTHER or (response.status < HTTPStatus.SEE_OTHER and method == "POST"):
                # As every browser does: what was posted is answered elsewhere, by a GET.
                method, body = ("HEAD" if method == "HEAD" else "GET"), None
        raise ToolError(f"more than {self.max_redirects} redirects, the last to {target.url}")

    async def send(self, method: str, target: Target, headers: dict[str, str], body: bytes | None) -> Response:
        """One request, to addresses that were checked."""
        from lumosai._http import Timeouts, request

        check_allowed(target, self.rules, self.patterns)
        addresses = await self.addresses(target)
        try:
            return await request(
                method,
                target.url,
                headers=headers,
                body=body,
                timeouts=Timeouts(connect_s=self.timeout_s, read_s=self.timeout_s, total_s=self.timeout_s),
                max_bytes=self.max_bytes,
                redirects=False,
                addresses=addresses,
            )
        except LumosaiError as error:
            raise ToolError(_told(error, target, self)) from error

    async def addresses(self, target: Target) -> Sequence[str]:
        """Where the host is: every address checked."""
        found = [target.host] if _is_address(target.host) else await self.look_up(target)
        if not self.allow_private:
            check_public(target.host, found)
        return found

    async def look_up(self, target: Target) -> Sequence[str]:
        try:
            found = await self.resolve(target.host, target.port)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise ToolError(f"there is no host {target.host!r}, or the name could not be looked up")
        return found


def _is_address(host: str) -> bool:
    return inner(host) != "no IP address"


def _told(error: LumosaiError, target: Target, client: _Client) -> str:
    """What went wrong on the way, in words about a web page."""
    where = f"{target.scheme}://{target.host}:{target.port}"
    if isinstance(error, AnswerTooLargeError):
        return f"{target.url} answers with more than {client.max_bytes} bytes"
    if isinstance(error, ModelTimeoutError):
        return f"{where} did not answer within {client.timeout_s:g} s"
    if isinstance(error, MalformedAnswerError):
        return f"{where} does not answer in HTTP that can be read"
    if isinstance(error, ModelConnectionError):
        return f"{where} could not be reached or broke off: {error}"
    return f"{target.url} cannot be fetched: {error}"


async def _shown(response: Response, *, raw: bool) -> str:
    kind = response.headers.get("content-type", "")
    media = kind.partition(";")[0].strip().lower()
    if not response.body:
        return f"[{_status(response.status)}: an empty answer]"
    text = _decoded(response.body, kind) if not media or _TEXTUAL.fullmatch(media) else None
    if text is None:
        return f"[{media or 'binary data'}, {len(response.body)} bytes: not text, not shown]"
    if raw or media not in ("text/html", "application/xhtml+xml"):
        return text
    # A large page takes a while to read; meanwhile the event loop must go on.
    from lumosai.tools.toolkits._html import text_of

    return await asyncio.to_thread(text_of, text) or "[a page without text]"


def _decoded(body: bytes, kind: str) -> str | None:
    named = _CHARSET.search(kind) or _CHARSET.search(body[:2048].decode("latin-1") if "html" in kind else "")
    if named is not None and named[1].lower().replace("-", "_") not in _NO_CHARSETS:
        try:
            return body.decode(named[1], "replace")
        except LookupError:
            pass  # a charset that nobody knows: look at the bytes
    found = decode(body)
    return found[0] if found else None


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
