"""Spans of another program, sent by OTLP over HTTP, shown and measured like runs of our own.

pip install 'lumosai[otel]' uvicorn
python examples/spans_in.py
"""

import asyncio
import json
import time
from urllib.request import Request, urlopen

import uvicorn

from lumosai.telemetry import Telemetry
from lumosai.telemetry.otlp import receiver
from lumosai.telemetry.prometheus import endpoint

telemetry = Telemetry("sqlite://")  # in memory; "sqlite:///lumosai.db" keeps it
spans_in, metrics = receiver(telemetry), endpoint(telemetry)


async def app(scope, receive, send):
    """Both in one application."""
    await (metrics if scope.get("path") == "/metrics" else spans_in)(scope, receive, send)


def span(number: int, parent: str, name: str, attributes: dict[str, str | int]) -> dict:
    """A span in OTLP's JSON; an instrumented program's exporter makes it by itself."""
    now = time.time_ns()
    values = {k: {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v} for k, v in attributes.items()}
    ids = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": f"{number:016x}", "parentSpanId": parent}
    times = {"startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 10**8)}
    return ids | times | {"name": name, "attributes": [{"key": k, "value": v} for k, v in values.items()]}


run = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "clerk"}
call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-9", "gen_ai.usage.input_tokens": 120}
spans = [span(1, "", "invoke_agent clerk", run), span(2, f"{1:016x}", "chat gpt-9", call)]
sent = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def talk(port: int) -> str:
    """Sends the spans, and asks for the metrics."""
    base = f"http://127.0.0.1:{port}"
    urlopen(Request(f"{base}/v1/traces", sent, {"content-type": "application/json"})).close()
    with urlopen(f"{base}/metrics") as answer:
        return answer.read().decode()


async def main() -> None:
    """Serves it, talks to it, and shows what came of it."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    text = await asyncio.to_thread(talk, server.servers[0].sockets[0].getsockname()[1])
    trace = await telemetry.trace("5b8efff798038103d269b633813fc60c")
    for step in trace.steps:
        tokens = step.attributes.get("input_tokens")
        print(
            f"{'  ' * bool(step.parent_span_id)}{step.kind:<12}{step.name}" + (f", {tokens} tokens" if tokens else "")
        )
    print(*[line for line in text.splitlines() if "operation_duration_seconds_count" in line])
    server.should_exit = True
    await serving
    await telemetry.close()


asyncio.run(main())
