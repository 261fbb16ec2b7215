"""Operations on sessions: of a resource with an agent there is one open one at the most, which an index sees to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.errors import ConflictError, NotFoundError
from lumosai.storage import _cursor as cursors
from lumosai.storage import _threads as threads
from lumosai.storage._op import Query, marks
from lumosai.storage._page import Page
from lumosai.storage._remembering import OPEN, SessionFilter, SessionRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.storage._op import Row, Steps
    from lumosai.storage._who import Who
    from lumosai.storage.base import ThreadRecord

_FIELDS: Final = (
    "id, resource_id, agent_id, thread_id, state, reason, variables, version, idle_s, age_s, summary, owner, "
    "created_at, active_at, ended_at"
)
_ACTIVE: Final = """(SELECT max(x.at) FROM (SELECT sessions.active_at AS at UNION ALL SELECT threads.updated_at FROM threads
    WHERE threads.tenant = sessions.tenant AND threads.owner = sessions.owner AND threads.id = sessions.thread_id) AS x)"""
"""When something came last: the session was opened, or its thread was written to."""
_COLUMNS: Final = f"key, {_FIELDS.replace('active_at', f'{_ACTIVE} AS active_at')}"
_OPEN: Final = "state IN ('active', 'paused')"
_AT_ONCE: Final = 500


def open_(
    who: Who, new: SessionRecord, thread: ThreadRecord | None, *, resume: bool
) -> Steps[tuple[SessionRecord, bool]]:
    """The open session, and whether it was made here."""
    now = new.created_at
    while True:
        row = yield from _current(who, new.resource_id, new.agent_id, lock=True)
        if row is None and resume:
            row = yield from _expired(who, new.resource_id, new.agent_id)
        if row is not None:
            found = msgspec.structs.replace(_record(row), idle_timeout_s=new.idle_timeout_s, max_age_s=new.max_age_s)
            why = "" if resume else found.over(now)
            if not why:
                found = msgspec.structs.replace(found, state="active", reason="", active_at=now, ended_at=None)
                yield Query(
                    """UPDATE sessions SET state = 'active', reason = '', ended_at = NULL, active_at = ?, idle_s = ?,
                        age_s = ? WHERE key = ?""",
                    (now, found.idle_timeout_s, found.max_age_s, row[0]),
                )
                return found, False
            yield from _end(row[0], "expired", why, now)
        rows = yield Query(
            f"""INSERT INTO sessions (tenant, {_FIELDS}) VALUES ({marks(16)})
                ON CONFLICT DO NOTHING RETURNING key""",
            (who.tenant, *_values(new, who.owner)),
        )
        if rows:
            if thread is not None:
                yield from threads.insert(who, thread)
            return msgspec.structs.replace(new, owner=who.owner or None), True


def _expired(who: Who, resource_id: str, agent_id: str) -> Steps[Row | None]:
    """The last session that expired, where none was made behind it."""
    rows = yield Query(
        f"""SELECT {_COLUMNS} FROM sessions WHERE tenant = ? AND owner = ? AND resource_id = ? AND agent_id = ?
            ORDER BY created_at DESC, key DESC LIMIT 1""",
        (who.tenant, who.owner, resource_id, agent_id),
    )
    return rows[0] if rows and rows[0][5] == "expired" else None


def one(who: Who, session_id: str) -> Steps[SessionRecord | None]:
    """A session, None where there is none."""
    row = yield from _find(who, session_id)
    return _record(row) if row is not None else None


def current(who: Who, resource_id: str, agent_id: str) -> Steps[SessionRecord | None]:
    """The open session of a resource with an agent, None where there is none."""
    row = yield from _current(who, resource_id, agent_id)
    return _record(row) if row is not None else None


def change(
    who: Who,
    session_id: str,
    make: Callable[[SessionRecord], SessionRecord],
    version: int | None,
    now: float,
) -> Steps[SessionRecord]:
    """Changes a session."""
    row = yield from _find(who, session_id, lock=True)
    if row is None:
        raise NotFoundError(f"there is no session {session_id!r}")
    was = _record(row)
    if version is not None and version != was.version:
        raise ConflictError(
            f"session {session_id!r} was changed meanwhile: it has version {was.version}, not {version}; read it again"
        )
    new = make(was)
    if new == was:
        return was
    if new.state in OPEN and was.state not in OPEN:
        there = yield from _current(who._replace(owner=was.owner or ""), was.resource_id, was.agent_id, lock=True)
        if there is not None and there[0] != row[0]:
            raise ConflictError(
                f"session {session_id!r} cannot be opened again: session {there[1]!r} of the same person with the same "
                "agent is open; complete it first"
            )
    again = new.state == "active" and was.state != "active"
    new = msgspec.structs.replace(
        new,
        version=was.version + 1,
        active_at=now if again else new.active_at,
        ended_at=None if new.state in OPEN else new.ended_at or now,
    )
    values = _values(new, was.owner or "")
    names = [f"{name.strip()} = ?" for name in _FIELDS.split(",")]
    yield Query(f"UPDATE sessions SET {', '.join(names)} WHERE key = ?", (*values, row[0]))
    return new


def listed(who: Who, wanted: SessionFilter, limit: int, cursor: str | None) -> Steps[Page[SessionRecord]]:
    """A page of sessions, the one that was made last first."""
    conditions, parameters = [who.where("sessions")], [*who.parameters]
    more: list[Any] = []
    for column, value in (
        ("resource_id", wanted.resource_id),
        ("agent_id", wanted.agent_id),
        ("thread_id", wanted.thread_id),
    ):
        if value:
            conditions.append(f"{column} = ?")
            more.append(threads.plain(value))
    if wanted.states:
        conditions.append(f"state IN ({marks(len(wanted.states))})")
        more += wanted.states
    if wanted.active_before is not None:
        conditions.append("active_at < ?")
        more.append(float(wanted.active_before))
    if cursor:
        at, key = cursors.read(cursor, "sessions", float, int)
        conditions.append("(created_at < ? OR (created_at = ? AND key < ?))")
        more += [at, at, key]
    rows = yield Query(
        f"""SELECT {_COLUMNS} FROM sessions WHERE {" AND ".join(conditions)}
            ORDER BY created_at DESC, key DESC LIMIT ?""",
        (*parameters, *more, limit + 1),
    )
    items = tuple(_record(row) for row in rows[:limit])
    following = cursors.write("sessions", items[-1].created_at, rows[limit - 1][0]) if len(rows) > limit else None
    return Page(items, following)


def expire(who: Who, now: float) -> Steps[int]:
    """Expires sessions whose time is up; how many."""
    rows = yield Query(
        f"""SELECT {_COLUMNS} FROM sessions WHERE {who.where("sessions")} AND {_OPEN} AND (
            (age_s IS NOT NULL AND created_at + age_s <= ?)
            OR (state = 'active' AND idle_s IS NOT NULL AND {_ACTIVE} + idle_s <= ?))
            ORDER BY key LIMIT {_AT_ONCE}{{lock}}""",
        (*who.parameters, now, now),
    )
    for row in rows:
        yield from _end(row[0], "expired", _record(row).over(now), now)
    return len(rows)


def delete(who: Who, ids: Sequence[str]) -> Steps[int]:
    """Deletes sessions; how many there were."""
    gone = 0
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        rows = yield Query(
            f"DELETE FROM sessions WHERE {who.where('sessions')} AND id IN ({marks(len(some))}) RETURNING key",
            (*who.parameters, *some),
        )
        gone += len(rows)
    return gone


def _end(key: int, state: str, reason: str, now: float) -> Steps[None]:
    yield Query(
        "UPDATE sessions SET state = ?, reason = ?, ended_at = ?, version = version + 1 WHERE key = ?",
        (state, reason, now, key),
    )


def _current(who: Who, resource_id: str, agent_id: str, *, lock: bool = False) -> Steps[Row | None]:
    """The open session. Of several owners' a handle without one sees the tenant's own."""
    held = "{lock}" if lock else ""
    rows = yield Query(
        f"""SELECT {_COLUMNS} FROM sessions WHERE tenant = ? AND owner = ? AND resource_id = ? AND agent_id = ?
            AND {_OPEN}{held}""",
        (who.tenant, who.owner, resource_id, agent_id),
    )
    return rows[0] if rows else None


def _find(who: Who, session_id: str, *, lock: bool = False) -> Steps[Row | None]:
    held = "{lock}" if lock else ""
    rows = yield Query(
        f"SELECT {_COLUMNS} FROM sessions WHERE {who.where('sessions')} AND id = ?{held}", (*who.parameters, session_id)
    )
    return rows[0] if rows else None


def _values(record: SessionRecord, owner: str) -> tuple[Any, ...]:
    return (
        record.id,
        record.resource_id,
        record.agent_id,
        record.thread_id,
        record.state,
        threads.plain(record.reason),
        threads.json_of(record.variables),
        record.version,
        record.idle_timeout_s,
        record.max_age_s,
        threads.plain(record.summary),
        owner,
        record.created_at,
        record.active_at,
        record.ended_at,
    )


def _record(row: Row) -> SessionRecord:
    _, name, resource, agent, thread, state, reason, variables, version, idle, age, summary, owner, *times = row
    return SessionRecord(
        id=name,
        resource_id=resource,
        agent_id=agent,
        thread_id=thread,
        state=state,
        reason=reason,
        variables=msgspec.json.decode(variables),
        version=version,
        idle_timeout_s=idle,
        max_age_s=age,
        summary=summary,
        owner=owner or None,
        created_at=times[0],
        active_at=times[1],
        ended_at=times[2],
    )
