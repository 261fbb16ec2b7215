"""Events: what a run says, as one numbered stream; and `fold`, which turns them into a result.

Every reader (the caller's loop, a server, memory, traces, metrics) reads these same events. On the wire an event is a
JSON object with `type`; a type this version does not know decodes to `UnknownEvent` and is passed by. Types and fields
are only ever added. Exactly one of `GenerationComplete`, `RunCancelled` and `Error` ends a run, as its last event.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lumosai.ids import content_hash
from lumosai.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from lumosai.records import (
    AgentResult,
    AgentStep,
    FinishReason,
    Limits,
    ModelSettings,
    Scope,
    ToolChoice,
    ToolDefinition,
    ToolMode,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1
"""The version of the event format, carried by `run_started`."""


class Event(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    """The header that every event begins with.

    Attributes:
        run_id: the run that says it.
        root_id: the run at the top of its tree; equal to `run_id` for a run of its own.
        parent_run_id: the run that started this one, else None.
        seq: the number in the root's stream, from 1, without gaps.
        at: when, in unix seconds, UTC.
        span_id: the span it belongs to; a `*_complete` has that of its start.
        parent_span_id: the span around that one, else None.
        agent: the agent's name.
    """

    run_id: str
    root_id: str
    parent_run_id: str | None
    seq: int
    at: float
    span_id: str
    parent_span_id: str | None
    agent: str


class RunStarted(Event, frozen=True, tag="run_started"):
    """A run began. Everything needed to understand, repeat or resume it."""

    v: int
    agent_version: str
    definition_hash: str
    input: tuple[Message, ...]
    settings: ModelSettings
    limits: Limits
    tool_choice: ToolChoice | None
    output_schema: dict[str, Any] | None
    model: str
    thread_id: str | None = None
    branch: str | None = None
    resource_id: str | None = None
    scope: Scope | None = None
    save_to_memory: bool = True
    memory_options: dict[str, Any] | None = None
    trace_id: str = ""
    parent_trace: str | None = None
    deadline: float | None = None
    queued_ms: float = 0.0


class PlanItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a context plan.

    Attributes:
        kind: "system", "working", "recalled", "history" or "input".
        message_id: the message it stands for, None where it is made.
        tokens: how many it takes.
        included: whether it went into the prompt.
        reason: why, or why not.
    """

    kind: str
    message_id: str | None = None
    tokens: int = 0
    included: bool = True
    reason: str = ""


class MemoryRecalled(Event, frozen=True, tag="memory_recalled"):
    """What memory put into the prompt, and what not."""

    plan: tuple[PlanItem, ...] = ()
    operation: str = "recall"
    store: str = ""
    count: int = 0
    duration_ms: float = 0.0
    error: str | None = None


class StepStarted(Event, frozen=True, tag="step_started"):
    """A step began: one model answer and the tool calls it asks for. `index` counts from 0."""

    index: int
    tool_mode: ToolMode


class ModelCallStarted(Event, frozen=True, tag="model_call_started"):
    """A request is about to leave for a model.

    In process `prompt` and `tools` are the very objects that are sent. On the wire they are left out, and
    `prompt_hashes` and `tools_hash` (SHA-256 of the content) stand for them.
    """

    model_call_id: str
    purpose: Literal["answer", "title", "summary", "embedding", "guard"]
    step: int
    attempt: int
    provider: str
    model: str
    endpoint: str
    settings: ModelSettings
    system: str | None = None
    prompt: tuple[Message, ...] = ()
    tools: tuple[ToolDefinition, ...] = ()
    tool_mode: ToolMode = "native"
    prompt_hashes: tuple[str, ...] = ()
    tools_hash: str | None = None


class TextDelta(Event, frozen=True, tag="text_delta", gc=False):
    """More of the answer's text. `part` counts the parts of the message from 0."""

    message_id: str
    part: int
    delta: str


