"""Limits hold outside the model's control, and a limit reached is a result with its reason."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import pytest

from lumosai import Limits, ModelSettings, Usage, tool
from lumosai.agent import state
from lumosai.agent.budget import Budget
from lumosai.errors import ConfigurationError, ToolFailuresError
from lumosai.events import BudgetWarning, Error, TextDelta, ToolCallComplete, ToolCallStart
from lumosai.testing import Answer, Call, call
from tests.agent.helpers import add, of, record, scripted


async def test_at_max_steps_one_last_answer_is_asked_for_without_tools() -> None:
    """The user gets an answer, and the reason says that the limit was reached."""

    def forever(request):
        return call("add", a=1, b=len(request.messages)) if request.tools else "As far as I got."

    agent, model = scripted(forever, limits=Limits(max_steps=3))
    result = await agent.generate("go")
    assert result.finish_reason == "step_limit"
    assert result.text == "As far as I got."
    assert len(model.requests) == 4
    assert [bool(r.tools) for r in model.requests] == [True, True, True, False]


async def test_a_call_in_the_last_answer_is_refused() -> None:
    """A server that calls although no tool was declared runs nothing."""
    agent, _ = scripted(lambda _: call("add", a=1, b=1), limits=Limits(max_steps=1))
    events, result = await record(agent)
    assert result.finish_reason == "step_limit"
    assert len(of(events, ToolCallStart)) == 1
    assert of(events, ToolCallComplete)[-1].error_type == "undeclared"


async def test_max_tool_calls_refuses_further_calls_and_ends_with_an_answer() -> None:
    """Calls past the limit are told so; then one answer without tools."""
    script = [[call("add", a=i, b=1) for i in range(4)], "Two of them."]
    agent, model = scripted(script, limits=Limits(max_tool_calls=2))
    events, result = await record(agent)
    assert result.finish_reason == "tool_limit"
    assert result.text == "Two of them."
    assert [e.error_type for e in of(events, ToolCallComplete)] == [None, None, "limit", "limit"] or sorted(
        str(e.error_type) for e in of(events, ToolCallComplete)
    ) == ["None", "None", "limit", "limit"]
    assert len(of(events, ToolCallStart)) == 2
    assert model.requests[1].tools == ()


@pytest.mark.parametrize("limit", ["max_input_tokens", "max_output_tokens", "max_total_tokens"])
async def test_a_token_limit_stops_before_the_next_request(limit: str) -> None:
    """Once the tokens are used no further request leaves; the partial text is kept."""
    usage = Usage(input_tokens=60, output_tokens=60, total_tokens=120)
    script = [Answer(text="One.", calls=[call("add", a=1, b=1)], usage=usage), "Two."]
    agent, model = scripted(script, limits=Limits(**{limit: 60}))
    result = await agent.generate("go")
    assert result.finish_reason == "token_limit"
    assert result.text == "One."
    assert result.steps[0].tool_results
    assert len(model.requests) == 1


async def test_the_output_limit_is_sent_to_the_model_too() -> None:
    """The provider is told the most it may still write."""
    usage = Usage(input_tokens=1, output_tokens=30, total_tokens=31)
    script = [Answer(calls=[call("add", a=1, b=1)], usage=usage), "Two."]
    agent, model = scripted(script, limits=Limits(max_output_tokens=100), settings=ModelSettings(max_output_tokens=90))
    await agent.generate("go")
    assert [r.settings.max_output_tokens for r in model.requests] == [90, 70]


async def test_a_limit_nearly_used_up_is_warned_of_once() -> None:
    """`budget_warning` at 80 %, once a limit."""
    usage = Usage(input_tokens=1, output_tokens=42, total_tokens=43)
    script = [Answer(calls=[call("add", a=i, b=1)], usage=usage) for i in range(2)]
    agent, _ = scripted([*script, "End."], limits=Limits(max_output_tokens=100))
    events, _ = await record(agent)
    warnings = of(events, BudgetWarning)
    assert [(w.limit, w.used, w.share) for w in warnings] == [("max_output_tokens", 84.0, 0.84)]


async def test_a_cost_limit_with_an_unknown_price_is_refused_at_the_start() -> None:
    """A limit that cannot be kept is not pretended."""
    agent, model = scripted(["x"], limits=Limits(max_cost_usd=1))
    with pytest.raises(ConfigurationError, match="price of scripted:scripted is not known"):
        await agent.generate("go")
    assert model.requests == []


async def test_the_deadline_ends_a_run_in_the_middle_of_a_tool() -> None:
    """A tool that hangs is cancelled, its call closed, and the reason is `deadline`."""
    cancelled = asyncio.Event()

    @tool
    async def hang() -> str:
        """Hang."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return ""

    agent, _ = scripted([["Wait. ", call("hang")], "never"], tools=[hang], limits=Limits(deadline_s=0.1))
    events, result = await record(agent)
    assert result.finish_reason == "deadline"
    assert result.text == "Wait. "
    assert cancelled.is_set()
    assert [e.error_type for e in of(events, ToolCallComplete)] == ["interrupted"]
    assert result.steps[0].tool_results[0].is_error


