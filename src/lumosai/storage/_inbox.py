"""Operations on inboxes: what others ask of a run, kept until the run's owner has done it.

A row is taken out by the transaction that stores the event which comes of it, so that it is applied once, however often
its owner dies in between. Posting locks the run, as does every write to it: a row is there before the run's end, or it is
refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from lumosai.errors import ConflictError, UnreadInboxError
from lumosai.storage._op import Query, marks
from lumosai.storage.base import InboxItem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.storage._op import Rows, Steps

T = TypeVar("T")

_COLUMNS: Final = "run_id, id, kind, data, at"
MOST: Final = 1_000
"""Rows that wait in one run's inbox."""
_AT_ONCE: Final = 512


def put(run_id: str, item: InboxItem, now: float) -> Steps[None]:
    """Puts a row into the inbox of a root run, which is locked; the same row twice is there once.

    Raises:
        ConflictError: the inbox is full.
    """
    rows = yield Query("SELECT count(*) FROM inbox WHERE run_id = ?", (run_id,))
    if rows[0][0] >= MOST:
        raise ConflictError(f"the inbox of run {run_id} is full: {MOST} rows wait there for somebody to go on with it")
    yield Query(
        f"INSERT INTO inbox ({_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        (run_id, item.id, item.kind, item.data, now),
    )


def waiting(run_ids: Sequence[str]) -> Steps[tuple[InboxItem, ...]]:
    """What waits in the inboxes of root runs, of each in the order it was posted."""
    found: list[InboxItem] = []
    for start in range(0, len(run_ids), _AT_ONCE):
        some = padded(run_ids[start : start + _AT_ONCE], "")
        rows = yield Query(
            f"SELECT {_COLUMNS} FROM inbox WHERE run_id IN ({marks(len(some))}) ORDER BY key", some, apart=True
        )
        found += _items(rows)
    return tuple(found)


def close(run_id: str) -> Steps[None]:
    """A run ends: its inbox is emptied.

    Raises:
        UnreadInboxError: a message waits there that the run's owner has not seen.
    """
    rows = yield Query(f"SELECT {_COLUMNS} FROM inbox WHERE run_id = ? ORDER BY key", (run_id,))
    if not rows:
        return
    unread = tuple(i for i in _items(rows) if i.kind == "send")
    if unread:
        raise UnreadInboxError(f"{len(unread)} messages were sent into run {run_id} while it ended", unread)
    yield Query("DELETE FROM inbox WHERE run_id = ?", (run_id,))


def take_out(run_id: str, ids: Sequence[str]) -> Steps[None]:
    """What came of these rows is stored."""
    yield Query("DELETE FROM inbox WHERE run_id = ? AND id = ?", [(run_id, i) for i in ids], many=True)


def padded(names: Sequence[T], nothing: T) -> list[T]:
    """The names, with nothings up to a power of two, so that there are few different statements."""
    return [*names, *[nothing] * ((1 << (len(names) - 1).bit_length()) - len(names))]


def _items(rows: Rows) -> list[InboxItem]:
    return [InboxItem(name, kind, bytes(data), run, at) for run, name, kind, data, at in rows]
