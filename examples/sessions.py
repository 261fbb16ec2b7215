"""A customer comes back to the session they left, and to a new one when that is over.

python examples/sessions.py
"""

import asyncio

from lumosai import Agent, Memory
from lumosai.testing import ScriptedModel


async def main() -> None:
    async with Memory("sqlite://") as memory:
        agent = Agent("shop", model=ScriptedModel(lambda request: "Of course."), memory=memory)
        first = await memory.session("alice", agent=agent, idle_timeout_s=1800)
        await agent.generate("Two pounds of apples.", thread_id=first.thread_id, resource_id="alice")
        await first.update({"cart": ["apples"]})

        again = await memory.session("alice", agent=agent, idle_timeout_s=1800)
        print("the same session:", again.id == first.id, again.variables)

        await again.complete(summarize=lambda messages: f"{len(messages)} messages, about apples")
        print(again.state, "-", again.summary)
        print("a new one:", (await memory.session("alice", agent=agent)).is_new)


asyncio.run(main())
