"""Lists, newest first, a page at a time, each page reading a bounded number of rows however rare what it looks for.

What an index serves is the `where`; the rest, the `filter`, is asked of some hundreds or thousands of rows at a time, which
that index bounds. A page that finds less than it may show ends where it came to, with a cursor that goes on from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lumosai.storage._op import Query

if TYPE_CHECKING:
    from collections.abc import Callable

    from lumosai.storage._op import Row, Steps

LOOKED: Final = 3_000
PATIENCE: Final = 30_000
"""Rows that a page looks at: where it found anything, and where not."""
_FIRST: Final = 500
_MOST: Final = 2_000

Place = tuple[float, int]
"""The time and the key of a row."""


class Listing(NamedTuple):
    """What is listed.

    Attributes:
        table: of these rows.
        columns: that are read.
        time: the column of their order; rows of one time are in the order of their keys.
        where, parameters: an index that ends with the time and the key serves them.
        filter, filter_parameters: what else holds, each beginning with AND; "" for nothing.
    """

    table: str
    columns: str
    time: str
    where: str
    parameters: tuple[Any, ...]
    filter: str = ""
    filter_parameters: tuple[Any, ...] = ()


def page(
    listing: Listing,
    limit: int,
    at: Place | None,
    *,
    place: Callable[[Row], Place],
    fits: Callable[[Row], bool] | None = None,
) -> Steps[tuple[list[Row], Place | None]]:
    """Rows behind a place, and the place behind which the next ones are; None where there are none.

    Args:
        listing: what is listed.
        limit: rows, at the most.
        at: the place; None for the beginning.
        place: of a row.
        fits: whether a row belongs to the list, where the filter's condition only narrows it down.
    """
    found: list[Row] = []
    looked, size = 0, _FIRST
    while True:
        edge = (yield from _edge(listing, at, size)) if listing.filter else None
        count = limit + 1 - len(found) if fits is None else limit + 1
        rows = yield from _rows(listing, at, edge, count)
        found += rows if fits is None else [row for row in rows if fits(row)]
        if len(found) > limit:
            return found[:limit], place(found[limit - 1])
        if len(rows) == count:
            at = place(rows[-1])
            looked += count
        elif edge is None:
            return found, None
        else:
            at = edge
            looked += size
        size = min(size * 2, _MOST)
        if looked >= (LOOKED if found else PATIENCE):
            return found, at


def _rows(listing: Listing, at: Place | None, edge: Place | None, count: int) -> Steps[list[Row]]:
    behind, places = _between(listing, at, edge)
    rows = yield Query(
        f"""SELECT {listing.columns} FROM {listing.table} WHERE {listing.where}{behind}{listing.filter}
            ORDER BY {listing.time} DESC, key DESC LIMIT ?""",
        (*listing.parameters, *places, *listing.filter_parameters, count),
    )
    return list(rows)


def _edge(listing: Listing, at: Place | None, size: int) -> Steps[Place | None]:
    """The place of the last of so many rows; None where there are not so many."""
    behind, places = _between(listing, at, None)
    rows = yield Query(
        f"""SELECT {listing.time}, key FROM {listing.table} WHERE {listing.where}{behind}
            ORDER BY {listing.time} DESC, key DESC LIMIT 1 OFFSET ?""",
        (*listing.parameters, *places, size - 1),
    )
    return (rows[0][0], rows[0][1]) if rows else None


def _between(listing: Listing, at: Place | None, edge: Place | None) -> tuple[str, tuple[float | int, ...]]:
    """Behind one place, and up to another."""
    order = f"({listing.time}, key)"
    behind = f" AND {order} < (?, ?)" if at is not None else ""
    until = f" AND {order} >= (?, ?)" if edge is not None else ""
    return behind + until, (*(at or ()), *(edge or ()))
