"""The official SDK and `GeminiModel` read the same bytes from one server, and agree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from google import genai
from google.genai import types

from lumosai.messages import Message
from lumosai.models import GeminiModel, ModelRequest
from lumosai.models.base import Chunk
from tests.models.gemini_server import GeminiServer, Turn
from tests.models.gemini_streams import KINDS, Kind
from tests.models.test_gemini_streams import cut, message_of, recorded, result_of, sent_back

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

RECORDED = (
    "google-tool-call-gemini3.chunks.txt",
    "pai-generativelanguage-googleapis-com-test_google_model_iter_stream-0.sse",
)
SAME = {n: k for n, k in KINDS.items() if k.sdk}
ENDS = {"length": {"MAX_TOKENS"}, "tool_calls": {"STOP"}, "stop": {"STOP"}}


async def theirs(body: Sequence[bytes] | bytes, *, stream: bool = True) -> list[Any]:
    """What the SDK makes of an answer: its responses, one an event."""
    kind = "text/event-stream" if stream else "application/json"
    async with GeminiServer([Turn(body=body, content_type=kind)]) as server:
        base_url = server.base_url.removesuffix("/v1beta")
        options = types.HttpOptions(base_url=base_url, api_version="v1beta")
        client = genai.Client(api_key="k", http_options=options)
        try:
            if not stream:
                return [await client.aio.models.generate_content(model="gemini-2.5-flash", contents="go")]
            events = await client.aio.models.generate_content_stream(model="gemini-2.5-flash", contents="go")
            return [event async for event in events]
        finally:
            await client.aio.aclose()


async def ours(body: Sequence[bytes] | bytes, *, stream: bool = True) -> list[Chunk]:
    kind = "text/event-stream" if stream else "application/json"
    async with GeminiServer([Turn(body=body, content_type=kind)]) as server:
        model = GeminiModel("gemini-2.5-flash", base_url=server.base_url, api_key="k")
        request = ModelRequest(messages=(Message.user("go"),), incremental=stream)
        return [chunk async for chunk in model.stream(request)]


def told(responses: Sequence[Any]) -> tuple[Any, ...]:
    """Text, thoughts, calls, the end and usage, as the SDK tells them."""
    parts = [p for r in responses for c in (r.candidates or ())[:1] for p in (c.content and c.content.parts) or ()]
    text = "".join(p.text for p in parts if p.text and not p.thought)
    thought = "".join(p.text for p in parts if p.text and p.thought)
    calls = [
        (p.function_call.id or "", p.function_call.name, p.function_call.args or {}) for p in parts if p.function_call
    ]
    ends = [c.finish_reason for r in responses for c in (r.candidates or ())[:1] if c.finish_reason]
    used = [r.usage_metadata for r in responses if r.usage_metadata is not None]
    usage = None
    if used:
        u = used[-1]
        given = (u.prompt_token_count or 0) + (u.tool_use_prompt_token_count or 0)
        thinking = u.thoughts_token_count or 0
        made = (u.candidates_token_count or 0) + thinking
        usage = (given, made, thinking, u.cached_content_token_count or 0, u.total_token_count)
    return text, thought, calls, ends[-1].value if ends else None, usage


def agree(chunks: Sequence[Chunk], responses: Sequence[Any]) -> None:
    text, thought, calls, finish, usage = result_of(chunks)
    their_text, their_thought, their_calls, their_end, their_usage = told(responses)
    assert (text, thought, calls, usage) == (their_text, their_thought, their_calls, their_usage)
    if finish == "content_filter":
        blocked = [r.prompt_feedback.block_reason for r in responses if r.prompt_feedback is not None]
        assert their_end not in (None, "STOP", "MAX_TOKENS") or blocked
    else:
        assert their_end in ENDS[finish]


@pytest.mark.parametrize("how", ["whole", "7"])
@pytest.mark.parametrize("name", list(SAME))
async def test_a_stream(name: str, how: str) -> None:
    """Of every kind of ours."""
    pieces = cut(SAME[name].sse, how)
    agree(await ours(pieces), await theirs(pieces))


@pytest.mark.parametrize("name", RECORDED)
async def test_a_recorded_stream(name: str) -> None:
    """And of those that real servers sent."""
    raw = recorded(name)
    agree(await ours([raw]), await theirs([raw]))


@pytest.mark.parametrize("name", [n for n, k in SAME.items() if len(k.wire) == 1])
async def test_a_whole_answer(name: str) -> None:
    """Asked for in one piece."""
    body = json.dumps(SAME[name].wire[0]).encode()
    agree(await ours(body, stream=False), await theirs(body, stream=False))


def plain(part: dict[str, Any]) -> dict[str, Any]:
    """A part as the SDK's type holds it: a call without arguments has none, a null field is not there."""
    return dict(types.Part.model_validate_json(json.dumps(part)).model_dump(exclude_none=True, mode="json"))


def joined(kind: Kind) -> list[dict[str, Any]]:
    """The parts of an answer as the SDK holds them, neighbouring texts that say nothing else joined."""
    out: list[dict[str, Any]] = []
    for event in kind.wire:
        for candidate in event.get("candidates", ())[:1]:
            for part in map(plain, candidate.get("content", {}).get("parts", ())):
                if part == {"text": ""}:
                    continue
                if out and "text" in part and set(part) == set(out[-1]) <= {"text", "thought"}:
                    out[-1]["text"] += part["text"]
                else:
                    out.append(part)
    return out or [{"text": ""}]


@pytest.mark.parametrize("name", list(SAME))
async def test_what_goes_back(name: str) -> None:
    """The parts that we send back are those that the SDK's chat would: the same as they came."""
    back = [plain(p) for p in sent_back(message_of(await ours([SAME[name].sse])))]
    for part in back:
        if part.get("function_call", {}).get("args") == {}:
            del part["function_call"]["args"]
    came = joined(SAME[name])
    for part in came:
        if part.get("function_call", {}).get("args") == {}:
            del part["function_call"]["args"]
    assert back == came
