"""A run's events, its readers and its result: one stream that everything else is read from."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai import Agent, AgentResult, Limits, Message, ModelSettings, ToolContext, Usage, tool
from lumosai.errors import InvalidInputError, ModelError, RunError, ServerError
from lumosai.events import (
    Error,
    GenerationComplete,
    ModelCallComplete,
    ModelCallStarted,
    StepComplete,
    TextDelta,
    ToolCallComplete,
    ToolCallDelta,
    ToolCallStart,
    fold,
    from_json,
    to_json,
)
from lumosai.messages import ImagePart, TextPart, ToolCallPart, ToolResultPart
from lumosai.models.base import PartChunk, ReasoningChunk, ToolCallChunk, UsageChunk
from lumosai.testing import Answer, Call, ScriptedModel, call
from tests.agent.helpers import add, kinds, of, record, scripted
from tests.conftest import examples

CALC = [call("add", a=2, b=3), "It is 5."]


async def test_a_question_is_answered() -> None:
    """The result holds text, usage, steps and the reason."""
    agent, _ = scripted(["Hello there."])
    result = await agent.generate("Hi")
    assert result.text == result.output == str(result) == "Hello there."
    assert result.finish_reason == "stop"
    assert result.usage.output_tokens > 0
    assert [s.text for s in result.steps] == ["Hello there."]
    assert [m.role for m in result.messages] == ["assistant"]
    assert result.model == "scripted"


async def test_a_tool_is_called_and_its_result_answered() -> None:
    """The second request holds the call and its result; both are in the result's messages."""
    agent, model = scripted(CALC, instructions="Be brief.")
    result = await agent.generate("2+3?")
    assert result.text == "It is 5."
    asked = model.requests[1].messages
    assert [m.role for m in asked] == ["system", "user", "assistant", "tool"]
    assert asked[0].text == "Be brief."
    assert asked[3].tool_results[0].text == "5"
    assert [m.role for m in result.messages] == ["assistant", "tool", "assistant"]
    assert [s.tool_results[0].text for s in result.steps if s.tool_results] == ["5"]
    assert result.tool_calls[0].arguments == {"a": 2, "b": 3}


async def test_the_events_of_a_tool_call_come_in_their_order() -> None:
    """Deltas, then the model's end, then start, then exactly one end; numbers have no gap."""
    agent, _ = scripted(CALC)
    events, result = await record(agent)
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert {e.run_id for e in events} == {result.run_id}
    steps = [k for k in kinds(events) if k not in ("text_delta", "tool_call_delta")]
    assert steps == [
        "run_started",
        "step_started",
        "model_call_started",
        "model_call_complete",
        "tool_call_start",
        "tool_call_complete",
        "step_complete",
        "step_started",
        "model_call_started",
        "model_call_complete",
        "step_complete",
        "generation_complete",
    ]
    deltas = of(events, ToolCallDelta)
    assert "".join(d.delta for d in deltas) == '{"a":2,"b":3}'
    (start,), (end,) = of(events, ToolCallStart), of(events, ToolCallComplete)
    assert start.call.arguments == {"a": 2, "b": 3}
    assert start.span_id == end.span_id
    assert start.idempotency_key.startswith(result.run_id)
    assert deltas[0].call_id == end.call_id == start.call.id
    assert max(d.seq for d in deltas) < of(events, ModelCallComplete)[0].seq < start.seq
    for begin, complete in zip(of(events, ModelCallStarted), of(events, ModelCallComplete), strict=True):
        assert begin.span_id == complete.span_id
        assert begin.model_call_id == complete.model_call_id


async def test_the_request_in_the_event_is_the_one_that_was_sent() -> None:
    """In process `model_call_started` carries the very prompt and tools; on the wire their hashes."""
    agent, model = scripted(CALC)
    events, _ = await record(agent)
    started = of(events, ModelCallStarted)[1]
    assert started.prompt == model.requests[1].messages
    assert started.prompt[0] is model.requests[1].messages[0]
    assert started.tools == model.requests[1].tools
    sent = from_json(to_json(started))
    assert sent.prompt == ()
    assert len(sent.prompt_hashes) == len(started.prompt)


