"""Operations that say how a database is: what it holds, and whether it holds together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.storage import _removal as removal
from lumosai.storage import _tables as tables
from lumosai.storage._op import Query
from lumosai.storage.upkeep import Removable

if TYPE_CHECKING:
    from lumosai.storage._op import Steps

_OLDEST = {
    "thread": "SELECT min(created_at) FROM threads",
    "message": "SELECT min(at) FROM messages",
    "run": "SELECT min(started_at) FROM runs",
}
_MANY = 1_000_000
_KEYS = {"thread": "threads", "branch": "branches", "run": "runs", "trace": "traces", "content": "contents"}


def schema() -> Steps[int]:
    """How many steps the schema has."""
    rows = yield Query("SELECT max(number) FROM lumosai")
    return int(rows[0][0])


def counts() -> Steps[dict[str, int]]:
    """Rows of each table."""
    found: dict[str, int] = {}
    for table in tables.TABLES:
        rows = (yield Query(f"SELECT count(*) FROM {table.name}")) if table.counted else ((0,),)
        found[table.name] = rows[0][0]
    return found


def statuses() -> Steps[dict[str, int]]:
    """Runs by their status."""
    rows = yield Query("SELECT status, count(*) FROM runs GROUP BY status ORDER BY status")
    return {row[0]: row[1] for row in rows}


def oldest() -> Steps[dict[str, float]]:
    """When the oldest of each was made; those that are."""
    found: dict[str, float] = {}
    for name, sql in _OLDEST.items():
        rows = yield Query(sql)
        if rows[0][0] is not None:
            found[name] = float(rows[0][0])
    return found


def removable(
    *, ended: float | None, idle: float | None, told: float | None, spared: float, over: int
) -> Steps[Removable]:
    """What retention would remove.

    Args:
        ended: runs that ended before it go; None where none do.
        idle: threads that were not written to since go; likewise.
        told: traces that began before it go; likewise.
        spared: what ended or began before it may go for the database's size.
        over: bytes beyond that size.
    """
    counts, size = [], 0
    for op, before in ((removal.told, told), (removal.ended, ended)):
        old = (yield from op(before, _MANY)) if before is not None else ()
        size += sum(each for _, each in old)
        more = (yield from op(spared, _MANY))[len(old) :] if over > size else ()
        count = len(old)
        for _, each in more:
            if size >= over:
                break
            count, size = count + 1, size + each
        counts.append(count)
    threads = len((yield from removal.idle(idle, _MANY))) if idle is not None else 0
    return Removable(counts[1], threads, counts[0], size, max(0, over - size))


def problems() -> Steps[tuple[str, ...]]:
    """Rows that belong to nothing, and what is referred to and is not there."""
    found: list[str] = []
    for table in tables.TABLES:
        for root, column in table.roots:
            if root not in _KEYS or _KEYS[root] == table.name or (table.name, root) == ("turns", "thread"):
                continue
            rows = yield Query(
                f"""SELECT count(*) FROM {table.name} WHERE NOT EXISTS (
                        SELECT 1 FROM {_KEYS[root]} WHERE {_KEYS[root]}.key = {table.name}.{column})
                    AND NOT EXISTS (
                        SELECT 1 FROM removed WHERE removed.kind = '{root}' AND removed.key = {table.name}.{column})
                    AND {table.name}.{column} <> 0"""
            )
            if rows[0][0]:
                found.append(f"{rows[0][0]} rows of {table.name} belong to no {root}")
        if table.refers:
            rows = yield Query(
                f"""SELECT count(*) FROM {table.name} WHERE NOT EXISTS (SELECT 1 FROM contents
                    WHERE contents.key = {table.name}.content)"""
            )
            if rows[0][0]:
                found.append(f"{rows[0][0]} rows of {table.name} refer to contents that are not there")
    rows = yield Query(
        """SELECT count(*) FROM contents WHERE size <> length(data)
            AND size <> length(data) + (SELECT COALESCE(sum(length(pieces.data)), 0) FROM pieces WHERE whole = contents.key)"""
    )
    if rows[0][0]:
        found.append(f"{rows[0][0]} contents are not as long as they were")
    rows = yield Query(
        "SELECT count(*) FROM segments WHERE NOT EXISTS (SELECT 1 FROM branches WHERE branches.key = segments.source)"
    )
    if rows[0][0]:
        found.append(f"{rows[0][0]} segments show a branch that is not there")
    return tuple(found)
