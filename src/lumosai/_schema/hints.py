"""The parameters of a callable with their annotations made real: strings read, locals found, typed dictionaries accepted."""

from __future__ import annotations

import contextlib
import inspect
import re
import sys
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Union

from lumosai.errors import ToolDefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EMPTY = inspect.Parameter.empty


class Parameter(NamedTuple):
    """One parameter of a function.

    Attributes:
        name: as in the signature.
        annotation: the type, `Any` where none is given.
        default: the default, `EMPTY` where there is none.
        by_position: whether it can be given by position only.
    """

    name: str
    annotation: Any
    default: Any
    by_position: bool


class Parameters(NamedTuple):
    """The parameters of a function, the context's apart.

    Attributes:
        shown: those a model fills, in order.
        context: the one that is filled with the context, None where there is none.
        fn: the function whose annotations they have.
    """

    shown: tuple[Parameter, ...]
    context: str | None
    fn: Any


def parameters(
    fn: Callable[..., Any], *, tool: str, context: type | None, skip_first: bool = False, described: bool = True
) -> Parameters:
    """What a callable takes.

    Args:
        fn: a function, method, partial or object with `__call__`.
        tool: the tool's name, for errors.
        context: the class whose annotation marks the parameter that is not shown to a model.
        skip_first: leave out the first parameter, the `self` of an unbound method.
        described: whether the annotations are to describe the tool; else only the context's is looked for, and `*args` and
            `**kwargs` may stand.

    Raises:
        ToolDefinitionError: `*args`, `**kwargs`, two contexts, or an annotation that names what cannot be found.
    """
    plain, bound = _unwrapped(fn)
    shown: list[Parameter] = []
    found: str | None = None
    for index, raw in enumerate(_signature(fn, tool).parameters.values()):
        if (skip_first and index == 0) or raw.name in bound:
            continue
        if raw.kind in (raw.VAR_POSITIONAL, raw.VAR_KEYWORD):
            if not described:
                continue
            stars = "*" if raw.kind is raw.VAR_POSITIONAL else "**"
            raise ToolDefinitionError(
                f"tool {tool!r}: parameter {stars + raw.name!r} cannot be described to a model; "
                "name each parameter, or take one list or dict",
                tool=tool,
                parameter=raw.name,
            )
        try:
            annotation = _annotation(raw, plain, tool, context)
        except ToolDefinitionError:
            if described:
                raise
            annotation = Any
        if _is_context(annotation, context):
            if found is not None:
                raise ToolDefinitionError(
                    f"tool {tool!r}: parameters {found!r} and {raw.name!r} both ask for the context; keep one",
                    tool=tool,
                    parameter=raw.name,
                )
            found = raw.name
        else:
            shown.append(Parameter(raw.name, annotation, raw.default, raw.kind is raw.POSITIONAL_ONLY))
    return Parameters(tuple(shown), found, plain)


def _unwrapped(fn: Any) -> tuple[Any, frozenset[str]]:
    """The function whose annotations count, and the names that a partial has bound already."""
    bound: frozenset[str] = frozenset()
    while hasattr(fn, "func") and hasattr(fn, "keywords"):  # functools.partial
        bound |= frozenset(fn.keywords)
        fn = fn.func
    fn = inspect.unwrap(fn)
    if not inspect.isroutine(fn) and not isinstance(fn, type):
        fn = inspect.unwrap(fn.__call__)
    return fn, bound


def _signature(fn: Any, tool: str) -> inspect.Signature:
    try:
        if sys.version_info >= (3, 14):  # annotations are read late there, and may name what does not exist at run time
            import annotationlib

            return inspect.signature(fn, annotation_format=annotationlib.Format.FORWARDREF)
        return inspect.signature(fn)
    except (ValueError, TypeError) as error:
        raise ToolDefinitionError(
            f"tool {tool!r}: {fn!r} has no signature that can be read; wrap it in a function with type hints", tool=tool
        ) from error


def namespace_of(obj: Any) -> dict[str, Any]:
    """The names that the annotations of a function, class or type may use.

    Those of its module, of its closure, and the locals of the functions around it that are still running.
    """
    names: dict[str, Any] = {}
    for each in typing.get_args(obj):
        names |= namespace_of(each)
    module = _module(obj)
    return names | module | _locals_around(getattr(obj, "__qualname__", ""), module) | _closure(obj)


