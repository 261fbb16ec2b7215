"""Requests of `:generateContent`: the house's values as JSON bytes.

A message and a tool definition are encoded once, see `_encoded`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from lumosai.errors import InvalidInputError
from lumosai.messages import Message, ProviderPart, TextPart, ToolResultPart
from lumosai.models._encoded import Encoded, encode
from lumosai.models._gemini_config import generation_config, merged, schema_field, tool_config, without_refused
from lumosai.models._gemini_parts import answered, inline, media, said
from lumosai.models._plain_history import with_system
from lumosai.models._text_calling import describe_output

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lumosai.messages import AudioPart, FilePart, ImagePart
    from lumosai.models.base import ModelRequest
    from lumosai.models.profiles import Profile
    from lumosai.records import ToolDefinition

_NO_TOOLS: Final = ("constrained", "text", "off")
_OURS: Final = re.compile(r"call_[0-9a-f]{16}")
"""Ids that a run gave because the model gave none: such a call goes back as it came."""

_IN_RESULTS: Final = ("image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain")
"""What a result may hold besides its text, where the model takes media in results."""

__all__ = ["Encoder", "without_refused"]


class Encoder:
    """Requests for one kind of server.

    Args:
        provider: whose opaque parts are sent back.
        profile: what the model can do.

    Attributes:
        provider, profile: as given.
    """

    __slots__ = ("_last", "_system", "messages", "profile", "provider", "tools")

    def __init__(self, provider: str, profile: Profile) -> None:
        self.provider = provider
        self.profile = profile
        self._last: tuple[Any, ...] | None = None  # what the last request's fields were made from, and their bytes
        self._system: Encoded[Message] = Encoded(lambda m: encode(said(m.parts))[1:-1])
        self.messages: Encoded[Message] = Encoded(self._message)
        self.tools: Encoded[ToolDefinition] = Encoded(self._tool)

    def body(self, request: ModelRequest) -> bytes:
        """The request as JSON."""
        tools = () if request.tool_mode in _NO_TOOLS else request.tools
        messages, schema = request.messages, request.output_schema
        if tools and schema is not None and not self._together(request):
            messages, schema = with_system(messages, describe_output(schema)), None
        extra = request.settings.extra or {}
        parts = [self._head(request, schema, tools=bool(tools))]
        if "contents" not in extra:
            parts += self._contents(messages)
        if tools:
            given = b"".join(b"," + encode(each) for each in extra.get("tools") or ())
            parts += (b',"tools":[{"functionDeclarations":[', self.tools.joined(tools), b"]}", given, b"]")
        parts.append(b"}")
        body = b"".join(parts)
        return body.replace(b"{,", b"{", 1) if body.startswith(b"{,") else body

    def _together(self, request: ModelRequest) -> bool:
        """Whether the model can be held to a schema in this answer, which may call tools: none can that must call one."""
        choice = request.tool_choice if request.tool_choice is not None else request.settings.tool_choice
        return self.profile.schema_with_tools and choice in (None, "auto", "none")

    def _head(self, request: ModelRequest, schema: dict[str, Any] | None, *, tools: bool) -> bytes:
        """All but messages and tools, which step after step is the same; without its last brace."""
        settings = request.settings
        choice = request.tool_choice if request.tool_choice is not None else settings.tool_choice
        last = self._last
        if last is not None and last[0] is settings and last[1] is schema and last[2:4] == (choice, tools):
            head: bytes = last[4]
            return head
        fields: dict[str, Any] = {}
        if config := generation_config(settings, schema, self.profile):
            fields["generationConfig"] = config
        if tools and choice is not None:
            fields["toolConfig"] = tool_config(choice)
        extra = settings.extra or {}
        fields = merged(fields, {k: v for k, v in extra.items() if k != "tools" or not tools})
        head = encode(fields)[:-1]
        self._last = (settings, schema, choice, tools, head)
        return head

    def _contents(self, messages: Sequence[Message]) -> list[bytes]:
        """The system's words, and what was said."""
        system = [m for m in messages if m.role == "system"]
        told = [m for m in messages if m.role != "system"] if system else messages
        contents = self.messages.joined(arranged(told))
        if not system:
            return [b',"contents":[', contents, b"]"]
        words = self._system.joined(system)
        if self.profile.system_role == "system":
            return [b',"systemInstruction":{"parts":[', words, b']},"contents":[', contents, b"]"]
        first = b'{"role":"user","parts":[' + words + b"]}"
        return [b',"contents":[', b",".join([c for c in (first, contents) if c]), b"]"]

    def _tool(self, tool: ToolDefinition) -> bytes:
        declared: dict[str, Any] = {"name": tool.name, "description": tool.description}
        if tool.parameters.get("properties") or self.profile.schema_form != "openapi":
            declared |= schema_field("parameters", tool.parameters, self.profile)
        return encode(declared)

    def _message(self, message: Message) -> bytes:
        match message.role:
            case "tool":
                return self._results(message)
            case "assistant":
                parts, role = answered(message.parts, self.provider, self.profile, self._id), "model"
            case _:
                parts, role = said(message.parts), "user"
        return encode({"role": role, "parts": parts or [{"text": ""}]})  # one without parts is refused

    def _id(self, id_: str) -> str | None:
        """A call's id as it is sent: the model's own."""
        return None if self.profile.call_ids == "none" or not id_ or _OURS.fullmatch(id_) else id_

    def _results(self, message: Message) -> bytes:
        """One content for all results; behind it, in one of its own, the media that a result cannot hold."""
        results = message.tool_results
        if not results:
            msg = "a message of role 'tool' holds no ToolResultPart: put the results of the calls before it into it"
            raise InvalidInputError(msg)
        shown: list[dict[str, Any]] = []
        parts = [{"functionResponse": self._result(r, shown)} for r in results]
        contents = [encode({"role": "user", "parts": parts})]
        if shown:
            contents.append(encode({"role": "user", "parts": shown}))
        return b",".join(contents)

    def _result(self, result: ToolResultPart, shown: list[dict[str, Any]]) -> dict[str, Any]:
        """A result; what it cannot hold is added to `shown`."""
        response: dict[str, Any] = {"name": result.name}
        if (id_ := self._id(result.call_id)) is not None:
            response["id"] = id_
        inside: list[dict[str, Any]] = []
        outside: list[dict[str, Any]] = []
        for part in _media(result):
            data = inline(part) if self.profile.result_media else None
            if data is not None and data["mimeType"] in _IN_RESULTS:
                inside.append({"inlineData": data})
            else:
                outside.append(media(part))
        if outside:
            shown.append({"text": f"Content of the result of {result.name} ({result.call_id}):"})
            shown += outside
        text = result.text or ("The content follows in the next message." if outside else "")
        response["response"] = {"error" if result.is_error else "output": text}
        if inside:
            response["parts"] = inside
        return response


def arranged(messages: Iterable[Message]) -> list[Message]:
    """`messages` with the results of one turn in one message, in the order of the calls."""
    out: list[Message] = []
    for message in messages:
        if message.role == "tool" and out and out[-1].role == "tool":
            out[-1] = Message("tool", (*out[-1].parts, *message.parts))
        else:
            out.append(message)
    for at, message in enumerate(out):
        if message.role == "tool" and at and len(message.parts) > 1:
            out[at] = _in_order(message, [c.id for c in out[at - 1].tool_calls])
    return out


def _in_order(message: Message, ids: list[str]) -> Message:
    """`message` with its results as the calls of these ids stand; those of no call last."""
    places = {id_: n for n, id_ in reversed(list(enumerate(ids)))}
    found = [places.get(r.call_id, len(ids)) for r in message.tool_results]
    if found == sorted(found):
        return message
    results = sorted(message.tool_results, key=lambda r: places.get(r.call_id, len(ids)))
    return Message("tool", tuple(results))


def _media(result: ToolResultPart) -> list[ImagePart | AudioPart | FilePart]:
    if isinstance(result.content, str):
        return []
    return [p for p in result.content if not isinstance(p, TextPart | ProviderPart)]
