"""The memory that a command works on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lumosai.cli.options import choose_agent, configured, default_database
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from lumosai.memory.memory import Memory


def with_memory(
    work: Callable[[Memory], Awaitable[None]], *, memory: str | None, agent: str | None, config: str | None
) -> None:
    """Does something with the memory that the options, the configuration or the user's own database are.

    Raises:
        ConfigurationError: nothing is kept there.
    """
    import asyncio

    from lumosai.memory.memory import Memory

    chosen = choose_agent(config=config, agent=agent, memory=memory)
    settings = configured(chosen)
    if settings.memory and settings.enable_memory_threads:
        from lumosai.agent.config import memory_of

        kept = memory_of(settings, runs=False)
    else:
        kept = None
    path = default_database()
    if kept is None:
        if not path.is_file():
            raise ConfigurationError(
                f"no conversation is kept: {_shown(path)} is not there, and no memory is set "
                "(lumosai chat --thread NAME begins one)"
            )
        kept = Memory(f"sqlite:///{path}")
    assert isinstance(kept, Memory)  # noqa: S101  # what a configuration names is one

    async def main() -> None:
        async with kept:
            await work(kept)

    asyncio.run(main())


def _shown(path: Path) -> str:
    home = os.path.expanduser("~")  # noqa: PTH111  # of a text that is shown
    text = str(path)
    return f"~{text[len(home) :]}" if text.startswith(f"{home}{os.sep}") else text
