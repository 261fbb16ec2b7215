"""Another process that runs an agent on the thread `t`. Started by `test_turns`.

    python -m tests.memory.elsewhere DATABASE LEASE_S

Each line of its input is a run to begin, as JSON `{"input": …, "options": {…}}`, or "go", which lets the model answer.
It prints JSON lines: a run's id when it shows its first text, and how it ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from lumosai import Agent, Memory
from lumosai.agent import journal
from lumosai.errors import LumosaiError
from lumosai.events import TextDelta
from lumosai.storage import _owner, lookout
from lumosai.testing import Answer, ScriptedModel


class Gate:
    """Lets the answers go on that are under way, and no later ones."""

    def __init__(self) -> None:
        self.now = asyncio.Event()

    def open(self) -> None:
        self.now.set()
        self.now = asyncio.Event()


def make(database: str, gate: Gate) -> Agent:
    """An agent that answers with what was said last and a mark, and stops in between."""

    def answer(request: Any) -> Answer:
        last = next(m.text for m in reversed(request.messages) if m.role == "user")
        return Answer(deltas=[last, "!"], gate=gate.now, gate_at=1)

    return Agent("a", model=ScriptedModel(answer), memory=Memory(database))


def short_leases(lease_s: float) -> None:
    """Leases of this process last so long, and are renewed in time."""
    _owner.LEASE_S = lease_s
    journal.RENEW_S = lookout.RENEW_S = lease_s / 3


async def work(agent: Agent, given: str, options: dict[str, Any]) -> None:
    try:
        async with agent.stream(given, thread_id="t", **options) as run:
            async for event in run:
                if isinstance(event, TextDelta) and event.delta != "!":
                    tell(shown=run.id)
            result = await run.result()
    except LumosaiError as error:
        tell(error=type(error).__name__)
    else:
        tell(ended=result.finish_reason, texts=[m.text for m in result.messages])


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def main(database: str, lease_s: str) -> None:
    short_leases(float(lease_s))
    gate = Gate()
    agent = make(database, gate)
    tasks = set()
    tell(ready=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip() == "go":
            gate.open()
        else:
            asked = json.loads(line)
            tasks.add(asyncio.create_task(work(agent, asked["input"], asked.get("options", {}))))
    await asyncio.gather(*tasks)
    await agent.storage.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
