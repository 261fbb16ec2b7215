"""A trace is a fold of a run's events: the same events give the same spans, live or stored.

Each span is closed by the event that ends it. What a process left open when it died is closed, as interrupted, when
another one goes on with the run, or by the run's last event. Nothing here looks at a clock.

A span says how much and how long, and where the content lies (the ids of messages and calls), never the content itself,
unless the fold is told to keep it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from lumosai._secrets import redact, redacted
from lumosai.events import (
    ApprovalRequested,
    ApprovalResolved,
    BudgetWarning,
    EmbeddingCall,
    Error,
    Event,
    GenerationComplete,
    GuardFinding,
    HandedOff,
    InputReceived,
    MemoryRecalled,
    MemorySaved,
    ModelCallComplete,
    ModelCallStarted,
    ModelChanged,
    OutputComplete,
    Retrying,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
    StepComplete,
    StepStarted,
    ToolCallComplete,
    ToolCallStart,
)
from lumosai.messages import AudioPart, FilePart, ImagePart
from lumosai.records import ModelSettings, Usage
from lumosai.telemetry._span import GrowingSpan
from lumosai.traces import ExecutionTrace, Numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from decimal import Decimal

    from lumosai.messages import Message, Part, ToolCallPart
    from lumosai.traces import StepKind, TraceStatus, TraceStep

Content = Literal["off", "metadata", "full"]
"""How much of what was said a span tells: nothing, not even an error's words; sizes and ids; all of it."""

_NOTHING: Final = Usage()
_NO_SETTINGS: Final = ModelSettings()
_UNBEGUN: Final = "no run_started among the events: a trace begins with it"
_MASK: Final = 2**64 - 1
_encode = msgspec.json.Encoder().encode


def trace_of(events: Iterable[Event], *, content: Content = "metadata") -> ExecutionTrace:
    """The trace of a root run's events, or of as many as there are so far.

    Raises:
        ValueError: there is no `run_started` among them.
    """
    fold = TraceFold(content)
    for event in events:
        fold.add(event)
    return fold.trace()


