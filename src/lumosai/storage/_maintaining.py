"""Maintenance of a database, in all its scopes. Part of the contract in `base`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Sequence

    from lumosai.records import Retention, Scope
    from lumosai.storage._records import InboxItem, Lease, RunRecord, Standing
    from lumosai.storage.upkeep import Collected, DatabaseInfo, Erased, Loaded


class System(Protocol):
    """Maintenance of one database, in all its scopes: the only way to rows that no scope was named for.

    All methods raise `StorageError`. Those that remove go on where a process was killed, and may be called by several
    processes at once.
    """

    async def orphans(self, agents: Sequence[str], *, limit: int = 100) -> tuple[tuple[Scope, RunRecord], ...]:
        """Runs of these agents that should go on and go on nowhere, of every scope, each with its own.

        Their process is gone; or they are paused, and a decision about a call of theirs is in their inbox.
        """
        ...

    async def inbox(self, leases: Sequence[Lease]) -> tuple[InboxItem, ...]:
        """What waits in the inboxes of the runs that these leases are for, of each in the order it was posted."""
        ...

    async def standings(self, run_ids: Sequence[str]) -> tuple[Standing, ...]:
        """How far root runs are, whoever may see them; those that are not there any more are left out."""
        ...

    async def free_turns(self, places: Sequence[int]) -> frozenset[int]:
        """Of these places, those that have nobody before them any more, and those that are gone."""
        ...

    async def renew_turns(self, places: Sequence[int]) -> None:
        """Holds places for longer."""
        ...

    async def info(self, *, check: bool = False, retention: Retention | None = None) -> DatabaseInfo:
        """The database's state.

        Args:
            check: whether to look through all of it for damage.
            retention: what would be removed by it is told.
        """
        ...

    async def collect(self, retention: Retention, *, pause_s: float = 0.02, thorough: bool = False) -> Collected:
        """Removes what was kept long enough, in transactions of at most about 5 ms, and gives the room back to the disk.

        Args:
            retention: what is kept.
            pause_s: seconds between two transactions, for others.
            thorough: whether the file may be written anew, once, where it could not give room back otherwise; others
                wait meanwhile.
        """
        ...

    async def erase(self, resource_id: str, *, tenant: str = "default") -> Erased:
        """Removes all that is about a resource, for good: its threads, what anybody forked from them, and their runs.

        A run that is at work there loses its lease. What was deleted is overwritten where the database can do so.
        Backups, exports and what a model's server keeps are not reached.
        """
        ...

    def export(self, scope: Scope | None = None) -> AsyncIterator[bytes]:
        """What a scope holds, or the whole database, as lines of JSON, each with its newline; from one state of it.

        Threads, branches, messages with media, runs with events and contents, what was learned of models. The search index and telemetry are not in it. `storage._lines` is the format.
        """
        ...

    async def load(self, lines: AsyncIterable[bytes]) -> Loaded:
        """Takes in an export. What is here stays: see `Loaded`. One that was cut is gone on with by doing it again.

        A run that was at work, or left by its process, may be taken up here as soon as it is whole.

        Raises:
            InvalidInputError: it is no export, one of a later version, damaged, or cut short.
        """
        ...

    async def backup(self, path: str) -> int:
        """Writes a copy of the database as it is now to a file that is not there yet, while others write; its bytes.

        Raises:
            ConfigurationError: there is such a file, or the database has no such copies: export it.
            StorageError: it could not be written, or is not sound; then there is no file.
        """
        ...

    async def migrate(self) -> int:
        """Brings the schema up to date, under a lock; how many steps that took."""
        ...
