"""One ranking out of two: what the full text finds and what is similar in meaning, joined by reciprocal rank.

Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009) adds `weight / (k + rank)` over the lists. Three things are
added to it, each measured on conversations (`benchmarks/recall`): a message's neighbours lend it a part of their score, as
an answer says of a question what it is about; the vectors' vote counts twice; and the full text's vote for a message
counts in full only where that has half of what a message with every word of the question would have, since in a
question put in other words the few common words that are left say nothing.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from lumosai.storage.base import FullText

K: Final = 20
_VECTORS: Final = 2.0
_ENOUGH: Final = 0.5
"""The share of the ideal score from which on the full text's vote counts in full."""
_LENT: Final = 0.3
"""What of a neighbour's score counts."""
_STANDS_OUT: Final = 2.0
"""Standard deviations by which a message is more similar than the mean, so that somebody would see why it is shown."""
_SEAT: Final = 3
"""Where what fits best in the other script stands: the last of the four that are recalled by default."""
_SOME: Final = 9
"""Messages of a script without which nothing can be said of how they are usually held to be similar."""
_STANDS_OUT_THERE: Final = 2.5
DEPTH: Final = 100
"""How long the lists are."""
_SEQ: Final = 0xFFFFFFFF
"""The part of a place that is the message's number."""
_NEAR: Final = 3
"""Numbers that may lie between neighbours: what has no text has no vector."""


class Ranked(NamedTuple):
    """A message in the ranking.

    Attributes:
        place: where it lies.
        score: what it is ranked by; 1 at the most.
        text_rank: its rank in the full text, from 1; None where it is not among the first.
        vector_rank: likewise, by similarity.
        similarity: the cosine of its vector and the question's; None where it has none.
    """

    place: int
    score: float
    text_rank: int | None = None
    vector_rank: int | None = None
    similarity: float | None = None


class Meaning(NamedTuple):
    """What vectors say, as numpy arrays side by side.

    Attributes:
        places: in order.
        similarities: how similar each is.
        dense: whether its text `is_dense`.
        asked: whether the question is.
    """

    places: Any
    similarities: Any
    dense: Any
    asked: bool


def without(found: FullText, meaning: Meaning | None, seqs: Collection[int]) -> tuple[FullText, Meaning | None]:
    """What is found without the messages of these numbers, on one thread: they neither count nor lend anything."""
    if not seqs:
        return found, meaning
    matches = tuple([m for m in found.matches if m.place & _SEQ not in seqs])
    if meaning is not None:
        import numpy as np

        other = ~np.isin(meaning.places & _SEQ, np.fromiter(seqs, dtype=np.int64))
        meaning = meaning._replace(
            places=meaning.places[other], similarities=meaning.similarities[other], dense=meaning.dense[other]
        )
    return replace(found, matches=matches), meaning


def text_votes(found: FullText, *, lend: bool) -> dict[int, float]:
    """What the full text gives to each message; with `lend` to the neighbours of those found, too."""
    scores = {match.place: match.score for match in found.matches}
    if not lend:
        return scores
    near = {place + step for place in scores for step in (-1, 0, 1)}
    return {
        place: scores.get(place, 0.0) + _LENT * max(scores.get(place - 1, 0.0), scores.get(place + 1, 0.0))
        for place in near
    }


def _there(texts: dict[int, float], found: FullText, meaning: Meaning) -> dict[int, float]:
    """Without neighbours that no message is at, as far as vectors tell."""
    import numpy as np

    sure = {match.place for match in found.matches}
    lent = np.array([place for place in texts if place not in sure], dtype=np.int64)
    sure.update(lent[np.isin(lent, meaning.places)].tolist())
    return {place: score for place, score in texts.items() if place in sure}


def vector_votes(
    meaning: Meaning, threshold: float | None, *, lend: bool, depth: int
) -> dict[int, tuple[float, float]]:
    """The messages that are most similar: their votes, the greatest first, and their similarity.

    With `lend` their neighbours count; without, only what stands out among all is there.
    """
    import numpy as np

    places, similar = meaning.places, meaning.similarities
    if not len(places):
        return {}
    spread = float(similar.std()) or 1.0
    votes = (similar - similar.mean()) / spread
    lent = _lent(places, votes) if lend else np.where(votes >= _STANDS_OUT, votes, -np.inf)
    if threshold is not None:
        lent = np.where(similar >= threshold, lent, -np.inf)
    count = min(depth, len(lent))
    best = np.argpartition(-lent, count - 1)[:count]
    best = best[np.lexsort((-places[best], -lent[best]))]
    return {int(places[i]): (float(lent[i]), float(similar[i])) for i in best if np.isfinite(lent[i])}


