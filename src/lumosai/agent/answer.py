"""One answer as it comes: chunks in, deltas out, and in the end one assistant message.

Text, thought and calls become parts in the order in which each began. The loop reads the stream and feeds this; nothing
here waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.agent.inputs import joined
from lumosai.ids import new_id, new_span_id
from lumosai.messages import Message, ReasoningPart, TextPart, ToolCallPart, scrub
from lumosai.records import NO_USAGE
from lumosai.tools.execute import read_arguments

if TYPE_CHECKING:
    from lumosai.messages import Part
    from lumosai.models.base import Finished, ReasoningChunk, ToolCallChunk


class Opened(msgspec.Struct, eq=False, gc=False):
    """A part that more may be added to."""

    kind: str
    number: int
    call_id: str = ""
    name: str = ""
    pieces: list[str] = []
    held: str = ""
    signature: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces) + scrub(self.held)

    def add(self, delta: str) -> str:
        """Adds text; gives what can be shown of it: half of a character waits for its other half."""
        if self.held or not delta.isascii():
            delta, self.held = joined(self.held + delta)
        self.pieces.append(delta)
        return delta


class Answer:
    """The answer of one request, so far.

    Attributes:
        message_id: the message's id.
        parts: the parts, in order; a whole part (media) stands among them as it is.
        usage: tokens, as last told.
        finished: the last chunk, None while more comes.
        cut: whether the last call's arguments may be incomplete, since the answer reached its longest.
    """

    __slots__ = ("_calls", "_known", "finished", "last", "message_id", "parts", "usage")

    def __init__(self, known_ids: dict[str, str]) -> None:
        self.message_id = new_id()
        self.parts: list[Opened | Part] = []
        self.usage = NO_USAGE
        self.finished: Finished | None = None
        self.last: Opened | None = None
        self._calls: dict[int, Opened] = {}
        self._known = known_ids

    @property
    def cut(self) -> bool:
        return self.finished is not None and self.finished.reason == "length"

    def open_text(self) -> Opened:
        """The part that text goes to: the last one where that is text, else a new one."""
        last = self.last
        return last if last is not None and last.kind == "text" else self._open("text")

    def reasoning(self, chunk: ReasoningChunk) -> tuple[Opened, str]:
        """Adds thought, and gives its part and what is to be shown. A signature seals the part."""
        last = self.last
        if last is None or last.kind != "reasoning" or (last.signature is not None and chunk.delta):
            last = self._open("reasoning")
        if chunk.signature is not None:
            last.signature = (last.signature or "") + chunk.signature
        return last, last.add(chunk.delta)

    def call(self, chunk: ToolCallChunk) -> tuple[Opened, str]:
        """Adds to a call, and gives it and what is to be shown. Its id is the provider's where that is new, else ours."""
        opened = self._calls.get(chunk.index)
        if opened is None:
            call_id = scrub(chunk.id)
            if not call_id or call_id in self._known:
                call_id = f"call_{new_span_id()}"
            name = self._known[call_id] = scrub(chunk.name)
            opened = self._calls[chunk.index] = self._open("call", call_id, name)
        elif chunk.name and not opened.name:
            opened.name = scrub(chunk.name)
        if chunk.signature is not None:
            opened.signature = chunk.signature
        return opened, opened.add(chunk.delta)

    def first_named(self, name: str) -> Opened | None:
        """The first call of that name."""
        return next((c for c in self._calls.values() if c.name == name), None)

    def whole(self, part: Part) -> None:
        """Adds a part that came in one piece."""
        self.parts.append(part)
        self.last = None

    def message(self, provider: str) -> Message:
        """The assistant message, thoughts marked with who thought them. Empty text is left out."""
        last_call = next(reversed(self._calls.values()), None) if self.cut else None
        parts: list[Part] = []
        for part in self.parts:
            made = _made(part, provider, cut=part is last_call) if type(part) is Opened else part
            if made is not None:
                parts.append(made)  # type: ignore[arg-type]  # what is `Opened` was made into a part
        return Message("assistant", tuple(parts), self.message_id)

    def _open(self, kind: str, call_id: str = "", name: str = "") -> Opened:
        opened = self.last = Opened(kind, len(self.parts), call_id, name)
        self.parts.append(opened)
        return opened


def _made(opened: Opened, provider: str, *, cut: bool) -> Part | None:
    text = opened.text
    if opened.kind == "text":
        return TextPart(text) if text else None
    if opened.kind == "reasoning":
        return ReasoningPart(text, opened.signature, provider) if text or opened.signature else None
    # Of a call that was cut only whole arguments are taken: a repair would make them up.
    arguments = _whole(text) if cut else read_arguments(text)
    return ToolCallPart(
        opened.call_id, opened.name, arguments, None if arguments is not None else text, opened.signature
    )


def _whole(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is, to its last brace."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None
