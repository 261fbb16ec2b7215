"""Requests of `/chat/completions`: the house's values as JSON bytes.

A message and a tool definition are encoded once, see `_encoded`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.errors import InvalidInputError
from lumosai.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.models._encoded import Encoded, data_url, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.messages import Part
    from lumosai.models.base import ModelRequest
    from lumosai.models.profiles import Profile
    from lumosai.records import ModelSettings, ToolChoice, ToolDefinition

_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]")
_AUDIO: Final = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "x-m4a": "m4a", "mp4": "m4a"}
_NINE: Final = re.compile(r"[a-zA-Z0-9]{9}")
_NO_TOOLS: Final = ("constrained", "text", "off")


class Encoder:
    """Requests for one kind of server.

    Attributes:
        profile: what the model can do.
        provider: whose opaque parts are sent back.
    """

    __slots__ = ("_last", "messages", "profile", "provider", "tools")

    def __init__(self, provider: str, profile: Profile) -> None:
        self.provider = provider
        self.profile = profile
        self._last: tuple[Any, ...] | None = None  # what the last request's fields were made from, and their bytes
        self.messages: Encoded[Message] = Encoded(self._message)
        self.tools: Encoded[ToolDefinition] = Encoded(self._tool)

    def body(self, name: str, request: ModelRequest, *, stream: bool) -> bytes:
        """The request as JSON; `stream` says whether events are asked for or a whole answer."""
        tools = () if request.tool_mode in _NO_TOOLS else request.tools
        settings, schema, choice = request.settings, request.output_schema, request.tool_choice
        extra = settings.extra
        last = self._last
        if (
            last is not None
            and last[0] is settings
            and last[1] is schema
            and last[2:7] == (choice, name, request.output_name, stream, not tools)
        ):
            parts = [last[7]]
        else:
            head = encode(self._fields(name, request, tools=bool(tools), stream=stream))[:-1]
            self._last = (settings, schema, choice, name, request.output_name, stream, not tools, head)
            parts = [head]
        if extra is None or "messages" not in extra:
            parts += (b',"messages":[', self.messages.joined(request.messages), b"]")
        if tools and (extra is None or "tools" not in extra):
            parts += (b',"tools":[', self.tools.joined(tools), b"]")
        parts.append(b"}")
        return b"".join(parts)

    def _fields(self, name: str, request: ModelRequest, *, tools: bool, stream: bool) -> dict[str, Any]:
        """All but messages and tools, which step after step is the same."""
        fields: dict[str, Any] = {"model": name}
        settings = request.settings
        add_settings(fields, settings, self.profile)
        if tools:
            choice = request.tool_choice if request.tool_choice is not None else settings.tool_choice
            if choice is not None:
                fields["tool_choice"] = tool_choice(choice)
            if settings.parallel_tool_calls is not None and self.profile.parallel_tools:
                fields["parallel_tool_calls"] = settings.parallel_tool_calls
        if request.output_schema is not None:
            fields["response_format"] = response_format(request.output_name, request.output_schema)
        if stream:
            fields["stream"] = True
            if self.profile.stream_usage:
                fields["stream_options"] = {"include_usage": True}
        fields.update(settings.extra or {})
        return fields

    def _tool(self, tool: ToolDefinition) -> bytes:
        function: dict[str, Any] = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        if tool.strict and self.profile.strict_tools:
            function["strict"] = True
        return encode({"type": "function", "function": function})

    def _message(self, message: Message) -> bytes:
        match message.role:
            case "tool":
                return self._results(message)
            case "assistant":
                return encode(self._assistant(message))
            case "system":
                return encode({"role": self.profile.system_role, "content": content(message.parts)})
            case _:
                return encode({"role": "user", "content": content(message.parts)})

    def _assistant(self, message: Message) -> dict[str, Any]:
        wire: dict[str, Any] = {"role": "assistant", "content": message.text}
        calls = [call(p, self._id) for p in message.parts if type(p) is ToolCallPart]
        if calls:
            wire["tool_calls"] = calls
            wire["content"] = wire["content"] or None
        if calls and self.profile.send_reasoning:
            own = (None, self.provider)
            thoughts = [p.text for p in message.parts if type(p) is ReasoningPart and p.provider in own]
            if thoughts:
                wire["reasoning_content"] = "".join(thoughts)
        for part in message.parts:
            if type(part) is ProviderPart and part.provider == self.provider:
                wire[part.kind] = part.data
        return wire

    def _id(self, id_: str) -> str:
        """A call's id as this server takes it: Mistral's are nine letters and digits, and others' are refused."""
        if self.profile.call_ids != "mistral" or _NINE.fullmatch(id_):
            return id_
        return hashlib.sha256(id_.encode()).hexdigest()[:9]

    def _results(self, message: Message) -> bytes:
        """One message a result; media, which a tool message may not hold, in a user message behind them all."""
        results = message.tool_results
        if not results:
            msg = "a message of role 'tool' holds no ToolResultPart: put the results of the calls before it into it"
            raise InvalidInputError(msg)
        wires: list[dict[str, Any]] = []
        media: list[dict[str, Any]] = []
        for result in results:
            text, shown = result.text, [p for p in _result_parts(result) if type(p) is not TextPart]
            if shown:
                media.append({"type": "text", "text": f"Content of the result of {result.name} ({result.call_id}):"})
                media += [part_of(p) for p in shown]
                text = text or "The content follows in the next message."
            wires.append({"role": "tool", "tool_call_id": self._id(result.call_id), "content": text})
        if media:
            wires.append({"role": "user", "content": media})
        return b",".join([encode(w) for w in wires])


