"""Operations on branches: the path that each shows, new ones, forks.

A branch shows a path: segments of other branches, then its own messages, with numbers that rise along it. So a page
costs the same anywhere, and neither a branch nor a fork copies anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from lumosai.errors import ConflictError, NotFoundError
from lumosai.storage import _facts as facts
from lumosai.storage import _ids as message_ids
from lumosai.storage import _threads as threads
from lumosai.storage._op import Query, marks
from lumosai.storage.base import MAIN, Branch, ThreadRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.storage._op import Steps
    from lumosai.storage._threads import Found
    from lumosai.storage._who import Who

_AT_ONCE: Final = 500


class Segment(NamedTuple):
    """Messages of one branch, by their first and last number."""

    source: int
    first: int
    last: int


class Line(NamedTuple):
    """A branch as it is shown.

    Attributes:
        thread: its thread.
        key: as the tables know it.
        branch: it.
        path: the segments that it shows, in order; the last is its own.
    """

    thread: Found
    key: int
    branch: Branch
    path: tuple[Segment, ...]


def line(who: Who, thread_id: str, number: int | None) -> Steps[Line]:
    """A branch of a thread, the active one where no number is given.

    Raises:
        NotFoundError: no such thread, or no such branch.
    """
    found = yield from threads.get(who, thread_id)
    return (yield from line_of(found, number))


def line_of(found: Found, number: int | None) -> Steps[Line]:
    """As `line`, of a thread that was found."""
    wanted = found.record.branch if number is None else number
    if found.made and wanted == MAIN:
        return Line(found, found.made, Branch(MAIN, 0, 0, found.record.created_at), (Segment(found.made, 1, 0),))
    rows = yield Query(
        "SELECT key, start, last, created_at FROM branches WHERE thread = ? AND number = ?",
        (found.key, wanted),
    )
    if not rows:
        raise NotFoundError(f"thread {found.record.id!r} has no branch {wanted}")
    key, start, last, created = rows[0]
    segments = (
        (yield Query("SELECT source, first, last FROM segments WHERE branch = ? ORDER BY first", (key,)))
        if start
        else ()
    )
    path = (*(Segment(*row) for row in segments), Segment(key, start + 1, last))
    return Line(found, key, Branch(wanted, start, last, created), path)


def all_of(who: Who, thread_id: str) -> Steps[tuple[Branch, ...]]:
    """A thread's branches, by number."""
    found = yield from threads.get(who, thread_id)
    rows = yield Query(
        "SELECT number, start, last, created_at FROM branches WHERE thread = ? ORDER BY number", (found.key,)
    )
    return tuple(Branch(*row) for row in rows)


def shows(shown: Line, branch: int, seq: int) -> bool:
    """Whether a path shows the message that lies in a branch under a number."""
    return any(s.source == branch and s.first <= seq <= s.last for s in shown.path)


def places(shown: Line, ids: Sequence[str]) -> Steps[dict[str, tuple[int, int]]]:
    """Where on a path messages lie, by id: branch and number. Those that are not there are left out.

    The branches are named, for other threads may have messages of the same ids, any number of them.
    """
    there: dict[str, tuple[int, int]] = {}
    sources = list({s.source for s in shown.path})
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        for first in range(0, len(sources), _AT_ONCE):
            among = sources[first : first + _AT_ONCE]
            rows = yield Query(
                f"""SELECT id, branch, seq FROM messages
                    WHERE id IN ({marks(len(some))}) AND branch IN ({marks(len(among))})""",
                (*map(message_ids.packed, some), *among),
            )
            there |= {message_ids.text(name): (branch, seq) for name, branch, seq in rows if shows(shown, branch, seq)}
    return there


def place_of(shown: Line, message_id: str) -> Steps[int]:
    """The number of a message on a path.

    Raises:
        NotFoundError: it is not there.
    """
    there = yield from places(shown, [message_id])
    if message_id not in there:
        raise NotFoundError(
            f"branch {shown.branch.number} of thread {shown.thread.record.id!r} has no message {message_id!r}"
        )
    return there[message_id][1]


def _held(who: Who, thread_id: str, number: int | None) -> Steps[Line]:
    """A branch whose path stays as it is until the transaction ends: nobody deletes a thread that it shows a part of.

    The threads are locked the oldest first, as `threads.delete` does, which locks those that show a part of one.
    """
    found = yield from threads.get(who, thread_id)
    shown = yield from line_of(found, number)
    sources = [s.source for s in shown.path]  # its own messages among them
    yield Query(
        f"""SELECT key FROM threads WHERE key IN (SELECT thread FROM branches WHERE key IN ({marks(len(sources))}))
            ORDER BY key{{lock}}""",
        sources,
    )
    return (
        yield from line(who, thread_id, number)
    )  # what was deleted meanwhile has left it copies, and no other sources


def add(who: Who, thread_id: str, before: str, number: int | None, now: float) -> Steps[Branch]:
    """A branch that shares what comes before a message."""
    shown = yield from _held(who, thread_id, number)
    found = shown.thread
    start = (yield from place_of(shown, before)) - 1
    rows = yield Query("SELECT max(number) FROM branches WHERE thread = ?", (found.key,))
    new = Branch(rows[0][0] + 1, start, start, now)
    yield from _insert(found.key, new, shown.path)
    return new


def fork(
    who: Who, thread_id: str, new: ThreadRecord, number: int | None, after: str | None, *, keep_title: bool
) -> Steps[ThreadRecord]:
    """A thread that begins as a branch goes, up to a message or to its end, with the agent and resource of that one.

    Raises:
        NotFoundError: no such thread, branch or message.
        ConflictError: there is a thread with the new one's id.
    """
    shown = yield from _held(who, thread_id, number)
    end = shown.branch.last if after is None else (yield from place_of(shown, after))
    of = shown.thread.record
    title = of.title if keep_title else new.title
    new = msgspec.structs.replace(new, title=title, agent_id=of.agent_id, resource_id=of.resource_id)
    made = yield from threads.insert(who, new)
    if made is None:
        raise ConflictError(f"there is a thread {new.id!r} already")
    yield Query("DELETE FROM branches WHERE thread = ?", (made.key,))
    yield from _insert(made.key, Branch(0, end, end, new.created_at), shown.path)
    yield from facts.copy(shown.thread.key, made.key)
    return made.record


def select(who: Who, thread_id: str, number: int, now: float) -> Steps[ThreadRecord]:
    """Makes a branch the active one."""
    found = yield from threads.get(who, thread_id, lock=True)
    yield from line_of(found, number)
    yield Query(
        "UPDATE threads SET active = ?, version = version + 1, updated_at = ? WHERE key = ?", (number, now, found.key)
    )
    return (yield from threads.get(who, thread_id)).record


def _insert(thread: int, new: Branch, path: tuple[Segment, ...]) -> Steps[None]:
    """A branch that shows of `path` the numbers up to its start."""
    rows = yield Query(
        "INSERT INTO branches (thread, number, start, last, created_at) VALUES (?, ?, ?, ?, ?) RETURNING key",
        (thread, new.number, new.start, new.last, new.created_at),
    )
    shared = [(rows[0][0], s.first, min(s.last, new.start), s.source) for s in path if s.first <= new.start]
    shared = [row for row in shared if row[1] <= row[2]]
    if shared:
        yield Query(
            "INSERT INTO segments (branch, first, last, source) VALUES (?, ?, ?, ?)",
            shared,
            many=True,
        )
