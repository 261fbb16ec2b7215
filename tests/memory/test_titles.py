"""Titles: the first words at once, or by the model, inside the run that begins the thread."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from lumosai import Agent, Limits, Memory, Scope
from lumosai.agent.title import title_in
from lumosai.errors import ConfigurationError, ServerError
from lumosai.events import (
    GenerationComplete,
    ModelCallComplete,
    ModelCallStarted,
    TextDelta,
    fold,
)
from lumosai.storage import Storage
from lumosai.testing import ScriptedModel
from tests.agent.helpers import of


def wants_title(request: Any) -> bool:
    """Whether a title is asked for."""
    return request.messages[0].role == "system" and "title" in request.messages[0].text.lower()


def namer(title: Any, answer: str = "About 8,850 m.") -> ScriptedModel:
    """Answers, and names the thread."""
    chinese = "你为对话起标题"
    return ScriptedModel(lambda r: title if wants_title(r) or r.messages[0].text.startswith(chinese) else answer)


async def test_a_new_thread_is_named_in_the_run_that_begins_it(storage: Storage) -> None:
    """The call is in the events, without deltas, and counted; the run's answer, messages and steps are as without it."""
    model = namer('"Height of Mount Everest."')
    agent = Agent("a", instructions="Be brief.", model=model, memory=Memory(storage, titles="model"))
    async with agent.stream("How high is Mount Everest, please?", thread_id="t") as run:
        events = [e async for e in run]
        result = await run.result()
    thread = await agent.memory.thread("t")
    assert thread.title == "Height of Mount Everest"
    assert result.text == "About 8,850 m."
    assert [m.text for m in result.messages] == ["About 8,850 m."]
    assert len(result.steps) == 1
    assert "".join(e.delta for e in of(events, TextDelta)) == "About 8,850 m."
    answered, titled = of(events, ModelCallStarted)
    assert (answered.purpose, titled.purpose) == ("answer", "title")
    assert "Mount Everest, please" in titled.prompt[-1].text
    assert "About 8,850 m." in titled.prompt[-1].text
    ended = of(events, ModelCallComplete)
    assert [e.model_call_id for e in ended] == [answered.model_call_id, titled.model_call_id]
    assert result.usage == ended[0].usage + ended[1].usage
    assert ended[1].usage.input_tokens > 0
    assert type(events[-1]) is GenerationComplete
    assert fold(events) == result
    again = await agent.generate("And K2?", thread_id="t")
    assert again.text == "About 8,850 m."
    assert (await agent.memory.thread("t")).title == "Height of Mount Everest"
    assert len(model.requests) == 3  # a thread is named once
    listed = [t.title for t in (await agent.memory.list_threads()).items]
    assert listed == ["Height of Mount Everest"]


async def test_a_title_is_asked_for_in_the_language_of_the_conversation(storage: Storage) -> None:
    """A Chinese conversation is named by a Chinese request."""
    model = namer("标题：《珠穆朗玛峰的高度》", "约 8850 米。")
    agent = Agent("a", model=model, memory=Memory(storage, titles="model"))
    await agent.generate("珠穆朗玛峰有多高？", thread_id="t")
    assert (await agent.memory.thread("t")).title == "珠穆朗玛峰的高度"
    assert model.requests[-1].messages[-1].text.endswith("标题：")


@pytest.mark.parametrize(
    "answer", [ServerError("the server is down"), "", "<think>Let me think", "x" * 500, ValueError("no")]
)
async def test_a_title_that_fails_fails_no_run(storage: Storage, answer: Any, caplog) -> None:
    """Whatever the model does, the run is a success, and the thread keeps the first words."""

    def play(request: Any) -> Any:
        if not wants_title(request):
            return "Yes."
        if isinstance(answer, ValueError):
            raise answer
        return answer

    agent = Agent("a", model=ScriptedModel(play), memory=Memory(storage, titles="model"))
    with caplog.at_level(logging.WARNING, "lumosai"):
        result = await agent.generate("Is water wet?", thread_id="t")
    assert (result.text, result.finish_reason) == ("Yes.", "stop")
    assert (await agent.memory.thread("t")).title == "Is water wet?"


