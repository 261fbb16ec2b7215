"""Function calls, as cProfile counts them: a measure of cost that does not depend on the machine or its load.

The aim is 2,500 calls a calc run. What was reached is far below it and is kept: whoever adds more than the room left
here has made every run slower, and should know it.
"""

from __future__ import annotations

import pytest

from benchmarks import measures
from benchmarks.contenders import open_contender
from benchmarks.contenders.base import Contender
from benchmarks.server import running
from tests.conftest import ROOT

A_RUN = 1_150
A_DELTA = 39
GROWTH = 1.25
EARLIER = 90
"""More calls than those of a calc run where the same 1,000 messages stand before it."""


@pytest.fixture(scope="module")
def base_url(request: pytest.FixtureRequest) -> str:
    """A fake provider in a process of its own, so that no call of its is counted."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.chdir(ROOT)
    server = running()
    url = server.__enter__()
    request.addfinalizer(lambda: server.__exit__(None, None, None))
    monkeypatch.undo()
    return url


@pytest.fixture
def ours(base_url: str) -> Contender:
    """The job through the public surface."""
    return open_contender("ours", base_url)


async def test_a_run_and_a_delta(ours: Contender) -> None:
    """Two model calls and a tool, and each delta of a flood, stay within their calls."""
    figures = await measures.calls(ours, 20)
    assert figures["per_run"] <= A_RUN
    assert figures["per_delta"] <= A_DELTA


async def test_turn_after_turn(ours: Contender) -> None:
    """A model call costs in a run of 60 tool turns what it costs in one of 5: no step goes over the whole history."""
    a_call = {}
    for turns in (5, 60):
        job = measures.answering(ours, ours.agent(f"turns-{turns}"), [])
        await measures.repeat(job, 1)
        a_call[turns] = await measures.counted(lambda job=job: measures.repeat(job, 2)) / (2 * (turns + 1))
    assert a_call[60] <= GROWTH * a_call[5]


async def test_after_a_thousand_messages(ours: Contender) -> None:
    """A conversation that comes again is looked at as a whole, not message by message."""
    a_run = []
    for earlier in ([], ours.earlier(1000)):
        job = measures.answering(ours, ours.agent("calc"), earlier)
        await measures.repeat(job, 3)
        a_run.append(await measures.counted(lambda job=job: measures.repeat(job, 10)) / 10)
    assert a_run[1] <= a_run[0] + EARLIER
