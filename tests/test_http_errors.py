"""Every foreign error is one of ours: what the HTTP client raises, and what servers answer, each in its own words."""

from __future__ import annotations

import json
import ssl
from email.utils import formatdate

import aiohttp
import pytest
from aiohttp.http_exceptions import BadStatusLine, HttpProcessingError
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from lumosai import _http
from lumosai._http.errors import from_client
from lumosai._http.waits import retry_after_s, span_s, wait_in_text_s
from lumosai._secrets import scrub
from lumosai.errors import (
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
from tests.conftest import examples
from tests.raw_server import Connection, RawServer

PEER = _http.Peer("acme", "large", ("sk-very-secret-key",))
URL_ = "http://127.0.0.1:9/v1/chat/completions"


def answered(status: int | None, body: object, **headers: str) -> ModelError:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    names = {k.replace("_", "-"): v for k, v in headers.items()}
    return _http.from_answer(status, raw, peer=PEER, url=URL_, headers=CIMultiDict(names))


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


# By status and words.

BY_STATUS = [
    (400, openai("Something is missing."), BadRequestError, False),
    (401, openai("Incorrect API key provided."), AuthenticationError, False),
    (402, {"error": {"message": "Insufficient Balance"}}, QuotaExceededError, False),
    (403, openai("Country not supported"), PermissionDeniedError, False),
    (404, {"detail": "Not Found"}, ModelNotFoundError, False),
    (405, {"detail": "Method Not Allowed"}, ModelNotFoundError, False),
    (408, openai("Request timed out"), ModelTimeoutError, True),
    (409, openai("Conflict"), BadRequestError, True),
    (413, openai("Request too big"), BadRequestError, False),
    (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, BadRequestError, False),
    (429, openai("Rate limit reached for requests", "rate_limit_exceeded"), RateLimitError, True),
    (429, openai("You exceeded your current quota, please check", "insufficient_quota"), QuotaExceededError, False),
    (429, {"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试。"}}, QuotaExceededError, False),
    (451, openai("Unavailable"), PermissionDeniedError, False),
    (500, openai("The server had an error"), ServerError, True),
    (501, openai("Not implemented"), ServerError, False),
    (502, b"Bad gateway", ServerError, True),
    (503, {"error": "model is loading"}, ServerError, True),
    (504, b"", ModelTimeoutError, True),
    (524, b"error code: 524", ModelTimeoutError, True),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, ServerError, True),
    (599, b"", ServerError, True),
    (400, {"code": "Arrearage", "message": "Access denied, your account is in arrears."}, QuotaExceededError, False),
    (
        400,
        [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}],
        AuthenticationError,
        False,
    ),
    (400, {"error": {"message": "Model Not Exist", "type": "invalid_request_error"}}, ModelNotFoundError, False),
    (400, {"error": {"code": "1211", "message": "模型不存在，请检查模型代码。"}}, ModelNotFoundError, False),
    (404, {"error": {"message": 'model "llama9" not found, try pulling it first'}}, ModelNotFoundError, False),
]


@pytest.mark.parametrize(("status", "body", "kind", "retryable"), BY_STATUS)
def test_a_status_and_its_words(status: int, body: object, kind: type[ModelError], retryable: bool) -> None:
    """Each status is its own error, with the provider's, the model's and the status's names on it."""
    error = answered(status, body)
    assert type(error) is kind
    assert error.retryable is retryable
    assert (error.provider, error.model, error.status) == ("acme", "large", status)
    assert str(status) in str(error)


NO_TOOLS = [
    (400, openai("registry.ollama.ai/library/phi3:mini does not support tools")),
    (400, {"error": "phi3 does not support tools"}),
    (
        400,
        {
            "object": "error",
            "message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            "code": 400,
        },
    ),
    (500, {"error": {"code": 500, "message": "tools param requires --jinja flag", "type": "server_error"}}),
    (400, openai("Unknown parameter: 'tools'.", "unknown_parameter")),
    (400, openai("Unrecognized request argument supplied: tools")),
    (400, openai("Unsupported parameter: 'tools' is not supported with this model.", "unsupported_parameter")),
    (422, {"detail": [{"loc": ["body", "tools"], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}]}),
    (
        404,
        {
            "error": {
                "message": "No endpoints found that support tool use. To learn more about provider routing",
                "code": 404,
            }
        },
    ),
    (400, openai("This model does not support function calling.")),
    (400, openai("`tools` is not supported for this model")),
    (400, openai("Function calling is not enabled for models/gemma-3-27b-it")),
    (400, openai("tool calling is currently unsupported by this deployment")),
    (400, openai("tool use with this model is not available")),
    (400, {"code": "InvalidParameter", "message": "该模型不支持工具调用"}),
    (400, {"message": "The model does not support function calls"}),
    (501, {"error": "tools are not implemented"}),
]


