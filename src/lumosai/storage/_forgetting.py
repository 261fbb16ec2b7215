"""Deleting what was said, in the journal too: a run that said a deleted message goes with it, if it does not go on.

Who deletes a message or a thread wants its words gone, and the events of the runs that said them hold them as well. A run
that is at work keeps its events until it ends. Runs around, which were only told of a message, stay; those that are packed
against it are packed anew without it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.storage import _ids as names
from lumosai.storage import _known as seen
from lumosai.storage import _messages as stored
from lumosai.storage import _owner as owners
from lumosai.storage import _packing as packing
from lumosai.storage import _removal as removal
from lumosai.storage import _runs as runs
from lumosai.storage import _threads as threads
from lumosai.storage._op import Query, marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lumosai.storage._op import Rows, Steps
    from lumosai.storage._who import Who

_AT_ONCE: Final = 500
_AROUND: Final = seen.BEFORE + 500
"""Messages behind one whose runs may be packed against it."""


LARGE: Final = 2_000
"""Messages of a thread beyond which they go a little at a time, so that no other writer waits for long."""


def thread(who: Who, thread_id: str) -> Steps[bool | None]:
    """Deletes a thread with the runs that spoke on it; whether there was one. Forks keep what they show, without its runs.

    Of a large one it gives None: it is there for nobody any more, and what it held goes with `removal.sweep`.
    """
    found = yield from threads.find(who, thread_id)
    if found is None:
        return False
    yield from _hold(who, thread_id, (yield Query(_SPOKE, (found.key,))))
    found = yield from threads.find(who, thread_id, lock=True)
    if found is None:
        return False
    rows = yield Query(_SPOKE, (found.key,))
    large = found.record.message_count > LARGE
    yield from _drop(who, thread_id, (names.text(row[0]) for row in rows), later=large)
    if not large:
        return (yield from threads.delete(who, thread_id))
    yield from threads.let_go(who, found)
    yield from removal.remove_thread(found.key)
    return None


_SPOKE: Final = """SELECT DISTINCT messages.run_id FROM messages WHERE length(run_id) > 0
    AND branch IN (SELECT key FROM branches WHERE thread = ?)"""


def _hold(who: Who, thread_id: str, rows: Rows) -> Steps[None]:
    """Locks runs before their thread, as a run does that stores what it said with its events."""
    own, parameters = _own(who, thread_id)
    run_ids = sorted({names.text(row[0]) for row in rows} - {""})
    for start in range(0, len(run_ids), _AT_ONCE):
        some = run_ids[start : start + _AT_ONCE]
        yield Query(
            f"SELECT key FROM runs WHERE id IN ({marks(len(some))}) AND {own} ORDER BY key{{lock}}",
            (*some, *parameters),
        )


def _own(who: Who, thread_id: str) -> tuple[str, tuple[str, ...]]:
    """Holds for runs of the scope, and nobody's own on the thread."""
    if not who.owner:
        return who.where("runs"), who.parameters
    return "runs.tenant = ? AND (runs.owner = ? OR (runs.owner = '' AND thread_id = ?))", (*who.parameters, thread_id)


def messages(who: Who, thread_id: str, ids: Sequence[str], now: float) -> Steps[int]:
    """Deletes messages from a thread's own branches, with the runs that said them; how many messages."""
    found = yield from threads.get(who, thread_id)
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        rows = yield Query(
            f"""SELECT run_id FROM messages WHERE id IN ({marks(len(some))})
                AND branch IN (SELECT key FROM branches WHERE thread = ?)""",
            (*map(names.packed, some), found.key),
        )
        yield from _hold(who, thread_id, rows)
    found = yield from threads.get(who, thread_id, lock=True)
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        rows = yield Query(
            f"""SELECT branch, seq, run_id FROM messages WHERE id IN ({marks(len(some))})
                AND branch IN (SELECT key FROM branches WHERE thread = ?) ORDER BY branch, seq{{lock}}""",
            (*map(names.packed, some), found.key),
        )
        yield from _drop(who, thread_id, (names.text(row[2]) for row in rows))
        for branch, seq, _ in rows:
            yield from _loosen(who, branch, seq)
    return (yield from stored.delete(who, thread_id, ids, now))


def _drop(who: Who, thread_id: str, run_ids: Iterable[str], *, later: bool = False) -> Steps[None]:
    """Deletes runs of the scope, and nobody's own on the thread, but those that are at work.

    Who stores messages may say of any run that it made them, so the scope counts here as everywhere.
    """
    own, parameters = _own(who, thread_id)
    for run_id in sorted({*run_ids} - {""}):
        rows = yield Query(
            f"SELECT key, lease, until > {{now}} FROM runs WHERE id = ? AND {own}{{skip}}", (run_id, *parameters)
        )  # those that were there are held; one that came since, and is writing, is at work
        if rows and not (rows[0][1] and rows[0][2] and not owners.is_dead(rows[0][1])):
            yield from (removal.remove_run if later else runs.remove)(rows[0][0], run_id)


def _loosen(who: Who, branch: int, seq: int) -> Steps[None]:
    """Packs the runs anew, without its thread's words, that are packed against a message."""
    rows = yield Query(
        """SELECT DISTINCT run_id FROM messages WHERE branch = ? AND seq BETWEEN ? AND ? AND length(run_id) > 0""",
        (branch, seq, seq + _AROUND),
    )
    for run_id in [names.text(row[0]) for row in rows]:
        parts = yield Query(
            """SELECT events.run, events.first, events.data FROM events JOIN runs ON runs.key = events.run
                WHERE runs.id = ? AND runs.tenant = ? ORDER BY events.first""",
            (run_id, who.tenant),
        )
        for key, first, data in parts:
            where = packing.place_of(bytes(data))
            if where is not None and where.branch == branch and where.first <= seq <= where.last:
                whole = (yield from seen.unpacked(key, run_id, [(data,)]))[0]
                known = yield from seen.known(key, run_id, None)
                yield Query(
                    "UPDATE events SET data = ? WHERE run = ? AND first = ?",
                    (packing.packed(whole, None, known), key, first),
                )
