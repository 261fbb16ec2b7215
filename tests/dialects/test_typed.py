"""Values that are written as bare text, and the types that the tool's schema gives them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.dialects._json import write
from lumosai.dialects._typed import of_schema, plain, property_schema, typed
from lumosai.records import ToolDefinition
from tests.conftest import examples

TEXT = st.text(max_size=8).filter(lambda s: not any("\ud800" <= c <= "\udfff" for c in s))
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
STRING = {"type": "string"}
NULLABLE = {"type": ["string", "null"]}


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("5123123", STRING, "5123123"),
        (" x\n", STRING, " x\n"),
        ("null", STRING, "null"),
        ("null", NULLABLE, None),
        ("None", NULLABLE, None),
        ("none", NULLABLE, "none"),
        ("42", {"type": "integer"}, 42),
        (" 42\n", {"type": "integer"}, 42),
        ("-14", {"type": "integer"}, -14),
        ("2.0", {"type": "integer"}, 2),
        ("2.5", {"type": "integer"}, "2.5"),
        ("two", {"type": "integer"}, "two"),
        ("2.5", {"type": "number"}, 2.5),
        ("1e999", {"type": "number"}, "1e999"),
        ("9" * 5000, {"type": "integer"}, "9" * 5000),
        ("True", {"type": "boolean"}, True),
        ("FALSE", {"type": "boolean"}, False),
        ("yes", {"type": "boolean"}, "yes"),
        ("[1, 2]", {"type": "array"}, [1, 2]),
        ("['a', None]", {"type": "array"}, ["a", None]),
        ('{"a": 1}', {"type": "object"}, {"a": 1}),
        ("{'a': True}", {"type": "object"}, {"a": True}),
        ("{a: 1,}", {"type": "object"}, {"a": 1}),
        ('{"a": ', {"type": "object"}, '{"a": '),
        ("[1, 2]", {"type": "object"}, "[1, 2]"),
        ("5", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, 5),
        ("5", {"anyOf": [STRING, {"type": "integer"}]}, 5),
        ("five", {"anyOf": [STRING, {"type": "integer"}]}, "five"),
        ("5", {"enum": ["5", 6]}, "5"),
        ("6", {"enum": ["5", 6]}, 6),
        ("celsius", {"enum": ["celsius", "kelvin"]}, "celsius"),
        ("5", {"const": 5}, 5),
        ('{"a": 1}', {"oneOf": [STRING, {"type": "object"}]}, {"a": 1}),
        ("5", {"allOf": [{"$ref": "#/$defs/n"}]}, 5),
        ("5", {"$ref": "#/$defs/s"}, "5"),
        ("5", {"type": "int64"}, 5),
        ("5", {"type": "any"}, 5),
        ('{"a": 1}', {"properties": {}}, {"a": 1}),
        ("[1]", {"items": {}}, [1]),
        ("5", True, 5),
    ],
)
def test_a_value_of_a_schema(text, schema, value):
    """The schema decides; what fits none of its types stays as it was written."""
    root = {"$defs": {"n": {"type": "integer"}, "s": STRING}}
    got = of_schema(text, schema, root)
    assert got == value
    assert type(got) is type(value) or isinstance(got, float)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("3", 3), ("-3.5", -3.5), ("1e3", 1000.0), ("true", True), ("False", False), ("null", None), ("None", None)),
        *(("[1, 2]", [1, 2]), ('{"a": [true]}', {"a": [True]})),
        *((t, t) for t in ("", " ", "007", "+49", "1_000", ".5", "1.", "nan", "TRUE", '"x"', "'x'", "[1, 2", "{a: 1}")),
        *((t, t) for t in ("2024-12-25", "12:30", "1 2", "[x]", "it is 3")),
    ],
)
def test_a_value_of_which_nothing_is_known(text, value):
    """Only what plainly is JSON's number, word, object or array is one."""
    assert plain(text) == value
    assert plain(text, containers=False) == (text if isinstance(value, dict | list) else value)


def test_the_argument_of_a_tool():
    """A tool's own property, else what is said of all others; an undeclared tool says nothing."""
    tool = ToolDefinition("f", "", {"properties": {"a": STRING}, "additionalProperties": {"type": "integer"}})
    assert typed("1", tool, "a") == "1"
    assert typed("1", tool, "b") == 1
    assert typed("1", None, "a") == 1
    variants = {"anyOf": [{"properties": {"a": STRING}}, {"properties": {"b": {}}}]}
    assert property_schema(variants, "a", variants) == STRING
    assert property_schema(variants, "c", variants) == {}


def test_a_schema_that_goes_in_circles():
    """It is read once, and what it says nothing of stays open."""
    root = {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}, {"type": "integer"}]}}}
    assert of_schema("7", {"$ref": "#/$defs/a"}, root) == 7


@settings(max_examples=examples(100))
@given(VALUE)
def test_what_is_written_is_read(value):
    """A value written as JSON, a string as itself, is that value where its type is declared."""
    kind = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    schema = {"type": kind.get(type(value), "array" if isinstance(value, list) else "object")}
    assert of_schema(value if isinstance(value, str) else write(value), schema, {}) == value
    assert isinstance(value, str) or plain(write(value)) == value
