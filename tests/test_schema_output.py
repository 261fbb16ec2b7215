"""`lumosai._schema`: output types, from the schema that a model is given to the value that the caller gets."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Literal, NotRequired, TypedDict

import jsonschema
import pytest
from pydantic import BaseModel

from lumosai import _schema


class Answer(BaseModel):
    text: str
    score: float = 0.5


@dataclasses.dataclass
class Place:
    name: str
    near: list[Place] = dataclasses.field(default_factory=list)


class Row(TypedDict):
    id: int
    note: NotRequired[str]


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


OUTPUTS: list[tuple[Any, bool, Any, Any]] = [
    # type, wrapped, what a model writes, the value
    (Answer, False, {"text": "t", "score": "0.7"}, Answer(text="t", score=0.7)),
    (Place, False, {"name": "a", "near": [{"name": "b"}]}, Place("a", [Place("b")])),
    (Row, False, {"id": "1"}, {"id": 1}),
    (dict[str, int], False, {"a": 1}, {"a": 1}),
    (list[Answer], True, {"value": [{"text": "t"}]}, [Answer(text="t")]),
    (list[int], True, {"value": "[1, 2]"}, [1, 2]),
    (int, True, {"value": 3}, 3),
    (bool, True, {"value": "true"}, True),
    (Literal["yes", "no"], True, {"value": "yes"}, "yes"),
    (Mood, True, {"value": "good"}, Mood.GOOD),
    (Answer | Place, True, {"value": {"name": "x"}}, Place("x")),
    (Answer | None, True, {"value": None}, None),
    (tuple[int, str], True, {"value": [1, "a"]}, (1, "a")),
]


@pytest.mark.parametrize(("type_", "wrapped", "written", "value"), OUTPUTS, ids=lambda each: repr(each)[:30])
def test_output_types(type_: Any, wrapped: bool, written: Any, value: Any) -> None:
    """A model is always asked for an object; its answer becomes the type, and the type becomes JSON again."""
    made = _schema.output_of(type_)
    assert made.wrapped is wrapped
    assert made.schema["type"] == "object"
    assert made.name
    jsonschema.Draft202012Validator.check_schema(made.schema)
    loaded = made.load(written)
    assert loaded == value
    assert made.load(made.dump(loaded)) == value
    if wrapped:
        assert made.load(written["value"]) == value


def test_output_that_does_not_fit() -> None:
    """The model is told where and what was expected."""
    made = _schema.output_of(Answer)
    with pytest.raises(_schema.InvalidOutput, match="text: required but missing"):
        made.load({"score": 1})
    with pytest.raises(_schema.InvalidOutput, match=r'expected .* got "no"'):
        _schema.output_of(int).load({"value": "no"})
    with pytest.raises(_schema.InvalidOutput, match=r"\[1\]"):
        _schema.output_of(list[int]).load({"value": [1, "x"]})


def test_unknown_fields_in_an_output() -> None:
    """A model that says more than was asked is not asked again for that."""
    assert _schema.output_of(Place).load({"name": "a", "why": "because"}) == Place("a")


TEXTS = [
    ('{"text": "t"}', {"text": "t"}),
    ('  \n{"text": "t"}\n', {"text": "t"}),
    ('```json\n{"text": "t"}\n```', {"text": "t"}),
    ('```\n{"text": "t"}\n```', {"text": "t"}),
    ('Here it is:\n```json\n{"text": "t"}\n```\nDone.', {"text": "t"}),
    ('The answer is {"text": "t"} as asked.', {"text": "t"}),
]


@pytest.mark.parametrize(("text", "value"), TEXTS)
def test_the_json_in_an_answer(text: str, value: Any) -> None:
    """Fences and prose around the value are left out."""
    assert _schema.output_of(Answer).parse(text) == value


def test_an_answer_without_json() -> None:
    """It is refused, unless the type is one that a bare word can be."""
    with pytest.raises(_schema.InvalidOutput, match="expected one JSON value"):
        _schema.output_of(Answer).parse("I do not know.")
    with pytest.raises(_schema.InvalidOutput):
        _schema.output_of(Answer).parse("")
    made = _schema.output_of(Literal["yes", "no"])
    assert made.load(made.parse("yes")) == "yes"
    with pytest.raises(_schema.InvalidOutput, match="'yes' or 'no'"):
        made.load(made.parse("maybe"))


def test_the_strict_form_of_an_output() -> None:
    """It exists where the type has one; its null means the default."""
    made = _schema.output_of(Answer)
    assert made.strict_schema is not None
    assert made.strict_schema["required"] == ["text", "score"]
    assert made.load({"text": "t", "score": None}) == Answer(text="t")
    assert _schema.output_of(dict[str, int]).strict_schema is None


def test_a_local_output_type() -> None:
    """A class of the calling function, with text annotations, will do."""

    @dataclasses.dataclass
    class Inner:
        n: int

    @dataclasses.dataclass
    class Outer:
        inner: list[Inner]

    assert _schema.output_of(Outer).load({"inner": {"n": 1}}) == Outer([Inner(1)])
    assert _schema.output_of(list[Outer]).load([{"inner": []}]) == [Outer([])]
