"""Summaries of what was left out, on both databases: made in the run, kept as views, gone with what they were made from."""

from __future__ import annotations

import asyncio

import pytest

from lumosai import Agent, Memory, Scope
from lumosai.errors import ConfigurationError, ModelError
from lumosai.events import MemoryRecalled, ModelCallComplete, ModelCallStarted, fold
from lumosai.memory import Summary
from lumosai.storage import Storage
from lumosai.testing import Answer, ScriptedModel


def asked(model: ScriptedModel) -> list[str]:
    """What the summing model was shown of the conversation."""
    return [r.messages[-1].text for r in model.requests]


async def test_what_is_left_out_is_summed_up(storage: Storage) -> None:
    """By one call with its own purpose, before the first step; the next version goes on from the last one; the log stays."""
    summing = ScriptedModel(["Alice likes tea.", "Alice likes tea and coffee."])
    memory = Memory(storage, last_messages=4, processors=[Summary(summing, every=4)])
    model = ScriptedModel([f"answer {n}" for n in range(12)])
    agent = Agent("a", model=model, memory=memory)
    runs = []
    for n in range(6):
        async with agent.stream(f"question {n}", thread_id="t") as run:
            runs.append([e async for e in run])
    calls = [[e.purpose for e in events if isinstance(e, ModelCallStarted)] for events in runs]
    assert calls == [["answer"]] * 4 + [["summary", "answer"], ["answer"]]
    events = runs[4]
    (summed,) = [e for e in events if isinstance(e, ModelCallStarted) and e.purpose == "summary"]
    (done,) = [e for e in events if isinstance(e, ModelCallComplete) and e.model_call_id == summed.model_call_id]
    assert (done.message, done.error_type) == (None, None)
    result = fold(events)
    assert (result.text, len(result.steps), len(result.messages)) == ("answer 4", 1, 1)
    assert result.usage.input_tokens >= done.usage.input_tokens
    assert "question 0" in asked(summing)[0]
    assert "question 2" not in asked(summing)[0]
    sent = [m.text for m in model.requests[4].messages]
    assert "<summary>\nAlice likes tea.\n</summary>" in sent[0]
    assert sent[1:] == ["question 2", "answer 2", "question 3", "answer 3", "question 4"]
    (recalled,) = [e for e in events if isinstance(e, MemoryRecalled)]
    (line,) = [i for i in recalled.plan if i.kind == "summary"]
    assert (line.version, line.included, line.reason) == (1, True, "sums up the messages 1 to 4")
    await agent.generate("question 6", thread_id="t")
    assert "<summary_so_far>\nAlice likes tea." in asked(summing)[1]
    assert "question 0" not in asked(summing)[1]
    assert "question 2" in asked(summing)[1]
    view = await storage.scope(Scope()).view("t", "summary")
    assert (view.version, view.first, view.until, view.text) == (2, 1, 8, "Alice likes tea and coffee.")
    thread = await memory.thread("t")
    assert thread.record.message_count == 14


async def test_a_deleted_message_takes_its_summary_with_it(storage: Storage) -> None:
    """What was erased is in no prompt any more: the summary is made anew from what is left."""
    summing = ScriptedModel(["The secret is 42.", "Nothing to see."])
    memory = Memory(storage, last_messages=2, processors=[Summary(summing, every=2)])
    agent = Agent("a", model=ScriptedModel(["a"] * 9), memory=memory)
    await agent.generate("The secret is 42.", thread_id="t")
    await agent.generate("two", thread_id="t")
    await agent.generate("three", thread_id="t")
    thread = await memory.thread("t")
    first = (await thread.get_messages(limit=1)).items[0].message
    assert len(summing.requests) == 1
    await storage.scope(Scope()).delete_messages("t", [str(first.id)])
    await agent.generate("four", thread_id="t")
    assert "42" not in asked(summing)[1]


async def test_a_summary_that_fails_does_not_end_the_run(storage: Storage) -> None:
    """The plan notes why, the run goes on without, and the next one tries again; a read-only run makes none."""
    broken, slow, good = ModelError("down"), Answer(text="late", gate=asyncio.Event()), "There."
    memory = Memory(storage, last_messages=2, processors=[Summary(ScriptedModel([broken]), every=2)])
    hasty = {"processors": [Summary(ScriptedModel([slow]), every=2, time_budget_s=0.05)]}
    there = {"processors": [Summary(ScriptedModel([good]), every=2)]}
    agent = Agent("a", model=ScriptedModel(["a"] * 9), memory=memory)
    await agent.generate("one", thread_id="t")
    await agent.generate("two", thread_id="t")
    notes = []
    for options in ({}, hasty, {**there, "read_only": True}, there):
        async with agent.stream("more", thread_id="t", memory_options=options) as run:
            (recalled,) = [e async for e in run if isinstance(e, MemoryRecalled)]
        notes.append(recalled.notes)
        assert [i.kind for i in recalled.plan if i.kind == "summary"] == (["summary"] if len(notes) == 4 else [])
    assert "down" in notes[0][0]
    assert "took over 0.05 s" in notes[1][0]
    assert notes[2:] == [(), ()]
    with pytest.raises(ConfigurationError):
        Summary(every=0)
