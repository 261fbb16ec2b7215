"""What a run leaves behind: nothing that only the garbage collector can free, so that many runs need not wait for it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from lumosai import Agent, ToolContext
from lumosai.testing import ScriptedModel, call


def add(a: int, b: int) -> str:
    """Adds two numbers, in a thread."""
    return str(a + b)


async def double(a: int, context: ToolContext) -> str:
    """Doubles a number and says so."""
    context.progress("half")
    return str(2 * a)


@pytest.fixture
def garbage() -> Iterator[list[object]]:
    """Collects by hand, and keeps what is collected."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def ours(objects: list[object]) -> list[str]:
    """The names of the types of this package among them."""
    return sorted({type(o).__qualname__ for o in objects if type(o).__module__.partition(".")[0] == "lumosai"})


CALLS = {"add": call("add", a=1, b=2), "double": call("double", a=1)}


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("tools", [[], ["add"], ["double"], ["add", "double"]])
async def test_a_run_that_ends(garbage: list[object], tools: list[str], read: bool) -> None:
    """Its events, messages, calls and contexts are freed with its result, whether or not somebody read them."""
    first = [[CALLS[t] for t in tools]] if tools else []
    agent = Agent("a", model=ScriptedModel([*first, "done"] * 4), tools=[add, double])
    for number in range(4):
        if number == 1:  # the first run makes what all share
            gc.collect()
            garbage.clear()
        if read:
            async with agent.stream("go") as run:
                assert "".join([t async for t in run.text()]) == "done"
            del run
        else:
            assert (await agent.generate("go")).text == "done"
    gc.collect()
    assert ours(garbage) == []
