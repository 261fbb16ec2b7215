"""What the tests of runs share: tools, a shape for events, and a random conversation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lumosai import Agent, tool
from lumosai.events import Event
from lumosai.testing import ScriptedModel


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@tool
async def shout(text: str) -> str:
    """Say it loudly."""
    return text.upper()


@tool
def broken(text: str) -> str:
    """Never works."""
    raise ValueError(f"no good: {text}")


def scripted(script: Any, **settings: Any) -> tuple[Agent, ScriptedModel]:
    """An agent on a scripted model, with the three tools above unless others are named."""
    model = ScriptedModel(script)
    settings.setdefault("tools", [add, shout, broken])
    return Agent("tester", model=model, **settings), model


def kinds(events: Iterable[Event]) -> list[str]:
    """The events' wire names."""
    return [type(e).__struct_config__.tag for e in events]


def of(events: Iterable[Event], kind: type) -> list[Any]:
    """The events of one type."""
    return [e for e in events if type(e) is kind]


async def record(agent: Agent, text: str = "go", **options: Any) -> tuple[list[Event], Any]:
    """A streamed run's events and its result (or the error it ended with)."""
    async with agent.stream(text, **options) as run:
        events = [event async for event in run]
        try:
            return events, await run.result()
        except Exception as error:
            return events, error
