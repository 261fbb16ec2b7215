"""A soak: minutes of runs, streams, cancellations and failures in one process, after which nothing may be left over.

    python -m benchmarks.soak [--minutes 5] [--width 16] [--out FILE]

Everything a program does to runs is done in turn, many at a time, against the fake server beside this file and against
scripted models: whole and streamed answers, several readers, cancelling and leaving early, time-outs, broken streams,
failing and hanging tools, approvals, sub-agents, typed answers. Between rounds nothing is under way; what the process
then holds is one sample: memory, live objects, tasks, threads, open files. They must not grow with the rounds. The result
file holds about sixty of the samples, the date, the load, and what it ran on.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import platform
import statistics
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measuring import cpu_s, rss_mb
from benchmarks.run import RESULTS
from benchmarks.server import running
from lumosai import Agent, Limits, Message, ToolContext, ToolError, tool
from lumosai.errors import LumosaiError, ServerError, StreamInterruptedError, ToolFailuresError
from lumosai.events import ApprovalRequested, Event, TextDelta
from lumosai.models import FallbackModel, OpenAIChatModel
from lumosai.models.retry import RetryModel
from lumosai.testing import ScriptedModel, call

ROUND = 200
"""Runs of a round, each job as often as the others."""
LIMITS = {"rss_bytes_a_run": 100.0, "objects_a_run": 0.05, "tasks": 0, "threads": 1, "files": 2}
"""What may grow: memory and objects per run over the later half; no task may be left; threads and open files, whose pools
breathe, by the median of the last quarter over that of the second."""

Job = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Sample:
    """What the process held between two rounds.

    Attributes:
        runs: runs so far.
        rss_mb: resident memory, MB of 10^6 bytes.
        objects: objects that the garbage collector tracks.
        tasks: tasks besides the soak's own.
        threads: threads.
        files: open file descriptors, connections among them.
        at_s: seconds since the start.
        cpu_s: seconds of CPU so far.
    """

    runs: int
    rss_mb: float
    objects: int
    tasks: int
    threads: int
    files: int
    at_s: float
    cpu_s: float


@tool
def add(expression: str) -> str:
    """Add."""
    return "4" if expression else ""


@tool
def refuse(expression: str) -> str:
    """Fail."""
    raise ToolError(f"no, not {expression}")


@tool(timeout_s=0.02)
async def hang(expression: str) -> str:
    """Take too long."""
    await asyncio.sleep(30)
    return expression


@tool(timeout_s=0.02)
def hang_in_thread(expression: str, context: ToolContext) -> str:
    """Take too long in a thread."""
    context.wait_cancelled(30)
    return expression


@tool(approval=True, effect="once")
def act(what: str) -> str:
    """Do it."""
    return f"did {what}"


class Jobs:
    """The jobs, each one run that checks how it ended. Agents are made anew each time, as a web handler would."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def all(self) -> list[Job]:
        """Every job."""
        return [getattr(self, name) for name in vars(type(self)) if name.startswith("job_")]

    def agent(self, script: str, **settings: Any) -> Agent[str]:
        """An agent on the fake server, without retries, so that failures are quick."""
        chat = OpenAIChatModel(script, base_url=self._base_url, api_key="sk-soak")
        return Agent("soak", model=RetryModel(chat, attempts=1), **{"tools": [add], **settings})

    async def job_answer(self) -> None:
        result = await self.agent("calc").generate("Calculate 2+2")
        expect(result.text == "The answer is 4", result.text)

    async def job_observed(self) -> None:
        seen: list[Event] = []
        await self.agent("calc", observers=[seen.append]).generate("Calculate 2+2")
        expect(seen[-1].seq == len(seen), len(seen))

    async def job_stream(self) -> None:
        async with self.agent("calc").stream("Calculate 2+2") as run:
            text = "".join([text async for text in run.text()])
        expect(text == "The answer is 4", text)

    async def job_flood(self) -> None:
        async with self.agent("flood-300").stream("go") as run:
            count = [1 async for event in run if isinstance(event, TextDelta)]
        expect(len(count) == 300, len(count))

    async def job_readers(self) -> None:
        async with self.agent("calc").stream("Calculate 2+2") as run:
            first, second, result = await asyncio.gather(last(run.subscribe()), last(run.subscribe(3)), run.result())
        expect(first == second and result.finish_reason == "stop", first)

    async def job_long_history(self) -> None:
        history = [Message.user("hello"), Message.assistant("hi")] * 50
        result = await self.agent("plain").generate([*history, Message.user("go")])
        expect(result.finish_reason == "stop", result.finish_reason)

    async def job_cancel(self) -> None:
        async with self.agent("drip-100").stream("go") as run:
            async for _ in run.text():
                run.cancel("enough")
            result = await run.result()
        expect(result.finish_reason == "cancelled", result.finish_reason)

    async def job_leave(self) -> None:
        async with self.agent("drip-100").stream("go") as run:
            async for _ in run:
                break
        expect((await run.result()).finish_reason == "abandoned", run)

    async def job_cancelled_from_outside(self) -> None:
        task = asyncio.create_task(self.agent("stall", observers=[ignore]).generate("go"))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task])
        expect(task.cancelled(), task)

    async def job_deadline(self) -> None:
        agent = self.agent("stall", limits=Limits(deadline_s=0.05), observers=[ignore])
        result = await agent.generate("go")
        expect(result.finish_reason == "deadline", result.finish_reason)

    async def job_cut(self) -> None:
        await fails(self.agent("cut").stream("go"), StreamInterruptedError)

    async def job_fail(self) -> None:
        await fails(self.agent("fail").stream("go"), ServerError)

    async def job_fallback(self) -> None:
        broken, sound = (OpenAIChatModel(m, base_url=self._base_url, api_key="k") for m in ("cut", "calc"))
        model = FallbackModel(RetryModel(broken, attempts=1), sound)
        result = await Agent("soak", model=model, tools=[add], observers=[ignore]).generate("Calculate 2+2")
        expect(result.text == "The answer is 4", result.text)

    async def job_tool_fails(self) -> None:
        await fails(self.agent("turns-9", tools=[refuse]).stream("go"), ToolFailuresError)

    async def job_tool_hangs(self) -> None:
        result = await self.agent("calc", tools=[hang]).generate("go")
        expect(result.steps[0].tool_results[0].is_error, result)

    async def job_tool_hangs_in_thread(self) -> None:
        result = await self.agent("calc", tools=[hang_in_thread]).generate("go")
        expect(result.steps[0].tool_results[0].is_error, result)

    async def job_steps(self) -> None:
        result = await self.agent("turns-9", limits=Limits(max_steps=3)).generate("go")
        expect(result.finish_reason == "step_limit", result.finish_reason)

    async def job_approvals(self) -> None:
        model = ScriptedModel([[call("act", what="one"), call("act", what="two")], "Done."])
        async with Agent("soak", model=model, tools=[act]).stream("go") as run:
            async for event in run:
                if isinstance(event, ApprovalRequested):
                    (run.approve if event.call.arguments["what"] == "one" else run.deny)(event.call.id)
            result = await run.result()
        expect([r.is_error for r in result.steps[0].tool_results] == [False, True], result)

    async def job_paused(self) -> None:
        model = ScriptedModel(call("act", what="one"))
        result = await Agent("soak", model=model, tools=[act]).generate("go")
        expect(result.finish_reason == "paused", result.finish_reason)

    async def job_sub_agent(self) -> None:
        inner = Agent("inner", model=ScriptedModel("four"))
        model = ScriptedModel([call("inner", task="2+2"), "It is four."])
        async with Agent("soak", model=model, tools=[inner.as_tool(description="Asks.")]).stream("go") as run:
            agents = {event.agent async for event in run}
        expect(agents == {"soak", "inner"}, agents)

    async def job_typed(self) -> None:
        model = ScriptedModel(['{"value": "x"}', '{"value": [1, 2]}'])
        async with Agent("soak", model=model, output_type=list[int]).stream("go") as run:
            values = [value async for value in run.outputs()]
            result = await run.result()
        expect(result.output == [1, 2], values)

    async def job_sync(self) -> None:
        def program() -> str:
            return Agent("soak", model=ScriptedModel(["Hello."])).generate_sync("Hi").text

        expect(await asyncio.to_thread(program) == "Hello.", "")


