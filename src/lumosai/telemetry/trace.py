"""A trace is a fold of a run's events: the same events give the same spans, live or stored.

Each span is closed by the event that ends it. What a process left open when it died is closed, as interrupted, when
another one goes on with the run, or by the run's last event. Nothing here looks at a clock.

A span says how much and how long, and where the content lies (the ids of messages and calls), never the content itself,
unless the fold is told to keep it. What its events say is read out of them by `_span`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

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
from lumosai.records import Usage
from lumosai.telemetry._span import Content, GrowingSpan, embedding_attributes
from lumosai.traces import ExecutionTrace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from decimal import Decimal

    from lumosai.messages import ToolCallPart
    from lumosai.traces import StepKind, TraceStatus, TraceStep

__all__ = ["CLOSING", "HANDLED", "Content", "TraceFold", "trace_of"]

_NOTHING: Final = Usage()
_UNBEGUN: Final = "no run_started among the events: a trace begins with it"
_MASK: Final = 2**64 - 1
_WORDS: Final = 500
"""Characters of a failed call's result that stand in its span as the error."""
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
        started: how the root began, None where that was not seen.
        usage: tokens of every model call so far.
        last_at: when its last event was made, unix seconds.
    """

    __slots__ = (
        "_content",
        "_cost",
        "_open",
        "_order",
        "_paused",
        "_resumed_at",
        "_root",
        "_runs",
        "_steps",
        "_unpriced",
        "closed",
        "last_at",
        "started",
        "status",
        "usage",
    )

    def __init__(self, content: Content = "metadata") -> None:
        self._content: Content = content
        self._root = ""
        self._order: list[GrowingSpan] = []
        self._open: dict[str, GrowingSpan] = {}
        self._runs: dict[str, GrowingSpan] = {}
        self._steps: dict[str, GrowingSpan] = {}
        self._paused: dict[str, float] = {}
        self.last_at = 0.0
        self._resumed_at = 0.0
        self._cost: Decimal | None = None
        self._unpriced = False
        self.started: RunStarted | None = None
        self.usage = _NOTHING
        self.closed: list[GrowingSpan] = []
        self.status: TraceStatus = "running"

    def add(self, event: Event) -> None:
        """Takes the run's next event."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)
            self.last_at = event.at

    @property
    def root(self) -> GrowingSpan | None:
        """The root run's span."""
        return self._order[0] if self._order else None

    @property
    def cost_usd(self) -> Decimal | None:
        """What the model calls so far cost; None where that is not known of one."""
        return None if self._unpriced else self._cost

    def version_of(self, run_id: str) -> str:
        """The version of a run's agent."""
        run = self._runs.get(run_id)
        began: Any = run.began if run is not None else None
        return began.agent_version if began is not None else ""

    def inside(self, run_id: str) -> list[TraceStep]:
        """The spans of one run so far, those of its sub-runs not among them, nor its own."""
        return [s.step for s in self._order if s.run_id == run_id and s.kind != "run"]

    def trace(self) -> ExecutionTrace:
        """The trace so far.

        Raises:
            ValueError: no event said how the run began.
        """
        started = self.started
        if started is None:
            raise ValueError(_UNBEGUN)
        steps = tuple([s.step for s in self._order])
        return ExecutionTrace(
            trace_id=started.trace_id,
            run_id=started.run_id,
            agent_id=started.agent,
            status=self.status,
            started_at=started.at,
            total_duration_ms=steps[0].duration_ms,
            steps=steps,
            usage=self.usage,
            cost_usd=self.cost_usd,
            metadata=steps[0].attributes,
        )

    def _begin(  # noqa: PLR0917  # a span's header
        self, event: Event, kind: StepKind, name: str, span_id: str, parent: str | None, start: float
    ) -> GrowingSpan:
        order = self._order
        span = GrowingSpan(len(order), kind, name, span_id, parent, start, event, self._root, self._content)
        self._open[span_id] = span
        order.append(span)
        return span

    def _end(self, span: GrowingSpan, duration_ms: float, event: Event | None = None) -> None:
        span.ended = event
        span.duration_ms = max(0.0, duration_ms)
        self._open.pop(span.span_id, None)
        self.closed.append(span)

    def _end_at(self, span: GrowingSpan, at: float) -> None:
        self._end(span, round((at - span.start) * 1e3, 3))

    def _point(
        self, event: Event, kind: StepKind, name: str, said: dict[str, Any], duration_ms: float = 0.0
    ) -> GrowingSpan:
        """A span that one event tells of as a whole, inside the span that the event is of."""
        start = event.at - duration_ms / 1e3
        span = self._begin(event, kind, name, _made_id(event), event.span_id, start)
        span.more = {name: value for name, value in said.items() if value != ""}
        return span

    def _measured(self, span: GrowingSpan, event: Event, duration_ms: float) -> float:
        """How long a span took: by the clock of the process that saw all of it, else by the events' own times."""
        if span.start < self._resumed_at or span.waited:
            return round((event.at - span.start) * 1e3, 3)
        return duration_ms

    def _interrupt(self, spans: list[GrowingSpan], at: float) -> None:
        """Closes what nobody ends any more, the innermost first."""
        for span in reversed(spans):
            if span.span_id in self._open:
                span.fail("interrupted", "the process that was at it has ended")
                self._end_at(span, at)

    def on_run_started(self, event: RunStarted) -> None:
        if self.started is None:
            self.started, self._root = event, event.run_id
        span = self._begin(event, "run", event.agent, event.span_id, event.parent_span_id, event.at)
        self._runs[event.run_id] = span

    def on_run_ended(self, event: GenerationComplete | RunCancelled | Error) -> None:
        span = self._runs.get(event.run_id)
        if span is None or span.duration_ms is not None:
            return
        self._leave_pause(event, span)
        if len(self._open) > 1:
            inner = [s for s in self._open.values() if s.began.run_id == event.run_id and s is not span]
            self._interrupt(inner, event.at)
        status: TraceStatus = "ok"
        if type(event) is Error:
            span.fail(event.error_type, event.message)
            status = "error"
        elif type(event) is RunCancelled:
            status = "cancelled"
        self._end(span, self._measured(span, event, event.result.duration_ms), event)
        if event.run_id == self._root:
            self.status = status
            if self._open:
                self._interrupt([*self._open.values()], event.at)

    def on_step_started(self, event: StepStarted) -> None:
        before = self._steps.get(event.run_id)
        if before is not None and before.span_id in self._open:
            self._end_at(before, event.at)
        span = self._begin(event, "step", f"step {event.index}", event.span_id, event.parent_span_id, event.at)
        self._steps[event.run_id] = span

    def on_step_complete(self, event: StepComplete) -> None:
        span = self._open.get(event.span_id)
        if span is not None:
            self._end(span, self._measured(span, event, event.duration_ms), event)

    def on_model_call_started(self, event: ModelCallStarted) -> None:
        self._begin(event, "model_call", event.model, event.span_id, event.parent_span_id, event.at)

    def on_model_call_complete(self, event: ModelCallComplete) -> None:
        usage = event.usage
        self.usage = usage if self.usage is _NOTHING else self.usage + usage
        if event.message is not None or usage != _NOTHING:
            self._spend(event.cost_usd)
        span = self._open.get(event.span_id)
        if span is None:
            return
        if event.error_type is not None:
            span.fail(event.error_type, event.error)
        self._end(span, event.duration_ms, event)

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
        return span

    def on_approval_requested(self, event: ApprovalRequested) -> None:
        around = self._tool_call(event, event.call)
        around.waited = True
        span = self._begin(event, "approval", event.call.name, _made_id(event), event.span_id, event.at)
        span.more = {"call_id": event.call.id}

    def on_approval_resolved(self, event: ApprovalResolved) -> None:
        for span in [s for s in self._open.values() if s.kind == "approval"]:
            known = span.known()
            if known["call_id"] == event.call_id:
                known["decision"] = event.decision
                if event.by:
                    known["by"] = event.by
                if event.reason and not span.silent:
                    known["reason"] = event.reason
                self._end_at(span, event.at)

    def on_tool_call_start(self, event: ToolCallStart) -> None:
        self._tool_call(event, event.call).began = event

    def on_tool_call_complete(self, event: ToolCallComplete) -> None:
        span = self._open.get(event.span_id)
        if span is None:  # it was refused before it began
            start = event.at - event.duration_ms / 1e3
            span = self._begin(event, "tool_call", event.name, event.span_id, event.parent_span_id, start)
        if event.is_error:
            content = event.result.content
            words = content if isinstance(content, str) else ""
            span.fail(event.error_type or "tool_error", words[:_WORDS])
        inner = [s for s in self._open.values() if s.parent == span.span_id]
        if inner:
            self._interrupt(inner, event.at)
        self._end(span, self._measured(span, event, event.duration_ms), event)

    def on_memory_recalled(self, event: MemoryRecalled) -> None:
        said: dict[str, Any] = {"operation": event.operation, "store": event.store, "count": event.count}
        if event.plan:
            inside = [item for item in event.plan if item.included]
            said["tokens"] = sum([item.tokens for item in inside])
            said["left_out"] = len(event.plan) - len(inside)
        span = self._point(event, "memory", event.operation, said, event.duration_ms)
        if event.error is not None:
            span.fail("memory", event.error)
        for call in event.embeddings:
            self._embedding(event, call, span.span_id)
        self._end(span, event.duration_ms)

    def _embedding(self, event: Event, call: EmbeddingCall, parent: str) -> None:
        span = self._begin(event, "embedding", call.model, call.span_id, parent, call.at)
        span.more = embedding_attributes(call)
        if call.error_type is not None:
            span.fail(call.error_type, call.error)
        self._end(span, call.duration_ms)

    def on_memory_saved(self, event: MemorySaved) -> None:
        said = {"operation": "save", "count": len(event.message_ids)}
        self._end(self._point(event, "memory", "save", said), 0.0)

    def on_guard(self, event: GuardFinding) -> None:
        said = {"guard": event.guard, "verdict": event.verdict, "where": event.where}
        span = self._point(event, "guard", event.guard, said)
        if event.verdict == "block":
            span.fail("blocked", None)
        self._end(span, 0.0)

    def _note(self, event: Event, name: str, **said: Any) -> None:
        """Something that happened within a span and took no time of its own."""
        span = self._open.get(event.span_id)
        if span is not None:
            known = span.known()
            known["notes"] = [*known.get("notes", ()), {"at": event.at, "name": name, **said}]

    def on_retrying(self, event: Retrying) -> None:
        self._note(
            event,
            "retrying",
            what=event.what,
            attempt=event.attempt,
            delay_s=event.delay_s,
            discard=event.discard,
            **({} if self._content == "off" else {"reason": event.reason}),
        )
        run = self._runs.get(event.run_id)
        if run is not None:
            known = run.known()
            known["retries"] = known.get("retries", 0) + 1

    def on_model_changed(self, event: ModelChanged) -> None:
        said = {} if self._content == "off" else {"reason": event.reason}
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
        if run is not None and self._content == "full":
            run.known()["output"] = _encode(event.value).decode()

    def on_paused(self, event: RunPaused) -> None:
        self._paused[event.run_id] = event.at
        self._note(event, "paused", why=event.reason, pending=len(event.pending))
        if event.run_id == self._root:
            self.status = "paused"

    def on_resumed(self, event: RunResumed) -> None:
        run = self._runs.get(event.run_id)
        if run is None:
            return
        self._leave_pause(event, run)
        if event.epoch > 1 and event.run_id == event.root_id:
            self._resumed_at = event.at
            run.known()["epoch"] = event.epoch
            asked = [s for s in self._open.values() if s.kind in ("model_call", "approval")]
            self._interrupt(asked, self.last_at)
        if event.run_id == self._root:
            self.status = "running"

    def _leave_pause(self, event: Event, run: GrowingSpan) -> None:
        since = self._paused.pop(event.run_id, None)
        if since is not None:
            known = run.known()
            known["paused_ms"] = round(known.get("paused_ms", 0.0) + (event.at - since) * 1e3, 3)


def _made_id(event: Event) -> str:
    """The id of a span that has none of its own: the same for the same event, in whichever process."""
    return f"{(int(event.span_id, 16) * 0x9E3779B97F4A7C15 + event.seq * 0xBF58476D1CE4E5B9 + 1) & _MASK or 1:016x}"


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
CLOSING: Final = frozenset(
    {
        GenerationComplete,
        RunCancelled,
        Error,
        StepComplete,
        ModelCallComplete,
        ApprovalResolved,
        ToolCallComplete,
        MemoryRecalled,
        MemorySaved,
        GuardFinding,
    }
)
"""Those of them that close a span."""
