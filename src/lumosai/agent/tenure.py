"""The right to write to a run: held for as long as the run goes on in this process, while its inbox is looked into."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from lumosai._loggers import logger_of
from lumosai.errors import LeaseLostError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lumosai.agent.inbox import Inbox
    from lumosai.errors import LumosaiError
    from lumosai.storage.base import Handle, Lease
    from lumosai.storage.lookout import Lookout

logger = logger_of("lumosai.agent")

RENEW_S: Final = 3.0


class Tenure:
    """One run's lease.

    Args:
        handle: the storage, as the run's scope sees it.
        run_id: the run.
        lost: called where another process has taken the run over.
        lease: of a run that is taken up; None of a new one.

    Attributes:
        lease: as given, or as it was come by; None where the run's first events are not stored yet.
        inbox: what others ask of the run; None where nobody looks.
        lookout: who looks.
    """

    def __init__(
        self, handle: Handle, run_id: str, lost: Callable[[LumosaiError], None], lease: Lease | None = None
    ) -> None:
        self.lease = lease
        self.inbox: Inbox | None = None
        self.lookout: Lookout | None = None
        self._handle = handle
        self._run_id = run_id
        self._lost = lost
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None

    def hold(self) -> None:
        """The run is at work here: its lease is held for as long, and its inbox looked into."""
        if self.lease is not None:
            self._renew_later()
            if self.lookout is not None and self.inbox is not None:
                self.lookout.own(self.lease, self.inbox.take)

    def rest(self) -> None:
        """The run is at work here no more, or not for now."""
        if self.lookout is not None:
            self.lookout.disown(self._run_id)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._renewal is not None and self._renewal is not asyncio.current_task():
            self._renewal.cancel()
            self._renewal = None

    def _renew_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(RENEW_S, self.renew)

    def renew(self) -> None:
        """Holds the lease for longer, and again from time to time."""
        self._renewal = asyncio.get_running_loop().create_task(self._renewed())

    async def _renewed(self) -> None:
        lease = self.lease
        if lease is None or self._timer is None:
            return
        try:
            held = await self._handle.renew(lease)
        except StorageError as error:  # the next events, or the next renewal, will tell
            logger.warning("the lease of run %s was not renewed: %s", self._run_id, error)
            held = True
        if held:
            self._renew_later()
        elif self._timer is not None:
            self._lost(LeaseLostError(f"run {self._run_id} was taken over by another process"))
