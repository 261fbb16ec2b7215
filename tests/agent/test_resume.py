"""A run that was cut at any event goes on in another place, and the outside sees nothing twice that it need not see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest

from lumosai import Agent, Memory, Message, Scope, ToolContext, tool
from lumosai.errors import ConfigurationError, LeaseLostError, NotFoundError, StorageError, ToolError
from lumosai.events import (
    TERMINAL,
    ApprovalRequested,
    Error,
    Event,
    RunPaused,
    RunResumed,
    TextDelta,
    fold,
    from_json,
    to_json,
)
from lumosai.models.base import ModelRequest
from lumosai.storage import SqliteStorage, Storage
from lumosai.storage.base import Batch, RunRecord
from lumosai.testing import Answer, Call, ScriptedModel, call
from tests.agent.helpers import kinds, of


class World:
    """What is outside the process: it counts model calls and tool calls."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.keys: list[str] = []

    def called(self, context: ToolContext) -> None:
        self.keys.append(context.idempotency_key)

    def answering(self, answer: Callable[[ModelRequest], Any]) -> ScriptedModel:
        """A model whose requests are counted by their content."""

        def counted(request: ModelRequest) -> Any:
            shape = [
                (m.role, m.text, [c.name for c in m.tool_calls], [r.text for r in m.tool_results])
                for m in request.messages
            ]
            self.prompts.append(json.dumps(shape, ensure_ascii=False))
            return answer(request)

        return ScriptedModel(counted)


def results(request: ModelRequest) -> list[str]:
    """What calls gave since the last question."""
    asked = max(i for i, m in enumerate(request.messages) if m.role == "user")
    return [r.text for m in request.messages[asked:] for r in m.tool_results]


def plain(world: World, **settings: Any) -> Agent:
    """Three steps: two calls side by side, one more, an answer of several words."""

    @tool
    def lookup(key: str, context: ToolContext) -> str:
        """Looks something up."""
        world.called(context)
        return {"a": "1", "b": "2"}[key]

    @tool(effect="idempotent")
    async def add(x: int, y: int, context: ToolContext) -> str:
        """Adds."""
        world.called(context)
        return str(x + y)

    def answer(request: ModelRequest) -> Any:
        known = results(request)
        if len(known) < 2:
            return ["Let me see. ", Call("lookup", {"key": "a"}, "c1"), Call("lookup", {"key": "b"}, "c2")]
        if len(known) < 3:
            return Call("add", {"x": 1, "y": 2}, "c3")
        return f"The sum is {known[-1]}."

    return Agent("plain", model=world.answering(answer), tools=[lookup, add], **settings)


def nested(world: World, **settings: Any) -> Agent:
    """An agent that asks another one, which calls a tool."""
    inner = plain(world)

    def answer(request: ModelRequest) -> Any:
        known = results(request)
        return f"It says: {known[0]}" if known else Call("plain", {"task": "Add them."}, "c0")

    return Agent("nested", model=world.answering(answer), tools=[inner.as_tool()], **settings)


class Person(pydantic.BaseModel):
    """A person."""

    name: str
    age: int


def typed(world: World, **settings: Any) -> Agent:
    """A typed answer that fits at the second attempt."""

    def answer(request: ModelRequest) -> Any:
        tried = sum(m.role == "user" for m in request.messages)
        return '{"name": "Ann"}' if tried < 2 else '{"name": "Ann", "age": 7}'

    return Agent("typed", model=world.answering(answer), output_type=Person, **settings)


AGENTS = {"plain": plain, "nested": nested, "typed": typed}


async def events_of(storage: Storage, run_id: str) -> list[Event]:
    """A run's events as they are stored."""
    batches = await storage.scope(Scope()).events(run_id)
    return [from_json(line) for batch in batches for line in batch.split(b"\n")]


async def cut(source: Storage, run_id: str, at: int) -> SqliteStorage:
    """A database that holds the first `at` events of a run, left by a process that is gone."""
    handle = source.scope(Scope())
    record = await handle.run(run_id)
    events = (await events_of(source, run_id))[:at]
    hashes = [h for e in events for h in (*getattr(e, "prompt_hashes", ()), getattr(e, "tools_hash", None)) if h]
    contents = await handle.contents(hashes)
    storage = SqliteStorage("sqlite://")
    theirs = storage.scope(Scope())
    batch = Batch(first=1, last=at, data=b"\n".join(map(to_json, events)), contents=contents)
    lease = await theirs.open_run(RunRecord(id=record.id, agent=record.agent, has_context=record.has_context), batch)
    await theirs.let_go(lease)
    return storage


