"""Operations on runs: opened, written to under a lease, taken over, read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from lumosai.errors import ConflictError, LeaseLostError, NotFoundError
from lumosai.records import Scope
from lumosai.storage import _contents as kept
from lumosai.storage import _cursor as cursors
from lumosai.storage import _inbox as inboxes
from lumosai.storage import _known as seen
from lumosai.storage import _listing as listing
from lumosai.storage import _owner as owners
from lumosai.storage import _packing as packing
from lumosai.storage import _tables as tables
from lumosai.storage import _threads as threads
from lumosai.storage._op import Query, marks
from lumosai.storage.base import Lease, Page, RunRecord, Standing, Stretch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.storage._op import Op, Row, Rows, Steps
    from lumosai.storage._who import Who
    from lumosai.storage.base import Batch, InboxItem, RunStatus

T = TypeVar("T")

_COLUMNS: Final = (
    "key, id, owner, agent, definition, thread_id, resource_id, has_context, status, reason, last, epoch, started_at, "
    "updated_at"
)
_AT_ONCE: Final = 500
SMALL: Final = 500
"""A run of so many events is compacted by the batch that ends it."""
_TOGETHER: Final = 256 * 1024
"""Bytes of events that are put together in one row."""


def open_run(who: Who, record: RunRecord, batch: Batch, *, lease: str, ttl_s: float, now: float) -> Steps[Lease]:
    """Makes a run with its first events."""
    rows = yield Query(
        """INSERT INTO runs (id, tenant, owner, agent, definition, thread_id, resource_id, has_context, status, reason,
                last, epoch, started_at, updated_at, lease, until, fence)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, {now} + CAST(? AS {real}), 1)
            ON CONFLICT (id) DO NOTHING RETURNING key""",
        (
            record.id,
            who.tenant,
            who.owner,
            threads.plain(record.agent),
            threads.plain(record.definition_hash),
            record.thread_id,
            record.resource_id,
            int(record.has_context),
            batch.status,
            threads.plain(batch.reason),
            batch.last,
            now,
            now,
            lease if batch.status == "running" else "",
            ttl_s,
        ),
    )
    if not rows:  # the same call, whose answer was lost on its way
        rows = yield Query(
            f"SELECT key FROM runs WHERE id = ? AND lease IN (?, '') AND fence = 1 AND last = ? AND {who.where('runs')}",
            (record.id, lease, batch.last, *who.parameters),
        )
        if not rows:
            raise ConflictError(f"there is a run {record.id!r} already")
        return Lease(record.id, rows[0][0], 1, 1)
    key = rows[0][0]
    yield from _put(who, key, batch, now)
    return Lease(record.id, key, 1, 1)


def compact(who: Who, run_id: str) -> Steps[int]:
    """Puts the batches of a run that has ended together, some at a time, and packs them; how many rows are left.

    Numbers stay as they are, so that a reader's place stays good.
    """
    key, found = yield from get(who, run_id, lock=True)
    if found.status == "ended":
        return (yield from repack(key, found.id))
    rows = yield Query("SELECT count(*) FROM events WHERE run = ?", (key,))
    return int(rows[0][0])


def repack(key: int, run_id: str) -> Steps[int]:
    """Puts the batches of a run that has ended together, and packs them; how many rows are left."""
    rows = yield Query("SELECT first, last, length(data) FROM events WHERE run = ? ORDER BY first", (key,))
    return (yield from _put_together(key, run_id, rows)) if rows else 0


def _put_together(key: int, run_id: str, rows: Rows) -> Steps[int]:
    groups = _groups(rows)
    stored = yield Query("SELECT data FROM events WHERE run = ? ORDER BY first DESC LIMIT 1", (key,))
    data = (yield from seen.unpacked(key, run_id, stored))[0] if stored else b""
    where = yield from seen.place(key, run_id, data)
    known = yield from seen.known(key, run_id, where, hold=True)
    for group in groups:
        first, last = group[0][0], group[-1][1]
        stored = yield Query(
            "SELECT data FROM events WHERE run = ? AND first BETWEEN ? AND ? ORDER BY first", (key, first, last)
        )
        data = b"\n".join((yield from seen.unpacked(key, run_id, stored)))
        yield Query("DELETE FROM events WHERE run = ? AND first BETWEEN ? AND ?", (key, first, last))
        yield Query(
            "{put_packed}",
            (key, first, last, packing.packed(data, where, known)),
        )
    return len(groups)


def is_short_end(batch: Batch) -> bool:
    """Whether a batch is the last of a short run, whose events `put_all` stores."""
    return batch.status == "ended" and batch.last <= SMALL


def put_all(lease: Lease, batch: Batch, stored: Sequence[Any] = ()) -> Steps[None]:
    """Stores the last batch of a short run, put together with those before it and packed. What it said is stored already.

    Args:
        lease: the run's.
        batch: the last one.
        stored: what came of the operations before it in its transaction, among them maybe that which stored what it said.
    """
    rows = yield Query("SELECT last, data FROM events WHERE run = ? ORDER BY first", (lease.key,))
    if rows and rows[-1][0] >= batch.last:  # the same call, whose answer was lost on its way
        return
    where = seen.place_among(stored, lease.run_id, batch.data)
    if where is None:
        where = yield from seen.place(lease.key, lease.run_id, batch.data)
    known = yield from seen.known(lease.key, lease.run_id, where, hold=True)
    data = b"\n".join([*(yield from seen.unpacked(lease.key, lease.run_id, rows)), batch.data])
    if rows:
        yield Query("DELETE FROM events WHERE run = ?", (lease.key,))
    yield Query(
        "{put_packed}",
        (lease.key, 1, batch.last, packing.packed(data, where, known)),
    )


def _groups(rows: Rows) -> list[list[Row]]:
    """Rows of (first, last, bytes) that are put together, each group of a bounded size."""
    groups: list[list[Row]] = [[]]
    size = 0
    for row in rows:
        if groups[-1] and size + row[2] > _TOGETHER:
            groups.append([])
            size = 0
        groups[-1].append(row)
        size += row[2]
    return groups


def append(who: Who, lease: Lease, batch: Batch, *, now: float) -> Steps[None]:
    """Stores the next events of a run, but for those of a short end: see `put_all`.

    Raises:
        LeaseLostError: another one has taken it over.
        UnreadInboxError: the run cannot end yet.
    """
    if (yield from _moved(who, lease, batch, now)):
        yield from _put(who, lease.key, batch, now, events=not is_short_end(batch))
        if batch.taken:
            yield from inboxes.take_out(lease.run_id, batch.taken)
        if batch.status == "ended":
            yield from inboxes.close(lease.run_id)
        return
    rows = yield Query(
        f"SELECT fence, last FROM runs WHERE key = ? AND {who.where('runs')}", (lease.key, *who.parameters)
    )
    if not rows or rows[0][0] != lease.fence:
        raise _lost(lease, there=bool(rows))
    if rows[0][1] != batch.last:  # else the same call, whose answer was lost on its way
        raise ConflictError(
            f"run {lease.run_id} has events up to number {rows[0][1]}: those from {batch.first} on do not follow them"
        )


def _moved(who: Who, lease: Lease, batch: Batch, now: float) -> Steps[bool]:
    """Moves a run on to a batch's end, where it stands right before it and the lease is good; whether it did."""
    where = f"WHERE key = ? AND fence = ? AND last = ? AND {who.where('runs')}"
    place = (lease.key, lease.fence, batch.first - 1, *who.parameters)
    if batch.status == "running":  # usually it was so before, and no index has to change
        rows = yield Query(
            f"UPDATE runs SET last = ?, updated_at = ? {where} AND status = 'running' RETURNING key",
            (batch.last, now, *place),
        )
        if rows:
            return True
    rows = yield Query(
        f"""UPDATE runs SET last = ?, updated_at = ?, status = ?, reason = ?
                {"" if batch.status == "running" else ", lease = ''"} {where} RETURNING key""",
        (batch.last, now, batch.status, threads.plain(batch.reason), *place),
    )
    return bool(rows)


