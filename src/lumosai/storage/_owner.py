"""Who holds a lease: a process, so named that another process on the same machine can tell whether it is still alive."""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path

_PROC = Path("/proc")


def me() -> str:
    """This process as the holder of a lease: host, boot, pid namespace, pid, start."""
    return _of(os.getpid())


@lru_cache(maxsize=8)
def _of(pid: int) -> str:
    return "|".join((*_place(), str(pid), _start_of(pid)))


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
    return _host(), _read(_PROC / "sys/kernel/random/boot_id"), _space()


def _host() -> str:
    return f"{socket.gethostname()}/{_read(Path('/etc/machine-id'))}".replace("|", "_")


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
