"""What was said stays where it was said: in the store, in what is exported by OTLP, in spans and events of an SDK."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from lumosai import Agent, Memory, tool
from lumosai.errors import LumosaiError, RateLimitError, ServerError
from lumosai.memory import SemanticRecall
from lumosai.models.retry import RetryModel
from lumosai.telemetry import Telemetry
from lumosai.telemetry.otlp_exporter import OtlpExporter
from lumosai.testing import Answer, ScriptedModel, call
from tests.telemetry.test_otel import Seen

WORD = "aardvark"


class Refusing:
    """An embedding model that fails."""

    name, dimensions, provider = "refusing", 4, "own"

    async def embed(self, texts: Any, kind: str = "passage") -> Any:
        raise ServerError(f"no vectors of the {WORD}", retry_after_s=0)


@tool
def bad(x: str) -> str:
    """Fails."""
    raise ValueError(f"no {x}")


@tool
def good(x: str) -> str:
    """Answers."""
    return f"{WORD} {x}"


async def runs(memory: Memory, observers: list[Any]) -> None:
    """Runs that say the word wherever anything can be said: asked, answered, called, failed, denied, retried, remembered."""
    pay = tool(name="pay", description="Pays.", approval=True)(lambda x: f"{WORD} {x}")
    asked: list[Any] = []

    def script(request: Any) -> Any:
        asked.append(request)
        if len(asked) == 1:
            return RateLimitError(f"{WORD} is busy", retry_after_s=0)
        if len(asked) == 2:
            calls = [call(name, x=WORD) for name in ("bad", "good", "pay", "nowhere")]
            return Answer(text=WORD, calls=calls)
        return f"{WORD} is done"

    agent = Agent(
        "teller",
        instructions=f"Speak of the {WORD}.",
        model=RetryModel(ScriptedModel(script)),
        tools=[bad, good, pay],
        memory=memory,
        observers=observers,
    )
    async with agent.stream(f"Where is the {WORD}?", thread_id="t") as run:
        async for event in run:
            if type(event).__name__ == "ApprovalRequested":
                run.deny(event.call.id, reason=f"not the {WORD}")  # type: ignore[attr-defined]
    down = ScriptedModel(lambda _: ServerError(f"{WORD} is down", retry_after_s=0))
    with pytest.raises(LumosaiError):
        await Agent("failing", model=down, observers=observers).generate(WORD)
    await memory.search(f"the {WORD}")


@pytest.mark.parametrize(("content", "said"), [("off", (0, 0, 0)), ("metadata", (1, 1, 1)), ("full", (2, 2, 2))])
async def test_nothing_of_it_goes_further_than_it_may(
    content: Any, said: tuple[int, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`off`: not a word; `metadata`: errors' words and reasons, no more; `full`: all of it."""
    sent: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        sent.append(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        return web.Response()

    app = web.Application(client_max_size=10**8)
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    telemetry = Telemetry(tmp_path / "traces.db", content=content)
    exporter = OtlpExporter("http://{}:{}".format(*runner.addresses[0][:2]), content=content)
    seen = Seen(content=content)
    memory = Memory(f"sqlite:///{tmp_path / 'memory.db'}", recall=SemanticRecall(embedder=Refusing()))
    with caplog.at_level(logging.CRITICAL):
        await runs(memory, [telemetry, exporter, seen.observer])
    await memory.close()
    await telemetry.flush()
    await exporter.close()
    await runner.cleanup()
    lines = [*(await telemetry.traces()).items, *(await telemetry.traces(model="refusing")).items]
    stored = msgspec.json.encode([lines, [await telemetry.trace(line.run_id) for line in lines]]).decode()
    spans = [
        (s.name, dict(s.attributes), s.status.description, [dict(e.attributes) for e in s.events]) for s in seen.all
    ]
    events = [(e.event_name, dict(e.attributes), e.body) for e in seen.events]
    shown = (stored, b"".join(sent).decode(), str([spans, events]))
    for text, how in zip(shown, said, strict=True):
        assert "teller" in text
        assert (WORD in text) is (how > 0)
        asked_answered = (f"Where is the {WORD}?", f"{WORD} {WORD}", f"{WORD} is done")
        for words in asked_answered:
            assert (words in text) is (how > 1), words
        for words in (f"{WORD} is down", f"no {WORD}"):
            assert (words in text) is (how > 0), words
    await telemetry.close()
    files = [*tmp_path.glob("traces.db*")]  # noqa: ASYNC240  # a moment
    assert any(WORD.encode() in f.read_bytes() for f in files) is (said[0] > 0)
