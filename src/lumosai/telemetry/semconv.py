"""The names of OpenTelemetry's conventions for generative AI, in the two wordings that back ends read.

Source: open-telemetry/semantic-conventions, `docs/gen-ai`, the text of version 1.41, which today's back ends read (profile
"1.41"); and open-telemetry/semantic-conventions-genai, where the conventions live since (profile "latest"). Only what
differs between the two stands in a `Profile`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from lumosai.errors import InvalidInputError

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.0"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
CONVERSATION: Final = "gen_ai.conversation.id"
OUTPUT_TYPE: Final = "gen_ai.output.type"
AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_VERSION: Final = "gen_ai.agent.version"
ERROR_TYPE: Final = "error.type"
OTHER_ERROR: Final = "_OTHER"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_CHOICES: Final = "gen_ai.request.choice.count"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_TOP_K: Final = "gen_ai.request.top_k"
REQUEST_STOP: Final = "gen_ai.request.stop_sequences"
REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
REQUEST_REASONING: Final = "gen_ai.request.reasoning.level"

RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"

USAGE_INPUT: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"

TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"

DIMENSIONS: Final = "gen_ai.embeddings.dimension.count"

MEMORY_STORE: Final = "gen_ai.memory.store.id"
MEMORY_RECORD: Final = "gen_ai.memory.record.id"
MEMORY_RECORDS: Final = "gen_ai.memory.record.count"

INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"

DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
EXCEPTION_EVENT: Final = "gen_ai.client.operation.exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"

INVOKE_AGENT: Final = "invoke_agent"
EXECUTE_TOOL: Final = "execute_tool"
CHAT: Final = "chat"
EMBEDDINGS: Final = "embeddings"
GENERATE_CONTENT: Final = "generate_content"
MEMORY_OPERATIONS: Final = {"recall": "search_memory", "save": "create_memory"}
"""Of operations on memory, as our events call them. Another keeps its own name."""

RUN_ID: Final = "lumosai.run.id"
STEP: Final = "lumosai.step"
ATTEMPTS: Final = "lumosai.attempts"
PURPOSE: Final = "lumosai.purpose"
FINISH_REASON: Final = "lumosai.finish_reason"
COST: Final = "lumosai.cost_usd"
RESUMED: Final = "lumosai.resumed"
IDEMPOTENCY_KEY: Final = "lumosai.idempotency_key"
QUEUED: Final = "lumosai.queued_s"
PENDING: Final = "lumosai.pending"
"""What the conventions have no name for."""

PROVIDERS: Final = {
    "openai-responses": "openai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""Our provider's name → the conventions' well-known value. The others' are the same, or have none and stay theirs."""

AGENT_DURATION: Final = "gen_ai.invoke_agent.duration"
AGENT_INFERENCES: Final = "gen_ai.invoke_agent.inference_calls"
AGENT_TOOL_CALLS: Final = "gen_ai.invoke_agent.tool_calls"
TOOL_DURATION: Final = "gen_ai.execute_tool.duration"
OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105  # a metric
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105  # likewise an attribute
EMBEDDED: Final = "lumosai.embedded"
TEXTS: Final = "lumosai.texts"
COST_METRIC: Final = "lumosai.cost"

CLIENT_SECONDS: Final = tuple([0.01 * 2**k for k in range(14)])
AGENT_SECONDS: Final = tuple([0.1 * 2**k for k in range(13)])
TOKENS: Final = tuple([float(4**k) for k in range(14)])
COUNTS: Final = tuple([float(2**k) for k in range(8)])
"""Bucket boundaries that the conventions ask for."""


class Profile(NamedTuple):
    """What the two wordings of the conventions say differently.

    Attributes:
        name: "1.41" or "latest".
        usage_cache_write: tokens that the provider's cache took in.
        agent_details: whether the span of an agent in this process has its provider and its version.
        inference_duration: the metric of how long an answer took.
        first_chunk, per_chunk: of how long its first part took, and each further one.
        token_counters: whether tokens are counted by counters, one a kind, in place of one histogram with a type.
        tool_exception: the event of a tool that raised, "" where there is none.
    """

    name: str
    usage_cache_write: str
    agent_details: bool
    inference_duration: str
    first_chunk: str
    per_chunk: str
    token_counters: bool
    tool_exception: str


V1_41: Final = Profile(
    "1.41",
    "gen_ai.usage.cache_creation.input_tokens",
    True,
    OPERATION_DURATION,
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.operation.time_per_output_chunk",
    False,
    "",
)
LATEST: Final = Profile(
    "latest",
    "gen_ai.usage.cache_write.input_tokens",
    False,
    "gen_ai.client.inference.duration",
    "gen_ai.client.inference.time_to_first_chunk",
    "gen_ai.client.inference.time_per_output_chunk",
    True,
    "gen_ai.execute_tool.exception",
)
_PROFILES: Final = {p.name: p for p in (V1_41, LATEST)}


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        InvalidInputError: there is none.
    """
    found = _PROFILES.get(name)
    if found is None:
        raise InvalidInputError(f"profile={name!r}: it is {' or '.join(map(repr, _PROFILES))}")
    return found


def provider(name: str) -> str:
    """A provider's name in the conventions."""
    return PROVIDERS.get(name, name)


def operation(provider_name: str) -> str:
    """What a request to a provider of ours is called."""
    return GENERATE_CONTENT if provider_name == "gemini" else CHAT


def usage_counter(kind: str) -> str:
    """In the latest profile the counter of a kind of tokens, such as "cache_read.input_tokens"."""
    return f"gen_ai.client.inference.usage.{kind}"


def usage_histogram(kind: str) -> str:
    """In the latest profile the histogram of the tokens of one answer: "input_tokens" or "output_tokens"."""
    return f"gen_ai.client.inference.operation.{kind}"
