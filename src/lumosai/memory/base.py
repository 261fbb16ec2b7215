"""What an agent's loop asks of a memory: a place in a thread for one run, which recalls and keeps."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from lumosai.events import PlanItem
from lumosai.memory.options import MemoryOptions, options_of
from lumosai.messages import Message
from lumosai.models.tokens import Counter
from lumosai.records import Recall, Remembered, Scope, Titles, ToolDefinition

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lumosai.storage.base import Write
    from lumosai.tools.base import Tool

T = TypeVar("T")

__all__ = [
    "READ_TOOL",
    "WORKING_TOOL",
    "Asking",
    "Conversation",
    "Fitted",
    "Fitting",
    "IfBusy",
    "Kept",
    "MemoryOptions",
    "Recalled",
    "RunMemory",
    "Store",
    "Turn",
    "open_memory",
    "options_of",
]

WORKING_TOOL: Final = "update_working_memory"
"""The tool by which a model changes working memory."""

READ_TOOL: Final = "read_tool_result"
"""The tool by which a model reads what was cut of a tool's result to save room."""

_NO_RECALL: Final = Recall()

IfBusy = Literal["queue", "reject", "steer", "interrupt"]


def open_memory(
    url: str,
    *,
    titles: Titles = "words",
    last_messages: int = 20,
    token_budget: int | None = None,
    working: Remembered = "off",
    recall: Recall = _NO_RECALL,
    processors: Sequence[Any] = (),
) -> RunMemory:
    """A memory in the storage at a URL.

    Args:
        url: the storage's.
        titles: who names threads.
        last_messages: how many of a thread's last messages a run is shown.
        token_budget: how many tokens its prompt may take, see `Memory`.
        working: whose facts working memory keeps.
        recall: what is recalled of older messages.
        processors: what is done to the context plan: processors, or the name and the options of one of our own.

    Raises:
        ConfigurationError: no storage has that URL; no embedding model has the recall's name; no processor has that name.
        MissingExtraError: its library is not installed.
    """
    facts = importlib.import_module("lumosai.memory.working").WorkingMemory(working) if working != "off" else None
    recalls = None
    if recall.over != "off":
        recalls = importlib.import_module("lumosai.memory.recall").SemanticRecall(**msgspec.structs.asdict(recall))
    named = importlib.import_module("lumosai.memory.named").named if processors else None
    made: RunMemory = importlib.import_module("lumosai.memory.memory").Memory(
        url,
        titles=titles,
        last_messages=last_messages,
        token_budget=token_budget,
        working=facts,
        recall=recalls,
        processors=[named(*p) if isinstance(p, tuple) and named is not None else p for p in processors],
    )
    return made


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What a run says of itself to the memory.

    Attributes:
        run_id: its id.
        agent: its agent's name.
        thread_id: the thread that it goes on with.
        branch: the branch's number, None for the active one.
        scope: whose rows it may see and write.
        resource_id: whom a thread that is made here is about.
        input: the messages that it begins with, each with its id.
        save: whether they, and what comes of them, are kept.
        memory: what it wants otherwise than the memory has it.
        if_busy: what to do where another run is at work on the branch.
        busy_timeout_s: how long to wait for it; None is for ever.
        kept: whether its events are, so that its turn may begin with the first of them.
        at_once: whether its turn is to begin before it recalls, since it may not do so, or began in vain already.
        observers: those of the run, who are told of embedding calls that are made for its messages later.
    """

    run_id: str
    agent: str
    thread_id: str
    branch: int | None = None
    scope: Scope
    resource_id: str | None = None
    input: tuple[Message, ...] = ()
    save: bool = True
    memory: MemoryOptions = MemoryOptions()
    if_busy: IfBusy = "queue"
    busy_timeout_s: float | None = 60.0
    kept: bool = False
    at_once: bool = False
    observers: tuple[Any, ...] = ()


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's first request has besides what memory puts into it.

    Attributes:
        system: the instructions.
        tools: what the model is told of.
        counter: counts tokens as the model's provider does, as far as that is known.
        window: the model's window, in tokens; None where unknown.
        answer_tokens: how many the answer may take, None where nobody has said.
        ask: asks a model something, in the run's events: the messages, the model (the run's own where None) and how
            many tokens its answer may take; gives its text. None where no model may be asked.
        embed: asks an embedding model in the run's trace, an `EmbeddingCalls`; None where that is told to nobody.
    """

    system: str = ""
    tools: tuple[ToolDefinition, ...] = ()
    counter: Counter
    window: int | None = None
    answer_tokens: int | None = None
    ask: Callable[[tuple[Message, ...], Any, int], Awaitable[str]] | None = None
    embed: Any = None


