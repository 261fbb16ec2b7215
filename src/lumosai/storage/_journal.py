"""What a handle keeps of runs: what they say, the right to say more, their inboxes. Part of the contract in `base`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.storage._page import Page
    from lumosai.storage._prepared import Write
    from lumosai.storage._records import Batch, InboxItem, Lease, RunRecord, RunStatus, Stretch


class JournalHandle(Protocol):
    """The part of a handle that is about runs."""

    async def open_run(self, record: RunRecord, batch: Batch, *, along: Sequence[Write[Any]] = ()) -> Lease:
        """A new run with its first events, and the right to write more; `along` is stored with it, all or nothing."""
        ...

    async def append_events(
        self, lease: Lease, batch: Batch, *, urgent: bool = False, along: Sequence[Write[Any]] = ()
    ) -> None:
        """Stores a run's next events; those that pause or end it give the lease back. A short run that ends is compacted.

        Args:
            lease: the right to.
            batch: the events, which follow the last ones that are stored.
            urgent: whether somebody waits for it, so that it goes before others.
            along: what of this storage is stored with it, all or nothing.

        Raises:
            LeaseLostError: another process has taken the run over.
            UnreadInboxError: they end the run, and a message is in its inbox that is not `taken`.
        """
        ...

    async def post(self, run_id: str, item: InboxItem) -> RunRecord:
        """Puts an item into the inbox of a run, by its id or a sub-run's: its owner applies it, now or when it has one.

        Raises:
            NotFoundError: there is no such run in this scope.
            ConflictError: the run has ended, or its inbox is full.
        """
        ...

    async def stretch(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Stretch:
        """As `events`, with how the run stands and where its epochs begin, all of one moment. A limit of 0 reads no events."""
        ...

    async def compact_run(self, run_id: str) -> int:
        """Stores the events of a run that has ended in less room; in how many batches. Numbers stay as they are."""
        ...

    async def take_run(self, run_id: str) -> tuple[RunRecord, Lease | None]:
        """A run, by its id or a sub-run's, and the right to go on with it; None where it has ended.

        Raises:
            NotFoundError: there is no such run in this scope.
            LeaseLostError: another process, which is alive, is at work on it.
        """
        ...

    async def let_go(self, lease: Lease) -> None:
        """Gives a lease back, the run unchanged. A place that it has on a branch is passed by from then on."""
        ...

    async def renew(self, lease: Lease) -> bool:
        """Holds a lease for longer; whether it was still there."""
        ...

    async def run(self, run_id: str) -> RunRecord | None:
        """A root run, by its id or a sub-run's; None where there is none."""
        ...

    async def list_runs(
        self, *, status: RunStatus | None = None, agent: str = "", limit: int = 50, cursor: str | None = None
    ) -> Page[RunRecord]:
        """Root runs, the one that began last first."""
        ...

    async def events(self, run_id: str, *, after: int = 0, limit: int = 1000) -> tuple[bytes, ...]:
        """Batches of a root run's events, as they were stored, from the one on that holds the number behind `after`."""
        ...

    async def contents(self, hashes: Sequence[str]) -> dict[str, bytes]:
        """What events of this scope refer to, by hash; what is not there any more is left out."""
        ...

    async def experience(self) -> dict[str, bytes]:
        """What runs of the tenant learned of models, by name."""
        ...

    async def keep_experience(self, new: Mapping[str, bytes]) -> None:
        """Keeps what was learned, each in place of what was there under its name."""
        ...

    def prepare_experience(self, new: Mapping[str, bytes]) -> Write[None]:
        """`keep_experience`, to be done later, or along with a run's events."""
        ...

    async def delete_run(self, run_id: str) -> bool:
        """Deletes a run that does not go on, with its events; whether there was one."""
        ...
