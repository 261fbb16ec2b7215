"""Operations on the search index: what waits to be indexed, what is, and what leaves it again.

The index is derived: it can be made anew from the messages at any time, so nothing of it is exported. A message that is
stored waits in `to_index`, in the same transaction; whoever has time claims some, and writes what the index holds of them
in the transaction that takes them off the list. So nothing is lost with a process, two never index one message twice, and
one that is deleted meanwhile is found by neither.

`kind` 0 is the full text. Every other kind is a space of vectors: those of one embedding model for one tenant's messages.
A message is known by its place, `branch << 32 | seq`, so that a branch's messages lie side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai._terms import terms
from lumosai.storage import _bodies as bodies
from lumosai.storage import _ids as ids
from lumosai.storage import _owner as owners
from lumosai.storage._op import UNREADABLE, Query, marks
from lumosai.storage.base import Claimed, searchable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from lumosai.messages import Message
    from lumosai.storage._op import Row, Steps
    from lumosai.storage._who import Who

TEXT: Final = 0
"""The kind of what waits for the full text."""
SEQ: Final = 32
"""Bits of a place that are the number within the branch."""
LAST: Final = (1 << SEQ) - 1
"""The greatest number that a message may have."""
LATER: Final = 1.0
"""When what was stored long ago is due: behind what is new, which is due at 0."""
_STALE_S: Final = 7 * 86_400.0
"""A space that nobody has asked for so long is not kept up any more."""
_AT_ONCE: Final = 500
_STAYS: Final = "branch NOT IN (SELECT key FROM removed WHERE kind = 'branch')"
"""What is of no thread that is on its way out."""


def place_of(branch: int, seq: int) -> int:
    """A message's place as one number."""
    return branch << SEQ | seq


def light(row: Row) -> Message:
    """A message by its role, id and body, without what lies beside it."""
    return bodies.light(row[0], ids.text(row[1]), row[2])


def _readable(row: Row) -> Message | None:
    """As `light`; None of one that is damaged, which nobody finds, and which keeps nobody from others."""
    try:
        return light(row)
    except UNREADABLE:
        return None


def joined(found: Iterable[str]) -> str:
    """A message's terms as the index takes them: each once, in order."""
    return " ".join(sorted(set(found)))


def enqueue(branch: int, seqs: Sequence[int]) -> Steps[None]:
    """Messages that were stored are to be indexed."""
    yield Query(
        "INSERT INTO to_index (branch, seq, kind, due, tries, holder) VALUES (?, ?, 0, 0, 0, '')",
        [(branch, seq) for seq in seqs],
        many=True,
    )


def enqueue_copies(branch: int, first: int, last: int) -> Steps[None]:
    """Messages that a branch got copies of are to be indexed."""
    yield Query(
        """INSERT INTO to_index (branch, seq, kind, due, tries, holder)
            SELECT branch, seq, 0, 0, 0, '' FROM messages WHERE branch = ? AND seq BETWEEN ? AND ?""",
        (branch, first, last),
    )


def forget(branch: int, first: int, last: int) -> Steps[None]:
    """Takes messages that are still there, and are about to go, out of the index and off the list.

    The branch is locked first: whoever is writing some of them into the index holds it meanwhile.
    """
    yield Query("SELECT 1 FROM branches WHERE key = ?{lock}", (branch,))
    waiting = yield Query(
        "SELECT seq FROM to_index WHERE branch = ? AND seq BETWEEN ? AND ? AND kind = 0", (branch, first, last)
    )
    unindexed = {row[0] for row in waiting}
    at = first
    while True:
        rows = yield Query(
            "SELECT role, id, body, seq FROM messages WHERE branch = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",
            (branch, at, last, _AT_ONCE),
        )
        there = [(r[3], _readable(r)) for r in rows if r[3] not in unindexed]
        gone = [(place_of(branch, seq), joined(terms(searchable(m)))) for seq, m in there if m is not None]
        gone = [each for each in gone if each[1]]  # what has no terms is not in it, and SQLite counts what it forgets
        if gone:
            yield Query("{forget}", gone, many=True)
        if len(rows) < _AT_ONCE:
            break
        at = rows[-1][3] + 1
    yield Query("DELETE FROM to_index WHERE branch = ? AND seq BETWEEN ? AND ?", (branch, first, last))
    lost = yield Query(
        """DELETE FROM vectors WHERE branch = ? AND space IN (SELECT key FROM spaces) AND seq BETWEEN ? AND ?
            RETURNING space""",
        (branch, first, last),
    )
    yield from _fewer(branch, [row[0] for row in lost])
    yield from _again(branch, last + 1)


