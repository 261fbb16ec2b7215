"""The synchronous edge: coroutines run to their end on one background event loop a process.

One loop for all calls keeps connections open between them and works where a loop is already running, as in a notebook.
"""

from __future__ import annotations

import asyncio
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


def _background() -> asyncio.AbstractEventLoop:
    global _loop, _owner  # noqa: PLW0603  # the one loop of the process
    with _lock:
        if _loop is None or _owner != os.getpid():
            _loop = _new_loop()
            _owner = os.getpid()
            threading.Thread(target=_loop.run_forever, name=_NAME, daemon=True).start()
        return _loop


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
