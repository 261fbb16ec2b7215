"""The synchronous edge: coroutines run to their end on one background event loop a process.

One loop for all calls keeps connections open between them and works where a loop is already running, as in a notebook.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from lumosai.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_owner = 0
"""The process the loop belongs to: a fork has no threads and needs its own."""


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """What `coroutine` returns, or raises. Ctrl-C cancels it.

    Raises:
        InvalidInputError: called on the background loop's own thread, as from a tool of a synchronous run.
    """
    loop = _background()
    if threading.current_thread().name == _NAME:
        coroutine.close()
        msg = "a *_sync call inside the event loop that runs it would wait for itself: use the async form and await it"
        raise InvalidInputError(msg)
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise


_NAME = "lumosai-sync"
_GRACE_S = 1.0
"""Seconds that tasks have to end in when the program does."""


def _background() -> asyncio.AbstractEventLoop:
    global _loop, _owner  # noqa: PLW0603  # the one loop of the process
    with _lock:
        if _loop is None or _owner != os.getpid():
            _loop = _new_loop()
            _owner = os.getpid()
            thread = threading.Thread(target=_loop.run_forever, name=_NAME, daemon=True)
            thread.start()
            atexit.register(_end, _loop, thread, _owner)
        return _loop


def _forget() -> None:
    """In a forked child: another thread of the parent may have held the lock, and nobody is left to free it."""
    global _lock, _loop  # as in `_background`
    _lock, _loop = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, owner: int) -> None:
    """At the program's end: what still runs is cancelled, connections are closed, as `asyncio.run` would do it."""
    if owner != os.getpid():
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
