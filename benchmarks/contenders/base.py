"""The contract of a contender, and the job's data, the same for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROMPT = "Calculate 2+2"


class Contender(Protocol):
    """The same jobs, done in one way."""

    def agent(self, model: str, **options: Any) -> Any:
        """An agent on `model` of the fake server, with one tool; `options` are for ours alone."""
        ...

    def earlier(self, count: int) -> Any:
        """`count` earlier messages in the contender's own type."""
        ...

    async def run(self, agent: Any, prompt: str, earlier: Any) -> str:
        """One run from prompt to answer, tools included; the answer's text."""
        ...

    def stream(self, agent: Any, prompt: str) -> AsyncIterator[str]:
        """The answer's text deltas, each as soon as it is known."""
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...


def exchanges(count: int) -> list[tuple[str, str]]:
    """`count` turns of a conversation as (role, text), the user's first."""
    return [("assistant" if i % 2 else "user", f"message number {i} of this conversation") for i in range(count)]
