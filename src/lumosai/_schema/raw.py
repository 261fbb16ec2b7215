"""Tools and outputs described by a JSON Schema of the user's own: the only user of the jsonschema library."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lumosai._schema import walk
from lumosai._schema.loosen import loosened
from lumosai._schema.problems import MISSING, Misfit, Problem, Unsupported, joined
from lumosai._schema.typed import unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError


def checked(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, if it is one.

    Raises:
        Unsupported: it is not a JSON Schema.
    """
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    kind = _dialect(schema, validator_for)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        where = joined(list(error.absolute_path)) or "the schema"
        raise Unsupported(f"{where}: {error.message}") from error
    except RecursionError as error:
        raise Unsupported("it contains itself; name the part in $defs and point at it with $ref") from error
    except (TypeError, AttributeError) as error:
        raise Unsupported(str(error)) from error
    try:
        json.dumps(schema)
    except (TypeError, ValueError) as error:
        raise Unsupported(f"it is not JSON: {error}") from error
    _check_references(schema, kind)
    return schema


def _check_references(schema: dict[str, Any], kind: Any) -> None:
    """Every `$ref` leads to a place in the schema itself: nothing is ever fetched. With an `$id` only a use can tell.

    Raises:
        Unsupported: one does not.
    """
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import EMPTY_REGISTRY, specification_with

    found: dict[str, set[str]] = {"$ref": set(), "$id": set()}

    def note(part: dict[str, Any]) -> dict[str, Any]:
        for keyword, texts in found.items():
            if isinstance(part.get(keyword), str):
                texts.add(part[keyword])
        return part

    walk.rebuilt(schema, note)
    if found["$id"]:
        return
    resolver = EMPTY_REGISTRY.resolver_with_root(
        specification_with(kind.META_SCHEMA["$schema"]).create_resource(schema)
    )
    for reference in sorted(found["$ref"]):
        try:
            resolver.lookup(reference)
        except Unresolvable as error:
            raise Unsupported(
                f"$ref {reference!r} leads nowhere in it; put the part under $defs, for nothing is fetched"
            ) from error


def _dialect(schema: dict[str, Any], validator_for: Any) -> Any:
    from jsonschema import Draft202012Validator

    return validator_for(schema, default=Draft202012Validator)


class Raw:
    """A JSON Schema and its validator, which is built on first use.

    Attributes:
        schema: the schema.
    """

    __slots__ = ("_validator", "schema")

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = checked(schema)
        self._validator: Any = None

    def load(self, value: Any) -> Any:
        """The value as the schema wants it.

        Raises:
            Misfit: it does not fit.
        """
        validator = self._built()
        bent = loosened(value, self.schema, self.schema)
        if validator.is_valid(bent):
            return bent
        if validator.is_valid(value):  # `loosened` knows the common keywords, not all of them
            return value
        errors = sorted(validator.iter_errors(bent), key=lambda e: [str(step) for step in e.absolute_path])
        if errors:
            raise Misfit(problem for error in errors for problem in _problems(error, self.schema))
        return bent

    def _built(self) -> Any:
        if self._validator is None:
            from jsonschema.validators import validator_for
            from referencing.jsonschema import EMPTY_REGISTRY

            kind = _dialect(self.schema, validator_for)
            self._validator = kind(
                self.schema, registry=EMPTY_REGISTRY
            )  # one that would fetch is the library's default
        return self._validator


def _problems(error: ValidationError, root: dict[str, Any]) -> Iterator[Problem]:
    path = tuple(error.absolute_path)
    instance: Any = error.instance
    wanted: Any = error.validator_value
    here = error.schema if isinstance(error.schema, dict) else {}
    if error.validator == "required":
        for name in wanted:
            if name not in instance:
                inner = walk.at((*path, name), root)
                expected = "a value" if inner is None else walk.described(inner, root)
                yield Problem(joined((*path, name)), expected, MISSING, "missing")
    elif error.validator in ("additionalProperties", "unevaluatedProperties"):
        for name in instance:
            if name not in here.get("properties", {}):
                yield unknown((*path, name), root)
    elif error.validator in ("type", "enum", "const", "anyOf", "oneOf") or error.validator in walk.BOUNDS:
        yield Problem(joined(path), walk.described(here, root), instance)
    else:
        yield Problem(joined(path), error.message, instance, "rule")
