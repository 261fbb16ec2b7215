"""One run at a time on a branch, in all processes together: whoever comes while one is at work waits its turn, in order.

Where nobody is at work, a run takes its place in the transaction that stores its input. Else it gets one behind the
others, and looks now and then whether its turn has come; at once, where one of this process gives its place back.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakKeyDictionary

import msgspec

from lumosai.errors import ConflictError, NotFoundError, StorageError, ThreadBusyError
from lumosai.ids import new_id
from lumosai.memory._left import cut_short
from lumosai.memory.base import OtherRunError
from lumosai.storage.base import InboxItem
from lumosai.storage.lookout import lookout_of, poke

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

    from lumosai.memory.base import Store, Turn
    from lumosai.storage.base import Begun, Foreseen, Handle, Place, Storage, Write


T = TypeVar("T")


class _Here:
    """A run of this process that is at work on a branch, or waits for its turn."""

    __slots__ = ("interrupt", "loop", "placed")

    def __init__(self, interrupt: Callable[[str], None], placed: asyncio.Future[None]) -> None:
        self.loop = asyncio.get_running_loop()
        self.interrupt = interrupt
        self.placed = placed


_guard: Final = threading.Lock()
_runs: Final[dict[str, _Here]] = {}
"""By id."""
_arriving: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, asyncio.Future[None]]]] = (
    WeakKeyDictionary()
)
"""The last run that came to a branch in an event loop and has no place there yet, so that the next one comes behind it."""


class MyTurn:
    """A run's turn on a branch.

    Args:
        storage: where the thread is.
        handle: the storage, as the run's scope sees it.
        wanted: what the run says of itself.
        interrupt: ends the run, where a later one is to take its place.
        keeps: whether it stores anything.
        last: how many of the thread's last messages it is shown, where its turn may begin with its first request; else None.

    Attributes:
        branch: the branch's number.
        place: the run's; 0 where it has none.
        foreseen: how its turn will begin, unless something comes between; None where that is not known.
    """

    def __init__(
        self,
        storage: Storage,
        handle: Handle,
        wanted: Turn,
        interrupt: Callable[[str], None],
        *,
        keeps: bool,
        last: int | None = None,
    ) -> None:
        self.branch = wanted.branch or 0
        self.place = 0
        self.foreseen: Foreseen | None = None
        self._storage = storage
        self._handle = handle
        self._wanted = wanted
        self._keeps = keeps
        self._last = last if keeps and wanted.kept and not wanted.at_once and self._need_not_know else None
        self._lookout = lookout_of(storage)
        loop = asyncio.get_running_loop()
        self._branch_wanted = (storage.identity, wanted.scope, wanted.thread_id, wanted.branch)
        self._if_busy = wanted.if_busy
        with _guard:
            self._arriving = _arriving.setdefault(loop, {})
            before = _runs.get(wanted.run_id)
            # One that comes again keeps its place among those that came, who still wait for it.
            self._came = before is not None and before.loop is loop and not before.placed.done()
            self._placed = before.placed if before is not None and self._came else loop.create_future()
            _runs[wanted.run_id] = _Here(interrupt, self._placed)

    async def enter(self) -> None:
        """Waits while another run is at work.

        Raises:
            ThreadBusyError: it does not wait, or waited in vain.
            OtherRunError: it is to join that run.
        """
        wanted = self._wanted
        try:
            if wanted.if_busy != "reject" and not self._came:
                await self._arrive()
            found = await self._look()
            self.branch = found.branch
            await self._keep_what_they_said(found.passed)
            # What stores its input takes its place with that, where it need not know before.
            if found.ahead or wanted.at_once or not self._keeps or not self._need_not_know:
                await self._come_at_once(found)
            if not self._keeps:
                self._is_placed()
        except BaseException:
            await self._abandon()
            raise

    @property
    def _need_not_know(self) -> bool:
        """Whether it does the same whoever is at work there."""
        return self._wanted.if_busy in ("queue", "reject")

    async def _look(self) -> Place:
        """Who has the turn; where nobody has, how this one's will begin."""
        wanted = self._wanted
        if self._last is None:
            return await self._handle.look_at_turn(wanted.thread_id, branch=wanted.branch)
        seen = await self._handle.foresee_turn(wanted.thread_id, branch=wanted.branch, last=self._last)
        if not seen.place.ahead and not seen.place.passed:
            self.foreseen = seen
        return seen.place

    def has_begun(self, begun: Begun) -> None:
        """Its turn has begun as it was foreseen."""
        self._has(begun.place)

    async def _arrive(self) -> None:
        """Lets those have their places that came before, in this event loop.

        Raises:
            ThreadBusyError: that takes too long.
        """
        before = self._arriving.get(self._branch_wanted)
        self._arriving[self._branch_wanted] = self._placed
        if before is not None and not before.done():
            done, _ = await asyncio.wait([before], timeout=self._wanted.busy_timeout_s)
            if not done:
                raise self._in_vain()

    def _is_placed(self) -> None:
        """Whoever came behind this one may come now."""
        if not self._placed.done():
            with suppress(RuntimeError):  # its event loop is gone, and with it whoever waited
                self._placed.set_result(None)
        if self._arriving.get(self._branch_wanted) is self._placed:
            del self._arriving[self._branch_wanted]

    async def begin(self, store: Store, write: Callable[..., Write[Begun]]) -> Begun:
        """Has the turn begin: what `write` stores is stored once no other run is at work.

        Args:
            store: stores something.
            write: makes what is stored; `wait` says whether the run gets a place behind others.

        Raises:
            ThreadBusyError: as of `enter`.
        """
        while True:
            writing = store(write(wait=self._wanted.if_busy != "reject"))
            begun = await _told(writing, lambda begun: self._has(begun.place))
            if not begun.place.ahead:
                return begun
            if self._if_busy == "steer":  # the thread was made a moment ago by another run, and this one has begun too
                self._if_busy = "queue"
            await self._come_to(begun.place)

    async def _come_at_once(self, found: Place) -> None:
        """Takes the turn before anything is stored. Who stores nothing reads a thread on which none can be taken, too."""
        try:
            await self._come_to(found)
        except StorageError:
            if self._keeps:
                raise

    async def _come_to(self, found: Place) -> None:
        """Waits for the turn that others have, and takes it.

        Raises:
            ThreadBusyError, OtherRunError: as of `enter`.
        """
        try:
            async with asyncio.timeout(self._wanted.busy_timeout_s):
                await self._waited(found)
        except TimeoutError:
            raise self._in_vain() from None

    def _what(self) -> str:
        return f"branch {self.branch} of thread {self._wanted.thread_id!r}"

    def _in_vain(self) -> ThreadBusyError:
        return ThreadBusyError(
            f"waited {self._wanted.busy_timeout_s:g} s for another run that is at work on {self._what()}: raise "
            "busy_timeout_s, or interrupt it"
        )

    async def _waited(self, found: Place) -> None:
        wanted, what, told = self._wanted, self._what(), False
        while True:
            if found.ahead and found.here and self._is_gone(found.ahead):
                await self._handle.leave_turn(found.ahead_key)  # its event loop is gone, and it could not
            elif found.ahead and self._if_busy == "reject":
                raise ThreadBusyError(f"another run is at work on {what}: wait for it, or use if_busy='queue'")
            elif found.ahead and self._if_busy == "steer":
                raise OtherRunError(found.ahead)
            elif found.ahead and self._if_busy == "interrupt" and not told:
                told = True
                await self._interrupt(found.ahead, f"another run takes its place on {what}")
            elif found.ahead and self.place:
                await self._lookout.turn(self.place, (wanted.scope, wanted.thread_id, self.branch))
            waits = self._if_busy not in ("reject", "steer")
            taking = self._handle.take_turn(wanted.thread_id, wanted.run_id, branch=self.branch, wait=waits)
            found = await _told(taking, self._has)
            await self._keep_what_they_said(found.passed)
            if not found.ahead:
                return

    async def _keep_what_they_said(self, passed: Sequence[str]) -> None:
        """Keeps what those had shown of an answer that are passed by, before anything is said behind it.

        Who goes on with one of them has it answer anew; who ends it finds this message there.
        """
        if not self._keeps:
            return
        for run_id in passed:
            said = await cut_short(self._handle, run_id) if run_id != self._wanted.run_id else None
            if said is not None:
                with suppress(NotFoundError):  # the thread was deleted meanwhile
                    await self._handle.add_messages(self._wanted.thread_id, [said], branch=self.branch, run_id=run_id)

    def _has(self, place: Place) -> None:
        if place.key != self.place:
            if self.place:
                self._lookout.drop(self.place)
            self.place = place.key
            if self.place:
                self._lookout.hold(self.place)
                self._is_placed()

    def _is_gone(self, run_id: str) -> bool:
        """Whether a run of this process had its event loop closed under it."""
        with _guard:
            found = _runs.get(run_id)
        return found is not None and found.loop.is_closed()

    async def _interrupt(self, run_id: str, reason: str) -> None:
        """Ends the run that is at work."""
        with _guard:
            found = _runs.get(run_id)
        if found is not None:
            with suppress(RuntimeError):  # its event loop was closed a moment ago
                found.loop.call_soon_threadsafe(found.interrupt, reason)
            return
        with suppress(ConflictError, NotFoundError):  # it has ended, or is not kept: then it is waited for
            await self._handle.post(run_id, InboxItem(new_id(), "cancel", msgspec.json.encode({"reason": reason})))

    async def give_back(self) -> None:
        """Lets the next run in. What cannot be given back is held for no longer than a lease."""
        place, self.place = self.place, 0
        if place:
            self._lookout.drop(place)
            with suppress(StorageError):
                await self._handle.leave_turn(place)
        self.leave()

    def leave(self, *, comes_again: bool = False) -> None:
        """The run is at work there no more: its place was given back with its last events, or is lost.

        Args:
            comes_again: it does so at once, before those that came behind it.
        """
        if comes_again and not self.place:
            return
        with _guard:
            here = _runs.get(self._wanted.run_id)
            stranded = here is not None and here.loop.is_closed() and self.place  # it could not give that back
            if not stranded:
                _runs.pop(self._wanted.run_id, None)
        if self.place:
            self._lookout.drop(self.place)
            self.place = 0
        self._is_placed()
        poke(self._storage, turns=True)

    async def _abandon(self) -> None:
        """Gives up waiting, though the waiting be cancelled."""
        await _surely(self.give_back())


async def _told(work: Awaitable[T], told: Callable[[T], None]) -> T:
    """What comes of a write that takes a place, once it is told.

    Who is cancelled meanwhile waits for it all the same: a place that nobody knows of would be in the way for a lease's time.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None or not (task.cancelled() or task.exception()):
        told(task.result())
    if cancelled is not None:
        raise cancelled
    return task.result()


async def _surely(work: Awaitable[None]) -> None:
    """Does something to its end though it be cancelled meanwhile, once; the cancel comes through."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
