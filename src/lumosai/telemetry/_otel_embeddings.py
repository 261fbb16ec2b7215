"""Calls of embedding models as spans of OpenTelemetry's: begun where the model is asked, a run's inside the run."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from lumosai._secrets import redact
from lumosai.telemetry import _genai as genai
from lumosai.telemetry import semconv as names
from lumosai.telemetry.measure import STOPPED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lumosai.events import EmbeddingCall
    from lumosai.propagation import SpanIds
    from lumosai.telemetry._instruments import Instruments
    from lumosai.telemetry._opentelemetry import OpenTelemetryApi
    from lumosai.telemetry._otel_ends import Policy


class Asked(Protocol):
    """A call that goes on: what is known of it, and of the run that asks."""

    @property
    def told(self) -> EmbeddingCall: ...

    @property
    def known(self) -> Mapping[str, Any]: ...


class Embeddings:
    """Wraps them.

    Args:
        api: OpenTelemetry's.
        instruments: what is measured.
        policy: how much is told.
    """

    def __init__(self, api: OpenTelemetryApi, instruments: Instruments, policy: Policy) -> None:
        self._api = api
        self._instruments = instruments
        self._policy = policy

    @contextmanager
    def around(self, asked: Asked) -> Iterator[SpanIds | None]:
        """The span of a call, which its observers are told the ids of."""
        api, told = self._api, _first(asked)
        context, around = api.here()
        conversation = api.conversation(context)
        if conversation:
            told.setdefault(names.CONVERSATION, conversation)
        start_ns = time.time_ns()
        name = f"{names.EMBEDDINGS} {told[names.REQUEST_MODEL]}"
        span = api.start(name, told, start_ns, context, client=True)
        token = api.attach(api.inside(span, context))
        try:
            yield api.ids(span, around, context)
        finally:
            api.detach(token)
            self._end(span, told, asked.told, start_ns)

    def _end(self, span: Any, told: dict[str, Any], call: EmbeddingCall, start_ns: int) -> None:
        if call.tokens:
            told[names.USAGE_INPUT] = call.tokens
        if call.dimensions:
            told[names.DIMENSIONS] = call.dimensions
        if call.cost_usd is not None:
            told[names.COST] = float(call.cost_usd)
        if call.error_type is not None:
            told[names.ERROR_TYPE] = call.error_type
        if span.is_recording():
            span.set_attributes(told)
            if call.error_type is not None and call.error_type not in STOPPED:
                self._api.fail(span, redact(call.error) if call.error and self._policy.words else None)
        span.end(start_ns + round(call.duration_ms * 1e6))
        cost = float(call.cost_usd) if call.cost_usd is not None else None
        self._instruments.embedding(call.duration_ms / 1e3, told, call.tokens, cost)


def _first(asked: Asked) -> dict[str, Any]:
    """What a span begins with: samplers look at that."""
    call, known = asked.told, asked.known
    told: dict[str, Any] = {
        names.OPERATION: names.EMBEDDINGS,
        names.PROVIDER: names.provider(call.provider or names.OTHER_ERROR),
        names.REQUEST_MODEL: call.model,
        names.EMBEDDED: call.kind,
        names.TEXTS: call.texts,
    }
    if call.dimensions:
        told[names.DIMENSIONS] = call.dimensions
    for ours, name in (("run_id", names.RUN_ID), ("agent", names.AGENT_NAME), ("thread_id", names.CONVERSATION)):
        if ours in known:
            told[name] = known[ours]
    return told | genai.server_attributes(call.endpoint)
