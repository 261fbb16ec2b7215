"""A process that runs an agent on a thread and may be killed at any moment. Started by `test_crash`.

    python -m tests.agent.crashing DATABASE BASE_URL TOOL_URL [RUN]

Prints the run's id, then each event's number as it is seen, then the answer. With RUN it resumes that run.
"""

from __future__ import annotations

import asyncio
import sys
import urllib.request

from lumosai import Agent, Memory, ToolContext, tool
from lumosai.models import OpenAIChatModel


def make(database: str, base_url: str, tool_url: str) -> tuple[Agent, Memory]:
    """The agent, the same in every process."""

    @tool
    def measure(what: str, context: ToolContext) -> str:
        """Measures something."""
        key = urllib.request.quote(context.idempotency_key)
        with urllib.request.urlopen(f"{tool_url}/{what}?key={key}") as answer:
            return answer.read().decode()

    memory = Memory(database)
    model = OpenAIChatModel("test-model", base_url=base_url, api_key="k")
    return Agent("measurer", model=model, tools=[measure], memory=memory), memory


async def main(database: str, base_url: str, tool_url: str, run_id: str = "") -> None:
    agent, memory = make(database, base_url, tool_url)
    async with memory:
        run = agent.resume(run_id) if run_id else agent.stream("Measure it all.", thread_id="t")
        async with run:
            print(run.id, flush=True)
            async for event in run:
                print(event.seq, flush=True)
            print((await run.result()).text, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
