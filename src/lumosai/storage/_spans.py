"""Operations on traces: spans in narrow rows, a row a trace for lists, names by number."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.errors import ConflictError
from lumosai.messages import scrub
from lumosai.records import Scope, Usage
from lumosai.storage import _cursor as cursors
from lumosai.storage import _match as match
from lumosai.storage import _sums as sums
from lumosai.storage._names import cut, looked_up, named, numbered
from lumosai.storage._op import Query, marks
from lumosai.storage._who import who_of
from lumosai.storage.base import Page
from lumosai.traces import INDEXING, Arriving, Pieces, TraceRecord, TraceStep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.storage._op import Row, Steps
    from lumosai.storage._who import Who
    from lumosai.traces import Numbered, Recorded, StepKind, TraceFilter, TraceStatus

KINDS: Final[tuple[StepKind, ...]] = (
    "span",
    "run",
    "step",
    "model_call",
    "tool_call",
    "memory",
    "guard",
    "approval",
    "embedding",
)
"""Kinds of spans by their number in the tables. Only ever added to."""
STATUSES: Final[tuple[TraceStatus, ...]] = ("running", "paused", "ok", "error", "cancelled")
"""Likewise how traces stand."""
_KIND: Final = {kind: number for number, kind in enumerate(KINDS)}
_STATUS: Final = {status: number for number, status in enumerate(STATUSES)}
_NANO: Final = 10**9
_AT_ONCE: Final = 500
_HEADER: Final = (
    "traces.key, traces.owner, run_id, trace_id, traces.agent, model, version, thread_id, resource_id, status, reason, started_us, "
    "duration_us, model_calls, tool_calls, errors, spans, dropped, input_tokens, output_tokens, tokens, cost_nano, "
    "error_type, error, source, base_us"
)
_encode = msgspec.json.Encoder().encode
_attributes = msgspec.json.Decoder(dict[str, Any]).decode


class _Tokens(msgspec.Struct, frozen=True, omit_defaults=True):
    """The tokens that have no column of their own."""

    reasoning: int = 0
    read: int = 0
    written: int = 0
    total: int = 0


_tokens = msgspec.json.Decoder(_Tokens).decode


def record(batch: Sequence[Recorded], known: Mapping[str, int]) -> Steps[dict[str, int]]:
    """Stores what telemetry has of some traces, all or nothing; the names that were not known before, by number.

    Raises:
        ConflictError: of one of them more is stored than was thought, or less.
    """
    new = yield from _numbers(batch, known)
    names = {**known, **new}
    rows: list[Row] = []
    occurring: list[Row] = []
    for recorded in batch:
        who = who_of(recorded.scope)
        key = yield from _header(who, recorded, names)
        pieces = recorded.pieces
        began = pieces.base_us if pieces is not None else _us(recorded.header.started_at)
        rows += [_row(key, span, began, names, recorded.spelled) for span in recorded.spans]
        occurring += [(names[cut(n)], key) for n in recorded.names]
        if recorded.counted:
            yield from sums.add(names[cut(who.tenant)], recorded.counted, names)
    if rows:
        yield Query(_INSERT, rows, many=True)
    if occurring:
        yield Query(
            "INSERT INTO trace_names (name, trace) VALUES (?, ?) ON CONFLICT (name, trace) DO NOTHING",
            occurring,
            many=True,
        )
    return new


_INSERT: Final = """INSERT INTO spans (trace, number, run, id, parent, kind, name, agent, offset_us, duration_us, error, data)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (trace, number) DO UPDATE SET duration_us = excluded.duration_us, error = excluded.error,
        data = excluded.data"""


def _us(at: float) -> int:
    return round(at * 1e6)


def _row(key: int, span: Numbered, began_us: int, names: Mapping[str, int], spelled: frozenset[str]) -> Row:
    step = span.step
    data: dict[str, Any] = step.attributes
    name = step.name
    if name in spelled:
        data, name = {**data, "name": name}, ""
    if step.error is not None:
        data = {**data, "error": step.error}
    if step.kind == "run" or (span.run < 0 and step.run_id):
        data = {**data, "run_id": step.run_id}
    return (
        key,
        span.number,
        span.run,
        bytes.fromhex(step.span_id),
        bytes.fromhex(step.parent_span_id) if step.parent_span_id else None,
        _KIND[step.kind],
        names[cut(name)],
        names[cut(step.agent)],
        _us(step.start) - began_us,
        round(step.duration_ms * 1e3) if step.duration_ms is not None else None,
        names[cut(step.error_type)] if step.error_type is not None else None,
        _json(data) if data else b"",
    )


def _json(data: dict[str, Any]) -> bytes:
    try:
        return _encode(data)
    except (UnicodeEncodeError, TypeError, ValueError):
        return _encode({"unreadable": repr(data)[:1_000].encode("utf-8", "replace").decode()})


def _numbers(batch: Sequence[Recorded], known: Mapping[str, int]) -> Steps[dict[str, int]]:
    """Numbers for the names that have none yet."""
    wanted: set[str | None] = set()
    for recorded in batch:
        header = recorded.header
        wanted.update((header.agent_id, header.model, header.agent_version, header.source, recorded.scope.tenant))
        wanted.update(recorded.names)
        wanted.add(header.error_type)
        for _, _, step in recorded.spans:
            wanted.update((step.name, step.agent, step.error_type))
        if recorded.spelled:
            wanted -= recorded.spelled
            wanted.add("")
        for _, series, _ in recorded.counted:
            wanted.update((series.agent, series.name, series.version))
    missing = sorted({cut(n) for n in wanted if n is not None} - known.keys())
    return (yield from numbered(missing))


def _header(who: Who, recorded: Recorded, names: Mapping[str, int]) -> Steps[int]:
    header, usage = recorded.header, recorded.header.usage
    cost = round(header.cost_usd * _NANO) if header.cost_usd is not None else None
    rest = (usage.reasoning_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.total_tokens)
    changing = (
        names[cut(header.model)],
        _STATUS[header.status],
        cut(header.finish_reason),
        round(header.duration_ms * 1e3) if header.duration_ms is not None else None,
        header.model_calls,
        header.tool_calls,
        header.errors,
        header.dropped,
        usage.input_tokens,
        usage.output_tokens,
        _encode(_Tokens(*rest)).decode() if any(rest) else "{}",
        cost,
        names[cut(header.error_type)] if header.error_type is not None else None,
        scrub(header.error).replace("\0", "") if header.error is not None else None,
    )
    pieces = recorded.pieces
    began = (
        header.trace_id,
        names[cut(header.agent_id)],
        names[cut(header.agent_version)],
        scrub(header.thread_id).replace("\0", ""),
        scrub(header.resource_id).replace("\0", ""),
        names[cut(header.source)],
        _us(header.started_at),
        *((pieces.base_us, pieces.state) if pieces is not None else (None, None)),
    )
    rows = yield Query(
        _UPSERT_PIECES if pieces is not None else _UPSERT if recorded.before is None else _UPSERT_BEHIND,
        (
            who.tenant,
            who.owner,
            header.run_id,
            *began,
            header.spans,
            *changing,
            *((pieces.before or "",) if pieces is not None else () if recorded.before is None else (recorded.before,)),
        ),
    )
    if not rows:
        raise ConflictError(f"of the trace of run {header.run_id} another process has stored spans")
    key: int = rows[0][0]
    return key


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
_INSERT_HEADER: Final = f"""INSERT INTO traces (tenant, owner, run_id, {", ".join(_BEGAN)}, spans, {", ".join(_CHANGING)})
    VALUES ({marks(4 + len(_BEGAN) + len(_CHANGING))})
    ON CONFLICT (tenant, owner, run_id) DO UPDATE SET """
_UPSERT_ALWAYS: Final = _INSERT_HEADER + ", ".join(f"{c} = excluded.{c}" for c in (*_CHANGING, "spans"))
_UPSERT_PIECES: Final = (
    f"{_UPSERT_ALWAYS}, {', '.join(f'{c} = excluded.{c}' for c in _BEGAN)} WHERE traces.pieces = ? RETURNING key"
)
_UPSERT: Final = f"{_UPSERT_ALWAYS} RETURNING key"
_UPSERT_BEHIND: Final = f"{_UPSERT_ALWAYS} WHERE traces.spans = ? RETURNING key"


def stored_numbers(who: Who, run_id: str) -> Steps[frozenset[int]]:
    """The numbers of a trace's spans that have ended and are stored."""
    keys = yield from _keys(who, "run_id", run_id)
    if not keys:
        return frozenset()
    rows = yield Query(
        f"SELECT number FROM spans WHERE trace IN ({marks(len(keys))}) AND duration_us IS NOT NULL",
        keys,
    )
    return frozenset([row[0] for row in rows])


