"""What the streams of OpenAI's two protocols share: payloads are decoded one by one, up to an error or `[DONE]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_DONE: Final = b"[DONE]"


class Failing(Protocol):
    """An event that may tell of an error."""

    @property
    def failed(self) -> bool: ...


E = TypeVar("E", bound=Failing)


class Payloads(Generic[E]):
    """One stream's payloads.

    Args:
        decode: reads one that is exactly of the wire format.
        loosely: reads one that is nearly so.

    Attributes:
        done: whether `[DONE]` came.
        failed: a payload that tells of an error; nothing after it was read.
        broken: a payload that is not of the wire format, and what is wrong with it; nothing after it was read.
    """

    __slots__ = ("_decode", "_loosely", "broken", "done", "failed")

    def __init__(self, decode: Callable[[bytes], E], loosely: Callable[[bytes], E]) -> None:
        self._decode = decode
        self._loosely = loosely
        self.done = False
        self.failed: bytes | None = None
        self.broken: tuple[bytes, str] | None = None

    def event(self, payload: bytes) -> E | None:
        """The payload decoded, None where it ends the reading."""
        try:
            event = self._decode(payload)
        except NOT_JSON:
            if payload.strip() == _DONE:
                self.done = True
                return None
            try:
                event = self._loosely(payload)
            except ValueError as error:
                self.broken = (payload, str(error))
                return None
        if event.failed:
            self.failed = payload
            return None
        return event
