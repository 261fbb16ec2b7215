"""What Google's servers answer instead of an answer, over real sockets: each is the error that it means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lumosai.errors import (
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    MalformedAnswerError,
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
from lumosai.messages import Message, ToolCallPart, ToolResultPart
from lumosai.models import GeminiModel, ModelRequest
from lumosai.models.base import AttemptStarted, Chunk, Finished, TextChunk
from lumosai.models.retry import RetryModel
from lumosai.records import ToolDefinition
from tests.models.gemini_server import GeminiServer, Turn, error, framed

ASK = ModelRequest(messages=(Message.user("go"),))
QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, head "
    "to: https://ai.google.dev/gemini-api/docs/rate-limits. \n* Quota exceeded for metric: "
    "generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 5, model: gemini-2.5-pro\n"
    "Please retry in 34.074824224s."
)


def quota(quota_id: str, **delay: Any) -> tuple[dict[str, Any], ...]:
    return (
        {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "Learn more", "url": "https://x"}]},
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaMetric": "m", "quotaId": quota_id, "quotaDimensions": {"location": "global"}}],
        },
        *({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": d} for d in delay.values()),
    )


MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"

ANSWERED: list[tuple[int, Any, type[ModelError], float | None, str]] = [
    (400, error(400, "API key not valid. Please pass a valid API key."), AuthenticationError, None, "INVALID_ARGUMENT"),
    (
        400,
        error(400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
        ContextLengthError,
        None,
        "INVALID_ARGUMENT",
    ),
    (
        400,
        error(400, "* GenerateContentRequest.contents: contents is not specified"),
        BadRequestError,
        None,
        "INVALID_ARGUMENT",
    ),
    (400, error(400, "Function calling is not enabled for models/gemma-3-27b-it"), ToolsUnsupportedError, None, ""),
    (
        400,
        error(400, "Function calling with a response mime type: 'application/json' is unsupported"),
        SchemaUnsupportedError,
        None,
        "",
    ),
    (
        400,
        error(400, "The specified schema produces a constraint that has too many states for serving."),
        SchemaUnsupportedError,
        None,
        "",
    ),
    (
        400,
        error(400, "Forced function calling (ANY mode) with a response mime type: 'application/json' is unsupported"),
        SchemaUnsupportedError,
        None,
        "",
    ),
    (400, error(400, "JSON mode is not enabled for models/gemma-3-27b-it"), SchemaUnsupportedError, None, ""),
    (
        400,
        error(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
        BadRequestError,
        None,
        "FAILED_PRECONDITION",
    ),
    (
        403,
        error(403, "Permission denied on resource project x.", "PERMISSION_DENIED"),
        PermissionDeniedError,
        None,
        "PERMISSION_DENIED",
    ),
    (
        404,
        error(
            404,
            "models/gemini-9 is not found for API version v1beta, or is not supported for generateContent.",
            "NOT_FOUND",
        ),
        ModelNotFoundError,
        None,
        "NOT_FOUND",
    ),
    (429, error(429, QUOTA, "RESOURCE_EXHAUSTED", *quota(MINUTE, d="34s")), RateLimitError, 34.0, "RESOURCE_EXHAUSTED"),
    (
        429,
        [error(429, QUOTA, "RESOURCE_EXHAUSTED", *quota(MINUTE, d="34.5s"))],
        RateLimitError,
        34.5,
        "RESOURCE_EXHAUSTED",
    ),
    (
        429,
        error(429, QUOTA, "RESOURCE_EXHAUSTED", *quota(MINUTE, d={"seconds": "3", "nanos": 500000000})),
        RateLimitError,
        3.5,
        "",
    ),
    (
        429,
        error(429, QUOTA, "RESOURCE_EXHAUSTED", *quota(DAY, d="34s")),
        QuotaExceededError,
        None,
        "RESOURCE_EXHAUSTED",
    ),
    (
        429,
        error(429, "Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED"),
        RateLimitError,
        None,
        "",
    ),
    (500, error(500, "An internal error has occurred. Please retry.", "INTERNAL"), ServerError, None, "INTERNAL"),
    (
        503,
        [error(503, "The model is overloaded. Please try again later.", "UNAVAILABLE")],
        ServerError,
        None,
        "UNAVAILABLE",
    ),
    (
        504,
        error(504, "Deadline expired before operation could complete.", "DEADLINE_EXCEEDED"),
        ModelTimeoutError,
        None,
        "",
    ),
]


async def asked(server: GeminiServer, request: ModelRequest = ASK, name: str = "gemini-2.5-flash") -> list[Chunk]:
    model = GeminiModel(name, base_url=server.base_url, api_key="key-1234567")
    return [chunk async for chunk in model.stream(request)]


@pytest.mark.parametrize("incremental", [True, False])
@pytest.mark.parametrize(("status", "body", "kind", "wait_s", "code"), ANSWERED)
async def test_an_error(
    status: int, body: Any, kind: type[ModelError], wait_s: float | None, code: str, incremental: bool
) -> None:
    """By its status and its words, wrapped in a list or not; the wait is that of `RetryInfo`."""
    turn = Turn(status=status, body=json.dumps(body).encode(), content_type="application/json")
    async with GeminiServer([turn]) as server:
        with pytest.raises(ModelError) as caught:
            await asked(server, ModelRequest(messages=ASK.messages, incremental=incremental))
    found = caught.value
    assert type(found) is kind
    assert found.status == status
    if wait_s is not None:
        assert found.retry_after_s == pytest.approx(wait_s)
    assert not code or found.code == code
    assert found.retryable == (kind in (RateLimitError, ServerError, ModelTimeoutError))


async def test_the_wait_is_waited() -> None:
    """A retry waits as long as the details say."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    body = json.dumps(error(429, QUOTA, "RESOURCE_EXHAUSTED", *quota(MINUTE, d="7s"))).encode()
    async with GeminiServer([Turn(status=429, body=body), Turn([{"text": "Hi"}])]) as server:
        model = RetryModel(GeminiModel("gemini-2.5-flash", base_url=server.base_url), sleep=sleep)
        chunks = [chunk async for chunk in model.stream(ASK)]
    assert waited == [7.0]
    assert TextChunk("Hi") in chunks


