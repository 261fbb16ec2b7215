"""Sends a run to Arize Phoenix over OTLP and asks it back: whether a back end that nobody here wrote shows it rightly.

    python -m venv /tmp/phoenix && /tmp/phoenix/bin/pip install arize-phoenix
    python scripts/phoenix.py /tmp/phoenix/bin/phoenix

It starts Phoenix on loopback with a database of its own in a temporary folder, records a run of a scripted agent (two model
calls, a tool call that fails and one that does not), exports it as `lumosai traces export` does, sends that, and compares
what Phoenix answers: each span, its kind by the conventions, its parent, tokens, errors. Exit status 0 if all of it is right.
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

from lumosai import Agent, tool
from lumosai.records import Usage
from lumosai.telemetry import Telemetry, TraceFilter
from lumosai.telemetry.export import as_otlp, recorded
from lumosai.testing import Answer, ScriptedModel, call

PORT = 16006
BASE = f"http://127.0.0.1:{PORT}"
START_S = 120


@tool
def divide(a: int, b: int) -> float:
    """Divides."""
    return a / b


def script(request: Any) -> Any:
    if request.messages[-1].role == "user":
        calls = [call("divide", a=6, b=2), call("divide", a=1, b=0)]
        return Answer(text="", calls=calls, usage=Usage(100, 20, 0, 0, 0, 120))
    return Answer(text="3", usage=Usage(150, 5, 0, 0, 0, 155))


async def exported(folder: str) -> tuple[Any, bytes]:
    """A run's trace, and what is exported of it."""
    telemetry = Telemetry(f"sqlite:///{folder}/runs.db")
    agent = Agent("clerk", model=ScriptedModel(script, price=(1, 2)), tools=[divide], observers=[telemetry])
    result = await agent.generate("What is 6 by 2?")
    await telemetry.flush()
    trace = await telemetry.trace(result.run_id)
    parts: list[bytes] = []
    await as_otlp(recorded(telemetry.storage.telemetry.scope(telemetry.scope), TraceFilter()), parts.append)
    await telemetry.close()
    return trace, b"".join(parts)


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


def compared(trace: Any, spans: list[dict[str, Any]]) -> list[str]:
    """What is not as it should be."""
    wrong: list[str] = []
    there = {s["context"]["span_id"]: s for s in spans}
    if there.keys() != {s.span_id for s in trace.steps}:
        wrong.append(f"{len(there)} spans in place of {len(trace.steps)}")
    kinds = {"run": "AGENT", "model_call": "LLM", "tool_call": "TOOL"}
    for step in trace.steps:
        span = there.get(step.span_id)
        if span is None:
            continue
        known = span["attributes"]
        told = [
            ("kind", span["span_kind"], kinds.get(step.kind, span["span_kind"])),
            ("parent", span["parent_id"], step.parent_span_id),
            ("status", span["status_code"] == "ERROR", step.error_type is not None),
            ("our kind", known.get("lumosai.kind"), step.kind),
        ]
        if step.kind == "model_call":
            told += [
                ("input", known.get("llm.token_count.prompt"), step.attributes["input_tokens"]),
                ("output", known.get("llm.token_count.completion"), step.attributes["output_tokens"]),
                ("model", known.get("llm.model_name"), step.name),
            ]
        wrong += [
            f"{step.kind} {step.name}: {what} is {is_!r}, not {ought!r}" for what, is_, ought in told if is_ != ought
        ]
    return wrong


def main(program: str) -> int:
    """Runs it; 0 if all is right."""
    with tempfile.TemporaryDirectory() as folder:
        trace, body = asyncio.run(exported(folder))
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
                asked("/v1/traces", protobuf(body), "application/x-protobuf")
                spans: list[dict[str, Any]] = []
                while len(spans) < len(trace.steps) and time.monotonic() < until:
                    spans = (asked("/v1/projects/default/spans?limit=100") or {}).get("data", [])
                    time.sleep(0.5)
            finally:
                server.terminate()
                server.wait(20)
    for span in spans:
        print(f"{span['span_kind']:<8} {span['name']:<28} {span['status_code']}")
    wrong = compared(trace, spans)
    print(*wrong or ["Phoenix shows the run as it was"], sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
