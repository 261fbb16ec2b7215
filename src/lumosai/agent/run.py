"""A run in the caller's hands: read it, wait for it, steer it, answer it, stop it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic

from lumosai.agent.inputs import messages_of
from lumosai.errors import InvalidInputError
from lumosai.events import OutputDelta, TextDelta, fold
from lumosai.records import AgentResult, Approval, Out

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator
    from types import TracebackType
    from typing import Self

    from lumosai.agent.loop import Loop
    from lumosai.events import Event
    from lumosai.messages import Message

import msgspec


class Run(Generic[Out]):
    """One execution of an agent.

    Use it as an async context manager. Leaving the block before the run has ended cancels it with the reason
    "abandoned", unless `detach` was called. Iterating gives its events; any number of further readers may `subscribe`.
    Only the first plain iteration (or `text`, `outputs`) holds the producer back when it reads slowly.

    Belongs to the event loop it was opened on; not thread-safe.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._log = loop.state.log
        self._task: asyncio.Task[None] | None = None
        self._opener_reads = False
        self._detached = False
        self._result: AgentResult[Out] | None = None

    @property
    def id(self) -> str:
        """The run's id, UUIDv7 text."""
        return self._loop.state.run_id

    def __repr__(self) -> str:
        state = "not started" if self._task is None else "ended" if self._task.done() else "running"
        return f"<Run {self.id} of agent {self._loop.state.name!r}, {state}, {len(self._log.events)} events>"

    async def __aenter__(self) -> Self:
        if self._task is not None:
            msg = f"run {self.id} was opened already: each agent.stream(…) is one run"
            raise InvalidInputError(msg)
        self._task = asyncio.create_task(self._drive(), name=f"lumosai run {self.id}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = self._started()
        if self._detached:
            return
        if not task.done():
            self.cancel("abandoned")
        # A sink for the task's end: its outcome is in the events, and an outer cancellation must still pass.
        await asyncio.wait([task])

    async def _drive(self) -> None:
        try:
            await self._loop.drive()
        finally:
            self._log.close()

    def _started(self) -> asyncio.Task[None]:
        if self._task is None:
            msg = "the run is not open: use `async with agent.stream(…) as run:`"
            raise InvalidInputError(msg)
        return self._task

    def __aiter__(self) -> AsyncIterator[Event]:
        """Every event from the first. Never raises what the run failed with: that is its last event."""
        self._started()
        bounding, self._opener_reads = not self._opener_reads, True
        return self._log.read(bounding=bounding)

    def subscribe(self, after: int = 0) -> AsyncIterator[Event]:
        """The events with a `seq` above `after`, then each further one; never holds the run back."""
        self._started()
        return self._log.read(after)

    async def text(self) -> AsyncIterator[str]:
        """The answer's text as it comes, all steps, without what tools and thoughts say.

        Raises:
            LumosaiError: what the run ended with, after all text.
        """
        run_id = self.id
        async for event in self:
            if type(event) is TextDelta and event.run_id == run_id:
                yield event.delta
        self._raise()

    async def outputs(self) -> AsyncIterator[Any]:
        """The structured output as far as it has come: JSON values, each longer than the one before.

        The last one equals `result.output` as JSON. A new attempt begins anew.

        Raises:
            InvalidInputError: the run's output is text.
            LumosaiError: what the run ended with.
        """
        output = self._loop.state.output
        if output is None:
            msg = "outputs() needs an output_type; for text use text()"
            raise InvalidInputError(msg)
        pieces: list[str] = []
        attempt, last = 0, None
        async for event in self:
            if type(event) is not OutputDelta or event.run_id != self.id:
                continue
            if event.attempt != attempt:
                attempt, pieces = event.attempt, []
            pieces.append(event.delta)
            value = output.schema.partial("".join(pieces))
            if value is not None and value != last:
                last = value
                yield value
        self._raise()
        final = fold(self._log.events).output
        if final != last:
            yield final

    async def result(self) -> AgentResult[Out]:
        """Waits for the end; what the run gave. Events nobody reads are drained.

        Raises:
            LumosaiError: what the run ended with; its `result` is the partial one.
        """
        task = self._started()
        self._log.unbound()
        await asyncio.shield(asyncio.wait([task]))
        return self._finish()

    def send(self, message: str | Message) -> Acknowledged:
        """Adds a message, which the run takes in before its next step; an answer that was ready is followed by another.

        Raises:
            InvalidInputError: the message is empty, or the run has ended.
        """
        if self._started().done():
            msg = f"run {self.id} has ended: send the message with a new generate() or stream()"
            raise InvalidInputError(msg)
        self._loop.inbox.extend(messages_of(message))
        return ACKNOWLEDGED

    def cancel(self, reason: str = "cancelled") -> Acknowledged:
        """Stops the run: the provider's stream is closed, tools are cancelled, what came so far is kept.

        It ends with `run_cancelled`. Cancelling a run that has ended does nothing.
        """
        task = self._started()
        if not task.done() and not self._loop.stopping:
            self._loop.stopping = reason or "cancelled"
            self._log.unbound()
            if self._log.events:
                task.cancel()
        return ACKNOWLEDGED

    def approve(self, call_id: str, *, by: str = "", reason: str = "") -> Acknowledged:
        """Lets a waiting call run, with exactly the arguments that were shown. Doing it twice does nothing more.

        Raises:
            InvalidInputError: no call of that id waits.
        """
        return self._decide(call_id, granted=True, by=by, reason=reason)

    def deny(self, call_id: str, reason: str = "", *, by: str = "") -> Acknowledged:
        """Refuses a waiting call; the model is told `reason`.

        Raises:
            InvalidInputError: no call of that id waits.
        """
        return self._decide(call_id, granted=False, by=by, reason=reason)

    def detach(self) -> None:
        """Lets the run go on after the block is left; `result` and `subscribe` still work."""
        task = self._started()
        self._detached = True
        self._log.unbound()
        _detached.add(task)
        task.add_done_callback(_detached.discard)

    def _decide(self, call_id: str, *, granted: bool, by: str, reason: str) -> Acknowledged:
        calls = self._loop.calls
        waiting = calls.pending.get(call_id)
        if waiting is None:
            if call_id not in calls.decided:
                known = ", ".join(calls.pending) or "none"
                msg = f"no call {call_id!r} of run {self.id} waits for an approval; waiting: {known}"
                raise InvalidInputError(msg)
            return ACKNOWLEDGED
        calls.resolve(call_id, Approval(call_id, waiting.arguments_hash, granted, by, reason))
        return ACKNOWLEDGED

    def _raise(self) -> None:
        if self._loop.error is not None:
            self._finish()

    def _finish(self) -> AgentResult[Out]:
        """The result, or the error with the partial result in it."""
        result = self._result
        if result is None:
            state = self._loop.state
            result = fold(state.own_events())
            if state.output is not None and result.output is not None:
                result = msgspec.structs.replace(result, output=state.output.schema.load(result.output))
            self._result = result
        error = self._loop.error
        if error is not None:
            error.result = result  # type: ignore[attr-defined]  # every error of the loop's is a LumosaiError
            raise error
        return result


class Acknowledged:
    """A request that was taken. Awaiting it is allowed and gives nothing."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


ACKNOWLEDGED = Acknowledged()

_detached: set[asyncio.Task[None]] = set()
"""Tasks whose runs were let go: the event loop itself keeps only weak references."""


async def finish(loop: Loop) -> AgentResult[Any]:
    """Drives a run in the caller's own task and gives its result: `stream` without a reader.

    Raises:
        LumosaiError: what the run ended with.
    """
    run: Run[Any] = Run(loop)
    try:
        await loop.drive()
    finally:
        if loop.state.parent is None:
            loop.state.log.close()
    return run._finish()  # noqa: SLF001  # this module's own
