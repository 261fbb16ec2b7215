"""`Telemetry` on real databases: what is recorded of real runs, and what the questions answer."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lumosai import Agent, Lumosai, Scope, tool
from lumosai.errors import InvalidInputError, LumosaiError, ServerError
from lumosai.events import ApprovalRequested, Event, RunResumed
from lumosai.records import Usage
from lumosai.storage import SqliteStorage, Storage, open_storage
from lumosai.telemetry import (
    AgentMetrics,
    MemoryMetrics,
    MetricsCollector,
    Slice,
    Telemetry,
    recorder,
    trace_of,
)
from lumosai.telemetry.recorder import Recorder
from lumosai.testing import Answer, ScriptedModel, call
from tests.agent.helpers import add, broken, scripted
from tests.agent.test_resume import AGENTS, World, cut, events_of


def worker(script: Any, name: str = "worker", **settings: Any) -> Agent:
    settings.setdefault("tools", [add, broken])
    return Agent(name, model=ScriptedModel(script, price=(1, 2)), **settings)


def adding(request: Any) -> Any:
    """One call of a tool, then an answer."""
    if request.messages[-1].role == "user":
        return Answer(text="", calls=[call("add", a=1, b=2)], usage=Usage(10, 5, 0, 0, 0, 15))
    return Answer(text="3", usage=Usage(20, 1, 0, 0, 0, 21))


async def test_what_is_stored_is_what_the_events_say(storage: Storage) -> None:
    telemetry = Telemetry(storage)
    seen: list[Any] = []
    agent = worker(adding, observers=[telemetry, seen.append], version="v2")
    result = await agent.generate("go")
    await telemetry.flush()
    live, stored = trace_of(seen), await telemetry.trace(result.run_id)
    assert stored is not None
    assert [s.span_id for s in stored.steps] == [s.span_id for s in live.steps]
    for told, wanted in zip(stored.steps, live.steps, strict=True):
        assert told.start == pytest.approx(wanted.start, abs=1e-5)
        assert told.duration_ms == pytest.approx(wanted.duration_ms, abs=2e-3)
        assert (told.kind, told.name, told.agent, told.run_id, told.parent_span_id, told.error_type) == (
            wanted.kind,
            wanted.name,
            wanted.agent,
            wanted.run_id,
            wanted.parent_span_id,
            wanted.error_type,
        )
        assert told.attributes == wanted.attributes
    assert (stored.usage, stored.cost_usd, stored.status) == (result.usage, result.cost_usd, "ok")
    (line,) = (await telemetry.traces()).items
    assert (line.model_calls, line.tool_calls, line.spans, line.agent_version) == (2, 1, len(live.steps), "v2")
    assert await telemetry.trace("nowhere") is None
    await telemetry.close()


async def test_stats_and_series_tell_what_happened(storage: Storage) -> None:
    telemetry = Telemetry(storage)
    good = worker(adding, observers=[telemetry], version="v1")
    for _ in range(5):
        await good.generate("go")
    await asyncio.gather(*[good.generate("go") for _ in range(5)])
    bad = worker(lambda r: ServerError("down", retry_after_s=0), "bad", observers=[telemetry])
    for _ in range(2):
        with pytest.raises(LumosaiError):
            await bad.generate("go")
    await telemetry.flush()
    stats = await telemetry.get_performance_stats("worker")
    assert (stats.count, stats.error_rate, stats.success_rate) == (10, 0.0, 1.0)
    assert stats.usage.input_tokens == 300
    assert stats.cost_usd is not None
    assert (stats.tools["add"].count, stats.tools["add"].errors) == (10, 0)
    assert stats.p50_ms is not None
    by_agent = await telemetry.stats(by="agent")
    assert {name: s.count for name, s in by_agent.items()} == {"bad": 2, "worker": 10}
    assert by_agent["bad"].error_rate == 1.0
    assert {name: s.count for name, s in (await telemetry.stats(by="tool")).items()} == {"add": 10}
    assert {name: s.count for name, s in (await telemetry.stats("worker", by="model")).items()} == {
        "scripted:scripted": 20
    }
    assert (await telemetry.stats("worker", by="version"))["v1"].count == 10
    (runs,) = await telemetry.series("runs", since=time.time() - 600)
    assert sum(p.value or 0 for p in runs.points) == 12
    tools = await telemetry.series("tool_calls", by="tool", step=3600)
    assert [(s.group, sum(p.count for p in s.points)) for s in tools] == [("add", 10)]
    (cost,) = await telemetry.series("cost_usd", step=86400, agent="worker")
    assert sum(p.value or 0 for p in cost.points) == pytest.approx(float(stats.cost_usd))
    difference = await telemetry.compare(Slice(agent="worker"), Slice(agent="bad"))
    assert difference.differences["error_rate"].change == 1.0
    assert difference.differences["error_rate"].significant
    with pytest.raises(InvalidInputError, match="no metric"):
        await telemetry.series("speed")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="at least 60"):
        await telemetry.series("runs", step=1)
    with pytest.raises(InvalidInputError, match=r"steps of 60 s lie between.*fewer than 100,000"):
        await telemetry.series("runs", since=0)
    with pytest.raises(InvalidInputError, match="is empty"):
        await telemetry.stats(since=2.0, until=1.0)
    await telemetry.close()


async def test_a_run_that_goes_on_is_seen_here_and_elsewhere(storage: Storage) -> None:
    telemetry, elsewhere = Telemetry(storage), Telemetry(storage)
    go_on = asyncio.Event()

    @tool
    async def wait() -> str:
        """Waits."""
        await go_on.wait()
        return "done"

    agent = worker(
        lambda r: call("wait") if r.messages[-1].role == "user" else "ok", tools=[wait], observers=[telemetry]
    )
    async with agent.stream("go") as run:
        async for event in run:
            if type(event).__name__ == "ToolCallStart":
                break
        here = await telemetry.trace(run.id)
        assert here is not None
        assert [s.kind for s in here.steps if s.duration_ms is None] == ["run", "step", "tool_call"]
        await telemetry.flush()
        there = await elsewhere.trace(run.id)
        assert there is not None
        assert (there.status, [s.kind for s in there.steps]) == ("running", ["model_call"])
        go_on.set()
        await run.result()
    await telemetry.flush()
    done = await elsewhere.trace(run.id)
    assert done is not None
    assert done.status == "ok"
    await telemetry.close()


async def test_a_run_taken_up_elsewhere_has_one_whole_trace() -> None:
    async with SqliteStorage("sqlite://") as first:
        async with AGENTS["nested"](World(), storage=first).stream("Go.") as run:
            count = len([e async for e in run])
        for at in range(2, count, 7):
            left = await cut(first, run.id, at)
            before = Telemetry(left)
            for event in (await events_of(left, run.id))[:at]:
                before(event)
            await before.flush()
            telemetry = Telemetry(left)
            async with AGENTS["nested"](World(), storage=left, observers=[telemetry]).resume(run.id) as again:
                await again.result()
            await telemetry.flush()
            wanted = trace_of(await events_of(left, run.id))
            stored = await telemetry.trace(run.id)
            assert stored is not None
            assert [s.span_id for s in stored.steps] == [s.span_id for s in wanted.steps]
            assert stored.status == "ok"
            (line,) = (await telemetry.traces()).items
            assert line.spans == len(wanted.steps)
            assert line.model_calls == sum(s.kind == "model_call" for s in wanted.steps)
            stats = await telemetry.stats(by="model")
            assert sum(s.usage.input_tokens for s in stats.values()) == wanted.usage.input_tokens
            counted = await left.telemetry.scope(Scope()).measured(
                ["run", "model_call", "tool_call", "memory"], (0, 2e9)
            )
            steps = [s for s in wanted.steps if s.kind in ("run", "model_call", "tool_call", "memory")]
            assert sum(c.cell.count for c in counted) == len(steps), "each is counted once"
            await telemetry.close()


KILLED = """
import asyncio, os, signal, sys
from lumosai import Agent
from lumosai.storage import open_storage
from lumosai.telemetry import Telemetry
from lumosai.telemetry import recorder
from lumosai.testing import ScriptedModel

