"""Maps what servers answer and what the HTTP client raises to the error tree.

Two doors: `from_answer` for an answer that is an error, `from_client` for an exception of the HTTP client. Both keep the
provider's own words, cut to `_LONGEST` characters and without secrets, and add the way out.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from lumosai._http.secrets import scrub
from lumosai._http.waits import retry_after_s, wait_in_text_s
from lumosai.errors import (
    AnswerTooLargeError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ContextLengthError,
    LumosaiError,
    MalformedAnswerError,
    ModelConnectionError,
    ModelError,
    ModelNotFoundError,
    ModelTimeoutError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    SchemaUnsupportedError,
    ServerError,
    StreamInterruptedError,
    ToolsUnsupportedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai._http.values import Peer, Timeouts

_LONGEST: Final = 2000
_HTML: Final = re.compile(rb"\s*<(!doctype|html|head|body|\?xml|!--)", re.IGNORECASE)
_TITLE: Final = re.compile(rb"<(?:title|h1)[^>]*>([^<]{1,200})", re.IGNORECASE)

# A parameter's name that is refused itself, not a field below it: "tools", but not "tools[0].function.strict".
_NAMED: Final = r"['\"`]?\b{}\b(?!\[|\.\w|['\"`]?, *['\"]?\d)"
_REFUSES: Final = (
    r"(?:unknown|unrecogni[sz]ed|unsupported|unexpected|extra(?: fields?| inputs?)?|additional propert\w+|not support(?:ed)?"
    r"|(?:does|do)(?: not|n't) support|cannot use|not (?:permitted|allowed|available|enabled|implemented))"
)


def _refused(name: str) -> str:
    """A pattern for "`name` is not supported" in either order, within one sentence."""
    named = _NAMED.format(name)
    return rf"{_REFUSES}[^.\n]{{0,60}}?{named}|{named}[^.\n]{{0,80}}?{_REFUSES}"


_TOOLS: Final = re.compile(
    _refused("(?:tools?|functions?)")
    + r"|(?:tool|function)[ _-]?(?:use|call(?:ing|s)?)[^.\n]{0,60}?(?:not|n't|un)[ -]?(?:be )?(?:support|enabl|avail|implement)"
    r"|support[^.\n]{0,20}(?:tool|function)[ _-]?(?:use|call)"
    r"|enable-auto-tool-choice|tool-call-parser|tools param requires|requires? --jinja"
    r"|不支持[^。\n]{0,12}(?:工具|函数|tools?|function)|(?:工具|函数)调用[^。\n]{0,8}不(?:支持|可用)",
    re.IGNORECASE,
)
_NOT_TOOLS: Final = re.compile(
    r"tool_choice|parallel_tool_calls|tool_use_failed|invalid schema for function", re.IGNORECASE
)
_SCHEMA: Final = re.compile(
    _refused(r"(?:response_format(?:\.type)?|json_schema|json_object)")
    + r"|response[ _]format[^.\n]{0,80}?(?:unavailable|not|unsupported|invalid|must be)"
    r"|invalid schema for response_format|structured[ _-]outputs?[^.\n]{0,60}?(?:not|n't|un)[ -]?(?:be )?(?:support|avail|enabl)"
    r"|support[^.\n]{0,20}structured[ _-]outputs?|(?:failed|unable) to (?:parse|compile|initialize) (?:the )?(?:grammar|samplers)"
    r"|json[ _-]schema conversion failed|guided (?:decoding|json)[^.\n]{0,60}?(?:not|un)|unrecognized schema"
    r"|不支持[^。\n]{0,12}(?:response_format|json_schema|结构化)",
    re.IGNORECASE,
)
_CONTEXT: Final = re.compile(
    r"context[_ ]length|context[_ ]window|context[_ ]size|maximum context|prompt is too long|input (?:is )?too long"
    r"|(?:input|prompt)[^.\n]{0,40}(?:tokens?|length)[^.\n]{0,40}(?:exceed|too (?:long|large)|larger than|longer than)"
    r"|exceeds?[^.\n]{0,40}(?:context|max_model_len|token limit of (?:this|the) model)|range of input length"
    r"|reduce the length|too many (?:input )?tokens in (?:the )?(?:prompt|request)|(?:输入|上下文|请求)[^。\n]{0,12}(?:过长|超长|超出|超过)",
    re.IGNORECASE,
)
_NO_MODEL: Final = re.compile(
    r"model_not_found|model not exist|model[^.\n]{0,80}(?:does not exist|not found|not exist|is not a valid model)"
    r"|(?:unknown|invalid|no such) model\b|模型不存在|not a valid model",
    re.IGNORECASE,
)
_BAD_KEY: Final = re.compile(
    r"(?:invalid|incorrect|missing|wrong)[^.\n]{0,20}api[_ -]?key|api[_ -]?key[^.\n]{0,20}(?:not valid|invalid|incorrect|expired)",
    re.IGNORECASE,
)
_NO_CREDIT: Final = re.compile(
    r"insufficient[_ ](?:quota|balance|credits?|funds)|exceeded your current quota|billing|arrear|out of credits?"
    r"|credit balance|payment required|余额不足|欠费|账户余额",
    re.IGNORECASE,
)


class _Said(msgspec.Struct):
    """What an error answer says, wherever it says it."""

    message: str = ""
    code: str | None = None
    status: int | None = None


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
    kind, hint = _kind(status, f"{said.code or ''} {said.message}")
    who = f"{peer.provider or 'the server'}" + (f" ({peer.model})" if peer.model else "")
    what = said.message or body[:_LONGEST].decode(errors="replace").strip() or "nothing in the answer says why"
    text = f"{who} answered {status if status is not None else 'with an error'}: {_short(what)}"
    wait = retry_after_s(headers or {}, limited=status == 429)
    error = kind(
        scrub(text + (f" ({hint.format(url=url)})" if hint else ""), peer.secrets),
        provider=peer.provider,
        model=peer.model,
        status=status,
        code=said.code,
        retry_after_s=wait if wait is not None else wait_in_text_s(said.message) if status == 429 else None,
    )
    _set_retryable(error, status, (headers or {}).get("x-should-retry"))
    return error


def _set_retryable(error: ModelError, status: int | None, wish: str | None) -> None:
    """Statuses that pass by themselves, and a server's own word for it."""
    if type(error) is BadRequestError and status in (409, 425):
        error.retryable = True
    elif status in (501, 505):
        error.retryable = False
    if wish in ("true", "false") and type(error) is not QuotaExceededError:
        error.retryable = wish == "true"


