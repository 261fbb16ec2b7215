"""A small, real server of `/responses` on loopback, and the events that OpenAI's would send for an answer.

    async with ResponsesServer([Told([message("Hello.")]), Told(...)]) as server:
        ...  # server.base_url, server.requests
    events_of(Told([...]))  # the events of a stream, as dicts

It answers by script, in order, streamed or whole as it is asked; a `Reply` of `tests.servers` is sent as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.servers import ChatServer, Reply, Request, _send

Item = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """One answer.

    Attributes:
        output: its items, whole.
        status: "completed", "incomplete" or "failed".
        why: the reason of an incomplete one.
        error: of a failed one.
        usage: (input, output, reasoning, cached) tokens.
        id, model: as the server names them.
        size: characters of a delta.
    """

    output: Sequence[Item] = ()
    status: str = "completed"
    why: str | None = None
    error: dict[str, Any] | None = None
    usage: tuple[int, int, int, int] = (20, 10, 4, 8)
    id: str = "resp_1"
    model: str = "gpt-5-mini-2026-01-01"
    size: int = 5


@dataclass
class Numbered:
    """Events, each with the next number."""

    number: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, **fields: Any) -> None:
        self.events.append({"type": kind, **fields, "sequence_number": self.number})
        self.number += 1


def message(text: str, *, id: str = "msg_1", annotations: Sequence[Any] = (), **more: Any) -> Item:  # noqa: A002
    """A message of one text."""
    part = {"type": "output_text", "text": text, "annotations": list(annotations)}
    return {"type": "message", "id": id, "status": "completed", "role": "assistant", "content": [part], **more}


def refusal(text: str, *, id: str = "msg_1") -> Item:  # noqa: A002
    """A message that refuses."""
    part = {"type": "refusal", "refusal": text}
    return {"type": "message", "id": id, "status": "completed", "role": "assistant", "content": [part]}


def thought(
    *summary: str,
    id: str = "rs_1",  # noqa: A002
    sealed: str | None = "gAAAA-sealed==",
    content: Sequence[str] = (),
) -> Item:
    """A thought, as it comes where nothing is stored."""
    item: Item = {"type": "reasoning", "id": id, "summary": [{"type": "summary_text", "text": s} for s in summary]}
    if content:
        item["content"] = [{"type": "reasoning_text", "text": c} for c in content]
    if sealed is not None:
        item["encrypted_content"] = sealed
    return item


def call(name: str, arguments: str, *, id: str = "fc_1", call_id: str = "call_1", **more: Any) -> Item:  # noqa: A002
    """A call of a function."""
    item = {"type": "function_call", "id": id, "call_id": call_id, "name": name, "arguments": arguments}
    return {**item, "status": "completed", **more}


def custom(name: str, given: str, *, id: str = "ctc_1", call_id: str = "call_1") -> Item:  # noqa: A002
    """A call of a custom tool."""
    return {
        "type": "custom_tool_call",
        "id": id,
        "call_id": call_id,
        "name": name,
        "input": given,
        "status": "completed",
    }


def response_of(told: Told, *, output: Sequence[Item] | None = None, status: str | None = None) -> dict[str, Any]:
    """The response object."""
    given, made, reasoning, cached = told.usage
    usage = {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": given + made,
    }
    status = status or told.status
    return {
        "id": told.id,
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": told.error if status == "failed" else None,
        "incomplete_details": {"reason": told.why} if status == "incomplete" else None,
        "instructions": None,
        "model": told.model,
        "output": list(told.output if output is None else output),
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "reasoning": {"effort": "medium", "summary": None},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "metadata": {},
        "usage": None if status == "in_progress" else usage,
    }


def events_of(told: Told) -> list[dict[str, Any]]:
    """The events of a stream."""
    made = Numbered()
    begun = response_of(told, output=[], status="in_progress")
    made.add("response.created", response=begun)
    made.add("response.in_progress", response=begun)
    for index, item in enumerate(told.output):
        where = {"output_index": index}
        made.add("response.output_item.added", item=_begun(item), **where)
        _fill(made, item, where, told.size)
        made.add("response.output_item.done", item=item, **where)
    made.add(f"response.{told.status}", response=response_of(told))
    return made.events


def sse(events: Iterable[dict[str, Any]]) -> list[bytes]:
    """Events as a server sends them, one a piece."""
    return [f"event: {e['type']}\ndata: {json.dumps(e, ensure_ascii=False)}\n\n".encode() for e in events]


def _begun(item: Item) -> Item:
    empty: dict[str, Any] = {"content": [], "arguments": "", "input": "", "summary": []}
    return {k: empty.get(k, v) for k, v in item.items()} | ({"status": "in_progress"} if "status" in item else {})


def _fill(made: Numbered, item: Item, where: dict[str, Any], size: int) -> None:
    """What comes between an item's beginning and its end."""
    at = {"item_id": item.get("id"), **where}
    for kind, name in (("function_call", "arguments"), ("custom_tool_call", "input")):
        if item["type"] == kind:
            event = "response.function_call_arguments" if name == "arguments" else "response.custom_tool_call_input"
            for piece in _cut(item[name], size):
                made.add(f"{event}.delta", delta=piece, **at)
            made.add(f"{event}.done", **{name: item[name]}, **at)
    for number, part in enumerate(item.get("summary", ())):
        here = {"summary_index": number, **at}
        made.add("response.reasoning_summary_part.added", part={"type": "summary_text", "text": ""}, **here)
        for piece in _cut(part["text"], size):
            made.add("response.reasoning_summary_text.delta", delta=piece, **here)
        made.add("response.reasoning_summary_text.done", text=part["text"], **here)
        made.add("response.reasoning_summary_part.done", part=part, **here)
    for number, part in enumerate(item.get("content", ())):
        here = {"content_index": number, **at}
        field_ = "refusal" if part["type"] == "refusal" else "text"
        event = "reasoning_text" if part["type"] == "reasoning_text" else part["type"]
        made.add("response.content_part.added", part={**part, field_: "", **_no_annotations(part)}, **here)
        for piece in _cut(part[field_], size):
            logprobs = {"logprobs": []} if event == "output_text" else {}
            made.add(f"response.{event}.delta", delta=piece, **logprobs, **here)
        for count, note in enumerate(part.get("annotations", ())):
            made.add("response.output_text.annotation.added", annotation=note, annotation_index=count, **here)
        logprobs = {"logprobs": []} if event == "output_text" else {}
        made.add(f"response.{event}.done", **{field_: part[field_]}, **logprobs, **here)
        made.add("response.content_part.done", part=part, **here)


