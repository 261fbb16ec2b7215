"""A stream of `:streamGenerateContent`, payload by payload: what comes out is chunks. No I/O happens here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.models._encoded import encode
from lumosai.models._gemini_answer import Answer
from lumosai.models._gemini_wire import NOT_JSON, Event, decode, decode_loosely

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lumosai.models.base import Chunk

_DONE: Final = b"[DONE]"


class Reader:
    """One stream. It has no last event of its own: the candidate names a reason, and the connection ends.

    Args:
        provider: whose answer it is.

    Attributes:
        answer: what was read so far.
        done: whether the answer was one whole document.
        listed: whether that was a list of events.
        failed: an error that came instead of more; nothing after it was read.
        broken: a payload that is not of the wire format, and what is wrong with it; nothing after it was read.
    """

    __slots__ = ("answer", "broken", "done", "failed", "listed")

    def __init__(self, provider: str) -> None:
        self.answer = Answer(provider)
        self.done = False
        self.listed = False
        self.failed: bytes | None = None
        self.broken: tuple[bytes, str] | None = None

    @property
    def whole(self) -> bool:
        """Whether the answer came to its end: a reason was named, or the prompt refused, or it is all one event."""
        answer, one = self.answer, self.done and not self.listed
        return answer.finish is not None or answer.blocked is not None or (one and answer.begun)

    @property
    def stopped(self) -> bool:
        """Whether an error ended the reading."""
        return self.failed is not None or self.broken is not None

    def feed(self, payloads: Iterable[bytes]) -> list[Chunk]:
        """The chunks in `payloads`, in order, up to the first error."""
        chunks: list[Chunk] = []
        for payload in payloads:
            if self.stopped:
                break
            if payload.strip() == _DONE:
                self.done = True
                continue
            try:
                self._read(payload, chunks)
            except (ValueError, RecursionError) as error:
                self.broken = (payload, str(error))
        return chunks

    def _read(self, payload: bytes, chunks: list[Chunk]) -> None:
        """Adds the chunks of a payload.

        Raises:
            ValueError: it is not of the wire format.
        """
        try:
            events = decode(payload)
        except NOT_JSON:
            events = decode_loosely(payload)
        self.listed = not isinstance(events, Event)
        for event in [events] if isinstance(events, Event) else events:
            if event.error:
                self.failed = encode({"error": event.error})
                return
            chunks += self.answer.feed(event)
