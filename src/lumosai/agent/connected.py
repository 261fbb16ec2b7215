"""A run that goes on anywhere, or has ended: read, waited for, steered, answered, stopped, from any process.

What happens here goes straight to the run where it is at work in this event loop, else by way of the storage: events are
read when they are committed, and what is asked of the run is put into its inbox.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Generic

from msgspec.structs import replace

from lumosai.agent import live
from lumosai.agent.history import PAGE, Epochs, error_of, events_in
from lumosai.agent.inbox import Decision, cancelling, deciding, sending
from lumosai.agent.inputs import messages_of
from lumosai.errors import (
    ConflictError,
    CursorError,
    InvalidInputError,
    LeaseLostError,
    NotFoundError,
    StorageError,
)
from lumosai.events import (
    TERMINAL,
    ApprovalRequested,
    ApprovalResolved,
    Error,
    Folding,
    ModelCallStarted,
    TextDelta,
    ToolCallComplete,
)
from lumosai.ids import new_id
from lumosai.messages import scrub
from lumosai.records import AgentResult, Approval, Cursor, Out
from lumosai.storage.base import RunRecord
from lumosai.storage.lookout import lookout_of, poke

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from lumosai._schema import OutputSchema
    from lumosai.agent.live import AtWork
    from lumosai.events import Event
    from lumosai.messages import Message
    from lumosai.storage.base import Handle, Storage, Stretch
    from lumosai.storage.lookout import Following

_PATIENCE_S: Final = 60.0
"""How long a storage that cannot be reached is asked again."""
_PAUSE_S: Final = 0.5


class ConnectedRun(Generic[Out]):
    """A run in any process, by its id; made by `Agent.connect` and `Lumosai.connect`.

    It holds nothing open: there is nothing to close, and losing it does nothing to the run.

    Args:
        storage: where it is kept.
        handle: the storage, as the run's scope sees it.
        record: the run, as it was found.
        schema: of the agent's output type, None for plain text.
        end: ends the run, in whose inbox its cancel lies, where it is at work nowhere.
    """

    def __init__(
        self,
        storage: Storage,
        handle: Handle,
        record: RunRecord,
        *,
        schema: OutputSchema | None,
        end: Callable[[], Awaitable[None]],
    ) -> None:
        self._storage = storage
        self._handle = handle
        self._record = record
        self._schema = schema
        self._end = end

    @property
    def id(self) -> str:
        """The root run's id, UUIDv7 text."""
        return self._record.id

    def __repr__(self) -> str:
        return f"<ConnectedRun {self.id} of agent {self._record.agent!r}>"

    async def record(self) -> RunRecord:
        """How the run stands now: its status, its last number, its epoch.

        Raises:
            NotFoundError: it was deleted.
        """
        found = await record_of(self._storage, self._handle, self.id)
        if found is None:
            raise _gone(self._handle, self.id)
        return found

    def __aiter__(self) -> AsyncIterator[Event]:
        return self.subscribe()

    def subscribe(self, after: Cursor | str | int = 0) -> Subscription:
        """The events behind a place, each once and in order, then each further one when it is committed.

        Ends with the run's last event. Of a run that is paused, or whose process died, it waits: it goes on where
        somebody takes the run up. The requests in `model_call_started` are named by hash, as they are stored.

        Args:
            after: a cursor, as `Subscription.cursor` gives it or as `epoch.seq`; or the number of an event.

        Raises (when it is read):
            CursorError: the place lies beyond what is kept; its `last` is the last good one.
            NotFoundError: the run was deleted.
        """
        if isinstance(after, str):
            after = Cursor.parse(after)
        return Subscription(self._storage, self._handle, self.id, after)

    async def text(self) -> AsyncIterator[str]:
        """The answer's text as it comes, all steps. Text that a retry made void has been given by then.

        Raises:
            LumosaiError: what the run ended with, after all text.
        """
        async with self.subscribe() as events:
            async for event in events:
                if type(event) is TextDelta and event.run_id == self.id:
                    yield event.delta
                elif type(event) is Error and event.run_id == self.id:
                    raise error_of(event)

    async def result(self) -> AgentResult[Out]:
        """Waits until the run has ended, or is paused where nobody at work can answer; what it gave.

        Raises:
            LumosaiError: what the run ended with; its `result` is the partial one.
        """
        async with self.subscribe() as subscription:
            subscription.until_paused = True
            events = [event async for event in subscription]
        result = self.typed(Folding(events).result())
        last = events[-1]
        if type(last) is Error and last.run_id == self.id:
            error = error_of(last)
            error.result = result
            raise error
        return result

    async def send(self, message: str | Message) -> None:
        """Adds a user's message, which the run takes in before its next step; a paused one, when somebody goes on with it.

        Returns when the message is kept: from then on it is in the run, or is the last of its messages, unanswered.

        Raises:
            InvalidInputError: the message is empty or not a user's, or the run has ended.
        """
        messages = [m if m.id is not None else replace(m, id=new_id()) for m in messages_of(message)]
        if any(m.role != "user" for m in messages):
            msg = f"a {messages[0].role} message cannot be sent into a run: make it a user's, Message.user('…')"
            raise InvalidInputError(msg)
        here = self._here()
        if here is not None and not here.state.log.visible and not here.state.ended:  # it is not kept yet
            here.inbox.extend(messages)
            return
        try:
            await self._handle.post(self.id, sending(messages))
        except ConflictError as error:
            raise InvalidInputError(f"{error}: send the message with a new generate() or stream()") from error
        poke(self._storage, turns=False)

    async def cancel(self, reason: str = "cancelled") -> None:
        """Has the run stopped by the process that is at work on it; what came so far is kept.

        Where none is, as of a paused run or one whose process died, it is ended here, without its agent. Cancelling a
        run that has ended does nothing.
        """
        reason = scrub(reason) or "cancelled"
        here = self._here()
        if here is not None:
            here.stop(reason)
            return
        try:
            await self._handle.post(self.id, cancelling(reason))
        except ConflictError:
            if (await self.record()).status != "ended":
                raise
            return
        try:
            await self._end()
        except LeaseLostError:  # somebody is at work on it, and finds it in the inbox
            return

    async def approve(self, call_id: str, *, by: str = "", reason: str = "") -> None:
        """Lets a waiting call run, with exactly the arguments that were shown. Doing it twice does nothing more.

        Of a paused run it is kept until somebody goes on with the run.

        Raises:
            InvalidInputError: no call of that id waits.
        """
        await self._decide(call_id, granted=True, by=by, reason=reason)

    async def deny(self, call_id: str, reason: str = "", *, by: str = "") -> None:
        """Refuses a waiting call; the model is told `reason`.

        Raises:
            InvalidInputError: no call of that id waits.
        """
        await self._decide(call_id, granted=False, by=by, reason=reason)

    async def _decide(self, call_id: str, *, granted: bool, by: str, reason: str) -> None:
        here = self._here()
        if here is not None and (waiting := here.state.approvals.get(call_id)) is not None:
            approval = Approval(call_id, waiting.arguments_hash, granted, scrub(by), scrub(reason))
            waiting.resolve(waiting, approval)
            await here.state.log.settled()
            return
        asked, decided = await self._asked()
        if call_id in decided:
            return
        if call_id not in asked:
            known = ", ".join(c for c in asked if c not in decided) or "none"
            raise InvalidInputError(f"no call {call_id!r} of run {self.id} waits for an approval; waiting: {known}")
        decision = Decision(call_id, asked[call_id], scrub(by), scrub(reason))
        try:
            await self._handle.post(self.id, deciding(decision, granted=granted))
        except ConflictError as error:
            raise InvalidInputError(f"{error}: the call {call_id!r} waits no more") from error
        poke(self._storage, turns=False)

    async def _asked(self) -> tuple[dict[str, str], set[str]]:
        """The calls that asked for an approval, with their arguments' hashes, and those that are decided or done."""
        asked: dict[str, str] = {}
        decided: set[str] = set()
        at = 0
        while batches := await self._handle.events(self.id, after=at, limit=PAGE):
            for event in events_in(batches, at):
                at = event.seq
                if type(event) is ApprovalRequested:
                    asked[event.call.id] = event.arguments_hash
                    decided.discard(event.call.id)
                elif type(event) is ApprovalResolved or type(event) is ToolCallComplete:
                    decided.add(event.call_id)
        return asked, decided & asked.keys()

    def typed(self, result: AgentResult[Any]) -> AgentResult[Out]:
        """The result with its output as its type; as JSON, where the run had another type than its agent has."""
        if self._schema is None or result.output is None:
            return result
        from lumosai._schema import InvalidOutput

        try:
            return replace(result, output=self._schema.load(result.output))
        except InvalidOutput:
            return result

    def _here(self) -> AtWork | None:
        return _at_work_here(self._storage, self.id)


