"""What telemetry costs and how quickly it answers: CPU a span, spans a second of CPU, questions to a million spans."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contenders.base import PROMPT
from benchmarks.keeping import in_turn, stamped
from benchmarks.measuring import Figures, cpu_s, rss_mb
from lumosai import Scope
from lumosai.records import Usage
from lumosai.rollups import Cell, Series
from lumosai.spans import KIND, PLACES
from lumosai.storage import SqliteStorage
from lumosai.telemetry import Telemetry
from lumosai.telemetry.recorder import Recorder
from lumosai.traces import Counted, Recorded, SpanRow, TraceRecord, TraceStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.contenders.base import Contender
    from lumosai.events import Event

AGENTS, DAYS, A_TRACE = 20, 7, 10
_LONG = 10_000


async def observed(contender: Contender, runs: int) -> Figures:
    """The seed's run with telemetry stored in SQLite, and without: CPU a span, and what share of the run that is.

    And the very rows that were stored, put into an empty database by hand: what of it no recorder could do without.
    """
    with tempfile.TemporaryDirectory(prefix="lumosai-bench-") as folder:
        telemetry = Telemetry(Path(folder) / "ours.db")
        without: Any = contender.agent("calc")
        watched = without.replace(observers=[telemetry])
        await watched.generate(PROMPT)
        await telemetry.flush()
        spans = (await telemetry.traces()).items[0].spans
        block = max(5, runs // 12)

        async def alone() -> None:
            await without.generate(PROMPT)

        left = block

        async def on() -> None:
            nonlocal left
            await watched.generate(PROMPT)
            left -= 1
            if not left:  # what a block recorded is stored within its time
                left = block
                await telemetry.flush()

        base, recorded = await in_turn([alone, on], runs)
        await telemetry.close()
        bare = min([_rows_by_hand(Path(folder) / "ours.db", Path(folder) / f"bare{n}.db") for n in range(3)])
    added = (recorded - base) * 1e3
    return {
        "span_us": added / spans,
        "share": added / 1e3 / base,
        "spans": spans,
        "bare_us": bare / spans,
        "bare_share": bare / 1e3 / base,
    }


_AT_ONCE = 80
"""Runs of one transaction: about what 50 ms hold."""


def _rows_by_hand(source: Path, target: Path) -> float:
    """Microseconds of CPU that the rows of one trace take, made already, in the same tables and transactions of 80 traces."""
    with contextlib.closing(sqlite3.connect(source)) as db:
        schema = [
            row[0]
            for row in db.execute("SELECT sql FROM sqlite_master WHERE tbl_name IN (?, ?, ?) AND sql > ''", _TABLES)
        ]
        traces, spans, sums = [db.execute(f"SELECT * FROM {t} ORDER BY rowid").fetchall() for t in _TABLES]
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        for statement in schema:
            db.execute(statement)
        put = [
            f"INSERT INTO {t} VALUES ({', '.join('?' * len(rows[0]))})"
            for t, rows in zip(_TABLES, (traces, spans, sums), strict=True)
        ]
        cpu = cpu_s()
        for start in range(0, len(traces), _AT_ONCE):
            share = len(sums) * start // len(traces), len(sums) * (start + _AT_ONCE) // len(traces)
            db.execute("BEGIN IMMEDIATE")
            db.executemany(put[0], traces[start : start + _AT_ONCE])
            db.executemany(put[1], spans[start : start + _AT_ONCE])
            db.executemany(put[2], sums[slice(*share)])
            db.execute("COMMIT")
        return (cpu_s() - cpu) * 1e6 / len(traces)


_TABLES = ("traces", "packed_spans", "sums")


async def delays(contender: Contender, deltas: int) -> Figures:
    """A stream's deltas while other runs are recorded, some 200 a second, and while they are not: how much later.

    And how much larger the process is once it has recorded them.
    """
    drip: Any = contender.agent(f"drip-{deltas}")
    calc: Any = contender.agent("calc")
    taken: dict[str, list[float]] = {"off": [], "on": []}
    rss: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="lumosai-bench-") as folder:
        telemetry = Telemetry(Path(folder) / "ours.db")
        await calc.replace(observers=[telemetry]).generate(PROMPT)
        await telemetry.flush()
        await _beside(drip, calc)
        for _ in range(4):
            for name, observers in (("off", ()), ("on", (telemetry,))):
                taken[name] += await _beside(drip.replace(observers=observers), calc.replace(observers=observers))
                rss.setdefault(name, rss_mb())
                rss["end"] = rss_mb()
        await telemetry.close()
    figures: Figures = {"more_rss_mb": rss["end"] - rss["off"]}
    for name, later in taken.items():
        later.sort()
        figures |= {
            f"{name}_p50_ms": later[len(later) // 2] / 1e3,
            f"{name}_p99_ms": later[len(later) * 99 // 100] / 1e3,
        }
    for share in ("p50", "p99"):
        figures[f"later_{share}_ms"] = figures[f"on_{share}_ms"] - figures[f"off_{share}_ms"]
    return figures


async def _beside(drip: Any, calc: Any) -> list[float]:
    """Microseconds that each delta took, while other runs go on."""
    going = True

    async def others() -> None:
        while going:
            await calc.generate(PROMPT)
            await asyncio.sleep(0.01)

    tasks = [asyncio.ensure_future(others()) for _ in range(3)]
    taken = await stamped(drip, "")
    going = False
    await asyncio.gather(*tasks)
    return taken


async def spans(contender: Contender, count: int) -> Figures:
    """Spans recorded and stored a second of CPU, from the events of one run again and again; and by hand in sqlite3."""
    seen: list[Event] = []
    agent: Any = contender.agent("calc")
    await agent.replace(observers=[seen.append]).generate(PROMPT)
    with tempfile.TemporaryDirectory(prefix="lumosai-bench-") as folder:
        async with SqliteStorage(Path(folder) / "ours.db") as storage:
            recorder = Recorder(storage)
            made = 0
            recorder.add(seen[0])
            await recorder.flush()
            runs = [_again(seen, n) for n in range(max(1, count // 6))]
            cpu = cpu_s()
            for at, events in enumerate(runs):
                for event in events:
                    recorder.add(event)
                made += 6
                if at % 200 == 0:
                    await recorder.flush()
            await recorder.flush()
            took = cpu_s() - cpu
            await recorder.close()
        bare = _by_hand(Path(folder) / "bare.db", made)
    return {"spans_per_cpu_s": made / took, "bare_spans_per_cpu_s": made / bare, "times": took / bare}


def _again(events: list[Event], number: int) -> list[Event]:
    """The same events, of another run."""
    import msgspec

    name = f"01900000-0000-7000-8000-{number:012x}"
    return [msgspec.structs.replace(e, run_id=name, root_id=name) for e in events]


def _by_hand(path: Path, count: int) -> float:
    """CPU seconds of the same rows, written by hand in the same transactions."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(
            "CREATE TABLE spans (trace INTEGER, number INTEGER, id BLOB, parent BLOB, kind INTEGER, name INTEGER, "
            "start INTEGER, took INTEGER, data BLOB, PRIMARY KEY (trace, number)) WITHOUT ROWID"
        )
        attributes = {
            "provider": "openai",
            "model": "m",
            "input_tokens": 12,
            "output_tokens": 7,
            "step": 0,
            "attempt": 1,
        }
        cpu = cpu_s()
        for start in range(0, count, 256):
            rows = [
                (n // 6, n % 6, n.to_bytes(8), b"parent!!", 1, 2, n * 10, 5, json.dumps(attributes).encode())
                for n in range(start, min(start + 256, count))
            ]
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            db.execute("COMMIT")
        return cpu_s() - cpu


async def questions(total: int) -> Figures:
    """Questions to a store of so many spans: milliseconds, the middle of several."""
    figures: Figures = {}
    now = time.time()
    with tempfile.TemporaryDirectory(prefix="lumosai-bench-") as folder:
        async with SqliteStorage(Path(folder) / "ours.db") as storage:
            await _fill(storage, total, now)
            telemetry = Telemetry(storage)
            week = DAYS * 86_400.0
            ids = [t.run_id for t in (await telemetry.traces(limit=20)).items]

            async def p95_of_one() -> None:
                assert (await telemetry.get_performance_stats("agent 3", week)).p95_ms is not None

            async def p95_of_all() -> None:
                assert len(await telemetry.stats(window=week, by="agent")) == AGENTS

            async def lists() -> None:
                assert len((await telemetry.traces("agent 3", status="ok", limit=50)).items) == 50

            async def one() -> None:
                found = await telemetry.trace(ids[3])
                assert found is not None
                assert len(found.steps) == A_TRACE

            async def long() -> None:
                found = await telemetry.trace("long")
                assert found is not None
                assert len(found.steps) == _LONG

            for name, job, times in (
                ("p95_of_one_ms", p95_of_one, 5),
                ("p95_of_20_ms", p95_of_all, 3),
                ("list_ms", lists, 9),
                ("trace_ms", one, 15),
                ("long_trace_ms", long, 3),
            ):
                figures[name] = await _middle(job, times)
    return figures


async def _middle(job: Any, times: int) -> float:
    await job()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await job()
        took.append((time.perf_counter() - began) * 1e3)
    return sorted(took)[len(took) // 2]


async def _fill(storage: SqliteStorage, total: int, now: float) -> None:
    """Traces of a week, their spans, and what they were counted to."""
    draw = random.Random(1)
    store = storage.telemetry
    pending: list[Recorded] = []
    for number in range(total // A_TRACE):
        started = now - draw.random() * DAYS * 86_400
        pending.append(_trace(f"r{number}", f"agent {number % AGENTS}", started, A_TRACE, draw))
        if len(pending) == 25:
            await store.record(pending)
            pending = []
    await store.record([*pending, _trace("long", "agent 3", now - 60, _LONG, draw)])
    while await store.put_together():
        pass


def _trace(run_id: str, agent: str, started: float, count: int, draw: random.Random) -> Recorded:
    steps = [*_steps(run_id, agent, started, count, draw)]
    cells: dict[Series, Cell] = {}
    for step in steps:
        if step.kind in ("run", "model_call", "tool_call"):
            cell = cells.setdefault(Series(step.kind, agent, step.name, "v1"), Cell())
            cell.duration.add(step.duration_ms or 0.0)
    minute = int(started // 60 * 60)
    return Recorded(
        scope=Scope(),
        header=TraceRecord(
            run_id=run_id,
            trace_id=f"{draw.getrandbits(128):032x}",
            agent_id=agent,
            status="ok",
            started_at=started,
            duration_ms=steps[0].duration_ms,
            spans=count,
            usage=Usage(100, 20, 0, 0, 0, 120),
        ),
        rows=tuple([_row(n, s) for n, s in enumerate(steps)]),
        before=0,
        counted=tuple([Counted(minute, series, cell) for series, cell in cells.items()]),
        names=frozenset({"model", "tool"}),
    )


def _row(number: int, step: TraceStep) -> SpanRow:
    """A span as the recorder gives it."""
    values = [step.attributes.get(name) for name in PLACES.get(step.kind, ())]
    return SpanRow(
        number,
        KIND[step.kind],
        step.span_id,
        None,
        step.name,
        step.agent,
        None,
        round(step.start * 1e6),
        round((step.duration_ms or 0.0) * 1e3),
        None,
        None,
        values,
        {"n": number},
    )


def _steps(run_id: str, agent: str, started: float, count: int, draw: random.Random) -> Iterator[TraceStep]:
    kinds = ("run", "step", "model_call", "tool_call")
    for n in range(count):
        kind: Any = kinds[n] if n < 4 else draw.choice(kinds[1:])
        yield TraceStep(
            span_id=f"{draw.getrandbits(64):016x}",
            kind=kind,
            name=agent if kind == "run" else "model" if kind == "model_call" else "tool",
            start=started + n / 100,
            duration_ms=draw.lognormvariate(5, 1),
            run_id=run_id,
            agent=agent,
            attributes={"provider": "openai", "model": "m", "input_tokens": 12, "output_tokens": 7, "step": n},
        )
