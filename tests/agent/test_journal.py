"""What a run's journal does when its storage fails, its process is frozen, or its event loop goes away."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lumosai import Agent, Limits, Memory, Scope, tool
from lumosai.errors import LeaseLostError, StorageError
from lumosai.events import Error, RunCancelled, TextDelta
from lumosai.storage import Storage, open_storage
from lumosai.storage._op import Query
from lumosai.testing import Answer, ScriptedModel, call
from tests.agent.helpers import kinds
from tests.agent.test_resume import events_of, take_dead
from tests.conftest import ROOT


async def said(storage: Storage, thread_id: str = "t") -> list[tuple[str, str]]:
    """A thread's messages: who said what."""
    page = await storage.scope(Scope()).messages(thread_id, limit=100)
    return [(m.message.role, m.message.text) for m in page.items]


async def test_a_run_that_was_taken_over_leaves_its_thread_alone(storage: Storage) -> None:
    """A process that sleeps longer than its lease writes neither events nor messages when it wakes up."""
    gate = asyncio.Event()

    @tool
    async def measure() -> str:
        """Measures."""
        await gate.wait()
        return "1"

    model = ScriptedModel(lambda r: "Done." if any(m.role == "tool" for m in r.messages) else call("measure"))
    agent = Agent("a", model=model, tools=[measure], memory=Memory(storage))
    async with agent.stream("Go.", thread_id="t") as run:
        async for event in run:
            if event.__struct_config__.tag == "tool_call_start":
                break
        _, lease = await take_dead(storage, run.id)
        gate.set()
        with pytest.raises(LeaseLostError):
            await run.result()
    assert await said(storage) == [("user", "Go.")]
    await storage.scope(Scope()).let_go(lease)
    async with agent.resume(run.id) as again:
        assert (await again.result()).text == "Done."
    assert await said(storage) == [("user", "Go."), ("assistant", ""), ("tool", ""), ("assistant", "Done.")]


async def test_what_was_answered_is_not_kept_by_who_lost_the_run(storage: Storage) -> None:
    """The same where the lease goes while the answer comes."""
    gate = asyncio.Event()
    agent = Agent("a", model=ScriptedModel(Answer(deltas=["a ", "b "], gate=gate, gate_at=1)), memory=Memory(storage))
    async with agent.stream("Go.", thread_id="t") as run:
        async for event in run:
            if isinstance(event, TextDelta):
                break
        await take_dead(storage, run.id)
        run._loop.journal._tenure.renew()
        with pytest.raises(LeaseLostError):
            await run.result()
    assert await said(storage) == [("user", "Go.")]


async def test_deltas_that_a_crash_of_the_database_took_back_are_stored_again(storage: Storage) -> None:
    """PostgreSQL may forget its last deltas when it crashes: the run, which still has them, goes on."""
    gate = asyncio.Event()
    words = [f"{i} " for i in range(50)]
    agent = Agent("a", model=ScriptedModel(Answer(deltas=words, gate=gate, gate_at=30)), storage=storage)
    async with agent.stream("Go.") as run:
        events = []
        async for event in run:
            events.append(event)
            if isinstance(event, TextDelta) and event.delta == "29 ":
                await storage.write(partial(_taken_back, run.id, to=6))
                gate.set()
        assert (await run.result()).text == "".join(words)
    assert kinds(await events_of(storage, run.id)) == kinds(events)
    assert (await storage.scope(Scope()).run(run.id)).status == "ended"


def _taken_back(run_id: str, *, to: int) -> Any:
    rows = yield Query("SELECT key FROM runs WHERE id = ?", (run_id,))
    rows = yield Query("SELECT max(last) FROM events WHERE run = ? AND last <= ?", (rows[0][0], to))
    last = rows[0][0]
    yield Query("DELETE FROM events WHERE run = (SELECT key FROM runs WHERE id = ?) AND first > ?", (run_id, last))
    yield Query("UPDATE runs SET last = ? WHERE id = ?", (last, run_id))


