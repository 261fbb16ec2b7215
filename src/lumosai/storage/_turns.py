"""Operations on turns: one run at a time is at work on a branch, in whichever process; the others wait in their order.

A run's place is a row with a number that rises. The first whose process is there has the turn. A place is held for a
lease's time and again from then; one that is not is passed by at once where its process is dead on this machine, else
when its time is up, and is gone for whoever had it: from then on that run writes nothing to the thread. All that is done
here to one thread's places is done while the thread is locked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.errors import LeaseLostError, NotFoundError
from lumosai.storage import _branches as branches
from lumosai.storage import _ids as ids
from lumosai.storage import _inbox as inboxes
from lumosai.storage import _owner as owners
from lumosai.storage import _threads as threads
from lumosai.storage._op import Query, marks
from lumosai.storage.base import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.storage._branches import Line
    from lumosai.storage._op import Rows, Steps
    from lumosai.storage._who import Who

_AT_ONCE: Final = 512


def look(who: Who, thread_id: str, number: int | None) -> Steps[Place]:
    """Who has the turn on a branch, the active one where none is named; of a thread that is not there nobody has."""
    found = yield from threads.find(who, thread_id)
    if found is None:
        return Place(branch=number or 0)
    return (yield from who_has(found.key, found.record.branch if number is None else number))


def who_has(thread: int, number: int) -> Steps[Place]:
    """Who has the turn on a branch of a thread, by its key."""
    rows = yield Query(
        "SELECT key, run_id, lease, until > {now} FROM turns WHERE thread = ? AND branch = ? ORDER BY key",
        (thread, number),
    )
    passed = tuple([row[1] for row in rows if not owners.holds(row[2], held=bool(row[3]))])
    return _behind(rows, Place(branch=number, passed=passed))


def take(
    who: Who, thread_id: str, number: int | None, run_id: str, *, lease: str, ttl_s: float, wait: bool
) -> Steps[Place]:
    """A run's place on a branch, its turn or behind others; without `wait`, none behind others.

    On a thread that is not there it gets none, and has the turn.
    """
    found = yield from threads.find(who, thread_id, lock=True)
    if found is None:
        return Place(branch=number or 0)
    shown = yield from branches.line_of(found, number)
    return (yield from enter(shown, run_id=run_id, lease=lease, ttl_s=ttl_s, wait=wait))


def enter(shown: Line, *, run_id: str, lease: str, ttl_s: float, wait: bool) -> Steps[Place]:
    """As `take`, on a branch of a thread that is locked. Whoever has a place already keeps it."""
    where = (shown.thread.key, shown.branch.number)
    rows: Rows = ()
    if not shown.thread.made:  # else nobody else knows of it
        rows = yield Query(
            "SELECT key, run_id, lease, until > {now} FROM turns WHERE thread = ? AND branch = ? ORDER BY key", where
        )
    mine = next((row[0] for row in rows if row[1] == run_id and row[2] == lease), 0)
    gone = [
        (row[0],)
        for row in rows
        if row[0] != mine and (row[1] == run_id or not owners.holds(row[2], held=bool(row[3])))
    ]
    if gone:
        yield Query("DELETE FROM turns WHERE key = ?", gone, many=True)
    left = [row for row in rows if (row[0],) not in gone and row[0] != mine and (not mine or row[0] < mine)]
    passed = tuple([row[1] for row in rows if (row[0],) in gone and row[1] != run_id])
    place = _behind(left, Place(key=mine, branch=shown.branch.number, passed=passed))
    if mine or (place.ahead and not wait):
        return place
    rows = yield Query(
        """INSERT INTO turns (thread, branch, run_id, lease, until) VALUES (?, ?, ?, ?, {now} + CAST(? AS {real}))
            RETURNING key""",
        (*where, run_id, lease, ttl_s),
    )
    return Place(rows[0][0], *place[1:])


def has(shown: Line, *, run_id: str, lease: str) -> Steps[bool]:
    """Whether a run of this process has a place on a branch of a thread that is locked."""
    rows = yield Query(
        "SELECT 1 FROM turns WHERE thread = ? AND branch = ? AND run_id = ? AND lease = ?",
        (shown.thread.key, shown.branch.number, run_id, lease),
    )
    return bool(rows)


def check(thread: int, place: int, run_id: str) -> Steps[None]:
    """Sees that a run still has its place on a thread, which is locked.

    Raises:
        LeaseLostError: it was passed by.
        NotFoundError: its thread was deleted, and this is another one of that id.
    """
    rows = yield Query("SELECT 1 FROM turns WHERE key = ? AND thread = ?", (place, thread))
    if rows:
        return
    anew = yield Query(
        """SELECT 1 FROM threads JOIN runs ON runs.tenant = threads.tenant AND runs.started_at < threads.created_at
            WHERE threads.key = ? AND runs.id = ? AND NOT EXISTS (
                SELECT 1 FROM messages JOIN branches ON branches.key = messages.branch
                WHERE branches.thread = threads.key AND messages.run_id = ?)""",
        (thread, run_id, ids.packed(run_id)),
    )
    if anew:
        raise NotFoundError(
            f"the thread that run {run_id} was at work on was deleted: the one of that name is a new one"
        )
    raise LeaseLostError(
        f"run {run_id} was not heard of for too long, and another run was let onto its thread: it writes no more there"
    )


def leave(who: Who, place: int) -> Steps[None]:
    """Gives a place back."""
    yield Query(
        f"DELETE FROM turns WHERE key = ? AND EXISTS (SELECT 1 FROM threads WHERE threads.key = turns.thread AND {who.where()})",
        (place, *who.parameters),
    )


def renew(places: Sequence[int], *, ttl_s: float) -> Steps[None]:
    """Holds places for longer."""
    for start in range(0, len(places), _AT_ONCE):
        some = inboxes.padded(places[start : start + _AT_ONCE], 0)
        yield Query(
            f"UPDATE turns SET until = {{now}} + CAST(? AS {{real}}) WHERE key IN ({marks(len(some))})", (ttl_s, *some)
        )


def free(places: Sequence[int]) -> Steps[frozenset[int]]:
    """Of these places, those that have nobody before them any more, and those that are gone."""
    found: set[int] = set()
    for start in range(0, len(places), _AT_ONCE):
        some = places[start : start + _AT_ONCE]
        asked = inboxes.padded(some, 0)
        rows = yield Query(
            f"""SELECT mine.key, other.lease, other.until > {{now}} FROM turns mine LEFT JOIN turns other
                ON other.thread = mine.thread AND other.branch = mine.branch AND other.key < mine.key
                WHERE mine.key IN ({marks(len(asked))})""",
            asked,
            apart=True,
        )
        behind = {row[0] for row in rows if row[1] is not None and owners.holds(row[1], held=bool(row[2]))}
        found.update(key for key in some if key not in behind)
    return frozenset(found)


def _behind(rows: Rows, place: Place) -> Place:
    """A place behind the first of these that is there."""
    for key, run_id, lease, held in rows:
        if owners.holds(lease, held=bool(held)):
            return Place(place.key, place.branch, run_id, key, lease == owners.me(), place.passed)
    return place
