"""Reading messages in order, in bounded portions: along a path, and through all that a scope holds.

Without a filter, what is read is what is shown. With one, messages are looked at that are not shown: where something was
found, a page looks at about `LOOKED` of them, and where nothing was, at about `PATIENCE`; then it ends where it came to,
and its cursor goes on from there. So no page takes long, however rare what is looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lumosai.storage import _bodies as bodies
from lumosai.storage import _filter as filters
from lumosai.storage import _ids as ids
from lumosai.storage import _match as match
from lumosai.storage import _threads as threads
from lumosai.storage._op import Query, marks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.messages import Message
    from lumosai.storage._branches import Segment
    from lumosai.storage._op import Row, Steps
    from lumosai.storage.base import MessageFilter

COLUMNS: Final = "branch, seq, id, role, run_id, at, body"

LOOKED: Final = 3_000
PATIENCE: Final = 30_000
_FIRST: Final = 250
_MOST: Final = 2_000
"""Numbers that one statement looks at: at first, and when little was found."""
TOGETHER: Final = 256
"""Ranges that one statement reads."""
_NONE: Final = 0, 1, 0
"""A range that holds nothing."""


class Range(NamedTuple):
    """Numbers of one branch's own messages, from `low` to `high`."""

    branch: int
    low: int
    high: int


class Walked(NamedTuple):
    """What was found, in the order walked, and the number that was come to; None where the end was."""

    rows: list[Row]
    reached: int | None


class Budget:
    """How many messages a page has looked at, and may."""

    __slots__ = ("looked", "size")

    def __init__(self) -> None:
        self.looked = 0
        self.size = _FIRST

    def spend(self, numbers: int) -> None:
        """So many more were looked at; the next statement looks at more."""
        self.looked += numbers
        self.size = min(self.size * 2, _MOST)

    def is_spent(self, found: int) -> bool:
        """Whether the page ends here."""
        return self.looked >= (LOOKED if found else PATIENCE)


def walk(path: Sequence[Segment], wanted: MessageFilter, at: int, count: int, *, back: bool) -> Steps[Walked]:
    """The messages of a path beyond a number, in the direction asked for, up to `count` of them."""
    condition, parameters = conditions(wanted)
    fits = fitting(wanted)
    ranges = _beyond([Range(*s) for s in (reversed(path) if back else path)], at, back=back)
    found: list[Row] = []
    budget = Budget()
    while ranges and len(found) < count:
        left = count - len(found)
        some = portion(ranges, budget.size if condition else left, whole=not condition, back=back)
        limit = left if fits is None else max(left, _FIRST)
        rows = yield from rows_of(some, condition, parameters, back=back, limit=limit)
        found += rows if fits is None else [row for row in rows if fits(row)]
        came_to = _end(some[-1], back=back) if len(rows) < limit else rows[-1][1]
        ranges = _beyond(ranges, came_to, back=back)
        if condition and ranges and len(found) < count:
            budget.spend(sum(r.high - r.low + 1 for r in some) if len(rows) < limit else limit)
            if budget.is_spent(len(found)):
                return Walked(found, came_to)
            if not rows:
                ranges = yield from _without_gap(ranges, back=back)
    return Walked(found[:count], None)


def portion(ranges: Sequence[Range], numbers: int, *, back: bool, whole: bool = False) -> list[Range]:
    """The first ranges that hold so many numbers together; the last is cut, but for one that is alone and `whole`."""
    taken: list[Range] = []
    left = numbers
    for each in ranges[:TOGETHER]:
        count = each.high - each.low + 1
        if count >= left:
            if whole and not taken:
                return [each]
            cut = each._replace(low=each.high - left + 1) if back else each._replace(high=each.low + left - 1)
            return [*taken, cut]
        taken.append(each)
        left -= count
    return taken


def rows_of(
    ranges: Sequence[Range], condition: str, parameters: Sequence[Any], *, back: bool, limit: int | None
) -> Steps[list[Row]]:
    """The messages of these ranges that a condition holds for, by number; without a limit in no order."""
    order = "" if limit is None else f" ORDER BY seq{' DESC' if back else ''} LIMIT ?"
    last = () if limit is None else (limit,)
    if len(ranges) == 1:
        rows = yield Query(
            f"SELECT {COLUMNS} FROM messages WHERE branch = ? AND seq BETWEEN ? AND ?{condition}{order}",
            (*ranges[0], *parameters, *last),
        )
        return list(rows)
    one = f"({', '.join(['CAST(? AS BIGINT)'] * 3)})"
    count = 1 << (len(ranges) - 1).bit_length()  # so that there are few such statements, which may be prepared once
    filled = [*ranges, *[_NONE] * (count - len(ranges))]
    rows = yield Query(
        f"""WITH ranges (source, low, high) AS (VALUES {", ".join([one] * count)})
            SELECT {COLUMNS} FROM {{in_ranges}} WHERE true{condition}{order}""",
        (*[value for each in filled for value in each], *parameters, *last),
    )
    return list(rows)


def conditions(wanted: MessageFilter) -> tuple[str, list[Any]]:
    """A filter as SQL that holds wherever it does, and begins with AND; its parameters."""
    said: list[str] = []
    parameters: list[Any] = []
    if wanted.roles:
        said.append(f"role IN ({marks(len(wanted.roles))})")
        parameters += wanted.roles
    for sign, value in ((">=", filters.seconds(wanted.since, "since")), ("<", filters.seconds(wanted.until, "until"))):
        if value is not None:
            said.append(f"at {sign} ?")
            parameters.append(float(value))
    if wanted.run_id:
        said.append("run_id = ?")
        parameters.append(ids.packed(threads.plain(wanted.run_id)))
    for condition, values in (
        match.like_text("body", wanted.text) if wanted.text else ("", ()),
        match.like_keys("body", wanted.metadata),
    ):
        if condition:
            said.append(condition)
            parameters += values
    return "".join(f" AND {c}" for c in said), parameters


def light(row: Row) -> Message:
    """A row as a message without what lies beside it."""
    return bodies.light(row[3], ids.text(row[2]), row[6])


def fitting(wanted: MessageFilter) -> Callable[[Row], bool] | None:
    """Whether a row fits a filter whose condition holds for it; None where the condition says it all."""
    if not wanted.text and not wanted.metadata:
        return None

    def fits(row: Row) -> bool:
        message = light(row)
        if wanted.text and not match.holds_text(message, wanted.text):
            return False
        return match.has(message.metadata, wanted.metadata)

    return fits


def _beyond(ranges: Sequence[Range], at: int, *, back: bool) -> list[Range]:
    """What of ranges, in the order walked, lies beyond a number."""
    if back:
        return [r if r.high < at else r._replace(high=at - 1) for r in ranges if r.low < at and r.low <= r.high]
    return [r if r.low > at else r._replace(low=at + 1) for r in ranges if r.high > at and r.low <= r.high]


def _end(of: Range, *, back: bool) -> int:
    return of.low if back else of.high


def _without_gap(ranges: list[Range], *, back: bool) -> Steps[list[Range]]:
    """The ranges without the numbers before the next message, where many were deleted."""
    first = ranges[0]
    rows = yield Query(
        f"""SELECT seq FROM messages WHERE branch = ? AND seq BETWEEN ? AND ?
            ORDER BY seq{" DESC" if back else ""} LIMIT 1""",
        first,
    )
    if not rows:
        return ranges[1:]
    return [first._replace(high=rows[0][0]) if back else first._replace(low=rows[0][0]), *ranges[1:]]
