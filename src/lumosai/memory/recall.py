"""Semantic recall: older messages that bear on what is asked, found by words and by meaning, put into the context plan.

    memory = Memory("sqlite:///lumosai.db", recall=SemanticRecall(top_k=4))

Messages are indexed in the background, `await memory.settled()` waits for it. Without an embedding model, or where one
cannot be asked in time, they are found by words alone, and the plan's notes say so.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

from lumosai._terms import terms
from lumosai.errors import ConfigurationError, NotFoundError, StorageError
from lumosai.memory._indexer import Indexer, embedder_of
from lumosai.memory._searching import Searcher
from lumosai.storage.base import Within, searchable

if TYPE_CHECKING:
    from lumosai.memory._fusion import Ranked
    from lumosai.memory._searching import Ranking
    from lumosai.memory.plan import ContextPlan
    from lumosai.models.base import EmbeddingModel
    from lumosai.storage.base import Excerpt, Handle, MessageFilter, Storage, StoredMessage

Over = Literal["thread", "resource"]
_SPARE = 8
"""Messages that are looked at beyond those wanted, as some may be gone or be shown already."""
_FOR_MEANING = 0.8
"""The share of the time budget after which the meaning is not waited for: what words found must still be read."""


class SemanticRecall:
    """Recalls older messages that bear on what is asked.

    It is a source of a plan (`memory.plan.Source`), and what it finds are the plan's items of the kind "recalled", each
    with its rank and score as the reason; the last group is the best. One object may serve several memories.

    Args:
        top_k: messages that are found, at most.
        before, after: neighbours of each, as they stand on the branch, which come with it.
        over: "thread": the branch that the run is on. "resource": the active branches of all threads about whom it is
            about; where it is about nobody, its thread.
        threshold: the least similarity in meaning, 0 to 1, of what is found; None for no such bound. What it means is the
            embedding model's: with the local one, texts that have nothing to do with each other have about 0.75.
        embedder: an embedding model, the name of one, "auto" for the one on this machine, else a provider whose key is
            set; None for words alone.
        time_budget_s: seconds after which a run goes on with what was found by then; None to wait.
        half_life_s: after so many seconds a message counts half; None for all alike.
        filter: which messages may be found; neighbours come with them whatever they are.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    def __init__(
        self,
        top_k: int = 4,
        *,
        before: int = 1,
        after: int = 1,
        over: Over = "thread",
        threshold: float | None = None,
        embedder: EmbeddingModel | str | None = "auto",
        time_budget_s: float | None = 2.0,
        half_life_s: float | None = None,
        filter: MessageFilter | None = None,  # noqa: A002
    ) -> None:
        if top_k < 1 or before < 0 or after < 0:
            raise ConfigurationError(
                f"recall takes top_k of 1 or more, before and after of 0 or more; got {top_k}, {before}, {after}"
            )
        if over not in ("thread", "resource"):
            raise ConfigurationError(f"recall goes over 'thread' or 'resource', not {over!r}")
        for name, value in (("time_budget_s", time_budget_s), ("half_life_s", half_life_s)):
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name} must be positive, or None; got {value!r}")
        self.top_k = top_k
        self.before = before
        self.after = after
        self.over = over
        self.threshold = threshold
        self.time_budget_s = time_budget_s
        self.half_life_s = half_life_s
        self.filter = filter
        self._embedder = embedder_of(embedder)
        self._searchers: WeakKeyDictionary[Storage, Searcher] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"SemanticRecall(top_k={self.top_k}, before={self.before}, after={self.after}, over={self.over!r})"

    def searcher(self, storage: Storage) -> Searcher:
        """What searches a storage, and keeps its index, for this object."""
        found = self._searchers.get(storage)
        if found is None:
            indexer = Indexer(storage, self._embedder)
            found = self._searchers[storage] = Searcher(indexer, semantic=self._embedder is not None)
        return found

    async def add_to(self, plan: ContextPlan, handle: Handle) -> None:
        """See `memory.plan.Source`: never raises for what goes wrong in a search, but notes it in the plan."""
        if not plan.query.strip():
            return
        began = time.perf_counter()
        loop = asyncio.get_running_loop()
        budget = self.time_budget_s
        until = None if budget is None else loop.time() + budget
        within = self._within(plan)
        try:
            ranking = await self.searcher(handle.storage).rank(
                handle,
                within,
                plan.query,
                threshold=self.threshold,
                half_life_s=self.half_life_s,
                unseen=_numbers(plan) if within.thread_id else (),
                embed=plan.embed,
                until=until,
                meant_until=None if budget is None else loop.time() + budget * _FOR_MEANING,
            )
            found = await self._excerpts(plan, handle, within, ranking, until)
        except TimeoutError:
            plan.notes.append(f"recall: took over {budget:g} s, and the run went on without it")
            return
        except NotFoundError:  # the thread is not there yet
            return
        except StorageError as error:
            plan.notes.append(f"recall: {error}")
            return
        self._add(plan, found)
        plan.notes += [f"recall: {note}" for note in ranking.notes]
        took = round((time.perf_counter() - began) * 1e3, 1)
        plan.notes.append(f"recall: {len(found)} of {ranking.total} messages in {took} ms")

    def _within(self, plan: ContextPlan) -> Within:
        if self.over == "resource" and plan.resource_id:
            return Within(resource_id=plan.resource_id, filter=self.filter)
        return Within(thread_id=plan.thread_id, branch=plan.branch, filter=self.filter)

    async def _excerpts(
        self, plan: ContextPlan, handle: Handle, within: Within, ranking: Ranking, until: float | None
    ) -> list[tuple[Ranked, Excerpt]]:
        """The best that are not in the plan already, each with its neighbours."""
        shown = {i.message.id for kind in ("history", "input") for i in plan.of(kind)}
        spare = _SPARE + (0 if within.thread_id else len(shown))
        ranked = ranking.ranked[: self.top_k + spare]
        by_place = {r.place: r for r in ranked}
        async with asyncio.timeout_at(until):
            excerpts = await handle.excerpts(within, list(by_place), before=self.before, after=self.after)
        again = terms(plan.query)
        found = []
        for excerpt in excerpts:
            hit = _hit(excerpt)
            has = terms(searchable(hit))
            if has and hit.id not in shown and has != again:  # the same question answers nothing
                found.append((by_place[excerpt.place], excerpt))
        return found[: self.top_k]

    def _add(self, plan: ContextPlan, found: list[tuple[Ranked, Excerpt]]) -> None:
        """Puts them into the plan, none twice: what was said together stands together, the best last."""
        shown = {i.message.id for i in plan.items}
        told: dict[tuple[str, int], _Told] = {}
        for number, (rank, excerpt) in enumerate(found, 1):
            for stored in excerpt.messages:
                is_hit = stored.seq == excerpt.seq
                at = (excerpt.thread.id, stored.seq)
                if stored.message.id in shown or (at in told and not is_hit) or not searchable(stored.message).strip():
                    continue
                why = _why(number, rank) if is_hit else f"beside rank {number}"
                if at not in told or is_hit:
                    told[at] = _Told(number, stored, why, rank.score)
        for group in _groups(told):
            for thread_id, one in group:
                item = plan.add("recalled", one.stored.message, one.why, seq=one.stored.seq)
                item.score = round(one.score, 4)
                item.at = one.stored.at
                if thread_id != plan.thread_id:
                    item.thread_id = thread_id


