"""Which of our errors an error answer means: by its status, and by the provider's own words.

Statuses alone do not tell: servers refuse `tools` with 400, 404, 422, 500 or 501, and say "model not found" with a 400.
So the words decide where they are plain, else the status does.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from lumosai.errors import (
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    ModelError,
    ModelNotFoundError,
    ModelTimeoutError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    SchemaUnsupportedError,
    ServerError,
    ToolsUnsupportedError,
)

ORIGIN_TIMEOUT: Final = 524
"""Cloudflare's word for 504."""

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
    r"tool_choice|parallel_tool_calls|tool_use_failed|invalid schema for function|response mime type", re.IGNORECASE
)
_SCHEMA: Final = re.compile(
    _refused(
        r"(?:response_format(?:\.type)?|text\.format(?:\.type)?|json_schema|json_object|output[_ ]format|output_config(?:\.format)?)"
    )
    + r"|response[ _]format(?:\.type)?[^.\n]{0,80}?(?:unavailable|not|unsupported|invalid|must be|should be)"
    r"|invalid schema for response_format|structured[ _-]outputs?[^.\n]{0,60}?(?:not|n't|un)[ -]?(?:be )?(?:support|avail|enabl)"
    r"|support[^.\n]{0,20}structured[ _-]outputs?|(?:failed|unable) to (?:parse|compile|initialize) (?:the )?(?:grammar|samplers)"
    r"|response mime type[^\n]{0,60}?unsupported|json mode is not (?:enabled|supported)"
    r"|schema produces a constraint|exceeds the maximum allowed nesting depth"
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


_CREDIT_HINT: Final = "the account has no credit left"
_KEY_HINT: Final = "check the API key"
_PATH_HINT: Final = "asked at {url}: check the model's name, and that the base URL has its path, often /v1"

STATUS_OF: Final[dict[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that an error's type stands for, for one that comes without: inside a stream."""

_BY_STATUS: Final[dict[int, tuple[type[ModelError], str]]] = {
    HTTPStatus.UNAUTHORIZED: (AuthenticationError, _KEY_HINT),
    HTTPStatus.PAYMENT_REQUIRED: (QuotaExceededError, _CREDIT_HINT),
    HTTPStatus.FORBIDDEN: (PermissionDeniedError, ""),
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: (PermissionDeniedError, ""),
    HTTPStatus.NOT_FOUND: (ModelNotFoundError, _PATH_HINT),
    HTTPStatus.METHOD_NOT_ALLOWED: (ModelNotFoundError, _PATH_HINT),
    HTTPStatus.GONE: (ModelNotFoundError, ""),
    HTTPStatus.REQUEST_TIMEOUT: (ModelTimeoutError, ""),
    HTTPStatus.GATEWAY_TIMEOUT: (ModelTimeoutError, ""),
    ORIGIN_TIMEOUT: (ModelTimeoutError, ""),
}
_PLAIN: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN)
"""Statuses whose meaning no words change."""

_BY_WORDS: Final[tuple[tuple[re.Pattern[str], type[ModelError], str], ...]] = (
    (_CONTEXT, ContextLengthError, "send fewer or shorter messages"),
    (_NO_CREDIT, QuotaExceededError, _CREDIT_HINT),
    (_BAD_KEY, AuthenticationError, _KEY_HINT),
    (_NO_MODEL, ModelNotFoundError, ""),
)

_BY_CODE: Final[tuple[tuple[re.Pattern[str], type[ModelError]], ...]] = (
    (re.compile(r"rate_limit_(?:exceeded|error)\b"), RateLimitError),
    (
        re.compile(r"(?:invalid_(?:prompt|request_error)|\w+_policy(?:_violation)?|(?!failed_)\w*image\w*) "),
        BadRequestError,
    ),
)
"""What the code at a text's beginning means of an error in mid-stream, which has no status."""


def kind_of(status: int | None, text: str) -> tuple[type[ModelError], str]:
    """The error's class and the way out, in which "{url}" stands for what was asked for.

    Args:
        status: the HTTP status, None for an error inside a stream that names none.
        text: the provider's code and message.
    """
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return (QuotaExceededError, _CREDIT_HINT) if _NO_CREDIT.search(text) else (RateLimitError, "")
    if status in _PLAIN:
        return _BY_STATUS[status]
    refused = _refused_feature(text)
    if refused is not None:
        return refused, ""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return _by_words(status, text)


def _refused_feature(text: str) -> type[ModelError] | None:
    if _TOOLS.search(text) and not _NOT_TOOLS.search(text):
        return ToolsUnsupportedError
    return SchemaUnsupportedError if _SCHEMA.search(text) else None


def _by_words(status: int | None, text: str) -> tuple[type[ModelError], str]:
    if status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError, ""
    for words, kind, hint in _BY_WORDS:
        if words.search(text):
            return kind, hint
    if status is not None:
        return BadRequestError, ""
    return next((kind for words, kind in _BY_CODE if words.match(text)), ServerError), ""
