"""The one choke point that every tool call passes, whichever model, mode or dialect it came from.

Declared in this very request → repaired → coerced and validated → within the limits → approved → run → clamped. Whatever
goes wrong becomes data for the model: a result marked as an error that says what was wrong and what would be right. Only
the end of the run itself (a cancel, Ctrl-C) comes out as an exception.

Limits, approvals and the journal belong to the run; it hands them in as a `Gate`.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import msgspec

from lumosai._schema import InvalidArguments
from lumosai.errors import RunError, ToolError
from lumosai.ids import content_hash
from lumosai.messages import ToolCallPart, ToolResultPart
from lumosai.tools._results import clamped, clean, content_of, whole
from lumosai.tools._threads import pool
from lumosai.tools.base import near

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Mapping

    from lumosai.records import Approval
    from lumosai.tools.base import Tool, ToolContext

logger = logging.getLogger("lumosai.tools")

_SHOWN = 200


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


class Outcome(msgspec.Struct, frozen=True):
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


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_no_constant).decode


def read_arguments(raw: str) -> dict[str, Any] | None:
    """The arguments that a model's text means: strict JSON, else repaired; `{}` for no text; None where it is no object.

    Nothing is invented: see `lumosai._repair`.
    """
    text = raw.strip()
    if not text:
        return {}
    try:
        found = _decode(text)
    except (ValueError, RecursionError):
        found = text
    if isinstance(found, str | list):  # broken, or an object packed into a string or a list
        from lumosai._repair import repair_object

        found = repair_object(text)
    if not isinstance(found, dict):
        return None
    try:
        return found if text.isascii() and "\\u" not in text else _whole(found)
    except RecursionError:
        return None


def _whole(value: Any) -> Any:
    """JSON values without lone surrogates."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, dict):
        return {whole(key): _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return value


async def execute(
    call: ToolCallPart,
    tools: Mapping[str, Tool],
    context: ToolContext,
    gate: Gate,
    *,
    timeout_s: float | None,
    max_result_chars: int | None,
    grace_s: float = 1.0,
) -> Outcome:
    """Take one call through every check and run it.

    Args:
        call: as the model made it.
        tools: exactly those declared in the request that the call answers.
        context: what the run tells its tools. An empty `idempotency_key` becomes "run id:call id".
        gate: the run's limits, approvals and journal.
        timeout_s: for tools that do not say otherwise; None is none.
        max_result_chars: likewise.
        grace_s: seconds that a cancelled sync tool is given to stop.

    Returns:
        How it ended; without a result where the call waits for an approval that nobody could give.

    Raises:
        asyncio.CancelledError: the awaiting task was cancelled; `outcome_of` tells how the call ended.
        KeyboardInterrupt: raised in the tool.
    """
    begun = time.perf_counter()
    tool = tools.get(call.name)
    if tool is None:
        return _failed(call, "undeclared", _undeclared(call.name, tools), begun)
    arguments = call.arguments if call.arguments is not None else read_arguments(call.raw or "")
    if arguments is None:
        return _failed(call, "invalid_arguments", _unreadable(call.raw or "", tool), begun)
    try:
        shown, kwargs = tool.accept(arguments)
    except InvalidArguments as error:
        return _failed(call, "invalid_arguments", clean(f"Invalid arguments for {call.name!r}.\n{error}"), begun)
    call = ToolCallPart(call.id, call.name, shown, None, call.signature)
    refusal = gate.admit(call)
    if refusal is not None:
        return _failed(call, "limit", refusal, begun)
    key = context.idempotency_key or f"{context.run_id}:{call.id}"
    running = _Running(call, tool, context, key, gate)
    if tool.approval is not False:
        refused = await _approved(call, tool, running.context, gate, begun)
        if refused is not None:
            return refused
    await gate.started(call, key, (time.perf_counter() - begun) * 1e3)
    if tool.context_parameter is not None:
        kwargs[tool.context_parameter] = running.context
    return await running.run(
        kwargs,
        timeout_s=timeout_s if tool.timeout_s is None else tool.timeout_s,
        most=max_result_chars if tool.max_result_chars is None else tool.max_result_chars,
        grace_s=grace_s,
    )


async def _approved(call: ToolCallPart, tool: Tool, context: ToolContext, gate: Gate, begun: float) -> Outcome | None:
    """None where the call may run: no approval is needed, or one was given for exactly this call."""
    if not await _needs_approval(call, tool, context):
        return None
    digest = content_hash(call.arguments)
    approval = await gate.approve(call, digest)
    if approval is None:
        return Outcome(call, None, None, _since(begun))
    if not approval.granted:
        return _failed(call, "denied", f"Denied{f': {approval.reason}' if approval.reason else '.'}", begun)
    if approval.call_id != call.id or approval.arguments_hash != digest or content_hash(call.arguments) != digest:
        return _failed(call, "denied", "Denied: the approval was given for another call or for other arguments.", begun)
    return None


async def _needs_approval(call: ToolCallPart, tool: Tool, context: ToolContext) -> bool:
    if not callable(tool.approval):
        return tool.approval
    try:
        answer = tool.approval({**tool.defaults, **(call.arguments or {})}, context)
        return bool(await answer) if inspect.isawaitable(answer) else bool(answer)
    except Exception:  # the user's predicate may raise anything, and what cannot be judged is not let through
        logger.warning("the approval predicate of tool %r raised: a person must approve", tool.name, exc_info=True)
        return True


class _Running:
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
        task = asyncio.current_task()
        cancels = task.cancelling() if task is not None else 0
        self._most = most
        self._timeout_s = None if timeout_s == math.inf else timeout_s
        self._begun = time.perf_counter()
        try:
            if self.tool.is_async:
                outcome = await self._inline(kwargs, cancels)
            else:
                outcome = await self._threaded(kwargs, grace_s)
        except asyncio.CancelledError as cancel:
            self.context.cancel()
            if outcome_of(cancel) is None:
                setattr(cancel, _OUTCOME, self._interrupted())
            raise
        finally:
            self._ended = True
        if task is not None and task.cancelling() > cancels:  # the tool swallowed the cancel, which was not its own
            cancel = asyncio.CancelledError()
            setattr(cancel, _OUTCOME, outcome)
            raise cancel
        return outcome

    async def _inline(self, kwargs: dict[str, Any], cancels: int) -> Outcome:
        """Run an async tool in this task."""
        return await self._resolved(lambda: self.tool.invoke(kwargs), self._timeout_s, cancels)

    async def _resolved(self, start: Callable[[], Any], timeout_s: float | None, cancels: int) -> Outcome:
        scope = asyncio.timeout(timeout_s)
        task = asyncio.current_task()
        try:
            async with scope:
                value = start()
                value = await _collected(value) if inspect.isasyncgen(value) else await value
        except asyncio.CancelledError as error:
            if task is None or task.cancelling() > cancels:
                raise
            return self._raised(error)  # the tool cancelled itself; nobody cancelled the call
        except (Exception, SystemExit) as error:  # a tool is the user's code and may raise anything; see _raised
            return self._timed_out() if scope.expired() else self._raised(error)
        return self._timed_out() if scope.expired() else self._returned(value)

    async def _threaded(self, kwargs: dict[str, Any], grace_s: float) -> Outcome:
        """Run a sync tool in a thread of the pool."""
        try:
            job = pool().submit(lambda: self._called(kwargs))
        except RunError as error:
            return self._raised(error)
        timer = None if self._timeout_s is None else self._loop.call_later(self._timeout_s, job.expire)
        try:
            told = await job.future
        except asyncio.CancelledError as cancel:
            self.context.cancel()
            told = await job.settled(grace_s)
            pool().abandon(job)
            setattr(cancel, _OUTCOME, self._abandoned() if told is None else self._told(told))
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if told is None:
            self.context.cancel()
            pool().abandon(job)
            return self._timed_out()
        if told[0] and hasattr(type(told[1]), "__await__"):
            left = None if self._timeout_s is None else self._begun + self._timeout_s - time.perf_counter()
            return await self._resolved(lambda: told[1], left, 0)
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
        except Exception as error:  # making JSON of the user's objects runs the user's code
            return self._raised(error)
        result = ToolResultPart(self.call.id, self.call.name, content)
        return Outcome(self.call, result, None, _since(self._begun))

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
        return Outcome(self.call, result, error_type, _since(self._begun))


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


def _undeclared(name: str, tools: Mapping[str, Tool]) -> str:
    if not tools:
        return f"There is no tool {name!r}: none may be called now."
    close = near(name, tools)
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else f"There are: {', '.join(list(tools)[:20])}."
    return clean(f"There is no tool {name!r}. {hint}")


def _unreadable(raw: str, tool: Tool) -> str:
    shown = raw if len(raw) <= _SHOWN else f"{raw[: _SHOWN // 2]} … {raw[-_SHOWN // 2 :]}"
    names = ", ".join(tool.parameters.get("properties", {})) or "none"
    return clean(
        f"The arguments of {tool.name!r} are not a JSON object{_position(raw)}: {shown}\n"
        f"Write one complete JSON object with the arguments: {names}."
    )


def _position(raw: str) -> str:
    try:
        _decode(raw.strip())
    except json.JSONDecodeError as error:
        return f" ({error.msg} at character {error.pos})"
    except (ValueError, RecursionError):
        pass
    return ""


def _failed(call: ToolCallPart, error_type: str, text: str, begun: float) -> Outcome:
    return Outcome(call, ToolResultPart(call.id, call.name, text, True), error_type, _since(begun))


def _since(begun: float) -> float:
    return round((time.perf_counter() - begun) * 1e3, 3)
