"""Messages: what is said to and by a model, as pure values.

A `Message` has a role and parts. Nothing here does I/O, gives out ids or looks at a clock: equal content means equal
objects. The JSON form of each part is tagged by `type` (`text`, `reasoning`, `tool_call`, `tool_result`, `image`,
`audio`, `file`, `provider`) and is a stored format: types are only ever added.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

Role = Literal["system", "user", "assistant", "tool"]


class _Part(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True, gc=False):
    """What all parts share: immutable, tagged, defaults left out of the JSON.

    The garbage collector does not look at them: they hold texts and JSON, which no circle goes through.
    """


class TextPart(_Part, frozen=True, tag="text"):
    """Text.

    Attributes:
        text: the text, Unicode without lone surrogates.
    """

    text: str


class ReasoningPart(_Part, frozen=True, tag="reasoning"):
    """What a model thought before it answered.

    Attributes:
        text: the thought; empty where the provider gives only a signature.
        signature: the provider's seal, sent back unchanged.
        provider: who made it; other providers are not sent it.
    """

    text: str
    signature: str | None = None
    provider: str | None = None


class ToolCallPart(_Part, frozen=True, tag="tool_call"):
    """A model's wish to call a tool.

    Attributes:
        id: unique within the message; the result names it.
        name: the tool's name as the model wrote it.
        arguments: the arguments, or None where the model's text was not a JSON object.
        raw: that text, only where `arguments` is None.
        signature: the provider's seal, sent back unchanged.
    """

    id: str
    name: str
    arguments: dict[str, Any] | None
    raw: str | None = None
    signature: str | None = None


class ImagePart(_Part, frozen=True, tag="image"):
    """An image, by its bytes or by URL (exactly one of the two).

    Attributes:
        data: the file's bytes.
        url: where the provider can fetch it, or a `data:` URL.
        media_type: such as "image/png".
        detail: the provider's resolution hint ("low", "high", "auto").
    """

    data: bytes | None = None
    url: str | None = None
    media_type: str = "image/png"
    detail: str | None = None


class AudioPart(_Part, frozen=True, tag="audio"):
    """Sound, by its bytes or by URL (exactly one of the two).

    Attributes:
        data: the file's bytes.
        url: where the provider can fetch it.
        media_type: such as "audio/wav".
        transcript: the words in it, where known.
    """

    data: bytes | None = None
    url: str | None = None
    media_type: str = "audio/wav"
    transcript: str | None = None


class FilePart(_Part, frozen=True, tag="file"):
    """A document, by its bytes, by URL or by the id a provider gave it.

    Attributes:
        data: the file's bytes.
        url: where the provider can fetch it.
        file_id: the provider's own id of an uploaded file.
        media_type: such as "application/pdf".
        name: the file's name.
    """

    data: bytes | None = None
    url: str | None = None
    file_id: str | None = None
    media_type: str = "application/octet-stream"
    name: str | None = None


class ProviderPart(_Part, frozen=True, tag="provider", gc=True):
    """A part only its own provider understands: kept as it came, sent back to that provider, to no other.

    Attributes:
        provider: whose it is.
        kind: the provider's own name of it.
        data: its content.
    """

    provider: str
    kind: str
    data: Any


class ToolResultPart(_Part, frozen=True, tag="tool_result"):
    """What a tool call gave.

    Attributes:
        call_id: the call it answers.
        name: the tool's name.
        content: text, or parts for media.
        is_error: whether the call failed; `content` then says how.
    """

    call_id: str
    name: str
    content: str | tuple[TextPart | ImagePart | AudioPart | FilePart, ...]
    is_error: bool = False

    @property
    def text(self) -> str:
        """The content's text, media left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(p.text for p in self.content if isinstance(p, TextPart))


Part = TextPart | ReasoningPart | ToolCallPart | ToolResultPart | ImagePart | AudioPart | FilePart | ProviderPart


