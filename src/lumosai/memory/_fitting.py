"""A run's later requests, kept within its budget: what its steps add makes others give way, in chunks.

The first request is what the context plan made of it. Each later one is the one before with what was said since behind
it. A result of a tool that is too long by itself is cut as it comes. Where the whole outgrows its budget, room is made for
a chunk of it at once, so that the requests that follow begin as this one does, in this order:

    results     of the run's older steps: a line stands for each that says how to read it again
    history     the thread's oldest turns
    results     of the run's last steps but the last one
    steps       the run's oldest, each with its results, a line for all of them
    the last    result, cut to what is left

What is asked, working memory, summaries and recalled messages stay. Each request depends on the one before and on what was
said since, and on nothing else: a run that another process takes up goes on with the same ones.
"""

from __future__ import annotations

from collections import Counter as Counted
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from lumosai.events import PlanItem
from lumosai.memory._cutting import cut_result, reading, shortened
from lumosai.memory.base import READ_TOOL, Fitted
from lumosai.messages import AudioPart, FilePart, ImagePart, Message, TextPart, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lumosai.memory.base import Asking
    from lumosai.records import ToolDefinition
    from lumosai.tools.base import Tool

_LATEST: Final = 3
"""Messages of results that stay whole as long as anything older can give way."""
_LEAST: Final = 60
"""A result that takes no more than so many tokens stays: the line that stands for it takes as many."""
_LEAST_CUT: Final = 120
_SLOW: Final = 2_000.0
"""Tokens that a report must be of until half of the correction is its own, see `models.tokens`."""
_MOST_SCALE: Final = 3.0
_TRIES: Final = 4
_MEDIA: Final = (ImagePart, AudioPart, FilePart)


class _Entry:
    """A message as it is shown, with its section and its size."""

    __slots__ = ("kind", "message", "reason", "size")

    def __init__(self, message: Message, kind: str, size: int) -> None:
        self.message = message
        self.kind = kind
        self.size = size
        self.reason = ""


