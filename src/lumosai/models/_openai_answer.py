"""What servers of `/chat/completions` answer, made into chunks.

`Answer` is fed the decoded events of one answer and keeps what spans several of them: which call a fragment belongs to,
usage, the end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.messages import ProviderPart
from lumosai.models._openai_media import Sound, images_in
from lumosai.models._openai_wire import Call, Delta, Event, Function, Piece, Told
from lumosai.models.base import Chunk, Finished, PartChunk, ReasoningChunk, TextChunk, ToolCallChunk, UsageChunk
from lumosai.records import Usage

if TYPE_CHECKING:
    from lumosai.models.base import ModelFinish

_FINISH: Final[dict[str, ModelFinish]] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "max_output_tokens": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
    "safety": "content_filter",
    "refusal": "refusal",
}
"""What the field's servers call the end, in lower case."""

_DETAILS_BACK: Final = ("openrouter",)
_THOUGHTS: Final = ("thinking", "reasoning")
_GROWING: Final = ("text", "summary", "data")
_HALF: Final = re.compile("[\ud800-\udfff]")
FAILED: Final = frozenset({"error", "network_error", "insufficient_system_resource", "abort", "aborted"})
"""Ends that are failures of the server."""


def whole(event: Event) -> list[Chunk] | None:
    """The chunks of a whole answer of the usual shape; None where it has another, which `Answer` reads.

    Both give the same. This one is straight on, because a short run is made of little else than two such answers.
    """
    choices, told = event.choices, event.usage
    if not choices or len(choices) > 1 or told is None or event.error is not None:
        return None
    choice = choices[0]
    message, reason = choice.message, choice.finish_reason
    if message is None or choice.delta is not None or choice.error or choice.index or not _is_plain(message):
        return None
    content, calls = message.content, message.tool_calls
    if reason != "stop" and not (calls and reason == "tool_calls"):
        return None
    chunks: list[Chunk] = [TextChunk(content)] if content else []  # type: ignore[arg-type]  # `_is_plain` saw to it
    if calls and not (type(calls) is list and _add_whole_calls(calls, chunks)):
        return None
    end = Finished("tool_calls" if calls else "stop", _text(event.id), event.model or None)
    chunks += (UsageChunk(_counted(told)), end)
    return chunks


def _add_whole_calls(calls: list[Call], chunks: list[Chunk]) -> bool:
    """Adds the calls of a whole answer; False where one is not of the usual shape."""
    for at, call in enumerate(calls):
        function, id_ = call.function, call.id
        if function is None or not function.name or type(id_) is not str or call.extra_content:
            return False
        if type(function.arguments) is not str:
            return False
        chunks.append(ToolCallChunk(at, id_, function.name, function.arguments))
    return True


def _is_plain(message: Delta) -> bool:
    """Whether a message holds nothing but text and calls, its text whole characters."""
    if message.reasoning_content or message.reasoning or message.reasoning_details or message.refusal:
        return False
    if message.images or message.audio:
        return False
    content = message.content
    return message.function_call is None and (not content or type(content) is str)


class _Open:
    """A call whose fragments are still coming."""

    __slots__ = ("arguments", "id", "key", "name", "shown")

    def __init__(self, key: int | None, id_: str) -> None:
        self.key = key
        self.id = id_
        self.name = ""
        self.arguments = ""
        self.shown = False


