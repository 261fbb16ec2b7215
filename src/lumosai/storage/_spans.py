"""Operations on the spans of traces: a row for all that a run's trace was given at once, a narrow row for each of another's."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.spans import KIND, KINDS, packed, step_of, unpacked
from lumosai.storage import _sums as sums
from lumosai.storage import _traces as traces
from lumosai.storage._names import cut, named, numbered
from lumosai.storage._op import Query, marks, rows_of, slices
from lumosai.traces import TraceRecord, TraceStep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.storage._op import Row, Steps
    from lumosai.storage._who import Who
    from lumosai.traces import Numbered, Recorded

_encode = msgspec.json.Encoder().encode
_attributes = msgspec.json.Decoder(dict[str, Any]).decode


def record(batch: Sequence[Recorded], known: Mapping[str, int]) -> Steps[dict[str, int]]:
    """Stores what telemetry has of some traces, all or nothing; the names that were not known before, by number.

    Raises:
        ConflictError: of one of them more is stored than was thought, or less.
    """
    new = yield from _numbers(batch, known)
    names = {**known, **new} if new else known
    keys, occurring = yield from traces.put(batch, names)
    rows: list[Row] = []
    packs: list[Any] = []
    for key, recorded in zip(keys, batch, strict=True):
        if recorded.rows:
            packs += (key, recorded.before or 0, packed(recorded.rows))
        if recorded.spans:
            pieces = recorded.pieces
            began = pieces.base_us if pieces is not None else _us(recorded.header.started_at)
            rows += [_row(key, span, began, names, recorded.spelled) for span in recorded.spans]
        if recorded.counted:
            yield from sums.add(names[cut(recorded.scope.tenant)], recorded.counted, names)
    for start, end in slices(len(packs) // 3):
        yield Query(_pack(end - start), packs[3 * start : 3 * end])
    if rows:
        yield Query(_INSERT, rows, many=True)
    if occurring:
        yield Query(
            "INSERT INTO trace_names (name, trace) VALUES (?, ?) ON CONFLICT (name, trace) DO NOTHING",
            occurring,
            many=True,
        )
    return new


@lru_cache
def _pack(count: int) -> str:
    """So many rows at once; each is of the spans behind the first so many that are stored of its trace."""
    return f"INSERT INTO packed_spans (trace, first, data) VALUES {rows_of(3, count)}"


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
        KIND[step.kind],
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


_PUT_SETS: Final = "INSERT INTO name_sets (name, named) VALUES (?, ?) ON CONFLICT (name, named) DO NOTHING"


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
    together = {text: r.names for r in batch if r.before == 0 and (text := traces.set_of(r.names)) is not None}
    wanted.update(together)
    missing = sorted({c for n in wanted if n is not None and (c := cut(n)) not in known})
    new = yield from numbered(missing)
    sets = [
        (known.get(cut(name)) or new[cut(name)], new[text])
        for text, names in together.items()
        if text in new
        for name in names
    ]
    if sets:
        yield Query(_PUT_SETS, sets, many=True)
    return new


def stored_numbers(who: Who, run_id: str) -> Steps[frozenset[int]]:
    """The numbers of a trace's spans that have ended and are stored."""
    keys = yield from traces.keys_of(who, "run_id", run_id)
    if not keys:
        return frozenset()
    inside = marks(len(keys))
    rows = yield Query(f"SELECT number FROM spans WHERE trace IN ({inside}) AND duration_us IS NOT NULL", keys)
    found = [row[0] for row in rows]
    rows = yield Query(f"SELECT data FROM packed_spans WHERE trace IN ({inside})", keys)
    return frozenset([*found, *[span.number for row in rows for span in unpacked(bytes(row[0]))]])


def found(who: Who, name: str) -> Steps[tuple[tuple[TraceRecord, tuple[TraceStep, ...]], ...]]:
    """The traces of a run's id, or of a trace id, which several runs may share, each with its spans as they began."""
    rows: Sequence[Row] = ()
    for column in ("run_id", "trace_id"):
        keys = yield from traces.keys_of(who, column, name)
        if keys:
            rows = yield Query(
                f"SELECT {traces.COLUMNS} FROM traces WHERE traces.key IN ({marks(len(keys))}) ORDER BY started_us, traces.key",
                keys,
            )
        if rows and rows[0][3] != name:  # the run's id of another program's trace is the trace's, which runs may share
            break
    records = yield from traces.records(rows)
    told: list[tuple[TraceRecord, tuple[TraceStep, ...]]] = []
    for row, header in zip(rows, records, strict=True):
        steps = yield from _steps(row[0], row[2], row[11] if row[25] is None else row[25])
        if row[25] is not None:
            steps = in_order(steps, header.started_at)
        told.append((header, steps))
    return tuple(told)


def in_order(steps: Sequence[TraceStep], began: float) -> tuple[TraceStep, ...]:
    """Spans that came in whatever order, as they began: first the one that all others are in, as far as it is there."""
    known = {s.span_id for s in steps}

    def place(step: TraceStep) -> tuple[int, float]:
        parent = step.parent_span_id
        outside = 0 if parent is None else 1 if parent not in known else 2
        return outside, abs(step.start - began)

    first = min(steps, key=place, default=None)
    return tuple(sorted(steps, key=lambda s: (s is not first, s.start)))


def _steps(key: int, run_id: str, base_us: int) -> Steps[tuple[TraceStep, ...]]:
    rows = yield Query(
        """SELECT number, run, id, parent, kind, name, agent, offset_us, duration_us, error, data
            FROM spans WHERE trace = ? ORDER BY number""",
        (key,),
    )
    names = yield from named({n for row in rows for n in (row[5], row[6], row[9]) if n is not None})
    runs: dict[int, str] = {}
    steps: list[tuple[int, TraceStep]] = []
    for number, run, span, parent, kind, name, agent, offset, duration, error, data in rows:
        attributes = _attributes(bytes(data)) if data else {}
        words = attributes.pop("error", None)
        known = KINDS[kind] if 0 <= kind < len(KINDS) else "span"
        if known == "run":
            runs[number] = attributes.pop("run_id", "")
        own = attributes.pop("run_id", runs.get(number, "")) if run < 0 else runs.get(run, "")
        spelled = attributes.pop("name", "") if not names[name] and run < 0 else ""
        step = TraceStep(
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
        steps.append((number, step))
    rows = yield Query("SELECT data FROM packed_spans WHERE trace = ? ORDER BY first", (key,))
    if rows:
        steps += [(span.number, step_of(span, run_id)) for row in rows for span in unpacked(bytes(row[0]))]
        steps.sort(key=_number)
    return tuple([step for _, step in steps])


def _number(place: tuple[int, TraceStep]) -> int:
    return place[0]
