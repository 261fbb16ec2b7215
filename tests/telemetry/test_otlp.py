"""OTLP in, over real HTTP: spans of other programs, whole and in pieces, and what is no such thing."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import random
import subprocess
import sys
import textwrap
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from lumosai.cli.terminal import style_for
from lumosai.cli.trace_tree import lines_of
from lumosai.errors import InvalidInputError, StorageUnavailableError
from lumosai.records import Scope, Usage
from lumosai.storage import Storage, open_storage
from lumosai.telemetry import Telemetry
from lumosai.telemetry.otlp import receiver
from tests.asgi import send, serve

NOW = int(time.time()) * 10**9 - 60 * 10**9
TRACE = "5b8efff798038103d269b633813fc60c"
JSON = "application/json"
PROTOBUF = "application/x-protobuf"


def value(of: Any) -> dict[str, Any]:
    if isinstance(of, bool):
        return {"boolValue": of}
    if isinstance(of, int):
        return {"intValue": str(of)}
    if isinstance(of, float):
        return {"doubleValue": of}
    if isinstance(of, list):
        return {"arrayValue": {"values": [value(v) for v in of]}}
    if isinstance(of, dict):
        return {"kvlistValue": {"values": pairs(of)}}
    return {"stringValue": of}


def pairs(of: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": k, "value": value(v)} for k, v in of.items()]


def span(
    number: int, parent: int = 0, *, at: int = 0, ms: int = 100, trace: str = TRACE, **more: Any
) -> dict[str, Any]:
    """A span in OTLP's JSON that begins `at` milliseconds after the others do."""
    start = NOW + at * 10**6
    made = {
        "traceId": trace,
        "spanId": f"{number:016x}",
        "name": more.pop("name", f"span {number}"),
        "kind": 1,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + ms * 10**6),
        "attributes": pairs(more.pop("attributes", {})),
    }
    return made | ({"parentSpanId": f"{parent:016x}"} if parent else {}) | more


def body(*spans: dict[str, Any], service: str = "shop") -> bytes:
    resource = {"attributes": pairs({"service.name": service})}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}).encode()


