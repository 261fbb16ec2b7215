"""What importing costs, and what a process with one agent weighs after its first run. Wants a fresh process.

python -m benchmarks.footprint import            `import lumosai`, then `from lumosai import Agent`
python -m benchmarks.footprint first BASE_URL    one agent with one tool, built and run once
python -m benchmarks.footprint priced BASE_URL   the same with a model whose price is listed: the price list is loaded
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

HEAVY = ("asyncio", "aiohttp", "pydantic", "sqlite3", "starlette", "opentelemetry", "typer", "rich")
"""What `import lumosai` must not load."""

PRICED = "gpt-5-mini"
"""A model that the price list of the `prices` extra knows; to the fake server it is any other."""


def importing() -> dict[str, float]:
    """Milliseconds and modules of `import lumosai` and of its `Agent`. The facade must be light, the agent may load."""
    known, began = set(sys.modules), time.perf_counter()
    import lumosai  # this is what is measured

    facade_ms, facade = (time.perf_counter() - began) * 1e3, set(sys.modules) - known
    heavy = [name for name in HEAVY if name in facade]
    began = time.perf_counter()
    _ = lumosai.Agent
    agent_ms = (time.perf_counter() - began) * 1e3
    return {
        "facade_ms": facade_ms,
        "facade_modules": len(facade),
        "heavy_modules": len(heavy),
        "agent_ms": agent_ms,
        "agent_modules": len(set(sys.modules) - known),
    }


def first_run(base_url: str, model: str = "calc", wanted: str = "The answer is 4") -> dict[str, float]:
    """Resident MB (of 10^6 bytes) and milliseconds of CPU after one calc run, interpreter and imports included."""
    import asyncio  # part of what is measured

    from benchmarks.contenders.ours import Ours

    async def job() -> str:
        ours = Ours(base_url)
        return await ours.run(ours.agent(model), "Calculate 2+2", [])

    answer = asyncio.run(job())
    if answer != wanted:
        msg = f"wrong answer: {answer!r}"
        raise AssertionError(msg)
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    return {
        "rss_mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        "cpu_ms": (used.ru_utime + used.ru_stime) * 1e3,
        "modules": len(sys.modules),
    }


if __name__ == "__main__":
    what, *where = sys.argv[1:]
    if what == "import":
        figures = importing()
    elif what == "first":
        figures = first_run(*where)
    else:
        figures = first_run(*where, PRICED, "Hello there, this is the answer.")
    print(json.dumps(figures))
