"""What is done to a context plan before it becomes a prompt. Each is a callable over the plan, and so is one of your own.

    memory = Memory("sqlite:///lumosai.db", processors=[ToolCallFilter(), Deduplicate()])

They run in the order given. A memory ends with a `Clamp` and a `TokenBudget` of its own, unless there is one among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from lumosai.errors import ConfigurationError
from lumosai.memory._cutting import shortened
from lumosai.messages import ReasoningPart, ToolCallPart, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lumosai.memory.plan import ContextPlan, Item
    from lumosai.messages import Part, Role

_LARGEST: Final = 200_000
"""Tokens of a prompt, for a model of whose window nobody knows: what a single message is clamped by."""
_RECALLED: Final = 0.25
_LEAST_CLAMP: Final = 200
_TRIES: Final = 4


class MessageLimit:
    """Shows the last messages of the thread, and moves on in chunks, so that the prompt's beginning stays the same.

    Args:
        most: how many at the most.
        step: by how many it moves on; a quarter of them by default, and one by one for fewer than eight. At least
            `most - step + 1` are shown, as long as there are that many.

    Raises:
        ConfigurationError: a number that cannot work.
    """

    def __init__(self, most: int, *, step: int | None = None) -> None:
        step = max(1, most // 4) if step is None else step
        if most < 0 or not 1 <= step <= max(most, 1):
            raise ConfigurationError(f"MessageLimit({most}, step={step}): most must not be negative, step be 1 to most")
        self.most = most
        self.step = step

    def __repr__(self) -> str:
        return f"MessageLimit({self.most}, step={self.step})"

    def __call__(self, plan: ContextPlan) -> None:
        history = plan.of("history")
        beyond = len(history) - self.most
        if beyond > 0:
            for item in history[:beyond]:
                item.leave_out(f"not among the last {self.most}")
        shown = history[max(beyond, 0) :]
        if shown and (beyond > 0 or len(shown) == self.most) and shown[0].seq > 1:
            moved = next((n for n, i in enumerate(shown[: self.step]) if (i.seq - 1) % self.step == 0), 0)
            for item in shown[:moved]:
                item.leave_out(f"not among the last {self.most}, which move on by {self.step}")


class RoleFilter:
    """Leaves out messages of the history, and recalled ones, by their role.

    Args:
        *roles: those to leave out.

    A call goes with its results: `RoleFilter("tool")` leaves out both.
    """

    def __init__(self, *roles: Role) -> None:
        self.roles = frozenset(roles)

    def __repr__(self) -> str:
        return f"RoleFilter({', '.join(map(repr, sorted(self.roles)))})"

    def __call__(self, plan: ContextPlan) -> None:
        for item in (*plan.of("history"), *plan.of("recalled")):
            if item.included and item.message.role in self.roles:
                item.leave_out(f"role {item.message.role}")


class ToolCallFilter:
    """Leaves out tool calls and their results; what was said beside them stays.

    Args:
        *names: of these tools; of all where none is named.
        keep_turns: the last so many turns (from a user's message to the next) keep theirs.
    """

    def __init__(self, *names: str, keep_turns: int = 0) -> None:
        self.names = frozenset(names)
        self.keep_turns = keep_turns

    def __repr__(self) -> str:
        return f"ToolCallFilter({', '.join([*map(repr, sorted(self.names)), f'keep_turns={self.keep_turns}'])})"

    def __call__(self, plan: ContextPlan) -> None:
        history = plan.of("history")
        turns = [n for n, i in enumerate(history) if i.message.role == "user"]
        until = turns[-self.keep_turns] if 0 < self.keep_turns <= len(turns) else len(history)
        until = 0 if self.keep_turns > len(turns) else until
        for item in history[:until]:
            if item.included and item.message.role in ("assistant", "tool"):
                self._strip(item)

    def _strip(self, item: Item) -> None:
        parts = item.message.parts
        kept = tuple([p for p in parts if not self._filtered(p)])
        if len(kept) == len(parts):
            return
        if all(type(p) is ReasoningPart for p in kept):
            item.leave_out("tool calls are left out")
        else:
            item.show_as(replace(item.message, parts=kept), "without its tool calls")

    def _filtered(self, part: Part) -> bool:
        return isinstance(part, ToolCallPart | ToolResultPart) and (not self.names or part.name in self.names)


class Deduplicate:
    """Shows what stands in the prompt twice only once, the last time: messages, tool results, recalled ones.

    Args:
        min_chars: shorter texts are no duplicates: that somebody says "yes" twice means something.
    """

    def __init__(self, *, min_chars: int = 80) -> None:
        self.min_chars = min_chars

    def __repr__(self) -> str:
        return f"Deduplicate(min_chars={self.min_chars})"

    def __call__(self, plan: ContextPlan) -> None:
        seen: set[tuple[str, str]] = set()
        results: set[str] = set()
        for item in reversed((*plan.of("recalled"), *plan.of("history"), *plan.of("input"))):
            if not item.included:
                continue
            message = item.message
            if message.role == "tool":
                self._results(item, results)
                continue
            if len(message.text) < self.min_chars or message.tool_calls:
                continue
            key = (message.role, message.text)
            if key in seen and item.kind != "input":
                item.leave_out("stands in the prompt again")
            seen.add(key)

    def _results(self, item: Item, seen: set[str]) -> None:
        parts: list[Part] = []
        for part in reversed(item.message.parts):
            if type(part) is not ToolResultPart or len(part.text) < self.min_chars or not isinstance(part.content, str):
                parts.append(part)
            elif part.text in seen:
                parts.append(replace(part, content="[the same result stands further below]"))
            else:
                seen.add(part.text)
                parts.append(part)
        parts.reverse()
        if any(a is not b for a, b in zip(parts, item.message.parts, strict=True)):
            item.show_as(replace(item.message, parts=tuple(parts)), "a result stands again further below")


class Clamp:
    """Cuts the middle out of a message that is too long, what is asked now included.

    Args:
        most: tokens of one message; a quarter of the prompt's budget where None.

    Results of tools that the run itself calls are cut likewise, one by one, and what was cut of a result the model can
    read on by a tool that it is then given.
    """

    def __init__(self, most: int | None = None) -> None:
        if most is not None and most < 1:
            raise ConfigurationError(f"Clamp({most}): a message must be left at least one token")
        self.most = most

    def __repr__(self) -> str:
        return f"Clamp({self.most})"

    def __call__(self, plan: ContextPlan) -> None:
        most = self.limit(plan.budget)
        limit = most / plan.scale
        for kind in ("history", "recalled", "input"):
            for item in plan.of(kind):
                if item.size > limit and item.included:
                    self._clamp(plan, item, limit, most)

    def limit(self, budget: int | None) -> int:
        """The most tokens that one message may take in a prompt of a budget."""
        return self.most or max((budget or _LARGEST) // 4, _LEAST_CLAMP)

    def _clamp(self, plan: ContextPlan, item: Item, limit: float, most: int) -> None:
        reads = plan.reads is not None and item.kind == "history" and item.message.role == "tool"
        message, share, size = item.message, 1.0, item.size
        for _ in range(_TRIES):  # where the beginning is English and the end Chinese, a share of one is not one of both
            share *= limit / size
            message = shortened(item.message, share, reads=reads)
            size = plan.size_of(message)
            if size <= limit:
                break
        if message is not item.message:
            item.show_as(message, f"cut in the middle to {most:,} tokens")
            if reads:
                plan.let_read()


class TokenBudget:
    """Keeps the prompt within a number of tokens, by leaving out what is oldest.

    It never parts a call from its result, and prefers to begin at a user's message. It moves on in chunks: where the
    history outgrows its room, a chunk of it is left out at once, and the prompt's beginning stays as it is for many
    turns, so that a provider's cache of it holds.

    Args:
        most: tokens of the whole prompt; the plan's budget where None, which is the memory's `token_budget`, or what
            the model's window leaves beside the answer.
        chunk: the share of them that is left out at once.

    Raises:
        ConfigurationError: a number that cannot work.
    """

    def __init__(self, most: int | None = None, *, chunk: float = 0.25) -> None:
        if (most is not None and most < 1) or not 0 <= chunk < 1:
            raise ConfigurationError(f"TokenBudget({most}, chunk={chunk}): most must be positive, chunk 0 up to 1")
        self.most = most
        self.chunk = chunk

    def __repr__(self) -> str:
        return f"TokenBudget({self.most}, chunk={self.chunk})"

    def __call__(self, plan: ContextPlan) -> None:
        most = plan.budget if self.most is None else self.most
        if most is None:
            return
        plan.budget = most
        fixed = plan.tokens_of("system", "working", "summary", "input") + plan.reserved
        if fixed - plan.reserved > most:
            plan.notes.append(
                f"budget: instructions, tools and input alone take {fixed - plan.reserved:,} of {most:,} tokens"
            )
        recalled = _fit_recalled(plan, min(most * _RECALLED, most - fixed - plan.frame))
        room = (most - fixed - recalled) / plan.scale
        history = [i for i in plan.of("history") if i.included]
        if sum([i.size for i in history]) > room:
            reason = f"over the budget of {most:,} tokens"
            _leave_out(history, room, max(1.0, most * self.chunk / plan.scale), reason)


def _fit_recalled(plan: ContextPlan, room: float) -> int:
    """Leaves out what fits worst of the recalled; how many tokens the rest takes."""
    kept = sum([i.tokens for i in plan.of("recalled") if i.included])
    for item in plan.of("recalled"):
        if kept <= room:
            break
        if item.included:
            kept -= item.tokens
            item.leave_out("over its share of the budget")
    return plan.tokens_of("recalled")


def _leave_out(history: list[Item], room: float, chunk: float, reason: str) -> None:
    """Leaves out the beginning of the history: up to the turn from which on it has room, in chunks that do not move."""
    turns = _places(history, [n for n, i in enumerate(history) if i.message.role == "user"], chunk)
    behind = _sums(history)
    start = next((n for n in turns if behind[n] <= room), None)
    if start is not None:
        _drop(history[:start], reason)
        return
    # The last turn alone has no room: its question stays, and of its steps the last ones.
    begin = max((n for n, i in enumerate(history) if i.message.role == "user"), default=-1)
    question = history[begin].size if begin >= 0 else 0
    steps = [n for n, i in enumerate(history) if n > begin and i.message.role != "tool"]
    step = next((n for n in _places(history, steps, chunk) if question + behind[n] <= room), len(history))
    keep = begin >= 0 and question <= room
    _drop([i for n, i in enumerate(history) if n < step and not (keep and n == begin)], reason)


def _places(history: list[Item], candidates: Iterable[int], chunk: float) -> list[int]:
    """Where the history may begin: the first candidate in each chunk of it, and the last one there is."""
    before = 0.0
    sums = []
    for item in history:
        sums.append(before)
        before += item.size
    places: list[int] = []
    due = 0.0
    last = -1
    for n in candidates:
        if sums[n] >= due:
            places.append(n)
            due = sums[n] - sums[n] % chunk + chunk
        last = n
    if last >= 0 and (not places or places[-1] != last):
        places.append(last)
    return places


def _sums(history: list[Item]) -> list[float]:
    """How much the history takes from each item on."""
    total = 0.0
    sums = []
    for item in reversed(history):
        total += item.size
        sums.append(total)
    sums.reverse()
    return sums


def _drop(items: Iterable[Item], reason: str) -> None:
    for item in items:
        item.leave_out(reason)
