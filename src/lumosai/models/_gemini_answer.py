"""What servers of `:generateContent` answer, made into chunks.

`Answer` is fed the decoded events of one answer and keeps what spans several of them: a call whose arguments are
streamed, how long the text is, usage, the end.

A signature may seal any part, and has to go back on that very part. That of a thought or a call is in its chunk. For
every other part a `ProviderPart` of kind `FIELDS` follows with all the fields that are not said otherwise; those of a
text say which characters of the message's text they are of, for a message does not keep where one text part ended.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from lumosai.messages import AudioPart, FilePart, ImagePart, ProviderPart
from lumosai.models._encoded import encode
from lumosai.models._gemini_arguments import Arguments
from lumosai.models._gemini_wire import Told, call_of
from lumosai.models.base import Finished, PartChunk, ReasoningChunk, TextChunk, ToolCallChunk, UsageChunk
from lumosai.records import Usage

if TYPE_CHECKING:
    from lumosai.models._gemini_wire import Call, Candidate, Event, Part
    from lumosai.models.base import Chunk, ModelFinish

WHOLE: Final = "part"
"""The kind of a `ProviderPart` that is a part of the wire as it came."""

FIELDS: Final = "fields"
"""The kind of a `ProviderPart` that holds fields of the part before it, or of a piece of the text."""

FINISH: Final[dict[str, ModelFinish]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "PUP_LIMITED_DISABLED": "content_filter",
    "NO_IMAGE": "stop",
}
"""The ends that are answers. All others are failures: of the model (`MALFORMED_FUNCTION_CALL`), or not explained."""

_UNSAID: Final = ("", "FINISH_REASON_UNSPECIFIED")
_NOTES: Final = (
    ("groundingMetadata", "grounding_metadata"),
    ("urlContextMetadata", "url_context_metadata"),
    ("citationMetadata", "citation_metadata"),
)


class Answer:
    """One answer as it comes.

    Args:
        provider: whose opaque parts these are.

    Attributes:
        finish: the server's word for the end, None while it has not come.
        finish_message: what it says besides.
        blocked: why the prompt was refused, None where it was not.
        begun: whether any candidate came.
        goes_on: whether the last part was one that the server itself goes on from, whatever end it named with it.
        id, model: as the server names them.
    """

    __slots__ = (
        "_calls",
        "_ids",
        "_length",
        "_notes",
        "_open",
        "_provider",
        "_thinking",
        "_told",
        "begun",
        "blocked",
        "finish",
        "finish_message",
        "goes_on",
        "id",
        "model",
    )

    def __init__(self, provider: str) -> None:
        self.finish: str | None = None
        self.finish_message: str | None = None
        self.blocked: str | None = None
        self.begun = False
        self.goes_on = False
        self.id: str | None = None
        self.model: str | None = None
        self._provider = provider
        self._calls = 0
        self._ids: dict[str, Call] = {}
        self._length = 0  # of the text so far, in characters
        self._notes: dict[str, Any] = {}
        self._open: tuple[str | None, Arguments] | None = None  # the id and arguments of a call that is streamed
        self._thinking = False  # whether the last part was a thought that is not sealed
        self._told = Told()

    def feed(self, event: Event) -> list[Chunk]:
        """The chunks in an event.

        Raises:
            ValueError: a part that is not of the wire format.
        """
        self.id = event.response_id or self.id
        self.model = event.model_version or self.model
        if event.usage_metadata is not None:
            self._told = _merge(self._told, event.usage_metadata)
        if event.blocked is not None:
            self.blocked = event.blocked
            self._notes["promptFeedback"] = event.prompt_feedback
        chunks: list[Chunk] = []
        for candidate in event.candidates or ():
            if not candidate.index:
                self._candidate(candidate, chunks)
        return chunks

    def end(self) -> list[Chunk]:
        """The last chunks of an answer that is whole: a call that was cut off, what was told besides, usage, `Finished`."""
        chunks: list[Chunk] = []
        self._end_call(chunks, whole=False)
        chunks += [PartChunk(ProviderPart(self._provider, kind, data)) for kind, data in self._notes.items()]
        usage = _counted(self._told)
        if usage != Usage():
            chunks.append(UsageChunk(usage))
        chunks.append(Finished(self._reason(), self.id, self.model))
        return chunks

    def _reason(self) -> ModelFinish:
        if self.finish is None:
            return "content_filter" if self.blocked is not None else self._stopped("stop")
        return self._stopped(FINISH.get(self.finish, "stop"))

    def _stopped(self, reason: ModelFinish) -> ModelFinish:
        return "tool_calls" if reason == "stop" and self._calls else reason

    def _candidate(self, candidate: Candidate, chunks: list[Chunk]) -> None:
        self.begun = True
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                self._part(part, chunks)
        for kind, field in _NOTES:
            if told := getattr(candidate, field):
                self._note(kind, told)
        reason = (candidate.finish_reason or "").upper()
        if reason in _UNSAID:
            return
        self.finish = reason
        self.finish_message = candidate.finish_message or self.finish_message
        if FINISH.get(reason) == "content_filter":
            told = {"finishMessage": self.finish_message, "safetyRatings": candidate.safety_ratings}
            self._notes["finishReason"] = {"finishReason": reason, **{k: v for k, v in told.items() if v}}

    def _note(self, kind: str, told: dict[str, Any]) -> None:
        """Adds what is told of the answer besides its parts: lists go on, all else is as last told."""
        known = self._notes.setdefault(kind, {})
        for field, value in told.items():
            before = known.get(field)
            known[field] = _longer(before, value) if isinstance(before, list) and isinstance(value, list) else value

    def _part(self, part: Part, chunks: list[Chunk]) -> None:
        thinking, self._thinking = self._thinking, False
        self.goes_on = "executableCode" in part or "toolCall" in part
        if "functionCall" in part:
            self._call(part, chunks)
        elif isinstance(text := part.get("text"), str):
            if part.get("thought"):
                self._thought(part, text, chunks, after=thinking)
            else:
                self._text(part, text, chunks)
        elif not part.get("thought") and (media := _media(part)) is not None:
            chunks.append(PartChunk(media))
            self._fields(part, ("inlineData", "fileData"), chunks)
        elif part:
            chunks.append(PartChunk(ProviderPart(self._provider, WHOLE, part)))

    def _text(self, part: Part, text: str, chunks: list[Chunk]) -> None:
        start, self._length = self._length, self._length + len(text)
        if text:
            chunks.append(TextChunk(text))
        if len(part) > 1:
            self._fields(part, ("text", "thought"), chunks, start=start, end=self._length)

    def _thought(self, part: Part, text: str, chunks: list[Chunk], *, after: bool) -> None:
        """A thought; `after` says whether one that is not sealed came right before it."""
        signature = _signature(part)
        if after and signature and text:
            chunks.append(ReasoningChunk("", ""))  # the one before stays a part of its own, which has no seal
        if text or signature:
            chunks.append(ReasoningChunk(text, signature))
        self._thinking = signature is None
        self._fields(part, ("text", "thought", "thoughtSignature"), chunks)

    def _call(self, part: Part, chunks: list[Chunk]) -> None:
        call = call_of(part)
        signature = _signature(part)
        if self._open is not None and not _goes_on(self._open[0], call):
            self._end_call(chunks, whole=False)
        if call.id and self._ids.get(call.id) == call:
            return  # said again
        if self._open is None:
            self._begin_call(call, signature, chunks)
        elif signature is not None:
            chunks.append(ToolCallChunk(self._calls - 1, "", "", "", signature))
        if self._open is not None:
            self._open[1].add(call.partial_args or ())
            if not call.will_continue:
                self._end_call(chunks, whole=True)
        self._fields(part, ("functionCall", "thoughtSignature"), chunks)

    def _begin_call(self, call: Call, signature: str | None, chunks: list[Chunk]) -> None:
        index, self._calls = self._calls, self._calls + 1
        streamed = call.will_continue or call.partial_args is not None
        if call.id and not streamed:
            self._ids[call.id] = call
        arguments = "" if streamed else encode(call.args or {}).decode()
        chunks.append(ToolCallChunk(index, call.id or "", call.name or "", arguments, signature))
        if streamed:
            self._open = (call.id, Arguments(call.args))

    def _end_call(self, chunks: list[Chunk], *, whole: bool) -> None:
        """Gives the arguments of a call that was streamed; cut off where more was to come."""
        if self._open is not None:
            arguments = self._open[1]
            chunks.append(ToolCallChunk(self._calls - 1, "", "", arguments.whole() if whole else arguments.cut()))
            self._open = None

    def _fields(self, part: Part, said: tuple[str, ...], chunks: list[Chunk], **where: int) -> None:
        """Gives what a part says besides what is `said` already."""
        fields = {k: v for k, v in part.items() if k not in said and v is not None}
        if fields:
            chunks.append(PartChunk(ProviderPart(self._provider, FIELDS, {**where, "fields": fields})))


def _longer(before: list[Any], value: list[Any]) -> list[Any]:
    """A list that goes on in a later event, which says it again from its beginning, or only what is new.

    What others refer to by its place is never left out, even if it is there already.
    """
    if len(value) > len(before) and value[: len(before)] == before:
        return value
    return before + [v for v in value if not isinstance(v, str) or v not in before]


def _signature(part: Part) -> str | None:
    """A part's signature.

    Raises:
        ValueError: it is no text.
    """
    signature = part.get("thoughtSignature")
    if signature is not None and not isinstance(signature, str):
        msg = f"a thoughtSignature that is no text: {signature!r}"
        raise ValueError(msg)  # the wire's error, not a caller's
    return signature or None


def _goes_on(id_: str | None, call: Call) -> bool:
    """Whether this is more of the call that is open: a call of its own has a name, and no more of another's arguments."""
    if call.id and id_:
        return call.id == id_
    return not call.name or (call.partial_args is not None and call.args is None)


