"""Files that are there whole or not at all: written beside their name, and given it when they are done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def give_name(finished: Path, path: Path) -> None:
    """Gives a file that is finished its name, which no other file has; it is on the disk by then.

    Raises:
        FileExistsError: another one has it.
        OSError: it cannot be given it.
    """
    number = os.open(finished, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
    try:
        os.link(finished, path)  # unlike a rename, never over another file
    except FileExistsError:
        raise
    except OSError:  # a disk that knows no links
        if path.exists():
            raise FileExistsError(str(path)) from None
        finished.rename(path)
    else:
        finished.unlink()


def beside(path: Path) -> Path:
    """The name under which a file is written until it is finished."""
    return path.with_name(f"{path.name}.unfinished-{os.getpid()}")
