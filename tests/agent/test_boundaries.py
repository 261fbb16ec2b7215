"""kill -9 before and after every commit of a run with everything in it, then a new process, on both databases."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agent.test_crash import tool_server
from tests.conftest import ROOT
from tests.servers import Call, Reply, Request, serve_in_thread

__all__ = ["tool_server"]

EVERY = 1 if "LUMOSAI_CRASH_ROUNDS" in os.environ else 9
"""Every so-many-th boundary is one to die at."""


def answer(request: Request) -> Reply:
    """The clerk measures; the buyer does three things at once, asks the clerk, signs, and gives the bill."""
    results = [m for m in request.messages if m["role"] == "tool"]
    if "clerk" in str(request.messages[0]["content"]):
        return Reply("It fits.") if results else Reply("", [Call("measure", {"what": "box"}, "call_box")])
    if not results:
        calls = [("look", {"what": "shop"}), ("measure", {"what": "door"}), ("pay", {"amount": 7})]
        return Reply("One moment.", [Call(name, given, f"call_{name}") for name, given in calls])
    if len(results) == 3:
        return Reply("", [Call("clerk", {"task": "Does it fit?"}, "call_clerk")])
    if len(results) == 4:
        return Reply("", [Call("sign", {"paper": "bill"}, "call_sign")])
    return Reply('{"total": 7, "paid": true}')


KEYS = {"0:call_look", "0:call_measure", "0:call_pay", "0:call_box", "2:call_sign"}


def boundaries(kind: str) -> Iterator[tuple[int, str]]:
    """Commits to die at, and when: each before and after where all are tried, else by turns."""
    for turn, number in enumerate(itertools.count(1 if EVERY == 1 else 3 + 2 * (kind == "postgres"), EVERY)):
        for moment in ("before", "after") if EVERY == 1 else (("before", "after")[turn % 2],):
            yield number, moment


class Processes:
    """The program that forks them."""

    def __init__(self, *arguments: str) -> None:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.agent.boundaries", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def order(self, thread: str, run: str | None = None, die: Any = None, settle: str | None = None) -> dict[str, Any]:
        """One process to its end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {"thread": thread, "run": run, "die": die, "settle": settle}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        """No more orders."""
        self.process.communicate()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_run_killed_at_a_commit_ends_as_if_nothing_had_been(
    kind: str, tmp_path, request: pytest.FixtureRequest, tool_server: tuple[str, Counter]
) -> None:
    """Its bill, its thread and what the outside saw are those of a run that nobody killed, but for what was cut.

    A payment of which nobody knows is made again where the outside has not seen it, else given up; so it is made once.
    """
    tool_url, asked = tool_server
    database = request.getfixturevalue("postgres_url") if kind == "postgres" else f"sqlite:///{tmp_path}/crash.db"
    with serve_in_thread(answer) as server:
        processes = Processes(database, server.base_url, tool_url)
        whole = processes.order("whole")
        assert (whole["code"], whole["reason"], whole["output"]) == (0, "stop", {"total": 7, "paid": True})
        assert set(asked) == KEYS
        assert set(asked.values()) == {1}
        requests = len({json.dumps(r.messages) for r in server.requests})
        assert requests == len(server.requests) == 6
        paused = 0
        for number, moment in boundaries(kind):
            asked.clear()
            server.requests.clear()
            thread = f"{moment} {number}"
            first = processes.order(thread, die=[moment, number])
            if not first["killed"]:  # it has no such commit
                assert first["code"] == 0
                break
            told = processes.order(thread, first.get("run"))
            assert told["code"] == 0, (thread, told)
            if told["reason"] == "paused":
                paused += 1
                assert told["pending"] == ["pay"]
                settle = "deny" if asked["0:call_pay"] else "approve"
                told = processes.order(thread, told["run"], settle=settle)
            assert (told["code"], told["reason"], told["output"]) == (0, "stop", whole["output"]), (thread, told)
            assert told["roles"] == whole["roles"], thread
            assert told["texts"][-1] == whole["texts"][-1]
            assert set(asked) == KEYS, thread
            assert asked["0:call_pay"] == 1, thread
            assert sum(asked.values()) <= len(KEYS) + 3, thread
            prompts = Counter(json.dumps(r.messages) for r in server.requests)
            assert sum(prompts.values()) <= requests + 1, (thread, len(prompts))
        assert number > 10
        assert paused or EVERY > 1
        processes.end()