class TraceFold:
    """A trace under way.

    Attributes:
        closed: spans that ended since somebody last took them from here.
        status: how the root run stands.
    """

    __slots__ = (
        "_cost",
        "_full",
        "_last_at",
        "_open",
        "_order",
        "_paused",
        "_resumed_at",
        "_runs",
        "_silent",
        "_started",
        "_steps",
        "_unpriced",
        "_usage",
        "closed",
        "status",
    )

    def __init__(self, content: Content = "metadata") -> None:
        self._full = content == "full"
        self._silent = content == "off"
        self._order: list[GrowingSpan] = []
        self._open: dict[str, GrowingSpan] = {}
        self._runs: dict[str, GrowingSpan] = {}
        self._steps: dict[str, GrowingSpan] = {}
        self._paused: dict[str, float] = {}
        self._started: RunStarted | None = None
        self._last_at = 0.0
        self._resumed_at = 0.0
        self._usage = _NOTHING
        self._cost: Decimal | None = None
        self._unpriced = False
        self.closed: list[Numbered] = []
        self.status: TraceStatus = "running"

    def add(self, event: Event) -> None:
        """Takes the run's next event."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)
            self._last_at = event.at

    @property
    def started(self) -> RunStarted | None:
        """How the root began, None where that was not seen."""
        return self._started

    def version_of(self, run_id: str) -> str:
        """The version of a run's agent."""
        run = self._runs.get(run_id)
        return run.attributes.get("agent_version", "") if run is not None else ""

    def inside(self, run_id: str) -> list[TraceStep]:
        """The spans of one run so far, those of its sub-runs not among them, nor its own."""
        return [s.step() for s in self._order if s.run_id == run_id and s.kind != "run"]

    def trace(self) -> ExecutionTrace:
        """The trace so far.

        Raises:
            ValueError: no event said how the run began.
        """
        started = self._started
        if started is None:
            raise ValueError(_UNBEGUN)
        return self._made(started, tuple([s.step() for s in self._order]))

    def summary(self) -> ExecutionTrace:
        """The trace so far with its root's span alone.

        Raises:
            ValueError: no event said how the run began.
        """
        started = self._started
        if started is None:
            raise ValueError(_UNBEGUN)
        return self._made(started, (self._order[0].step(),))

    def _made(self, started: RunStarted, steps: tuple[TraceStep, ...]) -> ExecutionTrace:
        return ExecutionTrace(
            trace_id=started.trace_id,
            run_id=started.run_id,
            agent_id=started.agent,
            status=self.status,
            started_at=started.at,
            total_duration_ms=steps[0].duration_ms,
            steps=steps,
            usage=self._usage,
            cost_usd=None if self._unpriced else self._cost,
            metadata=steps[0].attributes,
        )

    def _begin(  # noqa: PLR0917  # a span's header
        self, event: Event, kind: StepKind, name: str, span_id: str, parent: str | None, start: float
    ) -> GrowingSpan:
        span = self._open[span_id] = GrowingSpan(event, kind, name, span_id, parent, start)
        span.number = len(self._order)
        self._order.append(span)
        return span

    def _end(self, span: GrowingSpan, duration_ms: float) -> None:
        span.duration_ms = max(0.0, duration_ms)
        self._open.pop(span.span_id, None)
        run = self._runs.get(span.run_id)
        self.closed.append(Numbered(span.number, run.number if run is not None else -1, span.step()))

    def _end_at(self, span: GrowingSpan, at: float) -> None:
        self._end(span, round((at - span.start) * 1e3, 3))

    def _point(self, event: Event, kind: StepKind, name: str, duration_ms: float = 0.0) -> GrowingSpan:
        """A span that one event tells of as a whole, inside the span that the event is of."""
        start = event.at - duration_ms / 1e3
        return self._begin(event, kind, name, _made_id(event), event.span_id, start)

    def _measured(self, span: GrowingSpan, event: Event, duration_ms: float) -> float:
        """How long a span took: by the clock of the process that saw all of it, else by the events' own times."""
        if span.start < self._resumed_at or span.waited:
            return round((event.at - span.start) * 1e3, 3)
        return duration_ms

    def _interrupt(self, spans: list[GrowingSpan], at: float) -> None:
        """Closes what nobody ends any more, the innermost first."""
        for span in reversed(spans):
            if span.span_id in self._open:
                span.fail("interrupted", None if self._silent else "the process that was at it has ended")
                self._end_at(span, at)

    def on_run_started(self, event: RunStarted) -> None:
        span = self._begin(event, "run", event.agent, event.span_id, event.parent_span_id, event.at)
        self._runs[event.run_id] = span
        span.attributes = known = _given(
            model=event.model,
            agent_version=event.agent_version,
            thread_id=event.thread_id,
            resource_id=event.resource_id,
            parent_run_id=event.parent_run_id,
            definition_hash=event.definition_hash,
        )
        if event.queued_ms:
            known["queued_ms"] = event.queued_ms
        if self._full:
            known["input"] = _texts(event.input)
        if self._started is None:
            self._started = event

    def on_run_ended(self, event: GenerationComplete | RunCancelled | Error) -> None:
        span, totals = self._runs.get(event.run_id), event.result
        if span is None or span.duration_ms is not None:
            return
        self._leave_pause(event, span)
        inner = [s for s in self._order if s.run_id == event.run_id and s is not span]
        self._interrupt(inner, event.at)
        known = span.attributes
        known["finish_reason"] = totals.finish_reason
        known["steps"] = totals.steps
        known["tool_calls"] = totals.tool_calls
        if totals.model:
            known["response_model"] = totals.model
        _count(known, totals.usage)
        if totals.cost_usd is not None:
            known["cost_usd"] = str(totals.cost_usd)
        status: TraceStatus = "ok"
        if type(event) is Error:
            span.fail(event.error_type, None if self._silent else event.message)
            status = "error"
        elif type(event) is RunCancelled:
            known["cancelled"] = event.reason
            status = "cancelled"
        self._end(span, self._measured(span, event, totals.duration_ms))
        if self._started is not None and event.run_id == self._started.run_id:
            self.status = status
            self._interrupt([*self._open.values()], event.at)

    def on_step_started(self, event: StepStarted) -> None:
        before = self._steps.get(event.run_id)
        if before is not None and before.span_id in self._open:
            self._end_at(before, event.at)
        span = self._begin(event, "step", f"step {event.index}", event.span_id, event.parent_span_id, event.at)
        self._steps[event.run_id] = span
        span.attributes = {"index": event.index, "tool_mode": event.tool_mode}

    def on_step_complete(self, event: StepComplete) -> None:
        span = self._open.get(event.span_id)
        if span is not None:
            _count(span.attributes, event.usage)
            self._end(span, self._measured(span, event, event.duration_ms))

    def on_model_call_started(self, event: ModelCallStarted) -> None:
        span = self._begin(event, "model_call", event.model, event.span_id, event.parent_span_id, event.at)
        span.attributes = known = {
            "purpose": event.purpose,
            "provider": event.provider,
            "model": event.model,
            "endpoint": _plain_endpoint(event.endpoint),
            "model_call_id": event.model_call_id,
            "step": event.step,
            "attempt": event.attempt,
            "tool_mode": event.tool_mode,
        }
        if event.settings != _NO_SETTINGS:
            known["settings"] = redacted(msgspec.to_builtins(event.settings))
        if not self._silent:
            known["messages"] = len(event.prompt) or len(event.prompt_hashes)
        if self._full:
            known["prompt"] = _texts(event.prompt)

    def on_model_call_complete(self, event: ModelCallComplete) -> None:
        self._usage += event.usage
        if event.message is not None or event.usage != _NOTHING:
            self._spend(event.cost_usd)
        span = self._open.get(event.span_id)
        if span is None:
            return
        known = span.attributes
        known |= _given(
            finish_reason=event.finish_reason,
            response_model=event.model,
            response_id=event.response_id,
            time_to_first_chunk_ms=event.time_to_first_chunk_ms,
        )
        _count(known, event.usage)
        if event.cost_usd is not None:
            known |= _given(cost_usd=str(event.cost_usd), price_version=event.price_version)
        if event.message is not None:
            known["message_id"] = event.message.id
            if event.message.tool_calls:
                known["tool_calls"] = len(event.message.tool_calls)
            if self._full:
                known["output"] = _texts((event.message,))
        if event.error_type is not None:
            span.fail(event.error_type, None if self._silent else event.error)
        self._end(span, event.duration_ms)

    def _spend(self, cost: Decimal | None) -> None:
        """Adds a cost; the sum is unknown once a part of it is."""
        if cost is None:
            self._unpriced = True
        else:
            self._cost = cost if self._cost is None else self._cost + cost

    def _tool_call(self, event: Event, call: ToolCallPart) -> GrowingSpan:
        """A call's span, which its approval or its start begins."""
        span = self._open.get(event.span_id)
        if span is None:
            span = self._begin(event, "tool_call", call.name, event.span_id, event.parent_span_id, event.at)
            span.attributes = {"call_id": call.id}
            if self._full:
                span.attributes["arguments"] = _json(call.arguments)
        return span

    def on_approval_requested(self, event: ApprovalRequested) -> None:
        around = self._tool_call(event, event.call)
        around.waited = True
        span = self._begin(event, "approval", event.call.name, _made_id(event), event.span_id, event.at)
        span.attributes = {"call_id": event.call.id}

    def on_approval_resolved(self, event: ApprovalResolved) -> None:
        for span in [s for s in self._open.values() if s.kind == "approval"]:
            if span.attributes["call_id"] == event.call_id:
                span.attributes["decision"] = event.decision
                if event.by:
                    span.attributes["by"] = event.by
                if event.reason and not self._silent:
                    span.attributes["reason"] = event.reason
                self._end_at(span, event.at)

    def on_tool_call_start(self, event: ToolCallStart) -> None:
        span = self._tool_call(event, event.call)
        span.attributes["idempotency_key"] = event.idempotency_key
        if event.queued_ms:
            span.attributes["queued_ms"] = event.queued_ms

    def on_tool_call_complete(self, event: ToolCallComplete) -> None:
        span = self._open.get(event.span_id)
        if span is None:  # it was refused before it began
            start = event.at - event.duration_ms / 1e3
            span = self._begin(event, "tool_call", event.name, event.span_id, event.parent_span_id, start)
            span.attributes = {"call_id": event.call_id, "refused": True}
        known = span.attributes
        content = event.result.content
        if not self._silent:
            known["result_chars"] = len(content) if isinstance(content, str) else len(_json(content))
        if self._full:
            known["result"] = content if isinstance(content, str) else _json(content)
        if event.is_error:
            words = content if isinstance(content, str) else ""
            span.fail(event.error_type or "tool_error", None if self._silent else words[:_WORDS])
        inner = [s for s in self._open.values() if s.parent == span.span_id]
        self._interrupt(inner, event.at)
        self._end(span, self._measured(span, event, event.duration_ms))

    def on_memory_recalled(self, event: MemoryRecalled) -> None:
        span = self._point(event, "memory", event.operation, event.duration_ms)
        span.attributes = _given(operation=event.operation, store=event.store, count=event.count)
        if event.plan:
            inside = [item for item in event.plan if item.included]
            span.attributes["tokens"] = sum([item.tokens for item in inside])
            span.attributes["left_out"] = len(event.plan) - len(inside)
        if event.error is not None:
            span.fail("memory", None if self._silent else event.error)
        for call in event.embeddings:
            self._embedding(event, call, span.span_id)
        self._end(span, event.duration_ms)

    def _embedding(self, event: Event, call: EmbeddingCall, parent: str) -> None:
        span = self._begin(event, "embedding", call.model, call.span_id, parent, call.at)
        span.attributes = embedding_attributes(call)
        if call.error_type is not None:
            span.fail(call.error_type, None if self._silent else call.error)
        self._end(span, call.duration_ms)

    def on_memory_saved(self, event: MemorySaved) -> None:
        span = self._point(event, "memory", "save")
        span.attributes = {"operation": "save", "count": len(event.message_ids)}
        self._end(span, 0.0)

    def on_guard(self, event: GuardFinding) -> None:
        span = self._point(event, "guard", event.guard)
        span.attributes = {"guard": event.guard, "verdict": event.verdict, "where": event.where}
        if event.verdict == "block":
            span.fail("blocked", None)
        self._end(span, 0.0)

    def _note(self, event: Event, name: str, **said: Any) -> None:
        """Something that happened within a span and took no time of its own."""
        span = self._open.get(event.span_id)
        if span is not None:
            span.attributes.setdefault("notes", []).append({"at": event.at, "name": name, **said})

    def on_retrying(self, event: Retrying) -> None:
        self._note(
            event,
            "retrying",
            what=event.what,
            attempt=event.attempt,
            delay_s=event.delay_s,
            discard=event.discard,
            **({} if self._silent else {"reason": event.reason}),
        )
        run = self._runs.get(event.run_id)
        if run is not None:
            run.attributes["retries"] = run.attributes.get("retries", 0) + 1

    def on_model_changed(self, event: ModelChanged) -> None:
        said = {} if self._silent else {"reason": event.reason}
        self._note(
            event, "model_changed", **{"from": event.from_, "to": event.to, "tool_mode": event.tool_mode}, **said
        )

    def on_budget_warning(self, event: BudgetWarning) -> None:
        self._note(event, "budget_warning", limit=event.limit, used=event.used, share=event.share)

    def on_handed_off(self, event: HandedOff) -> None:
        self._note(event, "handed_off", to=event.to)

    def on_input_received(self, event: InputReceived) -> None:
        self._note(event, "input_received", message_id=event.message.id)

    def on_output_complete(self, event: OutputComplete) -> None:
        run = self._runs.get(event.run_id)
        if run is not None and self._full:
            run.attributes["output"] = _json(event.value)

    def on_paused(self, event: RunPaused) -> None:
        self._paused[event.run_id] = event.at
        self._note(event, "paused", why=event.reason, pending=len(event.pending))
        if self._started is not None and event.run_id == self._started.run_id:
            self.status = "paused"

    def on_resumed(self, event: RunResumed) -> None:
        run = self._runs.get(event.run_id)
        if run is None:
            return
        self._leave_pause(event, run)
        if event.epoch > 1 and event.run_id == event.root_id:
            self._resumed_at = event.at
            run.attributes["epoch"] = event.epoch
            asked = [s for s in self._open.values() if s.kind in ("model_call", "approval")]
            self._interrupt(asked, self._last_at)
        if self._started is not None and event.run_id == self._started.run_id:
            self.status = "running"

    def _leave_pause(self, event: Event, run: GrowingSpan) -> None:
        since = self._paused.pop(event.run_id, None)
        if since is not None:
            waited = run.attributes.get("paused_ms", 0.0) + (event.at - since) * 1e3
            run.attributes["paused_ms"] = round(waited, 3)