def ignore(event: Event) -> None:
    """An observer: with one, the answer is fetched as a stream, which is what is to stall or break."""


async def last(events: Any) -> int:
    """The number of a reader's last event."""
    return [event.seq async for event in events][-1]


async def fails(run: Any, kind: type[LumosaiError]) -> None:
    """Reads a run that must end with an error of a kind."""
    async with run:
        try:
            await run.result()
        except kind:
            return
    raise AssertionError(f"expected {kind.__name__}")


def expect(holds: bool, got: object) -> None:
    """A plain assertion that -O keeps."""
    if not holds:
        raise AssertionError(f"a run ended otherwise than it should: {got!r}")


async def soak(base_url: str, seconds: float, width: int) -> tuple[list[Sample], Counter[str]]:
    """Rounds until the time is over; a sample after each, and how often each job was done."""
    jobs, done = Jobs(base_url).all(), Counter[str]()
    began, samples = time.monotonic(), []
    room = asyncio.Semaphore(width)

    async def one(job: Job) -> None:
        async with room:
            await asyncio.wait_for(job(), 30)
        done[job.__name__.removeprefix("job_")] += 1

    while time.monotonic() - began < seconds:
        async with asyncio.TaskGroup() as group:
            for number in range(ROUND):
                group.create_task(one(jobs[number % len(jobs)]))
        samples.append(await sample(done.total(), began))
        print_progress(samples[-1])
    return samples, done