async def test_a_tool_that_takes_too_long_is_told_to_the_model() -> None:
    """A time-out is data for the model, not the run's end."""

    @tool(timeout_s=0.05)
    async def hang() -> str:
        """Hang."""
        await asyncio.Event().wait()
        return ""

    agent, model = scripted([call("hang"), "It took too long."], tools=[hang])
    events, result = await record(agent)
    assert result.text == "It took too long."
    assert [e.error_type for e in of(events, ToolCallComplete)] == ["timeout"]
    assert model.requests[1].messages[-1].tool_results[0].is_error


@pytest.mark.parametrize("failing", [call("broken", text="x"), Call("add", {"a": "x"}), Call("nowhere", "{]")])
async def test_the_same_call_failing_three_times_ends_the_run(failing: Call) -> None:
    """Going on would only repeat it: the run ends with a named reason."""
    agent, model = scripted(lambda _: failing)
    with pytest.raises(ToolFailuresError, match=f"{failing.name}.*failed 3 times") as caught:
        await agent.generate("go")
    assert len(model.requests) == 3
    assert caught.value.result.finish_reason == "tool_errors"
    assert len(caught.value.result.messages) == 6


async def test_different_failures_do_not_add_up() -> None:
    """A model that corrects itself gets its chances."""
    script = [call("broken", text=str(i)) for i in range(5)]
    agent, _ = scripted([*script, "I give up."])
    assert (await agent.generate("go")).text == "I give up."


async def test_a_long_tool_result_is_clamped() -> None:
    """What the model is shown stays under `max_tool_result_chars`, and says so."""

    @tool
    def long() -> str:
        """Long."""
        return "x" * 100_000

    agent, model = scripted([call("long"), "done"], tools=[long], limits=Limits(max_tool_result_chars=1000))
    await agent.generate("go")
    text = model.requests[1].messages[-1].tool_results[0].text
    assert len(text) <= 1100
    assert text.startswith("xxx")
    assert text.endswith("xxx")


async def test_a_call_cut_by_the_output_limit_is_not_run() -> None:
    """Arguments that were cut are not repaired into others."""
    cut = Answer(calls=[Call("add", '{"a": 1, "b": 2')], finish="length")
    agent, model = scripted([cut, "Sorry."])
    events, result = await record(agent)
    assert of(events, ToolCallStart) == []
    assert [e.error_type for e in of(events, ToolCallComplete)] == ["invalid_arguments"]
    assert "cut" in model.requests[1].messages[-1].tool_results[0].text
    assert result.text == "Sorry."


@pytest.mark.parametrize("reason", ["length", "content_filter", "refusal"])
async def test_the_providers_reason_is_the_runs(reason: str) -> None:
    """An answer that was cut or refused says so."""
    agent, _ = scripted([Answer(text="Half an", finish=reason)])
    assert (await agent.generate("go")).finish_reason == reason


async def test_a_price_gives_the_runs_cost() -> None:
    """Where nothing is known of a price the cost is None, never 0."""
    agent, _ = scripted(["x"])
    assert (await agent.generate("go")).cost_usd is None


async def test_no_limit_is_no_limit() -> None:
    """None lifts a limit."""
    script = [call("add", a=i, b=1) for i in range(60)]
    agent, _ = scripted([*script, "done"], limits=Limits(max_steps=None, max_tool_calls=None))
    events, result = await record(agent)
    assert result.finish_reason == "stop"
    assert len(result.steps) == 61
    assert not of(events, Error)
    assert result.cost_usd is None or result.cost_usd == Decimal(0)


