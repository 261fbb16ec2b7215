"""The contract of storage: what is kept, for whom, and what every back end promises.

A `Storage` is one database. Whoever reads or writes goes through `scope(…)`: the `Handle` that it gives reaches the rows
of that scope and no other. `open_storage(url)` picks the back end by the URL's scheme.

What is promised: when a call returned, its transaction is committed, whole or not at all; numbers in a branch are given
by the database, in order, without a gap that a reader could see filled later; a page read on from a cursor shows nothing
twice and leaves out nothing that was there when it began and still is. What is not: no order between threads that are
written at the same time, and no wall-clock order anywhere.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from lumosai.errors import ConfigurationError
from lumosai.storage._page import Page
from lumosai.storage._recording import TIERS, TelemetryHandle, TelemetryStore
from lumosai.storage._records import (
    MAIN,
    Batch,
    Begun,
    Branch,
    Foreseen,
    InboxItem,
    InboxKind,
    Lease,
    MessageFilter,
    Place,
    RunRecord,
    RunStatus,
    Standing,
    StoredMessage,
    Stretch,
    ThreadFilter,
    ThreadRecord,
)
from lumosai.storage._remembering import (
    OPEN,
    Facts,
    RememberingHandle,
    SessionFilter,
    SessionRecord,
    SessionState,
    View,
)
from lumosai.storage._searching import (
    Claimed,
    Excerpt,
    FullText,
    Match,
    SearchIndex,
    VectorBlock,
    Vectors,
    VectorsKnown,
    Within,
    searchable,
)
from lumosai.storage._who import name_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Generator, Hashable, Mapping, Sequence

    from lumosai._terms import Wanted
    from lumosai.messages import Message
    from lumosai.records import Retention, Scope
    from lumosai.storage.upkeep import Collected, DatabaseInfo, Erased, Loaded

__all__ = [
    "MAIN",
    "OPEN",
    "TIERS",
    "Batch",
    "Begun",
    "Branch",
    "Claimed",
    "Excerpt",
    "Facts",
    "Foreseen",
    "FullText",
    "Handle",
    "InboxItem",
    "InboxKind",
    "Lease",
    "Match",
    "MessageFilter",
    "Page",
    "Place",
    "RememberingHandle",
    "RunRecord",
    "RunStatus",
    "SearchIndex",
    "SessionFilter",
    "SessionRecord",
    "SessionState",
    "Standing",
    "Storage",
    "StoredMessage",
    "Stretch",
    "System",
    "TelemetryHandle",
    "TelemetryStore",
    "ThreadFilter",
    "ThreadRecord",
    "VectorBlock",
    "Vectors",
    "VectorsKnown",
    "View",
    "Within",
    "Write",
    "name_of",
    "open_storage",
    "searchable",
]

T_co = TypeVar("T_co", covariant=True)


class Write(Protocol[T_co]):
    """Something that is made ready to be stored, and is not yet.

    Awaited, it is a transaction of its own and gives what came of it. Given to `open_run` or `append_events` it is part
    of theirs, and `value` is what came of it once they returned. It may be tried again where it failed.
    """

    @property
    def value(self) -> T_co:
        """What came of it, once it is stored."""
        ...

    def under(self, lease: Lease | None) -> Write[T_co]:
        """The same, refused where a run that holds this lease has been taken over."""
        ...

    def __await__(self) -> Generator[Any, Any, T_co]: ...


class Handle(RememberingHandle, Protocol):
    """What one scope may do. Threads of other owners and tenants do not exist for it.

    A handle without an owner sees its whole tenant; where it names a thread that several owners have, that is an error
    that says so. All methods raise `StorageError`, and `NotFoundError` for a thread, branch or message that is not there.
    """

    @property
    def scope(self) -> Scope: ...

    @property
    def storage(self) -> Storage:
        """What it is a handle of."""
        ...

    async def create_thread(
        self,
        thread_id: str | None = None,
        *,
        title: str = "",
        agent_id: str = "",
        resource_id: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> ThreadRecord:
        """A new thread; without an id it gets one.

        Raises:
            ConflictError: there is one with that id.
        """
        ...

    async def ensure_thread(
        self, thread_id: str, *, agent_id: str = "", resource_id: str = "", title: str = ""
    ) -> ThreadRecord:
        """The thread of that id, made where there is none."""
        ...

    async def thread(self, thread_id: str) -> ThreadRecord | None:
        """The thread of that id, None where there is none."""
        ...

    async def list_threads(
        self,
        *,
        filter: ThreadFilter | None = None,  # noqa: A002
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[ThreadRecord]:
        """Threads, the one that was written to last first."""
        ...

    async def update_thread(
        self,
        thread_id: str,
        *,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        resource_id: str | None = None,
        version: int | None = None,
    ) -> ThreadRecord:
        """Changes what is given; `metadata` replaces all of it.

        Raises:
            ConflictError: `version` is given and is not the thread's any more.
        """
        ...

    def prepare_title(self, thread_id: str, title: str, *, instead_of: str) -> Write[None]:
        """Makes a title ready to be stored in place of that one; where the thread has another by then, nothing is done."""
        ...

    async def delete_thread(self, thread_id: str) -> bool:
        """Deletes a thread; forks of it keep what they show. Whether there was one."""
        ...

    async def fork_thread(
        self,
        thread_id: str,
        *,
        new_id: str | None = None,
        branch: int | None = None,
        after: str | None = None,
        title: str | None = None,
    ) -> ThreadRecord:
        """A new thread that begins with another's messages, up to the message with the id `after`; nothing is copied."""
        ...

    async def branches(self, thread_id: str) -> tuple[Branch, ...]:
        """The thread's branches, by number."""
        ...

    async def add_branch(
        self, thread_id: str, before: str, *, branch: int | None = None, messages: Sequence[Message] = ()
    ) -> Branch:
        """A new branch that shares a branch's messages up to the one with the id `before`, without it, and has `messages`."""
        ...

    async def select_branch(self, thread_id: str, branch: int) -> ThreadRecord:
        """Makes a branch the active one."""
        ...

    async def add_messages(
        self,
        thread_id: str,
        messages: Sequence[Message],
        *,
        branch: int | None = None,
        run_id: str = "",
        lease: Lease | None = None,
    ) -> tuple[StoredMessage, ...]:
        """Stores messages at the end of a branch, all or none. One without an id gets one.

        A message whose id the branch has already is not stored again: what is there counts.

        Raises:
            LeaseLostError: a `lease` is given, and another process has taken over the run that it is for.
        """
        ...

    def prepare_messages(
        self,
        thread_id: str,
        messages: Sequence[Message],
        *,
        branch: int | None = None,
        run_id: str = "",
        place: int = 0,
    ) -> Write[tuple[StoredMessage, ...]]:
        """`add_messages`, to be done later, or along with a run's events. What is wrong is raised then.

        With a `place`, `LeaseLostError` where it is gone.
        """
        ...

    async def begin_turn(
        self,
        thread: ThreadRecord,
        messages: Sequence[Message],
        *,
        branch: int | None = None,
        run_id: str = "",
        last: int = 20,
        wait: bool | None = None,
    ) -> Begun:
        """Makes the thread where there is none, reads its last messages, and stores new ones behind them: one transaction.

        Args:
            thread: which, as it is made.
            messages: the new ones.
            branch: the branch's number, None for the active one.
            run_id: the run that stores them.
            last: how many messages that were there before are read, at the most.
            wait: whether the run is to be at work on the branch alone, and gets a place behind one that is there; where
                it is not to wait, it gets none. None: it does not care.
        """
        ...

    def prepare_turn(
        self,
        thread: ThreadRecord,
        messages: Sequence[Message],
        *,
        branch: int | None = None,
        run_id: str = "",
        last: int = 20,
        wait: bool | None = None,
        seen: Foreseen | None = None,
    ) -> Write[Begun]:
        """`begin_turn`, to be done later, or along with a run's events. What is wrong is raised then.

        With `seen`, of `foresee_turn`, nothing is read and nobody waited for: `ConflictError`, where it is not so any more.
        """
        ...

    async def foresee_turn(self, thread_id: str, *, branch: int | None = None, last: int = 20) -> Foreseen:
        """How a run would begin on a branch now, the active one where none is named, with so many of its last messages.

        Raises:
            NotFoundError: the thread has no such branch.
        """
        ...

    async def look_at_turn(self, thread_id: str, *, branch: int | None = None) -> Place:
        """Who is at work on a branch, the active one where none is named; no place is taken."""
        ...

    async def take_turn(self, thread_id: str, run_id: str, *, branch: int | None = None, wait: bool = True) -> Place:
        """A place on a branch; without `wait`, none behind others. On a thread that is not there nobody has one.

        It is held for 10 s, and again from each `System.renew_turns`.
        """
        ...

    async def leave_turn(self, place: int) -> None:
        """Gives a place back, so that the next run is let in."""
        ...

    async def messages(
        self,
        thread_id: str,
        *,
        branch: int | None = None,
        filter: MessageFilter | None = None,  # noqa: A002
        limit: int = 50,
        cursor: str | None = None,
        newest: bool = False,
    ) -> Page[StoredMessage]:
        """Messages on a branch's path, in order; with `newest` the last ones there are, in order all the same.

        A page's `next_cursor` reads on, its `previous_cursor` back, whichever way it was come by.
        """
        ...

    async def messages_and_left(
        self,
        thread_id: str,
        *,
        branch: int | None = None,
        limit: int = 50,
        cursor: str | None = None,
        newest: bool = False,
    ) -> tuple[Page[StoredMessage], tuple[str, ...]]:
        """As `messages`, and where the page comes to the end, the ids of the runs that had their turn there and whose process is gone."""
        ...

    async def message(self, thread_id: str, message_id: str, *, branch: int | None = None) -> StoredMessage | None:
        """One message on a branch's path."""
        ...

    async def delete_messages(self, thread_id: str, message_ids: Sequence[str]) -> int:
        """Deletes messages from every branch of the thread that holds them itself, and so from forks that share them; how many."""
        ...

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

    async def search(
        self, text: str, *, resource_id: str = "", limit: int = 50, cursor: str | None = None
    ) -> Page[tuple[ThreadRecord, StoredMessage]]:
        """Messages whose text holds `text`, each with its thread: the thread made last first, its last message first."""
        ...

    async def full_text(self, within: Within, sought: Sequence[Wanted], *, limit: int = 50) -> FullText:
        """The messages that fit terms best, of those that are indexed; by BM25 over what is searched alone.

        Raises:
            NotFoundError: no such thread or branch.
        """
        ...

    async def vectors(self, within: Within, space: str, known: Mapping[int, VectorsKnown]) -> Vectors:
        """What is new of the vectors of the messages that a search goes through.

        Args:
            within: which messages.
            space: the name of the embedding model that made them.
            known: what the reader has already, by branch.

        Raises:
            NotFoundError: no such thread or branch.
        """
        ...

    async def fitting(self, within: Within, places: Sequence[int]) -> dict[int, float]:
        """Of some places those that a search goes through and its filter means, and when each was stored, unix seconds."""
        ...

    async def excerpts(
        self, within: Within, places: Sequence[int], *, before: int = 0, after: int = 0
    ) -> tuple[Excerpt, ...]:
        """What was said at these places and around them; what is gone, or is not searched, is left out."""
        ...

    async def vector_space(self, name: str) -> int:
        """The tenant's messages are to have vectors of the embedding model of that name, old ones too; its key."""
        ...


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


