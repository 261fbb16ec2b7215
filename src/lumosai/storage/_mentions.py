"""The messages of a scope that hold a text: through its threads, the one made last first, each from its end.

That order changes with nothing that is written meanwhile, so a search goes on from its cursor, and each page looks at a
bounded number of messages (see `_scan`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from lumosai.storage import _cursor as cursors
from lumosai.storage import _match as match
from lumosai.storage import _messages as messages
from lumosai.storage import _scan as scan
from lumosai.storage import _threads as threads
from lumosai.storage._op import Query, marks
from lumosai.storage.base import Page, StoredMessage, ThreadRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lumosai.storage._op import Row, Steps
    from lumosai.storage._who import Who

_FEW: Final = 50
_MANY: Final = 500
"""Threads that are looked up at once: at first, and then."""


class Place(NamedTuple):
    """Where a search has come to: the thread's key, its branch's number, the message's number. What is less is behind it."""

    thread: int
    branch: int
    seq: int


class _Own(NamedTuple):
    """Numbers of one branch's own messages, and the branch's place in the search."""

    thread: int
    number: int
    range: scan.Range


def search(
    who: Who, text: str, resource_id: str, limit: int, cursor: str | None
) -> Steps[Page[tuple[ThreadRecord, StoredMessage]]]:
    """A page of the messages that hold a text, each with its thread."""
    like, values = match.like_text("body", text)
    at = Place(*cursors.read(cursor, "search", int, int, int)) if cursor else None
    budget = scan.Budget()
    found: list[tuple[Place, Row]] = []
    count = _FEW
    while True:
        keys, more = yield from _threads(who, resource_id, at, count)
        ranges = yield from _own(keys, at)
        budget.looked += len(keys)
        while ranges:
            some, ranges = _portion(ranges, budget.size)
            rows = yield from scan.rows_of([o.range for o in some], f" AND {like}", values, back=True, limit=None)
            found += _in_order(some, [r for r in rows if match.holds_text(scan.light(r), text)])
            if len(found) > limit:
                return (yield from _shown(found[:limit], found[limit - 1][0]))
            at = Place(some[-1].thread, some[-1].number, some[-1].range.low)
            budget.spend(sum(o.range.high - o.range.low + 1 for o in some))
            if budget.is_spent(len(found)):
                return (yield from _shown(found, at))
        if not more:
            return (yield from _shown(found, None))
        at = Place(more, 0, 0)
        if budget.is_spent(len(found)):
            return (yield from _shown(found, at))
        count = min(4 * count, _MANY)


def _threads(who: Who, resource_id: str, at: Place | None, count: int) -> Steps[tuple[list[int], int | None]]:
    """The keys of the next threads, and the last one looked at where there may be more."""
    by_resource = " AND resource_id = ? AND resource_id <> ''" if resource_id and not who.owner else ""
    resource = threads.plain(resource_id)
    behind = " AND key <= ?" if at is not None else ""
    rows = yield Query(
        f"SELECT key, resource_id FROM threads WHERE {who.where()}{by_resource}{behind} ORDER BY key DESC LIMIT ?",
        (*who.parameters, *((resource,) if by_resource else ()), *((at.thread,) if at is not None else ()), count),
    )
    keys = [key for key, about in rows if not resource_id or about == resource]
    return keys, rows[-1][0] if len(rows) == count else None


def _own(keys: Sequence[int], at: Place | None) -> Steps[list[_Own]]:
    """What the branches of threads have of their own beyond a place, in the order of the search."""
    if not keys:
        return []
    rows = yield Query(
        f"SELECT thread, number, key, start + 1, last FROM branches WHERE thread IN ({marks(len(keys))}) AND last > 0",
        keys,
    )
    # A branch whose original was deleted was given copies of what it shows of it.
    given = yield Query(
        f"""SELECT branches.thread, branches.number, branches.key, segments.first, segments.last
            FROM branches JOIN segments ON segments.source = branches.key AND segments.branch = branches.key
            WHERE branches.thread IN ({marks(len(keys))})""",
        keys,
    )
    own = [_Own(row[0], row[1], scan.Range(*row[2:])) for row in (*rows, *given)]
    own.sort(key=lambda o: (o.thread, o.number, o.range.low), reverse=True)
    return [o for o in _behind(own, at) if o.range.low <= o.range.high]


def _behind(own: Sequence[_Own], at: Place | None) -> Iterator[_Own]:
    for each in own:
        if at is None or (each.thread, each.number) < (at.thread, at.branch):
            yield each
        elif (each.thread, each.number) == (at.thread, at.branch):
            yield each._replace(range=each.range._replace(high=min(each.range.high, at.seq - 1)))


def _portion(own: list[_Own], numbers: int) -> tuple[list[_Own], list[_Own]]:
    """The first ones that hold so many numbers together, and the rest."""
    ranges = scan.portion([o.range for o in own], numbers, back=True)
    taken = [o._replace(range=r) for o, r in zip(own, ranges, strict=False)]
    rest, last = own[len(taken) :], own[len(taken) - 1]
    if last.range.low < ranges[-1].low:
        rest = [last._replace(range=last.range._replace(high=ranges[-1].low - 1)), *rest]
    return taken, rest


def _in_order(some: Sequence[_Own], rows: Sequence[Row]) -> list[tuple[Place, Row]]:
    """Rows with their places, in the order of the search."""
    branches = {o.range.branch: (o.thread, o.number) for o in some}
    placed = [(Place(*branches[row[0]], row[1]), row) for row in rows]
    placed.sort(key=lambda each: each[0], reverse=True)
    return placed


def _shown(found: Sequence[tuple[Place, Row]], end: Place | None) -> Steps[Page[tuple[ThreadRecord, StoredMessage]]]:
    """What was found, each with its thread."""
    by_key = yield from threads.by_key(sorted({place.thread for place, _ in found}))
    items = yield from messages.read([row for _, row in found])
    shown = [(by_key[place.thread], item) for (place, _), item in zip(found, items, strict=True)]
    return Page(tuple(shown), cursors.write("search", *end) if end is not None else None)
