"""`lumosai._schema`: what a function takes, as JSON Schema, for every kind of annotation."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import inspect
import keyword
import math
import typing
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    TypeVar,
    Union,
)

import jsonschema
import pytest
import typing_extensions
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from lumosai import _schema
from lumosai._schema.hints import parameters
from lumosai._schema.signature import _plain, _typed
from lumosai.errors import ConfigurationError, ToolDefinitionError
from tests.conftest import examples

if typing.TYPE_CHECKING:
    from somewhere import Missing  # type: ignore[import-not-found]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Address(BaseModel):
    """Where someone lives.

    Attributes:
        street: with the number.
        city: as on an envelope.
    """

    street: str
    city: str = "Berlin"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass
class Tree:
    value: int
    children: list[Tree] = dataclasses.field(default_factory=list)


class Filter(TypedDict, total=False):
    """What to look for."""

    text: Required[str]
    colours: list[Colour]
    inner: Filter


class Pair(TypedDict):
    left: Filter
    right: NotRequired[int]


class Extended(typing_extensions.TypedDict):
    a: int


class Spot(NamedTuple):
    x: int
    y: str = "n"


T = TypeVar("T")


class Boxed(TypedDict, Generic[T]):
    content: T


@dataclasses.dataclass
class Holder:
    filters: dict[str, Filter]


class Box(BaseModel, Generic[T]):
    content: T


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


class Forest(BaseModel):
    tree: Tree
    more: Optional[Forest] = None  # noqa: UP045


ANNOTATIONS: list[tuple[Any, Any, Any]] = [
    # annotation, what a model writes, what the function gets
    (str, "a", "a"),
    (int, 3, 3),
    (float, 1.5, 1.5),
    (float, 2, 2.0),
    (bool, True, True),
    (Any, {"x": [1]}, {"x": [1]}),
    (None, None, None),
    (Optional[int], None, None),  # noqa: UP045
    (int | None, 4, 4),
    (Union[int, str], "x", "x"),  # noqa: UP007
    (int | str, 5, 5),
    (list[int], [1, 2], [1, 2]),
    (list, [1, "a"], [1, "a"]),
    (Sequence[str], ["a"], ["a"]),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (dict, {"a": [1]}, {"a": [1]}),
    (Mapping[str, list[int]], {"a": [1]}, {"a": [1]}),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[int, ...], [1, 2], (1, 2)),
    (set[int], [1, 2], {1, 2}),
    (frozenset[str], ["a"], frozenset({"a"})),
    (Literal["a", "b"], "b", "b"),
    (Literal[1, 2], 2, 2),
    (Colour, "red", Colour.RED),
    (Level, 2, Level.HIGH),
    (list[Colour], ["blue"], [Colour.BLUE]),
    (dt.datetime, "2026-01-02T03:04:05Z", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
    (dt.date, "2026-01-02", dt.date(2026, 1, 2)),
    (dt.time, "03:04", dt.time(3, 4)),
    (dt.timedelta, "PT1H", dt.timedelta(hours=1)),
    (uuid.UUID, "12345678-1234-5678-1234-567812345678", uuid.UUID("12345678-1234-5678-1234-567812345678")),
    (Decimal, "1.50", Decimal("1.50")),
    (Decimal, 2, Decimal(2)),
    (bytes, "raw", b"raw"),
    (Path, "/tmp/x", Path("/tmp/x")),
    (Address, {"street": "A 1"}, Address(street="A 1")),
    (list[Address], [{"street": "A 1", "city": "B"}], [Address(street="A 1", city="B")]),
    (Point, {"x": 1}, Point(1)),
    (Tree, {"value": 1, "children": [{"value": 2}]}, Tree(1, [Tree(2)])),
    (
        Filter,
        {"text": "t", "colours": ["red"], "inner": {"text": "u"}},
        {"text": "t", "colours": [Colour.RED], "inner": {"text": "u"}},
    ),
    (list[Pair], [{"left": {"text": "t"}}], [{"left": {"text": "t"}}]),
    (Pair | None, {"left": {"text": "t"}, "right": 1}, {"left": {"text": "t"}, "right": 1}),
    (Holder, {"filters": {"a": {"text": "t"}}}, Holder({"a": {"text": "t"}})),
    (Extended, {"a": 1}, {"a": 1}),
    (Boxed[int], {"content": 1}, {"content": 1}),
    (Box[int], {"content": 1}, Box[int](content=1)),
    (Spot, [1, "a"], Spot(1, "a")),
    (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "dog", "name": "Rex"}, Dog(name="Rex")),
    (Cat | Dog, {"name": "Rex"}, Dog(name="Rex")),
    (Forest, {"tree": {"value": 1}, "more": {"tree": {"value": 2}}}, Forest(tree=Tree(1), more=Forest(tree=Tree(2)))),
    (Annotated[int, Field(ge=1, le=9, description="a digit")], 9, 9),
    (Annotated[str, "a note of no meaning"], "a", "a"),
]


def signature(annotation: Any, **keywords: Any) -> _schema.Signature:
    """The signature of a function with one parameter `it`."""

    def fn(it):
        return it

    fn.__annotations__["it"] = annotation
    return _schema.parameters_of(fn, **keywords)


@pytest.mark.parametrize(("annotation", "written", "wanted"), ANNOTATIONS, ids=lambda value: repr(value)[:40])
def test_every_kind_of_annotation(annotation: Any, written: Any, wanted: Any) -> None:
    """Each has a JSON Schema of 2020-12 that what the model writes fits, and gives the function its type."""
    made = signature(annotation)
    jsonschema.Draft202012Validator.check_schema(made.schema)
    jsonschema.validate({"it": written}, made.schema, jsonschema.Draft202012Validator)
    assert made.schema["type"] == "object"
    _, kwargs = made.accept({"it": written})
    assert kwargs == {"it": wanted}
    assert type(kwargs["it"]) is type(wanted)
    if made.strict_schema is not None:
        jsonschema.Draft202012Validator.check_schema(made.strict_schema)


@pytest.mark.parametrize(("annotation", "written", "wanted"), ANNOTATIONS, ids=lambda value: repr(value)[:40])
def test_every_kind_of_annotation_as_text(annotation: Any, written: Any, wanted: Any) -> None:
    """Annotations under `from __future__ import annotations` are the same."""

    def fn(it: ANNOTATION) -> None: ...  # noqa: F821

    fn.__globals__["ANNOTATION"] = annotation
    assert fn.__annotations__["it"] == "ANNOTATION"
    assert _schema.parameters_of(fn).accept({"it": written})[1] == {"it": wanted}


def test_no_generated_titles() -> None:
    """Titles that are only names again cost tokens and are left out; a title of one's own stays."""

    def fn(
        where: Address, box: Box[int], trees: list[Tree], label: Annotated[str, Field(title="What it says")]
    ) -> None: ...

    made = _schema.parameters_of(fn).schema
    assert made["properties"]["label"]["title"] == "What it says"
    assert "title" not in str(made).replace("'title': 'What it says'", "")


