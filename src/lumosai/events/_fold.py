"""`fold`: what a run's events add up to."""

from __future__ import annotations

from itertools import compress, takewhile
from typing import TYPE_CHECKING, Any

from lumosai.events._kinds import (
    ApprovalRequested,
    ApprovalResolved,
    Error,
    Event,
    GenerationComplete,
    InputReceived,
    ModelCallComplete,
    ModelCallStarted,
    ModelChanged,
    OutputComplete,
    OutputDelta,
    ReasoningDelta,
    Retrying,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
    RunTotals,
    StepComplete,
    StepStarted,
    TextDelta,
    ToolCallComplete,
)
from lumosai.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from lumosai.records import NO_USAGE, AgentResult, AgentStep, FinishReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from decimal import Decimal

_WAITING = "This call has not ended: the run waits for an approval."
_STOPPED = "The run was stopped before this call ended."


def fold(events: Iterable[Event]) -> AgentResult[Any]:
    """The result that a run's events add up to; the partial one where they are cut short.

    Pure: the same events give the same result, whether live, stored or sent. `output` is the JSON value. Events of
    sub-runs count towards usage, cost and `pending` only. Wherever the events end, `messages` can be gone on with: a
    call that has no result yet is answered by one that says so.

    Raises:
        ValueError: there is no `run_started`.
    """
    return Folding(events).result()


class Folding:
    """A fold under way: `result` and `totals` are of the events so far.

    Args:
        events: as for `fold`. A list may grow; it is read on from where reading stopped.
    """

    __slots__ = ("_events", "_read", "_state")

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = events if isinstance(events, list) else list(events)
        self._read = 0
        self._state = _State(self._events)

    @property
    def messages(self) -> tuple[Message, ...]:
        """Those of the result.

        Raises:
            ValueError: there is no `run_started`.
        """
        return tuple(self._end()[0].messages)

    def result(self) -> AgentResult[Any]:
        """The result, as of `fold`.

        Raises:
            ValueError: there is no `run_started`.
        """
        end, started = self._end()
        steps, last = end.steps, end.last
        totals: RunTotals | None = getattr(last, "result", None)
        text = steps[-1].text if steps else ""
        plain = started.output_schema is None and type(last) is GenerationComplete
        return AgentResult(
            run_id=started.run_id,
            thread_id=started.thread_id,
            text=text,
            output=end.output if end.has_output else text if plain else None,
            messages=tuple(end.messages),
            steps=tuple(steps),
            tool_calls=tuple([c for s in steps for c in s.tool_calls]),
            pending=tuple(end.pending.values()) or (end.paused.pending if end.paused is not None else ()),
            usage=end.usage,
            cost_usd=end.cost,
            finish_reason=totals.finish_reason if totals else "paused" if end.pending or end.paused else "interrupted",
            model=end.model,
            duration_ms=totals.duration_ms if totals else 0.0,
        )

    def totals(self, finish_reason: FinishReason, duration_ms: float) -> RunTotals:
        """What the run's last event says, if it comes now.

        Raises:
            ValueError: there is no `run_started`.
        """
        end, started = self._end()
        return RunTotals(
            started.run_id,
            finish_reason,
            started.thread_id,
            tuple([m.id for m in end.messages if m.id is not None]),
            len(end.steps),
            sum([len(s.tool_calls) for s in end.steps]),
            end.usage,
            end.cost,
            end.model,
            duration_ms,
        )

    def _end(self) -> tuple[_State, RunStarted]:
        """The state after the last event, with the answer and the step that are under way closed in a copy."""
        state, events = self._state, self._events
        new = events[self._read :]
        handlers = [*map(_HANDLERS.get, map(type, new))]
        for handler, event in compress(zip(handlers, new, strict=True), handlers):  # deltas, the most by far, have none
            if state.run_id is None or event.run_id == state.run_id:
                handler(state, event)  # type: ignore[misc]  # `compress` leaves None out
            elif (of_sub_run := _OF_SUB_RUNS.get(type(event))) is not None:
                of_sub_run(state, event)
        self._read = len(events)
        started = state.started
        if started is None:
            msg = "no run_started among the events to fold: a run begins with it"
            raise ValueError(msg)
        if state.asked is not None or state.answer is not None:
            state = state.copy()
            state.take_partial()
            state.close_step(events[-1].at)
        return state, started