def arriving(who: Who, wanted: Mapping[str, tuple[str, Sequence[str]]]) -> Steps[dict[str, Arriving]]:
    """What is stored of traces that spans come of.

    Args:
        who: whose.
        wanted: by the id of the run, the trace id and the ids of the spans.
    """
    found: dict[str, Arriving] = {}
    run_ids = list(wanted)
    for start in range(0, len(run_ids), _AT_ONCE):
        some = run_ids[start : start + _AT_ONCE]
        rows = yield Query(
            f"SELECT {_HEADER}, pieces FROM traces WHERE tenant = ? AND owner = ? AND run_id IN ({marks(len(some))})",
            (who.tenant, who.owner, *some),
        )
        headers = yield from _records([row[:-1] for row in rows])
        for row, header in zip(rows, headers, strict=True):
            if row[-1] is None:
                found[header.run_id] = Arriving(header)
                continue
            pieces = Pieces(base_us=row[-2], state=row[-1], before=row[-1])
            spans = yield from _of_pieces(row[0], wanted[header.run_id][1])
            found[header.run_id] = Arriving(header, pieces, spans)
        trace_ids = {wanted[run_id][0] for run_id in some}
        rows = yield Query(
            f"SELECT key, trace_id, tenant, owner FROM traces WHERE trace_id IN ({marks(len(trace_ids))}) AND pieces IS NULL",
            tuple(trace_ids),
        )
        own: dict[str, set[str]] = {}
        for key, trace_id, tenant, owner in rows:
            if (tenant, owner) == tuple(who):
                theirs = yield Query("SELECT id FROM spans WHERE trace = ?", (key,))
                own.setdefault(trace_id, set()).update([bytes(r[0]).hex() for r in theirs])
        for run_id in some:
            trace_id, ids = wanted[run_id]
            there = found.get(run_id, Arriving())
            found[run_id] = there._replace(elsewhere=frozenset(own.get(trace_id, set()).intersection(ids)))
    return found