_WORDS: Final = 500
"""Characters of a failed call's result that stand in its span as the error."""


def embedding_attributes(call: EmbeddingCall) -> dict[str, Any]:
    """What its span says of an embedding call."""
    return _given(
        provider=call.provider,
        model=call.model,
        endpoint=_plain_endpoint(call.endpoint),
        of=call.kind,
        texts=call.texts,
        dimensions=call.dimensions or None,
        input_tokens=call.tokens or None,
        total_tokens=call.tokens or None,
        cost_usd=str(call.cost_usd) if call.cost_usd is not None else None,
        price_version=call.price_version,
    )


@lru_cache(256)
def _plain_endpoint(url: str) -> str:
    """Where a request goes, without what looks like a secret in it."""
    return redact(url)


def _made_id(event: Event) -> str:
    """The id of a span that has none of its own: the same for the same event, in whichever process."""
    return f"{(int(event.span_id, 16) * 0x9E3779B97F4A7C15 + event.seq * 0xBF58476D1CE4E5B9 + 1) & _MASK or 1:016x}"


def _given(**attributes: Any) -> dict[str, Any]:
    """Those that say something."""
    return {name: value for name, value in attributes.items() if value is not None and value != ""}


def _count(attributes: dict[str, Any], usage: Usage) -> None:
    if usage is _NOTHING:
        return
    if usage.input_tokens:
        attributes["input_tokens"] = usage.input_tokens
    if usage.output_tokens:
        attributes["output_tokens"] = usage.output_tokens
    if usage.total_tokens:
        attributes["total_tokens"] = usage.total_tokens
    if usage.reasoning_tokens:
        attributes["reasoning_tokens"] = usage.reasoning_tokens
    if usage.cache_read_tokens:
        attributes["cache_read_tokens"] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        attributes["cache_write_tokens"] = usage.cache_write_tokens


