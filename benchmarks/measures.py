"""The measures: each does one repetition of a job and gives its figures, by name.

CPU is that of the whole process (user and system, all threads), which does not depend on who else uses the machine as
much as the clock does. Every answer is checked, every measure warms up first, and a repetition is one process, so that
no repetition profits from the one before it.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING

from benchmarks.measuring import Figures, answering, counted, cpu_s, expect, read, repeat, rss_mb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.contenders.base import Contender

TURNS = (1, 5, 20, 60)
TURN_ROUNDS = 4


async def calc(contender: Contender, runs: int) -> Figures:
    """`runs` runs of two model calls and one tool call, one after the other."""
    agent = contender.agent("calc")
    job = answering(contender, agent, [])
    await repeat(job, 20)
    wall, cpu = time.perf_counter(), cpu_s()
    await repeat(job, runs)
    cpu, wall = cpu_s() - cpu, time.perf_counter() - wall
    return {"cpu_ms": cpu * 1e3 / runs, "wall_ms": wall * 1e3 / runs, "total_s": wall}


async def calc_at_once(contender: Contender, runs: int, width: int = 100) -> Figures:
    """The same with `width` runs under way at any time."""
    job = answering(contender, contender.agent("calc"), [])
    await asyncio.gather(*(repeat(job, 1) for _ in range(width)))
    wall, cpu = time.perf_counter(), cpu_s()
    await asyncio.gather(*(repeat(job, runs // width) for _ in range(width)))
    cpu, wall = cpu_s() - cpu, time.perf_counter() - wall
    return {"cpu_ms": cpu * 1e3 / runs, "runs_s": runs / wall}


async def stream(contender: Contender, deltas: int) -> Figures:
    """A flood of `deltas` text deltas, read to its end."""
    await read(contender, contender.agent("flood-500"))
    agent = contender.agent(f"flood-{deltas}")
    wall, cpu = time.perf_counter(), cpu_s()
    chars = await read(contender, agent)
    cpu, wall = cpu_s() - cpu, time.perf_counter() - wall
    expect(chars == deltas * 26, f"{deltas} deltas of 26 characters", chars)
    return {"cpu_us": cpu * 1e6 / deltas, "deltas_s": deltas / wall}


async def latency(contender: Contender, deltas: int) -> Figures:
    """Microseconds from the server's write of a lone delta to the caller's hands."""
    taken: list[float] = []
    agent = contender.agent(f"drip-{deltas}")
    async for text in contender.stream(agent, "go"):
        now = time.monotonic_ns()
        taken += [(now - int(stamp)) / 1e3 for stamp in text.split()]
    expect(len(taken) == deltas, f"{deltas} stamped deltas", len(taken))
    taken.sort()
    return {"p50_us": taken[deltas // 2], "p90_us": taken[deltas * 9 // 10]}


async def turns(contender: Contender, calls: int) -> Figures:
    """Runs of 1, 5, 20 and 60 tool turns, about `calls` model calls of each; CPU a model call.

    The least of a few rounds, for what is looked for is growth: a collection of garbage or a neighbour's burst in one of
    the four would pass for it.
    """
    agents = {count: contender.agent(f"turns-{count}") for count in TURNS}
    figures: Figures = {}
    for round_ in range(1 + TURN_ROUNDS):
        for count, agent in agents.items():
            runs = max(2, calls // TURN_ROUNDS // (count + 1))
            cpu = cpu_s()
            await repeat(answering(contender, agent, []), runs)
            taken = (cpu_s() - cpu) * 1e3 / (runs * (count + 1))
            if round_:  # the first warms up
                figures[f"cpu_ms_{count}"] = min(taken, figures.get(f"cpu_ms_{count}", taken))
    figures["flatness"] = figures[f"cpu_ms_{TURNS[-1]}"] / figures[f"cpu_ms_{TURNS[0]}"]
    return figures


async def earlier(contender: Contender, runs: int) -> Figures:
    """Calc runs that are handed 1,000 earlier messages."""
    job = answering(contender, contender.agent("calc"), contender.earlier(1000))
    await repeat(job, 3)
    cpu = cpu_s()
    await repeat(job, runs)
    return {"cpu_ms": (cpu_s() - cpu) * 1e3 / runs}


async def build(contender: Contender, agents: int) -> Figures:
    """Agents with one tool, built and kept."""
    kept = [contender.agent("calc") for _ in range(50)]
    gc.collect()
    memory, cpu = rss_mb(), cpu_s()
    kept += [contender.agent("calc") for _ in range(agents)]
    cpu = cpu_s() - cpu
    gc.collect()
    memory = rss_mb() - memory
    await answering(contender, kept[-1], [])()
    return {"cpu_us": cpu * 1e6 / agents, "kb": memory * 1e3 / agents}


async def calls(contender: Contender, runs: int) -> Figures:
    """Function calls, Python's and C's, that cProfile counts on the event loop's thread."""
    job = answering(contender, contender.agent("calc"), [])
    agent = contender.agent("flood-1000")
    await repeat(job, 5)
    await read(contender, agent)
    return {
        "per_run": await counted(lambda: repeat(job, runs)) / runs,
        "per_delta": await counted(lambda: read(contender, agent)) / 1000,
    }


