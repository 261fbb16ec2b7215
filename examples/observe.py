"""See what an agent did: its runs are recorded, and then asked for its slowest tool.

python examples/observe.py
"""

import asyncio
import tempfile
import time
from pathlib import Path

from lumosai import Agent, tool
from lumosai.telemetry import Telemetry
from lumosai.testing import ScriptedModel, call


@tool
def look_up(word: str) -> str:
    """Looks a word up."""
    return f"{word}: a word"


@tool
async def translate(word: str) -> str:
    """Translates a word, slowly."""
    await asyncio.sleep(0.1)
    return f"{word}, in other words"


def script(request):
    """A model that calls both tools, then answers."""
    asked = request.messages[-1].role == "user"
    return [call("look_up", word="owl"), call("translate", word="owl")] if asked else "An owl."


async def main():
    """Runs the agent a few times, then asks what was recorded."""
    with tempfile.TemporaryDirectory() as folder:
        async with Telemetry(f"sqlite:///{Path(folder) / 'traces.db'}") as telemetry:
            model = ScriptedModel(script)
            agent = Agent("translator", model=model, tools=[look_up, translate], observers=[telemetry])
            for _ in range(3):
                await agent.generate("What is an owl?")
            await telemetry.flush()

            by_tool = await telemetry.stats(by="tool", since=time.time() - 60)
            slowest = max(by_tool, key=lambda name: by_tool[name].p95_ms or 0)
            print(
                f"the slowest tool is {slowest}: p95 {by_tool[slowest].p95_ms:.0f} ms, {by_tool[slowest].count} calls"
            )

            (last,) = (await telemetry.traces(limit=1)).items
            trace = await telemetry.trace(last.run_id)
            for step in trace.steps:
                print(f"  {step.kind:<10} {step.name:<12} {step.duration_ms:6.1f} ms")


asyncio.run(main())