@pytest.mark.parametrize(("status", "body"), NO_TOOLS)
def test_a_server_that_rejects_tools(status: int, body: object) -> None:
    """However it words it, and with whatever status, it is the one error that switches the tool mode."""
    assert type(answered(status, body)) is ToolsUnsupportedError


NOT_ABOUT_TOOLS = [
    (400, openai("Invalid schema for function 'add': None is not of type 'object'", "invalid_function_parameters")),
    (400, openai("Unknown parameter: 'tools[0].function.strict'.", "unknown_parameter")),
    (400, openai("Tool choice is required, but model did not call a tool", "tool_use_failed")),
    (400, openai("An assistant message with 'tool_calls' must be followed by tool messages")),
    (400, openai("deepseek-reasoner does not support this tool_choice")),
    (400, openai("Missing required parameter: 'tools[0].function.name'.")),
    (400, openai("Invalid 'tools': array too long. Expected at most 128.")),
    (400, openai("messages: tool results must follow a tool call")),
]


@pytest.mark.parametrize(("status", "body"), NOT_ABOUT_TOOLS)
def test_a_complaint_about_one_tool(status: int, body: object) -> None:
    """A mistake in a tool or its use is no reason to give up native calling."""
    assert type(answered(status, body)) is BadRequestError


NO_SCHEMA = [
    (400, openai("This response_format type is unavailable now")),
    (400, openai("Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.")),
    (400, openai("Invalid schema for response_format 'output': In context=(), 'additionalProperties' is required")),
    (400, openai("This model does not support response format `json_schema`.")),
    (422, {"detail": [{"loc": ["body", "response_format", "type"], "msg": "Input should be 'text' or 'json_object'"}]}),
    (400, openai("Structured outputs are not supported by this model")),
    (400, {"error": {"message": "failed to parse grammar"}}),
    (400, {"error": {"message": "JSON schema conversion failed:\nUnrecognized schema: {}"}}),
]


@pytest.mark.parametrize(("status", "body"), NO_SCHEMA)
def test_a_server_that_rejects_a_schema(status: int, body: object) -> None:
    """However it words it, structured output can fall back to another way."""
    assert type(answered(status, body)) is SchemaUnsupportedError


TOO_LONG = [
    (400, openai("This model's maximum context length is 8192 tokens.", "context_length_exceeded")),
    (400, openai("Input tokens exceed the configured limit of 272000 tokens.")),
    (400, {"error": {"message": "prompt is too long: 210000 tokens > 200000 maximum"}}),
    (400, {"error": {"message": "the request exceeds the available context size. try increasing the context size"}}),
    (400, {"code": "InvalidParameter", "message": "Range of input length should be [1, 30720]"}),
    (413, {"error": {"message": "Please reduce the length of the messages or completion."}}),
    (400, {"error": {"code": "1261", "message": "Prompt 超长：输入长度超过模型上限"}}),
    (422, {"message": "Input is too long for requested model."}),
]


@pytest.mark.parametrize(("status", "body"), TOO_LONG)
def test_a_prompt_that_is_too_long(status: int, body: object) -> None:
    """However it is worded, it is the context that is too long."""
    assert type(answered(status, body)) is ContextLengthError


SHAPES = [
    {"error": {"message": "the words", "code": "c9"}},
    {"error": "the words", "code": "c9"},
    {"message": "the words", "code": "c9"},
    {"msg": "the words", "code": "c9"},
    {"detail": "the words", "code": "c9"},
    {"detail": [{"loc": ["body", "x"], "msg": "the words"}], "code": "c9"},
    {"errors": ["the words"], "code": "c9"},
    {"error_msg": "the words", "code": "c9"},
    [{"error": {"message": "the words", "code": "c9"}}],
    {
        "error": {
            "message": "Provider returned error",
            "code": "c9",
            "metadata": {"raw": "the words", "provider_name": "X"},
        }
    },
]


