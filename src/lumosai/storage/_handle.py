"""What a scope may do, the same on every back end: each method is one operation, read or written as one transaction."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast

from msgspec.structs import replace

from lumosai.errors import InvalidInputError
from lumosai.ids import new_id
from lumosai.messages import scrubbed, whole
from lumosai.storage import _bodies as bodies
from lumosai.storage import _branches as branches
from lumosai.storage import _experience as learned
from lumosai.storage import _forgetting as forgetting
from lumosai.storage import _index as index
from lumosai.storage import _mentions as mentions
from lumosai.storage import _messages as stored
from lumosai.storage import _owner as owners
from lumosai.storage import _runs as runs
from lumosai.storage import _search as searching
from lumosai.storage import _threads as threads
from lumosai.storage import _turns as turns
from lumosai.storage._database import Database as Database  # noqa: PLC0414
from lumosai.storage._database import Lane as Lane  # noqa: PLC0414
from lumosai.storage._filter import sound
from lumosai.storage._remembered import Remembering
from lumosai.storage._who import name_of, who_of
from lumosai.storage.base import MessageFilter, StoredMessage, ThreadFilter, ThreadRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from lumosai._terms import Wanted
    from lumosai.messages import Message
    from lumosai.records import Scope
    from lumosai.storage._op import Op, Steps
    from lumosai.storage._who import Who
    from lumosai.storage.base import (
        Batch,
        Begun,
        Branch,
        Excerpt,
        Foreseen,
        FullText,
        InboxItem,
        Lease,
        Page,
        Place,
        RunRecord,
        RunStatus,
        Storage,
        Stretch,
        Vectors,
        VectorsKnown,
        Within,
        Write,
    )

T = TypeVar("T")

LEASE_S: Final = 10.0
"""How long a run is held without a word from its owner, by the database's clock."""

MOST: Final = 1_000
"""Items of a page, at the most."""


class JournalDatabase(Database, Protocol):
    """What it asks besides, for runs."""

    async def append(self, who: Who, lease: Lease, batch: Batch) -> None:
        """Stores a run's next events, for which nobody waits: those of several runs may go together."""
        ...


class Pending(Generic[T]):
    """`lumosai.storage.base.Write` over any database.

    Args:
        database: where it is stored.
        who: the scope.
        prepare: makes the operation, and raises what is wrong with it.
        read: what is made of what that gave.
    """

    __slots__ = ("_database", "_lease", "_prepare", "_read", "_value", "_who")

    def __init__(
        self,
        database: Database,
        who: Who,
        prepare: Callable[[], Op[Any]],
        read: Callable[[Any], T] | None = None,
    ) -> None:
        self._database = database
        self._who = who
        self._prepare = prepare
        self._read = read
        self._lease: Lease | None = None
        self._value: T | None = None

    @property
    def value(self) -> T:
        return cast("T", self._value)

    def under(self, lease: Lease | None) -> Pending[T]:
        self._lease = lease
        return self

    def __await__(self) -> Generator[Any, Any, T]:
        return self._alone().__await__()

    async def _alone(self) -> T:
        op = self._prepare()
        if self._lease is not None:
            op = partial(runs.under, self._who, self._lease, op)
        return self.take(await self._database.write(op, again=True))

    def take(self, given: Any) -> T:
        """It is stored: what the operation gave."""
        value: T = given if self._read is None else self._read(given)
        self._value = value
        return value

    def of(self, database: Database, who: Who) -> Op[Any]:
        """The operation, to be part of a transaction of that scope's.

        Raises:
            InvalidInputError: it is another scope's, or another storage's.
        """
        if self._database is not database or self._who != who:
            raise InvalidInputError("what is stored along with a run must be of the run's storage and scope")
        return self._prepare()


