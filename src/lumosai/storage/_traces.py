"""Operations on the lines of traces: a row each, for lists and filters; names by number."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.errors import ConflictError
from lumosai.ids import content_hash
from lumosai.messages import scrub
from lumosai.records import Scope, Usage
from lumosai.storage import _cursor as cursors
from lumosai.storage import _match as match
from lumosai.storage._names import cut, looked_up, named
from lumosai.storage._op import Query, marks, rows_of, slices
from lumosai.storage._who import who_of
from lumosai.storage.base import Page
from lumosai.traces import INDEXING, TraceRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.storage._op import Row, Steps
    from lumosai.storage._who import Who
    from lumosai.traces import Recorded, TraceFilter, TraceStatus

STATUSES: Final[tuple[TraceStatus, ...]] = ("running", "paused", "ok", "error", "cancelled")
"""How traces stand, by their number in the tables. Only ever added to."""
_STATUS: Final = {status: number for number, status in enumerate(STATUSES)}
_NANO: Final = 10**9
_AT_ONCE: Final = 500
_TOGETHER: Final = 12
"""So many names that occur in one trace get a name together."""
COLUMNS: Final = (
    "traces.key, traces.owner, run_id, trace_id, traces.agent, model, version, thread_id, resource_id, status, reason, started_us, "
    "duration_us, model_calls, tool_calls, errors, spans, dropped, input_tokens, output_tokens, tokens, cost_nano, "
    "error_type, error, source, base_us"
)
"""What `records` makes a trace of."""
_encode = msgspec.json.Encoder().encode


class _Tokens(msgspec.Struct, frozen=True, omit_defaults=True):
    """The tokens that have no column of their own."""

    reasoning: int = 0
    read: int = 0
    written: int = 0
    total: int = 0


_tokens = msgspec.json.Decoder(_Tokens).decode


def put(batch: Sequence[Recorded], names: Mapping[str, int]) -> Steps[tuple[list[int], list[Row]]]:
    """Stores how traces stand.

    Returns:
        Their keys, in the order of the batch; and the rows of `trace_names` that say what occurs in those that were
        there already, or whose names are many. Of the others their lines say so.

    Raises:
        ConflictError: of one of them more is stored than was thought, or less.
    """
    rows = [_row(recorded, names) for recorded in batch]
    keys: list[int | None] = [None] * len(batch)
    occurring: list[Row] = []
    fresh = [n for n, recorded in enumerate(batch) if recorded.before == 0 and recorded.pieces is None]
    for start, end in slices(len(fresh)):
        some = fresh[start:end]
        found = yield Query(_insert(len(some)), [value for n in some for value in rows[n]])
        places = {(row[1], row[2], row[3]): row[0] for row in found}
        for n in some:
            keys[n] = places.pop((rows[n][0], rows[n][1], rows[n][2]), None)
    for n, recorded in enumerate(batch):
        key, told = keys[n], rows[n][-1] is not None
        if key is None:
            key = keys[n] = yield from _one(recorded, rows[n])
            told = False
        if not told:
            occurring += [(names[cut(name)], key) for name in recorded.names]
    return [key for key in keys if key is not None], occurring


def _one(recorded: Recorded, row: Row) -> Steps[int]:
    """Stores how one trace stands, of which some may be stored already."""
    pieces, before = recorded.pieces, recorded.before
    if pieces is not None:
        rows = yield Query(_UPSERT_PIECES, (*row, pieces.before or ""))
    elif before is not None:
        rows = yield Query(_UPSERT_BEHIND, (*row, before))
    else:
        rows = yield Query(_UPSERT, row)
    if not rows:
        raise ConflictError(f"of the trace of run {recorded.header.run_id} another process has stored spans")
    key: int = rows[0][0]
    return key


def _row(recorded: Recorded, names: Mapping[str, int]) -> Row:
    """A trace's line, by `_EVERY`."""
    header, pieces = recorded.header, recorded.pieces
    usage, cost = header.usage, header.cost_usd
    who = who_of(recorded.scope)
    return (
        who.tenant,
        who.owner,
        header.run_id,
        header.trace_id,
        _number(names, header.agent_id),
        _number(names, header.agent_version),
        _plain(header.thread_id),
        _plain(header.resource_id),
        _number(names, header.source),
        round(header.started_at * 1e6),
        pieces.base_us if pieces is not None else None,
        pieces.state if pieces is not None else None,
        header.spans,
        _number(names, header.model),
        _STATUS[header.status],
        cut(header.finish_reason),
        round(header.duration_ms * 1e3) if header.duration_ms is not None else None,
        header.model_calls,
        header.tool_calls,
        header.errors,
        header.dropped,
        usage.input_tokens,
        usage.output_tokens,
        _rest(usage.reasoning_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.total_tokens),
        round(cost * _NANO) if cost is not None else None,
        names[cut(header.error_type)] if header.error_type is not None else None,
        _plain(header.error) if header.error is not None else None,
        names.get(together) if (together := set_of(recorded.names)) is not None else None,
    )


