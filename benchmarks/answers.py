"""What the fake provider answers: the model's name is the script.

    plain       one sentence
    calc        a call of the first declared tool, then, once its result is there, "The answer is 4"
    turns-K     the same with K calls, one an answer
    flood-N     N text deltas as fast as the socket takes them
    drip-N      N text deltas, 20 ms apart; each is the server's monotonic clock in ns and a blank
    stall       three deltas, then silence until the client goes
    cut         three deltas, then the connection is dropped
    fail        status 500

`calc` and `turns-K` count the results since the last user message, so the server keeps no state and any number of
clients may talk to it at once.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec

WORDS = (" the quick brown fox jumps", " over the lazy dog at dawn")
"""The texts of a flood, in turn: 26 characters each."""

_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
_numbers = itertools.count(1)


class _Sent(msgspec.Struct):
    role: str = ""


class _Function(msgspec.Struct):
    name: str = ""


class _Tool(msgspec.Struct):
    function: _Function = msgspec.field(default_factory=_Function)


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class Request(msgspec.Struct):
    """The part of a `/chat/completions` request that the scripts look at."""

    model: str = "plain"
    messages: list[_Sent] = []
    tools: list[_Tool] = []
    stream: bool = False
    stream_options: _StreamOptions | None = None


read_request = msgspec.json.Decoder(Request).decode


class Script(msgspec.Struct):
    """One answer: `kind` is text, call, flood, drip, stall, cut or fail."""

    kind: str
    text: str = ""
    tool: str = ""
    count: int = 0


def script(request: Request) -> Script:
    """What to answer to `request`."""
    name, _, number = request.model.partition("-")
    if name in ("calc", "turns"):
        wanted = int(number) if number else 1
        if request.tools and _results(request.messages) < wanted:
            return Script("call", tool=request.tools[0].function.name)
        return Script("text", "The answer is 4")
    if name in ("flood", "drip"):
        return Script(name, count=int(number or 100))
    if name in ("stall", "cut", "fail"):
        return Script(name)
    return Script("text", "Hello there, this is the answer.")


def _results(messages: list[_Sent]) -> int:
    since_user = itertools.takewhile(lambda m: m.role != "user", reversed(messages))
    return sum(m.role == "tool" for m in since_user)


def whole(request: Request, answer: Script) -> bytes:
    """The answer as one JSON document."""
    number = next(_numbers)
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.kind == "call":
        message["tool_calls"] = [_call(number, answer.tool, '{"expression":"2+2"}')]
    elif answer.kind in ("flood", "drip"):
        message["content"] = WORDS[0] * answer.count
    finish = "tool_calls" if answer.kind == "call" else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return _json({**_header(number, "chat.completion", request.model), "choices": [choice], "usage": _USAGE})


def opening(request: Request, answer: Script) -> list[bytes]:
    """The answer's events up to where a flood or a drip begins; all of its content otherwise."""
    number = next(_numbers)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if answer.kind == "call":
        call = _call(number, answer.tool, "")
        deltas.append({"tool_calls": [{"index": 0, **call}]})
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": a}}]} for a in ('{"expr', 'ession":"2+2"}')]
    else:
        text = answer.text if answer.kind == "text" else "So far so " if answer.kind in ("stall", "cut") else ""
        deltas += [{"content": word} for word in text.replace(" ", "\0 ").split("\0") if word]
    return [_event(request.model, number, [_delta(d)]) for d in deltas]


def closing(request: Request, answer: Script) -> list[bytes]:
    """The finish reason, the usage where it was asked for, and the end mark."""
    number = next(_numbers)
    events = [_event(request.model, number, [_delta({}, "tool_calls" if answer.kind == "call" else "stop")])]
    if request.stream_options is not None and request.stream_options.include_usage:
        events.append(_event(request.model, number, [], usage=_USAGE))
    return [*events, b"data: [DONE]\n\n"]


def text_event(request: Request, text: str) -> bytes:
    """One event that carries one text delta."""
    return _event(request.model, 0, [_delta({"content": text})])


def _header(number: int, kind: str, model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number:08d}", "object": kind, "created": 1_700_000_000, "model": model}


def _call(number: int, tool: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{number:08d}", "type": "function", "function": {"name": tool, "arguments": arguments}}


def _delta(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _event(model: str, number: int, choices: list[dict[str, Any]], **more: Any) -> bytes:
    body = {**_header(number, "chat.completion.chunk", model), "choices": choices, **more}
    return b"data: " + _json(body) + b"\n\n"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
