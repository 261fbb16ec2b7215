"""The job through the public surface, as a user writes it: no private name, no special switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contenders.base import exchanges
from lumosai import Agent, Limits, Message
from lumosai.events import TextDelta
from lumosai.models import OpenAIChatModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from lumosai import Memory
    from lumosai.records import ToolCalling

_LIMITS = Limits(max_steps=1000, max_tool_calls=None)


def calculator(expression: str) -> str:
    """Evaluates an arithmetic expression.

    Args:
        expression: the expression.
    """
    return "4" if expression else ""


class Ours:
    """Agents on one server."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def agent(self, model: str, *, tool_calling: ToolCalling = "auto", memory: Memory | None = None) -> Agent:
        chat = OpenAIChatModel(model, base_url=self._base_url, api_key="sk-bench")
        return Agent("bench", model=chat, tools=[calculator], limits=_LIMITS, tool_calling=tool_calling, memory=memory)

    def earlier(self, count: int) -> list[Message]:
        return [Message.user(t) if role == "user" else Message.assistant(t) for role, t in exchanges(count)]

    async def run(self, agent: Agent, prompt: str, earlier: Sequence[Message]) -> str:
        return (await agent.generate([*earlier, Message.user(prompt)] if earlier else prompt)).text

    async def stream(self, agent: Agent, prompt: str) -> AsyncIterator[str]:
        async with agent.stream(prompt) as run:
            async for event in run:
                if isinstance(event, TextDelta):
                    yield event.delta

    async def close(self) -> None:
        """Connections belong to the event loop and close with it."""
