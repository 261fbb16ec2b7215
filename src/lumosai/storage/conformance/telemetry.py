"""Traces and measurements: what is recorded is read back, summed up, and seen by its own scope only."""

from __future__ import annotations

import asyncio
import random
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from lumosai.errors import ConflictError, InvalidInputError
from lumosai.records import Retention, Scope, Usage
from lumosai.rollups import Cell, Series
from lumosai.spans import KIND
from lumosai.storage._recording import TIERS
from lumosai.storage.base import Batch, RunRecord
from lumosai.storage.conformance._expect import refused
from lumosai.traces import Arriving, Counted, Numbered, Pieces, Recorded, SpanRow, TraceFilter, TraceRecord, TraceStep

if TYPE_CHECKING:
    from lumosai.storage.base import Storage
    from lumosai.storage.conformance._expect import Check

_AT: Final = 1_700_000_000.25


def _step(number: int, **changes: Any) -> TraceStep:
    given: dict[str, Any] = {
        "span_id": f"{number + 1:016x}",
        "parent_span_id": f"{number:016x}" if number else None,
        "kind": "tool_call" if number else "run",
        "name": f"tool{number}" if number else "helper",
        "start": _AT + number,
        "duration_ms": 12.5,
        "run_id": "r",
        "agent": "helper",
        "attributes": {"n": number, "text": "Grüße, 世界"},
    }
    return TraceStep(**given | changes)


def _recorded(run_id: str = "r", *, steps: int = 3, scope: Scope | None = None, **header: Any) -> Recorded:
    spans = [Numbered(n, 0, _step(n, run_id=run_id)) for n in range(steps)]
    known: dict[str, Any] = {
        "agent_id": "helper",
        "trace_id": "ab" * 16,
        "started_at": _AT,
        "status": "ok",
        "spans": steps,
    }
    return Recorded(
        scope=scope or Scope(),
        header=TraceRecord(run_id=run_id, **known | header),
        spans=tuple(spans),
        names=frozenset({s.step.name for s in spans[1:]}),
    )


async def a_trace_is_read_as_it_was_recorded(storage: Storage) -> None:
    """Spans and header come back equal, errors, odd names and spans that go on among them."""
    odd = "weird \x00 name \ud800 " + "x" * 500
    last = _step(3, duration_ms=None, error="it broke: é", error_type="ValueError", name=odd, attributes={})
    header: dict[str, Any] = {
        "duration_ms": 99.5,
        "model": "m",
        "agent_version": "v1",
        "thread_id": "t",
        "resource_id": "ann",
        "finish_reason": "stop",
        "model_calls": 2,
        "tool_calls": 3,
        "errors": 1,
        "dropped": 4,
        "usage": Usage(1, 2, 3, 4, 5, 6),
        "cost_usd": Decimal("0.000123456"),
        "error": "no",
        "error_type": "ModelError",
    }
    given = _recorded(**header)
    await storage.telemetry.record(
        [Recorded(scope=given.scope, header=given.header, spans=(*given.spans, Numbered(3, 0, last)))]
    )
    mine = storage.telemetry.scope(Scope())
    ((told, steps),) = await mine.trace("r")
    assert told == given.header
    assert steps[:3] == tuple([s.step for s in given.spans])
    assert (steps[3].error, steps[3].error_type, steps[3].duration_ms) == (last.error, "ValueError", None)
    assert len(steps[3].name) == 200
    assert (await mine.traces()).items == (given.header,)
    assert [t.run_id for t, _ in await mine.trace("ab" * 16)] == ["r"]
    assert await mine.trace("nowhere") == ()


