"""kill -9 under load: how many spans are lost, by what a server outside counted, and that a rebuild has them all again."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from lumosai.records import Scope
from lumosai.storage import Storage, open_storage
from lumosai.telemetry import Telemetry, trace_of
from lumosai.telemetry._rebuild import stored_events
from lumosai.traces import ExecutionTrace

ROUNDS = int(os.environ.get("LUMOSAI_CRASH_ROUNDS", "1"))
"""How often a process is killed, on each database."""
AT_WORK = 4
"""Runs that go on side by side in it."""
LOST_S = 0.05
"""How old a span may be that is lost."""
SLOW_S = float(os.environ.get("LUMOSAI_CRASH_SLACK_S", "1"))
"""What a busy machine may add to that: who stores them waits for a core and for the disk, as all others do."""

BUSY = f"""
import asyncio, sys
import aiohttp
from lumosai import Agent, ToolContext, tool
from lumosai.storage import open_storage
from lumosai.telemetry import Telemetry
from lumosai.testing import Answer, ScriptedModel, call

async def main():
    storage = open_storage(sys.argv[1])
    async with aiohttp.ClientSession() as http:
        @tool
        async def hit(context: ToolContext) -> str:
            '''Asks the server outside.'''
            async with http.get(sys.argv[2], headers=context.trace_headers) as answer:
                return await answer.text()

        def script(request):
            return [call("hit")] if request.messages[-1].role == "user" else "done"

        agent = Agent("busy", model=ScriptedModel(script), tools=[hit], storage=storage, observers=[Telemetry(storage)])

        async def work():
            while True:
                await agent.generate("go")

        await asyncio.gather(*[work() for _ in range({AT_WORK})])

asyncio.run(main())
"""


class Outside:
    """A server that no crash touches: when it answered the call of which span."""

    def __init__(self) -> None:
        self.answered: dict[str, float] = {}
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.answered[request.headers["traceparent"].split("-")[2]] = time.time()
        return web.Response(text="ok")


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    made = Outside()
    app = web.Application()
    app.router.add_get("/", made.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = "http://{}:{}/".format(*runner.addresses[0][:2])
    yield made
    await runner.cleanup()


async def kept(storage: Storage, but: set[str]) -> dict[str, ExecutionTrace]:
    """By run, what the journal says, of those that are new."""
    page = await storage.scope(Scope()).list_runs(limit=1000)
    runs = [*page.items]
    while page.next_cursor:
        page = await storage.scope(Scope()).list_runs(limit=1000, cursor=page.next_cursor)
        runs += page.items
    return {r.id: trace_of(await stored_events(storage, Scope(), r.id)) for r in runs if r.id not in but}


def ended(traces: dict[str, ExecutionTrace]) -> dict[str, float]:
    """By span that has ended, when."""
    return {s.span_id: s.end for t in traces.values() for s in t.steps if s.end is not None}


async def shown(telemetry: Telemetry, runs: dict[str, ExecutionTrace]) -> dict[str, float]:
    """By span that is stored, when it ended."""
    found = [await telemetry.trace(run) for run in runs]
    spans = [s for t in found if t is not None for s in t.steps if s.end is not None]
    assert len({s.span_id for s in spans}) == len(spans), "no span is there twice"
    return {s.span_id: s.end for s in spans if s.end is not None}


@pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)
async def test_a_killed_process_loses_no_more_than_its_last_moment(url: str, outside: Outside) -> None:
    """No span that ended before the last 50 ms is lost, nor one of a call that the server answered before; a rebuild has
    each span of the journal, once, and counts it once."""
    chance = random.Random(f"{url.partition(':')[0]} {os.environ.get('LUMOSAI_CRASH_SEED', '1')}")
    lost_s: list[float] = []
    old: set[str] = set()
    counted = 0
    for _ in range(ROUNDS):
        before = {*outside.answered}
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY, url, outside.url)
        try:
            calls = len(before) + chance.randint(4 * AT_WORK, 10 * AT_WORK)
            while len(outside.answered) < calls:
                assert process.returncode is None
                await asyncio.sleep(0.01)
            await asyncio.sleep(chance.uniform(0.0, 0.1))
            at = time.time()
        finally:
            process.kill()
        await process.wait()
        storage = open_storage(url)
        telemetry = Telemetry(storage)
        runs = await kept(storage, old)
        there = await shown(telemetry, runs)
        ought = ended(runs)
        assert there.keys() <= ought.keys()
        lost_s += [at - end for span, end in ought.items() if span not in there]
        answered = {s: t for s, t in outside.answered.items() if s not in before}
        early = {s for s, t in answered.items() if t < at - LOST_S - SLOW_S}
        assert early <= there.keys(), "what the server answered before is stored"
        for run in runs:
            await telemetry.rebuild(run)
        assert (await shown(telemetry, runs)).keys() == ought.keys()
        unanswered = answered.keys() - ought.keys()
        assert len(unanswered) <= AT_WORK, "but for the calls that were cut"
        counted += sum(s.kind == "tool_call" and s.end is not None for t in runs.values() for s in t.steps)
        assert (await telemetry.stats(by="tool", window=86400))["hit"].count == counted
        old |= runs.keys()
        await telemetry.close()
        await storage.close()
    print(f"{len(lost_s)} spans lost in {ROUNDS} kills, the oldest {max(lost_s, default=0) * 1e3:.0f} ms old")
    assert max(lost_s, default=0.0) < LOST_S + SLOW_S
