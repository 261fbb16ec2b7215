"""A run in the caller's hands: read it, wait for it, steer it, answer it, stop it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic

from lumosai.agent.inputs import messages_of
from lumosai.errors import InvalidInputError
from lumosai.events import OutputComplete, OutputDelta, TextDelta
from lumosai.messages import scrub
from lumosai.records import AgentResult, Approval, Cursor, Out

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator
    from types import TracebackType
    from typing import Self

    from lumosai.agent.loop import Loop
    from lumosai.events import Event
    from lumosai.messages import Message

_NOTHING = object()
_PARSED_ALWAYS = 4096
"""Characters of an output up to which each delta gives a new partial value."""
_PARSED_AGAIN = 32
"""Of a longer one a partial value is given each time it has grown by this fraction, so that its cost stays linear."""


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
        """The run's id, UUIDv7 text. Of one that has joined another (`if_busy="steer"`) that one's."""
        return self._loop.state.run_id

    @property
    def done(self) -> bool:
        """Whether it has ended, or left this process."""
        return self._task is not None and self._task.done()

    def __repr__(self) -> str:
        state = "not started" if self._task is None else "ended" if self._task.done() else "running"
        return f"<Run {self.id} of agent {self._loop.state.name!r}, {state}, {len(self._log.events)} events>"

    async def __aenter__(self) -> Self:
        if self._task is not None:
            msg = f"run {self.id} was opened already: each agent.stream(…) is one run"
            raise InvalidInputError(msg)
        self._task = asyncio.create_task(self._loop.drive(), name=f"lumosai run {self.id}")
        self._task.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = self._started()
        if self._detached:
            return
        if not task.done():
            self.cancel("abandoned")
        await _end_of(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The task is done: readers end. What it raised, such as a cancel, is in the events and needs no other reader."""
        if not task.cancelled():
            task.exception()
        writing = self._loop.never_began()
        if writing is None:
            self._log.close()
        else:
            _detached.add(writing)
            writing.add_done_callback(_detached.discard)
            writing.add_done_callback(lambda _: self._log.close())

    def _started(self) -> asyncio.Task[None]:
        """The run's task.

        Raises:
            InvalidInputError: the run is not open, or goes on another event loop than the caller's.
        """
        task = self._task
        if task is None:
            msg = "the run is not open: use `async with agent.stream(…) as run:`"
            raise InvalidInputError(msg)
        if not task.done() and task.get_loop() is not _loop_here():
            msg = (
                f"run {self.id} belongs to the event loop that it was opened on, and this is not it: from another thread "
                "use `loop.call_soon_threadsafe(run.cancel)` or asyncio.run_coroutine_threadsafe(run.result(), loop)"
            )
            raise InvalidInputError(msg)
        return task

    def __aiter__(self) -> AsyncIterator[Event]:
        """Every event from the first. Never raises what the run failed with: that is its last event."""
        return self._read()

    def _read(self) -> AsyncGenerator[Event, None]:
        self._started()
        bounding, self._opener_reads = not self._opener_reads, True
        return self._log.read(bounding=bounding)

    def subscribe(self, after: Cursor | str | int = 0) -> AsyncIterator[Event]:
        """The events behind a place, then each further one; never holds the run back.

        Args:
            after: the number of an event, or a cursor of this run, whose epoch is not looked at here; see `ConnectedRun`.

        Raises:
            InvalidInputError: a text that is no cursor.
        """
        self._started()
        after = Cursor.parse(after) if isinstance(after, str) else after
        return self._log.read(after.seq if isinstance(after, Cursor) else after)

    async def text(self) -> AsyncIterator[str]:
        """The answer's text as it comes, all steps, without what tools and thoughts say.

        Text that a retry made void has been given by then: who must take it back reads the events. A structured output
        is no text: see `outputs`.

        Raises:
            LumosaiError: what the run ended with, after all text.
        """
        async with aclosing(self._read()) as events:
            async for event in events:
                if type(event) is TextDelta and event.run_id == self.id:
                    yield event.delta
        self._raise()

    async def outputs(self) -> AsyncIterator[Any]:
        """The structured output as far as it has come: JSON values, each fuller than the one before.

        The last one equals `result.output` as JSON. A new attempt begins anew. A run that ends without an output, such as
        a cancelled one, gives no last value.

        Raises:
            InvalidInputError: the run's output is text.
            LumosaiError: what the run ended with.
        """
        output = self._loop.state.output
        if output is None:
            msg = "outputs() needs an output_type; for text use text()"
            raise InvalidInputError(msg)
        text, attempt, parsed = "", 0, 0
        last: Any = _NOTHING
        async with aclosing(self._read()) as events:
            async for event in events:
                value, whole = None, False
                if type(event) is OutputDelta and event.run_id == self.id:
                    if event.attempt != attempt:
                        attempt, text, parsed = event.attempt, "", 0
                    text += event.delta
                    if len(text) < _PARSED_ALWAYS or len(text) - parsed > len(text) // _PARSED_AGAIN:
                        parsed = len(text)
                        value = output.schema.partial(text)
                elif type(event) is OutputComplete and event.run_id == self.id:
                    value, whole = event.value, True
                if (whole or value is not None) and value != last:
                    last = value
                    yield value
        self._raise()

    async def result(self) -> AgentResult[Out]:
        """Waits for the end; what the run gave. Events nobody reads are drained.

        Raises:
            LumosaiError: what the run ended with; its `result` is the partial one.
        """
        task = self._started()
        self._log.unbound()
        if not task.done():
            await asyncio.wait([task])
        return self._finish()

    def send(self, message: str | Message) -> Acknowledged:
        """Adds a user's message, which the run takes in before its next step; an answer that was ready is followed by another.

        Where no step follows, since the run reached a limit, failed or was cancelled, the message is the last of
        `result.messages`, unanswered.

        Raises:
            InvalidInputError: the message is empty or not a user's, or the run has ended.
        """
        if self._started().done() or self._loop.state.ended:
            msg = f"run {self.id} has ended: send the message with a new generate() or stream()"
            raise InvalidInputError(msg)
        messages = messages_of(message)
        if any(m.role != "user" for m in messages):
            msg = f"a {messages[0].role} message cannot be sent into a run: make it a user's, Message.user('…')"
            raise InvalidInputError(msg)
        if self._loop.joining is not None:
            return Asked(self._loop.joining.run.send(messages[0]))
        self._loop.inbox.extend(messages)
        return ACKNOWLEDGED

    def cancel(self, reason: str = "cancelled") -> Acknowledged:
        """Stops the run: the provider's stream is closed, tools are cancelled, what came so far is kept.

        It ends with `run_cancelled`. Cancelling a run that has ended does nothing.
        """
        task, state = self._started(), self._loop.state
        if not (task.done() or state.ended or state.stopping):
            state.stopping = scrub(reason) or "cancelled"
            self._log.unbound()
            self._log.halt()
            if state.begun:
                task.cancel()
        self._loop.unwanted = True
        return ACKNOWLEDGED

    def approve(self, call_id: str, *, by: str = "", reason: str = "") -> Acknowledged:
        """Lets a waiting call run, with exactly the arguments that were shown. Doing it twice does nothing more.

        Of a run that is resumed it may be said at once, before the run has come to the call again. A call with
        `effect="once"` that had begun when its process died is made again, under the same idempotency key.

        Raises:
            InvalidInputError: no call of that id waits.
        """
        return self._decide(call_id, granted=True, by=by, reason=reason)

    def deny(self, call_id: str, reason: str = "", *, by: str = "") -> Acknowledged:
        """Refuses a waiting call; the model is told `reason`.

        Of a call with `effect="once"` that had begun when its process died it is told besides that the effect is not
        known: a `reason` such as "It was booked, under number 17." says how it stands.

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

    async def leave(self) -> None:
        """Stops the run in this process without an end: another one may go on with it. What was seen is kept.

        Raises:
            InvalidInputError: the run is not open.
        """
        task = self._started()
        if self._loop.home is None:  # its first step is still to come
            await asyncio.sleep(0)
        if task.done():
            return
        await self._loop.leave()
        self.cancel("left to another process")
        await _end_of(task)

    def _decide(self, call_id: str, *, granted: bool, by: str, reason: str) -> Acknowledged:
        self._started()
        state = self._loop.state
        if self._loop.joining is not None:
            run = self._loop.joining.run
            return Asked(run.approve(call_id, by=by, reason=reason) if granted else run.deny(call_id, reason, by=by))
        waiting = state.approvals.get(call_id)
        if waiting is not None:
            waiting.resolve(waiting, Approval(call_id, waiting.arguments_hash, granted, scrub(by), scrub(reason)))
        elif call_id not in state.decided:
            asked = self._loop.waits(call_id)
            digest = asked if not self.done else None
            if asked is None and self._loop.was_decided(call_id):  # in another process: whoever reads along is late
                return ACKNOWLEDGED
            if digest is None:
                known = ", ".join(state.approvals) or "none"
                left = "; it is paused and left this process: resume it, and decide then" if self._has_left else ""
                msg = f"no call {call_id!r} of run {self.id} waits for an approval; waiting: {known}{left}"
                raise InvalidInputError(msg)
            state.early.setdefault(call_id, Approval(call_id, digest, granted, scrub(by), scrub(reason)))
        return ACKNOWLEDGED

    @property
    def _has_left(self) -> bool:
        """Whether it paused and is at work here no more."""
        return self.done and not self._loop.state.ended

    def _raise(self) -> None:
        if self._loop.error is not None:
            self._finish()

    def _finish(self) -> AgentResult[Out]:
        """The result, or the error with the partial result in it."""
        result = self._result
        if result is None:
            result = self._result = self._loop.result()
        error = self._loop.error
        if error is not None:
            error.result = result  # type: ignore[attr-defined]  # every error of the loop's is a LumosaiError
            raise error
        return result


class Acknowledged:
    """A request that was taken. Awaiting it is allowed and gives nothing."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


class Asked(Acknowledged):
    """A request to a run elsewhere, which is on its way. Awaiting it waits until it is kept, and raises what is wrong."""

    __slots__ = ("_task",)

    def __init__(self, asking: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.ensure_future(asking)
        _detached.add(self._task)
        self._task.add_done_callback(_detached.discard)

    def __await__(self) -> Generator[Any, None, None]:
        return self._task.__await__()


ACKNOWLEDGED = Acknowledged()

_detached: set[asyncio.Task[None]] = set()
"""Tasks whose runs were let go: the event loop itself keeps only weak references."""


async def _end_of(task: asyncio.Task[None]) -> None:
    """Waits until a task that was cancelled is done. A cancel of the waiting is handed on, and comes through in the end."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
            task.cancel()
    if cancelled is not None:
        raise cancelled


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


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
