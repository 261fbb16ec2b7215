"""A service with one agent, for tests of traces through several processes.

python tests/telemetry/service.py NAME MODEL_URL prints its address and is told on its standard input which service its
agent asks in a tool, by a line that is empty for none. `POST /` runs the agent and answers with what it knows of the
trace. With NAME "sdk" its ids are those of an SDK.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiohttp import ClientSession, web

from lumosai import Agent, ToolContext, tool
from lumosai.models import OpenAIChatModel
from lumosai.propagation import incoming
from lumosai.telemetry.trace import trace_of


async def main(name: str, model_url: str) -> None:
    following: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    inner: list[Any] = []

    @tool
    async def ask_next(context: ToolContext) -> str:
        """Asks the next service."""
        async with (
            ClientSession() as session,
            session.post(following.result(), headers=context.trace_headers) as answer,
        ):
            inner.append(await answer.json())
        return "asked"

    observers: list[Any] = []
    if name == "sdk":
        from opentelemetry.sdk.trace import TracerProvider

        from lumosai.telemetry.otel import OpenTelemetry

        observers.append(OpenTelemetry(TracerProvider()))
    agent = Agent(
        name,
        model=OpenAIChatModel("test-model", base_url=model_url, api_key="k"),
        tools=[ask_next],
        observers=observers,
    )

    async def answer(request: web.Request) -> web.Response:
        next_url = await following
        scope = {"type": "http", "headers": [(k.lower().encode(), v.encode()) for k, v in request.headers.items()]}
        asking = agent if next_url else agent.replace(tools=[])
        async with asking.stream(name, **incoming(scope if next_url else request.headers)) as run:
            events = [event async for event in run]
        trace, started = trace_of(events), events[0]
        spans = [(s.kind, s.name, s.span_id, s.parent_span_id) for s in trace.steps]
        told = {"name": name, "trace_id": trace.trace_id, "spans": spans, "status": trace.status}
        return web.json_response(told | {"baggage": started.baggage, "tracestate": started.tracestate, "inner": inner})

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps("http://{}:{}/".format(*runner.addresses[0][:2])), flush=True)
    loop = asyncio.get_running_loop()
    following.set_result((await loop.run_in_executor(None, sys.stdin.readline)).strip())
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever began it has gone
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
