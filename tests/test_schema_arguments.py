"""`lumosai._schema`: what models write, understood where it can be, and told what is wrong where it cannot."""

from __future__ import annotations

import dataclasses
import enum
import json
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from lumosai import _schema
from lumosai.errors import LumosaiError, ToolDefinitionError
from tests.conftest import examples


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


class Item(BaseModel):
    name: str
    count: int = 1
    tags: list[str] = []


class Even(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def check(cls, n: int) -> int:
        if n % 2:
            raise ValueError("must be even")
        return n


@dataclasses.dataclass
class Circle:
    radius: float


@dataclasses.dataclass
class Square:
    side: float


class Query(TypedDict):
    text: str
    limit: NotRequired[int]


def typed(annotation: Any, default: Any = ...) -> _schema.Signature:
    """The signature of a function with one parameter `it`, from its hint."""
    if default is ...:

        def fn(it): ...
    else:

        def fn(it=default): ...

    fn.__annotations__["it"] = annotation
    return _schema.parameters_of(fn)


def raw(schema: dict[str, Any], *, required: bool = True) -> _schema.Signature:
    """The signature of a raw schema with one property `it`."""
    whole = {"type": "object", "properties": {"it": schema}, "required": ["it"] if required else []}
    return _schema.parameters_from(whole, lambda **arguments: arguments, tool="t")


INT = {"type": "integer"}
WRITTEN = [
    # what the function takes, as schema, what the model wrote, what it meant
    (int, INT, "2", 2),
    (int, INT, " -7 ", -7),
    (int, INT, 2.0, 2),
    (int, INT, "2.0", 2),
    (int, INT, "123456789012345678901234567890", 123456789012345678901234567890),
    (float, {"type": "number"}, "2.5", 2.5),
    (float, {"type": "number"}, "1e3", 1000.0),
    (bool, {"type": "boolean"}, "true", True),
    (bool, {"type": "boolean"}, "False", False),
    (str, {"type": "string"}, 5, "5"),
    (str, {"type": "string"}, 1.5, "1.5"),
    (str, {"type": "string"}, "5", "5"),
    (str, {"type": "string"}, "[1]", "[1]"),
    (list[int], {"type": "array", "items": INT}, "[1, 2]", [1, 2]),
    (list[int], {"type": "array", "items": INT}, '["1", "2"]', [1, 2]),
    (list[int], {"type": "array", "items": INT}, 3, [3]),
    (list[int], {"type": "array", "items": INT}, "3", [3]),
    (list[str], {"type": "array", "items": {"type": "string"}}, "a", ["a"]),
    (list[list[int]], {"type": "array", "items": {"type": "array", "items": INT}}, "[[1], 2]", [[1], [2]]),
    (dict[str, int], {"type": "object", "additionalProperties": INT}, '{"a": "1"}', {"a": 1}),
    (int | None, {"type": ["integer", "null"]}, "3", 3),
    (int | None, {"type": ["integer", "null"]}, "null", None),
    (list[int] | None, {"anyOf": [{"type": "array", "items": INT}, {"type": "null"}]}, "[1]", [1]),
    (int | list[int], {"anyOf": [INT, {"type": "array", "items": INT}]}, "[1]", [1]),
    (Literal[1, 2], {"type": "integer", "enum": [1, 2]}, "2", 2),
]


@pytest.mark.parametrize(("annotation", "schema", "written", "meant"), WRITTEN, ids=repr)
def test_what_models_write(annotation: Any, schema: dict[str, Any], written: Any, meant: Any) -> None:
    """The same text in another JSON type is understood, by hint and by raw schema alike."""
    for made in (typed(annotation), raw(schema)):
        kwargs = made.accept({"it": written})[1]
        assert kwargs == {"it": meant}
        assert type(kwargs["it"]) is type(meant)


def test_what_models_write_into_classes() -> None:
    """Inside models, enums, unions and lists of them, too."""
    assert typed(Item).accept({"it": '{"name": 5, "count": "2", "tags": "x"}'})[1]["it"] == Item(
        name="5", count=2, tags=["x"]
    )
    assert typed(list[Item]).accept({"it": {"name": "a"}})[1]["it"] == [Item(name="a")]
    assert typed(list[Item]).accept({"it": ['{"name": "a"}']})[1]["it"] == [Item(name="a")]
    assert typed(Size).accept({"it": "2"})[1]["it"] is Size.LARGE
    assert typed(Circle | Square).accept({"it": '{"side": "2"}'})[1]["it"] == Square(2.0)
    assert typed(Query).accept({"it": {"text": "t", "limit": "3"}})[1]["it"] == {"text": "t", "limit": 3}
    assert typed(Decimal).accept({"it": "1.10"})[1]["it"] == Decimal("1.10")
    assert typed(tuple[int, str]).accept({"it": '["1", 2]'})[1]["it"] == (1, "2")


def test_text_stays_text_where_text_is_allowed() -> None:
    """A string is not taken apart where a string is wanted."""
    for annotation in (str, str | int, str | list[int], Any, dict[str, Any] | str):
        assert typed(annotation).accept({"it": "[1]"})[1] == {"it": "[1]"}


def test_arguments_are_shown_as_understood() -> None:
    """What is shown and approved has the scalars as the function gets them, and the rest as it was written."""

    def fn(n: int, when: list[int], ok: bool = False) -> None: ...

    given, kwargs = _schema.parameters_of(fn).accept({"n": "2", "when": "[1]", "ok": "true"})
    assert given == {"n": 2, "when": "[1]", "ok": True}
    assert kwargs == {"n": 2, "when": [1], "ok": True}


def test_null_for_what_is_optional() -> None:
    """In the strict form every argument is written: null means the default, unless null is a value of its own."""

    def fn(a: int = 1, b: str | None = "b", c: list[int] = [], d: Item = Item(name="d")) -> None: ...  # noqa: B006, B008

    assert _schema.parameters_of(fn).accept({"a": None, "b": None, "c": None, "d": None})[1] == {"b": None}
    assert typed(Item).accept({"it": {"name": "x", "count": None, "tags": None}})[1]["it"] == Item(name="x")
    assert raw(INT, required=False).accept({"it": None})[1] == {}


def problems(made: _schema.Signature, arguments: dict[str, Any]) -> str:
    """What the model is told of wrong arguments."""
    with pytest.raises(_schema.InvalidArguments) as caught:
        made.accept(arguments)
    assert isinstance(caught.value, LumosaiError)
    assert caught.value.problems
    return str(caught.value)


WRONG = [
    (int, INT, "two", ("it", "integer", '"two"')),
    (int, INT, 2.5, ("it", "integer", "2.5")),
    (int, INT, None, ("it", "integer", "null")),
    (float, {"type": "number"}, "1e999", ("it", "number", '"1e999"')),
    (float, {"type": "number"}, "Infinity", ("it", "number", '"Infinity"')),
    (int, INT, [1], ("it", "integer", "[1]")),
    (bool, {"type": "boolean"}, "maybe", ("it", '"maybe"')),
    (str, {"type": "string"}, {"a": 1}, ("it", "string", '{"a": 1}')),
    (list[int], {"type": "array", "items": INT}, [1, "x", 3], ("it[1]", "integer", '"x"')),
    (list[int], {"type": "array", "items": INT}, "[1, x]", ("it", '"[1, x]"')),
    (dict[str, int], {"type": "object", "additionalProperties": INT}, {"k": "v"}, ("it.k", "integer", '"v"')),
    (Literal["a", "b"], {"enum": ["a", "b"]}, "c", ("it", "a", "b", '"c"')),
    (Annotated[int, Field(ge=1)], {"type": "integer", "minimum": 1}, 0, ("it", "1", "got 0")),
    (int | list[int], {"anyOf": [INT, {"type": "array", "items": INT}]}, "x", ("it", "an integer or a list", '"x"')),
]


@pytest.mark.parametrize(("annotation", "schema", "written", "said"), WRONG, ids=repr)
def test_wrong_arguments(annotation: Any, schema: dict[str, Any], written: Any, said: tuple[str, ...]) -> None:
    """The model is told which argument is wrong, what was expected, and what it wrote, in one short line."""
    for made in (typed(annotation), raw(schema)):
        text = problems(made, {"it": written})
        for part in said:
            assert part in text
        assert len(text) < 200
        assert "\n" not in text


def test_everything_that_is_wrong_at_once() -> None:
    """All problems are told together, each on its line, misspelt names with the right one."""

    def fn(expression: str, precision: int, mode: Literal["a", "b"] = "a") -> None: ...

    text = problems(_schema.parameters_of(fn), {"expresion": "1", "precision": "x", "mode": "c"})
    assert text.splitlines() == [
        "- expression: required but missing; expected a string",
        '- precision: expected a valid integer, got "x"',
        "- mode: expected 'a' or 'b', got \"c\"",
        "- expresion: no such argument; did you mean 'expression'?",
    ]


def test_problems_inside_classes() -> None:
    """A path leads to the place; a validator's own words are told."""
    assert problems(typed(list[Item]), {"it": [{"name": "a"}, {"count": 1}]}).startswith(
        "it[1].name: required but missing"
    )
    assert problems(typed(Even), {"it": {"n": 3}}) == "it.n: must be even; got 3"
    assert "it.size: no such argument" in problems(typed(Circle), {"it": {"radius": 1, "size": 2}})
    assert "object with radius or an object with side" in problems(typed(Circle | Square), {"it": {"round": True}})


def test_a_long_offending_value() -> None:
    """What the model wrote is shown, but not all of it."""
    text = problems(typed(int), {"it": "x" * 10_000})
    assert len(text) < 200
    assert "10002 characters" in text


def test_no_argument_is_invented() -> None:
    """A missing argument is never filled in, whatever is near."""

    def fn(a: list[int], b: Item) -> None: ...

    text = problems(_schema.parameters_of(fn), {})
    assert "a: required but missing" in text
    assert "b: required but missing" in text
    assert "got" not in text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), JSON, max_size=5))
