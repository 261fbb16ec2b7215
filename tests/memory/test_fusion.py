"""One ranking out of words and meaning."""

from __future__ import annotations

import numpy as np
import pytest

from lumosai.memory._fusion import Meaning, aged, fused
from lumosai.memory._vectors import VectorCache, packed
from lumosai.storage.base import FullText, Match, VectorBlock, Vectors

NONE = FullText(0, 0.0, ())


def meaning(*similar: float, dense: tuple[int, ...] = (), asked: bool = False) -> Meaning:
    """Messages from place 1 on."""
    places = np.arange(1, len(similar) + 1)
    return Meaning(places, np.array(similar, np.float32), np.isin(places, dense), asked)


def places(ranked) -> list[int]:
    return [r.place for r in ranked]


def test_both_rankings_count() -> None:
    """What both name stands before what one names, and each keeps its rank in the reasons."""
    found = FullText(9, 2.0, (Match(3, 2.0, 2.0), Match(5, 1.5, 1.5)), 2.0)
    ranked = fused(found, meaning(0.1, 0.1, 0.8, 0.1, 0.1, 0.1, 0.9))
    assert places(ranked)[0] == 3
    assert (ranked[0].text_rank, ranked[0].vector_rank) == (1, 2)
    scores = [r.score for r in ranked]
    assert scores == sorted(scores, reverse=True)


def test_few_words_of_many_say_little() -> None:
    """A message that shares one common word with a long question does not push out what means the same."""
    found = FullText(9, 20.0, (Match(1, 1.0, 0.9),), 8.0)
    assert places(fused(found, meaning(0.1, 0.2, 0.1, 0.9, 0.1)))[0] == 4
    assert places(fused(NONE, meaning(0.1, 0.2, 0.1, 0.9, 0.1)))[0] == 4


def test_rare_words_outweigh_meaning() -> None:
    """Two of them are no chance, nor is a code; one is, in a long question."""
    similar = meaning(0.1, 0.2, 0.1, 0.9, 0.1, 0.1, 0.1, 0.2, 0.1)
    assert places(fused(FullText(9, 20.0, (Match(1, 2.0, 2.0),), 8.0), similar))[0] == 1
    assert places(fused(FullText(9, 2.0, (Match(1, 2.0, 1.8),), 1.8), similar, lend=False))[0] == 1
    assert places(fused(FullText(9, 2.0, (Match(1, 1.0, 0.9),), 8.0), similar))[0] == 4


def test_what_has_no_vector_yet_keeps_its_place() -> None:
    """It is taken to be as similar as the message of the same rank; and where nothing has one, words rank alone."""
    found = FullText(9, 2.0, (Match(50, 2.0, 2.0), Match(60, 1.0, 0.5)), 4.0)
    ranked = fused(found, meaning(0.1, 0.2, 0.1, 0.9, 0.1), lend=False)
    assert places(ranked)[0] == 50
    assert (ranked[0].text_rank, ranked[0].vector_rank, ranked[0].similarity) == (1, None, None)
    assert places(fused(found, meaning(), lend=False)) == [50, 60]


def test_an_answer_is_found_by_its_question() -> None:
    """A neighbour of what has the words is found, where it is read along; people are shown what has them."""
    found = FullText(9, 2.0, (Match(4, 2.0),))
    assert set(places(fused(found, None))) == {3, 4, 5}
    assert places(fused(found, None, lend=False)) == [4]


def test_a_threshold_bounds_what_is_found() -> None:
    """Also what words alone found."""
    found = FullText(9, 2.0, (Match(1, 2.0),))
    assert places(fused(found, meaning(0.1, 0.2, 0.95), threshold=0.9)) == [3]


def test_the_other_script_has_a_seat() -> None:
    """What stands out in it is among the first four, though all of the question's language is held more similar."""
    english, chinese = [0.8 + n / 1000 for n in range(20)], [0.7 + n % 2 / 1000 for n in range(20)]
    chinese[7] = 0.75
    both = meaning(*english, *chinese, dense=tuple(range(21, 41)))
    assert places(fused(NONE, both))[3] == 28
    assert 28 not in places(fused(NONE, both._replace(asked=True)))[:3]
    chinese[7] = 0.7
    assert 28 not in places(fused(NONE, meaning(*english, *chinese, dense=tuple(range(21, 41)))))[:4]


def test_the_older_counts_less() -> None:
    """Half for each half-life."""
    ranked = fused(NONE, meaning(0.9, 0.1, 0.1, 0.1, 0.1, 0.8))
    later = {r.place: 0.0 for r in ranked} | {6: 100.0}
    assert places(aged(ranked, later, 10.0))[0] == 6


@pytest.mark.parametrize("dense", [False, True])
def test_a_vector_survives_its_packing(dense: bool) -> None:
    """A byte a number keeps a cosine to a hundredth, whatever is read later, and says whether its text is dense."""
    chance = np.random.default_rng(1)
    rows = chance.standard_normal((20, 48))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cache = VectorCache(48)

    def read(first: int, last: int, *, anew: bool = False, version: int = 1) -> Vectors:
        data = tuple([packed(rows[n - 1].tolist(), dense=dense) for n in range(first, last + 1)])
        block = VectorBlock(7, 1, version, anew, tuple(range(first, last + 1)), data)
        return Vectors((((7 << 32) + 3, (7 << 32) + 18),), 20, (block,))

    cache.take(read(1, 10, anew=True))
    searched = cache.take(read(11, 15))
    cache.take(read(11, 20))  # by another search at the same time: what is there is not there twice
    found = cache.take(Vectors((((7 << 32) + 3, (7 << 32) + 18),), 20, (VectorBlock(7, 1, 1, False, (), ()),)))
    assert len(searched.all(rows[0])[0]) == 13
    at, similar, flags = found.all(rows[4])
    assert (at & 0xFFFFFFFF).tolist() == list(range(3, 19))
    assert np.abs(similar - rows[2:18] @ rows[4]).max() < 0.01
    assert set(flags.tolist()) == {dense}
    assert cache.known()[7].count == 20
    assert len(cache.take(read(1, 4, anew=True, version=2)).all(rows[0])[0]) == 2
