"""Text as terms: what finds what, in which script."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lumosai._terms import has_any, marked, parts_of, terms, tokens, wanted

SAME = [
    ("hiking", "hiked hikes hike"),
    ("moved", "moving move moves"),
    ("went", "go goes going gone"),
    ("companies", "company Company's"),
    ("stopped", "stop stopping stops"),
    ("café", "CAFE Cafés ＣＡＦＥ"),
    ("children", "child"),
    ("Straße", "STRASSE"),
    ("москва", "Москва"),
    ("हिन्दी", "हिन्दी"),
]
FOUND = [
    ("我的姐姐住在成都", "姐姐", ["姐姐"]),
    ("我的猫很可爱，猫！", "猫", ["猫", "猫"]),
    ("カタカナとひらがな", "カタ", ["カタ"]),
    ("서울에서 만나요", "서울", ["서울"]),
    ("The cats' cat sat.", "cat", ["cats'", "cat"]),
    ("iPhone 15，价格5999元", "iphone 5999", ["iPhone", "5999"]),
    ("nothing", "else", []),
]


@pytest.mark.parametrize(("word", "others"), SAME, ids=lambda p: p)
def test_forms_of_a_word_are_one_term(word: str, others: str) -> None:
    """Whatever form a word stands in, any other finds it."""
    assert {term for other in others.split() for term in terms(other)} == set(terms(word))


@pytest.mark.parametrize(("text", "sought", "places"), FOUND)
def test_what_is_sought_is_marked_where_it_stands(text: str, sought: str, places: list[str]) -> None:
    """In the text as it is, whatever is made of it for the index."""
    assert [text[a:b].rstrip("'") for a, b in marked(text, wanted(sought))] == [p.rstrip("'") for p in places]


def test_small_words_count_only_where_there_are_no_others() -> None:
    """A question's own words are not what it is about."""
    assert [w.term for w in wanted("What is the name of my dog?")] == terms("name dog")
    assert [w.term for w in wanted("who was it")] == terms("who was it")
    assert "什么" not in [w.term for w in wanted("我叫什么名字？")]
    assert wanted("?!") == ()


@given(st.text(max_size=300))
@example("う゛字゜")
def test_any_text_has_terms_that_are_words(text: str) -> None:
    """No term holds what a database's own search language could take for its own, and each stands somewhere."""
    found = terms(text)
    assert all(term and not set(term) & set("'\"\\ *:&|!()\0\n\t-") for term in found)
    assert bool(found) <= has_any(text)
    assert {t.term for t in tokens(text)} >= set(found) or not text.isascii()
    assert [term for part in parts_of(text) for term in part] == found


def test_a_long_text_comes_in_small_parts() -> None:
    """So that nobody waits for all of it."""
    for text in ("word " * 20_000, "长" * 60_000, "a长" * 30_000):
        sizes = [len(part) for part in parts_of(text)]
        assert len(sizes) > 10
        assert max(sizes) <= 1_000


def test_what_a_term_counts_for():
    """A number for two words, a pair of characters for half of one, as pairs overlap."""
    counts = {want.term: want.words for want in wanted("ticket 4471 咖啡机 e17")}
    assert counts == {"ticket": 1.0, "4471": 2.0, "咖啡": 0.5, "啡机": 0.5, "e17": 2.0}