@settings(max_examples=examples(200), deadline=None)
def test_any_arguments_at_all(arguments: dict[str, Any]) -> None:
    """Whatever is written, it fits or is refused with a reason; what is not written is never given."""

    def fn(a: int, b: list[Item] = [], c: dict[str, float] | None = None, d: Circle | Square | str = "") -> None: ...  # noqa: B006

    before = json.dumps(arguments)
    try:
        _, kwargs = _schema.parameters_of(fn).accept(arguments)
    except _schema.InvalidArguments as error:
        assert str(error)
    else:
        assert kwargs.keys() <= arguments.keys()
        assert isinstance(kwargs["a"], int)
    assert json.dumps(arguments) == before


@given(
    st.fixed_dictionaries(
        {"a": st.integers(), "b": st.lists(st.text()), "c": st.dictionaries(st.text(), st.booleans()), "d": st.text()},
        optional={"e": st.floats(allow_nan=False, allow_infinity=False) | st.none()},
    ),
    st.booleans(),
)
@settings(max_examples=examples(100), deadline=None)
def test_right_arguments_come_through_unchanged(arguments: dict[str, Any], as_text: bool) -> None:
    """Arguments that fit are what the function gets, also where the objects in them were written as JSON text."""

    def fn(a: int, b: list[str], c: dict[str, bool], d: str, e: float | None = None) -> None: ...

    written = {**arguments, "b": json.dumps(arguments["b"]), "c": json.dumps(arguments["c"])} if as_text else arguments
    assert _schema.parameters_of(fn).accept(written)[1] == arguments