async def spans_of_runs_come_as_rows(storage: Storage) -> None:
    """Many traces at once, each a part at a time: all is read back, in order, and whoever knows less stores nothing."""

    def row(run_id: str, number: int) -> SpanRow:
        return SpanRow(
            number,
            KIND["model_call" if number else "run"],
            f"{number + 1:016x}",
            f"{number:016x}" if number else None,
            "m" if number else "helper",
            "helper",
            None,
            round(_AT * 1e6) + number,
            1500 + number,
            None,
            None,
            ("answer", "openai", run_id) if number else (run_id,),
            {"notes": ["世界", 2**70, None]} if number == 2 else None,
        )

    def part(run_id: str, numbers: range, before: int) -> Recorded:
        header = TraceRecord(run_id=run_id, trace_id="cd" * 16, agent_id="helper", spans=before + len(numbers))
        rows = tuple([row(run_id, n) for n in numbers])
        names = frozenset({"x", "y" if run_id == "r1" else "z"} if before == 0 else {"x"})
        return Recorded(scope=Scope(), header=header, rows=rows, before=before, names=names)

    runs = [f"r{n}" for n in range(70)]
    await storage.telemetry.record([part(r, range(1, 3), 0) for r in runs])
    half = await storage.telemetry.scope(Scope()).trace("r7")
    assert half[0][1][0].attributes == {"purpose": "answer", "provider": "openai", "model": "r7"}
    assert await storage.telemetry.stored(Scope(), "r7") == {1, 2}
    odd = row("r69", 0)._replace(name="half \ud800", error="no\0", error_type="E", run_id="other")
    last = part("r69", range(1), 2)
    await storage.telemetry.record([*[part(r, range(1), 2) for r in runs[:-1]], replace(last, rows=(odd,))])
    for before in (0, 2, 4):
        await refused(ConflictError, storage.telemetry.record([part("new", range(1), 0), part("r7", range(1), before)]))
    assert await storage.telemetry.scope(Scope()).trace("new") == ()
    found = {line.run_id: steps for line, steps in await storage.telemetry.scope(Scope()).trace("cd" * 16)}
    assert sorted(found) == sorted(runs)
    steps = found["r7"]
    assert [(s.kind, s.name, s.run_id) for s in steps] == [
        ("run", "helper", "r7"),
        ("model_call", "m", "r7"),
        ("model_call", "m", "r7"),
    ]
    assert [(s.start, s.duration_ms) for s in steps[:2]] == [(_AT, 1.5), (_AT + 1e-6, 1.501)]
    assert (steps[0].attributes, steps[1].parent_span_id) == ({"model": "r7"}, steps[0].span_id)
    assert steps[2].attributes.keys() == {"unreadable"}, "a number that no database holds"
    told = found["r69"][0]
    assert (told.name, told.error, told.error_type, told.run_id) == ("half \ufffd", "no\0", "E", "other")
    for tool, count in (("x", 70), ("y", 1), ("z", 69), ("r69", 0)):
        page = await storage.telemetry.scope(Scope()).traces(TraceFilter(tool=tool), limit=100)
        assert len(page.items) == count, tool
    assert (await storage.system().info(check=True)).problems == ()
    ids = [f"{n:016x}" for n in (1, 9)]
    assert (await storage.telemetry.arriving(Scope(), {"x": ("cd" * 16, ids)}))["x"].elsewhere == {f"{1:016x}"}


async def what_is_recorded_twice_is_there_once(storage: Storage) -> None:
    """A trace is recorded in pieces; what comes again is brought up to date."""
    first, second = _recorded(status="running", steps=2), _recorded(steps=3, errors=1)
    await storage.telemetry.record([first])
    assert await storage.telemetry.stored(Scope(), "r") == {0, 1}
    await storage.telemetry.record([second, second])
    mine = storage.telemetry.scope(Scope())
    ((told, steps),) = await mine.trace("r")
    assert told == second.header
    assert len(steps) == 3
    assert await storage.telemetry.stored(Scope(), "r") == {0, 1, 2}


