"""Operations on views: what was made from the beginning of a path, with what it was made from, and gone with that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from lumosai.errors import NotFoundError
from lumosai.storage import _branches as branches
from lumosai.storage import _threads as threads
from lumosai.storage._op import Query, marks
from lumosai.storage._remembering import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.storage._branches import Line
    from lumosai.storage._op import Row, Steps
    from lumosai.storage._who import Who

_KEPT: Final = 5
"""Versions of one view that are kept."""
_COLUMNS: Final = "key, kind, seq, first, version, text, made, at"


def read(who: Who, thread_id: str, kind: str, number: int | None) -> Steps[View | None]:
    """The view that covers most of a path, None where there is none."""
    shown = yield from branches.line(who, thread_id, number)
    row = yield from _newest(shown, kind)
    return _view(row) if row is not None else None


def keep(who: Who, thread_id: str, view: View, number: int | None, now: float) -> Steps[View]:
    """Keeps a view, as the next version of the one that is there."""
    found = yield from threads.get(who, thread_id, lock=True)
    shown = yield from branches.line_of(found, number)
    until = next((s for s in shown.path if s.first <= view.until <= s.last), None)
    if until is None:
        raise NotFoundError(f"there is no message with the number {view.until} on thread {thread_id!r}")
    sources = [(s.source, s.first, min(s.last, view.until)) for s in shown.path if s.first <= view.until]
    before = yield from _newest(shown, view.kind)
    version = before[4] + 1 if before is not None else 1
    rows = yield Query(
        """INSERT INTO views (branch, seq, kind, first, version, sources, text, made, at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING key""",
        (
            until.source,
            view.until,
            view.kind,
            view.first,
            version,
            len(sources),
            threads.plain(view.text),
            threads.json_of(view.made),
            now,
        ),
    )
    key = rows[0][0]
    yield Query(
        "INSERT INTO view_sources (branch, first, last, view) VALUES (?, ?, ?, ?)",
        [(*source, key) for source in sources],
        many=True,
    )
    old = yield Query(
        "SELECT key FROM views WHERE branch = ? AND kind = ? AND version <= ?",
        (until.source, view.kind, version - _KEPT),
    )
    yield from _drop([row[0] for row in old])
    return msgspec.structs.replace(view, version=version, at=now)


def forget(places: Sequence[tuple[int, int]]) -> Steps[None]:
    """Messages are gone, each by branch and number, and so is what was made from them."""
    for branch, seq in places:
        rows = yield Query(
            "SELECT DISTINCT view FROM view_sources WHERE branch = ? AND first <= ? AND last >= ?", (branch, seq, seq)
        )
        yield from _drop([row[0] for row in rows])


def _newest(shown: Line, kind: str) -> Steps[Row | None]:
    for segment in reversed(shown.path):
        rows = yield Query(
            f"""SELECT {_COLUMNS} FROM views WHERE branch = ? AND kind = ? AND seq BETWEEN ? AND ?
                AND sources = (SELECT count(*) FROM view_sources WHERE view_sources.view = views.key)
                ORDER BY seq DESC, version DESC, key DESC LIMIT 1""",
            (segment.source, kind, segment.first, segment.last),
        )
        if rows:
            return rows[0]
    return None


def _drop(keys: Sequence[int]) -> Steps[None]:
    if keys:
        yield Query(f"DELETE FROM view_sources WHERE view IN ({marks(len(keys))})", keys)
        yield Query(f"DELETE FROM views WHERE key IN ({marks(len(keys))})", keys)


def _view(row: Row) -> View:
    _, kind, seq, first, version, text, made, at = row
    return View(kind=kind, until=seq, first=first, version=version, text=text, made=msgspec.json.decode(made), at=at)
