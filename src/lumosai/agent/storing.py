"""Storing a run's events: all that belongs together in one transaction, and what becomes of it where that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lumosai._loggers import logger_of
from lumosai.agent.batches import Batches
from lumosai.agent.log import NotBegunError
from lumosai.agent.unkept import unkept, unsaved
from lumosai.errors import (
    ConflictError,
    LeaseLostError,
    LumosaiError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    UnreadInboxError,
)
from lumosai.events import GenerationComplete

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

    from lumosai.agent.log import EventLog
    from lumosai.agent.tenure import Tenure
    from lumosai.events import Event
    from lumosai.messages import Message
    from lumosai.storage.base import Batch, Handle, RunRecord, Write

logger = logger_of("lumosai.agent")


class Along(NamedTuple):
    """What is stored in one transaction with events.

    Attributes:
        write: it.
        saved: ids of the messages that it stores, as an event among them says.
        done: what came of it.
        told: called with that at once, before the run goes on.
        needed: whether a run fails that ends without it.
    """

    write: Write[Any]
    saved: tuple[str, ...]
    done: asyncio.Future[Any]
    told: Callable[[Any], None] | None = None
    needed: bool = True

    def give(self, value: Any) -> None:
        """It is stored."""
        if self.told is not None:
            self.told(value)
        if not self.done.done():
            self.done.set_result(value)

    def refuse(self, error: LumosaiError) -> None:
        """It is not; who waits for it hears of it, and nobody has to."""
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()


class Waiting:
    """What waits to be stored.

    Attributes:
        events: in order.
        along: what goes with them.
    """

    __slots__ = ("along", "events")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.along: list[Along] = []

    def __bool__(self) -> bool:
        return bool(self.events or self.along)

    def take(self, most: int | None = None) -> tuple[list[Event], list[Along]]:
        """What waits, of the events so many at the most where nothing goes with them; from then on it does not wait."""
        most = len(self.events) if most is None or self.along else most
        events, self.events = self.events[:most], self.events[most:]
        along, self.along = self.along, []
        return events, along


class Storing:
    """Stores the events of one root run.

    Args:
        handle: the storage, as the run's scope sees it.
        log: the run's events.
        record: what the storage knows of the run besides.
        tenure: the right to write to it.
        waiting: what is to be stored next.
        lost: called where the run is to end with an error, though it would end well.

    Attributes:
        batches: makes batches of them.
        ended: whether the run's last event was among those that were stored last.
        gave_back: whether the run's last events gave its place on a branch back.
        may_begin_anew: whether the run can, until its first events are stored.
        late: takes in messages that came while the run ended: the end anew, behind them; None where the run goes on.
    """

    def __init__(
        self,
        handle: Handle,
        log: EventLog,
        record: RunRecord,
        *,
        tenure: Tenure,
        waiting: Waiting,
        lost: Callable[[LumosaiError], None],
    ) -> None:
        self.batches = Batches(log, record.id)
        self.ended = self.gave_back = False
        self.may_begin_anew = True
        self.late: Callable[[list[Message]], Awaitable[Event | None]] | None = None
        self._handle = handle
        self._log = log
        self._record = record
        self._tenure = tenure
        self._waiting = waiting
        self._lost = lost

    def anew(self) -> None:
        """The run begins anew: nobody has seen anything of it."""
        before, self.batches = self.batches, Batches(self._log, self._record.id)
        self.batches.stays = before.stays

    async def store(self, events: list[Event], along: list[Along], *, urgent: bool) -> None:
        """Stores events with what goes along with them; where that cannot be, the events without it.

        Where nothing can be stored at all, nothing is tried by itself: a thread is not to hold what no event tells of.

        Raises:
            NotBegunError: the run's turn does not begin as it took it for; nothing is stored.
            StorageError: the events are not stored.
        """
        try:
            if not events:
                raise StorageError("there are no events")
            await self.put(events, [a.write for a in along], urgent=urgent)
        except (LeaseLostError, StorageFullError, StorageUnavailableError):
            raise
        except UnreadInboxError as error:
            await self._make_room(events, along, error)
            if events or along:
                await self.store(events, along, urgent=urgent)
        except LumosaiError as error:
            if not along:
                raise
            if self._tenure.lease is None and self.may_begin_anew and any(one.told for one in along):
                logger.debug("run %s begins anew: %s", self._record.id, error)
                raise NotBegunError from error
            await self._apart(events, along, error, urgent=urgent)
        else:
            for one in along:
                one.give(one.write.value)

    async def _apart(self, events: list[Event], along: list[Along], why: LumosaiError, *, urgent: bool) -> None:
        """One transaction of them all failed: each of what goes along has one of its own, then the events."""
        logger.debug("run %s: what goes along with events %s is stored by itself: %s", self._record.id, events, why)
        for one in along:
            try:
                value = await one.write.under(self._tenure.lease)
            except LeaseLostError:
                raise
            except LumosaiError as error:
                if one.needed:
                    events[:] = [self._unsaved(e, one.saved, error) for e in events]
                else:
                    logger.warning("run %s: what it learned is not kept: %s", self._record.id, error)
                one.refuse(error)
            else:
                one.give(value)
        if events:
            await self.store(events, [], urgent=urgent)  # a message may have been sent in meanwhile

    def _unsaved(self, event: Event, saved: tuple[str, ...], error: LumosaiError) -> Event:
        """The event where messages could not be stored; a run that would end well ends with that error."""
        if type(event) is GenerationComplete and event.run_id == self._record.id:
            self._lost(error)
            return unkept(self._log, event, self._record.id, error)
        return unsaved(self._log, event, saved, error)

    async def put(self, events: list[Event], along: Sequence[Write[Any]], *, urgent: bool) -> None:
        """Stores events with what goes along with them, all or nothing."""
        batch, tenure = self._batch(events), self._tenure
        self.ended = batch.status == "ended"
        if batch.status != "running":
            tenure.rest()
        if tenure.lease is None:
            tenure.lease = await self._handle.open_run(self._record, batch, along=along)
            if batch.status == "running":
                tenure.hold()
        else:
            try:
                await self._handle.append_events(tenure.lease, batch, urgent=urgent, along=along)
            except UnreadInboxError:
                raise
            except ConflictError:
                batch = await self._with_lost(events)
                await self._handle.append_events(tenure.lease, batch, urgent=True, along=along)
        self.batches.requests.stored(batch.contents)
        self.gave_back = batch.status != "running" and batch.place != 0

    async def _make_room(self, events: list[Event], along: list[Along], unread: UnreadInboxError) -> None:
        """Puts what was sent into the run while it ended before its last event, or leaves that out where the run goes on.

        Raises:
            UnreadInboxError: nobody takes it in.
        """
        inbox = self._tenure.inbox
        if inbox is None or self.late is None or self._waiting.events:
            raise unread
        last = await self.late(inbox.late(unread.items))
        came, with_them = self._waiting.take()
        events[-1:] = [*came, last] if last is not None else came
        along += with_them
        if last is None:
            self._tenure.hold()

    async def _with_lost(self, events: list[Event]) -> Batch:
        """These events and those before them that a database's crash took back, since deltas do not wait for its disk.

        Raises:
            ConflictError: there are none such.
        """
        record = await self._handle.run(self._record.id)
        if record is None or record.last >= events[0].seq - 1:
            raise ConflictError(f"the stored events of run {self._record.id} are not this process's")
        logger.warning("run %s: events from %d on were lost, and are stored again", record.id, record.last + 1)
        return self._batch(self._log.events[record.last : events[-1].seq])

    def _batch(self, events: list[Event]) -> Batch:
        inbox = self._tenure.inbox
        return self.batches.of(events, inbox.taken(events) if inbox is not None else ())