@lru_cache(1024)
def set_of(names: frozenset[str]) -> str | None:
    """What stands for these names together; None where there are none, or too many for that."""
    if not 0 < len(names) <= _TOGETHER:
        return None
    return f"set:{content_hash(sorted(map(cut, names)))[:32]}"


def _number(names: Mapping[str, int], name: str) -> int:
    number = names.get(name)
    return number if number is not None else names[cut(name)]


def _plain(text: str) -> str:
    """A text as columns hold it."""
    return scrub(text).replace("\0", "") if text else text


@lru_cache(1024)
def _rest(reasoning: int, read: int, written: int, total: int) -> str:
    """The tokens that have no column of their own."""
    if not (reasoning or read or written or total):
        return "{}"
    return _encode(_Tokens(reasoning, read, written, total)).decode()


_BEGAN: Final = (
    "trace_id",
    "agent",
    "version",
    "thread_id",
    "resource_id",
    "source",
    "started_us",
    "base_us",
    "pieces",
)
"""What is known from the beginning of a run, though not of a trace that comes in pieces."""
_CHANGING: Final = (
    "model",
    "status",
    "reason",
    "duration_us",
    "model_calls",
    "tool_calls",
    "errors",
    "dropped",
    "input_tokens",
    "output_tokens",
    "tokens",
    "cost_nano",
    "error_type",
    "error",
)
_EVERY: Final = ("tenant", "owner", "run_id", *_BEGAN, "spans", *_CHANGING, "named")
_INSERT: Final = f"INSERT INTO traces ({', '.join(_EVERY)}) VALUES "
_UPSERT_ALWAYS: Final = (
    f"{_INSERT}({marks(len(_EVERY))}) ON CONFLICT (tenant, owner, run_id) DO UPDATE SET "
    + ", ".join(f"{c} = excluded.{c}" for c in (*_CHANGING, "spans"))
)
_UPSERT_PIECES: Final = (
    f"{_UPSERT_ALWAYS}, {', '.join(f'{c} = excluded.{c}' for c in _BEGAN)} WHERE traces.pieces = ? RETURNING key"
)
_UPSERT: Final = f"{_UPSERT_ALWAYS} RETURNING key"
_UPSERT_BEHIND: Final = f"{_UPSERT_ALWAYS} WHERE traces.spans = ? RETURNING key"


@lru_cache
def _insert(count: int) -> str:
    """So many lines at once; gives the keys of those that were not there."""
    return f"""{_INSERT}{rows_of(len(_EVERY), count)} ON CONFLICT (tenant, owner, run_id) DO NOTHING
        RETURNING key, tenant, owner, run_id"""


def keys_of(who: Who, column: str, value: str) -> Steps[list[int]]:
    """Keys of the traces with such an id. Asked for a tenant's as well, SQLite may go through all that it has."""
    rows = yield Query(f"SELECT key, tenant, owner FROM traces WHERE {column} = ?", (value,))
    return [key for key, tenant, owner in rows if tenant == who.tenant and who.owner in ("", owner)]