class Fitting:
    """See `memory.base.Fitting`.

    Args:
        asking: what each request has besides the conversation.
        budget: tokens that a request may take.
        scale: tokens for each unit of size, as the first request's plan had it.
        chunk: the share of the budget that is made free at once.
        clamp: tokens that a single message may take.
        reader: the tool that reads results; None where the model can be given none.
    """

    def __init__(
        self,
        asking: Asking,
        budget: int,
        scale: float,
        *,
        chunk: float,
        clamp: int,
        reader: Tool | None,
    ) -> None:
        self._counter = asking.counter
        self._size_of = asking.counter.size
        self._budget = budget
        self._scale = self._least_scale = scale
        self._chunk = chunk
        self._clamp = clamp
        self._reader = reader
        self._system = self._size_of(Message.system(asking.system)) if asking.system else 0
        self._fixed = self._system
        self._offered = False
        self._entries: list[_Entry] = []
        self._total = 0
        self._changed = self._shortened = False
        self._results: dict[str, ToolResultPart] = {}
        self._steps: dict[str, tuple[str, ...]] = {}
        self._gone: list[PlanItem] = []
        self.told(asking.tools)

    @property
    def shown(self) -> list[Message] | None:
        return [e.message for e in self._entries] if self._changed else None

    def begin(self, messages: Sequence[Message], kinds: Sequence[str], said: Sequence[Message] | None = None) -> None:
        for message, kind in zip(messages, kinds, strict=True):
            self._add(message, kind)
        own = [e.message for e in self._entries if e.kind == "steps"] if said is None else said
        for message in own:
            self._note(message)
        self._changed = said is not None

    def result(self, call_id: str) -> ToolResultPart | None:
        """What a call of the run gave, whole."""
        return self._results.get(call_id)

    def told(self, tools: Sequence[ToolDefinition]) -> None:
        self._fixed = self._system + self._counter.tools_size(tools)
        self._offered = any(t.name == READ_TOOL for t in tools)

    def used(self, tokens: int) -> None:
        if tokens > 0 and not any(_has_media(e.message) for e in self._entries):
            told = (tokens + _SLOW) / (self._fixed + self._total + _SLOW)
            self._scale = max(self._least_scale, min(told, _MOST_SCALE))

    def fit(self, new: Sequence[Message]) -> Fitted | None:
        self._gone, self._shortened, notes = [], False, list[str]()
        cut = False
        for message in new:
            self._note(message)
            entry = self._add(message, "steps")
            if entry.size * self._scale > self._clamp:
                cut = self._cut(entry) or cut
        fixed = self._fixed
        if self._reader is not None and not self._offered and (cut or self._is_over()):
            self._fixed += self._counter.tools_size((self._reader.definition(),))  # it has to fit, too
        if self._is_over():
            cut = self._make_room() or cut
            over = round((self._fixed + self._total) * self._scale)
            if over > self._budget:
                notes.append(f"budget: what cannot be left out takes {over:,} of {self._budget:,} tokens")
        if not self._shortened:
            self._fixed = fixed
        if not cut:
            return None
        self._changed = True
        tokens = round((self._fixed + self._total) * self._scale)
        return Fitted(tuple(self._lines()), tokens, tuple(notes), self._offer())

    def _is_over(self) -> bool:
        return self._units(self._budget) < self._fixed + self._total

    def _units(self, tokens: float) -> float:
        return tokens / self._scale

    def _add(self, message: Message, kind: str) -> _Entry:
        entry = _Entry(message, kind, self._size_of(message))
        self._entries.append(entry)
        self._total += entry.size
        return entry

    def _note(self, message: Message) -> None:
        """Keeps of what the run said what may have to be shown again, or told of."""
        if message.role == "tool":
            self._results.update({r.call_id: r for r in message.tool_results})
        elif message.tool_calls and message.id is not None:
            self._steps[message.id] = tuple([c.name for c in message.tool_calls])

    def _show(self, entry: _Entry, message: Message, reason: str) -> bool:
        if message is entry.message:
            return False
        size = self._size_of(message)
        self._total += size - entry.size
        entry.message, entry.size, entry.reason = message, size, reason
        self._shortened = self._shortened or message.role == "tool"
        return True

    def _cut(self, entry: _Entry) -> bool:
        """Cuts a message that takes more than one may: results each by itself, as a message of them may hold many."""
        limit, reason = self._units(self._clamp), f"cut in the middle to {self._clamp:,} tokens"
        if entry.message.role == "tool":
            return self._show(entry, self._results_within(entry.message, limit, 2 * limit), reason)
        message, share, size = entry.message, 1.0, entry.size
        for _ in range(_TRIES if entry.message.role == "user" else 0):
            share *= limit / size
            message = shortened(entry.message, share)
            size = self._size_of(message)
            if size <= limit:
                break
        return self._show(entry, message, reason)

    def _results_within(self, message: Message, each: float, together: float) -> Message:
        """A message of results, none of which takes more than `each`; the largest are cut until it takes no more than that."""
        sizes = [self._size_of(replace(message, parts=(p,))) for p in message.parts]
        limit = min(each, _level(sizes, together))
        parts = [p if n <= limit else self._within(p, limit, n) for p, n in zip(message.parts, sizes, strict=True)]
        return (
            message
            if all(a is b for a, b in zip(parts, message.parts, strict=True))
            else replace(message, parts=tuple(parts))
        )

    def _within(self, part: Any, limit: float, size: int) -> Any:
        whole = self._results.get(part.call_id, part) if type(part) is ToolResultPart else part
        if type(whole) is not ToolResultPart:
            return part
        made, share = whole, 1.0
        size = max(size, self._size_of(Message("tool", (whole,))))
        for _ in range(_TRIES):
            share *= limit / size
            made = cut_result(whole, share, reads=self._reader is not None)
            size = self._size_of(Message("tool", (made,)))
            if size <= limit:
                break
        return made if made != part else part

    def _make_room(self) -> bool:
        """Until a chunk is free; whether anything gave way."""
        target = self._units(self._budget * (1 - self._chunk)) - self._fixed
        most = self._units(self._budget) - self._fixed
        changed = self._forget_results(target, _LATEST)
        if self._total > target:
            changed = self._leave_turns(target) or changed
        for left in (2, 1):
            if self._total > target:
                changed = self._forget_results(target, left) or changed
        for left in (_LATEST, 1):
            if self._total > most:
                changed = self._leave_steps(target, left) or changed
        if self._total > most:
            changed = self._squeeze(most) or changed
        return changed

    def _forget_results(self, target: float, but: int) -> bool:
        """Has a line stand for results, the oldest first, but the last so many messages of them."""
        found = [e for e in self._entries if e.kind == "steps" and e.message.role == "tool"]
        changed = False
        for entry in found[: len(found) - but]:
            if self._total <= target:
                break
            parts = tuple([self._forgotten(p) for p in entry.message.parts])
            if any(a is not b for a, b in zip(parts, entry.message.parts, strict=True)):
                message = replace(entry.message, parts=parts)
                changed = self._show(entry, message, self._why("the result is left out")) or changed
        return changed

    def _forgotten(self, part: Any) -> Any:
        if type(part) is not ToolResultPart or self._size_of(Message("tool", (part,))) <= _LEAST:
            return part
        whole = self._results.get(part.call_id, part)
        how = f": {reading(part.call_id)} shows it again" if self._reader is not None else ""
        return replace(part, content=f"[{len(whole.text):,} characters, left out to save room{how}]")

    def _leave_turns(self, target: float) -> bool:
        """Leaves out the thread's oldest turns, as whole ones."""
        history = [e for e in self._entries if e.kind == "history"]
        turns = [n for n, e in enumerate(history) if n and e.message.role == "user"]
        over, cut = self._total - target, len(history)
        for n in turns:
            if sum([e.size for e in history[:n]]) >= over:
                cut = n
                break
        return self._leave_out(history[:cut])

    def _leave_steps(self, target: float, but: int) -> bool:
        """Leaves out the run's oldest steps, each with its results, but the last so many; a line tells of them."""
        places = [n for n, e in enumerate(self._entries) if e.kind == "steps" and e.message.role == "assistant"]
        gone: list[_Entry] = []
        freed = 0
        for n in places[: len(places) - but]:
            if self._total - freed <= target:
                break
            step = [self._entries[n], *_results_behind(self._entries, n)]
            gone += step
            freed += sum([e.size for e in step])
        if not self._leave_out(gone):
            return False
        self._tell_of_steps()
        return True

    def _leave_out(self, gone: Sequence[_Entry]) -> bool:
        if not gone:
            return False
        out = set(map(id, gone))
        self._entries = [e for e in self._entries if id(e) not in out]
        self._total -= sum([e.size for e in gone])
        self._gone += [self._line(e, self._why(), included=False) for e in gone]
        return True

    def _tell_of_steps(self) -> None:
        """One line stands for all steps that are left out, where the first of them stood."""
        old = next((e for e in self._entries if _is_line(e)), None)
        shown = {e.message.id for e in self._entries}
        steps = [names for name, names in self._steps.items() if name not in shown]
        calls = Counted([name for names in steps for name in names])
        told = ", ".join([f"{name} × {n}" for name, n in sorted(calls.items())])
        text = f"[{len(steps)} earlier steps of this work are left out to save room. Tools called in them: {told or 'none'}.]"
        message = Message("user", (TextPart(text),))
        if old is not None:
            self._show(old, message, "stands for steps that are left out")
            return
        entry = _Entry(message, "steps", self._size_of(message))
        entry.reason = "stands for steps that are left out"
        at = next((n for n, e in enumerate(self._entries) if e.kind == "steps"), len(self._entries))
        self._entries.insert(at, entry)
        self._total += entry.size

    def _squeeze(self, most: float) -> bool:
        """Cuts the last results to what is left."""
        last = next((e for e in reversed(self._entries) if e.kind == "steps" and e.message.role == "tool"), None)
        if last is None:
            return False
        room = max(last.size - (self._total - most), float(_LEAST_CUT))
        return self._show(last, self._results_within(last.message, room, room), self._why("cut in the middle"))

    def _offer(self) -> tuple[Tool, ...]:
        """The tool that reads what was cut, the first time that anything of a result was."""
        if self._reader is None or self._offered or not self._shortened:
            return ()
        return (self._reader,)

    def _why(self, what: str = "") -> str:
        reason = f"over the budget of {self._budget:,} tokens"
        return f"{what}: {reason}" if what else reason

    def _lines(self) -> Iterator[PlanItem]:
        """The request's plan, and what gave way just now before what is in of its section."""
        tokens = round(self._fixed * self._scale)
        yield PlanItem("system", None, tokens, reason="instructions and tools", role="system")
        gone, before = self._gone, ""
        for entry in self._entries:
            if entry.kind != before:
                before = entry.kind
                yield from [i for i in gone if i.kind == before]
                gone = [i for i in gone if i.kind != before]
            yield self._line(entry, entry.reason or entry.kind)
        yield from gone

    def _line(self, entry: _Entry, reason: str, *, included: bool = True) -> PlanItem:
        tokens = round(entry.size * self._scale)
        return PlanItem(entry.kind, entry.message.id, tokens, included, reason, entry.message.role)


def _results_behind(entries: Sequence[_Entry], n: int) -> Iterator[_Entry]:
    for entry in entries[n + 1 :]:
        if entry.message.role != "tool":
            return
        yield entry


def _is_line(entry: _Entry) -> bool:
    """Whether it stands for steps that are left out."""
    return entry.kind == "steps" and entry.message.role == "user" and entry.message.id is None


def _level(sizes: Sequence[int], together: float) -> float:
    """The most that each may take so that all of them take no more than `together`."""
    left = sorted(sizes)
    room = together
    while left:
        level = room / len(left)
        if left[-1] <= level:
            return float(left[-1])
        if left[0] > level:
            return level
        room -= left.pop(0)
    return room


def _has_media(message: Message) -> bool:
    return any(
        isinstance(p, _MEDIA) or (type(p) is ToolResultPart and not isinstance(p.content, str)) for p in message.parts
    )
