"""Traces on their way out: as OTLP's JSON, which any receiver takes in, ours with nothing lost; and as Parquet.

Both are written as they are read, a trace after the other, so that a large database takes no more memory than a small one.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.errors import MissingExtraError
from lumosai.telemetry import _foreign_names as theirs
from lumosai.telemetry import semconv
from lumosai.telemetry._foreign import price_of
from lumosai.telemetry.measure import ASKED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lumosai.storage.base import TelemetryHandle
    from lumosai.telemetry.trace import Content
    from lumosai.traces import TraceFilter, TraceRecord, TraceStep

_PAGE: Final = 100
_GROUP: Final = 10_000
"""Rows of a row group."""
_ALWAYS: Final = frozenset({"input", "prompt", "output", "arguments", "result"})
_SAID: Final = frozenset({"reason", "messages", "result_chars"})
_LOCAL, _REMOTE = 0x100, 0x300
_INTERNAL, _CLIENT = 1, 3
_OPERATION: Final = {
    "run": semconv.INVOKE_AGENT,
    "model_call": semconv.CHAT,
    "embedding": semconv.EMBEDDINGS,
    "tool_call": semconv.EXECUTE_TOOL,
}
_SETTINGS: Final = {ours: name for name, ours in theirs.SETTINGS.items()}
_encode = msgspec.json.Encoder().encode


async def recorded(
    handle: TelemetryHandle, wanted: TraceFilter, *, limit: int | None = None
) -> AsyncIterator[tuple[TraceRecord, tuple[TraceStep, ...]]]:
    """Traces with their spans, the one that began last first."""
    cursor: str | None = None
    count = 0
    while limit is None or count < limit:
        page = await handle.traces(wanted, limit=_PAGE if limit is None else min(_PAGE, limit - count), cursor=cursor)
        for record in page.items:
            for header, steps in await handle.trace(record.run_id):
                if header.run_id == record.run_id:
                    yield header, steps
                    count += 1
        cursor = page.next_cursor
        if cursor is None:
            return


async def as_otlp(
    traces: AsyncIterator[tuple[TraceRecord, tuple[TraceStep, ...]]],
    write: Callable[[bytes], object],
    *,
    content: Content = "off",
) -> int:
    """Writes traces as one `ExportTraceServiceRequest` in JSON; how many there were.

    Args:
        traces: such as `recorded` gives.
        write: takes the next bytes.
        content: how much of what was said goes out.
    """
    count = 0
    write(b'{"resourceSpans":[')
    async for header, steps in traces:
        write((b",\n" if count else b"\n") + _encode(resource_spans(header, steps, content=content)))
        count += 1
    write(b"\n]}\n")
    return count


def resource_spans(
    header: TraceRecord, steps: tuple[TraceStep, ...], *, content: Content = "off", whole: bool = True
) -> dict[str, Any]:
    """One trace as OTLP's JSON, a `ResourceSpans`; where it is not `whole`, some of its spans."""
    here: set[str | None] = {s.span_id for s in steps}
    if not whole:  # only the root run's parent can be another program's
        here |= {s.parent_span_id for s in steps if s.kind != "run" or s.run_id != header.run_id}
    spans = [_span(header, s, here, content) for s in steps]
    return {
        "resource": {"attributes": _pairs({"service.name": header.source})},
        "scopeSpans": [{"scope": {"name": "lumosai"}, "schemaUrl": semconv.SCHEMA_URL, "spans": spans}],
    }


def _span(header: TraceRecord, step: TraceStep, here: set[str | None], content: Content) -> dict[str, Any]:
    start = _ns(step.start)
    known = (
        step.attributes if content == "full" else {k: v for k, v in step.attributes.items() if not _hidden(k, content)}
    )
    name = _name(step)
    told: dict[str, Any] = {"lumosai.kind": step.kind}
    if name != step.name:
        told["lumosai.name"] = step.name
    if step.run_id:
        told[semconv.RUN_ID] = step.run_id
    if header.run_id != header.trace_id:
        told["lumosai.root_run.id"] = header.run_id
    if step.agent:
        told[semconv.AGENT_NAME] = step.agent
    _name_attributes(step, known, told)
    span: dict[str, Any] = {
        "traceId": header.trace_id,
        "spanId": step.span_id,
        "flags": _LOCAL if step.parent_span_id is None or step.parent_span_id in here else _REMOTE,
        "name": name,
        "kind": _CLIENT if step.kind in ASKED else _INTERNAL,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + round(step.duration_ms * 1e6)) if step.duration_ms is not None else "0",
        "attributes": _pairs(told),
        "events": [_event(n, content) for n in known.get("notes", ()) if isinstance(n, dict)],
    }
    if step.parent_span_id is not None:
        span["parentSpanId"] = step.parent_span_id
    if step.error_type is not None:
        span["attributes"] += _pairs({semconv.ERROR_TYPE: step.error_type})
        span["status"] = {"code": 2, "message": (step.error or "") if content != "off" else ""}
    return span


def _hidden(key: str, content: Content) -> bool:
    return key in _ALWAYS or theirs.is_content(key) or (content == "off" and key in _SAID)


