"""The context plan: what may go into a run's prompt, what does, how many tokens each takes, and why.

A plan is made before a run's first request. What may be shown comes as items, in sections that stand in the prompt in
this order:

    system      the instructions and the tools; for their tokens only, as they are not the memory's
    working     working memory: text that joins the instructions
    summary     what stands for messages that were cut
    history     the thread's last messages
    recalled    older messages that bear on what is asked, quoted as data
    input       what is asked now

What stays the same from one turn to the next stands first, so that a provider's cache of the prompt's beginning holds.

A processor is a plain callable over the plan, sync or async. It leaves items out, shows them otherwise, or adds some:

    def no_small_talk(plan: ContextPlan) -> None:
        for item in plan.of("history"):
            if len(item.message.text) < 4:
                item.leave_out("small talk")

    memory = Memory("sqlite:///lumosai.db", processors=[no_small_talk])

It need not care for pairs of calls and results: a result whose call is left out is left out too, and the other way round.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from lumosai.errors import ConfigurationError
from lumosai.events import PlanItem
from lumosai.memory._quoting import line, quotation
from lumosai.messages import Message, TextPart
from lumosai.models.tokens import size_of as by_length
from lumosai.records import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.models.embedding_calls import Embeds
    from lumosai.storage.base import Handle

Kind = Literal["system", "working", "summary", "history", "recalled", "input"]

_EVERYTHING: Final = Scope()
_FRAME: Final = quotation(())
"""What stands around what is recalled."""

KINDS: Final[tuple[Kind, ...]] = ("system", "working", "summary", "history", "recalled", "input")
"""The sections of a plan, in the order of the prompt."""

_FIXED: Final = ("system", "input")


class Item:
    """One thing that may go into the prompt.

    Attributes:
        kind: its section.
        message: as it is shown.
        size: about how many tokens it takes as it is shown, before the correction by what the provider reports: the same
            for the same message from turn to turn.
        included: whether it goes into the prompt.
        reason: why it does, or does not.
        seq: its number on the branch, 0 where it has none.
        thread_id: the thread it lies in, where that is another one.
        score: how well it fits what is asked, for what was looked for.
        version: of what has versions: working memory, a summary.
        at: when it was stored, unix seconds; None where it does not matter.
    """

    __slots__ = ("_plan", "at", "included", "kind", "message", "reason", "score", "seq", "size", "thread_id", "version")

    def __init__(self, plan: ContextPlan, kind: Kind, message: Message, reason: str = "", seq: int = 0) -> None:
        self._plan = plan
        self.kind = kind
        self.message = message
        self.size = plan.size_as(kind, message)
        self.included = True
        self.reason = reason
        self.seq = seq
        self.thread_id: str | None = None
        self.score: float | None = None
        self.version = 0
        self.at: float | None = None

    def __repr__(self) -> str:
        how = "in" if self.included else "out"
        return f"<{self.kind} {self.message.role} {self.message.id}, {self.tokens} tokens, {how}: {self.reason}>"

    @property
    def tokens(self) -> int:
        """How many it takes as it is shown."""
        scale = self._plan.scale
        return self.size if scale == 1.0 else round(self.size * scale)

    def leave_out(self, reason: str) -> None:
        """Keeps it out of the prompt.

        Raises:
            ConfigurationError: it is what is asked, or the instructions.
        """
        if self.kind in _FIXED:
            raise ConfigurationError(f"the {self.kind} of a plan cannot be left out: {reason}")
        self.included = False
        self.reason = reason

    def show_as(self, message: Message, reason: str) -> None:
        """Shows another message in its place.

        Raises:
            ConfigurationError: it is the instructions.
        """
        if self.kind == "system":
            raise ConfigurationError(f"the instructions in a plan cannot be changed: {reason}")
        self.message = message
        self.size = self._plan.size_as(self.kind, message)
        self.reason = reason


class ContextPlan:
    """What may go into a prompt.

    Attributes:
        query: the text of what is asked now.
        run_id: whose prompt it is.
        thread_id, branch: the thread that the run goes on with.
        resource_id: whom it is about.
        scope: whose rows it may see.
        budget: the most tokens that the prompt may take, None where nobody knows.
        window: the most that any request to the run's model may take, None where nobody knows.
        size_of: how much a message takes, see `Item.size`.
        scale: tokens for each of those.
        notes: what went otherwise than it was set, such as "recall: took over 0.3 s".
        handle: the storage, as the run's scope sees it; None outside a run.
        ask: asks a model in the run's events, see `Asking.ask`; None outside a run.
        embed: asks an embedding model in the run's trace; None outside a run.
        keeps: whether the run may write.
        reserved: tokens of the budget that are kept free for what is added behind it.
        reads: how much the tool takes by which the model may read what was cut of a tool's result; None where it cannot
            be given one.
        reading: whether it is given it, since something was cut.
    """

    def __init__(
        self,
        *,
        run_id: str = "",
        thread_id: str = "",
        branch: int = 0,
        resource_id: str | None = None,
        scope: Scope = _EVERYTHING,
        size_of: Callable[[Message], int] = by_length,
        scale: float = 1.0,
        budget: int | None = None,
        query: str = "",
    ) -> None:
        self.run_id = run_id
        self.thread_id = thread_id
        self.branch = branch
        self.resource_id = resource_id
        self.scope = scope
        self.size_of = size_of
        self.scale = scale
        self.budget = budget
        self.query = query
        self.notes: list[str] = []
        self.handle: Handle | None = None
        self.ask: Callable[[tuple[Message, ...], Any, int], Awaitable[str]] | None = None
        self.embed: Embeds | None = None
        self.keeps = False
        self.reserved = 0
        self.window: int | None = None
        self.reads: Callable[[], int] | None = None
        self.reading = False
        self._sections: dict[Kind, list[Item]] = {kind: [] for kind in KINDS}

    def __repr__(self) -> str:
        return f"<ContextPlan of {self.thread_id!r}, {len(self.items)} items, {self.tokens} tokens of {self.budget}>"

    @property
    def items(self) -> list[Item]:
        """All items, in the order of the prompt."""
        return [item for section in self._sections.values() for item in section]

    def of(self, kind: Kind) -> list[Item]:
        """The items of a section, those that are left out too."""
        return self._sections[kind]

    def add(self, kind: Kind, message: Message, reason: str = "", *, seq: int = 0) -> Item:
        """Puts a message at the end of a section."""
        item = Item(self, kind, message, reason, seq)
        self._sections[kind].append(item)
        return item

    def let_read(self) -> None:
        """Gives the model the tool by which it reads what was cut of a tool's result."""
        if self.reads is not None and not self.reading:
            self.reading = True
            self.add("system", Message("system", ()), "tool that reads what was cut").size = self.reads()

    def size_as(self, kind: Kind, message: Message) -> int:
        """How much a message takes as it stands in a section: what is recalled is quoted."""
        if kind == "recalled":
            message = Message("user", (TextPart(line(message, 0.0)),))
        return self.size_of(message)

    @property
    def frame(self) -> int:
        """Tokens that stand around what is recalled, whatever that is; 0 where nothing is."""
        recalled = any(i.included for i in self._sections["recalled"])
        return round(self.size_of(_FRAME) * self.scale) if recalled else 0

    @property
    def size(self) -> int:
        """How much the prompt takes as it is planned, before the correction: see `Item.size`."""
        return self._size(KINDS)

    def _size(self, kinds: Sequence[Kind]) -> int:
        size = sum([i.size for kind in kinds for i in self._sections[kind] if i.included])
        if "recalled" in kinds and any(i.included for i in self._sections["recalled"]):
            size += self.size_of(_FRAME)
        return size

    def count(self, message: Message) -> int:
        """How many tokens a message takes."""
        return round(self.size_of(message) * self.scale)

    @property
    def tokens(self) -> int:
        """How many the prompt takes as it is planned."""
        return self.tokens_of(*KINDS)

    def tokens_of(self, *kinds: Kind) -> int:
        """How many tokens the sections take, of what is in."""
        return round(self._size(kinds) * self.scale)

    def lines(self) -> tuple[PlanItem, ...]:
        """The plan as the run's `memory_recalled` event has it."""
        scale = self.scale
        return tuple(
            [
                PlanItem(
                    i.kind,
                    i.message.id,
                    i.size if scale == 1.0 else round(i.size * scale),
                    i.included,
                    i.reason,
                    i.message.role,
                    i.thread_id,
                    i.score,
                    i.version,
                )
                for section in self._sections.values()
                for i in section
            ]
        )


Processor = Callable[[ContextPlan], Awaitable[None] | None]
"""What is done to a plan before it becomes a prompt."""


class Source(Protocol):
    """What puts items of its own into a plan: semantic recall, working memory.

    It is asked once a run, when the system, the history and the input are in the plan and before any processor. It adds
    to its section, the best last: `plan.add("recalled", message, "rank 1", seq=…)` takes a message as it is stored, with
    its id. `quoted` makes one message for the prompt of those that are still in when the processors are done. What is in
    the history already it leaves to the history. What keeps it from its work it tells by `plan.notes.append(…)`, and
    the run goes on.
    """

    async def add_to(self, plan: ContextPlan, handle: Handle) -> None:
        """Adds its items.

        Args:
            plan: so far.
            handle: the storage, as the run's scope sees it.
        """
        ...


def quoted(items: Sequence[Item]) -> Message:
    """Recalled messages as one message that quotes them as data; no text in them can end the quotation."""
    return quotation((i.message, i.at) for i in items)
