"""What a tool takes: its JSON Schema, and the way from a model's arguments to the function's."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
from typing import TYPE_CHECKING, Annotated, Any

from lumosai._schema import docs, hints, typeddicts
from lumosai._schema.judges import Given, Instance, Plain
from lumosai._schema.problems import InvalidArguments, Misfit, Unsupported
from lumosai._schema.strict import strict_form
from lumosai.errors import ToolDefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lumosai._schema.judges import Judge
    from lumosai._schema.typed import Record

_SCALARS = frozenset({str, int, float, bool, type(None)})
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


class Signature:
    """What a tool takes.

    Attributes:
        fn: what is called, with keyword arguments.
        description: what the docstring says of the whole.
        schema: the JSON Schema of the arguments.
        context_parameter: the parameter that is filled with the context, None where there is none.
        positional: those that can be given by position only, each with its default.
        is_method: whether the first parameter of `fn` is the instance that it will be bound to.
    """

    __slots__ = ("_judge", "_strict", "context_parameter", "description", "fn", "is_method", "positional")

    def __init__(
        self,
        fn: Callable[..., Any],
        judge: Judge,
        *,
        description: str = "",
        context_parameter: str | None = None,
        positional: tuple[tuple[str, Any], ...] = (),
        is_method: bool = False,
    ) -> None:
        self.fn = fn
        self.description = description
        self.context_parameter = context_parameter
        self.positional = positional
        self.is_method = is_method
        self._judge = judge
        self._strict: dict[str, Any] | bool | None = False

    @property
    def schema(self) -> dict[str, Any]:
        return self._judge.schema

    @property
    def strict_schema(self) -> dict[str, Any] | None:
        """The schema in OpenAI's strict form, None where it has none."""
        if self._strict is False:
            self._strict = strict_form(self.schema)
        return self._strict  # type: ignore[return-value]  # False is gone by now

    def accept(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Validated arguments: as JSON values, and as keyword arguments of `fn`.

        The JSON values are the given ones, with the scalars as they were understood: 2 where "2" was written.

        Raises:
            InvalidArguments: they do not fit; all that is wrong at once.
        """
        try:
            loaded = self._judge.load(arguments)
        except Misfit as misfit:
            raise InvalidArguments(misfit.problems) from None
        given = dict(arguments)
        for name in arguments:
            if name in loaded and type(loaded[name]) in _SCALARS:
                given[name] = loaded[name]
        return given, loaded

    def validate(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The keyword arguments of `fn`. As `accept`."""
        return self.accept(arguments)[1]


def parameters_of(fn: Any, *, tool: str | None = None, context: type | None = None, method: bool = False) -> Signature:
    """What a function takes, by its type hints and docstring; or a class of parameters that has `run` or is callable.

    Args:
        fn: the function, method, partial, object with `__call__`, or class.
        tool: the tool's name for errors; the function's own where None.
        context: the class whose annotation marks the parameter that is filled in and not shown.
        method: whether `fn` is an unbound method, whose first parameter is not the model's.

    Raises:
        ToolDefinitionError: it cannot be described; the message names tool, parameter and reason.
    """
    tool = tool if tool is not None else getattr(fn, "__name__", type(fn).__name__)
    if isinstance(fn, type):
        return _of_class(fn, tool, context)
    method = method or _looks_like_method(fn)
    taken = hints.parameters(fn, tool=tool, context=context, skip_first=method)
    said = docs.docs_of(fn)
    judge = _plain(taken.shown, said.parameters) or _typed(taken, said.parameters, tool)
    return Signature(
        fn,
        judge,
        description=said.description,
        context_parameter=taken.context,
        positional=tuple((p.name, p.default) for p in taken.shown if p.by_position),
        is_method=method,
    )


def parameters_from(parameters: Any, fn: Any, *, tool: str, context: type | None = None) -> Signature:
    """What a tool takes by a JSON Schema or a class of parameters, checked against the function that will get it.

    Raises:
        ToolDefinitionError: the schema is none, or does not describe an object, or the function cannot take it.
    """
    if not callable(fn):
        raise ToolDefinitionError(f"tool {tool!r}: fn must be callable, not {fn!r}", tool=tool)
    taken = hints.parameters(fn, tool=tool, context=context, described=False)
    if isinstance(parameters, dict):
        return Signature(fn, _given(parameters, taken, fn, tool), context_parameter=taken.context)
    if not is_parameters_class(parameters):
        raise ToolDefinitionError(
            f"tool {tool!r}: parameters must be a JSON Schema (a dict), a pydantic model, a dataclass or a TypedDict, "
            f"not {parameters!r}",
            tool=tool,
        )
    needed = [p for p in taken.shown if p.default is hints.EMPTY] or list(taken.shown)
    if len(needed) != 1:
        raise ToolDefinitionError(
            f"tool {tool!r}: fn must take one {parameters.__name__}, and {_names(taken.shown)} are its parameters",
            tool=tool,
        )
    positional = ((needed[0].name, None),) if needed[0].by_position else ()
    judge = _instance(parameters, needed[0].name, tool)
    return Signature(fn, judge, context_parameter=taken.context, positional=positional)


def is_parameters_class(cls: Any) -> bool:
    """Whether it is a pydantic model, a dataclass or a TypedDict."""
    return isinstance(cls, type) and (
        hasattr(cls, "__pydantic_validator__") or dataclasses.is_dataclass(cls) or typeddicts.is_typed_dict(cls)
    )


def _of_class(cls: Any, tool: str, context: type | None) -> Signature:
    if not is_parameters_class(cls):
        raise ToolDefinitionError(
            f"tool {tool!r}: {cls!r} is neither a function nor a pydantic model, dataclass or TypedDict", tool=tool
        )
    run = getattr(cls, "run", None) or (cls.__call__ if "__call__" in dir(cls) and "__call__" in _body(cls) else None)
    if not callable(run):
        raise ToolDefinitionError(
            f"tool {tool!r}: {cls.__name__} says what is taken but not what is done; give it a method `run(self)`, or use "
            f"Tool(name, description, parameters={cls.__name__}, fn=…)",
            tool=tool,
        )
    signature = parameters_from(cls, run, tool=tool, context=context)
    signature.description = docs.docs_of(cls).description
    return signature


def _body(cls: type) -> set[str]:
    return {name for base in cls.__mro__ if base is not object for name in vars(base)}


def _looks_like_method(fn: Any) -> bool:
    parent, dot, _ = getattr(fn, "__qualname__", "").rpartition(".")
    if not dot or parent.endswith("<locals>") or not inspect.isfunction(fn):
        return False
    names = fn.__code__.co_varnames[: fn.__code__.co_argcount]
    return bool(names) and names[0] in ("self", "cls")


def _names(shown: Sequence[hints.Parameter]) -> str:
    return ", ".join(repr(p.name) for p in shown) or "none"


def _plain(shown: Sequence[hints.Parameter], said: dict[str, str]) -> Plain | None:
    """The judge of plain parameters, None where one is not plain."""
    properties: dict[str, Any] = {}
    for each in shown:
        if not isinstance(each.annotation, type) or each.annotation not in _PLAIN:
            return None
        if each.default is not hints.EMPTY and type(each.default) not in _SCALARS:
            return None
        properties[each.name] = made = {"type": _PLAIN[each.annotation]}
        if each.name in said:
            made["description"] = said[each.name]
        if each.default is not hints.EMPTY and each.default is not None and _is_finite(each.default):
            made["default"] = each.default
    required = [each.name for each in shown if each.default is hints.EMPTY]
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    return Plain({each.name: (each.annotation, each.default is hints.EMPTY) for each in shown}, schema)


def _typed(taken: hints.Parameters, said: dict[str, str], tool: str) -> Record:
    from lumosai._schema.typed import Record

    fields = {each.name: _field(each, said.get(each.name)) for each in taken.shown}
    namespace = hints.namespace_of(taken.fn)
    try:
        return Record(fields, namespace, closed=True)
    except Unsupported as error:
        culprit, reason = _culprit(fields, namespace) or ("", str(error))
    where = f"parameter {culprit!r}: " if culprit else ""
    raise ToolDefinitionError(
        f"tool {tool!r}: {where}{reason}; annotate it with types that JSON can carry (str, int, list, dict, a dataclass, a "
        "pydantic model …)",
        tool=tool,
        parameter=culprit or None,
    )


def _culprit(fields: dict[str, tuple[Any, bool]], namespace: Mapping[str, Any]) -> tuple[str, str] | None:
    from lumosai._schema.typed import Record

    for name, field in fields.items():
        try:
            Record({name: field}, namespace, closed=True)
        except Unsupported as error:
            return name, str(error)
    return None


def _field(each: hints.Parameter, said: str | None) -> tuple[Any, bool]:
    from pydantic import Field
    from pydantic.fields import FieldInfo

    type_, default = each.annotation, each.default
    if isinstance(default, FieldInfo):  # `x: int = Field(3, description="…")`
        return Annotated[type_, default], default.is_required()
    notes = [note for note in getattr(type_, "__metadata__", ()) if isinstance(note, str)]
    said = said or " ".join(notes)  # `x: Annotated[int, "how many"]`
    if said and not _has_description(type_):
        type_ = Annotated[type_, Field(description=said)]
    if default is hints.EMPTY:
        return type_, True
    shown = _json_default(default)
    return (type_ if shown is None else Annotated[type_, Field(json_schema_extra={"default": shown})]), False


def _is_finite(default: Any) -> bool:
    """Whether JSON has a number for it: `math.inf`, "no limit", is the function's own business."""
    return type(default) is not float or math.isfinite(default)


def _has_description(type_: Any) -> bool:
    return any(getattr(each, "description", None) for each in getattr(type_, "__metadata__", ()))


def _json_default(default: Any) -> Any:
    from pydantic_core import to_jsonable_python

    try:
        return to_jsonable_python(default, inf_nan_mode="null")
    except ValueError:  # a marker object, which a model need not see
        return None


def _instance(cls: Any, name: str, tool: str) -> Instance:
    try:
        return Instance(cls, name, hints.namespace_of(cls))
    except Unsupported as error:
        raise ToolDefinitionError(f"tool {tool!r}: {cls.__name__} cannot be described: {error}", tool=tool) from error


def _given(schema: dict[str, Any], taken: hints.Parameters, fn: Any, tool: str) -> Given:
    schema = copy.deepcopy(schema)
    if "type" not in schema and not {"anyOf", "oneOf", "allOf", "$ref"} & schema.keys():
        schema = {"type": "object", **schema}
    if schema.get("type") != "object":
        raise ToolDefinitionError(
            f"tool {tool!r}: its parameters must be a JSON Schema of type 'object', not {schema.get('type')!r}",
            tool=tool,
        )
    try:
        return Given(schema, _whole_name(schema, taken, fn, tool))
    except Unsupported as error:
        raise ToolDefinitionError(f"tool {tool!r}: its parameters are not a JSON Schema: {error}", tool=tool) from error


def _whole_name(schema: dict[str, Any], taken: hints.Parameters, fn: Any, tool: str) -> str | None:
    """The one parameter that takes all arguments as a dict, None where they are given by name."""
    properties = schema.get("properties", {})
    names = {p.name for p in taken.shown}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(fn).parameters.values())
    if len(taken.shown) == 1 and taken.shown[0].name not in properties and (properties or not open_ended):
        return taken.shown[0].name
    extra = [n for n in properties if n not in names]
    if extra and not open_ended:
        raise ToolDefinitionError(
            f"tool {tool!r}: its schema has the property {extra[0]!r} and fn takes {_names(taken.shown)}; name them alike, or "
            "let fn take one dict",
            tool=tool,
            parameter=extra[0],
        )
    missing = [p.name for p in taken.shown if p.default is hints.EMPTY and p.name not in properties]
    if missing:
        raise ToolDefinitionError(
            f"tool {tool!r}: fn needs {missing[0]!r}, which its schema does not have", tool=tool, parameter=missing[0]
        )
    return None
