"""What servers of `/v1/messages` answer, made into chunks.

An answer is a list of content blocks, each begun, added to and ended; a whole answer is read as if it had come that way.
`Answer` keeps the blocks as they came as well: a server that pauses in the middle of a turn wants them back to go on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.messages import ProviderPart
from lumosai.models._anthropic_block import Block
from lumosai.models._anthropic_wire import Told
from lumosai.models.base import Finished, PartChunk, ReasoningChunk, TextChunk, ToolCallChunk, UsageChunk
from lumosai.records import Usage

if TYPE_CHECKING:
    from lumosai.models._anthropic_wire import Delta, Event, Whole
    from lumosai.models.base import Chunk, ModelFinish

_FINISH: Final[dict[str, ModelFinish]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "pause_turn": "pause",
    "compaction": "pause",
}
_WORDS: Final = ("text", "thinking", "redacted_thinking")
"""Blocks that have no input."""

_CUT: Final = ("max_tokens", "model_context_window_exceeded", "refusal")
"""Ends that may have come in the middle of a block."""

_HALF: Final = re.compile("[\ud800-\udfff]")


class SplicedError(ValueError):
    """A second answer began in the middle of the first."""


class Answer:
    """One answer as it comes.

    Args:
        provider: whose opaque parts these are.
        before: the answer that the server paused and this one goes on with.

    Attributes:
        finish: the server's word for the end, None while it has not come.
        begun: whether a message began.
        id, model: as the server names them.
        container: where the server's tools ran.
        turn: the whole blocks of the turn so far, those of the paused answer included.
        replayed: whether the paused answer came once more in place of what goes on from it; it was not read again.
    """

    __slots__ = (
        "_again",
        "_before",
        "_blocks",
        "_calls",
        "_details",
        "_sealed",
        "_spent",
        "_told",
        "begun",
        "container",
        "finish",
        "id",
        "model",
        "provider",
        "replayed",
        "turn",
    )

    def __init__(self, provider: str, before: Answer | None = None) -> None:
        self.provider = provider
        self.finish: str | None = None
        self.begun = False
        self.id: str | None = None
        self.model: str | None = None
        self.turn: list[dict[str, Any]] = [] if before is None else before.turn
        self.container: dict[str, Any] | None = None if before is None else before.container
        self._calls: int = 0 if before is None else before._calls  # noqa: SLF001  # the same class
        self._spent = Usage() if before is None else before.usage
        self._told = Told()
        self._before = None if before is None else before.id
        self._blocks: dict[int, Block] = {}
        self.replayed = False
        self._details: dict[str, Any] | None = None
        self._again = False
        self._sealed = False  # whether the last chunk sealed a thought

    @property
    def usage(self) -> Usage:
        """Tokens as last told, those of the paused answers included."""
        return self._spent + counted(self._told)

    @property
    def paused(self) -> bool:
        """Whether the server wants to be asked to go on."""
        return self.finish == "pause_turn"

    def feed(self, event: Event) -> list[Chunk]:
        """The chunks in an event; none in one of an unknown type.

        Raises:
            SplicedError: another answer begins in the middle of this one.
            ValueError: the event has no place in a stream.
        """
        chunks: list[Chunk] = []
        delta = event.delta
        match event.type:
            case "content_block_delta":
                block = self._block(event.index)
                if block is None:
                    msg = f"adds to block {event.index}, which was never begun"
                    raise ValueError(msg)
                if delta is not None:
                    self._add(block, delta, chunks)
            case "content_block_start":
                self._start(event.index, event.content_block or {}, chunks)
            case "content_block_stop":
                block = self._block(event.index)
                if block is not None and not block.ended:
                    self._stop(block, chunks)
            case "message_start":
                self._begin(event.message, chunks)
            case "message_delta":
                if delta is not None:
                    self._end(delta.stop_reason, delta.stop_details, delta.container)
                self._count(event.usage)
        return chunks

    def take(self, message: Whole) -> list[Chunk]:
        """The chunks of a message that came whole."""
        chunks: list[Chunk] = []
        self._begin(message, chunks)
        return chunks

    def close(self) -> list[Chunk]:
        """Ends the blocks that are still open, and adds all to the turn."""
        chunks: list[Chunk] = []
        for block in self._blocks.values():
            if not block.ended:
                self._stop(block, chunks)
        last = max((b.call for b in self._blocks.values()), default=-1)
        for block in self._blocks.values():
            # Of a call without arguments that may have been cut nobody knows whether it was to have some.
            if block.call >= 0 and not block.pieces and not (block.call == last and self.finish in _CUT):
                block.pieces.append("{}")
                chunks.append(ToolCallChunk(block.call, "", "", "{}"))
        self.turn = [*self.turn, *(b.whole for b in self._blocks.values())]
        return chunks

    def end(self) -> list[Chunk]:
        """The last chunks of an answer that is whole: opaque parts, usage, and `Finished`."""
        chunks = self.close()
        if self._details is not None:
            chunks.append(self._opaque("stop_details", self._details))
        if self.container is not None:
            chunks.append(self._opaque("container", self.container))
        usage = self.usage
        if usage != Usage():
            chunks.append(UsageChunk(usage))
        chunks.append(Finished(self._reason(), self.id, self.model))
        return chunks

    def _reason(self) -> ModelFinish:
        reason = _FINISH.get(self.finish or "end_turn", "stop")
        return "tool_calls" if reason == "stop" and self._calls else reason

    def _block(self, index: int | None) -> Block | None:
        """The block of that number; the newest where none is told."""
        return self._blocks.get(next(reversed(self._blocks), 0) if index is None else index)

    def _begin(self, message: Whole | str | None, chunks: list[Chunk]) -> None:
        """Takes the message's head: a second one counts only where nothing has come yet, as some proxies repeat it."""
        if message is None or isinstance(message, str):
            return
        id_ = str(message.id) if message.id else None
        if id_ is not None and id_ == self._before:
            self.replayed = self.begun = True
            self.id, self.model, self.finish = id_, message.model, "pause_turn"
            return
        if self.begun:
            if id_ == self.id:
                self._again = bool(self._blocks)
                return
            if self._blocks or self.finish is not None:
                msg = f"began a second message, {id_!r}, in the middle of {self.id!r}"
                raise SplicedError(msg)
        self.begun = True
        self.id, self.model = id_, message.model or self.model
        self._told = Told()
        self._count(message.usage)
        for block in message.content or ():
            self._start(None, block, chunks)
            self._stop(self._blocks[len(self._blocks) - 1], chunks)
        self._end(message.stop_reason, message.stop_details, message.container)
        if (usage := self.usage) != Usage():
            chunks.append(UsageChunk(usage))

    def _end(self, reason: str | None, details: dict[str, Any] | None, container: dict[str, Any] | None) -> None:
        self.finish = reason or self.finish
        self._details = details or self._details
        self.container = container or self.container

    def _count(self, told: Told | None) -> None:
        """Later counts replace earlier ones, as far as they are told."""
        if told is not None:
            for field in Told.__struct_fields__:
                value = getattr(told, field)
                if value is not None:
                    setattr(self._told, field, value)

    def _start(self, index: int | None, data: dict[str, Any], chunks: list[Chunk]) -> None:
        at = len(self._blocks) if index is None else index
        if at in self._blocks:
            msg = f"began block {at} a second time" + (" in a message that began again" if self._again else "")
            raise SplicedError(msg)
        block = self._blocks[at] = Block(data)
        if not block.kind:
            msg = f"began block {at} without a type"
            raise ValueError(msg)
        match block.kind:
            case "text":
                self._text(block, _said(data.get("text")), chunks)
            case "thinking":
                self._thought(block, _said(data.get("thinking")), chunks)
            case "tool_use":
                block.call = self._calls
                self._calls += 1
                self._sealed = False
                id_, name = str(data.get("id") or ""), str(data.get("name") or "")
                chunks.append(ToolCallChunk(block.call, id_, name, "", _seal(data)))

    def _add(self, block: Block, delta: Delta, chunks: list[Chunk]) -> None:
        """What does not fit the block is passed by, as the official client passes it by."""
        match delta.type, block.kind:
            case "text_delta", "text":
                self._text(block, delta.text, chunks)
            case "thinking_delta", "thinking":
                self._thought(block, delta.thinking, chunks)
            case "signature_delta", "thinking":
                block.signature = delta.signature or block.signature
            case "citations_delta", "text" if delta.citation is not None:
                block.citations.append(delta.citation)
            case "compaction_delta", "compaction" if delta.content is not None:
                block.data = {**block.data, "content": delta.content}
            case "input_json_delta", kind if delta.partial_json and kind not in _WORDS:
                text = _characters(block, delta.partial_json)
                block.pieces.append(text)
                if block.call >= 0 and text:
                    chunks.append(ToolCallChunk(block.call, "", "", text))

    def _stop(self, block: Block, chunks: list[Chunk]) -> None:
        block.ended = True
        if block.half:
            block.half = ""
            block.pieces.append("\ufffd")
            if block.kind == "text":
                chunks.append(TextChunk("\ufffd"))
            elif block.kind == "thinking":
                chunks.append(ReasoningChunk("\ufffd"))
            elif block.call >= 0:
                chunks.append(ToolCallChunk(block.call, "", "", "\ufffd"))
        match block.kind:
            case "text":
                if block.citations:
                    said = {"text": "".join(block.pieces), "citations": block.citations}
                    chunks.append(self._opaque("citations", said))
            case "thinking":
                self._seal(block, chunks)
            case "tool_use":
                given = block.data.get("input")
                if not block.pieces and given:
                    block.pieces.append(_json(given))
                    chunks.append(ToolCallChunk(block.call, "", "", block.pieces[0]))
            case _:
                chunks.append(self._opaque(block.kind, block.whole))

    def _text(self, block: Block, text: str | None, chunks: list[Chunk]) -> None:
        if text and (text := _characters(block, text)):
            block.pieces.append(text)
            chunks.append(TextChunk(text))
            self._sealed = False

    def _thought(self, block: Block, text: str | None, chunks: list[Chunk]) -> None:
        if text and (text := _characters(block, text)):
            block.pieces.append(text)
            chunks.append(ReasoningChunk(text))
            self._sealed = False

    def _seal(self, block: Block, chunks: list[Chunk]) -> None:
        """A thought's seal. One without words behind another one would be taken for more of that one's seal."""
        signature = block.signature
        if signature is None or not (signature or block.pieces):
            return
        if self._sealed and not block.pieces:
            chunks.append(self._opaque("thinking", block.whole))
            return
        chunks.append(ReasoningChunk("", signature))
        self._sealed = True

    def _opaque(self, kind: str, data: Any) -> PartChunk:
        self._sealed = False
        return PartChunk(ProviderPart(self.provider, kind, data))