class OtherRunError(Exception):
    """A run that is to join the one at work on its branch found it there. Never leaves `lumosai.agent`.

    Attributes:
        run_id: the run at work.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(run_id)


class Recalled(msgspec.Struct, frozen=True):
    """What memory puts into a run's first request.

    Attributes:
        messages: what stands before the input, in order; every call among them has its result.
        plan: what went into the prompt, and what not.
        input: the input as it is shown.
        system: what joins the instructions.
        tokens, budget, counted, off, notes: as in `MemoryRecalled`.
        size: the prompt's, as the counter has it; 0 where it tells nothing of the counter.
        stored: messages that lie in the run's thread as they are, on its branch.
        tools: what the model is given by the memory.
        scale: as in `MemoryRecalled`.
    """

    messages: tuple[Message, ...]
    plan: tuple[PlanItem, ...] = ()
    input: tuple[Message, ...] = ()
    system: str = ""
    tokens: int = 0
    budget: int | None = None
    counted: str = ""
    off: float | None = None
    notes: tuple[str, ...] = ()
    size: int = 0
    stored: tuple[Message, ...] = ()
    tools: tuple[Any, ...] = ()
    scale: float = 1.0


class Fitted(msgspec.Struct, frozen=True):
    """What changed of a run's later request, since it would not have fitted its budget.

    Attributes:
        plan: what it is made of now, and what was left out of it just now.
        tokens: as in `MemoryRecalled`.
        notes: as there.
        tools: what the model is given from here on, to read what was cut.
    """

    plan: tuple[PlanItem, ...] = ()
    tokens: int = 0
    notes: tuple[str, ...] = ()
    tools: tuple[Any, ...] = ()


class Fitting(Protocol):
    """Keeps a run's requests behind its first within its budget."""

    @property
    def shown(self) -> list[Message] | None:
        """What is shown of the conversation; None while that is all of it."""
        ...

    def begin(self, messages: Sequence[Message], kinds: Sequence[str], said: Sequence[Message] | None = None) -> None:
        """Takes the conversation as the last request showed it.

        Args:
            messages: what it showed, without the instructions.
            kinds: of each its section in the plan, "steps" for what the run itself said.
            said: what the run itself has said, whole; None where that is what is shown of it.
        """
        ...

    def told(self, tools: Sequence[ToolDefinition]) -> None:
        """These are the tools that the model is told of from here on."""
        ...

    def used(self, tokens: int) -> None:
        """The provider's count of the last request."""
        ...

    def fit(self, new: Sequence[Message]) -> Fitted | None:
        """Puts new messages behind the others, and makes room where they need it; None where nothing had to change."""
        ...


class Store(Protocol):
    """Stores something, by itself or along with what else is on its way, and gives what came of it."""

    def __call__(self, write: Write[T], /) -> Awaitable[T]: ...

    def begin_with(self, write: Write[T], told: Callable[[T], None], /) -> bool:
        """Has it stored with the run's first events, before its first request leaves; then `told` is called with what came of it.

        Where it cannot be, the run begins anew, which is then told so: see `Turn.at_once`.

        Returns:
            Whether it will be; False where it is to be stored now.
        """
        ...


class Kept(NamedTuple):
    """Messages that are about to be stored.

    Attributes:
        ids: theirs.
        write: stores them.
    """

    ids: tuple[str, ...]
    write: Write[Any]


class Conversation(Protocol):
    """One run's place in a thread, to itself until it leaves."""

    @property
    def branch(self) -> int:
        """The branch's number."""
        ...

    @property
    def queued_ms(self) -> float:
        """How long the run waited for others."""
        ...

    @property
    def saves(self) -> bool:
        """Whether what the run says is kept."""
        ...

    @property
    def place(self) -> int:
        """The run's place on the branch, for `Batch.place`: 0 where it has none."""
        ...

    async def recall(self, asking: Asking, store: Store) -> Recalled:
        """What was said before, as it goes into the run's first request; the input is stored behind it, through `store`."""
        ...

    async def tools(self, told: Collection[str]) -> tuple[Tool, ...]:
        """What the model is given by the memory, for a run that goes on without `recall`, of the tools it was told of."""
        ...

    def fitting(self, asking: Asking, budget: int, scale: float) -> Fitting:
        """What keeps the run's later requests within its budget, in tokens.

        Args:
            asking: what each of them has besides the conversation, working memory and the memory's tools included.
            budget: as the first request's plan has it.
            scale: likewise.
        """
        ...

    def answering(self, message_id: str) -> None:
        """The model's message of that id is being acted on."""
        ...

    def keep(self, messages: Sequence[Message]) -> Kept:
        """Makes messages ready to be stored, behind those that are. One that is there already is not stored again."""
        ...

    @property
    def entitles(self) -> bool:
        """Whether the model is asked for a title, where the thread has none."""
        ...

    async def wants_title(self) -> bool:
        """Whether the thread has no title but the first words of this run's input."""
        ...

    def entitle(self, title: str) -> Write[Any]:
        """Makes a title ready to be stored; one that the thread was given meanwhile stays."""
        ...

    async def give_back(self) -> None:
        """Lets the next run in."""
        ...

    def leave(self, *, comes_again: bool = False) -> None:
        """The run is at work there no more: its place was given back with its last events, or cannot be.

        Args:
            comes_again: it enters anew at once, before those that came behind it.
        """
        ...


class RunMemory(Protocol):
    """A memory, as an agent uses it."""

    async def enter(self, turn: Turn, interrupt: Callable[[str], None]) -> Conversation:
        """A place in a thread, once no other run is at work on its branch.

        Args:
            turn: the run.
            interrupt: ends the run, for a reason, where a later one is to take its place.

        Raises:
            ThreadBusyError: another run is at work there, and `turn` does not wait for it, or not any longer.
            OtherRunError: another run is at work there, and `turn` is to join it.
        """
        ...
