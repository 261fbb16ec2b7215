"""What a scope, or a database, holds, as lines: read from one state of it, some rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from lumosai.storage import _contents as contents
from lumosai.storage import _ids as ids
from lumosai.storage import _known as seen
from lumosai.storage import _lines as lines
from lumosai.storage._op import UNREADABLE, unreadable
from lumosai.storage._who import Who, who_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from lumosai.records import Scope
    from lumosai.storage._op import Row, Rows

_PAGE: Final = 200
_MESSAGES: Final = 40
"""Messages of one line; each may be of some 100 KiB."""
_EVENTS: Final = 4
"""Rows of events that are read at once; each is of 256 KiB at the most, but for a greater single event."""

_encode = msgspec.json.Encoder().encode


class Snapshot(Protocol):
    """One state of a database."""

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """What a statement gives."""
        ...


class Export:
    """Writes lines.

    Args:
        snapshot: what they are read from.
        scope: of what; None of everything.
    """

    def __init__(self, snapshot: Snapshot, scope: Scope | None) -> None:
        self._ask = snapshot.rows
        self._scope = scope
        self._who: Who | None = who_of(scope) if scope is not None else None

    async def written(self, at: float) -> AsyncIterator[bytes]:
        """All of them, each with its newline."""
        schema = (await self._ask("SELECT max(number) FROM lumosai"))[0][0]
        yield _encode(lines.Header(lines.VERSION, schema, self._scope, at)) + b"\n"
        count = 1
        parts = (self._contents, self._threads, self._branches, self._messages, self._facts, self._sessions, self._runs)
        for part in (*parts, self._experience):
            try:
                async for line in part():
                    yield _encode(line) + b"\n"
                    count += 1
            except UNREADABLE as error:
                raise unreadable(error) from error
        yield _encode(lines.End(count)) + b"\n"

    def _where(self, table: str) -> tuple[str, tuple[Any, ...]]:
        return (self._who.where(table), self._who.parameters) if self._who is not None else ("1 = 1", ())

    async def _contents(self) -> AsyncIterator[lines.Line]:
        used, parameters = self._used()
        tenant, digest = "", ""
        while True:
            found = await self._ask(
                f"""SELECT tenant, hash FROM contents WHERE (tenant > ? OR (tenant = ? AND hash > ?)){used}
                    ORDER BY tenant, hash LIMIT {_PAGE}""",
                (tenant, tenant, digest, *parameters),
            )
            for tenant, digest in found:
                rows = await self._ask(
                    "SELECT key, size, data FROM contents WHERE tenant = ? AND hash = ?", (tenant, digest)
                )
                key, size, data = rows[0]
                more = await self._ask(contents.PIECES, (key,)) if len(data) < size else ()
                yield lines.Content(tenant, digest, b"".join([bytes(data), *[bytes(row[0]) for row in more]]))
            if len(found) < _PAGE:
                return

    def _used(self) -> tuple[str, tuple[Any, ...]]:
        """Whose contents: of a tenant all, of an owner those that its threads and runs show."""
        if self._who is None:
            return "", ()
        if not self._who.owner:
            return " AND tenant = ?", (self._who.tenant,)
        threads, mine = self._where("threads")
        runs, _ = self._where("runs")
        own = f"""FROM uses JOIN branches ON branches.key = uses.branch JOIN threads ON threads.key = branches.thread
            WHERE uses.content = contents.key AND {threads}"""
        shown = f"""FROM uses JOIN segments ON segments.source = uses.branch
            AND uses.seq BETWEEN segments.first AND segments.last
            JOIN branches ON branches.key = segments.branch JOIN threads ON threads.key = branches.thread
            WHERE uses.content = contents.key AND {threads}"""
        told = f"""FROM run_uses JOIN runs ON runs.key = run_uses.run
            WHERE run_uses.content = contents.key AND {runs}"""
        either = " OR ".join(f"EXISTS (SELECT 1 {each})" for each in (own, shown, told))
        return f" AND ({either})", (*mine, *mine, *mine)

    async def _paged(self, sql: str, table: str) -> AsyncIterator[Row]:
        """Rows of a table of the scope's, the key first, in the order of their keys."""
        where, parameters = self._where("threads" if table == "branches" else table)
        at = 0
        while True:
            rows = await self._ask(
                f"{sql} WHERE {where} AND {table}.key > ? ORDER BY {table}.key LIMIT {_PAGE}", (*parameters, at)
            )
            for row in rows:
                yield row
            if len(rows) < _PAGE:
                return
            at = rows[-1][0]

    async def _threads(self) -> AsyncIterator[lines.Line]:
        sql = f"SELECT key, {_REF}, title, agent_id, resource_id, metadata, version, active, updated_at FROM threads"
        async for row in self._paged(sql, "threads"):
            title, agent, resource, metadata, version, active, updated = row[5:]
            raw = msgspec.Raw(metadata.encode())
            yield lines.Thread(lines.Ref(*row[1:5]), title, agent, resource, raw, version, active, updated)

    async def _branches(self) -> AsyncIterator[lines.Line]:
        async for row in self._paged(_BRANCHES, "branches"):
            number, start, last, created = row[5:]
            path = [p for p, _ in await self._path(row[0])]
            yield lines.Branch(lines.Ref(*row[1:5]), number, start, last, created, tuple(path))

    async def _path(self, branch: int) -> list[tuple[lines.Part, int]]:
        """What a branch shows of others, each with the key of the branch it is copied from, 0 where it is not.

        What lies outside the scope is written as if it lay in the branch itself.
        """
        rows = await self._ask(
            f"""SELECT segments.first, segments.last, source, {_REF}, branches.number FROM segments
                JOIN branches ON branches.key = segments.source JOIN threads ON threads.key = branches.thread
                WHERE segments.branch = ? ORDER BY segments.first""",
            (branch,),
        )
        found = []
        for first, last, source, tenant, owner, name, created, number in rows:
            if source == branch:
                found.append((lines.Part(first, last), 0))
            elif self._reaches(tenant, owner):
                found.append((lines.Part(first, last, lines.Ref(tenant, owner, name, created), number), 0))
            else:
                found.append((lines.Part(first, last), source))  # its messages are written as the branch's own
        return found

    def _reaches(self, tenant: str, owner: str) -> bool:
        who = self._who
        return who is None or (who.tenant == tenant and (not who.owner or who.owner == owner))

    async def _messages(self) -> AsyncIterator[lines.Line]:
        async for row in self._paged(_BRANCHES, "branches"):
            key, ref, (number, start, last, created) = row[0], lines.Ref(*row[1:5]), row[5:]
            ranges = [(source or key, p.first, p.last) for p, source in await self._path(key) if p.of is None or source]
            behind = ""
            for source, low, high in (*ranges, (key, start + 1, last)):
                async for items in self._items(source, low, high):
                    yield lines.Messages(ref, number, created, items, behind)
                    behind = items[-1].id

    async def _items(self, branch: int, low: int, high: int) -> AsyncIterator[tuple[lines.Item, ...]]:
        """A branch's messages of some numbers, some at a time."""
        while True:
            rows = await self._ask(
                f"""SELECT seq, id, role, at, body, run_id FROM messages WHERE branch = ? AND seq BETWEEN ? AND ?
                    ORDER BY seq LIMIT {_MESSAGES}""",
                (branch, low, high),
            )
            if not rows:
                return
            used = await self._ask(
                "SELECT seq, hash FROM uses JOIN contents ON contents.key = uses.content WHERE branch = ? AND seq BETWEEN ? AND ? "
                "ORDER BY hash",
                (branch, rows[0][0], rows[-1][0]),
            )
            yield tuple(
                [
                    lines.Item(
                        seq,
                        ids.text(name),
                        role,
                        at,
                        msgspec.Raw(body.encode()),
                        ids.text(run),
                        tuple([h for s, h in used if s == seq]),
                    )
                    for seq, name, role, at, body, run in rows
                ]
            )
            low = rows[-1][0] + 1

    async def _facts(self) -> AsyncIterator[lines.Line]:
        sql = f"""SELECT facts.key, facts.tenant, facts.owner, facts.version, document, changes, facts.updated_at,
            facts.resource_id, facts.thread, {_REF} FROM facts LEFT JOIN threads ON threads.key = facts.thread"""
        async for row in self._paged(sql, "facts"):
            _, tenant, owner, version, document, changes, updated, resource, thread, *ref = row
            texts = (msgspec.Raw(document.encode()), msgspec.Raw(changes.encode()))
            of = lines.Ref(*ref) if thread else None
            yield lines.Facts(tenant, owner, version, *texts, updated, of, resource)

    async def _sessions(self) -> AsyncIterator[lines.Line]:
        async for row in self._paged(f"SELECT key, {SESSION} FROM sessions", "sessions"):
            values: Any = [*row[1:]]
            values[_VARIABLES] = msgspec.Raw(values[_VARIABLES].encode())
            yield lines.Session(*values)

    async def _runs(self) -> AsyncIterator[lines.Line]:
        async for row in self._paged(f"SELECT key, {_RUN} FROM runs", "runs"):
            key, *values = row
            run = lines.Run(*values)
            async for line in self._events(key, run):
                yield line
            children = await self._ask("SELECT id FROM children WHERE run = ? ORDER BY id", (key,))
            uses = await self._ask(
                "SELECT hash FROM run_uses JOIN contents ON contents.key = run_uses.content WHERE run = ? ORDER BY hash",
                (key,),
            )
            epochs = await self._ask("SELECT epoch, first FROM epochs WHERE run = ? ORDER BY epoch", (key,))
            inbox = await self._ask("SELECT id, kind, data, at FROM inbox WHERE run_id = ? ORDER BY key", (run.id,))
            yield msgspec.structs.replace(
                run,
                children=tuple([r[0] for r in children]),
                uses=tuple([r[0] for r in uses]),
                epochs={str(r[0]): r[1] for r in epochs},
                inbox=tuple([lines.Posted(r[0], r[1], bytes(r[2]), r[3]) for r in inbox]),
            )

    async def _events(self, key: int, run: lines.Run) -> AsyncIterator[lines.Line]:
        at = 0
        while True:
            rows = await self._ask(
                f"SELECT first, last, data FROM events WHERE run = ? AND first > ? ORDER BY first LIMIT {_EVENTS}",
                (key, at),
            )
            for first, last, data in rows:
                found = await self._unpacked(key, run.id, data)
                events = _json_lines(found)
                rest: dict[str, Any] = {"events": events} if events is not None else {"data": found}
                yield lines.Events(run.id, run.tenant, run.owner, run.started_at, first, last, **rest)
            if len(rows) < _EVENTS:
                return
            at = rows[-1][0]

    async def _unpacked(self, key: int, run_id: str, data: bytes) -> bytes:
        """Events as they were stored, whatever they are packed against."""
        steps = seen.unpacked(key, run_id, [(data,)])
        try:
            query = next(steps)
            while True:
                query = steps.send(await self._ask(query.sql, query.parameters))
        except StopIteration as end:
            found: list[bytes] = end.value
            return found[0]

    async def _experience(self) -> AsyncIterator[lines.Line]:
        where, parameters = ("experience.tenant = ?", (self._who.tenant,)) if self._who is not None else ("1 = 1", ())
        rows = await self._ask(
            f"SELECT tenant, name, at, data FROM experience WHERE {where} ORDER BY tenant, name", parameters
        )
        for tenant, name, at, data in rows:
            yield lines.Experience(tenant, name, at, bytes(data))


_REF: Final = "threads.tenant, threads.owner, threads.id, threads.created_at"
_BRANCHES: Final = f"""SELECT branches.key, {_REF}, branches.number, branches.start, branches.last, branches.created_at
    FROM branches JOIN threads ON threads.key = branches.thread"""
SESSION: Final = (
    "tenant, owner, id, resource_id, agent_id, thread_id, state, reason, variables, version, idle_s, age_s, summary, "
    "created_at, active_at, ended_at"
)
_VARIABLES: Final = SESSION.split(", ").index("variables")
_RUN: Final = (
    "id, tenant, owner, started_at, updated_at, status, last, epoch, agent, definition, thread_id, resource_id, "
    "has_context, reason"
)


def _json_lines(data: bytes) -> tuple[msgspec.Raw, ...] | None:
    """Events as JSON, None where they are none."""
    each = data.split(b"\n")
    try:
        data.decode()
        found = tuple([msgspec.json.decode(one, type=msgspec.Raw) for one in each])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if all(bytes(raw) == one for raw, one in zip(found, each, strict=True)) else None
