"""Tools: how a function, a class of parameters or a JSON Schema becomes one.

`@tool` makes a `Tool` of a function, once, at its declaration: whatever cannot be described to a model is found there
and not in a run. Nothing here runs a tool for a model; that is the work of `lumosai.tools.execute` alone.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
from typing import TYPE_CHECKING, Any, cast, overload

from lumosai import _schema
from lumosai.errors import ToolDefinitionError
from lumosai.tools._context import Ctx, ToolContext, Traced
from lumosai.tools._tool import Approve, Effect, P, R, Tool, check_name, made_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Approve", "Ctx", "Effect", "Tool", "ToolContext", "Traced", "as_tool", "check_names", "near", "tool"]

_CACHE = "__lumosai_tool__"


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
    examples: Sequence[tuple[str, dict[str, Any]]] = (),
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
    examples: Sequence[tuple[str, dict[str, Any]]] = (),
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
        examples: as in `Tool`.

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
            examples=examples,
        )

    return make if fn is None else make(fn)


def as_tool(obj: Any) -> Tool:
    """The tool that `obj` is: a `Tool` itself, a function, a class of parameters, or anything with `as_tool()`.

    Cached on functions and classes, so that the second time costs well under a microsecond.

    Raises:
        ToolDefinitionError: it cannot be described to a model.
    """
    if isinstance(obj, Tool):
        return obj.checked()
    own = getattr(obj, "__dict__", None)
    found = own.get(_CACHE) if own is not None else None
    if found is not None and found[0] is obj:
        return cast("Tool", found[1])
    if inspect.ismethod(obj) and inspect.isfunction(obj.__func__):
        return _method_tool(obj)
    convert = getattr(obj, "as_tool", None)
    made = convert() if callable(convert) and not isinstance(obj, type) else _make(obj)
    if inspect.isfunction(obj) or isinstance(obj, type):
        with contextlib.suppress(AttributeError, TypeError):  # a class that takes none is described anew each time
            setattr(obj, _CACHE, (obj, made))
    return cast("Tool", made)


def _method_tool(obj: Any) -> Tool:
    """A bound method as a tool: described once for its function, bound each time."""
    fn = obj.__func__
    found = fn.__dict__.get(_CACHE)
    if found is None or found[0] is not fn:
        found = (fn, _make(fn, method=True))
        fn.__dict__[_CACHE] = found
    return cast("Tool", found[1]).bound(obj)


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
    check_name(name)
    signature = _schema.parameters_of(fn, tool=name, context=ToolContext, method=method)
    return made_of(
        name=name,
        description=signature.description if description is None else description,
        fn=signature.fn,
        _signature=signature,
        **{**_DEFAULTS, **settings},
    )


_DEFAULTS: dict[str, Any] = {
    "timeout_s": None,
    "approval": False,
    "effect": "idempotent",
    "max_result_chars": None,
    "examples": (),
}


def _name_of(fn: Any) -> str:
    while hasattr(fn, "func"):  # functools.partial
        fn = fn.func
    return str(getattr(fn, "__name__", None) or type(fn).__name__)


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
