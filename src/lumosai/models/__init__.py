"""Models: every way to ask one, behind the one contract of `base`.

Names are looked up when they are used, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lumosai._http.values import Timeouts
    from lumosai.models.anthropic import AnthropicModel
    from lumosai.models.base import (
        AttemptStarted,
        Chunk,
        EmbeddingModel,
        Embeddings,
        Finished,
        Model,
        ModelRequest,
        PartChunk,
        ReasoningChunk,
        TextChunk,
        ToolCallChunk,
        UsageChunk,
    )
    from lumosai.models.embeddings import embedder
    from lumosai.models.fallback import FallbackModel
    from lumosai.models.gemini import GeminiModel
    from lumosai.models.gemini_embeddings import GeminiEmbeddingModel
    from lumosai.models.local import LocalModel
    from lumosai.models.local_embeddings import LocalEmbeddingModel
    from lumosai.models.openai_chat import OpenAIChatModel
    from lumosai.models.openai_embeddings import OpenAIEmbeddingModel
    from lumosai.models.openai_responses import OpenAIResponsesModel
    from lumosai.models.prices import Price
    from lumosai.models.profiles import Profile
    from lumosai.models.registry import model
    from lumosai.models.retry import RetryModel

_HOMES = {
    "AnthropicModel": "anthropic",
    "AttemptStarted": "base",
    "Chunk": "base",
    "EmbeddingModel": "base",
    "Embeddings": "base",
    "FallbackModel": "fallback",
    "Finished": "base",
    "GeminiEmbeddingModel": "gemini_embeddings",
    "GeminiModel": "gemini",
    "LocalEmbeddingModel": "local_embeddings",
    "LocalModel": "local",
    "Model": "base",
    "ModelRequest": "base",
    "OpenAIChatModel": "openai_chat",
    "OpenAIEmbeddingModel": "openai_embeddings",
    "OpenAIResponsesModel": "openai_responses",
    "PartChunk": "base",
    "Price": "prices",
    "Profile": "profiles",
    "ReasoningChunk": "base",
    "RetryModel": "retry",
    "TextChunk": "base",
    "Timeouts": "",
    "ToolCallChunk": "base",
    "UsageChunk": "base",
    "embedder": "embeddings",
    "model": "registry",
}

__all__ = [  # sorted as the table above
    "AnthropicModel",
    "AttemptStarted",
    "Chunk",
    "EmbeddingModel",
    "Embeddings",
    "FallbackModel",
    "Finished",
    "GeminiEmbeddingModel",
    "GeminiModel",
    "LocalEmbeddingModel",
    "LocalModel",
    "Model",
    "ModelRequest",
    "OpenAIChatModel",
    "OpenAIEmbeddingModel",
    "OpenAIResponsesModel",
    "PartChunk",
    "Price",
    "Profile",
    "ReasoningChunk",
    "RetryModel",
    "TextChunk",
    "Timeouts",
    "ToolCallChunk",
    "UsageChunk",
    "embedder",
    "model",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    module = importlib.import_module(f"{__name__}.{home}" if home else "lumosai._http.values")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