def _lent(places: Any, votes: Any) -> Any:
    """Votes with what the greater one of two neighbours lends."""
    import numpy as np

    near = np.diff(places) <= _NEAR
    around = np.zeros_like(votes)
    around[1:] = np.where(near, votes[:-1], 0.0)
    around[:-1] = np.maximum(around[:-1], np.where(near, votes[1:], 0.0))
    return votes + _LENT * np.maximum(around, 0.0)


def bridged(ranked: list[Ranked], meaning: Meaning) -> list[Ranked]:
    """The ranking with what fits best in the other script among the first, where it stands out there.

    An embedding model holds texts of the question's language to be more similar than those of another, whatever they
    say: a name that was told in Chinese lies behind all of the small talk in English when it is asked for in English.
    """
    import numpy as np

    other = meaning.dense != meaning.asked
    count = int(other.sum())
    if count < _SOME or len(other) - count < _SOME:
        return ranked
    places, similar = meaning.places[other], meaning.similarities[other]
    votes = (similar - similar.mean()) / (float(similar.std()) or 1.0)
    best = int(np.argmax(_lent(places, votes)))
    place = int(places[best])
    if votes[best] < _STANDS_OUT_THERE or any(r.place == place for r in ranked[: _SEAT + 1]):
        return ranked
    before = ranked[:_SEAT]
    found = next((r for r in ranked if r.place == place), Ranked(place, 0.0, similarity=float(similar[best])))
    seated = found._replace(score=before[-1].score if before else 1.0)
    return [*before, seated, *[r for r in ranked[_SEAT:] if r.place != place]]


def fused(
    found: FullText, meaning: Meaning | None, *, threshold: float | None = None, lend: bool = True, depth: int = DEPTH
) -> list[Ranked]:
    """The messages, the one that fits best first.

    Args:
        found: what the full text gives.
        meaning: what vectors give; None where there are none.
        threshold: the least similarity of what is ranked, where there are vectors.
        lend: whether neighbours of what fits are found, as for a model that reads along; else only what fits by itself.
        depth: how long the lists are.
    """
    texts = text_votes(found, lend=lend)
    if lend and meaning is not None:
        texts = _there(texts, found, meaning)
    vectors = vector_votes(meaning, threshold, lend=lend, depth=depth) if meaning is not None else None
    if vectors is not None and threshold is not None:
        texts = {place: score for place, score in texts.items() if place in vectors}
    order = heapq.nlargest(depth, texts, key=lambda p: (texts[p], p))
    text_rank = {place: n for n, place in enumerate(order, 1)}
    vector_rank = {place: n for n, place in enumerate(vectors or (), 1)}
    enough = found.ideal * _ENOUGH or 1.0
    if not vector_rank:
        return [Ranked(p, min(1.0, _ENOUGH * texts[p] / enough), text_rank=n) for p, n in text_rank.items()]
    most = (1 + _VECTORS) / (K + 1)

    def score(place: int) -> float:
        total = 0.0
        if (rank := text_rank.get(place)) is not None:
            total += min(1.0, texts[place] / enough) / (K + rank)
        if (rank := vector_rank.get(place)) is not None:
            total += _VECTORS / (K + rank)
        return total / most

    similar = vectors or {}
    ranked = [
        Ranked(p, score(p), text_rank.get(p), vector_rank.get(p), similar[p][1] if p in similar else None)
        for p in {**vector_rank, **text_rank}
    ]
    ranked.sort(key=lambda r: (-r.score, -r.place))
    return bridged(ranked, meaning) if lend and meaning is not None and threshold is None else ranked


def aged(ranked: Sequence[Ranked], at: Mapping[int, float], half_life_s: float) -> list[Ranked]:
    """The ranking where a message counts half of one that was stored a half-life later; `at` says when each was."""
    newest = max(at.values(), default=0.0)
    found = [r._replace(score=r.score * 0.5 ** ((newest - at[r.place]) / half_life_s)) for r in ranked]
    found.sort(key=lambda r: (-r.score, -r.place))
    return found