def test_a_parameter_that_is_named_title() -> None:
    """Names that are also keywords of JSON Schema are names all the same."""

    def fn(title: str, default: int = 1, properties: list[str] | None = None, type: Literal["a"] = "a") -> None: ...  # noqa: A002

    made = _schema.parameters_of(fn)
    assert list(made.schema["properties"]) == ["title", "default", "properties", "type"]
    assert made.schema["required"] == ["title"]
    assert made.accept({"title": "t", "default": 2})[1] == {"title": "t", "default": 2}


def test_names_that_a_model_class_could_not_have() -> None:
    """Underscores, methods of pydantic's and its own settings are fine as parameters."""

    def fn(_private: int, model_config: list[int], copy: int, schema: str, self_: int = 1) -> None: ...

    made = _schema.parameters_of(fn)
    arguments = {"_private": 1, "model_config": [2], "copy": 3, "schema": "x"}
    assert made.accept(arguments)[1] == arguments


def test_descriptions_in_three_styles() -> None:
    """Google, NumPy and Sphinx docstrings describe the tool and its parameters alike."""

    def google(a: int, b: str = "x") -> None:
        """Do a thing.

        At length.

        Args:
            a: the first,
                over two lines.
            b (str): the second.

        Returns:
            nothing.
        """

    def numpy(a: int, b: str = "x") -> None:
        """Do a thing.

        At length.

        Parameters
        ----------
        a : int
            the first,
            over two lines.
        b : str, optional
            the second.

        Returns
        -------
        None
        """

    def sphinx(a: int, b: str = "x") -> None:
        """Do a thing.

        At length.

        :param a: the first,
            over two lines.
        :param str b: the second.
        :returns: nothing.
        """

    for fn in (google, numpy, sphinx):
        made = _schema.parameters_of(fn)
        assert made.description == "Do a thing.\n\nAt length.", fn
        assert made.schema["properties"]["a"] == {"type": "integer", "description": "the first, over two lines."}, fn
        assert made.schema["properties"]["b"]["description"] == "the second.", fn