async def test_who_is_named_and_who_is_not(storage: Storage) -> None:
    """Only a thread without a title of its own; only where the model is to; not where a limit is used up, or nothing kept."""
    model = namer("By the model")
    words = Agent("a", model=model, memory=Memory(storage))
    agent = words.replace(memory=Memory(storage, titles="model"))
    await words.generate("The first words of this very long question, which goes on and on.", thread_id="words")
    await agent.memory.create_thread("mine", title="My own")
    await agent.memory.create_thread("empty")
    for thread_id in ("mine", "empty"):
        await agent.generate("Hello there.", thread_id=thread_id)
    await words.memory.create_thread("empty words")
    await words.generate("Hello there.", thread_id="empty words")
    await agent.generate("Hello there.", thread_id="limited", limits=Limits(max_total_tokens=1))
    await agent.generate("Hello there.", thread_id="unkept", save_to_memory=False)
    titles = {t.id: t.title for t in (await agent.memory.list_threads()).items}
    assert titles == {
        "words": "The first words of this very long question, which goes on…",
        "mine": "My own",
        "empty": "By the model",
        "empty words": "Hello there.",
        "limited": "Hello there.",
    }
    with pytest.raises(ConfigurationError, match="titles='llm'"):
        Memory(storage, titles="llm")  # type: ignore[arg-type]


async def test_a_title_given_meanwhile_stays(storage: Storage) -> None:
    """Whoever names the thread while the model thinks about it is not overruled."""
    memory = Memory(storage, titles="model")

    async def play(request: Any) -> str:
        if wants_title(request):
            await memory.update_thread("t", title="Renamed")
            return "By the model"
        return "Yes."

    await Agent("a", model=ScriptedModel(play), memory=memory).generate("Hm?", thread_id="t")
    assert (await memory.thread("t")).title == "Renamed"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("**Title:** Trip to Rome\n\nI hope you like it!", "Trip to Rome"),
        ("<think>\nA title… \n</think>\n\n“Rome in June”", "Rome in June"),
        ("# 标题：罗马之行。", "罗马之行"),
        ("Title:\nRome", "Rome"),
        ("  \n\t", ""),
        ("word " * 30, ("word " * 16).strip()[:79] + "…"),
        ("C'est l'été", "C'est l'été"),
    ],
)
def test_what_counts_as_a_title(text: str, title: str) -> None:
    """One line without marks, quotes, labels and thoughts."""
    found = title_in(text)
    assert found == title or (found.endswith("…") and len(found) <= 81)


@pytest.mark.parametrize("limits", [Limits(), Limits(deadline_s=60)])
async def test_what_is_sent_while_the_thread_is_named_is_answered(storage: Storage, limits: Limits) -> None:
    """The run goes on with it, within its time, and its thread is named once."""
    runs: list[Any] = []

    def answer(request: Any) -> str:
        if wants_title(request):
            runs[0].send("And K2?")
            return "Heights"
        return "8,611 m." if request.messages[-1].text == "And K2?" else "About 8,850 m."

    model = ScriptedModel(answer)
    agent = Agent("a", instructions="Be brief.", model=model, limits=limits, memory=Memory(storage, titles="model"))
    async with agent.stream("How high is Mount Everest?", thread_id="t") as run:
        runs.append(run)
        result = await run.result()
    assert [m.text for m in result.messages] == ["About 8,850 m.", "And K2?", "8,611 m."]
    assert len(result.steps) == 2
    page = await storage.scope(Scope()).messages("t")
    assert [m.message.text for m in page.items][1:] == [m.text for m in result.messages]
    assert len(model.requests) == 3
