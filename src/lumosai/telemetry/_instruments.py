"""The metrics of OpenTelemetry's conventions for generative AI, of one meter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lumosai.telemetry import semconv as names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.records import Usage
    from lumosai.telemetry.semconv import Profile

_OF_A_CALL = (
    names.OPERATION,
    names.PROVIDER,
    names.REQUEST_MODEL,
    names.RESPONSE_MODEL,
    names.SERVER_ADDRESS,
    names.SERVER_PORT,
    names.ERROR_TYPE,
)


class Instruments:
    """What is measured.

    Args:
        meter: OpenTelemetry's.
        profile: whose names.
    """

    def __init__(self, meter: Any, profile: Profile) -> None:
        def seconds(name: str, description: str, buckets: tuple[float, ...] = names.CLIENT_SECONDS) -> Any:
            return meter.create_histogram(
                name, unit="s", description=description, explicit_bucket_boundaries_advisory=buckets
            )

        def counts(name: str, unit: str, description: str, buckets: tuple[float, ...] = names.COUNTS) -> Any:
            return meter.create_histogram(
                name, unit=unit, description=description, explicit_bucket_boundaries_advisory=buckets
            )

        self._answers = seconds(profile.inference_duration, "GenAI operation duration.")
        self._memory = (
            self._answers
            if profile.inference_duration == names.OPERATION_DURATION
            else seconds(names.OPERATION_DURATION, "GenAI operation duration.")
        )
        self._first = seconds(profile.first_chunk, "Time to receive the first chunk.")
        self._each = seconds(profile.per_chunk, "Time per output chunk after the first.")
        self._runs = seconds(names.AGENT_DURATION, "Agent invocation duration.", names.AGENT_SECONDS)
        self._tools = seconds(names.TOOL_DURATION, "Tool execution duration.")
        self._inferences = counts(names.AGENT_INFERENCES, "{inference_call}", "Model calls of an agent invocation.")
        self._tool_calls = counts(names.AGENT_TOOL_CALLS, "{tool_call}", "Tool calls of an agent invocation.")
        self._cost = meter.create_counter(names.COST_METRIC, unit="{USD}", description="What model calls cost.")
        self._usage: Any = None
        self._tokens: dict[str, Any] = {}
        if not profile.token_counters:
            self._usage = counts(names.TOKEN_USAGE, "{token}", "Number of input and output tokens used.", names.TOKENS)
        else:
            for kind in _KINDS:
                self._tokens[kind] = meter.create_counter(names.usage_counter(kind), unit="{token}")
            for kind in _KINDS[:2]:
                name = names.usage_histogram(kind)
                self._tokens[name] = counts(name, "{token}", "Tokens of one model call.", names.TOKENS)

    def answer(self, seconds: float, attributes: Mapping[str, Any], usage: Usage, cost: float | None) -> None:
        """An answer that came, or failed to."""
        known = _chosen(attributes, _OF_A_CALL)
        self._answers.record(seconds, known)
        known.pop(names.ERROR_TYPE, None)
        first = attributes.get(names.RESPONSE_FIRST_CHUNK)
        if first is not None and attributes.get(names.REQUEST_STREAM):
            self._first.record(first, known)
        if usage.input_tokens or usage.output_tokens:
            self._count(usage, known)
        if cost:
            self._cost.add(cost, known)

    def embedding(self, seconds: float, attributes: Mapping[str, Any], tokens: int, cost: float | None) -> None:
        """Vectors that came, or failed to."""
        known = _chosen(attributes, _OF_A_CALL)
        self._memory.record(seconds, known)
        known.pop(names.ERROR_TYPE, None)
        if tokens and self._usage is not None:
            self._usage.record(tokens, {**known, names.TOKEN_TYPE: "input"})
        elif tokens:
            self._tokens["input_tokens"].add(tokens, known)
        if cost:
            self._cost.add(cost, known)

    def _count(self, usage: Usage, known: dict[str, Any]) -> None:
        if self._usage is not None:
            for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
                if tokens:
                    self._usage.record(tokens, {**known, names.TOKEN_TYPE: kind})
            return
        told = (
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
        )
        for kind, tokens in zip(_KINDS, told, strict=True):
            if tokens:
                self._tokens[kind].add(tokens, known)
        for kind, tokens in zip(_KINDS[:2], told, strict=False):
            self._tokens[names.usage_histogram(kind)].record(tokens, known)

    def chunk(self, seconds: float, attributes: Mapping[str, Any]) -> None:
        """A further part of an answer."""
        self._each.record(seconds, _chosen(attributes, _OF_A_CALL[:3]))

    def memory(self, seconds: float, attributes: Mapping[str, Any]) -> None:
        """Memory was read or written."""
        self._memory.record(seconds, _chosen(attributes, _OF_A_CALL))

    def tool(self, seconds: float, attributes: Mapping[str, Any]) -> None:
        """A tool ran, or was refused."""
        wanted = (names.TOOL_NAME, names.TOOL_TYPE, names.AGENT_NAME, names.ERROR_TYPE)
        self._tools.record(seconds, _chosen(attributes, wanted))

    def run(self, seconds: float, attributes: Mapping[str, Any], *, inferences: int, tool_calls: int) -> None:
        """An agent has run."""
        known = _chosen(attributes, (names.AGENT_NAME, names.ERROR_TYPE))
        self._runs.record(seconds, known)
        known.pop(names.ERROR_TYPE, None)
        self._inferences.record(inferences, known)
        self._tool_calls.record(tool_calls, known)


_KINDS = (
    "input_tokens",
    "output_tokens",
    "cache_read.input_tokens",
    "cache_write.input_tokens",
    "reasoning.output_tokens",
)


def _chosen(attributes: Mapping[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    return {name: attributes[name] for name in wanted if name in attributes}
