"""JSON and literals in a text that may still be growing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.dialects._json import read, write
from lumosai.dialects._lenient import read_block
from lumosai.dialects._literal import CutLiteralError, Literals, read_keywords, read_literal
from lumosai.dialects.base import MORE, More
from tests.conftest import examples

TEXT = st.text(max_size=8).filter(lambda s: not any("\ud800" <= c <= "\udfff" for c in s))
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
COMPOUND = st.lists(VALUE, max_size=3) | st.dictionaries(TEXT, VALUE, max_size=3)


@settings(max_examples=examples(100))
@given(COMPOUND, st.booleans(), st.sampled_from(["", " ", "x", "\n"]))
def test_json_that_grows(value, ascii_only, after):
    """Every beginning of JSON asks for more, and the whole is read to its end."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=1 if ascii_only else None)
    for end in range(1, len(text)):
        assert read(text[:end], 0) == MORE, text[:end]
    assert read(text + after, 0) == (value, len(text))


@settings(max_examples=examples(100))
@given(COMPOUND)
def test_literals_that_grow(value):
    """Likewise for literals, which JSON is one way to write, Python another."""
    for text in (write(value), repr(value)):
        if "\\x" in text or "\\u" in text or "\\U" in text:
            continue
        for end in range(1, len(text)):
            assert read_literal(text[:end], 0) == MORE, text[:end]
        assert read_literal(text + " ", 0) == (value, len(text))


@pytest.mark.parametrize(
    "text",
    [
        "{a",
        '{"a" 1',
        '{"a":1,}',
        "{'a'",
        '{"a":tx',
        '{"a":NaN',
        '{"a":Infinity}',
        '{"a":"x\n',
        '{"a":1..',
        '{"a":"\\x',
        "[" * 5000,
        '{"a":' + "1" * 5000 + "}",
        "[" * 300 + "]" * 300,
    ],
)
def test_what_is_no_json(text):
    """It is told from the first character that shows it."""
    assert read(text, 0) is None


def test_blank_lines():
    """They end JSON that stands without markers, and only that."""
    text = '{"a":\n\n1}'
    assert read(text, 0) == ({"a": 1}, len(text))
    assert read_block(text, 0) is None
    assert read_block(text[:8], 0) is None
    assert read_block('{"a":\n1}\n\nx', 0) == ({"a": 1}, 8)


def test_lone_surrogates():
    """They become U+FFFD, so that what is read can always be stored and sent."""
    assert read('{"\\ud800": ["\\udfff", "\\ud83d\\ude00"]}', 0) == ({"\ufffd": ["\ufffd", "😀"]}, 38)
    assert read_literal("'\\ud800\\ud83d\\ude00' ", 0) == ("\ufffd😀", 20)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (")", {}),
        (" )", {}),
        ("a=1)", {"a": 1}),
        ("a = 1 , b = 2, )", {"a": 1, "b": 2}),
        ("\n  a=1,\n  b='x',\n)", {"a": 1, "b": "x"}),
        ("a=-1.5e3, b=.5, c=+2)", {"a": -1500.0, "b": 0.5, "c": 2}),
        ("a=true, b=False, c=null, d=None)", {"a": True, "b": False, "c": None, "d": None}),
        ("a='it\\'s', b=\"\\u4e2d\\n\\x41\")", {"a": "it's", "b": "中\nA"}),
        ("a=[1, [], {'k': \"v\"}], b={})", {"a": [1, [], {"k": "v"}], "b": {}}),
        ("城市='北京')", {"城市": "北京"}),
        (r"a='\d+\'\\', b=r'\d\n', c='\101\U0001F600\q')", {"a": "\\d+'\\", "b": r"\d\n", "c": "A😀\\q"}),
        ('a="""x\n\'y\' """, b=' + "'" * 3 + "z" + "'" * 3 + ", c='')", {"a": "x\n'y' ", "b": "z", "c": ""}),
        ("a=07, b=1_000, user-id=3)", {"a": 7, "b": 1000, "user-id": 3}),
    ],
)
def test_keywords(text, arguments):
    """Arguments as code are read to just behind the bracket, and every beginning asks for more."""
    assert read_keywords(text + " tail", 0) == (arguments, len(text))
    assert all(isinstance(read_keywords(text[:end], 0), More) for end in range(len(text)))


@pytest.mark.parametrize(
    "text",
    [
        "1)",
        "'x')",
        "a: int)",
        "a=b)",
        "a=b+1)",
        "a=f(1))",
        "a=1 b=2)",
        "a=1, a=2)",
        "a==1)",
        "a=1\n\n)",
        "a='x\ny')",
        *("a=1e999)", "a=b'x')", "a=f'x')", "a='x' 'y')", "a=(1, 2))", "a={'x'})"),
        *("a={1: 2})", "a={'k' 1})", f"a={'[' * 100}", f"a={'9' * 5000})", "a=1;)", "a=--1)", "a=\"x')x", "**a)"),
    ],
)
def test_what_is_no_list_of_literals(text):
    """Nothing is evaluated and nothing guessed."""
    assert read_keywords(text + "\n", 0) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(1, 2)", [1, 2]),
        ("(1)", 1),
        ("(1,)", [1]),
        ("()", []),
        ("{'a', 'b'}", ["a", "b"]),
        ("{}", {}),
        ("{1: 'a', None: 'b', True: 'c', 1.5: 'd'}", {"1": "a", "null": "b", "true": "c", "1.5": "d"}),
        ("'a' \"b\"\n'c'", "abc"),
        ("'a\nb'", "a\nb"),
        ("[\n\n1,\n\n]", [1]),
    ],
)
def test_all_that_python_writes(text, value):
    """Between markers more of it is read, and every beginning of a container asks for more."""
    assert Literals(text + " ", code=True, lines=True).value(0, 0) == (value, len(text))
    for end in range(1, len(text) if text[0] in "([{" else 0):
        with pytest.raises(CutLiteralError):
            Literals(text[:end], code=True, lines=True).value(0, 0)
