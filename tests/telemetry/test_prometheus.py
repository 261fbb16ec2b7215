"""`/metrics`: what Prometheus' own parsers read of it, and the rules that promtool checks."""

from __future__ import annotations

import asyncio
import math
import re
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as classic

from lumosai import Agent, tool
from lumosai.errors import InvalidInputError, LumosaiError, ServerError
from lumosai.records import Scope, Usage
from lumosai.storage import Storage
from lumosai.telemetry import AgentMetrics, MetricsCollector, Telemetry
from lumosai.telemetry.prometheus import LONG, SHORT, PrometheusMetrics, endpoint
from lumosai.testing import Answer, ScriptedModel, call
from tests.asgi import send, serve

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def script(request: Any) -> Any:
    if request.messages[-1].role == "user":
        return Answer(text="", calls=[call("add", a=1, b=2)], usage=Usage(10, 5, 0, 0, 0, 15))
    return Answer(text="3", usage=Usage(20, 1, 0, 0, 0, 21))


async def runs(*observers: Telemetry) -> None:
    good = Agent('wor"ker\n', model=ScriptedModel(script, price=(1, 2)), tools=[add], observers=observers)
    for _ in range(3):
        await good.generate("go")
    bad = Agent("bad", model=ScriptedModel(lambda r: ServerError("down", retry_after_s=0)), observers=observers)
    with pytest.raises(LumosaiError):
        await bad.generate("go")
    for telemetry in observers:
        await telemetry.flush()


async def scraped(app: Any, accept: str = "") -> tuple[str, dict[str, Any]]:
    async with serve(app) as port:
        status, headers, body = await asyncio.to_thread(send, port, "GET", "/metrics", None, accept=accept)
    text = body.decode()
    assert status == 200, text
    newer = "openmetrics" in headers["content-type"]
    assert newer == ("openmetrics" in accept)
    assert newer or "version=0.0.4" in headers["content-type"]
    families = {f.name: f for f in (openmetrics if newer else classic)(text)}
    sound(text, newer=newer)
    return text, {s.name + str(sorted(s.labels.items())): s.value for f in families.values() for s in f.samples}


def sound(text: str, *, newer: bool) -> None:
    """What promtool checks: each metric once, with help and type, counters end in _total, histograms rise to +Inf."""
    names = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    assert len({n for n, _ in names}) == len(names)
    assert sorted(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE)) == sorted(n for n, _ in names)
    for name, kind in names:
        assert re.fullmatch(r"[a-z_]+", name)
        assert (kind == "counter" and not newer) == name.endswith("_total")
        assert not name.endswith(("_count", "_sum", "_bucket"))
    samples = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len({s.rpartition(" ")[0] for s in samples}) == len(samples)
    for family in (openmetrics if newer else classic)(text):
        if family.type == "histogram":
            rows: dict[Any, list[tuple[float, float]]] = {}
            for s in family.samples:
                if s.name.endswith("_bucket"):
                    rest = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
                    rows.setdefault(rest, []).append((float(s.labels["le"]), s.value))
            for row in rows.values():
                assert row == sorted(row)
                assert row[-1][0] == math.inf
                assert [c for _, c in row] == sorted(c for _, c in row)


def value(samples: dict[str, float], name: str, **labels: str) -> float:
    return samples[name + str(sorted(labels.items()))]


AGENT = {"gen_ai_agent_name": 'wor"ker\n'}
CALL = {
    "gen_ai_operation_name": "chat",
    "gen_ai_provider_name": "scripted",
    "gen_ai_request_model": "scripted",
    **AGENT,
}


async def test_a_collector_tells_what_this_process_measured() -> None:
    collector = PrometheusMetrics()
    assert isinstance(collector, MetricsCollector)
    telemetry = Telemetry(collectors=[collector])
    await runs(telemetry)
    for accept in ("", f"{OPENMETRICS};q=0.9, text/plain;q=0.5"):
        _, samples = await scraped(endpoint(collector), accept)
        assert value(samples, "gen_ai_client_operation_duration_seconds_count", **CALL) == 6
        assert value(samples, "gen_ai_invoke_agent_duration_seconds_count", **AGENT) == 3
        tool_ = {"gen_ai_operation_name": "execute_tool", "gen_ai_tool_name": "add", **AGENT}
        assert value(samples, "gen_ai_execute_tool_duration_seconds_bucket", le="81.92", **tool_) == 3
        tokens = {"gen_ai_token_type": "input", **CALL}
        assert [
            value(samples, "gen_ai_client_token_usage_bucket", le=le, **tokens) for le in ("4.0", "16.0", "64.0")
        ] == [0, 3, 6]
        assert value(samples, "gen_ai_client_inference_usage_input_tokens_total", **CALL) == 90
        for name, total in (("inference_calls", 6), ("tool_calls", 3)):
            assert value(samples, f"gen_ai_invoke_agent_{name}_sum", **AGENT) == total
            assert value(samples, f"gen_ai_invoke_agent_{name}_bucket", le="1.0", **AGENT) == (3 if total == 3 else 0)
        assert value(samples, "gen_ai_invoke_agent_tool_calls_count", gen_ai_agent_name="bad") == 1, "none is told too"
        assert value(samples, "lumosai_cost_usd_total", **CALL) == pytest.approx(90e-6 + 36e-6)
        failed = {
            "gen_ai_operation_name": "invoke_agent",
            "gen_ai_request_model": "scripted:scripted",
            "gen_ai_agent_name": "bad",
        }
        assert value(samples, "lumosai_errors_total", **failed) == 1
        assert value(samples, "process_resident_memory_bytes") > 10**6
    assert SHORT[0] == 0.01
    assert (SHORT[-1], LONG[-1]) == (81.92, 409.6)


