"""Spans by OTLP over HTTP, with our ids: to a receiver that is away, asks to wait, or refuses."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

pytest.importorskip("opentelemetry.proto")

from google.protobuf.json_format import MessageToDict, MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from lumosai import Agent, Scope, tool
from lumosai.errors import InvalidInputError, StorageUnavailableError
from lumosai.events import EmbeddingCall
from lumosai.storage import Storage
from lumosai.telemetry import Telemetry
from lumosai.telemetry._outgoing import as_protobuf
from lumosai.telemetry._rebuild import stored_events
from lumosai.telemetry.export import resource_spans
from lumosai.telemetry.otlp_exporter import OtlpExporter
from lumosai.telemetry.trace import trace_of
from lumosai.testing import ScriptedModel, call
from lumosai.traces import TraceRecord, TraceStep
from tests.agent.helpers import record, scripted


class Receiver:
    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.requests: list[tuple[Any, dict[str, Any]]] = []
        self.url = ""
        self.reads = ""
        self.refused = 0

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        status = self.statuses.pop(0) if self.statuses else 200
        kind = request.headers["Content-Type"]
        if self.reads and kind != self.reads:
            self.refused += 1
            status = 415
        elif kind == "application/x-protobuf":
            body = MessageToJson(ExportTraceServiceRequest.FromString(body), use_integers_for_enums=True).encode()
        if status == 200:
            self.requests.append((request, json.loads(body)))
        return web.Response(status=status)

    @property
    def spans(self) -> list[dict[str, Any]]:
        return [s for _, b in self.requests for r in b["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]]


def plain(value: dict[str, Any]) -> Any:
    """A value of OTLP's JSON, whichever program wrote it."""
    ((kind, found),) = value.items() or [("", None)]
    if kind == "arrayValue":
        return [plain(v) for v in found.get("values", [])]
    if kind == "kvlistValue":
        return {p["key"]: plain(p.get("value", {})) for p in found.get("values", [])}
    return int(found) if kind == "intValue" else found


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application(client_max_size=10**8)
    app.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield made
    await runner.cleanup()


async def test_a_run_is_sent_with_its_own_ids(receiver: Receiver) -> None:
    """Each span once, inside the right one, and nothing of what was said; only the caller's span is remote."""
    above = f"00-{'a' * 32}-{'b' * 16}-01"
    async with OtlpExporter(receiver.url, headers={"x-key": "k"}, service="shop") as exporter:
        agent, _ = scripted([call("add", a=1, b=2), "the secret answer"], observers=[exporter])
        events, _ = await record(agent, "a secret question", traceparent=above)
    steps = {s.span_id: s for s in trace_of(events).steps}
    assert sorted(s["spanId"] for s in receiver.spans) == sorted(steps)
    for span in receiver.spans:
        step = steps[span["spanId"]]
        assert span["traceId"] == "a" * 32
        assert span["parentSpanId"] == step.parent_span_id
        assert (span["flags"] & 0x200 > 0) is (step.kind == "run")
    request, body = receiver.requests[0]
    assert request.headers["x-key"] == "k"
    assert body["resourceSpans"][0]["resource"]["attributes"][0]["value"] == {"stringValue": "shop"}
    assert "secret" not in json.dumps([b for _, b in receiver.requests])