def _again(branch: int, seq: int) -> Steps[None]:
    """What has a vector to which the message before it gave something gets another one."""
    yield Query("UPDATE to_index SET due = 0, holder = '' WHERE branch = ? AND seq = ? AND kind <> 0", (branch, seq))
    lost = yield Query(
        "DELETE FROM vectors WHERE branch = ? AND space IN (SELECT key FROM spaces) AND seq = ? RETURNING space",
        (branch, seq),
    )
    spaces = [row[0] for row in lost]
    yield from _fewer(branch, spaces)
    if spaces:
        yield Query(
            """INSERT INTO to_index (branch, seq, kind, due, tries, holder) VALUES (?, ?, ?, 0, 0, '')
                ON CONFLICT (branch, seq, kind) DO NOTHING""",
            [(branch, seq, space) for space in spaces],
            many=True,
        )


def _fewer(branch: int, spaces: Sequence[int]) -> Steps[None]:
    """A branch lost vectors, one for each time that a space is named."""
    for space in set(spaces):
        yield Query(
            "UPDATE vector_counts SET count = count - ?, version = version + 1 WHERE branch = ? AND space = ?",
            (spaces.count(space), branch, space),
        )


def claim(kind: int, limit: int, now: float, until: float) -> Steps[tuple[Claimed, ...]]:
    """Some of what waits, the newest kind first, held until then."""
    rows = yield Query(
        f"""SELECT branch, seq, due, tries FROM to_index WHERE kind = ? AND due <= ? AND {_STAYS}
            ORDER BY due, branch, seq LIMIT ?{{skip}}""",
        (kind, now, limit),
    )
    if not rows:
        return ()
    me = owners.me()
    yield Query(
        "UPDATE to_index SET due = ?, holder = ?, tries = tries + 1 WHERE branch = ? AND seq = ? AND kind = ?",
        [(until, me, branch, seq, kind) for branch, seq, _, _ in rows],
        many=True,
    )
    found: list[Claimed] = []
    lost: list[tuple[int, int]] = []
    for branch, seq, due, tries in rows:
        first = seq if kind == TEXT else seq - 1
        there = yield Query(
            "SELECT role, id, body, seq FROM messages WHERE branch = ? AND seq BETWEEN ? AND ? ORDER BY seq DESC",
            (branch, first, seq),
        )
        message = _readable(there[0]) if there and there[0][3] == seq else None
        if message is not None:
            before = _readable(there[1]) if len(there) > 1 else None
            found.append(Claimed(branch, seq, message, before, until, min(due, LATER), tries + 1))
        else:
            lost.append((branch, seq))
    if lost:
        yield Query("DELETE FROM to_index WHERE branch = ? AND seq = ?", lost, many=True)
    return tuple(found)


def reclaim(kind: int, now: float) -> Steps[int]:
    """Frees what processes that are dead had claimed; of how many processes."""
    rows = yield Query("SELECT DISTINCT holder FROM to_index WHERE kind = ? AND due > ? AND holder <> ''", (kind, now))
    dead = [row[0] for row in rows if owners.is_dead(row[0])]
    for holder in dead:
        yield Query(
            "UPDATE to_index SET due = 0, holder = '' WHERE kind = ? AND due > ? AND holder = ?", (kind, now, holder)
        )
    return len(dead)


def postpone(kind: int, places: Sequence[tuple[int, int]], due: float) -> Steps[None]:
    """What was claimed is to be tried again later, by whoever has time."""
    yield Query(
        "UPDATE to_index SET due = ?, holder = '' WHERE branch = ? AND seq = ? AND kind = ?",
        [(due, branch, seq, kind) for branch, seq in places],
        many=True,
    )


