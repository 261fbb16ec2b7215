"""How a span of OpenTelemetry's ends: what is known of it by then, its metrics, and its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lumosai._secrets import redact
from lumosai.events import Error, RunCancelled
from lumosai.telemetry import _genai as genai
from lumosai.telemetry import semconv as names
from lumosai.telemetry.measure import STOPPED

if TYPE_CHECKING:
    from lumosai.telemetry._instruments import Instruments
    from lumosai.telemetry._opentelemetry import OpenTelemetryApi
    from lumosai.telemetry._otel_span import OpenSpan
    from lumosai.telemetry.semconv import Profile


class Policy(NamedTuple):
    """How much of what was said is told, and where.

    Attributes:
        words: errors' words.
        on_spans: messages, instructions, tools, arguments and results, on spans.
        in_events: likewise, in events.
        events: whether there are events at all.
    """

    words: bool
    on_spans: bool
    in_events: bool
    events: bool


class Endings:
    """Ends spans.

    Args:
        api: OpenTelemetry's.
        instruments: what is measured.
        profile: whose names.
        policy: how much is told.
    """

    def __init__(self, api: OpenTelemetryApi, instruments: Instruments, profile: Profile, policy: Policy) -> None:
        self._api = api
        self._instruments = instruments
        self._profile = profile
        self._policy = policy

    def end(self, opened: OpenSpan) -> None:
        """Ends one, of which all is known that will be."""
        if opened.kind == "run":
            self._end_run(opened)
        elif opened.kind == "model_call":
            self._end_model_call(opened)
        else:
            self._end_tool_call(opened)

    def _close(self, opened: OpenSpan, error_type: str | None, words: str | None) -> float:
        """Writes all that is known, and ends it; how long it took, in seconds."""
        told, span = opened.attributes, opened.span
        duration_ns = opened.duration_ns or 0
        if error_type is not None:
            told[names.ERROR_TYPE] = error_type
        if span.is_recording():
            span.set_attributes(told)
            if self._policy.on_spans:
                for name, value in opened.content.items():
                    if value:
                        safe = genai.safe(value)
                        span.set_attribute(name, safe if isinstance(safe, str) else genai.as_json(safe))
            if error_type is not None and error_type not in STOPPED:
                self._api.fail(span, redact(words) if words and self._policy.words else None)
        span.end(opened.start_ns + duration_ns)
        return duration_ns / 1e9

    def _end_model_call(self, opened: OpenSpan) -> None:
        done, told = opened.done, opened.attributes
        error_type, words = _raised(opened)
        if done is not None:
            told |= genai.usage_attributes(done.usage, self._profile)
            told[names.RESPONSE_FINISH_REASONS] = [done.finish_reason]
            told[names.RESPONSE_MODEL] = done.model
            if done.response_id:
                told[names.RESPONSE_ID] = done.response_id
            if done.time_to_first_chunk_ms is not None and told.get(names.REQUEST_STREAM):
                told[names.RESPONSE_FIRST_CHUNK] = done.time_to_first_chunk_ms / 1e3
            if done.cost_usd is not None:
                told[names.COST] = float(done.cost_usd)
            if done.message is not None and opened.content:
                opened.content[names.OUTPUT_MESSAGES] = genai.output_messages(done.message, done.finish_reason)
            error_type, words = done.error_type, done.error
        seconds = self._close(opened, error_type, words)
        if done is not None:
            cost = float(done.cost_usd) if done.cost_usd is not None else None
            self._instruments.answer(seconds, told, done.usage, cost)
        if self._policy.events:
            self._emit(opened, names.DETAILS_EVENT, dict(told))
            if error_type is not None and error_type not in STOPPED:
                self._emit_exception(opened, names.EXCEPTION_EVENT, error_type, words)

    def _end_tool_call(self, opened: OpenSpan) -> None:
        done = opened.done
        error_type, words = _raised(opened)
        if done is not None:
            error_type = done.error_type or (names.OTHER_ERROR if done.is_error else None)
            words = done.result.text if done.is_error else None
        elif error_type is None:
            opened.attributes[names.PENDING] = True
        seconds = self._close(opened, error_type, words)
        if done is not None:
            self._instruments.tool(seconds, opened.attributes)
        if (
            self._policy.events
            and self._profile.tool_exception
            and error_type is not None
            and error_type not in STOPPED
        ):
            self._emit_exception(opened, self._profile.tool_exception, error_type, words)

    def _end_run(self, opened: OpenSpan) -> None:
        run, done, told = opened.run, opened.done, opened.attributes
        error_type, words = _raised(opened)
        if done is not None:
            totals = done.result
            told |= genai.usage_attributes(totals.usage, self._profile)
            told[names.RESPONSE_FINISH_REASONS] = [totals.finish_reason]
            told[names.FINISH_REASON] = totals.finish_reason
            if totals.model:
                told[names.RESPONSE_MODEL] = totals.model
            if totals.cost_usd is not None:
                told[names.COST] = float(totals.cost_usd)
            error_type = words = None
            if isinstance(done, Error):
                error_type, words = done.error_type, done.message
            elif isinstance(done, RunCancelled):
                error_type = totals.finish_reason
        elif error_type is None and (opened.begun is not None or names.RESUMED in told):
            told[names.FINISH_REASON] = "paused"
        if self._policy.on_spans and run.answer is not None:
            opened.content[names.OUTPUT_MESSAGES] = genai.output_messages(*run.answer)
        seconds = self._close(opened, error_type, words)
        if done is not None:
            self._instruments.run(seconds, told, inferences=run.inferences, tool_calls=run.tool_calls)

    def _emit(self, opened: OpenSpan, name: str, told: dict[str, Any]) -> None:
        if self._policy.in_events:
            told |= {k: genai.safe(v) for k, v in opened.content.items() if v}
        self._api.log(name, told, opened.start_ns + (opened.duration_ns or 0), opened.context)

    def _emit_exception(self, opened: OpenSpan, name: str, error_type: str, words: str | None) -> None:
        told = {names.EXCEPTION_TYPE: error_type}
        if words and self._policy.words:
            told[names.EXCEPTION_MESSAGE] = redact(words)
        self._api.log(name, told, opened.start_ns + (opened.duration_ns or 0), opened.context)


def _raised(opened: OpenSpan) -> tuple[str | None, str | None]:
    """What left a span of which no event said how it ended."""
    name = opened.raised
    if name is None:
        return None, None
    return ("cancelled" if name in ("CancelledError", "GeneratorExit") else name), None
