"""llama.cpp as a server of our own: one process for each model and its settings, shared by all who use them.

The server listens on a loopback port of its own and answers only to a key that is made here and leaves this process
through a pipe alone, so no other user of the machine can use it. It is started at the first use, kept until this
process ends, and ends with it, however that ends.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import math
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

import msgspec

from lumosai.errors import MissingExtraError, WeightsError

_CHILD: Final = Path(__file__).with_name("_llama_child.py")
_MOST_THREADS: Final = 8
"""More gain nothing for models that fit a laptop."""
_END_S: Final = 2.0


class Settings(msgspec.Struct, frozen=True):
    """What a server is started with; equal settings share one.

    Attributes:
        path: the weights' real path.
        name: what the model is called in answers.
        threads: how many compute.
        context_tokens: the window of each conversation.
        parallel: how many answers are made side by side.
        temperature: of requests that name none.
        cache_mb: memory for prompts of conversations that make room for others, in MiB.
        gpu_layers: how many layers a graphics card computes; None leaves it to the runtime.
        chat_template: instead of the one in the weights.
        verbose: whether the runtime may write to the terminal.
        slots: whether its state can be asked for.
    """

    path: str
    name: str
    threads: int
    context_tokens: int
    parallel: int
    temperature: float
    cache_mb: int
    gpu_layers: int | None
    chat_template: str | None
    verbose: bool
    slots: bool


class Server:
    """A running server.

    Attributes:
        url: where it listens.
        key: what it answers to.
    """

    def __init__(self, process: subprocess.Popen[bytes], url: str, key: str) -> None:
        self._process = process
        self.url = url
        self.key = key

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def stop(self) -> None:
        """Ends it; answers that are being made are cut."""
        with contextlib.suppress(OSError):
            _pipe(self._process.stdin).close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """Lets go of it in a forked process: it is the parent's, and ends with the parent."""
        with contextlib.suppress(OSError):
            os.close(_pipe(self._process.stdin).fileno())
        self._process.returncode = 0


_servers: dict[Settings, Server] = {}
_locks: dict[Settings, threading.Lock] = {}
_lock = threading.Lock()


def share(settings: Settings) -> Server:
    """The server with these settings, started now if none runs. Blocks while it loads.

    Raises:
        WeightsError: the runtime cannot load the weights.
        MissingExtraError: the runtime is not installed.
    """
    with _lock:
        own = _locks.setdefault(settings, threading.Lock())
    with own:
        server = _servers.get(settings)
        if server is None or not server.alive:
            if server is not None:
                _end(settings, server)
            server = _servers[settings] = _start(settings)
        return server


def running(settings: Settings) -> Server | None:
    """The server with these settings, None where none runs."""
    server = _servers.get(settings)
    return server if server is not None and server.alive else None


def stop(settings: Settings) -> None:
    """Ends the server with these settings, if one runs."""
    with _lock:
        own = _locks.setdefault(settings, threading.Lock())
    with own:
        server = _servers.get(settings)
        if server is not None:
            _end(settings, server)


def stop_all() -> None:
    """Ends every server."""
    for settings in list(_servers):
        stop(settings)


def threads_here() -> int:
    """How many threads may compute: the processors this process may use, by affinity and by its group's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, math.ceil(int(quota) / int(period)))
    return max(1, min(count, _MOST_THREADS))


def _end(settings: Settings, server: Server) -> None:
    del _servers[settings]
    _reach(server.url, False)
    server.stop()


def _start(settings: Settings) -> Server:
    key = secrets.token_hex(16)
    told = {**msgspec.structs.asdict(settings), "key": key, "packages": _packages()}
    # Idle threads must sleep: spinning ones take the processor from those that compute (measured: 0.4 tokens a second
    # instead of 6 and more on a busy machine).
    environ = {**os.environ, "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and program
            [sys.executable, "-I", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if settings.verbose else log,
            env=environ,
        )
        try:
            answer = _ask(process, told)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        if "url" not in answer:
            raise WeightsError(_why(settings, answer, process, log))
    _reach(answer["url"], True)
    return Server(process, answer["url"], key)


def _ask(process: subprocess.Popen[bytes], told: dict[str, object]) -> dict[str, str]:
    """What the child answers, {} where it ended without a word."""
    with contextlib.suppress(BrokenPipeError):
        stdin = _pipe(process.stdin)
        stdin.write(json.dumps(told).encode() + b"\n")
        stdin.flush()
    stdout = _pipe(process.stdout)
    line = stdout.readline()
    stdout.close()
    answer: dict[str, str] = json.loads(line) if line else {}
    if "url" not in answer:
        with contextlib.suppress(OSError):
            _pipe(process.stdin).close()
        process.wait()
    return answer


def _why(settings: Settings, answer: dict[str, str], process: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    reason = answer.get("error")
    if reason is None:
        code = process.returncode
        reason = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with code {code}"
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if " E " in line]
    said = next((line.split(": ", 1)[-1] for line in lines if "error" in line.lower() or "unknown" in line), "")
    return (
        f"llama.cpp cannot load the weights {settings.path!r}: {said or reason}. Is it a chat model of an architecture "
        "that this version knows, and is there memory enough? LocalModel(…, verbose=True) shows what it says"
    )


def _packages() -> str:
    """The directory that holds the runtime.

    Raises:
        MissingExtraError: it is not installed.
    """
    found = importlib.util.find_spec("xllamacpp")
    if found is None or found.origin is None:
        raise MissingExtraError("a model on this machine", extra="local")
    return str(Path(found.origin).parent.parent)


def _reach(url: str, direct: bool) -> None:  # noqa: FBT001  # private, two callers
    """Our own server is reached past any proxy."""
    from lumosai._http.proxies import go_direct

    parts = urlsplit(url)
    go_direct(f"{parts.hostname}:{parts.port}", direct)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("the process was started without a pipe")
    return pipe


def _forked() -> None:
    """In a forked process nothing is shared with the parent's servers."""
    global _lock  # noqa: PLW0603  # a lock that was held at the fork is held for ever
    _lock = threading.Lock()
    _locks.clear()
    for server in _servers.values():
        server.forget()
    _servers.clear()


atexit.register(stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
