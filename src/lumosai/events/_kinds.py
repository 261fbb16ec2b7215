"""The types of events, one struct each, with the header that all begin with."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import msgspec

from lumosai.messages import Message, ToolCallPart, ToolResultPart
from lumosai.records import (
    FinishReason,
    Limits,
    ModelSettings,
    Scope,
    ToolChoice,
    ToolDefinition,
    ToolMode,
    Usage,
)

VERSION = 1
"""The version of the event format, carried by `run_started`."""


class Event(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True, gc=False):
    """The header that every event begins with.

    The garbage collector does not look at events, but for those that hold whatever a user made: what they hold is frozen
    or JSON, which no circle goes through.

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
    branch: int | None = None
    resource_id: str | None = None
    scope: Scope | None = None
    save_to_memory: bool = True
    memory_options: dict[str, Any] | None = None
    trace_id: str = ""
    parent_trace: str | None = None
    deadline: float | None = None
    queued_ms: float = 0.0
    tracestate: str = ""
    baggage: str = ""


class PlanItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a context plan.

    Attributes:
        kind: "system", "working", "summary", "history", "recalled", "input", or "steps" for what the run itself said.
        message_id: the message it stands for, None where it is made.
        tokens: how many it takes, as they were counted before the request.
        included: whether it went into the prompt.
        reason: why, or why not.
        role: the message's.
        thread_id: the thread it lies in, None where that is the run's.
        score: how well it fits what is asked, for what was looked for.
        version: of working memory, or of a summary.
    """

    kind: str
    message_id: str | None = None
    tokens: int = 0
    included: bool = True
    reason: str = ""
    role: str = ""
    thread_id: str | None = None
    score: float | None = None
    version: int = 0


class EmbeddingCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """Texts that an embedding model was given at once, to be turned into vectors.

    Attributes:
        span_id: its span.
        provider, model, endpoint: who was asked, and where; "" where the model does not say.
        at: when it began, unix seconds.
        duration_ms: how long it took.
        kind: "query" for what is looked for, "passage" for what is searched.
        texts: how many.
        dimensions: numbers in a vector, 0 where nobody knew.
        tokens: of all texts, as far as the model counts them.
        cost_usd, price_version: US dollars and by which price list; None where no price is known.
        error, error_type: why there are no vectors; "cancelled" where they were not waited for.
    """

    span_id: str
    provider: str = ""
    model: str = ""
    endpoint: str = ""
    at: float = 0.0
    duration_ms: float = 0.0
    kind: str = "query"
    texts: int = 1
    dimensions: int = 0
    tokens: int = 0
    cost_usd: Decimal | None = None
    price_version: str | None = None
    error: str | None = None
    error_type: str | None = None


class MemoryRecalled(Event, frozen=True, tag="memory_recalled"):
    """What memory put into the prompt, and what not: the context plan.

    It is told before a run's first request, and again before each later one in which something had to make room.

    Attributes:
        plan: its lines, in the order of the prompt.
        operation: "recall"; "trim" before a later request.
        store: where it was read.
        count: how many messages stand before the input; before a later request, how many it has.
        duration_ms: how long it took.
        error: why it failed, where it did.
        tokens: how many the prompt takes as planned, instructions and tools included.
        budget: how many it may take, None where nobody knows.
        counted: how they were counted: "tiktoken", "estimate" or "calibrated", see `lumosai.models.tokens.Count`.
        off: how far off the last counts of this model were, as a share; None where no provider has reported yet.
        notes: what went otherwise than it was set.
        scale: by what the sizes of messages were multiplied to be tokens.
        embeddings: what an embedding model was asked for it. The run's tokens and cost do not count them.
    """

    plan: tuple[PlanItem, ...] = ()
    operation: str = "recall"
    store: str = ""
    count: int = 0
    duration_ms: float = 0.0
    error: str | None = None
    tokens: int = 0
    budget: int | None = None
    counted: str = ""
    off: float | None = None
    notes: tuple[str, ...] = ()
    scale: float = 1.0
    embeddings: tuple[EmbeddingCall, ...] = ()


class StepStarted(Event, frozen=True, tag="step_started"):
    """A step began: one model answer and the tool calls it asks for. `index` counts from 0."""

    index: int
    tool_mode: ToolMode


class ModelCallStarted(Event, frozen=True, tag="model_call_started"):
    """A request is about to leave for a model.

    In process `prompt` and `tools` are the very objects that are sent. On the wire they are left out, and
    `prompt_hashes` and `tools_hash` (SHA-256 of the content) stand for them. Of a run that is kept, `#` and its id stands
    for a message that the run's own events or its thread hold.
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


class TextDelta(Event, frozen=True, tag="text_delta"):
    """More of the answer's text. `part` counts the parts of the message from 0."""

    message_id: str
    part: int
    delta: str


class ReasoningDelta(Event, frozen=True, tag="reasoning_delta"):
    """More of what the model thinks."""

    message_id: str
    part: int
    delta: str


class ToolCallDelta(Event, frozen=True, tag="tool_call_delta"):
    """More of a call's raw arguments. The deltas of one `call_id` joined are its raw arguments text."""

    message_id: str
    part: int
    call_id: str
    name: str
    delta: str


class ModelCallComplete(Event, frozen=True, tag="model_call_complete"):
    """A model answered, or failed to: then `error` says how.

    `message` is None where it failed, and of a call whose purpose is no answer, such as a title.
    """

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


class OutputDelta(Event, frozen=True, tag="output_delta"):
    """More of a structured output, as raw JSON text, whichever way it came. No `text_delta` stands beside it.

    Each answer that shows any has an `attempt` of its own, from 1. Only those of the last are the output: before it may
    stand what was said before a tool call, what a retry made void, and what did not fit.
    """

    attempt: int
    delta: str


class OutputComplete(Event, frozen=True, tag="output_complete", gc=True):
    """A structured output that fits its type, as JSON."""

    value: Any


class InputReceived(Event, frozen=True, tag="input_received"):
    """A message joined the run while it went; one right before the last event was not answered any more."""

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


class CustomEvent(Event, frozen=True, tag="custom", gc=True):
    """Something of the user's own."""

    name: str
    data: Any


class RunTotals(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
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


class UnknownEvent(Event, frozen=True, tag="unknown", gc=True):
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
