"""What an agent's loop asks of a memory: a place in a thread for one run, which recalls and keeps."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from lumosai.events import PlanItem
from lumosai.messages import Message
from lumosai.records import Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lumosai.storage.base import Write

T = TypeVar("T")

IfBusy = Literal["queue", "reject", "steer", "interrupt"]


def open_memory(url: str) -> RunMemory:
    """A memory in the storage at a URL, with what a memory has by default.

    Raises:
        ConfigurationError: no storage has that URL.
        MissingExtraError: its library is not installed.
    """
    made: RunMemory = importlib.import_module("lumosai.memory.memory").Memory(url)
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
        last_messages: how many earlier messages it sees, None for as many as the memory says.
        if_busy: what to do where another run is at work on the branch.
        busy_timeout_s: how long to wait for it; None is for ever.
    """

    run_id: str
    agent: str
    thread_id: str
    branch: int | None = None
    scope: Scope
    resource_id: str | None = None
    input: tuple[Message, ...] = ()
    save: bool = True
    last_messages: int | None = None
    if_busy: IfBusy = "queue"
    busy_timeout_s: float | None = 60.0

    @property
    def options(self) -> dict[str, int] | None:
        """What the run was told of its memory, as `run_started` says it; None where nothing."""
        return None if self.last_messages is None else {"last_messages": self.last_messages}


class Recalled(msgspec.Struct, frozen=True):
    """What memory puts before the input.

    Attributes:
        messages: in order; every call among them has its result.
        plan: what went into the prompt, and what not.
    """

    messages: tuple[Message, ...]
    plan: tuple[PlanItem, ...] = ()


class Store(Protocol):
    """Stores something, by itself or along with what else is on its way, and gives what came of it."""

    def __call__(self, write: Write[T], /) -> Awaitable[T]: ...


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

    async def recall(self, store: Store) -> Recalled:
        """What was said before; the input is stored behind it, through `store`."""
        ...

    def keep(self, messages: Sequence[Message]) -> Kept:
        """Makes messages ready to be stored, behind those that are. One that is there already is not stored again."""
        ...

    def leave(self) -> None:
        """Lets the next run in."""
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
        """
        ...
