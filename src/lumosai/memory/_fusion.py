"""One ranking out of two: how similar messages are in meaning, and which words of the question they have.

A message's place is decided by its similarity, in standard deviations from the mean of all that are searched, and by what
it has of the question's words beyond what chance explains. One rare word that both have may be chance: in a question put
in other words it mostly is, and pushes nothing out that means the same. Two rare words, a name with a number, a code are
not, and then words decide. Joining the two lists by reciprocal rank, in which a list's first place counts as much where the
list knows nothing, was worse than vectors alone (`benchmarks/recall`, where each figure here was cross-validated).

A message's neighbours lend it a part of what they have, as an answer says of a question what it is about.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from lumosai.storage.base import FullText

_WORD: Final = 3.0
"""Standard deviations of similarity that a rare word outweighs, beyond what may be chance."""
_CHANCE: Final = 0.7
"""Rare words that may be there by chance, most of one; of a question of few words, half of them."""
_HALF: Final = 2.0
"""Standard deviations that make a score of one half."""
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


def standing(meaning: Meaning, *, lend: bool) -> Any:
    """How far each message is more similar than the mean, in standard deviations; with `lend` with its neighbours' part."""
    similar = meaning.similarities
    votes = (similar - similar.mean()) / (float(similar.std()) or 1.0)
    return _lent(meaning.places, votes) if lend else votes


def most_similar(
    meaning: Meaning, votes: Any, threshold: float | None, *, lend: bool, depth: int
) -> dict[int, tuple[float, float]]:
    """The messages that are most similar: how far they stand out, the greatest first, and their similarity.

    Without `lend` only what stands out among all is there.
    """
    import numpy as np

    places, similar = meaning.places, meaning.similarities
    fit = votes if lend else np.where(votes >= _STANDS_OUT, votes, -np.inf)
    if threshold is not None:
        fit = np.where(similar >= threshold, fit, -np.inf)
    count = min(depth, len(fit))
    best = np.argpartition(-fit, count - 1)[:count]
    best = best[np.lexsort((-places[best], -fit[best]))]
    return {int(places[i]): (float(fit[i]), float(similar[i])) for i in best if np.isfinite(fit[i])}


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
    if meaning is not None and not len(meaning.places):
        meaning = None
    texts = text_votes(found, lend=lend)
    votes: Any = None
    vectors: dict[int, tuple[float, float]] = {}
    if meaning is not None:
        texts = _there(texts, found, meaning) if lend else texts
        votes = standing(meaning, lend=lend)
        vectors = most_similar(meaning, votes, threshold, lend=lend, depth=depth)
        if threshold is not None:
            texts = {place: score for place, score in texts.items() if place in vectors}
    order = heapq.nlargest(depth, texts, key=lambda p: (texts[p], p))
    text_rank = {place: n for n, place in enumerate(order, 1)}
    if meaning is None or not vectors:
        ideal = found.ideal or 1.0
        return [Ranked(p, min(1.0, texts[p] / ideal), text_rank=n) for p, n in text_rank.items()]
    vector_rank = {place: n for n, place in enumerate(vectors, 1)}
    told = _told(found, lend=lend)
    own = _own(meaning, votes, text_rank)
    usual = [vote for vote, _ in vectors.values()]
    sums: dict[int, float] = {}
    for place in {**vector_rank, **text_rank}:
        # one without a vector yet is taken to be as similar as the one of the same rank
        vote = vectors[place][0] if place in vectors else own.get(place)
        sums[place] = usual[min(text_rank[place], len(usual)) - 1] if vote is None else vote
        sums[place] += told.get(place, 0.0)
    ranked = [
        Ranked(
            place,
            max(total, 0.0) / (max(total, 0.0) + _HALF),
            text_rank.get(place),
            vector_rank.get(place),
            vectors[place][1] if place in vectors else None,
        )
        for place, total in sums.items()
    ]
    ranked.sort(key=lambda r: (-sums[r.place], r.text_rank or len(sums), -r.place))
    return bridged(ranked, meaning) if lend and threshold is None else ranked


def _told(found: FullText, *, lend: bool) -> dict[int, float]:
    """What messages have of the question's words beyond chance, in standard deviations of similarity.

    Without `lend` each word counts: who looks for a word means it.
    """
    chance = min(_CHANCE, found.words / 2) if lend else 0.0
    sure = {m.place: _WORD * (m.words - chance) for m in found.matches if m.words > chance}
    if not lend:
        return sure
    near = {place + step for place in sure for step in (-1, 0, 1)}
    return {p: sure.get(p, 0.0) + _LENT * max(sure.get(p - 1, 0.0), sure.get(p + 1, 0.0)) for p in near}


def _own(meaning: Meaning, votes: Any, places: Collection[int]) -> dict[int, float]:
    """How far those of some places stand out that have a vector."""
    import numpy as np

    sought = np.fromiter(places, dtype=np.int64)
    at = np.minimum(np.searchsorted(meaning.places, sought), len(votes) - 1)
    there = meaning.places[at] == sought
    return dict(zip(sought[there].tolist(), votes[at[there]].tolist(), strict=True))


def aged(ranked: Sequence[Ranked], at: Mapping[int, float], half_life_s: float) -> list[Ranked]:
    """The ranking where a message counts half of one that was stored a half-life later; `at` says when each was."""
    newest = max(at.values(), default=0.0)
    found = [r._replace(score=r.score * 0.5 ** ((newest - at[r.place]) / half_life_s)) for r in ranked]
    found.sort(key=lambda r: (-r.score, -r.place))
    return found
