"""`lumosai._schema`: the strict form of a schema, and when there is none."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from lumosai import _schema


class Unit(enum.Enum):
    C = "c"
    F = "f"


class Leaf(BaseModel):
    name: str
    weight: float = 1.0


class Node(BaseModel):
    value: int
    next: Node | None = None


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    age: int = 3


def strict_everywhere(schema: Any) -> None:
    """Asserts that every object in a schema keeps to the strict rules."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])
        assert not {"default", "title", "oneOf", "allOf", "discriminator", "minLength"} & schema.keys()
        assert "$ref" not in schema or len(schema) == 1
        for each in schema.values():
            strict_everywhere(each)
    elif isinstance(schema, list):
        for each in schema:
            strict_everywhere(each)


def test_the_strict_form() -> None:
    """Every object in it has all its properties required and no others; what was optional may be null."""

    def fn(
        text: Annotated[str, Field(min_length=1)],
        leaf: Leaf,
        node: Annotated[Node, Field(description="a chain")],
        unit: Unit = Unit.C,
        many: list[Leaf] | None = None,
        pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None,
        when: dt.datetime | None = None,
        price: Decimal = Decimal(1),
        note: Annotated[str, Field(description="a note")] = "none",
    ) -> None: ...

    made = _schema.parameters_of(fn)
    strict = made.strict_schema
    assert strict is not None
    jsonschema.Draft202012Validator.check_schema(strict)
    assert strict["required"] == list(strict["properties"])
    assert strict["additionalProperties"] is False
    strict_everywhere([*strict["properties"].values(), *strict["$defs"].values()])
    assert strict["properties"]["note"] == {"type": ["string", "null"], "description": 'a note (default "none")'}
    assert strict["properties"]["text"] == {"type": "string"}
    assert strict["properties"]["node"] == {"anyOf": [{"$ref": "#/$defs/Node"}], "description": "a chain"}
    assert strict["$defs"]["Cat"]["properties"]["kind"] == {"type": "string", "const": "cat"}
    arguments = {
        "text": "t",
        "leaf": {"name": "l", "weight": None},
        "node": {"value": 1, "next": {"value": 2, "next": None}},
        "unit": None,
        "many": None,
        "pet": {"kind": "dog", "age": None},
        "when": None,
        "price": None,
        "note": None,
    }
    jsonschema.validate(arguments, strict, jsonschema.Draft202012Validator)
    assert made.accept(arguments)[1] == {
        "text": "t",
        "leaf": Leaf(name="l"),
        "node": Node(value=1, next=Node(value=2)),
        "many": None,
        "pet": Dog(age=3),
        "when": None,
    }


@pytest.mark.parametrize(
    "annotation", [dict, dict[str, int], Any, list, list[Any], tuple[int, str], list[dict[str, Any]]], ids=repr
)
def test_what_has_no_strict_form(annotation: Any) -> None:
    """A free dictionary, anything at all and a tuple of different types cannot be said strictly."""

    def fn(it: Any) -> None: ...

    fn.__annotations__["it"] = annotation
    assert _schema.parameters_of(fn).strict_schema is None


def test_a_schema_without_parameters() -> None:
    """No parameters at all have a strict form."""

    def fn() -> None: ...

    assert _schema.parameters_of(fn).strict_schema == {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }


def test_a_schema_that_is_too_large() -> None:
    """More nesting than a strict server takes has no strict form."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(12):
        schema = {"type": "object", "properties": {"inner": schema}, "required": ["inner"]}
    assert _schema.parameters_from(schema, lambda inner: None, tool="t").strict_schema is None


def test_the_plain_schema_is_left_as_it_is() -> None:
    """Asking for the strict form does not change the plain one."""

    def fn(leaf: Leaf, note: str = "x") -> None: ...

    made = _schema.parameters_of(fn)
    before = str(made.schema)
    assert made.strict_schema is not None
    assert str(made.schema) == before