class CalculatorParams(BaseModel):
    """Evaluate an expression.

    Attributes:
        expression: what to evaluate.
    """

    expression: str
    precision: int | None = None


@dataclasses.dataclass
class CalculatorData:
    """Evaluate an expression.

    Attributes:
        expression: what to evaluate.
    """

    expression: str
    precision: int | None = None


class CalculatorDict(TypedDict):
    """Evaluate an expression.

    Attributes:
        expression: what to evaluate.
    """

    expression: str
    precision: NotRequired[int | None]


@pytest.mark.parametrize("cls", [CalculatorParams, CalculatorData, CalculatorDict])
def test_a_class_of_parameters(cls: Any) -> None:
    """A function that takes one instance of a class is described by the class's fields."""

    def fn(params: Any) -> Any: ...

    made = _schema.parameters_from(cls, fn, tool="calculator")
    assert made.schema == {
        "type": "object",
        "properties": {
            "expression": {"type": "string", "description": "what to evaluate."},
            "precision": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "required": ["expression"],
        "additionalProperties": False,
    }
    assert made.accept({"expression": "1", "precision": "2"})[1] == {"params": cls(expression="1", precision=2)}
    text = problems(made, {"expresion": "1"})
    assert "expression: required but missing" in text
    assert "expresion: no such argument; did you mean 'expression'?" in text
    assert made.strict_schema is not None
    assert made.accept({"expression": "1", "precision": None})[1]["params"] == cls(expression="1", precision=None)


def test_a_class_of_parameters_that_is_recursive() -> None:
    """Its schema is still an object that refers to itself."""

    class Tree(BaseModel):
        value: int
        children: list[Tree] = []

    made = _schema.parameters_from(Tree, lambda tree: tree, tool="t")
    assert made.schema["type"] == "object"
    assert made.accept({"value": "1", "children": {"value": 2}})[1]["tree"].children[0].value == 2


def test_a_class_of_parameters_and_a_function_that_does_not_take_it() -> None:
    """The mistake is found at the declaration."""
    with pytest.raises(ToolDefinitionError, match="fn must take one CalculatorParams"):
        _schema.parameters_from(CalculatorParams, lambda a, b: None, tool="t")
    with pytest.raises(ToolDefinitionError, match="must be a JSON Schema"):
        _schema.parameters_from(int, lambda a: None, tool="t")


def test_a_raw_schema_and_how_its_function_is_called() -> None:
    """Arguments go by name; all of them as one dict where the function takes one thing of another name."""
    schema = {"type": "object", "properties": {"a": INT, "b-c": {"type": "string"}}, "required": ["a"]}

    def by_name(a, **rest): ...

    def whole(arguments): ...

    assert _schema.parameters_from(schema, by_name, tool="t").accept({"a": "1", "b-c": "x"})[1] == {"a": 1, "b-c": "x"}
    assert _schema.parameters_from(schema, whole, tool="t").accept({"a": 1})[1] == {"arguments": {"a": 1}}


BROKEN = [
    ({"type": "object", "properties": {"a": {"type": "integr"}}}, "integr"),
    ({"type": "object", "properties": []}, "properties"),
    ({"type": "object", "required": "a"}, "required"),
    ({"type": "string"}, "type 'object'"),
    ({"type": "object", "properties": {"a": {"pattern": 5}}}, "pattern"),
    ({"anyOf": [{"type": "object"}]}, "type 'object'"),
    ({"type": "object", "properties": {"a": {"default": {1, 2}}}}, "not JSON"),
    ({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}, "leads nowhere"),
    ({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/a.json"}}}, "nothing is fetched"),
]


@pytest.mark.parametrize(("schema", "said"), BROKEN, ids=repr)
def test_a_raw_schema_that_is_none(schema: dict[str, Any], said: str) -> None:
    """A broken schema is refused at the declaration, with its place."""
    with pytest.raises(ToolDefinitionError, match=f"(?s)tool 't'.*{said}"):
        _schema.parameters_from(schema, lambda a: None, tool="t")


def test_a_raw_schema_that_contains_itself() -> None:
    """Python allows it, JSON does not."""
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    schema["properties"]["a"] = schema
    with pytest.raises(ToolDefinitionError, match="contains itself"):
        _schema.parameters_from(schema, lambda a: None, tool="t")


def test_a_raw_schema_and_a_function_that_does_not_fit() -> None:
    """A property that the function does not take, and a parameter that the schema does not have, are named."""
    schema = {"type": "object", "properties": {"a": INT, "b": INT}}
    with pytest.raises(ToolDefinitionError, match="property 'b'"):
        _schema.parameters_from(schema, lambda a, c=1: None, tool="t")
    with pytest.raises(ToolDefinitionError, match="fn needs 'c'"):
        _schema.parameters_from(schema, lambda a, b, c: None, tool="t")


def test_a_raw_schema_is_copied() -> None:
    """Changing the dict afterwards changes no tool."""
    schema = {"type": "object", "properties": {"a": dict(INT)}}
    made = _schema.parameters_from(schema, lambda a: None, tool="t")
    schema["properties"]["a"]["type"] = "string"  # type: ignore[index]
    assert made.accept({"a": 1})[1] == {"a": 1}


def test_a_raw_schema_with_references() -> None:
    """Local references are followed when arguments are understood and when a problem is told."""
    schema = {
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/node"}},
        "required": ["node"],
        "$defs": {
            "node": {"type": "object", "properties": {"v": INT, "next": {"$ref": "#/$defs/node"}}, "required": ["v"]}
        },
    }
    made = _schema.parameters_from(schema, lambda node: None, tool="t")
    assert made.accept({"node": '{"v": "1", "next": {"v": "2"}}'})[1] == {"node": {"v": 1, "next": {"v": 2}}}
    assert "node.next.v: required but missing; expected an integer" in problems(made, {"node": {"v": 1, "next": {}}})
