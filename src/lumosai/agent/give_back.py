"""The lease of a run that a failed storage ended, given back as soon as the storage is there again.

Until then the run is at work nowhere, though its owner lives: whoever wants to go on with it would wait until the lease
has run out.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from lumosai.errors import StorageError

if TYPE_CHECKING:
    from lumosai.storage.base import Handle, Lease

_FOR_S: Final = 10.0
"""By then the lease has run out by itself."""
_PAUSE_S: Final = 0.05
_LONGEST_S: Final = 0.5

_tasks: Final[set[asyncio.Task[None]]] = set()
"""The event loop itself keeps only weak references."""


def give_back(handle: Handle, lease: Lease) -> None:
    """Gives a lease back, trying again while the storage fails; ends with the event loop. Nobody waits for it."""
    task = asyncio.get_running_loop().create_task(_tried(handle, lease), name=f"lumosai lets go of {lease.run_id}")
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _tried(handle: Handle, lease: Lease) -> None:
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + _FOR_S, _PAUSE_S
    while loop.time() < until:
        try:
            await handle.let_go(lease)
        except StorageError:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_S)
        else:
            return
