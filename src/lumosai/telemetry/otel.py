"""OpenTelemetry out (extra `otel`): spans and metrics under the conventions for generative AI, through your own SDK.

    from lumosai.telemetry.otel import OpenTelemetry

    agent = Agent("assistant", observers=[OpenTelemetry()])

A bridge, not the core: it reads a run's events, and opens each span inside the task that does what the span stands for, so
that instrumented clients inside a tool are its children and the SDK's ids and sampler are those of the run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Literal

from lumosai._version import __version__
from lumosai.errors import InvalidInputError
from lumosai.telemetry import semconv
from lumosai.telemetry._instruments import Instruments
from lumosai.telemetry._opentelemetry import OpenTelemetryApi
from lumosai.telemetry._otel_embeddings import Asked, Embeddings
from lumosai.telemetry._otel_ends import Endings, Policy
from lumosai.telemetry._otel_spans import Spans

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from lumosai.events import Event
    from lumosai.propagation import SpanIds
    from lumosai.telemetry.trace import Content

CONTENT_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
EVENTS_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"
_PLACES: Final = {
    "NO_CONTENT": (False, False),
    "SPAN_ONLY": (True, False),
    "EVENT_ONLY": (False, True),
    "SPAN_AND_EVENT": (True, True),
}


class OpenTelemetry:
    """Gives OpenTelemetry the runs of the agents that it observes, as spans, metrics and, on request, events.

    Its ids are the SDK's, and so are those of the run's events and of the headers that go out. Without an SDK nothing is
    exported and the ids stay ours. Equal ones, such as those of an agent and of its sub-agent, tell a run once.

    Args:
        tracer_provider: None for the program's own.
        meter_provider: likewise.
        profile: "1.41", the names that today's back ends read, or "latest".
        content: how much of what was said is told: "off" nothing, not even an error's words; "metadata" errors' words;
            "full" messages, instructions, tools, arguments and results too, on spans, unless the variable below says
            where. None for what `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says (NO_CONTENT, SPAN_ONLY,
            EVENT_ONLY, SPAN_AND_EVENT), "off" where it says nothing. What looks like a secret is left out in any case.
            Events are emitted where content goes there, or as `OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT` says.
        logger_provider: as `tracer_provider`, for events.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
        InvalidInputError: no such profile, or no such content.
    """

    deltas = False
    """It has no use for deltas, so no answer is streamed for its sake."""

    measured = True
    """What it costs is known: where it seems slow the machine is busy, and nobody is warned."""

    def __init__(
        self,
        tracer_provider: Any = None,
        meter_provider: Any = None,
        profile: Literal["1.41", "latest"] = "1.41",
        content: Content | None = None,
        *,
        logger_provider: Any = None,
    ) -> None:
        found, policy = semconv.profile(profile), _policy(content)
        providers = self._providers = (tracer_provider, meter_provider, logger_provider)  # held, for ids are compared
        self._same = (*map(id, providers), found.name, policy)
        api = OpenTelemetryApi(*providers, version=__version__, schema_url=semconv.SCHEMA_URL)
        instruments = Instruments(api.meter, found)
        self._spans = Spans(api, instruments, found, policy, Endings(api, instruments, found, policy))
        self._embeddings = Embeddings(api, instruments, policy)

    def __repr__(self) -> str:
        return f"<OpenTelemetry, profile {self._same[3]}>"

    def __eq__(self, other: object) -> bool:
        return self._same == other._same if isinstance(other, OpenTelemetry) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._same)

    def around(
        self, kind: str, name: str, attributes: Mapping[str, Any], parent: SpanIds | None
    ) -> AbstractContextManager[SpanIds | None]:
        """What is entered where a run, a model call or a tool call begins."""
        return _Entered(self._spans, kind, name, attributes, parent)

    def around_embedding(self, asked: Asked) -> AbstractContextManager[SpanIds | None]:
        """What is entered where an embedding model is asked, for a run or for none."""
        return self._embeddings.around(asked)

    def __call__(self, event: Event) -> None:
        """Takes a run's next event; what makes it an observer."""
        self._spans.add(event)


class _Entered:
    """What `around` gives."""

    __slots__ = ("_given", "_spans", "_ticket")

    def __init__(self, spans: Spans, *given: Any) -> None:
        self._spans = spans
        self._given = given

    def __enter__(self) -> SpanIds | None:
        self._ticket = self._spans.enter(*self._given)
        return self._ticket.ids

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spans.leave(self._ticket, error)


def _policy(content: Content | None) -> Policy:
    """How much is told, as the argument or the environment says."""
    if content not in (None, "off", "metadata", "full"):
        raise InvalidInputError(f"content={content!r}: it is 'off', 'metadata' or 'full'")
    place = os.environ.get(CONTENT_VARIABLE, "").strip().upper()
    spans, events = _PLACES.get(place, (False, False))
    if content in ("off", "metadata"):
        spans = events = False
    elif content == "full" and not (spans or events):
        spans = True
    told = os.environ.get(EVENTS_VARIABLE, "").strip().lower()
    emits = told == "true" or (told != "false" and events)
    return Policy(content == "metadata" or spans or events, spans, events and emits, emits)