def _media(part: Part) -> ImagePart | AudioPart | FilePart | None:
    """Media in a part, None where there are none.

    Raises:
        ValueError: bytes that are no base64.
    """
    inline, file = part.get("inlineData"), part.get("fileData")
    if isinstance(inline, dict):
        data, url = _bytes(inline.get("data")), None
    elif isinstance(file, dict) and isinstance(file.get("fileUri"), str):
        data, url = None, file["fileUri"]
        inline = file
    else:
        return None
    media_type = str(inline.get("mimeType") or "application/octet-stream")
    if media_type.startswith("image/"):
        return ImagePart(data=data, url=url, media_type=media_type)
    if media_type.startswith("audio/"):
        return AudioPart(data=data, url=url, media_type=media_type)
    name = inline.get("displayName")
    return FilePart(data=data, url=url, media_type=media_type, name=str(name) if name else None)


def _bytes(data: Any) -> bytes:
    """Bytes out of base64, in either alphabet.

    Raises:
        ValueError: it is no base64.
    """
    if not isinstance(data, str):
        msg = "inlineData without data"
        raise ValueError(msg)  # noqa: TRY004  # the wire's error, not a caller's
    try:
        return base64.b64decode(data.translate(_STANDARD) + "=" * (-len(data) % 4), validate=True)
    except binascii.Error as error:
        msg = f"inlineData that is no base64: {error}"
        raise ValueError(msg) from error


_STANDARD: Final = str.maketrans("-_", "+/")


def _merge(before: Told, told: Told) -> Told:
    """What was told last; what it leaves out, as it was told before."""
    for field in Told.__struct_fields__:
        if getattr(told, field) is None:
            setattr(told, field, getattr(before, field))
    return told


def _counted(told: Told) -> Usage:
    """Tokens in the house's terms: the prompt's with those of tools that ran at the server, thoughts in the output."""
    given = (told.prompt_token_count or 0) + (told.tool_use_prompt_token_count or 0)
    thought = told.thoughts_token_count or 0
    made = (told.candidates_token_count or 0) + thought
    total = told.total_token_count if told.total_token_count is not None else given + made
    return Usage(given, made, thought, told.cached_content_token_count or 0, 0, total)
