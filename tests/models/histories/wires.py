"""One conversation in the words of eight wires: two answers each, thoughts sealed, calls side by side, and the last word.

Every answer is what the real server sends for it, ids and seals in its own manner. A seal begins with the name of who gave
it, so that a foreign one is seen wherever it turns up; so does a thought.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from lumosai import Agent, ImagePart, TextPart, ToolError, tool
from lumosai.models import AnthropicModel, GeminiModel, OpenAIChatModel, OpenAIResponsesModel, Profile
from lumosai.models.base import Model
from tests.test_media import PNG

BEFORE, AFTER = "Let me look: 看一下。", "It is 18 degrees in Paris; Atlantis is not on the map."
CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("weather", {"city": "Paris", "note": '"quoted" \\ 引号'}),
    ("weather", {"city": "Atlantis"}),
    ("chart", {"of": "Paris"}),
)
QUESTION = "How is the weather in Paris and in Atlantis? 请画图。"
NEXT = "And tomorrow?"


def thought(provider: str, number: int) -> str:
    return f"[{provider}'s thought {number}]"


def seal(provider: str, number: int) -> str:
    """Base64, as most seals are."""
    return base64.b64encode(f"{provider}'s seal {number}".encode()).decode()


@tool
def weather(city: str, note: str = "") -> str:
    """The weather.

    Args:
        city: where.
        note: whatever.
    """
    if city == "Atlantis":
        raise ToolError("there is no station in Atlantis 没有")
    return f"18 degrees in {city} 晴"


@tool
def chart(of: str) -> list[TextPart | ImagePart]:
    """A chart.

    Args:
        of: of what.
    """
    return [TextPart(f"the chart of {of} 图"), ImagePart(PNG)]


@tool(name="chart")
def chart_in_words(of: str) -> str:
    """A chart.

    Args:
        of: of what.
    """
    return f"the chart of {of} 图"


@dataclass(frozen=True)
class Wire:
    """One provider's.

    Attributes:
        name: of the provider, or "text".
        model: makes the model, given where its server is.
        answers: the bodies of its two answers.
        mode: how tools are called.
        sees: whether the model takes images.
    """

    name: str
    model: Callable[[str], Model]
    answers: tuple[Any, Any]
    mode: str = "native"
    sees: bool = True

    def agent(self, url: str) -> Agent:
        """The agent that has the conversation."""
        charts = chart if self.sees else chart_in_words
        return Agent(
            "a", instructions="Be brief.", model=self.model(url), tools=[weather, charts], tool_calling=self.mode
        )  # type: ignore[arg-type]


def chat(provider: str, name: str, **options: Any) -> Callable[[str], Model]:
    return lambda url: OpenAIChatModel(name, provider=provider, base_url=f"{url}/v1", api_key="k", **options)


def completion(message: Mapping[str, Any], finish: str) -> dict[str, Any]:
    """A whole answer of `/chat/completions`."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}


def called(*ids: str) -> list[dict[str, Any]]:
    return [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for id_, (name, arguments) in zip(ids, CALLS, strict=True)
    ]


def chat_answers(ids: tuple[str, str, str], think: Callable[[int, str], dict[str, Any]]) -> tuple[Any, Any]:
    first = {**think(1, BEFORE), "tool_calls": called(*ids)}
    return completion(first, "tool_calls"), completion(think(2, AFTER), "stop")


def aside(provider: str) -> Callable[[int, str], dict[str, Any]]:
    """Thoughts in a field of their own."""
    return lambda number, text: {"content": text, "reasoning_content": thought(provider, number)}


def inside(provider: str) -> Callable[[int, str], dict[str, Any]]:
    """Thoughts as parts of the content."""
    return lambda number, text: {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": thought(provider, number)}]},
            {"type": "text", "text": text},
        ]
    }


def messages_answers() -> tuple[Any, Any]:
    """Anthropic's."""

    def answer(number: int, text: str, stop: str, *calls: dict[str, Any]) -> dict[str, Any]:
        thinking = {
            "type": "thinking",
            "thinking": thought("anthropic", number),
            "signature": seal("anthropic", number),
        }
        redacted = {"type": "redacted_thinking", "data": seal("anthropic", number + 10)}
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": [thinking, redacted, {"type": "text", "text": text}, *calls],
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {"input_tokens": 9, "output_tokens": 5},
        }

    calls = [{"type": "tool_use", "id": f"toolu_0{i}", "name": n, "input": a} for i, (n, a) in enumerate(CALLS)]
    return answer(1, BEFORE, "tool_use", *calls), answer(2, AFTER, "end_turn")