def add_settings(fields: dict[str, Any], settings: ModelSettings, profile: Profile) -> None:
    """Adds what is set, under the names this server gives it."""
    if profile.sampling:
        if settings.temperature is not None:
            fields["temperature"] = settings.temperature
        if settings.top_p is not None:
            fields["top_p"] = settings.top_p
    if settings.max_output_tokens is not None:
        fields[profile.max_tokens_field] = settings.max_output_tokens
    if settings.stop:
        fields["stop"] = settings.stop
    if settings.seed is not None:
        fields["seed"] = settings.seed
    if settings.reasoning is not None:
        _add_reasoning(fields, settings.reasoning, profile)


def _add_reasoning(fields: dict[str, Any], reasoning: str | bool, profile: Profile) -> None:  # noqa: FBT001  # a setting
    """Adds how much the model is to think, in the server's own way; nothing where it has none."""
    on = reasoning not in (False, "none")
    match profile.thinking:
        case "thinking":
            fields["thinking"] = {"type": "enabled" if on else "disabled"}
        case "enable_thinking":
            fields["enable_thinking"] = on
        case "template":
            fields["chat_template_kwargs"] = {"enable_thinking": on}
        case "openrouter":
            effort = isinstance(reasoning, str) and on
            fields["reasoning"] = {"effort": reasoning} if effort else {"enabled": on}
        case _ if profile.reasoning_effort and reasoning is not True:
            fields["reasoning_effort"] = reasoning or "none"


def without_refused(profile: Profile, words: str) -> Profile | None:
    """The profile without what a server refuses, of that which nobody asked for; None where it refuses something else.

    Args:
        profile: what was thought of the model.
        words: the server's refusal.
    """
    if profile.stream_usage and "stream_options" in words:
        return msgspec.structs.replace(profile, stream_usage=False)
    if "max_completion_tokens" in words and profile.max_tokens_field in words:
        other = "max_tokens" if profile.max_tokens_field == "max_completion_tokens" else "max_completion_tokens"
        return msgspec.structs.replace(profile, max_tokens_field=other)
    if profile.system_role == "developer" and "developer" in words:
        return msgspec.structs.replace(profile, system_role="system")
    return None


def tool_choice(choice: ToolChoice) -> Any:
    """The wire's form of a tool choice."""
    if isinstance(choice, str):
        return choice
    return {"type": "function", "function": {"name": choice["tool"]}}


def response_format(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The wire's way to hold an answer to a JSON Schema; strict where the schema keeps to the strict rules."""
    named: dict[str, Any] = {"name": _NAME.sub("_", name)[:64] or "output", "schema": schema}
    if is_strict(schema):
        named["strict"] = True
    return {"type": "json_schema", "json_schema": named}


def is_strict(schema: Any) -> bool:
    """Whether every object in `schema` names all its properties as required and allows no others."""
    if isinstance(schema, list):
        return all(map(is_strict, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False or set(properties) != set(schema.get("required", ())):
            return False
    return all(is_strict(v) for k, v in schema.items() if k not in ("enum", "const", "default", "examples"))


def call(part: ToolCallPart, id_of: Callable[[str], str]) -> dict[str, Any]:
    """A call of the history. Arguments that did not parse are shown to the model as the text they were."""
    arguments = part.arguments if part.arguments is not None else {"invalid_json": part.raw or ""}
    wire: dict[str, Any] = {
        "id": id_of(part.id),
        "type": "function",
        "function": {"name": part.name, "arguments": encode(arguments).decode()},
    }
    if part.signature is not None:
        with suppress(msgspec.DecodeError):  # the seal of another protocol means nothing here
            wire["extra_content"] = msgspec.json.decode(part.signature)
    return wire


def content(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    """Parts as the wire's content: plain text where they are nothing else."""
    if len(parts) == 1 and type(parts[0]) is TextPart:
        return parts[0].text
    if all(type(p) is TextPart for p in parts):
        return "".join(p.text for p in parts if type(p) is TextPart)
    return [part_of(p) for p in parts if type(p) in _SENT]


def part_of(part: Part) -> dict[str, Any]:
    """One part of a user's message."""
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            url = part.url if part.data is None else data_url(part.media_type, part.data)
            image: dict[str, Any] = {"url": url}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case AudioPart():
            kind = part.media_type.partition("/")[2].partition(";")[0]
            data = part.url if part.data is None else base64.b64encode(part.data).decode()
            return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO.get(kind, kind)}}
        case FilePart():
            return {"type": "file", "file": _file(part)}
        case _:
            msg = f"a part of type {type(part).__name__!r} cannot stand in a user's message: text, image, audio or file can"
            raise InvalidInputError(msg)


def _file(part: FilePart) -> dict[str, Any]:
    if part.file_id is not None:
        return {"file_id": part.file_id}
    data = part.url if part.data is None else data_url(part.media_type, part.data)
    return {"filename": part.name or "file", "file_data": data}


def _result_parts(result: ToolResultPart) -> Sequence[Part]:
    return () if isinstance(result.content, str) else result.content


_SENT: Final = (TextPart, ImagePart, AudioPart, FilePart)