async def what_belongs_to_no_trace_is_counted_too(storage: Storage) -> None:
    """Sums without a trace are stored for their tenant, and merge with those that are there."""
    for value in (1.0, 3.0):
        cell = Cell()
        cell.duration.add(value)
        await storage.telemetry.count(Scope(), [Counted(120, Series("resource", "", "threads", ""), cell)])
    ((at, series, found),) = await storage.telemetry.scope(Scope()).measured(("resource",), (100.0, 200.0))
    assert (at, series.name, found.count, found.duration.greatest) == (120, "threads", 2, 3.0)
    assert await storage.telemetry.scope(Scope("other")).measured(("resource",), (100.0, 200.0)) == ()


async def spans_that_another_process_stored_are_not_counted_again(storage: Storage) -> None:
    """Who thinks that less is stored of a trace than there is, or more, is told so, and stores nothing."""
    given = _recorded(steps=2)
    cell = Cell()
    cell.duration.add(5)
    counted = (Counted(1_700_000_040, Series("run", "helper"), cell),)

    def thinking(before: int, spans: int) -> Recorded:
        header = replace(given.header, spans=spans)
        return Recorded(scope=given.scope, header=header, spans=given.spans, counted=counted, before=before)

    await storage.telemetry.record([thinking(0, 2)])
    for before in (0, 1, 3):
        await refused(ConflictError, storage.telemetry.record([thinking(before, 3)]))
    await storage.telemetry.record([thinking(2, 4)])
    both = await asyncio.gather(*[storage.telemetry.record([thinking(4, 5)]) for _ in range(2)], return_exceptions=True)
    assert sorted(type(r).__name__ for r in both) == ["ConflictError", "NoneType"]
    handle = storage.telemetry.scope(Scope())
    (told,) = await handle.measured(["run"], (1_700_000_000.0, 1_700_000_100.0))
    assert told.cell.count == 3
    assert (await handle.traces()).items[0].spans == 5


async def a_trace_may_come_in_pieces(storage: Storage) -> None:
    """What is stored of it is told before more is; who does not know of it stores nothing; its beginning may move."""
    trace_id, scope = "ab" * 16, Scope()

    def piece(number: int, start: float, state: str, before: str | None, **changes: Any) -> Recorded:
        step = _step(number, start=start, run_id="", **changes)
        header = TraceRecord(run_id=trace_id, trace_id=trace_id, started_at=start, spans=number + 1, source="shop")
        pieces = Pieces(base_us=1_700_000_000_000_000, state=state, before=before)
        spelled: frozenset[str] = frozenset({step.name} if number else ())
        return Recorded(scope=scope, header=header, spans=(Numbered(number, -1, step),), pieces=pieces, spelled=spelled)

    async def there() -> Arriving:
        ids = [f"{n:016x}" for n in (1, 2, 3)]
        return (await storage.telemetry.arriving(scope, {trace_id: (trace_id, ids)}))[trace_id]

    assert await there() == Arriving()
    await storage.telemetry.record([piece(0, _AT, "one", None, duration_ms=None)])
    told = await there()
    assert (told.pieces, dict(told.spans)) == (
        Pieces(base_us=1_700_000_000_000_000, state="one", before="one"),
        {f"{1:016x}": (0, False)},
    )
    for before in (None, "zero"):
        await refused(ConflictError, storage.telemetry.record([piece(1, _AT - 5, "two", before)]))
    await storage.telemetry.record([piece(1, _AT - 5, "two", "one", name="GET /1", parent_span_id=None)])
    told = await there()
    assert told.header is not None
    assert (told.header.spans, told.header.started_at, told.header.source) == (2, _AT - 5, "shop")
    ((_, steps),) = await storage.telemetry.scope(scope).trace(trace_id)
    assert [(s.name, s.start, s.run_id) for s in steps] == [("GET /1", _AT - 5, ""), ("helper", _AT, "")]
    await storage.telemetry.record([_recorded(trace_id=trace_id)])
    assert (await there()).elsewhere == {f"{n:016x}" for n in (1, 2, 3)}
    assert len(await storage.telemetry.scope(scope).trace(trace_id)) == 2


