"""The synchronous edge."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from lumosai import tool
from lumosai.errors import InvalidInputError, ModelError
from lumosai.testing import call
from tests.agent.helpers import scripted


def test_generate_sync_answers_without_a_loop() -> None:
    """Code that knows nothing of asyncio gets the same result."""
    agent, _ = scripted([call("add", a=1, b=2), "3"])
    assert agent.generate_sync("go").text == "3"


async def test_generate_sync_works_where_a_loop_is_running() -> None:
    """As in a notebook."""
    agent, _ = scripted(["ok"])
    assert agent.generate_sync("go").text == "ok"


def test_many_threads_share_the_background_loop() -> None:
    """One loop a process, however many callers."""
    agent, _ = scripted(lambda r: r.messages[-1].text)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda i: agent.generate_sync(str(i)).text, range(40))) == [str(i) for i in range(40)]
    assert sum(t.name == "lumosai-background" for t in threading.enumerate()) == 1


def test_errors_come_through() -> None:
    """With the partial result."""
    agent, _ = scripted([ModelError("gone")])
    with pytest.raises(ModelError, match="gone") as caught:
        agent.generate_sync("go")
    assert caught.value.result.finish_reason == "error"


def test_a_sync_call_inside_the_background_loop_is_refused_instead_of_hanging() -> None:
    """An async tool that calls generate_sync would wait for itself."""
    inner, _ = scripted(["x"])

    @tool
    async def ask() -> str:
        """Ask."""
        return inner.generate_sync("go").text

    agent, model = scripted([call("ask"), "done"], tools=[ask])
    assert agent.generate_sync("go").text == "done"
    assert InvalidInputError.__name__ in model.requests[1].messages[-1].tool_results[0].text


def test_a_callers_context_variables_reach_tools_and_instructions() -> None:
    """Whichever way a run is started, and in whichever thread a tool runs."""
    user: ContextVar[str] = ContextVar("user", default="nobody")
    seen = []

    @tool
    def sync_tool() -> str:
        """Looks."""
        seen.append(user.get())
        return "ok"

    @tool
    async def async_tool() -> str:
        """Looks."""
        seen.append(user.get())
        return "ok"

    def instructions(_context) -> str:
        seen.append(user.get())
        return ""

    agent, _ = scripted(
        lambda r: [call("sync_tool"), call("async_tool")] if len(r.messages) == 1 else "done",
        tools=[sync_tool, async_tool],
        instructions=instructions,
    )

    async def streamed() -> None:
        async with agent.stream("go") as run:
            await run.result()

    user.set("ada")
    agent.generate_sync("go")
    asyncio.run(agent.generate("go"))
    asyncio.run(streamed())
    assert seen == ["ada"] * 9


def test_a_forked_child_has_a_loop_of_its_own() -> None:
    """Even where the parent held the lock at the fork."""
    from lumosai import _background as sync

    agent, _ = scripted(lambda _: "ok")
    assert agent.generate_sync("go").text == "ok"
    with sync._lock:
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if agent.generate_sync("go").text == "ok" else 1)
            finally:
                os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
