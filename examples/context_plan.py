"""What of a long conversation the model is shown, and why: a budget of tokens, and a processor of one's own.

python examples/context_plan.py
"""

import asyncio

from lumosai import Agent, Memory
from lumosai.events import MemoryRecalled
from lumosai.memory import ContextPlan, plan_table
from lumosai.testing import ScriptedModel


def no_small_talk(plan: ContextPlan) -> None:
    for item in plan.of("history"):
        if len(item.message.text) < 5:
            item.leave_out("small talk")


async def main() -> None:
    async with Memory("sqlite://", last_messages=50, token_budget=260, processors=[no_small_talk]) as memory:
        model = ScriptedModel(lambda request: "I will remember that, every word of it. " * 3)
        agent = Agent("assistant", instructions="Be brief.", model=model, memory=memory)
        for text in ("hi", *[f"Fact number {n}: the {n}. drawer is locked." for n in range(8)]):
            async with agent.stream(text, thread_id="drawers") as run:
                (recalled,) = [event async for event in run if isinstance(event, MemoryRecalled)]
        print(plan_table(recalled))


asyncio.run(main())
