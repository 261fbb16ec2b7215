"""Lines of an export taken into a database, a few in a transaction, each to the same end however often it is done.

What is there stays. A thread, branch or run that is here already, by its names and the time it was made, gets what it does
not have yet: so an import that was cut is gone on with by doing it again. Where what is here is another one of that name,
or went on otherwise, it stays as it is here, and that is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from lumosai.errors import InvalidInputError
from lumosai.messages import Role
from lumosai.storage import _contents as contents
from lumosai.storage import _ids as ids
from lumosai.storage import _index as index
from lumosai.storage import _lines as lines
from lumosai.storage import _runs as runs
from lumosai.storage._export import SESSION
from lumosai.storage._op import Query, marks
from lumosai.storage._who import Who

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.storage._op import Row, Rows, Steps
    from lumosai.storage.upkeep import Loaded

T = TypeVar("T")

_IMPORTING: Final = "importing"
"""The reason of a run whose events are on their way; it counts as ended, so that nobody takes it up."""
_NO_BRANCH: Final = 0
"""No branch has this key: `uses` of it hold contents whose messages and runs are on their way."""
_AT_ONCE: Final = 64
_SHOWN: Final = 100


class Told(msgspec.Struct):
    """What came of some lines.

    Attributes:
        taken, there: how many of each kind.
        conflicts: what stays as it is here.
    """

    taken: dict[str, int] = msgspec.field(default_factory=dict)
    there: dict[str, int] = msgspec.field(default_factory=dict)
    conflicts: list[str] = msgspec.field(default_factory=list)

    def add(self, kind: str, taken: int, there: int = 0) -> None:
        """Counts."""
        for counts, number in ((self.taken, taken), (self.there, there)):
            if number:
                counts[kind] = counts.get(kind, 0) + number

    def after(self, loaded: Loaded) -> Loaded:
        """What came of all so far."""
        sums = [
            {k: old.get(k, 0) + new.get(k, 0) for k in {**old, **new}}
            for old, new in ((loaded.taken, self.taken), (loaded.there, self.there))
        ]
        return msgspec.structs.replace(
            loaded,
            taken=sums[0],
            there=sums[1],
            conflicts=(*loaded.conflicts, *self.conflicts)[:_SHOWN],
            conflicting=loaded.conflicting + len(self.conflicts),
        )


def taken(some: Sequence[lines.Line], hold: int, now: float) -> Steps[Told]:
    """Takes lines in.

    Args:
        some: the lines, in their order.
        hold: the number of this import.
        now: unix seconds.
    """
    told = Told()
    for line in some:
        take = _TAKERS.get(type(line))
        if take is not None:
            yield from take(line, told, hold, now)
    return told


def released(before: int, *, only: int | None = None) -> Steps[bool]:
    """Lets go of contents that imports held, before a number or of one import; whether there may be more."""
    which, number = ("seq = ?", only) if only is not None else ("seq < ?", before)
    rows = yield Query(
        f"SELECT seq, content FROM uses WHERE branch = {_NO_BRANCH} AND {which} LIMIT {_AT_ONCE}", (number,)
    )
    if rows:
        yield Query(
            f"DELETE FROM uses WHERE branch = {_NO_BRANCH} AND seq = ? AND content = ?",
            [(row[0], row[1]) for row in rows],
            many=True,
        )
        yield from contents.drop_unused(row[1] for row in rows)
    return len(rows) == _AT_ONCE


def _content(line: lines.Content, told: Told, hold: int, now: float) -> Steps[None]:
    there = yield Query("SELECT 1 FROM contents WHERE tenant = ? AND hash = ?", (line.tenant, line.hash))
    yield from contents.put(Who(line.tenant, ""), {line.hash: line.data}, now)
    yield Query(
        f"""INSERT INTO uses (branch, seq, content)
            SELECT {_NO_BRANCH}, CAST(? AS BIGINT), key FROM contents WHERE tenant = ? AND hash = ?
            ON CONFLICT (branch, seq, content) DO NOTHING""",
        (hold, line.tenant, line.hash),
    )
    told.add("content", not there, bool(there))


def _thread(line: lines.Thread, told: Told, _hold: int, _now: float) -> Steps[None]:
    ref, metadata = line.thread, bytes(line.metadata).decode()
    rest = (line.title, metadata, line.resource_id, line.agent_id, line.version, line.active, line.updated_at)
    made = yield Query(
        """INSERT INTO threads (tenant, owner, id, created_at, title, metadata, resource_id, agent_id, version, active,
                updated_at, messages)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (tenant, owner, id) DO NOTHING RETURNING key""",
        (ref.tenant, ref.owner, ref.id, ref.created_at, *rest),
    )
    if made:
        told.add("thread", 1)
        return
    key = yield from _key_of(ref, lock=True)
    if key is None:
        told.conflicts.append(f"thread {ref.id!r}: another one of that name is here")
        return
    yield Query(  # whichever was written to later
        """UPDATE threads SET title = ?, metadata = ?, resource_id = ?, agent_id = ?, version = ?, active = ?,
            updated_at = ? WHERE key = ? AND updated_at < ?""",
        (*rest, key, line.updated_at),
    )
    told.add("thread", 0, 1)


def _branch(line: lines.Branch, told: Told, _hold: int, _now: float) -> Steps[None]:
    thread = yield from _key_of(line.thread)
    if thread is None:
        return  # told with its thread
    made = yield Query(
        """INSERT INTO branches (thread, number, start, last, created_at) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (thread, number) DO NOTHING RETURNING key""",
        (thread, line.number, line.start, line.last, line.created_at),
    )
    if not made:
        rows = yield Query(
            "SELECT key, start, created_at FROM branches WHERE thread = ? AND number = ?", (thread, line.number)
        )
        if (rows[0][1], rows[0][2]) != (line.start, line.created_at):
            told.conflicts.append(
                f"branch {line.number} of thread {line.thread.id!r}: another one of that number is here"
            )
            return
        yield Query("UPDATE branches SET last = ? WHERE key = ? AND last < ?", (line.last, rows[0][0], line.last))
        told.add("branch", 0, 1)
        return
    key = made[0][0]
    for part in line.path:
        source: int | None = key
        if part.of is not None:
            source = yield from _branch_of(part.of, part.branch)
        if source is None:
            told.conflicts.append(
                f"branch {line.number} of thread {line.thread.id!r}: what it shows of thread "
                f"{part.of.id if part.of else ''!r} is not here"
            )
            continue
        yield Query(
            "INSERT INTO segments (branch, first, last, source) VALUES (?, ?, ?, ?)",
            (key, part.first, part.last, source),
        )
    told.add("branch", 1)


def _messages(line: lines.Messages, told: Told, _hold: int, _now: float) -> Steps[None]:
    branch = yield from _branch_of(line.thread, line.branch, line.created_at)
    if branch is None or not line.items:
        return  # told with its branch
    first, last = line.items[0].seq, line.items[-1].seq
    rows = yield Query("SELECT seq, id FROM messages WHERE branch = ? AND seq BETWEEN ? AND ?", (branch, first, last))
    there = {row[0]: ids.text(row[1]) for row in rows}
    wanted = [ids.packed(item.id) for item in line.items]
    rows = yield Query(
        f"SELECT id, seq FROM messages WHERE branch = ? AND id IN ({marks(len(wanted))})", (branch, *wanted)
    )
    places = {ids.text(row[0]): row[1] for row in rows}
    rows = yield Query(
        "SELECT id FROM messages WHERE branch = ? AND seq < ? ORDER BY seq DESC LIMIT 1", (branch, first)
    )
    new: list[lines.Item] = []
    fits = (ids.text(rows[0][0]) if rows else "") == line.behind
    for item in line.items:
        if not fits or there.get(item.seq, item.id) != item.id or places.get(item.id, item.seq) != item.seq:
            told.conflicts.append(
                f"messages of branch {line.branch} of thread {line.thread.id!r} from number {item.seq} on: others are here"
            )
            break
        if item.seq not in there:
            new.append(item)
    told.add("message", len(new), sum(item.seq in there for item in line.items))
    if new:
        yield from _put_messages(line.thread, branch, new)


def _put_messages(ref: lines.Ref, branch: int, new: Sequence[lines.Item]) -> Steps[None]:
    for item in new:
        _check(item)
    yield from _present(ref.tenant, sorted({h for item in new for h in item.uses}))
    yield Query(
        "INSERT INTO messages (branch, seq, id, role, run_id, at, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(branch, m.seq, ids.packed(m.id), m.role, ids.packed(m.run_id), m.at, bytes(m.body).decode()) for m in new],
        many=True,
    )
    if uses := [(branch, m.seq, h) for m in new for h in m.uses]:
        yield from contents.used_by_messages(ref.tenant, uses)
    yield from index.enqueue(branch, [m.seq for m in new])
    yield Query(
        "UPDATE threads SET messages = messages + ? WHERE key = (SELECT thread FROM branches WHERE key = ?)",
        (len(new), branch),
    )
    yield Query("UPDATE branches SET last = ? WHERE key = ? AND last < ?", (new[-1].seq, branch, new[-1].seq))


def _check(item: lines.Item) -> None:
    """Refuses what could not be read again."""
    try:
        msgspec.convert(item.role, Role)
        index.light((item.role, ids.packed(item.id), bytes(item.body).decode()))
    except (msgspec.DecodeError, msgspec.ValidationError, AttributeError, LookupError) as error:
        raise InvalidInputError(f"message {item.id!r} of the export is damaged: {error}") from error


def _events(line: lines.Events, _told: Told, _hold: int, now: float) -> Steps[None]:
    key = yield from _coming(lines.Run(line.run, line.tenant, line.owner, line.started_at, now, "ended", 0, 1))
    if key is None:
        return  # it is here, or another one is, which is told with the run
    overlapping = yield Query(
        "SELECT 1 FROM events WHERE run = ? AND first <= ? AND last >= ? LIMIT 1", (key, line.last, line.first)
    )
    if not overlapping:
        data = line.data if line.data is not None else b"\n".join(bytes(e) for e in line.events)
        yield Query(
            "{put_events} ON CONFLICT DO NOTHING",
            (key, line.first, line.last, data),
        )


def _run(line: lines.Run, told: Told, _hold: int, now: float) -> Steps[None]:
    key = yield from _coming(msgspec.structs.replace(line, updated_at=now))
    if key is None:
        same = yield Query(
            """SELECT 1 FROM runs WHERE id = ? AND tenant = ? AND owner = ? AND started_at = ? AND status = ? AND last = ?
                AND epoch = ?""",
            (line.id, line.tenant, line.owner, line.started_at, line.status, line.last, line.epoch),
        )
        told.add("run", 0, len(same))
        if not same:
            told.conflicts.append(f"run {line.id!r}: it went on otherwise here, or another one has its id")
        return
    yield from _present(line.tenant, line.uses)
    if line.uses:
        yield from contents.used_by_run(line.tenant, key, line.uses)
    for sql, rows in (
        ("INSERT INTO children (run, id) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", [(key, c) for c in line.children]),
        (
            "INSERT INTO epochs (run, epoch, first) VALUES (?, ?, ?) ON CONFLICT (run, epoch) DO NOTHING",
            [(key, int(epoch), first) for epoch, first in line.epochs.items()],
        ),
        (
            "INSERT INTO inbox (run_id, id, kind, data, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            [(line.id, p.id, p.kind, p.data, p.at) for p in line.inbox],
        ),
    ):
        if rows:
            yield Query(sql, rows, many=True)
    yield Query(
        """UPDATE runs SET agent = ?, definition = ?, thread_id = ?, resource_id = ?, has_context = ?, status = ?,
            reason = ?, last = ?, epoch = ?, updated_at = ?, fence = ? WHERE key = ?""",
        (
            line.agent,
            line.definition,
            line.thread_id,
            line.resource_id,
            line.has_context,
            line.status,
            line.reason,
            line.last,
            line.epoch,
            line.updated_at,
            line.epoch,
            key,
        ),
    )
    if line.status == "ended":
        yield from runs.repack(key, line.id)
    told.add("run", 1)


def _facts(line: lines.Facts, told: Told, _hold: int, _now: float) -> Steps[None]:
    thread = 0
    if line.thread is not None:
        found = yield from _key_of(line.thread)
        if found is None:
            return  # told with its thread
        thread = found
    texts = (bytes(line.document).decode(), bytes(line.changes).decode())
    rows = yield Query(
        """INSERT INTO facts (tenant, owner, thread, resource_id, version, document, changes, updated_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, owner, thread, resource_id) DO UPDATE
            SET version = excluded.version, document = excluded.document, changes = excluded.changes,
                updated_at = excluded.updated_at
            WHERE facts.updated_at < excluded.updated_at RETURNING key""",
        (line.tenant, line.owner, thread, line.resource_id, line.version, *texts, line.updated_at),
    )
    told.add("facts", len(rows), not rows)


def _session(line: lines.Session, told: Told, _hold: int, _now: float) -> Steps[None]:
    values = [bytes(v).decode() if isinstance(v, msgspec.Raw) else v for v in msgspec.structs.astuple(line)]
    rows = yield Query(
        f"INSERT INTO sessions ({SESSION}) VALUES ({marks(len(values))}) ON CONFLICT DO NOTHING RETURNING key", values
    )
    same = rows or (
        yield Query(
            "SELECT 1 FROM sessions WHERE id = ? AND tenant = ? AND owner = ? AND created_at = ?",
            (line.id, line.tenant, line.owner, line.created_at),
        )
    )
    told.add("session", len(rows), bool(same) and not rows)
    if not same:
        told.conflicts.append(f"session {line.id!r}: another one is here, or is open with that agent")


def _experience(line: lines.Experience, told: Told, _hold: int, _now: float) -> Steps[None]:
    rows = yield Query(
        """INSERT INTO experience (tenant, name, at, data) VALUES (?, ?, ?, ?)
            ON CONFLICT (tenant, name) DO UPDATE SET at = excluded.at, data = excluded.data
            WHERE experience.at < excluded.at RETURNING name""",
        (line.tenant, line.name, line.at, line.data),
    )
    told.add("experience", len(rows), not rows)


def _key_of(ref: lines.Ref, *, lock: bool = False) -> Steps[int | None]:
    """The key of a thread that is here, None where it is not or is another one."""
    rows = yield Query(
        f"""SELECT key FROM threads WHERE tenant = ? AND owner = ? AND id = ? AND created_at = ?
            {"{lock}" if lock else ""}""",
        (ref.tenant, ref.owner, ref.id, ref.created_at),
    )
    return _first(rows)


def _branch_of(ref: lines.Ref, number: int, created_at: float | None = None) -> Steps[int | None]:
    """The key of a branch that is here."""
    rows = yield Query(
        """SELECT branches.key, branches.created_at FROM branches JOIN threads ON threads.key = branches.thread
            WHERE threads.tenant = ? AND threads.owner = ? AND threads.id = ? AND threads.created_at = ?
            AND branches.number = ?""",
        (ref.tenant, ref.owner, ref.id, ref.created_at, number),
    )
    return _first([row for row in rows if created_at is None or row[1] == created_at])


def _coming(run: lines.Run) -> Steps[int | None]:
    """The key of a run that is on its way, which begins here if need be; None where it is whole or another one."""
    yield Query(
        f"""INSERT INTO runs (id, tenant, owner, started_at, updated_at, agent, definition, thread_id, has_context, status,
                reason, last, epoch, lease, until, fence)
            VALUES (?, ?, ?, ?, ?, '', '', '', 0, 'ended', '{_IMPORTING}', 0, 1, '', 0, 1) ON CONFLICT (id) DO NOTHING""",
        (run.id, run.tenant, run.owner, run.started_at, run.updated_at),
    )
    rows = yield Query(
        f"""SELECT key FROM runs WHERE id = ? AND tenant = ? AND owner = ? AND started_at = ? AND status = 'ended'
            AND reason = '{_IMPORTING}'{{lock}}""",
        (run.id, run.tenant, run.owner, run.started_at),
    )
    return _first(rows)


def _first(rows: Rows | list[Row]) -> int | None:
    return rows[0][0] if rows else None


def _present(tenant: str, hashes: Sequence[str]) -> Steps[None]:
    """Holds contents that are about to be referred to.

    Raises:
        InvalidInputError: some are not here.
    """
    for start in range(0, len(hashes), _AT_ONCE):
        some = sorted(hashes[start : start + _AT_ONCE])
        rows = yield Query(
            f"SELECT hash FROM contents WHERE tenant = ? AND hash IN ({marks(len(some))}) ORDER BY hash{{hold}}",
            (tenant, *some),
        )
        if len(rows) < len(set(some)):
            gone = next(h for h in some if h not in {row[0] for row in rows})
            raise InvalidInputError(f"content {gone} is not in the export before what refers to it: it is not whole")


_TAKERS: Final[dict[type, Callable[[Any, Told, int, float], Steps[None]]]] = {
    lines.Content: _content,
    lines.Thread: _thread,
    lines.Branch: _branch,
    lines.Messages: _messages,
    lines.Facts: _facts,
    lines.Session: _session,
    lines.Events: _events,
    lines.Run: _run,
    lines.Experience: _experience,
}