def take(who: Who, run_id: str, *, lease: str, ttl_s: float) -> Steps[tuple[RunRecord, Lease | None]]:
    """A run and the right to go on with it, as `Handle.take_run`."""
    key, found = yield from get(who, run_id, lock=True)
    if found.status == "ended":
        return found, None
    rows = yield Query("SELECT lease, until, fence, {now} FROM runs WHERE key = ?", (key,))
    holder, until, fence, now = rows[0]
    if holder and owners.holds(holder, held=until > now):
        where = "this process" if holder == lease else f"another one ({holder.split('|')[0]})"
        raise LeaseLostError(f"run {found.id} is at work in {where}: wait for it, or cancel it there")
    taken = Lease(found.id, key, fence + 1, found.epoch + 1)
    yield Query(
        """UPDATE runs SET status = 'running', reason = '', lease = ?, until = {now} + CAST(? AS {real}), fence = ?,
            epoch = ? WHERE key = ?""",
        (lease, ttl_s, taken.fence, taken.epoch, key),
    )
    yield Query("INSERT INTO epochs (run, epoch, first) VALUES (?, ?, ?)", (key, taken.epoch, found.last + 1))
    return found, taken


def renew(who: Who, lease: Lease, *, ttl_s: float) -> Steps[bool]:
    """Holds a lease for longer; whether it was still there."""
    rows = yield Query(
        f"""UPDATE runs SET until = {{now}} + CAST(? AS {{real}})
            WHERE key = ? AND fence = ? AND lease <> '' AND {who.where("runs")} RETURNING key""",
        (ttl_s, lease.key, lease.fence, *who.parameters),
    )
    return bool(rows)


