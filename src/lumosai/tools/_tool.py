"""The tool itself: what a model is told, what is called, and the settings of its calls."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, cast

from lumosai import _schema
from lumosai.errors import ToolDefinitionError
from lumosai.records import ToolDefinition, ToolExample
from lumosai.tools._context import ToolContext

if TYPE_CHECKING:
    from typing import Self

    from typing_extensions import ParamSpec, TypeVar

    P = ParamSpec("P", default=...)
    R = TypeVar("R", default=Any)
else:  # the same variables without their defaults, which only a type checker needs before Python 3.13
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

Effect = Literal["pure", "idempotent", "once"]
"""What running a tool twice does: nothing; the same as once under one idempotency key; harm."""

Approve = bool | Callable[[dict[str, Any], ToolContext[Any]], bool | Awaitable[bool]]
"""Whether a person must agree first: never, always, or as a predicate of the arguments and the context says."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_EFFECTS = ("pure", "idempotent", "once")


def _is(value: Any, *kinds: type) -> bool:
    """Whether it is a number of such a kind."""
    return isinstance(value, kinds) and not isinstance(value, bool)


_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "timeout_s": ("seconds, 0 or more, or None", lambda v: v is None or (_is(v, int, float) and v >= 0)),
    "approval": ("True, False or a function", lambda v: isinstance(v, bool) or callable(v)),
    "effect": (f"one of {', '.join(map(repr, _EFFECTS))}", lambda v: v in _EFFECTS),
    "max_result_chars": ("a whole number, 0 or more, or None", lambda v: v is None or (_is(v, int) and v >= 0)),
}
"""What each setting must be, in words and as a test."""


def _examples(given: Any, tool: str) -> tuple[ToolExample, ...]:
    """Examples, as they are given or as pairs."""
    found: list[ToolExample] = []
    for each in (given,) if isinstance(given, str | ToolExample) else given:
        example: Any = each
        if isinstance(each, tuple | list) and len(each) == 2:  # noqa: PLR2004  # a pair
            example = ToolExample(*each)
        if not isinstance(example, ToolExample) or not _sound(example):
            raise ToolDefinitionError(
                f"tool {tool!r}: examples are pairs of what a user says and the arguments of the call, not {each!r}",
                tool=tool,
            )
        found.append(example)
    return tuple(found)


def _sound(example: Any) -> bool:
    return isinstance(example.said, str) and isinstance(example.arguments, dict)


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
        examples: what a user may say, each with the arguments of the call that is meant. Small models that are held to a
            schema are shown them as turns, and learn from them what words do not tell them.
        is_async: whether `fn` runs in the event loop; a sync one runs in a thread.
    """

    __slots__ = (
        "__weakref__",
        "_definitions",
        "_signature",
        "approval",
        "description",
        "effect",
        "examples",
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
    examples: tuple[ToolExample, ...]
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
        examples: Iterable[ToolExample | tuple[str, dict[str, Any]]] = (),
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
            examples: see the attributes.

        Raises:
            ToolDefinitionError: a bad name, a schema that is none, or a function that does not fit it.
        """
        check_name(name)
        self._set(
            name=name,
            description=description,
            fn=fn,
            timeout_s=timeout_s,
            approval=approval,
            effect=effect,
            max_result_chars=max_result_chars,
            examples=examples,
            _signature=_schema.parameters_from(parameters, fn, tool=name, context=ToolContext),
        )

    def _set(self, **fields: Any) -> None:
        fn = fields["fn"]
        if not callable(fn):
            raise ToolDefinitionError(f"tool {fields['name']!r}: fn must be callable, not {fn!r}", tool=fields["name"])
        for setting, (rule, holds) in _RULES.items():
            if not holds(fields[setting]):
                raise ToolDefinitionError(
                    f"tool {fields['name']!r}: {setting} must be {rule}, not {fields[setting]!r}", tool=fields["name"]
                )
        fields["examples"] = _examples(fields["examples"], fields["name"])
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
            parameters = schema or self.parameters
            found = ToolDefinition(self.name, self.description, parameters, schema is not None, self.examples)
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
                f"tool {self.name!r} has no setting {min(unknown)!r}; it has {', '.join(sorted(fields))}",
                tool=self.name,
            )
        parameters = changes.pop("parameters", None)
        fields.update(changes)
        check_name(fields["name"])
        fields["_signature"] = (
            self._signature
            if parameters is None
            else _schema.parameters_from(parameters, fields["fn"], tool=fields["name"], context=ToolContext)
        )
        return cast("Self", made_of(**fields))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.fn(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Tool[..., R]:
        """A tool declared in a class, bound to an instance of it."""
        if instance is None or not self._signature.is_method:
            return self
        return self.bound(self.fn.__get__(instance, owner))

    def bound(self, fn: Callable[..., R]) -> Tool[..., R]:
        """The tool of a method, for the method of one instance. All but the function is shared, so it costs little."""
        made: Tool[..., R] = object.__new__(Tool)
        for name in _SHARED:
            object.__setattr__(made, name, getattr(self, name))
        object.__setattr__(made, "fn", fn)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Tool is immutable: use tool.replace({name}=…)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Tool is immutable: {name!r} cannot be deleted")

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    def checked(self) -> Tool:
        """Itself, unless it is a method's that was never bound."""
        if self._signature.is_method and not inspect.ismethod(self.fn):
            raise ToolDefinitionError(
                f"tool {self.name!r} is a method and belongs to an instance: give the instance's own, such as "
                f"`object.{self.name}`",
                tool=self.name,
            )
        return self

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def __wrapped__(self) -> Callable[P, R]:
        """The function, so that `inspect.signature` sees its parameters."""
        return self.fn


_SHARED = tuple(name for name in Tool.__slots__ if name not in ("fn", "__weakref__"))
_FIELDS = ("name", "description", "fn", "timeout_s", "approval", "effect", "max_result_chars", "examples")


def made_of(**fields: Any) -> Tool:
    """A tool of a signature that is there already. The other way to make one."""
    made: Tool = object.__new__(Tool)
    made._set(**fields)  # noqa: SLF001  # the class's own second constructor
    return made


def is_async(fn: Any) -> bool:
    """Whether calling it gives a coroutine or an async generator, so that it belongs in the event loop."""
    while hasattr(fn, "func"):  # functools.partial
        fn = fn.func
    if not inspect.isroutine(fn) and not isinstance(fn, type):
        fn = fn.__call__
    return inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)


def check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ToolDefinitionError(
            f"{name!r} is not a tool's name: it must be 1 to 64 of a-z, A-Z, 0-9, _ and -; "
            "pass name='…' where the function's own does not do",
            tool=str(name),
        )
