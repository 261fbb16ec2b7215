"""What is known of embedding models: which provider has which, how long their vectors are, how much one request takes.

A request is cut by the number of texts and by their bytes. A text has at most as many tokens as bytes, so a limit of
tokens is kept by counting bytes, whatever the tokenizer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Embedder(msgspec.Struct, frozen=True, kw_only=True):
    """The embedding models of one provider.

    Attributes:
        home: "module:class" of who speaks its protocol.
        default: the model that "auto" takes; "" where the provider is not taken unasked.
        prefixes: what bare names of its models begin with.
        dimensions: a pattern of a model's name, and how long its vectors are where nothing else is asked for.
        texts: texts in a request, at most.
        bytes: bytes of text in a request, at most, unless one text alone has more.
        dimensions_field: the request's name for the number of dimensions.
        base64: whether vectors may be asked for as base64, a quarter of the size.
        kind_field: where a server is told what texts are for: the field, and its word for queries and for passages.
    """

    home: str = "lumosai.models.openai_embeddings:OpenAIEmbeddingModel"
    default: str = ""
    prefixes: tuple[str, ...] = ()
    dimensions: tuple[tuple[str, int], ...] = ()
    texts: int = 64
    bytes: int = 200_000
    dimensions_field: str = "dimensions"
    base64: bool = False
    kind_field: tuple[str, str, str] | None = None


_OTHERS: Final = Embedder()

EMBEDDERS: Final[Mapping[str, Embedder]] = {
    "openai": Embedder(
        default="text-embedding-3-small",
        prefixes=("text-embedding-3", "text-embedding-ada"),
        dimensions=((r"3-large", 3072), (r"3-small|ada-002", 1536)),
        texts=1024,  # 2048 are taken, whose vectors would be too large an answer
        bytes=300_000,
        base64=True,
    ),
    "gemini": Embedder(
        home="lumosai.models.gemini_embeddings:GeminiEmbeddingModel",
        default="gemini-embedding-001",
        prefixes=("gemini-embedding", "text-embedding-004"),
        dimensions=((r"text-embedding-004|^embedding-001", 768), (r"gemini-embedding", 3072)),
        texts=100,
        bytes=20_000,
    ),
    "qwen": Embedder(
        default="text-embedding-v4",
        prefixes=("text-embedding-v",),
        dimensions=((r"-v[34]", 1024), (r"-v[12]", 1536)),
        texts=10,
    ),
    "zhipu": Embedder(
        default="embedding-3",
        prefixes=("embedding-2", "embedding-3"),
        dimensions=((r"^embedding-3", 2048), (r"^embedding-2", 1024)),
        texts=64,
        bytes=8_000,
    ),
    "mistral": Embedder(
        default="mistral-embed",
        prefixes=("mistral-embed", "codestral-embed"),
        dimensions=((r"^mistral-embed", 1024), (r"^codestral-embed", 1536)),
        texts=256,
        bytes=16_000,
        dimensions_field="output_dimension",
    ),
    "cohere": Embedder(
        default="embed-v4.0",
        prefixes=("embed-v4", "embed-english", "embed-multilingual"),
        dimensions=((r"-v4", 1536), (r"-light-v3", 384), (r"-v3", 1024)),
        texts=96,
        kind_field=("input_type", "search_query", "search_document"),
    ),
    "together": Embedder(),
    "openrouter": Embedder(),
    "ollama": Embedder(),
    "lmstudio": Embedder(),
    "vllm": Embedder(base64=True),
}
"""By provider, in the order in which "auto" tries them."""

_PREFIXES: Final = (
    (r"nomic-embed", ("search_query: ", "search_document: ")),
    (r"(^|[/-])e5-|multilingual-e5", ("query: ", "passage: ")),
    (r"embedding-?gemma|gemini-embedding-[2-9]", ("task: search result | query: ", "title: none | text: ")),
    (
        r"qwen3-embedding",
        (
            "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:",
            "",
        ),
    ),
    (
        r"mxbai-embed|snowflake-arctic-embed-[lms]\b(?!-v2)|bge-(small|base|large)-en",
        ("Represent this sentence for searching relevant passages: ", ""),
    ),
    (r"bge-(small|base|large)-zh", ("为这个句子生成表示以用于检索相关文章：", "")),
    (r"snowflake-arctic-embed.*v2|arctic-embed2", ("query: ", "")),
)
"""What models that know no parameter for it were trained to see before a query and before a passage."""


def embedder_of(provider: str) -> Embedder:
    """What is known of a provider's embedding models; the usual where nothing is."""
    return EMBEDDERS.get(provider, _OTHERS)


def dimensions_of(provider: str, name: str) -> int:
    """How long a model's vectors are where nothing else is asked for; 0 where that is not known."""
    for pattern, dimensions in embedder_of(provider).dimensions:
        if re.search(pattern, name):
            return dimensions
    return 0


def prefixes_of(name: str) -> tuple[str, str]:
    """What stands before a query and before a passage, by the model's name."""
    lower = name.lower()
    for pattern, prefixes in _PREFIXES:
        if re.search(pattern, lower):
            return prefixes
    return "", ""
