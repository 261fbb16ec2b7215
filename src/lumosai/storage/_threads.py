"""Operations on threads: found by scope, made, listed, changed, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.errors import ConflictError, InvalidInputError, NotFoundError
from lumosai.messages import scrub, scrubbed
from lumosai.storage import _contents as contents
from lumosai.storage import _cursor as cursors
from lumosai.storage import _index as index
from lumosai.storage import _listing as listing
from lumosai.storage import _match as match
from lumosai.storage import _tables as tables
from lumosai.storage._op import Query, marks
from lumosai.storage.base import MAIN, Page, ThreadFilter, ThreadRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.storage._op import Row, Steps
    from lumosai.storage._who import Who

_COLUMNS: Final = (
    "key, owner, id, resource_id, agent_id, title, metadata, version, active, messages, created_at, updated_at"
)
SAME_S: Final = 1.0
"""So long after its last update a thread counts as just updated for what the same turn says next."""
_AT_ONCE: Final = 500
_LOCK: Final = "{lock}"


class Found(msgspec.Struct, frozen=True):
    """A thread and the key by which the tables know it.

    Attributes:
        key, record: they.
        made: the key of its one branch, where this transaction has just made it; else 0.
    """

    key: int
    record: ThreadRecord
    made: int = 0


def record_of(row: Row) -> Found:
    """A row of `_COLUMNS`."""
    key, owner, name, resource, agent, title, metadata, version, active, count, created, updated = row
    record = ThreadRecord(
        id=name,
        title=title,
        agent_id=agent,
        resource_id=resource,
        metadata=msgspec.json.decode(metadata),
        version=version,
        branch=active,
        message_count=count,
        owner=owner or None,
        created_at=created,
        updated_at=updated,
    )
    return Found(key, record)


def find(who: Who, thread_id: str, *, lock: bool = False, apart: bool = False) -> Steps[Found | None]:
    """The thread of that id in a scope.

    Args:
        who: the scope.
        thread_id: its id.
        lock: whether it stays as it is until the transaction ends.
        apart: as in `Query`.

    Raises:
        ConflictError: the scope has no owner, and several owners have one of that id.
    """
    locked = _LOCK if lock else ""
    own = f"SELECT {_COLUMNS} FROM threads WHERE tenant = ? AND owner = ? AND id = ?{locked}"
    others = (
        f"SELECT {_COLUMNS} FROM threads WHERE tenant = ? AND id = ? AND owner <> '' ORDER BY owner LIMIT 2{locked}"
    )
    if who.owner or lock:
        rows = yield Query(own, (*who, thread_id), apart=apart)
        if not rows and not who.owner:  # one that an owner has
            rows = yield Query(others, (who.tenant, thread_id))
    else:
        rows = yield Query(
            f"SELECT * FROM ({own}) AS own UNION ALL SELECT * FROM ({others}) AS others",
            (*who, thread_id, who.tenant, thread_id),
            apart=apart,
        )
        rows = [row for row in rows if not row[1]] or rows
    if len(rows) > 1:
        raise ConflictError(f"several owners have a thread {thread_id!r}: name one, by Scope(owner=…)")
    return record_of(rows[0]) if rows else None


def get(who: Who, thread_id: str, *, lock: bool = False) -> Steps[Found]:
    """The thread of that id.

    Raises:
        NotFoundError: there is none in this scope.
        ConflictError: as `find`.
    """
    found = yield from find(who, thread_id, lock=lock)
    if found is None:
        raise NotFoundError(f"there is no thread {thread_id!r}")
    return found


def by_key(keys: Sequence[int]) -> Steps[dict[int, ThreadRecord]]:
    """Threads by the keys by which the tables know them, whose scope was looked at."""
    found: dict[int, ThreadRecord] = {}
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        rows = yield Query(f"SELECT {_COLUMNS} FROM threads WHERE key IN ({marks(len(some))})", some)
        found |= {row[0]: record_of(row).record for row in rows}
    return found


def record(who: Who, thread_id: str) -> Steps[ThreadRecord | None]:
    """The thread of that id as users see it, None where there is none."""
    found = yield from find(who, thread_id, apart=True)
    return found.record if found is not None else None


def insert(who: Who, new: ThreadRecord, *, messages: int = 0) -> Steps[Found | None]:
    """Makes a thread with its first branch, for so many messages; None where there is one with that id."""
    rows = yield Query(
        """INSERT INTO threads
            (tenant, owner, id, resource_id, agent_id, title, metadata, version, active, messages, created_at, updated_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?)
            ON CONFLICT (tenant, owner, id) DO NOTHING RETURNING key""",
        (
            who.tenant,
            who.owner,
            new.id,
            new.resource_id,
            new.agent_id,
            new.title,
            json_of(new.metadata),
            MAIN,
            messages,
            new.created_at,
            new.created_at,
        ),
    )
    if not rows:
        return None
    key = rows[0][0]
    rows = yield Query(
        "INSERT INTO branches (thread, number, start, last, created_at) VALUES (?, ?, 0, ?, ?) RETURNING key",
        (key, MAIN, messages, new.created_at),
    )
    record = msgspec.structs.replace(new, owner=who.owner or None, message_count=messages)
    return Found(key, record, rows[0][0])


def create(who: Who, new: ThreadRecord) -> Steps[ThreadRecord]:
    """Makes a thread.

    Raises:
        ConflictError: there is one with that id.
    """
    made = yield from insert(who, new)
    if made is None:
        raise ConflictError(f"there is a thread {new.id!r} already")
    return made.record


def ensure(who: Who, new: ThreadRecord) -> Steps[Found]:
    """The thread of that id, made as given where there is none."""
    found = yield from find(who, new.id, lock=True)
    if found is not None:
        return found
    made = yield from insert(who, new)
    return made if made is not None else (yield from get(who, new.id, lock=True))


def ensured(who: Who, new: ThreadRecord) -> Steps[ThreadRecord]:
    """As `ensure`, as users see it."""
    return (yield from ensure(who, new)).record


def update(
    who: Who,
    thread_id: str,
    now: float,
    *,
    title: str | None,
    metadata: Mapping[str, Any] | None,
    resource_id: str | None,
    version: int | None,
) -> Steps[ThreadRecord]:
    """Changes what is given.

    Raises:
        NotFoundError: there is no such thread.
        ConflictError: it has another version than `version`.
    """
    found = yield from get(who, thread_id, lock=True)
    was = found.record
    if version is not None and version != was.version:
        raise ConflictError(
            f"thread {thread_id!r} was changed meanwhile: it has version {was.version}, not {version}; read it again"
        )
    rows = yield Query(
        f"""UPDATE threads SET title = ?, metadata = ?, resource_id = ?, version = version + 1, updated_at = ?
            WHERE key = ? RETURNING {_COLUMNS}""",
        (
            was.title if title is None else plain(title),
            json_of(was.metadata if metadata is None else metadata),
            was.resource_id if resource_id is None else resource_id,
            now,
            found.key,
        ),
    )
    return record_of(rows[0]).record


def grow(who: Who, thread_id: str, count: int, now: float) -> Steps[int]:
    """A run's messages come to a thread of the scope's own, which is locked from here on; its key, 0 where there is none.

    One that was just updated keeps its place in lists, and so their indexes.
    """
    rows = yield Query(
        """UPDATE threads SET messages = messages + ? WHERE tenant = ? AND owner = ? AND id = ? AND messages > 0
            AND CAST(? AS {real}) - updated_at BETWEEN 0 AND ? RETURNING key""",
        (count, *who, thread_id, now, SAME_S),
    )
    if not rows:
        rows = yield Query(
            """UPDATE threads SET messages = messages + ?, updated_at = ? WHERE tenant = ? AND owner = ? AND id = ?
                RETURNING key""",
            (count, now, *who, thread_id),
        )
    return rows[0][0] if rows else 0


def entitle(who: Who, thread_id: str, title: str, instead_of: str) -> Steps[None]:
    """Gives a thread a title in place of that one, where it still has it. Its place in lists stays."""
    found = yield from find(who, thread_id, lock=True)
    if found is not None:
        yield Query(
            "UPDATE threads SET title = ?, version = version + 1 WHERE key = ? AND title = ?",
            (plain(title), found.key, plain(instead_of)),
        )


def listed(who: Who, wanted: ThreadFilter, limit: int, cursor: str | None) -> Steps[Page[ThreadRecord]]:
    """A page of threads, the one that was written to last first."""
    at = cursors.read(cursor, "threads", float, int) if cursor else None
    verified = bool(wanted.metadata or wanted.text)
    rows, end = yield from listing.page(
        _listing(who, wanted),
        limit,
        at,
        place=lambda row: (row[-1], row[0]),
        fits=(lambda row: _fits(record_of(row).record, wanted)) if verified else None,
    )
    return Page(tuple([record_of(row).record for row in rows]), cursors.write("threads", *end) if end else None)


def delete(who: Who, thread_id: str) -> Steps[bool]:
    """Deletes a thread and what only it has; whether there was one. Forks get copies of what they show of it."""
    found = yield from find(who, thread_id, lock=True)
    if found is None:
        return False
    own = yield from let_go(who, found)
    inside = f"IN ({marks(len(own))})"
    used = yield Query(f"SELECT DISTINCT content FROM uses WHERE branch {inside}", own)
    for key in own:
        yield from index.forget(key, 0, index.LAST)
    for table, column in tables.of("branch"):
        yield Query(f"DELETE FROM {table} WHERE {column} {inside}", own)
    for table, column in tables.of("thread"):
        yield Query(f"DELETE FROM {table} WHERE {column} = ?", (found.key,))
    yield from contents.drop_unused(row[0] for row in used)
    return True


def let_go(who: Who, found: Found) -> Steps[list[int]]:
    """Gives forks of a thread that is locked what they show of it, and its runs whom they are about; its branches, by key."""
    rows = yield Query("SELECT key FROM branches WHERE thread = ? ORDER BY key", (found.key,))
    own = [row[0] for row in rows]
    inside = f"IN ({marks(len(own))})"
    # Its forks are locked before they change, in the order in which all who lock several threads do: the oldest first.
    yield Query(
        f"""SELECT key FROM threads WHERE key <> ? AND key IN (
                SELECT thread FROM branches WHERE key IN (SELECT branch FROM segments WHERE source {inside}))
            ORDER BY key{{lock}}""",
        (found.key, *own),
    )
    borrowed = yield Query(
        f"SELECT branch, first, last, source FROM segments WHERE source {inside} AND branch NOT {inside}", (*own, *own)
    )
    for branch, first, last, source in borrowed:
        yield from give(branch, first, last, source)
    if found.record.resource_id:  # whom its runs are about is still to be known
        yield Query(
            "UPDATE runs SET resource_id = ? WHERE tenant = ? AND owner = ? AND thread_id = ? AND resource_id = ''",
            (found.record.resource_id, who.tenant, found.record.owner or "", found.record.id),
        )
    return own


def give(branch: int, first: int, last: int, source: int) -> Steps[None]:
    """Copies a segment's messages into the branch that shows it, which from then on shows its own."""
    parameters = (branch, source, first, last)
    copied = yield Query(
        """INSERT INTO messages (branch, seq, id, role, run_id, at, body)
            SELECT CAST(? AS BIGINT), seq, id, role, run_id, at, body FROM messages
            WHERE branch = ? AND seq BETWEEN ? AND ? ORDER BY seq RETURNING seq""",
        parameters,
    )
    yield Query(
        """INSERT INTO uses (branch, seq, content)
            SELECT CAST(? AS BIGINT), seq, content FROM uses WHERE branch = ? AND seq BETWEEN ? AND ?""",
        parameters,
    )
    yield from index.enqueue_copies(branch, first, last)
    yield Query("UPDATE segments SET source = ? WHERE branch = ? AND first = ?", (branch, branch, first))
    yield Query(
        "UPDATE threads SET messages = messages + ? WHERE key = (SELECT thread FROM branches WHERE key = ?)",
        (len(copied), branch),
    )