@pytest.fixture
async def storage() -> AsyncIterator[SqliteStorage]:
    async with SqliteStorage("sqlite://") as made:
        yield made


@pytest.mark.timeout(300)  # dozens of runs, on a machine that may be busy
@pytest.mark.parametrize("name", AGENTS)
async def test_a_run_goes_on_from_every_event(name: str, storage: SqliteStorage) -> None:
    """Cut behind each of its events and resumed, a run gives what it gave, and the outside sees what it saw before.

    Once more at the most: the one model call that was cut, and calls of tools under their old keys.
    """
    whole = World()
    async with AGENTS[name](whole, storage=storage).stream("Go.") as run:
        shown = [e async for e in run]
        expected = await run.result()
    assert [e.seq for e in shown] == list(range(1, len(shown) + 1))
    assert [type(e) for e in await events_of(storage, run.id)] == [type(e) for e in shown]
    for at in range(1, len(shown)):
        before, world = shown[:at], World()
        left = await cut(storage, run.id, at)
        agent = AGENTS[name](world, storage=left)
        async with agent.resume(run.id) as again:
            events = [e async for e in again]
            result = await again.result()
        assert result.text == expected.text, at
        assert result.output == expected.output
        assert result.finish_reason == "stop"
        shape = [(m.role, m.text, [c.name for c in m.tool_calls]) for m in result.messages]
        assert shape == [(m.role, m.text, [c.name for c in m.tool_calls]) for m in expected.messages], at
        assert [e.seq for e in events] == list(range(1, len(events) + 1))
        assert events[:at] == before or kinds(events[:at]) == kinds(before)
        assert sum(isinstance(e, TERMINAL) for e in events if e.run_id == run.id) == 1
        assert len(of(events, RunResumed)) >= 1
        # Prompts that were answered before the cut are not asked again.
        answered = sum(e == "model_call_complete" for e in kinds(before))
        assert len(world.prompts) == len(whole.prompts) - answered, (at, kinds(before)[-3:])
        assert set(world.prompts) <= set(whole.prompts)
        ended = {e.call_id for e in before if type(e).__name__ == "ToolCallComplete"}
        assert len(set(world.keys)) == len(world.keys)
        assert {k.partition(":")[2] for k in world.keys} <= {k.partition(":")[2] for k in whole.keys}
        assert not {k.rpartition(":")[2] for k in world.keys} & ended
        # What was stored is what was seen, and once more is resumed to no effect.
        stored = await events_of(left, run.id)
        assert kinds(stored) == kinds(events)
        assert fold(stored).text == expected.text
        async with AGENTS[name](World(), storage=left).resume(run.id) as replayed:
            assert kinds([e async for e in replayed]) == kinds(events)
            assert (await replayed.result()).text == expected.text
        await left.close()


async def test_events_are_kept_before_they_are_seen(storage: SqliteStorage) -> None:
    """Whatever a reader was shown is in the storage at that moment."""
    seen = []
    agent = plain(World(), storage=storage)
    async with agent.stream("Go.") as run:
        async for event in run:
            kept = await events_of(storage, run.id)
            assert len(kept) >= event.seq
            assert type(kept[event.seq - 1]) is type(event)
            seen.append(event)
    record = await storage.scope(Scope()).run(run.id)
    assert record is not None
    assert (record.status, record.reason, record.last, record.agent) == ("ended", "stop", len(seen), "plain")


async def test_a_flood_of_deltas_is_grouped(storage: SqliteStorage) -> None:
    """Many deltas share commits; all are there, in order."""
    words = [f"{i} " for i in range(3000)]
    agent = Agent("a", model=ScriptedModel(Answer(deltas=words)), storage=storage)
    async with agent.stream("Go.") as run:
        text = [t async for t in run.text()]
    assert text == words
    assert fold(await events_of(storage, run.id)).text == "".join(words)
    assert len(await storage.scope(Scope()).events(run.id)) < 300


