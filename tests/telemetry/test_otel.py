"""OpenTelemetry out: spans, metrics and events as the conventions have them, through a real SDK that keeps them in memory."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from jsonschema import validate
from opentelemetry import baggage, context, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from lumosai import Agent, Memory, Message, ToolContext, tool
from lumosai.errors import AuthenticationError, InvalidInputError, ServerError
from lumosai.events import Event, ModelCallStarted, RunStarted, TextDelta, ToolCallStart
from lumosai.messages import FilePart, ImagePart, ReasoningPart
from lumosai.models.prices import Price
from lumosai.models.retry import RetryModel
from lumosai.records import ModelSettings, Usage
from lumosai.storage import SqliteStorage
from lumosai.telemetry.otel import OpenTelemetry
from lumosai.telemetry.trace import trace_of
from lumosai.testing import Answer, ScriptedModel, call
from tests.agent.helpers import add, broken, of, record
from tests.conftest import ROOT
from tests.telemetry import genai_schemas as schemas


class Seen:
    """What an SDK was given."""

    def __init__(self, **options: Any) -> None:
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider(sampler=options.pop("sampler", None), shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._metrics = InMemoryMetricReader()
        self.meters = MeterProvider([self._metrics], shutdown_on_exit=False)
        self._logs = InMemoryLogRecordExporter()
        self.loggers = LoggerProvider(shutdown_on_exit=False)
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self.observer = OpenTelemetry(self.tracers, self.meters, logger_provider=self.loggers, **options)

    @property
    def spans(self) -> dict[str, Any]:
        return {s.name: s for s in self._spans.get_finished_spans()}

    @property
    def all(self) -> list[Any]:
        return list(self._spans.get_finished_spans())

    @property
    def events(self) -> list[Any]:
        return [r.log_record for r in self._logs.get_finished_logs()]

    @property
    def metrics(self) -> dict[str, Any]:
        data = self._metrics.get_metrics_data()
        if data is None:
            return {}
        return {m.name: m.data.data_points for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}


@pytest.fixture
def silent(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nobody complains."""
    with caplog.at_level(logging.WARNING):
        yield
    assert [r.getMessage() for r in caplog.records] == []


SETTINGS = ModelSettings(
    temperature=0.5, top_p=0.9, max_output_tokens=100, stop=("END",), seed=7, extra={"top_k": 40, "n": 2}
)
SCRIPT = [
    Answer(text="Let me add.", calls=[call("add", a=1, b=2)], usage=Usage(100, 20, 5, 30, 10, 120)),
    Answer(text="It is 3.", usage=Usage(150, 8, total_tokens=158)),
]


def answering(script: Any, seen: Seen, **options: Any) -> Agent:
    model = ScriptedModel(script, provider="gemini", name="gemini-x", endpoint="https://models.example:8443/v1")
    model.price = Price(Decimal(1), Decimal(2))
    options.setdefault("tools", [add, broken])
    return Agent("adder", model=model, observers=[seen.observer], **options)


def ids(span: Any) -> tuple[str, str]:
    return trace.format_trace_id(span.context.trace_id), trace.format_span_id(span.context.span_id)


def under(span: Any, parent: Any) -> bool:
    return span.parent is not None and span.parent.span_id == parent.context.span_id


