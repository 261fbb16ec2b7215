"""Operations on messages: stored at a branch's end, read by page, found, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal
from zlib import crc32

import msgspec

from lumosai.errors import ConflictError, NotFoundError
from lumosai.storage import _bodies as bodies
from lumosai.storage import _branches as branches
from lumosai.storage import _contents as contents
from lumosai.storage import _cursor as cursors
from lumosai.storage import _ids as names
from lumosai.storage import _index as index
from lumosai.storage import _scan as scan
from lumosai.storage import _threads as threads
from lumosai.storage import _turns as turns
from lumosai.storage import _views as views
from lumosai.storage._known import Placed
from lumosai.storage._op import Query, marks
from lumosai.storage.base import MAIN, Begun, Branch, Foreseen, MessageFilter, Page, Place, StoredMessage, ThreadRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lumosai.storage._branches import Line
    from lumosai.storage._op import Row, Rows, Steps
    from lumosai.storage._who import Who

_COLUMNS: Final = scan.COLUMNS
_FEW: Final = 16
"""Messages of which a step usually has no more."""
_AT_ONCE: Final = 500


class New(msgspec.Struct, frozen=True):
    """A message to be stored, taken apart before the transaction begins."""

    id: str
    role: str
    packed: bodies.Packed


def add(
    who: Who,
    thread_id: str,
    number: int | None,
    news: Sequence[New],
    *,
    run_id: str,
    now: float,
    place: int = 0,
) -> Steps[Placed]:
    """Stores messages at a branch's end; the numbers of all, those that were there already included.

    Args:
        who: the scope.
        thread_id: the thread.
        number: the branch's, None for the active one.
        news: the messages.
        run_id: the run that made them, "" for none.
        now: unix seconds.
        place: the run's on the branch, 0 for none.

    Raises:
        LeaseLostError: that place is gone.
    """
    if place and number is not None and 0 < len({new.id for new in news}) == len(news) <= _FEW:
        at_once = yield from _add_behind(who, thread_id, number, news, run_id=run_id, now=now, place=place)
        if at_once is not None:
            return at_once
    found = yield from threads.get(who, thread_id, lock=True)
    shown = yield from branches.line_of(found, number)
    return Placed((yield from _append(who, shown, news, run_id=run_id, now=now, place=place)), run_id)


def _add_behind(
    who: Who, thread_id: str, number: int, news: Sequence[New], *, run_id: str, now: float, place: int
) -> Steps[Placed | None]:
    """As `add`, where all is as it usually is; else nothing is stored, and nothing given.

    The thread is the scope's own, its branch shares nothing, the messages are new, and the run has its place.
    """
    thread = yield from threads.grow(who, thread_id, len(news), now)
    if not thread:
        return None
    rows = yield Query(
        f"""UPDATE branches SET last = last + ? WHERE thread = ? AND number = ? AND start = 0
                AND EXISTS (SELECT 1 FROM turns WHERE turns.key = ? AND turns.thread = branches.thread)
                AND NOT EXISTS (SELECT 1 FROM messages
                    WHERE messages.branch = branches.key AND messages.id IN ({marks(len(news))}))
            RETURNING key, last""",
        (len(news), thread, number, place, *[names.packed(new.id) for new in news]),
    )
    if not rows:
        yield Query("UPDATE threads SET messages = messages - ? WHERE key = ?", (len(news), thread))
        return None
    key, last = rows[0]
    yield from _store(who, key, last - len(news), news, run_id=run_id, now=now)
    return Placed(tuple(range(last - len(news) + 1, last + 1)), run_id, key, news[-1].id)


def _append(
    who: Who, shown: Line, news: Sequence[New], *, run_id: str, now: float, place: int = 0
) -> Steps[tuple[int, ...]]:
    """As `add`, on a branch that was found, of a thread that is locked."""
    found = shown.thread
    there: dict[str, int] = {}
    if shown.branch.last:
        placed = yield from branches.places(shown, [new.id for new in news])
        there = {name: seq for name, (_, seq) in placed.items()}
        if place and (yield from _others(placed, news)):
            yield from turns.check(found.key, place, run_id)
    fresh: list[New] = []
    for new in news:
        if new.id not in there:
            fresh.append(new)
            there[new.id] = shown.branch.last + len(fresh)
    if fresh:
        if place:
            yield from turns.check(found.key, place, run_id)
        yield from _store(who, shown.key, shown.branch.last, fresh, run_id=run_id, now=now)
        yield Query("UPDATE branches SET last = ? WHERE key = ?", (shown.branch.last + len(fresh), shown.key))
        since = now - found.record.updated_at
        if run_id and 0 <= since < threads.SAME_S and found.record.message_count:
            yield Query("UPDATE threads SET messages = messages + ? WHERE key = ?", (len(fresh), found.key))
        else:
            yield Query(
                "UPDATE threads SET messages = messages + ?, updated_at = ? WHERE key = ?", (len(fresh), now, found.key)
            )
    return tuple(there[new.id] for new in news)


def _store(who: Who, branch: int, last: int, news: Sequence[New], *, run_id: str, now: float) -> Steps[None]:
    """Rows of messages that are not there yet, behind the last one of a branch, by its key."""
    rows, uses, made_by = [], [], names.packed(run_id)
    asides: dict[str, bytes] = {}
    for seq, new in enumerate(news, last + 1):
        rows.append((branch, seq, names.packed(new.id), new.role, made_by, now, new.packed.body))
        if new.packed.asides:
            asides.update(new.packed.asides)
            uses += [(branch, seq, digest) for digest in new.packed.asides]
    yield Query(f"INSERT INTO messages ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows, many=True)
    yield from index.enqueue(branch, [row[1] for row in rows])
    if asides:
        yield from contents.put(who, asides, now)
        yield from contents.used_by_messages(who.tenant, uses)


def _others(placed: Mapping[str, tuple[int, int]], news: Sequence[New]) -> Steps[bool]:
    """Whether a message that is there already is not as it is to be stored: somebody else put it there."""
    for new in news:
        if new.id in placed:
            rows = yield Query("SELECT body FROM messages WHERE branch = ? AND seq = ?", placed[new.id])
            if not rows or not bodies.same(rows[0][0], new.packed.body):
                return True
    return False


def begin(
    who: Who,
    new_thread: ThreadRecord,
    number: int | None,
    news: Sequence[New],
    *,
    run_id: str,
    now: float,
    last: int,
    turn: Callable[[Line], Steps[Place]] | None = None,
) -> Steps[Begun]:
    """The thread, made where there is none; its branch's number, and the last messages before the new ones.

    Args:
        who: the scope.
        new_thread: the thread, as it is made.
        number: the branch's, None for the active one.
        news: the new messages.
        run_id: the run that stores them.
        now: unix seconds.
        last: how many messages before them are read, at the most.
        turn: takes the run's place, None where it needs none.
    """
    found = yield from threads.ensure(who, new_thread)
    shown = yield from branches.line_of(found, number)
    place = Place(branch=shown.branch.number)
    if turn is not None:
        place = yield from turn(shown)
        if place.ahead:
            return Begun(found.record, shown.branch.number, (), place)
    items: list[StoredMessage] = []
    if shown.branch.last:
        items = yield from read((yield from _last(shown, last, [new.id for new in news])))
    if new_thread.title and not found.record.title and not found.record.message_count:
        yield from threads.entitle(who, new_thread.id, new_thread.title, "")
    if news:
        yield from _append(who, shown, news, run_id=run_id, now=now)
    return Begun(found.record, shown.branch.number, tuple(items), place)


def begin_as_seen(
    who: Who,
    new_thread: ThreadRecord,
    number: int | None,
    news: Sequence[New],
    *,
    run_id: str,
    now: float,
    seen: Foreseen,
    turn: Callable[[Line], Steps[Place]],
    took: Callable[[Line], Steps[bool]],
) -> Steps[Begun]:
    """As `begin`, where all is as it was `seen` a moment before; `turn` takes no place behind others.

    Where the run `took` its place already, this is the same call, whose answer was lost on its way.

    Raises:
        ConflictError: it is otherwise than it was seen.
    """
    found = None
    if seen.thread is None and number in (None, MAIN):
        found = yield from threads.insert(who, new_thread, messages=len(news))
    if found is not None:
        place = yield from turn((yield from branches.line_of(found, MAIN)))
        if news:
            yield from _store(who, found.made, 0, news, run_id=run_id, now=now)
        return Begun(found.record, MAIN, (), place)
    found = yield from threads.get(who, new_thread.id, lock=True)
    shown = yield from branches.line_of(found, number)
    if _is_as_seen(shown, seen):
        place = yield from turn(shown)
        if place.ahead or place.passed:
            raise ConflictError(f"another run came to branch {shown.branch.number} of thread {new_thread.id!r}")
    elif not (yield from took(shown)):
        raise ConflictError(f"branch {shown.branch.number} of thread {new_thread.id!r} has changed")
    else:
        place = yield from turn(shown)
    if new_thread.title and not found.record.title and not found.record.message_count:
        yield from threads.entitle(who, new_thread.id, new_thread.title, "")
    if news:
        yield from _append(who, shown, news, run_id=run_id, now=now)
    return Begun(found.record, shown.branch.number, seen.earlier, place)


def _is_as_seen(shown: Line, seen: Foreseen) -> bool:
    was, now = seen.thread, shown.thread.record
    return (
        was is not None
        and (was.owner, was.created_at) == (now.owner, now.created_at)
        and (seen.place.branch, seen.last) == (shown.branch.number, shown.branch.last)
    )


def foresee(who: Who, thread_id: str, number: int | None, last: int) -> Steps[Foreseen]:
    """How a run would begin on a branch now, the active one where none is named; of a thread that is not there nobody has the turn."""
    found = yield from threads.find(who, thread_id, apart=True)  # who begins sees whether it is still so
    if found is None:
        return Foreseen(Place(branch=number or MAIN))
    try:
        shown = yield from branches.line_of(found, number)
    except NotFoundError:
        if number is not None:
            raise
        return Foreseen(Place(branch=MAIN))  # it was deleted meanwhile
    place = yield from turns.who_has(found.key, shown.branch.number)
    items: list[StoredMessage] = []
    if shown.branch.last and last:
        items = yield from read((yield from _last(shown, last, ())))
    return Foreseen(place, found.record, shown.branch.last, tuple(items))


def _last(shown: Line, count: int, new: Sequence[str]) -> Steps[list[Row]]:
    """The last rows of a path that are none of the new messages, which may be there already, in order."""
    walked = yield from scan.walk(shown.path, MessageFilter(), shown.branch.last + 1, count + len(new), back=True)
    known = {*map(names.packed, new)}
    rows = [row for row in walked.rows if row[2] not in known][:count]
    rows.reverse()
    return rows


def on_branch(
    who: Who, thread_id: str, before: str, number: int | None, news: Sequence[New], *, now: float
) -> Steps[Branch]:
    """A branch that shares what comes before a message and then has new ones."""
    made = yield from branches.add(who, thread_id, before, number, now)
    if not news:
        return made
    placed = yield from add(who, thread_id, made.number, news, run_id="", now=now)
    return msgspec.structs.replace(made, last=max(placed.numbers))


def page(
    who: Who,
    thread_id: str,
    number: int | None,
    wanted: MessageFilter,
    *,
    limit: int,
    cursor: str | None,
    newest: bool,
) -> Steps[Page[StoredMessage]]:
    """A page of a branch's path. One that reads on stays on its branch, whichever is the active one by then."""
    place = _place(cursor, thread_id, number) if cursor is not None else None
    shown = yield from branches.line(who, thread_id, number if place is None else place[0])
    return (yield from _page(shown, wanted, place, limit=limit, newest=newest))


