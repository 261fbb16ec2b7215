"""What every part of a run shares: who it is, where its events go, what it may use."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from lumosai.agent.budget import Budget
from lumosai.ids import new_id, new_span_id, new_trace_id
from lumosai.records import Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lumosai.agent.log import EventLog
    from lumosai.agent.output import OutputPlan
    from lumosai.events import Event
    from lumosai.records import Limits

T = TypeVar("T")

CURRENT: ContextVar[RunState | None] = ContextVar("lumosai_run", default=None)
"""The run whose tool is being called, for an agent that is that tool."""

now = time.time
clock = time.perf_counter


def ms_since(began: float) -> float:
    """Milliseconds since `began` by `clock`."""
    return round((clock() - began) * 1e3, 3)


async def plain_step(_name: str, fn: Callable[[], Awaitable[T]], _key: str) -> T:
    """The default step: a plain call. A durable engine puts a recorded one in its place."""
    return await fn()


class RunState:
    """One run, as its parts see it.

    Attributes:
        name: the agent's.
        log: where events go; a sub-run shares its root's.
        run_id, root_id, parent_id, trace_id: as in every event.
        span, parent_span: the run's own span and the one around it.
        step_span: the span of the step that is going on.
        limits, budget: what it may use.
        interactive: whether somebody holds the run and can approve.
        context: the user's object.
        output: how the answer is held to a type, None for text.
        step: the seam that every model request and tool call goes through.
        system: the instructions, once they are made.
        model_name: the model of the last answer, as its provider names it.
        call_ids: every tool call's id so far; ids are unique in a run.
        tree: its own id and those of its sub-runs.
        first: where its events begin in the log.
    """

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
        parent_trace: str | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.limits = limits
        self.interactive = interactive
        self.output = output
        self.thread_id = thread_id
        self.resource_id = resource_id
        self.parent = parent
        self.parent_trace = parent_trace
        self.run_id = new_id()
        self.span = self.step_span = new_span_id()
        self.system = ""
        self.model_name = ""
        self.call_ids: set[str] = set()
        self.tree = {self.run_id}
        self.first = len(log.events)
        if parent is None:
            self.root_id, self.parent_id, self.parent_span = self.run_id, None, None
            self.trace_id = _trace_of(parent_trace) or new_trace_id()
            self.budget = Budget(limits)
            self.step: Callable[[str, Callable[[], Awaitable[Any]], str], Awaitable[Any]] = plain_step
            self.context, self.scope = context, scope if scope is not None else _DEFAULT_SCOPE
        else:
            self.root_id, self.parent_id, self.parent_span = parent.root_id, parent.run_id, parent.step_span
            self.trace_id = parent.trace_id
            self.budget = Budget(limits, parent.budget)
            self.step = parent.step
            self.context = context if context is not None else parent.context
            self.scope = scope if scope is not None else parent.scope
            above: RunState | None = parent
            while above is not None:
                above.tree.add(self.run_id)
                above = above.parent

    def own_events(self) -> list[Event]:
        """The events of this run and its sub-runs so far."""
        events = self.log.events
        if self.parent is None:
            return events
        return [e for e in events[self.first :] if e.run_id in self.tree]

    def emit(self, kind: Callable[..., Event], span: str, parent_span: str | None, *fields: Any) -> None:
        """Appends an event: its header, then `fields`."""
        log = self.log
        number = len(log.events) + 1
        log.append(
            kind(self.run_id, self.root_id, self.parent_id, number, now(), span, parent_span, self.name, *fields)
        )

    def in_step(self, kind: Callable[..., Event], span: str, *fields: Any) -> None:
        """Appends an event of a span inside the step that is going on."""
        self.emit(kind, span, self.step_span, *fields)

    def of_step(self, kind: Callable[..., Event], *fields: Any) -> None:
        """Appends an event of the step itself."""
        self.emit(kind, self.step_span, self.span, *fields)

    def of_run(self, kind: Callable[..., Event], *fields: Any) -> None:
        """Appends an event of the run itself."""
        self.emit(kind, self.span, self.parent_span, *fields)


_DEFAULT_SCOPE = Scope()
_TRACEPARENT_FIELDS = 4
_TRACE_ID_DIGITS = 32


def _trace_of(traceparent: str | None) -> str | None:
    """The trace id in a W3C `traceparent` header, None where it is none."""
    fields = traceparent.split("-") if traceparent else []
    if len(fields) != _TRACEPARENT_FIELDS or len(fields[1]) != _TRACE_ID_DIGITS or set(fields[1]) == {"0"}:
        return None
    return fields[1]