class ScopedHandle(Remembering):
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
            threads.listed, self._who, sound(filter) if filter is not None else ThreadFilter(), _limit(limit), cursor
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
            resource_id=None if resource_id is None else _optional(resource_id, "resource id"),
            version=version,
        )
        return await self._database.write(op)

    def prepare_title(self, thread_id: str, title: str, *, instead_of: str) -> Pending[None]:
        def prepare() -> Op[None]:
            return partial(threads.entitle, self._who, _thread(thread_id), title, instead_of)

        return Pending(self._database, self._who, prepare)

    async def delete_thread(self, thread_id: str) -> bool:
        return await self._database.write(partial(forgetting.thread, self._who, _thread(thread_id)))

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
        return await self._database.write(
            partial(branches.fork, self._who, _thread(thread_id), new, branch, after, keep_title=title is None)
        )

    async def branches(self, thread_id: str) -> tuple[Branch, ...]:
        return await self._database.read(partial(branches.all_of, self._who, _thread(thread_id)))

    async def add_branch(
        self, thread_id: str, before: str, *, branch: int | None = None, messages: Sequence[Message] = ()
    ) -> Branch:
        news = [_taken_apart(m) for m in named(messages)]
        now = self._database.now()
        op = partial(stored.on_branch, self._who, _thread(thread_id), before, branch, news, now=now)
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

        def prepare() -> Op[tuple[int, ...]]:
            news = [_taken_apart(m) for m in new]
            run = _optional(run_id, "run id")
            return partial(stored.add, self._who, _thread(thread_id), branch, news, run_id=run, now=now, place=place)

        def read(numbers: Sequence[int]) -> tuple[StoredMessage, ...]:
            return tuple(StoredMessage(m, n, run_id, now) for m, n in zip(new, numbers, strict=True))

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
            run, lease = name_of(run_id, "run id") if wait is not None else _optional(run_id, "run id"), owners.me()
            turn = partial(turns.enter, run_id=run, lease=lease, ttl_s=LEASE_S, wait=bool(wait) and seen is None)
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

    async def look_at_turn(self, thread_id: str, *, branch: int | None = None, cursor: str | None = None) -> Place:
        number = branch if cursor is None else stored.branch_of(cursor, _thread(thread_id), branch)
        return await self._database.read(partial(turns.look, self._who, _thread(thread_id), number))

    async def take_turn(self, thread_id: str, run_id: str, *, branch: int | None = None, wait: bool = True) -> Place:
        run, lease = name_of(run_id, "run id"), owners.me()
        op = partial(turns.take, self._who, _thread(thread_id), branch, run, lease=lease, ttl_s=LEASE_S, wait=wait)
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
            limit=_limit(limit),
            cursor=cursor,
            newest=newest,
        )
        return await self._database.read(op)

    async def message(self, thread_id: str, message_id: str, *, branch: int | None = None) -> StoredMessage | None:
        op = partial(stored.one, self._who, _thread(thread_id), branch, name_of(message_id, "message id"))
        return await self._database.read(op)

    async def delete_messages(self, thread_id: str, message_ids: Sequence[str]) -> int:
        ids = [name_of(i, "message id") for i in message_ids]
        op = partial(forgetting.messages, self._who, _thread(thread_id), ids, self._database.now())
        return await self._database.write(op)

    async def open_run(self, record: RunRecord, batch: Batch, *, along: Sequence[Write[Any]] = ()) -> Lease:
        name_of(record.id, "run id")
        _optional(record.thread_id, "thread id")
        _optional(record.resource_id, "resource id")
        _check(batch)
        lease, ttl = owners.me(), LEASE_S
        op = partial(runs.open_run, self._who, record, batch, lease=lease, ttl_s=ttl, now=self._database.now())
        return await self._together(op, along, batch, "barrier")

    async def append_events(
        self, lease: Lease, batch: Batch, *, urgent: bool = False, along: Sequence[Write[Any]] = ()
    ) -> None:
        _check(batch)
        if urgent or along or batch.status != "running":
            op = partial(runs.append, self._who, lease, batch, now=self._database.now())
            end = [partial(runs.put_all, lease, batch)] if runs.is_short_end(batch) else []
            await self._together(op, along, batch, "barrier", end)
        else:
            await self._database.append(self._who, lease, batch)

    async def _together(
        self, op: Op[T], along: Sequence[Write[Any]], batch: Batch, lane: Lane, behind: Sequence[Op[None]] = ()
    ) -> T:
        """A batch's operation and what goes along with it, in one transaction, which may let the next run onto a branch."""
        pending = [cast("Pending[Any]", write) for write in along]
        ops = [*[write.of(self._database, self._who) for write in pending], *behind]
        if batch.place and batch.status != "running":
            ops.append(partial(turns.leave, self._who, batch.place))
        if not ops:
            return await self._database.write(op, lane, again=True)
        value, given = await self._database.write(partial(_in_order, op, ops), lane, again=True)
        for write, what in zip(pending, given, strict=False):
            write.take(what)
        return value

    async def post(self, run_id: str, item: InboxItem) -> RunRecord:
        name_of(item.id, "id of an inbox item")
        op = partial(runs.post, self._who, name_of(run_id, "run id"), item, self._database.now())
        return await self._database.write(op, "barrier", again=True)

    async def stretch(self, run_id: str, *, after: int = 0, limit: int = 1000) -> Stretch:
        return await self._database.read(partial(runs.stretch, self._who, name_of(run_id, "run id"), after, limit))

    async def compact_run(self, run_id: str) -> int:
        op = partial(runs.compact, self._who, name_of(run_id, "run id"))
        return await self._database.write(op, "telemetry", again=True)

    async def take_run(self, run_id: str) -> tuple[RunRecord, Lease | None]:
        op = partial(runs.take, self._who, name_of(run_id, "run id"), lease=owners.me(), ttl_s=LEASE_S)
        return await self._database.write(op, "barrier")

    async def let_go(self, lease: Lease) -> None:
        await self._database.write(partial(runs.let_go, self._who, lease), "barrier", again=True)

    async def renew(self, lease: Lease) -> bool:
        op = partial(runs.renew, self._who, lease, ttl_s=LEASE_S)
        return await self._database.write(op, "barrier", again=True)

    async def run(self, run_id: str) -> RunRecord | None:
        return await self._database.read(partial(runs.record, self._who, name_of(run_id, "run id")))

    async def list_runs(
        self, *, status: RunStatus | None = None, agent: str = "", limit: int = 50, cursor: str | None = None
    ) -> Page[RunRecord]:
        return await self._database.read(partial(runs.listed, self._who, status, agent, _limit(limit), cursor))

    async def events(self, run_id: str, *, after: int = 0, limit: int = 1000) -> tuple[bytes, ...]:
        return await self._database.read(partial(runs.events, self._who, name_of(run_id, "run id"), after, limit))

    async def contents(self, hashes: Sequence[str]) -> dict[str, bytes]:
        known = [h for h in hashes if threads.plain(h) == h]  # no other name was ever stored
        return await self._database.read(partial(runs.contents, self._who, known))

    async def experience(self) -> dict[str, bytes]:
        return await self._database.read(partial(learned.read, self._who))

    async def keep_experience(self, new: Mapping[str, bytes]) -> None:
        rows = {name_of(name, "name"): data for name, data in new.items()}
        await self._database.write(partial(learned.keep, self._who, rows, self._database.now()), again=True)

    async def delete_run(self, run_id: str) -> bool:
        return await self._database.write(partial(runs.delete, self._who, name_of(run_id, "run id")))

    async def search(
        self, text: str, *, resource_id: str = "", limit: int = 50, cursor: str | None = None
    ) -> Page[tuple[ThreadRecord, StoredMessage]]:
        if not text:
            raise InvalidInputError("search needs a text to look for")
        op = partial(mentions.search, self._who, text, resource_id, _limit(limit), cursor)
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
        return ThreadRecord(
            id=new_id() if thread_id is None else _thread(thread_id),
            title=threads.plain(title),
            agent_id=_optional(agent_id, "agent id"),
            resource_id=_optional(resource_id, "resource id"),
            metadata=scrubbed(dict(metadata)) if metadata else {},
            created_at=now,
            updated_at=now,
        )


