"""One run's turn on a thread: it reads what was said, plans its prompt, and keeps what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from lumosai.errors import InvalidInputError, NotFoundError
from lumosai.ids import new_id
from lumosai.memory import _pipeline as pipeline
from lumosai.memory.base import Kept
from lumosai.storage.base import ThreadRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.memory._turns import MyTurn
    from lumosai.memory.base import Asking, Recalled, Store, Turn
    from lumosai.memory.options import Settings
    from lumosai.messages import Message
    from lumosai.storage.base import Begun, Handle, StoredMessage, Write

_TITLE: Final = 60
_MOST: Final = 1000


class Talk:
    """See `memory.base.Conversation`."""

    def __init__(self, handle: Handle, turn: Turn, mine: MyTurn, settings: Settings) -> None:
        self.branch = mine.branch
        self.queued_ms = 0.0
        self._handle = handle
        self._turn = turn
        self._mine = mine
        self._settings = settings

    @property
    def saves(self) -> bool:
        return self._settings.keeps

    @property
    def place(self) -> int:
        return self._mine.place

    async def recall(self, asking: Asking, store: Store) -> Recalled:
        turn, settings = self._turn, self._settings
        last = settings.last_messages
        earlier = await (self._begun(store, last) if settings.keeps else self._earlier(last))
        if not earlier and not turn.input:
            raise InvalidInputError(f"thread {turn.thread_id!r} is empty: there is nothing to answer")
        plan = pipeline.begun(turn, asking, self.branch, earlier, pipeline.budget_of(settings.token_budget, asking))
        sources = [settings.recall] if settings.recall is not None else []
        await pipeline.processed(plan, sources, pipeline.chain(settings.processors, last), self._handle)
        recalled = pipeline.finished(plan, asking, earlier)
        return replace(recalled, stored=tuple([s.message for s in earlier]))

    def keep(self, messages: Sequence[Message]) -> Kept:
        turn = self._turn
        new = [m if m.id is not None else replace(m, id=new_id()) for m in messages]
        write = self._handle.prepare_messages(
            turn.thread_id, new, branch=self.branch, run_id=turn.run_id, place=self.place
        )
        return Kept(tuple([str(m.id) for m in new]), write)

    async def give_back(self) -> None:
        await self._mine.give_back()

    def leave(self) -> None:
        self._mine.leave()

    async def _begun(self, store: Store, last: int) -> tuple[StoredMessage, ...]:
        """Stores the input; what stands before it."""
        turn = self._turn
        thread = ThreadRecord(
            id=turn.thread_id,
            title=title_of(turn.input),
            agent_id=turn.agent,
            resource_id=turn.resource_id or "",
            created_at=0.0,
            updated_at=0.0,
        )

        def begin(*, wait: bool) -> Write[Begun]:
            return self._handle.prepare_turn(
                thread, turn.input, branch=self.branch, run_id=turn.run_id, last=last, wait=wait
            )

        return (await self._mine.begin(store, begin)).earlier

    async def _earlier(self, last: int) -> tuple[StoredMessage, ...]:
        if last == 0:
            return ()
        try:
            page = await self._handle.messages(
                self._turn.thread_id, branch=self.branch, limit=min(last, _MOST), newest=True
            )
        except NotFoundError:
            if self._turn.branch is not None:
                raise
            return ()
        return page.items


def title_of(messages: Sequence[Message]) -> str:
    """A thread's first title: the first words of what its user said."""
    text = next((m.text for m in messages if m.role == "user" and m.text.strip()), "")
    words = " ".join(text.split())
    if len(words) <= _TITLE:
        return words
    cut = words[:_TITLE]
    return f"{cut.rpartition(' ')[0] or cut}…"
