"""Maps what servers answer and what the HTTP client raises to the error tree.

Two doors: `from_answer` for an answer that is an error, `from_client` for an exception of the HTTP client. Both keep the
provider's own words, cut to `_LONGEST` characters and without secrets, and add the way out.
"""

from __future__ import annotations

import re
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from lumosai._http.kinds import STATUS_OF, kind_of
from lumosai._http.waits import retry_after_s, wait_in_details_s, wait_in_text_s
from lumosai._secrets import scrub
from lumosai.errors import (
    AnswerTooLargeError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    LumosaiError,
    MalformedAnswerError,
    ModelConnectionError,
    ModelError,
    ModelNotFoundError,
    ModelTimeoutError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai._http.values import Peer, Timeouts

_LONGEST: Final = 2000
"""Characters of a provider's message that are kept."""

_NO_STATUS: Final = 600
_HTML: Final = re.compile(rb"\s*<(!doctype|html|head|body|\?xml|!--)", re.IGNORECASE)
_TITLE: Final = re.compile(rb"<(?:title|h1)[^>]*>([^<]{1,200})", re.IGNORECASE)

_PAGES: Final[dict[int, type[ModelError]]] = {
    HTTPStatus.UNAUTHORIZED: AuthenticationError,
    HTTPStatus.FORBIDDEN: PermissionDeniedError,
    HTTPStatus.NOT_FOUND: ModelNotFoundError,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimitError,
}
"""What a page of HTML means by its status, where it does not mean a wrong base URL."""


_CUT: Final = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError)
_RAISED: Final[tuple[tuple[tuple[type[BaseException], ...], type[LumosaiError], str], ...]] = (
    ((aiohttp.ConnectionTimeoutError,), ModelTimeoutError, "no connection to {url} within {connect} s"),
    (
        (aiohttp.SocketTimeoutError,),
        ModelTimeoutError,
        "{url} sent nothing for {read} s: raise timeout_s for a slow model",
    ),
    ((TimeoutError,), ModelTimeoutError, "{url} did not finish within {total} s"),
    (
        (aiohttp.ClientConnectorDNSError,),
        ModelConnectionError,
        "the name of {url} cannot be resolved: check the base URL and the network",
    ),
    (
        (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError),
        ModelConnectionError,
        "the proxy on the way to {url} refused: check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
    ),
    (
        (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError),
        ModelConnectionError,
        "the certificate of {url} is not trusted: name a CA of your own by SSL_CERT_FILE",
    ),
    (
        (aiohttp.ClientSSLError, ssl.SSLError, aiohttp.ServerFingerprintMismatch),
        ModelConnectionError,
        "no TLS with {url}: check http:// or https:// in the base URL",
    ),
    (
        (aiohttp.ClientConnectorError,),
        ModelConnectionError,
        "{url} cannot be reached: is the server running, and the base URL right?",
    ),
    (
        (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError),
        ConfigurationError,
        "{url} is not a URL that can be reached",
    ),
    ((aiohttp.TooManyRedirects,), ModelConnectionError, "{url} redirects in circles"),
    ((aiohttp.ClientResponseError, HttpProcessingError), MalformedAnswerError, "{url} does not speak HTTP"),
)
"""What the HTTP client raises, most specific first, and what it means."""


class _Said(msgspec.Struct):
    """What an error answer says, wherever it says it."""

    message: str = ""
    code: str | None = None
    status: int | None = None
    wrote: str | None = None
    wait_s: float | None = None


def from_answer(
    status: int | None, body: bytes, *, peer: Peer, url: str = "", headers: Mapping[str, str] | None = None
) -> ModelError:
    """The error that an answer means.

    Args:
        status: the HTTP status; None for an error inside a stream or a 200 answer, which may name one itself.
        body: the answer's body or the event's data.
        peer: who answered.
        url: what was asked for.
        headers: of the answer, by lower-case name or without regard to case.
    """
    if status is not None and _HTML.match(body):
        return _from_page(status, body, peer, url)
    said = _read(body)
    status = said.status if status is None else status
    kind, hint = kind_of(status, f"{said.code or ''} {said.message}")
    who = f"{peer.provider or 'the server'}" + (f" ({peer.model})" if peer.model else "")
    what = said.message or body[:_LONGEST].decode(errors="replace").strip() or "nothing in the answer says why"
    text = f"{who} answered {status if status is not None else 'with an error'}: {_short(what)}"
    limited = status == HTTPStatus.TOO_MANY_REQUESTS
    wait = retry_after_s(headers or {}, limited=limited)
    if wait is None:
        wait = said.wait_s
    if said.wait_s is not None and kind is QuotaExceededError:
        kind, hint = RateLimitError, ""  # Google says "exceeded your current quota" of a minute's limit, too
    if wait is None and limited:
        wait = wait_in_text_s(said.message)
    error = kind(
        scrub(text + (f" ({hint.format(url=url)})" if hint else ""), peer.secrets),
        provider=peer.provider,
        model=peer.model,
        status=status,
        code=said.code,
        retry_after_s=wait,
    )
    error.wrote = said.wrote
    _set_retryable(error, status, (headers or {}).get("x-should-retry"))
    return error


def _set_retryable(error: ModelError, status: int | None, wish: str | None) -> None:
    """Statuses that pass by themselves, and a server's own word for it."""
    if type(error) is BadRequestError and status in (HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY):
        error.retryable = True
    elif status in (HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED):
        error.retryable = False
    if wish in ("true", "false") and type(error) is not QuotaExceededError:
        error.retryable = wish == "true"


