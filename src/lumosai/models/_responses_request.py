"""Requests of `/responses`: the house's values as JSON bytes.

A message and a tool definition are encoded once, see `_encoded`. Nothing is left at the server unless the user wants it:
`store` is false, and the model's thoughts come back sealed, to be sent again with the calls they led to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.messages import Message, ProviderPart
from lumosai.models._encoded import Encoded, encode
from lumosai.models._openai_request import response_format
from lumosai.models._openai_settings import add_settings
from lumosai.models._responses_history import History
from lumosai.models._responses_seals import OWNER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.models.base import ModelRequest
    from lumosai.models.profiles import Profile
    from lumosai.records import ModelSettings, ToolChoice, ToolDefinition

_NO_TOOLS: Final = ("constrained", "text", "off")
_SEALED: Final = "reasoning.encrypted_content"
_MERGED: Final = ("text", "reasoning")


class Options(msgspec.Struct, frozen=True):
    """What a model of this protocol is made with, besides what every model behind a server is.

    Attributes:
        tools: tools of the server's own, and custom ones, as the wire has them.
        summary: how its thoughts are to be summed up ("auto", "concise", "detailed"); None for no summary.
        stored: whether answers are left at the server and gone on with by name.
    """

    tools: tuple[Mapping[str, Any], ...] = ()
    summary: str | None = None
    stored: bool = False


class Encoder:
    """Requests for one server.

    Args:
        provider: whose thoughts are sent back.
        at: who gives seals, see `_responses_seals`.
        profile: what the model can do.
        options: as the model was made with.

    Attributes:
        custom: names of the custom tools among them.
    """

    __slots__ = ("_last", "custom", "history", "messages", "options", "profile", "tools")

    def __init__(self, provider: str, at: str, profile: Profile, options: Options) -> None:
        self.profile = profile
        self.options = options
        self.history = History(
            provider, at, profile, stored=options.stored and "previous_response_id" not in profile.refuses
        )
        self.messages: Encoded[Message] = Encoded(self.history.items)
        self.tools: Encoded[ToolDefinition] = Encoded(self._tool)
        self.custom = frozenset(str(t.get("name")) for t in options.tools if t.get("type") == "custom")
        self._last: tuple[Any, ...] | None = None  # what the last request's fields were made from, and their bytes

    def body(self, name: str, request: ModelRequest, *, stream: bool) -> bytes:
        """The request as JSON; `stream` says whether events are asked for or a whole answer."""
        native = request.tool_mode not in _NO_TOOLS
        tools = [t for t in request.tools if t.name not in self.custom] if native else []
        extra = request.settings.extra or {}
        begin = 0 if "instructions" in self.profile.refuses else _instructed(request.messages)
        instructions = "\n\n".join(filter(None, (m.text for m in request.messages[:begin])))
        messages: Sequence[Message] = request.messages[begin:]
        fields: dict[str, Any] = {}
        if instructions:
            fields["instructions"] = instructions
        if self.options.stored and "previous_response_id" not in self.profile.refuses:
            previous, messages = self._since_stored(messages)
            if previous is not None:
                fields["previous_response_id"] = previous
        head = self._head(name, request, stream=stream, tools=bool(native and request.tools))
        parts = [head]
        if fields := {k: v for k, v in fields.items() if k not in extra}:
            parts += (b",", encode(fields)[1:-1])
        if "input" not in extra:
            self.history.asked = request.messages
            parts += (b',"input":[', self.messages.joined(messages), b"]")
        declared = [encode(t) for t in (*self.options.tools, *(extra.get("tools") or ()))]
        if tools:
            declared.append(self.tools.joined(tools))
        if declared:
            parts += (b',"tools":[', b",".join(declared), b"]")
        parts.append(b"}")
        return b"".join(parts)

    def _head(self, name: str, request: ModelRequest, *, stream: bool, tools: bool) -> bytes:
        """All but messages and tools, which step after step is the same; without the last brace."""
        made_from = (
            request.settings,
            request.output_schema,
            request.tool_choice,
            name,
            request.output_name,
            stream,
            tools,
        )
        last = self._last
        if last is not None and last[0] is made_from[0] and last[1] is made_from[1] and last[2:-1] == made_from[2:]:
            return last[-1]  # type: ignore[no-any-return]  # the bytes
        head = encode(self._fields(name, request, stream=stream, tools=tools))[:-1]
        self._last = (*made_from, head)
        return head

    def _fields(self, name: str, request: ModelRequest, *, stream: bool, tools: bool) -> dict[str, Any]:
        settings, refuses = request.settings, self.profile.refuses
        fields: dict[str, Any] = {"model": name}
        if "store" not in refuses:
            fields["store"] = self.options.stored
        if "include" not in refuses:
            fields["include"] = [_SEALED]
        fields |= self._set(settings)
        if request.output_schema is not None:
            named = response_format(request.output_name, request.output_schema)["json_schema"]
            fields["text"] = {"format": {"type": "json_schema", **named}}
        choice = request.tool_choice if request.tool_choice is not None else settings.tool_choice
        if tools and choice is not None:
            fields["tool_choice"] = self._choice(choice)
        if tools and settings.parallel_tool_calls is not None and self.profile.parallel_tools:
            fields["parallel_tool_calls"] = settings.parallel_tool_calls
        if stream:
            fields["stream"] = True
        return _with_extra(fields, settings.extra or {})

    def _set(self, settings: ModelSettings) -> dict[str, Any]:
        """What is set, under the names of this protocol, which knows neither `stop` nor `seed`."""
        chat: dict[str, Any] = {}
        add_settings(chat, settings, self.profile)
        reasoning = {"effort": chat.get("reasoning_effort")}
        if self.profile.reasoning_effort:
            reasoning["summary"] = self.options.summary
        fields = {
            "temperature": chat.get("temperature"),
            "top_p": chat.get("top_p"),
            "max_output_tokens": settings.max_output_tokens,
            "reasoning": {k: v for k, v in reasoning.items() if v is not None} or None,
        }
        return {k: v for k, v in fields.items() if v is not None}

    def _choice(self, choice: ToolChoice) -> Any:
        if isinstance(choice, str):
            return choice
        return {"type": "custom" if choice["tool"] in self.custom else "function", "name": choice["tool"]}

    def _tool(self, tool: ToolDefinition) -> bytes:
        """A function. Strictness is said either way, since servers of this protocol take its absence for a yes."""
        function: dict[str, Any] = {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        }
        if "strict" not in self.profile.refuses:
            function["strict"] = tool.strict and self.profile.strict_tools
        return encode(function)

    def _since_stored(self, messages: Sequence[Message]) -> tuple[str | None, Sequence[Message]]:
        """The last answer that this server keeps, and the messages after it."""
        for number in range(len(messages) - 1, -1, -1):
            own = [p for p in messages[number].parts if type(p) is ProviderPart and p.provider == OWNER]
            for part in own:
                if part.kind == "response" and part.data.get("at") == self.history.at:
                    return part.data["id"], messages[number + 1 :]
        return None, messages


def _with_extra(fields: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with a user's own on top: lists of what to include are joined, objects merged. Tools stand elsewhere."""
    for key, value in extra.items():
        if key == "include":
            fields[key] = [*dict.fromkeys([*fields.get(key, ()), *(value or ())])]
        elif key in _MERGED and isinstance(value, dict):
            fields[key] = {**fields.get(key, {}), **value}
        elif key != "tools":
            fields[key] = value
    return fields


