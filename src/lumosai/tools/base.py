"""What a tool is: a described, typed, callable effect; and what it is told about the call it serves.

`@tool` makes a `Tool` of a function, once, at its declaration: whatever cannot be described to a model is found there
and not in a run. Nothing here runs a tool for a model; that is the work of `lumosai.tools.execute` alone.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, cast, overload

from lumosai import _schema
from lumosai.errors import ToolDefinitionError
from lumosai.records import ToolDefinition
from lumosai.tools._context import Ctx, ToolContext

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import ParamSpec, Self, TypeVar

    P = ParamSpec("P", default=...)
    R = TypeVar("R", default=Any)
else:  # the same variables without their defaults, which only a type checker needs before Python 3.13
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["Approve", "Ctx", "Effect", "Tool", "ToolContext", "as_tool", "check_names", "near", "tool"]

Effect = Literal["pure", "idempotent", "once"]
"""What running a tool twice does: nothing; the same as once under one idempotency key; harm."""

Approve = bool | Callable[[dict[str, Any], ToolContext[Any]], bool | Awaitable[bool]]
"""Whether a person must agree first: never, always, or as a predicate of the arguments and the context says."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_EFFECTS = ("pure", "idempotent", "once")
_CACHE = "__lumosai_tool__"


class Tool(Generic[P, R]):
    """A described, typed, callable effect. Immutable; `replace` gives a changed one.

    Called directly it is the plain function: `calculator("2+2")`. A model's calls go through
    `lumosai.tools.execute`, where `timeout_s`, `approval` and the rest count.

    Attributes:
        name: 1 to 64 of `a-z A-Z 0-9 _ -`.
        description: what it does, for the model.
        parameters: a JSON Schema (2020-12) of type "object". Treat it as read-only.
        fn: the function, sync or async.
        timeout_s: seconds it may take; None is the run's limit, `math.inf` none.
        approval: False, True, or a predicate `(arguments, context) -> bool`, sync or async, True where a person must
            agree before the call runs. One that raises counts as True.
        effect: "pure" (no effect), "idempotent" (running twice under one idempotency key is running once; the default)
            or "once" (must never run twice).
        max_result_chars: a longer result is clamped in the middle; None is the run's limit.
        is_async: whether `fn` runs in the event loop; a sync one runs in a thread.
    """

    __slots__ = (
        "__weakref__",
        "_definitions",
        "_signature",
        "approval",
        "description",
        "effect",
        "fn",
        "is_async",
        "max_result_chars",
        "name",
        "timeout_s",
    )

    name: str
    description: str
    fn: Callable[P, R]
    timeout_s: float | None
    approval: Approve
    effect: Effect
    max_result_chars: int | None
    is_async: bool
    _signature: _schema.Signature
    _definitions: dict[bool, ToolDefinition]

    def __init__(
        self,
        name: str,
        description: str,
        parameters: dict[str, Any] | type,
        fn: Callable[P, R],
        *,
        timeout_s: float | None = None,
        approval: Approve = False,
        effect: Effect = "idempotent",
        max_result_chars: int | None = None,
    ) -> None:
        """A tool from a JSON Schema or a class of parameters.

        Args:
            name: 1 to 64 of `a-z A-Z 0-9 _ -`.
            description: what it does, for the model.
            parameters: a JSON Schema of type "object": `fn` is called with the arguments by name, or with all of them
                as one dict where it takes a single parameter of another name. Or a pydantic model, dataclass or
                TypedDict: `fn` takes one instance of it.
            fn: the function, sync or async. A parameter of it annotated `ToolContext` is filled in.
            timeout_s: see the attributes, as for the rest.
            approval: see the attributes.
            effect: see the attributes.
            max_result_chars: see the attributes.

        Raises:
            ToolDefinitionError: a bad name, a schema that is none, or a function that does not fit it.
        """
        _check_name(name)
        self._set(
            name=name,
            description=description,
            fn=fn,
            timeout_s=timeout_s,
            approval=approval,
            effect=effect,
            max_result_chars=max_result_chars,
            _signature=_schema.parameters_from(parameters, fn, tool=name, context=ToolContext),
        )

    def _set(self, **fields: Any) -> None:
        fn = fields["fn"]
        if not callable(fn):
            raise ToolDefinitionError(f"tool {fields['name']!r}: fn must be callable, not {fn!r}", tool=fields["name"])
        if fields["effect"] not in _EFFECTS:
            raise ToolDefinitionError(
                f"tool {fields['name']!r}: effect must be one of {', '.join(map(repr, _EFFECTS))}, not {fields['effect']!r}",
                tool=fields["name"],
            )
        for key, value in fields.items():
            object.__setattr__(self, key, value)
        object.__setattr__(self, "is_async", is_async(fn))
        object.__setattr__(self, "_definitions", {})

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        return self._signature.schema

    @property
    def context_parameter(self) -> str | None:
        """The parameter that is filled with the `ToolContext`, None where there is none."""
        return self._signature.context_parameter

    @property
    def defaults(self) -> dict[str, Any]:
        """The values of the arguments that a model left out, where the schema tells them."""
        properties = self.parameters.get("properties", {})
        return {
            name: each["default"] for name, each in properties.items() if isinstance(each, dict) and "default" in each
        }

    def invoke(self, kwargs: dict[str, Any]) -> Any:
        """Call the function with what `accept` gave, and the context under the name it wants."""
        positional = self._signature.positional
        if not positional:
            return self.fn(**kwargs)  # type: ignore[call-arg]  # checked against the schema instead
        given = [kwargs.pop(name, default) for name, default in positional]
        return self.fn(*given, **kwargs)

    def accept(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Validated arguments: as JSON values, to be shown and stored; and as the function's keyword arguments.

        Raises:
            InvalidArguments: they do not fit; its text is for the model.
        """
        return self._signature.accept(arguments)

    def definition(self, *, strict: bool = False) -> ToolDefinition:
        """The OpenAI function definition. The same object each time.

        Args:
            strict: give the strict form (every property required, no others allowed) where the schema can be put so;
                `definition.strict` tells whether it could.
        """
        found = self._definitions.get(strict)
        if found is None:
            schema = self._signature.strict_schema if strict else None
            found = ToolDefinition(self.name, self.description, schema or self.parameters, schema is not None)
            self._definitions[strict] = found
        return found

    def replace(self, **changes: Any) -> Self:
        """A copy with other settings. A new `fn` is called with the same parameters as the old one.

        Raises:
            ToolDefinitionError: a setting that no tool has, or a value it cannot take.
        """
        fields = {f: getattr(self, f) for f in _FIELDS}
        unknown = changes.keys() - fields.keys() - {"parameters"}
        if unknown:
            raise ToolDefinitionError(
                f"tool {self.name!r} has no setting {sorted(unknown)[0]!r}; it has {', '.join(sorted(fields))}",
                tool=self.name,
            )
        parameters = changes.pop("parameters", None)
        fields.update(changes)
        _check_name(fields["name"])
        fields["_signature"] = (
            self._signature
            if parameters is None
            else _schema.parameters_from(parameters, fields["fn"], tool=fields["name"], context=ToolContext)
        )
        return _new(type(self), **fields)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.fn(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Tool[..., R]:
        """A tool declared in a class, bound to an instance of it."""
        if instance is None or not self._signature.is_method:
            return self
        return self.replace(fn=self.fn.__get__(instance, owner))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Tool is immutable: use tool.replace({name}=…)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Tool is immutable: {name!r} cannot be deleted")

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def __wrapped__(self) -> Callable[P, R]:
        """The function, so that `inspect.signature` sees its parameters."""
        return self.fn


_FIELDS = ("name", "description", "fn", "timeout_s", "approval", "effect", "max_result_chars")


def _new(cls: type[Any], **fields: Any) -> Any:
    made = object.__new__(cls)
    made._set(**fields)  # noqa: SLF001  # the one other way to make a Tool: from a signature that is there already
    return made


@overload
def tool(fn: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = None,
    approval: Approve = False,
    effect: Effect = "idempotent",
    max_result_chars: int | None = None,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = None,
    approval: Approve = False,
    effect: Effect = "idempotent",
    max_result_chars: int | None = None,
) -> Any:
    """Make a tool of a function, or of a class of parameters that has a `run` method or is callable.

    Name, description and parameters come from the function: its name, docstring (Google, NumPy or Sphinx) and type
    hints. A parameter annotated `ToolContext` is filled in and not shown to the model.

    Example:
        ```python
        @tool
        def add(a: int, b: int = 1) -> int:
            "Add two numbers."
            return a + b


        @tool(timeout_s=5, approval=True, effect="once")
        async def pay(amount: Decimal, context: ToolContext) -> str: ...
        ```

    Args:
        fn: the function, sync or async, or the class.
        name: instead of the function's own.
        description: instead of the docstring's.
        timeout_s: as in `Tool`, like the rest.
        approval: as in `Tool`.
        effect: as in `Tool`.
        max_result_chars: as in `Tool`.

    Raises:
        ToolDefinitionError: it cannot be described to a model; the message names tool, parameter and reason.
    """

    def make(fn: Callable[..., Any]) -> Tool:
        return _make(
            fn,
            name=name,
            description=description,
            timeout_s=timeout_s,
            approval=approval,
            effect=effect,
            max_result_chars=max_result_chars,
        )

    return make if fn is None else make(fn)


def as_tool(obj: Any) -> Tool:
    """The tool that `obj` is: a `Tool` itself, a function, a class of parameters, or anything with `as_tool()`.

    Cached on functions and classes, so that the second time costs well under a microsecond.

    Raises:
        ToolDefinitionError: it cannot be described to a model.
    """
    if isinstance(obj, Tool):
        return obj
    own = getattr(obj, "__dict__", None)
    found = own.get(_CACHE) if own is not None else None
    if found is not None and found[0] is obj:
        return cast("Tool", found[1])
    if inspect.ismethod(obj) and inspect.isfunction(obj.__func__):
        return _method_tool(obj)
    convert = getattr(obj, "as_tool", None)
    made = convert() if callable(convert) and not isinstance(obj, type) else _make(obj)
    if inspect.isfunction(obj) or isinstance(obj, type):
        try:
            setattr(obj, _CACHE, (obj, made))
        except (AttributeError, TypeError):  # a class that takes no attributes: it is described anew each time
            pass
    return cast("Tool", made)


def _method_tool(obj: Any) -> Tool:
    """A bound method as a tool: described once for its function, bound each time."""
    fn = obj.__func__
    found = fn.__dict__.get(_CACHE)
    if found is None or found[0] is not fn:
        found = (fn, _make(fn, method=True))
        fn.__dict__[_CACHE] = found
    return cast("Tool", found[1]).replace(fn=obj)


def _make(
    fn: Any,
    *,
    name: str | None = None,
    description: str | None = None,
    method: bool = False,
    **settings: Any,
) -> Tool:
    if isinstance(fn, Tool):
        changes = {k: v for k, v in settings.items() if v != _DEFAULTS[k]}
        changes |= {k: v for k, v in (("name", name), ("description", description)) if v is not None}
        return fn.replace(**changes)
    if not callable(fn):
        raise ToolDefinitionError(f"{fn!r} cannot be a tool: give a function, a class of parameters or a Tool")
    name = name if name is not None else _name_of(fn)
    _check_name(name)
    signature = _schema.parameters_of(fn, tool=name, context=ToolContext, method=method)
    return cast(
        "Tool",
        _new(
            Tool,
            name=name,
            description=signature.description if description is None else description,
            fn=signature.fn,
            _signature=signature,
            **{**_DEFAULTS, **settings},
        ),
    )


_DEFAULTS: dict[str, Any] = {"timeout_s": None, "approval": False, "effect": "idempotent", "max_result_chars": None}


def _name_of(fn: Any) -> str:
    while hasattr(fn, "func"):  # functools.partial
        fn = fn.func
    return str(getattr(fn, "__name__", None) or type(fn).__name__)


def is_async(fn: Any) -> bool:
    """Whether calling it gives a coroutine or an async generator, so that it belongs in the event loop."""
    while hasattr(fn, "func"):  # functools.partial
        fn = fn.func
    if not inspect.isroutine(fn) and not isinstance(fn, type):
        fn = fn.__call__
    return inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ToolDefinitionError(
            f"{name!r} is not a tool's name: it must be 1 to 64 of a-z, A-Z, 0-9, _ and -; "
            "pass name='…' where the function's own does not do",
            tool=str(name),
        )


def check_names(tools: Iterable[Tool]) -> dict[str, Tool]:
    """The tools by name, in order.

    Raises:
        ToolDefinitionError: two of them have one name.
    """
    named: dict[str, Tool] = {}
    for each in tools:
        other = named.setdefault(each.name, each)
        if other is not each:
            raise ToolDefinitionError(
                f"two tools are named {each.name!r}: {_where(other)} and {_where(each)}; "
                "give one another name: tool.replace(name='…')",
                tool=each.name,
            )
    return named


def _where(each: Tool) -> str:
    fn = each.fn
    return f"{getattr(fn, '__module__', '?')}.{getattr(fn, '__qualname__', type(fn).__name__)}"


def near(name: str, names: Iterable[str], *, count: int = 3) -> list[str]:
    """The names that look like `name`, best first."""
    by_key = {n.lower().replace("-", "_"): n for n in names}
    keys = difflib.get_close_matches(name.lower().replace("-", "_"), by_key, n=count, cutoff=0.6)
    return [by_key[k] for k in keys]
