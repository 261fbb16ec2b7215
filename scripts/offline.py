"""Runs a Python program that must open no connection to the outside, and fails if it tried to.

    python scripts/offline.py [--watch-only] PROGRAM [ARGUMENT…]

Two nets: an audit hook sees every name that is looked up and every address that is connected to from Python, refuses
what is not loopback, and tells; and where the system allows it (`unshare --net`), the program runs in a network of its
own that has nothing but loopback, which holds for compiled code too; `--watch-only` leaves that net out. Exit code 4: it tried.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import runpy
import shutil
import socket
import struct
import subprocess
import sys
from typing import Any

INSIDE = "LUMOSAI_OFFLINE_NETWORK"
TRIED = 4
LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
SENDS = ("socket.connect", "socket.sendto", "socket.sendmsg")
tried: list[str] = []


def main() -> int:
    """Runs the program that the command line names."""
    watch_only = sys.argv[1:2] == ["--watch-only"]
    if watch_only:
        del sys.argv[1]
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    if not watch_only and INSIDE not in os.environ and (own := own_network()):
        return subprocess.run(
            [*own, sys.executable, *sys.argv], env={**os.environ, INSIDE: "1"}, check=False
        ).returncode
    if os.environ.get(INSIDE):
        bring_up_loopback()
    sys.addaudithook(watch)
    program, sys.argv = sys.argv[1], sys.argv[1:]
    code = 0
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    where = "a network that has loopback only" if os.environ.get(INSIDE) else "this machine's network, watched"
    if tried:
        print(f"\n{program} reached for the outside: {'; '.join(tried)} (in {where})", file=sys.stderr)
        return TRIED
    print(f"\n{program} opened no connection to the outside (in {where}).", flush=True)
    return code


def own_network() -> list[str]:
    """The command that gives a program a network of its own; empty where the system allows none."""
    for command in (["unshare", "--net"], ["unshare", "--net", "--map-root-user"]):
        if (
            shutil.which("unshare")
            and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
        ):
            return command
    return []


def bring_up_loopback() -> None:
    """Sets IFF_UP on `lo`, which a new network has down."""
    import fcntl

    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, get_flags, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", request)[1]
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", flags | up))


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook.

    Raises:
        ConnectionRefusedError: the program reached for an address that is not loopback.
    """
    if event in LOOKUPS:
        host = arguments[0]
    elif event in SENDS and isinstance(arguments[-1], tuple):
        host = arguments[-1][0]
    else:
        return
    if not is_loopback(host):
        tried.append(f"{event} {host!r}")
        raise ConnectionRefusedError(f"no connection to the outside is allowed here: {host!r}")


def is_loopback(host: object) -> bool:
    """Whether a host name or address is this machine's own."""
    text = host.decode(errors="replace") if isinstance(host, bytes) else host
    if text in (None, "", "localhost"):
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(str(text)).is_loopback
    return False


if __name__ == "__main__":
    raise SystemExit(main())
