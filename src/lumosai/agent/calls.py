"""The tool calls of one answer: run side by side, each with its events, approval and place in the order.

Every call passes `tools.execute`; this is what the run hands to it: limits, approvals and the journal of events.
"""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lumosai.agent.state import Waiting
from lumosai.agent.wrapping import wrap_inner
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
from lumosai.telemetry.at_work import AT_WORK, AtWork, leave
from lumosai.tools.base import ToolContext, Traced
from lumosai.tools.execute import Outcome, execute, outcome_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from lumosai.agent.around import Opened
    from lumosai.agent.past import Past
    from lumosai.agent.state import RunState
    from lumosai.tools.base import Tool

T = TypeVar("T")

CURRENT: ContextVar[Caller | None] = ContextVar("lumosai_caller", default=None)
"""The tool call that is at work, for an agent that is asked in it."""

_CUT = "The answer was cut at its longest, in the middle of this call's arguments. Call again with shorter arguments."
_UNKNOWN = (
    "The process ended while this call was running, and whether it had its effect is not known. It was not made again."
)
_STOPPED = "The run was stopped before this call ended."
_NOT_COUNTED = ("denied", "limit")
"""Failures that are not the call's own fault: they do not count as repeated."""


class Calls:
    """Runs the calls of one answer and remembers what a whole run must know of its calls.

    Attributes:
        state: the run's.
        refused: whether a limit refused a call.
        paused: whether nothing goes on but the wait for an approval.
    """

    def __init__(self, state: RunState, above: Calls | None = None) -> None:
        self.state = state
        self.refused = False
        self.paused = False
        self._above = above
        self._failures: dict[str, int] = {}
        self._settled: dict[str, Approval] = {}
        self._jobs: Sequence[_Call] = ()
        self._running = 0

    async def run(
        self, calls: Sequence[ToolCallPart], tools: Mapping[str, Tool], step: int, *, cut: bool
    ) -> list[Outcome]:
        """Runs `calls` and gives their outcomes in the order of the calls; one without a result is pending."""
        room = asyncio.Semaphore(self.state.limits.tool_concurrency) if len(calls) > 1 else None
        jobs = [_Call(self, call, tools, step, room, cut=cut and call.arguments is None) for call in calls]
        self._jobs = jobs
        if room is None:
            return [await jobs[0].run()]
        tasks = [asyncio.ensure_future(job.run()) for job in jobs]
        try:
            return await asyncio.gather(*tasks)
        except GeneratorExit:  # the event loop is gone
            raise
        except BaseException:
            # A cancelled run leaves no tool behind: each task ends, and says so, before the run does. Where the run is
            # cancelled once more, `gather` waits for its tasks all the same.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def close(self) -> None:
        """The run ends: calls that have not ended do now, those that wait for an approval that nobody can give too."""
        jobs, self._jobs = self._jobs, ()  # which also breaks their circle with this
        for job in jobs:
            job.end()
        if self.paused:
            self.paused = False
            self._go_on_above()

    def repeated_failure(self, call: ToolCallPart, outcome: Outcome) -> bool:
        """Books an outcome; whether the very same call has now failed as often as the run bears."""
        if outcome.error_type is None and not self._failures:
            return False
        key = f"{call.name} {content_hash(call.arguments if call.arguments is not None else call.raw)}"
        if outcome.error_type is None:
            self._failures.pop(key, None)
            return False
        if outcome.error_type in _NOT_COUNTED:
            return False
        failed = self._failures[key] = self._failures.get(key, 0) + 1
        return failed >= self.state.limits.max_identical_failures

    async def decide(self, call: ToolCallPart, arguments_hash: str, span: str) -> Approval | None:
        """Asks for an approval and waits for it; None where nobody can answer."""
        state = self.state
        decided = state.granted.pop(call.id, None)
        if decided is not None and decided.arguments_hash == arguments_hash:
            return decided
        wait_s = state.limits.approval_wait_s
        expires = time.time() + wait_s if wait_s is not None else None
        waiting = state.approvals[call.id] = Waiting(state.run_id, call, arguments_hash, span, self.resolve)
        state.in_step(ApprovalRequested, span, call, arguments_hash, expires)
        await state.log.settled()
        early = state.early.pop(call.id, None)
        if early is not None and early.arguments_hash == arguments_hash:
            state.approvals.pop(call.id, None)
            return self.resolve(waiting, early)
        if not state.interactive:
            return None
        self.leave()
        try:
            async with asyncio.timeout(wait_s):
                approval = await waiting.future
        except TimeoutError:
            late = Approval(call.id, arguments_hash, False, "", "nobody answered in time")
            approval = self.resolve(waiting, late, "expired")
        finally:
            self._running += 1
            state.approvals.pop(call.id, None)
        return approval

    async def settle(self, calls: Sequence[ToolCallPart], past: Past) -> tuple[ToolCallPart, ...]:
        """Asks what is to be done with calls of which nobody knows whether they had their effect.

        Who approves one has it made again, under the same idempotency key; who denies it has the model told so.

        Returns:
            Those that nobody has decided about: the decision comes before the run is gone on with once more.
        """
        state, asked = self.state, {}
        self._settled = {c.id: past.settled[c.id] for c in calls if c.id in past.settled}
        for call in calls:
            if call.id not in self._settled:
                begun = past.begun[call.id]
                digest = asked[call.id] = content_hash(begun.call.arguments)
                state.in_step(ApprovalRequested, begun.span_id, begun.call, digest, None)
        await state.log.settled()
        for call_id, digest in asked.items():
            early = state.early.pop(call_id, None)
            if early is not None and early.arguments_hash == digest:
                self._settled[call_id] = early
                state.decided[call_id] = early
                decision = "granted" if early.granted else "denied"
                state.in_step(ApprovalResolved, past.begun[call_id].span_id, call_id, decision, early.by, early.reason)
        return tuple([c for c in calls if c.id not in self._settled])

    def given_up(self, call: ToolCallPart) -> str | None:
        """What the model is told of a call of unknown effect that is not made again; None of any other."""
        settled = self._settled.get(call.id)
        if settled is None or settled.granted:
            return None
        return f"{_UNKNOWN}{f' {settled.reason}' if settled.reason else ''}"

    def resolve(self, waiting: Waiting, approval: Approval, decision: str | None = None) -> Approval:
        """Records a decision about a waiting call and lets it go on; the first decision stands."""
        if waiting.decision is not None:
            return waiting.decision
        waiting.decision = approval
        state, call_id = self.state, waiting.call.id
        state.decided[call_id] = approval
        decision = decision or ("granted" if approval.granted else "denied")
        state.in_step(ApprovalResolved, waiting.span, call_id, decision, approval.by, approval.reason)
        self._go_on()
        if not waiting.future.done():
            waiting.future.set_result(approval)
        return approval

    def say_paused(self) -> None:
        """Emits `run_paused` once nothing goes on but the wait for approvals, of this run's calls or its sub-runs'."""
        state = self.state
        if self._running != 0 or self.paused or not state.approvals:
            return
        undecided = tuple([w.call for w in state.approvals.values() if w.decision is None and w.run_id in state.tree])
        if undecided:
            self.paused = True
            state.of_run(RunPaused, "approval", undecided)
            if self._above is not None and state.interactive:
                self._above.leave()

    def begin(self) -> None:
        """A call's task is at work."""
        self._running += 1

    def end(self) -> None:
        """It is done; what still waits may now be all there is."""
        self._running -= 1
        if self.state.interactive:
            self.say_paused()

    def leave(self) -> None:
        """A call that is at work only waits from now on."""
        self._running -= 1
        self.say_paused()

    def come_back(self) -> None:
        """It waits no more."""
        self._running += 1
        self._go_on()

    def _go_on(self) -> None:
        if self.paused:
            self.paused = False
            self.state.of_run(RunResumed, 1)
            self._go_on_above()

    def _go_on_above(self) -> None:
        if self._above is not None and self.state.interactive:
            self._above.come_back()


