"""`lumosai.tools.execute`: every check that a call passes, in order, and every way it can end."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import datetime as dt
import enum
import json
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from lumosai.errors import ToolError
from lumosai.ids import content_hash
from lumosai.messages import FilePart, ImagePart, TextPart, ToolCallPart, ToolResultPart
from lumosai.records import Approval
from lumosai.tools import _running
from lumosai.tools import execute as execute_module
from lumosai.tools._threads import Pool
from lumosai.tools.base import Tool, ToolContext, check_names, tool
from lumosai.tools.execute import Outcome, execute, outcome_of, read_arguments
from tests.conftest import examples


class Gate:
    """A run that lets everything through and writes down what it was asked, in order."""

    def __init__(
        self, *, refusal: str | None = None, approval: Callable[[ToolCallPart, str], Approval | None] | None = None
    ):
        self.log: list[tuple[Any, ...]] = []
        self.refusal = refusal
        self.approval = approval
        self.on_start: Callable[[], None] = lambda: None

    def admit(self, call: ToolCallPart) -> str | None:
        self.log.append(("admit", call))
        return self.refusal

    async def approve(self, call: ToolCallPart, arguments_hash: str) -> Approval | None:
        self.log.append(("approve", call, arguments_hash))
        return self.approval(call, arguments_hash) if self.approval is not None else None

    async def started(self, call: ToolCallPart, idempotency_key: str, queued_ms: float) -> None:
        self.log.append(("started", call, idempotency_key))
        assert queued_ms >= 0
        self.on_start()

    def progress(self, call_id: str, text: str) -> None:
        assert asyncio.get_running_loop() is not None
        self.log.append(("progress", call_id, text))

    @property
    def steps(self) -> list[str]:
        return [each[0] for each in self.log]


def call(name: str, arguments: dict[str, Any] | str | None = None) -> ToolCallPart:
    if isinstance(arguments, str):
        return ToolCallPart("c1", name, None, arguments)
    return ToolCallPart("c1", name, arguments if arguments is not None else {})


async def run(
    fn: Any,
    arguments: dict[str, Any] | str | None = None,
    *,
    gate: Gate | None = None,
    context: ToolContext | None = None,
    timeout_s: float | None = 5,
    most: int | None = 1000,
    grace_s: float = 1.0,
) -> Outcome:
    """Executes one call of one tool."""
    made = fn if isinstance(fn, Tool) else tool(fn)
    return await execute(
        call(made.name, arguments),
        check_names([made]),
        context or ToolContext(run_id="r1"),
        gate or Gate(),
        timeout_s=timeout_s,
        max_result_chars=most,
        grace_s=grace_s,
    )


def text(outcome: Outcome) -> str:
    assert outcome.result is not None
    assert outcome.result.call_id == outcome.call.id
    assert outcome.result.name == outcome.call.name
    assert outcome.result.is_error is (outcome.error_type is not None)
    assert outcome.duration_ms >= 0
    return outcome.result.text


@pytest.fixture
def fresh_pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    """A pool of one's own, small."""
    made = Pool(size=2, most_hung=3)
    monkeypatch.setattr(_running, "pool", lambda: made)
    return made


@tool
def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


