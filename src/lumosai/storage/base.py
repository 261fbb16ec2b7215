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
from typing import TYPE_CHECKING, Any, Final, Protocol

from lumosai.errors import ConfigurationError
from lumosai.storage._journal import JournalHandle
from lumosai.storage._maintaining import System
from lumosai.storage._page import Page
from lumosai.storage._prepared import Write
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
    SearchingHandle,
    VectorBlock,
    Vectors,
    VectorsKnown,
    Within,
    searchable,
)
from lumosai.storage._who import name_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from lumosai.messages import Message
    from lumosai.records import Scope

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
    "JournalHandle",
    "Lease",
    "Match",
    "MessageFilter",
    "Page",
    "Place",
    "RememberingHandle",
    "RunRecord",
    "RunStatus",
    "SearchIndex",
    "SearchingHandle",
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


class Handle(JournalHandle, SearchingHandle, RememberingHandle, Protocol):
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
