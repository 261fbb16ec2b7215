"""Experience with models in one JSON file, shared by the processes of one user."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from lumosai.models._cache import cache_dir, locked
from lumosai.models._learned import Learned, dated, fresh

if TYPE_CHECKING:
    from collections.abc import Callable

_decode: Final = msgspec.json.Decoder(dict[str, Learned]).decode


def default_path() -> Path:
    """The user's file: `profiles.json` in the cache directory."""
    return cache_dir() / "profiles.json"


class FileProfiles:
    """A `ProfileStore` in a file. A file that cannot be read holds nothing; it is written anew as a whole, under a lock.

    Args:
        path: the file; it is made at the first `put`.
        now: the clock, unix seconds.

    Raises:
        OSError: by `put`, where the file cannot be written.
    """

    def __init__(self, path: str | Path | None = None, *, now: Callable[[], float] = time.time) -> None:
        self.path = Path(path) if path is not None else default_path()
        self._now = now
        self._seen: tuple[int, int] | None = None
        self._rows: dict[str, Learned] = {}

    def get(self, key: str) -> Learned | None:
        """What is known, or None where nothing is or it is too old."""
        return fresh(self._read().get(key), self._now())

    def put(self, key: str, learned: Learned) -> None:
        """Remembers, dated now, and leaves out what is too old."""
        now = self._now()
        with locked(self.path.with_suffix(".lock"), lambda: None):
            kept = {k: f for k, row in self._read().items() if (f := fresh(row, now)) is not None}
            self._write({**kept, key: dated(learned, now)})

    def _read(self) -> dict[str, Learned]:
        try:
            stat = self.path.stat()
            seen = (stat.st_mtime_ns, stat.st_size)
            if seen != self._seen:
                self._rows, self._seen = _decode(self.path.read_bytes()), seen
        except (OSError, msgspec.DecodeError):
            self._rows, self._seen = {}, None
        return self._rows

    def _write(self, rows: dict[str, Learned]) -> None:
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".profiles-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(rows), indent=1))
            Path(name).replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        self._seen = None
