"""A small, real server of Anthropic's Messages API on loopback, for tests of the protocol.

    async with MessagesServer([Said({"type": "text", "text": "Hello."})]) as server:     # answers by script, in order
        ...  # server.base_url, server.requests

It speaks `POST …/messages` (JSON and SSE), over a real socket, and keeps every request it got. A script is as the one of
`tests.servers.ChatServer`, of `Said` for messages and of `Reply` for bytes and errors.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aiohttp import web

from tests.servers import ChatServer, Reply, Request, _in_order, _send

_NUMBERS = itertools.count(1)


class Said:
    """A message to answer with: content blocks, why it ends, tokens; as events where the request asks for those."""

    def __init__(self, *blocks: dict[str, Any], stop: str | None = None, **more: Any) -> None:
        calls = any(b["type"] == "tool_use" for b in blocks)
        usage = more.pop("usage", {"input_tokens": 10, "output_tokens": 5})
        self.message: dict[str, Any] = {
            "id": f"msg_{next(_NUMBERS)}",
            "type": "message",
            "role": "assistant",
            "model": "claude-test",
            "content": list(blocks),
            "stop_reason": stop or ("tool_use" if calls else "end_turn"),
            "stop_sequence": None,
            "usage": usage,
            **more,
        }

    def events(self) -> Iterator[dict[str, Any]]:
        """The message as its events, long texts in two pieces."""
        message = self.message
        yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None, "container": None}}
        for index, block in enumerate(message["content"]):
            begun, deltas = _pieces(block)
            yield {"type": "content_block_start", "index": index, "content_block": begun}
            yield from ({"type": "content_block_delta", "index": index, "delta": d} for d in deltas)
            yield {"type": "content_block_stop", "index": index}
        delta = {k: message[k] for k in ("stop_reason", "stop_sequence", "stop_details", "container") if k in message}
        yield {"type": "message_delta", "delta": delta, "usage": message["usage"]}
        yield {"type": "message_stop"}


def sse(events: Iterable[dict[str, Any]]) -> bytes:
    """Events as bytes."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


class MessagesServer(ChatServer):
    """The server. Use it as an async context manager; `base_url` ends in `/v1`."""

    def __init__(self, script: Callable[[Request], Said | Reply] | Iterable[Said | Reply]) -> None:
        super().__init__(script if callable(script) else _in_order(script))  # type: ignore[arg-type]

    async def _respond(self, http: web.Request, request: Request) -> web.StreamResponse:
        if not request.path.endswith("/v1/messages") or request.json is None:
            error = {"type": "error", "error": {"type": "not_found_error", "message": request.path}}
            return web.json_response(error, status=404)
        reply: Any = self._answer(request)
        if isinstance(reply, Said):
            if not request.json.get("stream"):
                return web.json_response(reply.message)
            reply = Reply(body=sse(reply.events()), content_type="text/event-stream")
        pieces = [reply.body] if isinstance(reply.body, bytes) else list(reply.body or ())
        return await _send(http, reply, pieces, reply.content_type)


def _pieces(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    match block["type"]:
        case "text":
            half = len(block["text"]) // 2
            texts = [{"type": "text_delta", "text": t} for t in (block["text"][:half], block["text"][half:])]
            cited = [{"type": "citations_delta", "citation": c} for c in block.get("citations") or ()]
            return {"type": "text", "text": ""}, [*texts, *cited]
        case "thinking":
            begun = {"type": "thinking", "thinking": "", "signature": ""}
            thought = {"type": "thinking_delta", "thinking": block["thinking"]}
            return begun, [thought, {"type": "signature_delta", "signature": block["signature"]}]
        case "tool_use" | "server_tool_use":
            text = json.dumps(block["input"]) if block["input"] else ""
            cuts = (text[: len(text) // 2], text[len(text) // 2 :])
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": t} for t in cuts]
        case _:
            return block, []
