"""Where one provider fails, the next is asked, and the run says so.

    python examples/fallback.py [MODEL]

The first address is one where nobody listens; MODEL (by default `auto`) answers in its place.
"""

import asyncio
import sys

from lumosai import Agent
from lumosai.events import ModelChanged, Retrying, TextDelta
from lumosai.models import FallbackModel, OpenAIChatModel


async def main() -> None:
    nobody = OpenAIChatModel("some-model", base_url="http://127.0.0.1:9/v1", api_key="none")
    agent = Agent("assistant", model=FallbackModel(nobody, sys.argv[1] if len(sys.argv) > 1 else "auto"))
    async with agent.stream("Say hello.") as run:
        async for event in run:
            match event:
                case Retrying(reason=reason):
                    print(f"[again: {reason}]")
                case ModelChanged(reason=reason):
                    print(f"[next model: {reason}]")
                case TextDelta(delta=delta):
                    print(delta, end="", flush=True)
    print()


asyncio.run(main())
