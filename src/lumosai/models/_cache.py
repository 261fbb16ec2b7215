"""Where weights are kept on this machine, and the lock that lets one process at a time write there."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lumosai.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POLL_S = 0.2


def cache_dir() -> Path:
    """The user's cache directory: `$LUMOSAI_CACHE_DIR`, `$XDG_CACHE_HOME/lumosai`, else `~/.cache/lumosai`."""
    own = os.environ.get("LUMOSAI_CACHE_DIR")
    if own:
        return Path(own).expanduser().absolute()
    xdg = os.environ.get("XDG_CACHE_HOME")
    # The specification asks to ignore a relative path here.
    base = Path(xdg) if xdg and Path(xdg).is_absolute() else Path("~/.cache").expanduser()
    return base / "lumosai"


def weights_dir() -> Path:
    """Where weights are, each as `<sha256>.gguf`. Not made by asking for it."""
    return cache_dir() / "weights"


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the lock file `path`; `waiting` is called a few times a second while another process or thread has it.

    The lock ends with its process, however that ends. The file stays: deleting it would let two processes hold it.

    Raises:
        WeightsError: the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise unwritable(error, path.parent) from error
    with file:
        while not _try_lock(file.fileno()):
            waiting()
            time.sleep(_POLL_S)
        yield


def _try_lock(fd: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        # A file system without locks, such as some network mounts: going on alone beats not going on.
        return error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
    return True


def unwritable(error: OSError, where: Path) -> WeightsError:
    """What to tell of a disk that takes no more, or not at all."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WeightsError(
            f"the disk of {str(where)!r} is full: free some space, or set LUMOSAI_CACHE_DIR to a directory on another; "
            "what was fetched so far is kept"
        )
    return WeightsError(
        f"weights cannot be kept in {str(where)!r} ({error.strerror or error}): make it writable, or set "
        "LUMOSAI_CACHE_DIR to a directory that is"
    )
