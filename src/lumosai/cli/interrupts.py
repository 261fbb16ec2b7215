"""Ctrl-C in a chat: it stops an answer, or is remembered until the prompt can heed it; it never breaks in anywhere else.

Python's own way, an exception wherever the program happens to be, would now and then tear a half-made event loop or
editor apart.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Interrupts:
    """Heeds SIGINT while it is entered. Does nothing outside the main thread, where Python allows no handler.

    Attributes:
        pending: whether one came that nobody has heeded yet.
    """

    def __init__(self) -> None:
        self.pending = False
        self._stop: Callable[[], object] | None = None
        self._stopped = False
        self._raises = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    @contextlib.contextmanager
    def stopping(self, stop: Callable[[], object]) -> Iterator[None]:
        """While it is open, the first one calls `stop`, a second one raises `KeyboardInterrupt`."""
        self._stop, self._stopped = stop, False
        try:
            yield
        finally:
            self._stop = None

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """While it is open, one raises `KeyboardInterrupt`: around a read that nothing else would end."""
        self._raises = True
        try:
            if self.take():
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False

    def take(self) -> bool:
        """Whether one is pending; it is not any longer."""
        pending, self.pending = self.pending, False
        return pending

    def _on_signal(self, _signal: int, _frame: object) -> None:
        if self._raises or (self._stop is not None and self._stopped):
            raise KeyboardInterrupt
        if self._stop is not None:
            self._stopped = True
            self._stop()
        else:
            self.pending = True