@tool
async def add_async(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


# --- the checks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [add, add_async])
async def test_a_good_call(made: Tool) -> None:
    """It is admitted, started and run, and gives its result; its arguments are shown as they were understood."""
    gate = Gate()
    outcome = await run(made, {"a": "2"}, gate=gate)
    assert outcome == msgspec.structs.replace(
        outcome,
        result=ToolResultPart("c1", made.name, "3"),
        error_type=None,
        call=ToolCallPart("c1", made.name, {"a": 2}),
    )
    assert gate.steps == ["admit", "started"]
    assert gate.log[-1] == ("started", ToolCallPart("c1", made.name, {"a": 2}), "r1:c1")


async def test_an_undeclared_tool() -> None:
    """Only what this very request declared can be called; names that look like it are told."""
    gate = Gate()
    tools = check_names([add, tool(name="subtract")(lambda a: a)])
    outcome = await execute(call("Add"), tools, ToolContext(), gate, timeout_s=1, max_result_chars=100)
    assert outcome.error_type == "undeclared"
    assert text(outcome) == "There is no tool 'Add'. Did you mean 'add'?"
    outcome = await execute(call("weather"), tools, ToolContext(), gate, timeout_s=1, max_result_chars=100)
    assert text(outcome) == "There is no tool 'weather'. There are: add, subtract."
    outcome = await execute(call("weather"), {}, ToolContext(), gate, timeout_s=1, max_result_chars=100)
    assert "none may be called" in text(outcome)
    assert gate.log == []


async def test_broken_arguments() -> None:
    """What can be repaired runs; what cannot is told with its place and text, and runs nothing."""
    gate = Gate()
    assert text(await run(add, "{'a': 2, 'b': 3,}", gate=gate)) == "5"
    gate.log.clear()
    outcome = await run(add, '{"a": 2, "b": "thr', gate=gate)
    assert outcome.error_type == "invalid_arguments"
    assert text(outcome) == (
        "The arguments of 'add' are not a JSON object (Unterminated string starting at at character 14): "
        '{"a": 2, "b": "thr\nWrite one complete JSON object with the arguments: a, b.'
    )
    for raw in ("null", "[1]", "42", "hello", '"x"'):
        assert (await run(add, raw, gate=gate)).error_type == "invalid_arguments"
    assert gate.log == []
    assert len(text(await run(add, "x" * 10_000))) < 500


async def test_wrong_arguments() -> None:
    """All that is wrong is told at once, and nothing runs."""
    gate = Gate()
    outcome = await run(add, {"x": 1, "b": "two"}, gate=gate)
    assert outcome.error_type == "invalid_arguments"
    for part in ("a: required but missing", "x: no such argument", 'b: expected a valid integer, got "two"'):
        assert part in text(outcome)
    assert gate.log == []


async def test_no_arguments_at_all() -> None:
    """Empty text is a call without arguments."""
    assert text(await run(tool(name="now")(lambda: "12:00"), "")) == "12:00"
    assert text(await run(tool(name="now")(lambda: "12:00"), "  ")) == "12:00"
    assert (await run(add, "")).error_type == "invalid_arguments"


async def test_a_limit() -> None:
    """The run's limits refuse a valid call before it runs, in their own words."""
    gate = Gate(refusal="No more calls.")
    outcome = await run(add, {"a": 1}, gate=gate)
    assert (outcome.error_type, text(outcome), gate.steps) == ("limit", "No more calls.", ["admit"])


def granted(call: ToolCallPart, digest: str) -> Approval:
    return Approval(call.id, digest, True, "someone")


async def test_an_approval() -> None:
    """It is asked for with the hash of the arguments as they were understood, and then the tool runs."""
    gate = Gate(approval=granted)
    assert text(await run(add.replace(approval=True), {"a": "2"}, gate=gate)) == "3"
    assert gate.steps == ["admit", "approve", "started"]
    assert gate.log[1][2] == content_hash({"a": 2})


async def test_a_denial() -> None:
    """The model is told why, and nothing runs."""
    gate = Gate(approval=lambda call, digest: Approval(call.id, digest, False, "someone", "too dear"))
    outcome = await run(add.replace(approval=True), {"a": 2}, gate=gate)
    assert (outcome.error_type, text(outcome), gate.steps) == ("denied", "Denied: too dear", ["admit", "approve"])


async def test_an_approval_that_nobody_can_give() -> None:
    """The call stays pending: it has no result, and nothing runs."""
    gate = Gate()
    outcome = await run(add.replace(approval=True), {"a": 2}, gate=gate)
    assert (outcome.result, outcome.error_type, gate.steps) == (None, None, ["admit", "approve"])


@pytest.mark.parametrize(
    "approval",
    [
        lambda call, digest: Approval("other", digest, True),
        lambda call, digest: Approval(call.id, content_hash({"a": 3}), True),
        lambda call, digest: (call.arguments.update(a=1000), Approval(call.id, digest, True))[1],
    ],
)
async def test_an_approval_for_something_else(approval: Any) -> None:
    """Another call's approval, one for other arguments, and arguments changed since then let nothing run."""
    gate = Gate(approval=approval)
    outcome = await run(add.replace(approval=True), {"a": 2}, gate=gate)
    assert outcome.error_type == "denied"
    assert gate.steps == ["admit", "approve"]


async def test_an_approval_by_predicate() -> None:
    """A predicate, sync or async, sees the arguments with their defaults and the context, and decides."""
    seen: list[Any] = []

    def over_ten(arguments: dict[str, Any], context: ToolContext) -> bool:
        seen.append((arguments, context.call_id, context.run_id))
        return arguments["a"] + arguments["b"] > 10

    async def later(arguments: dict[str, Any], context: ToolContext) -> bool:
        return arguments["a"] > 10

    for predicate in (over_ten, later):
        gate = Gate(approval=granted)
        await run(add.replace(approval=predicate), {"a": 2}, gate=gate)
        await run(add.replace(approval=predicate), {"a": "20"}, gate=gate)
        assert gate.steps == ["admit", "started", "admit", "approve", "started"]
    assert seen == [({"a": 2, "b": 1}, "c1", "r1"), ({"a": 20, "b": 1}, "c1", "r1")]


async def test_a_predicate_that_raises() -> None:
    """What cannot be judged is not let through: a person is asked."""

    def broken(arguments: dict[str, Any], context: ToolContext) -> bool:
        raise KeyError("amount")

    gate = Gate()
    outcome = await run(add.replace(approval=broken), {"a": 2}, gate=gate)
    assert (outcome.result, gate.steps) == (None, ["admit", "approve"])


# --- the context ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_context(is_async: bool) -> None:
    """A tool is told its call, key, run, thread and the user's own object, and reports progress in order."""
    user = object()
    seen: list[ToolContext] = []

    def plain(n: int, ctx: ToolContext) -> str:
        seen.append(ctx)
        for i in range(n):
            ctx.progress(f"step {i}\ud800")
        return "done"

    async def later(n: int, ctx: ToolContext) -> str:
        return plain(n, ctx)

    gate = Gate()
    context = ToolContext(user, run_id="r9", thread_id="t", agent="a", idempotency_key="" if is_async else "my key")
    outcome = await run(later if is_async else plain, {"n": 2}, gate=gate, context=context)
    assert text(outcome) == "done"
    ctx = seen[0]
    assert (ctx.context, ctx.run_id, ctx.thread_id, ctx.agent, ctx.call_id) == (user, "r9", "t", "a", "c1")
    assert ctx.idempotency_key == ("r9:c1" if is_async else "my key")
    await asyncio.sleep(0)
    assert gate.log[2:] == [("progress", "c1", "step 0\ufffd"), ("progress", "c1", "step 1\ufffd")]
    ctx.progress("too late")
    await asyncio.sleep(0)
    assert len(gate.log) == 4


async def test_contextvars() -> None:
    """A sync tool sees the variables of the task that called it."""
    var = contextvars.ContextVar("var", default="none")
    var.set("mine")
    assert text(await run(tool(name="look")(lambda: var.get()))) == "mine"


async def test_sync_tools_run_in_a_thread_and_async_ones_in_the_loop() -> None:
    """A sync tool never blocks the loop."""
    here = threading.get_ident()

    def sync() -> bool:
        return threading.get_ident() == here

    async def later() -> bool:
        return threading.get_ident() == here

    assert text(await run(sync)) == "false"
    assert text(await run(later)) == "true"


async def test_calls_side_by_side() -> None:
    """Sync and async tools run at the same time, up to the pool's size."""
    barrier = threading.Barrier(8, timeout=30)

    def meet(n: int) -> int:
        barrier.wait()
        return n

    made = tool(meet)
    outcomes = await asyncio.gather(*[run(made, {"n": n}) for n in range(8)])
    assert [text(each) for each in outcomes] == [str(n) for n in range(8)]


# --- failures ---------------------------------------------------------------------------------------------------------


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


FAILURES = [
    (ToolError("The shop is closed."), "ToolError", "The shop is closed."),
    (ToolError(), "ToolError", "The tool failed and did not say how."),
    (ValueError("bad number"), "ValueError", "ValueError: bad number"),
    (KeyError("k"), "KeyError", "KeyError: 'k'"),
    (RuntimeError(), "RuntimeError", "RuntimeError"),
    (TimeoutError("the server is slow"), "TimeoutError", "TimeoutError: the server is slow"),
    (SystemExit(2), "SystemExit", "SystemExit: 2"),
    (
        ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
        "ExceptionGroup",
        "ExceptionGroup: ValueError: a; KeyError: 'b'",
    ),
    (Unspeakable(), "Unspeakable", "Unspeakable"),
    (asyncio.CancelledError(), "CancelledError", "CancelledError"),
    (ValueError("\ud800 and \0"), "ValueError", "ValueError: \ufffd and \ufffd"),
]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("error", "error_type", "said"), FAILURES, ids=lambda each: repr(each)[:30])
async def test_a_tool_that_raises(error: BaseException, error_type: str, said: str, is_async: bool) -> None:
    """The model is told type and message, or a `ToolError`'s text as it is; never a traceback; the run goes on."""

    def sync() -> None:
        raise error

    async def later() -> None:
        raise error

    outcome = await run(later if is_async else sync)
    assert (outcome.error_type, text(outcome)) == (error_type, said)


