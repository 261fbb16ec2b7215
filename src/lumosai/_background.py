"""The event loop that a process has in the background, on a daemon thread, for what needs one where none is running.

There is one a process: it keeps connections open between calls, and works where a loop is already running, as in a
notebook. At the program's end what still runs on it is cancelled, and its connections are closed, as `asyncio.run` would.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = "lumosai-background"
"""The name of its thread."""
_GRACE_S: Final = 1.0
"""Seconds that tasks have to end in when the program does."""

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_last: Final[list[Callable[[], None]]] = []
_owner = 0
"""The process the loop belongs to: a fork has no threads and needs its own."""


def background_loop() -> asyncio.AbstractEventLoop:
    """The loop, running; made where there is none.

    Raises:
        RuntimeError: there is none, and no thread can be started for one, as from Python 3.12 on in a program that ends.
    """
    global _loop, _owner, _thread  # the one loop of the process
    with _lock:
        if _loop is None or _owner != os.getpid():
            made = _new_loop()
            thread = threading.Thread(target=made.run_forever, name=NAME, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                made.close()
                raise
            _loop, _thread, _owner = made, thread, os.getpid()
        return _loop


def at_end(last: Callable[[], None]) -> None:
    """Has a function called when the program ends, while the loop still runs. It is to be done within a second or two."""
    if last not in _last:
        _last.append(last)


def forget(last: Callable[[], None]) -> None:
    """Takes back what `at_end` was told."""
    with contextlib.suppress(ValueError):
        _last.remove(last)


def is_background() -> bool:
    """Whether this is the loop's own thread, which nothing may wait for the loop on."""
    return threading.current_thread().name == NAME


def _forget() -> None:
    """In a forked child: another thread of the parent may have held the lock, and nobody is left to free it."""
    global _lock, _loop  # as in `background_loop`
    _lock, _loop = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@atexit.register
def _end() -> None:
    for last in [*_last]:
        with contextlib.suppress(Exception):
            last()
    loop, thread = _loop, _thread
    if loop is None or thread is None or _owner != os.getpid():
        return
    with contextlib.suppress(TimeoutError):
        asyncio.run_coroutine_threadsafe(_wind_down(loop), loop).result(2 * _GRACE_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(_GRACE_S)
    if not thread.is_alive():
        loop.close()


async def _wind_down(loop: asyncio.AbstractEventLoop) -> None:
    running = asyncio.all_tasks() - {asyncio.current_task()}
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=_GRACE_S)
    await loop.shutdown_asyncgens()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