class _State:
    """What the events so far add up to.

    Attributes:
        run_id: the run that is folded, once it began: other runs' events are its sub-runs'.
        asked: the event after which the deltas of an answer begin that is not whole yet.
        answer: the answer of the step under way, once it is whole.
    """

    run_id: str | None = None
    started: RunStarted | None = None
    last: Event | None = None
    paused: RunPaused | None = None
    asked: ModelCallStarted | None = None
    answer: Message | None = None
    step_index = 0
    step_start = 0.0
    step_usage = NO_USAGE
    step_reason = "stop"
    usage = NO_USAGE
    cost: Decimal | None = None
    priced = False
    output: Any = None
    has_output = False
    model = ""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.messages: list[Message] = []
        self.steps: list[AgentStep] = []
        self.pending: dict[str, ToolCallPart] = {}
        self.results: dict[str, ToolResultPart] = {}

    def copy(self) -> _State:
        """A copy that can be closed."""
        made = _State.__new__(_State)
        made.__dict__.update(self.__dict__)
        made.messages, made.steps = [*self.messages], [*self.steps]
        return made

    def on_run_started(self, event: RunStarted) -> None:
        if self.started is None:
            self.started = event
            self.run_id = event.run_id

    def on_step_started(self, event: StepStarted) -> None:
        self.close_step(event.at)
        self.step_index = event.index
        self.step_start = event.at
        self.step_usage = NO_USAGE
        self.has_output = False

    def on_model_call_started(self, event: ModelCallStarted) -> None:
        if event.purpose == "answer":
            self.asked = event

    def on_void(self, event: Retrying | ModelChanged) -> None:
        if event.discard:
            self.asked = None

    def on_model_call_complete(self, event: ModelCallComplete) -> None:
        self.on_spent(event)
        self.step_usage += event.usage
        message = event.message
        if message is not None:
            self._take_answer(message)
            self.step_reason = event.finish_reason
            self.model = event.model or self.model

    def on_spent(self, event: ModelCallComplete) -> None:
        """Adds what a call took, of a sub-run too; the sum of the costs is unknown once a part of it is."""
        self.usage += event.usage
        if event.message is None and event.usage == NO_USAGE:
            return
        cost = event.cost_usd
        if not self.priced:
            self.priced = True
            self.cost = cost
        elif self.cost is not None:
            self.cost = None if cost is None else self.cost + cost

    def on_approval_requested(self, event: ApprovalRequested) -> None:
        self.pending[event.call.id] = event.call

    def on_approval_resolved(self, event: ApprovalResolved) -> None:
        self.pending.pop(event.call_id, None)

    def on_run_paused(self, event: RunPaused) -> None:
        if event.reason != "approval":  # what waits for one is pending
            self.paused = event

    def on_run_resumed(self, event: RunResumed) -> None:
        if self.paused is not None and event.run_id in (self.run_id, self.paused.run_id):
            self.paused = None

    def on_tool_call_complete(self, event: ToolCallComplete) -> None:
        self.pending.pop(event.call_id, None)
        self.results[event.call_id] = event.result

    def on_call_ended(self, event: ToolCallComplete) -> None:
        """Of a sub-run."""
        self.pending.pop(event.call_id, None)

    def on_output_complete(self, event: OutputComplete) -> None:
        self.output = event.value
        self.has_output = True

    def on_input_received(self, event: InputReceived) -> None:
        self.take_partial()
        self._close_results()
        self.messages.append(event.message)

    def on_step_complete(self, event: StepComplete) -> None:
        self.close_step(event.at, event.duration_ms)

    def on_last(self, event: GenerationComplete | RunCancelled | Error) -> None:
        self.last = event

    def take_partial(self) -> None:
        """Keeps what was said of an answer that was cut, marked as such."""
        message = self._partial()
        if message is not None:
            self._take_answer(message)
            self.step_reason = "interrupted"

    def _take_answer(self, message: Message) -> None:
        self._close_results()
        self.asked = None
        self.answer = message
        self.messages.append(message)

    def _partial(self) -> Message | None:
        """The answer that is not whole yet, as far as it was told; None where nothing was."""
        asked = self.asked
        if asked is None:
            return None
        since = takewhile(lambda e: e is not asked, reversed(self.events))
        deltas = [e for e in since if self.run_id is None or e.run_id == self.run_id]
        deltas.reverse()
        output = [e.delta for e in deltas if type(e) is OutputDelta]
        message_id = asked.model_call_id
        said: dict[int, tuple[type[Event], list[str]]] = {}
        for e in deltas:
            if type(e) is ReasoningDelta or (type(e) is TextDelta and not output):
                said.setdefault(e.part, (type(e), []))[1].append(e.delta)
                message_id = e.message_id
        parts: list[Part] = [
            TextPart("".join(pieces)) if kind is TextDelta else ReasoningPart("".join(pieces))
            for kind, pieces in said.values()
        ]
        if output:
            parts.append(TextPart("".join(output)))
        return Message("assistant", tuple(parts), message_id, {"interrupted": True}) if parts else None

    def _close_results(self) -> list[ToolResultPart]:
        """Puts the results of the last answer's calls behind it as one message, in the order of the calls."""
        answer, results = self.answer, self.results
        calls = answer.tool_calls if answer is not None else ()
        if answer is None or not calls:
            return []
        if self.messages[-1] is answer:
            told = [results[c.id] if c.id in results else self._unanswered(c) for c in calls]
            self.messages.append(Message.tool(*told, id=f"{answer.id}.r" if answer.id else None))
        return [results[c.id] for c in calls if c.id in results]

    def _unanswered(self, call: ToolCallPart) -> ToolResultPart:
        """What stands for a result that is not there: a call without one can be sent to no model."""
        return ToolResultPart(call.id, call.name, _WAITING if self.pending else _STOPPED, True)

    def close_step(self, at: float, duration_ms: float | None = None) -> None:
        """Ends the step under way, if it has an answer."""
        answer = self.answer
        if answer is None:
            return
        calls = answer.tool_calls
        results = self._close_results() if calls else ()
        self.answer = None
        self.results = {}
        self.steps.append(
            AgentStep(
                self.step_index,
                answer.text,
                calls,
                tuple(results),
                self.step_usage,
                self.step_reason,
                duration_ms if duration_ms is not None else round((at - self.step_start) * 1e3, 3),
            )
        )


