"""A stream of `/v1/messages`, payload by payload: what comes out is chunks. No I/O happens here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.models._anthropic_answer import Answer, SplicedError
from lumosai.models._anthropic_wire import NOT_JSON, Whole, decode, decode_loosely, decode_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lumosai.models._anthropic_wire import Event
    from lumosai.models.base import Chunk

_DONE: Final = b"[DONE]"


def is_last(payload: bytes) -> bool:
    """Whether nothing comes after this event."""
    return b"message_stop" in payload[:24] or payload == _DONE


class Reader:
    """One stream, or one whole answer.

    Args:
        answer: what is read into.

    Attributes:
        answer: as given.
        done: whether the message's end came.
        failed: a payload that tells of an error; nothing after it was read.
        broken: a payload that has no place in the wire format, and why; nothing after it was read.
        spliced: how another answer began in the middle of this one; nothing after it was read.
    """

    __slots__ = ("answer", "broken", "done", "failed", "spliced")

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.done = False
        self.failed: bytes | None = None
        self.broken: tuple[bytes, str] | None = None
        self.spliced = ""

    @property
    def stopped(self) -> bool:
        """Whether nothing more is read."""
        failed = self.failed is not None or self.broken is not None or bool(self.spliced)
        return failed or self.done or self.answer.replayed

    def feed(self, payloads: Iterable[bytes]) -> list[Chunk]:
        """The chunks in `payloads`, in order, up to the message's end or the first error."""
        chunks: list[Chunk] = []
        feed = self.answer.feed
        for payload in payloads:
            if self.stopped:
                break
            try:
                event = self._event(payload)
                if event is None:
                    continue
                if event.type == "message":
                    chunks += self.answer.take(_whole(payload))
                    self.done = True
                else:
                    chunks += feed(event)
            except SplicedError as error:
                self.spliced = str(error)
            except ValueError as error:
                self.broken = (payload, str(error))
        return chunks

    def _event(self, payload: bytes) -> Event | None:
        """The payload decoded, None where it says nothing to be read.

        Raises:
            ValueError: it is no event.
        """
        try:
            event = decode(payload)
        except NOT_JSON:
            if payload.strip() == _DONE:  # some proxies end every stream so
                self.done = self.answer.finish is not None
                return None
            event = decode_loosely(payload)
        if event.failed:
            self.failed = payload
            return None
        if event.type is None:
            msg = "without a type"
            raise ValueError(msg)
        if event.type == "message_stop":
            self.done = True
        return event


def _whole(payload: bytes) -> Whole:
    try:
        return decode_whole(payload)
    except NOT_JSON:
        found: Whole = decode_loosely(payload, Whole)
        return found
