"""Requests of `/v1/messages`: the house's values as JSON bytes.

A message and a tool definition are encoded once, see `_encoded`; what of a prompt the server is to keep, `_anthropic_cache`
marks in each request.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from lumosai.errors import InvalidInputError
from lumosai.models._anthropic_cache import Section, mark
from lumosai.models._anthropic_history import MARK, Turn, begins_with_thought, trimmed, turn
from lumosai.models._anthropic_schema import fitted
from lumosai.models._anthropic_thinking import DISPLAY, STALE, has_budget, is_thinking, longest, thinking, told_apart
from lumosai.models._anthropic_turns import in_turns, joined
from lumosai.models._encoded import Encoded, encode
from lumosai.models._text_calling import describe_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.messages import Message
    from lumosai.models.base import ModelRequest
    from lumosai.models.profiles import Profile
    from lumosai.records import ModelSettings, ToolChoice, ToolDefinition

__all__ = ["Encoder", "longest", "without_refused"]

_NO_TOOLS: Final = ("constrained", "text", "off")
_FILES: Final = "files-api-2025-04-14"
_BINDING: Final = "thinking-binding-controls-2026-08-01"
_LONGEST: Final = re.compile(r"max_tokens: (\d+) > (\d+)")
_STALE: Final = re.compile(r"prefix_mismatch_behavior|bound to a different conversation")
_DISPLAY: Final = re.compile(r"thinking\.(?:\w+\.)?display")
_STRICT: Final = re.compile(r"\bstrict\b")
_OWN: Final = ("tools", MARK)
"""What of a user's `extra` is not merged as it is."""


