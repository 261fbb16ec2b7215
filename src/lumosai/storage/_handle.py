"""What a scope may do, the same on every back end: each method is one operation, read or written as one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgspec.structs import replace

from lumosai.errors import InvalidInputError
from lumosai.ids import new_id
from lumosai.messages import flaw, scrubbed, whole
from lumosai.storage import _bodies as bodies
from lumosai.storage import _branches as branches
from lumosai.storage import _experience as learned
from lumosai.storage import _forgetting as forgetting
from lumosai.storage import _index as index
from lumosai.storage import _mentions as mentions
from lumosai.storage import _messages as stored
from lumosai.storage import _owner as owners
from lumosai.storage import _removal as removal
from lumosai.storage import _runs as runs
from lumosai.storage import _search as searching
from lumosai.storage import _threads as threads
from lumosai.storage import _turns as turns
from lumosai.storage._filter import sound
from lumosai.storage._journalling import JournalDatabase, Journalling
from lumosai.storage._page import page_size
from lumosai.storage._pending import Pending
from lumosai.storage._remembered import Remembering
from lumosai.storage._who import name_of, optional, who_of
from lumosai.storage.base import MessageFilter, StoredMessage, ThreadFilter, ThreadRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai._terms import Wanted
    from lumosai.messages import Message
    from lumosai.records import Scope
    from lumosai.storage._known import Placed
    from lumosai.storage._op import Op
    from lumosai.storage.base import (
        Begun,
        Branch,
        Excerpt,
        Foreseen,
        FullText,
        Lease,
        Page,
        Place,
        Storage,
        Vectors,
        VectorsKnown,
        Within,
    )

T = TypeVar("T")


class ScopedHandle(Remembering, Journalling):
    """`lumosai.storage.base.Handle` over any database."""

    __slots__ = ("_database", "_who", "scope")

    _database: JournalDatabase

    def __init__(self, database: JournalDatabase, scope: Scope) -> None:
        self.scope = scope
        self._who = who_of(scope)
        self._database = database

    @property
    def storage(self) -> Storage:
        return cast("Storage", self._database)  # whoever drives operations of a handle is one

    def __repr__(self) -> str:
        return f"<handle of {self.scope!r}>"

    async def create_thread(
        self,
        thread_id: str | None = None,
        *,
        title: str = "",
        agent_id: str = "",
        resource_id: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> ThreadRecord:
        new = self._new(thread_id, title, agent_id, resource_id, metadata)
        return await self._database.write(partial(threads.create, self._who, new))

    async def ensure_thread(
        self, thread_id: str, *, agent_id: str = "", resource_id: str = "", title: str = ""
    ) -> ThreadRecord:
        new = self._new(thread_id, title, agent_id, resource_id, None)
        return await self._database.write(partial(threads.ensured, self._who, new), again=True)

    async def thread(self, thread_id: str) -> ThreadRecord | None:
        return await self._database.read(partial(threads.record, self._who, _thread(thread_id)))

    async def list_threads(
        self,
        *,
        filter: ThreadFilter | None = None,  # noqa: A002
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[ThreadRecord]:
        op = partial(
            threads.listed, self._who, sound(filter) if filter is not None else ThreadFilter(), page_size(limit), cursor
        )
        return await self._database.read(op)

    async def update_thread(
        self,
        thread_id: str,
        *,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        resource_id: str | None = None,
        version: int | None = None,
    ) -> ThreadRecord:
        op = partial(
            threads.update,
            self._who,
            _thread(thread_id),
            self._database.now(),
            title=title,
            metadata=metadata,
            resource_id=None if resource_id is None else optional(resource_id, "resource id"),
            version=version,
        )
        return await self._database.write(op)

    def prepare_title(self, thread_id: str, title: str, *, instead_of: str) -> Pending[None]:
        def prepare() -> Op[None]:
            return partial(threads.entitle, self._who, _thread(thread_id), title, instead_of)

        return Pending(self._database, self._who, prepare)

    async def delete_thread(self, thread_id: str) -> bool:
        done = await self._database.write(partial(forgetting.thread, self._who, _thread(thread_id)))
        if done is not None:
            return done
        while await self._database.write(removal.sweep, "telemetry", again=True):
            pass
        return True

    async def fork_thread(
        self,
        thread_id: str,
        *,
        new_id: str | None = None,
        branch: int | None = None,
        after: str | None = None,
        title: str | None = None,
    ) -> ThreadRecord:
        new = self._new(new_id, title or "", "", "", None)
        last = name_of(after, "message id") if after is not None else None
        return await self._database.write(
            partial(branches.fork, self._who, _thread(thread_id), new, branch, last, keep_title=title is None)
        )

    async def branches(self, thread_id: str) -> tuple[Branch, ...]:
        return await self._database.read(partial(branches.all_of, self._who, _thread(thread_id)))

    async def add_branch(
        self, thread_id: str, before: str, *, branch: int | None = None, messages: Sequence[Message] = ()
    ) -> Branch:
        _check(messages)
        news = [_taken_apart(m) for m in named(messages)]
        now, first = self._database.now(), name_of(before, "message id")
        op = partial(stored.on_branch, self._who, _thread(thread_id), first, branch, news, now=now)
        return await self._database.write(op)

    async def select_branch(self, thread_id: str, branch: int) -> ThreadRecord:
        op = partial(branches.select, self._who, _thread(thread_id), branch, self._database.now())
        return await self._database.write(op)

    async def add_messages(
        self,
        thread_id: str,
        messages: Sequence[Message],
        *,
        branch: int | None = None,
        run_id: str = "",
        lease: Lease | None = None,
    ) -> tuple[StoredMessage, ...]:
        _check(messages)
        return await self.prepare_messages(thread_id, messages, branch=branch, run_id=run_id).under(lease)

    def prepare_messages(
        self,
        thread_id: str,
        messages: Sequence[Message],
        *,
        branch: int | None = None,
        run_id: str = "",
        place: int = 0,
    ) -> Pending[tuple[StoredMessage, ...]]:
        new = named(messages)
        now = self._database.now()

        def prepare() -> Op[Placed]:
            news = [_taken_apart(m) for m in new]
            run = optional(run_id, "run id")
            return partial(stored.add, self._who, _thread(thread_id), branch, news, run_id=run, now=now, place=place)

        def read(placed: Placed) -> tuple[StoredMessage, ...]:
            return tuple(StoredMessage(m, n, run_id, now) for m, n in zip(new, placed.numbers, strict=True))

        return Pending(self._database, self._who, prepare, read)

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
        return await self.prepare_turn(thread, messages, branch=branch, run_id=run_id, last=last, wait=wait)

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
    ) -> Pending[Begun]:
        new = named(messages)

        def prepare() -> Op[Begun]:
            run, lease = name_of(run_id, "run id") if wait is not None else optional(run_id, "run id"), owners.me()
            turn = partial(turns.enter, run_id=run, lease=lease, ttl_s=owners.LEASE_S, wait=bool(wait) and seen is None)
            made = self._new(thread.id, thread.title, thread.agent_id, thread.resource_id, thread.metadata)
            news, now = [_taken_apart(m) for m in new], made.created_at
            if seen is None:
                taking = turn if wait is not None else None
                return partial(stored.begin, self._who, made, branch, news, run_id=run, now=now, last=last, turn=taking)
            took = partial(turns.has, run_id=run, lease=lease)
            seen_so = partial(stored.begin_as_seen, self._who, made, branch, news, seen=seen, turn=turn, took=took)
            return partial(seen_so, run_id=run, now=now)

        return Pending(self._database, self._who, prepare)

    async def foresee_turn(self, thread_id: str, *, branch: int | None = None, last: int = 20) -> Foreseen:
        return await self._database.read(partial(stored.foresee, self._who, _thread(thread_id), branch, last))

    async def look_at_turn(self, thread_id: str, *, branch: int | None = None) -> Place:
        return await self._database.read(partial(turns.look, self._who, _thread(thread_id), branch))

    async def take_turn(self, thread_id: str, run_id: str, *, branch: int | None = None, wait: bool = True) -> Place:
        run, lease = name_of(run_id, "run id"), owners.me()
        op = partial(
            turns.take, self._who, _thread(thread_id), branch, run, lease=lease, ttl_s=owners.LEASE_S, wait=wait
        )
        return await self._database.write(op, "barrier", again=True)

    async def leave_turn(self, place: int) -> None:
        await self._database.write(partial(turns.leave, self._who, place), "barrier", again=True)

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
        op = partial(
            stored.page,
            self._who,
            _thread(thread_id),
            branch,
            sound(filter) if filter is not None else MessageFilter(),
            limit=page_size(limit),
            cursor=cursor,
            newest=newest,
        )
        return await self._database.read(op)

    async def messages_and_left(
        self,
        thread_id: str,
        *,
        branch: int | None = None,
        limit: int = 50,
        cursor: str | None = None,
        newest: bool = False,
    ) -> tuple[Page[StoredMessage], tuple[str, ...]]:
        of, most = _thread(thread_id), page_size(limit)
        op = partial(stored.page_and_left, self._who, of, branch, limit=most, cursor=cursor, newest=newest)
        return await self._database.read(op)

    async def message(self, thread_id: str, message_id: str, *, branch: int | None = None) -> StoredMessage | None:
        op = partial(stored.one, self._who, _thread(thread_id), branch, name_of(message_id, "message id"))
        return await self._database.read(op)

    async def delete_messages(self, thread_id: str, message_ids: Sequence[str]) -> int:
        ids = [name_of(i, "message id") for i in message_ids]
        op = partial(forgetting.messages, self._who, _thread(thread_id), ids, self._database.now())
        return await self._database.write(op)

    async def contents(self, hashes: Sequence[str]) -> dict[str, bytes]:
        known = [h for h in hashes if threads.plain(h) == h]  # no other name was ever stored
        return await self._database.read(partial(runs.contents, self._who, known))

    async def experience(self) -> dict[str, bytes]:
        return await self._database.read(partial(learned.read, self._who))

    async def keep_experience(self, new: Mapping[str, bytes]) -> None:
        await self.prepare_experience(new)

    def prepare_experience(self, new: Mapping[str, bytes]) -> Pending[None]:
        def prepare() -> Op[None]:
            rows = {name_of(name, "name"): new[name] for name in sorted(new)}
            return partial(learned.keep, self._who, rows, self._database.now())

        return Pending(self._database, self._who, prepare)

    async def search(
        self, text: str, *, resource_id: str = "", limit: int = 50, cursor: str | None = None
    ) -> Page[tuple[ThreadRecord, StoredMessage]]:
        if not text:
            raise InvalidInputError("search needs a text to look for")
        op = partial(mentions.search, self._who, text, resource_id, page_size(limit), cursor)
        return await self._database.read(op)

    async def full_text(self, within: Within, sought: Sequence[Wanted], *, limit: int = 50) -> FullText:
        return await self._database.read(partial(searching.full_text, self._who, _within(within), sought, limit))

    async def vectors(self, within: Within, space: str, known: Mapping[int, VectorsKnown]) -> Vectors:
        return await self._database.read(partial(searching.vectors, self._who, _within(within), space, known))

    async def fitting(self, within: Within, places: Sequence[int]) -> dict[int, float]:
        return await self._database.read(partial(searching.fitting, self._who, _within(within), places))

    async def excerpts(
        self, within: Within, places: Sequence[int], *, before: int = 0, after: int = 0
    ) -> tuple[Excerpt, ...]:
        op = partial(searching.excerpts, self._who, _within(within), places, before, after)
        return await self._database.read(op)

    async def vector_space(self, name: str) -> int:
        op = partial(index.space, self._who, name_of(name, "name of an embedding model"), self._database.now())
        return await self._database.write(op, again=True)

    def _new(
        self, thread_id: str | None, title: str, agent_id: str, resource_id: str, metadata: Mapping[str, Any] | None
    ) -> ThreadRecord:
        now = self._database.now()
        if metadata is not None and not isinstance(metadata, Mapping):
            raise InvalidInputError(f"metadata={metadata!r:.80} of a thread is no dict")
        return ThreadRecord(
            id=new_id() if thread_id is None else _thread(thread_id),
            title=threads.plain(title),
            agent_id=optional(agent_id, "agent id"),
            resource_id=optional(resource_id, "resource id"),
            metadata=scrubbed(dict(metadata)) if metadata else {},
            created_at=now,
            updated_at=now,
        )


def _check(messages: Sequence[Message]) -> None:
    """Sees that whoever reads the messages again will find what they are.

    Raises:
        InvalidInputError: one is not as its type says.
    """
    for message in messages:
        told = flaw(message)
        if told:
            raise InvalidInputError(f"the message cannot be stored: {told}")


def named(messages: Sequence[Message]) -> list[Message]:
    """The messages, each with an id, as they are stored."""
    return [m if m.id is not None else replace(m, id=new_id()) for m in map(whole, messages)]


def _taken_apart(message: Message) -> stored.New:
    try:
        packed = bodies.pack(message)
    except (TypeError, RecursionError) as error:
        raise InvalidInputError(
            f"message {message.id!r} cannot be stored, for it holds what is no JSON: {error}"
        ) from error
    return stored.New(name_of(str(message.id), "message id"), message.role, packed)


def _thread(thread_id: str) -> str:
    return name_of(thread_id, "thread id")


def _within(within: Within) -> Within:
    if within.thread_id:
        _thread(within.thread_id)
    optional(within.resource_id, "resource id")
    return within if within.filter is None else replace(within, filter=sound(within.filter))