@pytest.mark.parametrize("body", SHAPES)
def test_the_providers_words_are_kept(body: object) -> None:
    """Wherever a provider puts its message and its code, both are on the error."""
    error = answered(400, body)
    assert "the words" in str(error)
    assert error.code == "c9"


def test_words_that_are_no_json() -> None:
    """Plain text is quoted as it is; a very long one is cut."""
    assert "upstream connect error" in str(answered(503, b"upstream connect error"))
    long = str(answered(500, openai("x" * 100_000)))
    assert len(long) < 2500 and long.count("x") >= 2000


def test_an_answer_that_says_nothing() -> None:
    """The status alone has to do, and that is said."""
    assert "nothing in the answer says why" in str(answered(500, b""))


def test_a_404_points_at_the_path() -> None:
    """A base URL without its path is the usual mistake."""
    assert "/v1" in str(answered(404, {"detail": "Not Found"}))
    assert URL_ in str(answered(404, {"detail": "Not Found"}))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, MalformedAnswerError),
        (404, ModelNotFoundError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (429, RateLimitError),
        (502, ServerError),
    ],
)
def test_an_html_page(status: int, kind: type[ModelError]) -> None:
    """A page is not quoted at length: its title, and that the base URL is suspect."""
    page = b"<!DOCTYPE html>\n<html><head><title>403 Forbidden</title></head>" + b"<p>x</p>" * 1000
    error = answered(status, page)
    assert type(error) is kind
    assert "403 Forbidden" in str(error) and "<p>" not in str(error) and len(str(error)) < 300
    assert status >= 500 or "base URL" in str(error)


def test_an_error_in_a_stream() -> None:
    """Without a status of its own it is the server's failure; a status in the body counts."""
    assert type(answered(None, openai("Something broke", kind="server_error"))) is ServerError
    assert type(answered(None, {"error": {"message": "no", "code": 429}})) is RateLimitError
    assert type(answered(None, openai("Slow down.", "rate_limit_exceeded", "tokens"))) is RateLimitError
    assert type(answered(None, openai("Not this.", "invalid_prompt"))) is BadRequestError
    assert type(answered(None, openai("Not now.", "failed_to_download_image", "image"))) is ServerError
    assert type(answered(None, {"error": {"message": "no", "status_code": 400}})) is BadRequestError
    assert type(answered(None, {"error": {"message": "no", "code": "502"}})) is ServerError


