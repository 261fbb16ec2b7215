"""Metrics for Prometheus: `/metrics`, with the names and buckets of OpenTelemetry's conventions.

    app = endpoint(telemetry)                        # ASGI; what its database has measured, by all processes
    live = PrometheusMetrics()                       # a collector: what this process has measured, no database needed
    app = endpoint(live)

Counts come from the sketches that telemetry keeps, so a bucket's bound is up to 2.2 % off. The labels are few: names of
agents, models and tools, and where there are too many of them, `_OTHER`.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, Literal

from lumosai.errors import InvalidInputError, StorageError
from lumosai.records import Scope
from lumosai.rollups import Cell, Series
from lumosai.sketch import Sketch
from lumosai.telemetry import semconv
from lumosai.telemetry._asgi import RefusedError, answer, headers_of, live, whose
from lumosai.telemetry._exposition import OPENMETRICS, TEXT, Family, wants_openmetrics, written
from lumosai.telemetry._families import LONG, OTHER, SHORT, Asked, Measured, families_of, other
from lumosai.telemetry.measure import ASKED, MEASURED, count, series_of, usage_of
from lumosai.telemetry.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from lumosai.rollups import SeriesKind
    from lumosai.storage.base import Storage
    from lumosai.telemetry._asgi import Asgi, Authorize, Receive, Send
    from lumosai.telemetry.semconv import Profile
    from lumosai.traces import AgentMetrics, TraceStep

__all__ = ["LONG", "OTHER", "SHORT", "PrometheusMetrics", "endpoint"]

_ALL: Final[tuple[SeriesKind, ...]] = ("run", "model_call", "tool_call", "memory", "embedding")
_DAY_S: Final = 86_400
_BACK_DAYS: Final = 7
_GOING: Final = 10_000
"""Runs whose model calls are counted, at the most."""


class PrometheusMetrics:
    """A collector for `endpoint`: what this process has measured since it was made.

    Told of spans by `Telemetry`, it knows each model call; told by the three methods of `MetricsCollector` alone, it knows
    runs, tool calls and memory operations, and the runs' tokens.

    Args:
        max_series: how many combinations of agent and model, or agent and tool, are told apart. What comes after that is `_OTHER`.
        clock: gives unix seconds.
    """

    def __init__(self, *, max_series: int = 1_000, clock: Callable[[], float] = time.time) -> None:
        self.created = clock()
        self._most = max_series
        self._sums: dict[Series, Measured] = {}
        self._apart: Counter[str] = Counter()
        self._asked: dict[str, Asked] = {}
        self._going: dict[str, int] = {}
        self._lock = threading.Lock()

    def record_step(self, step: TraceStep, version: str) -> None:
        """A span has ended; called by `Telemetry` in place of the other methods."""
        if step.kind not in MEASURED:
            return
        _ = version  # a label more that grows with each release
        with self._lock:
            measured = self._of(series_of(step, ""))
            count(measured.cell, step)
            if step.kind in ASKED:
                usage = usage_of(step)
                self._tokens(measured, usage.input_tokens, usage.output_tokens)
            if step.kind == "model_call":
                self._going[step.run_id] = self._going.get(step.run_id, 0) + (step.attributes.get("attempt") == 1)
                if len(self._going) > _GOING:  # of runs that never ended here
                    del self._going[next(iter(self._going))]
            elif step.kind == "run":
                calls = step.attributes.get("tool_calls", 0)
                self._of_runs(step.agent).add(self._going.pop(step.run_id, 0), calls if isinstance(calls, int) else 0)

    def record_agent_execution(self, metrics: AgentMetrics) -> None:
        """A run of an agent has ended."""
        with self._lock:
            measured = self._of(Series("run", metrics.agent_id, metrics.model))
            measured.cell.duration.add(metrics.execution_time_ms)
            measured.cell.errors += not metrics.success
            measured.cell.spend(metrics.token_usage, metrics.cost_usd)
            self._tokens(measured, metrics.token_usage.input_tokens, metrics.token_usage.output_tokens)

    def record_tool_execution(
        self, tool: str, duration_ms: float, error: str | None = None, agent_id: str | None = None
    ) -> None:
        """A call of a tool has ended."""
        with self._lock:
            cell = self._of(Series("tool_call", agent_id or "", tool)).cell
            cell.duration.add(duration_ms)
            cell.errors += error is not None

    def record_memory_operation(self, operation: str, duration_ms: float) -> None:
        """Memory was read or written."""
        with self._lock:
            self._of(Series("memory", "", operation)).cell.duration.add(duration_ms)

    def families(self, profile: Profile = semconv.V1_41) -> list[Family]:
        """The metrics as they are now."""
        with self._lock:
            return families_of(self._sums, profile, self._asked)

    def _of_runs(self, agent: str) -> Asked:
        """What runs of an agent asked for."""
        if agent not in self._asked and len(self._asked) >= self._most:
            agent = OTHER
        return self._asked.setdefault(agent, Asked())

    def _of(self, series: Series) -> Measured:
        found = self._sums.get(series)
        if found is None:
            if self._apart[series.kind] >= self._most:
                series = other(series)
            else:
                self._apart[series.kind] += 1
            found = self._sums.setdefault(series, Measured(Cell(), Sketch(), Sketch()))
        return found

    @staticmethod
    def _tokens(measured: Measured, read: int, written_: int) -> None:
        if read and measured.read is not None:
            measured.read.add(read)
        if written_ and measured.written is not None:
            measured.written.add(written_)


def endpoint(
    source: PrometheusMetrics | Telemetry | Storage,
    *,
    scope: Scope | None = None,
    authorize: Authorize | None = None,
    since: float | None = None,
    max_series: int = 1_000,
    profile: Literal["1.41", "latest"] = "1.41",
    clock: Callable[[], float] = time.time,
) -> Callable[[Asgi, Receive, Send], Awaitable[None]]:
    """An ASGI application that answers `GET /metrics` in Prometheus' text format, or in OpenMetrics where that is asked for.

    Args:
        source: a collector tells what its process has measured; a storage, or a telemetry's, what is measured in it by all
            processes, a moment later.
        scope: whose, of a storage.
        authorize: says of a request's headers whether it is answered, and in which scope. Without it only requests from
            this machine are.
        since: from when on counters of a storage count, unix seconds; by default from seven days before this is made. It
            stays the same, so that they only grow.
        max_series: how many combinations of agent and model, or agent and tool, are told apart.
        profile: whose names, see `lumosai.telemetry.semconv`.
        clock: gives unix seconds.

    Raises:
        InvalidInputError: no such profile.
    """
    names = semconv.profile(profile)
    if isinstance(source, PrometheusMetrics):
        return _Endpoint(source, None, None, Scope(), authorize, profile=names)
    telemetry = source if isinstance(source, Telemetry) else None
    storage = source.storage if isinstance(source, Telemetry) else source
    began = since if since is not None else clock() - _BACK_DAYS * _DAY_S
    kept = _Kept(storage, began // _DAY_S * _DAY_S, max_series, clock)
    mine = scope or (telemetry.scope if telemetry is not None else Scope())
    return _Endpoint(None, kept, telemetry, mine, authorize, profile=names)


class _Kept:
    """What a storage has measured since a day began."""

    def __init__(self, storage: Storage, created: float, most: int, clock: Callable[[], float]) -> None:
        self.created = created
        self._storage = storage
        self._most = most
        self._clock = clock
        self._told_apart: dict[Scope, defaultdict[str, set[Series]]] = {}

    async def families(self, scope: Scope, profile: Profile) -> list[Family]:
        handle = self._storage.telemetry.scope(scope)
        found = await handle.measured(_ALL, (self.created, self._clock() + _DAY_S), tier=2)
        sums: dict[Series, Measured] = {}
        for _, series, cell in found:
            place = series._replace(version="")
            there = sums.get(place)
            if there is None:
                sums[place] = Measured(cell)
            else:
                there.cell.merge(cell)
        return families_of(self._few(scope, sums), profile)

    def _few(self, scope: Scope, sums: dict[Series, Measured]) -> dict[Series, Measured]:
        """As many series as are told apart; which those are stays, so that what is counted only grows."""
        apart = self._told_apart.setdefault(scope, defaultdict(set))
        few: dict[Series, Measured] = {}
        for series, measured in sorted(sums.items(), key=lambda item: -item[1].cell.count):
            mine = apart[series.kind]
            if series not in mine and len(mine) < self._most:
                mine.add(series)
            place = series if series in mine else other(series)
            there = few.get(place)
            if there is None:
                few[place] = measured
            else:
                there.cell.merge(measured.cell)
        return few


class _Endpoint:
    def __init__(
        self,
        live_: PrometheusMetrics | None,
        kept: _Kept | None,
        telemetry: Telemetry | None,
        scope: Scope,
        authorize: Authorize | None,
        *,
        profile: Profile,
    ) -> None:
        self._profile = profile
        self._live = live_
        self._kept = kept
        self._telemetry = telemetry
        self._scope = scope
        self._authorize = authorize

    async def __call__(self, asgi: Asgi, receive: Receive, send: Send) -> None:
        if asgi["type"] == "lifespan":
            await live(receive, send)
            return
        if asgi["type"] != "http":
            raise InvalidInputError(f"metrics are asked for by HTTP, not by {asgi['type']}")
        headers = headers_of(asgi)
        openmetrics = wants_openmetrics(headers.get("accept", ""))
        try:
            text = await self._text(asgi, headers, openmetrics=openmetrics)
        except RefusedError as refused:
            await answer(send, refused.status, f"{refused.reason}\n".encode(), TEXT, refused.headers)
            return
        body = b"" if asgi["method"] == "HEAD" else text.encode("utf-8", "replace")
        await answer(send, 200, body, OPENMETRICS if openmetrics else TEXT, (("vary", "accept"),))

    async def _text(self, asgi: Asgi, headers: Mapping[str, str], *, openmetrics: bool) -> str:
        path = str(asgi.get("path", "")).rstrip("/")
        if not (path.endswith("/metrics") or path == str(asgi.get("root_path", "")).rstrip("/")):
            raise RefusedError(404, "metrics are at /metrics")
        if asgi["method"] not in ("GET", "HEAD"):
            raise RefusedError(405, "metrics are asked for by GET", ("allow", "GET, HEAD"))
        scope = await whose(asgi, headers, self._authorize, self._scope)
        created = (
            self._live.created if self._live is not None else self._kept.created if self._kept is not None else 0.0
        )
        try:
            told = self._live.families(self._profile) if self._live is not None else []
            if self._kept is not None:
                told = await self._kept.families(scope, self._profile)
        except (StorageError, InvalidInputError) as error:
            raise RefusedError(503, f"the measurements cannot be read: {error}") from None
        dropped = self._telemetry.dropped if self._telemetry is not None else None
        return written([*told, *_process(dropped)], openmetrics=openmetrics, created=created)


def _process(dropped: int | None) -> Iterable[Family]:
    """This process, under the names that Prometheus' own clients use."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    gauges: dict[str, tuple[str, float, str]] = {}
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # a pseudo-file, read whole
            pages = int(file.read().split()[1])
        gauges["process_resident_memory_bytes"] = (
            "Resident memory.",
            float(pages * os.sysconf("SC_PAGE_SIZE")),
            "bytes",
        )
        gauges["process_open_fds"] = ("Open files.", float(len(os.listdir("/proc/self/fd"))), "")  # noqa: PTH208  # likewise
    except OSError:
        peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        gauges["process_max_resident_memory_bytes"] = ("Largest resident memory.", float(peak), "bytes")
    for name, (text, value, unit) in gauges.items():
        yield Family(name, "gauge", text, {(): value}, unit)
    yield Family("process_cpu_seconds", "counter", "CPU time.", {(): used.ru_utime + used.ru_stime}, "seconds")
    if dropped is not None:
        yield Family(
            "lumosai_telemetry_dropped_spans",
            "counter",
            "Spans that were not recorded, since there was more to do than time for it.",
            {(): float(dropped)},
        )
