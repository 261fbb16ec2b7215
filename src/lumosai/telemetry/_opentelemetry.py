"""OpenTelemetry's API, the one place that imports it (extra `otel`): spans that begin here and end there, context, logs.

A span is put into the context of the task that does what it stands for, and taken out there. Where a task's coroutine is
closed elsewhere, as the garbage collector does with what is left of an event loop, the context is that of somebody else
and is left alone.
"""

from __future__ import annotations

import contextvars
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from lumosai.errors import MissingExtraError
from lumosai.propagation import SpanIds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry._logs import Logger
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Span, Tracer

SCOPE: Final = "lumosai"
CONVERSATION: Final = "gen_ai.conversation.id"
SESSION: Final = "session.id"
"""Under which a context holds a conversation: for whoever goes by the conventions, and as OpenInference's instrumentations read it."""
_UTIL_GENAI: Final = "opentelemetry.util.genai._conversation_context"


class OpenTelemetryApi:
    """What of OpenTelemetry is used, of the providers given or the program's own.

    Args:
        tracer_provider, meter_provider, logger_provider: None for those that the program has set, now or later.
        version: ours.
        schema_url: of the names used.

    Attributes:
        meter: makes instruments.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """

    def __init__(
        self, tracer_provider: Any, meter_provider: Any, logger_provider: Any, *, version: str, schema_url: str
    ) -> None:
        try:
            from opentelemetry import _logs, baggage, context, metrics, trace
            from opentelemetry.baggage.propagation import W3CBaggagePropagator
        except ImportError as error:
            raise MissingExtraError("OpenTelemetry", extra="otel") from error
        self._trace, self._context, self._baggage = trace, context, baggage
        self._baggage_header = W3CBaggagePropagator()
        self._tracer: Tracer = trace.get_tracer(SCOPE, version, tracer_provider, schema_url)
        self.meter: Meter = metrics.get_meter(SCOPE, version, meter_provider, schema_url)
        self._logger: Logger = _logs.get_logger(SCOPE, version, logger_provider, schema_url)
        self._record = _logs.LogRecord
        self._error, self._kinds = trace.StatusCode.ERROR, trace.SpanKind
        self._header: dict[str, str] = {}

    def above(self, parent: SpanIds | None) -> tuple[Context, Any]:
        """The context that a run begins in, and the span around it.

        That is the span which is open here, unless the caller named another trace: then the caller's.
        """
        here = self._context.get_current()
        around = self._trace.get_current_span(here).get_span_context()
        if parent is None:
            return here, around
        if parent.trace_id and not (around.is_valid and around.trace_id == int(parent.trace_id, 16)):
            around = self._trace.SpanContext(
                int(parent.trace_id, 16),
                int(parent.span_id, 16),
                is_remote=True,
                trace_flags=self._trace.TraceFlags(int(parent.sampled)),
                trace_state=self._trace.TraceState.from_header([parent.tracestate]) if parent.tracestate else None,
            )
            here = self._trace.set_span_in_context(self._trace.NonRecordingSpan(around), here)
        if parent.baggage:
            here = self._baggage_header.extract({"baggage": parent.baggage}, here)
        return here, around

    def here(self) -> tuple[Context, Any]:
        """This task's context and the span in it."""
        here = self._context.get_current()
        return here, self._trace.get_current_span(here).get_span_context()

    def start(
        self, name: str, attributes: Mapping[str, Any], start_ns: int, context: Context, *, client: bool = False
    ) -> Span:
        """A span that has begun."""
        kind = self._kinds.CLIENT if client else self._kinds.INTERNAL
        return self._tracer.start_span(name, context, kind, attributes, start_time=start_ns)

    def inside(self, span: Span, context: Context) -> Context:
        """The context inside a span."""
        return self._trace.set_span_in_context(span, context)

    def conversing(self, conversation_id: str, context: Context) -> Context:
        """That context, in which other instrumentations find the conversation too: each under the key that it reads."""
        for key in (CONVERSATION, SESSION, *_theirs()):
            context = self._context.set_value(key, conversation_id, context)
        return context

    def conversation(self, context: Context) -> str | None:
        """The conversation that a context says it is part of."""
        for key in (CONVERSATION, *_theirs(), SESSION):
            found = self._context.get_value(key, context)
            if found and isinstance(found, str):
                return found
        return None

    def attach(self, context: Context) -> Any:
        """Makes it this task's; what is given takes it away."""
        return self._context.attach(context)

    def detach(self, token: Any) -> None:
        """Takes a context away where it was made this task's; elsewhere it does nothing."""
        if isinstance(token, contextvars.Token):
            with suppress(ValueError):  # made in another context: that one is gone, or not ours to change
                token.var.reset(token)
        else:
            self._context.detach(token)

    def ids(self, span: Span, around: Any, context: Context) -> SpanIds | None:
        """The span's ids, None where it has none of its own: no SDK is set, so that it is a copy of the one around it."""
        mine = span.get_span_context()
        if not mine.is_valid or mine.span_id == around.span_id:
            return None
        return SpanIds(
            self._trace.format_trace_id(mine.trace_id),
            self._trace.format_span_id(mine.span_id),
            mine.trace_flags.sampled,
            mine.trace_state.to_header() if mine.trace_state else "",
            self._baggage_of(context),
            self._trace.format_span_id(around.span_id) if around.is_valid else None,
        )

    def _baggage_of(self, context: Context) -> str:
        if not self._baggage.get_all(context):
            return ""
        carrier: dict[str, str] = {}
        self._baggage_header.inject(carrier, context)
        return carrier.get("baggage", "")

    def fail(self, span: Span, words: str | None) -> None:
        """What it stands for went wrong."""
        span.set_status(self._error, words)

    def log(self, event_name: str, attributes: Mapping[str, Any], at_ns: int, context: Context) -> None:
        """Emits an event."""
        self._logger.emit(
            self._record(timestamp=at_ns, context=context, event_name=event_name, attributes=dict(attributes))
        )


def _theirs() -> tuple[str, ...]:
    """The key of OpenTelemetry's own GenAI instrumentations, where the program has loaded them: it is another in each process."""
    key = getattr(sys.modules.get(_UTIL_GENAI), "CONVERSATION_ID_KEY", None)
    return (key,) if isinstance(key, str) else ()
