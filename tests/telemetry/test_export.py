"""Traces on their way out: OTLP's JSON that our receiver makes equal traces of, and Parquet with typed columns."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from lumosai import Agent, Memory, tool
from lumosai.errors import LumosaiError, ServerError
from lumosai.records import Usage
from lumosai.storage import Storage, open_storage
from lumosai.telemetry import Telemetry, TraceFilter
from lumosai.telemetry.export import as_otlp, as_parquet, recorded
from lumosai.telemetry.otlp import receiver
from lumosai.testing import Answer, ScriptedModel, call
from tests.asgi import send, serve
from tests.telemetry.test_otlp import AGENT, body, post

SECRET = "nobody may read this"


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    if a > 1:
        raise ValueError(SECRET)
    return a + b


def script(request: Any) -> Any:
    if request.messages[-1].role == "user":
        calls = [call("add", a=1, b=2), call("add", a=2, b=2)]
        return Answer(text=SECRET, calls=calls, usage=Usage(10, 5, 2, 3, 1, 15))
    return Answer(text="3", usage=Usage(20, 1, 0, 0, 0, 21))


async def world(storage: Storage) -> Telemetry:
    """Runs that went well and ill, a thread, a sub-run, and a trace of another program."""
    telemetry = Telemetry(storage, content="full")
    common: dict[str, Any] = {"observers": [telemetry], "version": "v2"}
    inner = Agent("inner", model=ScriptedModel(script, price=(1, 2)), tools=[add], **common)
    outer = Agent(
        "outer",
        model=ScriptedModel(
            lambda r: call("inner", input="go") if r.messages[-1].role == "user" else "done", price=(1, 2)
        ),
        tools=[inner.as_tool()],
        memory=Memory(storage),
        **common,
    )
    await outer.generate(SECRET, thread_id="talk")
    await inner.generate("go")
    bad = Agent("bad", model=ScriptedModel(lambda r: ServerError(SECRET, retry_after_s=0)), **common)
    with pytest.raises(LumosaiError):
        await bad.generate("go")
    await telemetry.flush()
    await post(receiver(storage), body(*AGENT))
    return telemetry


async def out(telemetry: Telemetry, content: Any, **wanted: Any) -> bytes:
    parts: list[bytes] = []
    handle = telemetry.storage.telemetry.scope(telemetry.scope)
    await as_otlp(recorded(handle, TraceFilter(**wanted)), parts.append, content=content)
    return b"".join(parts)


async def test_what_is_exported_comes_in_again_as_equal_traces(storage: Storage, tmp_path: Path) -> None:
    telemetry = await world(storage)
    data = await out(telemetry, "full")
    request = json.loads(data)
    for resource in request["resourceSpans"]:  # protobuf's own JSON has its ids in base64
        for span in resource["scopeSpans"][0]["spans"]:
            for key in ("traceId", "spanId", "parentSpanId"):
                span.pop(key, None)
    ParseDict(request, ExportTraceServiceRequest())
    other = open_storage(f"sqlite:///{tmp_path / 'other.db'}")
    async with serve(receiver(other, content="full")) as port:
        for _ in range(2):
            told = await asyncio.to_thread(send, port, "POST", "/v1/traces", data, content_type="application/json")
            assert (told[0], told[2]) == (200, b"{}")
    there = Telemetry(other)
    lines, again = (await telemetry.traces()).items, (await there.traces()).items
    assert len(lines) == 4
    for line in lines:
        (twin,) = [t for t in again if t.run_id == line.run_id]
        assert msgspec.structs.asdict(twin) == msgspec.structs.asdict(line)
        one, two = await telemetry.trace(line.run_id), await there.trace(line.run_id)
        assert one is not None
        assert two is not None
        for mine, theirs in zip(one.steps, two.steps, strict=True):
            assert theirs == mine
        assert two == one
    stats, theirs_ = await telemetry.stats(by="agent"), await there.stats(by="agent")
    assert {n: (s.count, s.usage, s.cost_usd, s.error_rate) for n, s in theirs_.items()} == {
        n: (s.count, s.usage, s.cost_usd, s.error_rate) for n, s in stats.items()
    }
    await other.close()
    await telemetry.close()
    await storage.close()


async def test_nothing_that_was_said_goes_out_unless_it_is_asked_for(storage: Storage) -> None:
    telemetry = await world(storage)
    assert SECRET.encode() in await out(telemetry, "full")
    assert SECRET.encode() in await out(telemetry, "metadata")  # the words of errors
    assert SECRET.encode() not in await out(telemetry, "off")
    assert json.loads(await out(telemetry, "off", agent="nobody")) == {"resourceSpans": []}
    handle = storage.telemetry.scope(telemetry.scope)
    for content, there in (("off", False), ("metadata", True), ("full", True)):
        file = io.BytesIO()
        assert await as_parquet(recorded(handle, TraceFilter()), file, content=content) == 4  # type: ignore[arg-type]
        table = pq.read_table(file)
        assert (SECRET in str(table.to_pylist())) is there
    spans = [s for t in (await telemetry.traces()).items for s in (await telemetry.trace(t.run_id)).steps]  # type: ignore[union-attr]
    rows = table.to_pylist()
    assert len(rows) == len(spans)
    by_id = {r["span_id"]: r for r in rows}
    for span in spans:
        row = by_id[span.span_id]
        assert (row["kind"], row["name"], row["duration_ms"]) == (span.kind, span.name, span.duration_ms)
        assert row["start"].timestamp() == pytest.approx(span.start, abs=1e-6)
        assert (row["input_tokens"], row["model"]) == (
            span.attributes.get("input_tokens"),
            span.attributes.get("response_model") or span.attributes.get("model"),
        )
    assert sum(r["input_tokens"] or 0 for r in rows if r["kind"] == "model_call") > 100
    assert str(table.schema.field("start").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("cost_usd").type) == "decimal128(18, 9)"
    await telemetry.close()
    await storage.close()


async def test_the_command_writes_files_that_are_whole(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    storage = open_storage(url)
    telemetry = await world(storage)
    await telemetry.close()
    await storage.close()

    async def command(*more: str) -> subprocess.CompletedProcess[bytes]:
        line = [sys.executable, "-m", "lumosai", "traces", "export", "--database", url, *more]
        return await asyncio.to_thread(subprocess.run, line, capture_output=True, timeout=150)

    told, file, wrong = await asyncio.gather(
        command("--agent", "inner"),
        command("--format", "parquet", "-o", str(tmp_path / "t.parquet"), "--limit", "2"),
        command("--format", "csv"),
    )
    (resource,) = json.loads(told.stdout)["resourceSpans"]
    assert resource["scopeSpans"][0]["spans"][0]["name"] == "invoke_agent inner"
    assert file.returncode == 0, file.stderr
    assert len(set(pq.read_table(tmp_path / "t.parquet")["trace_id"].to_pylist())) == 2
    assert not (tmp_path / "t.parquet.part").exists()
    assert wrong.returncode == 2
