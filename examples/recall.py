"""What was said long before the window comes back where it bears on what is asked.

    python examples/recall.py

A name and a dog are told in Chinese, then there is small talk. With the extra `embeddings` they are found by meaning, too;
without it by words alone, which are enough here.
"""

import asyncio

from lumosai import Agent, Memory
from lumosai.memory import SemanticRecall
from lumosai.models.base import ModelRequest
from lumosai.testing import ScriptedModel


def answer(request: ModelRequest) -> str:
    """Stands for a model: says what was quoted to it."""
    quoted = [line for m in request.messages for line in m.text.splitlines() if line.startswith('{"at"')]
    return f"I was reminded of {quoted[0]}" if quoted else "Yes, yes."


async def main() -> None:
    recall = SemanticRecall(top_k=1, before=0, after=0)
    async with Memory("sqlite://", last_messages=4, recall=recall) as memory:
        agent = Agent("assistant", model=ScriptedModel(answer), memory=memory)
        quiet = {"recall": False}
        await agent.generate("我叫Alice，养了一只叫豆包的狗。", thread_id="t", memory_options=quiet)
        for text in ("Rain again.", "What a week.", "I need tea.", "So be it."):
            await agent.generate(text, thread_id="t", memory_options=quiet)
        await memory.settled()
        result = await agent.generate("豆包是谁？", thread_id="t")
        print(result.text)
        for hit in (await memory.search("豆包")).items:
            print("found:", [hit.text[a:b] for a, b in hit.highlights], "in", hit.text)


asyncio.run(main())
