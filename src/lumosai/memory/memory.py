"""Memory: threads that survive, over any storage.

    memory = Memory("sqlite:///lumosai.db")
    agent = Agent("assistant", model="local", memory=memory)
    await agent.generate("我叫Alice", thread_id="t1")

A run's input is stored before the model is asked, each step when it is done, the answer before it is returned: what was
acknowledged is there after a crash.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self
from weakref import WeakSet

from msgspec.structs import replace

from lumosai.errors import ConfigurationError, InvalidInputError, NotFoundError
from lumosai.ids import new_id
from lumosai.memory._indexer import Indexer
from lumosai.memory._searching import Searcher
from lumosai.memory._talk import Talk
from lumosai.memory._turns import MyTurn
from lumosai.memory.options import Settings, checked
from lumosai.memory.recall import SemanticRecall
from lumosai.memory.search import search
from lumosai.memory.thread import MemoryThread
from lumosai.records import Scope, Titles
from lumosai.storage.base import Page, SessionFilter, SessionRecord, Within, open_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lumosai.memory.base import Turn
    from lumosai.memory.plan import Processor, Source
    from lumosai.memory.search import Hit
    from lumosai.memory.session import Session
    from lumosai.memory.working import Working, WorkingMemory
    from lumosai.messages import Message
    from lumosai.storage.base import Branch, Handle, MessageFilter, Storage, ThreadFilter, ThreadRecord

_EVERYTHING: Final = Scope()


class HasName(Protocol):
    """Anything with a name, such as an agent."""

    @property
    def name(self) -> str: ...


class Memory:
    """What an agent remembers, in a storage.

    Args:
        storage: a storage, or the URL of one.
        last_messages: how many of a thread's last messages a run is sent at the most, before what it is asked. Eight
            and more move on in chunks of a quarter, see `MessageLimit`.
        token_budget: how many tokens a run's first request may take, instructions and tools included; where None, what
            the model's window leaves beside the answer, as far as the window is known.
        recall: what looks for older messages that bear on what is asked.
        working: which facts are kept of a thread or a person, shown to the model and changed by it.
        processors: what is done to the context plan, in order; see `lumosai.memory.plan`.
        read_only: whether runs see threads and leave them as they are.
        titles: a new thread's title is the first words of what its user said, at once; with "model" the run that begins
            the thread then asks its own model for a better one, in the language of the conversation, before it ends.

    Raises:
        ConfigurationError: no storage has that URL; a number or a word that cannot work.
        InvalidInputError: a processor that cannot be called.
    """

    def __init__(
        self,
        storage: Storage | str,
        *,
        last_messages: int = 20,
        token_budget: int | None = None,
        recall: Source | None = None,
        working: WorkingMemory | None = None,
        processors: Sequence[Processor] = (),
        read_only: bool = False,
        titles: Titles = "words",
    ) -> None:
        if titles not in ("words", "model"):
            raise ConfigurationError(f"titles={titles!r}: it is 'words', the first ones, or 'model', which is asked")
        if last_messages < 0:
            raise ConfigurationError(f"last_messages must not be negative; got {last_messages}")
        if token_budget is not None and token_budget < 1:
            raise ConfigurationError(f"token_budget must be positive, or None; got {token_budget}")
        self.storage: Storage = open_storage(storage) if isinstance(storage, str) else storage
        self._settings = Settings(
            last_messages=last_messages,
            token_budget=token_budget,
            processors=checked(processors),
            keeps=not read_only,
            recall=recall,
            working=working,
            titles=titles,
        )
        self._searcher = (
            recall.searcher(self.storage)
            if isinstance(recall, SemanticRecall)
            else Searcher(Indexer(self.storage, None), semantic=False)
        )
        self._lent: WeakSet[Indexer] = WeakSet()

    def __repr__(self) -> str:
        return f"Memory({self.storage.url!r}, last_messages={self._settings.last_messages})"

    async def __aenter__(self) -> Self:
        await self.storage.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of the storage. It opens again at the next use. What is not indexed yet is, then or by others."""
        for indexer in (self._searcher.indexer, *self._lent):
            await indexer.close()
        await self.storage.close()

    async def create_thread(
        self,
        id: str | None = None,  # noqa: A002
        title: str | None = None,
        agent_id: str | None = None,
        resource_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        scope: Scope | None = None,
    ) -> MemoryThread:
        """A new thread.

        Raises:
            ConflictError: there is one with that id.
        """
        handle = self._handle(scope)
        record = await handle.create_thread(
            id, title=title or "", agent_id=agent_id or "", resource_id=resource_id or "", metadata=metadata
        )
        return self._thread(handle, record)

    async def thread(self, id: str, *, scope: Scope | None = None) -> MemoryThread:  # noqa: A002
        """The thread of that id.

        Raises:
            NotFoundError: there is none in this scope.
        """
        handle = self._handle(scope)
        record = await handle.thread(id)
        if record is None:
            raise NotFoundError(f"there is no thread {id!r}")
        return self._thread(handle, record)

    async def list_threads(
        self,
        filter: ThreadFilter | None = None,  # noqa: A002
        limit: int = 50,
        cursor: str | None = None,
        *,
        scope: Scope | None = None,
    ) -> Page[MemoryThread]:
        """Threads, the one that was written to last first."""
        handle = self._handle(scope)
        page = await handle.list_threads(filter=filter, limit=limit, cursor=cursor)
        return Page(tuple([self._thread(handle, r) for r in page.items]), page.next_cursor)

    async def update_thread(
        self,
        id: str,  # noqa: A002
        *,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        resource_id: str | None = None,
        version: int | None = None,
        scope: Scope | None = None,
    ) -> MemoryThread:
        """Changes what is given; `metadata` replaces all of it.

        Raises:
            NotFoundError: there is no such thread.
            ConflictError: `version` is given and is not the thread's any more.
        """
        handle = self._handle(scope)
        record = await handle.update_thread(
            id, title=title, metadata=metadata, resource_id=resource_id, version=version
        )
        return self._thread(handle, record)

    async def delete_thread(self, id: str, *, scope: Scope | None = None) -> bool:  # noqa: A002
        """Deletes a thread; forks of it keep what they show. Whether there was one."""
        return await self._handle(scope).delete_thread(id)

    async def fork_thread(
        self,
        id: str,  # noqa: A002
        *,
        new_id: str | None = None,
        after: str | None = None,
        branch: int | None = None,
        title: str | None = None,
        scope: Scope | None = None,
    ) -> MemoryThread:
        """A new thread that begins with another's messages, up to the one with the id `after`; nothing is copied.

        Raises:
            NotFoundError: no such thread, branch or message.
        """
        handle = self._handle(scope)
        record = await handle.fork_thread(id, new_id=new_id, after=after, branch=branch, title=title)
        return self._thread(handle, record)

    async def edit(
        self,
        thread_id: str,
        message_id: str,
        message: Message | str,
        *,
        branch: int | None = None,
        scope: Scope | None = None,
    ) -> int:
        """A branch that goes as the other did up to a message, and has another in its place; `generate(None, …)` answers it.

        Returns:
            The branch's number; `select_branch` makes it the active one.

        Raises:
            NotFoundError: no such thread, branch or message.
        """
        from lumosai.messages import Message as Made

        new = Made.user(message) if isinstance(message, str) else message
        made = await self._handle(scope).add_branch(thread_id, message_id, branch=branch, messages=[new])
        return made.number

    async def regenerate(
        self, thread_id: str, message_id: str, *, branch: int | None = None, scope: Scope | None = None
    ) -> int:
        """A branch without an answer and what came after it; `generate(None, thread_id=…, branch=…)` answers anew.

        Raises:
            NotFoundError: no such thread, branch or message.
            InvalidInputError: the message is no answer.
        """
        handle = self._handle(scope)
        found = await handle.message(thread_id, message_id, branch=branch)
        if found is not None and found.message.role != "assistant":
            raise InvalidInputError(f"message {message_id!r} is a {found.message.role} message, no answer: use edit")
        return (await handle.add_branch(thread_id, message_id, branch=branch)).number

    async def branches(self, thread_id: str, *, scope: Scope | None = None) -> tuple[Branch, ...]:
        """A thread's branches, by number."""
        return await self._handle(scope).branches(thread_id)

    async def select_branch(self, thread_id: str, branch: int, *, scope: Scope | None = None) -> MemoryThread:
        """Makes a branch the active one."""
        handle = self._handle(scope)
        return self._thread(handle, await handle.select_branch(thread_id, branch))

    async def session(
        self,
        resource_id: str,
        *,
        agent: str | HasName = "",
        idle_timeout_s: float | None = None,
        max_age_s: float | None = None,
        when_over: Literal["renew", "resume"] = "renew",
        thread_id: str | None = None,
        scope: Scope | None = None,
    ) -> Session:
        """The session of a person with an agent: the open one, or a new one with a new thread.

        A paused one is active again. However many ask for it at once, in whichever processes, all are given the same.

        Args:
            resource_id: the person.
            agent: the agent, or its name.
            idle_timeout_s: after so long without a call of this or a message on its thread it is over; None is never.
            max_age_s: so long after its beginning it is over; None is never.
            when_over: what is given instead of one that is over: a new one ("renew"), or itself, active again ("resume").
            thread_id: the thread of a new one, made where there is none of that id.
            scope: whose it is.

        Raises:
            InvalidInputError: a time-out that is negative, or a policy that there is not.
        """
        from lumosai.memory.session import Session as Made
        from lumosai.memory.session import is_fresh

        for name, value in (("idle_timeout_s", idle_timeout_s), ("max_age_s", max_age_s)):
            if value is not None and not value >= 0:
                raise InvalidInputError(f"{name}={value!r} must not be negative; None is never")
        if when_over not in ("renew", "resume"):
            raise InvalidInputError(f"when_over={when_over!r} is neither 'renew' nor 'resume'")
        handle, agent_id = self._handle(scope), agent if isinstance(agent, str) else agent.name
        found = await handle.current_session(resource_id, agent_id)
        if found is not None and is_fresh(found, time.time(), idle_timeout_s, max_age_s):
            return Made(handle, found)
        record = SessionRecord(
            id=new_id(),
            resource_id=resource_id,
            agent_id=agent_id,
            thread_id=thread_id or new_id(),
            idle_timeout_s=idle_timeout_s,
            max_age_s=max_age_s,
        )
        record, made = await handle.open_session(record, resume=when_over == "resume")
        return Made(handle, record, is_new=made)

    async def list_sessions(
        self,
        filter: SessionFilter | None = None,  # noqa: A002
        limit: int = 50,
        cursor: str | None = None,
        *,
        scope: Scope | None = None,
    ) -> Page[Session]:
        """Sessions, the one that was made last first."""
        from lumosai.memory.session import Session as Made

        handle = self._handle(scope)
        page = await handle.list_sessions(filter=filter, limit=limit, cursor=cursor)
        return Page(tuple([Made(handle, r) for r in page.items]), page.next_cursor)

    async def get_session(self, id: str, *, scope: Scope | None = None) -> Session:  # noqa: A002
        """The session of that id, as it is.

        Raises:
            NotFoundError: there is none in this scope.
        """
        from lumosai.memory.session import Session as Made

        handle = self._handle(scope)
        record = await handle.session(id)
        if record is None:
            raise NotFoundError(f"there is no session {id!r}")
        return Made(handle, record)

    async def clean_sessions(self, *, older_than_s: float | None = None, scope: Scope | None = None) -> tuple[int, int]:
        """Expires sessions whose time is up, and deletes old ones that are over; their threads stay.

        Args:
            older_than_s: ended ones in which nothing came for so long are deleted; None deletes none.
            scope: whose they are.

        Returns:
            How many were expired, and how many were deleted.
        """
        handle = self._handle(scope)
        expired = await handle.expire_sessions()
        deleted = 0
        if older_than_s is not None:
            over = SessionFilter(states=("completed", "expired", "error"), active_before=time.time() - older_than_s)
            while page := (await handle.list_sessions(filter=over, limit=500)).items:
                deleted += await handle.delete_sessions([s.id for s in page])
        return expired, deleted

    def working(
        self, *, thread_id: str | None = None, resource_id: str | None = None, scope: Scope | None = None
    ) -> Working:
        """The facts that are remembered of a thread, or of a person over all their threads.

        Raises:
            InvalidInputError: none of the two is named, or both are.
        """
        if bool(thread_id) == bool(resource_id):
            raise InvalidInputError("working memory is of a thread or of a resource: pass thread_id=… or resource_id=…")
        from lumosai.memory.working import Working as Made
        from lumosai.memory.working import WorkingMemory as Free

        over: Literal["thread", "resource"] = "thread" if thread_id else "resource"
        settings = self._settings.working
        if settings is None or settings.over != over:
            settings = Free(over)
        of = {"thread_id": thread_id} if thread_id else {"resource_id": str(resource_id)}
        return Made(self._handle(scope), settings, **of)

    async def search(
        self,
        text: str,
        *,
        thread_id: str | None = None,
        branch: int | None = None,
        resource_id: str | None = None,
        filter: MessageFilter | None = None,  # noqa: A002
        limit: int = 20,
        cursor: str | None = None,
        semantic: bool = True,
        scope: Scope | None = None,
    ) -> Page[Hit]:
        """Messages that fit a text, the best first: by its words and, where this memory has a recall, by its meaning.

        Args:
            text: what is looked for, in any form of its words; what stands in quotes must stand so in the message.
            thread_id: only on a branch of this thread.
            branch: its number, None for the active one.
            resource_id: only on the active branches of threads about this one.
            filter: only such messages.
            limit: how many, at most 1,000.
            cursor: a page's `next_cursor`, to read on.
            semantic: whether by meaning, too.
            scope: whose messages.

        Raises:
            InvalidInputError: the text is blank.
            NotFoundError: there is no such thread or branch.
        """
        within = Within(
            thread_id=thread_id or "",
            branch=branch if thread_id else None,
            resource_id=(resource_id or "") if not thread_id else "",
            filter=filter,
        )
        return await search(
            self._searcher, self._handle(scope), text, within, limit=limit, cursor=cursor, semantic=semantic
        )

    async def settled(self, *, scope: Scope | None = None) -> None:
        """Waits until all messages that are stored are indexed, by this process or another.

        Raises:
            StorageError: they cannot be for now, and why.
        """
        self._searcher.indexer.know(self._handle(scope))
        await self._searcher.indexer.settled()

    async def enter(self, turn: Turn, interrupt: Callable[[str], None]) -> Talk:
        """See `memory.base.RunMemory`."""
        handle = self._handle(turn.scope)
        settings = self._settings.with_(turn.memory)
        settings = settings if turn.save else replace(settings, keeps=False)
        began = time.perf_counter()
        last = settings.last_messages if settings.is_quick else None
        mine = MyTurn(self.storage, handle, turn, interrupt, keeps=settings.keeps, last=last)
        await mine.enter()
        if self._settings.recall is not None:
            self._searcher.indexer.know(handle)
        if isinstance(
            settings.recall, SemanticRecall
        ):  # a run's own has an index of its own, which ends with this memory
            self._lent.add(settings.recall.searcher(self.storage).indexer)
        talk = Talk(handle, turn, mine, settings, self._searcher.indexer)
        talk.queued_ms = round((time.perf_counter() - began) * 1e3, 3)
        return talk

    def _thread(self, handle: Handle, record: ThreadRecord) -> MemoryThread:
        return MemoryThread(handle, record, self._searcher.indexer.wake)

    def _handle(self, scope: Scope | None) -> Handle:
        return self.storage.scope(scope if scope is not None else _EVERYTHING)
