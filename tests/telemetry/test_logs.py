"""Logs: silent until somebody listens, and then each record says which run, span, thread and agent it comes from."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lumosai import Agent, tool
from lumosai.errors import ConfigurationError, ServerError
from lumosai.events import Event, ModelCallStarted, RunStarted, ToolCallStart
from lumosai.telemetry import Telemetry, logs
from lumosai.telemetry.at_work import AT_WORK, FIELDS
from lumosai.telemetry.recorder import Recorder
from lumosai.testing import ScriptedModel, call

SECRET = "sk-abcdefghijklmnop1234567890"
app = logging.getLogger("app.tools")


class Kept(logging.Handler):
    """Keeps the records that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """What is logged by anybody, from debug up."""
    handler, root = Kept(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture
def written() -> Iterator[Any]:
    """`logs.configure` with what it wrote, taken back at the end."""
    stream = io.StringIO()
    yield lambda level="info", **how: (logs.configure(level, stream=stream, **how), stream)[1]
    logs.configure(stream=io.StringIO())
    logs._take_back()


def fields(record: logging.LogRecord) -> tuple[Any, ...]:
    return tuple([getattr(record, name, None) for name in FIELDS])


@tool
def look() -> str:
    """A sync tool, in a thread of its own."""
    app.info("looked")
    return "seen"


@tool
async def wait() -> str:
    """An async tool, and a task that it starts."""
    await asyncio.create_task(later())
    return "waited"


async def later() -> None:
    app.info("waited", extra={"run_id": "its own", "order": 7})


def script(request: Any) -> Any:
    logging.getLogger("app.model").info("asked")
    return [call("look"), call("wait")] if request.messages[-1].role == "user" else "done"


async def test_each_record_says_what_was_at_work(kept: Kept) -> None:
    seen: list[Event] = []

    def instructions(context: Any) -> str:
        app.info("instructed")
        return "Be brief."

    agent = Agent(
        "a", model=ScriptedModel(script), tools=[look, wait], instructions=instructions, observers=[seen.append]
    )
    async with agent.stream("go") as run:
        async for _ in run:
            assert AT_WORK.get() is None, "it is the run's task that is at work, not its reader's"
    app.info("after")
    (started,) = [e for e in seen if isinstance(e, RunStarted)]
    models = [e.span_id for e in seen if isinstance(e, ModelCallStarted)]
    tools = {e.call.name: e.span_id for e in seen if isinstance(e, ToolCallStart)}
    told = {}
    for record in kept.records:
        if record.name.startswith("app"):
            told.setdefault(record.getMessage(), []).append(record)
    base = (started.run_id, started.trace_id)
    assert fields(told["instructed"][0]) == (*base, started.span_id, None, "a")
    assert [fields(r) for r in told["asked"]] == [(*base, span, None, "a") for span in models]
    assert fields(told["looked"][0]) == (*base, tools["look"], None, "a")
    assert fields(told["waited"][0]) == ("its own", started.trace_id, tools["wait"], None, "a")
    assert told["waited"][0].order == 7
    assert fields(told["after"][0]) == (None,) * 5


async def test_a_call_that_is_tried_again_has_another_span(kept: Kept) -> None:
    seen: list[Event] = []
    tries = iter([ServerError("down", retry_after_s=0), "done"])

    def again(request: Any) -> Any:
        app.info("asked")
        return next(tries)

    await Agent("a", model=ScriptedModel(again), observers=[seen.append]).generate("go")
    spans = [e.span_id for e in seen if isinstance(e, ModelCallStarted)]
    assert len(set(spans)) == 2
    assert [r.span_id for r in kept.records if r.name == "app.tools"] == spans


async def test_what_is_done_for_all_runs_is_said_of_none(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tidy(self: Any, _: Any) -> None:
        app.info("tidied")

    monkeypatch.setattr(Recorder, "_tidy", tidy)
    telemetry = Telemetry("sqlite://")
    agent = Agent("a", model=ScriptedModel(lambda _: "done"), observers=[telemetry])
    for _ in range(2):
        await agent.generate("go")
        await telemetry.flush()
    while not (told := [r for r in kept.records if r.name == "app.tools"]):
        await asyncio.sleep(0.01)
    assert [fields(r) for r in told] == [(None,) * 5] * len(told)
    await telemetry.close()


def test_nothing_is_written_until_somebody_listens() -> None:
    """Warnings of the library do not reach standard error by themselves, nor does importing it load an event loop."""
    program = """
import lumosai, sys
assert not {"asyncio", "logging"} & {*sys.modules}
from lumosai.memory import _indexer  # one that logs
import logging
assert any(isinstance(h, logging.NullHandler) for h in logging.getLogger("lumosai").handlers)
logging.getLogger("lumosai.agent").warning("hidden")
logging.getLogger("other").warning("shown")
logging.basicConfig()
logging.getLogger("lumosai.agent").warning("said")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["shown", "WARNING:lumosai.agent:said"]


def test_secrets_are_taken_out_for_every_handler(kept: Kept) -> None:
    logger = logging.getLogger("lumosai.agent")
    logger.warning("refused with %s at %d", SECRET, 3)
    logger.warning("%d of %s", 3, "these")
    try:
        raise ValueError(f"bad key {SECRET}")
    except ValueError:
        logger.exception("failed")
    said = [logging.Formatter().format(r) for r in kept.records if r.name == "lumosai.agent"]
    assert SECRET not in "".join(said)
    assert said[0] == "refused with [hidden] at 3"
    assert (kept.records[1].msg, kept.records[1].args) == ("%d of %s", (3, "these")), "what held none is as it was"
    assert "bad key [hidden]" in said[2]


def test_a_line_is_one_record_whatever_it_says(written) -> None:
    stream = written("info,app=debug")
    app.warning("two\nlines \x1b[31m\r\u2028 of %s", SECRET, extra={"who": "a b", "api_key": "x1", "odd": object})
    first, *more = stream.getvalue().splitlines()
    assert first.endswith(" app.tools  two")
    assert all(line.startswith("    ") for line in more)
    assert "\x1b" not in stream.getvalue()
    assert SECRET not in stream.getvalue()
    assert 'who="a b"  api_key=[hidden]' in more[-1]


def test_json_holds_whatever_was_logged(written) -> None:
    stream = written("info,app=debug", format="json")

    class Broken:
        def __str__(self) -> str:
            raise ValueError

    try:
        raise KeyError(SECRET)
    except KeyError:
        app.exception("failed\n%s", "x", extra={"who": {"token": "abc123"}, "nan": float("nan"), "odd": Broken()})
    app.debug("low", extra={"level": "mine"})
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (first["level"], first["logger"], first["message"]) == ("error", "app.tools", "failed\nx")
    assert (first["error_type"], first["error"]) == ("KeyError", "'[hidden]'")
    assert "Traceback" in first["traceback"]
    assert "abc123" not in str(first)
    assert SECRET not in stream.getvalue()
    assert second["level"] == "debug", "what a record says is not written over"


def test_levels_by_part(written) -> None:
    stream = written("error,lumosai.storage=debug,lumosai.models=off")
    for name in ("lumosai.agent", "lumosai.storage", "lumosai.models", "lumosai.storage.deep"):
        logging.getLogger(name).debug("low of %s", name)
        logging.getLogger(name).critical("high of %s", name)
    assert [line.split("  ")[-1] for line in stream.getvalue().splitlines()] == [
        "high of lumosai.agent",
        "low of lumosai.storage",
        "high of lumosai.storage",
        "low of lumosai.storage.deep",
        "high of lumosai.storage.deep",
    ]
    for wrong in ("loud", "lumosai.storage", "=x", "a b=info"):
        with pytest.raises(ConfigurationError, match="log level"):
            logs.configure(wrong)
    with pytest.raises(ConfigurationError, match="text or json"):
        logs.configure(format="xml")  # type: ignore[arg-type]


async def test_structlog_sees_the_same_fields() -> None:
    structlog = pytest.importorskip("structlog")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    before = [structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    result = await logged_by(handler)
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(t["event"], t["run_id"], t["agent"]) for t in told] == [("looked", result.run_id, "a")]
    assert {"trace_id", "span_id"} <= told[0].keys()


@pytest.mark.filterwarnings("ignore:`LoggingHandler`:DeprecationWarning")
async def test_opentelemetry_sees_the_same_fields() -> None:
    pytest.importorskip("opentelemetry.sdk._logs")
    from opentelemetry.sdk import _logs as sdk
    from opentelemetry.sdk._logs import export

    if not hasattr(sdk, "LoggingHandler"):
        pytest.skip("this SDK has its handler elsewhere")
    exporter = getattr(export, "InMemoryLogRecordExporter", None) or export.InMemoryLogExporter
    memory, provider = exporter(), sdk.LoggerProvider()
    provider.add_log_record_processor(export.SimpleLogRecordProcessor(memory))
    result = await logged_by(sdk.LoggingHandler(logger_provider=provider))
    (found,) = memory.get_finished_logs()
    assert found.log_record.attributes["run_id"] == result.run_id
    assert found.log_record.attributes["agent"] == "a"


async def logged_by(handler: logging.Handler) -> Any:
    """A run whose tool logs to a program that has this handler."""
    app.addHandler(handler)
    app.setLevel(logging.INFO)
    try:
        model = ScriptedModel(lambda r: call("look") if r.messages[-1].role == "user" else "done")
        return await Agent("a", model=model, tools=[look]).generate("go")
    finally:
        app.removeHandler(handler)
        app.setLevel(logging.NOTSET)