class ReasoningDelta(Event, frozen=True, tag="reasoning_delta", gc=False):
    """More of what the model thinks."""

    message_id: str
    part: int
    delta: str


class ToolCallDelta(Event, frozen=True, tag="tool_call_delta", gc=False):
    """More of a call's raw arguments. The deltas of one `call_id` joined are its raw arguments text."""

    message_id: str
    part: int
    call_id: str
    name: str
    delta: str


class ModelCallComplete(Event, frozen=True, tag="model_call_complete"):
    """A model answered, or failed to: then `error` says how and `message` is None."""

    model_call_id: str
    message: Message | None
    response_id: str | None = None
    model: str = ""
    usage: Usage = Usage()
    cost_usd: Decimal | None = None
    price_version: str | None = None
    finish_reason: str = "stop"
    time_to_first_chunk_ms: float | None = None
    duration_ms: float = 0.0
    error: str | None = None
    error_type: str | None = None


class ToolCallStart(Event, frozen=True, tag="tool_call_start"):
    """A validated call is about to run."""

    call: ToolCallPart
    idempotency_key: str
    queued_ms: float = 0.0


class ToolProgress(Event, frozen=True, tag="tool_progress"):
    """A running tool says how far it is."""

    call_id: str
    text: str


class ToolCallComplete(Event, frozen=True, tag="tool_call_complete"):
    """A call ended. `result` is what the model is shown, clamped.

    `error_type` is one of undeclared, invalid_arguments, limit, denied, timeout, abandoned, interrupted, or the
    exception's name.
    """

    call_id: str
    name: str
    result: ToolResultPart
    is_error: bool = False
    error_type: str | None = None
    duration_ms: float = 0.0


class ApprovalRequested(Event, frozen=True, tag="approval_requested"):
    """A call waits for a yes or no. The approval is good for this call id and these arguments only."""

    call: ToolCallPart
    arguments_hash: str
    expires_at: float | None = None


class ApprovalResolved(Event, frozen=True, tag="approval_resolved"):
    """The answer to `approval_requested`."""

    call_id: str
    decision: Literal["granted", "denied", "expired", "superseded"]
    by: str = ""
    reason: str = ""


class OutputDelta(Event, frozen=True, tag="output_delta", gc=False):
    """More of a structured output, as raw JSON text, whichever way it came. No `text_delta` stands beside it."""

    attempt: int
    delta: str


class OutputComplete(Event, frozen=True, tag="output_complete"):
    """A structured output that fits its type, as JSON."""

    value: Any


class InputReceived(Event, frozen=True, tag="input_received"):
    """A message joined the run while it went."""

    message: Message


class GuardFinding(Event, frozen=True, tag="guard_finding"):
    """A guard found something. `verdict` is allow, rewrite, block or ask; `where` names the place."""

    guard: str
    verdict: str
    where: str


class HandedOff(Event, frozen=True, tag="handed_off"):
    """Another agent goes on with the conversation."""

    to: str


class MemorySaved(Event, frozen=True, tag="memory_saved"):
    """Messages were kept."""

    message_ids: tuple[str, ...]


class BudgetWarning(Event, frozen=True, tag="budget_warning"):
    """A limit is nearly used up. `share` is used / limit."""

    limit: str
    used: float
    share: float


class Retrying(Event, frozen=True, tag="retrying"):
    """Something is tried again. With `discard`, this step's deltas since its last `model_call_started` are void."""

    what: Literal["model", "tool", "output"]
    attempt: int
    reason: str
    delay_s: float = 0.0
    discard: bool = False


class ModelChanged(Event, frozen=True, tag="model_changed", rename={"from_": "from"}):
    """Another model, or another way of calling tools, from here on. `discard` as in `Retrying`."""

    from_: str
    to: str
    tool_mode: ToolMode
    reason: str
    discard: bool = False


class StepComplete(Event, frozen=True, tag="step_complete"):
    """A step ended."""

    index: int
    usage: Usage
    duration_ms: float


