"""What every part of a run shares: who it is, where its events go, what it may use."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from lumosai.agent.budget import Budget
from lumosai.agent.past import Past, Spent, descendants
from lumosai.agent.tracing import Tracing
from lumosai.ids import new_id, new_span_id
from lumosai.records import NO_USAGE, Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from decimal import Decimal

    from lumosai.agent.around import Around
    from lumosai.agent.log import EventLog
    from lumosai.agent.output import OutputPlan
    from lumosai.events import Event
    from lumosai.messages import ToolCallPart
    from lumosai.records import Approval, Limits, Usage

T = TypeVar("T")

now = time.time
clock = time.perf_counter


def kept_now() -> float:
    """`now`, in whole tenths of a millisecond: the time of events that are kept, of which each digit takes room."""
    return int(now() * 1e4) / 1e4


def ms_since(began: float) -> float:
    """Milliseconds since `began` by `clock`."""
    return int((clock() - began) * 1e6 + 0.5) / 1e3


def plain_step(_name: str, fn: Callable[[], Awaitable[T]], _key: str) -> Awaitable[T]:
    """The default step: a plain call. A durable engine puts a recorded one in its place."""
    return fn()


class Waiting:
    """A call that waits for an approval.

    Attributes:
        run_id: its run.
        call, arguments_hash, span: what is asked.
        resolve: gives the answer; the first one stands and is returned.
        decision: the answer, once there is one.
        future: resolves to it.
    """

    __slots__ = ("arguments_hash", "call", "decision", "future", "resolve", "run_id", "span")

    def __init__(
        self,
        run_id: str,
        call: ToolCallPart,
        arguments_hash: str,
        span: str,
        resolve: Callable[[Waiting, Approval], Approval],
    ) -> None:
        self.run_id = run_id
        self.call = call
        self.arguments_hash = arguments_hash
        self.span = span
        self.resolve = resolve
        self.decision: Approval | None = None
        self.future: asyncio.Future[Approval] = asyncio.get_running_loop().create_future()


class RunState:
    """One run, as its parts see it.

    Attributes:
        name: the agent's.
        log: where events go; a sub-run shares its root's.
        run_id, root_id, parent_id: as in every event.
        tracing: the trace it belongs to; a sub-run's is its parent's.
        around: the observers that wrap what the run does, None where there are none.
        span, parent_span: the run's own span and the one around it.
        step_span, step_usage: the span and the tokens of the step that is going on.
        limits, budget: what it may use.
        interactive: whether somebody holds the run, or its root, and can approve.
        context: the user's object.
        output: how the answer is held to a type, None for text.
        at: the clock of its events.
        step: the seam that every model request and tool call goes through.
        system: the instructions, once they are made.
        parent: the run that asked this one, None for a root.
        tree: its own id and those of its sub-runs.
        first: where its events begin in the log.
        call_ids: the name of every tool called so far by the call's id; ids are unique in the whole tree, as are approvals.
        approvals: calls that wait for an approval, by id, of the whole tree.
        decided: what was decided about calls, by id, of the whole tree.
        stopping: the canceller's reason, once the run is being cancelled.
        deadline: its time-out, once it goes; None where it has none.
        past: what it had come to in another process, None of a new run.
        taken: the agents of sub-runs of that past that go on, or were replayed, by the run's id; of the whole tree.
        granted: decisions of that past about calls, by id; of the whole tree.
        early: decisions that came before their call asked for one, by id; of the whole tree.
        until: when its time is up, or its parent's, by `clock`, which nobody sets; None where no limit says so.
        ended: whether its last event is out, or about to be.
    """

    __slots__ = (
        "_cancels",
        "_task",
        "approvals",
        "around",
        "at",
        "budget",
        "call_ids",
        "context",
        "deadline",
        "decided",
        "early",
        "ended",
        "first",
        "granted",
        "interactive",
        "limits",
        "log",
        "name",
        "output",
        "parent",
        "parent_id",
        "parent_span",
        "parent_trace",
        "past",
        "resource_id",
        "root_id",
        "run_id",
        "scope",
        "span",
        "step",
        "step_span",
        "step_usage",
        "stopping",
        "system",
        "taken",
        "thread_id",
        "tracing",
        "tree",
        "until",
    )

    def __init__(
        self,
        name: str,
        log: EventLog,
        *,
        limits: Limits,
        interactive: bool,
        context: Any = None,
        output: OutputPlan | None = None,
        thread_id: str | None = None,
        resource_id: str | None = None,
        scope: Scope | None = None,
        parent: RunState | None = None,
        parent_span: str | None = None,
        parent_trace: str | None = None,
        tracing: Tracing | None = None,
        past: Past | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.limits = limits
        self.output = output
        self.thread_id = thread_id
        self.resource_id = resource_id
        self.parent_trace, self.past = parent_trace, past
        self.around: Around | None = None
        self.step_usage = NO_USAGE
        self.system = self.stopping = ""
        self.deadline: asyncio.Timeout | None = None
        self.until: float | None = None
        self.ended = False
        self._task: asyncio.Task[Any] | None = None
        self._cancels = 0
        begun = past.started if past is not None else None
        self.run_id = begun.run_id if begun is not None else new_id()
        self.span = self.step_span = begun.span_id if begun is not None else new_span_id()
        self.tree = {self.run_id}
        self.first = len(log.events) if past is None else 0
        self.parent = parent
        if parent is None:
            self.root_id, self.parent_id = self.run_id, None
            self.tracing = tracing if tracing is not None else Tracing(parent_trace)
            self.parent_span: str | None = self.tracing.parent_span
            self.budget = Budget(limits)
            self.at: Callable[[], float] = now
            self.step: Callable[[str, Callable[[], Awaitable[Any]], str], Awaitable[Any]] = plain_step
            self.context, self.scope = context, scope if scope is not None else _DEFAULT_SCOPE
            self.interactive = interactive
            self.call_ids: dict[str, str] = {}
            self.approvals: dict[str, Waiting] = {}
            self.decided: dict[str, Approval] = {}
            self.taken: dict[str, str] = {}
            self.granted: dict[str, Approval] = {}
            self.early: dict[str, Approval] = {}
        else:
            self.root_id, self.parent_id, self.parent_span = parent.root_id, parent.run_id, parent_span
            self.tracing = parent.tracing
            self.budget = Budget(limits, parent.budget)
            self.step = parent.step
            self.at = parent.at
            self.context = context if context is not None else parent.context
            self.scope = scope if scope is not None else parent.scope
            self.interactive = parent.interactive
            self.call_ids, self.approvals, self.decided = parent.call_ids, parent.approvals, parent.decided
            self.taken, self.granted, self.early = parent.taken, parent.granted, parent.early
            for above in parent.upward():
                above.tree.add(self.run_id)
        if past is not None:
            self._restore(past)

    def _restore(self, past: Past) -> None:
        """Takes over what the run, or a root's whole tree, had used and decided."""
        started = past.started
        self.tree |= descendants(past.events, self.run_id)
        spent = Spent(past.events, self.run_id, self.tree)
        self.budget.usage, self.budget.cost, self.budget.tool_calls = spent.usage, spent.cost, spent.tool_calls
        self.budget.warned |= spent.warned
        self.granted |= past.granted
        if self.parent is None:
            self.tracing = Tracing(started.parent_trace, started.tracestate, started.baggage)
            self.tracing.id, self.parent_span, self.parent_trace = started.trace_id, started.parent_span_id, None
            self.call_ids |= spent.call_ids
            self.tree |= {e.run_id for e in past.events}
        if self.output is not None:
            self.output.attempt, self.output.misfits = max(past.outputs, 1), past.misfits - (not past.told)
            self.output.shown = past.outputs > 0

    def upward(self) -> Iterator[RunState]:
        """This run, the one that asked it, and so on to the root."""
        state: RunState | None = self
        while state is not None:
            yield state
            state = state.parent

    def begin(self) -> None:
        """The run's own task is at work: its time counts from here."""
        self._task = asyncio.current_task()
        self._cancels = self._task.cancelling() if self._task is not None else 0
        limit_s = self.limits.deadline_s
        if limit_s is not None and self.past is not None:
            limit_s = max(0.0, limit_s - self.past.active_s)
        if limit_s is not None:
            self.deadline = asyncio.timeout(limit_s)
            self.until = clock() + limit_s
        above = self.parent.until if self.parent is not None else None
        if above is not None and (self.until is None or above < self.until):
            self.until = above

    @property
    def left_s(self) -> float | None:
        """Seconds until its time is up, or its parent's; None where no limit says so."""
        return None if self.until is None else self.until - clock()

    def cancel(self) -> bool:
        """Cancels the run's own task, where it has one; whether it has."""
        return self._task is not None and self._task.cancel()

    @property
    def begun(self) -> bool:
        """Whether the run's own task is at work, or was."""
        return self._task is not None

    @property
    def stop_reason(self) -> str:
        """Why the run, or one above it, is being cancelled by who holds it; "" where it is not."""
        return self.stopping or (self.parent.stop_reason if self.parent is not None else "")

    @property
    def overdue(self) -> bool:
        """Whether the run's time is up, or that of one above it."""
        return any(s.deadline is not None and s.deadline.expired() for s in self.upward())

    @property
    def cancelled(self) -> bool:
        """Whether anybody asked for the end of the run, or of one above it, by cancelling its task or otherwise."""
        return bool(self.stop_reason) or any(
            s._task is not None and s._task.cancelling() > s._cancels  # noqa: SLF001  # of this class
            for s in self.upward()
        )

    def spend(self, usage: Usage, cost: Decimal | None) -> None:
        """Books a model call."""
        self.step_usage += usage
        self.budget.spend(usage, cost)

    def own_events(self) -> list[Event]:
        """The events of this run and its sub-runs so far."""
        events = self.log.events
        if self.parent is None:
            return events
        return [e for e in events[self.first :] if e.run_id in self.tree]

    def emit(self, kind: Callable[..., Event], span: str, parent_span: str | None, *fields: Any) -> Event:
        """Appends an event: its header, then `fields`."""
        log = self.log
        events = log.events
        seq = len(events) + 1
        event = kind(self.run_id, self.root_id, self.parent_id, seq, self.at(), span, parent_span, self.name, *fields)
        events.append(event)  # as `log.append`, without its call
        if log.heard:
            log.tell(event)
        return event

    def in_step(self, kind: Callable[..., Event], span: str, *fields: Any) -> None:
        """Appends an event of a span inside the step that is going on."""
        log = self.log
        events = log.events
        seq = len(events) + 1  # as `emit`, without its call: most events come this way
        event = kind(
            self.run_id, self.root_id, self.parent_id, seq, self.at(), span, self.step_span, self.name, *fields
        )
        events.append(event)
        if log.heard:
            log.tell(event)

    def of_step(self, kind: Callable[..., Event], *fields: Any) -> None:
        """Appends an event of the step itself."""
        log = self.log
        events = log.events
        seq = len(events) + 1  # as `emit`, without its call
        event = kind(
            self.run_id, self.root_id, self.parent_id, seq, self.at(), self.step_span, self.span, self.name, *fields
        )
        events.append(event)
        if log.heard:
            log.tell(event)

    def of_run(self, kind: Callable[..., Event], *fields: Any) -> Event:
        """Appends an event of the run itself."""
        return self.emit(kind, self.span, self.parent_span, *fields)


_DEFAULT_SCOPE = Scope()
