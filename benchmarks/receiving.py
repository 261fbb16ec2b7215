"""Spans a second of CPU through OTLP over HTTP into SQLite: uvicorn, the receiver and the storage, the client beside them."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.measuring import Figures, cpu_s
from lumosai.storage import SqliteStorage
from lumosai.telemetry import Telemetry
from lumosai.telemetry.otlp import receiver

A_REQUEST, A_TRACE = 512, 10
_KINDS: Final = ("invoke_agent", "chat", "execute_tool")


async def received(count: int) -> Figures:
    """Requests of 512 spans in protobuf, as a collector sends them; each span has eight attributes and 320 bytes."""
    import uvicorn

    bodies = [_request(n) for n in range(0, count, A_REQUEST)]
    with tempfile.TemporaryDirectory(prefix="lumosai-bench-") as folder:
        async with SqliteStorage(Path(folder) / "ours.db") as storage:
            config = uvicorn.Config(receiver(storage), port=0, log_level="error", ws="none")
            server = uvicorn.Server(config)
            task = asyncio.ensure_future(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            await _send(port, bodies[:1])
            cpu = cpu_s()
            await _send(port, bodies[1:])
            took = cpu_s() - cpu
            stored = sum(t.spans for t in (await Telemetry(storage).traces(limit=1000)).items)
            if stored < min(1000 * (A_TRACE - 1), count // 2):
                raise AssertionError(f"{stored} spans are stored")
            server.should_exit = True
            await task
    return {"spans_per_cpu_s": (len(bodies) - 1) * A_REQUEST / took}


async def _send(port: int, bodies: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for body in bodies:
        head = f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in answer.split(b"\r\n")[0]:
            raise AssertionError(answer)
    writer.close()
    await writer.wait_closed()


def _request(first: int) -> bytes:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    spans = resource.scope_spans.add().spans
    now = time.time_ns() - 60 * 10**9
    for n in range(first, first + A_REQUEST):
        trace, place = divmod(n, A_TRACE)
        span = spans.add(
            trace_id=(trace + 1).to_bytes(16),
            span_id=(n + 1).to_bytes(8),
            parent_span_id=(trace * A_TRACE + 1).to_bytes(8) if place else b"",
            name="chat gpt-9",
            start_time_unix_nano=now + n * 1000,
            end_time_unix_nano=now + n * 1000 + (1 + n % 97) * 10**6,
            flags=0x100,
        )
        texts = {
            "gen_ai.operation.name": _KINDS[0] if not place else _KINDS[1 + place % 2],
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": f"gpt-{n % 5}",
            "gen_ai.tool.name": f"tool-{n % 7}",
            "gen_ai.agent.name": f"agent-{trace % 20}",
        }
        for key, text in texts.items():
            span.attributes.add(key=key).value.string_value = text
        numbers = {"gen_ai.usage.input_tokens": n % 1000, "gen_ai.usage.output_tokens": n % 100, "server.port": 443}
        for key, number in numbers.items():
            span.attributes.add(key=key).value.int_value = number
    return request.SerializeToString()
