"""A page of a list."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


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
