"""One run at a time is at work on a thread, in two processes on one database as in one."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from lumosai import Agent, Memory, Message, Scope
from lumosai.agent import joining
from lumosai.agent.remember import Remember
from lumosai.errors import InvalidInputError, LeaseLostError, ThreadBusyError
from lumosai.events import InputReceived, TextDelta
from lumosai.storage import Storage, _handle, _owner, open_storage
from lumosai.storage._op import Query
from lumosai.testing import Answer, ScriptedModel
from tests.agent.helpers import of
from tests.agent.test_resume import events_of
from tests.conftest import ROOT
from tests.memory import elsewhere

ROUNDS = int(os.environ.get("LUMOSAI_CRASH_ROUNDS", "1"))
"""How many processes are killed, on each database."""


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database that two processes can use."""
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else f"sqlite:///{tmp_path}/two.db"


class Other:
    """The other process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def told(self) -> dict[str, Any]:
        """The next line that it prints."""
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            return json.loads(await self._process.stdout.readline())

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def kill(self) -> None:
        """It is gone when this returns."""
        self._process.kill()
        await self._process.wait()

    async def begin(self, given: str, **options: Any) -> str:
        """Begins a run; its id, once it has shown a text."""
        self.say(json.dumps({"input": given, "options": options}))
        return (await self.told())["shown"]


@pytest.fixture
async def start(database: str) -> AsyncIterator[Callable[..., Any]]:
    """Starts the other process."""
    processes = []

    async def make(lease_s: float = 10.0) -> Other:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.memory.elsewhere",
            database,
            str(lease_s),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        processes.append(process)
        other = Other(process)
        await other.told()
        return other

    yield make
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def agent(database: str) -> AsyncIterator[Agent]:
    """An agent of this process, which answers at once."""
    gate = elsewhere.Gate()
    gate.now.set()
    made = elsewhere.make(database, gate)
    yield made
    await made.storage.close()


async def said(agent: Agent) -> list[str]:
    """The thread's messages."""
    page = await agent.storage.scope(Scope()).messages("t", limit=100)
    return [m.message.text for m in page.items]


@pytest.mark.timeout(300)
async def test_two_processes_take_turns(agent: Agent, start: Callable[..., Any]) -> None:
    """A run waits for one in another process, is refused, joins it, or takes its place.

    A dead one holds nobody up, and what it had shown stays, whatever becomes of it.
    """
    other = await start()
    await other.begin("a")
    with pytest.raises(ThreadBusyError, match="another run"):
        await agent.generate("x", thread_id="t", if_busy="reject")
    with pytest.raises(ThreadBusyError, match="waited"):
        await agent.generate("x", thread_id="t", busy_timeout_s=0.05)
    waiting = asyncio.create_task(agent.generate("b", thread_id="t"))
    await asyncio.sleep(0.4)
    assert await said(agent) == ["a"]
    other.say("go")
    assert (await other.told())["ended"] == "stop"
    assert (await waiting).text == "b!"
    assert await said(agent) == ["a", "a!", "b", "b!"]

    run_id = await other.begin("c")
    joining = asyncio.create_task(agent.generate("d", thread_id="t", if_busy="steer"))
    while not await agent.storage.system().inbox([await _lease(agent.storage, run_id)]):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    other.say("go")
    assert (await other.told())["shown"] == run_id
    other.say("go")
    joined = await joining
    assert (joined.run_id, [m.text for m in joined.messages]) == (run_id, ["c!", "d", "d!"])
    assert (await other.told())["texts"] == ["c!", "d", "d!"]

    await other.begin("e")
    assert (await agent.generate("f", thread_id="t", if_busy="interrupt")).text == "f!"
    assert (await other.told())["ended"] == "cancelled"
    assert (await said(agent))[-4:] == ["e", "e", "f", "f!"]

    run_id = await other.begin("g")
    assert await shown(agent) == (await said(agent))[-3:]
    await other.kill()
    assert await shown(agent) == [*(await said(agent))[-3:], "g (interrupted)"]
    assert (await said(agent))[-1] == "g"  # it is not stored yet
    await _is_shown_on_its_branch_only(agent, run_id)
    began = time.monotonic()
    assert (await agent.generate("h", thread_id="t")).text == "h!"
    assert time.monotonic() - began < 9  # a lease lasts for ten
    kept = (await agent.storage.scope(Scope()).messages("t", limit=100)).items[-4:]
    assert [m.message.text for m in kept] == ["g", "g", "h", "h!"]
    assert (kept[1].message.metadata, kept[1].run_id) == ({"interrupted": True}, run_id)
    await (await agent.connect(run_id)).cancel()
    assert (await said(agent))[-4:] == ["g", "g", "h", "h!"]

    other = await start()
    await other.begin("i", save_to_memory=False)
    await other.kill()
    await agent.generate("j", thread_id="t")
    assert (await said(agent))[-3:] == ["h!", "j", "j!"]


