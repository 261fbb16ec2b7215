"""A small, real, OpenAI-compatible server on loopback, for any test that needs a provider to talk to.

    async with ChatServer() as server:                      # answers by itself, see `improvise`
        ...  # server.base_url, server.requests
    async with ChatServer([Reply("Hello."), Reply(status=429, headers={"retry-after": "0"})]) as server:
        ...  # answers by script, in order; the last reply is repeated
    with serve_in_thread() as server:                       # for code with an event loop of its own
        ...

It speaks `POST …/chat/completions` (JSON and SSE) and `GET …/models`, over a real socket, and keeps every request it got.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web


@dataclass(frozen=True)
class Call:
    """A tool call to answer with; `arguments` as raw text is sent as it is, valid or not."""

    name: str
    arguments: dict[str, Any] | str = field(default_factory=dict)
    id: str | None = None


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        text: the content; streamed in the pieces that `pieces` names, else word by word.
        calls: tool calls.
        reasoning: sent as `reasoning_content` before the text.
        finish: the finish reason, by default "tool_calls" or "stop".
        usage: (prompt, completion) tokens, None for an answer that does not tell.
        status: not 200: an error with `body`, or an OpenAI-shaped error holding `text`.
        headers: sent besides.
        body: sent as it is instead of anything made from the fields above, one write a piece.
        content_type: of `body`.
        cut_after: close the connection hard after so many SSE frames (or pieces of `body`).
        hold: waited for before the frame number `hold_at` is sent, so that a test decides when it goes on.
        model: the model's name in the answer, by default the one that was asked for.
    """

    text: str = ""
    calls: Sequence[Call] = ()
    reasoning: str = ""
    finish: str | None = None
    usage: tuple[int, int] | None = (10, 5)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Sequence[bytes] | None = None
    content_type: str = "application/json"
    pieces: Sequence[str] | None = None
    cut_after: int | None = None
    hold: asyncio.Event | None = None
    hold_at: int = 0
    model: str | None = None


@dataclass
class Request:
    """A request as it arrived. `json` is None where the body was not a JSON object.

    Attributes:
        closed: set when its answer ended, `cancelled` telling whether the client went away before that.
    """

    method: str
    path: str
    headers: dict[str, str]
    json: dict[str, Any] | None
    body: bytes
    cancelled: bool = False
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return (self.json or {}).get("messages", [])


Script = Callable[[Request], Reply] | Iterable[Reply]


class ChatServer:
    """The server. Use it as an async context manager; `base_url` ends in `/v1`."""

    def __init__(self, script: Script | None = None, *, models: Sequence[str] = ("test-model",)) -> None:
        self.requests: list[Request] = []
        self.arrived = asyncio.Event()
        self.models = tuple(models)
        self.base_url = ""
        self._answer = script if callable(script) else improvise if script is None else _in_order(script)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=256 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = "http://{}:{}/v1".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        body = await http.read()
        request = Request(http.method, http.path, {k.lower(): v for k, v in http.headers.items()}, _object(body), body)
        self.requests.append(request)
        self.arrived.set()
        try:
            return await self._respond(http, request)
        except (asyncio.CancelledError, ConnectionError):
            request.cancelled = True
            raise
        finally:
            request.closed.set()

    async def _respond(self, http: web.Request, request: Request) -> web.StreamResponse:
        if request.path.endswith("/models"):
            return web.json_response({"object": "list", "data": [{"id": m, "object": "model"} for m in self.models]})
        if not request.path.endswith("/chat/completions") or request.json is None:
            return web.json_response(_error(f"no such path or body: {request.path}", "not_found"), status=404)
        reply = self._answer(request)
        if reply.body is not None:
            pieces = [reply.body] if isinstance(reply.body, bytes) else list(reply.body)
            return await _send(http, reply, pieces, reply.content_type)
        if reply.status != 200:
            return await _send(http, reply, [_json(_error(reply.text or "refused", "test_error"))], "application/json")
        if request.json.get("stream"):
            return await _send(http, reply, [*_frames(request.json, reply)], "text/event-stream")
        return await _send(http, reply, [_json(_completion(request.json, reply))], "application/json")


