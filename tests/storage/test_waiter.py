"""A future whose first waiter goes on in the turn of the event loop in which it is done."""

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from lumosai.storage import SqliteStorage
from lumosai.storage._sqlite_writer import _Job, _resolve
from lumosai.storage._waiter import Waiter

_VALUE: ContextVar[str] = ContextVar("_VALUE", default="none")


async def test_the_first_waiter_goes_on_at_once_in_its_own_context_and_the_others_after_it() -> None:
    loop = asyncio.get_running_loop()
    waiter: Waiter[int] = Waiter(loop=loop)
    told: list[str] = []

    async def wait(name: str) -> None:
        _VALUE.set(name)
        value = await waiter
        told.append(f"{name} {value} {_VALUE.get()}")

    def finish() -> None:
        waiter.finish(7)
        told.append("finished")

    tasks = [asyncio.create_task(wait(name)) for name in ("a", "b")]
    await asyncio.sleep(0)
    loop.call_soon(finish)
    await asyncio.gather(*tasks)
    assert told == ["a 7 a", "finished", "b 7 b"]
    assert await waiter == 7


async def test_an_error_is_raised_where_it_is_waited_for() -> None:
    loop = asyncio.get_running_loop()
    waiter: Waiter[int] = Waiter(loop=loop)
    loop.call_soon(waiter.finish, 0, ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await asyncio.shield(waiter)


async def test_a_cancelled_waiter_hears_of_it_and_nothing_comes_behind() -> None:
    loop = asyncio.get_running_loop()
    waiter: Waiter[int] = Waiter(loop=loop)
    task = asyncio.ensure_future(asyncio.wait_for(waiter, 30))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert waiter.cancelled()
    loop.call_soon(waiter.finish, 1)
    await asyncio.sleep(0)
    assert waiter.cancelled()


async def test_who_gave_up_waiting_is_not_called() -> None:
    loop = asyncio.get_running_loop()
    waiter: Waiter[int] = Waiter(loop=loop)
    assert await asyncio.wait([waiter], timeout=0.001) == (set(), {waiter})
    loop.call_soon(waiter.finish, 1)
    assert await waiter == 1


async def test_a_callback_that_fails_is_told_of_and_holds_no_other_up() -> None:
    loop = asyncio.get_running_loop()
    told: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: told.append(context))
    waiter: Waiter[int] = Waiter(loop=loop)

    def fail(_: object) -> None:
        raise ValueError("mine")

    waiter.add_done_callback(fail)
    loop.call_soon(waiter.finish, 1)
    assert await waiter == 1
    assert [str(context["exception"]) for context in told] == ["mine"]


async def test_whoever_waits_for_one_write_may_write_again_before_the_others_of_its_transaction_hear() -> None:
    async with SqliteStorage("sqlite://") as storage:
        handles = [storage.scope(s) for s in _scopes()]

        async def threads(number: int) -> int:
            for count in range(5):
                await handles[number % 2].ensure_thread(f"t{number}.{count}")
            return len((await handles[number % 2].list_threads()).items)

        await asyncio.wait_for(asyncio.gather(*[threads(n) for n in range(6)]), 30)
        assert [len((await h.list_threads()).items) for h in handles] == [15, 15]


def test_one_that_ends_the_event_loop_keeps_the_others_of_its_transaction_from_nothing() -> None:
    loop = asyncio.new_event_loop()
    jobs = [_Job(iter, loop, Waiter(loop=loop)) for _ in range(3)]

    async def leave() -> None:
        await jobs[0].future
        raise SystemExit(3)

    async def wait() -> list[Any]:
        return [await job.future for job in jobs[1:]]

    leaving = loop.create_task(leave())
    waiting = loop.create_task(wait())
    loop.call_soon(loop.call_soon, _resolve, jobs)
    try:
        with pytest.raises(SystemExit):
            loop.run_until_complete(waiting)
        assert loop.run_until_complete(asyncio.wait_for(waiting, 30)) == [None, None]
        assert isinstance(leaving.exception(), SystemExit)
    finally:
        loop.close()


def _scopes() -> list[Any]:
    from lumosai.records import Scope

    return [Scope("one"), Scope("two")]
