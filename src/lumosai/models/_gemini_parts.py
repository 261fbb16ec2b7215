"""Parts of messages as parts of the wire: text, media, thoughts and calls, each with the fields that belong to it."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from lumosai.errors import InvalidInputError
from lumosai.messages import AudioPart, FilePart, ImagePart, ProviderPart, ReasoningPart, TextPart, ToolCallPart
from lumosai.models._gemini_answer import FIELDS, WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lumosai.messages import Part
    from lumosai.models.profiles import Profile

Wire = dict[str, Any]
Media = ImagePart | AudioPart | FilePart

MEDIA: Final = (ImagePart, AudioPart, FilePart)
NO_SEAL: Final = "skip_thought_signature_validator"
"""What stands for the signature of a call that Gemini did not make, or made without one; Google documents it."""

_FILES: Final = "https://generativelanguage.googleapis.com/v1beta/"
_DATA_URL: Final = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),(.*)", re.DOTALL)
_SEAL: Final = re.compile(r"[^\s{\[][^\s]*")
"""One word, whatever is in it: what other protocols keep in a call's signature is JSON, or has spaces in it."""


_NONE: Final[Wire] = {}


class _Seal(msgspec.Struct, frozen=True):
    """Fields of a piece of the message's text."""

    start: int
    end: int
    fields: Wire


def said(parts: Sequence[Part]) -> list[Wire]:
    """The parts of a user's or a system message.

    Raises:
        InvalidInputError: a part that none of them can hold.
    """
    return [_said(p) for p in parts if type(p) is not ProviderPart]


def _said(part: Part) -> Wire:
    if isinstance(part, TextPart):
        return {"text": part.text}
    if isinstance(part, MEDIA):
        return media(part)
    msg = f"a part of type {type(part).__name__!r} cannot stand in a user's message: text, image, audio or file can"
    raise InvalidInputError(msg)


def media(part: Media) -> Wire:
    """A part of bytes, or of what the server can fetch."""
    found = inline(part)
    if found is not None:
        return {"inlineData": found}
    file: Wire = {"mimeType": part.media_type, "fileUri": _uri(part)}
    return {"fileData": file}


def inline(part: Media) -> Wire | None:
    """The bytes of a part, from itself or its `data:` URL; None where it has none."""
    data, media_type = part.data, part.media_type
    if data is None and (match := _DATA_URL.fullmatch(part.url or "")):
        media_type = match[1] or media_type
        raw = unquote_to_bytes(match[3])
        data = base64.b64decode(raw) if ";base64" in match[2].lower() else raw
    if data is None:
        return None
    return {"mimeType": media_type, "data": base64.b64encode(data).decode()}


def _uri(part: Media) -> str:
    if isinstance(part, FilePart) and part.file_id is not None:
        return part.file_id if "://" in part.file_id else _FILES + part.file_id
    return part.url or ""


def answered(parts: Sequence[Part], provider: str, profile: Profile, id_of: Callable[[str], str | None]) -> list[Wire]:
    """The parts of a model's message, each with the fields it had when it came.

    Args:
        parts: the message's.
        provider: whose thoughts and opaque parts go back.
        profile: says whether the first call has to have a signature.
        id_of: a call's id as it is sent, None for none.
    """
    sealed = _Text(parts, provider)
    called = False
    for part in parts:
        match part:
            case TextPart():
                sealed.add(part.text)
            case ReasoningPart() if part.provider in (None, provider):
                sealed.out.append(_thought(part))
            case ToolCallPart():
                first = profile.call_signatures and not called
                called = True
                sealed.out.append(_call(part, id_of(part.id), first=first))
            case AudioPart(transcript=str(words)):  # the words of what was said aloud, in whichever format that was
                sealed.out.append({"text": words})
            case AudioPart() if part.transcript:
                sealed.out.append({"text": part.transcript})  # another's voice: Gemini's own has none
            case ImagePart() | AudioPart() | FilePart():
                sealed.out.append(media(part))
            case ProviderPart() if part.provider == provider:
                sealed.own(part)
            case _:
                pass  # another provider's: nothing that this one knows
    return sealed.close()


