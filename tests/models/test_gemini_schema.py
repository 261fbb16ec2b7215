"""Schemas for Gemini, in both forms: what fits the schema still fits, and what is told in words is not lost."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from lumosai.models._gemini_schema import json_schema, openapi_schema
from lumosai.tools import tool
from tests.conftest import examples

NODE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}], "description": "The next one."},
            },
            "required": ["value"],
        }
    },
    "type": "object",
    "properties": {"head": {"$ref": "#/$defs/Node", "description": "The first."}},
    "required": ["head"],
}


@pytest.mark.parametrize(
    ("given_schema", "wanted"),
    [
        ({"type": "string"}, {"type": "string"}),
        ({"$schema": "x", "type": "string"}, {"type": "string"}),
        ({"const": "a", "description": "d"}, {"enum": ["a"], "description": "d"}),
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "exclusiveMinimum": 0}),
        (
            {"properties": {"a": {"$ref": "#/$defs/A", "default": 1}}, "$defs": {"A": {"const": 1}}},
            {"properties": {"a": {"default": 1, "anyOf": [{"$ref": "#/$defs/A"}]}}, "$defs": {"A": {"enum": [1]}}},
        ),
        (
            {"properties": {"a": {"$ref": "#/definitions/A"}}, "definitions": {"A": {"type": "string"}}},
            {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}},
        ),
        ({"allOf": [{"$ref": "#/$defs/A"}], "title": "t"}, {"title": "t", "anyOf": [{"$ref": "#/$defs/A"}]}),
        (
            {"oneOf": [{"type": "null"}], "discriminator": {"propertyName": "k"}},
            {"oneOf": [{"type": "null"}]},
        ),
        (
            {"properties": {"const": {"type": "string"}, "$ref": {"type": "null"}}, "required": ["const"]},
            {"properties": {"const": {"type": "string"}, "$ref": {"type": "null"}}, "required": ["const"]},
        ),
        ({"enum": [{"const": 1}], "default": {"$ref": 1}}, {"enum": [{"const": 1}], "default": {"$ref": 1}}),
        ({"items": False, "prefixItems": [{"const": 1}, True]}, {"items": False, "prefixItems": [{"enum": [1]}, True]}),
    ],
)
def test_json_schema(given_schema: dict[str, Any], wanted: dict[str, Any]) -> None:
    """As it is, but for what Gemini's reader trips over; values and names of properties are left alone."""
    before = copy.deepcopy(given_schema)
    assert json_schema(given_schema) == wanted
    assert given_schema == before


@pytest.mark.parametrize(
    ("given_schema", "wanted"),
    [
        ({"type": "string", "title": "T", "$comment": "c"}, {"type": "STRING"}),
        ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
        (
            {"type": ["string", "integer"], "description": "d"},
            {"anyOf": [{"type": "STRING", "description": "d"}, {"type": "INTEGER", "description": "d"}]},
        ),
        (
            {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "d"},
            {"type": "INTEGER", "nullable": True, "description": "d"},
        ),
        ({"oneOf": [{"type": "string"}, {"type": "number"}]}, {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]}),
        ({"const": "a"}, {"type": "STRING", "enum": ["a"]}),
        ({"enum": ["a", "b", None]}, {"type": "STRING", "enum": ["a", "b"], "nullable": True}),
        ({"enum": [1, 2], "type": "integer"}, {"type": "INTEGER", "description": "One of 1, 2."}),
        ({"const": True, "description": "Yes."}, {"type": "BOOLEAN", "description": "Yes. One of true."}),
        (
            {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9},
            {"type": "INTEGER", "minimum": 1, "maximum": 8},
        ),
        (
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.5},
            {
                "type": "NUMBER",
                "maximum": 1,
                "description": 'By default 0.5. It must fit the JSON Schema {"exclusiveMinimum":0}, too.',
            },
        ),
        ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}),
        (
            {"type": "string", "format": "uri", "minLength": 1, "pattern": "^h"},
            {
                "type": "STRING",
                "minLength": 1,
                "pattern": "^h",
                "description": 'It must fit the JSON Schema {"format":"uri"}, too.',
            },
        ),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 1},
            {
                "type": "ARRAY",
                "minItems": 1,
                "items": {"type": "STRING"},
                "description": 'It must fit the JSON Schema {"uniqueItems":true}, too.',
            },
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
            {"type": "ARRAY", "items": {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}, "maxItems": 2},
        ),
        (
            {
                "type": "object",
                "properties": {"b": {"type": "string"}, "a": True},
                "required": ["b", "z"],
                "additionalProperties": False,
            },
            {
                "type": "OBJECT",
                "properties": {"b": {"type": "STRING"}, "a": {}},
                "propertyOrdering": ["b", "a"],
                "required": ["b"],
            },
        ),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {
                "type": "OBJECT",
                "description": 'Any other key may be used, with values that fit the JSON Schema {"type":"integer"}.',
            },
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"properties": {"b": {"type": "null"}}, "required": ["b"]},
                ],
                "type": "object",
            },
            {
                "type": "OBJECT",
                "properties": {"a": {"type": "STRING"}, "b": {"type": "NULL"}},
                "propertyOrdering": ["a", "b"],
                "required": ["a", "b"],
            },
        ),
        (
            {"$ref": "#/$defs/A", "description": "d", "$defs": {"A": {"type": "string", "description": "x"}}},
            {"type": "STRING", "description": "d"},
        ),
    ],
)
def test_openapi(given_schema: dict[str, Any], wanted: dict[str, Any]) -> None:
    """In the subset of OpenAPI: references written out, what has no field told in words."""
    before = copy.deepcopy(given_schema)
    assert openapi_schema(given_schema) == wanted
    assert given_schema == before


