"""A small, real server on loopback that speaks `:generateContent` and `:streamGenerateContent`, by script.

    async with GeminiServer([Turn([{"text": "Hello."}]), Turn(status=429, body=b"...")]) as server:
        model = GeminiModel("gemini-2.5-flash", base_url=server.base_url, api_key="k")

It checks what the real one checks of a history: results as many as calls, in their order and by their names, in the
content right behind them; and, where it is told to, a signature on the first call of every content.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}


@dataclass(frozen=True)
class Turn:
    """One answer.

    Attributes:
        parts: the content's, streamed one an event.
        finish: the reason in the last event, None for none.
        candidate: fields of the last event's candidate besides.
        usage: told with the last event.
        status: not 200: an error with `body`.
        headers: sent besides.
        body: sent as it is instead of all the above, one write a piece.
        content_type: of `body`.
    """

    parts: Sequence[dict[str, Any]] = ()
    finish: str | None = "STOP"
    candidate: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] | None = field(default_factory=lambda: dict(USAGE))
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Sequence[bytes] | None = None
    content_type: str = "text/event-stream"


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    json: dict[str, Any]
    body: bytes

    @property
    def contents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json["contents"]
        return found


Script = Callable[[Asked], Turn] | Iterable[Turn]


class GeminiServer:
    """The server; `base_url` has the version in it."""

    def __init__(self, script: Script, *, signatures: bool = False) -> None:
        self.requests: list[Asked] = []
        self.base_url = ""
        self._answer = script if callable(script) else _in_order(script)
        self._signatures = signatures
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=256 * 1024 * 1024)
        app.router.add_route("POST", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = "http://{}:{}/v1beta".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        body = await http.read()
        headers = {k.lower(): v for k, v in http.headers.items()}
        asked = Asked(http.path, dict(http.query), headers, json.loads(body), body)
        self.requests.append(asked)
        if (wrong := refused(asked.json, signatures=self._signatures)) is not None:
            return web.json_response(error(400, wrong), status=400)
        turn = self._answer(asked)
        streamed = http.path.endswith(":streamGenerateContent")
        if turn.body is not None:
            pieces = [turn.body] if isinstance(turn.body, bytes) else turn.body
            return await _send(http, turn, pieces, turn.content_type)
        if streamed:
            return await _send(http, turn, events(turn), "text/event-stream")
        return await _send(http, turn, [json.dumps(whole(turn)).encode()], "application/json")


def error(code: int, message: str, status: str = "INVALID_ARGUMENT", *details: dict[str, Any]) -> dict[str, Any]:
    """An error as Google writes it."""
    inner: dict[str, Any] = {"code": code, "message": message, "status": status}
    return {"error": {**inner, "details": list(details)} if details else inner}


def whole(turn: Turn) -> dict[str, Any]:
    """The answer in one piece."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(turn.parts)}, "index": 0, **turn.candidate}
    if turn.finish is not None:
        candidate["finishReason"] = turn.finish
    told = {"usageMetadata": turn.usage} if turn.usage is not None else {}
    return {"candidates": [candidate], **told, "modelVersion": "gemini-test", "responseId": "r1"}


def events(turn: Turn) -> list[bytes]:
    """The answer as events, a part each, framed as Google frames them."""
    parts = list(turn.parts) or [None]
    out = []
    for n, part in enumerate(parts):
        last = n == len(parts) - 1
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [] if part is None else [part]}, "index": 0}
        event: dict[str, Any] = {"candidates": [candidate], "modelVersion": "gemini-test", "responseId": "r1"}
        if last:
            candidate |= turn.candidate
            if turn.finish is not None:
                candidate["finishReason"] = turn.finish
            if turn.usage is not None:
                event["usageMetadata"] = turn.usage
        out.append(framed(event))
    return out


def framed(event: Any) -> bytes:
    """One event as bytes."""
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\r\n\r\n"


def refused(body: dict[str, Any], *, signatures: bool) -> str | None:
    """What the real server would find wrong with a history, None where it is right."""
    contents = body.get("contents") or []
    if not contents:
        return "contents is not specified"
    for at, content in enumerate(contents):
        parts = content.get("parts") or []
        if not parts:
            return f"contents[{at}].parts: must have at least one part"
        calls = [p["functionCall"] for p in parts if "functionCall" in p]
        if not calls:
            continue
        first = next(p for p in parts if "functionCall" in p)
        if signatures and not first.get("thoughtSignature"):
            return (
                f"Function call `{calls[0]['name']}` in the {at + 1}. content block is missing a `thought_signature`."
            )
        behind = contents[at + 1]["parts"] if at + 1 < len(contents) else []
        results = [p["functionResponse"] for p in behind if "functionResponse" in p]
        if len(results) != len(calls):
            return (
                "Please ensure that the number of function response parts is equal to the number of function call parts "
                "of the function call turn."
            )
        if [(r["name"], r.get("id")) for r in results] != [(c["name"], c.get("id")) for c in calls]:
            return "Function responses do not match the calls."
    return None


async def _send(http: web.Request, turn: Turn, pieces: Sequence[bytes], content_type: str) -> web.StreamResponse:
    response = web.StreamResponse(status=turn.status, headers={"Content-Type": content_type, **turn.headers})
    await response.prepare(http)
    for piece in pieces:
        await response.write(piece)
    await response.write_eof()
    return response


def _in_order(script: Iterable[Turn]) -> Callable[[Asked], Turn]:
    turns: Iterator[Turn] = iter(script)
    last: Turn | None = None

    def answer(_asked: Asked) -> Turn:
        nonlocal last
        last = next(turns, last)
        assert last is not None, "the script is empty"
        return last

    return answer