async def shown(agent: Agent) -> list[str]:
    """What a reader of the thread sees at its end."""
    items = (await (await agent.memory.thread("t")).get_messages(3, newest=True)).items
    return [m.message.text + " (interrupted)" * ("interrupted" in m.message.metadata) for m in items]


async def _is_shown_on_its_branch_only(agent: Agent, run_id: str) -> None:
    """What a dead run had shown is read there, however one comes to its end, and where the run is not, is not."""
    thread = await agent.memory.thread("t")
    pages = [await thread.get_messages(3)]
    while pages[-1].next_cursor is not None:
        pages.append(await thread.get_messages(3, pages[-1].next_cursor))
    items = [m for page in pages for m in page.items]
    assert [m.seq for m in items] == list(range(1, len(items) + 1))
    assert (items[-1].message.text, items[-1].run_id) == ("g", run_id)
    branch = await agent.memory.edit("t", str(items[-2].message.id), "other")
    assert (await thread.get_messages(100, branch=branch)).items[-1].message.text == "other"
    await agent.memory.select_branch("t", branch)
    first = (await thread.get_messages(3)).next_cursor
    assert (await thread.get_messages(100, first)).items[-1].message.text == "other"
    assert (await thread.get_messages(100, pages[0].next_cursor)).items[-1].message.metadata == {"interrupted": True}
    await agent.memory.select_branch("t", thread.branch)


async def _lease(storage: Storage, run_id: str) -> Any:
    class Lease:
        pass

    lease = Lease()
    lease.run_id = run_id
    return lease


