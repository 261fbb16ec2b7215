"""The official client's types of a request, made strict: what they do not name is refused, and lists are looked into.

The client's own types are `TypedDict`s whose lists are `Iterable`s, which are not looked into, and whose contents may also
be what its answers are made of, which take anything.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from pydantic import BaseModel, ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict, is_typeddict

SAMPLING = ("temperature", "top_p", "top_k")
"""Fields that the API's version we speak has and the client's newer one has lost."""


@cache
def request_type() -> TypeAdapter[Any]:
    """Validates a request's JSON as Python values."""
    return TypeAdapter(_strict(MessageCreateParamsStreaming) | _strict(MessageCreateParamsNonStreaming))


def check(request: dict[str, Any]) -> None:
    """Raises where the official types do not know a request.

    Raises:
        pydantic.ValidationError: what of it, and where.
    """
    request_type().validate_python({k: v for k, v in request.items() if k not in SAMPLING})


@cache
def _strict(kind: Any) -> Any:
    if is_typeddict(kind):
        return _record(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return None  # what answers are made of: left out of unions
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated or origin in (Required, NotRequired):
        return _strict(arguments[0])
    if origin in (Union, types.UnionType):
        found = [made for a in arguments if a is not type(None) and (made := _strict(a)) is not None]
        if not found:
            return None
        union: Any = Union[tuple(found)]  # noqa: UP007  # made at run time
        return union | None if type(None) in arguments else union
    if origin in (list, Iterable) or getattr(origin, "__name__", "") == "SequenceNotStr":
        return list[_strict(arguments[0])]  # type: ignore[misc]  # made at run time
    if origin is dict:
        return dict[str, Any]
    if getattr(kind, "__name__", "") in ("PathLike", "IO") or kind is bytes:
        return None
    return kind if kind is not object else Any


def _record(kind: Any) -> Any:
    hints = get_type_hints(kind, include_extras=True)
    fields = {
        name: (Required if get_origin(hint) is Required else NotRequired)[_strict(hint)] for name, hint in hints.items()
    }
    extra = getattr(kind, "__pydantic_config__", {}).get("extra", "forbid")
    made = TypedDict(kind.__name__, fields)  # type: ignore[operator]  # made at run time
    return with_config(ConfigDict(extra=extra))(made)