class _Told(NamedTuple):
    """One message for the plan: the rank that it owes its place to, it, and why."""

    number: int
    stored: StoredMessage
    why: str
    score: float


def _groups(told: dict[tuple[str, int], _Told]) -> list[list[tuple[str, _Told]]]:
    """What was said together, in order; the group with the best rank last."""
    groups: list[list[tuple[str, _Told]]] = []
    before: tuple[str, int] | None = None
    for at in sorted(told):
        if before is None or at[0] != before[0] or at[1] > before[1] + 1:
            groups.append([])
        groups[-1].append((at[0], told[at]))
        before = at
    groups.sort(key=lambda group: -min(one.number for _, one in group))
    return groups


def _numbers(plan: ContextPlan) -> set[int]:
    """The numbers of what is in the plan already: history and input."""
    return {i.seq for kind in ("history", "input") for i in plan.of(kind) if i.seq}


def _hit(excerpt: Excerpt) -> Any:
    return next(s.message for s in excerpt.messages if s.seq == excerpt.seq)


def _why(number: int, rank: Ranked) -> str:
    told = [f"rank {number}"]
    if rank.text_rank is not None:
        told.append(f"words {rank.text_rank}")
    if rank.vector_rank is not None:
        told.append(f"meaning {rank.vector_rank}")
    if rank.similarity is not None:
        told.append(f"similarity {rank.similarity:.2f}")
    return ", ".join(told)