class Subscription:
    """A reader of a run's events. Iterate it; it may be used as an async context manager, so that it ends at once.

    Attributes:
        cursor: the place behind the event that was given last: `subscribe(after=cursor)` goes on from there. `str` of it
            is the form on the wire.
        until_paused: whether it ends, too, where the run is paused and at work nowhere.
    """

    def __init__(self, storage: Storage, handle: Handle, run_id: str, after: Cursor | int) -> None:
        self.cursor = after if isinstance(after, Cursor) else Cursor(0, max(after, 0))
        self.until_paused = False
        self._storage = storage
        self._handle = handle
        self._run_id = run_id
        self._epochs = Epochs({1: 1})
        self._events: AsyncGenerator[Event, None] | None = None
        self._numbered = not isinstance(after, Cursor)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Reads no more."""
        if self._events is not None:
            await self._events.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._events is None:
            self._events = self._read()
        return await anext(self._events)

    async def _read(self) -> AsyncGenerator[Event, None]:
        await self._begin()
        async with aclosing(self._from_here()) as events:
            async for event in events:
                self.cursor = self._epochs.cursor(event.seq)
                yield event
                if _ends(event, self._run_id):
                    return
        lookout = lookout_of(self._storage)
        following = lookout.follow(self._run_id)
        try:
            async with aclosing(self._from_storage(following)) as events:
                async for event in events:
                    self.cursor = self._epochs.cursor(event.seq)
                    yield event
        finally:
            lookout.unfollow(following)

    async def _begin(self) -> None:
        """Looks whether the place to begin at is good.

        Raises:
            CursorError: it is not.
        """
        try:
            stretch = await self._stretch(0, 0)
        except NotFoundError:
            record = await record_of(self._storage, self._handle, self._run_id)
            if record is None:
                raise
        else:
            record, self._epochs = stretch.run, Epochs(stretch.epochs)
        if self._numbered:
            self.cursor = Cursor(self._epochs.cursor(self.cursor.seq).epoch, self.cursor.seq)
        self._epochs.check(self.cursor, record)

    async def _from_here(self) -> AsyncGenerator[Event, None]:
        """The events of a run that is at work in this event loop, until it leaves."""
        here = _at_work_here(self._storage, self._run_id)
        if here is None or here.journal is None:
            return
        light = here.journal.light
        async with aclosing(here.state.log.read(self.cursor.seq)) as events:
            async for event in events:
                yield light(event) if type(event) is ModelCallStarted else event

    async def _from_storage(self, following: Following) -> AsyncGenerator[Event, None]:
        """The events as they are stored, until the last."""
        while True:
            at = self.cursor.seq
            stretch = await self._stretch(at, PAGE)
            if len(stretch.epochs) != self._epochs.count:
                self._next_epoch(stretch.epochs, at)
            new = events_in(stretch.batches, at)
            for event in new:
                yield event
                if _ends(event, self._run_id):
                    return
            if not new:
                run = stretch.run
                if run.status == "ended" or (self.until_paused and run.status == "paused"):
                    return
                await following.beyond(run)

    def _next_epoch(self, epochs: dict[int, int], at: int) -> None:
        """The run was taken up.

        Raises:
            CursorError: by somebody who did not find all that was read here, which a database's crash took back.
        """
        known, self._epochs = self._epochs, Epochs(epochs)
        lost = [first for epoch, first in epochs.items() if epoch > known.newest and first <= at]
        if lost:
            last = self._epochs.cursor(min(lost) - 1)
            raise CursorError(
                f"run {self._run_id} went on without its events from {min(lost)} on, which its database lost: read on "
                f"from {last}",
                last=str(last),
            )

    async def _stretch(self, after: int, limit: int) -> Stretch:
        """What is stored behind an event, however long the storage cannot be reached, up to a minute."""
        began = time.monotonic()
        while True:
            try:
                return await self._handle.stretch(self._run_id, after=after, limit=limit)
            except StorageError as error:
                if not error.retryable or time.monotonic() - began > _PATIENCE_S:
                    raise
                await asyncio.sleep(_PAUSE_S)


async def record_of(storage: Storage, handle: Handle, run_id: str) -> RunRecord | None:
    """A run as it is kept; one that has just begun here, and is not kept yet, without an event."""
    found = await handle.run(run_id)
    here = _at_work_here(storage, run_id) if found is None else None
    if here is not None and here.seen_by(handle.scope):
        return RunRecord(id=run_id, agent=here.state.name)
    return found


def _ends(event: Event, run_id: str) -> bool:
    return isinstance(event, TERMINAL) and event.run_id == run_id


def _at_work_here(storage: Storage, run_id: str) -> AtWork | None:
    """The run, where it is at work in this event loop."""
    found = live.find(storage, run_id)
    return found if found is not None and found.home is asyncio.get_running_loop() else None


def _gone(handle: Handle, run_id: str) -> NotFoundError:
    return NotFoundError(f"run {run_id} is not there any more in {handle.scope}")