def _name(step: TraceStep) -> str:
    """A span's name, as the conventions have it."""
    operation = _OPERATION.get(step.kind)
    if step.kind == "memory":
        return semconv.MEMORY_OPERATIONS.get(step.name, step.name)
    return f"{operation} {step.name}".rstrip() if operation is not None else step.name


def _name_attributes(  # noqa: C901  # a flat list of cases
    step: TraceStep, known: dict[str, Any], told: dict[str, Any]
) -> None:
    """Puts a span's attributes under the conventions' names, and beside them what those would lose."""
    genai = step.kind in ("run", "model_call", "embedding", "tool_call", "memory")
    if genai:
        told[semconv.OPERATION] = _OPERATION.get(step.kind) or semconv.MEMORY_OPERATIONS.get(step.name, step.name)
    if step.kind == "tool_call":
        told[semconv.TOOL_NAME] = step.name
    for key, value in known.items():
        if key == "notes":
            continue
        name = theirs.SEMCONV.get(key) if genai else None
        if key == "provider" and genai and isinstance(value, str):
            if value in semconv.PROVIDERS or not value:
                told["lumosai.provider"] = value
            if value:
                told[semconv.PROVIDER] = semconv.PROVIDERS.get(value, value)
        elif key == "finish_reason" and genai:
            told[theirs.FINISH] = [value]
        elif name is not None:
            told[name] = value
        else:
            told[key if "." in key else f"lumosai.{key}"] = value
            if key == "time_to_first_chunk_ms" and genai:
                told[theirs.FIRST_CHUNK[0]] = value / 1e3
            elif key == "settings" and genai and isinstance(value, dict):
                told |= {_SETTINGS[k]: v for k, v in value.items() if k in _SETTINGS}


def _event(note: dict[str, Any], content: Content) -> dict[str, Any]:
    rest = {k: v for k, v in note.items() if k not in ("at", "name") and not (content == "off" and k in _SAID)}
    return {"timeUnixNano": str(_ns(note.get("at", 0))), "name": str(note.get("name", "")), "attributes": _pairs(rest)}


def _ns(at: float) -> int:
    """Nanoseconds of unix seconds, so that dividing gives the same float again."""
    numerator, denominator = at.as_integer_ratio()
    return (numerator * 10**9 + denominator // 2) // denominator


def _pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:  # noqa: PLR0911  # one a type
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)} if -(2**63) <= value < 2**63 else {"stringValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else "NaN"}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _pairs(value)}}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_value(v) for v in value]}}
    return {}


async def as_parquet(
    traces: AsyncIterator[tuple[TraceRecord, tuple[TraceStep, ...]]], file: Any, *, content: Content = "off"
) -> int:
    """Writes traces as Parquet, a row a span; how many traces there were.

    Args:
        traces: such as `recorded` gives.
        file: a path, or a binary file that is open for writing.
        content: how much of what was said goes out.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("Parquet", extra="parquet") from None
    name = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        [
            *[(c, pa.string()) for c in ("trace_id", "run_id", "span_id", "parent_span_id")],
            *[
                (c, name)
                for c in ("source", "trace_status", "kind", "name", "agent", "agent_version", "provider", "model")
            ],
            ("thread_id", pa.string()),
            ("start", pa.timestamp("us", tz="UTC")),
            ("duration_ms", pa.float64()),
            ("error_type", name),
            ("error", pa.string()),
            *[(c, pa.int64()) for c in _TOKENS],
            ("cost_usd", pa.decimal128(18, 9)),
            ("attributes", pa.string()),
        ]
    )
    count = 0
    rows: list[dict[str, Any]] = []
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        async for header, steps in traces:
            count += 1
            for step in steps:
                rows.append(_row(header, step, content))
                if len(rows) >= _GROUP:
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                    rows = []
        if rows or not count:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return count


_TOKENS: Final = (
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "total_tokens",
)


def _row(header: TraceRecord, step: TraceStep, content: Content) -> dict[str, Any]:
    known = (
        step.attributes if content == "full" else {k: v for k, v in step.attributes.items() if not _hidden(k, content)}
    )
    if content == "off" and "notes" in known:
        known = {**known, "notes": [{k: v for k, v in n.items() if k not in _SAID} for n in known["notes"]]}
    cost = price_of(known.get("cost_usd"))
    return {
        "trace_id": header.trace_id,
        "run_id": step.run_id or header.run_id,
        "span_id": step.span_id,
        "parent_span_id": step.parent_span_id,
        "source": header.source,
        "trace_status": header.status,
        "kind": step.kind,
        "name": step.name,
        "agent": step.agent,
        "agent_version": header.agent_version,
        "provider": known.get("provider"),
        "model": known.get("response_model") or known.get("model"),
        "thread_id": header.thread_id,
        "start": round(step.start * 1e6),
        "duration_ms": step.duration_ms,
        "error_type": step.error_type,
        "error": step.error if content != "off" else None,
        **{field: known.get(field) for field in _TOKENS},
        "cost_usd": cost.quantize(_NANO) if cost is not None else None,
        "attributes": _encode(known).decode(),
    }


_NANO: Final = Decimal("1e-9")
