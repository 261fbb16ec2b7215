"""A conversation that is kept: a second process goes on where the first one stopped.

    python examples/threads.py

Run it twice, and it greets you as it left you. The file `threads.db` holds what was said.
"""

import asyncio

from lumosai import Agent, Memory
from lumosai.models.base import ModelRequest
from lumosai.testing import ScriptedModel


def answer(request: ModelRequest) -> str:
    """Stands for a model: says how much of the conversation it was sent."""
    return f"I was sent {len(request.messages)} messages; the first was {request.messages[0].text!r}."


async def main() -> None:
    async with Memory("sqlite:///threads.db") as memory:
        agent = Agent("assistant", model=ScriptedModel(answer), memory=memory)
        for text in ("My name is Alice.", "Who am I?"):
            result = await agent.generate(text, thread_id="alice")
            print(result.text)
        thread = await memory.thread("alice")
        print(f"{thread.title!r} has {thread.record.message_count} messages")


asyncio.run(main())
