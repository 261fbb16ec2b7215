"""Sends a run to Arize Phoenix over OTLP and asks it back: whether a back end that nobody here wrote shows it rightly.

    python -m venv /tmp/phoenix && /tmp/phoenix/bin/pip install arize-phoenix
    python scripts/phoenix.py /tmp/phoenix/bin/phoenix

It starts Phoenix on loopback with a database of its own in a temporary folder, and sends it three runs of a scripted agent
(two model calls, a tool call that fails and one that does not, embeddings of what is recalled): one as `lumosai traces
export` writes it, one by `OtlpExporter`, one by `OpenTelemetry` and its SDK. It compares what Phoenix answers: each span, its
kind by the conventions, its parent, tokens, errors, conversation. Exit status 0 if all of it is right.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from lumosai import Agent, Memory, tool
from lumosai.memory import SemanticRecall
from lumosai.models.base import Embeddings
from lumosai.records import Usage
from lumosai.telemetry import Telemetry, TraceFilter, trace_of
from lumosai.telemetry.export import as_otlp, recorded
from lumosai.telemetry.otel import OpenTelemetry
from lumosai.telemetry.otlp_exporter import OtlpExporter
from lumosai.testing import Answer, ScriptedModel, call

PORT = 16006
BASE = f"http://127.0.0.1:{PORT}"
START_S = 120
SHOWN_S = 15


@tool
def divide(a: int, b: int) -> float:
    """Divides."""
    return a / b


def script(request: Any) -> Any:
    if request.messages[-1].role == "user":
        calls = [call("divide", a=6, b=2), call("divide", a=1, b=0)]
        return Answer(text="", calls=calls, usage=Usage(100, 20, 0, 0, 0, 120))
    return Answer(text="3", usage=Usage(150, 5, 0, 0, 0, 155))


class Words:
    """An embedding model: a vector of letters."""

    name, dimensions, provider = "letters", 4, "scripted"

    async def embed(self, texts: Any, kind: str = "passage") -> Embeddings:
        vectors = [[1.0 + t.count("a"), 1.0 + t.count("e"), 1.0 + t.count("i"), 1.0] for t in texts]
        return Embeddings(vectors, Usage(input_tokens=7, total_tokens=7))


async def a_run(memory: Memory, *observers: Any) -> Any:
    """A run's events, as a trace."""
    events: list[Any] = []
    model = ScriptedModel(script, price=(1, 2))
    agent = Agent("clerk", model=model, tools=[divide], memory=memory, observers=[events.append, *observers])
    await agent.generate("What is 6 by 2?", thread_id="sums")
    return trace_of(events)


async def exported(folder: str) -> tuple[dict[str, Any], bytes]:
    """The runs' traces by the way they go, and what is exported of the first."""
    telemetry = Telemetry(f"sqlite:///{folder}/runs.db")
    memory = Memory(telemetry.storage, last_messages=1, recall=SemanticRecall(embedder=Words()))
    ways = {"file": await a_run(memory, telemetry)}
    await memory.settled()
    await telemetry.flush()
    parts: list[bytes] = []
    await as_otlp(recorded(telemetry.storage.telemetry.scope(telemetry.scope), TraceFilter()), parts.append)
    async with OtlpExporter(BASE) as exporter:
        ways["exporter"] = await a_run(memory, exporter)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{BASE}/v1/traces")))
    ways["sdk"] = await a_run(memory, OpenTelemetry(provider))
    provider.shutdown()
    await memory.close()
    await telemetry.close()
    return ways, b"".join(parts)


