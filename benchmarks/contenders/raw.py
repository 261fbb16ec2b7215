"""The floor: the agent loop written by hand on aiohttp and orjson, with no feature that the job does not need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from benchmarks.contenders.base import exchanges

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_TOOL = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Evaluates an arithmetic expression.",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    },
}
_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer sk-bench"}


def _calculator(expression: str) -> str:
    return "4" if expression else ""


class Raw:
    """A hand-written client of one server. An "agent" is the name of the model."""

    def __init__(self, base_url: str) -> None:
        self._url = base_url + "/chat/completions"
        self._session: aiohttp.ClientSession | None = None

    def agent(self, model: str) -> str:
        return model

    def earlier(self, count: int) -> list[dict[str, Any]]:
        return [{"role": role, "content": text} for role, text in exchanges(count)]

    async def run(self, agent: str, prompt: str, earlier: list[dict[str, Any]]) -> str:
        messages = [*earlier, {"role": "user", "content": prompt}]
        while True:
            body = orjson.dumps({"model": agent, "messages": messages, "tools": [_TOOL]})
            async with self._open().post(self._url, data=body) as response:
                message = orjson.loads(await response.read())["choices"][0]["message"]
            messages.append({k: v for k, v in message.items() if v is not None})
            if not message.get("tool_calls"):
                return message["content"]
            for call in message["tool_calls"]:
                result = _calculator(**orjson.loads(call["function"]["arguments"]))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})

    async def stream(self, agent: str, prompt: str) -> AsyncIterator[str]:
        messages = [{"role": "user", "content": prompt}]
        body = orjson.dumps({"model": agent, "messages": messages, "tools": [_TOOL], "stream": True})
        rest, loads = b"", orjson.loads
        async with self._open().post(self._url, data=body) as response:
            async for data in response.content.iter_any():
                events = (rest + data if rest else data).split(b"\n\n")
                rest = events.pop()
                for event in events:
                    if event.startswith(b"data: ") and event != b"data: [DONE]":
                        choices = loads(event[6:])["choices"]
                        if choices and (text := choices[0]["delta"].get("content")):
                            yield text

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=_HEADERS)
        return self._session
