"""What happens in a run, as it happens: every reader reads the same events.

python examples/streaming.py [MODEL]
"""

import asyncio
import sys

from lumosai import Agent, tool
from lumosai.events import GenerationComplete, TextDelta, ToolCallComplete, ToolCallStart


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else "auto"
    agent = Agent("assistant", model=model, tools=[add])
    async with agent.stream("What is 17 plus 25?") as run:
        async for event in run:
            match event:
                case TextDelta(delta=delta):
                    print(delta, end="", flush=True)
                case ToolCallStart(call=call):
                    print(f"→ {call.name} {call.arguments}")
                case ToolCallComplete(name=name, result=result, duration_ms=ms):
                    print(f"← {name}: {result.text} ({ms:.1f} ms)")
                case GenerationComplete():
                    print()
        result = await run.result()
    print(f"{result.finish_reason}, {result.usage.total_tokens} tokens")


asyncio.run(main())