def without_refused(profile: Profile, words: str) -> Profile | None:
    """The profile without what a server refuses, of that which nobody asked for; None where it refuses something else.

    Args:
        profile: what was thought of the model.
        words: the server's refusal.
    """
    new = [name for name, pattern in _OPTIONAL.items() if name not in profile.refuses and pattern.search(words)]
    if new:
        return msgspec.structs.replace(profile, refuses=(*profile.refuses, *new))
    if profile.parallel_tools and "parallel_tool_calls" in words:
        return msgspec.structs.replace(profile, parallel_tools=False)
    if profile.system_role == "developer" and "developer" in words:
        return msgspec.structs.replace(profile, system_role="system")
    return None


def _named(name: str) -> re.Pattern[str]:
    """A refusal of a field, in the words of the servers that there are."""
    end = r"(?:['\"`\[:.]|\s|$)"
    named = rf"(?:['\"`.]|(?:parameter|argument|field)s?(?: supplied)?: ?|\b(?=\w+:)){name}{end}"
    refuses = (
        r"(?:un(?:known|recogni[sz]ed|supported|expected)|not (?:supported|permitted|allowed|found)|extra|invalid)"
    )
    return re.compile(rf"{named}[^\n]*{refuses}|{refuses}[^\n]*{named}|{refuses}: {name}{end}", re.IGNORECASE)


_OPTIONAL: Final = {
    "include": re.compile(rf"encrypted content|encrypted_content|{_named('include').pattern}", re.IGNORECASE),
    "store": _named("store"),
    "strict": _named("strict"),
    "instructions": _named("instructions"),
    "previous_response_id": re.compile(r"previous[_ ]response", re.IGNORECASE),
}
"""What may be left out of a request, and how servers refuse it. Thoughts that cannot be unsealed count as the first."""


def _instructed(messages: Sequence[Message]) -> int:
    """How many system messages stand at the beginning; none where nothing else is said, for a request must say something."""
    return next((n for n, m in enumerate(messages) if m.role != "system"), 0)
