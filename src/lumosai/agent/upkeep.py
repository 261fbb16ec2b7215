"""Databases are kept to their size and age: what was kept long enough is removed now and then, a little at a time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any, Final

from lumosai._loggers import logger_of
from lumosai.errors import LumosaiError
from lumosai.records import Retention

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lumosai.storage.base import Storage

logger = logger_of("lumosai.agent")

FIRST_S: Final = 60.0
"""How long after its start a process looks for the first time: one that does a task and ends does not."""
EVERY_S: Final = 3_600.0
"""How often it looks."""


class Upkeep:
    """Removes from some storages, now and then, what was kept long enough.

    Args:
        storages: which; those that are one database are looked after once.
        retention: what is kept.
        sleep: waits for so many seconds.
    """

    def __init__(
        self, storages: Iterable[Storage], retention: Retention, *, sleep: Callable[[float], Any] = asyncio.sleep
    ) -> None:
        self._storages = tuple({s.identity: s for s in storages}.values())
        self._retention = retention
        self._sleep = sleep
        self._told: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look."""
        if self._storages:
            self._task = asyncio.get_running_loop().create_task(self._look(), name="lumosai keeps databases")

    async def close(self) -> None:
        """Looks no more. What was begun is gone on with by whoever comes next."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def once(self, *, pause_s: float = 0.02) -> None:
        """Looks once through every storage, with a pause between two transactions."""
        for storage in self._storages:
            try:
                done = await storage.system().collect(self._retention, pause_s=pause_s)
            except LumosaiError as error:  # a database that cannot be reached now may be later
                logger.warning("%s was not looked through for what is too old: %s", storage.url, error)
                continue
            if done.runs or done.threads:
                logger.info("%s: %d runs and %d threads were removed", storage.url, done.runs, done.threads)
            if done.over and storage.url not in self._told:
                self._told.add(storage.url)
                logger.warning(
                    "%s is %d MiB larger than retention.max_mib, and no run that has ended is left to remove: raise it, "
                    "or set retention.threads_days",
                    storage.url,
                    done.over // 2**20 + 1,
                )

    async def _look(self) -> None:
        await self._sleep(FIRST_S * random.uniform(1.0, 2.0))  # noqa: S311  # not all processes at once
        while True:
            await self.once()
            await self._sleep(EVERY_S * random.uniform(0.9, 1.1))  # noqa: S311


def longest(each: Iterable[Retention]) -> Retention:
    """What keeps whatever any of these keeps."""
    found = list(each)
    if not found:
        return Retention()
    most: dict[str, Any] = {}
    for key in Retention.__struct_fields__:
        values = [getattr(r, key) for r in found]
        most[key] = None if None in values else max(values)
    return Retention(**most)
