"""Who decides about arguments: pydantic, a look where a look is enough, a class of parameters, a raw JSON Schema."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

from lumosai._schema.problems import Misfit, Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai._schema.typed import Record


class Judge(Protocol):
    """Decides about arguments.

    Attributes:
        schema: the JSON Schema of the arguments, an object.
    """

    @property
    def schema(self) -> dict[str, Any]: ...

    def load(self, value: dict[str, Any]) -> dict[str, Any]:
        """The keyword arguments that JSON arguments mean.

        Raises:
            Misfit: they do not fit.
        """
        ...


class Plain:
    """The judge of parameters that are all text, numbers or booleans, which most tools' are.

    Its schema is the one that pydantic would make, and arguments of exactly the right types need no more than a look. All
    else is decided by pydantic, which is imported at that moment and not before.
    """

    __slots__ = ("_fields", "_record", "_required", "_types", "schema")

    def __init__(self, fields: Mapping[str, tuple[type, bool]], schema: dict[str, Any]) -> None:
        self.schema = schema
        self._fields = fields
        self._types = {name: type_ for name, (type_, _) in fields.items()}
        self._required = frozenset(name for name, (_, required) in fields.items() if required)
        self._record: Record | None = None

    def load(self, value: dict[str, Any]) -> dict[str, Any]:
        types = self._types
        for name, each in value.items():
            if types.get(name) is not type(each) or (type(each) is float and not isfinite(each)):
                return self._slow(value)
        return dict(value) if self._required <= value.keys() else self._slow(value)

    def _slow(self, value: dict[str, Any]) -> dict[str, Any]:
        if self._record is None:
            from lumosai._schema.typed import Record

            self._record = Record(self._fields, {}, closed=True)
        return self._record.load(value)


class Instance:
    """The judge of a class of parameters: it gives one instance, under the name of the parameter that takes it."""

    __slots__ = ("_name", "_names", "_whole", "schema")

    def __init__(self, cls: Any, name: str, namespace: Mapping[str, Any]) -> None:
        from lumosai._schema.typed import Whole

        self._whole = Whole(cls, namespace, closed=True)
        self._name = name
        self.schema = {k: v for k, v in self._whole.schema.items() if k != "description"}
        self._names: frozenset[str] | None = None
        if self.schema.get("type") != "object":
            raise Unsupported("it does not describe an object")
        if "extra" not in getattr(
            cls, "model_config", {"extra": ""}
        ):  # pydantic's own default is to pass unknown ones by
            self.schema["additionalProperties"] = False
            self._names = frozenset(self.schema.get("properties", {})) | frozenset(getattr(cls, "model_fields", ()))

    def load(self, value: dict[str, Any]) -> dict[str, Any]:
        if self._names is not None and not value.keys() <= self._names:
            self._refuse(value)
        return {self._name: self._whole.load(value)}

    def _refuse(self, value: dict[str, Any]) -> None:
        from lumosai._schema.typed import unknown

        problems = [unknown((name,), self.schema) for name in value if name not in (self._names or ())]
        try:
            self._whole.load(value)
        except Misfit as misfit:
            problems.extend(misfit.problems)
        raise Misfit(problems)


class Given:
    """The judge of a raw JSON Schema: arguments by name, or all of them under one."""

    __slots__ = ("_name", "_raw", "schema")

    def __init__(self, schema: dict[str, Any], name: str | None) -> None:
        from lumosai._schema.raw import Raw

        self._raw = Raw(schema)
        self._name = name
        self.schema = schema

    def load(self, value: dict[str, Any]) -> dict[str, Any]:
        loaded = self._raw.load(value)
        return dict(loaded) if self._name is None else {self._name: loaded}