@contextlib.contextmanager
def serve_in_thread(script: Script | None = None, **options: Any) -> Iterator[ChatServer]:
    """The same server on a thread with a loop of its own, for synchronous code and for other processes."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="chat-server", daemon=True)
    thread.start()
    server = ChatServer(script, **options)
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def improvise(request: Request) -> Reply:
    """What the server answers without a script: it calls tools, fills schemas, and else says what it heard.

    A user's message with tools declared is answered by a call of the first tool (or of the one that was chosen);
    tool results by a sentence that holds them; a request for JSON by the smallest value that fits its schema.
    """
    body = request.json or {}
    messages = request.messages
    last = messages[-1] if messages else {"role": "user", "content": ""}
    heard = _text(next((m for m in reversed(messages) if m.get("role") == "user"), last))
    if last.get("role") == "tool":
        results = [_text(m) for m in messages[_after_last_call(messages) :]]
        format_ = body.get("response_format") or {}
        if format_.get("type") != "json_schema":
            return Reply(f"The answer is {', '.join(results)}.")
    tools = {t["function"]["name"]: t["function"] for t in body.get("tools") or ()}
    choice = body.get("tool_choice", "auto")
    if tools and choice != "none" and last.get("role") != "tool":
        name = choice["function"]["name"] if isinstance(choice, dict) else next(iter(tools))
        return Reply(calls=[Call(name, sample(tools[name].get("parameters") or {}, heard))])
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    if schema is not None:
        return Reply(json.dumps(sample(schema, heard), ensure_ascii=False))
    return Reply(f"You said: {heard}")


def sample(schema: dict[str, Any], heard: str = "", root: dict[str, Any] | None = None) -> Any:
    """A small value that fits a JSON Schema; the arithmetic in `heard` where a property is an `expression`."""
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for key in schema["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        return sample(target, heard, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if schema.get(key):
            return schema[key][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return sample(schema[key][0], heard, root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        needed = schema.get("required", [])
        return {k: _property(k, v, heard, root) for k, v in schema.get("properties", {}).items() if k in needed}
    if kind == "array":
        return [sample(schema.get("items", {}), heard, root) for _ in range(max(1, schema.get("minItems", 1)))]
    numbers = [int(n) for n in re.findall(r"-?\d+", heard)]
    if kind in ("integer", "number"):
        return max(schema.get("minimum", 0), min(schema.get("maximum", 10**9), numbers[0] if numbers else 1))
    return {"boolean": True, "null": None}.get(kind, heard or "text")


def _property(name: str, schema: dict[str, Any], heard: str, root: dict[str, Any]) -> Any:
    if name == "expression":
        return max(re.findall(r"[\d(][\d\s.+*/()^-]*[\d)]", heard), key=len, default="17 * 23")
    return sample(schema, heard, root)


def _in_order(replies: Iterable[Reply]) -> Callable[[Request], Reply]:
    waiting = iter(replies)
    last = Reply(status=500, text="the script is empty")

    def answer(_request: Request) -> Reply:
        nonlocal last
        last = next(waiting, last)
        return last

    return answer


async def _send(http: web.Request, reply: Reply, pieces: Sequence[bytes], content_type: str) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers={"Content-Type": content_type, **reply.headers})
    await response.prepare(http)
    for number, piece in enumerate(pieces):
        if reply.hold is not None and number == reply.hold_at:
            await reply.hold.wait()
        if number == reply.cut_after:
            assert http.transport is not None
            http.transport.abort()
            return response
        await response.write(piece)
    await response.write_eof()
    return response


def _completion(body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or (None if reply.calls else "")}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.calls:
        message["tool_calls"] = [_call(i, c) for i, c in enumerate(reply.calls)]
    answer = _head(body, reply, "chat.completion")
    answer["choices"] = [{"index": 0, "message": message, "finish_reason": _finish(reply)}]
    if reply.usage:
        answer["usage"] = _usage(reply.usage)
    return answer


def _frames(body: dict[str, Any], reply: Reply) -> Iterator[bytes]:
    def frame(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return _sse({**_head(body, reply, "chat.completion.chunk"), "choices": choices})

    yield frame({"role": "assistant", "content": ""})
    if reply.reasoning:
        yield frame({"reasoning_content": reply.reasoning})
    for piece in reply.pieces if reply.pieces is not None else re.findall(r"\s*\S+\s*", reply.text):
        yield frame({"content": piece})
    for index, call in enumerate(reply.calls):
        whole = _call(index, call)
        arguments = whole["function"]["arguments"]
        start = {**whole, "index": index, "function": {**whole["function"], "arguments": ""}}
        yield frame({"tool_calls": [start]})
        for i in range(0, len(arguments), 8):
            yield frame({"tool_calls": [{"index": index, "function": {"arguments": arguments[i : i + 8]}}]})
    yield frame({}, _finish(reply))
    if reply.usage and (body.get("stream_options") or {}).get("include_usage"):
        yield _sse({**_head(body, reply, "chat.completion.chunk"), "choices": [], "usage": _usage(reply.usage)})
    yield b"data: [DONE]\n\n"


def _head(body: dict[str, Any], reply: Reply, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": reply.model or body.get("model", "")}


def _call(index: int, call: Call) -> dict[str, Any]:
    raw = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
    return {"id": call.id or f"call_{index}", "type": "function", "function": {"name": call.name, "arguments": raw}}


def _finish(reply: Reply) -> str:
    return reply.finish or ("tool_calls" if reply.calls else "stop")


def _usage(usage: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "code": code}}


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _sse(value: Any) -> bytes:
    return b"data: " + _json(value) + b"\n\n"


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


def _after_last_call(messages: Sequence[dict[str, Any]]) -> int:
    return 1 + max((i for i, m in enumerate(messages) if m.get("role") == "assistant"), default=-1)
