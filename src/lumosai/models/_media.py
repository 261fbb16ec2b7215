"""The check before a request: whether the model takes the images, audio and files in it, by its profile.

Nothing is fetched and nothing converted here. A part is refused with the place where it stands, what the model takes, and
what to do; a model of which nobody knows is sent it. What a model said itself is not checked: a protocol sends back
of it what its API can take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from lumosai.errors import InvalidInputError, MediaUnsupportedError
from lumosai.messages import AudioPart, FilePart, ImagePart, TextPart, ToolResultPart
from lumosai.models.base import Transcript

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lumosai.messages import Message, Part
    from lumosai.models.profiles import Profile

    Media = ImagePart | AudioPart | FilePart

_MEDIA: Final = (ImagePart, AudioPart, FilePart)
_KINDS: Final = {ImagePart: "image", AudioPart: "audio", FilePart: "file"}
_SAME: Final = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "application/x-pdf": "application/pdf",
}
"""Names of one and the same type, and the usual one."""


class MediaCheck:
    """Looks at each message of a prompt once a run.

    Args:
        provider, model: as errors name them.
        profile: what the model takes.
    """

    __slots__ = ("model", "profile", "provider")

    def __init__(self, provider: str, model: str, profile: Profile) -> None:
        self.provider = provider
        self.model = model
        self.profile = profile

    def __call__(self, messages: Sequence[Message]) -> None:
        """Raises where one holds what the model does not take.

        Raises:
            MediaUnsupportedError: such a part, and where it stands.
            InvalidInputError: a part with neither bytes nor a URL.
        """
        try:
            if type(messages) is Transcript:
                messages.gathered(self, self._look_at, None)
            else:
                self._look_at(None, messages)
        except _RefusedError as refused:
            raise self._error(messages, refused) from None

    def _look_at(self, _: None, messages: Sequence[Message]) -> None:
        for message in messages:
            parts = message.parts
            if message.role == "assistant" or (len(parts) == 1 and (type(parts[0]) is TextPart or _is_text(parts[0]))):
                continue
            for index, part in media_in(parts):
                why = self._refusal(part)
                if why:
                    raise _RefusedError(message, index, part, why)

    def _refusal(self, part: Media) -> str:
        """Why the model does not take it; "" where it does."""
        profile, kind, url = self.profile, _KINDS[type(part)], part.url or ""
        by_id = isinstance(part, FilePart) and part.file_id is not None
        by_url = part.data is None and not by_id and bool(url) and not url.startswith("data:")
        if part.data is None and not url and not by_id:
            return "empty"
        takes = {"image": profile.images, "audio": profile.audio, "file": profile.files}[kind]
        if takes is False:
            return "kind"
        if by_url:
            return "" if kind in profile.urls else "url"
        named = any(kind_of(t) == kind for t in profile.media_types)
        return "type" if named and not by_id and not _is_one(type_of(part), profile.media_types) else ""

    def _error(self, messages: Sequence[Message], refused: _RefusedError) -> MediaUnsupportedError | InvalidInputError:
        index = next(i for i, m in enumerate(messages) if m is refused.message)
        part, kind = refused.part, _KINDS[type(refused.part)]
        where = f"part {refused.index} of message {index} (role {refused.message.role!r})"
        if refused.why == "empty":
            return InvalidInputError(
                f"{where}, {_ARTICLES[kind]}, has neither bytes nor a URL: make it by lumosai.attach"
            )
        what = f"{_ARTICLES[kind]} of type {type_of(part)!r} by {'URL' if part.url else 'its bytes'}"
        text = f"{self.provider}:{self.model} does not take {where}, {what}: {self._takes(kind, refused.why)}"
        return MediaUnsupportedError(
            text,
            part=kind,
            message_index=index,
            part_index=refused.index,
            provider=self.provider,
            model=self.model,
        )

    def _takes(self, kind: str, why: str) -> str:
        """What the model takes in its place, and what to do."""
        profile = self.profile
        if why == "url":
            return (
                f"it takes no {kind} by URL, only by bytes. Fetch it and pass what it holds, such as "
                "`await attach(data)` of lumosai.media"
            )
        if why == "type":
            types = ", ".join(t for t in profile.media_types if kind_of(t) == kind)
            return f"of {_PLURALS[kind]} it takes {types}. Convert it to one of these"
        taken = [
            _PLURALS[k]
            for k, t in (("image", profile.images), ("audio", profile.audio), ("file", profile.files))
            if t is not False
        ]
        return (
            f"it takes {' and '.join(['text', *taken])}{'' if taken else ' only'}. Ask a model that takes "
            f"{_PLURALS[kind]}, or, if this one does, say so by its profile: "
            f"profile=Profile({'audio' if kind == 'audio' else kind + 's'}=True)"
        )


_ARTICLES: Final = {"image": "an image", "audio": "audio", "file": "a file"}
_PLURALS: Final = {"image": "images", "audio": "audio", "file": "files"}


class _RefusedError(Exception):
    """One part that is not taken."""

    def __init__(self, message: Message, index: int, part: Media, why: str) -> None:
        super().__init__(why)
        self.message = message
        self.index = index
        self.part = part
        self.why = why


def _is_text(part: Part) -> bool:
    """Whether a part is a text, or a result that is one."""
    kind = type(part)
    return kind is TextPart or (kind is ToolResultPart and type(part.content) is str)  # type: ignore[union-attr]  # as `kind` says


def _is_one(media_type: str, types: Sequence[str]) -> bool:
    """Whether a type is one of those, of which "text/*" is every text."""
    return media_type in types or f"{media_type.partition('/')[0]}/*" in types


def media_in(parts: Sequence[Part]) -> Iterator[tuple[int, Media]]:
    """The images, audio and files among parts and in their tool results, each with the index of the part it is in."""
    for index, part in enumerate(parts):
        if isinstance(part, _MEDIA):
            yield index, part
        elif type(part) is ToolResultPart and type(part.content) is tuple:
            yield from ((index, p) for p in part.content if isinstance(p, _MEDIA))


def made_media(message: Message, *, sees: bool) -> tuple[Message, tuple[Part, ...]]:
    """An assistant's message without the media in it, where a wire has no place for them, and what of them the user shows.

    The words of audio stand for it. Images are shown by the user, to a model that takes them; not behind calls, whose
    results must follow at once. A message that would say nothing says what was in it.

    Args:
        message: the assistant's.
        sees: whether the model takes images.
    """
    media = [p for p in message.parts if isinstance(p, _MEDIA)]
    if not media:
        return message, ()
    words = [p.transcript for p in media if isinstance(p, AudioPart) and p.transcript]
    images = [p for p in media if isinstance(p, ImagePart)]
    shown = images if sees and not message.tool_calls else []
    parts: list[Part] = [p for p in message.parts if p not in media]
    if not message.text:
        silent = "Here it is." if shown else f"({_named(media)}, which cannot be shown here.)"
        parts.append(TextPart(" ".join(words) or silent))
    told = msgspec.structs.replace(message, parts=tuple(parts))
    return told, (TextPart("The image that you made:"), *shown) if shown else ()


def _named(media: Sequence[Media]) -> str:
    kinds = {ImagePart: "An image", AudioPart: "Audio", FilePart: "A file"}
    return kinds[type(media[0])]


def normal(media_type: str) -> str:
    """The usual name of a media type, in lower case and without parameters."""
    plain = media_type.partition(";")[0].strip().lower()
    return _SAME.get(plain, plain)


def type_of(part: Media) -> str:
    """A part's media type: that of its `data:` URL, where it has one, else what it says."""
    url = part.url or ""
    return normal(url[len("data:") :].partition(",")[0] if url.startswith("data:") else part.media_type)


def kind_of(media_type: str) -> str:
    """Which kind of part a media type is for."""
    head = media_type.partition("/")[0]
    return head if head in ("image", "audio") else "file"
