"""How a message is stored: its parts and metadata as JSON text, its bytes and the tails of long texts beside it.

Media lie in `contents`, once a tenant, by the SHA-256 of their bytes; so does what goes beyond a text's first 65,536
characters, and, of a message that is large all the same, the arguments of its calls and what only a provider understands.
The body says where each belongs, in a field that no part of a message can forge. A body that is a text alone, as most are,
is a JSON string. This is a stored format: what is written here is read for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec
from msgspec.structs import replace

from lumosai.errors import StorageBrokenError
from lumosai.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    ProviderPart,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    scrub,
    scrubbed,
)

HEAD: Final = 65_536
"""Characters of a text that lie in the body; the tail lies in `contents`."""

LARGE: Final = 4 * HEAD
"""Characters of a body beyond which parts that are no texts go aside too, where each is longer than `HEAD`."""

_MEDIA = (ImagePart, AudioPart, FilePart)
_TEXTS = (TextPart, ReasoningPart)


class _Aside(msgspec.Struct, frozen=True, array_like=True):
    """What lies beside: of which part, of which part of a result's content (-1 of none), under which hash."""

    part: int
    inner: int
    hash: str


class _Body(msgspec.Struct, frozen=True, omit_defaults=True):
    p: tuple[Part, ...]
    m: dict[str, Any] = {}
    d: tuple[_Aside, ...] = ()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Body | str).decode


def _read(body: str) -> _Body:
    """A body as it was put together; one that is a text alone stands for itself."""
    read: _Body | str = _decode(body)
    return _Body((TextPart(read),)) if type(read) is str else cast("_Body", read)


def hash_of(data: bytes) -> str:
    """The name of content: SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


class Packed(msgspec.Struct, frozen=True):
    """A message taken apart to be stored.

    Attributes:
        body: JSON text.
        asides: what lies beside, by hash.
    """

    body: str
    asides: Mapping[str, bytes]


def pack(message: Message) -> Packed:
    """A message as it is stored; its role and id have columns of their own."""
    asides: dict[str, bytes] = {}
    places: list[_Aside] = []

    def put(data: bytes, part: int, inner: int) -> None:
        digest = hash_of(data)
        asides[digest] = data
        places.append(_Aside(part, inner, digest))

    parts = []
    for number, part in enumerate(message.parts):
        if type(part) is ToolResultPart and not isinstance(part.content, str):
            content = tuple([_light(inner, number, i, put) for i, inner in enumerate(part.content)])
            parts.append(part if content == part.content else replace(part, content=content))
        else:
            parts.append(_light(part, number, -1, put))
    text = _text(_Body(tuple(parts), message.metadata, tuple(places)))
    if len(text) > LARGE:
        parts = [_lighter(part, number, put) for number, part in enumerate(parts)]
        text = _text(_Body(tuple(parts), message.metadata, tuple(places)))
    return Packed(text, asides)


def unpack(role: Role, message_id: str, body: str, contents: Mapping[str, bytes]) -> Message:
    """The message again. `contents` holds what lies beside, where `needs` named anything.

    Raises:
        StorageBrokenError: some of it is not there.
    """
    read = _read(body)
    if not read.d:
        return Message(role, read.p, message_id, read.m)
    parts: list[Part] = list(read.p)
    for aside in read.d:
        try:
            data, part = contents[aside.hash], parts[aside.part]
        except KeyError:
            raise StorageBrokenError(f"content {aside.hash} of message {message_id!r} is not there any more") from None
        if aside.inner < 0 or not isinstance(part, ToolResultPart) or isinstance(part.content, str):
            parts[aside.part] = _whole(part, data)
        else:
            inner = list(part.content)
            inner[aside.inner] = _whole(inner[aside.inner], data)
            parts[aside.part] = replace(part, content=tuple(inner))
    return Message(role, tuple(parts), message_id, read.m)


class _Nothing(dict[str, bytes]):
    """What lies beside a message, where only its body is looked at."""

    def __missing__(self, key: str) -> bytes:
        return b""


_NOTHING: Final = _Nothing()


def light(role: Role, message_id: str, body: str) -> Message:
    """The message without what lies beside it: no bytes, long texts cut."""
    return unpack(role, message_id, body, _NOTHING)


def needs(body: str) -> bool:
    """Whether a body has anything beside it."""
    return body.endswith("]]}") and bool(_read(body).d)


def same(one: str, other: str) -> bool:
    """Whether two bodies say the same, of whichever form each is."""
    return one == other or _read(one) == _read(other)


def _text(body: _Body) -> str:
    if len(body.p) == 1 and type(body.p[0]) is TextPart and not (body.m or body.d):
        return _json(body.p[0].text).decode()
    return _json(body).decode()


def _json(value: Any) -> bytes:
    try:
        return _encode(value)
    except UnicodeEncodeError:  # a lone surrogate in what a user put together by hand
        return _encode(scrubbed(msgspec.to_builtins(value)))


def _light(part: Any, number: int, inner: int, put: Any) -> Any:
    """The part without its bytes and without the tail of a long text, which are put aside."""
    kind = type(part)
    if kind in _MEDIA:
        if part.data is None:
            return part
        put(part.data, number, inner)
        return replace(part, data=None)
    if kind in _TEXTS and len(part.text) > HEAD:
        put(scrub(part.text[HEAD:]).encode(), number, inner)
        return replace(part, text=part.text[:HEAD])
    if kind is ToolResultPart and isinstance(part.content, str) and len(part.content) > HEAD:
        put(scrub(part.content[HEAD:]).encode(), number, inner)
        return replace(part, content=part.content[:HEAD])
    return part


def _lighter(part: Any, number: int, put: Any) -> Any:
    """The part without what may be as large as anybody likes, and is no text, where it is large."""
    kind = type(part)
    if kind is ToolCallPart:
        data = _json((part.arguments, part.raw))
        light = replace(part, arguments=None if part.arguments is None else {}, raw=None if part.raw is None else "")
    elif kind is ProviderPart:
        data, light = _json(part.data), replace(part, data=None)
    else:
        return part
    if len(data) <= HEAD:
        return part
    put(data, number, -1)
    return light


def _whole(part: Any, data: bytes) -> Any:
    """The part with what lay aside."""
    if isinstance(part, _MEDIA):
        return replace(part, data=data)
    if isinstance(part, ToolCallPart | ProviderPart):
        if not data:
            return part
        value = msgspec.json.decode(data)
        return (
            replace(part, data=value)
            if isinstance(part, ProviderPart)
            else replace(part, arguments=value[0], raw=value[1])
        )
    if isinstance(part, ToolResultPart):
        return replace(part, content=part.text + data.decode())
    return replace(part, text=part.text + data.decode())
