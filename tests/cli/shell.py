"""Ways to run the command line in tests: in this process, in another one, and at a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

PROGRAM = (sys.executable, "-m", "lumosai")
# A session leader whose terminal is standard input: only so does Ctrl-C become a signal.
_AT_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "lumosai", *sys.argv[1:]])
"""


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The environment of a user who has set nothing but `variables`."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "PYTHONPATH", "VIRTUAL_ENV", "SYSTEMROOT")}
    return {**kept, "HOME": str(home), "PYTHONUTF8": "1", "COLUMNS": "120", **variables}


def provider(base_url: str) -> dict[str, str]:
    """The variables that make `openai:…` mean a loopback server."""
    return {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "sk-test"}


def lumosai(
    *arguments: str, env: Mapping[str, str], cwd: Path, given: str | bytes | None = None, timeout_s: float = 150
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end in a process of its own; `given` is piped in."""
    data = given.encode() if isinstance(given, str) else given
    done = subprocess.run(
        [*PROGRAM, *arguments],
        env=dict(env),
        cwd=cwd,
        input=data,
        stdin=subprocess.DEVNULL if data is None else None,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class Terminal:
    """A command at a pseudo-terminal.

    Attributes:
        seen: everything it has written so far.
    """

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.seen = ""
        self._master = master
        self._at = 0
        self._rest = b""

    def send(self, text: str) -> None:
        """Types."""
        os.write(self._master, text.encode())

    def line(self, text: str) -> None:
        """Types a line and Enter."""
        self.send(f"{text}\r")

    def expect(self, pattern: str, timeout_s: float = 120) -> str:
        """Waits until the pattern shows behind what was expected before; what it matched."""
        deadline = time.monotonic() + timeout_s
        while True:
            match = re.compile(pattern).search(plain(self.seen), self._at)
            if match is not None:
                self._at = match.end()
                return match[0]
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"{pattern!r} did not show in {plain(self.seen)[self._at :]!r}")

    def ends(self, timeout_s: float = 100) -> int:
        """Waits for the program's end; its exit code."""
        while self._read(timeout_s):
            pass
        return self.process.wait(timeout_s)

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._master], [], [], timeout_s)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other end is closed
            return False
        text = self._rest + data
        try:
            self.seen, self._rest = self.seen + text.decode(), b""
        except UnicodeDecodeError as error:
            self.seen, self._rest = self.seen + text[: error.start].decode(), text[error.start :]
        return bool(data)


def plain(text: str) -> str:
    """Terminal output without escape sequences."""
    return re.sub(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>()][0-9A-Za-z]?)", "", text).replace("\r", "")


@contextlib.contextmanager
def terminal(*arguments: str, env: Mapping[str, str], cwd: Path) -> Iterator[Terminal]:
    """A command at a terminal of 100 columns and 30 lines; killed at the end if it is still there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", _AT_TERMINAL, *arguments],
        env={"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", **env},
        cwd=cwd,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(master)