def _module(obj: Any) -> dict[str, Any]:
    plain = getattr(obj, "__func__", obj)
    module = sys.modules.get(getattr(obj, "__module__", None) or "")
    return getattr(plain, "__globals__", None) or (vars(module) if module is not None else {})


def _locals_around(qualname: str, module: Mapping[str, Any]) -> dict[str, Any]:
    """What the functions in which something was declared hold, inner ones first; nothing of those that have returned."""
    around = []
    while ".<locals>." in qualname:
        qualname = qualname.rpartition(".<locals>.")[0]
        around.append(qualname)
    found: dict[str, Any] = {}
    frame: types.FrameType | None = sys._getframe(1) if around else None  # noqa: SLF001  # there is no other way to them
    while frame is not None:
        if frame.f_code.co_qualname in around and frame.f_globals is module:
            found = {**frame.f_locals, **found}
        frame = frame.f_back
    return found


def _closure(fn: Any) -> dict[str, Any]:
    found = {}
    fn = getattr(fn, "__func__", fn)
    cells = getattr(fn, "__closure__", None) or ()
    for name, cell in zip(getattr(getattr(fn, "__code__", None), "co_freevars", ()), cells, strict=False):
        with contextlib.suppress(ValueError):  # not yet assigned
            found[name] = cell.cell_contents
    return found


def _annotation(raw: inspect.Parameter, fn: Any, tool: str, context: type | None) -> Any:
    annotation = raw.annotation
    if annotation is EMPTY:
        return Any
    if context is not None and _names_context(annotation, context):
        return context
    try:
        return _real(annotation, fn)
    except NameError as error:
        missing = getattr(error, "name", None) or str(error)
        raise ToolDefinitionError(
            f"tool {tool!r}: parameter {raw.name!r} is annotated {_text(annotation)}, and {missing!r} cannot be found at run "
            "time; import it outside `if TYPE_CHECKING:`, or define it at module level",
            tool=tool,
            parameter=raw.name,
        ) from error
    except Exception as error:  # evaluating an annotation runs the user's code, which may raise anything
        raise ToolDefinitionError(
            f"tool {tool!r}: parameter {raw.name!r} is annotated {_text(annotation)}, which cannot be read: "
            f"{type(error).__name__}: {error}",
            tool=tool,
            parameter=raw.name,
        ) from error


def _real(annotation: Any, fn: Any) -> Any:
    try:
        return real(annotation, _module(fn) | _closure(fn))
    except NameError:  # only then are the locals looked at: a frame that was looked into keeps what it showed alive
        return real(annotation, namespace_of(fn))


def real(annotation: Any, namespace: Mapping[str, Any]) -> Any:
    """An annotation with every string in it read.

    Raises:
        NameError: it names what is not in the namespace.
    """

    def holder() -> None:
        """Has annotations, and is of a kind that every Python reads them from."""

    holder.__annotations__ = {"it": annotation}
    return typing.get_type_hints(holder, dict(namespace), dict(namespace), include_extras=True)["it"]


def _text(annotation: Any) -> str:
    return repr(annotation if isinstance(annotation, str) else getattr(annotation, "__forward_arg__", annotation))


def _names_context(annotation: Any, context: type) -> bool:
    """Whether text names the context's class, which users import for type checkers alone."""
    text = getattr(annotation, "__forward_arg__", annotation)
    if not isinstance(text, str):
        return False
    name = re.escape(context.__name__)
    optional = r"(?:\s*\|\s*None)?"
    return (
        re.fullmatch(rf"(?:\w+\.)*{name}\s*(?:\[.*\])?{optional}|Optional\[(?:\w+\.)*{name}(?:\[.*\])?\]", text)
        is not None
    )


def _is_context(annotation: Any, context: type | None) -> bool:
    if context is None:
        return False
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _is_context(typing.get_args(annotation)[0], context)
    if origin in (Union, types.UnionType):
        return any(_is_context(each, context) for each in typing.get_args(annotation))
    found = origin or annotation
    return isinstance(found, type) and issubclass(found, context)
