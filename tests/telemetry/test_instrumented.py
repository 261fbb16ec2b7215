"""Instrumented clients that nobody here wrote: what they do in a tool is inside the tool's span, and our storage is not theirs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

pytest.importorskip("opentelemetry.instrumentation.aiohttp_client")
pytest.importorskip("opentelemetry.instrumentation.sqlite3")

from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor

from lumosai import Agent, ToolContext, tool
from lumosai.models.openai_chat import OpenAIChatModel
from lumosai.storage import open_storage
from lumosai.telemetry import Telemetry
from lumosai.testing import ScriptedModel, call
from tests.servers import ChatServer, Reply
from tests.telemetry.test_otel import Seen, under


@pytest.fixture
def instrumented() -> Iterator[Seen]:
    """The clients of this process, instrumented as a program's start does it."""
    seen = Seen()
    AioHttpClientInstrumentor().instrument(tracer_provider=seen.tracers)
    SQLite3Instrumentor().instrument(tracer_provider=seen.tracers)
    yield seen
    AioHttpClientInstrumentor().uninstrument()
    SQLite3Instrumentor().uninstrument()


async def answer(request: web.Request) -> web.Response:
    return web.Response(text=request.headers["traceparent"])


def parent_of(seen: Seen, **attributes: str) -> str:
    """The name of the span around the one that has such an attribute."""
    named = {s.context.span_id: s.name for s in seen.all}
    (found,) = [s for s in seen.all if attributes.items() <= {k: str(v) for k, v in s.attributes.items()}.items()]
    return named[found.parent.span_id]


async def test_what_tools_do_is_inside_them(instrumented: Seen, tmp_path: Path) -> None:
    """Async and sync, in threads of ours and of the tool's; and the server is told of the client's span."""
    seen, told = instrumented, {}
    app = web.Application()
    app.router.add_get("/{name}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}".format(*runner.addresses[0][:2])

    def asked(table: str) -> None:
        connection = sqlite3.connect(tmp_path / "tools.db")
        connection.cursor().execute(f"CREATE TABLE {table} (x)")
        connection.close()

    @tool
    async def fetch(what: str) -> str:
        """Asks the server, and then a database in a thread."""
        async with aiohttp.ClientSession() as http, http.get(f"{url}/{what}") as response:
            told[what] = await response.text()
        await asyncio.to_thread(asked, f"to_thread_{what}")
        return what

    @tool
    def look_up(context: ToolContext) -> str:
        """Asks a database, itself and by a thread of its own."""
        asked("in_tool")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(copy_context().run, asked, "in_pool").result()
        return context.trace_headers["traceparent"]

    script = [[call("fetch", what="a"), call("fetch", what="b"), call("look_up")], "done"]
    agent = Agent("worker", model=ScriptedModel(script), tools=[fetch, look_up], observers=[seen.observer])
    await agent.generate("go")
    await runner.cleanup()
    for what in ("a", "b"):
        (http,) = [s for s in seen.all if str(s.attributes.get("http.url", "")).endswith(f"/{what}")]
        (around,) = [s for s in seen.all if s.context.span_id == http.parent.span_id]
        assert around.name == "execute_tool fetch"
        assert told[what].split("-")[2] == f"{http.context.span_id:016x}"
        statement = f"CREATE TABLE to_thread_{what} (x)"
        (query,) = [s for s in seen.all if s.attributes.get("db.statement") == statement]
        assert under(query, around)
    for table in ("in_tool", "in_pool"):
        assert parent_of(seen, **{"db.statement": f"CREATE TABLE {table} (x)"}) == "execute_tool look_up"
    assert len({s.context.trace_id for s in seen.all}) == 1


async def test_our_own_storage_is_no_client_of_the_programs(instrumented: Seen, tmp_path: Path) -> None:
    """A run that is kept and recorded, of a model over HTTP, has the spans it always has: no query of ours is one."""
    seen = instrumented
    storage = open_storage(f"sqlite:///{tmp_path / 'kept.db'}")
    telemetry = Telemetry(storage)
    async with ChatServer(lambda _: Reply("Hello.")) as server:
        model = OpenAIChatModel("gpt-x", base_url=server.base_url, api_key="k")
        agent = Agent("kept", model=model, storage=storage, observers=[seen.observer, telemetry])
        result = await agent.generate("Hi")
    await telemetry.flush()
    trace = await telemetry.trace(result.run_id)
    assert trace is not None
    assert trace.status == "ok"
    await storage.system().backup(str(tmp_path / "copy.db"))
    await telemetry.close()
    await storage.close()
    names = [s.name for s in seen.all]
    ours = [n for n in names if n.startswith(("chat", "invoke_agent"))]
    assert sorted(ours) == ["chat gpt-x", "invoke_agent kept"]
    others: list[Any] = [s for s in seen.all if s.name not in ours]
    assert all(s.name == "POST" and under(s, seen.spans["chat gpt-x"]) for s in others), names
