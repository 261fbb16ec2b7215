"""A run whose storage fails: it says what was not kept, and whoever goes on with it need not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lumosai import Agent, Memory, Scope, tool
from lumosai.agent.storing import Storing
from lumosai.errors import LeaseLostError, StorageFullError, StorageUnavailableError
from lumosai.events import TERMINAL, Error, ModelCallComplete, TextDelta, ToolCallComplete
from lumosai.storage import PostgresStorage, Storage, postgres
from lumosai.testing import Answer, ScriptedModel, call
from tests.storage.postgres_proxy import proxied


@tool
def measure(what: str) -> str:
    """Measures."""
    return f"{what}: 2 m"


def scripted(gate: asyncio.Event | None = None) -> ScriptedModel:
    """One call, then an answer of three deltas, the second behind the gate."""
    return ScriptedModel([call("measure", what="door"), Answer(deltas=["It ", "is ", "2 m."], gate=gate, gate_at=1)])


async def resumed(agent: Agent, run_id: str, within_s: float) -> Any:
    """The result of the run gone on with, as soon as its lease is free."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while True:
        try:
            async with agent.resume(run_id) as run:
                return await run.result()
        except LeaseLostError:
            if loop.time() > until:
                raise
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("at", [ToolCallComplete, TextDelta])
async def test_who_retries_finds_the_run_as_soon_as_the_storage_is_back(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, at: type
) -> None:
    """The failed run tells how far it came; the next process goes on from what was kept, long before a lease runs out."""
    write, failing = storage.write, False

    async def perhaps(op: Any, *given: Any, **named: Any) -> Any:
        if failing:
            raise StorageUnavailableError("the database is away")
        return await write(op, *given, **named)

    monkeypatch.setattr(storage, "write", perhaps)
    gate = asyncio.Event()
    agent = Agent("a", model=scripted(gate), tools=[measure], memory=Memory(storage))
    seen = []
    async with agent.stream("How high is the door?", thread_id="t") as run:
        async for event in run:
            seen.append(event)
            if type(event) is at:
                failing = True
                gate.set()
        with pytest.raises(StorageUnavailableError, match="the database is away") as caught:
            await run.result()
    assert type(seen[-1]) is Error
    assert seen[-1].retryable
    assert [c.name for c in caught.value.result.tool_calls] == ["measure"]
    failing = False
    again = await resumed(agent.replace(model=ScriptedModel("It is 2 m high.")), run.id, 3)
    assert (again.finish_reason, again.run_id, again.text) == ("stop", run.id, "It is 2 m high.")
    page = await (await agent.memory.thread("t")).get_messages()
    assert [m.message.role for m in page.items] == ["user", "assistant", "tool", "assistant"]


async def test_a_thread_holds_nothing_that_no_event_tells_of(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that did not fit with its events is not stored by itself: who goes on with the run says it once."""
    put = Storing.put

    async def full(self: Storing, events: Any, along: Any, **how: Any) -> None:
        if any(isinstance(e, (ModelCallComplete, *TERMINAL)) for e in events):
            raise StorageFullError("the disk is full")
        await put(self, events, along, **how)

    agent = Agent("a", model=ScriptedModel([Answer(deltas=["It is ", "2 m."]), "It is 2 m."]), memory=Memory(storage))
    with monkeypatch.context() as patched:
        patched.setattr(Storing, "put", full)
        with pytest.raises(StorageFullError) as caught:
            await agent.generate("How high is the door?", thread_id="t")
    assert caught.value.result.text == "It is 2 m."
    handle = storage.scope(Scope())
    assert [m.message.role for m in (await handle.messages("t")).items] == ["user"]
    assert (await resumed(agent, caught.value.result.run_id, 3)).text == "It is 2 m."
    assert [m.message.role for m in (await handle.messages("t")).items] == ["user", "assistant"]


@pytest.mark.parametrize("patient", [True, False])
async def test_a_server_that_is_away_in_the_midst_of_a_run(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    """For a while the run waits for it, and nothing shows; for too long, it ends and is gone on with afterwards."""
    monkeypatch.setattr(postgres, "_PAUSE_S", 0.002)
    monkeypatch.setattr(postgres, "_PATIENCE_S", 10.0 if patient else 0.2)
    async with proxied(postgres_url) as proxy, PostgresStorage(proxy.url) as storage:
        down: Callable[[], Any] = proxy.down

        @tool
        async def measure(what: str) -> str:
            """Measures."""
            await down()
            if patient:
                asyncio.get_running_loop().call_later(0.3, lambda: asyncio.ensure_future(proxy.up()))
            return f"{what}: 2 m"

        agent = Agent("a", model=scripted(), tools=[measure], memory=Memory(storage))
        run = agent.stream("How high is the door?", thread_id="t")
        async with run:
            if patient:
                assert (await run.result()).text == "It is 2 m."
            else:
                with pytest.raises(StorageUnavailableError, match="cannot be reached"):
                    await run.result()
                await proxy.up()

                async def nothing() -> None:
                    pass

                down = nothing
                assert (await resumed(agent, run.id, 5)).text == "It is 2 m."
        record = await storage.scope(run._loop.state.scope).run(run.id)
        assert record is not None
        assert (record.status, record.epoch) == ("ended", 1 if patient else 2)
        page = await (await agent.memory.thread("t")).get_messages()
        assert [m.message.role for m in page.items] == ["user", "assistant", "tool", "assistant"]