class Failing:
    """A handle whose `append_events` raises something that no storage should."""

    def __init__(self, handle: Any, error: BaseException) -> None:
        self._handle = handle
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)

    async def append_events(self, *_: object, **__: object) -> None:
        raise self._error


async def test_any_failure_of_a_storage_ends_the_run_with_it(storage: Storage) -> None:
    """A bug in a back end hides no event and leaves nobody waiting."""
    gate = asyncio.Event()
    agent = Agent("a", model=ScriptedModel(Answer(deltas=["a ", "b "], gate=gate, gate_at=1)), storage=storage)
    async with agent.stream("Go.") as run:
        events = []
        async for event in run:
            events.append(event)
            if isinstance(event, TextDelta) and not gate.is_set():
                storing = run._loop.journal._storing
                storing._handle = Failing(storing._handle, ValueError("no such luck"))
                gate.set()
        with pytest.raises(StorageError, match="ValueError: no such luck"):
            await run.result()
    assert [e.seq for e in events] == [*range(1, len(events) + 1)]
    assert type(events[-1]) is Error


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_program_that_ends_in_the_middle_of_a_run_stores_its_end(url: str) -> None:
    """When `asyncio.run` cancels all there is, the journal's own task too, the run's last event is stored."""

    async def program() -> str:
        agent = Agent("a", model=ScriptedModel(Answer(deltas=["word "] * 500, gate_at=400, gate=asyncio.Event())))
        agent = agent.replace(storage=open_storage(url))
        async with agent.stream("Go.") as run:
            run.detach()
            async for event in run.subscribe():
                if isinstance(event, TextDelta):
                    return run.id
        raise AssertionError

    async def look(run_id: str) -> None:
        async with open_storage(url) as storage:
            record = await storage.scope(Scope()).run(run_id)
            events = await events_of(storage, run_id)
        assert [e.seq for e in events] == [*range(1, len(events) + 1)]
        assert record.status == "ended"
        assert type(events[-1]) is RunCancelled

    for _ in range(5):
        asyncio.run(look(asyncio.run(program())))
    gc.collect()  # connections that nobody closed


async def test_the_cut_of_a_writing_is_not_the_cut_of_a_run(storage: Storage) -> None:
    """Whoever cancels the journal's task, at whatever moment, loses nothing and stores nothing twice."""
    agent = Agent("a", model=ScriptedModel(Answer(deltas=[f"{i} " for i in range(300)])), storage=storage)
    async with agent.stream("Go.") as run:
        journal = run._loop.journal
        events = []

        async def cancel() -> None:
            for _ in range(15):
                if journal is not None and journal._task is not None:
                    journal._task.cancel()
                await asyncio.sleep(0.003)

        await asyncio.sleep(0)
        journal = run._loop.journal
        cancelling = asyncio.create_task(cancel())
        async for event in run:
            events.append(event)
        await cancelling
        text = (await run.result()).text
    assert text == "".join(f"{i} " for i in range(300))
    assert kinds(await events_of(storage, run.id)) == kinds(events)


async def test_a_run_that_never_began_is_kept_and_seen(storage: Storage) -> None:
    """A run whose task was cancelled before its first step shows its two events, stored before."""
    agent = Agent("a", model=ScriptedModel("x"), storage=storage)
    async with agent.stream("Go.") as run:
        run._task.cancel()
        events = [e async for e in run]
    assert kinds(events) == ["run_started", "run_cancelled"]
    assert kinds(await events_of(storage, run.id)) == ["run_started", "run_cancelled"]
    record = await storage.scope(Scope()).run(run.id)
    assert record is not None
    assert record.status == "ended"