def listed(who: Who, wanted: TraceFilter, limit: int, cursor: str | None) -> Steps[Page[TraceRecord]]:
    """A page of traces, the one that began last first."""
    conditions = [who.where("traces")]
    parameters: list[Any] = [*who.parameters]
    asked = {cut(n) for n in (wanted.agent, wanted.model, wanted.tool) if n}
    hides = not (wanted.model or wanted.text)
    names = yield from looked_up(sorted({*asked, INDEXING} if hides else asked))
    if not asked <= names.keys():
        return Page(())
    if hides and INDEXING in names:
        conditions.append("source <> ?")
        parameters.append(names[INDEXING])
    if wanted.agent:
        conditions.append("traces.agent = ?")
        parameters.append(names[cut(wanted.agent)])
    for name in (wanted.model, wanted.tool):
        if name:
            conditions.append(
                """(named IN (SELECT name_sets.named FROM name_sets WHERE name_sets.name = ?)
                OR EXISTS (SELECT 1 FROM trace_names WHERE trace_names.name = ? AND trace = traces.key))"""
            )
            parameters += [names[cut(name)]] * 2
    bounds: tuple[tuple[str, Any], ...] = (
        ("status = ?", _STATUS[wanted.status] if wanted.status is not None else None),
        ("thread_id <> '' AND thread_id = ?", wanted.thread or None),
        ("duration_us >= ?", round(wanted.min_duration_ms * 1e3) if wanted.min_duration_ms is not None else None),
        ("cost_nano >= ?", round(wanted.min_cost * _NANO) if wanted.min_cost is not None else None),
        ("started_us >= ?", round(wanted.since * 1e6) if wanted.since is not None else None),
        ("started_us < ?", round(wanted.until * 1e6) if wanted.until is not None else None),
    )
    for condition, value in bounds:
        if value is not None:
            conditions.append(condition)
            parameters.append(value)
    if wanted.text:
        likes, texts = zip(
            *[match.like_plain(column, wanted.text) for column in ("error", "thread_id", "run_id")], strict=True
        )
        like, text = match.like_plain("text", wanted.text)
        named = f"(SELECT key FROM names WHERE {like})"
        ways = [*likes, *[f"{c} IN {named}" for c in ("traces.agent", "model", "version")]]
        conditions.append(f"({' OR '.join(ways)})")
        parameters += [*[t for found in texts for t in found], *text * 3]
    at = cursors.read(cursor, "traces", int, int) if cursor else None
    if at:
        conditions.append("(started_us < ? OR (started_us = ? AND traces.key < ?))")
        parameters += [at[0], at[0], at[1]]
    rows = yield Query(
        f"""SELECT {COLUMNS} FROM traces WHERE {" AND ".join(conditions)}
            ORDER BY started_us DESC, traces.key DESC LIMIT ?""",
        (*parameters, limit + 1),
    )
    shown = yield from records(rows[:limit])
    end = rows[limit - 1] if len(rows) > limit else None
    return Page(tuple(shown), cursors.write("traces", end[11], end[0]) if end is not None else None)


def records(rows: Sequence[Row]) -> Steps[list[TraceRecord]]:
    names = yield from named({n for row in rows for n in (row[4], row[5], row[6], row[22], row[24]) if n is not None})
    return [_record(row, names) for row in rows]


def _record(row: Row, names: Mapping[int, str]) -> TraceRecord:
    values: Any = row
    (_, owner, run_id, trace_id, agent, model, version, thread, resource, status, reason, started, duration, *rest) = (
        values
    )
    calls, tools, errors, spans, dropped, read, written, tokens, cost, error_type, error, source, _ = rest
    more = _tokens(tokens)
    return TraceRecord(
        run_id=run_id,
        trace_id=trace_id,
        agent_id=names[agent],
        status=STATUSES[status],
        started_at=started / 1e6,
        duration_ms=duration / 1e3 if duration is not None else None,
        model=names[model],
        agent_version=names[version],
        thread_id=thread,
        resource_id=resource,
        finish_reason=reason,
        model_calls=calls,
        tool_calls=tools,
        errors=errors,
        spans=spans,
        dropped=dropped,
        usage=Usage(read, written, more.reasoning, more.read, more.written, more.total),
        cost_usd=Decimal(cost) / _NANO if cost is not None else None,
        error=error,
        error_type=names[error_type] if error_type is not None else None,
        owner=owner or None,
        source=names[source],
    )


def unfinished(before: float, limit: int) -> Steps[tuple[tuple[Scope, str], ...]]:
    """Traces that were not told of the end of their run, though it is stored: their process was killed before."""
    rows = yield Query(  # SQLite joins in the order that CROSS says: the open traces are few
        """SELECT traces.tenant, traces.owner, traces.run_id FROM traces CROSS JOIN runs
            WHERE traces.status < 2 AND runs.id = traces.run_id AND runs.status = 'ended' AND runs.tenant = traces.tenant AND runs.updated_at < ? LIMIT ?""",
        (before, limit),
    )
    return tuple([(Scope(tenant, owner or None), run_id) for tenant, owner, run_id in rows])


def scope_of(run_id: str) -> Steps[Scope | None]:
    """Whose a root run is, None where it is not stored."""
    rows = yield Query("SELECT tenant, owner FROM runs WHERE id = ?", (run_id,))
    return Scope(rows[0][0], rows[0][1] or None) if rows else None


def forget(who: Who, run_ids: Sequence[str]) -> Steps[int]:
    """Deletes the traces of runs; how many there were."""
    count = 0
    for start in range(0, len(run_ids), _AT_ONCE):
        some = run_ids[start : start + _AT_ONCE]
        rows = yield Query(
            f"DELETE FROM traces WHERE run_id IN ({marks(len(some))}) AND {who.where('traces')} RETURNING key",
            (*some, *who.parameters),
        )
        keys = [(row[0],) for row in rows]
        for table in ("spans", "packed_spans", "trace_names"):
            yield Query(f"DELETE FROM {table} WHERE trace = ?", keys, many=True)
        count += len(keys)
    return count
