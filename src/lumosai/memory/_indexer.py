"""Works off what waits to be indexed: in this process, in the background, a little at a time.

The list lies in the storage (`SearchIndex`), so what a process does not get to, the next one does. Nothing here is waited
for by a run: each round is short, takes few messages, and lets others run in between; what an embedding model computes, it
computes in threads of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from lumosai._loggers import logger_of
from lumosai._terms import is_dense, parts_of
from lumosai.errors import BadRequestError, InvalidInputError, StorageError
from lumosai.memory._vectors import packed, rows
from lumosai.messages import scrub
from lumosai.models.embedding_calls import Watchers
from lumosai.storage.base import searchable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.models.base import EmbeddingModel
    from lumosai.storage.base import Claimed, Handle, Storage

logger = logger_of("lumosai.memory")

TEXT: Final = 0
_TEXTS: Final = 8
"""Messages of one transaction; so few that whoever wants to write next waits no longer than for one of its own kind."""
_VECTORS: Final = 8
_GATHERED: Final = 64
"""Messages that are left to wait until as many are there, where only the full text is wanted and nobody searches."""
_EMBEDDED: Final = 2_000
"""Characters of a message that its vector is made of."""
_SHORT: Final = 400
_BEFORE: Final = 200
"""A message shorter than the one says little alone: so many characters of the one before it give half of its vector."""
_KIND: Final = 1
"""Of how a vector is made of a message; another number is another space."""
_HOLD_S: Final = 120.0
_PATIENCE_S: Final = 600.0
_AGAIN_S: Final = 86_400.0
"""How long a space stays asked for, before it is asked for anew."""
_LOOK_S: Final = 0.05
_LOOKS: Final = 25
_PAUSE_S: Final = 0.01
_QUIET_S: Final = 0.25
"""How long a piece of work waits while runs are at work: then it is done between two of their steps, and takes under 1 ms."""
_TRIES: Final = 5


class Indexer:
    """The work of one memory.

    Args:
        storage: where the list and the index are.
        embedder: gives the embedding model, once it is needed; None where there are to be no vectors.

    Attributes:
        problem: why there are no vectors for now, "" where there are.
        watchers: observers of the runs whose messages it indexes, who are told of its embedding calls.
    """

    def __init__(self, storage: Storage, embedder: Callable[[], EmbeddingModel] | None) -> None:
        self._storage = storage
        self._embedder = embedder
        self._model: EmbeddingModel | None = None
        self._name = ""
        self._tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}
        self._asked: dict[str, float] = {}
        self._unknown: dict[str, Handle] = {}
        self._new = 0
        self._runs = 0
        self._ran = 0.0
        self._hurried = 0
        self._seen_dead = False
        self._refused: StorageError | None = None
        self.problem = ""
        self.watchers = Watchers()

    def wake(self, count: int = 0) -> None:
        """There is work, or `count` messages more. Where there are to be no vectors it is left until it is worth the while."""
        self._new += count
        if count and self._embedder is None and self._new < _GATHERED:
            return
        with contextlib.suppress(RuntimeError):  # no event loop runs any more: the next one has the work
            self._start()

    def run_began(self) -> None:
        """A run is at work, out of whose way the work goes."""
        self._runs += 1

    def run_ended(self, count: int) -> None:
        """It is no more, and left so many messages."""
        self._runs -= 1
        self._ran = time.monotonic()
        if count:
            self.wake(count)

    def know(self, handle: Handle) -> None:
        """Messages of this scope's tenant are to have vectors; the work itself sees to it."""
        if self._embedder is not None and handle.scope.tenant not in self._asked:
            self._unknown[handle.scope.tenant] = handle

    def _start(self) -> asyncio.Task[None]:
        loop = asyncio.get_running_loop()
        task = self._tasks.get(loop)
        if task is None or task.done():
            for gone in [other for other in self._tasks if other.is_closed()]:
                del self._tasks[gone]
            self._new = 0
            task = self._tasks[loop] = loop.create_task(self._work(), name="lumosai-indexer", context=Context())
            # A loop that ends before it leaves the rest on the list, which is no reason for a word on standard error.
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # asyncio has no other way
        return task

    async def model(self) -> EmbeddingModel:
        """The embedding model, once its vectors' length is known.

        Raises:
            LumosaiError: it is not there, or cannot be asked.
        """
        if self._embedder is None:
            raise InvalidInputError("this memory has no embedding model")
        if self._model is None:
            made = self._embedder()
            if not made.dimensions:
                await self.watchers.calls()(made, ["?"], "query")
            self._name = f"{getattr(made, 'provider', '') or 'own'}:{made.name}:{made.dimensions}:{_KIND}"
            self._model = made
        return self._model

    async def space(self, handle: Handle) -> str:
        """The name of the space of vectors, which the tenant has from here on.

        Raises:
            LumosaiError: as `model`; or the storage fails.
        """
        await self.model()
        tenant = handle.scope.tenant
        now = time.monotonic()
        if now - self._asked.get(tenant, -_AGAIN_S) >= _AGAIN_S:
            await handle.vector_space(self._name)
            self._asked[tenant] = now
            self._start()
        return self._name

    async def read(self) -> None:
        """Works off what waits for the full text, so that a search finds what was stored before it.

        What others are at work on is waited for, a little; where nothing can be written, what is indexed is searched.
        """
        for _ in range(_LOOKS):
            count, _due = await self._storage.index.waiting((TEXT,))
            if not count:
                return
            try:
                while await self._texts():
                    pass
            except StorageError as error:
                logger.info("what was stored last is not searched: %s", error)
                return
            await asyncio.sleep(_LOOK_S / 5)

    async def settled(self) -> None:
        """Waits until all is indexed that was stored up to here, by this process or another.

        Raises:
            LumosaiError: it cannot be.
        """
        self._hurried += 1
        try:
            await self._settled()
        finally:
            self._hurried -= 1

    async def _settled(self) -> None:
        index = self._storage.index
        while True:
            task = self._start()
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
            if self._refused is not None:
                if not self._refused.retryable:
                    raise self._refused
                await asyncio.sleep(_LOOK_S)
            if self._unknown and not self.problem:  # it had begun before it could know of them
                continue
            kinds = await self._kinds()
            count, due = await index.waiting(kinds)
            if not count:
                return
            if self.problem and len(kinds) > 1:
                raise StorageError(f"{count} messages are not indexed: {self.problem}")
            if due:
                self._seen_dead = False
                await asyncio.sleep(min(due, _LOOK_S))

    async def close(self) -> None:
        """Stops. What is not done stays on the list."""
        loop = asyncio.get_running_loop()
        task = self._tasks.pop(loop, None)
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    async def _kinds(self) -> tuple[int, ...]:
        return (TEXT, *(await self._storage.index.spaces(self._name))) if self._name else (TEXT,)

    async def _work(self) -> None:
        """Until nothing is left that can be done now."""
        self.problem = ""
        self._refused = None
        try:
            await self._quiet()
            await self._free()
            await self._know()
            while await self._texts() or await self._vectors() or await self._stale():
                await self._quiet()
        except StorageError as error:
            self._refused = error
            logger.warning("the search index was not brought up to date, and will be at the next chance: %s", error)

    async def _quiet(self) -> None:
        """Lets whatever else there is to do go first: runs for a while, unless somebody waits for the index."""
        waited = 0.0
        await asyncio.sleep(0)
        while self._is_busy() and not self._hurried and waited < _QUIET_S:
            await asyncio.sleep(_PAUSE_S)
            waited += _PAUSE_S

    def _is_busy(self) -> bool:
        """Whether a run is at work, or was a moment ago, since often another one follows."""
        return self._runs > 0 or time.monotonic() - self._ran < _PAUSE_S

    async def _free(self) -> None:
        """What dead processes held is to be done by us."""
        if not self._seen_dead:
            self._seen_dead = True
            for kind in await self._kinds():
                await self._storage.index.reclaim(kind)

    async def _know(self) -> None:
        """Asks for vectors of the tenants that are new."""
        for tenant in list(self._unknown):
            try:
                await self.space(self._unknown[tenant])
            except StorageError:
                raise
            except Exception as error:  # noqa: BLE001  # a user's own model may raise anything
                self.problem = f"{type(error).__name__}: {error}"
                logger.info("messages get no vectors: %s", self.problem)
                return
            self._unknown.pop(tenant, None)

    async def _texts(self) -> bool:
        """Writes the terms of some messages; whether there were any."""
        claimed = await self._storage.index.claim(TEXT, _TEXTS, hold_s=_HOLD_S)
        done = []
        for item in claimed:
            found: set[str] = set()
            for part in parts_of(searchable(item.message)):
                found.update(part)
                await asyncio.sleep(0)
            done.append((item, found))
        if done:
            await self._storage.index.put_texts(done)
        return bool(claimed)

    async def _vectors(self) -> bool:
        """Writes the vectors of some messages; whether there were any."""
        if self._embedder is None or self._model is None:
            return False
        index = self._storage.index
        for space in await index.spaces(self._name):
            claimed = await index.claim(space, _VECTORS, hold_s=_HOLD_S)
            if claimed:
                return await self._embed(space, claimed)
            if await index.backfill(space):
                return True
        return False

    async def _stale(self) -> bool:
        """Deletes some vectors that nobody uses; whether there were any."""
        return self._model is not None and not self.problem and await self._storage.index.clear_stale()

    async def _embed(self, space: int, claimed: Sequence[Claimed]) -> bool:
        """Makes vectors; whether that could be done."""
        index, model = self._storage.index, await self.model()
        told = [(item, _told(item)) for item in claimed]
        blank = [item for item, texts in told if not texts]
        if blank:
            await index.drop(space, blank)
        told = [(item, texts) for item, texts in told if texts]
        if not told:
            return True
        try:
            texts_ = [text for _, texts in told for text in texts]
            made = await self.watchers.calls()(model, texts_, "passage")
            vectors = iter(rows(made.vectors, len(texts_), model))
            done = [(item, packed(*[next(vectors) for _ in texts], dense=is_dense(texts[0]))) for item, texts in told]
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  # a user's own model may raise anything
            return await self._failed(space, [item for item, _ in told], error)
        self.problem = ""
        await index.put_vectors(space, done)
        return True

    async def _failed(self, space: int, items: Sequence[Claimed], error: Exception) -> bool:
        """Lets what failed wait; a text that the model will not take is given up. Whether there is more to try now."""
        index = self._storage.index
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, InvalidInputError | BadRequestError):  # one text may be what all were refused for
            if len(items) > 1:
                tried = [await self._embed(space, [item]) for item in items]
                return any(tried)
            if isinstance(error, InvalidInputError) or items[0].tries >= _TRIES:
                logger.warning("a message is searched without a vector, which the embedding model refuses: %s", said)
                await index.drop(space, items)
                return True
        if items[0].tries == 1:
            logger.warning("vectors are not made for now, and will be tried again: %s", said)
        self.problem = said
        for item in items:
            await index.postpone(space, [item], min(2.0 ** (item.tries - 2), _PATIENCE_S))
        return False


def _told(item: Claimed) -> tuple[str, ...]:
    """What an embedding model is given of a message: it, and a short one behind what was said before it, too."""
    text = _plain(searchable(item.message)[:_EMBEDDED])
    before = _plain(searchable(item.before)[-_BEFORE:]) if item.before is not None else ""
    if not text:
        return ()
    return (text, f"{before}\n{text}") if before and len(text) < _SHORT else (text,)


def _plain(text: str) -> str:
    """Text that every embedding model takes, "" where there is nothing in it."""
    return scrub(text).replace("\0", " ").strip(" \t\r\n\f\v\u3000\u200b\ufeff")


def embedder_of(given: Any) -> Callable[[], EmbeddingModel] | None:
    """How the embedding model is come by: made when first needed, where a name is given."""
    if given is None:
        return None
    if isinstance(given, str):
        from functools import partial

        from lumosai.models.embeddings import embedder

        return partial(embedder, given)
    model: EmbeddingModel = given
    return lambda: model
