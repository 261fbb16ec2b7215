"""`Telemetry`: an observer that records runs, and the queries over what was recorded."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Self

from lumosai.errors import InvalidInputError, NotFoundError
from lumosai.events import MemoryRecalled, from_json
from lumosai.ids import new_id, new_trace_id
from lumosai.records import Scope
from lumosai.rollups import Cell, Series
from lumosai.storage.base import open_storage
from lumosai.telemetry._rebuild import rebuild
from lumosai.telemetry._told import Counts, header_of, joined, may_see
from lumosai.telemetry.compare import compare
from lumosai.telemetry.metrics import MINUTE, stats_of
from lumosai.telemetry.recorder import Recorder
from lumosai.telemetry.resources import use_of
from lumosai.telemetry.series import POINTS, grouped, of_process, series
from lumosai.telemetry.window import MODELS, RUNS, measured
from lumosai.traces import Counted, ExecutionTrace, Numbered, Recorded, TraceFilter, TraceRecord

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from lumosai.events import EmbeddingCall, Event
    from lumosai.rollups import SeriesKind
    from lumosai.storage.base import Page, Storage
    from lumosai.telemetry.compare import Comparison, Slice
    from lumosai.telemetry.metrics import MetricsCollector
    from lumosai.telemetry.resources import ResourceUse
    from lumosai.telemetry.series import Grouping, MetricName, MetricSeries
    from lumosai.telemetry.trace import Content
    from lumosai.traces import AgentMetrics, PerformanceStats, TraceStatus

_FIRST = 50
"""Batches of events among which the plan of a run is."""
_RECALLED = b'"memory_recalled"'


class Telemetry:
    """Records the runs of the agents that it observes, and answers what was recorded.

        telemetry = Telemetry("sqlite:///lumosai.db")
        agent = Agent("assistant", observers=[telemetry])

    Agents that ask one another may each have one: what records into one database records a tree of runs once.

    Recording takes microseconds of a run's time; storing happens in the background, within 50 ms. `flush` waits for it;
    at the program's end it is done by itself. Nothing leaves the machine.

    Args:
        storage: a URL, a path or a `Storage`; None keeps nothing and only tells the `collectors`.
        content: how much of what was said the spans tell: "off" nothing, not even an error's words; "metadata" sizes,
            ids and errors; "full" all of it, which makes the database as large as what was said. What looks like a
            secret is left out in any case.
        collectors: are told of each run, tool call and memory operation as it ends.
        scope: whose measurements the queries are about, where they do not say.
        clock: gives unix seconds; where a window ends that does not say so.

    Raises:
        ConfigurationError: no storage has such a URL.
    """

    def __init__(
        self,
        storage: str | os.PathLike[str] | Storage | None = None,
        *,
        content: Content = "metadata",
        collectors: Sequence[MetricsCollector] = (),
        scope: Scope | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if content not in ("off", "metadata", "full"):
            raise InvalidInputError(f"content={content!r}: it is 'off', 'metadata' or 'full'")
        self._storage = _opened(storage)
        self._own = self._storage is not storage
        self._scope = scope or Scope()
        self._content: Content = content
        self._same = None if self._storage is None or collectors else (self._storage.identity, content)
        self._clock = clock
        self._recorder = Recorder(self._storage, content=content, collectors=collectors)

    def __repr__(self) -> str:
        where = self._storage.url if self._storage is not None else "nowhere"
        return f"<Telemetry to {where}>"

    def __eq__(self, other: object) -> bool:
        """Whether both record into one database: a tree of runs is then recorded by its root's alone."""
        if not isinstance(other, Telemetry):
            return NotImplemented
        return self is other or (self._same is not None and self._same == other._same)

    def __hash__(self) -> int:
        return hash(self._same) if self._same is not None else id(self)

    def __call__(self, event: Event) -> None:
        """Takes a run's next event; what makes it an observer."""
        self._recorder.add(event)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    deltas = False
    """It has no use for deltas, so no answer is streamed for its sake."""

    measured = True
    """What it costs is known: where it seems slow the machine is busy, and nobody is warned."""

    @property
    def storage(self) -> Storage:
        """Where it records to.

        Raises:
            InvalidInputError: it keeps nothing.
        """
        return self._kept()

    @property
    def scope(self) -> Scope:
        """Whose measurements its queries are about."""
        return self._scope

    @property
    def content(self) -> Content:
        """How much of what was said the spans tell."""
        return self._content

    @property
    def dropped(self) -> int:
        """Spans that were not recorded, since there was more to do than time for it."""
        return self._recorder.dropped

    def embedded(self, call: EmbeddingCall, trace_id: str, scope: Scope) -> None:
        """Takes an embedding call of no run, such as those that index messages."""
        self._recorder.embedded(call, trace_id, scope)

    async def flush(self) -> None:
        """Waits until all that has ended is stored.

        Raises:
            StorageError: it cannot be.
        """
        await self._recorder.flush()

    async def close(self) -> None:
        """Stores what waits, and closes the storage where it was opened here. It may be used again."""
        await self._recorder.close()
        if self._own and self._storage is not None:
            await self._storage.close()

    async def traces(
        self,
        agent: str = "",
        model: str = "",
        tool: str = "",
        status: TraceStatus | None = None,
        *,
        thread: str = "",
        text: str = "",
        min_duration_ms: float | None = None,
        min_cost: float | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 50,
        cursor: str | None = None,
        scope: Scope | None = None,
    ) -> Page[TraceRecord]:
        """Traces, the one that began last first; those that go on are among them.

        Args:
            agent: the root's agent.
            model: asked somewhere in it.
            tool: called somewhere in it.
            status: how it stands.
            thread: its thread.
            text: stands in an error, an id or a name of it; see `TraceFilter`.
            min_duration_ms: it took at least as long.
            min_cost: it cost at least as much, in US dollars.
            since: it began at or after, unix seconds.
            until: it began before.
            limit: how many, 1 to 1,000.
            cursor: of the page before.
            scope: whose.

        Raises:
            InvalidInputError: the limit or the cursor is none.
            StorageError: they cannot be read.
        """
        wanted = TraceFilter(
            agent=agent,
            model=model,
            tool=tool,
            status=status,
            thread=thread,
            text=text,
            min_duration_ms=min_duration_ms,
            min_cost=min_cost,
            since=since,
            until=until,
        )
        handle = self._kept().telemetry.scope(scope or self._scope)
        return await handle.traces(wanted, limit=limit, cursor=cursor)

    async def trace(self, name: str, *, scope: Scope | None = None) -> ExecutionTrace | None:
        """The trace of a run, by its id, or by a trace id, whose runs are then told as one; None where there is none.

        Of a run that goes on in this process it holds everything so far; of one that goes on elsewhere, what has ended.

        Raises:
            StorageError: it cannot be read.
        """
        live = self._recorder.trace(name, scope or self._scope)
        if live is not None:
            return live
        found = await self._kept().telemetry.scope(scope or self._scope).trace(name)
        return joined(found)

    async def plan(self, run_id: str, *, scope: Scope | None = None) -> MemoryRecalled | None:
        """What went into a root run's first prompt, what not, and why; None where its events are not in this database.

        Raises:
            StorageError: they cannot be read.
        """
        try:
            batches = await self._kept().scope(scope or self._scope).events(run_id, limit=_FIRST)
        except NotFoundError:
            return None
        events = (from_json(line) for batch in batches for line in batch.split(b"\n"))
        return next(
            (e for e in events if type(e) is MemoryRecalled and e.operation == "recall" and e.run_id == run_id), None
        )

    async def later_plans(self, run_id: str) -> tuple[MemoryRecalled, ...]:
        """How a root run's later prompts were planned anew, each time that something had to make room.

        Raises:
            StorageError: they cannot be read.
        """
        found: list[MemoryRecalled] = []
        seen = 0
        handle = self._kept().scope(self._scope)
        with contextlib.suppress(NotFoundError):
            while batches := await handle.events(run_id, after=seen, limit=_FIRST):
                lines = [line for batch in batches for line in batch.split(b"\n")]
                told = [from_json(line) for line in lines if _RECALLED in line]
                found += [e for e in told if type(e) is MemoryRecalled and e.operation == "trim" and e.run_id == run_id]
                seen = from_json(lines[-1]).seq
        return tuple(found)

    async def rebuild(self, run_id: str) -> ExecutionTrace | None:
        """Makes the trace of a run anew of its stored events, and stores and counts what of it is not; None where there are none.

        Telemetry does so by itself for runs that have ended and whose process was killed before all was stored, as long as
        their trace had begun to be.

        Raises:
            StorageError: it cannot be read or stored.
        """
        storage = self._kept()
        scope = await storage.telemetry.scope_of(run_id)
        if scope is None or not may_see(self._scope, scope):
            return None
        return await rebuild(storage, scope, run_id, content=self._content)

    async def stats(
        self,
        agent: str | None = None,
        *,
        window: float = 3600.0,
        since: float | None = None,
        until: float | None = None,
        by: Grouping | None = None,
        scope: Scope | None = None,
    ) -> dict[str, PerformanceStats]:
        """How agents did in a window, by agent, model, tool or version; all together under "" where `by` says nothing.

        Args:
            agent: only this one.
            window: seconds before `until`.
            since: unix seconds, in place of `window`.
            until: unix seconds, by default now.
            by: what the answer is divided by.
            scope: whose.

        Raises:
            InvalidInputError: the scope has an owner; the window is empty.
            StorageError: they cannot be read.
        """
        begins, ends = self._window(window, since, until)
        handle = self._kept().telemetry.scope(scope or self._scope)
        kinds = MODELS if by == "model" else RUNS
        counted = await measured(handle, (begins, ends), agent=agent, now=self._clock(), kinds=kinds)
        groups = grouped(counted, by)
        of: SeriesKind = "tool_call" if by == "tool" else "run"
        return {
            name: stats_of(cells, (begins, ends), of=cells[0][0].kind if by == "model" else of)
            for name, cells in sorted(groups.items())
        }

    async def series(
        self,
        metric: MetricName,
        *,
        by: Grouping | None = None,
        step: float = 60.0,
        since: float | None = None,
        until: float | None = None,
        agent: str | None = None,
        scope: Scope | None = None,
    ) -> tuple[MetricSeries, ...]:
        """A metric over time.

        Args:
            metric: which. Of what processes use (`cpu_percent`, `rss_mib`, `loop_lag_p95_ms`, `loop_lag_max_ms`,
                `queued_spans`, `queued_writes`, `open_files`, `threads`) there is one series, whatever the scope; CPU is
                a mean, and what has no share in its name the largest.
            by: a series for each agent, model, tool or version; one of all of them where it says nothing.
            step: seconds between its points, at least 60.
            since: unix seconds, by default 60 steps before `until`.
            until: unix seconds, by default now.
            agent: only this one.
            scope: whose.

        Raises:
            InvalidInputError: there is no such metric; the step is under a minute, or so short that there would be more than
                100,000 points; the scope has an owner.
            StorageError: it cannot be read.
        """
        if step < MINUTE:
            raise InvalidInputError(f"step={step:g}: measurements are kept by the minute, so it is at least {MINUTE}")
        begins, ends = self._window(60 * step, since, until)
        if (ends - begins) / step > POINTS:
            msg = f"{(ends - begins) / step:,.0f} steps of {step:g} s lie between since and until: take fewer than {POINTS:,}"
            raise InvalidInputError(msg)
        handle = self._kept().telemetry.scope(Scope() if of_process(metric) else scope or self._scope)
        return await series(handle, metric, (begins, ends), by=by, step=step, agent=agent, now=self._clock())

    async def resources(
        self, *, window: float = 900.0, since: float | None = None, until: float | None = None
    ) -> dict[str, ResourceUse]:
        """What the processes that record here used while runs went on in them: `cpu_percent` of one core, `rss_mib`,
        `loop_lag_ms` of the event loops that runs go on in, `queued_spans`, `queued_writes`, `open_files`, `threads`.

        It is of all agents and tenants together. What a system does not tell is missing.

        Args:
            window: seconds before `until`.
            since: unix seconds, in place of `window`.
            until: unix seconds, by default now.

        Raises:
            InvalidInputError: the window is empty.
            StorageError: it cannot be read.
        """  # noqa: D205  # one sentence, with what it is of
        handle = self._kept().telemetry.scope(Scope())
        window_ = self._window(window, since, until)
        return use_of(await measured(handle, window_, now=self._clock(), kinds=("resource",)))

    async def compare(self, a: Slice, b: Slice, *, scope: Scope | None = None) -> Comparison:
        """Two windows or two versions beside one another: each difference with how likely it is to be chance.

        Raises:
            InvalidInputError: the scope has an owner.
            StorageError: they cannot be read.
        """
        handle = self._kept().telemetry.scope(scope or self._scope)
        return await compare(handle, a, b, now=self._clock())

    async def save_execution_trace(self, trace: ExecutionTrace, *, scope: Scope | None = None) -> None:
        """Stores a trace that was made elsewhere. One of that run is brought up to date; nothing is counted.

        Raises:
            StorageError: it cannot be stored.
        """
        mine = scope or self._scope
        runs = {s.run_id: n for n, s in enumerate(trace.steps) if s.kind == "run"}
        spans = tuple([Numbered(n, runs.get(s.run_id, -1), s) for n, s in enumerate(trace.steps)])
        header = header_of(trace, Counts().plus(trace.steps), owner=mine.owner)
        names = frozenset([s.name for s in trace.steps if s.kind in ("model_call", "tool_call", "embedding")])
        await self._kept().telemetry.record([Recorded(scope=mine, header=header, spans=spans, names=names)])

    async def get_execution_history(
        self, agent_id: str, limit: int = 50, *, scope: Scope | None = None
    ) -> tuple[ExecutionTrace, ...]:
        """The last traces of an agent, whole, the newest first.

        Raises:
            StorageError: they cannot be read.
        """
        page = await self.traces(agent_id, limit=limit, scope=scope)
        found = [await self.trace(t.run_id, scope=scope) for t in page.items]
        return tuple([t for t in found if t is not None])

    async def save_metrics(self, metrics: AgentMetrics, *, scope: Scope | None = None) -> None:
        """Counts an execution that was measured elsewhere.

        Raises:
            StorageError: it cannot be stored.
        """
        at = metrics.at or self._clock()
        cell = Cell()
        cell.duration.add(metrics.execution_time_ms)
        cell.errors += not metrics.success
        spent = Cell()
        spent.duration.add(metrics.execution_time_ms)
        spent.spend(metrics.token_usage, metrics.cost_usd)
        minute = int(at // MINUTE * MINUTE)
        version = metrics.agent_version
        counted = (
            Counted(minute, Series("run", metrics.agent_id, metrics.model, version), cell),
            Counted(minute, Series("model_call", metrics.agent_id, metrics.model, version), spent),
        )
        header = TraceRecord(
            run_id=metrics.run_id or new_id(),
            trace_id=new_trace_id(),
            agent_id=metrics.agent_id,
            status="ok" if metrics.success else "error",
            started_at=at - metrics.execution_time_ms / 1e3,
            duration_ms=metrics.execution_time_ms,
            model=metrics.model,
            agent_version=version,
            tool_calls=metrics.tool_calls_count,
            errors=metrics.error_count,
            usage=metrics.token_usage,
            cost_usd=metrics.cost_usd,
        )
        mine = scope or self._scope
        await self._kept().telemetry.record([Recorded(scope=mine, header=header, counted=counted)])

    async def get_performance_stats(
        self, agent_id: str, window: float = 3600.0, *, scope: Scope | None = None
    ) -> PerformanceStats:
        """How an agent did in the last `window` seconds.

        Raises:
            StorageError: it cannot be read.
        """
        found = await self.stats(agent_id, window=window, scope=scope)
        if found:
            return found[""]
        return stats_of((), self._window(window, None, None))

    def _kept(self) -> Storage:
        if self._storage is None:
            raise InvalidInputError(
                "this Telemetry keeps nothing: give it a storage, as Telemetry('sqlite:///lumosai.db')"
            )
        return self._storage

    def _window(self, window: float, since: float | None, until: float | None) -> tuple[float, float]:
        ends = self._clock() if until is None else until
        begins = ends - window if since is None else since
        if begins >= ends:
            raise InvalidInputError(f"the window from {begins:.0f} to {ends:.0f} is empty")
        return begins, ends


def _opened(storage: Any) -> Storage | None:
    if storage is None or (not isinstance(storage, str) and not hasattr(storage, "__fspath__")):
        found: Storage | None = storage
        return found
    text = storage if isinstance(storage, str) else storage.__fspath__()
    return open_storage(text if "://" in text else f"sqlite:///{text}")
