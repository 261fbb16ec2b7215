"""What is deleted from a thread is gone from the journal as well, and runs around it can still be read and gone on with."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from lumosai import Agent, Memory, Scope, tool
from lumosai.errors import NotFoundError
from lumosai.events import Error, ModelCallStarted, TextDelta, to_json
from lumosai.storage import Storage
from lumosai.storage import _known as seen
from lumosai.storage import _packing as packing
from lumosai.storage._op import Query
from lumosai.testing import Answer, ScriptedModel, call
from tests.agent.test_resume import events_of, take_dead


@tool
def look(what: str) -> str:
    """Looks."""
    return f"a heron at the {what}"


def agent_of(storage: Storage, *answers: Any, **more: Any) -> Agent:
    """An agent with a long system prompt, on a thread."""
    return Agent(
        "a",
        instructions="Be brief. " * 20,
        model=ScriptedModel([*answers]),
        memory=Memory(storage),
        tools=[look],
        **more,
    )


async def journal_of(storage: Storage) -> bytes:
    """All that runs hold in the tables, unpacked."""
    handle = storage.scope(Scope())
    found = [b for r in (await handle.list_runs()).items for b in await handle.events(r.id)]

    def contents() -> Any:
        rows = yield Query("SELECT data FROM contents")
        return [bytes(row[0]) for row in rows]

    return b"\n".join([*found, *await storage.read(contents)])


async def test_an_ended_run_is_read_as_it_was_shown(storage: Storage) -> None:
    """Each line, though its texts lie in the thread only; its history is not stored with it."""
    shown = {}
    agent = agent_of(storage, [call("look", what="harbour")], "A heron, 一只苍鹭。", "The same.")
    for question in ("What is there?", "And now?"):
        async with agent.stream(question, thread_id="t") as run:
            events = [e async for e in run]
            light = run._loop.journal.light
            shown[run.id] = [to_json(light(e) if isinstance(e, ModelCallStarted) else e) for e in events]
    for run_id, lines in shown.items():
        assert [to_json(e) for e in await events_of(storage, run_id)] == lines
        async with agent.resume(run_id) as again:
            assert [e.seq async for e in again] == [*range(1, len(lines) + 1)]

    def stored() -> Any:
        rows = yield Query("SELECT data FROM events")
        contents = yield Query("SELECT data FROM contents")
        return [bytes(r[0]) for r in rows], [bytes(r[0]) for r in contents]

    rows, contents = await storage.read(stored)
    assert len(rows) == 2
    assert not any(b"heron" in data for data in [*rows, *contents])
    assert sum(map(len, rows)) < 2500


async def test_a_deleted_message_takes_its_run_along(storage: Storage) -> None:
    """Those before and after stay, and are read whole."""
    agent = agent_of(storage, "one", "two", "three")
    ids = []
    for question in ("Secret?", "More?", "And?"):
        async with agent.stream(question, thread_id="t") as run:
            await run.result()
        ids.append(run.id)
    handle = storage.scope(Scope())
    others = [await events_of(storage, i) for i in ids[1:]]
    first = (await handle.messages("t")).items[0]
    assert await handle.delete_messages("t", [first.message.id]) == 1
    with pytest.raises(NotFoundError):
        await handle.events(ids[0])
    assert [await events_of(storage, i) for i in ids[1:]] == others
    assert b"Secret" not in await journal_of(storage)
    await handle.delete_thread("t")
    assert (await handle.list_runs()).items == ()
    assert b"brief" not in await journal_of(storage)


async def test_a_run_goes_on_without_what_was_deleted_meanwhile(storage: Storage) -> None:
    """A run whose process died is resumed with a prompt that lacks a deleted call, and its result with it."""
    agent = agent_of(storage, [call("look", what="harbour")], "A heron.")
    await agent.generate("What is there?", thread_id="t")
    gate = asyncio.Event()
    cut = agent_of(storage, Answer(text="never", gate=gate))
    async with cut.stream("Tell me more.", thread_id="t") as run:
        async for event in run:
            if isinstance(event, ModelCallStarted):
                break
        _, lease = await take_dead(storage, run.id)
        run.detach()
        run._task.cancel()
    handle = storage.scope(Scope())
    await handle.let_go(lease)
    calling = next(m for m in (await handle.messages("t")).items if m.message.tool_calls)
    await handle.delete_messages("t", [calling.message.id])
    again = agent_of(storage, "Done.")
    async with again.resume(run.id) as resumed:
        assert (await resumed.result()).text == "Done."
    asked = again.model.requests[-1].messages
    assert [m.role for m in asked] == ["system", "user", "assistant", "user"]


def _packed_as_before(run_id: str) -> Any:
    """Packs a run as programs did that took what its branch was given for its own."""
    rows = yield Query("SELECT run, first, data FROM events WHERE run = (SELECT key FROM runs WHERE id = ?)", (run_id,))
    for key, first, data in rows:
        (whole,) = yield from seen.unpacked(key, run_id, [(data,)])
        where = yield from seen.place(key, run_id, whole)
        known = yield from seen.known(key, run_id, where, given=True)
        assert known != (yield from seen.known(key, run_id, where))
        packed = packing.packed(whole, where, known)
        yield Query("UPDATE events SET data = ? WHERE run = ? AND first = ?", (packed, key, first))


async def test_a_run_on_a_fork_is_read_when_the_original_is_deleted(storage: Storage) -> None:
    """The fork is given what it shared, which the run was not packed against."""
    agent = agent_of(storage, "One.", "Two.", "Three.", "Four.")
    for question in ("What is there?", "And now?"):
        await agent.generate(question, thread_id="t")
    await agent.memory.fork_thread("t", new_id="f")
    run_id = (await agent.generate("And here?", thread_id="f")).run_id
    before = await events_of(storage, run_id)
    await agent.memory.delete_thread("t")
    assert await events_of(storage, run_id) == before
    assert [line async for line in storage.system().export()]
    thread = await agent.memory.thread("f")
    run = (await agent.generate("And now?", thread_id="f")).run_id
    later = await events_of(storage, run)
    await storage.write(partial(_packed_as_before, run))
    assert await events_of(storage, run) == later
    (said, *_) = (await thread.get_messages()).items
    assert await storage.scope(Scope()).delete_messages("f", [said.message.id]) == 1
    assert await events_of(storage, run_id) == before


async def test_a_run_whose_thread_was_made_anew_says_nothing_there(storage: Storage) -> None:
    """Its thread is deleted while it answers, and another begun under the name: it ends, and nobody takes it up."""
    gate = asyncio.Event()
    agent = agent_of(storage, Answer(deltas=["One. ", "Two."], gate=gate, gate_at=1))
    async with agent.stream("What is there?", thread_id="t") as run:
        async for event in run:
            if type(event) is TextDelta:
                break
        await agent.memory.delete_thread("t")
        thread = await agent.memory.create_thread("t")
        gate.set()
        with pytest.raises(NotFoundError, match="was deleted"):
            await run.result()
    assert type((await events_of(storage, run.id))[-1]) is Error
    assert (await storage.scope(Scope()).run(run.id)).status == "ended"
    assert (await thread.get_messages()).items == ()