def plain(text: str) -> str:
    """Text as a column may hold it: without NUL and lone surrogates."""
    return scrub(text).replace("\0", "")


def json_of(value: Mapping[str, Any]) -> str:
    """A user's JSON object as text.

    Raises:
        InvalidInputError: it is none, or holds what JSON cannot.
    """
    try:
        return msgspec.json.encode(dict(value)).decode()
    except UnicodeEncodeError:
        return scrub_json(dict(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{value!r:.80} cannot be stored, for it is no JSON object: {error}") from error


def scrub_json(value: Any) -> str:
    """JSON text of a value with lone surrogates, which become U+FFFD."""
    return msgspec.json.encode(scrubbed(value)).decode()


def _listing(who: Who, wanted: ThreadFilter) -> listing.Listing:
    """The list, by one of its indexes: the owner's, the resource's, the agent's or that of all.

    The owner's goes first: others may have any number of threads of the same resource. What has an index and does not use it
    is written so that the database does not either.
    """
    where, parameters = who.where(), [*who.parameters]
    conditions: list[str] = []
    values: list[Any] = []
    served = bool(who.owner)
    for column, value in (("resource_id", wanted.resource_id), ("agent_id", wanted.agent_id)):
        if not value:
            continue
        if served:
            conditions.append(f"{column} || '' = ?")
            values.append(plain(value))
        else:
            served = True
            where += f" AND {column} = ? AND {column} <> ''"
            parameters.append(plain(value))
    for condition, more in (
        match.like_plain("title", wanted.text) if wanted.text else ("", ()),
        match.like_keys("metadata", wanted.metadata),
    ):
        if condition:
            conditions.append(condition)
            values += more
    return listing.Listing(
        "threads",
        _COLUMNS,
        "updated_at",
        where,
        tuple(parameters),
        "".join(f" AND {c}" for c in conditions),
        tuple(values),
    )


def _fits(found: ThreadRecord, wanted: ThreadFilter) -> bool:
    if wanted.text and match.lowered(plain(wanted.text)) not in match.lowered(found.title):
        return False
    return match.has(found.metadata, wanted.metadata)
