"""One admitted call while it runs: in this task or in a thread, against its time-out and the cancel, to its outcome."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from lumosai.errors import RunError, ToolError
from lumosai.messages import ToolCallPart, ToolResultPart
from lumosai.tools._results import clamped, clean, content_of
from lumosai.tools._threads import pool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator

    from lumosai.records import Approval
    from lumosai.tools.base import Tool, ToolContext


class Gate(Protocol):
    """What a run hands in: its limits, its approvals and its journal. Called in the event loop's thread only."""

    def admit(self, call: ToolCallPart) -> str | None:
        """None where the limits let the call run, else why not, for the model."""
        ...

    async def approve(self, call: ToolCallPart, arguments_hash: str) -> Approval | None:
        """The decision about a call that needs one; None where nobody could be asked: it stays pending."""
        ...

    async def started(self, call: ToolCallPart, idempotency_key: str, queued_ms: float) -> None:
        """The call is about to run: what must be kept before that is kept when this returns."""
        ...

    def progress(self, call_id: str, text: str) -> None:
        """The running tool says how far it is. Not called any more once the call has ended."""
        ...


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How a call ended.

    Attributes:
        call: the call, its arguments as they were understood.
        result: what the model is shown; None where the call waits for an approval.
        error_type: undeclared, invalid_arguments, limit, denied, timeout, abandoned, interrupted, or the exception's name;
            None where it did not fail.
        duration_ms: milliseconds, of the tool's run where it ran.
    """

    call: ToolCallPart
    result: ToolResultPart | None
    error_type: str | None
    duration_ms: float


def outcome_of(cancel: asyncio.CancelledError) -> Outcome | None:
    """How a call ended whose `execute` was cancelled: with its result where it finished in the grace, else "interrupted"
    (it stopped) or "abandoned" (a sync tool that did not). None where the cancel came before the tool had begun.
    """  # noqa: D205  # one sentence, with what it depends on
    found = getattr(cancel, _OUTCOME, None)
    return found if isinstance(found, Outcome) else None


_OUTCOME = "lumosai_outcome"


class Running:
    """One call that runs: its context, its clock, its end."""

    __slots__ = ("_begun", "_ended", "_gate", "_loop", "_most", "_thread", "_timeout_s", "call", "context", "tool")

    def __init__(self, call: ToolCallPart, tool: Tool, context: ToolContext, key: str, gate: Gate) -> None:
        self.call = call
        self.tool = tool
        self.context = context.for_call(call.id, key, self._progress)
        self._gate = gate
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._ended = False
        self._begun = 0.0
        self._most: int | None = None
        self._timeout_s: float | None = None

    async def run(
        self, kwargs: dict[str, Any], *, timeout_s: float | None, most: int | None, grace_s: float
    ) -> Outcome:
        """Run the tool to its end, its time-out or the cancel."""
        self._most = most
        self._timeout_s = None if timeout_s == math.inf else timeout_s
        self._begun = time.perf_counter()
        try:
            if self.tool.is_async:
                return await self._resolved(lambda: self.tool.invoke(kwargs), self._timeout_s)
            return await self._threaded(kwargs, grace_s)
        except asyncio.CancelledError as cancel:
            self.context.cancel()
            found = outcome_of(cancel)
            if found is None or found.call is not self.call:  # else it is of a call that was made inside this one
                setattr(cancel, _OUTCOME, self._interrupted())
            raise
        finally:
            self._ended = True
            self.context.end()  # which breaks the circle of context and listener: nothing is left to the collector

    async def _resolved(self, start: Callable[[], Any], timeout_s: float | None) -> Outcome:
        """Wait in this task for what an async tool gives, or a sync one gave."""
        task = asyncio.current_task()
        cancels = task.cancelling() if task is not None else 0
        outcome = await self._outcome(start, timeout_s, task, cancels)
        if task is not None and task.cancelling() > cancels:  # the tool swallowed the cancel, which was not its own
            late = asyncio.CancelledError()
            setattr(late, _OUTCOME, outcome)
            raise late
        return outcome

    async def _outcome(
        self, start: Callable[[], Any], timeout_s: float | None, task: asyncio.Task[Any] | None, cancels: int
    ) -> Outcome:
        scope = asyncio.timeout(timeout_s)
        try:
            async with scope:
                value = start()
                value = await _collected(value) if inspect.isasyncgen(value) else await value
        except asyncio.CancelledError as error:
            if task is None or task.cancelling() > cancels:
                raise
            return self._raised(error)  # the tool cancelled itself; nobody cancelled the call
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a tool is the user's code and may raise anything; see _raised
            return self._timed_out() if scope.expired() else self._raised(error)
        return self._timed_out() if scope.expired() else self._returned(value)

    async def _threaded(self, kwargs: dict[str, Any], grace_s: float) -> Outcome:
        """Run a sync tool in a thread of the pool."""
        try:
            job = pool().submit(lambda: self._called(kwargs))
        except RunError as error:
            return self._raised(error)
        job.expire_in(self._timeout_s)
        try:
            told = await job.future
        except asyncio.CancelledError as cancel:
            self.context.cancel()
            told = await job.settled(grace_s)
            if told is None:
                pool().abandon(job)
            setattr(cancel, _OUTCOME, self._abandoned() if told is None else self._told(told))
            raise
        finally:
            job.leave()
        if told is None:
            self.context.cancel()
            pool().abandon(job)
            return self._timed_out()
        if told[0] and hasattr(type(told[1]), "__await__"):
            left = None if self._timeout_s is None else self._begun + self._timeout_s - time.perf_counter()
            return await self._resolved(lambda: told[1], left)
        return self._told(told)

    def _called(self, kwargs: dict[str, Any]) -> Any:
        """Call the tool, in its thread, and make text of its value there: a large one would hold up the loop."""
        value = self.tool.invoke(kwargs)
        if inspect.isgenerator(value):
            value = _joined(self._until_cancelled(value))
        return value if hasattr(type(value), "__await__") else content_of(value)

    def _until_cancelled(self, values: Generator[Any, Any, Any]) -> Iterator[Any]:
        with contextlib.closing(values):
            for each in values:
                if self.context.cancelled:
                    return
                yield each

    def _progress(self, text: str) -> None:
        if self._ended:
            return
        if threading.get_ident() == self._thread:
            self._gate.progress(self.call.id, clean(str(text)))
        else:
            with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime: nobody listens
                self._loop.call_soon_threadsafe(self._progress, text)

    def _told(self, told: tuple[bool, Any]) -> Outcome:
        done, value = told
        if done:
            return self._returned(value)
        if not isinstance(value, Exception | SystemExit | asyncio.CancelledError):
            raise value
        return self._raised(value)

    def _returned(self, value: Any) -> Outcome:
        try:
            content = clamped(content_of(value), self._most)
        except Exception as error:  # noqa: BLE001  # making JSON of the user's objects runs the user's code
            return self._raised(error)
        result = ToolResultPart(self.call.id, self.call.name, content)
        return Outcome(self.call, result, None, since(self._begun))

    def _raised(self, error: BaseException) -> Outcome:
        """An exception as data: its type and message, never a traceback; a `ToolError`'s text as it is."""
        return self._failed(type(error).__name__, _said(error))

    def _timed_out(self) -> Outcome:
        return self._failed(
            "timeout", f"{self.call.name!r} did not finish within {self._timeout_s:g} s and was stopped."
        )

    def _interrupted(self) -> Outcome:
        return self._failed("interrupted", f"{self.call.name!r} was stopped before it finished: the run was cancelled.")

    def _abandoned(self) -> Outcome:
        return self._failed(
            "abandoned", f"{self.call.name!r} did not stop when the run was cancelled, and was given up."
        )

    def _failed(self, error_type: str, text: str) -> Outcome:
        content = clamped(clean(text), self._most)
        result = ToolResultPart(self.call.id, self.call.name, content, True)
        return Outcome(self.call, result, error_type, since(self._begun))


async def _collected(values: AsyncGenerator[Any, Any]) -> Any:
    async with contextlib.aclosing(values):
        return _joined([each async for each in values])


def _joined(values: Iterable[Any]) -> Any:
    """What a generator gave: its texts joined, else the list of its values."""
    values = list(values)
    return "".join(values) if all(isinstance(each, str) for each in values) else values


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # an exception that cannot even be shown
        text = ""
    if isinstance(error, ToolError):
        return text or "The tool failed and did not say how."
    if isinstance(error, BaseExceptionGroup):
        text = "; ".join(_said(each) for each in error.exceptions[:5])
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def since(begun: float) -> float:
    """Milliseconds since `begun`."""
    return int((time.perf_counter() - begun) * 1e6 + 0.5) / 1e3