def let_go(who: Who, lease: Lease) -> Steps[None]:
    """Gives a lease back; whoever comes to the run's thread finds it at work nowhere, as one whose process died."""
    rows = yield Query(
        f"UPDATE runs SET lease = '' WHERE key = ? AND fence = ? AND {who.where('runs')} RETURNING id",
        (lease.key, lease.fence, *who.parameters),
    )
    if rows:
        yield Query("UPDATE turns SET lease = '', until = 0 WHERE run_id = ?", rows[0])


def under(who: Who, lease: Lease | None, op: Op[T]) -> Steps[T]:
    """An operation that a run does to other tables, where it still holds its lease.

    Raises:
        LeaseLostError: another one has taken it over.
    """
    if lease is not None:
        rows = yield Query(
            f"SELECT fence, lease FROM runs WHERE key = ? AND {who.where('runs')}{{lock}}", (lease.key, *who.parameters)
        )
        if not rows or rows[0][0] != lease.fence or not rows[0][1]:
            raise _lost(lease, there=bool(rows))
    return (yield from op())


def _lost(lease: Lease, *, there: bool) -> LeaseLostError:
    what = "was taken over by another process" if there else "was erased while it was at work"
    return LeaseLostError(f"run {lease.run_id} {what}: this one writes no more to it")


def post(who: Who, run_id: str, item: InboxItem, now: float) -> Steps[RunRecord]:
    """Puts a row into a run's inbox.

    Raises:
        NotFoundError: there is no such run in the scope.
        ConflictError: it has ended, or its inbox is full.
    """
    _, found = yield from get(who, run_id, lock=True)
    if found.status == "ended":
        raise ConflictError(f"run {found.id} has ended ({found.reason}): nothing reaches it any more")
    yield from inboxes.put(found.id, item, now)
    return found


