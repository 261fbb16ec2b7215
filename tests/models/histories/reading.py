"""What a request says, whichever wire it is of: who said what, which calls were made, what they gave."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Said:
    """One message or item of a request.

    Attributes:
        role: "system", "user", "assistant" or "tool".
        text: its text.
        calls: (id, name, arguments) of each call.
        results: (id, text) of each result; the name where the wire has no ids.
        images: how many.
    """

    role: str
    text: str = ""
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    results: list[tuple[str, str]] = field(default_factory=list)
    images: int = 0


def chat(body: dict[str, Any]) -> list[Said]:
    found = []
    for message in body["messages"]:
        said = Said(message["role"].replace("developer", "system"))
        content = message.get("content") or ""
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            said.text += part.get("text", "") if part["type"] == "text" else ""
            said.images += part["type"] == "image_url"
        for call in message.get("tool_calls", ()):
            function = call["function"]
            said.calls.append((call["id"], function["name"], json.loads(function["arguments"])))
        if said.role == "tool":
            said.results.append((message["tool_call_id"], said.text))
            said.text = ""
        found.append(said)
    return found


def messages(body: dict[str, Any]) -> list[Said]:
    system = body.get("system") or ""
    told = system if isinstance(system, str) else "".join(b["text"] for b in system)
    found = [Said("system", told)]
    for message in body["messages"]:
        said = Said(message["role"])
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            _block(said, block)
        found.append(said)
    return found


def _block(said: Said, block: dict[str, Any]) -> None:
    match block["type"]:
        case "text":
            said.text += block["text"]
        case "image":
            said.images += 1
        case "tool_use":
            said.calls.append((block["id"], block["name"], block["input"]))
        case "tool_result":
            inner = Said("tool")
            content = block.get("content", "")
            for piece in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                _block(inner, piece)
            said.results.append((block["tool_use_id"], inner.text))
            said.images += inner.images
        case kind:
            assert kind in ("thinking", "redacted_thinking"), kind


def gemini(body: dict[str, Any]) -> list[Said]:
    told = body.get("systemInstruction", {"parts": []})
    found = [Said("system", "".join(p["text"] for p in told["parts"]))]
    for content in body["contents"]:
        said = Said({"model": "assistant"}.get(content["role"], content["role"]))
        for part in content["parts"]:
            if "functionCall" in part:
                call = part["functionCall"]
                said.calls.append((call.get("id") or call["name"], call["name"], call["args"]))
            elif "functionResponse" in part:
                result = part["functionResponse"]
                text = result["response"].get("output") or result["response"].get("error")
                said.results.append((result.get("id") or result["name"], text))
                said.images += len(result.get("parts", ()))
            elif "inlineData" in part:
                said.images += 1
            elif not part.get("thought"):
                said.text += part["text"]
        found.append(said)
    return found


def responses(body: dict[str, Any]) -> list[Said]:
    found = [Said("system", body.get("instructions") or "")]
    for item in body["input"]:
        kind = item.get("type", "message")
        if kind == "function_call":
            arguments = json.loads(item["arguments"])
            found.append(Said("assistant", calls=[(item["call_id"], item["name"], arguments)]))
        elif kind == "function_call_output":
            said = Said("tool")
            text = _pieces(said, item["output"])
            said.results.append((item["call_id"], text))
            found.append(said)
        elif kind == "message":
            said = Said(item["role"].replace("developer", "system"))
            said.text = _pieces(said, item["content"])
            found.append(said)
        else:
            assert kind == "reasoning", kind
    return found


def _pieces(said: Said, content: Any) -> str:
    if isinstance(content, str):
        return content
    said.images += sum(p["type"] == "input_image" for p in content)
    return "".join(p.get("text", "") for p in content)


def hermes(body: dict[str, Any]) -> list[Said]:
    """A text conversation: calls and results are read out of the texts again."""
    found = chat(body)
    calls = 0
    for said in found:
        if said.role == "assistant":
            for written in re.findall(r"<tool_call>\n(.*?)\n</tool_call>", said.text, re.DOTALL):
                call = json.loads(written)
                said.calls.append((str(calls), call["name"], call["arguments"]))
                calls += 1
    return found


READERS: dict[str, Callable[[dict[str, Any]], list[Said]]] = {
    "anthropic": messages,
    "gemini": gemini,
    "openai-responses": responses,
    "text": hermes,
}


def read(wire: str, body: dict[str, Any]) -> list[Said]:
    """What a request of that wire says."""
    return READERS.get(wire, chat)(body)
