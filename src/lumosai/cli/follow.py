"""Following a run to its end: shows each event, answers approvals, and turns Ctrl-C into a cancelled run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from lumosai.events import ApprovalRequested, Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lumosai.agent.run import Run

    Show = Callable[[Event], None]
    Decide = Callable[[ApprovalRequested], Awaitable[bool]]


class Followed(NamedTuple):
    """A run that was followed to its end.

    Attributes:
        events: all of them.
        interrupted: whether it was cancelled from here, be it too late to matter.
    """

    events: tuple[Event, ...]
    interrupted: bool


async def follow(run: Run[Any], show: Show, decide: Decide) -> Followed:
    """Reads an open run to its last event, showing each as it comes.

    Where this task is cancelled (which is what Ctrl-C does), the run is cancelled instead, and followed to its end, so
    that what came so far is kept; a second cancellation passes.

    Args:
        run: an opened run.
        show: called with each event.
        decide: asked for each call that needs an approval.
    """
    events: list[Event] = []
    try:
        await _read(run, run.__aiter__(), events, show, decide)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None:
            raise
        task.uncancel()
        run.cancel()  # does nothing where the run has ended
        await _read(run, run.subscribe(after=len(events)), events, show, decide)
        return Followed(tuple(events), True)
    return Followed(tuple(events), False)


async def _read(run: Run[Any], source: AsyncIterator[Event], events: list[Event], show: Show, decide: Decide) -> None:
    async for event in source:
        events.append(event)
        show(event)
        if isinstance(event, ApprovalRequested):
            if await decide(event):
                run.approve(event.call.id, by="user")
            else:
                run.deny(event.call.id, "the user refused", by="user")