def _of_pieces(key: int, ids: Sequence[str]) -> Steps[dict[str, tuple[int, bool]]]:
    """Number of each of the spans that is stored, and whether it has ended."""
    found: dict[str, tuple[int, bool]] = {}
    for start in range(0, len(ids), _AT_ONCE):
        some = [bytes.fromhex(i) for i in ids[start : start + _AT_ONCE]]
        rows = yield Query(
            f"""SELECT id, number, duration_us FROM spans{{in_pieces}}
                WHERE trace = ? AND run < 0 AND id IN ({marks(len(some))})""",
            (key, *some),
        )
        found |= {bytes(span).hex(): (number, duration is not None) for span, number, duration in rows}
    return found


def _keys(who: Who, column: str, value: str) -> Steps[list[int]]:
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
            conditions.append("EXISTS (SELECT 1 FROM trace_names WHERE trace_names.name = ? AND trace = traces.key)")
            parameters.append(names[cut(name)])
    bounds: tuple[tuple[str, Any], ...] = (
        ("status = ?", _STATUS[wanted.status] if wanted.status is not None else None),
        ("thread_id = ?", wanted.thread or None),
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
        f"""SELECT {_HEADER} FROM traces WHERE {" AND ".join(conditions)}
            ORDER BY started_us DESC, traces.key DESC LIMIT ?""",
        (*parameters, limit + 1),
    )
    shown = yield from _records(rows[:limit])
    end = rows[limit - 1] if len(rows) > limit else None
    return Page(tuple(shown), cursors.write("traces", end[11], end[0]) if end is not None else None)