def test_a_description_in_the_annotation() -> None:
    """A `Field` in the annotation, or as the default, is stronger than the docstring."""

    def fn(
        a: Annotated[int, Field(description="mine", ge=0)],
        b: int = Field(3, description="of the default", le=5),
        c: list[int] = Field(description="no default"),  # noqa: B008
        d: Annotated[int, "a note"] = 4,
    ) -> None:
        """Do.

        Args:
            a: theirs.
        """

    made = _schema.parameters_of(fn)
    properties = made.schema["properties"]
    assert properties["d"] == {"type": "integer", "description": "a note", "default": 4}
    assert properties["a"] == {"type": "integer", "description": "mine", "minimum": 0}
    assert properties["b"] == {"type": "integer", "description": "of the default", "maximum": 5, "default": 3}
    assert made.schema["required"] == ["a", "c"]
    assert made.accept({"a": 1, "c": [1]})[1] == {"a": 1, "b": 3, "c": [1]}


def test_a_docstring_of_prose() -> None:
    """A docstring without sections is the description as it stands; none is an empty one."""

    def prose() -> None:
        """Look: this is prose. With a colon: here, and args like x."""

    def none() -> None: ...

    assert _schema.parameters_of(prose).description == "Look: this is prose. With a colon: here, and args like x."
    assert _schema.parameters_of(none).description == ""
    assert _schema.parameters_of(none).schema == {"type": "object", "properties": {}, "additionalProperties": False}


def test_docstrings_of_classes_inside() -> None:
    """A model's docstring describes its fields where they are, not in one block."""

    def fn(where: Address) -> None: ...

    made = _schema.parameters_of(fn).schema["$defs"]["Address"]
    assert made["description"] == "Where someone lives."
    assert made["properties"]["street"]["description"] == "with the number."
    assert made["properties"]["city"]["default"] == "Berlin"


def test_defaults() -> None:
    """A default is shown as JSON where it is JSON, and the function's own default is used when it is left out."""
    marker = object()

    def fn(
        a: int = 1,
        b: Colour = Colour.RED,
        c: Point = Point(1, 2),  # noqa: B008
        d: Any = marker,
        e: int = None,  # type: ignore[assignment]  # noqa: RUF013
        f: tuple[int, ...] = (1, 2),
        *,
        g: str = "x",
        h: float = math.inf,
    ) -> None: ...

    def plain(h: float = math.nan) -> None: ...

    assert _schema.parameters_of(plain).schema["properties"]["h"] == {"type": "number"}
    made = _schema.parameters_of(fn)
    properties = made.schema["properties"]
    assert [properties[n].get("default", "none") for n in "abcdefgh"] == [
        1,
        "red",
        {"x": 1, "y": 2},
        "none",
        "none",
        [1, 2],
        "x",
        "none",
    ]
    assert "required" not in made.schema
    assert made.accept({})[1] == {}
    assert made.accept({"e": None})[1] == {}


