"""Search in what is kept: by words and, where there is an embedding model, by meaning; for runs and for people alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from lumosai._terms import is_dense, wanted
from lumosai.errors import LumosaiError
from lumosai.memory import _vectors as vectors
from lumosai.memory._fusion import DEPTH, Meaning, Ranked, aged, fused, without
from lumosai.messages import scrub

if TYPE_CHECKING:
    from collections.abc import Collection

    from lumosai.memory._indexer import Indexer
    from lumosai.models.embedding_calls import Embeds
    from lumosai.storage.base import Handle, Within

_DEPTH: Final = 60
_FILTERED: Final = 1_000
"""How long the lists are from which a filter takes."""
_ASKED: Final = 1_000
"""Characters of a question that its vector is made of."""
_MANY: Final = 20_000
"""Vectors that are compared beside the event loop, and not in it."""


class Ranking(msgspec.Struct, frozen=True):
    """What a search gives.

    Attributes:
        ranked: the messages, the best first.
        total: how many were searched, about.
        notes: what went otherwise than it was meant to.
    """

    ranked: list[Ranked]
    total: int
    notes: tuple[str, ...] = ()


class Searcher:
    """One memory's way to search.

    Args:
        indexer: what keeps its index.
        semantic: whether there is to be an embedding model.

    Attributes:
        indexer: as given.
    """

    def __init__(self, indexer: Indexer, *, semantic: bool) -> None:
        self.indexer = indexer
        self._semantic = semantic
        self._caches: dict[str, vectors.VectorCache] = {}

    async def rank(
        self,
        handle: Handle,
        within: Within,
        text: str,
        *,
        semantic: bool = True,
        threshold: float | None = None,
        half_life_s: float | None = None,
        lend: bool = True,
        unseen: Collection[int] = (),
        embed: Embeds | None = None,
        until: float | None = None,
        meant_until: float | None = None,
    ) -> Ranking:
        """The messages that fit a text, the best first.

        Args:
            handle: as a scope sees the storage.
            within: which messages.
            text: what is looked for.
            semantic: whether by meaning, too.
            threshold: the least similarity in meaning.
            half_life_s: after how many seconds a message counts half.
            lend: whether neighbours of what has the words are found.
            unseen: numbers of messages that are not to be found, where one thread is searched.
            embed: asks the embedding model; None where no run does.
            until: the event loop's time by which it must be done; None is never.
            meant_until: that from which on the meaning is not waited for any longer.

        Raises:
            StorageError: it cannot be read.
            TimeoutError: not even the words could be looked up by `until`.
        """
        notes: list[str] = []
        asked = _asked(text) if semantic and self._semantic else ""
        meaning: asyncio.Task[Meaning | None] | None = None
        if asked:
            meaning = asyncio.ensure_future(
                self._meaning(handle, within, asked, notes, embed or self.indexer.watchers.calls(handle.scope))
            )
        try:
            async with asyncio.timeout_at(until):
                found = await handle.full_text(within, wanted(text), limit=_DEPTH)
            similar = await self._in_time(meaning, meant_until, notes) if meaning is not None else None
        finally:
            if meaning is not None and not meaning.done():
                meaning.cancel()
        found, similar = without(found, similar, unseen)
        ranked = fused(
            found, similar, threshold=threshold, lend=lend, depth=DEPTH if within.filter is None else _FILTERED
        )
        if ranked and (within.filter is not None or half_life_s is not None):
            at = await handle.fitting(within, [r.place for r in ranked])
            ranked = [r for r in ranked if r.place in at]
            if half_life_s is not None:
                ranked = aged(ranked, at, half_life_s)
        return Ranking(ranked, found.total, tuple(notes))

    async def _in_time(
        self, meaning: asyncio.Task[Meaning | None], until: float | None, notes: list[str]
    ) -> Meaning | None:
        """The meaning, if it is there in time."""
        try:
            async with asyncio.timeout_at(until):
                return await meaning
        except TimeoutError:
            notes.append("its time ran out before the question's meaning was known: found by words alone")
            return None

    async def _meaning(
        self, handle: Handle, within: Within, text: str, notes: list[str], embed: Embeds
    ) -> Meaning | None:
        """How similar each message is in meaning; None, and a note, where that cannot be said."""
        why = vectors.problem()
        if why:
            notes.append(f"found by words alone: {why}")
            return None
        try:
            model = await self.indexer.model()
            space = await self.indexer.space(handle)
            query = vectors.rows((await embed(model, [text], "query")).vectors, 1, model)[0]
            cache = self._caches.get(space)
            if cache is None:
                cache = self._caches[space] = vectors.VectorCache(len(query))
            read = await handle.vectors(within, space, cache.known())
        except Exception as error:  # noqa: BLE001  # a user's own model may raise anything; words are left
            notes.append(f"found by words alone: {error if isinstance(error, LumosaiError) else repr(error)}")
            return None
        searched = cache.take(read)
        if read.total < _MANY:
            return Meaning(*searched.all(query), is_dense(text))
        return Meaning(*await asyncio.to_thread(searched.all, query), is_dense(text))


def _asked(text: str) -> str:
    """What an embedding model is given of a question: its end, where it is long, since that mostly asks."""
    return scrub(text).replace("\0", " ").strip(" \t\r\n\f\v\u3000\u200b\ufeff")[-_ASKED:].strip()
