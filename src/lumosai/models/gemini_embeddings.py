"""Embedding models behind Gemini's `:batchEmbedContents`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from lumosai.models._embedding_server import ServerEmbeddingModel
from lumosai.models._encoded import encode
from lumosai.records import Usage

if TYPE_CHECKING:
    from lumosai.models._endpoint import Endpoint
    from lumosai.models.base import EmbeddingKind

_TASKS = {"query": "RETRIEVAL_QUERY", "passage": "RETRIEVAL_DOCUMENT"}
_UNIT = 1e-3
"""How far a length may be from 1 for a vector to count as normalised."""


class GeminiEmbeddingModel(ServerEmbeddingModel):
    """An embedding model of Google's Gemini API; its arguments are those of every embedding model behind a server.

    A vector of fewer dimensions than the model's own is a cut one, which the API does not always bring back to the length
    1: it is done here, so that a dot product is the cosine. The model itself cuts a text that is too long for it.
    """

    PROVIDER: ClassVar[str] = "gemini"

    def _own_address(self) -> str:
        return "https://generativelanguage.googleapis.com/v1beta"

    def _own_headers(self, key: str | None) -> dict[str, str]:
        return {"x-goog-api-key": key} if key else {}

    def _request(self, to: Endpoint, texts: list[str], kind: EmbeddingKind) -> tuple[str, bytes]:
        path, mark, query = to.base_url.partition("?")
        model = self.name if "/" in self.name else f"models/{self.name}"
        shared: dict[str, Any] = {"model": model}
        if not any(self._prefixes):  # a model that is told by words takes no parameter for it
            shared["taskType"] = _TASKS[kind]
        if self._asked_dimensions is not None:
            shared["outputDimensionality"] = self._asked_dimensions
        shared |= self._extra
        requests = [{**shared, "content": {"parts": [{"text": text}]}} for text in texts]
        return f"{path.rstrip('/')}/{model}:batchEmbedContents{mark}{query}", encode({"requests": requests})

    def _read(self, data: bytes, count: int) -> tuple[list[list[float]], Usage]:  # noqa: ARG002  # in the order of the texts
        try:
            answer = _decode(data)
        except UnicodeDecodeError as error:
            raise ValueError(str(error)) from error
        tokens = answer.usage.prompt_tokens or 0 if answer.usage else 0
        return [_unit(e.values) for e in answer.embeddings], Usage(input_tokens=tokens, total_tokens=tokens)


class Embedding(msgspec.Struct):
    """One vector."""

    values: list[float] = []


class Told(msgspec.Struct):
    """The tokens of an answer."""

    prompt_tokens: int | None = msgspec.field(default=None, name="promptTokenCount")


class Answer(msgspec.Struct):
    """An answer; what is not used is passed by."""

    embeddings: list[Embedding] = []
    usage: Told | None = msgspec.field(default=None, name="usageMetadata")


_decode = msgspec.json.Decoder(Answer).decode


def _unit(vector: list[float]) -> list[float]:
    """The vector with the length 1; as it is where it has it already, or has none at all."""
    length = math.hypot(*vector)
    if length == 0 or not math.isfinite(length) or abs(length - 1) < _UNIT:
        return vector
    return [x / length for x in vector]
