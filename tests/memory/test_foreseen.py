"""A run that begins with its first request begins anew where its turn is not what it took it for: nobody sees a trace of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lumosai import Agent, Memory, Message, Scope
from lumosai.errors import NotFoundError
from lumosai.events import InputReceived, ModelCallStarted, RunStarted, StepStarted
from lumosai.messages import ToolCallPart
from lumosai.storage import SqliteStorage, Storage, _handle
from lumosai.storage._messages import foresee
from lumosai.storage._who import Who
from lumosai.storage.base import Foreseen, Handle, Place, ThreadRecord
from lumosai.testing import ScriptedModel
from tests.agent.test_resume import events_of

OTHER = ThreadRecord(id="t", created_at=0.0, updated_at=0.0)
FORESEE = _handle.ScopedHandle.foresee_turn


def between(monkeypatch: pytest.MonkeyPatch, comes: Callable[[Handle], Awaitable[None]]) -> list[int]:
    """Has something come between a run's look and its beginning, once; how many looks there were."""
    looks = [0]

    async def foresee(self: Any, *args: Any, **more: Any) -> Any:
        found = await FORESEE(self, *args, **more)
        looks[0] += 1
        if looks[0] == 1:
            await comes(self)
        return found

    monkeypatch.setattr(_handle.ScopedHandle, "foresee_turn", foresee)
    return looks


async def another_run(handle: Handle) -> None:
    """One takes the turn, says something, and gives it back a little later."""
    begun = await handle.begin_turn(OTHER, [Message.user("theirs", id="theirs")], run_id="other", wait=True)
    loop = asyncio.get_running_loop()
    loop.call_later(0.05, lambda: waiting.add(loop.create_task(handle.leave_turn(begun.place.key))))


waiting: set[asyncio.Task[None]] = set()


async def a_message(handle: Handle) -> None:
    await handle.ensure_thread("t")
    await handle.add_messages("t", [Message.user("theirs", id="theirs")])


async def texts(storage: Storage) -> list[str]:
    page = await storage.scope(Scope()).messages("t", limit=100)
    return [m.message.text for m in page.items]


@pytest.mark.parametrize("comes", [another_run, a_message])
@pytest.mark.parametrize("there", [False, True])
async def test_what_came_between_is_in_the_prompt(
    storage: Storage, comes: Callable[[Handle], Awaitable[None]], there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event is there once and in order, the model is asked once, and what was sent into the run meanwhile is not lost."""
    seen: list[Any] = []
    told: list[str] = []
    model = ScriptedModel(lambda request: ["heard: " + ", ".join(m.text for m in request.messages if m.role == "user")])

    def instructions(context: Any) -> str:
        if context.thread_id == "t":
            told.append("Be brief.")
            for run in opened:
                run.send(f"And {len(told)}.")
        return "Be brief."

    opened: list[Any] = []
    agent = Agent("a", instructions=instructions, model=model, memory=Memory(storage), observers=[seen.append])
    await agent.generate("first", thread_id="t" if there else "u")  # what was learned of the model is read by then
    before = await texts(storage) if there else []
    told.clear()
    seen.clear()
    looks = between(monkeypatch, comes)
    async with agent.stream("mine", thread_id="t") as run:
        opened.append(run)
        events = [e async for e in run]
        result = await run.result()
    assert (len(told), looks[0]) == (2, 1)
    assert result.text == "heard: " + ", ".join([*before[:1], "theirs", "mine", "And 1.", "And 2."])
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert [e.seq for e in seen] == [e.seq for e in events] == [e.seq for e in await events_of(storage, run.id)]
    for kind in (RunStarted, StepStarted, ModelCallStarted):
        assert len([e for e in events if type(e) is kind]) == 1, kind
    assert [e.message.text for e in events if type(e) is InputReceived] == ["And 1.", "And 2."]
    assert await texts(storage) == [*before, "theirs", "mine", "And 1.", "And 2.", result.text]
    opened.clear()
    assert (await agent.generate("next", thread_id="t")).text.endswith("next")


async def test_who_begins_anew_stays_before_those_that_came_behind_it(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked first in a process is answered first there, whoever came between."""
    agent = Agent("a", model=ScriptedModel(lambda _: "Yes."), memory=Memory(storage))
    await agent.generate("first", thread_id="u")
    looks = between(monkeypatch, another_run)
    async with asyncio.timeout(60):
        await asyncio.gather(*[agent.generate(f"mine {n}", thread_id="t") for n in range(4)])
    assert looks[0] >= 1
    assert (await texts(storage))[::2] == ["theirs", *["Yes."] * 4]
    assert [t for t in await texts(storage) if t.startswith("mine")] == [f"mine {n}" for n in range(4)]


async def test_a_run_that_is_stopped_before_it_could_begin_keeps_nothing_there(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events are kept all the same, and end as it did; whose turn it is instead is not disturbed."""

    async def comes(handle: Handle) -> None:
        await handle.begin_turn(OTHER, [Message.user("theirs", id="theirs")], run_id="other", wait=True)
        asyncio.get_running_loop().call_soon(run.cancel, "enough")

    agent = Agent("a", model=ScriptedModel(lambda _: "No."), memory=Memory(storage))
    await agent.generate("first", thread_id="u")
    between(monkeypatch, comes)
    async with agent.stream("mine", thread_id="t") as run:
        async with asyncio.timeout(30):
            result = await run.result()
    assert result.finish_reason == "cancelled"
    assert await texts(storage) == ["theirs"]
    kept = await events_of(storage, run.id)
    assert [e.seq for e in kept] == list(range(1, len(kept) + 1))
    assert (await storage.scope(Scope()).look_at_turn("t")).ahead == "other"


async def test_a_run_waits_for_no_commit_but_those_that_were_promised(tmp_path: Path) -> None:
    """One before each request and each tool, one with the end; the input is stored with the first."""

    def add(a: int) -> int:
        return a + 1

    async with SqliteStorage(tmp_path / "one.db") as storage:
        model = ScriptedModel(
            lambda r: ["done"] if r.messages[-1].role == "tool" else [ToolCallPart("c", "add", {"a": 1})]
        )
        plain = Agent("plain", model=ScriptedModel(lambda _: "Yes."), memory=Memory(storage))
        calls = Agent("calls", model=model, tools=[add], memory=Memory(storage))
        for agent, promised in ((plain, 2), (calls, 4)):
            await agent.generate(
                "Go.", thread_id=f"{agent.name} first"
            )  # what was learned of the model is stored by then
            for thread in ("new", "new", "other"):
                shared = storage._shared
                assert shared is not None
                before = shared.writer.commits
                await agent.generate("Go.", thread_id=f"{agent.name} {thread}")
                assert shared.writer.commits - before == promised, (agent.name, thread)


def test_a_thread_that_goes_while_it_is_looked_at_is_as_one_that_is_not_there() -> None:
    """A branch that was named and is gone with it is told."""
    row = (1, "", "t", "", "", "", "{}", 1, 0, 2, 1.0, 1.0)

    def look(number: int | None) -> Foreseen:
        steps = foresee(Who("tenant", ""), "t", number, 20)
        assert next(steps).apart
        steps.send([row])
        with pytest.raises(StopIteration) as end:
            steps.send([])
        return end.value.value

    assert look(None) == Foreseen(Place(branch=0))
    with pytest.raises(NotFoundError):
        look(3)