_HANDLERS: dict[type, Callable[[_State, Any], None]] = {
    RunStarted: _State.on_run_started,
    StepStarted: _State.on_step_started,
    ModelCallStarted: _State.on_model_call_started,
    Retrying: _State.on_void,
    ModelChanged: _State.on_void,
    ModelCallComplete: _State.on_model_call_complete,
    ApprovalRequested: _State.on_approval_requested,
    ApprovalResolved: _State.on_approval_resolved,
    RunPaused: _State.on_run_paused,
    RunResumed: _State.on_run_resumed,
    ToolCallComplete: _State.on_tool_call_complete,
    OutputComplete: _State.on_output_complete,
    InputReceived: _State.on_input_received,
    StepComplete: _State.on_step_complete,
    GenerationComplete: _State.on_last,
    RunCancelled: _State.on_last,
    Error: _State.on_last,
}
_OF_SUB_RUNS: dict[type, Callable[[_State, Any], None]] = {
    ModelCallComplete: _State.on_spent,
    ApprovalRequested: _State.on_approval_requested,
    ApprovalResolved: _State.on_approval_resolved,
    RunPaused: _State.on_run_paused,
    RunResumed: _State.on_run_resumed,
    ToolCallComplete: _State.on_call_ended,
}
"""What counts of the events of the folded run's sub-runs: usage, cost, and what is waited for."""
