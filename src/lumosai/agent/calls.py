"""The tool calls of one answer: run side by side, each with its events, approval and place in the order.

Every call passes `tools.execute`; this is what the run hands to it: limits, approvals and the journal of events.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from lumosai.agent.state import CURRENT
from lumosai.events import (
    ApprovalRequested,
    ApprovalResolved,
    RunPaused,
    RunResumed,
    ToolCallComplete,
    ToolCallStart,
    ToolProgress,
)
from lumosai.ids import content_hash, new_span_id
from lumosai.messages import ToolCallPart, ToolResultPart
from lumosai.records import Approval
from lumosai.tools.base import ToolContext
from lumosai.tools.execute import Outcome, execute, outcome_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.agent.state import RunState
    from lumosai.tools.base import Tool

_CUT = "The answer was cut at its longest, in the middle of this call's arguments. Call again with shorter arguments."

_STOPPED = "The run was stopped before this call ended."


class Calls:
    """Runs the calls of one answer and remembers what a whole run must know of its calls.

    Attributes:
        refused: whether a limit refused a call.
        paused: whether nothing goes on but the wait for an approval.
        pending: calls that wait for an approval, by id.
        decided: ids of the calls that were decided about.
    """

    def __init__(self, state: RunState) -> None:
        self.state = state
        self.refused = False
        self.pending: dict[str, _Waiting] = {}
        self.decided: set[str] = set()
        self._failures: dict[str, int] = {}
        self._thread = threading.get_ident()
        self._running = 0
        self.paused = False

    async def run(
        self, calls: Sequence[ToolCallPart], tools: Mapping[str, Tool], step: int, *, cut: bool
    ) -> list[Outcome]:
        """Runs `calls` and gives their outcomes in the order of the calls; one without a result is pending."""
        room = asyncio.Semaphore(self.state.limits.tool_concurrency) if len(calls) > 1 else None
        jobs = [_Call(self, call, tools, step, room, cut=cut and call.arguments is None) for call in calls]
        if room is None:
            return [await jobs[0].run()]
        tasks = [asyncio.ensure_future(job.run()) for job in jobs]
        try:
            return await asyncio.gather(*tasks)
        finally:
            # A cancelled run leaves no tool behind: each task ends, and says so, before the run does.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for job in jobs:
                job.end()

    def repeated_failure(self, call: ToolCallPart, outcome: Outcome) -> bool:
        """Books an outcome; whether the very same call has now failed as often as the run bears."""
        key = f"{call.name} {content_hash(call.arguments if call.arguments is not None else call.raw)}"
        if outcome.error_type is None:
            self._failures.pop(key, None)
            return False
        if outcome.error_type in ("denied", "limit"):
            return False
        failed = self._failures[key] = self._failures.get(key, 0) + 1
        return failed >= self.state.limits.max_identical_failures

    async def decide(self, call: ToolCallPart, arguments_hash: str, span: str) -> Approval | None:
        """Asks for an approval and waits for it; None where nobody can answer."""
        state = self.state
        wait_s = state.limits.approval_wait_s
        expires = time.time() + wait_s if wait_s is not None else None
        waiting = self.pending[call.id] = _Waiting(call, arguments_hash, span)
        state.in_step(ApprovalRequested, span, call, arguments_hash, expires)
        if not state.interactive:
            return None
        self._running -= 1
        self.say_paused()
        try:
            async with asyncio.timeout(wait_s):
                approval = await waiting.future
        except TimeoutError:
            approval = self.resolve(
                call.id, Approval(call.id, arguments_hash, False, "", "nobody answered in time"), "expired"
            )
        finally:
            self._running += 1
            self.pending.pop(call.id, None)
        return approval

    def resolve(self, call_id: str, approval: Approval, decision: str | None = None) -> Approval:
        """Records a decision about a waiting call and lets it go on."""
        waiting = self.pending[call_id]
        if waiting.decision is not None:
            return waiting.decision
        waiting.decision = approval
        self.decided.add(call_id)
        state = self.state
        decision = decision or ("granted" if approval.granted else "denied")
        state.in_step(ApprovalResolved, waiting.span, call_id, decision, approval.by, approval.reason)
        if self.paused:
            self.paused = False
            state.of_run(RunResumed, 1)
        if not waiting.future.done():
            waiting.future.set_result(approval)
        return approval

    def say_paused(self) -> None:
        """Emits `run_paused` once nothing else goes on."""
        state = self.state
        undecided = tuple(w.call for w in self.pending.values() if w.decision is None)
        if self._running == 0 and undecided and not self.paused:
            self.paused = True
            state.of_run(RunPaused, "approval", undecided)

    def begin(self) -> None:
        """A call's task is at work."""
        self._running += 1

    def end(self) -> None:
        """It is done; what still waits may now be all there is."""
        self._running -= 1
        if self.pending and self.state.interactive:
            self.say_paused()

    def in_loop_thread(self) -> bool:
        """Whether the caller is on the run's own thread."""
        return threading.get_ident() == self._thread