pieces = st.one_of(
    st.text(min_size=1, max_size=30),
    st.builds(lambda a, b: call("add", a=a, b=b), st.integers(), st.integers()),
    st.builds(lambda t: call("shout", text=t), st.text(max_size=10)),
    st.builds(lambda t: call("broken", text=t), st.text(max_size=10)),
    st.builds(lambda t: Call("nowhere", t), st.text(max_size=20)),
    st.builds(lambda t: Call("add", t), st.text(max_size=20)),
)
scripts = st.lists(st.lists(pieces, min_size=1, max_size=4), max_size=3)


def comparable(result: AgentResult) -> AgentResult:
    """The result without what differs between any two runs."""
    import re

    import msgspec

    text = msgspec.json.encode(result).decode()
    text = re.sub(r'"duration_ms":[\d.e-]+', '"duration_ms":0', text)
    ids: dict[str, str] = {}
    uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|call_[0-9a-f]{16}"
    return re.sub(uuid, lambda m: ids.setdefault(m[0], f"id{len(ids)}"), text)


@given(scripts)
@settings(max_examples=examples(60), deadline=None)
def test_a_streamed_run_folds_to_what_generate_gives(script: list) -> None:
    """fold(stream(x)) == generate(x), for any answers and calls, valid or not."""

    async def check() -> None:
        first, _ = scripted([*script, "The end."])
        second, _ = scripted([*script, "The end."])
        events, streamed = await record(first)
        try:
            whole = await second.generate("go")
        except RunError as error:
            whole = error.result
            streamed = streamed.result
        assert comparable(fold(events)) == comparable(streamed) == comparable(whole)
        assert comparable(fold(from_json(to_json(e)) for e in events)) == comparable(whole)
        assert isinstance(events[-1], GenerationComplete | Error)
        totals = events[-1].result
        assert totals.usage == whole.usage
        assert totals.steps == len(whole.steps)
        assert list(totals.message_ids) == [m.id for m in streamed.messages]
        starts, ends = of(events, ToolCallStart), of(events, ToolCallComplete)
        assert len({e.call_id for e in ends}) == len(ends) == len(streamed.tool_calls)
        assert {s.call.id for s in starts} <= {e.call_id for e in ends}
        deltas = {e.call_id for e in of(events, ToolCallDelta)}
        assert deltas == {c.id for c in streamed.tool_calls}

    asyncio.run(check())


async def test_several_readers_and_a_late_one_see_the_same_events() -> None:
    """Every reader sees each event exactly once, in order, from where it asked."""
    agent, _ = scripted(CALC)
    async with agent.stream("go") as run:
        early, early_too = run.subscribe(), run.subscribe(after=3)

        async def read(events) -> list:
            return [e async for e in events]

        first, second, own = await asyncio.gather(read(early), read(early_too), read(run))
        late = await read(run.subscribe())
        assert first == own == late
        assert second == own[3:]
        assert await read(run.subscribe(after=len(own))) == []


async def test_only_the_openers_iterator_holds_the_run_back() -> None:
    """A slow opener bounds the producer; with only a subscriber it runs to its end."""
    answer = Answer(deltas=["x"] * 5000)
    agent, _ = scripted(lambda _: answer)
    async with agent.stream("go") as run:
        events = run.__aiter__()
        await anext(events)
        for _ in range(50):
            await asyncio.sleep(0)
        ahead = run.subscribe()
        seen = 0
        for _ in range(400):
            seen = (await anext(ahead)).seq
        assert seen < 5000
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                for _ in range(3000):
                    seen = (await anext(ahead)).seq
        assert seen < 1500
        await run.result()
    async with agent.stream("go") as run:
        subscriber = run.subscribe()
        await anext(subscriber)
        assert (await run.result()).text == "x" * 5000