class Caller:
    """A tool call at work, as an agent sees it that is asked in it.

    Attributes:
        calls: those of its run.
        state: its run's.
        span: the call's.
        open: whether the call still goes on.
        paused: ends a sub-run that waits for an approval which nobody can give, one for each.
    """

    __slots__ = ("_at_work", "_loop", "calls", "open", "paused", "span", "state")

    def __init__(self, calls: Calls, span: str) -> None:
        self.calls = calls
        self.state = calls.state
        self.span = span
        self.paused: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()
        self.open = True
        self._at_work: dict[asyncio.Task[Any] | None, bool] = {}

    @property
    def here(self) -> bool:
        """Whether the call goes on, and on this event loop."""
        return self.open and self._loop is asyncio.get_running_loop()

    async def ask(self, run: Awaitable[T]) -> T:
        """What a sub-run gives, which does not outlive the call."""
        task = asyncio.current_task()
        self._at_work[task] = True
        try:
            return await run
        finally:
            self._at_work.pop(task, None)

    def close(self) -> Awaitable[object] | None:
        """The call has ended; a sub-run in a task that the tool left behind is stopped, and is to be waited for.

        It holds nothing of its run from here on: a time-out that was cancelled keeps its context, and so this, for as
        long as it would have lasted.
        """
        self.open = False
        left = [t for t in self._at_work if t is not None and t is not asyncio.current_task()] if self._at_work else []
        for task in left:
            task.cancel()
        if left:
            return self._gone(left)
        del self.calls, self.state
        return None

    async def _gone(self, left: list[asyncio.Task[Any]]) -> None:
        await asyncio.wait(left)
        del self.calls, self.state


