"""Observers that wrap: their ids are the events', their context is the tool's, and they never change the outcome."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from lumosai import Agent, ToolContext, tool
from lumosai.events import (
    ApprovalRequested,
    Event,
    ModelCallComplete,
    ModelCallStarted,
    RunStarted,
    ToolCallComplete,
    ToolCallStart,
)
from lumosai.propagation import SpanIds
from lumosai.storage import SqliteStorage
from lumosai.telemetry.trace import trace_of
from lumosai.testing import Answer, ScriptedModel, call
from tests.agent.helpers import of, record, scripted

HERE: ContextVar[str] = ContextVar("here", default="")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Wrapping:
    """Gives ids, and remembers what was entered and left, and in what order."""

    deltas = False

    def __init__(self, *, ids: bool = True) -> None:
        self.log: list[str] = []
        self.given: list[SpanIds | None] = []
        self.parents: dict[str, SpanIds | None] = {}
        self.known: dict[str, dict[str, Any]] = {}
        self.ids = ids

    def __call__(self, event: Event) -> None:
        pass

    @contextlib.contextmanager
    def around(self, kind: str, name: str, attributes: Any, parent: Any) -> Iterator[SpanIds | None]:
        place = f"{kind} {name}"
        self.parents[place], self.known[place] = parent, dict(attributes)
        made = SpanIds(TRACE, f"{len(self.given) + 1:016x}", True, "v=1", "b=2") if self.ids else None
        self.given.append(made)
        self.log.append(f"+{place}")
        token = HERE.set(place)
        try:
            yield made
        except BaseException as error:
            self.log.append(f"!{type(error).__name__}")
            raise
        finally:
            HERE.reset(token)
            self.log.append(f"-{place}")


@tool
def where_sync(context: ToolContext) -> str:
    """Where a thread is."""
    return f"{HERE.get()} {context.trace_headers}"


@tool
async def where(context: ToolContext) -> str:
    """Where a task is."""
    return f"{HERE.get()} {context.trace_headers}"


async def test_ids_come_into_the_events_and_go_out_with_requests() -> None:
    """Run, model calls and tool calls have the ids given, and a tool knows what to send on."""
    watching = Wrapping()
    agent, model = scripted(
        [[call("where_sync"), call("where")], "done"], tools=[where_sync, where], observers=[watching]
    )
    events, result = await record(agent)
    assert result.text == "done"
    run = of(events, RunStarted)[0]
    assert (run.trace_id, run.span_id) == (TRACE, f"{1:016x}")
    assert [e.span_id for e in of(events, ModelCallStarted)] == [e.span_id for e in of(events, ModelCallComplete)]
    assert {e.span_id for e in of(events, ToolCallStart)} == {e.span_id for e in of(events, ToolCallComplete)}
    for request, asked in zip(model.requests, of(events, ModelCallStarted), strict=True):
        assert request.trace == f"00-{TRACE}-{asked.span_id}-01"
        assert request.carried == (("tracestate", "v=1"), ("baggage", "b=2"))
    for done in of(events, ToolCallComplete):
        sent = {"traceparent": f"00-{TRACE}-{done.span_id}-01", "tracestate": "v=1", "baggage": "b=2"}
        assert done.result.text == f"tool_call {done.name} {sent}"
    assert watching.log[0] == "+run tester"
    assert watching.log[-1] == "-run tester"
    assert len(watching.log) == 2 * 5
    assert HERE.get() == ""
    trace = trace_of(events)
    assert trace.trace_id == TRACE
    assert {s.span_id for s in trace.steps if s.kind != "step"} == {g.span_id for g in watching.given if g}


async def test_who_gives_no_ids_wraps_all_the_same() -> None:
    watching = Wrapping(ids=False)
    agent, model = scripted([call("where_sync"), "done"], tools=[where_sync], observers=[watching])
    events, _ = await record(agent, traceparent=f"00-{TRACE}-{SPAN}-00", tracestate="a=1", baggage="b=2")
    done = of(events, ToolCallComplete)[0]
    sent = {"traceparent": f"00-{TRACE}-{done.span_id}-00", "tracestate": "a=1", "baggage": "b=2"}
    assert done.result.text == f"tool_call where_sync {sent}"
    assert watching.known["tool_call where_sync"]["span_id"] == done.span_id
    assert watching.parents["run tester"] == SpanIds(TRACE, SPAN, False, "a=1", "b=2")
    assert of(events, RunStarted)[0].parent_span_id == SPAN
    assert model.requests[0].trace.endswith("-00")


async def test_the_caller_is_seen_by_a_sub_run() -> None:
    """A sub-run is inside the call that asked it; its own observers wrap it too, none twice."""
    watching = Wrapping()
    inner = Agent("inner", model=ScriptedModel("x"), observers=[watching])
    outer, _ = scripted([call("inner", task="go"), "y"], tools=[inner.as_tool()], observers=[watching])
    events, _ = await record(outer)
    started = {e.agent: e for e in of(events, RunStarted)}
    asked = of(events, ToolCallStart)[0]
    assert started["inner"].parent_span_id == asked.span_id
    assert started["inner"].trace_id == TRACE
    assert [x for x in watching.log if "run" in x] == ["+run tester", "+run inner", "-run inner", "-run tester"]
    assert watching.log.index("+tool_call inner") < watching.log.index("+run inner")


async def test_a_call_that_is_asked_about_or_refused_has_one_span() -> None:
    @tool(approval=True)
    def pay() -> str:
        """Pays."""
        return HERE.get()

    watching = Wrapping()
    agent, _ = scripted([[call("pay"), call("nothing")], "done"], tools=[pay], observers=[watching])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is ApprovalRequested:
                run.approve(event.call.id)
        await run.result()
    events = run._log.events
    paid = next(e for e in of(events, ToolCallComplete) if e.name == "pay")
    assert of(events, ApprovalRequested)[0].span_id == paid.span_id == of(events, ToolCallStart)[0].span_id
    assert paid.result.text == "tool_call pay"
    assert sum("tool_call" in x for x in watching.log) == 4
    trace_of(events)


async def test_a_run_that_is_stopped_leaves_what_it_entered() -> None:
    watching = Wrapping()
    model = ScriptedModel([Answer(deltas=["a", "b"], gate=asyncio.Event(), gate_at=1)])
    agent = Agent("tester", model=model, observers=[watching])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event).__name__ == "TextDelta":
                break
    assert sorted(x[1:] for x in watching.log if x[0] == "+") == sorted(x[1:] for x in watching.log if x[0] == "-")
    assert "!CancelledError" in watching.log
    assert HERE.get() == ""


async def test_an_exception_that_is_handled_outside_is_not_the_runs() -> None:
    watching = Wrapping()
    agent, _ = scripted([call("add", a=1, b=2), "3"], observers=[watching])
    try:
        raise ValueError("the user's own")
    except ValueError:
        await agent.generate("go")
    assert [x for x in watching.log if x[0] == "!"] == []


async def test_one_that_raises_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Wrapping):
        def around(self, *_: Any) -> Any:
            self.log.append("asked")
            raise ValueError("no")

    broken, watching = Broken(), Wrapping()
    agent, _ = scripted([call("add", a=1, b=2), "3"], observers=[broken, watching])
    with caplog.at_level(logging.ERROR):
        result = await agent.generate("go")
    assert result.text == "3"
    assert broken.log == ["asked"]
    assert len(caplog.records) == 1
    assert len(watching.log) == 8


@pytest.mark.parametrize(
    "ids", [SpanIds("x" * 32, "1" * 16), SpanIds(TRACE, "0" * 16), SpanIds(TRACE, "1" * 16, True, "é", "a=1\r\nb")]
)
async def test_ids_that_are_none(ids: SpanIds) -> None:
    """What cannot be sent on, or would be a header of its own, does not come into events and requests."""

    class Odd(Wrapping):
        @contextlib.contextmanager
        def around(self, *_: Any) -> Iterator[SpanIds | None]:
            yield ids

    agent, model = scripted(["x"], observers=[Odd()])
    events, _ = await record(agent)
    assert model.requests[0].trace[3:35] == of(events, RunStarted)[0].trace_id != "x" * 32
    assert model.requests[0].carried == ()


async def test_a_sub_agents_observer_sees_its_last_event(tmp_path: Any) -> None:
    """Also where events are kept first, and so are shown when the sub-run has ended already."""
    seen: list[Event] = []
    storage = SqliteStorage(str(tmp_path / "x.db"))
    inner = Agent("inner", model=ScriptedModel("x"), observers=[seen.append])
    outer, _ = scripted([call("inner", task="go"), "y"], tools=[inner.as_tool()], storage=storage)
    events, _ = await record(outer)
    assert seen == [e for e in events if e.agent == "inner"]
    await storage.close()


async def test_a_resumed_run_keeps_its_ids_and_its_baggage(tmp_path: Any) -> None:
    """What another process has told stays as it was; who wraps is told so."""
    pay = tool(name="pay", approval=True)(lambda: "paid")
    storage = SqliteStorage(str(tmp_path / "x.db"))
    first, _ = scripted([call("pay")], tools=[pay], storage=storage)
    paused = await first.generate("go", traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="a=1", baggage="b=2")
    watching = Wrapping()
    again, _ = scripted(["done"], tools=[pay], storage=storage, observers=[watching])
    async with again.resume(paused.run_id) as run:
        run.approve(paused.pending[0].id)
        assert (await run.result()).text == "done"
        events = run._log.events
    started = of(events, RunStarted)[0]
    assert started.parent_span_id == SPAN
    assert watching.known["run tester"]["resumed"] is True
    assert watching.parents["run tester"] == SpanIds(TRACE, started.span_id, True, "a=1", "b=2")
    assert events[-1].span_id == started.span_id
    trace_of(events)
    await storage.close()
