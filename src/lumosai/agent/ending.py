"""Ending a run that goes on nowhere, without its agent: what it said is kept, and its last event says why it ended."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from lumosai.errors import LumosaiError, RunError
from lumosai.models.profiles import Profile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lumosai.agent.definition import Definition
    from lumosai.models.base import Chunk, ModelRequest
    from lumosai.records import Scope


class _Nobody:
    """Stands where an agent has its model, and is never asked."""

    provider: Final = "none"
    name: Final = "none"
    profile: Final = Profile()

    def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        raise RunError(f"a run that was to end asked for {len(request.messages)} messages to be answered")


async def end(agent: Definition[Any], name: str, run_id: str, scope: Scope | None) -> None:
    """Takes a run up in whose inbox its cancel lies, and ends it.

    Args:
        agent: where the run is kept, and its thread; any agent on the same storage does.
        name: the run's agent's.
        run_id: the root run.
        scope: as the run had it.

    Raises:
        LeaseLostError: a process that is alive is at work on it.
        StorageError: the end could not be kept.
    """
    from lumosai.agent.resume import Resumed

    stand_in: Any = type(agent)(name, model=_Nobody(), memory=agent.memory, storage=agent.storage)
    run: Resumed[Any] = Resumed(
        stand_in, stand_in.loop_of, run_id, context=None, output_type=None, scope=scope, force=True, ending=True
    )
    async with run:
        with suppress(LumosaiError):  # it ended in its own way a moment ago
            await run.result()