async def test_result_after_a_part_read_stream_drains_it() -> None:
    """A caller that stops reading can still have the result."""
    agent, _ = scripted([Answer(deltas=["x"] * 3000)])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is TextDelta:
                break
        assert len((await run.result()).text) == 3000


async def test_text_gives_the_answers_text() -> None:
    """`run.text()` is the text of all steps as it comes."""
    agent, _ = scripted([["Let me see. ", call("add", a=1, b=1)], "It is 2."])
    async with agent.stream("go") as run:
        assert "".join([t async for t in run.text()]) == "Let me see. It is 2."


async def test_an_observer_sees_every_event_and_one_that_raises_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """Observers see events in order; one that raises is logged once and the run goes on."""
    seen, calls = [], []

    def bad(event) -> None:
        calls.append(event)
        raise RuntimeError("mine")

    agent, _ = scripted(CALC, observers=[bad, seen.append])
    events, result = await record(agent)
    assert result.text == "It is 5."
    assert seen == events
    assert len(calls) == 1
    assert [r.message for r in caplog.records if "dropped" in r.message] == [f"observer {bad!r} raised and is dropped"]


async def test_a_failing_model_ends_the_run_with_its_error() -> None:
    """`Error` is the last event; iteration does not raise, `result()` and `text()` do, with the partial result."""
    agent, _ = scripted([CALC[0], Answer(text="It is half", error=ModelError("gone"), error_at=2)])
    async with agent.stream("go") as run:
        events = [e async for e in run]
        assert isinstance(events[-1], Error)
        assert events[-1].error_type == "ModelError"
        with pytest.raises(ModelError, match="gone") as caught:
            await run.result()
    partial = caught.value.result
    assert partial.finish_reason == "error"
    assert partial.text == "It is "
    assert partial.messages[-1].metadata == {"interrupted": True}
    agent, _ = scripted([Answer(text="It is half", error=ModelError("gone"), error_at=2)])
    got = []
    async with agent.stream("go") as run:
        with pytest.raises(ModelError, match="gone"):
            async for text in run.text():
                got.append(text)
    assert got == ["It ", "is "]


async def test_a_passing_failure_is_retried_and_the_void_text_dropped() -> None:
    """A retry after shown text says `discard`, and no fold keeps the void deltas."""
    script = [Answer(text="It is ha", error=ServerError("busy", retry_after_s=0), error_at=2), "All well."]
    agent, _ = scripted(script)
    events, result = await record(agent)
    (retry,) = [e for e in events if kinds([e]) == ["retrying"]]
    assert retry.discard
    assert retry.what == "model"
    assert result.text == "All well."
    assert len(result.steps) == 1
    assert fold(events).text == "All well."
    complete = of(events, ModelCallComplete)
    assert [c.error_type for c in complete] == ["ServerError", None]


async def test_a_model_that_stops_without_an_end_is_an_error() -> None:
    """A cut answer is never passed off as a finished one."""
    agent, _ = scripted([Answer(text="half of it", cut_at=1)])
    with pytest.raises(RunError, match="without saying that it had finished"):
        await agent.generate("go")


async def test_a_bug_in_the_users_instructions_ends_the_run_with_a_reason() -> None:
    """What the user's functions raise is told, not lost."""

    def instructions(_context) -> str:
        raise KeyError("name")

    agent, _ = scripted(["x"], instructions=instructions)
    with pytest.raises(RunError, match="KeyError: 'name'") as caught:
        await agent.generate("go")
    assert isinstance(caught.value.__cause__, KeyError)


async def test_instructions_may_be_a_function_of_the_context() -> None:
    """A sync or async function makes the system prompt from the run's context."""

    async def instructions(context) -> str:
        return f"You speak with {context.context['name']} as {context.agent}."

    agent, model = scripted(["x"], instructions=instructions)
    await agent.generate("go", context={"name": "Ada"})
    assert model.requests[0].messages[0] == Message.system("You speak with Ada as tester.")


