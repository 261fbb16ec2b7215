"""From what may be shown to what is: the plan is filled, the processors go over it, and what is left becomes messages."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from lumosai.errors import ConfigurationError
from lumosai.memory._window import answered, sendable
from lumosai.memory.base import Recalled
from lumosai.memory.plan import ContextPlan, quoted
from lumosai.memory.processors import Clamp, MessageLimit, TokenBudget
from lumosai.messages import AudioPart, FilePart, ImagePart, Message, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.memory.base import Asking, Turn
    from lumosai.memory.plan import Processor, Source
    from lumosai.records import ToolDefinition
    from lumosai.storage.base import Handle, StoredMessage

_SURE: Final = 0.95
"""The share of a model's window that is used: counts are off by a little."""
_ANSWER: Final = 0.25
"""The share of the window that is kept for an answer whose length nobody has limited."""
_MEDIA: Final = (ImagePart, AudioPart, FilePart)


def budget_of(given: int | None, asking: Asking) -> int | None:
    """How many tokens the prompt may take: as the user says, else what the model's window leaves; None where unknown."""
    if given is not None or asking.window is None:
        return given
    kept = asking.answer_tokens if asking.answer_tokens is not None else int(asking.window * _ANSWER)
    return max(int((asking.window - min(kept, asking.window // 2)) * _SURE), 1)


def begun(turn: Turn, asking: Asking, branch: int, earlier: Sequence[StoredMessage], budget: int | None) -> ContextPlan:
    """A plan with what is there anyway: instructions and tools, the history, the input."""
    counter = asking.counter
    plan = ContextPlan(
        run_id=turn.run_id,
        thread_id=turn.thread_id,
        branch=branch,
        resource_id=turn.resource_id,
        scope=turn.scope,
        size_of=counter.size,
        scale=counter.scale,
        budget=budget,
    )
    if asking.system:
        plan.add("system", Message.system(asking.system), "instructions")
    if asking.tools:
        tools = plan.add("system", _NOTHING, f"{len(asking.tools)} tool{'s' * (len(asking.tools) > 1)}")
        tools.size = counter.tools_size(asking.tools)
    asked = len(earlier) if turn.input else _asked([s.message for s in earlier])
    for stored in earlier[:asked]:
        plan.add("history", stored.message, "history", seq=stored.seq)
    for stored in earlier[asked:]:
        plan.add("input", stored.message, "asked last", seq=stored.seq)
    for message in turn.input:
        plan.add("input", message, "asked now")
    plan.query = "\n".join([i.message.text for i in plan.of("input") if i.message.role == "user" and i.message.text])
    return plan


def add_tools(plan: ContextPlan, asking: Asking, tools: Sequence[ToolDefinition]) -> None:
    """Counts the tools that the memory itself gives."""
    plan.add("system", _NOTHING, "tools of the memory").size = asking.counter.tools_size(tools)


def chain(processors: Sequence[Processor], last_messages: int) -> list[Processor]:
    """The processors in the order in which they run: the user's, with the memory's own where there are none such."""
    own = [p for p in processors if isinstance(p, Clamp)], [p for p in processors if isinstance(p, TokenBudget)]
    rest: list[Processor] = [*([] if own[0] else [Clamp()]), *([] if own[1] else [TokenBudget()])]
    at = next((n for n, p in enumerate(processors) if getattr(p, "after_budget", False)), len(processors))
    return [MessageLimit(last_messages), *processors[:at], *rest, *processors[at:]]


async def processed(plan: ContextPlan, sources: Sequence[Source], chained: Sequence[Processor], handle: Handle) -> None:
    """Has the sources fill the plan, and the processors go over it.

    Raises:
        ConfigurationError: a processor gave something back.
    """
    for source in sources:
        await source.add_to(plan, handle)
    for process in chained:
        made: Any = process(plan)
        if inspect.isawaitable(made):
            made = await made
        if made is not None and made is not plan:
            raise ConfigurationError(
                f"the processor {process!r} gave back {type(made).__name__}: it changes the plan that it is given, "
                "by item.leave_out(reason), item.show_as(message, reason) or plan.add(…)"
            )


def held(chained: Sequence[Processor], budget: int | None) -> tuple[int, float]:
    """How many tokens one message may take in each of a run's requests, and the share of them that is trimmed at once."""
    clamp = next(p for p in chained if isinstance(p, Clamp))
    trims = next(p for p in chained if isinstance(p, TokenBudget))
    return clamp.limit(budget), trims.chunk


def finished(plan: ContextPlan, asking: Asking, earlier: Sequence[StoredMessage]) -> Recalled:
    """The plan as messages."""
    history = sendable(plan.of("history"), answered([s.message for s in earlier]))
    summary = [i.message for i in plan.of("summary") if i.included]
    recalled = [i for i in plan.of("recalled") if i.included]
    before = [*summary, *history]
    if recalled:
        before.append(quoted(recalled))
    system = "\n\n".join([i.message.text for i in plan.of("working") if i.included])
    given = tuple([i.message for i in plan.of("input")])
    size = plan.size
    return Recalled(
        tuple(before),
        plan.lines(),
        input=given,
        system=system,
        tokens=round(size * plan.scale),
        budget=plan.budget,
        counted=asking.counter.how,
        off=asking.counter.off,
        notes=tuple(plan.notes),
        size=0 if any(_has_media(m) for m in (*before, *given)) else size,
        scale=plan.scale,
    )


def _asked(messages: Sequence[Message]) -> int:
    """Where what is to be answered begins, in a thread that ends with it."""
    at = len(messages)
    while at and messages[at - 1].role == "user":
        at -= 1
    return at


def _has_media(message: Message) -> bool:
    return any(
        isinstance(p, _MEDIA) or (type(p) is ToolResultPart and not isinstance(p.content, str)) for p in message.parts
    )


_NOTHING: Final = Message("system", ())
