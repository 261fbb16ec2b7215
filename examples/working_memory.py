"""A fact about a person that the model corrects by its tool; the history shows both.

python examples/working_memory.py
"""

import asyncio

from lumosai import Agent, Memory
from lumosai.memory import WorkingMemory
from lumosai.testing import ScriptedModel, call


async def main() -> None:
    async with Memory("sqlite://", working=WorkingMemory("resource")) as memory:
        working = memory.working(resource_id="alice")
        await working.patch(
            [
                {"op": "set", "path": "name", "value": "Alise"},
                {"op": "append", "path": "likes", "value": "tea"},
            ]
        )
        correct = call("update_working_memory", operations=[{"op": "set", "path": "name", "value": "Alice"}])
        agent = Agent("assistant", model=ScriptedModel([correct, "Sorry, Alice!"]), memory=memory)
        result = await agent.generate("It is Alice, with a c.", thread_id="t1", resource_id="alice")
        print(result.text, await working.get())
        for change in await working.history():
            print(f"version {change.version}, by the {change.origin.by}: {change.changed}")


asyncio.run(main())
