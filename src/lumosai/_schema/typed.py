"""Types to JSON Schema, and JSON values to types: the only user of pydantic.

A `Record` stands for named fields, each of a type. It is built once and kept, for building it costs a thousand times
what using it does.
"""

from __future__ import annotations

import difflib
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from lumosai._schema import docs, typeddicts, walk
from lumosai._schema.loosen import loosened
from lumosai._schema.problems import MISSING, Misfit, Problem, Unsupported, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import ValidationError


class Record:
    """Named fields, each of a type: their JSON Schema, and the way from a JSON object to typed values and back.

    Attributes:
        schema: the JSON Schema (2020-12) of the object, without generated titles.
    """

    __slots__ = ("_adapter", "schema")

    def __init__(self, fields: Mapping[str, tuple[Any, bool]], namespace: Mapping[str, Any], *, closed: bool) -> None:
        """A record.

        Args:
            fields: by name, the type and whether the field is required.
            namespace: names that the annotations of classes local to a function may use.
            closed: whether other fields are an error, here and in the dataclasses and typed dictionaries inside.

        Raises:
            Unsupported: there is no JSON Schema for it.
        """
        for type_, _ in fields.values():
            typeddicts.accept(type_, namespace)
        self._adapter = _adapter(fields, namespace, closed=closed)
        self.schema = _schema(self._adapter)

    def load(self, value: dict[str, Any]) -> dict[str, Any]:
        """The typed values that a JSON object holds. What is not given is not there, unless its type has a default.

        Strings that hold the wanted JSON, lone items of lists and the like are understood as `loosen` says.

        Raises:
            Misfit: it does not fit.
        """
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(value)  # type: ignore[no-any-return]  # a typed dictionary
        except ValidationError:
            bent = loosened(value, self.schema, self.schema)
        try:
            return self._adapter.validate_json(json.dumps(bent))  # type: ignore[no-any-return]  # likewise
        except ValidationError as error:
            raise Misfit(_problems(error, bent, self.schema)) from None

    def dump(self, values: dict[str, Any]) -> dict[str, Any]:
        """The JSON object of typed values."""
        return self._adapter.dump_python(values, mode="json", by_alias=True, warnings=False)  # type: ignore[no-any-return]


class Whole:
    """One type: its JSON Schema, and the way from a JSON value to it and back.

    Attributes:
        schema: the JSON Schema; of an object where the type is one.
    """

    __slots__ = ("_record", "schema")

    def __init__(self, type_: Any, namespace: Mapping[str, Any], *, closed: bool) -> None:
        """As `Record`, of one unnamed field."""
        self._record = Record({"value": (type_, True)}, namespace, closed=closed)
        self.schema = _lifted(self._record.schema)

    def load(self, value: Any) -> Any:
        """The typed value that a JSON value means. As `Record.load`."""
        try:
            return self._record.load({"value": value})["value"]
        except Misfit as misfit:
            problems = [p._replace(path=p.path.removeprefix("value").removeprefix(".")) for p in misfit.problems]
        raise Misfit(problems)

    def dump(self, value: Any) -> Any:
        """The JSON value of a typed one."""
        return self._record.dump({"value": value})["value"]


