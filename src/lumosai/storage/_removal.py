"""Operations that remove much, a little at a time: no transaction writes for longer than its budget.

A thread or run is first taken out of every list, in one small transaction that writes its keys into `removed`; nobody
can reach it from then on. Its many rows go in the transactions that follow, and whoever comes next goes on where one was
cut. So several processes may do it at once.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final

from lumosai.storage import _contents as contents
from lumosai.storage import _index as index
from lumosai.storage import _tables as tables
from lumosai.storage import _threads as threads
from lumosai.storage._op import Query, marks
from lumosai.storage.upkeep import Erased

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.storage._op import Rows, Steps


BUDGET_S: Final = 0.004
"""How long a transaction removes, before it is committed."""
_SLICE: Final = 16
"""Rows that are removed between two looks at the clock; one may be of 256 KiB."""
_GIVEN: Final = 32
"""Messages that are copied between two looks at the clock."""


def sweep(budget_s: float = BUDGET_S, clock: Callable[[], float] = perf_counter) -> Steps[bool]:
    """Removes rows of what is in `removed`, at least some of them; whether any may be left."""
    began = clock()
    while True:
        rows = yield Query("SELECT kind, key FROM removed ORDER BY kind, key LIMIT 1")
        if not rows:
            return False
        kind, key = rows[0]
        if (yield from _slice(kind, key)):
            yield Query("DELETE FROM removed WHERE kind = ? AND key = ?", (kind, key))
        if clock() - began >= budget_s:
            return True


def _slice(kind: str, key: int) -> Steps[bool]:
    """Removes a few rows of one branch or run; whether there was none left."""
    for table in tables.TABLES:
        for root, column in table.roots:
            if root != kind or not table.rest:
                continue
            wanted = ", ".join(table.rest)
            order = f" ORDER BY {table.rest[0]}"
            rows = yield Query(f"SELECT {wanted} FROM {table.name} WHERE {column} = ?{order} LIMIT {_SLICE}", (key,))
            if rows:
                if table.name == "messages":
                    numbers = [row[0] for row in rows]
                    yield from index.forget(key, min(numbers), max(numbers))
                places = " AND ".join(f"{c} = ?" for c in (column, *table.rest))
                some = [(key, *row) for row in rows]
                yield Query(f"DELETE FROM {table.name} WHERE {places}", some, many=True)
                if table.refers:
                    yield from contents.drop_unused((row[-1] for row in rows), later=True)
                return False
    return True


def remove_run(key: int, run_id: str) -> Steps[None]:
    """A run is not there any more; what is many goes with `sweep`."""
    yield Query("INSERT INTO removed (kind, key) VALUES ('run', ?) ON CONFLICT (kind, key) DO NOTHING", (key,))
    for name, column in tables.of("run id"):
        yield Query(f"DELETE FROM {name} WHERE {column} = ?", (run_id,))
    for name, column in tables.of("run", many=False):
        yield Query(f"DELETE FROM {name} WHERE {column} = ?", (key,))


def remove_thread(key: int) -> Steps[None]:
    """A thread that nobody else shows a part of is not there any more; what is many goes with `sweep`."""
    own = "SELECT key FROM branches WHERE thread = ?"
    yield Query(f"{own} ORDER BY key{{lock}}", (key,))  # nobody is writing some of it into the index, or will
    yield Query(f"INSERT INTO removed (kind, key) SELECT 'branch', key FROM ({own}) AS own", (key,))
    for name, column in tables.of("branch", many=False):
        yield Query(f"DELETE FROM {name} WHERE {column} IN ({own})", (key,))
    for name, column in tables.of("thread"):
        yield Query(f"DELETE FROM {name} WHERE {column} = ?", (key,))


def remove_trace(key: int) -> Steps[None]:
    """A trace is not there any more; its spans go with `sweep`."""
    yield Query("INSERT INTO removed (kind, key) VALUES ('trace', ?) ON CONFLICT (kind, key) DO NOTHING", (key,))
    for name, column in tables.of("trace", many=False):
        yield Query(f"DELETE FROM {name} WHERE {column} = ?", (key,))


def remove_ended(
    keys: Sequence[int], before: float, budget_s: float = BUDGET_S, clock: Callable[[], float] = perf_counter
) -> Steps[int]:
    """Removes of these runs, in order, those that ended before a moment, while the budget lasts; how many were looked at."""
    began, done = clock(), 0
    for key in keys:
        rows = yield Query(
            "SELECT id FROM runs WHERE key = ? AND status = 'ended' AND updated_at < ?{lock}", (key, before)
        )
        if rows:
            yield from remove_run(key, rows[0][0])
        done += 1
        if clock() - began >= budget_s:
            break
    return done


def ended(before: float, limit: int) -> Steps[tuple[tuple[int, int], ...]]:
    """Runs that ended before a moment, the oldest first: key and bytes of their events."""
    rows = yield Query(
        """SELECT key, COALESCE((SELECT sum(length(events.data)) FROM events WHERE events.run = runs.key), 0) FROM runs
            WHERE status = 'ended' AND updated_at < ? ORDER BY updated_at, key LIMIT ?""",
        (before, limit),
    )
    return tuple((row[0], int(row[1])) for row in rows)


_TOLD: Final = """traces.started_us < ? AND NOT EXISTS (
    SELECT 1 FROM runs WHERE runs.id = traces.run_id AND runs.tenant = traces.tenant AND runs.status <> 'ended')"""
"""A trace that began before a moment, of a run that does not go on any more."""


def told(before: float, limit: int) -> Steps[tuple[tuple[int, int], ...]]:
    """Traces that began before a moment, the oldest first: key and about how many bytes their spans are."""
    rows = yield Query(
        f"""SELECT key, COALESCE((SELECT sum(length(spans.data)) + 60 * count(*) FROM spans WHERE spans.trace = traces.key), 0)
            + COALESCE((SELECT sum(length(data)) FROM packed_spans WHERE packed_spans.trace = traces.key), 0)
            FROM traces WHERE {_TOLD} ORDER BY started_us, key LIMIT ?""",
        (int(before * 1e6), limit),
    )
    return tuple((row[0], int(row[1])) for row in rows)


def remove_told(
    keys: Sequence[int], before: float, budget_s: float = BUDGET_S, clock: Callable[[], float] = perf_counter
) -> Steps[int]:
    """Removes of these traces, in order, those that `told` means, while the budget lasts; how many were looked at."""
    began, done = clock(), 0
    for key in keys:
        rows = yield Query(f"SELECT key FROM traces WHERE key = ? AND {_TOLD}{{lock}}", (key, int(before * 1e6)))
        if rows:
            yield from remove_trace(key)
        done += 1
        if clock() - began >= budget_s:
            break
    return done


def remove_sums(before: float) -> Steps[bool]:
    """Removes some of what measurements before a moment add up to; whether there may be more."""
    rows = yield Query("SELECT key FROM sums WHERE at < ? ORDER BY key LIMIT ?", (int(before), 10 * _SLICE))
    yield Query("DELETE FROM sums WHERE key = ?", [(row[0],) for row in rows], many=True)
    return len(rows) == 10 * _SLICE


_IDLE: Final = """threads.updated_at < ? AND NOT EXISTS (
    SELECT 1 FROM runs WHERE runs.tenant = threads.tenant AND runs.thread_id = threads.id AND runs.status <> 'ended')"""
"""A thread that was not written to since a moment, and that no run which may go on needs."""


def idle(before: float, limit: int) -> Steps[tuple[int, ...]]:
    """Threads that were not written to since a moment, the oldest first, by key."""
    rows = yield Query(f"SELECT key FROM threads WHERE {_IDLE} ORDER BY updated_at, key LIMIT ?", (before, limit))
    return tuple(row[0] for row in rows)


def remove_idle(
    key: int, before: float, budget_s: float = BUDGET_S, clock: Callable[[], float] = perf_counter
) -> Steps[bool]:
    """Removes a thread that is idle, or copies a part of what others show of it; whether it is done with."""
    began = clock()
    rows = yield Query(f"SELECT key FROM threads WHERE key = ? AND {_IDLE}{{lock}}", (key, before))
    if not rows:
        return True
    own = "SELECT key FROM branches WHERE thread = ?"
    while True:
        rows = yield Query(
            f"""SELECT branch, first, last, source FROM segments WHERE source IN ({own}) AND branch NOT IN ({own})
                ORDER BY branch, first LIMIT 1""",
            (key, key),
        )
        if not rows:
            runs = (yield from _on("runs", "key, id", (key,))) or (yield from _speaking((key,)))
            for run, name in runs:
                yield from remove_run(run, name)
            if runs:
                return False
            yield from remove_thread(key)
            return True
        yield from _give_some(*rows[0])
        if clock() - began >= budget_s:
            return False


def _speaking(family: Sequence[int]) -> Steps[Rows]:
    """Some of the runs that said what lies in these threads: their events cannot be read without it."""
    return (
        yield Query(
            f"""SELECT DISTINCT runs.key, runs.id FROM messages JOIN runs ON runs.id = {{said_by}}
                WHERE messages.branch IN (SELECT key FROM branches WHERE thread IN ({marks(len(family))}))
                AND runs.tenant = (SELECT tenant FROM threads WHERE key = ?) LIMIT {_SLICE}""",
            (*family, family[0]),
        )
    )


def _give_some(branch: int, first: int, last: int, source: int) -> Steps[None]:
    """Copies the beginning of a segment into the branch that shows it."""
    cut = min(last, first + _GIVEN - 1)
    if cut < last:
        yield Query("UPDATE segments SET last = ? WHERE branch = ? AND first = ?", (cut, branch, first))
        yield Query(
            "INSERT INTO segments (branch, first, last, source) VALUES (?, ?, ?, ?)", (branch, cut + 1, last, source)
        )
    yield from threads.give(branch, first, cut, source)


def erase(tenant: str, resource_id: str) -> Steps[Erased | None]:
    """Removes some of what is about a resource; None where nothing is left.

    A thread goes with all that was forked from it, whoever did, and with their runs and traces.
    """
    rows = yield Query(
        "SELECT key FROM threads WHERE tenant = ? AND resource_id = ? AND resource_id <> '' ORDER BY key LIMIT 1{lock}",
        (tenant, resource_id),
    )
    family = (yield from _family(rows[0][0])) if rows else ()
    runs: Rows = ()
    if family:
        runs = (yield from _on("runs", "key, id", family)) or (yield from _speaking(family))
    runs = runs or (
        yield Query(
            f"SELECT key, id FROM runs WHERE tenant = ? AND resource_id = ? ORDER BY key LIMIT {_SLICE}",
            (tenant, resource_id),
        )
    )
    traces = [*(yield from _on("traces", "key", family))]
    traces += yield Query(
        f"SELECT key FROM traces WHERE tenant = ? AND resource_id = ? ORDER BY key LIMIT {_SLICE}",
        (tenant, resource_id),
    )
    for key, name in runs:
        traces += yield Query("SELECT key FROM traces WHERE tenant = ? AND run_id = ?", (tenant, name))
        yield from remove_run(key, name)
    for key in sorted({row[0] for row in traces}):
        yield from remove_trace(key)
    if runs or traces:
        return Erased(runs=len(runs), traces=len({row[0] for row in traces}))
    if not family:
        for name, column in tables.of("resource"):
            yield Query(f"DELETE FROM {name} WHERE tenant = ? AND {column} = ?", (tenant, resource_id))
        return None
    rows = yield Query(f"SELECT sum(messages) FROM threads WHERE key IN ({marks(len(family))})", family)
    for key in family:
        yield from remove_thread(key)
    return Erased(threads=len(family), messages=int(rows[0][0]))


def _family(key: int) -> Steps[tuple[int, ...]]:
    """A thread and all that show a part of it, or a part of those, each locked."""
    found = [key]
    while True:
        inside = marks(len(found))
        rows = yield Query(
            f"""SELECT DISTINCT branches.thread FROM segments JOIN branches ON branches.key = segments.branch
                WHERE segments.source IN (SELECT key FROM branches WHERE thread IN ({inside}))
                AND branches.thread NOT IN ({inside}) ORDER BY branches.thread""",
            (*found, *found),
        )
        if not rows:
            return tuple(found)
        new = [row[0] for row in rows][:_SLICE]
        yield Query(f"SELECT key FROM threads WHERE key IN ({marks(len(new))}) ORDER BY key{{lock}}", new)
        found += new


def _on(table: str, columns: str, family: Sequence[int]) -> Steps[Rows]:
    """Rows of runs or traces of these threads, some of them."""
    if not family:
        return ()
    return (
        yield Query(
            f"""SELECT {", ".join(f"{table}.{c.strip()}" for c in columns.split(","))} FROM threads
                JOIN {table} ON {table}.tenant = threads.tenant AND {table}.thread_id = threads.id
                AND {table}.thread_id <> '' AND ({table}.owner = threads.owner OR {table}.owner = '')
                WHERE threads.key IN ({marks(len(family))}) ORDER BY {table}.key LIMIT {_SLICE}""",
            tuple(family),
        )
    )