@pytest.mark.parametrize("kept", [False, True])
async def test_a_run_with_a_tool(kept: bool, tmp_path: Any, silent: None) -> None:
    """Every span with its name, kind, parent and attributes; its ids in the events; each metric is its span's duration."""
    seen = Seen()
    storage = SqliteStorage(str(tmp_path / "x.db")) if kept else None
    agent = answering(
        SCRIPT, seen, settings=SETTINGS, version="7", storage=storage, memory=Memory(storage) if kept else None
    )
    options = {"thread_id": "t1"} if kept else {}
    events, result = await record(agent, **options)
    assert result.text == "It is 3."
    spans = seen.spans
    run, done = spans["invoke_agent adder"], spans["execute_tool add"]
    chats = [s for s in seen.all if s.name == "generate_content gemini-x"]
    assert len(chats) == 2
    assert {s.name for s in seen.all} == {
        "invoke_agent adder",
        "execute_tool add",
        "generate_content gemini-x",
    } | ({"search_memory", "create_memory"} if kept else set())
    assert run.parent is None
    assert all(under(s, run) for s in seen.all if s is not run)
    assert [s.kind for s in (run, done, *chats)] == [SpanKind.INTERNAL] * 2 + [SpanKind.CLIENT] * 2
    assert all(s.status.status_code is StatusCode.UNSET for s in seen.all)

    started = of(events, RunStarted)[0]
    assert ids(run) == (started.trace_id, started.span_id)
    assert [ids(c)[1] for c in chats] == [e.span_id for e in of(events, ModelCallStarted)]
    assert ids(done)[1] == of(events, ToolCallStart)[0].span_id
    trace_of(events)

    conversation = {"gen_ai.conversation.id": "t1"} if kept else {}
    asked = {
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 7,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.choice.count": 2,
    }
    first = dict(chats[0].attributes)
    assert first.pop("gen_ai.response.time_to_first_chunk") > 0
    assert first == asked | conversation | {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.agent.name": "adder",
        "gen_ai.request.model": "gemini-x",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "gemini-x",
        "gen_ai.response.finish_reasons": ("tool_calls",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.cache_creation.input_tokens": 10,
        "server.address": "models.example",
        "server.port": 8443,
        "lumosai.run.id": result.run_id,
        "lumosai.purpose": "answer",
        "lumosai.step": 0,
        "lumosai.attempts": 1,
        "lumosai.cost_usd": first["lumosai.cost_usd"],
    }
    of_tool = dict(done.attributes)
    assert of_tool == conversation | {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "add",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "Add two numbers.",
        "gen_ai.tool.call.id": of(events, ToolCallStart)[0].call.id,
        "gen_ai.agent.name": "adder",
        "lumosai.run.id": result.run_id,
        "lumosai.idempotency_key": of(events, ToolCallStart)[0].idempotency_key,
        **({"lumosai.queued_s": of_tool["lumosai.queued_s"]} if "lumosai.queued_s" in of_tool else {}),
    }
    assert dict(run.attributes) == asked | conversation | {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.agent.name": "adder",
        "gen_ai.agent.version": "7",
        "gen_ai.request.model": "gemini-x",
        "gen_ai.response.model": "gemini-x",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 250,
        "gen_ai.usage.output_tokens": 28,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.cache_creation.input_tokens": 10,
        "lumosai.run.id": result.run_id,
        "lumosai.finish_reason": "stop",
        "lumosai.cost_usd": float(result.cost_usd),
    }

    def took(*of_these: Any) -> float:
        return sum(s.end_time - s.start_time for s in of_these) / 1e9

    metrics = seen.metrics
    for name, of_these in (
        ("gen_ai.invoke_agent.duration", [run]),
        ("gen_ai.execute_tool.duration", [done]),
        ("gen_ai.client.operation.duration", [s for s in seen.all if s not in (run, done)]),
    ):
        assert sum(p.sum for p in metrics[name]) == pytest.approx(took(*of_these), abs=1e-9), name
        assert sum(p.count for p in metrics[name]) == len(of_these)
    (duration,) = [p for p in metrics["gen_ai.client.operation.duration"] if "server.port" in p.attributes]
    assert duration.explicit_bounds == pytest.approx([0.01 * 2**k for k in range(14)])
    assert duration.attributes == {
        k: v
        for k, v in first.items()
        if k.startswith("server.")
        or k in ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model")
    }
    tokens = {p.attributes["gen_ai.token.type"]: p for p in metrics["gen_ai.client.token.usage"]}
    assert (tokens["input"].sum, tokens["output"].sum) == (250, 28)
    assert tokens["input"].explicit_bounds == tuple(4.0**k for k in range(14))
    assert metrics["gen_ai.invoke_agent.inference_calls"][0].sum == 2
    assert metrics["gen_ai.invoke_agent.tool_calls"][0].sum == 1
    assert metrics["gen_ai.client.operation.time_to_first_chunk"][0].count == 2
    assert metrics["gen_ai.client.operation.time_per_output_chunk"][0].count > 2
    assert sum(p.value for p in metrics["lumosai.cost"]) == pytest.approx(float(result.cost_usd))
    assert seen.events == []
    assert seen.observer._spans._open == {}
    assert seen.observer._spans._runs == {}
    if storage is not None:
        await storage.close()


async def test_two_sdks(silent: None) -> None:
    """Both are told all; the ids are the first one's."""
    first, second = Seen(), Seen()
    agent = answering(SCRIPT, first)
    events, _ = await record(agent.replace(observers=[first.observer, second.observer]))
    assert ids(first.spans["invoke_agent adder"])[1] == of(events, RunStarted)[0].span_id
    for seen in (first, second):
        assert len(seen.all) == 4
        assert seen.spans["invoke_agent adder"].attributes["lumosai.finish_reason"] == "stop"
        assert seen.spans["execute_tool add"].attributes["lumosai.idempotency_key"]
        assert seen.observer._spans._open == {}


async def test_a_typed_answer(silent: None) -> None:
    seen = Seen()
    agent = Agent("typed", model=ScriptedModel("[1, 2]"), output_type=list[int], observers=[seen.observer])
    assert (await agent.generate("go")).output == [1, 2]
    assert [s.attributes["gen_ai.output.type"] for s in seen.all] == ["json", "json"]


async def test_the_latest_names(silent: None) -> None:
    """What the newer wording calls otherwise, and what it leaves out."""
    seen = Seen(profile="latest")
    await answering(SCRIPT, seen, version="7", settings=ModelSettings(reasoning="low")).generate("go")
    run = dict(seen.spans["invoke_agent adder"].attributes)
    assert "gen_ai.provider.name" not in run
    assert "gen_ai.agent.version" not in run
    chat = next(s for s in seen.all if s.kind is SpanKind.CLIENT)
    assert chat.attributes["gen_ai.usage.cache_write.input_tokens"] == 10
    assert chat.attributes["gen_ai.request.reasoning.level"] == "low"
    metrics = seen.metrics
    assert "gen_ai.client.token.usage" not in metrics
    assert "gen_ai.client.operation.duration" not in metrics
    assert metrics["gen_ai.client.inference.duration"][0].count == 2
    counted = {k.rpartition("usage.")[2]: v[0].value for k, v in metrics.items() if ".inference.usage." in k}
    assert counted == {
        "input_tokens": 250,
        "output_tokens": 28,
        "cache_read.input_tokens": 30,
        "cache_write.input_tokens": 10,
        "reasoning.output_tokens": 5,
    }
    assert metrics["gen_ai.client.inference.operation.input_tokens"][0].sum == 250
    with pytest.raises(InvalidInputError, match=r"'1\.41' or 'latest'"):
        Seen(profile="2")


async def test_content_fits_the_published_schemas(silent: None) -> None:
    """All kinds of parts, in and out, and no secret among them."""
    seen = Seen(content="full")
    said = Message.user(
        "my key is sk-abcdefghijklmnop0123456789",
        ImagePart(data=b"png"),
        ImagePart(url="https://x.example/a.png"),
        FilePart(file_id="f1", media_type="application/pdf"),
        FilePart(data=b"x" * 100_000),
    )
    answer = [
        [ReasoningPart("Hm.", provider="gemini"), call("add", a=1, b=2), call("broken", text="x")],
        Answer(text="3", finish="length"),
    ]
    await answering(answer, seen, instructions="Be brief.").generate([said])
    chats = [s for s in seen.all if s.kind is SpanKind.CLIENT]
    told: dict[str, Any] = {}
    for name, schema in (
        ("gen_ai.input.messages", schemas.INPUT_MESSAGES),
        ("gen_ai.output.messages", schemas.OUTPUT_MESSAGES),
        ("gen_ai.system_instructions", schemas.SYSTEM_INSTRUCTIONS),
        ("gen_ai.tool.definitions", schemas.TOOL_DEFINITIONS),
    ):
        told[name] = json.loads(chats[1].attributes[name])
        validate(told[name], schema)
        if name in ("gen_ai.input.messages", "gen_ai.output.messages"):
            validate(json.loads(seen.spans["invoke_agent adder"].attributes[name]), schema)
    kinds = [p["type"] for m in told["gen_ai.input.messages"] for p in m["parts"]]
    assert kinds[:5] == ["text", "blob", "uri", "file", "omitted"]
    assert kinds[5:] == ["reasoning", "tool_call", "tool_call", "tool_call_response", "tool_call_response"]
    assert "[hidden]" in told["gen_ai.input.messages"][0]["parts"][0]["content"]
    assert told["gen_ai.output.messages"][0]["finish_reason"] == "length"
    assert json.loads(chats[0].attributes["gen_ai.output.messages"])[0]["finish_reason"] == "tool_call"
    assert told["gen_ai.system_instructions"] == [{"type": "text", "content": "Be brief."}]
    assert {t["name"] for t in told["gen_ai.tool.definitions"]} == {"add", "broken"}
    done = seen.spans["execute_tool add"].attributes
    assert json.loads(done["gen_ai.tool.call.arguments"]) == {"a": 1, "b": 2}
    assert done["gen_ai.tool.call.result"] == "3"


@pytest.mark.parametrize(
    ("place", "emit", "content", "on_span", "events", "in_event"),
    [
        ("", "", None, False, 0, False),
        ("NO_CONTENT", "true", None, False, 1, False),
        ("SPAN_ONLY", "", None, True, 0, False),
        ("event_only", "", None, False, 1, True),
        ("SPAN_AND_EVENT", "", None, True, 1, True),
        ("SPAN_AND_EVENT", "false", None, True, 0, False),
        ("SPAN_AND_EVENT", "", "off", False, 0, False),
        ("EVENT_ONLY", "", "full", False, 1, True),
        ("", "", "full", True, 0, False),
    ],
)
async def test_where_content_goes(
    place: str, emit: str, content: Any, on_span: bool, events: int, in_event: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The convention's variables say where, the argument whether."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", place)
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", emit)
    seen = Seen(content=content)
    await answering("Hi", seen).generate("go")
    assert ("gen_ai.output.messages" in seen.spans["generate_content gemini-x"].attributes) is on_span
    assert len(seen.events) == events
    if events:
        (event,) = seen.events
        assert event.event_name == "gen_ai.client.inference.operation.details"
        assert event.span_id == seen.spans["generate_content gemini-x"].context.span_id
        assert ("gen_ai.output.messages" in event.attributes) is in_event


async def test_one_span_for_all_attempts_of_a_request(silent: None) -> None:
    """What failed before the answer is told by notes, not by spans."""
    seen = Seen(content="metadata")
    script = [ServerError("busy", provider="p", model="m", status=503), "Hi"]
    model = RetryModel(ScriptedModel(script), sleep=_no_sleep)
    events, _ = await record(Agent("adder", model=model, observers=[seen.observer]))
    assert len(of(events, ModelCallStarted)) == 2
    (chat,) = [s for s in seen.all if s.kind is SpanKind.CLIENT]
    assert chat.attributes["lumosai.attempts"] == 2
    assert "error.type" not in chat.attributes
    assert [e.name for e in chat.events] == ["lumosai.retrying"]
    assert ids(chat)[1] == of(events, ModelCallStarted)[0].span_id
    assert seen.metrics["gen_ai.client.operation.duration"][0].count == 1


async def _no_sleep(_: float) -> None:
    pass


@pytest.mark.parametrize("kept", [False, True])
async def test_what_goes_wrong(kept: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, silent: None) -> None:
    """A status and an `error.type` on what failed, its words only where they may be told, an event of the exception."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", "true")
    storage = SqliteStorage(str(tmp_path / "x.db")) if kept else None
    for content, words in (("metadata", "no key: [hidden]"), ("off", None)):
        seen = Seen(content=content, profile="latest")
        error = AuthenticationError("no key: sk-abcdefghijklmnop0123456789", provider="p", model="m", status=401)
        script = [[call("broken", text="x"), call("nothing")], error]
        _, raised = await record(answering(script, seen, storage=storage))
        assert isinstance(raised, AuthenticationError)
        run, chat = seen.spans["invoke_agent adder"], seen.all[-2]
        for span in (run, chat):
            assert span.status.status_code is StatusCode.ERROR
            assert span.status.description == words
            assert span.attributes["error.type"] == "AuthenticationError"
        assert seen.spans["execute_tool broken"].attributes["error.type"] == "ValueError"
        assert seen.spans["execute_tool nothing"].attributes["error.type"] == "undeclared"
        failed = [p for p in seen.metrics["gen_ai.client.inference.duration"] if "error.type" in p.attributes]
        assert [p.count for p in failed] == [1]
        assert seen.metrics["gen_ai.invoke_agent.tool_calls"][0].sum == 2
        told = {e.event_name: e.attributes for e in seen.events}
        assert told["gen_ai.client.operation.exception"].get("exception.message") == words
        assert "gen_ai.execute_tool.exception" in told
    if storage is not None:
        await storage.close()


async def test_the_spans_of_instrumented_clients_are_the_tools(silent: None) -> None:
    """What a tool's thread or task opens is inside the tool's span, the run inside the caller's; baggage goes through."""
    seen = Seen()
    tracer = seen.tracers.get_tracer("client")
    sent: list[dict[str, str]] = []

    @tool
    def in_thread(context: ToolContext) -> str:
        """Asks."""
        sent.append(context.trace_headers)
        with tracer.start_as_current_span("GET thread"):
            return "ok"

    @tool
    async def in_task() -> str:
        """Asks."""
        with tracer.start_as_current_span("GET task"):
            await asyncio.sleep(0)
        return "ok"

    agent = answering([[call("in_thread"), call("in_task")], "done"], seen, tools=[in_thread, in_task])
    token = context.attach(baggage.set_baggage("user", "al ice"))
    with tracer.start_as_current_span("request"):
        await agent.generate("go")
        after = tracer.start_span("after")
        after.end()
    context.detach(token)
    spans = seen.spans
    assert under(spans["GET thread"], spans["execute_tool in_thread"])
    assert under(spans["GET task"], spans["execute_tool in_task"])
    assert under(spans["invoke_agent adder"], spans["request"])
    assert under(spans["after"], spans["request"])
    trace_id, span_id = ids(spans["execute_tool in_thread"])
    assert sent == [{"traceparent": f"00-{trace_id}-{span_id}-01", "baggage": "user=al+ice"}]


async def test_other_instrumentations_find_the_conversation(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, silent: None
) -> None:
    """It is on the context under the keys that they read, a sub-run's spans have it, and none is ever made up."""
    theirs = types.ModuleType("theirs")
    theirs.CONVERSATION_ID_KEY = context.create_key("conversation")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "opentelemetry.util.genai._conversation_context", theirs)
    keys = ("gen_ai.conversation.id", "session.id", theirs.CONVERSATION_ID_KEY)
    found: list[tuple[Any, ...]] = []

    @tool
    def look() -> str:
        """Looks at the context in a thread."""
        found.append(tuple(context.get_value(key) for key in keys))
        return "ok"

    seen = Seen()
    inner = Agent("inner", model=ScriptedModel([call("look"), "done"] * 3), tools=[look])
    agent = answering([call("inner", task="x"), "done"] * 3, seen, tools=[inner.as_tool()])
    memory = Memory(f"sqlite:///{tmp_path / 'x.db'}")
    told = []
    token = None
    for options in ({"thread_id": "t-1", "memory": memory}, {}, {}):
        before = len(seen.all)
        if len(told) == 2:
            token = context.attach(context.set_value("session.id", "outer"))
        await agent.generate("go", **options)
        told.append({s.attributes.get("gen_ai.conversation.id") for s in seen.all[before:] if "memory" not in s.name})
    assert token is not None
    context.detach(token)
    await memory.close()
    assert told == [{"t-1"}, {None}, {"outer"}]
    assert found == [("t-1",) * 3, (None,) * 3, ("outer",) * 3]
    assert context.get_value("session.id") is None


async def test_a_callers_trace_is_gone_on_with(silent: None) -> None:
    """A `traceparent` that is given is the parent, unless the span that is open here is of that trace already."""
    seen = Seen()
    above = f"00-{'a' * 32}-{'b' * 16}-01"
    events, _ = await record(answering("x", seen), traceparent=above, tracestate="v=1", baggage="c=2")
    run = seen.spans["invoke_agent adder"]
    assert ids(run)[0] == "a" * 32 == of(events, RunStarted)[0].trace_id
    assert trace.format_span_id(run.parent.span_id) == "b" * 16 == of(events, RunStarted)[0].parent_span_id
    assert run.context.trace_state.to_header() == "v=1"
    assert of(events, RunStarted)[0].baggage == "c=2"
    with seen.tracers.get_tracer("server").start_as_current_span("POST") as server:
        header = f"00-{trace.format_trace_id(server.get_span_context().trace_id)}-{'b' * 16}-01"
        await answering("y", seen).generate("go", traceparent=header)
    assert under(seen.all[-2], seen.spans["POST"])


async def test_the_sampler_wins(silent: None) -> None:
    """A trace that is not sampled is exported nowhere, and is told so to whom it is sent on."""
    seen = Seen(sampler=ALWAYS_OFF)
    agent = answering(SCRIPT, seen)
    events, _ = await record(agent)
    assert seen.all == []
    assert agent.model.requests[0].trace.endswith("-00")
    assert agent.model.requests[0].trace[3:35] == of(events, RunStarted)[0].trace_id
    assert seen.metrics["gen_ai.invoke_agent.duration"][0].count == 1


async def test_without_an_sdk(silent: None) -> None:
    """The API alone gives no ids, and the run keeps its own, even inside a span of somebody else's."""
    agent = Agent("adder", model=ScriptedModel("x"), observers=[OpenTelemetry(trace.NoOpTracerProvider())])
    events, _ = await record(agent, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    started = of(events, RunStarted)[0]
    assert (started.trace_id, started.parent_span_id) == ("a" * 32, "b" * 16)
    assert started.span_id != "b" * 16
    trace_of(events)


async def test_sub_runs_approvals_and_pauses(silent: None) -> None:
    """An agent that is asked in a tool is inside the tool's span; what waits is told; equal observers tell a run once."""
    seen = Seen()
    again = OpenTelemetry(seen.tracers, seen.meters, logger_provider=seen.loggers)
    assert again == seen.observer
    pay = tool(name="pay", description="Pays.", approval=True)(lambda: "paid")
    inner = Agent("inner", model=ScriptedModel([call("pay"), "done"]), tools=[pay], observers=[again])
    outer = answering([call("inner", task="go"), "fine"], seen, tools=[inner.as_tool()])
    async with outer.stream("go") as run:
        async for event in run:
            if type(event).__name__ == "ApprovalRequested":
                run.approve(event.call.id, by="ann")
        await run.result()
    spans = seen.spans
    assert len(seen.all) == len({s.context.span_id for s in seen.all}) == 2 + 4 + 2
    assert under(spans["invoke_agent inner"], spans["execute_tool inner"])
    assert under(spans["execute_tool pay"], spans["invoke_agent inner"])
    notes = [e.name for e in spans["execute_tool pay"].events]
    assert notes == ["lumosai.approval_requested", "lumosai.approval_resolved"]
    assert again._spans._runs == {} == seen.observer._spans._open

    seen = Seen()
    paused = await answering([call("pay")], seen, tools=[pay]).generate("go")
    assert paused.finish_reason == "paused"
    assert seen.spans["invoke_agent adder"].attributes["lumosai.finish_reason"] == "paused"
    assert seen.spans["execute_tool pay"].attributes["lumosai.pending"] is True


@pytest.mark.parametrize("kept", [False, True])
async def test_a_sub_agent_alone(kept: bool, tmp_path: Any, silent: None) -> None:
    """Of a caller that nobody observes, its sub-agents are told whole, two at a time too."""
    seen = Seen()
    storage = SqliteStorage(str(tmp_path / "x.db")) if kept else None
    inner = answering(lambda request: "done" if len(request.messages) > 2 else call("add", a=1, b=2), seen)
    script = [[call("adder", task="a"), call("adder", task="b")], "fine"]
    outer = Agent("outer", model=ScriptedModel(script), tools=[inner.as_tool()], storage=storage)
    result = await outer.generate("go")
    runs = [s for s in seen.all if s.name == "invoke_agent adder"]
    assert len(runs) == 2
    assert [r.attributes["lumosai.finish_reason"] for r in runs] == ["stop"] * 2
    assert len(seen.all) == 2 * 4
    assert seen.metrics["gen_ai.invoke_agent.duration"][0].count == 2
    assert result.finish_reason == "stop"
    assert seen.observer._spans._open == {} == seen.observer._spans._runs
    if storage is not None:
        await storage.close()


async def test_a_resumed_run_goes_on_in_its_trace(tmp_path: Any, silent: None) -> None:
    seen, later = Seen(), Seen()
    storage = SqliteStorage(str(tmp_path / "x.db"))
    pay = tool(name="pay", description="Pays.", approval=True)(lambda: "paid")
    paused = await answering([call("pay")], seen, tools=[pay], storage=storage).generate("go")
    async with answering(["done"], later, tools=[pay], storage=storage).resume(paused.run_id) as run:
        run.approve(paused.pending[0].id)
        await run.result()
    first, second = seen.spans["invoke_agent adder"], later.spans["invoke_agent adder"]
    assert ids(first)[0] == ids(second)[0]
    assert under(second, first)
    assert second.attributes["lumosai.resumed"] is True
    assert second.attributes["lumosai.finish_reason"] == "stop"
    assert under(later.spans["execute_tool pay"], second)
    await storage.close()


def waiting() -> Answer:
    return Answer(deltas=["Once upon a time. ", "b"], gate=asyncio.Event(), gate_at=1)


async def _break(agent: Agent) -> None:
    async with agent.stream("go") as run:
        async for event in run:
            if type(event) is TextDelta:
                break


async def _cancel(agent: Agent) -> None:
    task = asyncio.ensure_future(agent.generate("go"))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _close_generator(agent: Agent) -> None:
    async with agent.stream("go") as run:
        texts = run.text()
        await anext(texts)
        await texts.aclose()


@pytest.mark.parametrize(
    ("leave", "script"),
    [(_break, waiting), (_close_generator, waiting), (_cancel, waiting), (_cancel, lambda: call("hang"))],
)
async def test_leaving_early(leave: Callable[[Agent], Any], script: Callable[[], Any], silent: None) -> None:
    """However a run is left, every span ends, the caller's context is as it was, and nobody complains."""

    @tool
    async def hang() -> str:
        """Hangs."""
        await asyncio.Event().wait()
        return ""

    seen = Seen()
    tracer = seen.tracers.get_tracer("user")
    with tracer.start_as_current_span("mine") as mine:
        await leave(answering([script()], seen, tools=[hang]))
        assert trace.get_current_span() is mine
    assert {"invoke_agent adder", "generate_content gemini-x"} <= set(seen.spans)
    assert seen.spans["execute_tool hang" if script is not waiting else "generate_content gemini-x"].attributes[
        "error.type"
    ] in ("cancelled", "interrupted")
    assert seen.observer._spans._open == {}


GONE = """
import asyncio, logging
from opentelemetry.sdk.trace import TracerProvider
from lumosai import Agent, tool
from lumosai.telemetry.otel import OpenTelemetry
from lumosai.testing import ScriptedModel, call

@tool
async def hang() -> str:
    "Hangs."
    await asyncio.Event().wait()

async def begin():
    agent = Agent("a", model=ScriptedModel([call("hang")]), tools=[hang], observers=[OpenTelemetry(TracerProvider())])
    run = agent.stream("go")
    await run.__aenter__()
    await asyncio.sleep(0.05)

logging.basicConfig()
loop = asyncio.new_event_loop()
loop.run_until_complete(begin())
loop.close()
"""


def test_an_event_loop_that_is_gone() -> None:
    """What the garbage collector closes at the end, wherever it does, complains of no context."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(
        [sys.executable, "-c", GONE], env=env, capture_output=True, text=True, timeout=150, check=False
    )
    assert ended.returncode == 0
    assert "Task was destroyed but it is pending" in ended.stderr, "nothing was left to close"
    assert "context" not in ended.stderr.lower()


def test_an_observer_that_was_never_entered_is_harmless() -> None:
    """Events of runs that it does not wrap say nothing to it."""
    seen = Seen()
    plain: list[Event] = []
    Agent("adder", model=ScriptedModel("x"), observers=[plain.append]).generate_sync("go")
    for event in plain:
        seen.observer(event)
    assert seen.all == []
