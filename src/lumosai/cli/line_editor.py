"""Where a chat's lines come from: an editor with history on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lumosai.cli.terminal import is_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.cli.interrupts import Interrupts

PROMPT = "> "


class Lines(Protocol):
    """A source of lines."""

    interactive: bool

    def read(self, interrupts: Interrupts) -> str:
        """The next line or block of text.

        Raises:
            EOFError: there are no more (Ctrl-D).
            KeyboardInterrupt: Ctrl-C.
        """
        ...

    async def ask(self, question: str) -> str:
        """The answer to a question in the middle of a run; "" where nobody can answer."""
        ...


def open_lines(commands: Sequence[str]) -> Lines:
    """The best source that standard input and output allow. `commands` are completed after a slash."""
    if not is_terminal(sys.stdin):
        return PipedLines()
    if is_terminal(sys.stdout) and os.environ.get("TERM") != "dumb":
        return Editor(commands)
    return TypedLines()


class PipedLines:
    """Lines from a pipe or a file: each is one message, and nobody is there to be asked."""

    interactive = False

    def read(self, interrupts: Interrupts) -> str:
        with interrupts.raising():
            line = sys.stdin.buffer.readline() if sys.stdin is not None else b""
        if not line:
            raise EOFError
        return line.decode("utf-8", "replace").rstrip("\r\n")

    async def ask(self, question: str) -> str:
        _ = question
        return ""


class TypedLines:
    """Lines from a terminal that cannot move its cursor, or whose output goes elsewhere. Prompts on standard error."""

    interactive = True

    def read(self, interrupts: Interrupts) -> str:
        sys.stderr.write(PROMPT)
        sys.stderr.flush()
        with interrupts.raising():
            line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")

    async def ask(self, question: str) -> str:
        sys.stderr.write(question)
        sys.stderr.flush()
        await _readable()
        return sys.stdin.readline().rstrip("\n")


class Editor:
    """A line editor: history over sessions, Enter sends, Alt-Enter begins a new line, pasted lines stay together."""

    interactive = True

    def __init__(self, commands: Sequence[str]) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.key_binding import KeyBindings

        keys = KeyBindings()

        @keys.add("enter")
        def _send(event: Any) -> None:
            event.current_buffer.validate_and_handle()

        @keys.add("escape", "enter")
        def _new_line(event: Any) -> None:
            event.current_buffer.insert_text("\n")

        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            history=_history(history_path(os.environ)),
            multiline=True,
            key_bindings=keys,
            completer=WordCompleter(list(commands), sentence=True),
            complete_while_typing=False,
            prompt_continuation=lambda width, _line, _wrapped: " " * width,
        )

    def read(self, interrupts: Interrupts) -> str:
        def heed() -> None:
            if interrupts.take():  # it came before the editor listened
                self._session.app.exit(exception=KeyboardInterrupt)

        return self._session.prompt(pre_run=heed)

    async def ask(self, question: str) -> str:
        from prompt_toolkit import PromptSession

        try:
            return await PromptSession[str]().prompt_async(question)
        except EOFError:
            return ""
        except KeyboardInterrupt:  # the editor took the key: it means the run, as it would without an editor
            raise asyncio.CancelledError from None


async def _readable() -> None:
    """Waits until a line can be read from standard input, in a way that can be cancelled."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def seen() -> None:
        if not ready.done():
            ready.set_result(None)

    try:
        loop.add_reader(sys.stdin, seen)
    except NotImplementedError:  # an event loop that cannot watch files: the read itself waits
        return
    try:
        await ready
    finally:
        loop.remove_reader(sys.stdin)


def history_path(environ: Mapping[str, str]) -> Path:
    """Where the lines of earlier chats are kept: a file under the user's state directory."""
    home = environ.get("XDG_STATE_HOME") or (environ.get("LOCALAPPDATA") if os.name == "nt" else None)
    return (Path(home) if home else Path.home() / ".local" / "state") / "lumosai" / "chat_history"


def _history(path: Path) -> Any:
    """History in a file that only its user may read; in memory where that cannot be."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
