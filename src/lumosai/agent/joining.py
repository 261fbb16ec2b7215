"""A run whose input joins the one that is at work on its thread: from then on it is that run, read from here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from lumosai.agent.history import error_of
from lumosai.errors import InvalidInputError, LumosaiError, NotFoundError, StorageError, ThreadBusyError
from lumosai.events import Error, Folding, RunStarted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lumosai.agent.connected import ConnectedRun
    from lumosai.agent.state import RunState
    from lumosai.agent.subscription import Subscription
    from lumosai.events import Event
    from lumosai.messages import Message
    from lumosai.records import AgentResult

_TRIES: Final = 40
_PAUSE_S: Final = 0.05
_LOOK_S: Final = 1.0
"""How long nothing comes before it is looked whether the run is still at work."""
_ONLY_LEFT: Final = ("", "abandoned", "left to another process")
"""Why a task is cancelled where the run that was joined goes on."""


class Joining:
    """Another run, followed.

    Args:
        state: of the run that has joined it, which has said nothing.
        run: the one at work.
    """

    def __init__(self, state: RunState, run: ConnectedRun[Any]) -> None:
        self.run = run
        self._state = state

    async def follow(self) -> LumosaiError | None:
        """Reads it to its end, or until it is paused and at work nowhere; the error it ended with.

        A cancel that the caller asks for by `Run.cancel` is the other run's.
        """
        state, log = self._state, self._state.log
        state.run_id = state.root_id = self.run.id
        log.mirror()
        try:
            await self._read()
        except asyncio.CancelledError:
            if state.stopping in _ONLY_LEFT:
                raise
            await self.run.cancel(state.stopping)
            await self._read()
        finally:
            state.ended = True
        last = log.events[-1]
        return error_of(last) if type(last) is Error else None

    async def _read(self) -> None:
        log = self._state.log
        async with self.run.subscribe(len(log.events)) as events:
            events.until_paused = True
            while (event := await self._next(events)) is not None:
                log.events.append(event)
                log.show((event,))

    async def _next(self, events: Subscription) -> Event | None:
        """The next event; None where there is none. Where the run's process is gone, it is gone on with here."""
        coming = asyncio.ensure_future(anext(events, None))
        try:
            while not (await asyncio.wait([coming], timeout=_LOOK_S))[0]:
                await self._go_on()
        except BaseException:
            coming.cancel()
            await asyncio.wait([coming])
            raise
        return coming.result()

    async def _go_on(self) -> None:
        state, events = self._state, self._state.log.events
        branch = next((e.branch for e in events if type(e) is RunStarted), None)
        assert state.thread_id is not None  # noqa: S101  # it was joined on a thread
        try:
            await self.run.go_on(state.thread_id, branch, state.context)
        except NotFoundError:  # the thread was deleted; of the run the reader hears
            return
        except StorageError as error:
            if not error.retryable:
                raise

    def result(self) -> AgentResult[Any]:
        """What it gave, as far as it was read."""
        events = self._state.log.events
        if not events:
            raise InvalidInputError(f"run {self.run.id} was joined, and nothing of it was read")
        return self.run.typed(Folding(events).result())


async def joined(
    connect: Callable[[str], Awaitable[ConnectedRun[Any]]], run_id: str, messages: Sequence[Message], tries: int
) -> ConnectedRun[Any] | None:
    """Sends messages into the run that was found at work; None where it has ended meanwhile, or is about to begin.

    Raises:
        InvalidInputError: they are not a user's.
        ThreadBusyError: the run cannot be joined.
    """
    if any(m.role != "user" for m in messages):
        raise InvalidInputError("if_busy='steer' sends the input into another run, and takes messages of a user's only")
    try:
        run = await connect(run_id)
    except NotFoundError:
        if tries >= _TRIES:
            raise ThreadBusyError(
                f"run {run_id} is at work on the thread, and cannot be joined: it is not kept (journal=False)"
            ) from None
        await asyncio.sleep(_PAUSE_S)
        return None
    for message in messages:
        try:
            await run.send(message)
        except InvalidInputError:
            return None
    return run
