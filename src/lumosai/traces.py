"""Traces and measurements: the plain values that telemetry makes of a run's events, and storage keeps.

All are frozen and encode to JSON. Times are unix seconds, durations milliseconds, cost US dollars.
"""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from lumosai.records import Scope, Usage
from lumosai.rollups import Cell, Series  # noqa: TC001  # msgspec reads the types of fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

StepKind = Literal["run", "step", "model_call", "tool_call", "embedding", "memory", "guard", "approval", "span"]
"""What a span stands for; "span" is one of another program's that says nothing we know."""
INDEXING = "lumosai.memory"
"""The source of traces that are no run's but a memory's: what is asked of an embedding model to index messages."""
TraceStatus = Literal["running", "paused", "ok", "error", "cancelled"]


class TraceStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One span: something that took time, inside another.

    Attributes:
        span_id: 16 hex digits.
        parent_span_id: the span around it, None of the first.
        kind: what it stands for.
        name: the agent's, the model's, the tool's, …; never content.
        start: when it began.
        duration_ms: how long it took; None while it goes on.
        run_id: the run, or sub-run, whose event began it; "" of another program's span.
        agent: that run's agent.
        error: what went wrong, in words; None where nothing did.
        error_type: the same as one of few words, to count by.
        attributes: what else is known, by the names that the page on telemetry lists for each kind.
    """

    span_id: str
    parent_span_id: str | None = None
    kind: StepKind
    name: str
    start: float
    duration_ms: float | None = None
    run_id: str = ""
    agent: str = ""
    error: str | None = None
    error_type: str | None = None
    attributes: dict[str, Any] = {}

    @property
    def end(self) -> float | None:
        """When it ended; None while it goes on."""
        return None if self.duration_ms is None else self.start + self.duration_ms / 1e3


class ExecutionTrace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that one run did, with its sub-runs, as spans.

    Attributes:
        trace_id: 32 hex digits; runs that call one another over the network share it.
        run_id: the root run; of another program's trace its id again.
        agent_id: the root's agent.
        status: how it stands.
        started_at: when the root began.
        total_duration_ms: how long it took, waiting included; None while it goes on.
        steps: its spans, in the order in which they began.
        usage: tokens of every model call in it.
        cost_usd: of the same; None where the price of one is not known.
        metadata: what else is known of the run: thread_id, resource_id, model, agent_version, finish_reason, …
    """

    trace_id: str
    run_id: str
    agent_id: str
    status: TraceStatus
    started_at: float
    total_duration_ms: float | None = None
    steps: tuple[TraceStep, ...] = ()
    usage: Usage = Usage()
    cost_usd: Decimal | None = None
    metadata: dict[str, Any] = {}

    @property
    def root(self) -> TraceStep | None:
        """The root run's span."""
        return self.steps[0] if self.steps else None

    def children(self, span_id: str | None) -> tuple[TraceStep, ...]:
        """The spans right inside a span, in the order in which they began."""
        return tuple([s for s in self.steps if s.parent_span_id == span_id])


class TraceRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trace, without its spans: a line of a list.

    Attributes:
        run_id, trace_id, agent_id, status, started_at, usage, cost_usd: as in `ExecutionTrace`.
        duration_ms: as its `total_duration_ms`.
        model: the model of the root's last answer, "" where it had none.
        agent_version: the root's agent's.
        thread_id: "" where the run stood alone.
        resource_id: whom its thread is about, "" where nobody said.
        finish_reason: why it ended, "" while it goes on.
        model_calls, tool_calls, errors: how many in the whole tree.
        spans: how many are stored.
        dropped: how many were not, since telemetry had more to do than it could.
        error, error_type: the root's.
        owner: the user who may see it, None where only the whole tenant's handle does.
        source: "lumosai", or the service whose spans another program sent.
    """

    run_id: str
    trace_id: str = ""
    agent_id: str = ""
    status: TraceStatus = "running"
    started_at: float = 0.0
    duration_ms: float | None = None
    model: str = ""
    agent_version: str = ""
    thread_id: str = ""
    resource_id: str = ""
    finish_reason: str = ""
    model_calls: int = 0
    tool_calls: int = 0
    errors: int = 0
    spans: int = 0
    dropped: int = 0
    usage: Usage = Usage()
    cost_usd: Decimal | None = None
    error: str | None = None
    error_type: str | None = None
    owner: str | None = None
    source: str = "lumosai"


class TraceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which traces; what is not said does not count.

    Those of no run, such as of messages that were indexed, are among them only where a model or a text is asked for.

    Attributes:
        agent: the root's agent.
        model: asked somewhere in it.
        tool: called somewhere in it.
        status: how it stands.
        thread: its thread.
        text: stands in its error, its thread's id, its model's, its version's or its agent's name. A to Z match either
            case.
        min_duration_ms: it took at least as long.
        min_cost: it cost at least as much, in US dollars.
        since, until: it began at or after, and before; unix seconds.
    """

    agent: str = ""
    model: str = ""
    tool: str = ""
    status: TraceStatus | None = None
    thread: str = ""
    text: str = ""
    min_duration_ms: float | None = None
    min_cost: float | None = None
    since: float | None = None
    until: float | None = None