class Storage(Protocol):
    """One database."""

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        ...

    @property
    def identity(self) -> Hashable:
        """Equal for storages of this process that are one database, however each was named."""
        ...

    def scope(self, scope: Scope) -> Handle:
        """What that scope may do."""
        ...

    @property
    def index(self) -> SearchIndex:
        """What waits to be indexed."""
        ...

    def system(self) -> System:
        """What maintenance may do, in all scopes. Nothing that answers a user goes through it."""
        ...

    @property
    def telemetry(self) -> TelemetryStore:
        """Traces and measurements."""
        ...

    async def open(self) -> None:
        """Connects, and makes or migrates the schema where that is safe. Every other call does so by itself."""
        ...

    async def close(self) -> None:
        """Waits for what is under way and lets go of the database. It may be opened again."""
        ...


_BACK_ENDS: Final = {
    "sqlite": "lumosai.storage.sqlite:SqliteStorage",
    "postgresql": "lumosai.storage.postgres:PostgresStorage",
    "postgres": "lumosai.storage.postgres:PostgresStorage",
}


def open_storage(url: str) -> Storage:
    """The storage at a URL: `sqlite:///file.db` (relative), `sqlite:////abs/file.db`, `sqlite://` (in memory) or `postgresql://…`.

    Nothing is connected to before the first use.

    Raises:
        ConfigurationError: no back end has that scheme.
        MissingExtraError: its library is not installed.
    """
    if "\0" in url:
        raise ConfigurationError("a storage URL has a NUL in it, which stands in no file's and no database's name")
    scheme, mark, _ = url.partition("://")
    home = _BACK_ENDS.get(scheme.lower().partition("+")[0]) if mark else None
    if home is None:
        raise ConfigurationError(
            f"no storage for {url.partition('@')[0] if '@' not in url else scheme + '://…'!r}: a storage URL begins with "
            "sqlite:/// (a file) or postgresql://"
        )
    module, _, name = home.partition(":")
    made: Storage = getattr(importlib.import_module(module), name)(url)
    return made