def _texts(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages as they may be shown: media by kind alone."""
    return [{"role": m.role, "parts": [_part(p) for p in m.parts]} for m in messages]


def _part(part: Part) -> Any:
    if isinstance(part, ImagePart | AudioPart | FilePart):
        return {"type": type(part).__name__}
    told = msgspec.to_builtins(part)
    return told if len(_encode(told)) <= _SHOWN else {"type": type(part).__name__}


_SHOWN: Final = 65_536
"""Bytes of a part's JSON up to which it stands in a span whole."""


def _json(value: Any) -> str:
    return _encode(value).decode()


_HANDLERS: dict[type, Callable[[TraceFold, Any], None]] = {
    RunStarted: TraceFold.on_run_started,
    GenerationComplete: TraceFold.on_run_ended,
    RunCancelled: TraceFold.on_run_ended,
    Error: TraceFold.on_run_ended,
    StepStarted: TraceFold.on_step_started,
    StepComplete: TraceFold.on_step_complete,
    ModelCallStarted: TraceFold.on_model_call_started,
    ModelCallComplete: TraceFold.on_model_call_complete,
    ApprovalRequested: TraceFold.on_approval_requested,
    ApprovalResolved: TraceFold.on_approval_resolved,
    ToolCallStart: TraceFold.on_tool_call_start,
    ToolCallComplete: TraceFold.on_tool_call_complete,
    MemoryRecalled: TraceFold.on_memory_recalled,
    MemorySaved: TraceFold.on_memory_saved,
    GuardFinding: TraceFold.on_guard,
    Retrying: TraceFold.on_retrying,
    ModelChanged: TraceFold.on_model_changed,
    BudgetWarning: TraceFold.on_budget_warning,
    HandedOff: TraceFold.on_handed_off,
    InputReceived: TraceFold.on_input_received,
    OutputComplete: TraceFold.on_output_complete,
    RunPaused: TraceFold.on_paused,
    RunResumed: TraceFold.on_resumed,
}

HANDLED: Final = frozenset(_HANDLERS)
"""The types of events that say anything to a trace; the many deltas do not."""
