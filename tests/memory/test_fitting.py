"""A run's later requests: each within the budget, each beginning as the one before, nothing lost that could be read."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lumosai import Agent, Limits, Memory, Message, tool
from lumosai.events import MemoryRecalled
from lumosai.memory import Clamp, SemanticRecall, Summary, TokenBudget, WorkingMemory, plan_table
from lumosai.models.base import ModelRequest
from lumosai.models.tokens import Counter
from lumosai.storage import SqliteStorage, Storage
from lumosai.telemetry import Telemetry
from lumosai.testing import Answer, Call, ScriptedModel, call
from tests.agent.helpers import of
from tests.agent.test_resume import cut

BUDGET = 4_000
WAYS: list[dict[str, Any]] = [
    {},
    {"processors": [TokenBudget(chunk=0)]},
    {"processors": [Clamp(50)]},
    {"working": WorkingMemory()},
    {"recall": SemanticRecall(embedder=None, top_k=3)},
]
MANY = Limits(max_steps=80, max_tool_calls=None)


@tool
def fetch(page: int, words: int = 250) -> str:
    """A page."""
    return f"page {page}: " + " ".join(f"w{page}.{n}" for n in range(words))


def reader(steps: int, *, words: int = 250, beside: int = 1) -> ScriptedModel:
    """A model that fetches pages, and then answers. After five times it reads the first again, if it was cut."""

    def answer(request: ModelRequest) -> Any:
        told = [m.tool_results[-1].call_id for m in request.messages if m.tool_results]
        n = int(told[-1].split(".")[0]) + 1 if told else 0
        if n == steps:
            return "done"
        if n == 5 and request.messages[-1].tool_results[0].name == "fetch" and len(request.tools) > 1:
            return Answer(calls=[Call("read_tool_result", {"call_id": "0.0", "start": 9}, id="4.9")])
        pages = [Call("fetch", {"page": n * beside + k, "words": words}, id=f"{n}.{k}") for k in range(beside)]
        return Answer(calls=pages)

    return ScriptedModel(answer)


def size(request: ModelRequest) -> int:
    return Counter("scripted", "scripted").count(request.messages, request.tools).tokens


def paired(request: ModelRequest) -> bool:
    """Whether each call is followed at once by its result, and no result is without its call."""
    messages = request.messages
    for before, message in itertools.pairwise([*messages, Message.user("end")]):
        if {c.id for c in before.tool_calls} != {r.call_id for r in message.tool_results}:
            return False
    return not messages[0].tool_results


def breaks(requests: list[ModelRequest]) -> int:
    """How often a request did not begin with the one before."""
    return sum([a.messages != b.messages[: len(a.messages)] for a, b in itertools.pairwise(requests)])


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Memory]:
    async with Memory(f"sqlite:///{tmp_path}/m.db", token_budget=BUDGET, last_messages=40) as made:
        yield made


async def test_a_long_tool_loop_stays_within_the_budget(memory: Memory) -> None:
    """Trimmed in chunks: what is asked and the last results are whole in each request, the thread keeps all of it."""
    model = reader(40)
    agent = Agent("a", instructions="Be brief.", model=model, tools=[fetch], memory=memory, limits=MANY)
    for n in range(12):
        thread = await memory.create_thread("t") if n == 0 else await memory.thread("t")
        await thread.add_message(Message.user(f"earlier question {n} " + "word " * 60))
        await thread.add_message(Message.assistant("earlier answer " + "ok " * 60))
    async with agent.stream("Read all the pages, please.", thread_id="t") as run:
        events = [e async for e in run]
    requests = model.requests
    assert len(requests) == 42
    assert all(size(r) <= BUDGET and paired(r) for r in requests)
    assert all(any(m.text == "Read all the pages, please." for m in r.messages) for r in requests)
    last = [r.messages[-1].tool_results[0].text for r in requests[1:]]
    assert [t for t in last if t.startswith("page")] == [fetch.fn(n) for n in range(40)]
    assert [t.partition("\n")[2] for t in last if not t.startswith("page")] == [fetch.fn(0)[9:]]
    trims = [e for e in of(events, MemoryRecalled) if e.operation == "trim"]
    assert 0 < breaks(requests) <= len(trims) < 20
    for told in trims:
        assert told.tokens <= told.budget == BUDGET and any(i.kind == "steps" for i in told.plan)
    assert any(not i.included and i.kind == "history" for e in trims for i in e.plan)
    assert await Telemetry(memory.storage).later_plans(run.id) == tuple(trims)
    assert plan_table(trims[0]).startswith("A later request")
    kept = await (await memory.thread("t")).get_messages(limit=200)
    assert [m.message.tool_results[0].text for m in kept.items if m.message.role == "tool"] == last


@pytest.mark.parametrize(("words", "beside"), [(10_000, 1), (600, 8), (3, 1)])
async def test_results_of_any_size_fit(memory: Memory, words: int, beside: int) -> None:
    """One that is huge, many side by side, and so many small ones that whole steps go."""
    steps = 70 if words == 3 else 6
    model = reader(steps, words=words, beside=beside)
    agent = Agent("a", model=model, tools=[fetch], memory=memory, limits=MANY)
    async with agent.stream("Read.", thread_id="t", memory_options={"token_budget": 1_500}) as run:
        events = [e async for e in run]
    assert steps + 1 <= len(model.requests) <= steps + 2
    assert all(size(r) <= 1_500 and paired(r) for r in model.requests)
    if words == 3:
        assert "earlier steps of this work are left out" in model.requests[-1].messages[1].text
        assert f"fetch × {steps}" not in model.requests[-1].messages[1].text
    assert breaks(model.requests) <= sum([e.operation == "trim" for e in of(events, MemoryRecalled)])


async def test_whatever_is_said_each_request_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random loops: results of any size in both scripts, with processors, recall and working memory; or the plan says why not."""
    monkeypatch.setattr(Counter, "learn", lambda *_: None)  # the model's reports would correct the count
    monkeypatch.setattr("lumosai.memory._fitting.Fitting.used", lambda *_: None)

    @tool
    def zh(n: int) -> str:
        """Chinese."""
        return "汉字" * n

    for seed in range(int(os.environ.get("LUMOSAI_THOROUGH", "0")) * 60 + 4):
        r = random.Random(seed)
        budget, tools = r.choice([800, 1_500, 3_000, 6_000]), {"fetch": "words", "zh": "n"}
        script: list[Any] = []
        for n in range(r.randint(2, 20)):
            names = [r.choice(list(tools)) for _ in range(r.randint(1, 4))]
            more = [
                {tools[name]: r.choice([1, 20, 200, 2_000])} | ({"page": n} if name == "fetch" else {})
                for name in names
            ]
            calls = [Call(name, each, id=f"{n}.{k}") for k, (name, each) in enumerate(zip(names, more, strict=True))]
            script.append(Answer(text="I look. " * r.choice([0, 1, 30]), calls=calls))
        model = ScriptedModel([*script, "done"])
        options: dict[str, Any] = r.choice(WAYS)
        url = f"sqlite:///{tmp_path}/f.db"
        async with Memory(url, token_budget=budget, last_messages=r.choice([0, 5, 40]), **options) as memory:
            agent = Agent("a", instructions="Be brief.", model=model, tools=[fetch, zh], memory=memory, limits=MANY)
            async with agent.stream("Read 汉字 pages " * r.choice([1, 400]), thread_id="t") as run:
                told = of([e async for e in run], MemoryRecalled)
        over = [size(q) for q in model.requests if size(q) > budget]
        assert not over or any(note.startswith("budget") for e in told for note in e.notes), (seed, budget, over)
        assert breaks(model.requests) <= sum([e.operation == "trim" for e in told]), seed
        calls_ = [[c.id for m in q.messages for c in m.tool_calls] for q in model.requests]
        results = [[p.call_id for m in q.messages for p in m.tool_results] for q in model.requests]
        assert calls_ == results, seed