def gemini_answers() -> tuple[Any, Any]:
    def answer(number: int, text: str, *calls: dict[str, Any]) -> dict[str, Any]:
        parts = [{"text": thought("gemini", number), "thought": True}, {"text": text}, *calls]
        if not calls:
            parts[-1]["thoughtSignature"] = seal("gemini", number)
        return {
            "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14},
            "modelVersion": "gemini",
            "responseId": f"r{number}",
        }

    calls = [{"functionCall": {"name": name, "args": arguments}} for name, arguments in CALLS]
    calls[0]["thoughtSignature"] = seal("gemini", 1)  # type: ignore[assignment]  # beside the call
    return answer(1, BEFORE, *calls), answer(2, AFTER)


def responses_answers() -> tuple[Any, Any]:
    def answer(number: int, text: str, *calls: dict[str, Any]) -> dict[str, Any]:
        reasoning = {
            "type": "reasoning",
            "id": f"rs_{number}",
            "summary": [{"type": "summary_text", "text": thought("openai-responses", number)}],
            "encrypted_content": seal("openai-responses", number),
        }
        said = {
            "type": "message",
            "id": f"msg_{number}",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }
        return {
            "id": f"resp_{number}",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "model": "gpt-5-mini",
            "output": [reasoning, said, *calls],
            "usage": {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14},
        }

    calls = [
        {
            "type": "function_call",
            "id": f"fc_{i}",
            "call_id": f"call_R{i}" + "x" * 20,
            "name": name,
            "arguments": json.dumps(arguments),
            "status": "completed",
        }
        for i, (name, arguments) in enumerate(CALLS)
    ]
    return answer(1, BEFORE, *calls), answer(2, AFTER)


def text_answers() -> tuple[Any, Any]:
    """Calls written into the text, as Hermes and Qwen models write them."""
    calls = [f"<tool_call>\n{json.dumps({'name': n, 'arguments': a})}\n</tool_call>" for n, a in CALLS]
    return completion({"content": "\n".join([BEFORE, *calls])}, "stop"), completion({"content": AFTER}, "stop")


WIRES = {
    w.name: w
    for w in (
        Wire(
            "openai",
            chat("openai", "gpt-5-mini"),
            chat_answers(("call_Ab3_long_and-odd", "call_Cd4", "call_Ef5"), lambda _, text: {"content": text}),
        ),
        Wire(
            "deepseek",
            chat("deepseek", "deepseek-reasoner"),
            chat_answers(("call_00_a", "call_01_b", "call_02_c"), aside("deepseek")),
            sees=False,
        ),
        Wire(
            "mistral",
            chat("mistral", "magistral-medium-latest"),
            chat_answers(("aB3dE6gH9", "bC4eF7hI0", "cD5fG8iJ1"), inside("mistral")),
        ),
        Wire(
            "qwen",
            chat("qwen", "qwen3-vl-plus"),
            chat_answers(("call_1f00", "call_1f01", "call_1f02"), aside("qwen")),
        ),
        Wire(
            "anthropic",
            lambda url: AnthropicModel("claude-sonnet-4-5", base_url=f"{url}/v1", api_key="k"),
            messages_answers(),
        ),
        Wire(
            "gemini",
            lambda url: GeminiModel("gemini-3-flash-preview", base_url=f"{url}/v1beta", api_key="k"),
            gemini_answers(),
        ),
        Wire(
            "openai-responses",
            lambda url: OpenAIResponsesModel("gpt-5-mini", base_url=f"{url}/v1", api_key="k"),
            responses_answers(),
        ),
        Wire("text", chat("vllm", "house-model", profile=Profile(dialect="hermes")), text_answers(), mode="text"),
    )
}


class Server:
    """Answers every request with the next body, as JSON or as the events that a stream of it would be; keeps requests.

    A number in place of a body is the status of an error.
    """

    def __init__(self, *bodies: Any) -> None:
        self.requests: list[dict[str, Any]] = []
        self.url = ""
        self._bodies = list(bodies)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, http: web.Request) -> web.Response:
        asked = await http.json()
        self.requests.append(asked)
        body = self._bodies.pop(0) if len(self._bodies) > 1 else self._bodies[0]
        if isinstance(body, int):
            return web.json_response({"error": {"message": "out of order", "type": "error"}}, status=body)
        if asked.get("stream") and "choices" in body:
            return web.Response(text=streamed(body), content_type="text/event-stream")
        return web.json_response(body)


def streamed(body: dict[str, Any]) -> str:
    """A whole answer of `/chat/completions` as two events and the end."""
    choice = body["choices"][0]
    delta = dict(choice["message"])
    for index, call in enumerate(delta.get("tool_calls", ())):
        call["index"] = index
    begun = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    ended = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    return (
        "".join(f"data: {json.dumps(e)}\n\n" for e in (begun, {**ended, "usage": body["usage"]})) + "data: [DONE]\n\n"
    )