recorder.WAIT_S = 60  # nothing is stored before the kill

async def main():
    storage = open_storage(sys.argv[1])
    agent = Agent("doomed", model=ScriptedModel(["ok"]), storage=storage, observers=[Telemetry(storage)])
    result = await agent.generate("go")
    print(result.run_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
async def test_what_a_killed_process_did_not_store_is_made_again_of_the_journal(url: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED, url], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    run_id = done.stdout.strip()
    storage = open_storage(url)
    telemetry = Telemetry(storage)
    agent = worker(["ok"], "next", observers=[telemetry])
    await agent.generate("go")
    await telemetry.flush()
    trace = await telemetry.trace(run_id)
    assert trace is None or trace.status == "ok"
    rebuilt = await telemetry.rebuild(run_id)
    assert rebuilt is not None
    stored = await telemetry.trace(run_id)
    assert stored is not None
    assert (stored.status, stored.agent_id, len(stored.steps)) == ("ok", "doomed", len(rebuilt.steps))
    assert (await telemetry.get_performance_stats("doomed")).count == 1
    await telemetry.rebuild(run_id)
    assert (await telemetry.get_performance_stats("doomed")).count == 1, "doing it again counts nothing twice"
    await telemetry.close()
    await storage.close()


SYNC = """
import sys
from lumosai import Agent
from lumosai.telemetry import Telemetry
from lumosai.testing import ScriptedModel
agent = Agent("short", model=ScriptedModel(["ok"]), observers=[Telemetry(sys.argv[1])])
"""
ASYNC = f"{SYNC}import asyncio\nasyncio.run(agent.generate('go'))"


@pytest.mark.parametrize("program", [f"{SYNC}agent.generate_sync('go')", ASYNC], ids=["sync", "async"])
async def test_the_end_of_a_program_stores_what_waits(tmp_path: Path, program: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, str(tmp_path / "t.db")],
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )
    assert done.stderr == ""
    async with SqliteStorage(tmp_path / "t.db") as storage:
        telemetry = Telemetry(storage)
        assert [(t.agent_id, t.status) for t in (await telemetry.traces()).items] == [("short", "ok")]