def _characters(block: Block, text: str) -> str:
    """`text` with whole characters: halves that come one after the other are joined, a lone one is U+FFFD."""
    if block.half:
        text, block.half = block.half + text, ""
    if text.isascii() or not _HALF.search(text):
        return text
    if "\ud800" <= text[-1] <= "\udbff":
        text, block.half = text[:-1], text[-1]
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def counted(told: Told) -> Usage:
    """Tokens in the house's terms: the input is all of it, what the cache held or took included."""
    read, written = told.cache_read_input_tokens or 0, told.cache_creation_input_tokens or 0
    given, made = (told.input_tokens or 0) + read + written, told.output_tokens or 0
    thought = told.output_tokens_details.thinking_tokens if told.output_tokens_details is not None else None
    return Usage(given, made, thought or 0, read, written, given + made)


def _said(text: Any) -> str:
    """A block's text, which may be missing.

    Raises:
        ValueError: it is no text.
    """
    if text is not None and not isinstance(text, str):
        msg = f"has a {type(text).__name__} where its text should be"
        raise ValueError(msg)
    return text or ""


def _seal(data: dict[str, Any]) -> str | None:
    """What of a call must come back with it: who called, where that was not the model itself."""
    caller = data.get("caller")
    if not isinstance(caller, dict) or caller.get("type") in (None, "direct"):
        return None
    return _json({"caller": caller})


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