def page_and_left(
    who: Who, thread_id: str, number: int | None, *, limit: int, cursor: str | None, newest: bool
) -> Steps[tuple[Page[StoredMessage], tuple[str, ...]]]:
    """As `page`, and where that comes to the end, the runs that had their turn there and whose process is gone."""
    place = _place(cursor, thread_id, number) if cursor is not None else None
    shown = yield from branches.line(who, thread_id, number if place is None else place[0])
    found = yield from _page(shown, MessageFilter(), place, limit=limit, newest=newest)
    if found.next_cursor is not None:
        return found, ()
    turn = yield from turns.who_has(shown.thread.key, shown.branch.number)
    return found, turn.passed


def _place(cursor: str, thread_id: str, number: int | None) -> tuple[int, int, int]:
    """What a cursor of a thread's messages says: the branch's number, a message's, and the direction.

    Raises:
        InvalidInputError: it is no cursor of that thread's messages, or of another branch than that named.
    """
    of, branch, at, step = cursors.read(cursor, "messages", int, int, int, int)
    if of != _sum(thread_id) or number not in (None, branch):
        raise cursors.foreign(cursor)
    return branch, at, step


def _page(
    shown: Line, wanted: MessageFilter, place: tuple[int, int, int] | None, *, limit: int, newest: bool
) -> Steps[Page[StoredMessage]]:
    """A page from a place on, or from either end of the path."""
    back, at = newest, shown.branch.last + 1 if newest else 0
    if place is not None:
        back, at = place[2] < 0, place[1]
    found, reached = yield from scan.walk(shown.path, wanted, at, limit + 1, back=back)
    rows = found[:limit]
    # How far the page came in its direction, where there may be more; and whether anything lies in the other one.
    on = rows[-1][1] if len(found) > limit else reached
    behind = (rows[0][1] if rows else at + (-1 if back else 1)) if place is not None else None
    if back:
        rows.reverse()
    items = yield from read(rows)
    following, before = (behind, on) if back else (on, behind)
    of, branch = shown.thread.record.id, shown.branch.number
    return Page(
        tuple(items),
        None if following is None else cursor_at(of, branch, following, 1),
        None if before is None else cursor_at(of, branch, before, -1),
    )


