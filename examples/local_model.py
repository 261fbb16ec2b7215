"""A real model on this machine, no key and no account, calls a tool and remembers what was said.

    python examples/local_model.py

It needs the extra `local` (pip install 'lumosai[local]'); the weights are fetched once, about 490 MB.
"""

import asyncio

from lumosai import Agent, Message, tool


@tool
def multiply(a: float, b: float) -> float:
    """Multiply two numbers."""
    return a * b


async def main() -> None:
    agent = Agent("assistant", instructions="Be brief.", model="local", tools=[multiply])
    history: list[Message] = []
    for question in ("What is 36 times 48?", "My name is Zoe.", "What is my name?"):
        print(f"> {question}")
        history.append(Message.user(question))
        async with agent.stream(history) as run:
            async for text in run.text():
                print(text, end="", flush=True)
            result = await run.result()
        print()
        history.extend(result.messages)


asyncio.run(main())