def _in_order(op: Op[T], ops: Sequence[Op[Any]]) -> Steps[tuple[T, list[Any]]]:
    """What an operation gives, and what those after it give."""
    value = yield from op()
    given: list[Any] = []
    for other in ops:
        one = yield from other()
        given.append(one)
    return value, given


def named(messages: Sequence[Message]) -> list[Message]:
    """The messages, each with an id, as they are stored."""
    return [m if m.id is not None else replace(m, id=new_id()) for m in map(whole, messages)]


def _taken_apart(message: Message) -> stored.New:
    return stored.New(name_of(str(message.id), "message id"), message.role, bodies.pack(message))


def _thread(thread_id: str) -> str:
    return name_of(thread_id, "thread id")


def _optional(name: str, what: str) -> str:
    return name and name_of(name, what)


def _within(within: Within) -> Within:
    if within.thread_id:
        _thread(within.thread_id)
    _optional(within.resource_id, "resource id")
    return within if within.filter is None else replace(within, filter=sound(within.filter))


def _check(batch: Batch) -> None:
    """Refuses names in a batch that the tables cannot hold."""
    for what, names in (("hash", batch.contents), ("run id", batch.children), ("id of an inbox item", batch.taken)):
        for name in names:
            name_of(name, what)


def _limit(limit: int) -> int:
    if not isinstance(limit, int) or not 1 <= limit <= MOST:  # type: ignore[redundant-expr]  # it comes from anywhere
        raise InvalidInputError(f"limit must be a number between 1 and {MOST}, not {limit!r}")
    return limit