@pytest.mark.timeout(180)
async def test_who_has_joined_a_run_goes_on_with_it(
    agent: Agent, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the run's process dies the question is answered all the same, by that very run."""
    monkeypatch.setattr(joining, "_LOOK_S", 0.05)
    other = await start()
    run_id = await other.begin("a")
    joins = asyncio.create_task(agent.generate("b", thread_id="t", if_busy="steer"))
    while not await agent.storage.system().inbox([await _lease(agent.storage, run_id)]):
        await asyncio.sleep(0.01)
    await other.kill()
    joined = await joins
    assert (joined.run_id, joined.text) == (run_id, "b!")
    assert await said(agent) == ["a", "a!", "b", "b!"]


@pytest.mark.timeout(300)
async def test_a_frozen_process_writes_nothing_when_it_wakes_up(agent: Agent, start: Callable[..., Any]) -> None:
    """Another run was let onto its thread, or took its own up: neither events nor messages nor the inbox change any more."""
    other = await start(0.6)
    await other.begin("z")
    os.kill(other.pid, signal.SIGSTOP)
    assert (await agent.generate("y", thread_id="t")).text == "y!"
    os.kill(other.pid, signal.SIGCONT)
    other.say("go")
    assert await other.told() == {"error": "LeaseLostError"}
    assert await said(agent) == ["z", "z", "y", "y!"]

    run_id = await other.begin("a")
    os.kill(other.pid, signal.SIGSTOP)
    run = await agent.connect(run_id)
    await run.send("and?")
    reader = run.subscribe()
    reading = asyncio.create_task(_all(reader))
    while True:
        try:
            async with agent.resume(run_id) as resumed:
                result = await resumed.result()
            break
        except LeaseLostError:  # it is still held
            await asyncio.sleep(0.1)
    assert [m.text for m in result.messages][-1] == "and?!"
    assert (await agent.generate("b", thread_id="t")).text == "b!"
    before = await _everything(agent, run_id)
    os.kill(other.pid, signal.SIGCONT)
    other.say("go")
    assert await other.told() == {"error": "LeaseLostError"}
    assert await _everything(agent, run_id) == before
    events = await reading
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert len(of(events, InputReceived)) == 1
    assert str(reader.cursor).partition(".")[0] == "2"


async def _everything(agent: Agent, run_id: str) -> tuple[Any, ...]:
    """All that a process at work on a run may write."""
    stored = await events_of(agent.storage, run_id)
    return (
        len(stored),
        stored[-1],
        await said(agent),
        await agent.storage.system().inbox([await _lease(agent.storage, run_id)]),
    )


async def _all(events: Any) -> list[Any]:
    return [e async for e in events]


@pytest.mark.timeout(300)
async def test_turns_of_two_processes_are_never_mixed(agent: Agent, start: Callable[..., Any]) -> None:
    """However many runs of both want the thread at the same time, each question is followed by its answer."""
    other = await start()
    for n in range(4):
        other.say(json.dumps({"input": f"o{n}"}))
    mine = [asyncio.create_task(agent.generate(f"m{n}", thread_id="t")) for n in range(4)]
    ended = 0
    while ended < 4:
        told = await other.told()
        if "shown" in told:
            other.say("go")
        else:
            assert told["ended"] == "stop"
            ended += 1
    await asyncio.gather(*mine)
    texts = await said(agent)
    assert len(texts) == 16
    assert all(answer == f"{question}!" for question, answer in zip(texts[::2], texts[1::2], strict=True))
    assert [t for t in texts[::2] if t[0] == "m"] == [f"m{n}" for n in range(4)]


@pytest.mark.timeout(300)
async def test_what_was_posted_survives_any_kill(agent: Agent, start: Callable[..., Any]) -> None:
    """Messages are sent into a run whose process is killed at any moment: each is in the run once, in order."""
    chance = random.Random(os.environ.get("LUMOSAI_CRASH_SEED", "1"))
    for n in range(ROUNDS):
        other = await start()
        run_id = await other.begin("a")
        run = await agent.connect(run_id)
        sent: list[str] = []
        for i in range(chance.randrange(1, 5)):
            try:
                await run.send(f"{n}.{i}")
            except InvalidInputError:  # it has ended already
                break
            sent.append(f"{n}.{i}")
            if chance.random() < 0.8:
                other.say("go")
            await asyncio.sleep(chance.random() * 0.25)
        await other.kill()
        async with agent.resume(run_id) as again:
            result = await again.result()
        came = [e.message.text for e in of(await events_of(agent.storage, run_id), InputReceived)]
        assert came == sent
        assert [m.text for m in result.messages if m.role == "user"] == sent
        texts = await said(agent)
        assert [t for t in texts if t in sent] == sent
        assert await agent.storage.system().inbox([await _lease(agent.storage, run_id)]) == ()
        await agent.memory.delete_thread("t")


def gated(storage: Storage) -> tuple[Agent, asyncio.Event]:
    """An agent whose first answer waits for the gate."""
    gate = asyncio.Event()
    model = ScriptedModel([Answer(deltas=["one", "!"], gate=gate, gate_at=1), "two", "three"])
    return Agent("a", model=model, memory=Memory(storage)), gate


async def test_a_run_joins_the_one_at_work(storage: Storage) -> None:
    """With "steer" the input is answered by the run that is there; the one that joined is that run, read from here."""
    agent, gate = gated(storage)
    async with agent.stream("Go.", thread_id="t") as first:
        async for event in first:
            if isinstance(event, TextDelta):
                break
        async with agent.stream("And?", thread_id="t", if_busy="steer") as second:
            texts = []
            async for text in second.text():
                texts.append(text)
                gate.set()
            assert second.id == first.id
            joined = await second.result()
            assert second.done
        result = await first.result()
    assert "".join(texts) == "one!two"
    assert joined == result
    assert [m.text for m in result.messages] == ["one!", "And?", "two"]
    page = await storage.scope(Scope()).messages("t")
    assert [m.message.text for m in page.items] == ["Go.", "one!", "And?", "two"]
    alone = await agent.generate("More?", thread_id="t", if_busy="steer")
    assert (alone.text, alone.run_id != first.id) == ("three", True)
    assert len((await storage.scope(Scope()).list_runs()).items) == 2


async def test_an_answer_that_was_whole_and_not_stored_is_kept_once(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process died between the two. Another run finds it on the thread; who goes on with its own run stores it no more."""
    keep, between = Remember.keep_step, asyncio.Event()

    async def stops(self: Remember, messages: Any) -> None:
        await self.journal.settled()
        between.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Remember, "keep_step", stops)
    agent = Agent("a", model=ScriptedModel(["whole", "next"]), memory=Memory(storage))
    async with agent.stream("Go.", thread_id="t") as run:
        await between.wait()
        await run.leave()
    monkeypatch.setattr(Remember, "keep_step", keep)
    (_, shown) = (await (await agent.memory.thread("t")).get_messages()).items
    assert (shown.message.text, shown.message.metadata) == ("whole", {})
    assert await said(agent) == ["Go."]
    assert (await agent.generate("And?", thread_id="t")).text == "next"
    assert await said(agent) == ["Go.", "whole", "And?", "next"]
    async with agent.resume(run.id) as again:
        assert (await again.result()).text == "whole"
    assert await said(agent) == ["Go.", "whole", "And?", "next"]


async def test_who_cannot_join_any_more_waits_its_turn(storage: Storage) -> None:
    """A run that found nobody on a thread that was not there has begun when another one makes it: it is a run of its own."""
    agent, gate = gated(storage)
    began = asyncio.Event()

    async def instructed(_: Any) -> str:
        began.set()
        await gate.wait()
        return "Be brief."

    late = agent.replace(instructions=instructed, model=ScriptedModel(["mine"]))
    waiting = asyncio.create_task(late.generate("b", thread_id="t", if_busy="steer"))
    await began.wait()
    async with agent.stream("a", thread_id="t", if_busy="reject") as run:
        async for event in run:
            if isinstance(event, TextDelta):
                break
        gate.set()
        await run.result()
    assert (await waiting).text == "mine"
    assert await said(agent) == ["a", "one!", "b", "mine"]


async def test_who_has_joined_a_run_may_stop_it_or_leave_it(storage: Storage) -> None:
    """Leaving the block lets the run go on; `cancel` stops it; what is no question cannot join."""
    agent, _ = gated(storage)
    async with agent.stream("Go.", thread_id="t") as first:
        async for event in first:
            if isinstance(event, TextDelta):
                break
        with pytest.raises(InvalidInputError, match="user's"):
            await agent.generate([Message.system("Be brief."), Message.user("x")], thread_id="t", if_busy="steer")
        async with agent.stream("And?", thread_id="t", if_busy="steer") as second:
            await anext(aiter(second))
        assert not first.done
        async with agent.stream("So?", thread_id="t", if_busy="steer") as third:
            await anext(aiter(third))
            third.cancel("enough")
            assert (await third.result()).finish_reason == "cancelled"
        result = await first.result()
    assert (result.finish_reason, [m.text for m in result.messages]) == ("cancelled", ["one", "And?", "So?"])


@pytest.mark.parametrize("journal", [True, False])
async def test_a_run_that_is_cancelled_while_it_takes_its_turn_leaves_no_place_behind(
    storage: Storage, journal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever that comes, on a free thread and on a busy one, the next run begins at once."""
    agent = Agent("test", model=ScriptedModel(lambda _: "Yes."), memory=Memory(storage), journal=journal)
    await agent.generate("first", thread_id="t")
    name = "foresee_turn" if journal else "look_at_turn"
    looked, look = asyncio.Event(), getattr(_handle.ScopedHandle, name)

    async def look_and_tell(*args: Any, **more: Any) -> Any:
        found = await look(*args, **more)
        looked.set()
        return found

    monkeypatch.setattr(_handle.ScopedHandle, name, look_and_tell)
    for steps in range(12):
        first, gate = gated(storage)
        async with first.stream("at work", thread_id="t") as run:
            if steps % 2:
                await anext(aiter(run.text()))
            looked.clear()
            task = asyncio.create_task(agent.generate("cut", thread_id="t"))
            await looked.wait()
            for _ in range(steps // 2):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            gate.set()
        async with asyncio.timeout(9):
            assert (await agent.generate("next", thread_id="t")).text == "Yes."


@pytest.mark.filterwarnings("ignore:coroutine method 'aclose'")  # which the loop would have run, says Python 3.12
async def test_a_run_whose_event_loop_is_gone_holds_nobody_up(tmp_path: Path) -> None:
    """It could not give its turn back, and its process is alive."""
    storage = open_storage(f"sqlite:///{tmp_path}/loop.db")
    agent, _ = gated(storage)

    def begin() -> None:
        loop = asyncio.new_event_loop()

        async def go() -> None:
            run = agent.stream("Go.", thread_id="t")
            await run.__aenter__()
            async for event in run:
                if isinstance(event, TextDelta):
                    return

        loop.run_until_complete(go())
        loop.close()
        gc.collect()  # which closes what the run had open

    await asyncio.to_thread(begin)
    began = time.monotonic()
    assert (await agent.generate("And?", thread_id="t")).text == "two"
    assert time.monotonic() - began < 9  # a lease lasts for ten
    await storage.close()


async def test_a_machine_that_slept_leaves_leases_time_to_be_renewed(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the clock jumps every lease is over at once: whoever is alive here has another one's time."""
    monkeypatch.setattr(_owner, "_jumps", _owner._Jumps())  # which no other test has told of a jump
    agent, gate = gated(storage)
    async with agent.stream("Go.", thread_id="t") as run:
        async for event in run:
            if isinstance(event, TextDelta):
                break
        handle = storage.scope(Scope())
        await storage.write(_all_over)
        offset = _owner._jumps.offset()
        monkeypatch.setattr(_owner._jumps, "offset", lambda: offset + 3600)
        assert (await handle.look_at_turn("t")).ahead == run.id
        with pytest.raises(LeaseLostError):
            await handle.take_run(run.id)
        assert await storage.system().orphans(["a"]) == ()
        monkeypatch.setattr(_owner._jumps, "_at", -1e9)  # as much time has passed since
        assert (await handle.look_at_turn("t")).ahead == ""
        assert [r.id for _, r in await storage.system().orphans(["a"])] == [run.id]
        gate.set()
        assert (await run.result()).text == "one!"  # nobody was quicker: it is still its own
    assert _owner.LEASE_S == 10.0


def _all_over() -> Any:
    yield Query("UPDATE runs SET until = 1")
    yield Query("UPDATE turns SET until = 1")
