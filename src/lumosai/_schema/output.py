"""Output types: how a model is told of one, and how its answer becomes a value of it."""

from __future__ import annotations

import json
import re
from typing import Any

from lumosai._schema.hints import namespace_of
from lumosai._schema.problems import InvalidOutput, Misfit, Problem, Unsupported
from lumosai._schema.strict import strict_form
from lumosai.errors import ConfigurationError

_FENCE = re.compile(r"```[a-zA-Z]*\s*\n(.*?)\n?\s*```", re.DOTALL)
_NAME = re.compile(r"[^a-zA-Z0-9_-]+")


class OutputSchema:
    """An output type.

    Attributes:
        type: the type itself.
        name: 1 to 64 of `a-z A-Z 0-9 _ -`, made of the type's.
        schema: the JSON Schema of what the model writes: always an object, for most servers take nothing else.
        wrapped: whether the type is not an object, so that the model writes `{"value": …}`.
    """

    __slots__ = ("_strict", "_whole", "name", "schema", "type", "wrapped")

    def __init__(self, type_: Any) -> None:
        from lumosai._schema.typed import Whole

        self.type = type_
        self.name = _NAME.sub("_", getattr(type_, "__name__", str(type_)))[:64].strip("_") or "output"
        self._whole = Whole(type_, namespace_of(type_), closed=False)
        inner = self._whole.schema
        self.wrapped = inner.get("type") != "object"
        self.schema = _wrapped(inner) if self.wrapped else inner
        self._strict: dict[str, Any] | bool | None = False

    @property
    def strict_schema(self) -> dict[str, Any] | None:
        """The schema in OpenAI's strict form, None where it has none."""
        if self._strict is False:
            self._strict = strict_form(self.schema)
        return self._strict  # type: ignore[return-value]  # False is gone by now

    def parse(self, text: str) -> Any:
        """The JSON value in a model's text, a code fence and prose around it left out.

        Raises:
            InvalidOutput: there is none.
        """
        for each in (text, *_FENCE.findall(text)):
            try:
                return json.loads(each)
            except (ValueError, RecursionError):
                continue
        for start in (m.start() for m in re.finditer(r"[\[{]", text)):
            try:
                return json.JSONDecoder().raw_decode(text, start)[0]
            except (ValueError, RecursionError):
                continue
        if self.wrapped and text.strip():
            return text.strip()
        raise InvalidOutput([Problem("", "one JSON value", text)])

    def partial(self, text: str) -> Any:
        """The JSON value that the beginning of a model's text holds so far, unwrapped; None where there is none yet."""
        from lumosai._schema.typed import partial_json

        start = re.search(r"[\[{]", text)
        value = partial_json(text[start.start() :]) if start is not None else None
        if not self.wrapped:
            return value
        return value.get("value") if isinstance(value, dict) else None

    def load(self, value: Any) -> Any:
        """The typed value that a JSON value means, wrapped or not.

        Raises:
            InvalidOutput: it does not fit; its text is for the model.
        """
        if self.wrapped and isinstance(value, dict) and value.keys() == {"value"}:
            value = value["value"]
        try:
            return self._whole.load(value)
        except Misfit as misfit:
            problems = misfit.problems
        raise InvalidOutput(problems)

    def dump(self, value: Any) -> Any:
        """The JSON value of a typed one, unwrapped."""
        return self._whole.dump(value)

    def __repr__(self) -> str:
        return f"OutputSchema({self.name!r})"


def _wrapped(inner: dict[str, Any]) -> dict[str, Any]:
    inner = dict(inner)
    defs = inner.pop("$defs", None)
    schema = {"type": "object", "properties": {"value": inner}, "required": ["value"], "additionalProperties": False}
    return {**schema, "$defs": defs} if defs else schema


def output_of(type_: Any) -> OutputSchema:
    """The schema of an output type: a pydantic model, dataclass, TypedDict, union, list, Literal and so on.

    Raises:
        ConfigurationError: the type has no JSON Schema.
    """
    if isinstance(type_, dict):
        msg = "output_type is a dict: give a type, such as a pydantic model, a dataclass or a TypedDict, in place of its schema"
        raise ConfigurationError(msg)
    try:
        return OutputSchema(type_)
    except Unsupported as error:
        raise ConfigurationError(f"output_type {type_!r} cannot be described to a model: {error}") from error
