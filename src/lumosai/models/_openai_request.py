"""Requests of `/chat/completions`: the house's values as JSON bytes.

A message and a tool definition are encoded once, see `_encoded`.
"""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.errors import InvalidInputError
from lumosai.messages import (
    Message,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.models._encoded import Encoded, encode
from lumosai.models._media import made_media
from lumosai.models._openai_media import content, part_of
from lumosai.models._openai_order import ACKNOWLEDGED, ordered, together
from lumosai.models._openai_settings import add_settings, is_only_told, told, tool_choice
from lumosai.models._plain_history import with_system

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.messages import Part
    from lumosai.models.base import ModelRequest
    from lumosai.models.profiles import Profile
    from lumosai.records import ToolChoice, ToolDefinition

_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]")
_NINE: Final = re.compile(r"[a-zA-Z0-9]{9}")
BLANK: Final = " "
"""The thought of a message that has none, for servers that refuse one without."""
_NO_TOOLS: Final = ("constrained", "text", "off")


class Encoder:
    """Requests for one kind of server.

    Attributes:
        profile: what the model can do.
        provider: whose opaque parts are sent back.
        seals: whether the server may have sealed calls, which are then sent back so.
    """

    __slots__ = ("_last", "_plain", "_shows", "_told", "messages", "profile", "provider", "seals", "tools")

    def __init__(self, provider: str, profile: Profile, *, seals: bool = True) -> None:
        self.provider = provider
        self.profile = profile
        self.seals = seals
        self._shows = False  # whether any result was told that holds media
        self._plain = not profile.order  # whether messages stay in their order
        self._last: tuple[Any, ...] | None = None  # what the last request's fields were made from, and their bytes
        self._told: tuple[tuple[ToolDefinition, ...], bytes] = ((), b"")  # the last request's tools, and their bytes
        self.messages: Encoded[Message] = Encoded(self._message)
        self.tools: Encoded[ToolDefinition] = Encoded(self._tool)

    def body(self, name: str, request: ModelRequest, *, stream: bool) -> bytes:
        """The request as JSON; `stream` says whether events are asked for or a whole answer."""
        tools = () if request.tool_mode in _NO_TOOLS else request.tools
        settings, schema = request.settings, request.output_schema
        choice = request.tool_choice if request.tool_choice is not None else settings.tool_choice
        messages: Sequence[Message] = request.messages
        if choice is not None and tools and is_only_told(choice, settings, self.profile):
            tools, messages, choice = _as_told(tools, messages, choice)
        extra = settings.extra
        goes_on = bool(self.profile.prefix) and is_continued(messages)
        last, key = self._last, (choice, name, request.output_name, stream, not tools, goes_on)
        if last is not None and last[0] is settings and last[1] is schema and last[2] == key:
            head: bytes = last[3]
        else:
            fields = self._fields(name, request, choice if tools else None, tools=bool(tools), stream=stream)
            if goes_on and self.profile.thinking == "enable_thinking":
                fields.setdefault("enable_thinking", False)  # Qwen goes on only where it does not think
            head = encode(fields)[:-1]
            self._last = (settings, schema, key, head)
        told = b""
        if extra is None or "messages" not in extra:
            told = b',"messages":[%b]' % self._messages(messages, goes_on=goes_on)
        if tools and (extra is None or "tools" not in extra):
            if self._told[0] is not tools:
                self._told = tools, self.tools.joined(tools)
            return b'%b%b,"tools":[%b]}' % (head, told, self._told[1])
        return b"%b%b}" % (head, told)

    def goes_on(self, request: ModelRequest) -> bool:
        """Whether the answer is to go on from the last message, an assistant's, as the server's own mark says."""
        return bool(self.profile.prefix) and is_continued(request.messages)

    def _messages(self, messages: Sequence[Message], *, goes_on: bool) -> bytes:
        told = (
            self.messages.joined(messages) if self._plain and not goes_on else self._in_rules(messages, goes_on=goes_on)
        )
        if self._shows and any(a.role == b.role == "tool" for a, b in pairwise(messages)):
            return self._in_rules(together(messages), goes_on=goes_on)
        return told

    def _in_rules(self, messages: Sequence[Message], *, goes_on: bool) -> bytes:
        if not goes_on:
            return self.messages.joined(ordered(messages, self.profile.order))
        before = self.messages.joined(ordered(messages[:-1], [r for r in self.profile.order if r != "last"]))
        begun = encode({"role": "assistant", "content": messages[-1].text, self.profile.prefix: True})
        return before + b"," + begun if before else begun

    def _fields(
        self, name: str, request: ModelRequest, choice: ToolChoice | None, *, tools: bool, stream: bool
    ) -> dict[str, Any]:
        """All but messages and tools, which step after step is the same."""
        profile, settings = self.profile, request.settings
        fields: dict[str, Any] = {"model": name, **profile.fields}
        add_settings(fields, settings, profile)
        if tools:
            if choice is not None:
                fields["tool_choice"] = tool_choice(choice, profile)
            if settings.parallel_tool_calls is not None and profile.parallel_tools:
                fields["parallel_tool_calls"] = settings.parallel_tool_calls
            if stream and profile.tool_stream:
                fields["tool_stream"] = True
        if request.output_schema is not None:
            fields["response_format"] = response_format(request.output_name, request.output_schema)
        if stream:
            fields["stream"] = True
            if profile.stream_usage:
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
                made, shown = made_media(message, sees=self.profile.images is not False)
                wires = [self._assistant(made)]
                if shown:
                    wires.append({"role": "user", "content": content(shown, self.profile.media_form)})
                    if "alternate" in self.profile.order:
                        wires.append({"role": "assistant", "content": ACKNOWLEDGED.text})
                return b",".join([encode(w) for w in wires])
            case "system":
                return encode(
                    {"role": self.profile.system_role, "content": content(message.parts, self.profile.media_form)}
                )
            case _:
                return encode({"role": "user", "content": content(message.parts, self.profile.media_form)})

    def _assistant(self, message: Message) -> dict[str, Any]:
        text = message.text
        wire: dict[str, Any] = {"role": "assistant", "content": text}
        calls = [call(p, self._id, seals=self.seals) for p in message.parts if type(p) is ToolCallPart]
        if calls:
            wire["tool_calls"] = calls
            wire["content"] = text or (None if self.profile.null_content else "")
        if self.profile.send_reasoning and (calls or self.profile.reasoning_in == "all"):
            self._add_thoughts(wire, message)
        for part in message.parts:
            if type(part) is ProviderPart and part.provider == self.provider:
                wire[part.kind] = part.data
        return wire

    def _add_thoughts(self, wire: dict[str, Any], message: Message) -> None:
        """Adds the model's own thoughts; those of another provider's are not shown to it."""
        own = (None, self.provider)
        thoughts = "".join([p.text for p in message.parts if type(p) is ReasoningPart and p.provider in own])
        if not thoughts:
            if not self.profile.reasoning_required:
                return
            thoughts = BLANK
        if self.profile.reasoning_field != "content":
            wire[self.profile.reasoning_field] = thoughts
            return
        parts: list[dict[str, Any]] = [{"type": "thinking", "thinking": [{"type": "text", "text": thoughts}]}]
        if message.text:
            parts.append({"type": "text", "text": message.text})
        wire["content"] = parts

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
                media.append(
                    {"type": "text", "text": f"Content of the result of {result.name} ({self._id(result.call_id)}):"}
                )
                media += [part_of(p, self.profile.media_form) for p in shown]
                text = text or "The content follows in the next message."
            wires.append({"role": "tool", "tool_call_id": self._id(result.call_id), "content": text})
        if media:
            self._shows = True
            if "tool_user" in self.profile.order or "alternate" in self.profile.order:
                wires.append({"role": "assistant", "content": ACKNOWLEDGED.text})
            wires.append({"role": "user", "content": media})
        return b",".join([encode(w) for w in wires])


