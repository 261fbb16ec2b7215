"""Runs whose process died are taken up: their agents go on with them here."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from lumosai._loggers import logger_of
from lumosai.errors import (
    LeaseLostError,
    LumosaiError,
    NotFoundError,
    StorageFullError,
    StorageUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lumosai.agent.agent import Agent
    from lumosai.agent.run import Run
    from lumosai.storage.base import RunRecord, Storage

logger = logger_of("lumosai.agent")

LOOK_S: Final = 5.0
"""How often it looks for runs that go on nowhere."""


class Adopter:
    """Looks for runs of some agents that go on nowhere, and goes on with them.

    Args:
        agents: whose runs.
        context: makes the user's object of a run that had one; without it such a run is left alone.

    Attributes:
        runs: those that were taken up and go on, by id.
    """

    def __init__(self, agents: Iterable[Agent[Any]], context: Callable[[RunRecord], Any] | None) -> None:
        self.runs: dict[str, Run[Any]] = {}
        self._agents = {a.name: a for a in agents if a.storage is not None and a.journal}
        self._context = context
        self._refused: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look."""
        if self._agents:
            self._task = asyncio.get_running_loop().create_task(self._look(), name="lumosai adopts runs")

    async def close(self) -> None:
        """Looks no more. Runs that go on here are left to other processes."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        for run in self.runs.values():
            await run.leave()
        self.runs.clear()

    async def once(self) -> None:
        """Looks once, in every storage of the agents; what has ended is forgotten."""
        self.runs = {name: run for name, run in self.runs.items() if not run.done}
        storages: dict[int, Storage] = {
            id(a.storage): a.storage for a in self._agents.values() if a.storage is not None
        }
        for storage in storages.values():
            names = [a.name for a in self._agents.values() if a.storage is storage]
            for scope, record in await storage.system().orphans(names):
                if record.id not in self._refused and record.id not in self.runs:
                    await self._take(record, scope)

    async def _look(self) -> None:
        while True:
            try:
                await self.once()
            except LumosaiError as error:  # a database that cannot be reached now may be later
                logger.warning("runs that go on nowhere cannot be looked for: %s", error)
            await asyncio.sleep(LOOK_S)

    async def _take(self, record: RunRecord, scope: Any) -> None:
        if record.has_context and self._context is None:
            self._refuse(record, "it had a context; Lumosai(context=…) makes it again")
            return
        try:
            context = self._context(record) if record.has_context and self._context is not None else None
            run = self._agents[record.agent].resume(record.id, context=context, scope=scope)
            await run.__aenter__()
        except (LeaseLostError, NotFoundError):  # somebody else was quicker
            return
        except (StorageUnavailableError, StorageFullError):  # the next look may find it better
            return
        except Exception as error:  # noqa: BLE001  # the user's function may raise anything; other runs are taken up all the same
            self._refuse(record, f"{type(error).__name__}: {error}")
            return
        run.detach()
        self.runs[record.id] = run
        logger.info("run %s of agent %r, whose process is gone, goes on here", record.id, record.agent)

    def _refuse(self, record: RunRecord, why: str) -> None:
        self._refused.add(record.id)
        logger.warning("run %s of agent %r goes on nowhere and is not taken up: %s", record.id, record.agent, why)
