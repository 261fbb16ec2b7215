"""`lumosai._repair`: broken arguments are mended where the text leaves no doubt, and never invented."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai._repair import repair_object
from tests.conftest import examples

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = [
    ('{"a": [1, 2}', {"a": [1, 2]}),
    ('{"a": 1,}', {"a": 1}),
    ('{"a": ["x", "y",],}', {"a": ["x", "y"]}),
    ('{"a": "x" "b": 2}', {"a": "x", "b": 2}),
    ('{"a": "x"\n"b": "y"}', {"a": "x", "b": "y"}),
    ('{"a": 1; "b": 2}', {"a": 1, "b": 2}),
    ("{'a': True, 'b': None, 'c': False}", {"a": True, "b": None, "c": False}),
    ("{a: 'b', c: [1, 2]}", {"a": "b", "c": [1, 2]}),
    ("{“a”: “x”}", {"a": "x"}),
    ('{"q": "say "hi" to"}', {"q": 'say "hi" to'}),
    ('{"code": \'print("hi")\'}', {"code": 'print("hi")'}),
    ('{"a": "line\nbreak\tand tab",}', {"a": "line\nbreak\tand tab"}),
    ('{"regex": "\\d+\\s"}', {"regex": "\\d+\\s"}),
    ('{"a": .5, "b": 1., "c": 01, "d": 1_000}', {"a": 0.5, "b": 1.0, "c": 1, "d": 1000}),
    ('{"a": 1 // the first\n}', {"a": 1}),
    ("{\n  'a': 1,\n  # two\n  'b': 2\n}", {"a": 1, "b": 2}),
    ('```json\n{"a": 1,}\n```', {"a": 1}),
    ('Sure! Here: {"a": 1, "b": "x",} Hope it helps', {"a": 1, "b": "x"}),
    ('<tool_call>{"a":1}</tool_call>', {"a": 1}),
    ('{"a":1}{"a":1}', {"a": 1}),
    ('"{\\"a\\": 1}"', {"a": 1}),
    ('[{"a": 1}]', {"a": 1}),
    ('{"a": "x"}}', {"a": "x"}),
    ('{"a": "", "b": 1,}', {"a": "", "b": 1}),
    ('{"城市": "北京",}', {"城市": "北京"}),
    ('{"a": "\\u4f60\\ud83d\\ude00",}', {"a": "你😀"}),
    ('{"url": "http://x.y/z?q=1#part", "n": 2,}', {"url": "http://x.y/z?q=1#part", "n": 2}),
    ('{"date": 2024-01-02}', {"date": "2024-01-02"}),
    ("{}", {}),
    (" { } ", {}),
    ("```json\n{}\n```", {}),
]

CUT = [
    ('{"a": 1', {"a": 1}),
    ('{"a": "he"', {"a": "he"}),
    ('{"a": {"b": "c"', {"a": {"b": "c"}}),
    ('{"a": [1, 2, 3', {"a": [1, 2, 3]}),
    ('{"a": {"b": 1}, ', {"a": {"b": 1}}),
    ('{"a": [1, 2}, "b": 3}', {"a": [1, 2], "b": 3}),
    ('{"a": {"b": 1}}, "c": 2}', {"a": {"b": 1}, "c": 2}),
]
"""Whole only if a marker behind the text tells that it was not cut off."""

UNKNOWABLE = [
    "",
    "   ",
    "hello",
    "{",
    "null",
    "42",
    '"text"',
    "[1, 2",
    '[{"a": 1}, {"b": 2}]',
    '{"a": "he',
    '{"a": tru',
    '{"a": "x", "b": "x',
    '{"a": "x", "b": ["x", "x',
    '{"a": {"b"',
    '{"a": 1, "b":',
    '{"a": 1, "pre',
    '{"a": , "b": 2}',
    '{"a": 1, ...}',
    '{"a" 1}',
    '{"a": NaN}',
    '{"a": 1e999}',
    '{"a": undefined}',
    '{"a": 10%}',
    '{"a": 17 * 23}',
    '{"a": 5 apples}',
    '{"x": "a" + "b"}',
    '{"a": """multi\nline"""}',
    '{"a": 1}{"b": 2}',
    '{"a": 1}\n{"a": 2}',
    '{"city": "Paris}',
    '{"a": "b\\"}',
    "{'a': 'it's'}",
    '{"path": "C:\\Users\\new"}',
    '{"code": "function f() { return 1; }',
    '{"body": "{"a": 1}"}',
    '{"a":{"b":[1]},"more',
    '{"a": {"b": [1]}, more',
    '{"a": [1], {"b"',
    "{'a': {'b': 'c'}, 'd",
]


@pytest.mark.parametrize(("raw", "meant"), PLAIN)
def test_damage_that_leaves_no_doubt(raw: str, meant: dict[str, Any]) -> None:
    """What the text plainly means is understood."""
    assert repair_object(raw) == meant


@pytest.mark.parametrize(("raw", "meant"), CUT)
def test_text_that_may_have_been_cut_off(raw: str, meant: dict[str, Any]) -> None:
    """Brackets that are missing at the end are mended only where it is known that the text is whole."""
    assert repair_object(raw) is None
    assert repair_object(raw, closed=True) == meant


@pytest.mark.parametrize("raw", UNKNOWABLE)
def test_text_that_could_mean_anything(raw: str) -> None:
    """A value that is cut off, missing, ambiguous or no object at all gives no arguments."""
    for closed in (False, True):
        assert repair_object(raw, closed=closed) is None


def test_very_deep_and_very_long_text() -> None:
    """Text made to exhaust a parser is refused at once."""
    begun = time.perf_counter()
    for raw in ("{" * 100_000, '{"a":' * 50_000, "[" * 100_000, '{"a": "' + "x" * 1_000_000, '"' * 200_000 + "{"):
        assert repair_object(raw) is None
    assert time.perf_counter() - begun < 5


KEYS = st.text(st.characters(codec="ascii", categories=["Ll", "Lu"]), min_size=1, max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


def strings(value: Any) -> list[str]:
    """Every key and every text in a value."""
    if isinstance(value, dict):
        return [s for k, v in value.items() for s in (k, *strings(v))]
    if isinstance(value, list):
        return [s for v in value for s in strings(v)]
    return [value] if isinstance(value, str) else []


def unescaped(text: str) -> str:
    """The text with its JSON escapes read."""
    named = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
    read = re.sub(
        r"\\(?:u([0-9a-fA-F]{4})|(.))",
        lambda m: chr(int(m[1], 16)) if m[1] else named.get(m[2], m[2]),
        text,
        flags=re.DOTALL,
    )
    return read.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@given(OBJECTS, st.data())
@settings(max_examples=examples(200), deadline=None)
def test_any_damage_to_any_object(meant: dict[str, Any], data: st.DataObject) -> None:
    """However an object's text is damaged, no key and no text is given that the damaged text does not hold."""
    raw = json.dumps(meant, ensure_ascii=data.draw(st.booleans()))
    at = data.draw(st.integers(0, len(raw)))
    until = data.draw(st.integers(at, min(at + 4, len(raw))))
    damaged = (
        raw[:at]
        + data.draw(st.sampled_from(["", '"', "'", "{", "}", "[", "]", ",", ":", "\\", "x", " "]))
        + raw[until:]
    )
    found = repair_object(damaged)
    if found is None:
        return
    for text in strings(found):
        assert text in damaged or text in unescaped(damaged)
    if not found:
        assert re.fullmatch(r"\s*\{\s*\}\s*", damaged)


