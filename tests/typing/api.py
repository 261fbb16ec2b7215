"""The public surface's types as a user's type checker sees them. This file is checked by `make check`, and never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

from lumosai import Agent, AgentResult, Limits, Memory, Message, Run, RunContext, Tool, ToolContext, model, tool
from lumosai.memory import ContextPlan, FactChange, MemoryOptions, Session, Summary, WorkingMemory
from lumosai.models import FallbackModel, OpenAIChatModel, OpenAIResponsesModel
from lumosai.models.base import Model
from lumosai.models.tokens import count
from lumosai.testing import ScriptedModel


@dataclass
class City:
    name: str


@tool
def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


@tool(timeout_s=5, approval=True, effect="once")
async def pay(amount: float, context: ToolContext[City]) -> str:
    """Pay."""
    return f"{amount} {context.context.name}"


def instructions(context: RunContext[City]) -> str:
    return context.context.name


async def agents() -> None:
    plain = Agent("a", instructions=instructions, tools=[add, pay, City], model="local")
    assert_type(plain, Agent[str])
    assert_type(await plain.generate("x", context=City("x")), AgentResult[str])
    assert_type(plain.generate_sync([Message.user("x")]).text, str)
    typed = Agent("a", output_type=City)
    assert_type(typed, Agent[City])
    assert_type((await typed.generate("x")).output, City | None)
    assert_type(typed.replace(model="auto"), Agent[City])
    async with typed.stream("x") as run:
        assert_type(run, Run[City])
        async for text in run.text():
            assert_type(text, str)
        assert_type((await run.result()).output, City | None)
    assert_type(await plain.generate("x", output_type=City, context=1), AgentResult[City])
    assert_type(plain.generate_sync("x", output_type=int).output, int | None)
    assert_type(plain.stream("x", output_type=City), Run[City])
    assert_type(typed.stream("x", limits=Limits(max_steps=1), tool_choice={"tool": "add"}), Run[City])
    either: AgentResult[Any] = await plain.generate("x", output_type=City | str)
    print(either.output)


async def tools() -> None:
    assert_type(add(1, 2), int)
    assert_type(await pay(1.0, ToolContext(City("x"))), str)
    assert_type(add.replace(name="plus")(1), int)
    given: Tool = add
    print(given.definition().name)


def models() -> None:
    found: Model = model("openai:gpt-5-mini", timeout_s=3)
    of_ones_own: Model = OpenAIChatModel("m", base_url="http://127.0.0.1/v1")
    searching: Model = OpenAIResponsesModel("m", tools=[{"type": "web_search"}], summary="auto", stored=True)
    scripted: Model = ScriptedModel(["x"])
    Agent("a", model=FallbackModel(found, of_ones_own, searching, scripted, "local"))


def shorter(plan: ContextPlan) -> None:
    for item in plan.of("history"):
        item.leave_out("not now")


async def remembering() -> None:
    memory = Memory("sqlite://", working=WorkingMemory("resource", schema=City), processors=[shorter, Summary()])
    agent = Agent("a", memory=memory)
    await agent.generate("x", thread_id="t", memory_options={"last_messages": 3, "read_only": True}, memory=memory)
    await agent.generate("x", thread_id="t", memory_options=MemoryOptions(processors=(shorter,)))
    working = memory.working(resource_id="r")
    assert_type((await working.set("name", "Basel")).version, int)
    assert_type(await working.history(), tuple[FactChange, ...])
    session = await memory.session("r", agent=agent, idle_timeout_s=60)
    assert_type(await session.complete(summarize=lambda messages: str(len(messages))), Session)
    assert_type(count([Message.user("x")], model="openai:gpt-5-mini").tokens, int)
