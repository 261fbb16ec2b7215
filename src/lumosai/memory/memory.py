"""Memory: threads that survive, over any storage.

    memory = Memory("sqlite:///lumosai.db")
    agent = Agent("assistant", model="local", memory=memory)
    await agent.generate("我叫Alice", thread_id="t1")

A run's input is stored before the model is asked, each step when it is done, the answer before it is returned: what was
acknowledged is there after a crash.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Self

from lumosai.errors import ConfigurationError, InvalidInputError, NotFoundError
from lumosai.events import PlanItem
from lumosai.ids import new_id
from lumosai.memory import _busy
from lumosai.memory._window import sendable
from lumosai.memory.base import Kept, Recalled
from lumosai.memory.thread import MemoryThread
from lumosai.records import Scope
from lumosai.storage.base import Page, ThreadRecord, open_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lumosai.memory.base import Store, Turn
    from lumosai.messages import Message
    from lumosai.storage.base import Branch, Handle, Storage, StoredMessage, ThreadFilter

_EVERYTHING: Final = Scope()
_TITLE: Final = 60


class Memory:
    """What an agent remembers, in a storage.

    Args:
        storage: a storage, or the URL of one.
        last_messages: how many of a thread's last messages a run is sent, before what it is asked.

    Raises:
        ConfigurationError: no storage has that URL; or `last_messages` is negative.
    """

    def __init__(self, storage: Storage | str, *, last_messages: int = 20) -> None:
        if last_messages < 0:
            raise ConfigurationError(f"last_messages must not be negative; got {last_messages}")
        self.storage: Storage = open_storage(storage) if isinstance(storage, str) else storage
        self.last_messages = last_messages

    def __repr__(self) -> str:
        return f"Memory({self.storage.url!r}, last_messages={self.last_messages})"

    async def __aenter__(self) -> Self:
        await self.storage.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets go of the storage. It opens again at the next use."""
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
        return MemoryThread(handle, record)

    async def thread(self, id: str, *, scope: Scope | None = None) -> MemoryThread:  # noqa: A002
        """The thread of that id.

        Raises:
            NotFoundError: there is none in this scope.
        """
        handle = self._handle(scope)
        record = await handle.thread(id)
        if record is None:
            raise NotFoundError(f"there is no thread {id!r}")
        return MemoryThread(handle, record)

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
        return Page(tuple([MemoryThread(handle, r) for r in page.items]), page.next_cursor)

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
        return MemoryThread(handle, record)

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
        return MemoryThread(handle, record)

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
        return MemoryThread(handle, await handle.select_branch(thread_id, branch))

    async def search(
        self,
        text: str,
        *,
        resource_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        scope: Scope | None = None,
    ) -> Page[tuple[ThreadRecord, StoredMessage]]:
        """Messages that hold a text, each with its thread."""
        return await self._handle(scope).search(text, resource_id=resource_id or "", limit=limit, cursor=cursor)

    async def enter(self, turn: Turn, interrupt: Callable[[str], None]) -> _Conversation:
        """See `memory.base.RunMemory`."""
        handle = self._handle(turn.scope)
        branch = turn.branch
        if branch is None:
            thread = await handle.thread(turn.thread_id)
            branch = thread.branch if thread is not None else 0
        key = (self.storage.identity, turn.scope, turn.thread_id, branch)
        began = time.perf_counter()
        if turn.if_busy == "steer":
            raise ConfigurationError("if_busy='steer' is not there yet: use 'queue', 'reject' or 'interrupt'")
        what = f"branch {branch} of thread {turn.thread_id!r}"
        place = await _busy.enter(key, what, interrupt, if_busy=turn.if_busy, timeout_s=turn.busy_timeout_s)
        queued_ms = round((time.perf_counter() - began) * 1e3, 3)
        last = self.last_messages if turn.last_messages is None else turn.last_messages
        return _Conversation(handle, turn, branch, place, last=last, queued_ms=queued_ms)

    def _handle(self, scope: Scope | None) -> Handle:
        return self.storage.scope(scope if scope is not None else _EVERYTHING)


class _Conversation:
    """See `memory.base.Conversation`."""

    def __init__(
        self, handle: Handle, turn: Turn, branch: int, place: _busy.Place, *, last: int, queued_ms: float
    ) -> None:
        self.branch = branch
        self.queued_ms = queued_ms
        self._handle = handle
        self._turn = turn
        self._place = place
        self._last = last

    async def recall(self, store: Store) -> Recalled:
        turn = self._turn
        if turn.save:
            thread = ThreadRecord(
                id=turn.thread_id,
                title=title_of(turn.input),
                agent_id=turn.agent,
                resource_id=turn.resource_id or "",
                created_at=0.0,
                updated_at=0.0,
            )
            begin = self._handle.prepare_turn(
                thread, turn.input, branch=self.branch, run_id=turn.run_id, last=self._last
            )
            _, _, earlier = await store(begin)
        else:
            earlier = await self._earlier()
        window = sendable([s.message for s in earlier])
        if not window and not turn.input:
            raise InvalidInputError(f"thread {turn.thread_id!r} is empty: there is nothing to answer")
        shown = {id(m) for m in window}
        plan = [PlanItem("history", s.message.id, included=id(s.message) in shown) for s in earlier]
        return Recalled(tuple(window), (*plan, *[PlanItem("input", m.id) for m in turn.input]))

    def keep(self, messages: Sequence[Message]) -> Kept:
        turn = self._turn
        new = [m if m.id is not None else _named(m) for m in messages]
        write = self._handle.prepare_messages(turn.thread_id, new, branch=self.branch, run_id=turn.run_id)
        return Kept(tuple([str(m.id) for m in new]), write)

    def leave(self) -> None:
        self._place.leave()

    async def _earlier(self) -> tuple[StoredMessage, ...]:
        if self._last == 0:
            return ()
        try:
            page = await self._handle.messages(
                self._turn.thread_id, branch=self.branch, limit=min(self._last, 1000), newest=True
            )
        except NotFoundError:
            if self._turn.branch is not None:
                raise
            return ()
        return page.items


def title_of(messages: Sequence[Message]) -> str:
    """A thread's first title: the first words of what its user said."""
    text = next((m.text for m in messages if m.role == "user" and m.text.strip()), "")
    words = " ".join(text.split())
    if len(words) <= _TITLE:
        return words
    cut = words[:_TITLE]
    return f"{cut.rpartition(' ')[0] or cut}…"


def _named(message: Message) -> Message:
    from msgspec.structs import replace

    return replace(message, id=new_id())
