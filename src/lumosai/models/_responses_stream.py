"""A stream of `/responses`, payload by payload: what comes out is chunks. No I/O happens here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.models._payloads import Payloads
from lumosai.models._responses_answer import Answer
from lumosai.models._responses_items import Torn
from lumosai.models._responses_wire import decode, decode_loosely, response_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lumosai.models._responses_wire import Event
    from lumosai.models.base import Chunk

_BEGIN: Final = ("response.created", "response.queued", "response.in_progress")


class Reader(Payloads["Event"]):
    """One stream. This protocol does without `[DONE]`, which may come all the same.

    Args:
        at: who gives seals, see `_responses_seals`.
        custom: names of the caller's custom tools, see `Answer`.

    Attributes:
        answer: what was read so far.
        torn: what shows that two answers were mixed up; nothing after it was read.
    """

    __slots__ = ("_counts", "_last", "_most", "_until", "answer", "torn")

    def __init__(self, at: str = "", custom: frozenset[str] | None = None) -> None:
        super().__init__(decode, decode_loosely)
        self.answer = Answer(at, custom)
        self.torn: str | None = None
        self._last = b""
        self._most: int | None = None
        self._counts = False  # whether events are numbered, as the protocol says
        self._until = -1

    @property
    def whole(self) -> bool:
        """Whether the response came to its end."""
        return self.answer.status is not None

    @property
    def stopped(self) -> bool:
        """Whether nothing more is to be read: the response ended, or an error came."""
        return self.whole or self.failed is not None or self.broken is not None or self.torn is not None

    def feed(self, payloads: Iterable[bytes]) -> list[Chunk]:
        """The chunks in `payloads`, in order, up to the response's end or the first error."""
        chunks: list[Chunk] = []
        for payload in payloads:
            if self.stopped or (event := self.event(payload)) is None:
                break
            try:
                if event.whole:
                    chunks += self.answer.take_whole(response_of(payload))
                elif not self._repeated(payload, event):
                    chunks += self.answer.feed(event)
            except Torn as error:
                self.torn = str(error)
            except ValueError as error:
                self.broken = (payload, str(error))
        return chunks

    def _repeated(self, payload: bytes, event: Event) -> bool:
        """Whether an event came before.

        Where events are numbered, one that is the very same as the last is its copy; and when a response begins again
        under its own id, all up to the last number is told once more.
        """
        number, before = event.sequence_number, self._most
        if number is None:
            return False
        if before is not None:
            if self._counts and payload == self._last:
                return True
            if event.type in _BEGIN and number <= before and self.answer.shown:
                self._until = max(self._until, before)
            elif number <= self._until:
                return True
            self._counts = self._counts or number > before
        self._most, self._last = number if before is None else max(number, before), payload
        return False
