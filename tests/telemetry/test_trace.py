"""Traces: laws for random teams, and what each kind of span says."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lumosai import Agent, tool
from lumosai.errors import LumosaiError, ServerError
from lumosai.events import (
    ApprovalResolved,
    Event,
    GuardFinding,
    MemoryRecalled,
    MemorySaved,
    ModelCallStarted,
    RunPaused,
    RunResumed,
    StepStarted,
    TextDelta,
    ToolCallComplete,
    UnknownEvent,
    from_json,
    to_json,
)
from lumosai.models.retry import RetryModel
from lumosai.records import Usage
from lumosai.storage import SqliteStorage
from lumosai.telemetry.trace import TraceFold, trace_of
from lumosai.testing import Answer, ScriptedModel, call
from lumosai.traces import ExecutionTrace, TraceStep
from tests.agent.helpers import add, of, record, scripted
from tests.agent.laws import Given, Watched, rich_teams, structured_teams, team, teams
from tests.agent.test_laws import approve_all
from tests.agent.test_resume import AGENTS, World, cut, events_of
from tests.conftest import examples

LIGHT = settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def stored(events: list[Event]) -> list[Event]:
    """As the journal keeps them: prompts by hash."""
    light = [
        msgspec.structs.replace(e, prompt=(), tools=(), prompt_hashes=("h",) * len(e.prompt))
        if type(e) is ModelCallStarted
        else e
        for e in events
    ]
    return [from_json(to_json(e)) for e in light]


def hold(events: list[Event], trace: ExecutionTrace) -> None:
    """What is true of every trace."""
    spans = {s.span_id: s for s in trace.steps}
    assert len(spans) == len(trace.steps), "no two spans have one id"
    assert trace.steps[0].kind == "run"
    for span in trace.steps[1:]:
        assert span.parent_span_id in spans, "every span is inside another one"
        assert span.start >= spans[span.parent_span_id].start - 0.1
        assert span.duration_ms is None or span.duration_ms >= 0
    by_kind = {k: [s for s in trace.steps if s.kind == k] for k in ("run", "step", "model_call", "tool_call")}
    assert len(by_kind["run"]) == len({e.run_id for e in events})
    assert len(by_kind["step"]) == len(of(events, StepStarted))
    assert len(by_kind["model_call"]) == len(of(events, ModelCallStarted))
    assert {s.attributes["call_id"] for s in by_kind["tool_call"]} >= {e.call_id for e in of(events, ToolCallComplete)}
    tokens = [s.attributes.get("input_tokens", 0) for s in by_kind["model_call"]]
    assert sum(tokens) == trace.usage.input_tokens


async def streamed(given: Given) -> tuple[list[Event], Any]:
    async with team(given).stream("go") as run:
        approving = asyncio.ensure_future(approve_all(run))
        events = [e async for e in run]
        await approving
        try:
            return events, await run.result()
        except LumosaiError as error:
            return events, error.result  # type: ignore[attr-defined]


@LIGHT
@given(st.one_of(teams, structured_teams, rich_teams))
def test_a_trace_is_the_same_live_or_stored_and_adds_up_to_the_result(given: Given) -> None:
    async def check() -> None:
        events, result = await streamed(given)
        trace = trace_of(events)
        hold(events, trace)
        assert all(s.duration_ms is not None for s in trace.steps), "a run that has ended leaves no span open"
        assert trace == trace_of(stored(events))
        assert trace == trace_of([e for e in events if type(e) is not TextDelta])
        assert trace.usage == result.usage
        assert trace.cost_usd == result.cost_usd
        assert trace.total_duration_ms == pytest.approx(result.duration_ms, abs=50)
        fold = TraceFold()
        taken: list[TraceStep] = []
        for at, event in enumerate(events):
            fold.add(event)
            taken += [c.step for c in fold.closed]
            assert [c.number for c in fold.closed] == [fold.trace().steps.index(c.step) for c in fold.closed]
            fold.closed.clear()
            if random.Random(at).random() < 0.2:
                hold(events[: at + 1], fold.trace())
        assert sorted(s.span_id for s in taken) == sorted(s.span_id for s in trace.steps), "each closes once"
        assert {s.span_id: s for s in taken} == {s.span_id: s for s in trace.steps}, "and for good"

    Watched().run(check())


@tool(approval=True)
def pay(amount: int) -> str:
    """Pays."""
    return f"paid {amount}"


async def test_each_kind_of_span_says_what_it_must() -> None:
    agent, _ = scripted(
        [
            Answer(
                text="Let me see.", calls=[call("add", a=1, b=2), call("broken", text="x")], usage=Usage(9, 4, 1, 2)
            ),
            "3",
        ],
        version="v7",
    )
    events, result = await record(agent)
    trace = trace_of(events)
    run, step, model, adding, breaking = trace.steps[:5]
    assert (run.kind, run.name, run.attributes["agent_version"]) == ("run", "tester", "v7")
    assert run.attributes["finish_reason"] == "stop"
    assert run.attributes["tool_calls"] == 2
    assert (step.kind, step.parent_span_id, step.attributes["input_tokens"]) == ("step", run.span_id, 9)
    assert (model.kind, model.parent_span_id) == ("model_call", step.span_id)
    assert (
        model.attributes
        | {
            "purpose": "answer",
            "attempt": 1,
            "messages": 1,
            "finish_reason": "tool_calls",
            "tool_calls": 2,
            "input_tokens": 9,
            "output_tokens": 4,
            "reasoning_tokens": 1,
            "cache_read_tokens": 2,
        }
        == model.attributes
    )
    assert model.attributes["message_id"] == result.messages[0].id
    assert model.attributes["time_to_first_chunk_ms"] <= model.duration_ms  # type: ignore[operator]
    assert (adding.kind, adding.name, adding.error) == ("tool_call", "add", None)
    assert adding.attributes["result_chars"] == 1
    assert (breaking.error_type, breaking.error) == ("ValueError", events_error(events))
    assert [s.kind for s in trace.steps[5:]] == ["step", "model_call"]
    assert (trace.status, trace.agent_id, trace.run_id) == ("ok", "tester", result.run_id)
    assert trace.root == run
    assert trace.children(step.span_id) == (model, adding, breaking)


def events_error(events: list[Event]) -> str:
    return next(e.result.content for e in of(events, ToolCallComplete) if e.is_error)


async def test_a_retry_is_a_span_of_its_own_and_its_reason_stands_in_the_step() -> None:
    tries = iter([ServerError("busy", retry_after_s=0), "At last."])
    model = RetryModel(ScriptedModel(lambda r: next(tries)), attempts=2)
    events, _ = await record(Agent("stubborn", model=model))
    trace = trace_of(events)
    failed, good = [s for s in trace.steps if s.kind == "model_call"]
    assert (failed.error_type, failed.attributes["attempt"]) == ("ServerError", 1)
    assert (good.error_type, good.attributes["attempt"]) == (None, 2)
    note = trace.steps[1].attributes["notes"][0]
    assert (note["name"], note["what"], note["attempt"]) == ("retrying", "model", 2)
    assert trace.root is not None
    assert trace.root.attributes["retries"] == 1


async def test_a_failed_and_a_cancelled_run_say_so() -> None:
    events, _ = await record(Agent("broken", model=ScriptedModel(lambda r: ServerError("down"))))
    trace = trace_of(events)
    assert (trace.status, trace.steps[0].error_type) == ("error", "ServerError")
    async with scripted([["a", call("add", a=1, b=1)], "b"])[0].stream("go") as running:
        seen = []
        async for event in running:
            seen.append(event)
            if len(seen) == 4:
                running.cancel("enough")
    trace = trace_of(seen)
    assert (trace.status, trace.steps[0].attributes["cancelled"]) == ("cancelled", "enough")
    assert all(s.duration_ms is not None for s in trace.steps)


async def test_the_wait_for_an_approval_is_a_span_inside_the_call() -> None:
    agent, _ = scripted([call("pay", amount=3), "done"], tools=[pay])
    async with agent.stream("go") as run:
        events = []
        async for event in run:
            events.append(event)
            if type(event) is RunPaused:
                half = trace_of(events)
                assert half.status == "paused"
                assert [s.kind for s in half.steps if s.duration_ms is None] == ["run", "step", "tool_call", "approval"]
                run.approve(event.pending[0].id)
    trace = trace_of(events)
    paying, waiting = (next(s for s in trace.steps if s.kind == k) for k in ("tool_call", "approval"))
    resolved = of(events, ApprovalResolved)[0]
    assert waiting.parent_span_id == paying.span_id
    assert waiting.attributes["decision"] == "granted"
    assert waiting.duration_ms == pytest.approx((resolved.at - waiting.start) * 1e3, abs=0.01)
    assert paying.duration_ms is not None
    assert paying.duration_ms >= waiting.duration_ms
    assert trace.steps[0].attributes["paused_ms"] > 0


async def test_a_sub_run_lies_inside_the_call_that_asked_it() -> None:
    helper = Agent("helper", model=ScriptedModel([call("add", a=1, b=1), "two"]), tools=[add])
    agent, _ = scripted([call("helper", task="count"), "It is two."], tools=[helper.as_tool()])
    events, result = await record(agent)
    trace = trace_of(events)
    asking = next(s for s in trace.steps if s.kind == "tool_call" and s.name == "helper")
    inner = next(s for s in trace.steps if s.kind == "run" and s.name == "helper")
    assert inner.parent_span_id == asking.span_id
    assert inner.attributes["parent_run_id"] == result.run_id
    assert {s.agent for s in trace.steps} == {"tester", "helper"}


async def test_content_is_kept_only_where_it_is_asked_for() -> None:
    agent, _ = scripted([["My secret plan", call("shout", text="hush")], "The end of it"])
    events, _ = await record(agent, "a private question")
    words = ("secret plan", "hush", "private", "HUSH", "The end of it")
    for content in ("off", "metadata"):
        told = msgspec.json.encode(trace_of(events, content=content)).decode()  # type: ignore[arg-type]
        assert not [w for w in words if w in told]
    full = msgspec.json.encode(trace_of(events, content="full")).decode()
    assert [w for w in words if w in full] == list(words)


async def test_a_run_that_was_cut_and_taken_up_has_no_span_left_open() -> None:
    agent, _ = scripted([["Let me ", call("add", a=1, b=2)], "3"])
    events, _ = await record(agent)
    at = next(i for i, e in enumerate(events) if type(e) is TextDelta) + 1
    before, root = events[:at], events[0]
    lost = next(e for e in before if type(e) is ModelCallStarted)
    header: list[Any] = [root.run_id, root.root_id, None, at + 1, before[-1].at + 60, root.span_id, None, root.agent]
    resumed = RunResumed(*header, 2)
    trace = trace_of([*before, resumed])
    model = next(s for s in trace.steps if s.span_id == lost.span_id)
    assert model.error_type == "interrupted"
    assert model.start + (model.duration_ms or 0) / 1e3 <= before[-1].at + 0.001, "it ends where it was last heard of"
    assert trace.status == "running"
    assert trace.steps[0].attributes["epoch"] == 2


@pytest.mark.parametrize("name", ["plain", "nested"])
async def test_a_run_taken_up_behind_any_event_gives_one_whole_trace(name: str) -> None:
    async with SqliteStorage("sqlite://") as storage:
        async with AGENTS[name](World(), storage=storage).stream("Go.") as run:
            count = len([e async for e in run])
        for at in range(1, count, 3):
            left = await cut(storage, run.id, at)
            async with AGENTS[name](World(), storage=left).resume(run.id) as again:
                live = [e async for e in again]
            trace = trace_of(await events_of(left, run.id))
            hold(live, trace)
            assert trace == trace_of(live)
            assert (trace.status, trace.run_id) == ("ok", run.id)
            assert [s for s in trace.steps if s.duration_ms is None] == []
            assert {s.error_type for s in trace.steps} <= {None, "interrupted"}


async def test_memory_guards_and_unknown_events_have_their_spans() -> None:
    events, _ = await record(scripted(["Hello."])[0])
    root, run = events[0], events[0].run_id
    header: list[Any] = [run, run, None, 2, root.at + 1, root.span_id, None, root.agent]
    made: list[Event] = [
        root,
        MemoryRecalled(*header, (), "recall", "", 3, 250.0),
        MemoryRecalled(*header[:3], 3, *header[4:], (), "recall", "", 0, 5.0, "no such table"),
        MemorySaved(*header[:3], 4, *header[4:], ("m1", "m2")),
        GuardFinding(*header[:3], 5, *header[4:], "pii", "block", "input"),
        UnknownEvent(*header[:3], 6, *header[4:], "later", {}),
    ]
    trace = trace_of(made)
    recalled, failed, saved, guard = trace.steps[1:]
    assert (recalled.kind, recalled.name, recalled.duration_ms, recalled.attributes["count"]) == (
        "memory",
        "recall",
        250.0,
        3,
    )
    assert recalled.start == pytest.approx(root.at + 0.75)
    assert failed.error == "no such table"
    assert (saved.name, saved.attributes["count"]) == ("save", 2)
    assert (guard.kind, guard.name, guard.error_type) == ("guard", "pii", "blocked")
    with pytest.raises(ValueError, match="run_started"):
        trace_of(made[1:])