def _no_annotations(part: dict[str, Any]) -> dict[str, Any]:
    return {"annotations": []} if "annotations" in part else {}


def _cut(text: str, size: int) -> Iterator[str]:
    for i in range(0, len(text), size):
        yield text[i : i + size]


Script = Callable[[Request], "Told | Reply"] | Iterable["Told | Reply"]


class ResponsesServer(ChatServer):
    """The server. Use it as an async context manager; `base_url` ends in `/v1`."""

    def __init__(self, script: Script) -> None:
        super().__init__(script)  # type: ignore[arg-type]  # answers of its own besides replies

    async def _respond(self, http: web.Request, request: Request) -> web.StreamResponse:
        if not request.path.endswith("/responses") or request.json is None:
            return await super()._respond(http, request)
        told: Told | Reply = self._answer(request)
        if isinstance(told, Told):
            if request.json.get("stream"):
                told = Reply(body=sse(events_of(told)), content_type="text/event-stream")
            else:
                told = Reply(body=json.dumps(response_of(told)).encode())
        if told.body is None:
            error = {"error": {"message": told.text, "type": "invalid_request_error", "code": None, "param": None}}
            told = Reply(status=told.status, headers=told.headers, body=json.dumps(error).encode())
        pieces = [told.body] if isinstance(told.body, bytes) else list(told.body or ())
        return await _send(http, told, pieces, told.content_type)
