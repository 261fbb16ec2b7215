"""A page of a list."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec

from lumosai.errors import InvalidInputError

T = TypeVar("T")

MOST: Final = 1_000
"""Items of a page, at the most."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some of many, in order.

    A page looks at a bounded number of rows. Where a filter fits few of them it may hold fewer than were asked for, or none,
    and its cursor goes on from where it came to: a list has ended where there is no cursor, and nowhere else.

    Attributes:
        items: these.
        next_cursor: reads on behind the last of them; None where there is no more for now.
        previous_cursor: reads back before the first of them; None where there is nothing.
    """

    items: tuple[T, ...]
    next_cursor: str | None = None
    previous_cursor: str | None = None


def page_size(limit: int) -> int:
    """The number of items that was asked for.

    Raises:
        InvalidInputError: no page can have so many, or so few.
    """
    if not isinstance(limit, int) or not 1 <= limit <= MOST:  # type: ignore[redundant-expr]  # it comes from anywhere
        raise InvalidInputError(f"limit must be a number between 1 and {MOST}, not {limit!r}")
    return limit
