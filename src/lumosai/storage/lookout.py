"""Looking into a storage on behalf of all that wait in one event loop: one read at a time, however many they are.

Runs that are at work here look for what was posted into their inboxes; those that wait for their turn on a branch look
whether it has come; readers of runs that are at work elsewhere look how far these are. Places on branches are held for
as long as they are used. Nothing is looked for while nobody waits, and no connection is held in between.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary, WeakValueDictionary

from lumosai._loggers import logger_of
from lumosai.errors import LumosaiError
from lumosai.storage.base import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from lumosai.storage.base import InboxItem, Lease, RunRecord, Storage

    Take = Callable[[tuple[InboxItem, ...]], None]

logger = logger_of("lumosai.storage")

LOOK_S: Final = 0.1
"""How long until the next look."""
RENEW_S: Final = 3.0
"""How often places are held for longer."""
_FAILED_S: Final = 1.0
"""How long where the last one failed."""


class Following:
    """How far a run is that goes on elsewhere.

    Attributes:
        run_id: the run.
        standing: as it was seen last; None before the first look.
    """

    __slots__ = ("_waiters", "run_id", "standing")

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.standing: Standing | None = None
        self._waiters: list[asyncio.Future[None]] = []

    async def beyond(self, known: RunRecord) -> None:
        """Waits until it stands otherwise than is known already; what was seen before that does not count."""
        while self.standing is None or not _is_news(self.standing, known):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def tell(self, standing: Standing) -> None:
        """That is how it stands now."""
        if standing != self.standing:
            self.standing = standing
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)


def _is_news(standing: Standing, known: RunRecord) -> bool:
    if standing.epoch != known.epoch:
        return standing.epoch > known.epoch or not standing.epoch  # without one it is not there any more
    return standing.last > known.last or (standing.last == known.last and standing.status != known.status)


class Lookout:
    """Looks into one storage for one event loop. Use `lookout_of`."""

    def __init__(self, storage: Storage) -> None:
        self.identity = storage.identity
        self._storage = storage  # which is alive for as long
        self._system = storage.system()
        self._loop = asyncio.get_running_loop()
        self._owned: dict[str, tuple[Lease, Take]] = {}
        self._followed: dict[Following, None] = {}
        self._places: set[int] = set()
        self._waiting: dict[int, tuple[asyncio.Future[None], Hashable]] = {}
        self._renewed = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def own(self, lease: Lease, take: Take) -> None:
        """From here on `take` is given all that waits in the inbox of a run, again and again until it is taken out."""
        self._owned[lease.run_id] = (lease, take)
        self._later()

    def disown(self, run_id: str) -> None:
        """The run is not at work here any more."""
        self._owned.pop(run_id, None)
        self._rest()

    def follow(self, run_id: str) -> Following:
        """How far a run is, from now on; see `unfollow`."""
        following = Following(run_id)
        self._followed[following] = None
        self._later()
        return following

    def unfollow(self, following: Following) -> None:
        """Nobody waits for it any more."""
        self._followed.pop(following, None)
        self._rest()

    def hold(self, place: int) -> None:
        """From here on the place on a branch is held, until it is dropped."""
        if not self._places:
            self._renewed = time.monotonic()
        self._places.add(place)
        self._later()

    def drop(self, place: int) -> None:
        """The place is given back, or given up."""
        self._places.discard(place)
        self._rest()

    async def turn(self, place: int, branch: Hashable) -> None:
        """Waits until a place has nobody before it any more, or is gone. Of those on one branch only the first can have."""
        waiter = self._loop.create_future()
        self._waiting[place] = (waiter, branch)
        self._later()
        try:
            await waiter
        finally:
            self._waiting.pop(place, None)
            self._rest()

    @property
    def _busy(self) -> bool:
        return bool(self._owned or self._followed or self._places or self._waiting)

    def poke(self, *, turns: bool) -> None:
        """Looks at once: in this process a turn was given back, or something posted, for which somebody may wait here."""
        if not (self._waiting if turns else self._owned):
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._look()
        else:
            self._again = self._task is not None

    def _later(self, wait_s: float = LOOK_S) -> None:
        if self._timer is None and self._task is None:
            self._timer = self._loop.call_later(wait_s, self._look)

    def _rest(self) -> None:
        if not self._busy and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        self._again = False
        self._task = self._loop.create_task(self._looked(), name="lumosai looks", context=Context())

    async def _looked(self) -> None:
        wait_s = LOOK_S
        try:
            if time.monotonic() - self._renewed > RENEW_S:
                self._renewed = time.monotonic()
                await self._system.renew_turns([*self._places])
            await self._tell_turns()
            await self._tell_inboxes()
            await self._tell_standings()
        except LumosaiError as error:  # a database that cannot be reached now may be later
            wait_s = _FAILED_S
            logger.debug("the storage could not be looked into: %s", error)
        finally:
            self._task = None
            if self._busy and not self._loop.is_closed():
                self._later(0 if self._again else wait_s)

    async def _tell_turns(self) -> None:
        first: dict[Hashable, int] = {}
        for place, (_, branch) in self._waiting.items():
            first[branch] = min(place, first.get(branch, place))
        for place in await self._system.free_turns([*first.values()]):
            waiter, _ = self._waiting.get(place, (None, None))
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    async def _tell_inboxes(self) -> None:
        found: dict[str, list[InboxItem]] = {}
        for item in await self._system.inbox([lease for lease, _ in self._owned.values()]):
            found.setdefault(item.run_id, []).append(item)
        for run_id, items in found.items():
            owner = self._owned.get(run_id)
            if owner is not None:
                owner[1](tuple(items))

    async def _tell_standings(self) -> None:
        wanted = {f.run_id for f in self._followed}
        found = {s.run_id: s for s in await self._system.standings(list(wanted))}
        for following in [*self._followed]:
            if following.run_id in wanted:
                following.tell(found.get(following.run_id) or Standing(following.run_id, "ended", 0, 0))


_all: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[int, Lookout]]] = WeakKeyDictionary()
"""By storage, which a lookout keeps alive; its own timer keeps it alive while anybody waits."""
_guard: Final = threading.Lock()


def lookout_of(storage: Storage) -> Lookout:
    """The one of this event loop for a storage."""
    with _guard:
        loop = asyncio.get_running_loop()
        mine = _all.get(loop)
        if mine is None:
            mine = _all[loop] = WeakValueDictionary()
        found = mine.get(id(storage))
        if found is None:
            found = mine[id(storage)] = Lookout(storage)
        return found


def poke(storage: Storage, *, turns: bool) -> None:
    """All that wait in this process for a turn, or for what is posted, look at once into that database."""
    name = storage.identity
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:  # a run that is closed behind its event loop, by the garbage collector
        here = None
    with _guard:
        found = [
            (loop, lookout) for loop, some in _all.items() for lookout in some.values() if lookout.identity == name
        ]
    for loop, lookout in found:
        if loop is here:
            lookout.poke(turns=turns)
        else:
            with suppress(RuntimeError):  # it was closed a moment ago
                loop.call_soon_threadsafe(partial(lookout.poke, turns=turns))