def is_continued(messages: Sequence[Message]) -> bool:
    """Whether the last message is an assistant's text, which the answer is to go on from."""
    return (
        bool(messages) and messages[-1].role == "assistant" and not messages[-1].tool_calls and bool(messages[-1].text)
    )


def _as_told(
    tools: tuple[ToolDefinition, ...], messages: Sequence[Message], choice: ToolChoice | None
) -> tuple[tuple[ToolDefinition, ...], Sequence[Message], None]:
    """A choice that the server does not take, made by the tools that are sent and by words."""
    if choice is None or choice == "none":
        return (), messages, None
    if isinstance(choice, dict):
        tools = tuple(t for t in tools if t.name == choice["tool"]) or tools
    return tools, with_system(messages, told(choice)), None


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


def call(part: ToolCallPart, id_of: Callable[[str], str], *, seals: bool = True) -> dict[str, Any]:
    """A call of the history, with its seal where the server gives any.

    Arguments that did not parse are shown to the model as the text they were.
    """
    arguments = part.arguments if part.arguments is not None else {"invalid_json": part.raw or ""}
    wire: dict[str, Any] = {
        "id": id_of(part.id),
        "type": "function",
        "function": {"name": part.name, "arguments": encode(arguments).decode()},
    }
    if seals and part.signature is not None and (sealed := _sealed(part.signature)) is not None:
        wire["extra_content"] = sealed
    return wire


def _sealed(signature: str) -> dict[str, Any] | None:
    """What a server of this format sealed a call with; None where that is the seal of another protocol.

    Google's is the only one that seals calls here, in an object of that name.
    """
    try:
        sealed = msgspec.json.decode(signature)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return sealed if isinstance(sealed, dict) and sealed.keys() == {"google"} else None


def _result_parts(result: ToolResultPart) -> Sequence[Part]:
    return () if isinstance(result.content, str) else result.content
