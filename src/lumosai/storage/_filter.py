"""Filters as they are looked for: checked, and in the form in which what they look for is stored."""

from __future__ import annotations

import datetime as dt
from typing import TypeVar, cast, get_args

from msgspec.structs import replace

from lumosai.errors import InvalidInputError
from lumosai.messages import Role, scrubbed
from lumosai.storage.base import MessageFilter, ThreadFilter

Filter = TypeVar("Filter", MessageFilter, ThreadFilter)


def sound(wanted: Filter) -> Filter:
    """The filter as what it looks for is stored.

    Raises:
        InvalidInputError: it holds what no message or thread can have.
    """
    if isinstance(wanted, MessageFilter):
        wanted = replace(
            wanted,
            roles=_roles(wanted.roles),
            since=seconds(wanted.since, "since"),
            until=seconds(wanted.until, "until"),
        )
    if not isinstance(wanted.text, str):
        raise InvalidInputError(f"text={wanted.text!r} of a filter is no text")
    if not isinstance(wanted.metadata, dict):
        raise InvalidInputError(f"metadata={wanted.metadata!r:.80} of a filter is no dict")
    if not wanted.metadata:
        return wanted
    made: Filter = replace(wanted, metadata=scrubbed(wanted.metadata))
    return made


def _roles(given: tuple[Role, ...] | str) -> tuple[Role, ...]:
    roles = (given,) if isinstance(given, str) else tuple(given)
    unknown = set(roles) - set(get_args(Role))
    if unknown:
        known = ", ".join(get_args(Role))
        other = repr(unknown.pop())[:80]
        raise InvalidInputError(f"a filter's roles hold {other}, which no message has: there are {known}")
    return cast("tuple[Role, ...]", roles)


def seconds(given: float | dt.datetime | None, name: str) -> float | None:
    """A time in unix seconds.

    Raises:
        InvalidInputError: it is none, or nobody knows in which time zone.
    """
    if isinstance(given, dt.datetime):
        if given.tzinfo is None:
            raise InvalidInputError(f"{name}={given!r} has no time zone: datetime.now(UTC), or unix seconds")
        return given.timestamp()
    if given is not None and not isinstance(given, int | float):
        raise InvalidInputError(f"{name}={given!r} is no time: pass unix seconds, or a datetime with its time zone")
    return given
