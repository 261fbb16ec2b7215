"""What a running tool is told about its call."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import TypeVar

    from lumosai.propagation import SpanIds
    from lumosai.records import Scope

    Ctx = TypeVar("Ctx", default=Any)
else:  # the same variable without its default, which only a type checker needs before Python 3.13
    from typing import TypeVar

    Ctx = TypeVar("Ctx")


class Trace(Protocol):
    """Gives a span of it as others are to know it."""

    def ids(self, span: str) -> SpanIds: ...


class Traced:
    """The span of a call, which is known before it begins to run.

    Args:
        trace: what the call belongs to.
        span: its id there.

    Attributes:
        told: the span, where somebody else has begun it.
    """

    __slots__ = ("_span", "_trace", "told")

    def __init__(self, trace: Trace, span: str) -> None:
        self._trace = trace
        self._span = span
        self.told: SpanIds | None = None

    @property
    def ids(self) -> SpanIds:
        """The span."""
        return self.told if self.told is not None else self._trace.ids(self._span)


class ToolContext(Generic[Ctx]):
    """What a tool is told about the call it serves. A parameter annotated `ToolContext` receives it.

    Safe to use from any thread. `ToolContext(context=…)` makes one for a test of one's own tool.

    Attributes:
        run_id: the run.
        call_id: the model's call.
        idempotency_key: the same for the same call however often it is tried, in whichever process. Hand it on to
            services that know such keys.
        thread_id: the conversation's thread, else None.
        scope: whose rows the run may see, else None.
        context: the user's own object, as it was given to the run.
        agent: the agent's name.
    """

    __slots__ = (
        "_cancelled",
        "_event",
        "_progress",
        "_trace",
        "agent",
        "call_id",
        "context",
        "idempotency_key",
        "run_id",
        "scope",
        "thread_id",
    )

    def __init__(
        self,
        context: Ctx = None,  # type: ignore[assignment]  # without one, the user's context is None
        *,
        run_id: str = "",
        call_id: str = "",
        idempotency_key: str = "",
        thread_id: str | None = None,
        scope: Scope | None = None,
        agent: str = "",
        progress: Callable[[str], None] | None = None,
        trace: Traced | None = None,
    ) -> None:
        self.context = context
        self.run_id = run_id
        self.call_id = call_id
        self.idempotency_key = idempotency_key
        self.thread_id = thread_id
        self.scope = scope
        self.agent = agent
        self._progress = progress
        self._trace = trace
        self._cancelled = False
        self._event: threading.Event | None = None

    def progress(self, text: str) -> None:
        """Say how far the tool is: a `tool_progress` event. Silent once the call has ended."""
        tell = self._progress
        if tell is not None:
            tell(text)

    @property
    def trace_headers(self) -> dict[str, str]:
        """The HTTP headers that make what is asked of another service part of this trace, as a child of this call.

        `traceparent`, and `tracestate` and `baggage` where there are any; empty in a context of one's own making. What
        a baggage holds came from the run's caller: send it only to whom that may be told.
        """
        ids = self._trace.ids if self._trace is not None else None
        return ids.headers() if ids is not None else {}

    @property
    def cancelled(self) -> bool:
        """Whether the call was cancelled or ran out of time: its result is no longer wanted. Sync tools look at it."""
        return self._cancelled

    def wait_cancelled(self, timeout_s: float | None = None) -> bool:
        """Sleep in a sync tool's thread until the call is cancelled or `timeout_s` seconds passed; tell which.

        Use it where `time.sleep` would stand: it wakes at once when nobody waits for the result any more.
        """
        if self._event is None:
            self._event = threading.Event()
        if self._cancelled:  # looked at after the event is there, so that no cancel falls between
            return True
        return self._event.wait(timeout_s) or self._cancelled

    def for_call(self, call_id: str, idempotency_key: str, progress: Callable[[str], None] | None) -> ToolContext[Ctx]:
        """The same run's context for one call: itself, where it was made for just that and served none yet."""
        mine = (call_id, idempotency_key) == (self.call_id, self.idempotency_key)
        if mine and self._progress is None and not self._cancelled and self._event is None:
            self._progress = progress
            return self
        return type(self)(
            self.context,
            run_id=self.run_id,
            call_id=call_id,
            idempotency_key=idempotency_key,
            thread_id=self.thread_id,
            scope=self.scope,
            agent=self.agent,
            progress=progress,
            trace=self._trace,
        )

    def cancel(self) -> None:
        """Tell the tool that its result is no longer wanted. For `lumosai.tools.execute`."""
        self._cancelled = True
        event = self._event
        if event is not None:
            event.set()

    def end(self) -> None:
        """Let go of who listens to `progress`: the call has ended. For `lumosai.tools.execute`."""
        self._progress = None

    def __repr__(self) -> str:
        return f"ToolContext(run_id={self.run_id!r}, call_id={self.call_id!r}, agent={self.agent!r})"