def test_a_schema_that_refers_to_itself() -> None:
    """It is written out once; what it refers to again is told by name."""
    again = {"type": "OBJECT", "nullable": True, "description": "The next one. Again Node, see above."}
    assert openapi_schema(NODE)["properties"]["head"] == {
        "type": "OBJECT",
        "description": "The first.",
        "properties": {"value": {"type": "INTEGER"}, "next": again},
        "propertyOrdering": ["value", "next"],
        "required": ["value"],
    }


def test_a_schema_that_is_nothing_but_itself() -> None:
    """References in a circle, or to nowhere, end."""
    assert openapi_schema({"$ref": "#"}) == {"description": "Again #, see above."}
    assert openapi_schema({"$ref": "#/$defs/none"}) == {}
    assert json_schema({"$ref": "#"}) == {"$ref": "#"}


class Stop(BaseModel):
    city: str = Field(min_length=1)
    nights: int = Field(gt=0, lt=30)
    with_dog: bool | None = None


def test_a_tool_of_ours() -> None:
    """A tool's schema as it is made from hints passes through both forms."""

    @tool
    def travel(stops: list[Stop], style: str = "train", budget: dict[str, float] | None = None) -> str:
        """Plans.

        Args:
            stops: where to.
            style: how.
            budget: by currency.
        """
        return f"{stops}{style}{budget}"

    parameters = travel.definition().parameters
    written = openapi_schema(parameters)
    types.Schema.model_validate_json(json.dumps(written), by_alias=True, by_name=False)
    stop = written["properties"]["stops"]["items"]
    assert stop["properties"]["nights"] == {"type": "INTEGER", "minimum": 1, "maximum": 29}
    plain = json_schema(parameters)
    value = {"stops": [{"city": "Bern", "nights": 2}]}
    jsonschema.validate(value, plain)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"stops": [{"city": "Bern", "nights": 30}]}, plain)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", "abc"]),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), v, max_size=3),
    max_leaves=5,
)
LEAVES = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "enum": ["a", "b"]},
        {"type": "string", "minLength": 1, "pattern": "a"},
        {"type": "integer", "exclusiveMinimum": 0},
        {"type": "integer", "minimum": -1, "multipleOf": 2},
        {"type": "number", "exclusiveMaximum": 2},
        {"type": "boolean"},
        {"type": "null"},
        {"type": ["string", "null"]},
        {"type": ["integer", "string"]},
        {"const": "a"},
        {"const": 1},
        {"enum": ["a", None]},
        {"enum": [1, "a"]},
        {},
        True,
        {"$ref": "#/$defs/A"},
        {"$ref": "#/$defs/A", "description": "d"},
        {"$ref": "#/$defs/B"},
        {"allOf": [{"$ref": "#/$defs/A"}], "default": {}},
    ]
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(lambda i: {"type": "array", "items": i, "maxItems": 2}, inner),
        st.builds(
            lambda i: {"type": "array", "prefixItems": i, "items": False}, st.lists(inner, min_size=1, max_size=2)
        ),
        st.builds(
            lambda p, r: {"type": "object", "properties": p, "required": r, "additionalProperties": False},
            st.dictionaries(st.sampled_from(["a", "b", "const"]), inner, max_size=2),
            st.sampled_from([[], ["a"]]),
        ),
        st.builds(lambda i: {"type": "object", "additionalProperties": i}, inner),
        st.builds(lambda i: {"anyOf": i, "title": "t"}, st.lists(inner, min_size=1, max_size=3)),
    )


DEFS = {
    "A": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/A"}}},
    "B": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/B"}]}},
}


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    return st.recursive(LEAVES, containers, max_leaves=4).map(
        lambda s: {"$defs": DEFS, **(s if isinstance(s, dict) else {"anyOf": [s]})}
    )


def read_openapi(schema: Any) -> Any:
    """An OpenAPI schema as the JSON Schema that it means."""
    if isinstance(schema, list):
        return [read_openapi(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type":
            out[key] = value.lower()
        elif key == "properties":
            out[key] = {k: read_openapi(v) for k, v in value.items()}
        elif key in ("items", "anyOf"):
            out[key] = read_openapi(value)
        elif key not in ("nullable", "propertyOrdering", "description"):
            out[key] = value
    return {"anyOf": [out, {"type": "null"}]} if schema.get("nullable") else out


def fits(value: Any, schema: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


@settings(max_examples=examples(300))
@given(schemas(), VALUES)
def test_neither_form_forbids_what_fits(schema: dict[str, Any], value: Any) -> None:
    """The JSON Schema form means the very same; the OpenAPI form, its words aside, allows no less."""
    plain, written = json_schema(schema), openapi_schema(schema)
    types.Schema.model_validate_json(json.dumps(written), by_alias=True, by_name=False)
    right = fits(value, schema)
    assert fits(value, plain) == right
    if right:
        assert fits(value, read_openapi(written))