class RunPaused(Event, frozen=True, tag="run_paused"):
    """A run waits. Its stream stays open."""

    reason: str
    pending: tuple[ToolCallPart, ...] = ()


class RunResumed(Event, frozen=True, tag="run_resumed"):
    """A paused run goes on."""

    epoch: int = 1


class CustomEvent(Event, frozen=True, tag="custom"):
    """Something of the user's own."""

    name: str
    data: Any


class RunTotals(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the last event says of a run: ids and totals. The content is in the events before it.

    Attributes:
        run_id: the run.
        finish_reason: why it ended.
        thread_id: its thread, else None.
        message_ids: the new messages, in order.
        steps: how many.
        tool_calls: how many.
        usage: tokens of all model calls.
        cost_usd: US dollars, None where unknown.
        model: the model of the last answer.
        duration_ms: milliseconds by the monotonic clock.
    """

    run_id: str
    finish_reason: FinishReason
    thread_id: str | None = None
    message_ids: tuple[str, ...] = ()
    steps: int = 0
    tool_calls: int = 0
    usage: Usage = Usage()
    cost_usd: Decimal | None = None
    model: str = ""
    duration_ms: float = 0.0


class GenerationComplete(Event, frozen=True, tag="generation_complete"):
    """The run ended with an answer, or at a limit."""

    result: RunTotals


class RunCancelled(Event, frozen=True, tag="run_cancelled"):
    """The run was cancelled. `reason` is "cancelled", "abandoned" or the canceller's own words."""

    reason: str
    result: RunTotals


class Error(Event, frozen=True, tag="error"):
    """The run failed."""

    error_type: str
    message: str
    retryable: bool
    result: RunTotals


class UnknownEvent(Event, frozen=True, tag="unknown"):
    """An event of a later version. `kind` is its type, `data` the whole object as it came."""

    kind: str
    data: dict[str, Any]


AnyEvent = (
    RunStarted
    | MemoryRecalled
    | StepStarted
    | ModelCallStarted
    | TextDelta
    | ReasoningDelta
    | ToolCallDelta
    | ModelCallComplete
    | ToolCallStart
    | ToolProgress
    | ToolCallComplete
    | ApprovalRequested
    | ApprovalResolved
    | OutputDelta
    | OutputComplete
    | InputReceived
    | GuardFinding
    | HandedOff
    | MemorySaved
    | BudgetWarning
    | Retrying
    | ModelChanged
    | StepComplete
    | RunPaused
    | RunResumed
    | CustomEvent
    | GenerationComplete
    | RunCancelled
    | Error
    | UnknownEvent
)

TERMINAL = (GenerationComplete, RunCancelled, Error)
"""The three types of which exactly one ends a run."""

_KINDS = frozenset(t.__struct_config__.tag for t in AnyEvent.__args__) - {"unknown"}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnyEvent).decode


class _Kind(msgspec.Struct):
    type: str = ""


_kind = msgspec.json.Decoder(_Kind).decode


def to_json(event: Event) -> bytes:
    """The wire form of an event: one JSON object on one line. A prompt is sent as hashes, never as content."""
    if type(event) is ModelCallStarted and (event.prompt or event.tools):
        event = msgspec.structs.replace(
            event,
            prompt=(),
            tools=(),
            prompt_hashes=tuple(content_hash(m) for m in event.prompt),
            tools_hash=content_hash(event.tools) if event.tools else None,
        )
    elif type(event) is UnknownEvent:
        return _encode(event.data)
    return _encode(event)