def record(who: Who, run_id: str) -> Steps[RunRecord | None]:
    """A root run, by its id or a sub-run's."""
    found = yield from _find(who, run_id, apart=True)
    return found[1] if found is not None else None


def orphans(agents: Sequence[str], limit: int) -> Steps[tuple[tuple[Scope, RunRecord], ...]]:
    """Runs whose process is gone, and paused ones about which somebody has decided, of every scope."""
    rows = yield Query(
        f"""SELECT {_COLUMNS}, tenant, lease, until > {{now}} FROM runs
            WHERE status = 'running' AND status <> 'ended' AND agent IN ({marks(len(agents))}) ORDER BY until LIMIT ?""",
        (*agents, limit),
    )
    decided = yield Query(
        f"""SELECT {_COLUMNS}, tenant, lease, until > {{now}} FROM runs
            WHERE status = 'paused' AND status <> 'ended' AND agent IN ({marks(len(agents))})
                AND id IN (SELECT run_id FROM inbox WHERE kind IN ('approve', 'deny')) ORDER BY until LIMIT ?""",
        (*agents, limit),
    )
    rows = [*rows, *decided]
    return tuple(
        (Scope(tenant, row[2] or None), _record(row))
        for *row, tenant, lease, held in rows
        if not lease or not owners.holds(lease, held=bool(held))
    )


def listed(who: Who, status: RunStatus | None, agent: str, limit: int, cursor: str | None) -> Steps[Page[RunRecord]]:
    """A page of runs, the one that began last first."""
    conditions, values = "", []
    for column, value in (("status", status), ("agent", agent)):
        if value:
            conditions += f" AND {column} || '' = ?"
            values.append(threads.plain(value))
    by_time = listing.Listing(
        "runs", _COLUMNS, "started_at", who.where("runs"), who.parameters, conditions, tuple(values)
    )
    at = cursors.read(cursor, "runs", float, int) if cursor else None
    rows, end = yield from listing.page(by_time, limit, at, place=lambda row: (row[-2], row[0]))
    return Page(tuple([_record(row) for row in rows]), cursors.write("runs", *end) if end else None)


def events(who: Who, run_id: str, after: int, limit: int) -> Steps[tuple[bytes, ...]]:
    """Batches of events, from the one on that holds the number behind `after`."""
    key, run = yield from get(who, run_id)
    return (yield from _events(key, run.id, after, limit))


def _events(key: int, run_id: str, after: int, limit: int) -> Steps[tuple[bytes, ...]]:
    rows = yield Query("SELECT data FROM events WHERE run = ? AND last > ? ORDER BY first LIMIT ?", (key, after, limit))
    return tuple((yield from seen.unpacked(key, run_id, rows)))


def stretch(who: Who, run_id: str, after: int, limit: int) -> Steps[Stretch]:
    """Batches of events, with how the run stands and where its epochs begin."""
    key, found = yield from get(who, run_id)
    epochs = {1: 1}
    if found.epoch > 1:
        rows = yield Query("SELECT epoch, first FROM epochs WHERE run = ? ORDER BY epoch", (key,))
        epochs |= {row[0]: row[1] for row in rows}
    if not limit or found.last <= after:
        return Stretch(found, epochs)
    return Stretch(found, epochs, (yield from _events(key, found.id, after, limit)))


def standings(run_ids: Sequence[str]) -> Steps[tuple[Standing, ...]]:
    """How far root runs are."""
    found: list[Standing] = []
    for start in range(0, len(run_ids), _AT_ONCE):
        some = inboxes.padded(run_ids[start : start + _AT_ONCE], "")
        rows = yield Query(
            f"SELECT id, status, last, epoch FROM runs WHERE id IN ({marks(len(some))})", some, apart=True
        )
        found += [Standing(*row) for row in rows]
    return tuple(found)


