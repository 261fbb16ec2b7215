"""One run's turn on a thread: it reads what was said, plans its prompt, and keeps what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from lumosai.errors import InvalidInputError, NotFoundError
from lumosai.ids import new_id
from lumosai.memory import _pipeline as pipeline
from lumosai.memory._fitting import Fitting
from lumosai.memory._reading import reader, size_in
from lumosai.memory.base import READ_TOOL, Kept
from lumosai.models.tokens import size_of
from lumosai.storage.base import ThreadRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from lumosai.memory._indexer import Indexer
    from lumosai.memory._turns import MyTurn
    from lumosai.memory._working_tool import WorkingTurn
    from lumosai.memory.base import Asking, Recalled, Store, Turn
    from lumosai.memory.options import Settings
    from lumosai.messages import Message, ToolResultPart
    from lumosai.storage.base import Begun, Foreseen, Handle, StoredMessage, Write
    from lumosai.tools.base import Tool

_TITLE: Final = 60
_MOST: Final = 1000
_READ_BACK: Final = 200
"""Messages of the thread among which a result is looked for by a run that was taken up."""


class Talk:
    """See `memory.base.Conversation`."""

    def __init__(self, handle: Handle, turn: Turn, mine: MyTurn, settings: Settings, indexer: Indexer) -> None:
        self.branch = mine.branch
        self.queued_ms = 0.0
        self._handle = handle
        self._turn = turn
        self._mine = mine
        self._settings = settings
        self._working: WorkingTurn | None = None
        self._title: str | None = None
        self._indexer = indexer
        self._kept = len(turn.input) if settings.keeps else 0
        self._left = False
        self._earlier_said: tuple[Message, ...] = ()
        self._reader: Tool | None = None
        self._clamp = 0.0
        self._fitting: Fitting | None = None
        indexer.watchers.add(turn.observers)
        indexer.run_began()

    @property
    def saves(self) -> bool:
        return self._settings.keeps

    @property
    def place(self) -> int:
        return self._mine.place

    async def recall(self, asking: Asking, store: Store) -> Recalled:
        turn, settings = self._turn, self._settings
        last = settings.last_messages
        earlier, resource = await (self._begun(store, last) if settings.keeps else self._earlier(last))
        if not earlier and not turn.input:
            raise InvalidInputError(f"thread {turn.thread_id!r} is empty: there is nothing to answer")
        plan = pipeline.begun(turn, asking, self.branch, earlier, pipeline.budget_of(settings.token_budget, asking))
        plan.resource_id, plan.window = resource or None, pipeline.budget_of(None, asking)
        plan.handle, plan.ask, plan.embed, plan.keeps = self._handle, asking.ask, asking.embed, settings.keeps
        plan.reserved = sum([getattr(p, "reserves", 0) for p in settings.processors])
        tools = self._tools(resource)
        if tools:
            pipeline.add_tools(plan, asking, [t.definition() for t in tools])
        elif settings.working is not None and self._working is None:
            plan.notes.append("working memory: it is a person's, and neither the run nor its thread has a resource_id")
        if asking.tools:
            plan.reads = lambda: size_in(asking.counter)
        sources = [s for s in (self._working, settings.recall) if s is not None]
        chained = pipeline.chain(settings.processors, last)
        await pipeline.processed(plan, sources, chained, self._handle)
        self._clamp = pipeline.held(chained, plan.budget)[0] / plan.scale
        recalled = pipeline.finished(plan, asking, earlier)
        self._earlier_said = tuple([s.message for s in earlier])
        if plan.reading:
            tools = (*tools, self._made_reader(asking.counter.size))
        return replace(recalled, tools=tools, stored=self._earlier_said)

    async def tools(self, told: Collection[str]) -> tuple[Tool, ...]:
        found: tuple[Tool, ...] = ()
        if self._settings.working is not None:
            found = self._tools(self._turn.resource_id or await self._resource())
        return (*found, self._made_reader(size_of)) if READ_TOOL in told else found

    def fitting(self, asking: Asking, budget: int, scale: float) -> Fitting:
        chained = pipeline.chain(self._settings.processors, self._settings.last_messages)
        clamp, chunk = pipeline.held(chained, budget)
        self._clamp = clamp / scale
        self._fitting = Fitting(asking, budget, scale, chunk=chunk, clamp=clamp, reader=self._reads(asking))
        return self._fitting

    def answering(self, message_id: str) -> None:
        if self._working is not None:
            self._working.message_id = message_id

    def keep(self, messages: Sequence[Message]) -> Kept:
        turn = self._turn
        new = [m if m.id is not None else replace(m, id=new_id()) for m in messages]
        self._kept += len(new)
        write = self._handle.prepare_messages(
            turn.thread_id, new, branch=self.branch, run_id=turn.run_id, place=self.place
        )
        return Kept(tuple([str(m.id) for m in new]), write)

    @property
    def entitles(self) -> bool:
        return self._settings.titles == "model"

    async def wants_title(self) -> bool:
        thread = await self._handle.thread(self._turn.thread_id)
        self._title = thread.title if thread is not None else None
        return self._title in ("", title_of(self._turn.input))

    def entitle(self, title: str) -> Write[None]:
        return self._handle.prepare_title(self._turn.thread_id, title, instead_of=self._title or "")

    async def give_back(self) -> None:
        await self._mine.give_back()

    def leave(self, *, comes_again: bool = False) -> None:
        self._mine.leave(comes_again=comes_again)
        if not self._left:
            self._left = True
            self._indexer.run_ended(self._kept)

    def _tools(self, resource: str) -> tuple[Tool, ...]:
        """What the model is given; from here on the run has its working memory, where there is any."""
        working, turn = self._settings.working, self._turn
        if working is None or (working.over == "resource" and not resource):
            return ()
        from lumosai.memory._working_tool import WorkingTurn as Made
        from lumosai.memory.working import Working

        of = {"resource_id": resource} if working.over == "resource" else {"thread_id": turn.thread_id}
        changes = self._settings.keeps
        self._working = Made(Working(self._handle, working, **of), changes=changes)
        return (self._working.tool(),) if changes else ()

    def _reads(self, asking: Asking) -> Tool | None:
        """The tool that reads results; None where the model has no other, and so no results."""
        return self._made_reader(asking.counter.size) if asking.tools else None

    def _made_reader(self, size: Callable[[Message], int]) -> Tool:
        if self._reader is None:
            self._reader = reader(self._result, size, lambda: self._clamp)
        return self._reader

    async def _result(self, call_id: str) -> ToolResultPart | None:
        """What a call gave, whole: one of the run's, else one of those before it in the thread, the last of that id."""
        found = self._fitting.result(call_id) if self._fitting is not None else None
        if found is not None:
            return found
        said = self._earlier_said
        if not said:  # the run was taken up
            earlier, _ = await self._earlier(max(self._settings.last_messages, _READ_BACK))
            said = tuple([s.message for s in earlier])
        return next((r for m in reversed(said) for r in m.tool_results if r.call_id == call_id), None)

    async def _resource(self) -> str:
        thread = await self._handle.thread(self._turn.thread_id)
        return thread.resource_id if thread is not None else ""

    async def _begun(self, store: Store, last: int) -> tuple[tuple[StoredMessage, ...], str]:
        """Stores the input; what stands before it, and whom the thread is about."""
        turn = self._turn
        thread = ThreadRecord(
            id=turn.thread_id,
            title=title_of(turn.input),
            agent_id=turn.agent,
            resource_id=turn.resource_id or "",
            created_at=0.0,
            updated_at=0.0,
        )

        def begin(*, wait: bool) -> Write[Begun]:
            return self._handle.prepare_turn(
                thread, turn.input, branch=self.branch, run_id=turn.run_id, last=last, wait=wait
            )

        seen = self._mine.foreseen
        if seen is not None and self._is_new(seen):
            beginning = self._handle.prepare_turn(
                thread, turn.input, branch=self.branch, run_id=turn.run_id, wait=True, seen=seen
            )
            if store.begin_with(beginning, self._mine.has_begun):
                known = seen.thread.resource_id if seen.thread is not None else ""
                return seen.earlier, turn.resource_id or known
        begun = await self._mine.begin(store, begin)
        return begun.earlier, turn.resource_id or begun.thread.resource_id

    def _is_new(self, seen: Foreseen) -> bool:
        """Whether none of the input was said before."""
        given = {m.id for m in self._turn.input}
        return not any(s.message.id in given for s in seen.earlier)

    async def _earlier(self, last: int) -> tuple[tuple[StoredMessage, ...], str]:
        resource = self._turn.resource_id or await self._resource()
        if last == 0:
            return (), resource
        try:
            page = await self._handle.messages(
                self._turn.thread_id, branch=self.branch, limit=min(last, _MOST), newest=True
            )
        except NotFoundError:
            if self._turn.branch is not None:
                raise
            return (), resource
        return page.items, resource


def title_of(messages: Sequence[Message]) -> str:
    """A thread's first title: the first words of what its user said."""
    text = next((m.text for m in messages if m.role == "user" and m.text.strip()), "")
    words = " ".join(text.split())
    if len(words) <= _TITLE:
        return words
    cut = words[:_TITLE]
    return f"{cut.rpartition(' ')[0] or cut}…"
