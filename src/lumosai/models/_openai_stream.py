"""A stream of `/chat/completions`, payload by payload: what comes out is chunks. No I/O happens here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lumosai.models._openai_answer import Answer
from lumosai.models._openai_wire import NOT_JSON, decode, decode_loosely, text_of
from lumosai.models._payloads import Payloads
from lumosai.models.base import ReasoningChunk, TextChunk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lumosai.models._openai_wire import Event
    from lumosai.models.base import Chunk

_PROBE: Final = b"another text"
_TRIES: Final = 8

Pattern = tuple[bytes, bytes, int, int, type[TextChunk | ReasoningChunk]]
_NONE: Final[Pattern] = (b"\n", b"\n", 0, 0, TextChunk)
"""A pattern that fits no payload."""


class Reader(Payloads["Event"]):
    """One stream.

    Attributes:
        answer: what was read so far.
    """

    __slots__ = ("_repeat", "answer")

    def __init__(self) -> None:
        super().__init__(decode, decode_loosely)
        self.answer = Answer()
        self._repeat = Repeat()

    @property
    def whole(self) -> bool:
        """Whether the answer came to its end: the server named a reason, or said `[DONE]` after a choice."""
        return self.answer.finish is not None or (self.done and self.answer.begun)

    @property
    def stopped(self) -> bool:
        """Whether an error ended the reading."""
        return self.failed is not None or self.broken is not None

    def feed(self, payloads: Iterable[bytes]) -> list[Chunk]:
        """The chunks in `payloads`, in order, up to the first error."""
        chunks: list[Chunk] = []
        add, repeat = chunks.append, self._repeat
        head, tail, start, stop, kind = repeat.pattern
        for payload in payloads:
            if payload.startswith(head) and payload.endswith(tail):
                try:
                    text = text_of(payload[start : len(payload) - stop])
                except NOT_JSON:
                    pass  # the pattern ends inside the text: read in full below
                else:
                    if text:
                        add(kind(text))
                    continue
            if (event := self.event(payload)) is None:
                break
            found = self.answer.feed(event)
            chunks += found
            if self.answer.holds:
                repeat.pattern = _NONE
            elif len(found) != 1 or not repeat.tries or not repeat.learn(payload, event, found[0]):
                continue
            head, tail, start, stop, kind = repeat.pattern
        return chunks


class Repeat:
    """What the events of a flood have in common: all but the text in one place.

    A provider's deltas differ in nothing but their text, so once one was decoded, the next ones need only be compared
    with it at both ends and have the text between decoded. That this is sound is proved for each pattern by decoding
    the event with another text in that place: it has to come out as the same event with that text.

    Attributes:
        pattern: what an event begins and ends with, the text's quotes belonging to both; how far from the beginning and
            from the end the quoted text stands; and what it becomes.
        tries: patterns that may still be looked for in this stream.
    """

    __slots__ = ("pattern", "tries")

    def __init__(self) -> None:
        self.pattern = _NONE
        self.tries = _TRIES

    def learn(self, payload: bytes, event: Event, chunk: Chunk) -> bool:
        """Takes `payload`, which gave `event` and nothing but `chunk`, as the pattern, where it has one."""
        self.tries -= 1
        if isinstance(chunk, TextChunk):
            field = "content"
        elif isinstance(chunk, ReasoningChunk):
            field = "reasoning_content" if b'"reasoning_content"' in payload else "reasoning"
        else:
            return False
        found = re.search(rb'"%b"\s*:\s*("(?:[^"\\]|\\.)*")' % field.encode(), payload)
        if found is None:
            return False
        start, end = found.span(1)
        try:
            probe = decode(payload[: start + 1] + _PROBE + payload[end - 1 :])
        except NOT_JSON:
            return False
        delta = probe.choices[0].delta if probe.choices else None
        if delta is None or getattr(delta, field) != _PROBE.decode():
            return False
        setattr(delta, field, chunk.delta)
        if probe != event:
            return False
        self.pattern = (payload[: start + 1], payload[end - 1 :], start, len(payload) - end, type(chunk))
        return True