def from_json(data: bytes | str) -> Event:
    """The event that `to_json` wrote. A type of a later version gives an `UnknownEvent`.

    Raises:
        msgspec.ValidationError: a known type with fields that do not fit it, or no event header.
        msgspec.DecodeError: not JSON.
    """
    kind = _kind(data).type
    if kind in _KINDS:
        event: Event = _decode(data)
        return event
    raw = msgspec.json.decode(data, type=dict[str, Any])
    header = {f: raw.get(f) for f in Event.__struct_fields__}
    return msgspec.convert({**header, "type": "unknown", "kind": kind, "data": raw}, UnknownEvent)


def fold(events: Iterable[Event]) -> AgentResult[Any]:
    """The result that a run's events add up to; the partial one where they are cut short.

    Pure: the same events give the same result, whether live, stored or sent. `output` is the JSON value. Events of
    sub-runs count towards usage and cost only.

    Raises:
        ValueError: there are no events.
    """
    folding = _Fold()
    for event in events:
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(folding, event)
    return folding.result()


class _Fold:
    """The state of `fold`."""

    def __init__(self) -> None:
        self.started: Event | None = None
        self.last: Event | None = None
        self.messages: list[Message] = []
        self.steps: list[AgentStep] = []
        self.pending: dict[str, ToolCallPart] = {}
        self.results: dict[str, ToolResultPart] = {}
        self.answer: Message | None = None
        self.partial: list[Event] = []
        self.step_index = 0
        self.step_start = 0.0
        self.step_usage = Usage()
        self.step_reason = "stop"
        self.usage = Usage()
        self.cost: Decimal | None = Decimal(0)
        self.output: Any = None
        self.has_output = False
        self.model = ""

    def foreign(self, event: Event) -> bool:
        """Whether it belongs to a sub-run of the run that is folded."""
        return self.started is not None and event.run_id != self.started.run_id

    def on_run_started(self, event: RunStarted) -> None:
        if self.started is None:
            self.started = event

    def on_step_started(self, event: StepStarted) -> None:
        if not self.foreign(event):
            self._close_step(event.at)
            self.step_index = event.index
            self.step_start = event.at
            self.step_usage = Usage()

    def on_delta(self, event: Event) -> None:
        self.partial.append(event)

    def on_model_call_started(self, event: ModelCallStarted) -> None:
        if not self.foreign(event) and event.purpose == "answer":
            self.partial.clear()

    def on_void(self, event: Retrying | ModelChanged) -> None:
        if event.discard and not self.foreign(event):
            self.partial.clear()

    def on_model_call_complete(self, event: ModelCallComplete) -> None:
        self.usage += event.usage
        if event.message is not None:
            self.cost = None if self.cost is None or event.cost_usd is None else self.cost + event.cost_usd
        if self.foreign(event):
            return
        self.step_usage += event.usage
        if event.message is not None:
            self._take_answer(event.message)
            self.step_reason = event.finish_reason
            self.model = event.model or self.model

    def _take_answer(self, message: Message) -> None:
        self._close_results()
        self.partial.clear()
        self.answer = message
        self.messages.append(message)

    def on_approval_requested(self, event: ApprovalRequested) -> None:
        if not self.foreign(event):
            self.pending[event.call.id] = event.call

    def on_approval_resolved(self, event: ApprovalResolved) -> None:
        if not self.foreign(event):
            self.pending.pop(event.call_id, None)

    def on_tool_call_complete(self, event: ToolCallComplete) -> None:
        if not self.foreign(event):
            self.results[event.call_id] = event.result
            self.pending.pop(event.call_id, None)

    def on_output_complete(self, event: OutputComplete) -> None:
        if not self.foreign(event):
            self.output = event.value
            self.has_output = True

    def on_input_received(self, event: InputReceived) -> None:
        if not self.foreign(event):
            self._close_results()
            self.messages.append(event.message)

    def on_step_complete(self, event: StepComplete) -> None:
        if not self.foreign(event):
            self._close_step(event.at, event.duration_ms)

    def on_last(self, event: GenerationComplete | RunCancelled | Error) -> None:
        if not self.foreign(event):
            self.last = event

    def _close_results(self) -> list[ToolResultPart]:
        """Stores the results of the last answer's calls as one message, in the order of the calls."""
        if self.answer is None or not self.results:
            return []
        ordered = [self.results[c.id] for c in self.answer.tool_calls if c.id in self.results]
        last = self.messages[-1]
        if ordered and last is self.answer:
            self.messages.append(Message.tool(*ordered, id=_results_id(self.answer)))
        return ordered

    def _close_step(self, at: float, duration_ms: float | None = None) -> None:
        answer = self.answer
        if answer is None:
            return
        results = self._close_results()
        self.answer = None
        self.results = {}
        self.steps.append(
            AgentStep(
                self.step_index,
                answer.text,
                answer.tool_calls,
                tuple(results),
                self.step_usage,
                self.step_reason,
                duration_ms if duration_ms is not None else round((at - self.step_start) * 1e3, 3),
            )
        )

    def _take_partial(self) -> None:
        """Keeps the text of an answer that was cut, marked as such."""
        parts: list[Part] = []
        text: list[str] = []
        thought: list[str] = []
        for e in self.partial:
            if type(e) is TextDelta and not self.foreign(e):
                text.append(e.delta)
            elif type(e) is ReasoningDelta and not self.foreign(e):
                thought.append(e.delta)
        if thought:
            parts.append(ReasoningPart("".join(thought)))
        if text:
            parts.append(TextPart("".join(text)))
        if parts:
            message_id = getattr(self.partial[0], "message_id", None)
            self._take_answer(Message("assistant", tuple(parts), message_id, {"interrupted": True}))
            self.step_reason = "interrupted"

    def result(self) -> AgentResult[Any]:
        if self.started is None:
            msg = "no events to fold: a run begins with run_started"
            raise ValueError(msg)
        last = self.last
        if self.partial:
            self._take_partial()
        self._close_step(last.at if last is not None else self.started.at)
        totals = getattr(last, "result", None)
        text = self.steps[-1].text if self.steps else ""
        plain = self.started.output_schema is None  # type: ignore[attr-defined]
        reason: FinishReason = totals.finish_reason if totals else "paused" if self.pending else "interrupted"
        complete = isinstance(last, GenerationComplete)
        return AgentResult(
            run_id=self.started.run_id,
            thread_id=self.started.thread_id,  # type: ignore[attr-defined]
            text=text,
            output=self.output if self.has_output else text if plain and complete else None,
            messages=tuple(self.messages),
            steps=tuple(self.steps),
            tool_calls=tuple(c for s in self.steps for c in s.tool_calls),
            pending=tuple(self.pending.values()),
            usage=self.usage,
            cost_usd=self.cost if self.model or self.steps else None,
            finish_reason=reason,
            model=self.model,
            duration_ms=totals.duration_ms if totals else 0.0,
        )


def _results_id(answer: Message) -> str | None:
    """The id of the message that answers `answer`'s calls: derived, so that every fold gives the same."""
    return f"{answer.id}.r" if answer.id else None


_HANDLERS: dict[type, Any] = {
    RunStarted: _Fold.on_run_started,
    StepStarted: _Fold.on_step_started,
    TextDelta: _Fold.on_delta,
    ReasoningDelta: _Fold.on_delta,
    ModelCallStarted: _Fold.on_model_call_started,
    Retrying: _Fold.on_void,
    ModelChanged: _Fold.on_void,
    ModelCallComplete: _Fold.on_model_call_complete,
    ApprovalRequested: _Fold.on_approval_requested,
    ApprovalResolved: _Fold.on_approval_resolved,
    ToolCallComplete: _Fold.on_tool_call_complete,
    OutputComplete: _Fold.on_output_complete,
    InputReceived: _Fold.on_input_received,
    StepComplete: _Fold.on_step_complete,
    GenerationComplete: _Fold.on_last,
    RunCancelled: _Fold.on_last,
    Error: _Fold.on_last,
}
