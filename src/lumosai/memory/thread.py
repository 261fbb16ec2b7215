"""A thread in the caller's hands: its settings as they were read, its messages as they are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lumosai.errors import InvalidInputError
from lumosai.memory._left import page_as_shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from lumosai.messages import Message
    from lumosai.storage.base import Handle, MessageFilter, Page, StoredMessage, ThreadRecord


class MemoryThread:
    """A conversation that is kept.

    What is read here as an attribute is as it was when the thread was read; methods ask the storage.

    Attributes:
        record: what was read, with `version` and `message_count`.
    """

    __slots__ = ("_added", "_handle", "record")

    def __init__(self, handle: Handle, record: ThreadRecord, added: Callable[[int], None] | None = None) -> None:
        self._handle = handle
        self._added = added
        self.record = record

    def __repr__(self) -> str:
        return f"<MemoryThread {self.id!r}, {self.title!r}, {self.record.message_count} messages>"

    @property
    def id(self) -> str:
        """Its id."""
        return self.record.id

    @property
    def title(self) -> str:
        """Its title, "" while it has none."""
        return self.record.title

    @property
    def agent_id(self) -> str | None:
        """Whose thread it is."""
        return self.record.agent_id or None

    @property
    def resource_id(self) -> str | None:
        """Whom it is about."""
        return self.record.resource_id or None

    @property
    def metadata(self) -> dict[str, Any]:
        """The user's own JSON object."""
        return self.record.metadata

    @property
    def branch(self) -> int:
        """The number of the active branch."""
        return self.record.branch

    @property
    def created_at(self) -> dt.datetime:
        """When it was made, UTC."""
        return dt.datetime.fromtimestamp(self.record.created_at, tz=dt.UTC)

    @property
    def updated_at(self) -> dt.datetime:
        """When it was last written to, UTC."""
        return dt.datetime.fromtimestamp(self.record.updated_at, tz=dt.UTC)

    async def add_message(self, message: Message, *, branch: int | None = None) -> StoredMessage:
        """Stores a message at a branch's end. One whose id is there already is not stored again.

        Raises:
            NotFoundError: the thread or the branch is gone.
        """
        (stored,) = await self._handle.add_messages(self.id, [message], branch=branch)
        if self._added is not None:
            self._added(1)
        return stored

    async def get_messages(
        self,
        limit: int = 50,
        cursor: str | None = None,
        filter: MessageFilter | None = None,  # noqa: A002
        *,
        branch: int | None = None,
        newest: bool = False,
    ) -> Page[StoredMessage]:
        """A page of messages in order, from the first on, or with `newest` the last ones.

        With a filter it may hold fewer than `limit`, or none, though its cursor goes on: it looks at a bounded number.
        Without one, what a run had shown whose process died, and nobody has gone on with, stands behind the last message,
        over and above `limit`, its answer marked `interrupted` in the metadata. It is not stored yet, and goes where the
        run goes on.

        Raises:
            NotFoundError: the thread or the branch is gone.
            InvalidInputError: the cursor is none of this list's.
        """
        if filter is None:
            return await page_as_shown(self._handle, self.id, branch=branch, limit=limit, cursor=cursor, newest=newest)
        return await self._handle.messages(
            self.id, branch=branch, filter=filter, limit=limit, cursor=cursor, newest=newest
        )

    async def update_metadata(self, metadata: Mapping[str, Any]) -> MemoryThread:
        """The thread with these keys set in its metadata; a key set to None is taken out.

        Raises:
            ConflictError: somebody else changed the thread since it was read here.
            InvalidInputError: it is no mapping, or holds what JSON cannot.
        """
        if not isinstance(metadata, Mapping):
            raise InvalidInputError(f"metadata={metadata!r:.80} of a thread is no dict")
        merged = {k: v for k, v in {**self.metadata, **metadata}.items() if v is not None}
        self.record = await self._handle.update_thread(self.id, metadata=merged, version=self.record.version)
        return self