async def sample(runs: int, began: float) -> Sample:
    """What the process holds now that nothing is under way."""
    for _ in range(20):  # closed connections and woken threads get their turns to go
        await asyncio.sleep(0.01)
    gc.collect()
    return Sample(
        runs=runs,
        rss_mb=round(rss_mb(), 2),
        objects=len(gc.get_objects()),
        tasks=len(asyncio.all_tasks()) - 1,
        threads=threading.active_count(),
        files=len(os.listdir("/proc/self/fd")),
        at_s=round(time.monotonic() - began, 1),
        cpu_s=round(cpu_s(), 2),
    )


def growth(samples: list[Sample]) -> dict[str, float]:
    """How much each measure grew: memory and objects per run over the later half, the others in all."""
    settled = samples[len(samples) // 2 :]
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter] or samples, samples[-quarter:]
    return {
        "rss_bytes_a_run": slope([(s.runs, s.rss_mb * 1e6) for s in settled]),
        "objects_a_run": slope([(s.runs, s.objects) for s in settled]),
        "tasks": max(s.tasks for s in samples),
        "threads": statistics.median(s.threads for s in late) - statistics.median(s.threads for s in early),
        "files": statistics.median(s.files for s in late) - statistics.median(s.files for s in early),
    }


def slope(points: list[tuple[float, float]]) -> float:
    """The gradient by the median of all pairs (Theil-Sen), which one odd sample does not bend."""
    pairs = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1 :]]
    return round(statistics.median(pairs), 4) if pairs else 0.0


def print_progress(now: Sample) -> None:
    """One line a round."""
    print(
        f"{now.at_s:7.1f} s  {now.runs:7,} runs  {now.rss_mb:6.1f} MB  {now.objects:7,} objects  "
        f"{now.tasks} tasks  {now.threads} threads  {now.files} files",
        flush=True,
    )


def main(argv: list[str] | None = None) -> int:
    """The command line: 0 where nothing grew, else 1."""
    today = datetime.now(tz=UTC).date().isoformat()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="5 or more for figures to keep")
    parser.add_argument("--width", type=int, default=16, help="runs under way at once")
    parser.add_argument("--out", type=Path, default=RESULTS / f"soak-{today}.json", help="where the result file goes")
    options = parser.parse_args(argv)
    logging.getLogger("lumosai").setLevel(logging.CRITICAL)
    load = os.getloadavg()
    with running() as base_url:
        samples, done = asyncio.run(soak(base_url, options.minutes * 60, options.width))
    grown = growth(samples)
    flat = {name: grown[name] <= limit for name, limit in LIMITS.items()}
    for name, limit in LIMITS.items():
        print(f"{name:>16}: {grown[name]:+g} (at most {limit:g}) {'' if flat[name] else '  GREW'}")
    document = {
        "date": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "load_before": [round(x, 2) for x in load],
        "load_after": [round(x, 2) for x in os.getloadavg()],
        "python": platform.python_version(),
        "system": platform.platform(),
        "runs": samples[-1].runs,
        "jobs": dict(sorted(done.items())),
        "grown": grown,
        "limits": LIMITS,
        "flat": all(flat.values()),
        "samples": [asdict(s) for s in samples[:: max(1, len(samples) // 60)]],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"written to {options.out}")
    return 0 if document["flat"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