def test_classes_local_to_a_function() -> None:
    """Text annotations find the locals of the function in which they stand, nested and recursive ones too."""

    @dataclasses.dataclass
    class Leaf:
        n: int

    @dataclasses.dataclass
    class Node:
        leaf: Leaf
        nodes: list[Node]

    class Entry(TypedDict):
        node: NotRequired[Node]
        next: NotRequired[Entry]

    def fn(node: Node, entry: Entry) -> None: ...

    made = _schema.parameters_of(fn)
    jsonschema.Draft202012Validator.check_schema(made.schema)
    kwargs = made.accept(
        {"node": {"leaf": {"n": 1}, "nodes": []}, "entry": {"next": {"node": {"leaf": {"n": 1}, "nodes": []}}}}
    )[1]
    assert kwargs["node"] == Node(Leaf(1), [])
    assert kwargs["entry"]["next"]["node"] == Node(Leaf(1), [])


def test_names_of_an_outer_function_that_returned() -> None:
    """A name that lives in the closure is found after its function has returned."""

    def outer() -> Any:
        class Inner(TypedDict):
            x: int

        def fn(inner: Inner) -> Any:
            return Inner, inner

        return fn

    assert _schema.parameters_of(outer()).accept({"inner": {"x": 1}})[1] == {"inner": {"x": 1}}


def test_parameters_by_position_and_by_keyword_only() -> None:
    """Both are described by name like any other."""

    def fn(a: int, b: int = 2, /, c: int = 3, *, d: int) -> None: ...

    made = _schema.parameters_of(fn)
    assert made.schema["required"] == ["a", "d"]
    assert made.positional == (("a", _schema.hints.EMPTY), ("b", 2))


def test_no_annotation() -> None:
    """A parameter without one takes any JSON value."""

    def fn(a, b=1): ...

    made = _schema.parameters_of(fn)
    jsonschema.Draft202012Validator.check_schema(made.schema)
    assert made.accept({"a": [1, {"x": None}], "b": "text"})[1] == {"a": [1, {"x": None}], "b": "text"}


def test_partials_wrappers_and_callable_objects() -> None:
    """What a partial has bound is not asked for; a wrapper shows what it wraps; an object shows its `__call__`."""

    def fn(a: int, b: str, c: float = 1.0) -> str:
        """Do."""
        return f"{a}{b}{c}"

    class Thing:
        def __call__(self, q: str) -> str:
            """Ask."""
            return q

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    assert list(_schema.parameters_of(functools.partial(fn, 1, c=2.0), tool="t").schema["properties"]) == ["b"]
    assert list(_schema.parameters_of(wrapper).schema["properties"]) == ["a", "b", "c"]
    assert list(_schema.parameters_of(functools.lru_cache(fn)).schema["properties"]) == ["a", "b", "c"]
    assert list(_schema.parameters_of(Thing(), tool="t").schema["properties"]) == ["q"]
    described = [functools.partial(fn, 1), functools.partial(functools.partial(fn, 1), c=2.0), wrapper, Thing()]
    assert [_schema.parameters_of(each, tool="t").description for each in described] == ["Do.", "Do.", "Do.", "Ask."]


class Context:
    """Stands for the tool's context."""


class SpecialContext(Context): ...


def test_a_context_parameter() -> None:
    """It is found however it is annotated, and not shown; even where its name exists for type checkers only."""

    def real(a: int, context: Context) -> None: ...

    def optional(a: int, ctx: Context | None = None) -> None: ...

    def special(ctx: SpecialContext, a: int) -> None: ...

    def generic(a: int, ctx: Nowhere.Context[Missing]) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for fn, name in ((real, "context"), (optional, "ctx"), (special, "ctx"), (generic, "ctx")):
        made = _schema.parameters_of(fn, context=Context)
        assert made.context_parameter == name
        assert list(made.schema["properties"]) == ["a"]


def test_two_context_parameters() -> None:
    """One is enough: two are a mistake that is named."""

    def fn(a: Context, b: Context) -> None: ...

    with pytest.raises(ToolDefinitionError, match="'a' and 'b'"):
        _schema.parameters_of(fn, context=Context)


class Unknown:
    """A class that no JSON can become."""


class Objects(enum.Enum):
    ONE = object()


Json = dict[str, "Json"] | int