def contents(who: Who, hashes: Sequence[str]) -> Steps[dict[str, bytes]]:
    """What runs of the scope refer to."""
    found: dict[str, bytes] = {}
    for start in range(0, len(hashes), _AT_ONCE):
        some = hashes[start : start + _AT_ONCE]
        rows = yield Query(
            f"""SELECT {kept.COLUMNS} FROM contents WHERE contents.tenant = ?
                AND contents.hash IN ({marks(len(some))}) AND EXISTS (
                    SELECT 1 FROM run_uses JOIN runs ON runs.key = run_uses.run
                    WHERE run_uses.content = contents.key AND {who.where("runs")})""",
            (who.tenant, *some, *who.parameters),
        )
        found |= yield from kept.read(rows)
    return found


def delete(who: Who, run_id: str) -> Steps[bool]:
    """Deletes a run that does not go on.

    Raises:
        ConflictError: it goes on.
    """
    found = yield from _find(who, run_id, lock=True)
    if found is None:
        return False
    key, run = found
    rows = yield Query("SELECT lease, until > {now} FROM runs WHERE key = ?", (key,))
    if rows[0][0] and owners.holds(rows[0][0], held=bool(rows[0][1])):
        raise ConflictError(f"run {run.id} is at work: cancel it first")
    yield from remove(key, run.id)
    return True


def remove(key: int, run_id: str) -> Steps[None]:
    """Deletes a run."""
    used = yield Query("SELECT content FROM run_uses WHERE run = ?", (key,))
    for table, column in tables.of("run id"):
        yield Query(f"DELETE FROM {table} WHERE {column} = ?", (run_id,))
    for table, column in tables.of("run"):
        yield Query(f"DELETE FROM {table} WHERE {column} = ?", (key,))
    yield from kept.drop_unused(row[0] for row in used)


def _put(who: Who, key: int, batch: Batch, now: float, *, events: bool = True) -> Steps[None]:
    """A batch's rows, its events or without them."""
    if events:
        yield Query(
            "{put_events}",
            (key, batch.first, batch.last, batch.data),
        )
    if batch.children:
        yield Query("INSERT INTO children (id, run) VALUES (?, ?)", [(c, key) for c in batch.children], many=True)
    if batch.contents:
        yield from kept.put_for_run(who, key, batch.contents, now)


def get(who: Who, run_id: str, *, lock: bool = False) -> Steps[tuple[int, RunRecord]]:
    """A root run and its key, by its id or a sub-run's.

    Raises:
        NotFoundError: there is none in the scope.
    """
    found = yield from _find(who, run_id, lock=lock)
    if found is None:
        raise NotFoundError(f"there is no run {run_id!r}")
    return found


def _find(who: Who, run_id: str, *, lock: bool = False, apart: bool = False) -> Steps[tuple[int, RunRecord] | None]:
    """A root run, by its id or a sub-run's."""
    locked = "{lock}" if lock else ""
    rows = yield Query(
        f"SELECT {_COLUMNS} FROM runs WHERE id = ? AND {who.where('runs')}{locked}",
        (run_id, *who.parameters),
        apart=apart,
    )
    if not rows:
        rows = yield Query(
            f"""SELECT {_COLUMNS} FROM runs WHERE key = (SELECT run FROM children WHERE children.id = ?)
                AND {who.where("runs")}{locked}""",
            (run_id, *who.parameters),
            apart=apart,
        )
    return (rows[0][0], _record(rows[0])) if rows else None


def _record(row: Row) -> RunRecord:
    values: Any = row
    _, name, owner, agent, definition, thread, resource, context, status, reason, last, epoch, started, updated = values
    return RunRecord(
        id=name,
        agent=agent,
        definition_hash=definition,
        thread_id=thread,
        resource_id=resource,
        has_context=bool(context),
        status=status,
        reason=reason,
        last=last,
        epoch=epoch,
        owner=owner or None,
        started_at=started,
        updated_at=updated,
    )