async def test_stop_iteration_in_a_thread() -> None:
    """Even the exception that a future cannot hold is told."""

    def sync() -> Any:
        return next(iter(()))

    assert (await run(sync)).error_type == "StopIteration"


@pytest.mark.parametrize("is_async", [False, True])
async def test_ctrl_c_in_a_tool(is_async: bool) -> None:
    """`KeyboardInterrupt` is the user's, not the tool's: it comes out."""

    def sync() -> None:
        raise KeyboardInterrupt

    async def later() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await run(later if is_async else sync)


async def test_a_long_error() -> None:
    """An error's text is clamped like a result's."""

    def sync() -> None:
        raise ValueError("x" * 10_000)

    assert len(text(await run(sync, most=200))) <= 200


# --- time-outs --------------------------------------------------------------------------------------------------------


async def test_an_async_tool_that_takes_too_long() -> None:
    """It is cancelled, and the model is told."""
    cleaned: list[str] = []

    async def slow(ctx: ToolContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("up")

    outcome = await run(slow, timeout_s=0.02)
    assert outcome.error_type == "timeout"
    assert text(outcome) == "'slow' did not finish within 0.02 s and was stopped."
    assert cleaned == ["up"]


async def test_a_sync_tool_that_takes_too_long(fresh_pool: Pool) -> None:
    """It is told through its context and left behind; its late result is dropped."""
    told = threading.Event()
    go = threading.Event()

    def slow(ctx: ToolContext) -> str:
        if ctx.wait_cancelled(5):
            told.set()
        go.wait(5)
        return "too late"

    outcome = await run(slow, timeout_s=0.02)
    assert outcome.error_type == "timeout"
    assert await asyncio.to_thread(told.wait, 30)
    assert fresh_pool.hung == 1
    go.set()


async def test_a_tool_with_a_time_out_of_its_own() -> None:
    """A tool's `timeout_s` counts instead of the run's, shorter or longer; infinity is none."""

    async def slow() -> str:
        await asyncio.sleep(0.05)
        return "done"

    assert (await run(tool(timeout_s=0.01)(slow), timeout_s=5)).error_type == "timeout"
    assert (await run(tool(timeout_s=5)(slow), timeout_s=0.01)).error_type is None
    assert (await run(tool(timeout_s=float("inf"))(slow), timeout_s=0.01)).error_type is None
    assert (await run(slow, timeout_s=None)).error_type is None


async def test_a_tool_that_answers_its_cancel() -> None:
    """A tool that swallows the time-out and returns, or fails in its clean-up, has timed out all the same."""

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return "anyway"

    async def broken() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("in the clean-up")

    assert (await run(stubborn, timeout_s=0.01)).error_type == "timeout"
    assert (await run(broken, timeout_s=0.01)).error_type == "timeout"


async def test_a_time_out_of_the_tools_own_making() -> None:
    """A `TimeoutError` from within is the tool's, not the run's."""

    async def impatient() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    outcome = await run(impatient)
    assert outcome.error_type == "TimeoutError"


async def test_a_sync_tool_that_returns_a_coroutine() -> None:
    """What it returns is awaited, within what is left of the time."""

    async def inner() -> str:
        return "inner"

    async def never() -> None:
        await asyncio.Event().wait()

    assert text(await run(tool(name="t")(lambda: inner()))) == "inner"
    assert (await run(tool(name="t")(lambda: never()), timeout_s=0.02)).error_type == "timeout"


async def test_threads_that_hang_starve_nobody(fresh_pool: Pool) -> None:
    """With every thread hanging, the next call still runs; with too many hanging, it is refused as data."""
    go = threading.Event()

    def hang() -> None:
        go.wait(20)

    for _ in range(2):
        assert (await run(hang, timeout_s=0.02)).error_type == "timeout"
    assert text(await run(add, {"a": 1})) == "2"
    assert (await run(hang, timeout_s=0.02)).error_type == "timeout"
    outcome = await run(add, {"a": 1})
    assert outcome.error_type == "RunError"
    assert "ToolContext.cancelled" in text(outcome)
    go.set()
    while fresh_pool.hung:
        await asyncio.sleep(0.001)
    assert text(await run(add, {"a": 1})) == "2"


# --- cancelling -------------------------------------------------------------------------------------------------------


async def cancelled(work: Any, when: Callable[[], bool]) -> Outcome | None:
    """Cancels a task once something is true; how its call ended."""
    task = asyncio.ensure_future(work)
    while not when():
        await asyncio.sleep(0.001)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError as cancel:
        assert task.cancelled()
        return outcome_of(cancel)
    raise AssertionError("the cancel was swallowed")


async def test_cancelling_an_async_tool() -> None:
    """It is cancelled at once, cleans up, and its call is interrupted."""
    state: list[str] = []

    async def slow(ctx: ToolContext) -> None:
        state.append("running")
        try:
            await asyncio.Event().wait()
        finally:
            state.append(f"cancelled {ctx.cancelled}")

    outcome = await cancelled(run(slow), lambda: bool(state))
    assert outcome is not None
    assert (outcome.error_type, state) == ("interrupted", ["running", "cancelled False"])
    assert "was stopped before it finished" in text(outcome)


async def test_cancelling_a_sync_tool_that_listens(fresh_pool: Pool) -> None:
    """It is told, given its grace, and what it returned in time is kept."""
    running = threading.Event()

    def listens(ctx: ToolContext) -> str:
        running.set()
        ctx.wait_cancelled(10)
        return f"stopped: {ctx.cancelled}"

    outcome = await cancelled(run(listens), running.is_set)
    assert outcome is not None
    assert (outcome.error_type, text(outcome)) == (None, "stopped: True")
    assert fresh_pool.hung == 0


async def test_cancelling_a_sync_tool_that_does_not_listen(fresh_pool: Pool) -> None:
    """After the grace it is abandoned; its late result is dropped."""
    running, go = threading.Event(), threading.Event()

    def deaf() -> str:
        running.set()
        go.wait(20)
        return "late"

    begun = time.monotonic()
    outcome = await cancelled(run(deaf, grace_s=0.05), running.is_set)
    assert 0.04 < time.monotonic() - begun < 5
    assert outcome is not None
    assert outcome.error_type == "abandoned"
    assert fresh_pool.hung == 1
    go.set()


async def test_cancelling_twice(fresh_pool: Pool) -> None:
    """A second cancel ends the grace."""
    running, go = threading.Event(), threading.Event()

    def deaf() -> None:
        running.set()
        go.wait(20)

    task = asyncio.ensure_future(run(deaf, grace_s=60))
    while not running.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), 30)
    assert fresh_pool.hung == 1
    go.set()