async def test_no_steps_are_one_answer_without_tools() -> None:
    """`max_steps=0` and `max_tool_calls=0` still give the user an answer, with the limit's name."""
    agent, model = scripted(["By heart: 4."], limits=Limits(max_steps=0))
    result = await agent.generate("2+2?")
    assert (result.text, result.finish_reason) == ("By heart: 4.", "step_limit")
    assert [r.tools for r in model.requests] == [()]
    agent, model = scripted([call("add", a=2, b=2), "By heart: 4."], limits=Limits(max_tool_calls=0))
    events, result = await record(agent)
    assert (result.text, result.finish_reason) == ("By heart: 4.", "tool_limit")
    assert of(events, ToolCallStart) == []
    agent, _ = scripted(["Straight away."], limits=Limits(max_steps=1, max_tool_calls=0))
    assert (await agent.generate("go")).finish_reason == "stop"


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_steps": -1},
        {"tool_concurrency": 0},
        {"tool_concurrency": None},
        {"deadline_s": -0.5},
        {"max_cost_usd": float("nan")},
        {"max_output_retries": None},
        {"max_identical_failures": 0},
    ],
)
def test_a_limit_that_nothing_can_run_under_is_refused(wrong: dict) -> None:
    """Where it is made, by its name: a run would hang or fail on it later."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Limits(**wrong)


async def test_an_unknown_price_in_mid_run_ends_a_run_with_a_cost_limit() -> None:
    """What a fallback costs is not known, so what is left is not either."""
    from lumosai import Agent
    from lumosai.errors import ModelError
    from lumosai.models import FallbackModel
    from lumosai.testing import ScriptedModel

    priced = ScriptedModel(lambda _: ModelError("gone"), name="priced", price=(1, 1))
    unknown = ScriptedModel([call("add", a=1, b=1), "never"], name="unknown")
    agent = Agent("a", model=FallbackModel(priced, unknown), tools=[add], limits=Limits(max_cost_usd=1))
    with pytest.raises(ConfigurationError, match="scripted:unknown is not known"):
        await agent.generate("go")

    budget = Budget(Limits(max_cost_usd=1))
    budget.spend(Usage(), Decimal("0.1"))
    assert budget.exhausted() is None
    budget.spend(Usage(), None)
    assert budget.exhausted() == "cost_limit"


def test_a_call_that_a_sub_runs_own_limit_refuses_is_not_booked_above() -> None:
    """What did not run used nothing."""
    root = Budget(Limits(max_tool_calls=5))
    child = Budget(Limits(max_tool_calls=1), root)
    assert child.take_call() is None
    assert "limit of 1" in child.take_call()
    assert (root.tool_calls, child.tool_calls) == (1, 1)
    for _ in range(4):
        assert root.take_call() is None
    assert "limit of 5" in Budget(Limits(), root).take_call()


async def test_a_deadline_holds_for_a_model_that_never_waits() -> None:
    """The loop looks at the time between steps, too."""
    agent, model = scripted(lambda r: call("shout", text=str(len(r.messages))), limits=Limits(deadline_s=0.0))
    result = await agent.generate("go")
    assert result.finish_reason == "deadline"
    assert len(model.requests) == 0


async def test_a_clock_that_is_set_forward_does_not_bring_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that a run may take is measured, not read off a clock that somebody may set."""
    monkeypatch.setattr(state, "now", lambda: time.time() - 3600.0)
    agent, _ = scripted([call("add", a=1, b=2), "3"], tools=[add], limits=Limits(deadline_s=60.0))
    assert (await agent.generate("x")).finish_reason == "stop"


async def test_a_failure_in_the_moment_of_the_deadline_is_the_deadline() -> None:
    """A model whose clean-up fails does not hide why the run was stopped; nor does it hide a cancel."""

    async def answer(_request):
        yield "a "
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("clean-up failed") from None

    agent, _ = scripted(answer, limits=Limits(deadline_s=0.02))
    assert (await agent.generate("go")).finish_reason == "deadline"
    async with agent.replace(limits=Limits()).stream("go") as run:
        async for event in run:
            if type(event) is TextDelta:
                run.cancel()
        assert (await run.result()).finish_reason == "cancelled"