HALF = framed({"candidates": [{"content": {"parts": [{"text": "Half"}], "role": "model"}, "index": 0}]})
IN_STREAM: dict[str, tuple[bytes, type[ModelError], str]] = {
    "error": (HALF + framed(error(503, "The model is overloaded.", "UNAVAILABLE")), ServerError, "overloaded"),
    "error in a list": (
        HALF + framed([error(429, QUOTA, "RESOURCE_EXHAUSTED", *quota(MINUTE, d="3s"))]),
        RateLimitError,
        "quota",
    ),
    "error event": (
        HALF + b'event: error\r\ndata: {"error":{"code":500,"message":"boom"}}\r\n\r\n',
        ServerError,
        "boom",
    ),
    "no end": (HALF, StreamInterruptedError, "no finishReason"),
    "unsaid end": (
        framed({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "FINISH_REASON_UNSPECIFIED"}]}),
        StreamInterruptedError,
        "no finishReason",
    ),
    "usage only": (framed({"usageMetadata": {"promptTokenCount": 4}}), StreamInterruptedError, "no finishReason"),
    "cut in an event": (HALF + b'data: {"candidates": [{"content": {"par', StreamInterruptedError, "no finishReason"),
    "no JSON": (HALF + b"data: oh no\r\n\r\n", MalformedAnswerError, "no answer of generateContent"),
    "no object": (HALF + b"data: 17\r\n\r\n", MalformedAnswerError, "no answer of generateContent"),
    "text that is none": (framed({"candidates": [{"content": {"parts": 3}}]}), MalformedAnswerError, "generateContent"),
    "media that are none": (
        framed({"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "?"}}]}}]}),
        MalformedAnswerError,
        "base64",
    ),
    "a call that is none": (
        framed({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": 3}}]}}]}),
        MalformedAnswerError,
        "generateContent",
    ),
    "a list without an end": (
        json.dumps([{"candidates": [{"content": {"parts": [{"text": "Half"}]}}]}]).encode(),
        StreamInterruptedError,
        "no finishReason",
    ),
    "nothing in a document": (b"{}", MalformedAnswerError, "without any candidate"),
    "html": (b"<html><title>Welcome to nginx!</title></html>", MalformedAnswerError, "nginx"),
    "empty": (b"", MalformedAnswerError, "empty"),
}


@pytest.mark.parametrize("pieces", ["whole", "bytes"])
@pytest.mark.parametrize("name", list(IN_STREAM))
async def test_an_error_in_a_stream(name: str, pieces: str) -> None:
    """An answer that was cut or broken never ends as if it were whole, wherever the network cut it."""
    data, kind, says = IN_STREAM[name]
    body = data if pieces == "whole" else [data[i : i + 1] for i in range(len(data))]
    seen: list[Chunk] = []
    async with GeminiServer([Turn(body=body)]) as server:
        model = GeminiModel("gemini-2.5-flash", base_url=server.base_url)
        with pytest.raises(ModelError, match=says) as caught:
            async for chunk in model.stream(ASK):
                seen.append(chunk)  # what came before the error counts
    assert type(caught.value) is kind
    assert not any(isinstance(c, Finished) for c in seen)
    assert "".join(c.delta for c in seen if isinstance(c, TextChunk)) in ("", "Half", "a")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("MALFORMED_FUNCTION_CALL", ServerError),
        ("UNEXPECTED_TOOL_CALL", ServerError),
        ("TOO_MANY_TOOL_CALLS", ServerError),
        ("MALFORMED_RESPONSE", ServerError),
        ("MISSING_THOUGHT_SIGNATURE", BadRequestError),
        ("OTHER", ServerError),
        ("IMAGE_OTHER", ServerError),
        ("SOMETHING_NEW", ServerError),
    ],
)
@pytest.mark.parametrize("incremental", [True, False])
async def test_an_end_that_is_no_answer(reason: str, kind: type[ModelError], incremental: bool) -> None:
    """The error has the reason as its code and in its words; where the model failed, another try may help."""
    turn = Turn([], finish=reason, candidate={"finishMessage": "Malformed function call: print(x)"})
    async with GeminiServer([turn]) as server:
        with pytest.raises(ModelError, match=rf"'{reason}': Malformed function call: print\(x\)") as caught:
            await asked(server, ModelRequest(messages=ASK.messages, incremental=incremental))
    assert type(caught.value) is kind
    assert caught.value.code == reason
    assert caught.value.retryable == (kind is ServerError)


TOOL = ToolDefinition("f", "Does.", {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]})
HISTORY = (
    Message.user("go"),
    Message.assistant(ToolCallPart("abc", "f", {"a": 1})),
    Message.tool(ToolResultPart("abc", "f", "1")),
)