async def test_a_receiver_that_reads_protobuf_alone(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent that from then on, with the very spans that JSON would have had; a variable says so from the start."""
    receiver.reads = "application/x-protobuf"
    exporter = OtlpExporter(receiver.url, content="full")
    agent, _ = scripted([call("add", a=1, b=2), call("boom"), "héllo 你好", "again"], observers=[exporter])
    await agent.generate("a question")
    await exporter.flush()
    await agent.generate("another")
    await exporter.close()
    assert receiver.refused == 1
    proto = receiver.spans
    assert [s["status"]["code"] for s in proto if "status" in s] == [2]
    step = TraceStep(
        span_id="b" * 16,
        kind="tool_call",
        name="名",
        start=1.5,
        duration_ms=2.0,
        error="no\ud800",
        error_type="E",
        attributes={
            "a": True,
            "b": -5,
            "c": 2**70,
            "d": 1.25,
            "e": [1, "x", {"y": None}],
            "notes": [{"at": 1, "name": "n", "z": 0}],
        },
    )
    told = resource_spans(TraceRecord(run_id="r", trace_id="a" * 32), (step,), content="full")
    request = ExportTraceServiceRequest.FromString(as_protobuf([told]))
    back = MessageToDict(request)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    wanted = told["scopeSpans"][0]["spans"][0]
    assert base64.b64decode(back["spanId"]).hex() == "b" * 16
    assert back["name"] == wanted["name"]
    assert int(back["endTimeUnixNano"]) == int(wanted["endTimeUnixNano"])
    assert [a["key"] for a in back["attributes"]] == [a["key"] for a in wanted["attributes"]]
    for ours, theirs in zip(wanted["attributes"], back["attributes"], strict=True):
        assert plain(theirs["value"]) == plain(ours["value"]), ours["key"]
    assert back["events"][0]["name"] == "n"
    assert (back["status"]["code"], back["status"]["message"]) == ("STATUS_CODE_ERROR", "no?")
    assert {s["name"] for s in proto} >= {"execute_tool add", "execute_tool boom", "chat scripted"}
    with pytest.raises(InvalidInputError, match="grpc"):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        OtlpExporter(receiver.url)


async def test_embedding_calls_of_no_run_are_sent(receiver: Receiver) -> None:
    told = EmbeddingCall("c" * 16, provider="openai", model="m", at=100.0, duration_ms=5.0, dimensions=8, tokens=7)
    async with OtlpExporter(receiver.url, service="shop") as exporter:
        exporter.embedded(told, "a" * 32, Scope())
        await exporter.flush()
    (span,) = receiver.spans
    assert (span["traceId"], span["spanId"], span["name"], span["kind"]) == ("a" * 32, "c" * 16, "embeddings m", 3)
    known = {a["key"]: plain(a["value"]) for a in span["attributes"]}
    assert known["gen_ai.operation.name"] == "embeddings"
    assert known["gen_ai.usage.input_tokens"] == 7
    assert known["gen_ai.embeddings.dimension.count"] == 8


async def test_a_run_that_other_processes_go_on_with(receiver: Receiver, storage: Storage) -> None:
    """One trace, each span once, where a run waits in one process and goes on in another, or in the same."""
    pay = tool(name="pay", description="Pays.", approval=True)(lambda: "paid")

    def script(request: Any) -> Any:
        return "done" if request.messages[-1].role == "tool" else call("pay")

    def agent() -> tuple[Agent, OtlpExporter, Telemetry]:
        exporter, telemetry = OtlpExporter(receiver.url), Telemetry(storage)
        model = ScriptedModel(script)
        return (
            Agent("payer", model=model, tools=[pay], storage=storage, observers=[exporter, telemetry]),
            exporter,
            telemetry,
        )

    first, second = agent(), agent()
    for on in (second, first):
        receiver.requests.clear()
        paused = await first[0].generate("go")
        async with on[0].resume(paused.run_id) as run:
            run.approve(paused.pending[0].id)
            assert (await run.result()).text == "done"
        for _, exporter, telemetry in (first, second):
            await exporter.flush()
            await telemetry.flush()
        trace = trace_of(await stored_events(storage, Scope(), paused.run_id))
        assert sorted(s["spanId"] for s in receiver.spans) == sorted(s.span_id for s in trace.steps)
        assert {s["traceId"] for s in receiver.spans} == {trace.trace_id}
        by_id = {s["spanId"]: s for s in receiver.spans}
        for step in trace.steps:
            assert by_id[step.span_id].get("parentSpanId") == step.parent_span_id
            assert int(by_id[step.span_id]["startTimeUnixNano"]) / 1e9 == pytest.approx(step.start, abs=1e-3)
        kept = await on[2].trace(paused.run_id)
        assert kept is not None
        assert [s.span_id for s in kept.steps] == [s.span_id for s in trace.steps]
    for _, exporter, _ in (first, second):
        await exporter.close()


async def test_a_receiver_that_asks_to_wait(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """What could not be sent waits; what is refused for good is given up, and said once."""
    exporter = OtlpExporter(receiver.url)
    receiver.statuses = [503] * 10
    await Agent("a", model=ScriptedModel("x"), observers=[exporter]).generate("go")
    with pytest.raises(StorageUnavailableError, match="503"):
        await exporter.flush()
    receiver.statuses = []
    await exporter.flush()
    assert len(receiver.spans) == len({s["spanId"] for s in receiver.spans}) == 3
    receiver.statuses = [400] * 10
    with caplog.at_level(logging.WARNING):
        await Agent("a", model=ScriptedModel("x"), observers=[exporter]).generate("go")
        await exporter.close()
    assert [r.getMessage() for r in caplog.records if "refuses" in r.getMessage()]
    assert len(receiver.spans) == 3


async def test_nobody_is_there() -> None:
    exporter = OtlpExporter("http://127.0.0.1:9", timeout_s=1)
    result = await Agent("a", model=ScriptedModel("x"), observers=[exporter]).generate("go")
    assert result.text == "x"
    with pytest.raises(StorageUnavailableError, match="is away"):
        await exporter.flush()
    with pytest.raises(StorageUnavailableError, match="is away"):
        await exporter.close()
    await asyncio.sleep(0)
    task = exporter._recorder._task
    assert task is None, "it tries no more"


def test_where_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument, then OpenTelemetry's variables, then the usual port of this machine."""
    assert repr(OtlpExporter()) == "<OtlpExporter to http://localhost:4318/v1/traces>"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://x.example/otlp/")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc,x=y")
    exporter = OtlpExporter()
    assert repr(exporter) == "<OtlpExporter to https://x.example/otlp/v1/traces>"
    sent = exporter._recorder._storage._headers
    assert sent == {"Content-Type": "application/json", "authorization": "Basic abc", "x": "y"}
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://y.example/in")
    assert repr(OtlpExporter()) == "<OtlpExporter to https://y.example/in>"
    assert repr(OtlpExporter("http://z.example/v1/traces")) == "<OtlpExporter to http://z.example/v1/traces>"
    with pytest.raises(InvalidInputError, match="http://"):
        OtlpExporter("localhost:4318")
