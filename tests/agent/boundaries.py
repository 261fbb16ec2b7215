"""Processes that run an agent and die at a chosen commit of theirs. Started by `test_boundaries`.

    python -m tests.agent.boundaries DATABASE BASE_URL TOOL_URL

Reads orders from standard input, one a line as JSON, and carries each out in a process of its own, forked from this one,
which has all that it needs loaded: `{"thread": …, "run": … or null, "die": ["before" | "after", n] or null, "settle":
"approve" | "deny" or null}`. Answers each with a line: how the process ended, and what it told.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
import urllib.request
from typing import Any

import pydantic

from lumosai import Agent, Memory, Scope, ToolContext, tool
from lumosai.events import ApprovalRequested
from lumosai.models import OpenAIChatModel
from lumosai.storage._postgres_connection import Connection
from lumosai.storage._sqlite_writer import Writer


class Bill(pydantic.BaseModel):
    """What it comes to."""

    total: int
    paid: bool


def make(database: str, base_url: str, tool_url: str) -> Agent[Bill]:
    """The agent, the same in every process: tools of every kind, one that is an agent, and one that is asked about."""

    def outside(what: str, context: ToolContext) -> str:
        key = urllib.request.quote(context.idempotency_key)
        with urllib.request.urlopen(f"{tool_url}/{what}?key={key}") as answer:
            return answer.read().decode()

    @tool(effect="pure")
    def look(what: str, context: ToolContext) -> str:
        """Looks."""
        return outside(f"look-{what}", context)

    @tool
    async def measure(what: str, context: ToolContext) -> str:
        """Measures."""
        return outside(f"measure-{what}", context)

    @tool(effect="once")
    def pay(amount: int, context: ToolContext) -> str:
        """Pays."""
        return outside(f"pay-{amount}", context)

    @tool(approval=True)
    def sign(paper: str, context: ToolContext) -> str:
        """Signs."""
        return outside(f"sign-{paper}", context)

    model = OpenAIChatModel("test-model", base_url=base_url, api_key="k")
    clerk = Agent("clerk", instructions="You are the clerk.", model=model, tools=[measure])
    return Agent(
        "buyer",
        instructions="You are the buyer.",
        model=model,
        tools=[look, measure, pay, sign, clerk.as_tool(description="Asks the clerk.")],
        memory=Memory(database),
        output_type=Bill,
    )


def arm(moment: str, number: int) -> None:
    """This process dies before, or after, its so-many-th commit."""
    count = 0
    commit, postgres_commit = Writer._commit, Connection.commit

    def reached() -> bool:
        nonlocal count
        count += 1
        return count == number

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def sqlite_commit(self: Writer, connection: Any, done: Any) -> None:
        here = reached()
        if here and moment == "before":
            die()
        commit(self, connection, done)
        if here:
            die()

    async def commit_postgres(self: Connection) -> None:
        here = reached()
        if here and moment == "before":
            die()
        await postgres_commit(self)
        if here:
            die()

    Writer._commit = sqlite_commit  # type: ignore[method-assign]
    Connection.commit = commit_postgres  # type: ignore[method-assign]


async def work(agent: Agent[Bill], order: dict[str, Any], tell: Any) -> None:
    """Begins the run, or goes on with it, to its end or to where somebody must decide."""
    await agent.memory.storage.open()
    if order["die"]:
        arm(*order["die"])
    run = agent.stream("Buy it.", thread_id=order["thread"])
    if order["run"] and await agent.storage.scope(Scope()).run(order["run"]) is not None:
        run = agent.resume(order["run"])  # else its process died before anything was kept
    async with run:
        tell({"run": run.id})
        settle = order["settle"]
        if settle:
            events = run._loop.state.past.events
            for call in events[-1].pending:
                run.approve(call.id) if settle == "approve" else run.deny(call.id, "It was paid.")
        async for event in run:
            if type(event) is ApprovalRequested and event.call.name == "sign":
                run.approve(event.call.id)
        result = await run.result()
    output = result.output.model_dump() if result.output is not None else None
    tell({"reason": result.finish_reason, "output": output, "pending": [c.name for c in result.pending]})
    page = await (await agent.memory.thread(order["thread"])).get_messages(limit=100)
    tell({"roles": [m.message.role for m in page.items], "texts": [m.message.text for m in page.items]})
    await agent.memory.close()


def carried_out(agent: Agent[Bill], order: dict[str, Any]) -> dict[str, Any]:
    """One order, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            asyncio.run(work(agent, order, lambda told: os.write(writing, json.dumps(told).encode() + b"\n")))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as lines:
        told: dict[str, Any] = {}
        for line in lines:
            told.update(json.loads(line))
    _, status = os.waitpid(child, 0)
    return told | {"killed": os.WIFSIGNALED(status), "code": os.waitstatus_to_exitcode(status)}


if __name__ == "__main__":
    made = make(*sys.argv[1:])
    for each in sys.stdin:
        print(json.dumps(carried_out(made, json.loads(each))), flush=True)
