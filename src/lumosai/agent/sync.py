"""The synchronous edge: coroutines run to their end on the event loop that the process has in the background."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from lumosai._background import background_loop, is_background
from lumosai.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """What `coroutine` returns, or raises. Ctrl-C cancels it.

    Raises:
        InvalidInputError: called on the background loop's own thread, as from a tool of a synchronous run.
    """
    loop = background_loop()
    if is_background():
        coroutine.close()
        msg = "a *_sync call inside the event loop that runs it would wait for itself: use the async form and await it"
        raise InvalidInputError(msg)
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise
