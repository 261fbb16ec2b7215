"""What a run's events are to the storage: lines of JSON, with what they refer to, and how the run stands behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.agent.references import Requests
from lumosai.events import TERMINAL, ModelCallStarted, RunPaused, RunStarted, to_json
from lumosai.storage.base import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.agent.log import EventLog
    from lumosai.events import Event
    from lumosai.storage.base import RunStatus


class Batches:
    """Makes batches of one root run's events.

    Args:
        log: the run's events.
        run_id: the run.

    Attributes:
        requests: how its requests are stored.
        stays: whether a run that waits for an approval stays in this process, which then keeps the lease.
        place: the run's on a branch of a thread, which its last events give back; 0 where it has none.
    """

    def __init__(self, log: EventLog, run_id: str) -> None:
        self.requests = Requests(log.events)
        self.stays = False
        self.place = 0
        self._run_id = run_id

    def of(self, events: Sequence[Event], taken: tuple[str, ...]) -> Batch:
        """Events that follow one another, with which those rows of the inbox are done."""
        contents: dict[str, bytes] = {}
        light = self.requests.light
        lines = [to_json(light(e, contents) if type(e) is ModelCallStarted else e) for e in events]
        last = events[-1]
        status, reason = self._standing(last)
        return Batch(
            first=events[0].seq,
            last=last.seq,
            data=b"\n".join(lines),
            contents=contents,
            children=tuple([e.run_id for e in events if type(e) is RunStarted and e.run_id != self._run_id]),
            taken=taken,
            place=self.place,
            status=status,
            reason=reason,
        )

    def _standing(self, last: Event) -> tuple[RunStatus, str]:
        """How the run stands behind an event."""
        if last.run_id == self._run_id:
            if isinstance(last, TERMINAL):
                return "ended", last.result.finish_reason
            if type(last) is RunPaused and not (self.stays and last.reason == "approval"):
                return "paused", last.reason
        return "running", ""
