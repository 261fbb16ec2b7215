"""Tool calls of one answer run side by side, each with its own time-out; one that is too slow does not hold up the rest.

    python examples/parallel_tools.py

The model is scripted, so that it surely asks for three calls at once.
"""

import asyncio
import time

from lumosai import Agent, tool
from lumosai.testing import ScriptedModel, call


@tool(timeout_s=0.5)
async def visit(site: str) -> str:
    """Visit a site and tell how long it took."""
    seconds = {"near": 0.1, "far": 0.2, "lost": 30.0}[site]
    await asyncio.sleep(seconds)
    return f"{site}: {seconds} s"


async def main() -> None:
    model = ScriptedModel([[call("visit", site=s) for s in ("near", "far", "lost")], "Two of three sites answered."])
    agent = Agent("scout", model=model, tools=[visit])
    began = time.monotonic()
    result = await agent.generate("Visit near, far and lost.")
    for answer in result.steps[0].tool_results:
        print(f"{'failed' if answer.is_error else 'ok':>6}  {answer.text}")
    print(f"{result.text} All in {time.monotonic() - began:.1f} s.")


asyncio.run(main())