@pytest.mark.parametrize(
    "annotation",
    [
        typing.Final[int],
        typing.Never,
        5,
        Unknown,
        list[Unknown],
        Objects,
        Json,
        dict[str, Unknown | None],
        typing.Callable[[int], int],
        type[int],
        "Missing",
        "not python",
        list["Missing"],
    ],
    ids=repr,
)
def test_an_annotation_without_a_schema(annotation: Any) -> None:
    """It is refused at the declaration; the error names tool, parameter and reason, and the way out."""

    def fn(good: int, bad: Any) -> None: ...

    fn.__annotations__["bad"] = annotation
    with pytest.raises(ToolDefinitionError, match=r"tool 'search'.*parameter 'bad'.*; ") as caught:
        _schema.parameters_of(fn, tool="search")
    assert caught.value.parameter == "bad"
    assert caught.value.tool == "search"


def test_star_parameters() -> None:
    """`*args` and `**kwargs` say nothing to a model."""

    def stars(*args: int) -> None: ...

    def two_stars(**kwargs: int) -> None: ...

    with pytest.raises(ToolDefinitionError, match=r"'stars'.*'\*args'"):
        _schema.parameters_of(stars)
    with pytest.raises(ToolDefinitionError, match=r"'two_stars'.*'\*\*kwargs'"):
        _schema.parameters_of(two_stars)


def test_a_function_without_a_signature() -> None:
    """A builtin that cannot be looked into is refused with the way out."""
    with pytest.raises(ToolDefinitionError, match="wrap it in a function"):
        _schema.parameters_of(max)


PLAIN_TYPES = st.sampled_from([str, int, float, bool])
NAMES = st.lists(st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True).filter(str.isidentifier), max_size=5, unique=True)
DEFAULTS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
)


@given(NAMES, st.data())
@settings(max_examples=examples(60), deadline=None)
def test_plain_parameters_without_pydantic(names: list[str], data: st.DataObject) -> None:
    """The schema that is made without pydantic is the one that pydantic makes."""
    made = []
    optional = False
    for name in names:
        if keyword.iskeyword(name):
            continue
        optional = optional or data.draw(st.booleans())
        default = data.draw(DEFAULTS) if optional else inspect.Parameter.empty
        kind = inspect.Parameter.KEYWORD_ONLY
        made.append(inspect.Parameter(name, kind, annotation=data.draw(PLAIN_TYPES), default=default))

    def fn(**kwargs: Any) -> None: ...

    fn.__signature__ = inspect.Signature(made)
    taken = parameters(fn, tool="t", context=None)
    said = {name: f"what {name} is" for name in names if data.draw(st.booleans())}
    plain = _plain(taken.shown, said)
    assert plain is not None
    assert plain.schema == _typed(taken, said, "t").schema


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: dt.date
    tags: tuple[str, ...]


def test_a_model_that_is_strict() -> None:
    """A strict model is read as JSON, where a date is text and a tuple is a list."""

    def fn(it: Strict) -> None: ...

    kwargs = _schema.parameters_of(fn).accept({"it": {"when": "2026-01-02", "tags": ["a"]}})[1]
    assert kwargs["it"] == Strict(when=dt.date(2026, 1, 2), tags=("a",))


def test_an_alias() -> None:
    """A `Field` alias is the model's name for a parameter that Python could not have."""

    def fn(from_: Annotated[str, Field(alias="from")], to: str) -> None: ...

    made = _schema.parameters_of(fn)
    assert list(made.schema["properties"]) == ["from", "to"]
    assert made.accept({"from": "a", "to": "b"}) == ({"from": "a", "to": "b"}, {"from_": "a", "to": "b"})


def test_typed_dicts_are_left_usable() -> None:
    """A `typing.TypedDict` is still what it was after a tool has used it."""
    signature(Pair)
    assert Pair(left={"text": "x"}) == {"left": {"text": "x"}}
    assert Pair.__required_keys__ == {"left", "right"} or Pair.__required_keys__ == {"left"}
    assert typing.get_type_hints(Pair, include_extras=True)["right"] == NotRequired[int]


def test_an_output_type_without_a_schema() -> None:
    """It is refused with its reason."""
    with pytest.raises(ConfigurationError, match="Unknown"):
        _schema.output_of(Unknown)
    with pytest.raises(ConfigurationError, match="in place of its schema"):
        _schema.output_of({"type": "object", "properties": {}})
