"""Calls into event loops from other threads."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any

import pytest

from lumosai._wake import waker


class Later(asyncio.SelectorEventLoop):
    """An event loop that listens to no descriptors of ours, as some do not."""

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        if fd is not self._ssock.fileno() and fd != self._ssock.fileno():
            raise NotImplementedError
        super().add_reader(fd, callback, *args)


def loops() -> list[Any]:
    """Event loops of each kind."""
    kinds = [asyncio.new_event_loop, Later]
    try:
        import uvloop
    except ImportError:  # which is for some systems only
        return kinds
    return [*kinds, uvloop.new_event_loop]


@pytest.mark.parametrize("made", loops())
def test_each_call_is_made_in_its_threads_order(made: Any) -> None:
    """From many threads at once, in the loop's own."""
    threads, each = 8, 200

    async def main() -> None:
        loop, mine, heard = asyncio.get_running_loop(), waker(asyncio.get_running_loop()), []
        done = asyncio.Event()

        def hear(who: int, number: int) -> None:
            heard.append((who, number, threading.get_ident()))
            if len(heard) == threads * each:
                done.set()

        def say(who: int) -> None:
            for number in range(each):
                mine.call(loop, hear, who, number)

        assert waker(asyncio.get_running_loop()) is mine
        workers = [threading.Thread(target=say, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        await asyncio.wait_for(done.wait(), 30)
        for worker in workers:
            worker.join()
        for n in range(threads):
            assert [number for who, number, _ in heard if who == n] == [*range(each)]
        assert {thread for *_, thread in heard} == {threading.get_ident()}

    with asyncio.Runner(loop_factory=made) as runner:
        runner.run(main())


@pytest.mark.parametrize("made", loops())
def test_a_call_that_fails_leaves_the_others(made: Any) -> None:
    """What it raises is the loop's to tell; what ends the loop ends it, and the rest is called when it runs again."""
    heard: list[Any] = []
    told: list[Any] = []

    def fail(error: BaseException) -> None:
        raise error

    async def main(error: BaseException | None) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        mine = waker(asyncio.get_running_loop())

        def say() -> None:
            for one in (ValueError("a"), error):
                mine.call(loop, heard.append, "before")
                if one is not None:
                    mine.call(loop, fail, one)
            mine.call(loop, heard.append, "behind")

        if error is not None:
            say()
        while "behind" not in heard:
            await asyncio.sleep(0.001)

    runner = asyncio.Runner(loop_factory=made)
    with runner:
        with pytest.raises(KeyboardInterrupt):
            runner.run(main(KeyboardInterrupt()))
        runner.run(main(None))
    assert heard == ["before", "before", "behind"]
    assert [str(e) for e in told] == ["a"]


def test_who_calls_into_a_loop_that_is_closed_is_told() -> None:
    """As by the loop itself."""
    loop = asyncio.new_event_loop()

    async def main() -> Any:
        return waker(asyncio.get_running_loop())

    mine = loop.run_until_complete(main())
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        mine.call(loop, print)


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows' event loops listen to sockets alone: they are woken as ever"
)
@pytest.mark.parametrize("made", [loop for loop in loops() if loop is not Later])
def test_a_bell_is_there_for_as_long_as_its_loop(made: Any) -> None:
    """A program that makes a loop for each call uses up no files, whether or not the collector comes by."""

    async def main(*, calls: bool) -> tuple[int, int]:
        mine = waker(asyncio.get_running_loop())
        if calls:
            told = asyncio.Event()
            mine.call(asyncio.get_running_loop(), told.set)
            await told.wait()
        assert waker(asyncio.get_running_loop()) is mine
        return mine._bell._heard, mine._bell._pulled

    kept = []  # loops that somebody holds on to
    for calls in (False, True):
        kept.append(made())
        ends = kept[-1].run_until_complete(main(calls=calls))
        for end in ends:
            assert os.fstat(end)
        kept[-1].close()
        for end in ends:
            with pytest.raises(OSError, match="descriptor"):
                os.fstat(end)