async def test_a_call_that_may_not_be_made_twice_pauses_the_run(storage: SqliteStorage) -> None:
    """A call with `effect="once"` that had begun is not made again: the run pauses and says which."""
    made: list[str] = []

    @tool(effect="once")
    def pay(amount: int) -> str:
        """Pays."""
        made.append(str(amount))
        return "paid"

    def agent(**settings: Any) -> Agent:
        model = ScriptedModel(lambda r: "Done." if results(r) else call("pay", amount=3))
        return Agent("payer", model=model, tools=[pay], **settings)

    async with agent(storage=storage).stream("Pay.") as run:
        shown = [e async for e in run]
    begun = kinds(shown).index("tool_call_start") + 1
    left = await cut(storage, run.id, begun)
    async with agent(storage=left).resume(run.id) as again:
        events = [e async for e in again]
        result = await again.result()
    (paused,) = of(events, RunPaused)
    assert (paused.reason, [c.name for c in paused.pending]) == ("unknown_effect", ["pay"])
    assert made == ["3"]
    assert result.finish_reason in ("paused", "interrupted")
    record = await left.scope(Scope()).run(run.id)
    assert record is not None
    assert (record.status, record.reason) == ("paused", "unknown_effect")
    left = await cut(storage, run.id, begun - 1)
    async with agent(storage=left).resume(run.id) as again:
        assert (await again.result()).text == "Done."
    assert made == ["3", "3"]  # it had not begun


async def test_an_approval_is_asked_for_in_another_process(storage: SqliteStorage) -> None:
    """`generate` pauses at a call that needs a yes; a resumed run asks again, and goes on with the answer."""
    made: list[str] = []

    @tool(approval=True)
    def delete(path: str) -> str:
        """Deletes."""
        made.append(path)
        return "gone"

    model = ScriptedModel(lambda r: "Done." if results(r) else call("delete", path="x"))
    agent = Agent("janitor", model=model, tools=[delete], storage=storage)
    paused = await agent.generate("Clean up.")
    assert paused.finish_reason == "paused"
    assert (await storage.scope(Scope()).list_runs(status="paused")).items[0].id == paused.run_id
    async with agent.resume(paused.run_id) as run:
        resumed = False
        async for event in run:
            resumed = resumed or type(event) is RunResumed
            if type(event) is ApprovalRequested and resumed:
                run.approve(event.call.id)
        result = await run.result()
    assert (result.text, made) == ("Done.", ["x"])


async def test_what_cannot_be_resumed_says_why(storage: SqliteStorage) -> None:
    """No storage, no such run, a run at work here, another agent's, another definition of a waiting tool."""
    world = World()
    agent = plain(world, storage=storage)
    with pytest.raises(ConfigurationError, match="storage"):
        async with plain(world).resume("x"):
            pass
    with pytest.raises(ConfigurationError, match="journal=False"):
        async with plain(world, storage=storage, journal=False).resume("x"):
            pass
    with pytest.raises(NotFoundError, match="no run"):
        async with agent.resume("x"):
            pass
    gate = asyncio.Event()
    slow = Agent("slow", model=ScriptedModel(Answer(text="x", gate=gate)), storage=storage)
    async with slow.stream("Go.") as run:
        while "model_call_started" not in kinds(run._log.visible):
            await asyncio.sleep(0)
        with pytest.raises(LeaseLostError, match="at work in this process"):
            async with slow.resume(run.id):
                pass
        gate.set()
        await run.result()
    async with agent.stream("Go.") as run:
        shown = [e async for e in run]
    with pytest.raises(ConfigurationError, match="agent 'plain'"):
        async with slow.resume(run.id):
            pass

    @tool
    def lookup(key: int, context: ToolContext) -> str:
        """Looks something up, by number."""
        raise ToolError("never")

    begun = kinds(shown).index("tool_call_start") + 1
    left = await cut(storage, run.id, begun)
    changed = agent.replace(tools=[lookup], storage=left)
    for _ in range(2):  # a refusal leaves the run to others
        with pytest.raises(ConfigurationError, match="defined otherwise"):
            async with changed.resume(run.id):
                pass
    async with agent.replace(storage=left).resume(run.id) as again:
        assert (await again.result()).text == "The sum is 3."


