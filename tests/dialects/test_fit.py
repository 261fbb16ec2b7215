"""Whether a call fits a declared tool."""

from __future__ import annotations

import pytest

from lumosai.dialects._fit import fits
from lumosai.messages import ToolCallPart
from lumosai.records import ToolDefinition

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}


def fit(arguments, schema) -> bool:
    return fits(ToolCallPart("", "t", arguments), {"t": ToolDefinition("t", "", schema)})


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        ({}, {}),
        ({"a": 1}, {"type": "object"}),
        ({"a": 1}, {"type": "object", "properties": {}}),
        ({"a": "x"}, {"properties": {"a": TEXT}, "required": ["a"]}),
        ({"a": 5}, {"properties": {"a": TEXT}}),
        ({"a": "5"}, {"properties": {"a": WHOLE}}),
        ({"a": "-1.5e3"}, {"properties": {"a": {"type": "number"}}}),
        ({"a": "true"}, {"properties": {"a": {"type": "boolean"}}}),
        ({"a": None}, {"properties": {"a": TEXT}}),
        ({"a": None}, {"properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}),
        ({"a": None}, {"properties": {"a": {"anyOf": [TEXT, {"type": "null"}]}}, "required": ["a"]}),
        ({"a": 1, "b": 2}, {"properties": {"a": WHOLE}, "additionalProperties": True}),
        ({"x_1": 1}, {"properties": {"a": WHOLE}, "patternProperties": {"^x_": {}}}),
        ({"a": {"deep": [1]}}, {"properties": {"a": {"$ref": "#/$defs/D"}}, "$defs": {"D": {"type": "object"}}}),
        ({"a": 1}, {"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"a": WHOLE}}}}),
        ({"a": 1}, {"anyOf": [{"properties": {"b": WHOLE}}, {"properties": {"a": WHOLE}}]}),
        ({"a": 1}, {"allOf": [{"properties": {"a": WHOLE}}]}),
        ({"type": "object", "properties": {}}, {"properties": {"type": TEXT, "properties": {"type": "object"}}}),
        ({"a": 1}, {"properties": {"a": {"$ref": "#/$defs/none"}}}),
    ],
)
def test_arguments_that_fit(arguments, schema):
    """What a tool could take, perhaps after coercion, is taken for a call of it."""
    assert fit(arguments, schema)


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        (None, {}),
        ({}, {"properties": {"a": TEXT}, "required": ["a"]}),
        ({"b": 1}, {"properties": {"a": TEXT}}),
        ({"a": 1}, {"properties": {}, "additionalProperties": False}),
        ({"a": [1]}, {"properties": {"a": TEXT}}),
        ({"a": {}}, {"properties": {"a": TEXT}}),
        ({"a": True}, {"properties": {"a": TEXT}}),
        ({"a": "many"}, {"properties": {"a": WHOLE}}),
        ({"a": True}, {"properties": {"a": WHOLE}}),
        ({"a": "x"}, {"properties": {"a": {"type": "array"}}}),
        ({"a": "x"}, {"properties": {"a": {"type": "object"}}}),
        ({"a": None}, {"properties": {"a": TEXT}, "required": ["a"]}),
        ({"a": "x"}, {"properties": {"a": {"anyOf": [WHOLE, {"type": "null"}]}}}),
        ({"a": "x"}, {"properties": {"a": False}}),
        ({"c": 1}, {"anyOf": [{"properties": {"b": WHOLE}}, {"properties": {"a": WHOLE}}]}),
        ({"type": "object", "properties": {"a": TEXT}}, {}),
    ],
)
def test_arguments_that_do_not(arguments, schema):
    """What lacks something, has something unknown or is of another kind is text about the tool, not a call of it."""
    assert not fit(arguments, schema)


def test_a_name_that_is_not_declared():
    """No arguments fit a tool that is not there."""
    assert not fits(ToolCallPart("", "other", {}), {"t": ToolDefinition("t", "", {})})


def test_a_schema_that_names_itself():
    """A circle of references ends."""
    assert fit({"a": 1}, {"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"$ref": "#/$defs/x"}}})
