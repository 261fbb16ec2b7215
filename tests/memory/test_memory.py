"""Runs on threads, on both databases: what was said is there at the next run, after a failure, a cancel and a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from lumosai import Agent, Memory, Message, ModelSettings, Scope, TextPart
from lumosai.errors import ConfigurationError, InvalidInputError, NotFoundError, StorageError, ThreadBusyError
from lumosai.events import MemoryRecalled, MemorySaved, RunStarted, TextDelta
from lumosai.memory import ContextPlan, ToolCallFilter
from lumosai.storage import Storage, ThreadFilter
from lumosai.storage import _messages as messages
from lumosai.testing import Answer, ScriptedModel, call
from tests.agent.helpers import add


@pytest.fixture
async def memory(storage: Storage) -> AsyncIterator[Memory]:
    """A memory over an empty storage of each kind."""
    yield Memory(storage)


def agent_of(memory: Memory, *answers: object, **settings: object) -> tuple[Agent, ScriptedModel]:
    """An agent whose model gives these answers."""
    model = ScriptedModel(list(answers))
    return Agent("assistant", model=model, memory=memory, **settings), model


async def said(memory: Memory, thread_id: str = "t", **where: object) -> list[tuple[str, str]]:
    """A thread's messages as role and text."""
    thread = await memory.thread(thread_id)
    page = await thread.get_messages(limit=1000, **where)
    return [(s.message.role, s.message.text) for s in page.items]


async def test_the_next_run_knows_what_was_said(memory: Memory) -> None:
    """The seed's Alice: the second run is sent the first one's question and answer."""
    agent, model = agent_of(memory, "你好，Alice！", "你叫Alice。")
    first = await agent.generate("我叫Alice", thread_id="t")
    second = await agent.generate("我叫什么名字？", thread_id="t")
    assert (first.thread_id, second.thread_id) == ("t", "t")
    assert [m.text for m in model.requests[1].messages] == ["我叫Alice", "你好，Alice！", "我叫什么名字？"]
    assert await said(memory) == [
        ("user", "我叫Alice"),
        ("assistant", "你好，Alice！"),
        ("user", "我叫什么名字？"),
        ("assistant", "你叫Alice。"),
    ]
    thread = await memory.thread("t")
    assert (thread.title, thread.agent_id, thread.record.message_count) == ("我叫Alice", "assistant", 4)


async def test_a_run_tells_what_it_recalled_and_kept(memory: Memory) -> None:
    """The input is kept before the model is asked, each message once; the result holds only what is new."""
    agent, _ = agent_of(memory, "one", "two")
    await agent.generate("first", thread_id="t")
    async with agent.stream("second", thread_id="t") as run:
        events = [e async for e in run]
        result = await run.result()
    (started,) = [e for e in events if isinstance(e, RunStarted)]
    (recalled,) = [e for e in events if isinstance(e, MemoryRecalled)]
    kept = [i for e in events if isinstance(e, MemorySaved) for i in e.message_ids]
    assert (started.thread_id, started.branch, started.save_to_memory) == ("t", 0, True)
    assert recalled.count == 2
    assert [p.kind for p in recalled.plan] == ["history", "history", "input"]
    assert kept == [started.input[0].id, result.messages[0].id]
    assert [m.text for m in result.messages] == ["two"]
    types = [e.__class__.__name__ for e in events]
    assert types.index("MemorySaved") < types.index("ModelCallStarted")
    assert types[-1] == "GenerationComplete"


