"""Pages that a kept run moves in an SQLite file: most of what its commits cost, and the same on every machine."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lumosai import Agent, Memory
from lumosai.testing import ScriptedModel, call

RUNS = 10
PAGES = 72
"""A run of two model calls and a tool, on a thread of its own. Each costs about as much as a statement."""
COMMITS = 4


def calculator(expression: str) -> str:
    """Evaluates an arithmetic expression.

    Args:
        expression: the expression.
    """
    return "4" if expression else ""


def frames(path: Path) -> list[int]:
    """Of each page in the log, in order: nothing, or how large the database was where a commit ended with it."""
    log = path.with_name(f"{path.name}-wal").read_bytes()
    size = int.from_bytes(log[8:12], "big") + 24
    return [int.from_bytes(log[at + 4 : at + 8], "big") for at in range(32, len(log) - size + 1, size)]


async def test_a_kept_run_moves_few_pages(tmp_path: Path) -> None:
    """Behind some hundred others, so that its tables are as deep as they become."""
    path = tmp_path / "kept.db"
    memory = Memory(f"sqlite:///{path}")
    answers = [call("calculator", expression="2+2"), "The answer is 4"] * (120 + RUNS)
    agent = Agent("a", model=ScriptedModel(answers), tools=[calculator], memory=memory)
    for number in range(120):
        await agent.generate("Calculate 2+2", thread_id=f"before-{number}")
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    connection.close()
    for number in range(RUNS):
        await agent.generate("Calculate 2+2", thread_id=f"counted-{number}")
    moved = frames(path)
    await memory.close()
    assert len(moved) <= PAGES * RUNS
    assert COMMITS * RUNS <= sum(map(bool, moved)) <= COMMITS * RUNS + 3  # the indexer may come by