async def traces_are_found_by_what_they_are(storage: Storage) -> None:
    """Each filter, alone and together, and pages that neither repeat nor leave out."""
    await storage.telemetry.record(
        [
            _recorded(
                f"r{n}",
                steps=1 + n % 3,
                started_at=_AT + n // 2,
                duration_ms=n * 10.0,
                status="error" if n % 5 == 0 else "ok",
                agent_id="odd" if n % 2 else "even",
                cost_usd=Decimal(n) / 100 if n % 4 else None,
                thread_id=f"t{n % 3}",
                error="Boom 100%" if n % 5 == 0 else None,
            )
            for n in range(30)
        ]
    )
    mine = storage.telemetry.scope(Scope())

    async def found(**wanted: Any) -> list[int]:
        page = await mine.traces(TraceFilter(**wanted), limit=1000)
        return sorted(int(t.run_id[1:]) for t in page.items)

    assert await found() == list(range(30))
    assert await found(agent="odd") == list(range(1, 30, 2))
    assert await found(agent="nobody") == []
    assert await found(tool="tool2") == list(range(2, 30, 3))
    assert await found(status="error") == list(range(0, 30, 5))
    assert await found(thread="t1", agent="even") == [4, 10, 16, 22, 28]
    assert await found(min_duration_ms=250) == list(range(25, 30))
    assert await found(min_cost=0.26) == [26, 27, 29]
    assert await found(since=_AT + 10, until=_AT + 12) == [20, 21, 22, 23]
    assert await found(text="oom 100%") == list(range(0, 30, 5))
    assert await found(text="o_m") == []
    assert await found(text="ODD") == list(range(1, 30, 2))
    seen: list[str] = []
    cursor = None
    while True:
        page = await mine.traces(limit=7, cursor=cursor)
        seen += [t.run_id for t in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 30
    assert [int(name[1:]) // 2 for name in seen] == [n // 2 for n in range(29, -1, -1)]
    await refused(InvalidInputError, mine.traces(limit=0))
    await refused(InvalidInputError, mine.traces(cursor="x"))


async def no_trace_or_sum_is_seen_outside_its_scope(storage: Storage) -> None:
    """Tenants and owners see their own, and may use the same ids."""
    alice, bob, other = Scope("one", "alice"), Scope("one", "bob"), Scope("two")
    cell = Cell()
    cell.duration.add(5)
    counted = (Counted(1_700_000_040, Series("run", "helper"), cell),)
    for scope in (alice, other):
        given = _recorded(scope=scope, owner=scope.owner)
        await storage.telemetry.record([Recorded(scope=scope, header=given.header, spans=given.spans, counted=counted)])
    window = (1_700_000_000.0, 1_700_000_100.0)
    for scope, count in ((alice, 1), (bob, 0), (Scope("one"), 1), (other, 1), (Scope("two", "x"), 0), (Scope(), 0)):
        handle = storage.telemetry.scope(scope)
        assert len((await handle.traces()).items) == count
        assert len((await handle.traces(TraceFilter(text="help"))).items) == count
        assert len(await handle.trace("r")) == count
        assert len(await handle.trace("ab" * 16)) == count
        assert bool(await storage.telemetry.stored(scope, "r")) == bool(count)
        if scope.owner is None:
            assert len(await handle.measured(["run"], window)) == count
        else:
            await refused(InvalidInputError, handle.measured(["run"], window))


async def sums_stay_what_they_are_as_minutes_become_days(storage: Storage) -> None:
    """Whatever is put together when, by how many at once, and however late it is stored: each answer counts each once."""
    draw = random.Random(11)  # noqa: S311  # numbers to add up
    now = time.time()
    today = now // TIERS[2] * TIERS[2]
    taken: list[tuple[int, Series, float]] = []

    async def measure(count: int, oldest_s: float) -> None:
        counted = []
        for _ in range(count):
            at = int((now - draw.random() * oldest_s) // 60 * 60)
            series = Series(draw.choice(["run", "tool_call"]), draw.choice("ab"), draw.choice("xy"), "v")
            cell = Cell()
            value = draw.lognormvariate(3, 1)
            cell.duration.add(value)
            cell.errors = 1
            cell.spend(Usage(1, 2), Decimal("0.5"))
            counted.append(Counted(at, series, cell))
            taken.append((at, series, value))
        given = _recorded(f"r{len(taken)}")
        await storage.telemetry.record([Recorded(scope=Scope(), header=given.header, counted=tuple(counted))])

    async def right() -> None:
        handle = storage.telemetry.scope(Scope())
        for tier, length in enumerate(TIERS):
            since = today - 4 * TIERS[2]
            told = await handle.measured(["run", "tool_call"], (since, now + 1), tier=tier)
            wanted: dict[tuple[int, Series], int] = {}
            for at, series, _ in taken:
                if at >= since:
                    place = (at // length * length, series)
                    wanted[place] = wanted.get(place, 0) + 1
            assert {(c.at, c.series): c.cell.count for c in told} == wanted
            assert all(c.cell.errors == c.cell.count == c.cell.usage.input_tokens for c in told)
        some = await handle.measured(["run"], (0.0, now + 1), tier=2, names={"agent": "a", "name": "x"})
        mine = [value for _, series, value in taken if series[:3] == ("run", "a", "x")]
        assert sum(c.cell.count for c in some) == len(mine)

    for oldest_s in (600.0, 90_000.0, 3 * 86_400.0, 7_200.0):
        await measure(60, oldest_s)
        await right()
        await asyncio.gather(*[storage.telemetry.put_together() for _ in range(3)])
        await right()
    while any(await asyncio.gather(*[storage.telemetry.put_together() for _ in range(2)])):
        pass
    await right()


async def traces_go_by_their_age_and_with_whom_they_are_about(storage: Storage) -> None:
    """An old trace goes whole, but for one whose run may go on; an erasure takes those of a resource, its threads and runs."""
    mine = storage.scope(Scope())
    await mine.create_thread("t", resource_id="eve")
    await mine.open_run(RunRecord(id="goes on"), Batch(first=1, last=1, data=b"1"))
    lease = await mine.open_run(RunRecord(id="of eve", resource_id="eve"), Batch(first=1, last=1, data=b"1"))
    await mine.let_go(lease)
    now: dict[str, Any] = {"started_at": time.time()}
    told = [
        _recorded("old"),
        _recorded("goes on"),
        _recorded("of her", resource_id="eve", **now),
        _recorded("on her thread", thread_id="t", **now),
        _recorded("of eve", **now),
        _recorded("another", resource_id="ann", **now),
    ]
    await storage.telemetry.record(told)
    assert (await storage.system().collect(Retention(), pause_s=0)).traces == 1
    erased = await storage.system().erase("eve")
    assert (erased.runs, erased.traces, erased.threads) == (1, 3, 1)
    page = await storage.telemetry.scope(Scope()).traces(TraceFilter())
    assert sorted(t.run_id for t in page.items) == ["another", "goes on"]
    kinds = {k.name: k.rows for k in (await storage.system().info(check=True)).kinds}
    await storage.system().collect(Retention(telemetry_days=1e-12), pause_s=0)
    left = {k.name: k.rows for k in (await storage.system().info(check=True)).kinds}
    assert left["telemetry"] < kinds["telemetry"]
    assert (await storage.system().info(check=True)).problems == ()


CHECKS: Final[tuple[Check, ...]] = (
    a_trace_is_read_as_it_was_recorded,
    spans_of_runs_come_as_rows,
    what_is_recorded_twice_is_there_once,
    what_belongs_to_no_trace_is_counted_too,
    spans_that_another_process_stored_are_not_counted_again,
    a_trace_may_come_in_pieces,
    traces_are_found_by_what_they_are,
    no_trace_or_sum_is_seen_outside_its_scope,
    sums_stay_what_they_are_as_minutes_become_days,
    traces_go_by_their_age_and_with_whom_they_are_about,
)