def cursor_at(thread_id: str, branch: int, at: int, step: Literal[1, -1]) -> str:
    """The cursor that reads on behind a message's number, or back before it."""
    return cursors.write("messages", _sum(thread_id), branch, at, step)


def _sum(thread_id: str) -> int:
    """Tells one thread's cursors from another's; the same in every database."""
    return crc32(thread_id.encode())


def one(who: Who, thread_id: str, number: int | None, message_id: str) -> Steps[StoredMessage | None]:
    """One message on a branch's path, None where it is not there."""
    shown = yield from branches.line(who, thread_id, number)
    there = yield from branches.places(shown, [message_id])
    if not there:
        return None
    rows = yield Query(f"SELECT {_COLUMNS} FROM messages WHERE branch = ? AND seq = ?", there[message_id])
    return (yield from read(rows))[0]


def around(shown: Line, seq: int, before: int, after: int) -> Steps[list[Row]]:
    """The row of a number on a path, where there is one, with those before and behind it, in order."""
    rows = (yield from scan.walk(shown.path, MessageFilter(), seq + 1, before + 1, back=True)).rows
    rows.reverse()
    if after:
        rows += (yield from scan.walk(shown.path, MessageFilter(), seq, after, back=False)).rows
    return rows


def all_around(shown: Line, seqs: Sequence[int], before: int, after: int) -> Steps[dict[int, list[Row]]]:
    """As `around`, of several numbers: by one statement, where nothing beside them was deleted."""
    last = shown.branch.last
    wanted = {seq: (max(1, seq - before), min(last, seq + after)) for seq in seqs}
    ranges: list[scan.Range] = []
    for low, high in _joined(sorted(wanted.values())):
        parts = [scan.Range(s.source, max(low, s.first), min(high, s.last)) for s in shown.path]
        ranges += [part for part in parts if part.low <= part.high]
    there: dict[int, Row] = {}
    for start in range(0, len(ranges), scan.TOGETHER):
        rows = yield from scan.rows_of(ranges[start : start + scan.TOGETHER], "", (), back=False, limit=None)
        there |= {row[1]: row for row in rows}
    found: dict[int, list[Row]] = {}
    for seq, (low, high) in wanted.items():
        found[seq] = [there[n] for n in range(low, high + 1) if n in there]
        if len(found[seq]) <= high - low:
            found[seq] = yield from around(shown, seq, before, after)
    return found


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges in order, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for low, high in ranges:
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def delete(who: Who, thread_id: str, ids: Sequence[str], now: float) -> Steps[int]:
    """Deletes messages from the thread's own branches; how many."""
    found = yield from threads.get(who, thread_id, lock=True)
    gone = 0
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        rows = yield Query(
            f"""SELECT branch, seq FROM messages WHERE id IN ({marks(len(some))})
                AND branch IN (SELECT key FROM branches WHERE thread = ?)""",
            (*map(names.packed, some), found.key),
        )
        places = [(row[0], row[1]) for row in rows]
        gone += len(places)
        unsure: set[int] = set()
        for place in places:
            used = yield Query("SELECT content FROM uses WHERE branch = ? AND seq = ?", place)
            unsure.update(row[0] for row in used)
        for branch, seq in places:
            yield from index.forget(branch, seq, seq)
        yield from views.forget(places)
        if places:
            yield Query("DELETE FROM uses WHERE branch = ? AND seq = ?", places, many=True)
            yield Query("DELETE FROM messages WHERE branch = ? AND seq = ?", places, many=True)
        yield from contents.drop_unused(unsure)
    if gone:
        yield Query("UPDATE threads SET messages = messages - ?, updated_at = ? WHERE key = ?", (gone, now, found.key))
    return gone


def read(rows: Rows) -> Steps[list[StoredMessage]]:
    """Rows as messages, with what lies beside them."""
    items = []
    for branch, seq, name, role, run_id, at, body in rows:
        beside = (yield from _beside(branch, seq)) if bodies.needs(body) else {}
        items.append(StoredMessage(bodies.unpack(role, names.text(name), body, beside), seq, names.text(run_id), at))
    return items


def _beside(branch: int, seq: int) -> Steps[dict[str, bytes]]:
    """What lies beside a message, by hash."""
    rows = yield Query(
        f"""SELECT {contents.COLUMNS} FROM uses JOIN contents ON contents.key = uses.content
            WHERE uses.branch = ? AND uses.seq = ?""",
        (branch, seq),
    )
    return (yield from contents.read(rows))
