"""Objects of which not everything is known yet: a type or JSON Schema with nothing required and nothing else allowed."""

from __future__ import annotations

from typing import Any

from lumosai._schema import walk
from lumosai._schema.output import output_of
from lumosai._schema.problems import InvalidOutput, Misfit, Problem, Unsupported
from lumosai._schema.raw import Raw
from lumosai.errors import ConfigurationError


class PartialSchema:
    """An object that is filled bit by bit.

    Attributes:
        schema: the JSON Schema, with nothing required.
        names: the properties at the top, in order.
    """

    __slots__ = ("_raw", "names", "schema")

    def __init__(self, given: Any) -> None:
        described = None if isinstance(given, dict) else output_of(given)
        schema = given if described is None else {} if described.wrapped else described.schema
        self.schema: dict[str, Any] = walk.rebuilt(schema, _loose)
        if self.schema.get("type") != "object" or not self.schema.get("properties"):
            raise ConfigurationError(
                f"a schema of facts describes an object with properties, which {given!r} is not: give a pydantic model, "
                'a dataclass or {"type": "object", "properties": …}'
            )
        self.names = tuple(self.schema["properties"])
        try:
            self._raw = Raw(self.schema)
        except Unsupported as error:
            raise ConfigurationError(f"the schema {given!r} is no JSON Schema: {error}") from error

    def load(self, value: dict[str, Any]) -> dict[str, Any]:
        """The object as the schema wants it.

        Raises:
            InvalidOutput: it does not fit; its text names each field.
        """
        try:
            found: dict[str, Any] = self._raw.load(value)
        except Misfit as misfit:
            problems = [_worded(p) for p in misfit.problems]
        else:
            return found
        raise InvalidOutput(problems)


def _loose(schema: dict[str, Any]) -> dict[str, Any]:
    made = {k: v for k, v in schema.items() if k not in ("required", "default")}
    if "properties" in made:
        made.setdefault("additionalProperties", False)
    return made


def _worded(problem: Problem) -> Problem:
    if problem.kind != "unknown":
        return problem
    return problem._replace(kind="rule", expected=f"there is no such field; {problem.expected}", got=problem.path)
