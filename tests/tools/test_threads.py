"""`lumosai.tools._threads`: the bounded pool of daemon threads, and what a hung one costs."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lumosai import _wake
from lumosai.errors import RunError
from lumosai.tools._threads import Job, Pool, pool


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Waits for what another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        await asyncio.sleep(0.001)


async def test_values_and_errors() -> None:
    """A job's value or exception comes back to the loop as data."""
    made = Pool()
    assert await made.submit(lambda: 42).future == (True, 42)
    done, error = await made.submit(lambda: 1 / 0).future or (None, None)
    assert done is False
    assert isinstance(error, ZeroDivisionError)


async def test_threads_are_reused_and_are_daemons() -> None:
    """One job after another takes one thread, and no thread keeps the process alive."""
    made = Pool()
    seen = {(await made.submit(threading.current_thread).future)[1] for _ in range(20)}  # type: ignore[index]
    assert len(seen) <= 2
    assert all(thread.daemon for thread in seen)


async def test_as_many_at_once_as_the_size() -> None:
    """No more jobs run at once than the size; the others wait their turn and all come."""
    made = Pool(size=3)
    running, most, lock, go = 0, 0, threading.Lock(), threading.Event()

    def job() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go.wait(5)
        with lock:
            running -= 1
        return 1

    jobs = [made.submit(job) for _ in range(10)]
    await until(lambda: running == 3)
    go.set()
    assert [await each.future for each in jobs] == [(True, 1)] * 10
    assert most == 3
    assert made.threads == 3


async def test_a_job_waits_for_none_before_it() -> None:
    """A job that blocks holds its own thread only: those behind it have theirs, however quickly they came."""
    made = Pool()
    go = threading.Event()
    slow = [made.submit(lambda: go.wait(10)) for _ in range(3)]
    assert await made.submit(lambda: "quick").future == (True, "quick")
    assert not any(job.done for job in slow)
    go.set()
    assert [await job.future for job in slow] == [(True, True)] * 3


async def test_quick_jobs_that_are_done_together_wake_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are done before the loop looks are told together."""
    made = Pool()
    woken: list[Any] = []
    ring = _wake.Bell.ring
    monkeypatch.setattr(_wake.Bell, "ring", lambda self: woken.append(self) or ring(self))  # type: ignore[func-returns-value]
    jobs = [made.submit(lambda: 1) for _ in range(32)]
    until_done = time.monotonic() + 5
    while not all(job.done for job in jobs) and time.monotonic() < until_done:
        time.sleep(0.001)  # noqa: ASYNC251  # so that the loop does not look
    assert [await job.future for job in jobs] == [(True, 1)] * 32
    assert len(woken) == 1


@pytest.mark.parametrize("why", [NotImplementedError, OSError])
async def test_a_loop_that_watches_no_files(why: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows' usual one, or where none can be opened any more: it hears of its jobs all the same."""

    def refuse(*_: Any) -> Any:
        raise why

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(*((loop, "add_reader") if why is NotImplementedError else (os, "pipe")), refuse)
    made = Pool()
    assert [await job.future for job in [made.submit(lambda: 1) for _ in range(5)]] == [(True, 1)] * 5


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts files by /proc")
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_closed_loop_leaves_no_file_open(kind: str) -> None:
    """Nor does one of whose jobs the time-out was still to come."""
    new_loop = asyncio.new_event_loop if kind == "asyncio" else pytest.importorskip("uvloop").new_event_loop

    async def main() -> None:
        job = Pool().submit(lambda: 1)
        job.expire_in(60)
        await job.future
        job.leave()

    def open_files() -> int:
        return len([*Path("/proc/self/fd").iterdir()])

    def run() -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    run()  # the first of its kind opens some that stay
    before = open_files()
    for _ in range(5):
        run()
    end = time.monotonic() + 5  # a thread lets go of its last job a moment after it has told of it
    while open_files() > before and time.monotonic() < end:
        time.sleep(0.001)
    assert open_files() <= before


async def test_time_outs_share_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each job expires when its own time is up, whichever was set first, and one timer is set at a time."""
    made, go, loop = Pool(), threading.Event(), asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    call_at = loop.call_at
    monkeypatch.setattr(loop, "call_at", lambda *a: timers.append(call_at(*a)) or timers[-1])  # type: ignore[func-returns-value]
    jobs = [made.submit(lambda: go.wait(10)) for _ in range(4)]
    for job, timeout_s in zip(jobs, (60, 0.03, 0.01, 60), strict=True):
        job.expire_in(timeout_s)
    assert len([t for t in timers if not t.cancelled()]) == 1
    assert await jobs[2].future is None
    assert not jobs[1].future.done()
    assert await jobs[1].future is None
    assert not jobs[0].future.done()
    for job in jobs:
        job.leave()
    assert len([t for t in timers if not t.cancelled() and t.when() > loop.time()]) == 1
    go.set()
    assert [await jobs[0].future, await jobs[3].future] == [(True, True)] * 2


async def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that no thread can take is refused; where there is one, the job waits for it; later ones fare as ever."""
    made = Pool()
    start = threading.Thread.start

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RunError, match="starts no thread"):
        made.submit(lambda: 1)
    monkeypatch.setattr(threading.Thread, "start", start)
    go = threading.Event()
    first = made.submit(lambda: go.wait(10))
    await until(lambda: first.started)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    second = made.submit(lambda: 2)
    go.set()
    assert (await first.future, await second.future) == ((True, True), (True, 2))
    assert made.threads == 1