def asked(path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
    """The answer to a request, None where nothing answers yet."""
    request = urllib.request.Request(BASE + path, body, {"content-type": kind, "accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            data = answer.read()
            return msgspec.json.decode(data) if data[:1] in (b"{", b"[") else data
    except urllib.error.HTTPError as error:
        print(path, error.code, error.read()[:300])
        return None
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def protobuf(body: bytes) -> bytes:
    """The same request in protobuf: Phoenix reads no other."""
    from base64 import b64encode

    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = msgspec.json.decode(body)
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for key in ("traceId", "spanId", "parentSpanId"):
                    if key in span:
                        span[key] = b64encode(bytes.fromhex(span[key])).decode()
    return ParseDict(request, ExportTraceServiceRequest()).SerializeToString()


KINDS = {"run": "AGENT", "model_call": "LLM", "tool_call": "TOOL", "embedding": "EMBEDDING"}


def compared(way: str, trace: Any, spans: list[dict[str, Any]]) -> list[str]:
    """What is not as it should be of one trace."""
    wrong: list[str] = []
    there = {s["context"]["span_id"]: s for s in spans if s["context"]["trace_id"] == trace.trace_id}
    # An SDK has no span for a step, and makes ids of its own for what memory did.
    steps = [s for s in trace.steps if way != "sdk" or s.kind in KINDS]
    missing = {s.span_id for s in steps} - there.keys()
    if missing or (way != "sdk" and len(there) != len(steps)):
        wrong.append(f"{len(there)} spans in place of {len(steps)}, of which {len(missing)} are missing")
    of_steps = {s.span_id: s.parent_span_id for s in trace.steps if s.kind == "step"}
    for step in steps:
        span = there.get(step.span_id)
        if span is None:
            continue
        known = span["attributes"]
        parent = of_steps.get(step.parent_span_id, step.parent_span_id) if way == "sdk" else step.parent_span_id
        told = [
            ("kind", span["span_kind"], KINDS.get(step.kind, span["span_kind"])),
            ("status", span["status_code"] == "ERROR", step.error_type is not None),
        ]
        if step.kind != "embedding" or way != "sdk":  # its parent is the run there, and the recall here
            told.append(("parent", span["parent_id"], parent))
        if step.kind == "run":
            told.append(("conversation", known.get("session.id") or known.get("gen_ai.conversation.id"), "sums"))
        if step.kind in ("model_call", "embedding"):
            told.append(("input", known.get("llm.token_count.prompt"), step.attributes["input_tokens"]))
        if step.kind == "model_call":
            told += [
                ("output", known.get("llm.token_count.completion"), step.attributes["output_tokens"]),
                ("model", known.get("llm.model_name"), step.name),
            ]
        wrong += [
            f"{way}: {step.kind} {step.name}: {what} is {is_!r}, not {ought!r}"
            for what, is_, ought in told
            if is_ != ought
        ]
    return wrong


def main(program: str) -> int:
    """Runs it; 0 if all is right."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"PHOENIX_PORT": str(PORT), "PHOENIX_HOST": "127.0.0.1", "PHOENIX_WORKING_DIR": folder}
        settings |= {"PHOENIX_GRPC_PORT": str(PORT + 1), "PHOENIX_TELEMETRY_ENABLED": "false"}
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen([program, "serve"], env={**os.environ, **settings}, stdout=log, stderr=log)
            try:
                until = time.monotonic() + START_S
                while asked("/v1/projects") is None:
                    if server.poll() is not None or time.monotonic() > until:
                        print(Path(folder, "log").read_text()[-2000:])
                        return 2
                    time.sleep(0.5)
                ways, body = asyncio.run(exported(folder))
                asked("/v1/traces", protobuf(body), "application/x-protobuf")
                spans: list[dict[str, Any]] = []
                wrong = [""]
                until = time.monotonic() + SHOWN_S
                while wrong and time.monotonic() < until:
                    time.sleep(0.5)
                    spans = (asked("/v1/projects/default/spans?limit=500") or {}).get("data", [])
                    wrong = [w for way, trace in ways.items() for w in compared(way, trace, spans)]
            finally:
                server.terminate()
                server.wait(20)
    for span in spans:
        print(f"{span['span_kind']:<8} {span['name']:<28} {span['status_code']}")
    print(*wrong or ["Phoenix shows the runs as they were"], sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