@given(OBJECTS, st.data())
@settings(max_examples=examples(200), deadline=None)
def test_an_object_cut_anywhere(meant: dict[str, Any], data: st.DataObject) -> None:
    """A prefix of an object's text gives no value that the whole does not have at the same place."""
    raw = json.dumps(meant)
    found = repair_object(raw[: data.draw(st.integers(1, len(raw) - 1))])
    if found is not None:
        assert found != {}
        assert part_of(found, meant)


def _single(text: str) -> str:
    """A JSON string in single quotes."""
    return "'" + text[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


def slipped(value: Any, slips: frozenset[str]) -> str:
    """The value as a model writes it that makes these slips."""
    if isinstance(value, dict):
        keys = (k if "bare keys" in slips and k.isascii() else slipped(k, slips) for k in value)
        return (
            "{" + _listed([f"{k}: {slipped(v, slips)}" for k, v in zip(keys, value.values(), strict=True)], slips) + "}"
        )
    if isinstance(value, list):
        return "[" + _listed([slipped(v, slips) for v in value], slips) + "]"
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii="escapes" in slips)
        text = text.replace("\\n", "\n") if "raw lines" in slips and "\\\\" not in text else text
        return _single(text) if "single quotes" in slips else text
    return str(value) if "Python" in slips else json.dumps(value)


def _listed(items: list[str], slips: frozenset[str]) -> str:
    comment = " // so {it} is\n" if "comments" in slips and items else ""
    between = "\n" if "no commas" in slips else ", "
    return comment + between.join(items) + ("," if items and "trailing commas" in slips else "")


SLIPS = ["single quotes", "bare keys", "trailing commas", "no commas", "Python", "comments", "raw lines", "escapes"]
AROUND = [
    lambda text: text,
    lambda text: f"```json\n{text}\n```",
    lambda text: f"Here it is: {text} Is that well?",
    lambda text: f"[{text}]",
    lambda text: json.dumps(text),
    lambda text: f"{text}\n{text}",
    lambda text: text + "}",
]


@given(OBJECTS, st.sets(st.sampled_from(SLIPS), max_size=3), st.sampled_from(AROUND), st.data())
@settings(max_examples=examples(300), deadline=None)
def test_a_slipped_object_cut_anywhere(
    meant: dict[str, Any], slips: set[str], around: Callable[[str], str], data: st.DataObject
) -> None:
    """However it is damaged, what was cut off is never taken for a whole, unless all of the object is there."""
    text = around(slipped(meant, frozenset(slips)))
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    assert repair_object(cut) in (None, meant)


def part_of(found: Any, whole: Any) -> bool:
    """Whether everything found is in the whole; a number may be cut, for its end cannot be seen."""
    if isinstance(found, dict) and isinstance(whole, dict):
        return all(k in whole and part_of(v, whole[k]) for k, v in found.items())
    if isinstance(found, list) and isinstance(whole, list):
        return len(found) <= len(whole) and all(map(part_of, found, whole))
    if isinstance(found, int | float) and not isinstance(found, bool):
        return isinstance(whole, int | float)
    return bool(found == whole)


@given(OBJECTS)
@settings(max_examples=examples(100), deadline=None)
def test_a_sound_object(meant: dict[str, Any]) -> None:
    """What is not broken is given as it is, or not at all; never changed."""
    assert repair_object(json.dumps(meant)) in (meant, None)
