"""What the measures are made of: the clock of this process, a job that checks its answer, and what a job is counted by."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING, Any

from benchmarks.contenders.base import PROMPT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.contenders.base import Contender

Figures = dict[str, float]
"""What one repetition of a measure gives, by name."""


def cpu_s() -> float:
    """Seconds of CPU this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rss_mb() -> float:
    """Resident memory of this process, in MB of 10^6 bytes (Linux)."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def answering(contender: Contender, agent: Any, messages: Any) -> Callable[[], Awaitable[None]]:
    async def job() -> None:
        answer = await contender.run(agent, PROMPT, messages)
        expect(answer == "The answer is 4", "The answer is 4", answer)

    return job


async def repeat(job: Callable[[], Awaitable[None]], times: int) -> None:
    for _ in range(times):
        await job()


async def read(contender: Contender, agent: Any) -> int:
    """Reads a stream to its end; the number of characters in it."""
    chars = 0
    async for text in contender.stream(agent, "go"):
        chars += len(text)
    return chars


async def counted(job: Callable[[], Awaitable[object]]) -> int:
    import cProfile  # only this measure pays for it
    import pstats

    profile = cProfile.Profile()
    profile.enable()
    await job()
    profile.disable()
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]  # the stubs leave it out


def expect(holds: bool, wanted: object, got: object) -> None:  # a plain assertion that -O keeps
    if not holds:
        msg = f"wrong answer: expected {wanted!r}, got {got!r}"
        raise AssertionError(msg)
