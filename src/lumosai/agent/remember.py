"""What a run does with its thread: takes its turn, reads what was said, keeps what it says."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from lumosai._loggers import logger_of
from lumosai.errors import LeaseLostError, StorageError, ThreadBusyError
from lumosai.events import MemoryRecalled, MemorySaved
from lumosai.memory.base import Recalled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from lumosai.agent.journal import Journal
    from lumosai.agent.state import RunState
    from lumosai.memory.base import Asking, Conversation, Fitting, Kept, RunMemory, Turn
    from lumosai.messages import Message
    from lumosai.models.tokens import Counter
    from lumosai.records import ToolDefinition, Usage
    from lumosai.storage.base import Write
    from lumosai.tools.base import Tool

T = TypeVar("T")


logger = logger_of("lumosai.agent")


class Remember:
    """One run's turn on a thread.

    Attributes:
        turn: what the run says of itself.
        branch: the branch's number, once the turn has come.
        queued_ms: how long that took.
        journal: the run's, whose lease the thread is written under; None where it is not kept.
        plan: what went into the first request, once it is known.
        used: the tokens of the last request, as its provider reported them; 0 where none did.
    """

    __slots__ = (
        "_conversation",
        "_kept",
        "_memory",
        "_planned",
        "_state",
        "branch",
        "journal",
        "plan",
        "queued_ms",
        "turn",
        "used",
    )

    def __init__(self, memory: RunMemory, turn: Turn, state: RunState) -> None:
        self.turn = turn
        self.branch = turn.branch
        self.queued_ms = 0.0
        self.journal: Journal | None = None
        self._memory = memory
        self._state = state
        self._conversation: Conversation | None = None
        self._kept = {m.id for m in turn.input}
        self._planned: tuple[int, Counter] | None = None
        self.plan: MemoryRecalled | None = None
        self.used = 0

    async def enter(self, interrupt: Callable[[str], None]) -> None:
        """Waits for the run's turn. A run that is to stop does not, and keeps nothing where another is at work.

        Raises:
            ThreadBusyError: it does not come.
        """
        if self._state.stopping:
            self.turn = msgspec.structs.replace(self.turn, if_busy="reject")
            with suppress(ThreadBusyError):
                self._conversation = await self._memory.enter(self.turn, interrupt)
                self._tell_place()
            return
        conversation = self._conversation = await self._memory.enter(self.turn, interrupt)
        self.branch, self.queued_ms = conversation.branch, conversation.queued_ms
        self._tell_place()

    def _tell_place(self) -> None:
        """The journal gives the place on the branch back with the run's last events."""
        if self.journal is not None and self._conversation is not None:
            self.journal.has_place(self._conversation.place)

    async def recall(self, asking: Asking) -> Recalled:
        """What goes into the first request besides the instructions. The input is stored from here on."""
        if self._conversation is None:
            return Recalled((), input=self.turn.input)
        began = time.perf_counter()
        recalled = await self._conversation.recall(asking, _Storing(self))
        self._tell_place()
        if self.journal is not None:
            self.journal.at_hand.tell(recalled.stored)
        event = self._state.of_run(
            MemoryRecalled,
            recalled.plan,
            "recall",
            "",
            len(recalled.messages) + len(recalled.input) - len(self.turn.input),
            round((time.perf_counter() - began) * 1e3, 3),
            None,
            recalled.tokens,
            recalled.budget,
            recalled.counted,
            recalled.off,
            recalled.notes,
            recalled.scale,
            asking.embed.told if asking.embed is not None else (),
        )
        self.plan = cast("MemoryRecalled", event)
        if self._conversation.saves and self.turn.input:
            self._state.of_run(MemorySaved, tuple([str(m.id) for m in self.turn.input]))
        self._planned = recalled.size, asking.counter
        return recalled

    async def tools(self, told: Iterable[ToolDefinition]) -> tuple[Tool, ...]:
        """What the memory gives the model, for a run that goes on without `recall`, of the tools it was told of."""
        names = frozenset([t.name for t in told])
        return await self._conversation.tools(names) if self._conversation is not None else ()

    def fitting(self, asking: Asking, plan: MemoryRecalled) -> Fitting | None:
        """What keeps requests behind the first within its plan's budget; None where nobody knows how much they may take."""
        if plan.budget is None or self._conversation is None:
            return None
        return self._conversation.fitting(asking, plan.budget, plan.scale)

    def answering(self, message: Message) -> None:
        """A message of the model's is being acted on."""
        if self._conversation is not None and message.id is not None:
            self._conversation.answering(message.id)

    def learn(self, usage: Usage) -> None:
        """What the provider reported of a request corrects how tokens are counted: the run's, and by its first the model's."""
        self.used = usage.input_tokens
        if self._planned is not None:
            (size, counter), self._planned = self._planned, None
            counter.learn(size, usage.input_tokens)

    @property
    def entitles(self) -> bool:
        """Whether the thread may be given a title by the model."""
        return self._conversation is not None and self._conversation.saves and self._conversation.entitles

    async def wants_title(self) -> bool:
        """Whether the thread has no title but its first words."""
        return self._conversation is not None and await self._conversation.wants_title()

    async def entitle(self, title: str) -> None:
        """Gives the thread a title, in one transaction with the events so far.

        Raises:
            StorageError: it could not be stored.
        """
        if self._conversation is not None:
            await self.store(self._conversation.entitle(title))

    def store(self, write: Write[T]) -> Awaitable[T]:
        """Stores something, in one transaction with the events so far where the run is kept."""
        return self.journal.together(write) if self.journal is not None else write

    def begin_with(self, write: Write[T], told: Callable[[T], None]) -> bool:
        """As `memory.base.Store.begin_with`."""

        def tell(value: T) -> None:
            told(value)
            self._tell_place()

        return self.journal is not None and self.journal.begin_with(write, tell)

    def anew(self) -> None:
        """The run begins anew, since its turn on the thread was not what it took it for: now it takes it before it recalls."""
        if self._conversation is not None:
            self._conversation.leave(comes_again=True)
        self._conversation = self._planned = self.plan = None
        self.turn = msgspec.structs.replace(self.turn, at_once=True)

    async def keep(self, messages: Sequence[Message]) -> None:
        """Stores what is not stored yet: where the run is kept, in one transaction with the events that follow.

        Raises:
            StorageError: it could not be. Of a run that is kept the journal says so: see `Journal.along`.
        """
        new = [m for m in messages if m.id is None or m.id not in self._kept]
        if self._conversation is None or not self._conversation.saves or not new:
            return
        kept = self._conversation.keep(new)
        journal = self.journal
        if journal is None or journal.error is not None:
            await kept.write.under(journal.lease if journal is not None else None)
        else:
            journal.along(kept.write, kept.ids).add_done_callback(lambda done: self._stored(kept, done.exception()))
        self._kept.update(kept.ids)
        self._state.of_run(MemorySaved, kept.ids)

    def _stored(self, kept: Kept, error: BaseException | None) -> None:
        """What went along with events is stored, or is not: then it is tried again at the run's end, if it goes on."""
        if error is not None:
            self._kept.difference_update(kept.ids)
            logger.warning("run %s: %d messages were not kept: %s", self.turn.run_id, len(kept.ids), error)

    async def keep_step(self, messages: Sequence[Message]) -> None:
        """As `keep`, in the middle of a run, which goes on without it: what is missing is stored at its end."""
        try:
            await self.keep(messages)
        except LeaseLostError:
            raise
        except StorageError as error:
            logger.warning("run %s: a step was not kept yet, and will be tried again: %s", self.turn.run_id, error)

    async def keep_in_the_end(self, messages: Sequence[Message]) -> asyncio.CancelledError | None:
        """As `keep`, of a run that failed or was stopped: never raises. A cancel meanwhile is given back, not lost."""
        cancelled: asyncio.CancelledError | None = None
        task = asyncio.ensure_future(self.keep(messages))
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
        failed = None if task.cancelled() else task.exception()
        if failed is not None:
            logger.error("run %s: what it said last was not kept: %s", self.turn.run_id, failed)
        return cancelled

    async def give_back(self) -> None:
        """Lets the next run in, where that was not done with the run's last events, or goes with its lease."""
        journal = self.journal
        if self._conversation is not None and (journal is None or not (journal.gave_back or journal.left)):
            await self._conversation.give_back()

    def leave(self) -> None:
        """The run is at work on its thread no more."""
        if self._conversation is not None:
            self._conversation.leave()


class _Storing:
    """`memory.base.Store` for one run."""

    __slots__ = ("_remember",)

    def __init__(self, remember: Remember) -> None:
        self._remember = remember

    def __call__(self, write: Write[T]) -> Awaitable[T]:
        return self._remember.store(write)

    def begin_with(self, write: Write[T], told: Callable[[T], None]) -> bool:
        return self._remember.begin_with(write, told)
