"""Requests, answers and messages in the form of OpenTelemetry's conventions for generative AI: plain values, no library.

Messages follow the JSON schemas that the conventions publish (`gen-ai-input-messages.json`, `gen-ai-output-messages.json`,
`gen-ai-system-instructions.json`, `gen-ai-tool-definitions.json`).
"""

from __future__ import annotations

import base64
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from lumosai._secrets import redacted
from lumosai.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.telemetry import semconv as names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lumosai.messages import Message, Part
    from lumosai.records import ModelSettings, ToolDefinition, Usage
    from lumosai.telemetry.semconv import Profile

_LARGE: Final = 65_536
"""Bytes of a medium beyond which only its size is told."""
_PORTS: Final = {"https": 443, "http": 80}
_EXTRA: Final = {
    "n": names.REQUEST_CHOICES,
    "top_k": names.REQUEST_TOP_K,
    "frequency_penalty": names.REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": names.REQUEST_PRESENCE_PENALTY,
}
_encode = msgspec.json.Encoder(enc_hook=str).encode


def request_attributes(settings: ModelSettings, profile: Profile) -> dict[str, Any]:
    """How an answer was asked for."""
    told: dict[str, Any] = {
        names.REQUEST_TEMPERATURE: settings.temperature,
        names.REQUEST_TOP_P: settings.top_p,
        names.REQUEST_MAX_TOKENS: settings.max_output_tokens,
        names.REQUEST_STOP: list(settings.stop) if settings.stop else None,
        names.REQUEST_SEED: settings.seed,
    }
    if not profile.agent_details and isinstance(settings.reasoning, str):
        told[names.REQUEST_REASONING] = settings.reasoning
    for key, name in _EXTRA.items():
        value = (settings.extra or {}).get(key)
        if isinstance(value, int | float) and not (key == "n" and value == 1):
            told[name] = value
    return {name: value for name, value in told.items() if value is not None}


def usage_attributes(usage: Usage, profile: Profile) -> dict[str, int]:
    """Tokens; input and output wherever anything was counted, the others where there were any."""
    if not (usage.input_tokens or usage.output_tokens or usage.total_tokens):
        return {}
    told = {names.USAGE_INPUT: usage.input_tokens, names.USAGE_OUTPUT: usage.output_tokens}
    more = {
        names.USAGE_CACHE_READ: usage.cache_read_tokens,
        profile.usage_cache_write: usage.cache_write_tokens,
        names.USAGE_REASONING: usage.reasoning_tokens,
    }
    return told | {name: count for name, count in more.items() if count}


def server_attributes(endpoint: str) -> dict[str, Any]:
    """Where a model is reached; nothing of one that is in this process."""
    try:
        url = urlsplit(endpoint)
        host, port = url.hostname, url.port or _PORTS.get(url.scheme)
    except ValueError:
        return {}
    if not host or port is None:
        return {}
    return {names.SERVER_ADDRESS: host, names.SERVER_PORT: port}


def system_instructions(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """What stands before the conversation."""
    return [_part(p) for m in takewhile(_is_system, messages) for p in m.parts]


def input_messages(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """The conversation, without what stands before it."""
    return [{"role": m.role, "parts": [_part(p) for p in m.parts]} for m in dropwhile(_is_system, messages)]


def _is_system(message: Message) -> bool:
    return message.role == "system"


def output_messages(message: Message, finish_reason: str) -> list[dict[str, Any]]:
    """The one answer."""
    reason = "tool_call" if finish_reason == "tool_calls" else finish_reason
    return [{"role": message.role, "parts": [_part(p) for p in message.parts], "finish_reason": reason}]


def tool_definitions(tools: Sequence[ToolDefinition]) -> list[dict[str, Any]]:
    """What the model could call."""
    return [
        {"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters} for t in tools
    ]


def result_of(result: ToolResultPart) -> Any:
    """What a tool gave."""
    return result.content if isinstance(result.content, str) else [_part(p) for p in result.content]


def safe(value: Any) -> Any:
    """The same without what looks like a secret."""
    return redacted(value)


def as_json(value: Any) -> str:
    """As an attribute of a span holds it."""
    return _encode(value).decode()


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "content": part.text}
    if isinstance(part, ReasoningPart):
        return {"type": "reasoning", "content": part.text}
    if isinstance(part, ToolCallPart):
        arguments = part.arguments if part.arguments is not None else part.raw
        return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": arguments}
    if isinstance(part, ToolResultPart):
        return {"type": "tool_call_response", "id": part.call_id, "response": result_of(part)}
    if isinstance(part, ProviderPart):
        return {"type": part.kind or "provider", "provider": part.provider}
    return _medium(part)


def _medium(part: ImagePart | AudioPart | FilePart) -> dict[str, Any]:
    modality = "image" if isinstance(part, ImagePart) else "audio" if isinstance(part, AudioPart) else "document"
    about = {"modality": modality, "mime_type": part.media_type}
    if part.data is not None:
        if len(part.data) > _LARGE:
            return {"type": "omitted", **about, "bytes": len(part.data)}
        return {"type": "blob", **about, "content": base64.b64encode(part.data).decode()}
    if isinstance(part, FilePart) and part.file_id is not None:
        return {"type": "file", **about, "file_id": part.file_id}
    url = part.url or ""
    if url.startswith("data:"):
        return {"type": "omitted", **about, "bytes": len(url)}
    return {"type": "uri", **about, "uri": url}
