"""Runs of every kind, cut behind each of their events, go on to the same end: retries, other models, typed answers, sub-runs side by side."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from lumosai import Agent, Memory, Scope, ToolContext, tool
from lumosai.errors import ServerError
from lumosai.events import TERMINAL, InputReceived, ToolCallComplete
from lumosai.models import FallbackModel
from lumosai.models.profiles import Profile
from lumosai.models.retry import RetryModel
from lumosai.storage import SqliteStorage
from lumosai.testing import Answer, Call, ScriptedModel, call
from tests.agent.helpers import kinds, of
from tests.agent.test_resume import World, cut, events_of, results


def looking(world: World) -> Any:
    """A tool that counts what it is asked."""

    @tool
    async def look(at: str, context: ToolContext) -> str:
        """Looks."""
        world.called(context)
        return f"{at} seen"

    return look


async def at_once(_: float) -> None:
    """What a retry waits."""


def steps(request: Any) -> Any:
    """Two calls, one, an answer."""
    known = results(request)
    if len(known) < 2:
        return ["I look. ", Call("look", {"at": "a"}, "c1"), Call("look", {"at": "b"}, "c2")]
    if len(known) < 3:
        return [Call("look", {"at": "c"}, "c3")]
    return "All of it: " + ", ".join(known)


def retried(world: World, **settings: Any) -> Agent:
    """Each request fails once, in the middle of its text."""
    tries: dict[int, int] = {}

    def answer(request: Any) -> Any:
        at = len(request.messages)
        tries[at] = tries.get(at, 0) + 1
        return Answer(deltas=["I ", "lo"], error=ServerError("busy"), error_at=1) if tries[at] == 1 else steps(request)

    model = RetryModel(ScriptedModel(answer), attempts=3, sleep=at_once)
    return Agent("retried", model=model, tools=[looking(world)], **settings)


def replaced(world: World, **settings: Any) -> Agent:
    """The first model never answers; another one takes its place."""
    broken = RetryModel(ScriptedModel(lambda r: ServerError("down"), name="broken"), attempts=1)
    model = FallbackModel(broken, ScriptedModel(steps, name="sound"))
    return Agent("replaced", model=model, tools=[looking(world)], **settings)


class Found(pydantic.BaseModel):
    """What was found."""

    text: str


def typed_by_tool(world: World, **settings: Any) -> Agent:
    """A typed answer that comes as a call, behind calls of real tools."""

    def answer(request: Any) -> Any:
        known = results(request)
        if len(known) < 1:
            return call("look", at="a")
        name = next(t.name for t in request.tools if t.name != "look")
        return call(name, text=known[0])

    profile = Profile(json_schema=False)
    model = ScriptedModel(answer, profile=profile)
    return Agent("typed", model=model, tools=[looking(world)], output_type=Found, **settings)


def side_by_side(world: World, **settings: Any) -> Agent:
    """Two sub-runs of one agent and a tool at once."""
    inner = Agent(
        "inner",
        model=ScriptedModel(lambda r: f"It is {results(r)[0]}" if results(r) else call("look", at=r.messages[-1].text)),
        tools=[looking(world)],
    )

    def answer(request: Any) -> Any:
        known = results(request)
        if known:
            return "So: " + "; ".join(known)
        return [Call("inner", {"task": "x"}, "d1"), Call("inner", {"task": "y"}, "d2"), Call("look", {"at": "z"}, "d3")]

    return Agent("outer", model=ScriptedModel(answer), tools=[inner.as_tool(), looking(world)], **settings)


KINDS = {f.__name__: f for f in (retried, replaced, typed_by_tool, side_by_side)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("whole", [False, True], ids=["streamed", "whole"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_of_any_kind_goes_on_from_every_event(kind: str, whole: bool) -> None:
    """The same answer, thread and calls, whatever event the process died behind; no call whose result is there again."""
    storage = SqliteStorage("sqlite://")
    make, world = KINDS[kind], World()
    agent = make(world, memory=Memory(storage))
    if whole:
        expected = await agent.generate("Go.", thread_id="t")
    else:
        async with agent.stream("Go.", thread_id="t") as run:
            expected = await run.result()
    assert expected.finish_reason == "stop"
    events = await events_of(storage, expected.run_id)
    said = [(m.message.role, m.message.text) for m in (await storage.scope(Scope()).messages("t")).items]
    calls = sorted(k.partition(":")[2] for k in world.keys)
    for at in range(1, len(events)):
        left, again = await cut(storage, expected.run_id, at), World()
        theirs = left.scope(Scope())
        stored = (await storage.scope(Scope()).messages("t")).items
        kept = {i for e in events[:at] for i in getattr(e, "message_ids", ())}
        await theirs.create_thread("t")
        await theirs.add_messages("t", [m.message for m in stored if m.message.id in kept])
        async with make(again, memory=Memory(left)).resume(expected.run_id) as resumed:
            seen = [e async for e in resumed]
            result = await resumed.result()
        assert (result.text, result.output, result.finish_reason) == (expected.text, expected.output, "stop"), at
        assert [e.seq for e in seen] == [*range(1, len(seen) + 1)]
        assert kinds(await events_of(left, expected.run_id)) == kinds(seen)
        ended = [e.run_id for e in seen if isinstance(e, TERMINAL)]
        assert len(ended) == len(set(ended)) == len({e.run_id for e in seen})
        done = {e.call_id for e in events[:at] if type(e) is ToolCallComplete}
        made = [k.partition(":")[2] for k in again.keys]
        assert len(made) == len(set(again.keys))
        assert not {k.partition(":")[2] for k in made} & done, at
        assert len(made) <= len(calls)  # an answer that was cut is asked for anew, and its calls get new ids
        assert [(m.message.role, m.message.text) for m in (await theirs.messages("t")).items] == said, at
        await left.close()
    await storage.close()


async def test_what_was_sent_into_a_run_is_kept() -> None:
    """A message that a run took in is there behind any later cut."""
    storage = SqliteStorage("sqlite://")
    model = ScriptedModel(lambda r: f"{sum(m.role == 'user' for m in r.messages)} said.")
    agent = Agent("a", model=model, memory=Memory(storage))
    async with agent.stream("Go.", thread_id="t") as run:
        run.send("And more.")
        assert (await run.result()).text == "2 said."
    events = await events_of(storage, run.id)
    (taken,) = of(events, InputReceived)
    for at in range(taken.seq, len(events)):
        left = await cut(storage, run.id, at)
        await left.scope(Scope()).create_thread("t")
        again = agent.replace(memory=Memory(left), storage=left)
        async with again.resume(run.id) as resumed:
            assert (await resumed.result()).text == "2 said.", at
        await left.close()
    await storage.close()
