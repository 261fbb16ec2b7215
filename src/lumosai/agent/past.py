"""What a run had come to when its process ended, read from its stored events, so that another one goes on from there."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.agent.history import events_in
from lumosai.agent.references import MARK, AtHand
from lumosai.errors import NotFoundError, StorageBrokenError
from lumosai.events import (
    TERMINAL,
    ApprovalRequested,
    ApprovalResolved,
    BudgetWarning,
    Event,
    InputReceived,
    MemoryRecalled,
    ModelCallComplete,
    ModelCallStarted,
    OutputDelta,
    Retrying,
    RunResumed,
    RunStarted,
    StepComplete,
    StepStarted,
    ToolCallComplete,
    ToolCallStart,
)
from lumosai.messages import Message, ToolCallPart, ToolResultPart
from lumosai.records import Approval, ToolDefinition, Usage
from lumosai.tools.execute import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from lumosai.messages import Part
    from lumosai.storage.base import Handle

_PAGE = 500
_NOTHING = Usage()
_message = msgspec.json.Decoder(Message).decode
_tools = msgspec.json.Decoder(tuple[ToolDefinition, ...]).decode


async def _of_thread(handle: Handle, thread_id: str, branch: int | None, names: Sequence[str]) -> list[Message]:
    """Messages of a thread by id, those that are there."""
    found = []
    for name in names:
        with suppress(NotFoundError):
            stored = await handle.message(thread_id, name, branch=branch)
            if stored is not None:
                found.append(stored.message)
    return found


def _mended(messages: list[Message]) -> list[Message]:
    """Messages of which some others are gone: no call without its result, no result without its call."""
    called = {c.id for m in messages for c in m.tool_calls}
    pairs = called & {r.call_id for m in messages for r in m.tool_results}

    def stays(part: Part) -> bool:
        if type(part) is ToolCallPart:
            return part.id in pairs
        return type(part) is not ToolResultPart or part.call_id in pairs

    kept = [(m, tuple([p for p in m.parts if stays(p)])) for m in messages]
    return [m if len(p) == len(m.parts) else msgspec.structs.replace(m, parts=p) for m, p in kept if p]


class Past:
    """One run's past, without its sub-runs'.

    Attributes:
        events: the events of the whole tree.
        in_thread: messages of its last prompt that lie in its thread.
        has_context: whether the run had an object of the user's.
        started: how it began.
        step: the step that was under way or done last, None where none began.
        asked: the last request to the model, its prompt whole; None where none left.
        answered: its answer, None where it was cut.
        step_done: whether that step ended.
        results: what the answer's calls gave, by id.
        begun: the answer's calls that had begun, by id.
        granted: decisions about calls, by id.
        settled: decisions about calls that had begun, and of which nobody knows whether they had their effect, by id.
        later: messages that came in behind the answer.
        attempts, misfits, outputs: requests of the step, outputs that did not fit, answers that showed any output.
        told: whether the model's last misfit was told to it.
        step_usage: what the step used.
        ended: the run's last event, None where it has none.
        recalled: how many messages the memory put before the input.
        planned: the plan of the first request, None where there was none.
        trimmed: whether its last request was not all of the conversation.
        said: what the run itself had said, and been told, before its last request.
        active_s: how long it was at work, in all processes together, as far as its events tell.
    """

    def __init__(
        self,
        events: Sequence[Event],
        run_id: str,
        *,
        has_context: bool = False,
        in_thread: Sequence[Message] = (),
    ) -> None:
        self.events = events
        self.in_thread = in_thread
        self.has_context = has_context
        self.step: StepStarted | None = None
        self.asked: ModelCallStarted | None = None
        self.answered: ModelCallComplete | None = None
        self.step_done: StepComplete | None = None
        self.results: dict[str, ToolResultPart] = {}
        self.failed: dict[str, str | None] = {}
        self.begun: dict[str, ToolCallStart] = {}
        self.asked_for: dict[str, ApprovalRequested] = {}
        self.granted: dict[str, Approval] = {}
        self.settled: dict[str, Approval] = {}
        self.later: list[Message] = []
        self.attempts = self.misfits = self.outputs = 0
        self.told = True
        self.step_usage = Usage()
        self.ended: Event | None = None
        self.recalled = 0
        self.planned: MemoryRecalled | None = None
        self.trimmed = False
        self.said: list[Message] = []
        self.active_s = 0.0
        started = None
        since = until = 0.0
        for event in events:
            if type(event) is RunResumed and event.run_id == run_id and event.epoch > 1:
                self.active_s += max(0.0, until - since)
                since = event.at
            until = event.at
            if event.run_id == run_id:
                if type(event) is RunStarted:
                    started, since = event, event.at
                else:
                    self._read(event)
        if started is None:
            raise StorageBrokenError(f"the events of run {run_id} do not begin with run_started: they are not whole")
        self.started = started
        self.active_s += max(0.0, until - since)

    def _read(self, event: Event) -> None:
        read = _READERS.get(type(event))
        if read is not None:
            read(self, event)
        elif isinstance(event, TERMINAL):
            self.ended = event

    def on_step_began(self, event: StepStarted) -> None:
        self.step, self.step_done, self.attempts, self.step_usage = event, None, 0, Usage()

    def on_recalled(self, event: MemoryRecalled) -> None:
        if event.operation == "recall":
            self.recalled, self.planned = event.count, event
        elif event.operation == "trim":
            self.trimmed = True

    def on_model_asked(self, event: ModelCallStarted) -> None:
        if event.purpose == "answer":
            self.said += self._since_asked()
            self.asked, self.answered, self.later = event, None, []
            self.results, self.failed, self.begun, self.settled = {}, {}, {}, {}
            self.attempts += 1

    def on_model_answered(self, event: ModelCallComplete) -> None:
        self.step_usage += event.usage
        if event.message is not None:
            self.answered = event

    def on_call_began(self, event: ToolCallStart) -> None:
        self.begun[event.call.id] = event
        self.settled.pop(event.call.id, None)  # a decision is good for one time

    def on_call_ended(self, event: ToolCallComplete) -> None:
        self.results[event.call_id] = event.result
        self.failed[event.call_id] = event.error_type

    def on_approval_asked(self, event: ApprovalRequested) -> None:
        self.asked_for[event.call.id] = event

    def on_approval_given(self, event: ApprovalResolved) -> None:
        asked = self.asked_for.get(event.call_id)
        if asked is not None:
            granted = event.decision == "granted"
            into = self.settled if event.call_id in self.begun else self.granted
            into[event.call_id] = Approval(event.call_id, asked.arguments_hash, granted, event.by, event.reason)

    def on_input_came(self, event: InputReceived) -> None:
        self.later.append(event.message)
        self.told = True

    def on_step_ended(self, event: StepComplete) -> None:
        self.step_done = event

    def on_again(self, event: Retrying) -> None:
        if event.what == "output":
            self.misfits = event.attempt - 1
            self.told = False

    def on_output_shown(self, event: OutputDelta) -> None:
        self.outputs = max(self.outputs, event.attempt)

    def _since_asked(self) -> list[Message]:
        """The last answer, its results and what came in behind them."""
        answer = self.answer
        if answer is None:
            return self.later
        results = tuple([self.results[c.id] for c in answer.tool_calls if c.id in self.results])
        return [answer, *([Message("tool", results, f"{answer.id}.r")] if results else ()), *self.later]

    @property
    def pending(self) -> tuple[ToolCallPart, ...]:
        """The calls of the last answer that have no result."""
        answer = self.answer
        if answer is None or not self.unfinished:
            return ()
        return tuple([c for c in answer.tool_calls if c.id not in self.results])

    def unknown(self, once: Iterable[str]) -> tuple[ToolCallPart, ...]:
        """Calls that had begun and are not to be made twice: nobody knows whether they had their effect."""
        names = set(once)
        return tuple([c for c in self.pending if c.id in self.begun and c.name in names])

    @property
    def unfinished(self) -> bool:
        """Whether the step of the last answer has not ended."""
        return self.step_done is None and not self.between_steps

    @property
    def between_steps(self) -> bool:
        """Whether a step had begun whose request had not left."""
        return self.step is not None and self.asked is not None and self.step.index != self.asked.step

    @property
    def answer(self) -> Message | None:
        """The last answer, None where it was cut."""
        return self.answered.message if self.answered is not None else None

    def prompt(self, *, instructed: bool) -> list[Message]:
        """The messages of the last request; its first one, where it is `instructed`, is made anew from the instructions."""
        assert self.asked is not None  # noqa: S101  # the caller looked
        prompt = list(self.asked.prompt)
        if instructed and prompt and prompt[0].role == "system":
            del prompt[0]
        return prompt

    def outcomes(self) -> list[Outcome]:
        """Every call of the run that has ended, in order, with how."""
        calls: dict[str, ToolCallPart] = {}
        found = []
        for event in self.events:
            if event.run_id != self.started.run_id:
                continue
            if type(event) is ModelCallComplete and event.message is not None:
                calls |= {c.id: c for c in event.message.tool_calls}
            elif type(event) is ToolCallComplete and event.call_id in calls:
                found.append(Outcome(calls[event.call_id], event.result, event.error_type, event.duration_ms))
        return found

    def child(self, span: str, agent: str, taken: Collection[str]) -> str | None:
        """The first sub-run that this run began in a call, of an agent, and that is not taken."""
        mine = self.started.run_id
        return next(
            (
                e.run_id
                for e in self.events
                if type(e) is RunStarted
                and (e.parent_run_id, e.parent_span_id, e.agent) == (mine, span, agent)
                and e.run_id not in taken
            ),
            None,
        )


class Spent:
    """What runs used up to here.

    Attributes:
        usage, cost: of their model calls; the cost is None where a part of it is unknown.
        tool_calls: how many began.
        call_ids: the names of the tools of all calls, by the call's id.
        warned: limits of the run itself that it was warned of.
    """

    def __init__(self, events: Iterable[Event], run_id: str, tree: Collection[str] | None = None) -> None:
        self.usage = Usage()
        self.cost: Decimal | None = Decimal(0)
        self.call_ids: dict[str, str] = {}
        self.warned: set[str] = set()
        begun: set[tuple[str, str]] = set()
        for event in events:
            if tree is not None and event.run_id not in tree:
                continue
            if type(event) is ModelCallComplete:
                self.usage += event.usage
                if event.message is not None or event.usage != _NOTHING:
                    self.cost = None if self.cost is None or event.cost_usd is None else self.cost + event.cost_usd
                if event.message is not None:
                    self.call_ids |= {c.id: c.name for c in event.message.tool_calls}
            elif type(event) is ToolCallStart:
                begun.add((event.run_id, event.call.id))  # again in each process that makes it anew, and one call
            elif type(event) is BudgetWarning and event.run_id == run_id:
                self.warned.add(event.limit)
        self.tool_calls = len(begun)


_READERS: dict[type, Callable[[Past, Any], None]] = {
    StepStarted: Past.on_step_began,
    MemoryRecalled: Past.on_recalled,
    ModelCallStarted: Past.on_model_asked,
    ModelCallComplete: Past.on_model_answered,
    ToolCallStart: Past.on_call_began,
    ToolCallComplete: Past.on_call_ended,
    ApprovalRequested: Past.on_approval_asked,
    ApprovalResolved: Past.on_approval_given,
    InputReceived: Past.on_input_came,
    StepComplete: Past.on_step_ended,
    Retrying: Past.on_again,
    OutputDelta: Past.on_output_shown,
}


def descendants(events: Iterable[Event], run_id: str) -> set[str]:
    """A run and all the sub-runs under it."""
    found = {run_id}
    for event in events:
        if event.parent_run_id in found:
            found.add(event.run_id)
    return found


async def read(handle: Handle, run_id: str, last: int, in_thread: list[Message]) -> list[Event]:
    """A root run's events up to a number; of each run's last request the prompt whole, as it is gone on from there.

    Args:
        handle: where the run is kept.
        run_id: the run.
        last: the number.
        in_thread: takes the messages of those prompts that lie in the run's thread.

    Raises:
        StorageBrokenError: some are missing.
    """
    events: list[Event] = []
    while len(events) < last:
        batches = await handle.events(run_id, after=len(events), limit=_PAGE)
        new = events_in(batches, len(events))  # batches may be put together while they are read
        events += new
        if not new:
            raise StorageBrokenError(f"run {run_id} has {last} events, of which {len(events)} are there")
    newest: dict[str, int] = {}
    for number, event in enumerate(events):
        if type(event) is ModelCallStarted and event.purpose == "answer":
            newest[event.run_id] = number
    at_hand = AtHand(events)
    for number in newest.values():
        asked: Any = events[number]
        events[number] = await whole(handle, asked, at_hand, in_thread)
    return events


async def whole(handle: Handle, asked: ModelCallStarted, at_hand: AtHand, in_thread: list[Message]) -> ModelCallStarted:
    """A request with its prompt and tools. Messages that were deleted from the run's thread meanwhile are left out.

    Args:
        handle: where the run is kept.
        asked: the request.
        at_hand: what the run's events hold; it is told what the thread does.
        in_thread: takes that.

    Raises:
        StorageBrokenError: some of it is gone.
    """
    names = [name.removeprefix(MARK) for name in asked.prompt_hashes if name.startswith(MARK)]
    started = next((e for e in at_hand.events if type(e) is RunStarted and e.run_id == asked.run_id), None)
    if started is not None and started.thread_id is not None:
        elsewhere = [name for name in names if at_hand.get(name) is None]
        told = await _of_thread(handle, started.thread_id, started.branch, elsewhere)
        at_hand.tell(told)
        in_thread += told
    hashes = {name for name in asked.prompt_hashes if not name.startswith(MARK)}
    wanted = hashes | ({asked.tools_hash} if asked.tools_hash else set())
    found = await handle.contents(list(wanted)) if wanted else {}
    missing = wanted - found.keys()
    if missing:
        raise StorageBrokenError(f"of a request of run {asked.run_id} {len(missing)} messages are not there any more")
    try:
        messages: dict[str, Message | None] = {digest: _message(found[digest]) for digest in hashes}
        tools = _tools(found[asked.tools_hash]) if asked.tools_hash else ()
    except msgspec.DecodeError as error:
        raise StorageBrokenError(f"a request of run {asked.run_id} is damaged, and cannot be read: {error}") from error
    messages |= {MARK + name: at_hand.get(name) for name in names}
    prompt = [messages[name] for name in asked.prompt_hashes]
    there = [m for m in prompt if m is not None]
    return msgspec.structs.replace(
        asked,
        prompt=tuple(there if len(there) == len(prompt) else _mended(there)),
        tools=tools,
        prompt_hashes=(),
        tools_hash=None,
    )
