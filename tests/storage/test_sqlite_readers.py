"""The threads that read an SQLite file."""

from __future__ import annotations

import threading

import pytest

from lumosai.storage._sqlite_readers import Readers


def test_jobs_are_done_side_by_side_and_by_no_more_threads_than_there_may_be() -> None:
    """Those that wait are done in their order; a thread at rest is taken before another is started."""
    readers = Readers(3, "reads")
    gate, done, lock = threading.Event(), [], threading.Lock()
    began = threading.Semaphore(0)

    def job(number: int) -> None:
        began.release()
        gate.wait(30)
        with lock:
            done.append((number, threading.current_thread().name))

    for number in range(9):
        readers.submit(lambda number=number: job(number))
    for _ in range(3):
        assert began.acquire(timeout=30)
    assert not began.acquire(blocking=False)
    gate.set()
    readers.end()
    assert sorted(number for number, _ in done) == [*range(9)]
    assert {name for _, name in done} == {"reads"}
    with pytest.raises(RuntimeError, match="ended"):
        readers.submit(print)


def test_one_thread_is_enough_for_one_job_after_the_other() -> None:
    readers = Readers(3, "reads")
    seen = set()
    for _ in range(50):
        told = threading.Event()
        readers.submit(lambda told=told: (seen.add(threading.get_ident()), told.set()))
        assert told.wait(30)
    assert len(seen) <= 2  # the first may still be on its way to its rest
    readers.end()


def test_a_job_that_is_taken_back_is_not_done() -> None:
    """What is begun is."""
    readers = Readers(1, "reads")
    gate, began, done = threading.Event(), threading.Event(), []

    def first() -> None:
        began.set()
        gate.wait(30)
        done.append("first")

    def second() -> None:
        done.append("second")

    readers.submit(first)
    assert began.wait(30)
    readers.submit(second)
    readers.drop(second)
    readers.drop(first)
    gate.set()
    readers.end()
    assert done == ["first"]


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks does it, where there is none at all; else those that there are do."""
    readers = Readers(3, "reads")
    gate, done = threading.Event(), threading.Event()
    readers.submit(lambda: gate.wait(30))

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        readers.submit(done.set)
        here: list[int] = []
        Readers(3, "reads").submit(lambda: here.append(threading.get_ident()))
        assert here == [threading.get_ident()]
    gate.set()
    assert done.wait(30)
    readers.end()
