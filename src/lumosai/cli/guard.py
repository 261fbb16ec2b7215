"""How a command ends: no traceback reaches a user.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (Ctrl-C), 141 the reader of our output went away.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, NoReturn, ParamSpec

import typer

from lumosai.cli.terminal import one_line, style_for, tell
from lumosai.errors import LumosaiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

P = ParamSpec("P")

INTERRUPTED = 130
READER_GONE = 141
_LONGEST = 2000


def guarded(command: Callable[P, object]) -> Callable[P, None]:
    """The command, with every error turned into one line on standard error and an exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except LumosaiError as error:
            fail(error)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            silence()
            raise typer.Exit(READER_GONE) from None
        except Exception as error:  # noqa: BLE001  # the last line of defence: whatever it is, a user gets one line
            fail(error)

    return run


def fail(error: BaseException) -> NoReturn:
    """One red line that says what went wrong, the traceback with `--debug`, and exit code 1."""
    if debugging():
        import traceback

        traceback.print_exception(error)
    tell(style_for(sys.stderr).red(f"lumosai: {reason(error)}"))
    try:
        sys.stdout.flush()
    except OSError:
        silence()
    raise typer.Exit(1) from None


def reason(error: BaseException) -> str:
    """The error in one line: ours by its message, the system's by the file too, any other by its type."""
    notes = "; ".join(getattr(error, "__notes__", ()))
    text = f"{error}; {notes}" if notes else str(error)
    if isinstance(error, LumosaiError):
        return one_line(text or type(error).__name__, _LONGEST)
    where = "" if debugging() else " (--debug shows where)"
    if isinstance(error, OSError) and error.strerror:  # what a disk or the system said: no bug
        named = f"{error.filename!r}: " if error.filename is not None else ""
        return one_line(f"{named}{error.strerror}", _LONGEST) + where
    return one_line(f"unexpected {type(error).__name__}: {text}", _LONGEST) + where


def debugging(argv: Sequence[str] | None = None) -> bool:
    """Whether `--debug` stands anywhere in the command line, or `LUMOSAI_DEBUG` is set."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = given[: given.index("--")] if "--" in given else given
    return "--debug" in options or os.environ.get("LUMOSAI_DEBUG", "") not in ("", "0")


def silence() -> None:
    """Points standard output at nothing, so that the interpreter's last flush does not fail too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