def found(who: Who, name: str) -> Steps[tuple[tuple[TraceRecord, tuple[TraceStep, ...]], ...]]:
    """The traces of a run's id, or of a trace id, which several runs may share, each with its spans as they began."""
    rows: Sequence[Row] = ()
    for column in ("run_id", "trace_id"):
        keys = yield from _keys(who, column, name)
        if keys:
            rows = yield Query(
                f"SELECT {_HEADER} FROM traces WHERE traces.key IN ({marks(len(keys))}) ORDER BY started_us, traces.key",
                keys,
            )
        if rows and rows[0][3] != name:  # the run's id of another program's trace is the trace's, which runs may share
            break
    records = yield from _records(rows)
    traces: list[tuple[TraceRecord, tuple[TraceStep, ...]]] = []
    for row, header in zip(rows, records, strict=True):
        steps = yield from _steps(row[0], row[11] if row[25] is None else row[25])
        if row[25] is not None:
            steps = in_order(steps, header.started_at)
        traces.append((header, steps))
    return tuple(traces)


def in_order(steps: Sequence[TraceStep], began: float) -> tuple[TraceStep, ...]:
    """Spans that came in whatever order, as they began: first the one that all others are in, as far as it is there."""
    known = {s.span_id for s in steps}

    def place(step: TraceStep) -> tuple[int, float]:
        parent = step.parent_span_id
        outside = 0 if parent is None else 1 if parent not in known else 2
        return outside, abs(step.start - began)

    first = min(steps, key=place, default=None)
    return tuple(sorted(steps, key=lambda s: (s is not first, s.start)))


def _steps(key: int, base_us: int) -> Steps[tuple[TraceStep, ...]]:
    rows = yield Query(
        """SELECT number, run, id, parent, kind, name, agent, offset_us, duration_us, error, data
            FROM spans WHERE trace = ? ORDER BY number""",
        (key,),
    )
    names = yield from named({n for row in rows for n in (row[5], row[6], row[9]) if n is not None})
    runs: dict[int, str] = {}
    steps: list[TraceStep] = []
    for number, run, span, parent, kind, name, agent, offset, duration, error, data in rows:
        attributes = _attributes(bytes(data)) if data else {}
        words = attributes.pop("error", None)
        known = KINDS[kind] if 0 <= kind < len(KINDS) else "span"
        if known == "run":
            runs[number] = attributes.pop("run_id", "")
        own = attributes.pop("run_id", runs.get(number, "")) if run < 0 else runs.get(run, "")
        spelled = attributes.pop("name", "") if not names[name] and run < 0 else ""
        steps.append(
            TraceStep(
                span_id=bytes(span).hex(),
                parent_span_id=bytes(parent).hex() if parent is not None else None,
                kind=known,
                name=spelled or names[name],
                start=(base_us + offset) / 10**6,
                duration_ms=duration / 1e3 if duration is not None else None,
                run_id=own,
                agent=names[agent],
                error=words,
                error_type=names[error] if error is not None else None,
                attributes=attributes,
            )
        )
    return tuple(steps)


def _records(rows: Sequence[Row]) -> Steps[list[TraceRecord]]:
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
    rows = yield Query(
        """SELECT traces.tenant, traces.owner, traces.run_id FROM traces JOIN runs ON runs.id = traces.run_id
            WHERE traces.status IN (0, 1) AND runs.status = 'ended' AND runs.tenant = traces.tenant AND runs.updated_at < ? LIMIT ?""",
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
        for table in ("spans", "trace_names"):
            yield Query(f"DELETE FROM {table} WHERE trace = ?", keys, many=True)
        count += len(keys)
    return count