async def test_a_tool_gets_the_runs_context() -> None:
    """`ToolContext` carries run, call, key and the user's object; progress becomes an event."""
    got = {}

    @tool
    def probe(context: ToolContext) -> str:
        """Look around."""
        got.update(run=context.run_id, call=context.call_id, key=context.idempotency_key, mine=context.context)
        context.progress("half way")
        return "ok"

    agent, _ = scripted([call("probe"), "done"], tools=[probe])
    events, result = await record(agent, context={"user": 7})
    assert got["run"] == result.run_id
    assert got["call"] == result.tool_calls[0].id
    assert got["key"] == f"{result.run_id}:0:{got['call']}"
    assert got["mine"] == {"user": 7}
    assert [e.text for e in events if kinds([e]) == ["tool_progress"]] == ["half way"]


async def test_calls_of_one_answer_run_side_by_side_and_their_results_keep_the_order() -> None:
    """Starts come in call order, ends as they happen, results in call order."""
    second_done = asyncio.Event()

    @tool
    async def wait(first: bool) -> str:
        """Wait for the other."""
        if first:
            await second_done.wait()
            return "first"
        second_done.set()
        return "second"

    agent, model = scripted([[call("wait", first=True), call("wait", first=False)], "done"], tools=[wait])
    events, result = await record(agent)
    ids = [c.id for c in result.tool_calls]
    assert [e.call.id for e in of(events, ToolCallStart)] == ids
    assert [e.call_id for e in of(events, ToolCallComplete)] == ids[::-1]
    assert [r.text for r in model.requests[1].messages[-1].tool_results] == ["first", "second"]


async def test_tool_concurrency_is_bounded() -> None:
    """No more than `tool_concurrency` calls are at work at once, and all are done."""
    running, most = 0, 0

    @tool
    async def work(n: int) -> str:
        """Work."""
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running -= 1
        return str(n)

    agent, model = scripted(
        [[call("work", n=n) for n in range(9)], "done"], tools=[work], limits=Limits(tool_concurrency=3)
    )
    await agent.generate("go")
    assert most == 3
    assert [r.text for r in model.requests[1].messages[-1].tool_results] == [str(n) for n in range(9)]


async def test_a_message_sent_in_joins_before_the_next_step() -> None:
    """`send` steers: an answer that was ready is followed by another that has heard it."""
    gate = asyncio.Event()
    agent, model = scripted([Answer(text="First answer.", gate=gate, gate_at=1), "Second answer."])
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is TextDelta:
                break
        await run.send("Also say more.")
        gate.set()
        result = await run.result()
        with pytest.raises(InvalidInputError, match="has ended"):
            run.send("too late")
    assert result.text == "Second answer."
    assert [m.text for m in model.requests[1].messages] == ["go", "First answer.", "Also say more."]
    assert [m.role for m in result.messages] == ["assistant", "user", "assistant"]


async def test_a_forced_tool_choice_holds_for_the_first_answer_only() -> None:
    """Else the model could never answer."""
    agent, model = scripted(CALC)
    await agent.generate("go", tool_choice={"tool": "add"})
    assert [r.tool_choice for r in model.requests] == [{"tool": "add"}, None]


async def test_provider_ids_that_repeat_are_replaced() -> None:
    """Ids are unique in a run, whatever a provider sends."""
    again = Call("add", {"a": 1, "b": 1}, "call_0")
    agent, _ = scripted([again, again, [Call("add", {"a": 2, "b": 1}, ""), Call("add", {"a": 3, "b": 1}, "")], "done"])
    result = await agent.generate("go")
    ids = [c.id for c in result.tool_calls]
    assert len(set(ids)) == 4
    assert ids[0] == "call_0"


async def test_one_agent_serves_many_runs_at_once() -> None:
    """Runs do not share state."""
    agent = Agent("tester", model=ScriptedModel(lambda r: f"Heard {r.messages[-1].text}"), tools=[add])
    results = await asyncio.gather(*(agent.generate(f"number {i}") for i in range(50)))
    assert [r.text for r in results] == [f"Heard number {i}" for i in range(50)]
    assert len({r.run_id for r in results}) == 50