class Numbered(NamedTuple):
    """A span and its number in its trace.

    Attributes:
        number: spans of one trace are numbered from 0 in the order in which they began.
        run: the number of the span of its run, -1 where it has none.
        step: the span.
    """

    number: int
    run: int
    step: TraceStep


class SpanRow(NamedTuple):
    """A span of a run that has ended, each value at its place; `lumosai.spans` says what stands where.

    Attributes:
        number: spans of one trace are numbered from 0 in the order in which they began.
        kind: a number, see `lumosai.spans.KINDS`.
        span_id, parent, name, agent, error_type, error: as in `TraceStep`.
        run_id: of a sub-run; None of the trace's own run.
        start_us, duration_us: microseconds since 1970, and how long it took.
        values: attributes by their place, None where there is none.
        more: the other attributes, None where there are none.
    """

    number: int
    kind: int
    span_id: str
    parent: str | None
    name: str
    agent: str
    run_id: str | None
    start_us: int
    duration_us: int
    error_type: str | None
    error: str | None
    values: Sequence[Any]
    more: dict[str, Any] | None


class Counted(NamedTuple):
    """What was measured in a minute.

    Attributes:
        at: the beginning of the minute, unix seconds.
        series: of what.
        cell: what it adds up to.
    """

    at: int
    series: Series
    cell: Cell


class Pieces(msgspec.Struct, frozen=True, kw_only=True):
    """How far a trace has come whose spans arrive in pieces, from elsewhere.

    Attributes:
        base_us: what the offsets of its spans count from, microseconds since 1970.
        state: what its line was made of; only who made it reads it.
        before: the state that is thought to be stored; None where nothing is.
    """

    base_us: int
    state: str
    before: str | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What telemetry stores at once of one trace.

    Attributes:
        scope: whose it is.
        header: the trace as it stands; its `spans` are counted by the storage.
        spans: those that ended since the last time, or that go on and are not stored yet.
        rows: likewise, those of a run that ended since the last time, none of which was given before; `before` has to say
            how many were. They cost a tenth of what `spans` do.
        counted: what they were counted to. Stored with them or not at all.
        names: models and tools that occur in these spans.
        before: how many spans of the trace are thought to be stored already; None where that does not matter.
        pieces: of a trace whose spans come from elsewhere; None of a run's. Such spans have no run.
        spelled: names of spans that are too many to be numbered: each stands in its span.
    """

    scope: Scope
    header: TraceRecord
    spans: tuple[Numbered, ...] = ()
    rows: tuple[SpanRow, ...] = ()
    counted: tuple[Counted, ...] = ()
    names: frozenset[str] = frozenset()
    before: int | None = None
    pieces: Pieces | None = None
    spelled: frozenset[str] = frozenset()


class Arriving(NamedTuple):
    """What is stored of a trace that more spans come of.

    Attributes:
        header: how it stands; None where nothing of it is stored.
        pieces: how far it has come; None where nothing is stored, or where it is a run's own.
        spans: of those that were asked for, each one's number and whether it has ended, by its id.
        elsewhere: of those that were asked for, the ids that a run of the same trace id has recorded itself.
    """

    header: TraceRecord | None = None
    pieces: Pieces | None = None
    spans: Mapping[str, tuple[int, bool]] = MappingProxyType({})
    elsewhere: frozenset[str] = frozenset()


class AgentMetrics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution of an agent, measured. A sub-run is one of its own.

    Attributes:
        agent_id: the agent's name.
        run_id: the run's id.
        model: the model of its last answer, "" where it had none.
        agent_version: as the agent says.
        success: whether it gave an answer: it neither failed nor was stopped from outside.
        cost_usd: None where the price is not known.
        at: when it ended.
        execution_time_ms: from its start, waiting included.
        token_usage: tokens of its model calls, those of sub-runs not counted.
        tool_calls_count: calls it made.
        memory_operations: how often memory was read or written.
        error_count: model calls and tool calls of its that failed, and its own failure.
    """

    agent_id: str
    run_id: str = ""
    model: str = ""
    agent_version: str = ""
    success: bool = True
    cost_usd: Decimal | None = None
    at: float = 0.0
    execution_time_ms: float = 0.0
    token_usage: Usage = Usage()
    tool_calls_count: int = 0
    memory_operations: int = 0
    error_count: int = 0


class ToolStats(msgspec.Struct, frozen=True, kw_only=True):
    """How a tool did.

    Attributes:
        count: calls.
        errors: those of them that failed.
        p95_ms: 95 of 100 took no longer; None where there were none.
    """

    count: int
    errors: int
    p95_ms: float | None


class PerformanceStats(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent, a model or a tool did in a window. Percentiles are at most 1.1 % off.

    Attributes:
        count: executions that ended in it; of a model or a tool its calls.
        success_rate, error_rate: of 1; None where there were none.
        p50_ms, p90_ms, p95_ms, p99_ms: of the execution time; None where there were none.
        usage: tokens.
        cost_usd: of those whose price is known; None where none is.
        tools: by name.
        window: from when until when, unix seconds.
    """

    count: int
    success_rate: float | None
    error_rate: float | None
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    usage: Usage
    cost_usd: Decimal | None
    tools: dict[str, ToolStats]
    window: tuple[float, float]
