"""What runs had said whose process is gone: read from their journals, by who reads their thread or goes on with it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import DecodeError
from msgspec.structs import replace

from lumosai.errors import StorageBrokenError
from lumosai.events import Folding, MemorySaved, RunStarted, from_json
from lumosai.storage.base import Page, StoredMessage

if TYPE_CHECKING:
    from lumosai.events import Event
    from lumosai.messages import Message
    from lumosai.storage.base import Handle

logger = logging.getLogger("lumosai.memory")

_PAGE: Final = 32
"""How many batches are read at once; a batch of a run that has ended may hold 256 KiB."""


class Said(NamedTuple):
    """What a run said, as far as its events tell.

    Attributes:
        messages: all of it.
        saved: the ids of those that are in its thread, its input's included.
        at: the time of its last event, unix seconds.
    """

    messages: tuple[Message, ...]
    saved: frozenset[str]
    at: float


async def cut_short(handle: Handle, run_id: str) -> Message | None:
    """The answer that a run which is at work nowhere had shown, in part or whole, and not stored; None where there is none.

    Of an answer whose tools were cut, nothing: whoever goes on with the run stores that with their results.
    """
    said = await _said(handle, run_id)
    last = said.messages[-1] if said is not None and said.messages else None
    if said is None or last is None or str(last.id) in said.saved or last.role != "assistant" or last.tool_calls:
        return None
    return last


async def page_as_shown(
    handle: Handle, thread_id: str, *, branch: int | None = None, limit: int, cursor: str | None = None, newest: bool
) -> Page[StoredMessage]:
    """A page with what was shown behind its last message by a run whose process is gone, and is in no thread yet.

    It is there until somebody goes on with the run, or with the thread: then it is stored, or said anew. An answer that is
    not whole, or whose tools were cut, is marked `interrupted`.
    """
    page, left = await handle.messages_and_left(thread_id, branch=branch, limit=limit, cursor=cursor, newest=newest)
    items = [*page.items]
    for run_id in left if items else ():
        said = await _said(handle, run_id)
        if said is not None:
            new = [m for m in said.messages if str(m.id) not in said.saved]
            items += [StoredMessage(m, items[-1].seq + n, run_id, said.at) for n, m in enumerate(_marked(new), 1)]
    return replace(page, items=tuple(items)) if len(items) > len(page.items) else page


def _marked(messages: list[Message]) -> list[Message]:
    """The messages, the last answer marked where it has calls; one that is not whole is already."""
    last = next((n for n in reversed(range(len(messages))) if messages[n].role == "assistant"), None)
    if last is not None and messages[last].tool_calls:
        messages[last] = replace(messages[last], metadata={**messages[last].metadata, "interrupted": True})
    return messages


async def _said(handle: Handle, run_id: str) -> Said | None:
    """What a run that is at work nowhere had said; None where that is not kept, or not in a thread."""
    record = await handle.run(run_id)
    if record is None or record.status != "running":
        return None
    events: list[Event] = []
    try:
        while batches := await handle.events(run_id, after=events[-1].seq if events else 0, limit=_PAGE):
            after = events[-1].seq if events else 0
            events += [e for b in batches for line in b.split(b"\n") if (e := from_json(line)).seq > after]
    except (DecodeError, StorageBrokenError) as error:  # nobody is kept from the thread by what is not in it
        logger.warning("what run %s had said cannot be read: %s", run_id, error)
        return None
    saved = frozenset(i for e in events if type(e) is MemorySaved and e.run_id == run_id for i in e.message_ids)
    started = events[0] if events else None
    if type(started) is not RunStarted or not started.save_to_memory or (started.input and not saved):
        return None
    return Said(Folding(events).result().messages, saved, events[-1].at)
