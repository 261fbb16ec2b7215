"""A run that goes on anywhere, or has ended: read, waited for, steered, answered, stopped, from any process.

What happens here goes straight to the run where it is at work in this event loop, else by way of the storage: events are
read when they are committed, and what is asked of the run is put into its inbox.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic

from msgspec.structs import replace

from lumosai.agent.history import PAGE, error_of, events_in
from lumosai.agent.inbox import Decision, cancelling, deciding, sending
from lumosai.agent.inputs import messages_of
from lumosai.agent.subscription import Subscription, at_work_here, gone, record_of
from lumosai.errors import (
    ConflictError,
    InvalidInputError,
    LeaseLostError,
)
from lumosai.events import (
    ApprovalRequested,
    ApprovalResolved,
    Error,
    Folding,
    TextDelta,
    ToolCallComplete,
)
from lumosai.ids import new_id
from lumosai.messages import scrub
from lumosai.records import AgentResult, Approval, Cursor, Out
from lumosai.storage.lookout import poke

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lumosai._schema import OutputSchema
    from lumosai.agent.live import AtWork
    from lumosai.events import Event
    from lumosai.messages import Message
    from lumosai.storage.base import Handle, RunRecord, Storage


class ConnectedRun(Generic[Out]):
    """A run in any process, by its id; made by `Agent.connect` and `Lumosai.connect`.

    It holds nothing open: there is nothing to close, and losing it does nothing to the run.

    Args:
        storage: where it is kept.
        handle: the storage, as the run's scope sees it.
        record: the run, as it was found.
        schema: of the agent's output type, None for plain text.
        end: ends the run, in whose inbox its cancel lies, where it is at work nowhere.
        take_up: goes on with it here, with the user's object, where it is at work nowhere.
    """

    def __init__(
        self,
        storage: Storage,
        handle: Handle,
        record: RunRecord,
        *,
        schema: OutputSchema | None,
        end: Callable[[], Awaitable[None]],
        take_up: Callable[[Any], Awaitable[None]],
    ) -> None:
        self._storage = storage
        self._handle = handle
        self._record = record
        self._schema = schema
        self._end = end
        self._take_up = take_up

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
            raise gone(self._handle, self.id)
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

        Returns when the message is kept: from then on it is the run's to answer, also where that was about to end. Of a
        run that reaches a limit, fails or is stopped it is the last message, unanswered.

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

    async def go_on(self, thread_id: str, branch: int | None, context: Any) -> None:
        """Goes on with the run in this event loop, where the process is gone that was at work on it on that branch.

        Raises:
            ConfigurationError: it is another agent's, or this one is not as the run needs it; see `Agent.resume`.
        """
        place = await self._handle.look_at_turn(thread_id, branch=branch)
        if self.id in place.passed and self._here() is None:
            with suppress(LeaseLostError):  # somebody else was quicker
                await self._take_up(context)

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
        return at_work_here(self._storage, self.id)