async def test_cancelling_a_tool_that_swallows_it() -> None:
    """The run's cancel is never lost to a tool that goes on; what it returned is kept."""
    running: list[int] = []

    async def stubborn() -> str:
        running.append(1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return "anyway"

    outcome = await cancelled(run(stubborn), lambda: bool(running))
    assert outcome is not None
    assert (outcome.error_type, text(outcome)) == (None, "anyway")


async def test_cancelling_before_the_tool_began() -> None:
    """While it waits for an approval, nothing has begun, and nothing runs."""

    class Waiting(Gate):
        async def approve(self, call: ToolCallPart, arguments_hash: str) -> Approval | None:
            self.log.append(("approve",))
            await asyncio.Event().wait()
            return None

    gate = Waiting()
    assert (
        await cancelled(run(add.replace(approval=True), {"a": 1}, gate=gate), lambda: "approve" in gate.steps) is None
    )
    assert gate.steps == ["admit", "approve"]


async def test_a_deadline_around_a_call() -> None:
    """`asyncio.timeout` around a call works as around anything else."""

    async def slow() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await run(slow)


async def test_cancelling_at_any_point(fresh_pool: Pool) -> None:
    """Wherever the cancel falls, it comes out, no task is left, and the threads come back."""

    def sync(ctx: ToolContext) -> str:
        ctx.wait_cancelled(0.002)
        return "x"

    async def later() -> str:
        for _ in range(5):
            await asyncio.sleep(0)
        return "x"

    for fn in (tool(sync), tool(later)):
        for turns in range(12):
            task = asyncio.ensure_future(run(fn.replace(approval=True), gate=Gate(approval=granted)))
            for _ in range(turns):
                await asyncio.sleep(0 if turns < 8 else 0.0005)
            task.cancel()
            done, _ = await asyncio.wait({task}, timeout=30)
            assert done
            assert task.cancelled() or text(task.result()) == "x"
    while fresh_pool.hung:
        await asyncio.sleep(0.001)
    assert len(asyncio.all_tasks()) == 1


# --- results ----------------------------------------------------------------------------------------------------------


class Kind(enum.Enum):
    A = "a"


class Model(BaseModel):
    name: str
    when: dt.date


@dataclasses.dataclass
class Data:
    x: int
    inner: Model | None = None


class Struct(msgspec.Struct):
    a: int
    price: Decimal


class Array:
    """What numpy's arrays look like from here."""

    def tolist(self) -> list[int]:
        return [1, 2]


RESULTS: list[tuple[Any, str]] = [
    ("text", "text"),
    ("", ""),
    (None, ""),
    ('{"already": "json"}', '{"already": "json"}'),
    (3, "3"),
    (1.5, "1.5"),
    (True, "true"),
    ([1, "ü", None], '[1, "ü", null]'),
    ({"a": {"b": (1, 2)}, 3: 4}, '{"a": {"b": [1, 2]}, "3": 4}'),
    (Decimal("1.50"), "1.50"),
    ({"d": Decimal("1.50")}, '{"d": "1.50"}'),
    (dt.date(2026, 1, 2), "2026-01-02"),
    ([dt.datetime(2026, 1, 2, 3, 4)], '["2026-01-02T03:04:00"]'),
    (dt.timedelta(seconds=90), "90.0"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Path("/tmp/x"), "/tmp/x"),
    (Kind.A, "a"),
    ([Kind.A], '["a"]'),
    ({3, 1, 2}, "[1, 2, 3]"),
    (Model(name="n", when=dt.date(2026, 1, 2)), '{"name": "n", "when": "2026-01-02"}'),
    (Data(1, Model(name="n", when=dt.date(2026, 1, 2))), '{"x": 1, "inner": {"name": "n", "when": "2026-01-02"}}'),
    (Struct(1, Decimal(2)), '{"a": 1, "price": "2"}'),
    ([Data(1)], '[{"x": 1, "inner": null}]'),
    (range(3), "[0, 1, 2]"),
    ({"a": 1}.keys(), '["a"]'),
    ({"a": 1}.values(), "[1]"),
    (Array(), "[1, 2]"),
    (10**30, "1" + "0" * 30),
    ("\ud83d\ude00 \ud800 \0", "😀 \ufffd \ufffd"),
    ({"k": "\ud800"}, '{"k": "\ufffd"}'),
]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("value", "shown"), RESULTS, ids=lambda each: repr(each)[:30])
async def test_what_a_tool_returns(value: Any, shown: str, is_async: bool) -> None:
    """Text is shown as it is, everything that is JSON as JSON, without escapes for what is not ASCII."""

    def sync() -> Any:
        return value

    async def later() -> Any:
        return value

    outcome = await run(later if is_async else sync)
    assert (outcome.error_type, text(outcome)) == (None, shown)


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"\x89PNG", "4 bytes, which a model cannot read; return text, or for media ImagePart"),
        ({"file": bytearray(9)}, "9 bytes, which a model cannot read"),
        (Struct(b"ab", Decimal(1)), "2 bytes"),  # type: ignore[arg-type]
        (object(), "an object of type object, which is no JSON"),
        ([threading.Lock()], "which is no JSON; return text"),
        ({(1, 2): 3}, "that is no JSON (keys must be"),
        (CIRCLE, "Circular"),
    ],
    ids=lambda each: each[:30] if isinstance(each, str) else type(each).__name__,
)
async def test_what_no_model_can_read(value: Any, said: str, is_async: bool) -> None:
    """Bytes and objects are an error that says what to return instead; never silently something else."""

    async def later() -> Any:
        return value

    outcome = await run(later if is_async else tool(name="t")(lambda: value))
    assert outcome.error_type == "UnreadableResultError"
    assert said in text(outcome)


