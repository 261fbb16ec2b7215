"""The laws of runs, for random teams of agents, faults, readers and moments."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lumosai import Limits
from lumosai.errors import InvalidInputError, LumosaiError
from lumosai.events import TERMINAL, ApprovalRequested, fold
from tests.agent import laws
from tests.agent.laws import (
    COMPLAINTS,
    Given,
    Watched,
    comparable,
    hold,
    hold_prefixes,
    hold_wire,
    rich_teams,
    structured_teams,
    team,
    teams,
)
from tests.conftest import examples


@pytest.fixture(autouse=True)
def nothing_is_left_to_the_collector() -> Iterator[None]:
    """No test drops a task with an exception that nobody looked at."""
    COMPLAINTS.clear()
    yield
    gc.collect()
    assert COMPLAINTS == []


SLOW = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


async def outcome(awaitable: Any) -> Any:
    """What it gives, or the error of ours that it ends with."""
    try:
        return await awaitable
    except LumosaiError as error:
        return error


async def generated(given: Given, **settings: Any) -> Any:
    return await outcome(team(given, **settings).generate("go"))


async def streamed(given: Given, **options: Any) -> tuple[list, Any]:
    async with team(given).stream("go", **options) as run:
        events = [e async for e in run]
        return events, await outcome(run.result())


@SLOW
@given(st.one_of(teams, structured_teams))
def test_any_run_keeps_the_laws(given: Given) -> None:
    """Numbers, spans, pairs, totals, prefixes, the wire; and `generate` gives what a stream folds to."""

    async def check() -> None:
        events, result = await streamed(given)
        hold(events)
        hold_prefixes(events)
        hold_wire(events)
        got = result.result if isinstance(result, LumosaiError) else result
        laws.loadable(got.messages)
        assert comparable(fold(events)) == comparable(got)
        whole = await generated(given, observers=[lambda _: None])
        assert comparable(whole) == comparable(result)

    Watched().run(check())


actions = st.lists(
    st.tuples(
        st.integers(1, 40) | st.integers(1, 200),
        st.sampled_from(["cancel", "send", "approve", "deny", "approve", "leave", "detach", "result", "close"]),
    ),
    max_size=4,
)
pay_calls = st.one_of(laws.good_calls, laws.approved_calls, laws.bad_calls)
paying_teams = st.builds(
    Given,
    st.lists(laws.answers(st.one_of(laws.outer_calls, laws.approved_calls)), max_size=4),
    st.lists(laws.answers(st.one_of(pay_calls, laws.ask_innermost)), max_size=3),
    st.lists(laws.answers(pay_calls), max_size=3),
    st.one_of(
        laws.limits,
        st.builds(Limits, deadline_s=st.sampled_from([0.0, 0.002, 0.01])),
        st.builds(Limits, approval_wait_s=st.sampled_from([0.0, 0.001])),
    ),
)


class Holder:
    """Who holds a run: does something at some of its events, and answers what waits for an approval in the end."""

    def __init__(self, run: Any, doings: list[tuple[int, str]]) -> None:
        self.run = run
        self.doings = dict(doings)
        self.sent = 0

    def look(self, event: Any) -> str | None:
        doing = self.doings.pop(event.seq, None)
        run = self.run
        if doing == "cancel":
            run.cancel("enough")
        elif doing == "send":
            try:
                run.send(f"sent at {event.seq}")
            except InvalidInputError:
                assert run._loop.state.ended
            else:
                self.sent += 1
        elif doing == "detach":
            run.detach()
        if type(event) is ApprovalRequested:
            if doing == "deny":
                run.deny(event.call.id, "no")
            else:
                run.approve(event.call.id)
        return doing


async def approve_all(run: Any) -> None:
    """Somebody still has to answer where the reader does not."""
    while not run._log.closed:
        for call_id in [*run._loop.state.approvals]:
            run.approve(call_id)
        await asyncio.sleep(0)


async def read(run: Any, holder: Holder) -> None:
    """Reads until its end, or until one of the doings is to go."""
    async for event in run:
        doing = holder.look(event)
        if doing in ("leave", "close"):
            return
        if doing == "result":
            await asyncio.gather(outcome(run.result()), approve_all(run))


@SLOW
@given(st.one_of(rich_teams, rich_teams, paying_teams, structured_teams), actions, st.booleans())
def test_whatever_its_holder_does_a_run_keeps_the_laws(given: Given, doings: list, by_observer: bool) -> None:
    """Cancelled, steered, approved, left at any event, by its reader or by an observer: it ends once, nothing hangs."""

    async def check() -> None:
        held: list[Holder] = []
        observers = [lambda e: held[0].look(e)] if by_observer else []
        run = team(given, observers=observers).stream("go")
        holder = Holder(run, doings)
        held.append(holder)
        async with asyncio.timeout(20):
            async with run:
                await read(run, holder if not by_observer else Holder(run, []))
            await approve_all(run)  # it may have been detached
            result = await outcome(run.result())
            events = [e async for e in run.subscribe()]
        hold(events)
        hold_prefixes(events)
        got = result.result if isinstance(result, LumosaiError) else result
        assert comparable(fold(events)) == comparable(got)
        texts = [m.text for m in got.messages if m.role == "user" and m.text.startswith("sent at")]
        assert len(texts) == holder.sent, "nothing that was taken is lost"
        laws.loadable(got.messages)

    Watched().run(check())


@SLOW
@given(
    st.one_of(rich_teams, rich_teams, paying_teams, structured_teams),
    st.integers(0, 60) | st.integers(0, 400),
    st.integers(0, 5),
)
def test_a_task_cancelled_at_any_await_leaves_a_whole_run(given: Given, turns: int, again: int) -> None:
    """`generate` in a task that is cancelled, and cancelled again: the events say so, and nothing is left behind."""

    async def check() -> None:
        events: list[Any] = []
        task = asyncio.create_task(generated(given, observers=[events.append]))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        for _ in range(again):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if not events:
            return
        paused = not task.cancelled() and getattr(task.result(), "finish_reason", "") == "paused"
        hold(events, paused=paused)
        hold_prefixes(events)

    Watched().run(check())


@SLOW
@given(st.one_of(rich_teams, rich_teams, paying_teams, structured_teams), st.sampled_from([0.0, 0.001, 0.005, 0.02]))
def test_a_time_out_around_a_run_is_the_callers(given: Given, seconds: float) -> None:
    """`asyncio.timeout` raises TimeoutError, or nothing where the run was faster."""

    async def check() -> None:
        events: list[Any] = []
        try:
            async with asyncio.timeout(seconds):
                await generated(given, observers=[events.append])
        except TimeoutError:
            pass
        if events and isinstance(events[-1], TERMINAL):
            hold(events)

    Watched().run(check())


def test_what_is_left_to_the_collector_is_heard() -> None:
    """A task that was dropped with an exception nobody looked at is a complaint, after its loop is closed too."""

    async def fail() -> None:
        raise ValueError("nobody looks")

    async def leave() -> None:
        left = asyncio.ensure_future(fail())
        kept.append(left)
        await asyncio.sleep(0)

    kept: list[Any] = []
    Watched().run(leave())
    assert COMPLAINTS == []
    kept.clear()
    gc.collect()
    assert [str(c["exception"]) for c in COMPLAINTS] == ["nobody looks"]
    COMPLAINTS.clear()