async def test_a_run_that_is_not_opened_says_how() -> None:
    """Iterating or waiting without `async with` is a clear error."""
    agent, _ = scripted(["x"])
    run = agent.stream("go")
    with pytest.raises(InvalidInputError, match="async with"):
        run.__aiter__()
    with pytest.raises(InvalidInputError, match="async with"):
        await run.result()


async def test_lone_surrogates_never_reach_an_event() -> None:
    """Halves in two deltas are joined, a lone one is replaced, and every event encodes."""
    agent, _ = scripted([Answer(deltas=["a\ud83d", "\ude00\ud83d", "b"])])
    events, result = await record(agent, "in\udc00put")
    assert result.text == "a😀\ufffdb"
    for event in events:
        assert from_json(to_json(event)).seq == event.seq


async def test_the_step_seam_carries_every_request_and_call() -> None:
    """A durable engine can stand in for the plain call: it sees names and keys, and its result counts."""
    agent, _ = scripted(CALC)
    seen = []
    run = agent.stream("go")

    async def step(name, fn, key):
        seen.append((name, key))
        return await fn()

    run._loop.state.step = step
    async with run:
        result = await run.result()
    call_id = result.tool_calls[0].id
    rid = result.run_id
    assert seen == [("model", f"{rid}:0"), ("add", f"{rid}:0:{call_id}"), ("model", f"{rid}:1")]


async def test_step_durations_and_usage_add_up() -> None:
    """The steps' usage is the run's."""
    agent, _ = scripted(CALC)
    events, result = await record(agent)
    total = sum((s.usage for s in result.steps), start=type(result.usage)())
    assert total == result.usage
    assert [e.usage for e in of(events, StepComplete)] == [s.usage for s in result.steps]


async def test_an_option_there_is_not_is_refused() -> None:
    """A misspelt option is told, never dropped."""
    agent, model = scripted(["x"])
    with pytest.raises(TypeError, match="no option contxt: there are baggage, branch, busy_timeout_s, context"):
        await agent.generate("go", contxt=1)
    with pytest.raises(TypeError, match="save"):
        agent.stream("go", save=True)
    assert model.requests == []


@pytest.mark.parametrize(
    ("choice", "said"),
    [({"tool": "ad"}, "'ad'.*'add'"), ("any", "none of"), ({"name": "add"}, "none of"), (5, "none of")],
)
async def test_a_tool_choice_that_cannot_be_is_refused_before_anything_is_sent(choice, said: str) -> None:
    """By what it may be, or by the tools there are."""
    agent, model = scripted(["x"])
    with pytest.raises(InvalidInputError, match=said):
        await agent.generate("go", tool_choice=choice)
    with pytest.raises(InvalidInputError, match=said):
        agent.replace(settings=ModelSettings(tool_choice=choice)).stream("go")
    assert model.requests == []


async def test_a_forced_choice_of_the_agents_settings_holds_for_the_first_answer_too() -> None:
    """It is not sent again beside the request's own, nor with an answer that has no tools."""
    agent, model = scripted(lambda r: call("add", a=1, b=len(r.messages)) if r.tools else "end")
    agent = agent.replace(settings=ModelSettings(tool_choice={"tool": "add"}, seed=1), limits=Limits(max_steps=2))
    events, result = await record(agent)
    assert result.text == "end"
    assert [r.tool_choice for r in model.requests] == [{"tool": "add"}, None, None]
    assert [r.settings for r in model.requests] == [ModelSettings(seed=1)] * 3
    assert events[0].settings.tool_choice == {"tool": "add"}


async def test_a_call_where_the_choice_is_none_is_refused() -> None:
    """A server that calls all the same runs nothing."""
    agent, model = scripted([call("add", a=1, b=1), "As you like."])
    events, result = await record(agent, tool_choice="none")
    assert of(events, ToolCallStart) == []
    assert [e.error_type for e in of(events, ToolCallComplete)] == ["undeclared"]
    assert [r.tool_choice for r in model.requests] == ["none", "none"]
    assert result.text == "As you like."