async def test_parts() -> None:
    """Media parts, alone or among texts and values, reach the model as parts."""
    image = ImagePart(data=b"x")
    for value, parts in [
        (image, (image,)),
        (TextPart("t\0"), (TextPart("t\ufffd"),)),
        ([TextPart("look:"), image], (TextPart("look:"), image)),
        (("look:", image, {"a": 1}), (TextPart("look:"), image, TextPart('{"a": 1}'))),
        ([FilePart(data=b"pdf", media_type="application/pdf")], (FilePart(data=b"pdf", media_type="application/pdf"),)),
    ]:
        for fn in (tool(name="t")(lambda: value), tool(name="t")(later_value(value))):  # noqa: B023
            outcome = await run(fn)
            assert outcome.result is not None
            assert outcome.result.content == parts


def later_value(value: Any) -> Any:
    async def later() -> Any:
        return value

    return later


async def test_generators() -> None:
    """What a generator gives is collected: texts are joined, other values make a list; it is closed at the end."""
    closed: list[str] = []

    def texts() -> Iterator[str]:
        yield "a"
        yield "b"

    def values() -> Iterator[int]:
        yield 1
        yield 2

    async def texts_async() -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            closed.append("async")

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
                await asyncio.sleep(0)
        finally:
            closed.append("endless")

    assert text(await run(texts)) == "ab"
    assert text(await run(values)) == "[1, 2]"
    assert text(await run(texts_async)) == "ab"
    assert (await run(endless, timeout_s=0.02)).error_type == "timeout"
    assert closed == ["async", "endless"]


