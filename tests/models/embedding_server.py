"""An embeddings server on loopback, OpenAI's and Gemini's format: deterministic vectors, every request kept."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

Answer = Callable[["EmbeddingServer", dict[str, Any]], web.Response | None]


def vector(text: str, dimensions: int) -> list[float]:
    """A text's numbers: not normalised, each exact in 32 bits."""
    seed = hashlib.sha256(text.encode()).digest()
    return [(seed[i % 32] + i - 128) / 128 for i in range(dimensions)]


class EmbeddingServer:
    """The server. `script` sees each request's JSON first and may answer in its place; None leaves it to the server."""

    def __init__(self, script: Answer | None = None, *, dimensions: int = 8, delay_s: float = 0.0) -> None:
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.at_once = self.most_at_once = 0
        self.dimensions = dimensions
        self.base_url = ""
        self._script = script
        self._delay_s = delay_s
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = "http://{}:{}/v1".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, http: web.Request) -> web.Response:
        body = await http.read()
        asked = json.loads(body)
        self.requests.append(asked)
        self.bodies.append(body)
        self.paths.append(http.path)
        self.headers.append({k.lower(): v for k, v in http.headers.items()})
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self._delay_s)
            told = self._script(self, asked) if self._script is not None else None
            if told is not None:
                return told
            made = self.gemini(asked) if http.path.endswith(":batchEmbedContents") else self.openai(asked)
            return web.json_response(made)
        finally:
            self.at_once -= 1

    def openai(self, asked: dict[str, Any]) -> dict[str, Any]:
        """OpenAI's answer."""
        texts = asked["input"]
        dimensions = asked.get("dimensions") or asked.get("output_dimension") or self.dimensions
        data: list[dict[str, Any]] = []
        for index, text in enumerate(texts):
            numbers: Any = vector(text, dimensions)
            if asked.get("encoding_format") == "base64":
                numbers = base64.b64encode(struct.pack(f"<{dimensions}f", *numbers)).decode()
            data.append({"object": "embedding", "index": index, "embedding": numbers})
        tokens = sum(len(t) for t in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "model": asked["model"], "data": data, "usage": usage}

    def gemini(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Gemini's answer."""
        found = []
        for request in asked["requests"]:
            dimensions = request.get("outputDimensionality", self.dimensions)
            found.append({"values": vector(request["content"]["parts"][0]["text"], dimensions)})
        return {"embeddings": found, "usageMetadata": {"promptTokenCount": 7 * len(found)}}


def refuse(status: int, message: str, **headers: str) -> web.Response:
    """An error in OpenAI's shape."""
    return web.json_response({"error": {"message": message, "type": "e"}}, status=status, headers=headers)


def raw(text: str) -> web.Response:
    """A whole answer, byte by byte as given."""
    return web.Response(text=text, content_type="application/json")