class Answer:
    """One answer as it comes.

    Attributes:
        usage: tokens as last told.
        finish: the server's word for the end, None while it has not come.
        begun: whether any choice came.
        id, model: as the server names them.
        details: the pieces of `reasoning_details`, as they came.
        holds: the first half of a character outside the basic plane, whose second half has not come; "" mostly.
    """

    __slots__ = (
        "_calls",
        "_refused",
        "_sound",
        "_streamed",
        "begun",
        "details",
        "finish",
        "holds",
        "id",
        "model",
        "usage",
    )

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.begun = False
        self.id: str | None = None
        self.model: str | None = None
        self.holds = ""
        self.details: list[dict[str, Any]] = []
        self._calls: list[_Open] = []
        self._streamed = False
        self._refused = False
        self._sound: Sound | None = None

    @property
    def count(self) -> int:
        """Calls so far."""
        return len(self._calls)

    def feed(self, event: Event) -> list[Chunk]:
        """The chunks in an event."""
        if event.id:
            self.id = str(event.id)
        self.model = event.model or self.model
        told = event.usage or (event.x_groq.usage if event.x_groq is not None else None)
        chunks: list[Chunk] = []
        for choice in event.choices or ():
            if choice.index:
                continue
            self.begun = True
            told = told or choice.usage
            if choice.delta is not None:
                self._add(choice.delta, chunks, whole=False)
                self._streamed = self._streamed or bool(chunks)
            elif choice.message is not None and not self._streamed:  # MiniMax says it all again at a stream's end
                self._add(choice.message, chunks, whole=True)
            if choice.finish_reason:
                self.finish = choice.finish_reason
        if told is not None:
            self.usage = _counted(told)
        return chunks

    def end(self, provider: str = "") -> list[Chunk]:
        """The last chunks of an answer that is whole: calls held back, opaque parts, usage, and `Finished`.

        Args:
            provider: whose answer it is: OpenRouter's wants its `reasoning_details` back.
        """
        chunks: list[Chunk] = [TextChunk("\ufffd")] if self.holds and not self._calls else []
        for index, call in enumerate(self._calls):
            if not call.shown:
                chunks.append(ToolCallChunk(index, call.id, call.name, call.arguments))
        if self._sound is not None and (heard := self._sound.part()) is not None:
            chunks.append(PartChunk(heard))
        if self.details and provider in _DETAILS_BACK:
            chunks.append(PartChunk(ProviderPart(provider, "reasoning_details", joined(self.details))))
        if self.usage is not None:
            chunks.append(UsageChunk(self.usage))
        chunks.append(Finished(self._reason(), self.id, self.model))
        return chunks

    def _reason(self) -> ModelFinish:
        reason = _FINISH.get((self.finish or "stop").lower(), "stop")
        if reason == "stop" and self._calls:
            return "tool_calls"
        if reason == "stop" and self._refused:
            return "refusal"
        return reason

    def _add(self, delta: Delta, chunks: list[Chunk], *, whole: bool) -> None:
        if delta.reasoning_details:
            self.details += delta.reasoning_details
        thought = delta.reasoning_content or delta.reasoning or _details(delta.reasoning_details)
        if thought and (thought := self._characters(thought)):
            chunks.append(ReasoningChunk(thought))
        content = delta.content
        if content:
            if not isinstance(content, str):
                _add_pieces(content, chunks)
            elif content := self._characters(content):
                chunks.append(TextChunk(content))
        if delta.images or delta.audio or delta.refusal:
            self._add_rare(delta, chunks)
        if delta.tool_calls:
            for call in delta.tool_calls if isinstance(delta.tool_calls, list) else [delta.tool_calls]:
                self._add_call(call, chunks, whole=whole)
        elif delta.function_call is not None:
            self._add_call(Call(0, None, delta.function_call), chunks, whole=whole)

    def _add_rare(self, delta: Delta, chunks: list[Chunk]) -> None:
        """Media, and the words of a refusal."""
        chunks.extend(PartChunk(image) for image in images_in(delta.images))
        if isinstance(delta.audio, dict):
            self._sound = self._sound or Sound()
            self._sound.add(delta.audio)
        if delta.refusal:
            self._refused = True
            chunks.append(TextChunk(delta.refusal))

    def _characters(self, text: str) -> str:
        """`text` with whole characters: halves that come one after the other are joined, a lone one is U+FFFD."""
        if self.holds:
            text, self.holds = self.holds + text, ""
        if text.isascii() or not _HALF.search(text):
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self.holds = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _add_call(self, call: Call, chunks: list[Chunk], *, whole: bool) -> None:
        function = call.function or Function()
        name = function.name or ""
        arguments = function.arguments
        text = arguments if isinstance(arguments, str) else _json(arguments) if arguments is not None else ""
        text = self._characters(text) if text else text
        id_ = "" if call.id is None else str(call.id)
        at = None if whole else self._place(call.index, id_, name)
        if at is None:
            at = len(self._calls)
            self._calls.append(_Open(call.index, id_))
        target = self._calls[at]
        target.id = target.id or id_
        signature = _json(call.extra_content) if call.extra_content else None
        if target.shown:
            target.arguments += text
            if text or signature:
                chunks.append(ToolCallChunk(at, "", "", text, signature))
            return
        target.name = target.name or name
        target.arguments += text
        if target.name:
            target.shown = True
            chunks.append(ToolCallChunk(at, target.id, target.name, target.arguments, signature))

    def _place(self, index: int | None, id_: str, name: str) -> int | None:
        """The call that a fragment belongs to, None where it begins a new one.

        Servers tell calls apart by index, by id, by both or by neither; some use index 0 for every call, some a new id
        for every fragment. A fragment with an id of its own *and* a name begins a call; so does a name without an id
        once the arguments before it are whole, and a name and an index of its own under an id that was used before.
        """
        calls = self._calls
        if not calls:
            return None
        if id_:
            for at, call in enumerate(calls):
                if call.id == id_:
                    again = name and index not in (None, call.key) and _is_object(call.arguments)
                    return None if again else at
        at = len(calls) - 1
        if index is not None:
            at = next((i for i in range(at, -1, -1) if calls[i].key == index), -1)
            if at < 0:
                return None
        call = calls[at]
        if id_ and call.id:
            return at if not name and index is not None else None
        if name and call.name and (name != call.name or _is_object(call.arguments)):
            return None
        return at