async def test_contextvars_reach_the_thread() -> None:
    """A job sees the context it was submitted from, and changes nothing outside."""
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")
    var.set("outer")

    def job() -> str:
        before = var.get()
        var.set("inner")
        return before

    assert await Pool().submit(job).future == (True, "outer")
    assert var.get() == "outer"


async def test_hung_jobs_starve_nobody() -> None:
    """When every thread hangs and is given up, others take their place."""
    made = Pool(size=2)
    go = threading.Event()
    hung = [made.submit(lambda: go.wait(10)) for _ in range(2)]
    await until(lambda: all(job.started for job in hung))
    waiting = made.submit(lambda: "at last")
    assert not waiting.started
    for job in hung:
        made.abandon(job)
        made.abandon(job)
    assert made.hung == 2
    assert await waiting.future == (True, "at last")
    assert await made.submit(lambda: "again").future == (True, "again")
    go.set()
    await until(lambda: made.hung == 0)
    await until(lambda: made.threads <= 2)
    assert not hung[0].future.done()


async def test_too_many_hung_jobs() -> None:
    """There is a hard cap, and a clear error beyond it; room is there again when they end."""
    made = Pool(size=1, most_hung=2)
    go = threading.Event()
    for _ in range(2):
        job = made.submit(lambda: go.wait(10))
        await until(lambda: job.started)  # noqa: B023
        made.abandon(job)
    with pytest.raises(RunError, match=r"2 tool calls.*ToolContext\.cancelled"):
        made.submit(lambda: None)
    go.set()
    await until(lambda: made.hung == 0)
    assert await made.submit(lambda: "fine").future == (True, "fine")


async def test_a_job_given_up_before_it_began() -> None:
    """It never runs, and its place is free."""
    made = Pool(size=1)
    go = threading.Event()
    first = made.submit(lambda: go.wait(10))
    ran: list[int] = []
    second = made.submit(lambda: ran.append(1))
    made.abandon(second)
    third = made.submit(lambda: ran.append(3))
    go.set()
    await first.future
    await third.future
    assert ran == [3]
    assert made.hung == 0


async def test_threads_at_rest_end() -> None:
    """A thread without work goes home, and the next job gets a new one."""
    made = Pool(idle_s=0.01)
    await made.submit(lambda: None).future
    await until(lambda: made.threads == 0)
    assert await made.submit(lambda: 1).future == (True, 1)


def test_a_loop_that_is_gone() -> None:
    """A job that outlives its loop harms nobody."""
    made = Pool()
    go, done = threading.Event(), threading.Event()

    def job() -> None:
        go.wait(5)
        done.set()

    async def main() -> None:
        made.submit(job)

    asyncio.run(main())
    go.set()
    assert done.wait(5)
    assert asyncio.run(again(made)) == (True, "alive")


async def again(made: Pool) -> Any:
    return await made.submit(lambda: "alive").future


async def test_several_loops_share_one_pool() -> None:
    """Loops in different threads use it side by side."""
    made = Pool(size=4)
    answers: list[Any] = []

    def loop(n: int) -> None:
        async def main() -> None:
            for _ in range(50):
                answers.append(await made.submit(lambda: n).future)

        asyncio.run(main())

    threads = [threading.Thread(target=loop, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(lambda: [thread.join(20) for thread in threads])
    assert sorted(answers) == sorted([(True, n) for n in range(4) for _ in range(50)])
    assert made.threads <= 4


async def test_a_job_that_ended_while_it_was_being_cancelled_is_not_waited_for() -> None:
    """What it told between the cancel and its arrival counts, with no grace."""
    job = Job(lambda: "done")

    async def wait() -> Any:
        try:
            return await job.future
        except asyncio.CancelledError:
            return await job.settled(3600)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    job.take(job.run())
    assert await waiting == (True, "done")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python warns of a fork beside threads from 3.12 on")
def test_after_a_fork() -> None:
    """A forked child has none of its parent's threads, and makes its own."""
    asyncio.run(again(pool()))
    child = os.fork()
    if child == 0:
        os._exit(0 if asyncio.run(again(pool())) == (True, "alive") else 1)
    assert os.waitpid(child, 0)[1] == 0