class _Waiting:
    """A call that waits for an approval."""

    __slots__ = ("arguments_hash", "call", "decision", "future", "span")

    def __init__(self, call: ToolCallPart, arguments_hash: str, span: str) -> None:
        self.call = call
        self.arguments_hash = arguments_hash
        self.span = span
        self.decision: Approval | None = None
        self.future: asyncio.Future[Approval] = asyncio.get_running_loop().create_future()


class _Call:
    """One call: the gate that `execute` asks, with the call's span."""

    __slots__ = ("aio", "began", "call", "calls", "cut", "done", "holds_room", "room", "span", "step", "tools")

    def __init__(
        self,
        calls: Calls,
        call: ToolCallPart,
        tools: Mapping[str, Tool],
        step: int,
        room: asyncio.Semaphore | None,
        *,
        cut: bool,
    ) -> None:
        self.calls = calls
        self.call = call
        self.tools = tools
        self.step = step
        self.cut = cut
        self.room = room
        self.holds_room = False
        self.done = False
        self.began = time.perf_counter()
        self.span = new_span_id()
        self.aio = asyncio.get_running_loop()

    async def run(self) -> Outcome:
        """Executes the call; whatever happens, exactly one `tool_call_complete` says how it ended."""
        state, call, calls = self.calls.state, self.call, self.calls
        calls.begin()
        began = self.began
        try:
            if self.cut:
                return self._close(_failed(call, "invalid_arguments", _CUT, began))
            key = f"{state.run_id}:{self.step}:{call.id}"
            context: ToolContext[Any] = ToolContext(
                run_id=state.run_id,
                call_id=call.id,
                idempotency_key=key,
                thread_id=state.thread_id,
                scope=state.scope,
                context=state.context,
                agent=state.name,
            )
            limits = state.limits
            token = CURRENT.set(state)
            try:
                outcome = await state.step(
                    call.name,
                    lambda: execute(
                        call,
                        self.tools,
                        context,
                        self,
                        timeout_s=limits.tool_timeout_s,
                        max_result_chars=limits.max_tool_result_chars,
                    ),
                    key,
                )
            finally:
                CURRENT.reset(token)
            return self._close(outcome)
        except asyncio.CancelledError as cancel:
            stopped = _failed(call, "interrupted", _STOPPED, began)
            self._close(outcome_of(cancel) or stopped)
            raise
        finally:
            if self.holds_room and self.room is not None:
                self.room.release()
            calls.end()

    def end(self) -> None:
        """Closes a call whose task was cancelled before it began."""
        if not self.done:
            self._close(_failed(self.call, "interrupted", _STOPPED, self.began))

    def _close(self, outcome: Outcome) -> Outcome:
        self.done = True
        result = outcome.result
        if result is not None:
            state, call = self.calls.state, self.call
            state.in_step(
                ToolCallComplete,
                self.span,
                call.id,
                call.name,
                result,
                result.is_error,
                outcome.error_type,
                outcome.duration_ms,
            )
        return outcome

    def admit(self, call: ToolCallPart) -> str | None:  # noqa: ARG002  # the contract's; any call counts the same
        """Why the call may not run, by the run's limits."""
        refused = self.calls.state.budget.take_call()
        if refused is not None:
            self.calls.refused = True
        return refused

    async def approve(self, call: ToolCallPart, arguments_hash: str) -> Approval | None:
        """The decision about a call that needs one."""
        return await self.calls.decide(call, arguments_hash, self.span)

    async def started(self, call: ToolCallPart, idempotency_key: str, queued_ms: float) -> None:
        """The call is about to run, once there is room: a call that waits for an approval takes none."""
        if self.room is not None:
            await self.room.acquire()
            self.holds_room = True
            queued_ms = round((time.perf_counter() - self.began) * 1e3, 3)
        state = self.calls.state
        state.in_step(ToolCallStart, self.span, call, idempotency_key, queued_ms)

    def progress(self, call_id: str, text: str) -> None:
        """A running tool says how far it is, from any thread. What comes after its end is dropped."""
        if self.calls.in_loop_thread():
            self._progress(call_id, text)
        else:
            self.aio.call_soon_threadsafe(self._progress, call_id, text)

    def _progress(self, call_id: str, text: str) -> None:
        if not self.done:
            state = self.calls.state
            state.in_step(ToolProgress, self.span, call_id, text)


def _failed(call: ToolCallPart, error_type: str, text: str, began: float) -> Outcome:
    duration_ms = round((time.perf_counter() - began) * 1e3, 3)
    return Outcome(call, ToolResultPart(call.id, call.name, text, True), error_type, duration_ms)