@pytest.mark.parametrize("ending", ["limit", "cancel", "error"])
async def test_a_message_that_was_taken_is_not_lost_where_the_run_ends(ending: str) -> None:
    """It is the last of the result's messages, unanswered; one that came too late is refused."""
    gate = asyncio.Event()
    error = ModelError("gone") if ending == "error" else None
    answer = Answer(text="So far so good", gate=gate, gate_at=1, error=error, error_at=2)
    agent, _ = scripted([answer], limits=Limits(max_steps=0))
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is TextDelta and event.delta == "So ":
                run.send("One thing more.")
                if ending == "cancel":
                    run.cancel()
                gate.set()
        with pytest.raises(InvalidInputError, match="has ended"):
            run.send("too late")
        events = [e async for e in run.subscribe()]
    result = fold(events)
    assert [m.role for m in result.messages] == ["assistant", "user"]
    assert result.messages[-1].text == "One thing more."
    assert result.messages[-1].id == events[-1].result.message_ids[-1]
    assert result.text.startswith("So ")


@pytest.mark.parametrize("message", [Message.assistant("I said"), Message.tool(), "", Message.user()])
async def test_only_a_users_message_can_be_sent(message) -> None:
    """Nothing else belongs between two steps."""
    agent, _ = scripted([Answer(text="a b", gate=asyncio.Event(), gate_at=1)])
    async with agent.stream("go") as run:
        with pytest.raises(InvalidInputError):
            run.send(message)


async def test_a_message_sent_by_an_observer_at_the_end_is_refused() -> None:
    """Nobody could answer it, and nobody is told that it was taken."""
    refused = []

    def observe(event) -> None:
        if type(event) is GenerationComplete:
            try:
                held[0].send("still there?")
            except InvalidInputError as error:
                refused.append(error)

    agent, _ = scripted(["x"], observers=[observe])
    held = [agent.stream("go")]
    async with held[0] as run:
        assert (await run.result()).text == "x"
    assert len(refused) == 1


async def test_a_callers_trace_is_gone_on_with() -> None:
    """A good `traceparent` names trace and parent; any other begins a new trace."""
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    agent, model = scripted(lambda _: "x")
    events, _ = await record(agent, traceparent=f"00-{trace}-{span}-01")
    assert (events[0].trace_id, events[0].parent_span_id) == (trace, span)
    assert model.requests[0].trace.split("-")[1] == trace
    for bad in (
        "",
        "x",
        f"00-{trace}-{'0' * 16}-01",
        f"00-{'0' * 32}-{span}-01",
        f"ff-{trace}-{span}-01",
        f"00-{trace[1:]}g-{span}-01",
    ):
        events, _ = await record(agent, traceparent=bad)
        assert events[0].parent_span_id is None
        assert events[0].trace_id != trace


async def test_a_part_that_has_chunks_of_its_own_is_no_whole_part() -> None:
    """A call or text that was never shown as it came would break what readers rely on."""
    for part in (ToolCallPart("c", "add", {}), TextPart("x"), ToolResultPart("c", "add", "1")):
        agent, _ = scripted([[PartChunk(part)]])
        with pytest.raises(RunError, match=type(part).__name__):
            await agent.generate("go")
    agent, _ = scripted([["See: ", ImagePart(data=b"x")]])
    assert (await agent.generate("go")).messages[0].parts == (TextPart("See: "), ImagePart(data=b"x"))


async def test_lone_surrogates_of_calls_thoughts_and_ends_never_reach_an_event() -> None:
    """Halves of one call or thought are joined; the half at an answer's end is replaced, not dropped."""
    chunks = [
        ReasoningChunk("th\ud83d"),
        ReasoningChunk("\ude00"),
        ToolCallChunk(0, "\udc00", "shout", '{"text": "a\ud83d'),
        ToolCallChunk(0, "", "", '\ude00"}'),
        ToolCallChunk(1, "b", "sh\udc00", "\ud83d"),
    ]
    agent, _ = scripted([chunks, Answer(deltas=["end\ud83d"])])
    events, result = await record(agent)
    assert result.messages[0].reasoning == "th😀"
    assert result.tool_calls[0].arguments == {"text": "a😀"}
    assert result.tool_calls[1].raw == "\ufffd"
    assert result.text == "end\ufffd"
    assert "".join(e.delta for e in of(events, TextDelta)) == "end\ufffd"
    for event in events:
        assert from_json(to_json(event)).seq == event.seq