class _Text:
    """The parts of a message as they are made: text cut where its fields change.

    Where text was read by a parser of calls, some of it may stand behind the fields that are its own, and it may be
    shorter than it was; so they are found by the place in the text, and what lies beyond its end is let go.

    Attributes:
        out: the parts so far.
    """

    __slots__ = ("_at", "_empty", "_last", "_seals", "_waiting", "out")

    def __init__(self, parts: Iterable[Part], provider: str) -> None:
        own = [p for p in parts if isinstance(p, ProviderPart) and p.provider == provider]
        seals = {id(p): s for p in own if (s := _seal(p)) is not None}
        self._seals = [s for s in seals.values() if s.end > s.start]
        self._empty = {key: s for key, s in seals.items() if s.end == s.start}
        self._waiting: list[_Seal] = []
        self._last: tuple[Wire, Wire] | None = None  # the last part of text, and its fields as they were given
        self._at = 0
        self.out: list[Wire] = []

    def add(self, text: str) -> None:
        """Adds text."""
        start, end = self._at, self._at + len(text)
        inside = {p for s in self._seals for p in (s.start, s.end) if start < p < end}
        places = sorted({start, end} | inside)
        for a, b in pairwise(places):
            fields = next((s.fields for s in self._seals if s.start <= a and b <= s.end), _NONE)
            self._piece(text[a - start : b - start], fields)
        self._at = end
        waiting, self._waiting = self._waiting, []
        for seal in waiting:
            self._give(seal)

    def _piece(self, text: str, fields: Wire) -> None:
        """Adds text of the same fields: to the part before it, where that is text and has the same."""
        if self._last is not None and self.out[-1] is self._last[0] and self._last[1] is fields:
            self.out[-1]["text"] += text
        else:
            self.out.append({"text": text, **fields})
            self._last = (self.out[-1], fields)

    def own(self, part: ProviderPart) -> None:
        """Adds a part of the provider's own: one as it came, or fields of another."""
        data = part.data
        if part.kind == WHOLE and isinstance(data, dict):
            self.out.append(data)
        elif part.kind == FIELDS and isinstance(data, dict):
            fields = data.get("fields")
            if (seal := self._empty.get(id(part))) is not None:
                self._give(seal)
            elif "start" not in data and isinstance(fields, dict) and self.out:
                self.out[-1] = {**self.out[-1], **fields}

    def close(self) -> list[Wire]:
        """The parts."""
        self.out += [{"text": "", **s.fields} for s in self._waiting]
        return self.out

    def _give(self, seal: _Seal) -> None:
        """A part without text, once the text before it is there."""
        if seal.start <= self._at:
            self.out.append({"text": "", **seal.fields})
        else:
            self._waiting.append(seal)


def _seal(part: ProviderPart) -> _Seal | None:
    if part.kind != FIELDS:
        return None
    try:
        return msgspec.convert(part.data, _Seal)
    except msgspec.ValidationError:
        return None


def _thought(part: ReasoningPart) -> Wire:
    wire: Wire = {"text": part.text, "thought": True}
    return {**wire, "thoughtSignature": part.signature} if part.signature else wire


def _call(part: ToolCallPart, id_: str | None, *, first: bool) -> Wire:
    """A call of the history. Arguments that did not parse are shown to the model as the text they were."""
    call: Wire = {"name": part.name}
    call["args"] = part.arguments if part.arguments is not None else {"invalid_json": part.raw or ""}
    if id_ is not None:
        call["id"] = id_
    seal = seal_of(part.signature) or (NO_SEAL if first else None)
    return {"functionCall": call, "thoughtSignature": seal} if seal else {"functionCall": call}


def seal_of(signature: str | None) -> str | None:
    """A call's signature where it is one of Gemini's: as it came, or as `/chat/completions` wraps it."""
    if not signature:
        return None
    if _SEAL.fullmatch(signature):
        return signature
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(signature, type=_Extra).google.thought_signature
    return None


class _Google(msgspec.Struct):
    thought_signature: str | None = None


class _Extra(msgspec.Struct):
    google: _Google