@pytest.mark.parametrize(
    ("refusal", "gone", "there"),
    [
        (
            "Unknown name \"parametersJsonSchema\" at 'tools[0].function_declarations[0]': Cannot find field.",
            "parametersJsonSchema",
            '"parameters":{"type":"OBJECT"',
        ),
        (
            "Invalid JSON payload received. Unknown name \"responseJsonSchema\" at 'generation_config': Cannot find field.",
            "responseJsonSchema",
            '"responseSchema":{"type":"OBJECT"',
        ),
        (
            "Invalid JSON payload received. Unknown name \"id\" at 'contents[1].parts[0].function_call': Cannot find field.",
            '"id"',
            '"functionCall":{"name":"f","args":{"a":1}}',
        ),
        (
            "Developer instruction is not enabled for models/gemma-3-27b-it",
            "systemInstruction",
            '"contents":[{"role":"user","parts":[{"text":"Be short."}]},',
        ),
    ],
)
async def test_what_nobody_asked_for_is_left_out(refusal: str, gone: str, there: str) -> None:
    """A server that refuses a field which this protocol adds on its own account is asked again without it."""
    body = json.dumps(error(400, refusal)).encode()
    turns = [Turn(status=400, body=body, content_type="application/json"), Turn([{"text": "Hi"}])]
    request = ModelRequest(
        messages=(Message.system("Be short."), *HISTORY),
        tools=(TOOL,),
        output_schema={"type": "object", "properties": {"x": {"type": "string"}}},
    )
    async with GeminiServer(turns) as server:
        chunks = await asked(server, request, "gemini-3.8-flash")
    assert isinstance(chunks[0], AttemptStarted) and chunks[0].reason.startswith("rejected")
    assert TextChunk("Hi") in chunks
    first, second = (r.body.decode() for r in server.requests)
    assert gone in first and there not in first
    assert gone not in second and there in second