class Message(msgspec.Struct, frozen=True, omit_defaults=True, weakref=True):
    """One message of a conversation.

    Attributes:
        role: "system", "user", "assistant" or "tool".
        parts: what it holds, in order.
        id: UUIDv7 text once it belongs to a run or a thread, else None.
        metadata: the user's own JSON object; never sent to a model.
    """

    role: Role
    parts: tuple[Part, ...]
    id: str | None = None
    metadata: dict[str, Any] = {}

    @classmethod
    def user(cls, *content: str | Part, id: str | None = None, metadata: dict[str, Any] | None = None) -> Message:  # noqa: A002
        """A user's message from text, parts or both."""
        return cls("user", _parts(content), id, metadata or {})

    @classmethod
    def system(cls, *content: str | Part, id: str | None = None, metadata: dict[str, Any] | None = None) -> Message:  # noqa: A002
        """A system message: instructions the model is to keep to."""
        return cls("system", _parts(content), id, metadata or {})

    @classmethod
    def assistant(cls, *content: str | Part, id: str | None = None, metadata: dict[str, Any] | None = None) -> Message:  # noqa: A002
        """A model's message from text, parts or both."""
        return cls("assistant", _parts(content), id, metadata or {})

    @classmethod
    def tool(
        cls,
        *results: ToolResultPart,
        id: str | None = None,  # noqa: A002
        metadata: dict[str, Any] | None = None,
    ) -> Message:
        """The results of the calls of the assistant message before it, in the order of the calls."""
        return cls("tool", results, id, metadata or {})

    @property
    def text(self) -> str:
        """All text parts joined; "" where there is none."""
        parts = self.parts
        if len(parts) == 1:
            part = parts[0]
            return part.text if type(part) is TextPart else ""
        return "".join(p.text for p in parts if type(p) is TextPart)

    @property
    def reasoning(self) -> str:
        """All reasoning parts joined; "" where there is none."""
        return "".join(p.text for p in self.parts if type(p) is ReasoningPart)

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        """The calls in it, in order."""
        parts = self.parts
        if len(parts) == 1:
            return tuple(parts) if type(parts[0]) is ToolCallPart else ()  # type: ignore[arg-type]  # it is all there is
        return tuple([p for p in self.parts if type(p) is ToolCallPart])

    @property
    def tool_results(self) -> tuple[ToolResultPart, ...]:
        """The results in it, in order."""
        parts = self.parts
        if len(parts) == 1:
            return tuple(parts) if type(parts[0]) is ToolResultPart else ()  # type: ignore[arg-type]  # it is all there is
        return tuple([p for p in self.parts if type(p) is ToolResultPart])


def _parts(content: tuple[str | Part, ...]) -> tuple[Part, ...]:
    return tuple([TextPart(scrub(c)) if isinstance(c, str) else c for c in content])


def whole(message: Message) -> Message:
    """The message without lone surrogates in anything that it holds: itself, where it has none."""
    parts = message.parts
    if (
        not message.metadata
        and (message.id is None or message.id.isascii())
        and len(parts) == 1
        and type(parts[0]) is TextPart
        and parts[0].text.isascii()
    ):
        return message
    if all(type(p) in _PLAIN or (type(p) is ToolResultPart and isinstance(p.content, str)) for p in parts):
        try:
            _encode(message)
        except (UnicodeEncodeError, TypeError):  # what is to be scrubbed, or is no JSON
            pass
        else:
            return message
    made: Message = scrubbed(message)
    return made


def flaw(message: object) -> str:
    """What of a message is not as its type says, "" where all is: stored as it is, nobody could read it again."""
    if not isinstance(message, Message):
        return f"{message!r:.80} is no Message: make one with Message.user('…')"
    if message.role not in get_args(Role):
        return f"the role {message.role!r:.80} is none of {', '.join(get_args(Role))}"
    parts: Any = message.parts
    if not isinstance(parts, tuple | list):
        return f"its parts are {parts!r:.80}: write Message.{message.role}('…'), or give it parts such as TextPart('…')"
    metadata: object = message.metadata
    if not isinstance(metadata, dict):
        return f"its metadata is {metadata!r:.80}, no dict"
    return next((told for told in map(_flaw_of, parts) if told), "")


def _flaw_of(part: object) -> str:
    if not isinstance(part, Part):
        return f"it holds {part!r:.80}, which is no part: write TextPart('…')"
    try:
        msgspec.convert(msgspec.structs.asdict(part), type(part), builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        return f"its {type(part).__name__} is not as it should be: {error}"
    inner: Any = part.content if isinstance(part, ToolResultPart) and not isinstance(part.content, str) else ()
    return next((told for told in map(_flaw_of, inner) if told), "")


_PLAIN = frozenset({TextPart, ReasoningPart, ToolCallPart})
"""Parts that hold nothing but texts and JSON."""
_encode = msgspec.json.Encoder().encode


def scrubbed(value: Any) -> Any:
    """A value with every text in it, keys included, as `scrub` gives it: itself, where nothing changes."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        items = [(scrubbed(k), scrubbed(v)) for k, v in value.items()]
        same = all(k is old and v is value[old] for (k, v), old in zip(items, value, strict=True))
        return value if same else dict(items)
    if isinstance(value, list | tuple):
        made = [scrubbed(v) for v in value]
        same = all(new is old for new, old in zip(made, value, strict=True))
        return value if same else made if isinstance(value, list) else tuple(made)
    if isinstance(value, msgspec.Struct):
        new = {name: scrubbed(getattr(value, name)) for name in value.__struct_fields__}
        changed = {name: v for name, v in new.items() if v is not getattr(value, name)}
        return msgspec.structs.replace(value, **changed) if changed else value
    return value


def scrub(text: str) -> str:
    """`text` without lone surrogates: halves that belong together are joined, others become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