def drop(kind: int, places: Sequence[tuple[int, int]]) -> Steps[None]:
    """What was claimed is not to be indexed."""
    yield Query(
        "DELETE FROM to_index WHERE branch = ? AND seq = ? AND kind = ?",
        [(branch, seq, kind) for branch, seq in places],
        many=True,
    )


def put_texts(done: Sequence[tuple[Claimed, str]], now: float) -> Steps[int]:
    """Writes messages' terms into the full text, of those that are still held; how many.

    Args:
        done: what was claimed, and its terms, joined; "" where it has none.
        now: unix seconds.
    """
    mine = yield from _take(TEXT, (yield from _held([item for item, _ in done])))
    told = [(item, text) for item, text in done if text and (item.branch, item.seq) in mine]
    if told:
        yield Query("{remember}", [(place_of(item.branch, item.seq), text) for item, text in told], many=True)
        yield Query(
            """INSERT INTO to_index (branch, seq, kind, due, tries, holder)
                SELECT branches.key, CAST(? AS BIGINT), spaces.key, CAST(? AS {real}), 0, ''
                FROM branches JOIN threads ON threads.key = branches.thread
                JOIN spaces ON spaces.tenant = threads.tenant
                WHERE branches.key = ? AND spaces.used_at > ?
                ON CONFLICT (branch, seq, kind) DO NOTHING""",
            [(item.seq, item.due, item.branch, now - _STALE_S) for item, _ in told],
            many=True,
        )
    return len(mine)


def put_vectors(space: int, done: Sequence[tuple[Claimed, bytes]]) -> Steps[int]:
    """Writes vectors of messages that are still held; how many."""
    mine = yield from _take(space, (yield from _held([item for item, _ in done])))
    rows = [(item.branch, space, item.seq, data) for item, data in done if (item.branch, item.seq) in mine]
    if not rows or not (yield Query("SELECT 1 FROM spaces WHERE key = ?", (space,))):
        return 0
    for branch in sorted({row[0] for row in rows}):
        new = [row for row in rows if row[0] == branch]
        there = yield Query(
            f"SELECT seq FROM vectors WHERE branch = ? AND space = ? AND seq IN ({marks(len(new))})",
            (branch, space, *[row[2] for row in new]),
        )
        known = {row[0] for row in there}
        new = [row for row in new if row[2] not in known]
        if new:
            yield Query("INSERT INTO vectors (branch, space, seq, data) VALUES (?, ?, ?, ?)", new, many=True)
            yield Query(
                """INSERT INTO vector_counts (branch, space, count, version) VALUES (?, ?, ?, 1)
                    ON CONFLICT (branch, space) DO UPDATE SET count = vector_counts.count + excluded.count""",
                (branch, space, len(new)),
            )
    return len(mine)


def waiting(kinds: Collection[int]) -> Steps[tuple[int, float | None]]:
    """How many wait for these kinds, and when the first of them is due."""
    rows = yield Query(
        f"SELECT count(*), min(due) FROM to_index WHERE kind IN ({marks(len(kinds))}) AND {_STAYS}", tuple(kinds)
    )
    return rows[0][0], rows[0][1]


def space(who: Who, name: str, now: float) -> Steps[int]:
    """The key of a tenant's space of that name, made where there is none; old messages then wait for their vectors."""
    rows = yield Query(
        """INSERT INTO spaces (tenant, name, branch, seq, used_at) VALUES (?, ?, 0, 0, ?)
            ON CONFLICT (tenant, name) DO UPDATE
            SET branch = CASE WHEN spaces.used_at > ? THEN spaces.branch ELSE 0 END,
                seq = CASE WHEN spaces.used_at > ? THEN spaces.seq ELSE 0 END, used_at = excluded.used_at
            RETURNING key""",
        (who.tenant, name, now, now - _STALE_S, now - _STALE_S),
    )
    return int(rows[0][0])


def spaces(name: str) -> Steps[tuple[int, ...]]:
    """The spaces of that name, every tenant's."""
    rows = yield Query("SELECT key FROM spaces WHERE name = ? ORDER BY key", (name,))
    return tuple([row[0] for row in rows])