def packed(*spans: dict[str, Any], service: str = "shop") -> bytes:
    """The same in protobuf."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    put(resource.resource.attributes, pairs({"service.name": service}))
    scope = resource.scope_spans.add()
    for s in spans:
        made = scope.spans.add(
            trace_id=bytes.fromhex(s["traceId"]),
            span_id=bytes.fromhex(s["spanId"]),
            parent_span_id=bytes.fromhex(s.get("parentSpanId", "")),
            name=s["name"],
            kind=s["kind"],
            start_time_unix_nano=int(s["startTimeUnixNano"]),
            end_time_unix_nano=int(s["endTimeUnixNano"]),
            flags=s.get("flags", 0),
        )
        put(made.attributes, s["attributes"])
        for e in s.get("events", ()):
            put(made.events.add(name=e["name"], time_unix_nano=int(e["timeUnixNano"])).attributes, e["attributes"])
        if "status" in s:
            made.status.code, made.status.message = s["status"]["code"], s["status"].get("message", "")
    return request.SerializeToString()


def put(where: Any, attributes: list[dict[str, Any]]) -> None:
    from google.protobuf.json_format import ParseDict

    for pair in attributes:
        ParseDict(pair, where.add())


AGENT = [
    span(1, ms=900, attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "clerk"}),
    span(
        2,
        1,
        at=10,
        ms=500,
        attributes={
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-9",
            "gen_ai.response.model": "gpt-9-mini",
            "gen_ai.response.finish_reasons": ["tool_calls"],
            "gen_ai.response.time_to_first_chunk": 0.25,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.cache_read.input_tokens": 60,
            "gen_ai.input.messages": '[{"role":"user","parts":[]}]',
            "gen_ai.conversation.id": "talk",
            "server.port": 443,
            "api_key": "sk-abcdefghijklmnop1234",
            "note": "Bearer abcdefghij123",
        },
    ),
    span(
        3,
        1,
        at=520,
        ms=30,
        attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "add", "error.type": "ValueError"},
        status={"code": 2, "message": "no numbers"},
    ),
    span(4, 3, at=525, ms=5, name="GET /x", attributes={"error": True, "name": "x", "tags": ["a", {"b": 1}]}),
    span(5, 1, at=560, ms=4, attributes={"gen_ai.operation.name": "search_memory", "gen_ai.memory.record.count": 3}),
]


async def test_spans_of_another_program_are_stored_like_ours(storage: Storage) -> None:
    telemetry = Telemetry(storage)
    for data, kind in ((body(*AGENT), JSON), (packed(*AGENT), PROTOBUF)):
        async with serve(receiver(telemetry)) as port:
            status, headers, answer = await asyncio.to_thread(
                send, port, "POST", "/v1/traces", gzip.compress(data), content_type=kind, content_encoding="gzip"
            )
        assert (status, headers["content-type"], answer) == (200, kind, b"{}" if kind == JSON else b"")
        await check_agent(telemetry)  # the second time they are there already, and count no more
    await telemetry.close()
    await storage.close()


async def check_agent(telemetry: Telemetry) -> None:
    (line,) = (await telemetry.traces("clerk", model="gpt-9", tool="add")).items
    assert (line.source, line.status, line.agent_id, line.model, line.thread_id) == (
        "shop", "ok", "clerk", "gpt-9-mini", "talk",
    )  # fmt: skip
    assert (line.spans, line.model_calls, line.tool_calls, line.errors, line.duration_ms) == (5, 1, 1, 1, 900.0)
    assert line.usage == Usage(100, 20, 0, 60, 0, 120)
    trace = await telemetry.trace(TRACE)
    assert trace is not None
    assert [(s.kind, s.name, s.agent, s.duration_ms) for s in trace.steps] == [
        ("run", "clerk", "clerk", 900.0),
        ("model_call", "gpt-9", "clerk", 500.0),
        ("tool_call", "add", "clerk", 30.0),
        ("span", "GET /x", "", 5.0),
        ("memory", "search_memory", "clerk", 4.0),
    ]
    _, asked, failed, inner, memory = trace.steps
    assert asked.attributes == {
        "provider": "openai",
        "model": "gpt-9",
        "response_model": "gpt-9-mini",
        "finish_reason": "tool_calls",
        "time_to_first_chunk_ms": 250.0,
        "settings": {"temperature": 0.5},
        "input_tokens": 100,
        "output_tokens": 20,
        "total_tokens": 120,
        "cache_read_tokens": 60,
        "thread_id": "talk",
        "server.port": 443,
        "api_key": "[hidden]",
        "note": "Bearer [hidden]",
        "service.name": "shop",
    }
    assert (failed.error, failed.error_type) == ("no numbers", "ValueError")
    assert (inner.error, inner.attributes["attribute.error"], inner.attributes["tags"]) == (None, True, ["a", {"b": 1}])
    assert memory.attributes["count"] == 3
    stats = await telemetry.stats(by="agent")
    assert (stats["clerk"].count, stats["clerk"].tools["add"].errors, stats["clerk"].usage.input_tokens) == (1, 1, 100)
    assert (await telemetry.stats(by="model"))["openai:gpt-9"].count == 1


async def post(app: Any, data: bytes, kind: str = JSON, path: str = "/v1/traces", **more: Any) -> tuple[int, bytes]:
    """The answer to one request, without a network; `more` is headers."""
    answers: list[Any] = []
    client = more.pop("client", ("127.0.0.1", 9))
    method = more.pop("method", "POST")
    messages = [{"type": "http.request", "body": data, "more_body": False}]

    async def receive() -> Any:
        return messages.pop(0)

    async def answer(message: Any) -> None:
        answers.append(message)

    headers = [(k.replace("_", "-").encode(), v.encode()) for k, v in {"content_type": kind, **more}.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "client": client}
    await app(scope, receive, answer)
    return answers[0]["status"], answers[1]["body"]


async def test_a_trace_in_pieces_is_the_same_trace_in_whatever_order(storage: Storage) -> None:
    """Twenty spans, one root, three failures: by ones and by handfuls, shuffled, sent twice, by two receivers at once."""
    spans = [
        span(
            n + 1,
            (n + 1) // 2,
            at=10 * n,
            ms=1000 if n == 0 else 10,
            attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": n},
            **({"status": {"code": 2}} if n in (3, 4, 5) else {}),
        )
        for n in range(20)
    ]
    lines = []
    other = open_storage(storage.url) if storage.url != "sqlite://" else storage
    for seed in range(4):
        trace = f"{seed + 1:032x}"
        mine = [s | {"traceId": trace} for s in spans]
        dice = random.Random(seed)
        order = mine * 2
        if seed:
            dice.shuffle(order)
        apps = [receiver(storage), receiver(other)]
        while order:
            some = [[order.pop() for _ in range(min(len(order), dice.choice([1, 2, 7])))] for _ in range(2)]
            done = await asyncio.gather(*[post(a, body(*s)) for a, s in zip(apps, some, strict=True) if s])
            assert {status for status, _ in done} == {200}
        telemetry = Telemetry(storage)
        stored = await telemetry.trace(trace)
        assert stored is not None
        assert [s.span_id for s in stored.steps] == [f"{n + 1:016x}" for n in range(20)]
        (line,) = [t for t in (await telemetry.traces()).items if t.run_id == trace]
        lines.append(
            (line.status, line.spans, line.model_calls, line.errors, line.usage, line.duration_ms, line.started_at)
        )
        assert line.started_at == stored.steps[0].start == NOW / 10**9
    assert lines == [("ok", 20, 20, 3, Usage(190, 0, 0, 0, 0, 190), 1000.0, NOW / 10**9)] * 4
    assert (await Telemetry(storage).stats(by="model"))[":m"].count == 80
    await other.close()
    await storage.close()


async def test_a_trace_whose_root_is_out_goes_on(storage: Storage) -> None:
    telemetry, app = Telemetry(storage), receiver(storage)
    root, child, leaf = (
        span(1, ms=300, status={"code": 2, "message": "down"}),
        span(2, 1, at=10),
        span(3, 2, at=20, ms=20),
    )

    async def line() -> Any:
        (found,) = (await telemetry.traces()).items
        return found.status, found.duration_ms, found.spans, found.started_at

    await post(app, body(leaf))
    assert await line() == ("running", None, 1, (NOW + 20 * 10**6) / 10**9)
    await post(app, body(child))
    assert await line() == ("running", None, 2, (NOW + 10 * 10**6) / 10**9)
    await post(app, body(child | {"spanId": f"{9:016x}", "flags": 0x300}))  # its parent is elsewhere, for good perhaps
    assert await line() == ("ok", 100.0, 3, (NOW + 10 * 10**6) / 10**9)
    await post(app, body(root | {"endTimeUnixNano": "0"}))
    assert await line() == ("running", None, 4, NOW / 10**9)
    await post(app, body(root))
    assert await line() == ("error", 300.0, 4, NOW / 10**9)
    second = span(8, at=1000, ms=50)
    await post(app, body(second))
    assert await line() == ("error", 1050.0, 5, NOW / 10**9)
    trace = await telemetry.trace(TRACE)
    assert trace is not None
    assert [int(s.span_id, 16) for s in trace.steps] == [1, 2, 9, 3, 8]
    assert trace.steps[0].error == "down"
    await storage.close()


async def test_what_is_no_request_is_refused_in_the_words_of_its_format(storage_of_sqlite: Storage) -> None:
    app = receiver(storage_of_sqlite, max_bytes=100_000)
    bomb = gzip.compress(b"x" * 10_000_000)
    deep = b'{"resourceSpans":' + b"[" * 50_000
    nested: Any = {"stringValue": "x"}
    for _ in range(90):
        nested = {"arrayValue": {"values": [nested]}}
    deepest = body(span(1) | {"attributes": [{"key": "a", "value": nested}]})
    refused = [
        (post(app, b"{", JSON), 400),
        (post(app, b"\xff\xff", PROTOBUF), 400),
        (post(app, b"[]"), 400),
        (post(app, b'{"resourceSpans": 7}'), 400),
        (post(app, deep), 400),
        (post(app, bomb, content_encoding="gzip"), 413),
        (post(app, b"x" * 200_000), 413),
        (post(app, b"", content_length="200000"), 413),
        (post(app, gzip.compress(body(span(1)))[:-9], content_encoding="gzip"), 400),
        (post(app, b"no gzip", content_encoding="gzip"), 400),
        (post(app, gzip.compress(b"") * 100, content_encoding="gzip"), 400),
        (post(app, b"", content_length="many"), 400),
        (post(app, b"", content_encoding="br"), 415),
        (post(app, b"", "text/plain"), 415),
        (post(app, b"", method="GET"), 405),
        (post(app, b"", path="/v1/metrics"), 404),
        (post(app, b"", client=("10.1.1.1", 9)), 403),
        (post(receiver(storage_of_sqlite, authorize=lambda h: None), b""), 401),
    ]
    for asked, status in refused:
        told, answer = await asked
        assert told == status, answer
    assert json.loads((await post(app, b"{"))[1])["code"] == 3
    assert b"no ExportTraceServiceRequest" in (await post(app, b"\xff", PROTOBUF))[1]
    for data, more in (
        (b"", {}), (b"{}", {}), (body(), {}),
        (zlib.compress(body(span(1))), {"content_encoding": "deflate"}),
        (gzip.compress(b"{") + gzip.compress(b"}"), {"content_encoding": "gzip"}),
        (deepest, {}),
    ):  # fmt: skip
        if data:
            assert await post(app, data, **more) == (200, b"{}"), data
    assert await post(app, b"", PROTOBUF) == (200, b"")
    with pytest.raises(InvalidInputError, match="by HTTP"):
        await app({"type": "websocket"}, None, None)
    with pytest.raises(InvalidInputError, match="at least 1"):
        receiver(storage_of_sqlite, max_bytes=0)


@pytest.fixture
async def storage_of_sqlite(tmp_path: Path):
    storage = open_storage(f"sqlite:///{tmp_path / 'otlp.db'}")
    yield storage
    await storage.close()


async def test_hostile_spans_are_left_out_or_made_harmless(storage: Storage) -> None:
    telemetry = Telemetry(storage)
    app = receiver(telemetry)
    good = span(1)
    bad = [
        good | {"traceId": "00"},
        good | {"traceId": "0" * 32},
        good | {"traceId": "z" * 32},
        good | {"spanId": ""},
        good | {"spanId": "0" * 16},
        good | {"parentSpanId": "12"},
        good | {"startTimeUnixNano": "0"},
        good | {"startTimeUnixNano": "-5"},
        good | {"startTimeUnixNano": "soon"},
        good | {"startTimeUnixNano": str(2**63 - 1), "endTimeUnixNano": str(2**64 - 1)},
        good | {"endTimeUnixNano": str(10**40)},
        good | {"attributes": [{"key": "n", "value": {"intValue": "many"}}]},
    ]
    status, answer = await post(app, body(*bad, good))
    told = json.loads(answer)["partialSuccess"]
    assert (status, told["rejectedSpans"]) == (200, str(len(bad)))
    assert "trace id" in told["errorMessage"]
    _, answer = await post(app, packed(good | {"traceId": "00"}, good), PROTOBUF)
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (partial.rejected_spans, "trace id" in partial.error_message) == (1, True)
    odd = [
        span(2, 2, name="its own parent"),
        span(3, 4, name="a\0b\n" * 200),
        span(4, 3, at=5),
        span(5, 99, at=-10**9, name="ancient"),
        span(6, 1, ms=-50, name="GET https://ann:hunter2@example.com/"),
        span(7, 1, attributes={"notes": "x", "queued_ms": "y", "attempt": [1], "lumosai.notes": 1, "run_id": 5, "big": "z" * 10**5}),
        span(8, 1, attributes={f"k{n}": n for n in range(1000)} | {"a" * 1000: 1}),
        span(
            9, 1,
            attributes={
                "lumosai.kind": "model_call", "gen_ai.usage.input_tokens": "many", "gen_ai.usage.output_tokens": -3,
                "lumosai.cost_usd": "NaN", "lumosai.time_to_first_chunk_ms": "x", "gen_ai.request.model": 7,
            },
        ),
        span(10, 1, attributes={"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 1.5, "gen_ai.usage.cost": 1}),
        span(11, 1, attributes={"gen_ai.operation.name": ["chat"], "error.type": 5}, status={"code": 2, "message": "\0"}),
        span(12, 1, events=[{"name": "exception", "timeUnixNano": "1", "attributes": pairs({"exception.type": "E"})}] * 200),
        span(13, 1, attributes={"lumosai.run.id": 7, "lumosai.kind": 5, "gen_ai.agent.name": 3, "x": float("1e308")}),
    ]  # fmt: skip
    assert await post(app, body(*odd)) == (200, b"{}")
    ring = [span(n, n % 3 + 1, trace=f"{9:032x}") for n in (1, 2, 3)]
    ring[0]["attributes"] = pairs({"lumosai.root_run.id": "a\0b", "user.id": "a\0b", "session.id": "a\0b"})
    assert await post(app, body(*ring)) == (200, b"{}")
    rung = await telemetry.trace(f"{9:032x}")
    assert rung is not None
    shown = [*lines_of(rung, style_for(io.StringIO()))]
    assert all(any(f"span {n}" in line for line in shown) for n in (1, 2, 3))
    trace = await telemetry.trace(TRACE)
    assert trace is not None
    assert len(trace.steps) == 13
    assert len([*lines_of(trace, style_for(io.StringIO()))]) == 14
    by_id = {int(s.span_id, 16): s for s in trace.steps}
    assert (by_id[6].duration_ms, by_id[6].name) == (0.0, "GET https://ann:[hidden]@example.com/")
    assert len(by_id[7].attributes["big"]) == 4096
    assert len(by_id[8].attributes) <= 257
    assert by_id[9].attributes["attribute.input_tokens"] == "many"
    assert trace.usage == Usage()
    (line,) = [t for t in (await telemetry.traces()).items if t.run_id == TRACE]
    assert line.spans == 13
    await storage.close()


async def test_names_that_are_too_many_are_kept_in_their_spans(storage: Storage) -> None:
    app = receiver(storage)
    app._names = type(app._names)(8)
    made = [
        span(n + 1, 1 if n else 0, at=n, name=f"GET /{n}", attributes={"gen_ai.agent.name": f"a{n}"}) for n in range(40)
    ]
    await post(app, body(*made))
    trace = await Telemetry(storage).trace(TRACE)
    assert trace is not None
    assert [s.name for s in trace.steps] == [f"GET /{n}" for n in range(40)]
    assert len({s.agent for s in trace.steps}) < 9
    await storage.close()


async def test_spans_of_a_run_that_was_recorded_here_are_left_to_it(storage: Storage) -> None:
    from lumosai import Agent
    from lumosai.testing import ScriptedModel

    telemetry = Telemetry(storage)
    agent = Agent("worker", model=ScriptedModel(lambda r: "ok"), observers=[telemetry])
    result = await agent.generate("go")
    await telemetry.flush()
    own = await telemetry.trace(result.run_id)
    assert own is not None
    root = own.steps[0]
    again = span(int(root.span_id, 16), trace=own.trace_id, attributes={"gen_ai.operation.name": "invoke_agent"})
    inner = span(77, int(root.span_id, 16), trace=own.trace_id, name="GET /x")
    app = receiver(storage)
    await post(app, body(again, inner))
    await post(app, body(again | {"attributes": pairs({"lumosai.root_run.id": own.run_id})}))
    assert (await telemetry.stats())[""].count == 1
    joined = await telemetry.trace(own.trace_id)
    assert joined is not None
    assert sorted(s.name for s in joined.steps) == sorted([s.name for s in own.steps] + ["GET /x"])
    await telemetry.close()
    await storage.close()


async def test_who_sends_to_where_he_records_has_each_run_once(storage: Storage) -> None:
    from lumosai import Agent
    from lumosai.telemetry.otlp_exporter import OtlpExporter
    from lumosai.testing import ScriptedModel

    telemetry = Telemetry(storage)
    async with serve(receiver(telemetry)) as port, OtlpExporter(f"http://127.0.0.1:{port}") as exporter:
        agent = Agent("worker", model=ScriptedModel(lambda r: "ok"), observers=[exporter, telemetry])
        for _ in range(3):
            await agent.generate("go")
        await exporter.flush()
    await telemetry.flush()
    lines = (await telemetry.traces()).items
    assert [(t.spans, t.status) for t in lines] == [(3, "ok")] * 3
    assert (await telemetry.stats(by="agent"))["worker"].count == 3
    await telemetry.close()
    await storage.close()


async def test_scopes_are_kept_apart_and_content_is_kept_out(storage: Storage) -> None:
    tenants = {"one": Scope("one"), "two": Scope("two", "ann")}

    async def authorize(headers: Any) -> Scope | None:
        return tenants.get(headers.get("x-key", ""))

    app = receiver(storage, authorize=authorize, content="off")
    for key in tenants:
        assert (await post(app, body(*AGENT), client=("10.0.0.1", 1), x_key=key))[0] == 200
    assert (await post(app, body(*AGENT), x_key="three"))[0] == 401
    for scope in tenants.values():
        telemetry = Telemetry(storage, scope=scope)
        (line,) = (await telemetry.traces()).items
        assert (line.owner, line.spans) == (scope.owner, 5)
        trace = await telemetry.trace(TRACE)
        assert trace is not None
        assert trace.steps[2].error is None
    full = receiver(storage, content="full")
    await post(full, body(*AGENT))
    trace = await Telemetry(storage).trace(TRACE)
    assert trace is not None
    assert "gen_ai.input.messages" in trace.steps[1].attributes
    await storage.close()


async def test_a_database_that_is_away_makes_the_sender_come_again(
    storage_of_sqlite: Storage, monkeypatch: Any
) -> None:
    app = receiver(storage_of_sqlite, most_waiting=1)
    go_on = asyncio.Event()

    async def away(*_: Any) -> Any:
        await go_on.wait()
        raise StorageUnavailableError("away")

    monkeypatch.setattr(type(storage_of_sqlite.telemetry), "arriving", away)
    first = asyncio.ensure_future(post(app, body(*AGENT)))
    await asyncio.sleep(0)
    assert (await post(app, body(*AGENT)))[0] == 429
    go_on.set()
    assert (await first)[0] == 503


async def test_a_hundred_thousand_spans_in_one_request(storage_of_sqlite: Storage) -> None:
    app = receiver(storage_of_sqlite)
    made = packed(span(1, ms=10**5))
    one = ExportTraceServiceRequest.FromString(made)
    spans = one.resource_spans[0].scope_spans[0].spans
    for n in range(5_000):
        spans.add(trace_id=spans[0].trace_id, span_id=(n + 2).to_bytes(8, "big"), parent_span_id=spans[0].span_id,
                  name="s", start_time_unix_nano=NOW + n, end_time_unix_nano=NOW + n + 5)  # fmt: skip
    assert await post(app, one.SerializeToString(), PROTOBUF) == (200, b"")
    (line,) = (await Telemetry(storage_of_sqlite).traces()).items
    assert (line.spans, line.status) == (5_001, "ok")


PROGRAM = """
    import sys
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    provider = TracerProvider(resource=Resource.create({"service.name": "other"}))
    exporter = OTLPSpanExporter(endpoint=sys.argv[1], compression=Compression.Gzip)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=2))
    tracer = provider.get_tracer("t")
    with tracer.start_as_current_span("invoke_agent bob", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "bob"}) as root:
        with tracer.start_as_current_span("chat m", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}):
            pass
        try:
            with tracer.start_as_current_span("execute_tool f", attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "f"}):
                raise KeyError("gone")
        except KeyError:
            pass
        print(f"{root.get_span_context().trace_id:032x}")
    provider.shutdown()
"""


async def test_the_exporter_of_opentelemetry_is_understood(storage_of_sqlite: Storage) -> None:
    async with serve(receiver(storage_of_sqlite)) as port:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", textwrap.dedent(PROGRAM), f"http://127.0.0.1:{port}/v1/traces"],
            capture_output=True,
            text=True,
            timeout=150,
        )
    assert done.returncode == 0, done.stderr
    trace = await Telemetry(storage_of_sqlite).trace(done.stdout.strip())
    assert trace is not None
    assert [(s.kind, s.name, s.agent, s.error_type) for s in trace.steps] == [
        ("run", "bob", "bob", None),
        ("model_call", "m", "", None),
        ("tool_call", "f", "", "KeyError"),
    ]
    assert (trace.status, trace.agent_id, trace.steps[2].error) == ("ok", "bob", "KeyError: 'gone'")