async def test_the_latest_names(storage: Storage) -> None:
    collector = PrometheusMetrics()
    telemetry = Telemetry(storage, collectors=[collector])
    await runs(telemetry)
    for source in (collector, telemetry):
        text, samples = await scraped(endpoint(source, profile="latest"))
        assert value(samples, "gen_ai_client_inference_duration_seconds_count", **CALL) == 6
        assert "gen_ai_client_operation_duration" not in text
        assert "gen_ai_client_token_usage" not in text
        if source is collector:
            assert value(samples, "gen_ai_client_inference_operation_input_tokens_sum", **CALL) == 90
            assert value(samples, "gen_ai_client_inference_operation_output_tokens_count", **CALL) == 6
        assert value(samples, "gen_ai_client_inference_usage_input_tokens_total", **CALL) == 90
    with pytest.raises(InvalidInputError):
        endpoint(collector, profile="1.0")  # type: ignore[arg-type]
    await telemetry.close()


async def test_a_storage_tells_what_all_processes_measured(storage: Storage) -> None:
    telemetry = Telemetry(storage)
    await runs(telemetry)
    _, live = await scraped(endpoint(telemetry))
    assert value(live, "lumosai_telemetry_dropped_spans_total") == 0
    _, stored = await scraped(endpoint(storage), OPENMETRICS)
    for samples in (live, stored):
        assert value(samples, "gen_ai_client_operation_duration_seconds_count", **CALL) == 6
        assert value(samples, "gen_ai_client_inference_usage_output_tokens_total", **CALL) == 18
    await telemetry.close()
    await storage.close()


async def test_names_that_are_too_many_are_one_and_what_is_counted_only_grows(storage: Storage) -> None:
    telemetry = Telemetry(storage)
    few = endpoint(telemetry, max_series=3)
    before = 0.0
    for turn in range(3):
        for n in range(4):
            await telemetry.save_metrics(AgentMetrics(agent_id=f"a{turn}{n}", execution_time_ms=5.0))
        _, samples = await scraped(few)
        counts = {k: v for k, v in samples.items() if k.startswith("gen_ai_invoke_agent_duration_seconds_count")}
        assert len(counts) == 4
        other = value(samples, "gen_ai_invoke_agent_duration_seconds_count", gen_ai_agent_name="_OTHER")
        assert other == 4 * (turn + 1) - 3 > before
        before = other
    collector = PrometheusMetrics(max_series=2)
    for n in range(5):
        collector.record_tool_execution(f"t{n}", 1.0, "E" if n else None)
        collector.record_memory_operation(f"m{n}", 1.0)
        collector.record_agent_execution(AgentMetrics(agent_id=f"a{n}", token_usage=Usage(7, 1)))
    _, samples = await scraped(endpoint(collector))
    other_tool = {"gen_ai_operation_name": "execute_tool", "gen_ai_tool_name": "_OTHER", "gen_ai_agent_name": "_OTHER"}
    assert value(samples, "gen_ai_execute_tool_duration_seconds_count", **other_tool) == 3
    await storage.close()


async def test_who_may_not_ask_and_what_is_not_there(storage: Storage) -> None:
    async def asked(app: Any, **more: Any) -> int:
        answers: list[Any] = []

        async def send_(message: Any) -> None:
            answers.append(message)

        asgi = {"type": "http", "method": "GET", "path": "/metrics", "headers": (), "client": ("127.0.0.1", 1)} | more
        await app(asgi, None, send_)
        return answers[0]["status"]

    app = endpoint(storage)
    assert [
        await asked(app),
        await asked(app, method="HEAD"),
        await asked(app, method="POST"),
        await asked(app, path="/other"),
        await asked(app, client=("10.0.0.1", 1)),
        await asked(endpoint(storage, authorize=lambda h: False)),
        await asked(endpoint(storage, authorize=lambda h: True), client=("10.0.0.1", 1)),
        await asked(endpoint(storage, scope=Scope("default", "ann"))),
    ] == [200, 200, 405, 404, 403, 401, 200, 503]
    with pytest.raises(InvalidInputError, match="by HTTP"):
        await app({"type": "websocket"}, None, None)
    with pytest.raises(InvalidInputError, match="keeps nothing"):
        endpoint(Telemetry())
    await storage.close()
