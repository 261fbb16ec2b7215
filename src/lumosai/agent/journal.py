"""The journal: a root run's events, kept with their full content before anybody sees them.

While one batch is on its way to the disk the next one gathers, so nothing waits for a timer: a lone event waits for one
commit, a flood is grouped. A lease says that this process and no other writes to the run; it is held while the run goes
on, and given back by the batch that pauses or ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, TypeVar

from lumosai._loggers import logger_of
from lumosai.agent.give_back import give_back
from lumosai.agent.log import NotBegunError
from lumosai.agent.storing import Along, Storing, Waiting
from lumosai.agent.tenure import Tenure
from lumosai.agent.unkept import unkept
from lumosai.errors import (
    LeaseLostError,
    LumosaiError,
    StorageError,
)
from lumosai.events import (
    OutputDelta,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolProgress,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lumosai.agent.inbox import Inbox
    from lumosai.agent.log import EventLog
    from lumosai.agent.references import AtHand
    from lumosai.events import Event, ModelCallStarted
    from lumosai.messages import Message
    from lumosai.storage.base import Handle, Lease, RunRecord, Write
    from lumosai.storage.lookout import Lookout

T = TypeVar("T")

logger = logger_of("lumosai.agent")

_AT_ONCE: Final = 512
_MANY: Final = 500
"""Events of a run that the storage does not compact by itself when it ends."""
_ATTEMPTS: Final = 20
_DELTAS: Final = frozenset({TextDelta, ReasoningDelta, ToolCallDelta, OutputDelta, ToolProgress})


class Journal:
    """Keeps the events of one root run.

    Args:
        handle: the storage, as the run's scope sees it.
        log: the run's events.
        record: what the storage knows of the run besides.
        lost: called, once, where the run cannot be kept any longer, with why.
        lease: of a run that is taken up; None of a new one.
    """

    def __init__(
        self,
        handle: Handle,
        log: EventLog,
        record: RunRecord,
        lost: Callable[[LumosaiError], None],
        lease: Lease | None = None,
    ) -> None:
        self._handle = handle
        self._log = log
        self._record = record
        self._lost = lost
        self._tenure = Tenure(handle, record.id, self._taken_over, lease)
        self._waiting = Waiting()
        self._storing = Storing(handle, log, record, tenure=self._tenure, waiting=self._waiting, lost=lost)
        self._barriers: list[asyncio.Future[None]] = []
        self._left: tuple[list[Event], list[Along]] | None = None
        self._task: asyncio.Task[None] | None = None
        self._kick: asyncio.Handle | None = None
        self._here = False
        self._error: LumosaiError | None = None
        self._not_begun = False

    def work(
        self,
        inbox: Inbox,
        lookout: Lookout,
        late: Callable[[list[Message]], Awaitable[Event | None]],
        *,
        stays: bool,
    ) -> None:
        """The run is at work here.

        Args:
            inbox: what others ask of it.
            lookout: who looks for that.
            late: takes in messages that came while the run ended: the end anew, behind them; None where the run goes on.
            stays: whether it stays in this process, which then keeps the lease, while it waits for an approval.
        """
        self._tenure.inbox, self._tenure.lookout = inbox, lookout
        self._storing.late, self._storing.batches.stays = late, stays
        self._tenure.hold()

    @property
    def gave_back(self) -> bool:
        """Whether the run's last events gave its place on a branch back."""
        return self._storing.gave_back

    @property
    def inbox(self) -> Inbox | None:
        """What others ask of the run; None where nobody looks."""
        return self._tenure.inbox

    @property
    def at_hand(self) -> AtHand:
        """Messages that need not be stored with a prompt."""
        return self._storing.batches.requests.at_hand

    def has_place(self, place: int) -> None:
        """The run's place on a branch of a thread, which its last events give back; 0 where it has none."""
        self._storing.batches.place = place

    @property
    def lease(self) -> Lease | None:
        """The right to write to the run, None where its first events are not stored yet."""
        return self._tenure.lease

    @property
    def epoch(self) -> int:
        """How often the run was taken up, from 1."""
        return self.lease.epoch if self.lease is not None else 1

    @property
    def error(self) -> LumosaiError | None:
        """Why nothing is kept any more, None where all is well."""
        return self._error

    @property
    def left(self) -> bool:
        """Whether the run goes on where the storage is there again: its lease is given back then, and its place with it."""
        return self._error is not None and self.lease is not None and not isinstance(self._error, LeaseLostError)

    def add(self, event: Event) -> None:
        """Takes an event; `EventLog.show` is called with it once it is kept."""
        if self._error is not None:
            self._log.show((event,))
            return
        self._waiting.events.append(event)
        if self._idle:
            self._kick = asyncio.get_running_loop().call_soon(self._begin)

    def begin_with(self, write: Write[T], told: Callable[[T], None]) -> bool:
        """Has a run's turn on its thread begin with its first events, where none of them is stored, or on its way; else does nothing.

        Where it cannot, nothing is stored, and `settled` raises `NotBegunError`; a run that ends before that ends without it.

        Args:
            write: what begins it.
            told: called with what comes of it, before the run goes on.

        Returns:
            Whether it does so.
        """
        if (
            self.lease is not None
            or self._error is not None
            or self._task is not None
            or self._here
            or self._waiting.along
        ):
            return False
        self._waiting.along.append(Along(write, (), asyncio.get_running_loop().create_future(), told))
        return True

    def anew(self) -> None:
        """The run begins anew: nobody has seen anything of it."""
        self._not_begun = False
        self._waiting.take()
        self._left = None
        self._storing.anew()

    def along(self, write: Write[T], saved: tuple[str, ...] = (), *, needed: bool = True) -> asyncio.Future[T]:
        """Has something stored in one transaction with the events that wait and those that come before it is begun.

        Where it cannot be, the events are stored without it: the `memory_saved` of these ids then says that it was not,
        and a run that would end well ends with that error.

        Args:
            write: what is stored.
            saved: ids of the messages that it stores, as a `memory_saved` among these events says.
            needed: whether the run fails where it cannot be.

        Returns:
            What comes of it.
        """
        done = asyncio.get_running_loop().create_future()
        if self._error is not None:
            done.set_exception(self._error)
            done.exception()  # nobody has to look
            return done
        self._waiting.along.append(Along(write, saved, done, needed=needed))
        if self._idle:
            self._kick = asyncio.get_running_loop().call_soon(self._begin)
        return done

    @property
    def _some(self) -> bool:
        """Whether anything waits to be written."""
        return bool(self._waiting) or self._left is not None

    @property
    def _idle(self) -> bool:
        """Whether nobody writes, or is about to, and nothing is in the way."""
        return self._task is None and self._kick is None and not self._here and not self._not_begun

    def _begin(self) -> None:
        """Writes what waits, in a task of its own, where nobody who waits for it has done so."""
        self._kick = None
        if self._task is None and not self._here and self._some and not self._not_begun:
            self._task = asyncio.get_running_loop().create_task(self._write())
            self._task.add_done_callback(self._cut)

    def _cut(self, task: asyncio.Task[None]) -> None:
        """The task is done: one that was cancelled before its first step has written nothing."""
        if self._task is task:
            self._wrote()

    async def _write_here(self) -> None:
        """Writes what waits in the caller's own task, which waits for it anyway: that saves two turns of the event loop.

        Where the caller is cancelled meanwhile, a task goes on with it.
        """
        if self._kick is not None:
            self._kick.cancel()
            self._kick = None
        self._here = True
        await self._write()
        if self._error is not None:  # and the run is to end for it, which this may be the task of
            await asyncio.sleep(0)

    async def together(self, write: Write[T]) -> T:
        """What comes of a write, which is stored in one transaction with the events so far.

        Raises:
            StorageError: it could not be stored.
        """
        if self._not_begun:
            raise NotBegunError
        if self._error is not None and not isinstance(self._error, LeaseLostError):
            return await write.under(self.lease)
        done = self.along(write)
        if self._task is None and not self._here:
            await self._write_here()
        return await done

    async def settled(self) -> None:
        """Waits until all that was taken is kept.

        Raises:
            StorageError: it cannot be.
            NotBegunError: the run has to begin anew, see `begin_with`.
        """
        if self._task is not None or self._here:
            await self._barrier()
        elif self._some and not self._not_begun:
            await self._write_here()
        if self._not_begun:
            raise NotBegunError
        if self._error is not None:
            raise self._error

    async def _barrier(self) -> None:
        """Waits for who writes."""
        barrier = asyncio.get_running_loop().create_future()
        self._barriers.append(barrier)
        await barrier

    async def leave(self) -> None:
        """Writes nothing more, and gives the lease back, so that another process goes on with the run."""
        try:
            await self.settled()
        except NotBegunError:
            self.anew()
        except StorageError:
            pass
        self._error = self._error or LeaseLostError(f"run {self._record.id} was left to another process")
        self._tenure.rest()
        if self.lease is not None:
            with contextlib.suppress(StorageError):
                await self._handle.let_go(self.lease)

    async def finished(self) -> asyncio.CancelledError | None:
        """Waits until all is kept, however often the waiting is cancelled; a cancel is given back. Never raises."""
        cancelled: asyncio.CancelledError | None = None
        self._not_begun = self._storing.may_begin_anew = False
        while self._task is not None or self._here or self._some:
            try:
                if self._task is not None:
                    await asyncio.wait([self._task])
                elif self._here:
                    await self._barrier()
                else:
                    await self._write_here()
            except asyncio.CancelledError as error:
                cancelled = error
        self._tenure.rest()
        if self.left and self.lease is not None:
            give_back(self._handle, self.lease)
        return cancelled

    async def _write(self) -> None:
        barriers: list[asyncio.Future[None]] = []
        batch: list[Event] = []
        along: list[Along] = []
        try:
            while self._some:
                if self._left is not None:
                    (batch, along), self._left = self._left, None
                else:
                    batch, along = self._waiting.take(_AT_ONCE)
                barriers, self._barriers = ([], self._barriers) if self._waiting else (self._barriers, [])
                urgent = bool(barriers or self._barriers) or not _only_deltas(batch)
                store = self._storing.store if self._here else self._surely_store
                await store(batch, along, urgent=urgent)
                self._log.show(batch)
                ended = self._storing.ended and bool(batch) and batch[-1].seq > _MANY
                batch, along = [], []
                _resolve(barriers)
                if ended:
                    await self._compact()
        except (LumosaiError, NotBegunError) as error:
            self._fail(error, batch, along)
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
            failed = StorageError(f"run {self._record.id} could not be stored: {type(error).__name__}: {error}")
            failed.__cause__ = error
            self._fail(failed, batch, along)
        except asyncio.CancelledError:  # whoever waited here is cancelled, and what it waited for goes on
            if self._error is not None:  # the run was lost meanwhile, which is why
                for one in along:
                    one.refuse(self._error)
            elif batch or along:  # which may be stored all the same: the very same once more is the same as once
                self._left = (batch, along)
            self._barriers = [*barriers, *self._barriers]
            self._wrote()
            raise
        self._barriers = [*barriers, *self._barriers]
        self._wrote()

    def _wrote(self) -> None:
        """Nobody writes any more, unless something is left."""
        self._task, self._here = None, False
        self._begin()
        if self._task is None:
            barriers, self._barriers = self._barriers, []
            _resolve(barriers)

    async def _compact(self) -> None:
        """Has what is stored of the ended run put together; it can be read without that, too."""
        try:
            await self._handle.compact_run(self._record.id)
        except StorageError as error:
            logger.warning("run %s was not put together: %s", self._record.id, error)

    async def _surely_store(self, batch: list[Event], along: list[Along], *, urgent: bool) -> None:
        """Stores a batch though this task be cancelled, as all are when an event loop ends: its run still has a last word.

        Whether the cut attempt was committed is not known; doing it twice is the same as once.
        """
        for _ in range(_ATTEMPTS):
            try:
                return await self._storing.store(batch, along, urgent=urgent)
            except asyncio.CancelledError:
                continue
        raise StorageError(f"the storing of run {self._record.id} was cancelled {_ATTEMPTS} times")

    def _fail(self, error: LumosaiError | NotBegunError, batch: list[Event], along: list[Along]) -> None:
        """From here on nothing is kept: what there is becomes visible, unless another process goes on with the run, or it begins anew."""
        if isinstance(error, NotBegunError):
            self._left, self._not_begun = (batch, along), True
            return
        self._error = error
        self._tenure.rest()
        logger.error("run %s is not kept any longer: %s", self._record.id, error)
        left, self._left = self._left or ([], []), None
        events, with_them = self._waiting.take()
        waiting, along = [*left[0], *batch, *events], [*left[1], *along, *with_them]
        for one in along:
            one.refuse(error)
        if not isinstance(error, LeaseLostError):
            self._log.show([unkept(self._log, e, self._record.id, error) for e in waiting])
        self._lost(error)

    def light(self, event: ModelCallStarted) -> ModelCallStarted:
        """The event as it is stored."""
        return self._storing.batches.requests.light(event, {})

    def _taken_over(self, error: LumosaiError) -> None:
        self._fail(error, [], [])


def _only_deltas(events: list[Event]) -> bool:
    """Whether nobody needs these to be on the disk before a power cut."""
    return all(type(e) in _DELTAS for e in events)


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        with contextlib.suppress(asyncio.InvalidStateError):
            future.set_result(None)