def _kind(status: int | None, text: str) -> tuple[type[ModelError], str]:
    """The error's class, by status and by the provider's words, and the way out."""
    if status == 429 or status == 402:
        if status == 402 or _NO_CREDIT.search(text):
            return QuotaExceededError, "the account has no credit left"
        return RateLimitError, ""
    if status == 401:
        return AuthenticationError, "check the API key"
    if status == 403 or status == 451:
        return PermissionDeniedError, ""
    if _TOOLS.search(text) and not _NOT_TOOLS.search(text):
        return ToolsUnsupportedError, ""
    if _SCHEMA.search(text):
        return SchemaUnsupportedError, ""
    if status == 404 or status == 405 or status == 410:
        return (
            ModelNotFoundError,
            "asked at {url}: check the model's name, and that the base URL has its path, often /v1",
        )
    if status in (408, 504, 524):
        return ModelTimeoutError, ""
    if status is not None and status >= 500:
        return ServerError, ""
    return _refusal(status, text)


def _refusal(status: int | None, text: str) -> tuple[type[ModelError], str]:
    """The kinds of 4xx that only the words tell apart."""
    if _CONTEXT.search(text):
        return ContextLengthError, "send fewer or shorter messages"
    if _NO_CREDIT.search(text):
        return QuotaExceededError, "the account has no credit left"
    if _BAD_KEY.search(text):
        return AuthenticationError, "check the API key"
    if _NO_MODEL.search(text):
        return ModelNotFoundError, ""
    if status is None:
        return ServerError, ""
    return BadRequestError, ""


def _from_page(status: int, body: bytes, peer: Peer, url: str) -> ModelError:
    """An HTML page where JSON was asked for: a wrong base URL, a proxy's or a gateway's page."""
    title = _TITLE.search(body)
    shown = f": {title[1].decode(errors='replace').strip()!r}" if title else ""
    text = f"{url} answered {status} with an HTML page{shown}, not with the API: check the base URL"
    kind: type[ModelError] = MalformedAnswerError
    if status >= 500:
        kind, text = ServerError, f"{url} answered {status} with an HTML page{shown}: a gateway or the server failed"
    elif status in (401, 403, 404, 407, 429):
        kind = {401: AuthenticationError, 403: PermissionDeniedError, 404: ModelNotFoundError}.get(status, kind)
        kind = RateLimitError if status == 429 else kind
        text += " (often it lacks its path, such as /v1)" if status == 404 else ""
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
    match error:
        case aiohttp.ConnectionTimeoutError():
            return ModelTimeoutError, f"no connection to {url} within {timeouts.connect_s} s"
        case aiohttp.SocketTimeoutError():
            return ModelTimeoutError, f"{url} sent nothing for {timeouts.read_s} s: raise timeout_s for a slow model"
        case asyncio.TimeoutError():
            return ModelTimeoutError, f"{url} did not finish within {timeouts.total_s} s"
        case aiohttp.ClientConnectorDNSError():
            return ModelConnectionError, f"the name of {url} cannot be resolved: check the base URL and the network"
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return (
                ModelConnectionError,
                f"the proxy on the way to {url} refused: check HTTPS_PROXY, HTTP_PROXY, NO_PROXY",
            )
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            return ModelConnectionError, (
                f"the certificate of {url} is not trusted: name a CA of your own by SSL_CERT_FILE"
            )
        case aiohttp.ClientSSLError() | ssl.SSLError() | aiohttp.ServerFingerprintMismatch():
            return ModelConnectionError, f"no TLS with {url}: check http:// or https:// in the base URL"
        case aiohttp.ClientConnectorError():
            return ModelConnectionError, f"{url} cannot be reached: is the server running, and the base URL right?"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return ConfigurationError, f"{url} is not a URL that can be reached"
        case aiohttp.TooManyRedirects():
            return ModelConnectionError, f"{url} redirects in circles"
    return _explain_exchange(error, url, begun=begun)


def _explain_exchange(error: BaseException, url: str, *, begun: bool) -> tuple[type[LumosaiError], str]:
    """What went wrong on an open connection."""
    match error:
        case aiohttp.ClientPayloadError() if (
            "decod" in str(error).lower() or "encoding" in str(error.__cause__).lower()
        ):
            return MalformedAnswerError, f"the answer of {url} cannot be decompressed or is not whole"
        case aiohttp.ClientResponseError() | HttpProcessingError():
            return MalformedAnswerError, f"{url} does not speak HTTP"
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError() if begun:
            return StreamInterruptedError, f"{url} cut the connection before its answer was whole"
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
            return StreamInterruptedError, f"{url} closed the connection without an answer"
        case _:
            return ModelConnectionError, f"the exchange with {url} failed"


def _read(body: bytes) -> _Said:
    """The message, code and status in an error's body, whichever of the usual shapes it has."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
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
    return _Said(message, None if code is None else str(code), _status(source))


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
        if isinstance(found, int) and 400 <= found <= 599:
            return found
    return None


def _plain(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
