"""A tool that asks before it acts: the run waits until somebody approves or denies that very call.

    python examples/approvals.py

The model is scripted, so that it surely wants to delete something.
"""

import asyncio

from lumosai import Agent, tool
from lumosai.events import ApprovalRequested, ToolCallComplete
from lumosai.testing import ScriptedModel, call


@tool(approval=True, effect="once")
def delete(path: str) -> str:
    """Delete a file."""
    return f"{path} is gone"  # a real one would delete it here


async def main() -> None:
    calls = [call("delete", path="notes.txt"), call("delete", path="/etc/passwd")]
    agent = Agent("janitor", model=ScriptedModel([calls, "I deleted what I was allowed to."]), tools=[delete])
    async with agent.stream("Clean up.") as run:
        async for event in run:
            match event:
                case ApprovalRequested(call=wanted) if wanted.arguments["path"].startswith("/"):
                    run.deny(wanted.id, "only files of this project")
                case ApprovalRequested(call=wanted):
                    run.approve(wanted.id)
                case ToolCallComplete(result=result):
                    print(result.text)
        print((await run.result()).text)


asyncio.run(main())