def _lifted(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of the one field of a record, standing alone."""
    inner = schema["properties"]["value"]
    defs = schema.get("$defs", {})
    name = inner.get("$ref", "").removeprefix("#/$defs/")
    if name in defs:
        beside = {k: v for k, v in inner.items() if k != "$ref"}
        inner = {**defs[name], **beside}
        if not _refers({**defs}, name):
            defs = {k: v for k, v in defs.items() if k != name}
    return {**inner, "$defs": defs} if defs else dict(inner)


def _refers(schema: Any, name: str) -> bool:
    if isinstance(schema, dict):
        return schema.get("$ref") == f"#/$defs/{name}" or any(_refers(v, name) for v in schema.values())
    return isinstance(schema, list) and any(_refers(v, name) for v in schema)


def _adapter(fields: Mapping[str, tuple[Any, bool]], namespace: Mapping[str, Any], *, closed: bool) -> Any:
    import typing_extensions as t
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
    from pydantic_core import SchemaError

    make: Any = t.TypedDict  # its fields are known at run time only
    config = ConfigDict(
        extra="forbid" if closed else "ignore",
        coerce_numbers_to_str=True,
        allow_inf_nan=False,  # JSON has neither, and 1e999 is none of what a model may have meant
        validate_by_name=True,
        validate_by_alias=True,
        defer_build=True,
    )
    try:
        record = make(
            "Record", {name: (t.Required if needed else t.NotRequired)[of] for name, (of, needed) in fields.items()}
        )
        record.__pydantic_config__ = config
        adapter: TypeAdapter[Any] = TypeAdapter(record)
        adapter.rebuild(raise_errors=True, _types_namespace=dict(namespace))
    except PydanticUndefinedAnnotation as error:
        raise Unsupported(f"{error.name!r} cannot be found at run time; define or import it at module level") from error
    except PydanticUserError as error:
        raise Unsupported(_reason(error)) from error
    except RecursionError as error:
        raise Unsupported(
            "it contains itself without a name: make it a class, or a typing_extensions.TypeAliasType"
        ) from error
    except (
        TypeError,
        ValueError,
        AttributeError,
        NameError,
        SchemaError,
    ) as error:  # what a broken type makes it raise
        raise Unsupported(f"{type(error).__name__}: {error}") from error
    return adapter


def _schema(adapter: Any) -> dict[str, Any]:
    import warnings

    from pydantic.errors import PydanticUserError
    from pydantic.json_schema import PydanticJsonSchemaWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", PydanticJsonSchemaWarning
            )  # a default that is no JSON is left out, as it should
            schema = adapter.json_schema(schema_generator=_generator())
    except PydanticUserError as error:
        raise Unsupported(_reason(error)) from error
    except ValueError as error:  # an enumeration of objects
        raise Unsupported(f"it has a value that is no JSON: {error}") from error
    return dict(walk.rebuilt(schema, _tidy))


@cache
def _generator() -> Any:
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        """Pydantic's own, which gives `type[X]` a schema that every value fits and no value of JSON meets."""

        def is_subclass_schema(self, schema: Any) -> dict[str, Any]:
            return self.handle_invalid_for_json_schema(schema, f"type[{schema['cls'].__name__}], a class")

    return Generator


def _reason(error: Exception) -> str:
    text = str(error).split("\n", maxsplit=1)[0].split(" Set `arbitrary_types", maxsplit=1)[0].strip().rstrip(".")
    for theirs, ours in _THEIRS.items():
        text = text.replace(theirs, ours)
    return text


_THEIRS = {
    "Unable to generate pydantic-core schema for ": "there is no JSON Schema for ",
    "Cannot generate a JsonSchema for core_schema.CallableSchema": "there is no JSON Schema for a callable",
    "Cannot generate a JsonSchema for type[": "there is no JSON Schema for type[",
    "Cannot generate a JsonSchema for core_schema.": "there is no JSON Schema for a ",
}


_ORDER = ("$ref", "type", "title", "description", "enum", "const", "anyOf", "oneOf", "allOf", "items", "prefixItems")
_LAST = ("properties", "required", "additionalProperties", "default")


def _ordered(schema: dict[str, Any]) -> dict[str, Any]:
    """With its keywords in the order in which a person would write them: what it is, what it is for, what is in it."""
    first = [key for key in _ORDER if key in schema]
    last = [key for key in _LAST if key in schema]
    between = [key for key in schema if key not in first and key not in last and key != "$defs"]
    defs = ["$defs"] if "$defs" in schema else []
    return {key: schema[key] for key in (*first, *between, *last, *defs)}


def _tidy(schema: dict[str, Any]) -> dict[str, Any]:
    """Without titles made of names and null defaults, which cost tokens; with a class's docstring told field by field."""
    made = _ordered(schema)
    title = made.get("title")
    if isinstance(title, str) and title.isidentifier():
        del made["title"]
    if made.get("default", ...) is None:
        del made["default"]
    if "$defs" in made:
        made["$defs"] = {name: _untitled(name, each) for name, each in made["$defs"].items()}
    properties = made.get("properties")
    if not isinstance(properties, dict):
        return made
    described: dict[str, str] = {}
    if isinstance(made.get("description"), str):
        made["description"], described = docs.parsed(made["description"])
        if not made["description"]:
            del made["description"]
    made["properties"] = {name: _field(name, each, described) for name, each in properties.items()}
    return made


def _untitled(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A definition without the title that its name was made of, such as "Box[int]" for "Box_int_"."""
    if re.sub(r"[^a-zA-Z0-9.\-_]", "_", str(schema.get("title", ""))) == name:
        return {key: each for key, each in schema.items() if key != "title"}
    return schema


def _field(name: str, schema: dict[str, Any], described: dict[str, str]) -> dict[str, Any]:
    made = dict(schema)
    if made.get("title") == name.title().replace("_", " ").strip():
        del made["title"]
    if name in described and "description" not in made:
        made["description"] = described[name]
        return _ordered(made)
    return made


def _problems(error: ValidationError, value: Any, schema: dict[str, Any]) -> list[Problem]:
    """What pydantic says, one for each place in the value; the branches of a union make one."""
    places: dict[tuple[str | int, ...], list[tuple[Problem, bool]]] = {}
    for each in error.errors(include_url=False):
        path, union = _place(each["loc"], value, missing=each["type"] in ("missing", "missing_argument"))
        problem = _problem(path, each, schema)
        key = path if union is None else union
        places.setdefault(key, []).append((problem, union is not None))
    found = []
    for path, problems in places.items():
        if len(problems) > 1 and any(of_union for _, of_union in problems):
            found.append(Problem(joined(path), walk.described(walk.at(path, schema), schema), _at(value, path)))
        else:
            found.extend(problem for problem, _ in problems)
    return found


def _place(
    loc: tuple[int | str, ...], value: Any, *, missing: bool
) -> tuple[tuple[int | str, ...], tuple[int | str, ...] | None]:
    """Where in the value an error is, and where the innermost union above it, pydantic's names of branches left out."""
    path: list[int | str] = []
    union: tuple[int | str, ...] | None = None
    for index, step in enumerate(loc):
        if _holds(value, step):
            path.append(step)
            value = value[step]
        elif missing and index == len(loc) - 1:
            path.append(step)
        elif union is None:
            union = tuple(path)
    return tuple(path), union


def _holds(value: Any, step: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value


def _at(value: Any, path: Iterable[int | str]) -> Any:
    for step in path:
        value = value[step]
    return value


def _problem(path: tuple[int | str, ...], error: Any, schema: dict[str, Any]) -> Problem:
    kind = error["type"]
    if kind in ("missing", "missing_argument"):
        here = walk.at(path, schema)
        return Problem(joined(path), "a value" if here is None else walk.described(here, schema), MISSING, "missing")
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return unknown(path, schema)
    text = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if text.startswith("Input should be "):
        text = text.removeprefix("Input should be ")
        if kind.endswith(("_parsing", "_type")):  # "a valid integer, unable to parse string as an integer"
            text = text.partition(",")[0]
        return Problem(joined(path), text, error["input"])
    return Problem(joined(path), text, error["input"], "rule")


def unknown(path: tuple[int | str, ...], schema: dict[str, Any]) -> Problem:
    """The problem of a name that nobody knows, with the known ones that look like it."""
    names: list[str] = []
    for way in walk.branches(walk.at(path[:-1], schema), schema):
        names.extend(n for n in way.get("properties", {}) if n not in names)
    near = difflib.get_close_matches(str(path[-1]), names, n=1, cutoff=0.5)
    hint = f"there are {', '.join(names)}" if names else "there are none"
    return Problem(joined(path), f"did you mean {near[0]!r}?" if near else hint, MISSING, "unknown")


def partial_json(text: str) -> Any:
    """The JSON value that `text` begins, with all that is there of it; None where nothing is."""
    from pydantic_core import from_json

    try:
        return from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return None