class _Call:
    """One call: the gate that `execute` asks, with the call's span."""

    __slots__ = (
        "at_work",
        "began",
        "call",
        "caller",
        "calls",
        "cut",
        "done",
        "holds_room",
        "room",
        "span",
        "step",
        "told",
        "tools",
        "traced",
        "wrapped",
    )

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
        self.done = self.told = False
        self.caller: Caller | None = None
        self.at_work: AtWork | None = None
        self.wrapped: Opened | None = None
        self.began = time.perf_counter()
        past = calls.state.past
        begun = past.begun.get(call.id) if past is not None else None
        self.span = begun.span_id if begun is not None else new_span_id()
        self.traced = Traced(calls.state.tracing, self.span)

    async def run(self) -> Outcome:
        """Executes the call; whatever happens, exactly one `tool_call_complete` says how it ended."""
        self.calls.begin()
        try:
            outcome = _failed(self.call, "invalid_arguments", _CUT, self.began) if self.cut else await self._execute()
            return self._close(outcome)
        except GeneratorExit:  # the event loop is gone: there is nobody to tell
            raise
        except BaseException as error:  # a cancel, Ctrl-C: the call is closed, and it goes on
            stopped = outcome_of(error) if isinstance(error, asyncio.CancelledError) else None
            if stopped is None or stopped.call.id != self.call.id:  # a cancel that came through a call made inside
                stopped = _failed(self.call, "interrupted", _STOPPED, self.began)
            self._close(stopped)
            raise
        finally:
            if self.wrapped is not None:
                self.wrapped.close()
            if self.holds_room and self.room is not None:
                self.room.release()
            self.calls.end()

    def _wrap(self) -> None:
        """Enters what wraps the call, once: where its approval is asked, else where it begins to run, or is refused.

        What it then waits for a place to run is not its own time.
        """
        state = self.calls.state
        if state.around is None or self.wrapped is not None:
            return
        past = state.past
        resumed = past is not None and self.call.id in past.begun
        tool = self.tools.get(self.call.name)
        known: dict[str, Any] = {"call_id": self.call.id, "description": tool.description if tool is not None else ""}
        if resumed:
            known["resumed"] = True
        self.wrapped = wrap_inner(state, "tool_call", self.call.name, self.span, known)
        ids = self.wrapped.ids
        if ids is None:
            return
        self.traced.told = ids
        if not resumed:
            self.span = ids.span_id
            if self.caller is not None:
                self.caller.span = self.span
            if self.at_work is not None:
                self.at_work.span_id = self.span

    async def _execute(self) -> Outcome:
        """Runs the call through the step seam, as the one in which sub-agents are asked."""
        state, call, limits = self.calls.state, self.call, self.calls.state.limits
        if (told := self.calls.given_up(call)) is not None:
            return _failed(call, "denied", told, self.began)
        key = f"{state.run_id}:{self.step}:{call.id}"
        context: ToolContext[Any] = ToolContext(
            run_id=state.run_id,
            call_id=call.id,
            idempotency_key=key,
            thread_id=state.thread_id,
            scope=state.scope,
            context=state.context,
            agent=state.name,
            trace=self.traced,
        )

        run = partial(
            execute,
            call,
            self.tools,
            context,
            self,
            timeout_s=limits.tool_timeout_s,
            max_result_chars=limits.max_tool_result_chars,
        )
        caller = self.caller = Caller(self.calls, self.span)
        token = CURRENT.set(caller)
        self.at_work = AtWork(state.run_id, state.tracing.id, self.span, state.thread_id, state.name)
        at_work = AT_WORK.set(self.at_work)
        try:
            outcome: Outcome = await state.step(call.name, run, key)
        finally:
            leave(at_work)
            try:  # noqa: SIM105  # as in `leave`
                CURRENT.reset(token)
            except ValueError:  # the event loop is gone: this ends in another context than it began in
                pass
            if (closing := caller.close()) is not None:
                await closing
        if caller.paused and outcome.error_type is not None:
            return Outcome(call, None, None, outcome.duration_ms)
        return outcome

    def end(self) -> None:
        """Closes a call that has not ended, such as one that was cancelled before it began."""
        if self.told:
            return
        for end_run in self.caller.paused if self.caller is not None else ():
            end_run()
        self.calls.state.approvals.pop(self.call.id, None)
        self._close(_failed(self.call, "interrupted", _STOPPED, self.began))
        if self.wrapped is not None:
            self.wrapped.close()

    def _close(self, outcome: Outcome) -> Outcome:
        """Says how the call ended, once; one without a result waits."""
        self.done = True
        result = outcome.result
        if result is not None and not self.told:
            self.told = True
            self._wrap()
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

    def admit(self, call: ToolCallPart) -> str | None:
        """Why the call may not run, by the run's limits. One that had begun in another process is booked already."""
        past = self.calls.state.past
        if past is not None and call.id in past.begun:
            return None
        refused = self.calls.state.budget.take_call()
        if refused is not None:
            self.calls.refused = True
        return refused

    async def approve(self, call: ToolCallPart, arguments_hash: str) -> Approval | None:
        """The decision about a call that needs one."""
        self._wrap()
        return await self.calls.decide(call, arguments_hash, self.span)

    async def started(self, call: ToolCallPart, idempotency_key: str, queued_ms: float) -> None:
        """The call is about to run, once there is room: a call that waits for an approval takes none."""
        if self.room is not None:
            await self.room.acquire()
            self.holds_room = True
            queued_ms = round((time.perf_counter() - self.began) * 1e3, 3)
        self._wrap()
        state = self.calls.state
        state.in_step(ToolCallStart, self.span, call, idempotency_key, queued_ms)
        if state.log.keeper is not None:
            await state.log.settled()

    def progress(self, call_id: str, text: str) -> None:
        """A running tool says how far it is. What comes after its end is dropped."""
        if not self.done:
            self.calls.state.in_step(ToolProgress, self.span, call_id, text)


def _failed(call: ToolCallPart, error_type: str, text: str, began: float) -> Outcome:
    duration_ms = round((time.perf_counter() - began) * 1e3, 3)
    return Outcome(call, ToolResultPart(call.id, call.name, text, True), error_type, duration_ms)
