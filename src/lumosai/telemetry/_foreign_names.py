"""What other programs call things, and what our spans call the same.

The names are those of OpenTelemetry's GenAI conventions (1.41 and newer, and the older ones that programs still send) and
of OpenInference. What is not in these tables keeps its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.traces import StepKind

OWN: Final = "lumosai."
"""What begins the names of attributes that no convention has."""
OPERATION: Final = "gen_ai.operation.name"
CONTENT_OFF: Final = frozenset({"messages", "result_chars"})
"""Attributes that tell the size of what was said."""

KINDS: Final[Mapping[str, StepKind]] = {
    "chat": "model_call",
    "generate_content": "model_call",
    "text_completion": "model_call",
    "embeddings": "embedding",
    "execute_tool": "tool_call",
    "invoke_agent": "run",
    "search_memory": "memory",
    "create_memory": "memory",
    "update_memory": "memory",
    "upsert_memory": "memory",
    "delete_memory": "memory",
    "create_memory_store": "memory",
    "delete_memory_store": "memory",
}
"""Kinds by the name of the operation."""
OTHER_KINDS: Final[Mapping[str, StepKind]] = {
    "LLM": "model_call",
    "EMBEDDING": "embedding",
    "TOOL": "tool_call",
    "AGENT": "run",
    "GUARDRAIL": "guard",
    # of the Traceloop family
    "chat": "model_call",
    "completion": "model_call",
    "embedding": "embedding",
    "tool": "tool_call",
    "agent": "run",
}
"""Kinds by what OpenInference and Traceloop call them."""
KIND_KEYS: Final = ("openinference.span.kind", "llm.request.type", "traceloop.span.kind")

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "run": ("gen_ai.agent.name", "agent.name", "traceloop.entity.name"),
    "model_call": ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name"),
    "embedding": ("gen_ai.request.model", "gen_ai.response.model", "embedding.model_name", "llm.model_name"),
    "tool_call": ("gen_ai.tool.name", "tool.name", "traceloop.entity.name"),
    "memory": (OPERATION,),
}
"""Where a span's name stands, by its kind."""

SEMCONV: Final[Mapping[str, str]] = {
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "response_id": "gen_ai.response.id",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "thread_id": "gen_ai.conversation.id",
    "agent_version": "gen_ai.agent.version",
    "dimensions": "gen_ai.embeddings.dimension.count",
    "call_id": "gen_ai.tool.call.id",
    "arguments": "gen_ai.tool.call.arguments",
    "result": "gen_ai.tool.call.result",
}
"""Our attributes, and what the conventions call them."""

OURS: Final[Mapping[str, str]] = {
    **{theirs: ours for ours, theirs in SEMCONV.items()},
    "gen_ai.system": "provider",
    "gen_ai.usage.prompt_tokens": "input_tokens",
    "gen_ai.usage.completion_tokens": "output_tokens",
    "gen_ai.usage.cache_write.input_tokens": "cache_write_tokens",
    "gen_ai.usage.cache_read_input_tokens": "cache_read_tokens",
    "gen_ai.usage.cache_creation_input_tokens": "cache_write_tokens",
    "gen_ai.usage.total_tokens": "total_tokens",
    "gen_ai.memory.record.count": "count",
    "llm.usage.total_tokens": "total_tokens",
    "llm.provider": "provider",
    "llm.model_name": "model",
    "embedding.model_name": "model",
    "llm.token_count.prompt": "input_tokens",
    "llm.token_count.completion": "output_tokens",
    "llm.token_count.total": "total_tokens",
    "llm.token_count.completion_details.reasoning": "reasoning_tokens",
    "llm.token_count.prompt_details.cache_read": "cache_read_tokens",
    "llm.token_count.prompt_details.cache_write": "cache_write_tokens",
    "tool_call.id": "call_id",
    "session.id": "thread_id",
}
"""What others call them, and what we do; of two that mean one, the first that is there counts."""

COUNTS: Final = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "reasoning_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "total_tokens",
        "count",
        "dimensions",
    }
)
"""Attributes that are whole numbers."""
TEXTS: Final = frozenset(
    {"provider", "model", "response_model", "response_id", "thread_id", "agent_version", "call_id"}
)
"""Those that are texts."""

SETTINGS: Final[Mapping[str, str]] = {
    "gen_ai.request.temperature": "temperature",
    "gen_ai.request.top_p": "top_p",
    "gen_ai.request.max_tokens": "max_output_tokens",
    "gen_ai.request.stop_sequences": "stop",
    "gen_ai.request.seed": "seed",
}
"""What a model was asked with."""

FINISH: Final = "gen_ai.response.finish_reasons"
FIRST_CHUNK: Final = ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")
"""Seconds, which are milliseconds here."""

CONTENT: Final = frozenset(
    {
        "input",
        "prompt",
        "output",
        "arguments",
        "result",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.retrieval.documents",
        "gen_ai.retrieval.query.text",
        "gen_ai.memory.query.text",
        "gen_ai.memory.records",
        "gen_ai.prompt",
        "gen_ai.completion",
        "input.value",
        "output.value",
        "llm.prompts",
        "llm.function_call",
        "tool.parameters",
        "traceloop.entity.input",
        "traceloop.entity.output",
        "input_messages",
        "output_messages",
        "pydantic_ai.all_messages",
        "tool_arguments",
        "tool_response",
        "exception.message",
        "exception.stacktrace",
    }
)
"""Attributes that are what was said."""
CONTENT_BEGINS: Final = (
    "gen_ai.prompt.",
    "gen_ai.completion.",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.prompts.",
    "llm.completions.",
    "llm.prompt_template.",
    "retrieval.documents.",
    "embedding.embeddings.",
    "document.",
    "message.",
)
CONTENT_NOTES: Final = ("gen_ai.",)
"""What begins the names of events that are what was said."""


def kind_of(attributes: Mapping[str, Any]) -> StepKind:
    """What a span stands for."""
    told = attributes.get(OPERATION)
    if isinstance(told, str) and told in KINDS:
        return KINDS[told]
    for key in KIND_KEYS:
        told = attributes.get(key)
        if isinstance(told, str) and told in OTHER_KINDS:
            return OTHER_KINDS[told]
    return "span"


def is_content(key: str) -> bool:
    """Whether an attribute is what was said."""
    return key in CONTENT or key.startswith(CONTENT_BEGINS)