async def test_a_summary_is_asked_for_within_the_budget(memory: Memory) -> None:
    """However much was left out: a model whose window nobody knows is asked for no more than the prompt may take."""
    thread = await memory.create_thread("t")
    for n in range(30):
        await thread.add_message(Message.user(f"question {n} " + "word " * 500))
        await thread.add_message(Message.assistant("汉字" * 200))
    model = ScriptedModel(["It was about words.", "done"])
    agent = Agent("a", model=model, memory=memory)
    options = {"token_budget": 1_000, "processors": [Summary()]}
    assert (await agent.generate("And now?", thread_id="t", memory_options=options)).text == "done"
    assert len(model.requests) == 2 and all(size(r) <= 1_000 for r in model.requests)
    assert "It was about words." in "".join(m.text for m in model.requests[1].messages)


async def test_what_was_cut_is_read_by_a_tool(memory: Memory) -> None:
    """A result over its share is cut, the gap says how to read on, and every character can be read."""
    text: list[str] = []
    ids: list[str] = []

    def answer(request: ModelRequest) -> Any:
        result = request.messages[-1].tool_results
        if not result:
            return call("fetch", page=1, words=4_000)
        shown = result[0].text
        if result[0].name == "read_tool_result":
            head, _, page = shown.partition("\n")
            text.append(page)
            more = re.search(r"start=(\d+)", head)
            return call("read_tool_result", call_id=ids[0], start=int(more[1])) if more else "done"
        assert "read_tool_result" in {t.name for t in request.tools}
        found = re.search(r'call_id=("[^"]+")', shown)
        assert found is not None
        ids.append(json.loads(found[1]))
        return call("read_tool_result", call_id=ids[0])

    model = ScriptedModel(answer)
    agent = Agent("a", model=model, tools=[fetch], memory=memory, limits=MANY)
    result = await agent.generate("Read.", thread_id="t")
    assert result.text == "done" and "".join(text) == fetch.fn(1, 4_000)
    assert "read_tool_result" not in {t.name for t in model.requests[0].tools}
    assert all(size(r) <= BUDGET for r in model.requests)