async def test_a_context_is_not_stored_and_asked_for_again(storage: SqliteStorage) -> None:
    """A run that had an object of the user's pauses where it gets none, and goes on with one."""
    agent = plain(World(), storage=storage)
    async with agent.stream("Go.", context={"user": 1}) as run:
        shown = [e async for e in run]
    left = await cut(storage, run.id, len(shown) // 2)
    async with agent.replace(storage=left).resume(run.id) as again:
        events = [e async for e in again]
    assert of(events, RunPaused)[-1].reason == "context_missing"
    async with agent.replace(storage=left).resume(run.id, context={"user": 1}) as again:
        assert (await again.result()).text == "The sum is 3."


async def test_a_run_that_failed_fails_again_when_replayed(storage: SqliteStorage) -> None:
    """The error of a run that ended is raised by its replay."""
    agent = Agent("a", model=ScriptedModel(ConfigurationError("no such thing")), storage=storage)
    with pytest.raises(ConfigurationError, match="no such thing") as caught:
        await agent.generate("Go.")
    async with agent.resume(caught.value.result.run_id) as run:
        with pytest.raises(ConfigurationError, match="no such thing"):
            await run.result()


async def test_a_resumed_run_keeps_its_thread(storage: SqliteStorage) -> None:
    """Behind a resume the thread holds each message once, in order."""
    world = World()
    memory = Memory(storage)
    agent = plain(world, memory=memory)
    await agent.generate("Before.", thread_id="t")
    async with agent.stream("Go.", thread_id="t") as run:
        async for event in run:
            if isinstance(event, TextDelta):
                break
        run._loop.journal._handle = run._loop.journal._storing._handle = (
            Broken()
        )  # from here on nothing reaches the storage, as after a crash
        run._loop._remember.leave()
        run._loop._remember = None
        run._loop._steps.leave_thread()
        with pytest.raises(Exception, match="gone"):
            await run.result()
    handle = storage.scope(Scope())
    _, lease = await take_dead(storage, run.id)
    await handle.let_go(lease)
    async with agent.resume(run.id) as again:
        result = await again.result()
    assert result.text == "The sum is 3."
    thread = await memory.thread("t")
    said = [(m.message.role, m.message.text) for m in (await thread.get_messages()).items]
    assert [r for r, _ in said[-6:]] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert said[-1] == ("assistant", "The sum is 3.")
    assert [t for r, t in said if r == "user"] == ["Before.", "Go."]


class Broken:
    """A storage that is gone."""

    async def append_events(self, *_: object, **__: object) -> None:
        raise StorageError("the storage is gone")


async def take_dead(storage: SqliteStorage, run_id: str):
    """Takes a run whose owner is taken for dead."""
    from lumosai.storage import _owner

    alive, _owner.is_dead = _owner.is_dead, lambda holder: True
    try:
        return await storage.scope(Scope()).take_run(run_id)
    finally:
        _owner.is_dead = alive


async def test_a_lease_that_was_lost_ends_the_run(storage: SqliteStorage) -> None:
    """A process whose run was taken over writes nothing more, and its run ends saying so."""
    gate = asyncio.Event()
    agent = Agent("slow", model=ScriptedModel(Answer(deltas=["a ", "b "], gate=gate, gate_at=1)), storage=storage)
    async with agent.stream("Go.") as run:
        async for event in run:
            if isinstance(event, TextDelta):
                break
        kept = len(await events_of(storage, run.id))
        await take_dead(storage, run.id)
        gate.set()
        with pytest.raises(LeaseLostError, match="taken over"):
            await run.result()
    assert len(await events_of(storage, run.id)) == kept


async def test_an_end_that_was_not_kept_is_no_success(storage: SqliteStorage) -> None:
    """Where the last events cannot be stored, the run ends with that error, which holds the answer."""
    gate = asyncio.Event()
    agent = Agent("a", model=ScriptedModel(Answer(deltas=["a ", "b"], gate=gate, gate_at=1)), storage=storage)
    async with agent.stream("Go.") as run:
        events = []
        async for event in run:
            events.append(event)
            if isinstance(event, TextDelta):
                run._loop.journal._handle = run._loop.journal._storing._handle = Broken()
                gate.set()
        with pytest.raises(StorageError, match="gone") as caught:
            await run.result()
    assert caught.value.result.text.startswith("a ")
    assert type(events[-1]) is Error


async def test_messages_of_every_kind_are_asked_again_as_they_were(storage: SqliteStorage) -> None:
    """A prompt with media and a history is whole again in another process."""
    world = World()
    model = world.answering(lambda r: "Seen." if len(r.messages) > 2 else "?")
    from lumosai import ImagePart

    agent = Agent("a", instructions="Be brief.", model=model, storage=storage)
    history = [
        Message.user("Hi."),
        Message.assistant("Hello."),
        Message.user("What is it?", ImagePart(data=b"\x89PNG")),
    ]
    async with agent.stream(history) as run:
        shown = [e async for e in run]
    asked = model.requests[0].messages
    left = await cut(storage, run.id, kinds(shown).index("model_call_started") + 1)
    async with agent.replace(storage=left).resume(run.id) as again:
        assert (await again.result()).text == "Seen."
    assert model.requests[-1].messages == asked


async def test_an_application_takes_up_what_goes_on_nowhere(
    storage: SqliteStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs whose process is gone go on while the application is open, each in its scope; one with a context needs it."""
    from lumosai import Lumosai
    from lumosai.agent import adopt

    scope = Scope("shop", "zoe")
    async with plain(World(), storage=storage).stream("Go.", scope=scope) as run:
        shown = [e async for e in run]
    theirs = storage.scope(scope)
    events = [from_json(line) for batch in await theirs.events(run.id) for line in batch.split(b"\n")]
    hashes = [h for e in events for h in (*getattr(e, "prompt_hashes", ()), getattr(e, "tools_hash", None)) if h]
    contents = await theirs.contents(hashes)
    left = SqliteStorage(tmp_path / "left.db")
    for name, has_context in (("one", False), ("two", True)):
        batch = Batch(
            first=1,
            last=9,
            data=b"\n".join(map(to_json, events[:9])).replace(run.id.encode(), name.encode()),
            contents=contents,
        )
        lease = await left.scope(scope).open_run(RunRecord(id=name, agent="plain", has_context=has_context), batch)
        await left.scope(scope).let_go(lease)
    monkeypatch.setattr(adopt, "LOOK_S", 0.01)
    async with Lumosai([plain(World(), storage=left)]) as app:
        while (await left.scope(scope).run("one")).status != "ended":
            await asyncio.sleep(0.01)
        assert set(app._adopter.runs) <= {"one"}
    assert (await left.scope(scope).run("two")).status == "running"
    contexts = []
    async with Lumosai([plain(World(), storage=left)], context=lambda record: contexts.append(record.id) or {}):
        while (await left.scope(scope).run("two")).status != "ended":
            await asyncio.sleep(0.01)
    assert contexts == ["two"]
    assert (
        fold([from_json(x) for b in await left.scope(scope).events("two") for x in b.split(b"\n")]).text
        == "The sum is 3."
    )
    assert len(shown) > 9
    await left.close()


async def test_a_run_that_is_left_at_once_goes_on_elsewhere(storage: SqliteStorage) -> None:
    """`leave` before the run has done anything is no end either, and readers of the past may decide late."""

    @tool(approval=True)
    def pay() -> str:
        """Pays."""
        return "paid"

    agent = Agent("payer", model=ScriptedModel([call("pay"), "Done."]), tools=[pay], storage=storage)
    paused = await agent.generate("Pay.")
    async with agent.resume(paused.run_id) as run:
        await run.leave()
    async with agent.resume(paused.run_id) as again:
        again.approve(paused.pending[0].id)
        assert (await again.result()).text == "Done."
    async with agent.resume(paused.run_id) as ended:
        ended.approve(paused.pending[0].id)


async def test_a_run_that_is_left_goes_on_elsewhere(storage: SqliteStorage) -> None:
    """`leave` stops a run without an end: another one goes on at once, and no half answer is in the thread."""
    memory = Memory(storage)
    gate = asyncio.Event()
    slow = ScriptedModel(Answer(deltas=["Once ", "upon"], gate=gate, gate_at=1))
    agent = Agent("teller", model=slow, memory=memory)
    async with agent.stream("Tell.", thread_id="t") as run:
        async for event in run:
            if isinstance(event, TextDelta):
                break
        await run.leave()
    thread = await memory.thread("t")
    shown = (await thread.get_messages()).items
    assert [(m.message.text, m.message.metadata) for m in shown] == [("Tell.", {}), ("Once ", {"interrupted": True})]
    async with agent.replace(model=ScriptedModel("Once upon a time.")).resume(run.id) as again:
        assert (await again.result()).text == "Once upon a time."
    assert [m.message.text for m in (await thread.get_messages()).items] == ["Tell.", "Once upon a time."]
