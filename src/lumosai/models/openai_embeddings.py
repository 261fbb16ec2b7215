"""Embedding models behind `/embeddings`, the wire format of OpenAI, which most servers speak."""

from __future__ import annotations

import binascii
import sys
from array import array
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from lumosai.models._embedding_server import ServerEmbeddingModel
from lumosai.models._embedding_table import embedder_of
from lumosai.models._encoded import encode
from lumosai.records import Usage

if TYPE_CHECKING:
    from lumosai.models._endpoint import Endpoint
    from lumosai.models.base import EmbeddingKind


class OpenAIEmbeddingModel(ServerEmbeddingModel):
    """An embedding model of any OpenAI-compatible server; its arguments are those of every embedding model behind one.

    Vectors are asked for as base64 where the server is known to give them so: a quarter of the bytes, and the very floats.
    What a server refuses of that which nobody asked for is left out from then on.
    """

    PROVIDER: ClassVar[str] = "openai"

    _refused: frozenset[str] = frozenset()

    def _request(self, to: Endpoint, texts: list[str], kind: EmbeddingKind) -> tuple[str, bytes]:
        known = embedder_of(self.provider)
        fields: dict[str, Any] = {"model": self.name, "input": texts}
        if self._asked_dimensions is not None:
            fields[known.dimensions_field] = self._asked_dimensions
        fields |= {k: v for k, v in self._unasked(kind).items() if k not in self._refused}
        return address(to.base_url), encode(fields | self._extra)

    def _unasked(self, kind: EmbeddingKind) -> dict[str, str]:
        """What is sent of our own accord."""
        fields = {"encoding_format": "base64"} if embedder_of(self.provider).base64 else {}
        if self._kind_field is not None:
            field, query, passage = self._kind_field
            fields[field] = query if kind == "query" else passage
        return fields

    def _learn(self, words: str, body: bytes) -> bool:
        named = {
            f for f in self._unasked("query") if f in words and f not in self._extra and f'"{f}":'.encode() in body
        }
        self._refused |= named
        return bool(named)

    def _read(self, data: bytes, count: int) -> tuple[list[list[float]], Usage]:
        try:
            answer = _decode(data)
        except UnicodeDecodeError as error:
            raise ValueError(str(error)) from error
        if answer.data is None:
            what = f"an error: {answer.error}" if answer.error else "no data"
            raise ValueError(what)
        return in_order(answer.data, count), answer.usage.tokens() if answer.usage else Usage()


class Item(msgspec.Struct):
    """One vector: numbers, or base64 of little-endian floats of 32 bits."""

    embedding: list[float] | str
    index: int | None = None


class Told(msgspec.Struct):
    """The tokens of an answer."""

    prompt_tokens: int | None = None
    total_tokens: int | None = None

    def tokens(self) -> Usage:
        """As the house counts them."""
        count = self.prompt_tokens or self.total_tokens or 0
        return Usage(input_tokens=count, total_tokens=self.total_tokens or count)


class Answer(msgspec.Struct):
    """An answer; what is not used is passed by."""

    data: list[Item] | None = None
    usage: Told | None = None
    error: Any = None


_decode = msgspec.json.Decoder(Answer).decode


def address(base_url: str) -> str:
    """Where embeddings are asked for under a base URL, which may have a query, or be that address itself."""
    path, mark, query = base_url.partition("?")
    path = path.rstrip("/")
    if not path.endswith("/embeddings"):
        path += "/embeddings"
    return path + mark + query


def in_order(items: list[Item], count: int) -> list[list[float]]:
    """The vectors by the index each names, or as they stand where none does.

    Raises:
        ValueError: an index is there twice, is beyond the texts, or only some vectors have one.
    """
    named = [i for i in items if i.index is not None]
    if not named or all(i.index == 0 for i in named):  # some servers write 0 everywhere
        return [_floats(i.embedding) for i in items]
    found: dict[int, list[float]] = {}
    for item in items:
        if item.index is None or item.index in found or not 0 <= item.index < count:
            msg = f"the index {item.index} for one of {count} texts"
            raise ValueError(msg)
        found[item.index] = _floats(item.embedding)
    return [found[i] for i in sorted(found)]


def _floats(embedding: list[float] | str) -> list[float]:
    if isinstance(embedding, list):
        return embedding
    numbers = array("f")
    numbers.frombytes(binascii.a2b_base64(embedding, strict_mode=True))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