def _add_pieces(pieces: list[Piece], chunks: list[Chunk]) -> None:
    for piece in pieces:
        thought = _plain(piece.thinking) + _plain(piece.summary)
        text = piece.text or ""
        if piece.type in _THOUGHTS:
            thought, text = thought + text, ""
        if thought:
            chunks.append(ReasoningChunk(thought))
        if text:
            chunks.append(TextChunk(text))
        if piece.image_url is not None:
            chunks.extend(PartChunk(image) for image in images_in({"image_url": piece.image_url}))


def _plain(said: str | list[Piece] | None) -> str:
    if isinstance(said, str):
        return said
    return "".join(p.text or "" for p in said) if said else ""


def _details(details: list[dict[str, Any]] | None) -> str:
    """The readable text of `reasoning_details`."""
    if not details:
        return ""
    texts = [d.get("text") or d.get("summary") for d in details]
    return "".join(t for t in texts if isinstance(t, str))


def joined(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pieces of `reasoning_details` put together: those of one index and type are one, their texts joined."""
    whole: dict[tuple[Any, Any], dict[str, Any]] = {}
    for number, piece in enumerate(details):
        key = (piece.get("index", number), piece.get("type"))
        known = whole.setdefault(key, {})
        for field, value in piece.items():
            if value is None and field in known:
                continue
            grows = field in _GROWING and isinstance(value, str) and isinstance(known.get(field), str)
            known[field] = known[field] + value if grows else value
    return list(whole.values())


def _counted(told: Told) -> Usage:
    """Tokens in the house's terms."""
    given = told.prompt_tokens if told.prompt_tokens is not None else told.input_tokens or 0
    made = told.completion_tokens if told.completion_tokens is not None else told.output_tokens or 0
    prompt, completion = told.prompt_tokens_details, told.completion_tokens_details
    cached = (
        (prompt.cached_tokens if prompt is not None else None) or told.prompt_cache_hit_tokens or told.cached_tokens
    )
    thought = (completion.reasoning_tokens if completion is not None else None) or 0
    if thought and told.total_tokens == given + made + thought:
        made += thought  # xAI counts thinking beside the answer, not in it
    return Usage(
        given,
        made,
        thought,
        cached or 0,
        (prompt.cache_write_tokens if prompt is not None else None) or 0,
        told.total_tokens if told.total_tokens is not None else given + made,
    )


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError):
        return False


def _text(id_: str | int | None) -> str | None:
    return str(id_) if id_ else None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
