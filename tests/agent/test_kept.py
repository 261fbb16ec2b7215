"""What a run and its thread store together: in how few transactions, and what becomes of one half where the other fails."""

from __future__ import annotations

import asyncio

import pytest

from lumosai import Agent, Memory, tool
from lumosai.agent.storing import Storing
from lumosai.errors import StorageError
from lumosai.events import Error, MemoryRecalled, MemorySaved
from lumosai.storage import SqliteStorage, Storage
from lumosai.storage import _messages as messages
from lumosai.testing import Answer, ScriptedModel, call
from tests.agent.test_journal import said
from tests.agent.test_resume import events_of


@tool
def look() -> str:
    """Looks."""
    return "seen"


async def test_a_run_is_kept_in_few_transactions(tmp_path) -> None:
    """One answer takes three: its input, its request, its end. A call takes at most two more: before it, and behind it."""
    async with SqliteStorage(tmp_path / "test.db") as storage:
        agent = Agent("a", model=ScriptedModel(["Warm."]), memory=Memory(storage), tools=[look])
        await agent.generate("Hello.", thread_id="warm")
        for answers, most in ((["One."], 3), ([call("look"), "Two."], 5), ([[call("look")] * 3, "Three."], 9)):
            before = storage._open().writer.commits
            made = agent.replace(model=ScriptedModel(answers))
            made.known.experience = None  # what is learned of a model is kept besides, where it is new
            await made.generate("Go.", thread_id=f"t{most}")
            assert storage._open().writer.commits - before <= most


@pytest.mark.parametrize("times", [1, 99])
async def test_messages_that_cannot_be_stored_with_the_events(storage: Storage, monkeypatch, times: int) -> None:
    """The events say so; they are tried again at the end, and where that fails too the run ends with that error."""
    add, tries = messages.add, [0]

    def broken(who, thread_id, number, news, **more):
        tries[0] += 1
        if tries[0] <= 2 * times:  # once along with the events, once alone
            raise StorageError("no room")
        return (yield from add(who, thread_id, number, news, **more))

    monkeypatch.setattr(messages, "add", broken)
    agent = Agent("a", model=ScriptedModel([call("look"), "Done."]), tools=[look], memory=Memory(storage))
    async with agent.stream("Go.", thread_id="t") as run:
        events = [e async for e in run]
        if times > 1:
            with pytest.raises(StorageError, match="no room") as caught:
                await run.result()
            assert caught.value.result.text == "Done."
        else:
            assert (await run.result()).text == "Done."
    unsaved = [e.error for e in events if isinstance(e, MemoryRecalled) and e.operation == "save"]
    assert "no room" in unsaved
    kept = [i for e in events if isinstance(e, MemorySaved) for i in e.message_ids]
    monkeypatch.undo()
    assert len(await said(storage)) == len(kept)
    assert [e.seq for e in events] == [*range(1, len(events) + 1)]
    assert isinstance(events[-1], Error) is (times > 1)
    assert [type(e) for e in await events_of(storage, run.id)] == [type(e) for e in events]


async def test_a_reader_from_the_first_moment_on_sees_only_what_is_kept(storage: Storage, monkeypatch) -> None:
    """Also one that is there before the run's task has taken its first step, and while deltas gather behind a commit."""
    kept, put = [0], Storing.put

    async def slowly(self, events, along, *, urgent):
        await asyncio.sleep(0.004)
        await put(self, events, along, urgent=urgent)
        kept.append(events[-1].seq)

    monkeypatch.setattr(Storing, "put", slowly)
    model = ScriptedModel(Answer(deltas=[f"{n} " for n in range(30)], delay_s=0.0005))
    async with Agent("a", model=model, storage=storage).stream("Go.") as run:
        async for event in run:
            assert event.seq <= kept[-1]
    assert len(kept) > 3