async def test_an_endless_sync_generator(fresh_pool: Pool) -> None:
    """It is stopped between two values once it ran out of time."""

    def endless() -> Iterator[str]:
        while True:
            time.sleep(0.0001)
            yield "x"

    assert (await run(endless, timeout_s=0.02)).error_type == "timeout"
    while fresh_pool.hung:
        await asyncio.sleep(0.001)


async def test_a_long_result() -> None:
    """It is cut in the middle, with a note of how much; a tool's own limit counts before the run's."""
    long = "".join(f"{i:06d}" for i in range(10_000))
    made = tool(name="long")(lambda: long)
    shown = text(await run(made, most=1000))
    assert len(shown) <= 1000
    assert shown.startswith(long[:400])
    assert shown.endswith(long[-400:])
    assert "of 60000 characters cut" in shown
    cut = int(shown.split("[… ")[1].split(" of")[0])
    assert len(shown) - len(shown[shown.index("\n[…") : shown.index("…]\n") + 3]) == len(long) - cut
    assert len(text(await run(made.replace(max_result_chars=50), most=1000))) <= 50
    assert text(await run(made, most=None)) == long
    assert text(await run(made, most=60_000)) == long


async def test_a_long_text_among_parts() -> None:
    """The texts of a result are clamped together, media are not."""
    image = ImagePart(data=b"x" * 5000)
    outcome = await run(tool(name="t")(lambda: [TextPart("a" * 900), image, TextPart("b" * 900)]), most=1000)
    assert outcome.result is not None
    first, middle, last = outcome.result.content
    assert first == TextPart("a" * 900)
    assert middle == image
    assert isinstance(last, TextPart)
    assert len(last.text) <= 100


