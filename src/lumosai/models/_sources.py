"""What the sources of weights have in common: the partial file they append to, and how they report.

Every source of one weights file holds the same bytes, so what one has appended another can go on from. The partial
file's length is the whole state: a download that was killed is taken up where it stopped, by whichever source answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from lumosai.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Progress = Callable[[int, int, str], None]
    """Called with the bytes that are there, the bytes there will be, and what is being done."""

MAGIC = b"GGUF"
ANSWER_S = 5.0
"""Seconds a source has to begin to answer."""


class PassedByError(WeightsError):
    """A source is passed by; the text says why. Never reaches a user: it is told among the reasons of all sources."""


class Partial:
    """The file that sources append to.

    Args:
        path: where it is; made when the first byte comes.
        size: how many bytes it will have.
        progress: told of every piece.
    """

    def __init__(self, path: Path, size: int, progress: Progress) -> None:
        self.path = path
        self.size = size
        self.progress = progress
        self.length = path.stat().st_size if path.exists() else 0
        self.before = self.length
        """Bytes that an earlier call left."""
        self._file: Any = None

    def append(self, data: bytes, what: str) -> None:
        """More of the file.

        Raises:
            PassedByError: this cannot be the file: it begins like another, or is longer.
        """
        if self.length == 0 and not data.startswith(MAGIC[: len(data)]):
            raise PassedByError(f"sent no weights: they begin with {MAGIC!r}, this with {data[:16]!r}")
        if self.length + len(data) > self.size:
            raise PassedByError(f"sent more than the {self.size:,} bytes that the file has")
        if self._file is None:
            self._file = self.path.open("ab", buffering=0)
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            view = view[written:]
            self.length += written
        self.progress(self.length, self.size, what)

    def restart(self) -> None:
        """Forgets what was fetched."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.length = self.before = 0

    def close(self) -> None:
        """Closes the file; what was fetched stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def whole(self) -> bool:
        """Whether every byte is there."""
        return self.length == self.size


class Source(Protocol):
    """Where a weights file can be had."""

    @property
    def label(self) -> str:
        """Who it is, for a person."""
        ...

    def fetch(self, partial: Partial, scratch: Path) -> None:
        """Appends what is missing. `scratch` is a directory of its own that is deleted afterwards.

        Raises:
            PassedByError: it does not answer, or not with this file; what was appended stays.
        """
        ...


class Part(msgspec.Struct, frozen=True):
    """One piece of a file, inside a package.

    Attributes:
        requirement: the package, "name==version".
        member: the path of the piece inside its wheel.
        size: bytes.
    """

    requirement: str
    member: str
    size: int
