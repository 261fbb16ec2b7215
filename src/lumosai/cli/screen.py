"""Where a run is shown: the answer on standard output, what is said about it beside it, and a sign of life while it waits."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING, TextIO

from lumosai.cli.render import Renderer
from lumosai.cli.terminal import is_terminal, style_for, write
from lumosai.events import Error, ReasoningDelta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from lumosai.events import Event

SILENT_S = 1.0
"""After so long without anything to see, the seconds are counted."""
_TICK_S = 0.5
_ERASE = "\r\x1b[2K"


class Screen:
    """Shows a run's events.

    Args:
        notes: where everything but the answer goes.
        show_reasoning: show thoughts, not only how long they took.
        whole: print the answer once it is whole.
        quiet: print nothing but the answer and errors.

    Attributes:
        answered: whether any of the answer was printed.
    """

    def __init__(
        self, notes: TextIO, *, show_reasoning: bool = False, whole: bool = False, quiet: bool = False
    ) -> None:
        terminal = is_terminal(sys.stdout)
        style = style_for(notes)
        self.answered = False
        self._notes = notes
        self._quiet = quiet
        self._style = style
        shared = terminal and is_terminal(notes)
        self._renderer = Renderer(style, show_reasoning=show_reasoning, whole=whole, clean=terminal, shared=shared)
        self._counts = style.colour and not quiet
        self._since = time.monotonic()
        self._counting = False
        self._paused = False
        self._doing = "waiting"

    def show(self, event: Event) -> None:
        """Prints what the event adds."""
        self._doing = "thinking" if isinstance(event, ReasoningDelta) else "waiting"
        pieces = self._renderer.feed(event)
        if not pieces:
            return
        self._erase()
        for channel, text in pieces:
            if channel == "answer":
                self.answered = self.answered or bool(text.strip())
                write(text)
            elif not self._quiet or isinstance(event, Error):
                self._notes.write(text)
                self._notes.flush()

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """While it is open, silence is counted in seconds, where that can be shown and taken away again."""
        self._since = time.monotonic()
        ticker = asyncio.create_task(self._tick()) if self._counts else None
        try:
            yield
        finally:
            if ticker is not None:
                ticker.cancel()
                self._erase()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """While it is open, nothing is counted: the user is being asked."""
        self._erase()
        self._paused = True
        try:
            yield
        finally:
            self._paused = False
            self._since = time.monotonic()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            silent = time.monotonic() - self._since
            if silent >= SILENT_S and not self._paused and self._renderer.at_line_start:
                self._notes.write(_ERASE + self._style.dim(f"… {self._doing}, {silent:.0f} s"))
                self._notes.flush()
                self._counting = True

    def _erase(self) -> None:
        self._since = time.monotonic()
        if self._counting:
            self._counting = False
            self._notes.write(_ERASE)
            self._notes.flush()
