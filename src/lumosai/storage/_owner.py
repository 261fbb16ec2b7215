"""Who holds a lease: a process, so named that another process on the same machine can tell whether it is still alive."""

from __future__ import annotations

import hashlib
import math
import os
import socket
import time
from functools import lru_cache
from pathlib import Path
from typing import Final

LEASE_S: Final = 10.0
"""How long a run is held without a word from its owner, by the database's clock."""
_PROC = Path("/proc")
_JUMP_S: Final = 2.0
_GRACE_S: Final = 10.0


def me() -> str:
    """This process as the holder of a lease: host, boot, pid namespace, pid, start."""
    return _of(os.getpid())


@lru_cache(maxsize=8)
def _of(pid: int) -> str:
    return "|".join((*_place(), str(pid), _start_of(pid)))


def holds(holder: str, *, held: bool) -> bool:
    """Whether a lease is good: it has a holder, who is not dead, and its time is not up.

    Where this machine slept, or its clock was set, the time of every lease is up at once: then holders that are alive
    here have as long again as a lease lasts to renew theirs.
    """
    if not holder or is_dead(holder):
        return False
    return held or (_jumps.lately() and _is_here(holder))


class _Jumps:
    """Tells that the clock has gone on by another time than has passed."""

    def __init__(self) -> None:
        self._offset = self.offset()
        self._at = -math.inf

    def offset(self) -> float:
        """What lies between the clock and the time that passes, which stands still while the machine sleeps."""
        return time.time() - time.monotonic()

    def lately(self) -> bool:
        """Whether it did a moment ago."""
        offset, now = self.offset(), time.monotonic()
        if abs(offset - self._offset) > _JUMP_S:
            self._at = now
        self._offset = offset
        return now - self._at < _GRACE_S


_jumps: Final = _Jumps()


def _is_here(holder: str) -> bool:
    """Whether a holder is a process of this machine, as far as can be told."""
    return tuple(holder.split("|")[:3]) == _place()


def is_dead(holder: str) -> bool:
    """Whether a holder is surely dead: it was a process of this machine, and there is no such process any more."""
    host, boot, space, pid, start = (holder.split("|") + [""] * 5)[:5]
    here = _place()
    if host != here[0]:
        return False
    if boot != here[1]:
        return bool(boot) and bool(here[1])
    if space != here[2] or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return bool(start) and _start_of(int(pid)) != start


@lru_cache(maxsize=1)
def _place() -> tuple[str, str, str]:
    """Host, boot and pid namespace, as far as the system tells."""
    return _host(), _short(_read(_PROC / "sys/kernel/random/boot_id")), _short(_space())


def _host() -> str:
    return f"{socket.gethostname()}/{_short(_read(Path('/etc/machine-id')))}".replace("|", "_")


def _short(text: str) -> str:
    """What tells a text from others: a row holds it only while a run is at work, and its room is not needed then."""
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest() if text else ""


def _space() -> str:
    try:
        return (_PROC / "self/ns/pid").readlink().name
    except OSError:
        return ""


def _start_of(pid: int) -> str:
    """When a process began, in ticks since the boot; "" where the system does not tell, or there is no such process.

    A zombie is as good as gone.
    """
    stat = _read(_PROC / str(pid) / "stat")
    fields = stat.rpartition(")")[2].split()
    if len(fields) <= 19:  # noqa: PLR2004  # field 22 of proc(5), counted behind the name
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