def backfill(space: int, limit: int) -> Steps[bool]:
    """Puts some of the messages that were there before a space was on its list; whether there may be more."""
    rows = yield Query("SELECT tenant, branch, seq FROM spaces WHERE key = ?{lock}", (space,))
    if not rows or rows[0][1] is None:
        return False
    tenant, branch, seq = rows[0]
    found = yield Query(
        "SELECT seq FROM messages WHERE branch = ? AND seq > ? ORDER BY seq LIMIT ?", (branch, seq, limit)
    )
    if not found:
        following = yield Query(
            """SELECT branches.key FROM branches JOIN threads ON threads.key = branches.thread
                WHERE threads.tenant = ? AND branches.key > ? ORDER BY branches.key LIMIT 1""",
            (tenant, branch),
        )
        after = following[0][0] if following else None
        yield Query("UPDATE spaces SET branch = ?, seq = 0 WHERE key = ?", (after, space))
        return after is not None
    first, last = found[0][0], found[-1][0]
    yield Query(
        """INSERT INTO to_index (branch, seq, kind, due, tries, holder)
            SELECT branch, seq, CAST(? AS BIGINT), 1.0, 0, '' FROM messages AS m
            WHERE branch = ? AND seq BETWEEN ? AND ?
            AND NOT EXISTS (SELECT 1 FROM to_index AS t WHERE t.branch = m.branch AND t.seq = m.seq AND t.kind = 0)
            AND NOT EXISTS (
                SELECT 1 FROM vectors AS v WHERE v.branch = m.branch AND v.space = ? AND v.seq = m.seq)
            ON CONFLICT (branch, seq, kind) DO NOTHING""",
        (space, branch, first, last, space),
    )
    yield Query("UPDATE spaces SET seq = ? WHERE key = ?", (last, space))
    return True


def stale(now: float) -> Steps[tuple[int, ...]]:
    """Spaces that nobody has asked for in a week."""
    rows = yield Query("SELECT key FROM spaces WHERE used_at <= ?", (now - _STALE_S,))
    return tuple([row[0] for row in rows])


def clear_space(space: int, limit: int) -> Steps[bool]:
    """Deletes a part of a space, in the end the space; whether there is more."""
    branches = yield Query("SELECT branch FROM vector_counts WHERE space = ? LIMIT 1", (space,))
    if branches:
        branch = branches[0][0]
        gone = yield Query(
            """DELETE FROM vectors WHERE branch = ? AND space = ? AND seq IN
                (SELECT seq FROM vectors WHERE branch = ? AND space = ? ORDER BY seq LIMIT ?) RETURNING seq""",
            (branch, space, branch, space, limit),
        )
        if len(gone) < limit:
            yield Query("DELETE FROM vector_counts WHERE branch = ? AND space = ?", (branch, space))
        return True
    queued = yield Query(
        """DELETE FROM to_index WHERE kind = ? AND (branch, seq) IN
            (SELECT branch, seq FROM to_index WHERE kind = ? LIMIT ?) RETURNING seq""",
        (space, space, limit),
    )
    if queued:
        return True
    yield Query("DELETE FROM spaces WHERE key = ?", (space,))
    return False


def purge() -> Steps[None]:
    """Writes the full text anew without what was taken out of it, so that no trace of that stays in the file."""
    yield Query("{purge}")


def _held(items: Sequence[Claimed]) -> Steps[list[Claimed]]:
    """Those whose branch is there, and stays until the transaction ends: of a thread that is on its way out none goes in."""
    wanted = sorted({item.branch for item in items})
    rows = yield Query(
        f"SELECT key FROM branches WHERE key IN ({marks(len(wanted))}) ORDER BY key{{hold}}", tuple(wanted)
    )
    there = {row[0] for row in rows}
    return [item for item in items if item.branch in there]


def _take(kind: int, items: Sequence[Claimed]) -> Steps[set[tuple[int, int]]]:
    """Takes what is still held as it was claimed off the list; which that were.

    One statement for each: of several places at once a database would look for each of all that wait.
    """
    taken: set[tuple[int, int]] = set()
    for item in items:
        rows = yield Query(
            "DELETE FROM to_index WHERE branch = ? AND seq = ? AND kind = ? AND due = ? RETURNING seq",
            (item.branch, item.seq, kind, item.until),
        )
        if rows:
            taken.add((item.branch, item.seq))
    return taken