class Broken(SqliteStorage):
    """A storage whose transactions fail for a while, before or behind their commit."""

    failing = ""

    async def write(self, op: Any, lane: Any = "memory", **given: Any) -> Any:
        from lumosai.errors import StorageError

        if self.failing == "before":
            raise StorageError("gone")
        value = await super().write(op, lane, **given)
        if self.failing == "behind" and lane == "telemetry":
            raise StorageError("the answer was lost")
        return value


@pytest.mark.parametrize("failing", ["before", "behind"])
async def test_a_storage_that_fails_for_a_while_loses_and_doubles_nothing(
    failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Broken("sqlite://") as storage:
        telemetry = Telemetry(storage)
        agent = worker(adding, observers=[telemetry])
        await agent.generate("go")
        await telemetry.flush()
        storage.failing = failing
        result = await agent.generate("go")
        with pytest.raises(LumosaiError):
            await telemetry.flush()
        storage.failing = ""
        await agent.generate("go")
        await telemetry.flush()
        stats = await telemetry.get_performance_stats("worker")
        assert (stats.count, stats.tools["add"].count, stats.usage.input_tokens) == (3, 3, 90)
        lines = (await telemetry.traces()).items
        assert [(t.spans, t.model_calls, t.tool_calls) for t in lines] == [(6, 2, 1)] * 3
        assert result.run_id in {t.run_id for t in lines}
        await telemetry.close()


async def test_a_run_that_comes_back_has_one_whole_trace(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits in one process, goes on and waits in another, and ends in the first, which has not seen what was in between."""
    pay = tool(name="pay", description="Pays.", approval=True)(lambda: "paid")
    said: list[Event] = []

    def script(request: Any) -> Any:
        return call("pay") if sum(m.role == "tool" for m in request.messages) < 2 else "done"

    agent = Agent("payer", model=ScriptedModel(script), tools=[pay], storage=storage, observers=[said.append])
    async with agent.stream("go") as run:
        async for event in run:
            if isinstance(event, ApprovalRequested):
                run.approve(event.call.id)
    events, epoch, parts = [], 1, []
    for event in said:
        if isinstance(event, RunResumed):
            epoch += 1
            parts.append(len(events))
            event = msgspec.structs.replace(event, epoch=epoch)
        events.append(event)
    second, third = parts
    here, there = Telemetry(storage), Telemetry(storage)
    for telemetry, some in ((here, events[:second]), (there, events[second:third]), (here, events[third:])):
        for event in some:
            telemetry(event)
        await telemetry.flush()
        assert len(telemetry._recorder.live) == (some[-1] is not events[-1])
        if telemetry is there:
            monkeypatch.setattr(recorder, "_PAUSED_S", -60.0)
            await telemetry._recorder._forget(storage)
            assert telemetry._recorder.live == {}, "who does not hear of its end does not wait for it for ever"
            monkeypatch.undo()
    wanted = trace_of(said)
    trace = await here.trace(wanted.run_id)
    assert trace is not None
    assert [s.span_id for s in trace.steps] == [s.span_id for s in wanted.steps]
    assert (trace.status, trace.usage) == ("ok", wanted.usage)
    assert (await here.stats(by="tool"))["pay"].count == 2
    await there.close()
    await here.close()


async def test_what_is_put_together_holds_no_span_up(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are stored while the sums of other days are still being put together."""
    at_it = threading.Event()

    async def put_together(_: Any) -> bool:
        at_it.set()
        await asyncio.sleep(60)
        return False

    monkeypatch.setattr(type(storage.telemetry), "put_together", put_together)
    telemetry = Telemetry(storage)
    agent = worker(["ok", "ok"], observers=[telemetry])
    await agent.generate("go")
    assert await asyncio.to_thread(at_it.wait, 10)
    result = await agent.generate("again")
    async with asyncio.timeout(30):
        while (await telemetry.trace(result.run_id)) is None:  # nobody tells of it
            await asyncio.sleep(0.01)
    await telemetry.close()


async def test_what_does_not_fit_is_dropped_counted_and_shown(caplog: pytest.LogCaptureFixture) -> None:
    async with SqliteStorage("sqlite://") as storage:
        recorder = Recorder(storage, most=3)
        agent = worker(adding, observers=[recorder.add])
        with caplog.at_level(logging.WARNING):
            result = await agent.generate("go")
        await recorder.flush()
        ((line, steps),) = await storage.telemetry.scope(Scope()).trace(result.run_id)
        assert recorder.dropped == line.dropped > 0
        assert len(steps) + line.dropped == 6
        assert caplog.text.count("telemetry drops spans") == 1
        await recorder.close()


class Busy(SqliteStorage):
    """A storage while whose transactions of telemetry more runs end."""

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.writes = 0
        self.meanwhile: Any = None

    async def write(self, op: Any, lane: Any = "memory", **given: Any) -> Any:
        if lane == "telemetry" and self.meanwhile is not None:
            self.writes += 1
            self.meanwhile(1000 + self.writes)
        return await super().write(op, lane, **given)


async def test_what_comes_while_some_is_stored_gathers_for_the_next_time() -> None:
    """Else a storage that is busy would be given a transaction for every few spans."""
    seen: list[Any] = []
    await worker(adding, observers=[seen.append]).generate("go")
    async with Busy() as storage:
        recorder = Recorder(storage)

        def tell(run: int) -> None:
            for event in seen:
                recorder.add(msgspec.structs.replace(event, run_id=f"r{run}", root_id=f"r{run}"))

        tell(0)
        await recorder.flush()
        storage.meanwhile = tell
        for run in range(1, 101):
            tell(run)
        await recorder.flush()
        assert 3 <= storage.writes <= 20, "of 600 spans, 256 at once; without end, if each took what came meanwhile"
        storage.meanwhile = None
        await recorder.flush()
        assert recorder.waiting == 0
        lines = (await storage.telemetry.scope(Scope()).traces(limit=200)).items
        assert [t.spans for t in lines] == [6] * (101 + storage.writes)
        await recorder.close()


async def test_more_than_may_wait_is_dropped_with_collectors_too_and_nothing_without_a_storage() -> None:
    seen: list[Any] = []
    result = await worker(adding, observers=[seen.append]).generate("go")
    async with SqliteStorage("sqlite://") as storage:
        told = Counting()
        kept = Recorder(storage, collectors=[told], most=2)
        alone, unkept = Recorder(None, most=2), Recorder(None, collectors=[told], most=2)
        for recorder in (kept, alone, unkept):
            for event in seen:
                recorder.add(event)
        assert (alone.dropped, unkept.dropped, alone.waiting) == (0, 0, 0)
        await kept.flush()
        ((line, steps),) = await storage.telemetry.scope(Scope()).trace(result.run_id)
        assert len(told.runs) == len(told.tools) == 2, "each is told, by both"
        assert len(steps) + line.dropped == 6
        assert line.dropped == kept.dropped > 0
        await kept.close()


class Counting:
    """A collector of the user's own."""

    def __init__(self) -> None:
        self.runs: list[AgentMetrics] = []
        self.tools: list[tuple[Any, ...]] = []
        self.memory: list[str] = []

    def record_agent_execution(self, metrics: AgentMetrics) -> None:
        self.runs.append(metrics)

    def record_tool_execution(
        self, tool: str, duration_ms: float, error: str | None = None, agent_id: str | None = None
    ) -> None:
        self.tools.append((tool, error, agent_id))

    def record_memory_operation(self, operation: str, duration_ms: float) -> None:
        self.memory.append(operation)


async def test_collectors_are_told_of_each_end() -> None:
    mine, theirs = Counting(), MemoryMetrics()
    assert isinstance(mine, MetricsCollector)
    assert isinstance(theirs, MetricsCollector)
    telemetry = Telemetry(collectors=[mine, theirs])
    helper = worker(adding, "helper")
    agent = worker(
        [[call("helper", task="x"), call("broken", text="y")], "done"],
        tools=[helper.as_tool(), broken],
        observers=[telemetry],
    )
    result = await agent.generate("go")
    inner, outer = mine.runs
    assert (inner.agent_id, inner.tool_calls_count, inner.token_usage.input_tokens) == ("helper", 1, 30)
    assert (outer.agent_id, outer.tool_calls_count, outer.error_count, outer.success) == ("worker", 2, 1, True)
    assert outer.token_usage + inner.token_usage == result.usage
    assert sorted(mine.tools) == [
        ("add", None, "helper"),
        ("broken", "ValueError", "worker"),
        ("helper", None, "worker"),
    ]
    stats = theirs.get_performance_stats("helper")
    assert (stats.count, stats.tools["add"].count) == (1, 1)
    assert theirs.get_performance_stats().count == 2
    with pytest.raises(InvalidInputError, match="keeps nothing"):
        await telemetry.traces()


async def test_what_was_measured_elsewhere_can_be_saved(storage: Storage) -> None:
    telemetry = Telemetry(storage)
    agent, _ = scripted(["ok"])
    seen: list[Any] = []
    await agent.replace(observers=[seen.append]).generate("go")
    trace = trace_of(seen)
    await telemetry.save_execution_trace(trace)
    await telemetry.save_execution_trace(trace)
    (again,) = await telemetry.get_execution_history("tester")
    assert [s.span_id for s in again.steps] == [s.span_id for s in trace.steps]
    at = time.time()
    for n in range(10):
        metrics = AgentMetrics(agent_id="far", run_id=f"r{n}", success=n > 0, execution_time_ms=100.0 * (n + 1), at=at)
        await telemetry.save_metrics(metrics)
    stats = await telemetry.get_performance_stats("far")
    assert (stats.count, stats.error_rate) == (10, 0.1)
    assert stats.p90_ms == pytest.approx(900, rel=0.011)


async def test_tenants_and_owners_see_their_own(storage: Storage) -> None:
    telemetry = Telemetry(storage)
    agent = worker(["ok"] * 3, observers=[telemetry])
    alice, bob, other = Scope("one", "alice"), Scope("one", "bob"), Scope("two")
    result = await agent.generate("go", scope=alice)
    await telemetry.flush()
    for scope, count in ((alice, 1), (bob, 0), (Scope("one"), 1), (other, 0)):
        assert len((await telemetry.traces(scope=scope)).items) == count
        assert bool(await telemetry.trace(result.run_id, scope=scope)) == bool(count)
    assert (await telemetry.stats(scope=Scope("one"))).keys() == {""}
    assert await telemetry.stats(scope=other) == {}
    with pytest.raises(InvalidInputError, match="whole tenant"):
        await telemetry.stats(scope=alice)


async def test_secrets_are_not_stored() -> None:
    key = "sk-proj-" + "a1B2" * 10

    @tool
    async def leak() -> str:
        """Leaks."""
        raise RuntimeError(f"cannot log in with {key}")

    async with SqliteStorage("sqlite://") as storage:
        telemetry = Telemetry(storage, content="full")
        agent = worker([call("leak"), f"Your key is {key}."], tools=[leak], observers=[telemetry])
        result = await agent.generate(f"My key is {key}")
        await telemetry.flush()
        trace = await telemetry.trace(result.run_id)
        assert key not in repr(trace)
        assert "Your key is [hidden]" in repr(trace)
        await telemetry.close()


def test_a_forked_child_does_not_store_what_its_parent_has_waiting(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path / "t.db")
    agent = worker(["ok", "ok"], observers=[telemetry])
    agent.generate_sync("go")
    child = os.fork()
    if child == 0:
        try:
            agent.generate_sync("go")
            asyncio.run(telemetry.flush())
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    async def look() -> list[int]:
        await telemetry.flush()
        lines = (await telemetry.traces()).items
        stats = await telemetry.stats()
        await telemetry.close()
        return [len(lines), stats[""].count]

    assert asyncio.run(look()) == [2, 2]


async def test_agents_that_record_into_one_database_record_a_tree_once(tmp_path: Path) -> None:
    at = tmp_path / "t.db"
    helper = worker(adding, "helper", observers=[Telemetry(at)])
    agent = worker([call("helper", task="x"), "done"], tools=[helper.as_tool()], observers=[Telemetry(at)])
    result = await agent.generate("go")
    for observer in (*agent.observers, *helper.observers):
        await observer.flush()
    telemetry = Telemetry(at)
    assert [t.run_id for t in (await telemetry.traces()).items] == [result.run_id]
    stats = await telemetry.stats(by="agent")
    assert {name: s.count for name, s in stats.items()} == {"helper": 1, "worker": 1}
    alone = await helper.generate("go")
    await helper.observers[0].flush()
    assert [t.agent_id for t in (await telemetry.traces()).items] == ["helper", "worker"]
    assert await telemetry.trace(alone.run_id)
    await telemetry.close()


async def test_an_agent_watched_by_itself_has_a_trace_of_its_own(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path / "t.db")
    helper = worker(adding, "helper", observers=[telemetry])
    agent = worker([[call("helper", task="x"), call("helper", task="y")], "done"], tools=[helper.as_tool()])
    await agent.generate("go")
    await telemetry.flush()
    lines = (await telemetry.traces()).items
    assert [(t.agent_id, t.status, t.spans) for t in lines] == [("helper", "ok", 6)] * 2
    await telemetry.close()


async def test_a_configured_agent_records_where_its_memory_is(tmp_path: Path) -> None:
    path = tmp_path / "lumosai.toml"
    path.write_text('name = "kept"\nmodel = "local"\nmemory = "sqlite:///k.db"\n', encoding="utf-8")
    for environ, count in (
        ({}, 1),
        ({"LUMOSAI_ENABLE_TELEMETRY": "false"}, 0),
        ({"LUMOSAI_TELEMETRY": "sqlite:///o.db"}, 1),
    ):
        async with Lumosai.load(path, environ=environ) as app:
            agent = app.agent("kept").replace(model=ScriptedModel(["ok"]))
            assert len(agent.observers) == count
            await agent.generate("go")
    for name, count in (("k.db", 1), ("o.db", 1)):
        async with Telemetry(tmp_path / name) as telemetry:
            assert len((await telemetry.traces()).items) == count


async def test_an_application_records_all_its_agents() -> None:
    async with SqliteStorage("sqlite://") as storage:
        telemetry = Telemetry(storage)
        async with Lumosai([worker(["ok"], "a"), worker(["ok"], "b")], telemetry=telemetry) as app:
            for agent in app:
                await agent.generate("go")
        assert {t.agent_id for t in (await telemetry.traces()).items} == {"a", "b"}


async def test_nobody_streams_for_telemetry_alone() -> None:
    agent, model = scripted(["ok", "ok"], observers=[Telemetry()])
    await agent.generate("go")
    assert [r.incremental for r in model.requests] == [False]
