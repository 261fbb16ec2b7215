"""What a terminal may be sent: colour where it is wanted, and text without control characters."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Style:
    """Wraps text in ANSI colours; gives it back as it is where `colour` is False."""

    def __init__(self, *, colour: bool) -> None:
        self.colour = colour

    def dim(self, text: str) -> str:
        """For what stands beside the answer."""
        return self._wrap("2", text)

    def bold(self, text: str) -> str:
        """For headings."""
        return self._wrap("1", text)

    def red(self, text: str) -> str:
        """For errors."""
        return self._wrap("31", text)

    def green(self, text: str) -> str:
        """For what is well."""
        return self._wrap("32", text)

    def yellow(self, text: str) -> str:
        """For warnings."""
        return self._wrap("33", text)

    def cyan(self, text: str) -> str:
        """For names."""
        return self._wrap("36", text)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text


def style_for(stream: TextIO, environ: Mapping[str, str] | None = None) -> Style:
    """Colour on a terminal, unless `NO_COLOR` is set (https://no-color.org) or the terminal knows none."""
    env = os.environ if environ is None else environ
    return Style(colour=is_terminal(stream) and not env.get("NO_COLOR") and env.get("TERM") != "dumb")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person reads or writes there."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def safe(text: str) -> str:
    """The text without control characters but tab and newline: a model's or a server's words may not steer a terminal."""
    return _CONTROL.sub("", text)


def one_line(text: str, most: int = 400) -> str:
    """The text on one line, cut at `most` characters, without control characters."""
    line = safe(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def tell(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # the command line's own voice


def write(text: str) -> None:
    """Text on standard output, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def write_line(text: str = "") -> None:
    """A line on standard output."""
    write(f"{text}\n")


def write_json(value: object) -> None:
    """A value as JSON on standard output, indented for people and programs alike."""
    import json

    write_line(json.dumps(value, ensure_ascii=False, indent=2, default=str))