CLOSED = """
import asyncio, gc, sys
from lumosai import Agent, Memory
from lumosai.testing import Answer, ScriptedModel

async def begin():
    model = ScriptedModel(Answer(deltas=["a "] * 50, gate=asyncio.Event(), gate_at=40))
    agent = Agent("a", model=model, memory=Memory(sys.argv[1]))
    run = agent.stream("Go.", thread_id="t")
    await run.__aenter__()
    async for event in run.subscribe():
        if event.__struct_config__.tag == "text_delta":
            return run.id

async def after():
    agent = Agent("a", model=ScriptedModel("Next."), memory=Memory(sys.argv[1]))
    result = await asyncio.wait_for(agent.generate("More.", thread_id="t"), 10)
    assert result.text == "Next."
    await agent.storage.close()

loop = asyncio.new_event_loop()
print(loop.run_until_complete(begin()))
loop.close()
gc.collect()
asyncio.run(after())
"""


def test_an_event_loop_that_is_closed_in_the_middle_of_a_run(tmp_path: Path) -> None:
    """The run is gone, does not stand in its thread's way, and another process may go on with it."""
    database = f"sqlite:///{tmp_path}/test.db"
    command = [sys.executable, "-c", CLOSED, database]
    path = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(command, check=True, timeout=150, env=path, capture_output=True, text=True)
    assert "ignored GeneratorExit" not in ended.stderr
    # From Python 3.12 on the closed loop itself has a word for the readers that it was to close.
    assert "never awaited" not in ended.stderr.replace(
        "coroutine method 'aclose' of 'EventLog.read' was never awaited", ""
    )
    run_id = ended.stdout.strip()

    async def look() -> None:
        again = Agent("a", model=ScriptedModel("Done."), memory=Memory(database))
        async with again.resume(run_id) as resumed:
            assert (await resumed.result()).text == "Done."
        assert await said(again.storage) == [
            ("user", "Go."),
            ("user", "More."),
            ("assistant", "Next."),
            ("assistant", "Done."),
        ]
        await again.storage.close()

    asyncio.run(look())


@pytest.mark.parametrize("how", ["cancel", "leave", "task", "deadline", "close"])
async def test_runs_that_are_stopped_at_any_moment_are_whole(how: str, storage: Storage, monkeypatch) -> None:
    """On a slow storage, too: what is stored is what was seen, with one end, and the thread holds what was said."""
    chance = random.Random(how)
    write = storage.write

    async def slowly(op: Any, lane: str = "memory", *, again: bool = False) -> Any:
        await asyncio.sleep(chance.random() * 0.01)
        value = await write(op, lane, again=again)
        await asyncio.sleep(chance.random() * 0.01)
        return value

    monkeypatch.setattr(storage, "write", slowly)

    @tool
    async def look() -> str:
        """Looks."""
        await asyncio.sleep(0.003)
        return "seen"

    async def one(number: int) -> None:
        observed: list[Any] = []
        words = Answer(deltas=["w "] * chance.randrange(1, 700))
        agent = Agent("a", model=ScriptedModel([call("look"), words]), tools=[look], memory=Memory(storage))
        limits = Limits(deadline_s=chance.random() * 0.2) if how == "deadline" else Limits()
        run = agent.replace(observers=[observed.append], limits=limits).stream("Go.", thread_id=f"t{number}")
        got: list[Any] = []

        async def read() -> None:
            async with run:
                async for event in run:
                    got.append(event)
                    if how == "leave" and chance.random() < 0.02:
                        break

        task = asyncio.create_task(read())
        await asyncio.sleep(chance.random() * 0.15)
        if how == "cancel" and run._task is not None:
            run.cancel()
        elif how == "task":
            task.cancel()
        elif how == "close":
            await storage.close()
        await asyncio.wait([task], timeout=30)
        assert task.done()
        while not run._log.closed:
            await asyncio.sleep(0.001)
        seen = run._log.visible
        assert [e.seq for e in seen] == [*range(1, len(seen) + 1)]
        assert kinds(await events_of(storage, run.id)) == kinds(seen)
        assert got == seen[: len(got)]
        assert observed == seen
        handle = storage.scope(Scope())
        record = await handle.run(run.id)
        assert record is not None
        assert record.status == "ended"
        if await handle.thread(f"t{number}") is not None:
            assert [t for _, t in (await said(storage, f"t{number}"))[1:]] == [
                m.text for m in run._loop.result().messages
            ]

    await asyncio.gather(*[one(number) for number in range(8)])
