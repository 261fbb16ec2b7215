"""The spans of OpenTelemetry's that are open: begun where a task begins, filled by what its events say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lumosai._secrets import redact
from lumosai.events import (
    ApprovalRequested,
    ApprovalResolved,
    BudgetWarning,
    Error,
    Event,
    GenerationComplete,
    GuardFinding,
    HandedOff,
    MemoryRecalled,
    MemorySaved,
    ModelCallComplete,
    ModelCallStarted,
    ModelChanged,
    OutputDelta,
    ReasoningDelta,
    Retrying,
    RunCancelled,
    RunPaused,
    RunStarted,
    TextDelta,
    ToolCallComplete,
    ToolCallDelta,
    ToolCallStart,
)
from lumosai.telemetry import _genai as genai
from lumosai.telemetry import semconv as names
from lumosai.telemetry._otel_span import OpenRun, OpenSpan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lumosai.messages import ToolCallPart
    from lumosai.propagation import SpanIds
    from lumosai.telemetry._instruments import Instruments
    from lumosai.telemetry._opentelemetry import OpenTelemetryApi
    from lumosai.telemetry._otel_ends import Endings, Policy
    from lumosai.telemetry.semconv import Profile

_DELTAS: Final = (TextDelta, ReasoningDelta, ToolCallDelta, OutputDelta)
_WITHIN: Final = (*_DELTAS, ModelCallStarted, ModelCallComplete, ModelChanged)
"""What a model call says before it is known how it ends."""


class Spans:
    """Those of all runs that are observed.

    Args:
        api: OpenTelemetry's.
        instruments: what is measured.
        profile: whose names.
        policy: how much is told.
        endings: ends spans.
    """

    def __init__(
        self, api: OpenTelemetryApi, instruments: Instruments, profile: Profile, policy: Policy, endings: Endings
    ) -> None:
        self._api = api
        self._instruments = instruments
        self._profile = profile
        self._policy = policy
        self._endings = endings
        self._runs: dict[str, OpenRun] = {}
        self._open: dict[str, OpenSpan] = {}

    def add(self, event: Event) -> None:
        """Takes a run's next event."""
        if isinstance(event, _DELTAS):
            self.on_delta(event)
            return
        run = self._runs.get(event.run_id)
        if run is None:
            return
        chat = run.chat
        if chat is not None and chat.done is not None and not isinstance(event, _WITHIN) and not _is_attempt(event):
            self._settle(chat)
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, run, event)

    def enter(self, kind: str, name: str, known: Mapping[str, Any], parent: SpanIds | None) -> Ticket:
        """Begins a span in this task."""
        if kind == "run":
            run = self._runs[known["run_id"]] = OpenRun(
                known["run_id"], self._runs.get(known.get("parent_run_id") or "")
            )
            context, around = self._api.above(parent)
        else:
            found = self._runs.get(known["run_id"])
            run = found if found is not None else OpenRun(known["run_id"], None)
            context, around = self._api.here()
        told, span_name = self._first(kind, name, known)
        conversation = known.get("thread_id") or self._api.conversation(context)
        if conversation:
            told[names.CONVERSATION] = conversation
        opened = OpenSpan(kind, known["span_id"], told, run)
        opened.span = self._api.start(span_name, told, opened.start_ns, context, client=kind == "model_call")
        opened.context = self._api.inside(opened.span, context)
        if conversation and kind == "run":
            opened.context = self._api.conversing(conversation, opened.context)
        ids = self._api.ids(opened.span, around, context)
        if ids is not None and not (known.get("resumed") or known.get("fixed")):
            opened.key = ids.span_id
        if kind == "run":
            run.span = opened
        elif kind == "model_call":
            run.inferences += 1
        self._open[opened.key] = run.top.open[opened.key] = opened
        token = self._api.attach(opened.context)
        return Ticket(opened, ids, token, known["run_id"], root=known["run_id"] == known["root_id"])

    def leave(self, ticket: Ticket, error: BaseException | None) -> None:
        """Ends that span's time, in the task that began it."""
        self._api.detach(ticket.token)
        opened = ticket.opened
        opened.left(error)
        if opened.kind == "run" and opened.run.top is opened.run:
            # The end of a sub-run whose caller nobody observes may still be on its way, where its events are kept.
            if ticket.root or opened.settled or error is not None:
                self._end_all(opened.run)
        elif opened.ripe or ticket.run_id not in self._runs:
            self._end(opened)

    def _end_all(self, top: OpenRun) -> None:
        """A run that nobody else observes around has been left: whatever is open in it ends, what holds it last."""
        for opened in reversed([*top.open.values()]):
            if opened.duration_ns is None:
                opened.left(None)
            self._end(opened)
        for each in top.ids:
            run = self._runs.pop(each, None)
            if run is not None:
                run.span = run.chat = None

    def _first(self, kind: str, name: str, known: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """What a span begins with, samplers look at that, and its name."""
        told: dict[str, Any] = {names.RUN_ID: known["run_id"]}
        if known.get("resumed"):
            told[names.RESUMED] = True
        if kind == "tool_call":
            told |= {names.OPERATION: names.EXECUTE_TOOL, names.TOOL_NAME: name, names.TOOL_TYPE: "function"}
            told |= {names.TOOL_CALL_ID: known["call_id"], names.AGENT_NAME: known["agent"]}
            if known.get("description"):
                told[names.TOOL_DESCRIPTION] = known["description"]
            return told, f"{names.EXECUTE_TOOL} {name}"
        if kind == "run":
            told |= {names.OPERATION: names.INVOKE_AGENT, names.AGENT_NAME: name, names.REQUEST_MODEL: known["model"]}
            if self._profile.agent_details:
                told[names.PROVIDER] = names.provider(known["provider"])
                if known.get("version"):
                    told[names.AGENT_VERSION] = known["version"]
            return told, f"{names.INVOKE_AGENT} {name}"
        operation = names.operation(known["provider"])
        told |= {names.OPERATION: operation, names.PROVIDER: names.provider(known["provider"])}
        told |= {names.REQUEST_MODEL: name, names.AGENT_NAME: known["agent"], names.PURPOSE: known["purpose"]}
        if known.get("stream"):
            told[names.REQUEST_STREAM] = True
        return told | genai.server_attributes(known["endpoint"]), f"{operation} {name}"

    def on_run_started(self, run: OpenRun, event: RunStarted) -> None:
        opened = run.span
        if opened is None or opened.begun is not None:
            return
        opened.begun = event
        opened.attributes |= genai.request_attributes(event.settings, self._profile)
        if event.output_schema is not None:
            opened.attributes[names.OUTPUT_TYPE] = "json"
        if self._policy.on_spans:
            opened.content[names.INPUT_MESSAGES] = genai.input_messages(event.input)

    def on_model_call_started(self, run: OpenRun, event: ModelCallStarted) -> None:
        opened = self._open.get(event.span_id)
        if opened is None:
            opened = run.chat  # a further attempt of the same request
            if opened is None:
                return
            opened.keys.append(event.span_id)
            self._open[event.span_id] = opened
        elif run.chat is not opened:
            run.chat = opened
        opened.begun, opened.last_chunk = event, 0.0
        told = opened.attributes
        told |= {names.PROVIDER: names.provider(event.provider), names.REQUEST_MODEL: event.model}
        if event.purpose == "answer" and run.span is not None and names.OUTPUT_TYPE in run.span.attributes:
            told[names.OUTPUT_TYPE] = "json"
        told |= {names.STEP: event.step, names.ATTEMPTS: len(opened.keys) + 1}
        told |= genai.server_attributes(event.endpoint) | genai.request_attributes(event.settings, self._profile)
        if self._policy.on_spans or self._policy.in_events:
            opened.content |= {
                names.SYSTEM_INSTRUCTIONS: genai.system_instructions(event.prompt),
                names.INPUT_MESSAGES: genai.input_messages(event.prompt),
                names.TOOL_DEFINITIONS: genai.tool_definitions(event.tools),
            }

    def on_model_call_complete(self, run: OpenRun, event: ModelCallComplete) -> None:
        opened = self._open.get(event.span_id)
        if opened is None or opened.kind != "model_call":
            return
        opened.done = event
        if event.message is not None:
            run.answer = event.message, event.finish_reason
        if event.error_type is None:
            self._settle(opened)

    def _settle(self, chat: OpenSpan) -> None:
        """No further attempt follows."""
        chat.settled = True
        if chat.run.chat is chat:
            chat.run.chat = None
        if chat.ripe:
            self._end(chat)

    def on_delta(self, event: Any) -> None:
        opened = self._open.get(event.span_id)
        if opened is None:
            return
        if opened.last_chunk:
            self._instruments.chunk(max(0.0, event.at - opened.last_chunk), opened.attributes)
        opened.last_chunk = event.at

    def on_tool_call_start(self, _: OpenRun, event: ToolCallStart) -> None:
        opened = self._open.get(event.span_id)
        if opened is None:
            return
        opened.attributes[names.IDEMPOTENCY_KEY] = event.idempotency_key
        if event.queued_ms:
            opened.attributes[names.QUEUED] = event.queued_ms / 1e3
        self._keep_arguments(opened, event.call)

    def _keep_arguments(self, opened: OpenSpan, call: ToolCallPart) -> None:
        if self._policy.on_spans:
            opened.content[names.TOOL_CALL_ARGUMENTS] = call.arguments if call.arguments is not None else call.raw

    def on_tool_call_complete(self, run: OpenRun, event: ToolCallComplete) -> None:
        run.tool_calls += 1
        opened = self._open.get(event.span_id)
        if opened is None:
            return
        if self._policy.on_spans:
            opened.content[names.TOOL_CALL_RESULT] = genai.result_of(event.result)
        opened.is_done(event)
        if opened.ripe:
            self._end(opened)

    def on_approval(self, run: OpenRun, event: ApprovalRequested | ApprovalResolved) -> None:
        opened = self._open.get(event.span_id)
        if opened is None:
            return
        if isinstance(event, ApprovalRequested):
            self._keep_arguments(opened, event.call)
            self._note(run, event, "lumosai.approval_requested")
        else:
            self._note(run, event, "lumosai.approval_resolved", decision=event.decision, by=event.by)

    def on_memory(self, run: OpenRun, event: MemoryRecalled | MemorySaved) -> None:
        """A span of something that has ended already."""
        if run.span is None:
            return
        told: dict[str, Any] = {names.RUN_ID: event.run_id, names.AGENT_NAME: event.agent}
        error, seconds = None, 0.0
        if isinstance(event, MemoryRecalled):
            operation, error, seconds = event.operation, event.error, event.duration_ms / 1e3
            told[names.MEMORY_RECORDS] = event.count
        else:
            operation = "save"
            told[names.MEMORY_RECORDS] = len(event.message_ids)
            if len(event.message_ids) == 1:
                told[names.MEMORY_RECORD] = event.message_ids[0]
        operation = told[names.OPERATION] = names.MEMORY_OPERATIONS.get(operation, operation)
        if isinstance(event, MemoryRecalled) and event.store:
            told[names.MEMORY_STORE] = event.store
        if error is not None:
            told[names.ERROR_TYPE] = names.OTHER_ERROR
        end_ns = int(event.at * 1e9)
        duration_ns = int(seconds * 1e9)
        span = self._api.start(operation, told, end_ns - duration_ns, run.span.context)
        if error is not None:
            self._api.fail(span, redact(error) if self._policy.words else None)
        span.end(end_ns)
        self._instruments.memory(duration_ns / 1e9, told)

    def on_noted(self, run: OpenRun, event: Any) -> None:
        """Something that took no time of its own."""
        match event:
            case Retrying():
                said: dict[str, Any] = {"what": event.what, "attempt": event.attempt, "delay_s": event.delay_s}
                if self._policy.words:
                    said["reason"] = redact(event.reason)
                self._note(run, event, "lumosai.retrying", **said)
            case ModelChanged():
                self._note(run, event, "lumosai.model_changed", to=event.to, tool_mode=event.tool_mode)
            case BudgetWarning():
                self._note(run, event, "lumosai.budget_warning", limit=event.limit, share=event.share)
            case GuardFinding():
                self._note(run, event, "lumosai.guard_finding", guard=event.guard, verdict=event.verdict)
            case HandedOff():
                self._note(run, event, "lumosai.handed_off", to=event.to)
            case RunPaused():
                self._note(run, event, "lumosai.paused", reason=event.reason, pending=len(event.pending))
            case _:
                pass

    def _note(self, run: OpenRun, event: Event, name: str, **said: Any) -> None:
        chat = run.chat if isinstance(event, Retrying | ModelChanged) else None
        opened = self._open.get(event.span_id) or chat or run.span
        if opened is not None:
            opened.span.add_event(name, {f"lumosai.{k}": v for k, v in said.items()}, int(event.at * 1e9))

    def on_run_ended(self, run: OpenRun, event: GenerationComplete | RunCancelled | Error) -> None:
        opened = run.span
        if opened is None:
            return
        opened.is_done(event)
        if opened.ripe and run.top is run:
            self._end_all(run)
        elif opened.ripe:
            self._end(opened)

    def _end(self, opened: OpenSpan) -> None:
        """Ends a span that is ripe, or will never be."""
        if self._open.pop(opened.key, None) is None:
            return
        for key in opened.keys:
            self._open.pop(key, None)
        run = opened.run
        run.top.open.pop(opened.key, None)
        if run.chat is opened:
            run.chat = None
        if opened.kind == "run" and run.top is not run:
            self._runs.pop(opened.attributes[names.RUN_ID], None)
        self._endings.end(opened)


class Ticket:
    """A span that was entered, and how to leave it."""

    __slots__ = ("ids", "opened", "root", "run_id", "token")

    def __init__(self, opened: OpenSpan, ids: SpanIds | None, token: Any, run_id: str, *, root: bool) -> None:
        self.root = root
        self.opened = opened
        self.ids = ids
        self.token = token
        self.run_id = run_id


def _is_attempt(event: Event) -> bool:
    """Whether it announces a further attempt of a request that goes on."""
    return isinstance(event, Retrying) and event.what == "model"


_HANDLERS: Final[dict[type, Callable[[Spans, OpenRun, Any], None]]] = {
    RunStarted: Spans.on_run_started,
    ModelCallStarted: Spans.on_model_call_started,
    ModelCallComplete: Spans.on_model_call_complete,
    ToolCallStart: Spans.on_tool_call_start,
    ToolCallComplete: Spans.on_tool_call_complete,
    ApprovalRequested: Spans.on_approval,
    ApprovalResolved: Spans.on_approval,
    MemoryRecalled: Spans.on_memory,
    MemorySaved: Spans.on_memory,
    Retrying: Spans.on_noted,
    ModelChanged: Spans.on_noted,
    BudgetWarning: Spans.on_noted,
    GuardFinding: Spans.on_noted,
    HandedOff: Spans.on_noted,
    RunPaused: Spans.on_noted,
    GenerationComplete: Spans.on_run_ended,
    RunCancelled: Spans.on_run_ended,
    Error: Spans.on_run_ended,
}
