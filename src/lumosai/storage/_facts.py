"""Operations on what is remembered of a thread or a resource: one row each, changed under its lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.errors import ConflictError, InvalidInputError
from lumosai.storage import _threads as threads
from lumosai.storage._op import Query
from lumosai.storage._remembering import Facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from lumosai.storage._op import Row, Steps
    from lumosai.storage._who import Who

_COLUMNS: Final = "key, owner, version, document, changes, updated_at"
_changes: Final = msgspec.json.Decoder(tuple[dict[str, Any], ...]).decode


def read(who: Who, thread_id: str, resource_id: str) -> Steps[Facts | None]:
    """What is remembered, None where nothing ever was."""
    found = yield from _find(who, thread_id, resource_id)
    return _facts(found) if found is not None else None


def change(who: Who, thread_id: str, resource_id: str, make: Callable[[Facts], Facts], *, now: float) -> Steps[Facts]:
    """Changes what is remembered."""
    found = yield from _find(who, thread_id, resource_id, lock=True)
    if found is None:
        owner, key = who.owner, 0
        if thread_id:
            thread = yield from threads.get(who, thread_id)
            owner, key = thread.record.owner or "", thread.key
        yield Query(
            """INSERT INTO facts (tenant, owner, thread, resource_id, version, document, changes, updated_at)
                VALUES (?, ?, ?, ?, 0, '{{}}', '[]', ?) ON CONFLICT (tenant, owner, thread, resource_id) DO NOTHING""",
            (who.tenant, owner, key, resource_id, now),
        )
        found = yield from _find(who, thread_id, resource_id, lock=True)
    if found is None:
        raise ConflictError("what is remembered was deleted while it was changed: try again")
    was = _facts(found)
    new = make(was)
    if new is was:
        return was
    yield Query(
        "UPDATE facts SET version = ?, document = ?, changes = ?, updated_at = ? WHERE key = ?",
        (new.version, threads.json_of(new.document), _text(new.changes), now, found[0]),
    )
    return msgspec.structs.replace(new, updated_at=now, owner=was.owner)


def forget(who: Who, thread_id: str, resource_id: str) -> Steps[bool]:
    """Deletes what is remembered; whether anything was."""
    found = yield from _find(who, thread_id, resource_id, lock=True)
    if found is None:
        return False
    yield Query("DELETE FROM facts WHERE key = ?", (found[0],))
    return True


def copy(source: int, target: int) -> Steps[None]:
    """A thread that begins as another does remembers what that one does."""
    yield Query(
        """INSERT INTO facts (tenant, owner, thread, resource_id, version, document, changes, updated_at)
            SELECT threads.tenant, threads.owner, threads.key, '', facts.version, facts.document, facts.changes,
                facts.updated_at
            FROM facts JOIN threads ON threads.key = ? WHERE facts.thread = ?""",
        (target, source),
    )


def _find(who: Who, thread_id: str, resource_id: str, *, lock: bool = False) -> Steps[Row | None]:
    if bool(thread_id) == bool(resource_id):
        raise InvalidInputError("what is remembered is of a thread or of a resource: name one of the two")
    held = "{lock}" if lock else ""
    if thread_id:
        thread = yield from threads.find(who, thread_id)
        if thread is None:
            return None
        rows = yield Query(f"SELECT {_COLUMNS} FROM facts WHERE thread = ?{held}", (thread.key,))
        return rows[0] if rows else None
    rows = yield Query(
        f"""SELECT {_COLUMNS} FROM facts WHERE {who.where("facts")} AND thread = 0 AND resource_id = ?
            ORDER BY owner LIMIT 2{held}""",
        (*who.parameters, resource_id),
    )
    if len(rows) > 1 and rows[0][1] != "":
        raise ConflictError(f"several owners remember something of {resource_id!r}: name one, by Scope(owner=…)")
    return rows[0] if rows else None


def _facts(row: Row) -> Facts:
    _, owner, version, document, changes, at = row
    return Facts(
        version=version,
        document=msgspec.json.decode(document),
        changes=_changes(changes),
        updated_at=at,
        owner=owner or None,
    )


def _text(changes: tuple[dict[str, Any], ...]) -> str:
    try:
        return msgspec.json.encode(changes).decode()
    except UnicodeEncodeError:
        return threads.scrub_json(changes)
