"""What the checks have in common: what a check is, and short ways to look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from lumosai.storage.base import Storage

if TYPE_CHECKING:
    from lumosai.messages import Message
    from lumosai.storage.base import Handle

Check = Callable[[Storage], Awaitable[None]]
"""A promise, tried on an empty storage."""


async def texts(handle: Handle, thread_id: str, branch: int | None = None) -> list[str]:
    """The texts on a branch's path."""
    return [s.message.text for s in (await handle.messages(thread_id, branch=branch, limit=1000)).items]


async def all_of(handle: Handle, thread_id: str) -> list[Message]:
    """The messages on the active branch's path."""
    return [s.message for s in (await handle.messages(thread_id, limit=1000)).items]


async def refused(kind: type[Exception], call: Awaitable[object]) -> None:
    """The call fails with that kind of error."""
    try:
        given = await call
    except kind:
        return
    raise AssertionError(f"expected {kind.__name__}, got {given!r}")
