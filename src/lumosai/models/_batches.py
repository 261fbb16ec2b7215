"""Chunks that came together, handed on together: what a list costs on its way through the wrappers is shared by its chunks.

A model of ours has `batches` beside `stream`, which is the same one by one; any other has `stream` only.
"""

from __future__ import annotations

from contextlib import aclosing
from functools import cache
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from lumosai.models.base import Chunk, Model, ModelRequest

    Batches = AsyncGenerator[Sequence[Chunk], None]


def batches_of(model: Model, request: ModelRequest) -> Batches:
    """The chunks of `model.stream`, in lists that are never empty; an `AttemptStarted` is alone in its list."""
    if _has_batches(type(model)):
        return cast("Batches", cast("Any", model).batches(request))
    return _alone(model.stream(request))


async def one_by_one(batches: Batches) -> AsyncGenerator[Chunk, None]:
    """`stream`, from `batches`."""
    async with aclosing(batches):
        async for chunks in batches:
            for chunk in chunks:
                yield chunk


@cache
def _has_batches(kind: type) -> bool:
    """Whether a model's `batches` tells what its `stream` does: not so where a subclass has only a `stream` of its own."""
    owner = next((c for c in kind.__mro__ if "stream" in vars(c) or "batches" in vars(c)), None)
    return owner is not None and "batches" in vars(owner)


async def _alone(stream: AsyncIterator[Chunk]) -> Batches:
    async with aclosing(cast("AsyncGenerator[Chunk, None]", stream)) as chunks:
        async for chunk in chunks:
            yield (chunk,)