def _from_page(status: int, body: bytes, peer: Peer, url: str) -> ModelError:
    """An HTML page where JSON was asked for: a wrong base URL, a proxy's or a gateway's page."""
    title = _TITLE.search(body)
    shown = f": {title[1].decode(errors='replace').strip()!r}" if title else ""
    text = f"{url} answered {status} with an HTML page{shown}, not with the API: check the base URL"
    kind = _PAGES.get(status, MalformedAnswerError)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind, text = ServerError, f"{url} answered {status} with an HTML page{shown}: a gateway or the server failed"
    elif status == HTTPStatus.NOT_FOUND:
        text += " (often it lacks its path, such as /v1)"
    return kind(scrub(text, peer.secrets), provider=peer.provider, model=peer.model, status=status)


def malformed(what: str, body: bytes, *, peer: Peer, url: str = "") -> ModelError:
    """An answer of status 200 that is not of the wire format: its beginning is shown."""
    if _HTML.match(body):
        return _from_page(200, body, peer, url)
    start = body[:200].decode(errors="replace")
    shown = f"; it begins {start!r}" if start else "; it is empty"
    text = f"{url or peer.provider or 'the server'} {what}{shown}"
    return MalformedAnswerError(scrub(text, peer.secrets), provider=peer.provider, model=peer.model, status=200)


def too_large(limit: int, *, peer: Peer, url: str) -> AnswerTooLargeError:
    """An answer that was cut off at `limit` bytes."""
    text = f"{url} answered with more than {limit} bytes, which is the most that is read"
    return AnswerTooLargeError(scrub(text, peer.secrets), provider=peer.provider, model=peer.model)


def from_client(error: BaseException, *, peer: Peer, url: str, timeouts: Timeouts, begun: bool = False) -> LumosaiError:
    """The error that an exception of the HTTP client means; `begun` where the answer had begun to arrive."""
    kind, text = _explain(error, url, timeouts, begun=begun)
    detail = str(error) or type(error).__name__
    message = scrub(f"{text} ({_short(detail)})" if detail not in text else text, peer.secrets)
    if not issubclass(kind, ModelError):
        return kind(message)
    mapped = kind(message, provider=peer.provider, model=peer.model)
    if isinstance(error, ssl.SSLCertVerificationError | aiohttp.ClientConnectorCertificateError):
        mapped.retryable = False
    return mapped


def _explain(error: BaseException, url: str, timeouts: Timeouts, *, begun: bool) -> tuple[type[LumosaiError], str]:
    """The class and the sentence, most specific first."""
    for raised, kind, text in _RAISED:
        if isinstance(error, raised):
            return kind, text.format(url=url, connect=timeouts.connect_s, read=timeouts.read_s, total=timeouts.total_s)
    if isinstance(error, aiohttp.ClientPayloadError) and "decod" in f"{error} {error.__cause__}".lower():
        return MalformedAnswerError, f"the answer of {url} cannot be decompressed"
    if isinstance(error, _CUT):
        how = "cut the connection before its answer was whole" if begun else "closed the connection without an answer"
        return StreamInterruptedError, f"{url} {how}"
    return ModelConnectionError, f"the exchange with {url} failed"


def _read(body: bytes) -> _Said:
    """The message, code and status in an error's body, whichever of the usual shapes it has."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Said()
    if isinstance(value, list):
        value = value[0] if value else {}
    if not isinstance(value, dict):
        return _Said(value if isinstance(value, str) else "")
    inner = value.get("error")
    inner = inner[0] if isinstance(inner, list) and inner else inner
    source: dict[str, Any] = inner if isinstance(inner, dict) else value
    message = inner if isinstance(inner, str) else _message(source)
    code = source.get("code") if source.get("code") is not None else source.get("type") or value.get("type")
    if isinstance(code, int) and isinstance(name := source.get("status"), str) and name.isupper():
        code = name  # Google's: the number is the HTTP status
    wrote = source.get("failed_generation")  # Groq's
    wrote = wrote if isinstance(wrote, str) else None
    wait = wait_in_details_s(source.get("details"))
    status = _status(source) or STATUS_OF.get(str(source.get("type")))
    return _Said(message, None if code is None else str(code), status, wrote, wait)


def _message(source: dict[str, Any]) -> str:
    for key in ("message", "detail", "msg", "error_msg", "errorMessage", "error_message", "errors"):
        found = source.get(key)
        if found:
            text = found if isinstance(found, str) else _details(found)
            raw = source.get("metadata")
            raw = raw.get("raw") if isinstance(raw, dict) else None
            return f"{text}: {raw if isinstance(raw, str) else _plain(raw)}" if raw else text
    return _plain(source) if source else ""


def _details(found: Any) -> str:
    """A list of validation problems, as FastAPI writes them, in one line."""
    problems = found if isinstance(found, list) else [found]
    lines = []
    for p in problems:
        if isinstance(p, dict) and "msg" in p:
            lines.append(f"{'.'.join(str(x) for x in p.get('loc', ()) if x != 'body')}: {p['msg']}")
        else:
            lines.append(p if isinstance(p, str) else _plain(p))
    return "; ".join(lines)


def _status(source: dict[str, Any]) -> int | None:
    """An HTTP status that an error names in its body."""
    for key in ("status_code", "status", "http_status", "code"):
        found = source.get(key)
        if isinstance(found, str) and found.isdigit():
            found = int(found)
        if isinstance(found, int) and HTTPStatus.BAD_REQUEST <= found < _NO_STATUS:
            return found
    return None


def _plain(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