async def test_a_run_that_is_taken_up_asks_the_same(tmp_path: Path) -> None:
    """Cut behind any event and resumed, its requests are the ones that it would have sent."""

    async def told(storage: Storage) -> Memory:
        made = Memory(storage, token_budget=1_800, last_messages=20)
        thread = await made.create_thread("t")
        for n in range(4):
            await thread.add_message(Message.user("earlier " * 50, id=f"q{n}"))
            await thread.add_message(Message.assistant("answer " * 50, id=f"a{n}"))
        return made

    def agent_of(model: ScriptedModel, memory: Memory) -> Agent:
        return Agent("a", instructions="Be brief.", model=model, tools=[fetch], memory=memory, limits=MANY)

    def seen(requests: list[ModelRequest]) -> list[Any]:
        return [([(m.role, m.parts) for m in r.messages], [t.name for t in r.tools]) for r in requests]

    async with SqliteStorage("sqlite://") as storage:
        model = reader(9, words=90, beside=2)
        async with agent_of(model, await told(storage)).stream("Read.", thread_id="t") as run:
            events = [e async for e in run]
        whole = seen(model.requests)
        assert sum([e.operation == "trim" for e in of(events, MemoryRecalled)]) > 2
        assert all(size(r) <= 1_800 for r in model.requests)
        assert any(p.name == "read_tool_result" for r in model.requests for p in r.messages[-1].tool_results)
        for at in range(len(events) // 3, len(events), 7):
            left = await cut(storage, run.id, at)
            again = reader(9, words=90, beside=2)
            memory = await told(left)
            async with agent_of(again, memory).resume(run.id) as resumed:
                assert (await resumed.result()).text == "done"
            assert seen(again.requests) == whole[len(whole) - len(again.requests) :], at
            kept = (await (await memory.thread("t")).get_messages(limit=100)).items
            results = [r.text for m in kept for r in m.message.tool_results if r.name == "fetch"]
            assert results == [fetch.fn(n, 90) for n in range(18)]
            await left.close()
