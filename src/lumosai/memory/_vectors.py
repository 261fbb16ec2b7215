"""Vectors as they are stored and compared: a byte a number, brute force, what was read kept for the next time.

A hundred thousand vectors of 384 numbers take 39 MB and some 10 ms, with numpy. Without it there are no vectors.
"""

from __future__ import annotations

from collections import OrderedDict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from lumosai.errors import InvalidInputError, MalformedAnswerError
from lumosai.storage.base import VectorsKnown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.models.base import EmbeddingModel
    from lumosai.storage.base import VectorBlock, Vectors

MOST: Final = 80_000_000
"""Bytes of vectors that are kept between searches."""
_ROWS: Final = 512
"""Vectors that are unpacked at a time: so few that they stay in the processor's cache, and on one core."""
_SPARE: Final = 8
"""One part in so many is left free for what comes."""
_SEQ: Final = 32
_LAST: Final = (1 << _SEQ) - 1


def problem() -> str:
    """Why vectors cannot be compared here, "" where they can."""
    return "" if find_spec("numpy") else "numpy is not installed: pip install 'lumosai[embeddings]'"


def rows(vectors: Any, count: int, model: EmbeddingModel) -> Any:
    """An embedding model's vectors, as an array with a row for each text.

    Raises:
        MalformedAnswerError: there are not as many as texts, or they are not of the model's length.
        InvalidInputError: a number in them is none, or is endless: the model can say nothing of such a text.
    """
    import numpy as np

    who = f"the embedding model {model.name!r}"
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise MalformedAnswerError(f"{who} gave what are no vectors: {error}") from None
    if found.shape != (count, model.dimensions):
        raise MalformedAnswerError(
            f"{who} gave vectors of shape {found.shape} for {count} texts: it is {(count, model.dimensions)} that it says"
        )
    if not np.isfinite(found).all():
        raise InvalidInputError(f"{who} gave a vector with numbers that are none, or too large")
    return found


def packed(*vectors: Sequence[float], dense: bool = False) -> bytes:
    """The mean of vectors, each taken at length 1: a byte a number, behind the number that makes fractions of these again.

    The mean of two that differ is shorter than 1, and so less similar to anything: a message of which they say
    different things is less surely about either. With `dense` all numbers and the last one change their signs, which
    says of the text that it `is_dense`, and changes no comparison.
    """
    import numpy as np

    given = np.asarray(vectors, dtype=np.float32)
    mean = np.mean(given / np.maximum(np.linalg.norm(given, axis=1, keepdims=True), 1e-12), axis=0)
    scale = (float(np.abs(mean).max()) / 127 or 1.0) * (-1 if dense else 1)
    return bytes(np.float32(scale).tobytes() + np.rint(mean / scale).astype(np.int8).tobytes())


class _Kept:
    """One branch's vectors."""

    __slots__ = ("_numbers", "_scales", "_seqs", "count", "space", "version")

    def __init__(self, block: VectorBlock, dimensions: int) -> None:
        import numpy as np

        self.space = block.space
        self.version = block.version
        self.count = 0
        room = len(block.seqs) + len(block.seqs) // _SPARE + _SPARE
        self._seqs = np.empty(room, np.int64)
        self._scales = np.empty(room, np.float32)
        self._numbers = np.empty((room, dimensions), np.int8)
        self.add(block)

    @property
    def size(self) -> int:
        return int(self._numbers.nbytes)

    @property
    def last(self) -> int:
        return int(self._seqs[self.count - 1]) if self.count else 0

    def known(self) -> VectorsKnown:
        return VectorsKnown(self.space, self.version, self.count, self.last)

    def arrays(self) -> tuple[Any, Any, Any]:
        """What there is now; what comes later does not change these."""
        return self._seqs[: self.count], self._scales[: self.count], self._numbers[: self.count]

    def add(self, block: VectorBlock) -> None:
        """Puts what came behind; what another search put there meanwhile is not put there again."""
        import numpy as np

        kind = np.dtype([("s", "<f4"), ("v", "i1", (self._numbers.shape[1],))])
        if sum(map(len, block.data)) != len(block.seqs) * kind.itemsize:  # another model's, under the same name
            return
        seqs = np.array(block.seqs, dtype=np.int64)
        self._reserve(len(seqs))
        start = 0
        for piece in block.data:
            stored = np.frombuffer(piece, dtype=kind)
            numbers = seqs[start : start + len(stored)]
            start += len(stored)
            skipped = int(np.searchsorted(numbers, self.last, side="right"))
            end = self.count + len(stored) - skipped
            self._seqs[self.count : end] = numbers[skipped:]
            self._scales[self.count : end] = stored["s"][skipped:]
            self._numbers[self.count : end] = stored["v"][skipped:]
            self.count = end

    def _reserve(self, more: int) -> None:
        import numpy as np

        if self.count + more <= len(self._seqs):
            return
        room = self.count + more + (self.count + more) // _SPARE
        for name in ("_seqs", "_scales", "_numbers"):
            old = getattr(self, name)
            new = np.empty((room, *old.shape[1:]), old.dtype)
            new[: self.count] = old[: self.count]
            setattr(self, name, new)


class VectorCache:
    """Vectors that were read, by branch; those not used for the longest time go first.

    Args:
        dimensions: numbers in a vector.
        most: bytes that are kept.
    """

    def __init__(self, dimensions: int, most: int = MOST) -> None:
        self.dimensions = dimensions
        self._most = most
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    def known(self) -> dict[int, VectorsKnown]:
        """What need not be read again."""
        return {branch: kept.known() for branch, kept in self._kept.items()}

    def take(self, read: Vectors) -> Searched:
        """What a search goes through, with what was read for it."""
        parts = []
        for block in read.blocks:
            kept = self._kept.get(block.branch)
            if block.anew or kept is None:
                kept = self._kept[block.branch] = _Kept(block, self.dimensions)
            elif block.seqs:
                kept.add(block)
            self._kept.move_to_end(block.branch)
            for first, last in read.ranges:
                if first >> _SEQ == block.branch:
                    parts.append((block.branch, *kept.arrays(), first & _LAST, last & _LAST))
        size = sum(kept.size for kept in self._kept.values())
        while size > self._most and len(self._kept) > 1:
            size -= self._kept.popitem(last=False)[1].size
        return Searched(parts)


class Searched:
    """The vectors that one search goes through."""

    def __init__(self, parts: list[tuple[int, Any, Any, Any, int, int]]) -> None:
        self._parts = parts

    def all(self, vector: Sequence[float]) -> tuple[Any, Any, Any]:
        """Every message's place, its similarity and whether it is dense, as three arrays, in the order of the places."""
        import numpy as np

        query = np.asarray(vector, dtype=np.float32)
        query /= float(np.linalg.norm(query)) or 1.0
        places, similar, dense = [np.empty(0, np.int64)], [np.empty(0, np.float32)], [np.empty(0, np.bool_)]
        room = np.empty((_ROWS, len(query)), np.float32)
        for branch, seqs, scales, numbers, first, last in self._parts:
            low, high = map(int, np.searchsorted(seqs, [first, last + 1]))
            for start in range(low, high, _ROWS):
                end = min(start + _ROWS, high)
                some = room[: end - start]
                np.copyto(some, numbers[start:end])
                similar.append((some @ query) * scales[start:end])
            places.append(seqs[low:high] | branch << _SEQ)
            dense.append(scales[low:high] < 0)
        return np.concatenate(places), np.concatenate(similar), np.concatenate(dense)