class Encoder:
    """Requests for one kind of server.

    Attributes:
        profile: what the model can do.
        provider: whose opaque parts and thoughts are sent back.
    """

    __slots__ = ("_fit", "_last", "messages", "profile", "provider", "tools")

    def __init__(self, provider: str, profile: Profile) -> None:
        self.provider = provider
        self.profile = profile
        self._last: tuple[Any, ...] | None = None  # what the last request's fields were made from, and their bytes
        self._fit: tuple[dict[str, Any], dict[str, Any] | None] | None = None
        self.messages: Encoded[Message] = Encoded(partial(turn, provider=provider, sees=profile.images is not False))
        self.tools: Encoded[ToolDefinition] = Encoded(self._tool)

    def body(
        self,
        name: str,
        request: ModelRequest,
        *,
        stream: bool,
        turn: Sequence[dict[str, Any]] = (),
        container: dict[str, Any] | None = None,
    ) -> bytes:
        """The request as JSON.

        Args:
            name: the model's.
            request: what is asked.
            stream: whether events are asked for or a whole answer.
            turn: what a paused answer said so far, which is to be gone on with.
            container: where its tools ran.

        Raises:
            InvalidInputError: nothing to be answered, or a part that the API does not take.
        """
        extra = request.settings.extra or {}
        turns = self._turns(trimmed(request.messages))
        tools = self._tools(request, turns, extra)
        sections = [tools, self._system(request, turns, extra)]
        if "messages" not in extra:
            sections += in_turns(turns)
            if len(sections) == 2:  # noqa: PLR2004  # tools and system
                msg = "the request has no message that says anything: an answer needs one"
                raise InvalidInputError(msg)
        if self.profile.prompt_cache:
            self._mark(sections, extra)
        parts = [self._head(name, request, tools=bool(tools.blocks), stream=stream)]
        if (place := container or _container(request.messages, self.provider)) and "container" not in extra:
            parts.append(b',"container":' + encode(place["id"]))
        if tools.blocks:
            parts += (b',"tools":[', tools.blocks, b"]")
        if sections[1].blocks:
            parts += (b',"system":[', sections[1].blocks, b"]")
        if "messages" not in extra:
            parts += (b',"messages":[', *joined(sections[2:]))
            if turn:
                parts += (b",", encode({"role": "assistant", "content": turn}))
            parts.append(b"]")
        parts.append(b"}")
        return b"".join(parts)

    def betas(self, request: ModelRequest) -> tuple[str, ...]:
        """The beta features that a request needs: files by their id are one, leave to drop stale thoughts another."""
        files = (_FILES,) if any(t.files for t in self._turns(request.messages)) else ()
        return (*files, *((_BINDING,) if STALE in self.profile.refuses else ()))

    def _turns(self, messages: Sequence[Message]) -> list[Turn]:
        return cast("list[Turn]", self.messages.each(messages))

    def _head(self, name: str, request: ModelRequest, *, tools: bool, stream: bool) -> bytes:
        """All but tools, system and messages, which step after step is the same; without its last brace."""
        settings, schema, choice = request.settings, request.output_schema, request.tool_choice
        thinks = settings.reasoning is not None and self.profile.thinking == "budget"
        begun = not (thinks or "thinking" in (settings.extra or {})) or begins_with_thought(
            request.messages, self.provider
        )
        given = bool((settings.extra or {}).get("tools"))
        offered = given or (request.tool_mode not in _NO_TOOLS and bool(request.tools))
        key = (choice, name, stream, tools, offered, begun)
        last = self._last
        if last is None or last[0] is not settings or last[1] is not schema or last[2] != key:
            fields = self._fields(name, request, tools=tools, offered=offered, begun=begun)
            if stream:
                fields["stream"] = True
            last = self._last = (settings, schema, key, encode(fields)[:-1])
        head: bytes = last[3]
        return head

    def _fields(self, name: str, request: ModelRequest, *, tools: bool, offered: bool, begun: bool) -> dict[str, Any]:
        settings, profile = request.settings, self.profile
        extra = {k: v for k, v in (settings.extra or {}).items() if k not in _OWN}
        choice = request.tool_choice if request.tool_choice is not None else settings.tool_choice
        fields: dict[str, Any] = {"model": name, "max_tokens": longest(settings, profile)}
        free = True
        if tools:
            chosen = self._choice(choice, alone=settings.parallel_tool_calls is False) if offered else {"type": "none"}
            free = chosen.get("type") not in ("any", "tool")
            if chosen:
                fields["tool_choice"] = chosen
        think, effort = thinking(settings, profile, free=free, begun=begun)
        think = extra.pop("thinking", told_apart(think, profile))
        if think is not None and not (has_budget(think) and not (free and begun)):
            fields["thinking"] = think
        config: dict[str, Any] = {} if effort is None else {"effort": effort}
        if request.output_schema is not None and (fit := self._fitted(request.output_schema)) is not None:
            config["format"] = {"type": "json_schema", "schema": fit}
        config |= extra.pop("output_config", None) or {}
        if config:
            fields["output_config"] = config
        if profile.sampling and not is_thinking(fields.get("thinking")):
            _add_sampling(fields, settings)
        if settings.stop:
            fields["stop_sequences"] = settings.stop
        if isinstance(cache := (settings.extra or {}).get(MARK), dict):
            fields[MARK] = cache
        fields.update(extra)
        return fields

    def _choice(self, choice: ToolChoice | None, *, alone: bool) -> dict[str, Any]:
        """The wire's form of a tool choice, of one call `alone` or of several; empty where there is nothing to say."""
        chosen: dict[str, Any] = {}
        if isinstance(choice, dict):
            chosen = {"type": "tool", "name": choice["tool"]}
        elif choice is not None:
            chosen = {"type": {"required": "any"}.get(choice, choice)}
        if self.profile.tool_choices == "auto" and is_demanded(choice):
            chosen = {"type": "auto"}
        if alone and chosen.get("type") != "none":
            chosen = {"type": "auto", **chosen, "disable_parallel_tool_use": True}
        return chosen

    def _tools(self, request: ModelRequest, turns: Sequence[Turn], extra: dict[str, Any]) -> Section:
        """The tools, the user's own entries first. A history with calls must have them declared, so those it names are."""
        declared = () if request.tool_mode in _NO_TOOLS else request.tools
        given = [t for t in extra.get("tools") or () if isinstance(t, dict)]
        names = {t.get("name") for t in given}
        blocks = [encode(t) for t in given] + self.tools.each([t for t in declared if t.name not in names])
        is_open = len(blocks) > len(given) or not (given and (MARK in given[-1] or given[-1].get("defer_loading")))
        if not blocks:
            called = dict.fromkeys(n for t in turns for n in t.names)
            blocks = [encode({"name": n, "input_schema": {"type": "object"}}) for n in called]
        marks = tuple([t[MARK].get("ttl") == "1h" for t in given if isinstance(t.get(MARK), dict)])
        return Section(b",".join(blocks), "tools", is_open, marks)

    def _system(self, request: ModelRequest, turns: Sequence[Turn], extra: dict[str, Any]) -> Section:
        """The system prompt: every system message, and in words what the model cannot be held to."""
        said = [t for t in turns if t.role == "system" and t] if "system" not in extra else []
        blocks: list[bytes] = [*said]
        schema = request.output_schema
        if "system" not in extra and schema is not None and self._fitted(schema) is None:
            blocks.append(encode({"type": "text", "text": describe_output(schema)}))
        choice = request.tool_choice if request.tool_choice is not None else request.settings.tool_choice
        if "system" not in extra and request.tools and self.profile.tool_choices == "auto" and is_demanded(choice):
            which = f"of the tool {choice['tool']!r}" if isinstance(choice, dict) else "of a tool"
            blocks.append(encode({"type": "text", "text": f"Answer with a call {which} now, not with text."}))
        is_open = len(blocks) > len(said) or not said or said[-1].is_open
        return Section(b",".join(blocks), "system", is_open, tuple([m for t in said for m in t.marks]))

    def _mark(self, sections: list[Section], extra: dict[str, Any]) -> None:
        """Marks what the server is to keep. With a mark for the whole request it finds the last place itself."""
        if MARK not in extra:
            mark(sections)
        elif isinstance(extra[MARK], dict) and extra[MARK].get("ttl") != "1h":
            mark(
                [s for s in sections if s.kind in ("tools", "system")],
                taken=1 + sum(len(s.marks) for s in sections[2:]),
            )

    def _fitted(self, schema: dict[str, Any]) -> dict[str, Any] | None:
        """`fitted`, of the last schema only once: step after step it is the same."""
        if self._fit is None or self._fit[0] is not schema:
            self._fit = (schema, fitted(schema))
        return self._fit[1]

    def _tool(self, tool: ToolDefinition) -> bytes:
        schema = tool.parameters
        wire: dict[str, Any] = {"name": tool.name}
        if tool.description:
            wire["description"] = tool.description
        if tool.strict and self.profile.strict_tools and (fit := fitted(schema)) is not None:
            schema, wire["strict"] = fit, True
        wire["input_schema"] = _rooted(schema)
        return encode(wire)


