"""Sessions, on both databases: one at a time of a person with an agent, found again, ended, begun anew."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from lumosai import Agent, Memory, Message, Scope
from lumosai.errors import ConflictError, InvalidInputError, NotFoundError
from lumosai.memory import Session
from lumosai.storage import SessionFilter, Storage
from lumosai.testing import ScriptedModel


@pytest.fixture
async def memory(storage: Storage) -> AsyncIterator[Memory]:
    """A memory over an empty storage of each kind."""
    yield Memory(storage)


async def test_a_session_is_found_again(memory: Memory) -> None:
    """The same one for the same person and agent, with its thread and what was put into it; others have others."""
    agent = Agent("assistant", model=ScriptedModel(["a", "b"]), memory=memory)
    session = await memory.session("alice", agent=agent, idle_timeout_s=60)
    assert (session.state, session.is_new, session.agent_id) == ("active", True, "assistant")
    assert (await memory.thread(session.thread_id)).resource_id == "alice"
    await agent.generate("one", thread_id=session.thread_id)
    await session.update({"cart": ["tea"], "page": 1})
    await session.update({"page": None})
    again = await memory.session("alice", agent="assistant", idle_timeout_s=60)
    assert (again.id, again.is_new, again.variables) == (session.id, False, {"cart": ["tea"]})
    assert [m.text for m in await again.messages()] == ["one", "a"]
    assert (await memory.session("alice", agent="other")).id != session.id
    assert (await memory.session("bob", agent="assistant")).id != session.id
    assert (await memory.session("alice", agent="assistant", scope=Scope("default", "o"))).id != session.id
    with pytest.raises(ConflictError, match="version"):
        await again.update({"x": 1}, version=1)
    with pytest.raises(InvalidInputError, match="when"):
        await again.update({"when": object()})
    with pytest.raises(InvalidInputError, match="names of variables"):
        await again.update({1: "one"})  # type: ignore[dict-item]


async def test_a_session_ends_and_is_renewed(memory: Memory) -> None:
    """A completed one stays as it is; the next call begins another, with a thread of its own."""
    first = await memory.session("r")
    await first.pause("lunch")
    assert first.state == "paused"
    assert (await memory.session("r")).state == "active"
    await (await first.reload()).complete(reason="done", summarize="They bought tea.")
    assert (first.state, first.summary, first.record.reason) == ("completed", "They bought tea.", "done")
    for ended in (first.pause(), first.complete(), first.fail("x")):
        with pytest.raises(ConflictError, match="over"):
            await ended
    second = await memory.session("r")
    assert second.id != first.id
    assert second.thread_id != first.thread_id
    with pytest.raises(ConflictError, match="is open"):
        await first.resume()
    await second.fail("the shop is down")
    assert (await memory.get_session(second.id)).state == "error"
    assert (await first.resume()).state == "active"
    assert (await memory.session("r")).id == first.id
    page = await memory.list_sessions(SessionFilter(resource_id="r"))
    assert [s.state for s in page.items] == ["error", "active"]
    with pytest.raises(NotFoundError):
        await memory.get_session("none")
    for wrong in ({"idle_timeout_s": -1}, {"when_over": "sometimes"}):
        with pytest.raises(InvalidInputError):
            await memory.session("r", **wrong)


async def test_a_session_is_over_when_its_time_is_up(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle or too old it is renewed, or gone on with where that is the policy; a message on its thread counts as life."""
    at = [1_800_000_000.0]
    monkeypatch.setattr(type(memory.storage), "now", lambda _: at[0])
    monkeypatch.setattr(
        "lumosai.memory.memory.time", SimpleNamespace(time=lambda: at[0], perf_counter=time.perf_counter)
    )

    async def found(**policy: object) -> Session:
        return await memory.session("r", **{"idle_timeout_s": 100, **policy})

    first = await found()
    thread = await memory.thread(first.thread_id)
    at[0] += 60
    await thread.add_message(Message.user("still here"))
    at[0] += 60
    assert (await found()).id == first.id
    at[0] += 101
    assert (await found(when_over="resume")).id == first.id
    at[0] += 101
    assert await memory.clean_sessions() == (1, 0)
    assert (await memory.get_session(first.id)).record.reason == "nothing came for 100 s"
    assert (await found(when_over="resume")).id == first.id
    at[0] += 101
    assert await memory.clean_sessions() == (1, 0)
    await (await memory.get_session(first.id)).resume()
    assert (await found()).id == first.id
    renewed = await found(max_age_s=50)
    assert renewed.id != first.id
    assert (await memory.get_session(first.id)).state == "expired"
    assert (await memory.thread(first.thread_id)).record.message_count == 1
    at[0] += 49
    assert (await found(max_age_s=50)).id == renewed.id
    at[0] += 1
    assert await memory.clean_sessions(older_than_s=0) == (1, 2)
    assert (await memory.list_sessions()).items == ()


async def test_a_session_is_summed_up_at_its_end(memory: Memory) -> None:
    """By a model, or by a function; nobody to do it is an error, and the session stays open."""
    session = await memory.session("r")
    thread = await memory.thread(session.thread_id)
    await thread.add_message(Message.user("我要两斤苹果"))
    model = ScriptedModel(["要两斤苹果。"])
    with pytest.raises(InvalidInputError, match="who sums up"):
        await session.complete(summarize=True)
    await session.complete(summarize=True, model=model)
    assert session.summary == "要两斤苹果。"
    assert "我要两斤苹果" in model.requests[0].messages[-1].text

    async def count(messages: list[Message]) -> str:
        return f"{len(messages)} messages"

    other = await memory.session("r")
    assert (await other.complete(summarize=count)).summary == "0 messages"


PROGRAM = """
import asyncio, sys
from lumosai import Memory

async def main():
    async with Memory(sys.argv[1]) as memory:
        sessions = await asyncio.gather(*[memory.session("r", agent="a", idle_timeout_s=60) for _ in range(5)])
        print(*{s.id for s in sessions})

asyncio.run(main())
"""


async def test_processes_that_open_at_once_have_one_session(memory: Memory) -> None:
    """Two programs, five calls each: one session, one thread."""
    if memory.storage.url == "sqlite://":
        pytest.skip("a database in memory is one process's")
    await memory.storage.open()
    command = [sys.executable, "-c", PROGRAM, memory.storage.url]
    both = [asyncio.to_thread(subprocess.check_output, command, text=True) for _ in range(2)]
    said = await asyncio.gather(*both)
    mine = await memory.session("r", agent="a", idle_timeout_s=60)
    assert [out.split() for out in said] == [[mine.id]] * 2
    assert len((await memory.list_threads()).items) == 1


async def test_looking_a_session_up_costs_little(memory: Memory) -> None:
    """Among a thousand others; the benchmark holds it to a millisecond."""
    handle = memory.storage.scope(Scope())
    for n in range(100):
        await memory.session(f"r{n}")
        await handle.change_session((await memory.session(f"r{n}")).id, lambda s: s)
    taken = []
    for _ in range(20):
        began = time.perf_counter()
        await memory.session("r50")
        taken.append(time.perf_counter() - began)
    assert min(taken) < 0.05
