"""`typing.TypedDict` on Python 3.11, which pydantic refuses there.

pydantic asks every class how it is to be understood before it looks at what it is. So each such class that a type
reaches, through lists, unions, dataclasses, other typed dictionaries, itself, is given an answer of its own: "as this
twin of mine out of typing_extensions", with the same keys, qualifiers and name.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOOK = "__get_pydantic_core_schema__"
_NEEDED = sys.version_info < (3, 12)


def accept(annotation: Any, namespace: Mapping[str, Any]) -> None:
    """Make pydantic accept every `typing.TypedDict` that the annotation reaches. Free from Python 3.12 on.

    Args:
        annotation: a type.
        namespace: names that local classes' own annotations may use.
    """
    if _NEEDED:
        _visit(annotation, namespace, set())


def is_typed_dict(cls: Any) -> bool:
    """Whether it is a TypedDict of either kind."""
    return (
        isinstance(cls, type)
        and issubclass(cls, dict)
        and hasattr(cls, "__total__")
        and hasattr(cls, "__required_keys__")
    )


def _visit(annotation: Any, namespace: Mapping[str, Any], seen: set[int]) -> None:
    if id(annotation) in seen:
        return
    seen.add(id(annotation))
    for each in typing.get_args(annotation):
        _visit(each, namespace, seen)
    cls = typing.get_origin(annotation) or annotation
    if not isinstance(cls, type):
        if isinstance(annotation, typing.ForwardRef) and annotation.__forward_arg__ in namespace:
            _visit(namespace[annotation.__forward_arg__], namespace, seen)
        return
    if not (is_typed_dict(cls) or dataclasses.is_dataclass(cls) or hasattr(cls, "_fields")):
        return
    hints = _hints(cls, namespace)
    for each in hints.values():
        _visit(each, namespace, seen)
    if is_typed_dict(cls) and type(cls).__module__ == "typing" and _HOOK not in vars(cls):
        setattr(cls, _HOOK, classmethod(_hook(_twin(cls, hints))))


def _hints(cls: type, namespace: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, localns={**namespace, cls.__name__: cls}, include_extras=True)
    except NameError:  # pydantic says the same in better words
        return {}


def _twin(cls: Any, hints: dict[str, Any]) -> Any:
    import typing_extensions

    annotations = {}
    for key, hint in hints.items():
        outer = typing.get_origin(hint)
        if outer in (typing.Required, typing.NotRequired):
            annotations[key] = hint
        else:
            annotations[key] = (typing.Required if key in cls.__required_keys__ else typing.NotRequired)[hint]
    bases: tuple[Any, ...] = (typing_extensions.TypedDict,)
    if getattr(cls, "__parameters__", ()):
        bases += (typing.Generic[cls.__parameters__],)  # type: ignore[index]  # a tuple of variables is what it takes
    body = {"__annotations__": annotations, "__module__": cls.__module__, "__doc__": cls.__doc__}
    twin = types.new_class(cls.__name__, bases, {}, lambda made: made.update(body))
    twin.__qualname__ = cls.__qualname__
    if hasattr(cls, "__pydantic_config__"):
        twin.__pydantic_config__ = cls.__pydantic_config__  # type: ignore[attr-defined]
    return twin


def _hook(twin: Any) -> Any:
    def schema(_cls: Any, source: Any, handler: Any) -> Any:
        args = typing.get_args(source)
        return handler.generate_schema(
            twin[args] if args else twin
        )  # not `handler(…)`: it cannot name a type inside itself

    return schema