async def test_an_error_whose_text_is_no_unicode_is_told() -> None:
    """So is one that has no text at all."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise KeyError

    for error in (ValueError("file \udcff"), Mute()):
        agent, _ = scripted([error])
        events, got = await record(agent)
        assert isinstance(got, RunError)
        assert [from_json(to_json(e)).seq for e in events] == [e.seq for e in events]
        assert isinstance(events[-1], Error)


async def test_a_failed_attempt_is_paid_for_as_far_as_it_told() -> None:
    """Tokens that were told before the failure have their price; an unknown cost is None, never 0."""
    usage = UsageChunk(Usage(1_000_000, 0, 0, 0, 0, 1_000_000))

    async def answer(request):
        yield "half"
        if len(model.requests) == 1:
            yield usage
            raise ServerError("busy", retry_after_s=0)
        yield UsageChunk(Usage(0, 1_000_000, 0, 0, 0, 1_000_000))

    model = ScriptedModel(answer, price=(2, 3))
    agent = Agent("tester", model=model)
    events, result = await record(agent)
    assert result.cost_usd == 5
    assert [e.cost_usd for e in of(events, ModelCallComplete)] == [2, 3]
    assert result.steps[0].usage == result.usage == of(events, StepComplete)[0].usage
    cut, _ = scripted([Answer(text="a b", error=ModelError("gone"), error_at=1)])
    events, error = await record(cut)
    assert error.result.cost_usd is None
    assert events[-1].result.cost_usd is None


async def test_a_price_function_that_fails_ends_the_run_with_a_reason() -> None:
    """Each model call has its end all the same."""

    def price(_usage):
        raise ValueError("no price today")

    agent = Agent("tester", model=ScriptedModel(["x"], price=price))
    events, error = await record(agent)
    assert isinstance(error, RunError)
    assert "no price today" in str(error)
    (complete,) = of(events, ModelCallComplete)
    assert complete.error_type == "ValueError"


async def test_durations_count_from_the_runs_start() -> None:
    """Not from when it was made."""
    agent, _ = scripted(["x"])
    run = agent.stream("go")
    began = run._loop._began
    run._loop._began = began - 1000
    async with run:
        assert (await run.result()).duration_ms < 10_000


async def test_a_schema_that_is_refused_is_a_further_attempt() -> None:
    """The second request of the step is numbered so, and has a key of its own in the step seam."""
    from lumosai.errors import SchemaUnsupportedError

    agent, _ = scripted([SchemaUnsupportedError("no response_format"), call("final_output", value=7)], output_type=int)
    seen = []
    run = agent.stream("go")

    async def step(name, fn, key):
        seen.append(key)
        return await fn()

    run._loop.state.step = step
    async with run:
        assert (await run.result()).output == 7
        events = [e async for e in run.subscribe()]
    assert [e.attempt for e in of(events, ModelCallStarted)] == [1, 2]
    assert len(set(seen)) == 2


@pytest.mark.parametrize("reason", ["refusal", "content_filter"])
async def test_calls_of_an_answer_that_was_taken_back_are_not_made(reason: str) -> None:
    """Where the provider stopped the answer behind a whole call, the call is not run; the conversation can be gone on with."""
    agent, model = scripted([Answer(calls=[call("add", a=1, b=2)], finish=reason), "Well."])
    events, result = await record(agent)
    assert result.finish_reason == reason
    assert of(events, ToolCallStart) == []
    assert [r.is_error for m in result.messages for r in m.tool_results] == [True]
    assert (await agent.generate([Message.user("go"), *result.messages, Message.user("on")])).text == "Well."
    assert len(model.requests) == 2