# Waits.


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after_ms": "1500", "retry_after": "99"}, 1.5),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
        ({"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "6m0s"}, 360.0),
        ({"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "20ms"}, 0.02),
        ({"x_ratelimit_remaining_tokens": "5", "x_ratelimit_reset_tokens": "20ms"}, None),
        ({}, None),
    ],
)
def test_the_wait_a_server_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds, or the reset of whichever limit is used up."""
    assert answered(429, openai("Rate limit reached"), **headers).retry_after_s == seconds


def test_a_wait_until_a_date() -> None:
    """An HTTP date is a wait from now; one that is past is no wait."""
    now = 1_750_000_000.0
    assert retry_after_s({"retry-after": formatdate(now + 90, usegmt=True)}, limited=True, now=lambda: now) == 90.0
    assert retry_after_s({"retry-after": formatdate(now - 90, usegmt=True)}, limited=True, now=lambda: now) == 0.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 1m20.5s.", 80.5),
        ("Please try again in 20ms. Visit https://x", 0.02),
        ("Please retry in 34.07s.", 34.07),
        ("retry after in 2 minutes 5 seconds", 125.0),
        ("Try again in 1h2m3s", 3723.0),
        ("try again later", None),
        ("used 3s", None),
    ],
)
def test_a_wait_in_words(text: str, seconds: float | None) -> None:
    """Providers without the header say it in the message."""
    found = wait_in_text_s(text)
    assert found == seconds if seconds is None else found == pytest.approx(seconds)


@given(st.integers(0, 100), st.integers(0, 59), st.integers(0, 999))
def test_spans(minutes: int, seconds: int, millis: int) -> None:
    """Parts of a span add up, whatever their units."""
    assert span_s(f"{minutes}m{seconds}s{millis}ms") == pytest.approx(minutes * 60 + seconds + millis / 1000)


def test_a_servers_own_word_on_retries() -> None:
    """`x-should-retry` goes before what the status says, but never makes an empty account worth asking."""
    assert answered(400, openai("no"), x_should_retry="true").retryable
    assert not answered(500, openai("no"), x_should_retry="false").retryable
    assert not answered(429, openai("no", "insufficient_quota"), x_should_retry="true").retryable


# What the client raises.


def _key() -> aiohttp.client_reqrep.ConnectionKey:
    return aiohttp.client_reqrep.ConnectionKey("h", 443, True, True, None, None, None)


def _info() -> aiohttp.RequestInfo:
    return aiohttp.RequestInfo(URL(URL_), "POST", CIMultiDict(), URL(URL_))  # type: ignore[arg-type]


RAISED: list[tuple[BaseException, type[LumosaiError]]] = [
    (aiohttp.ClientError("x"), ModelConnectionError),
    (aiohttp.ClientConnectionError("x"), StreamInterruptedError),
    (aiohttp.ClientConnectionResetError("x"), StreamInterruptedError),
    (aiohttp.ClientOSError(104, "Connection reset by peer"), StreamInterruptedError),
    (aiohttp.ClientConnectorError(_key(), OSError(111, "refused")), ModelConnectionError),
    (aiohttp.ClientConnectorDNSError(_key(), OSError(-2, "unknown")), ModelConnectionError),
    (aiohttp.ClientProxyConnectionError(_key(), OSError(111, "refused")), ModelConnectionError),
    (aiohttp.client_exceptions.UnixClientConnectorError("/x", _key(), OSError(2, "none")), ModelConnectionError),
    (aiohttp.ClientConnectorSSLError(_key(), ssl.SSLError(1, "wrong version number")), ModelConnectionError),
    (aiohttp.ClientSSLError(_key(), OSError(1, "x")), ModelConnectionError),
    (aiohttp.ClientConnectorCertificateError(_key(), ssl.SSLCertVerificationError("x")), ModelConnectionError),
    (aiohttp.ServerFingerprintMismatch(b"a", b"b", "h", 1), ModelConnectionError),
    (aiohttp.ServerConnectionError("x"), StreamInterruptedError),
    (aiohttp.ServerDisconnectedError(), StreamInterruptedError),
    (aiohttp.ServerTimeoutError("x"), ModelTimeoutError),
    (aiohttp.ConnectionTimeoutError("x"), ModelTimeoutError),
    (aiohttp.SocketTimeoutError("x"), ModelTimeoutError),
    (TimeoutError(), ModelTimeoutError),
    (aiohttp.ClientPayloadError("x"), StreamInterruptedError),
    (aiohttp.ClientResponseError(_info(), ()), MalformedAnswerError),
    (aiohttp.ContentTypeError(_info(), ()), MalformedAnswerError),
    (aiohttp.ClientHttpProxyError(_info(), (), status=407), ModelConnectionError),
    (aiohttp.TooManyRedirects(_info(), ()), ModelConnectionError),
    (aiohttp.WSServerHandshakeError(_info(), ()), MalformedAnswerError),
    (aiohttp.InvalidURL("x"), ConfigurationError),
    (aiohttp.InvalidUrlClientError("x"), ConfigurationError),
    (aiohttp.InvalidUrlRedirectClientError("x"), ConfigurationError),
    (aiohttp.NonHttpUrlClientError("x"), ConfigurationError),
    (aiohttp.NonHttpUrlRedirectClientError("x"), ConfigurationError),
    (aiohttp.RedirectClientError("x"), ModelConnectionError),
    (BadStatusLine("x"), MalformedAnswerError),
    (HttpProcessingError(message="x"), MalformedAnswerError),
    (ssl.SSLError(1, "x"), ModelConnectionError),
    (ConnectionResetError(104, "x"), StreamInterruptedError),
    (OSError(5, "x"), StreamInterruptedError),
]


@pytest.mark.parametrize(
    ("raised", "kind"), RAISED, ids=lambda v: type(v).__name__ if isinstance(v, BaseException) else ""
)
def test_what_the_client_raises(raised: BaseException, kind: type[LumosaiError]) -> None:
    """Each is the most specific of ours, names the address, keeps the words, and hides the key."""
    error = from_client(raised, peer=PEER, url=URL_ + "?k=sk-very-secret-key", timeouts=_http.Timeouts())
    assert type(error) is kind
    assert URL_ in str(error) and "sk-very-secret-key" not in str(error)
    if isinstance(error, ModelError):
        assert (error.provider, error.model) == ("acme", "large")


def test_no_error_of_the_client_is_forgotten() -> None:
    """Whatever class of errors the HTTP client has is in the list above, so that a new one is noticed."""

    def below(kind: type[BaseException]) -> set[type[BaseException]]:
        return {kind}.union(*(below(k) for k in kind.__subclasses__() if k.__module__.startswith("aiohttp")))

    tested = {type(raised) for raised, _ in RAISED}
    missing = {
        k
        for k in below(aiohttp.ClientError)
        if k not in tested and not k.__name__.startswith(("_", "WSMessage")) and k.__name__ != "UploadAbortedError"
    }
    assert not missing


def test_an_untrusted_certificate_is_not_tried_again() -> None:
    """Waiting does not make a certificate trusted; the way out is named."""
    raised = aiohttp.ClientConnectorCertificateError(_key(), ssl.SSLCertVerificationError("self-signed"))
    error = from_client(raised, peer=PEER, url=URL_, timeouts=_http.Timeouts())
    assert not error.retryable and "SSL_CERT_FILE" in str(error)


# Secrets.


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-very-secret-key.",
        "Incorrect API key provided: sk-proj-abcd1234efgh5678. You can find it",
        "header Authorization: Bearer abc123def456ghi789",
        "gsk_abc123DEF456ghi789jkl is not valid",
        "AIzaSyA1234567890abcdefghijklmnopqrstu is expired",
        "xai-abc123def456ghi789",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc",
        "could not reach http://user:pass123word@proxy:8080",
        "https://x/v1?api_key=abcdef123456&y=1",
        "hf_abcdefghijklmnop",
    ],
)
def test_keys_are_taken_out_of_messages(text: str) -> None:
    """A provider that quotes the key does not make us print it."""
    shown = str(
        _http.from_answer(401, openai(text).__repr__().replace("'", '"').replace("None", "null").encode(), peer=PEER)
    )
    for secret in (
        "very-secret",
        "1234efgh",
        "def456",
        "123DEF",
        "SyA1234",
        "eyJzdWI",
        "pass123",
        "abcdef123456",
        "abcdefghijkl",
    ):
        assert secret not in shown
    assert "[hidden]" in shown


@pytest.mark.parametrize(
    "text",
    [
        "The bearer of bad news: basic authentication is required",
        "model sk-learn is unknown",
        "key-value pairs are needed",
        "asked at http://127.0.0.1:8000/v1/chat/completions",
        "context of 128000 tokens; task-1 failed; risk-based",
        "hf-internal is private",
    ],
)
def test_plain_words_are_left_alone(text: str) -> None:
    """What only looks a little like a key is not blanked."""
    assert scrub(text) == text


@settings(max_examples=examples(100))
@given(st.text(min_size=6, max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_a_given_secret_never_shows(secret: str, before: str, after: str) -> None:
    """Whatever the secret's form, it is gone."""
    shown = scrub(before + secret + after, [secret])
    assert secret not in shown or secret in "[hidden]"


# Through a server.


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (404, ModelNotFoundError),
        (429, RateLimitError),
        (500, ServerError),
    ],
)
async def test_a_status_over_a_socket(status: int, kind: type[ModelError], stream: bool) -> None:
    """Both kinds of request raise it, before anything is given."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.answer(json.dumps(openai("no")).encode(), f"{status} No", Retry_After="3")

    async with RawServer(handler) as server:
        with pytest.raises(kind) as caught:
            if stream:
                async for _ in _http.post_sse(server.url, b"{}", headers={}, peer=PEER):
                    pytest.fail("a batch was given")
            else:
                await _http.post_json(server.url, b"{}", headers={}, peer=PEER)
    assert caught.value.status == status and caught.value.retry_after_s == 3.0


async def test_an_error_page_of_50_mb() -> None:
    """Only its beginning is read."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(50):
            await connection.send(b"x" * 1_000_000)

    async with RawServer(handler) as server:
        with pytest.raises(ServerError) as caught:
            await _http.post_json(server.url, b"{}", headers={})
    assert len(str(caught.value)) < 3000