# --- read_arguments ---------------------------------------------------------------------------------------------------


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), JSON, max_size=4), st.booleans())
@settings(max_examples=examples(200), deadline=None)
def test_arguments_written_and_read(arguments: dict[str, Any], as_ascii: bool) -> None:
    """Whatever object is written is read back as it was, by whichever encoder."""
    assert read_arguments(json.dumps(arguments, ensure_ascii=as_ascii)) == arguments


@given(st.text())
@settings(max_examples=examples(200), deadline=None)
def test_any_text_as_arguments(raw: str) -> None:
    """Any text gives an object or None; an empty object only from no text or from one."""
    found = read_arguments(raw)
    assert found is None or isinstance(found, dict)
    if found == {}:
        assert not raw.strip() or ("{" in raw and "}" in raw)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("", {}),
        (" \n", {}),
        ("{}", {}),
        ('{"a": 1}', {"a": 1}),
        ('{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
        ('{"a": NaN}', None),
        ('{"a": Infinity}', None),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ("null", None),
        ("[]", None),
        ('{"a": "\\ud800x"}', {"a": "\ufffdx"}),
        ('{"a\ud800": ["\\ud83d\\ude00"]}', {"a\ufffd": ["😀"]}),
        ('{"a": "\\u0000"}', {"a": "\0"}),
        ("[" * 100_000, None),
        ('{"a":' * 5000 + "1" + "}" * 5000, None),
        ('{"a":' * 201 + "1" + "}" * 201, None),
        ('{"a":"' + "[{" * 300 + '"}', {"a": "[{" * 300}),
        ('{"a":[' + "[]," * 300 + "[]]}", {"a": [[]] * 301}),
    ],
    ids=lambda each: repr(each)[:40],
)
def test_arguments_at_the_edge(raw: str, found: dict[str, Any] | None) -> None:
    """Big numbers keep their digits, what is not JSON is not guessed, lone surrogates are replaced."""
    assert read_arguments(raw) == found


@pytest.mark.parametrize(
    "raw",
    [
        '{"a": 1, "a": 2, "b": [1.5, -0.0, 1e400, 12345678901234567890123]}',
        '{"a": ' + "1" * 5000 + "}",
        '{"a": "\\ud83d\\ude00", "b": "\\ud800"}',
        '{"a": "\ud800"}',
        '{"a": NaN}',
        '{"a": 01}',
        ' \n{"a": {}}\t',
        '\ufeff{"a": 1}',
        '"{\\"a\\": 1}"',
        '[{"a": 1}]',
        '{"a": 1',
        "{'a': 1}",
        "",
        "7",
        '{"a":' * 3000 + "1" + "}" * 3000,
    ],
)
def test_the_quick_reader_means_what_the_slow_one_does(raw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the two reads arguments, they are the same."""

    def refuse(_: str) -> None:
        raise msgspec.DecodeError

    quick = read_arguments(raw)
    monkeypatch.setattr(execute_module, "_quickly", refuse)
    assert repr(read_arguments(raw)) == repr(quick)