def _add_sampling(fields: dict[str, Any], settings: ModelSettings) -> None:
    """Adds one of the two at most: newer models refuse both at once."""
    if settings.temperature is not None:
        fields["temperature"] = settings.temperature
    elif settings.top_p is not None:
        fields["top_p"] = settings.top_p


def is_demanded(choice: ToolChoice | None) -> bool:
    """Whether a tool choice leaves the model no answer without a call."""
    return choice == "required" or isinstance(choice, dict)


def without_refused(profile: Profile, words: str) -> Profile | None:
    """The profile without what a server refuses, of that which nobody asked for; None where it refuses something else.

    Args:
        profile: what was thought of the model.
        words: the server's refusal.
    """
    if profile.prompt_cache and MARK in words:
        return msgspec.structs.replace(profile, prompt_cache=False)
    if profile.strict_tools and _STRICT.search(words):
        return msgspec.structs.replace(profile, strict_tools=False)
    for name, pattern in ((STALE, _STALE), (DISPLAY, _DISPLAY)):
        if name not in profile.refuses and pattern.search(words):
            return msgspec.structs.replace(profile, refuses=(*profile.refuses, name))
    told = _LONGEST.search(words)
    if told is not None and int(told[1]) == (profile.output_tokens or 0):
        return msgspec.structs.replace(profile, output_tokens=int(told[2]))
    return None


def _container(messages: Sequence[Message], provider: str) -> dict[str, Any] | None:
    """Where the last answer's tools ran, in a turn that is still going on."""
    for message in reversed(messages):
        if message.role == "user":
            break
        for part in message.parts:
            if getattr(part, "kind", "") == "container" and getattr(part, "provider", "") == provider:
                data = getattr(part, "data", None)
                return data if isinstance(data, dict) and "id" in data else None
    return None


def _rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """A tool's schema with an object at its root, which may not be a choice: of choices, every property is offered."""
    choices = [c for name in ("anyOf", "oneOf", "allOf") for c in schema.get(name) or () if isinstance(c, dict)]
    if not choices:
        return schema if schema.get("type") == "object" else {**schema, "type": "object"}
    rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf", "allOf")}
    properties = {k: v for c in [*choices, rest] for k, v in (c.get("properties") or {}).items()}
    needed = [set(c.get("required") or ()) for c in choices]
    always = set(rest.get("required") or ()) | (set.union(*needed) if "allOf" in schema else set.intersection(*needed))
    rooted: dict[str, Any] = {**rest, "type": "object", "properties": properties, "required": sorted(always)}
    if rooted.get("additionalProperties") is False and any("$ref" in c for c in choices):
        del rooted["additionalProperties"]
    return rooted