async def _reading(contender: Contender, deltas: int) -> Figures:
    from benchmarks.reading import reading  # whose libraries are no other measure's

    return await reading(contender, deltas)


async def _text_mode(contender: Contender, deltas: int) -> Figures:
    from benchmarks.reading import text_mode

    return await text_mode(contender, deltas)


async def _kept(contender: Contender, runs: int) -> Figures:
    from benchmarks.keeping import kept

    return await kept(contender, runs)


async def _kept_postgres(contender: Contender, runs: int) -> Figures:
    from benchmarks.keeping import kept_postgres

    return await kept_postgres(contender, runs)


async def _kept_delta(contender: Contender, deltas: int) -> Figures:
    from benchmarks.keeping import kept_delta

    return await kept_delta(contender, deltas)


async def _disk(contender: Contender, turns: int) -> Figures:
    from benchmarks.keeping import disk

    return await disk(contender, turns)


async def _plan(_: Contender, rounds: int) -> Figures:
    from benchmarks.planning import plan

    return await plan(rounds)


async def _sessions(_: Contender, rounds: int) -> Figures:
    from benchmarks.planning import sessions

    return await sessions(rounds)


async def _delays(contender: Contender, deltas: int) -> Figures:
    from benchmarks.observing import delays

    return await delays(contender, deltas)


async def _observed(contender: Contender, runs: int) -> Figures:
    from benchmarks.observing import observed

    return await observed(contender, runs)


async def _spans(contender: Contender, count: int) -> Figures:
    from benchmarks.observing import spans

    return await spans(contender, count)


async def _questions(_: Contender, total: int) -> Figures:
    from benchmarks.observing import questions

    return await questions(total)


async def _received(_: Contender, count: int) -> Figures:
    from benchmarks.receiving import received

    return await received(count)


MEASURES: dict[str, tuple[Callable[[Contender, int], Awaitable[Figures]], int]] = {
    "calc": (calc, 1000),
    "calc_at_once": (calc_at_once, 1000),
    "stream": (stream, 20_000),
    "latency": (latency, 60),
    "turns": (turns, 800),
    "earlier": (earlier, 100),
    "build": (build, 5000),
    "calls": (calls, 20),
    "reading": (_reading, 40_000),
    "text_mode": (_text_mode, 10_000),
    "kept": (_kept, 240),
    "kept_postgres": (_kept_postgres, 120),
    "kept_delta": (_kept_delta, 15_000),
    "disk": (_disk, 120),
    "plan": (_plan, 200),
    "sessions": (_sessions, 500),
    "observed": (_observed, 2_400),
    "delays": (_delays, 60),
    "spans": (_spans, 30_000),
    "received": (_received, 30_000),
    "questions": (_questions, 1_000_000),
}
"""What each measure is called, does, and how much of it one repetition is."""