async def test_calls_and_results_are_kept_together(memory: Memory) -> None:
    """A step with calls is kept when it is done, its results behind it, and sent again as it was."""
    agent, model = agent_of(memory, call("add", a=1, b=2), "3", "yes", tools=[add])
    await agent.generate("1+2?", thread_id="t")
    assert [role for role, _ in await said(memory)] == ["user", "assistant", "tool", "assistant"]
    await agent.generate("sure?", thread_id="t")
    roles = [m.role for m in model.requests[-1].messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


async def test_what_a_cancelled_run_said_is_kept(memory: Memory) -> None:
    """The text that was shown is in the thread, marked, and the next run sees it."""
    agent, model = agent_of(
        memory, Answer(deltas=["Once ", "upon ", "a time"], gate=asyncio.Event(), gate_at=2), "The end."
    )
    async with agent.stream("tell", thread_id="t") as run:
        async for event in run:
            if isinstance(event, TextDelta) and event.delta.startswith("upon"):
                run.cancel("enough")
        await run.result()
    thread = await memory.thread("t")
    last = (await thread.get_messages()).items[-1].message
    assert (last.text, last.metadata) == ("Once upon ", {"interrupted": True})
    await agent.generate("go on", thread_id="t")
    assert [m.text for m in model.requests[-1].messages] == ["tell", "Once upon ", "go on"]


async def test_a_failed_run_keeps_its_question(memory: Memory) -> None:
    """What was asked is kept where no answer came; the next run is sent it."""
    agent, model = agent_of(memory, RuntimeError("broken"), "here")
    with pytest.raises(Exception, match="broken"):
        await agent.generate("hello?", thread_id="t")
    assert await said(memory) == [("user", "hello?")]
    await agent.generate("again", thread_id="t")
    assert [m.text for m in model.requests[-1].messages] == ["hello?", "again"]


async def test_only_the_last_messages_are_sent(memory: Memory) -> None:
    """`last_messages` bounds the window, which begins with a user's message."""
    small = Memory(memory.storage, last_messages=3)
    agent, model = agent_of(small, *[str(i) for i in range(6)])
    for i in range(4):
        await agent.generate(f"q{i}", thread_id="t")
    assert [m.text for m in model.requests[-1].messages] == ["q2", "2", "q3"]
    await agent.generate("q4", thread_id="t", memory_options={"last_messages": 0})
    assert [m.text for m in model.requests[-1].messages] == ["q4"]
    await agent.generate("q5", thread_id="t", memory_options={"last_messages": 1000})
    assert len(model.requests[-1].messages) == 11
    for options in (
        {"memory_options": {"recall": 1}},
        {"memory_options": {"reacll": False}},
        {"memory_options": {"last_messages": -1}},
        {"memory_options": {"read_only": "yes"}},
        {"memory_options": {"processors": [1]}},
        {"if_busy": "maybe"},
    ):
        with pytest.raises(InvalidInputError):
            await agent.generate("x", thread_id="t", **options)
    with pytest.raises(InvalidInputError, match="thread_id"):
        await agent.generate("x", save_to_memory=False)
    with pytest.raises(ConfigurationError, match="memory"):
        Agent("a", memory="sqlite://")


async def test_without_saving_nothing_is_kept(memory: Memory) -> None:
    """`save_to_memory=False` sees the thread and leaves it as it was; a thread is not made for it."""
    agent, model = agent_of(memory, "a", "b", "c")
    await agent.generate("one", thread_id="t")
    await agent.generate("two", thread_id="t", save_to_memory=False)
    assert [m.text for m in model.requests[-1].messages] == ["one", "a", "two"]
    assert len(await said(memory)) == 2
    await agent.generate("three", thread_id="other", save_to_memory=False)
    with pytest.raises(NotFoundError, match="other"):
        await memory.thread("other")


async def test_a_thread_is_made_where_none_is_named(memory: Memory) -> None:
    """`generate_with_memory` names the thread that it made."""
    agent, _ = agent_of(memory, "a", "b")
    first = await agent.generate_with_memory("one")
    assert first.thread_id is not None
    again = await agent.generate_with_memory("two", first.thread_id)
    assert again.thread_id == first.thread_id
    assert len(await said(memory, first.thread_id)) == 4


async def test_edit_and_regenerate_answer_on_a_branch(memory: Memory) -> None:
    """An edited question and a regenerated answer each have a branch; the others stay as they were."""
    agent, model = agent_of(memory, "4", "6", "five", "?")
    await agent.generate("2+2", thread_id="t")
    thread = await memory.thread("t")
    question, answer = [s.message for s in (await thread.get_messages()).items]
    edited = await memory.edit("t", str(question.id), "3+3")
    result = await agent.generate(None, thread_id="t", branch=edited)
    assert [m.text for m in model.requests[-1].messages] == ["3+3"]
    assert result.text == "6"
    again = await memory.regenerate("t", str(answer.id))
    await agent.generate(None, thread_id="t", branch=again)
    assert await said(memory) == [("user", "2+2"), ("assistant", "4")]
    assert await said(memory, branch=edited) == [("user", "3+3"), ("assistant", "6")]
    assert await said(memory, branch=again) == [("user", "2+2"), ("assistant", "five")]
    await memory.select_branch("t", again)
    assert await said(memory) == [("user", "2+2"), ("assistant", "five")]
    with pytest.raises(InvalidInputError, match="no answer"):
        await memory.regenerate("t", str(question.id))
    with pytest.raises(InvalidInputError, match="nothing to answer"):
        await agent.generate(None, thread_id="new")
    with pytest.raises(InvalidInputError):
        await agent.generate(None)


async def test_runs_on_one_branch_wait_for_each_other(memory: Memory) -> None:
    """By default a second run waits and sees the first one's answer; others do not wait for them."""
    gate = asyncio.Event()
    agent, model = agent_of(memory, Answer(text="one", gate=gate), "two")
    other, _ = agent_of(memory, "elsewhere")
    first = asyncio.create_task(agent.generate("q1", thread_id="t"))
    while not model.requests:
        await asyncio.sleep(0)
    second = asyncio.create_task(agent.generate("q2", thread_id="t"))
    assert (await other.generate("q", thread_id="u")).text == "elsewhere"
    await asyncio.sleep(0.02)
    assert len(model.requests) == 1
    with pytest.raises(ThreadBusyError, match="another run"):
        await agent.generate("q3", thread_id="t", if_busy="reject")
    with pytest.raises(ThreadBusyError, match="waited"):
        await agent.generate("q3", thread_id="t", busy_timeout_s=0.01)
    gate.set()
    await first
    await second
    assert [m.text for m in model.requests[-1].messages] == ["q1", "one", "q2"]
    assert [text for _, text in await said(memory)] == ["q1", "one", "q2", "two"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_later_run_may_take_the_place_of_one_at_work(memory: Memory, streamed: bool) -> None:
    """With "interrupt" the run at work ends, what it said is kept, and the later one goes on behind it."""
    agent, model = agent_of(
        memory, Answer(deltas=["Well, ", "once"], gate=asyncio.Event(), gate_at=int(streamed)), "Short."
    )

    async def tell() -> str:
        if not streamed:
            return (await agent.generate("tell", thread_id="t")).finish_reason
        async with agent.stream("tell", thread_id="t") as run:
            return (await run.result()).finish_reason

    first = asyncio.create_task(tell())
    while not model.requests:
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    result = await agent.generate("shorter", thread_id="t", if_busy="interrupt")
    assert await first == "cancelled"
    assert result.text == "Short."
    texts = [text for _, text in await said(memory)]
    assert texts == (["tell", "Well, ", "shorter", "Short."] if streamed else ["tell", "shorter", "Short."])


async def test_a_run_that_waits_can_be_cancelled(memory: Memory) -> None:
    """A queued run that is cancelled has a first and a last event, and the next one is let in."""
    gate = asyncio.Event()
    agent, model = agent_of(memory, Answer(text="one", gate=gate), "three")
    first = asyncio.create_task(agent.generate("q1", thread_id="t"))
    while not model.requests:
        await asyncio.sleep(0)
    async with agent.stream("q2", thread_id="t") as run:
        await asyncio.sleep(0.01)
        run.cancel()
        events = [e async for e in run]
    assert [type(e).__name__ for e in events] == ["RunStarted", "RunCancelled"]
    third = asyncio.create_task(agent.generate("q3", thread_id="t"))
    gate.set()
    await first
    assert (await third).text == "three"


async def test_owners_have_threads_of_their_own(memory: Memory) -> None:
    """Two owners' threads of one name are two; neither sees the other's."""
    agent, model = agent_of(memory, *"abc")
    alice, bob = Scope("one", "alice"), Scope("one", "bob")
    await agent.generate("I am Alice", thread_id="t", scope=alice)
    await agent.generate("I am Bob", thread_id="t", scope=bob)
    assert [m.text for m in model.requests[-1].messages] == ["I am Bob"]
    assert [t.title for t in (await memory.list_threads(scope=alice)).items] == ["I am Alice"]
    with pytest.raises(NotFoundError):
        await memory.thread("t")
    page = await memory.search("Alice", scope=Scope("one"))
    assert [hit.text for hit in page.items] == ["I am Alice"]


async def test_a_storage_that_fails_is_told(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that could not be kept is no silent success: the run ends with the error, which holds the answer."""
    agent, _ = agent_of(memory, "the answer")
    add = messages.add

    def broken(who, thread_id, number, news, **more):
        if news[0].role != "user":
            raise StorageError("the disk is full")
        return (yield from add(who, thread_id, number, news, **more))

    monkeypatch.setattr(messages, "add", broken)
    with pytest.raises(StorageError, match="the disk is full") as caught:
        await agent.generate("q", thread_id="t")
    assert caught.value.result.text == "the answer"
    monkeypatch.undo()
    assert await said(memory) == [("user", "q")]


async def test_threads_are_managed(memory: Memory) -> None:
    """Made, listed, changed, forked and deleted through the memory."""
    thread = await memory.create_thread("t", title="T", resource_id="r", metadata={"a": 1})
    stored = await thread.add_message(Message("user", (TextPart("hi"),)))
    assert stored.seq == 1
    await thread.update_metadata({"b": 2, "a": None})
    assert (await memory.thread("t")).metadata == {"b": 2}
    assert (await memory.update_thread("t", title="U")).title == "U"
    fork = await memory.fork_thread("t", new_id="f")
    assert await said(memory, "f") == [("user", "hi")]
    assert {t.id for t in (await memory.list_threads(ThreadFilter(resource_id="r"))).items} == {"t", "f"}
    assert await memory.delete_thread("t")
    assert await said(memory, fork.id) == [("user", "hi")]
    assert thread.created_at.tzinfo is not None
    assert len(await memory.branches("f")) == 1


async def test_a_run_is_planned_within_its_budget(memory: Memory) -> None:
    """The plan says what went in, what not, how it was counted; the request is what the plan says, whole, and stays
    within the budget; the prompt's beginning stays the same for turns on end."""
    small = Memory(memory.storage, last_messages=1000, token_budget=400)
    agent, model = agent_of(small, *["answer " * 15] * 40, instructions="Be brief.")
    begins = []
    for n in range(40):
        async with agent.stream(f"question {n} " + "word " * 15, thread_id="t") as run:
            (recalled,) = [e async for e in run if isinstance(e, MemoryRecalled)]
        assert recalled.tokens <= recalled.budget == 400
        sent = model.requests[-1].messages
        planned = [i for i in recalled.plan if i.included]
        assert [m.id for m in sent[1:]] == [i.message_id for i in planned[1:]]
        assert [i.kind for i in planned][:1] == ["system"]
        begins.append(sent[1].id)
    assert {i.reason for i in recalled.plan if not i.included} == {"over the budget of 400 tokens"}
    assert len(set(begins)) <= 14
    assert recalled.counted == "calibrated"
    assert recalled.off is not None


async def test_a_models_window_is_the_budget_where_none_is_given(memory: Memory) -> None:
    """What the answer may take is kept free; a huge message does not end the conversation."""
    agent, model = agent_of(memory, "a", "b", "c")
    model.profile = replace(model.profile, context_tokens=2_000)
    await agent.generate("x " * 1_000_000, thread_id="t")
    await agent.generate("more?", thread_id="t", settings=ModelSettings(max_output_tokens=1_000))
    assert len(model.requests[0].messages[0].text) < 4_000
    assert [m.text for m in model.requests[1].messages][1:] == ["a", "more?"]
    assert len((await said(memory))[0][1]) == 2_000_000
    async with agent.stream("budget?", thread_id="t") as run:
        (recalled,) = [e async for e in run if isinstance(e, MemoryRecalled)]
    assert recalled.budget == 1_425


async def test_processors_and_options_of_a_run(memory: Memory) -> None:
    """A run may have others than its memory; the run says which it had."""
    seen: list[str] = []

    async def note(plan: ContextPlan) -> None:
        seen.append(plan.query)

    filtered = Memory(memory.storage, processors=[ToolCallFilter(), note])
    agent, model = agent_of(filtered, call("add", a=1, b=2), "3", "x", "y", tools=[add])
    await agent.generate("1+2?", thread_id="t")
    await agent.generate("and?", thread_id="t")
    assert [m.text for m in model.requests[-1].messages] == ["1+2?", "3", "and?"]
    async with agent.stream("so?", thread_id="t", memory_options={"processors": [note], "token_budget": 5_000}) as run:
        events = [e async for e in run]
    assert [m.role for m in model.requests[-1].messages][:4] == ["user", "assistant", "tool", "assistant"]
    assert seen == ["1+2?", "and?", "so?"]
    (started,) = [e for e in events if isinstance(e, RunStarted)]
    assert started.memory_options["token_budget"] == 5_000
    assert "note" in started.memory_options["processors"][0]


async def test_a_read_only_memory_is_left_as_it_was(memory: Memory) -> None:
    """For all runs or for one; and a run may have another memory, in the same storage, even where the agent has none."""
    agent, model = agent_of(memory, *"abcdef")
    await agent.generate("one", thread_id="t")
    await agent.generate("two", thread_id="t", memory_options={"read_only": True})
    assert [m.text for m in model.requests[-1].messages] == ["one", "a", "two"]
    frozen = Memory(memory.storage, read_only=True)
    async with agent.stream("three", thread_id="t", memory=frozen) as run:
        kept = [e async for e in run if isinstance(e, MemorySaved)]
    assert kept == []
    assert len(await said(memory)) == 2
    alone = Agent("alone", model=model)
    await alone.generate("four", thread_id="t", memory=Memory(memory.storage, last_messages=1))
    assert len(await said(memory)) == 4
    with pytest.raises(ConfigurationError, match="one storage"):
        await agent.generate("five", thread_id="t", memory=Memory("sqlite:///elsewhere.db"))
