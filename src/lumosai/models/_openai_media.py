"""Images, audio and files of `/chat/completions`: the forms that parts have in a request, and those of an answer.

What a server's own form is, `Profile.media_form` says: "qwen", "mistral", "vllm", or "" for OpenAI's.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from lumosai._media_types import by_bytes
from lumosai.errors import InvalidInputError
from lumosai.messages import AudioPart, FilePart, ImagePart, TextPart
from lumosai.models._encoded import data_url
from lumosai.models._media import normal, type_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.messages import Part

SENT: Final = (TextPart, ImagePart, AudioPart, FilePart)
"""Parts that a user's message may hold."""

_FORMATS: Final = {"audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/l16": "pcm16", "audio/pcm": "pcm16"}
_PCM: Final = "audio/pcm;rate=24000"
"""Bare samples: 16 bits, little-endian, one channel, as OpenAI and DashScope stream them."""


def content(parts: Sequence[Part], form: str = "") -> str | list[dict[str, Any]]:
    """Parts as the wire's content: plain text where they are nothing else."""
    if len(parts) == 1 and type(parts[0]) is TextPart:
        return parts[0].text
    if all(type(p) is TextPart for p in parts):
        return "".join(p.text for p in parts if type(p) is TextPart)
    return [part_of(p, form) for p in parts if type(p) in SENT]


def part_of(part: Part, form: str = "") -> dict[str, Any]:
    """One part of a user's message.

    Raises:
        InvalidInputError: it cannot stand there, or holds neither bytes nor a URL.
    """
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            image: dict[str, Any] = {"url": _address(part)}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case AudioPart():
            return _audio(part, form)
        case FilePart():
            return _file(part, form)
        case _:
            msg = f"a part of type {type(part).__name__!r} cannot stand in a user's message: text, image, audio or file can"
            raise InvalidInputError(msg)


def _address(part: ImagePart | AudioPart | FilePart) -> str:
    """The part's bytes as a `data:` URL, else its own URL."""
    if part.data is not None:
        return data_url(part.media_type, part.data)
    if part.url is None:
        msg = f"a part of type {type(part).__name__!r} holds neither bytes nor a URL: make it by lumosai.attach"
        raise InvalidInputError(msg)
    return part.url


def _audio(part: AudioPart, form: str) -> dict[str, Any]:
    url = _address(part)
    inline = url.startswith("data:")
    if form == "vllm" and not inline:
        return {"type": "audio_url", "audio_url": {"url": url}}
    data = url.partition(",")[2] if inline else url
    if form == "mistral":
        return {"type": "input_audio", "input_audio": data}
    if form == "qwen" and inline:
        data = f"data:;base64,{data}"
    media_type = type_of(part)
    kind = _FORMATS.get(media_type, media_type.partition("/")[2])
    return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}


def _file(part: FilePart, form: str) -> dict[str, Any]:
    if form == "mistral":
        if part.file_id is not None:
            return {"type": "file", "file_id": part.file_id}
        named = {"document_name": part.name} if part.name else {}
        return {"type": "document_url", "document_url": _address(part), **named}
    if part.file_id is not None:
        return {"type": "file", "file": {"file_id": part.file_id}}
    return {"type": "file", "file": {"filename": part.name or "file", "file_data": _address(part)}}


def images_in(said: Any) -> list[ImagePart]:
    """The images in an answer's `images`, or in the part of a content that is one; what is none is passed by."""
    found: list[ImagePart] = []
    for item in said if isinstance(said, list) else [said]:
        inner = item.get("image_url") if isinstance(item, dict) else None
        url = inner.get("url") if isinstance(inner, dict) else inner
        if isinstance(url, str) and url:
            found.append(_image(url))
    return found


def _image(url: str) -> ImagePart:
    head, comma, body = url.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64") and comma):
        return ImagePart(url=url)
    try:
        data = base64.b64decode(body)
    except (binascii.Error, ValueError):
        return ImagePart(url=url)
    return ImagePart(data, media_type=by_bytes(data) or normal(head[len("data:") :]) or "image/png")


class Sound:
    """The audio of one answer, as its pieces come."""

    __slots__ = ("_pieces", "_words")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._words: list[str] = []

    def add(self, said: dict[str, Any]) -> None:
        """One piece: base64 of some bytes (`data`), some words (`transcript`), or both."""
        for field, pieces in (("data", self._pieces), ("transcript", self._words)):
            if isinstance(piece := said.get(field), str):
                pieces.append(piece)

    def part(self) -> AudioPart | None:
        """What came, whole; None where that is nothing, or no base64."""
        try:
            data = _joined(self._pieces)
        except (binascii.Error, ValueError):
            data = b""
        words = "".join(self._words) or None
        if not data and words is None:
            return None
        return AudioPart(data or None, media_type=by_bytes(data) or _PCM, transcript=words)


def _joined(pieces: list[str]) -> bytes:
    """The bytes of base64 in pieces, which some servers encode one by one and some cut anywhere."""
    if all(len(piece) % 4 == 0 for piece in pieces):
        return b"".join([base64.b64decode(piece) for piece in pieces])
    return base64.b64decode("".join(pieces))
