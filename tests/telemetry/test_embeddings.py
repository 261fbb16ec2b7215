"""Embedding calls, of recall and of the index: spans in our traces and in OpenTelemetry, measured, with the trace's headers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from lumosai import Agent, Memory, Message, Scope
from lumosai.events import EmbeddingCall, MemoryRecalled, from_json, to_json
from lumosai.memory.recall import SemanticRecall
from lumosai.messages import TextPart
from lumosai.models.openai_embeddings import OpenAIEmbeddingModel
from lumosai.models.prices import Price
from lumosai.storage import Storage
from lumosai.telemetry import Telemetry, trace_of
from lumosai.telemetry.prometheus import PrometheusMetrics, endpoint
from lumosai.testing import ScriptedModel
from tests.agent.helpers import record
from tests.models.embedding_server import EmbeddingServer
from tests.telemetry.test_otel import Seen, under
from tests.telemetry.test_prometheus import scraped, value

TRACE = "a" * 32


def embedder(server: EmbeddingServer) -> Any:
    made = OpenAIEmbeddingModel("text-embedding-3-small", base_url=server.base_url, api_key="k", dimensions=8)
    made.price = Price(Decimal(20), Decimal(0), version="mine")
    return made


Recalling = Callable[..., tuple[Agent, Memory]]


@pytest.fixture
async def recalling(storage: Storage) -> AsyncIterator[Recalling]:
    """Makes agents that recall, whose memories are closed in the end."""
    made: list[Memory] = []

    def make(model: Any, *observers: Any, **settings: Any) -> tuple[Agent, Memory]:
        memory = Memory(storage, last_messages=1, recall=SemanticRecall(top_k=1, embedder=model, **settings))
        made.append(memory)
        return Agent("clerk", model=ScriptedModel(["ok"]), memory=memory, observers=observers), memory

    yield make
    for memory in made:
        await memory.close()


async def told(memory: Memory, *texts: str) -> None:
    thread = await memory.create_thread("t")
    for text in texts:
        await thread.add_message(Message("user", (TextPart(text),)))


async def test_a_runs_call_is_in_its_trace(storage: Storage, recalling: Recalling) -> None:
    """One span below the memory's, with tokens, cost and dimensions; the run's totals are those of its language model."""
    seen, telemetry = Seen(), Telemetry(storage)
    async with EmbeddingServer() as server:
        agent, memory = recalling(embedder(server), telemetry, seen.observer)
        await told(memory, "We have a dog.", "Rain again.", "It will pass.")
        await memory.settled()
        server.headers.clear()
        events, result = await record(
            agent, "What animal?", thread_id="t", traceparent=f"00-{TRACE}-{'b' * 16}-01", baggage="user=7"
        )
        (sent,) = server.headers[:1]
        await memory.settled()
    (recalled,) = [e for e in events if isinstance(e, MemoryRecalled)]
    (call,) = recalled.embeddings
    assert from_json(to_json(recalled)) == recalled
    assert sent["traceparent"] == f"00-{TRACE}-{call.span_id}-01"
    assert sent["baggage"] == "user=7"
    assert (call.model, call.provider, call.endpoint) == ("text-embedding-3-small", "openai", server.base_url)
    assert (call.kind, call.texts, call.dimensions, call.error_type) == ("query", 1, 8, None)
    assert call.tokens > 0
    assert call.cost_usd == Decimal(20) * call.tokens / 10**6
    await telemetry.flush()
    trace = await telemetry.trace(result.run_id)
    assert trace is not None
    shape = [(s.kind, s.span_id, s.parent_span_id, s.attributes) for s in trace.steps]
    assert shape == [(s.kind, s.span_id, s.parent_span_id, s.attributes) for s in trace_of(events).steps]
    (mine,) = [s for s in trace.steps if s.kind == "embedding"]
    (around,) = [s for s in trace.steps if s.kind == "memory" and s.name == "recall"]
    assert (mine.span_id, mine.parent_span_id) == (call.span_id, around.span_id)
    assert mine.attributes["input_tokens"] == call.tokens
    assert mine.attributes["cost_usd"] == str(call.cost_usd)
    assert (trace.usage, trace.cost_usd) == (result.usage, result.cost_usd)
    span = next(
        s for s in seen.all if s.attributes.get("lumosai.embedded") == "query" and s.attributes.get("lumosai.run.id")
    )
    assert span.name == "embeddings text-embedding-3-small"
    assert span.kind.name == "CLIENT"
    assert f"{span.context.span_id:016x}" == call.span_id
    assert under(span, seen.spans["invoke_agent clerk"])
    assert span.attributes["gen_ai.operation.name"] == "embeddings"
    assert span.attributes["gen_ai.provider.name"] == "openai"
    assert span.attributes["gen_ai.usage.input_tokens"] == call.tokens
    assert span.attributes["gen_ai.embeddings.dimension.count"] == 8
    assert span.attributes["gen_ai.conversation.id"] == "t"
    assert span.attributes["server.address"] == "127.0.0.1"
    assert (span.end_time - span.start_time) / 1e6 == pytest.approx(call.duration_ms)


async def test_what_indexes_messages_is_of_no_run(storage: Storage, recalling: Recalling) -> None:
    """A trace of its own each, found by the model's name and counted to it, and told to everybody who watches a run."""
    seen, collector = Seen(), PrometheusMetrics()
    telemetry = Telemetry(storage, collectors=[collector])
    async with EmbeddingServer() as server:
        agent, memory = recalling(embedder(server), telemetry, seen.observer)
        result = await agent.generate("We have a dog.", thread_id="t")
        await memory.settled()
        sent = [h["traceparent"].split("-")[1:3] for h in server.headers]
        await memory.search("dog")
        searched = server.headers[-1]["traceparent"].split("-")[1]
    await telemetry.flush()
    assert len((await telemetry.traces()).items) == 1, "only the run"
    listed = (await telemetry.traces(model="text-embedding-3-small")).items
    assert {t.trace_id for t in listed} - {t.trace_id for t in listed if t.agent_id} <= {
        *[t for t, _ in sent],
        searched,
    }
    passages = [s for s in seen.all if s.attributes.get("lumosai.embedded") == "passage"]
    assert passages
    for span in passages:
        assert span.parent is None
        assert [f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"] in sent
        assert "lumosai.run.id" not in span.attributes
    (indexed,) = [t for t in listed if t.trace_id == f"{passages[0].context.trace_id:032x}"]
    assert (indexed.source, indexed.status, indexed.spans) == ("lumosai.memory", "ok", 1)
    whole = await telemetry.trace(indexed.trace_id)
    assert whole is not None
    assert [(s.kind, s.attributes["of"]) for s in whole.steps] == [("embedding", "passage")]
    tokens = sum(s.attributes["gen_ai.usage.input_tokens"] for s in seen.all if "lumosai.embedded" in s.attributes)
    stats = await telemetry.stats(by="model")
    mine = stats["openai:text-embedding-3-small"]
    assert (mine.count, mine.usage.input_tokens) == (len(server.requests), tokens)
    assert mine.cost_usd == pytest.approx(Decimal(20) * tokens / 10**6)
    assert (await telemetry.stats())[""].usage == result.usage, "what runs used is their language models'"
    (series,) = await telemetry.series("embedding_calls", since=time.time() - 600)
    assert sum(p.value or 0 for p in series.points) == len(server.requests)
    _, samples = await scraped(endpoint(collector))
    labels = {"gen_ai_operation_name": "embeddings", "gen_ai_provider_name": "openai"}
    labels |= {"gen_ai_request_model": "text-embedding-3-small"}
    counts = [
        value(samples, "gen_ai_client_operation_duration_seconds_count", **labels, gen_ai_agent_name=agent_)
        for agent_ in ("", "clerk")
        if "gen_ai_client_operation_duration_seconds_count"
        + str(sorted((labels | {"gen_ai_agent_name": agent_}).items()))
        in samples
    ]
    assert sum(counts) == len(server.requests)
    usage = seen.metrics["gen_ai.client.token.usage"]
    assert sum(p.sum for p in usage if p.attributes["gen_ai.operation.name"] == "embeddings") == tokens
    durations = seen.metrics["gen_ai.client.operation.duration"]
    assert sum(p.count for p in durations if p.attributes["gen_ai.operation.name"] == "embeddings") == len(passages) + 2


async def test_the_latest_names(recalling: Recalling) -> None:
    """Its duration stays that of an operation, which an answer's is no more; its tokens are counted like an answer's."""
    seen = Seen(profile="latest")
    async with EmbeddingServer() as server:
        agent, memory = recalling(embedder(server), seen.observer)
        await agent.generate("What animal?", thread_id="t")
        await memory.settled()
    of_embeddings = {
        name: [p for p in points if p.attributes.get("gen_ai.operation.name") == "embeddings"]
        for name, points in seen.metrics.items()
    }
    assert sum(p.count for p in of_embeddings["gen_ai.client.operation.duration"]) == len(server.requests)
    assert of_embeddings["gen_ai.client.inference.duration"] == []
    assert sum(p.value for p in of_embeddings["gen_ai.client.inference.usage.input_tokens"]) > 0
    assert "gen_ai.client.token.usage" not in seen.metrics


async def test_a_call_that_fails_or_is_not_waited_for(recalling: Recalling) -> None:
    """Its span says so, and the run goes on."""
    seen, gate = Seen(), asyncio.Event()

    class Slow:
        name, dimensions, provider = "slow", 8, "own"

        async def embed(self, texts: Any, kind: str = "passage") -> Any:
            await gate.wait()

    agent, _ = recalling(Slow(), seen.observer, time_budget_s=0.05)
    events, _ = await record(agent, "What animal?", thread_id="t")
    (call,) = next(e for e in events if isinstance(e, MemoryRecalled)).embeddings
    assert (call.error_type, call.error, call.cost_usd) == ("cancelled", None, None)
    assert call.duration_ms > 0
    async with EmbeddingServer(
        lambda _s, _r: web.Response(status=400, text="no: sk-proj-abcdefghijklmnopqrstuvwx")
    ) as server:
        agent, _ = recalling(embedder(server), seen.observer, time_budget_s=None)
        events, _ = await record(agent, "What animal?", thread_id="u")
    (call,) = next(e for e in events if isinstance(e, MemoryRecalled)).embeddings
    assert call.error_type == "BadRequestError"
    step = next(s for s in trace_of(events).steps if s.kind == "embedding")
    assert (step.error_type, "no" in (step.error or "")) == ("BadRequestError", True)
    failed = [s for s in seen.all if s.attributes.get("error.type") == "BadRequestError"]
    assert failed
    assert all("sk-proj" not in str(s.attributes) + str(s.status.description) for s in failed)


async def test_an_observer_that_raises_costs_no_vector(recalling: Recalling, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def __call__(self, event: Any) -> None: ...

        def around_embedding(self, asked: Any) -> Any:
            raise RuntimeError("broken")

        def embedded(self, call: EmbeddingCall, trace_id: str, scope: Scope) -> None:
            raise RuntimeError("broken too")

    broken = Broken()
    async with EmbeddingServer() as server:
        agent, memory = recalling(embedder(server), broken)
        with caplog.at_level(logging.ERROR):
            await agent.generate("We have a dog.", thread_id="t")
            await memory.settled()
        assert server.requests
    assert "around_embedding" in caplog.text
