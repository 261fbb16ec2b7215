"""Threads under any sequence of writes, edits, forks and deletions, beside a model of them that is plain lists."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from lumosai import Message, Scope
from lumosai.errors import NotFoundError
from lumosai.storage import Storage, open_storage
from tests.conftest import EXPLORING

MORE = 8 if "LUMOSAI_THOROUGH" in os.environ else 1
"""How many times as many examples."""

numbers = st.integers(0, 1_000_000)
limits = st.integers(1, 4)


@dataclass(eq=False)
class Row:
    """A message where it lies: `holder` is the thread that has it itself."""

    id: str
    holder: str


@dataclass(eq=False)
class Reader:
    """Somebody who reads a branch page by page, one way, while others write.

    Attributes:
        there: the messages of the branch when the reading began.
    """

    thread: str
    branch: int
    back: bool
    there: list[Row]
    cursor: str | None = None
    begun: bool = False
    seen: list[str] = field(default_factory=list)


class Threads(RuleBasedStateMachine):
    """Rules do one thing to the storage and to the lists; then both must show the same."""

    storage: ClassVar[Storage]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.handle = self.storage.scope(Scope(uuid4().hex))
        self.threads: dict[str, list[list[Row]]] = {}
        self.active: dict[str, int] = {}
        self.readers: list[Reader] = []
        self.count = 0
        self.begin()

    def teardown(self) -> None:
        self.loop.run_until_complete(self.storage.close())
        self.loop.close()

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def new(self, count: int) -> list[Message]:
        self.count += count
        return [Message.user(f"text {n}", id=f"m{n}") for n in range(self.count - count, self.count)]

    def pick(self, number: int) -> tuple[str, int, list[Row]]:
        """A branch."""
        all_of = [(t, b, path) for t, branches in self.threads.items() for b, path in enumerate(branches)]
        return all_of[number % len(all_of)]

    def begin(self) -> None:
        name = f"t{len(self.threads)}.{self.count}"
        self.do(self.handle.create_thread(name))
        self.threads[name], self.active[name] = [[]], 0

    @rule()
    def a_new_thread(self) -> None:
        if len(self.threads) < 3:
            self.count += 1
            self.begin()

    @rule(at=numbers, count=st.integers(1, 3))
    def messages_are_added(self, at: int, count: int) -> None:
        thread, branch, path = self.pick(at)
        new = self.new(count)
        stored = self.do(self.handle.add_messages(thread, new, branch=branch))
        assert [s.message for s in stored] == new
        path += [Row(str(m.id), thread) for m in new]

    @rule(at=numbers)
    def two_write_at_once(self, at: int) -> None:
        thread, branch, path = self.pick(at)
        first, second = self.new(2), self.new(2)

        async def both() -> None:
            await asyncio.gather(
                self.handle.add_messages(thread, first, branch=branch),
                self.handle.add_messages(thread, second, branch=branch),
            )

        self.do(both())
        shown = [s.message.id for s in self.do(self.handle.messages(thread, branch=branch, limit=1000)).items][-4:]
        a, b = [m.id for m in first], [m.id for m in second]
        assert shown in (a + b, b + a)
        path += [Row(str(i), thread) for i in shown]

    @rule(at=numbers, which=numbers)
    def a_message_that_is_there_is_added_again(self, at: int, which: int) -> None:
        thread, branch, path = self.pick(at)
        if path:
            row = path[which % len(path)]
            self.do(self.handle.add_messages(thread, [Message.user("other", id=row.id)], branch=branch))

    @rule(at=numbers, which=numbers, count=st.integers(0, 2))
    def a_message_is_edited(self, at: int, which: int, count: int) -> None:
        """An edit has messages in its place; a regeneration has none."""
        thread, branch, path = self.pick(at)
        if path and len(self.threads[thread]) < 4:
            place = which % len(path)
            new = self.new(count)
            made = self.do(self.handle.add_branch(thread, path[place].id, branch=branch, messages=new))
            assert made.number == len(self.threads[thread])
            self.threads[thread].append([*path[:place], *(Row(str(m.id), thread) for m in new)])

    @rule(at=numbers, which=numbers, whole=st.booleans())
    def a_thread_is_forked(self, at: int, which: int, whole: bool) -> None:
        thread, branch, path = self.pick(at)
        if len(self.threads) >= 4:
            return
        self.count += 1
        name = f"fork{self.count}"
        place = len(path) if whole or not path else which % len(path) + 1
        after = None if whole or not path else path[place - 1].id
        self.do(self.handle.fork_thread(thread, new_id=name, branch=branch, after=after))
        self.threads[name], self.active[name] = [path[:place]], 0

    @rule(at=numbers)
    def a_branch_is_selected(self, at: int) -> None:
        thread, branch, _ = self.pick(at)
        assert self.do(self.handle.select_branch(thread, branch)).branch == branch
        self.active[thread] = branch

    @rule(at=numbers, chosen=st.lists(numbers, min_size=1, max_size=3))
    def messages_are_deleted(self, at: int, chosen: list[int]) -> None:
        """They are gone wherever they show, where the thread holds them itself."""
        thread, _, path = self.pick(at)
        if not path:
            return
        ids = {path[c % len(path)].id for c in chosen}
        rows = {row for branches in self.threads.values() for p in branches for row in p}
        gone = {row for row in rows if row.id in ids and row.holder == thread}
        assert self.do(self.handle.delete_messages(thread, sorted(ids))) == len(gone)
        for branches in self.threads.values():
            for each in branches:
                each[:] = [row for row in each if row not in gone]

    @precondition(lambda self: len(self.threads) > 1)
    @rule(at=numbers)
    def a_thread_is_deleted(self, at: int) -> None:
        """Forks keep what they show of it, and hold it themselves from then on."""
        thread, _, _ = self.pick(at)
        assert self.do(self.handle.delete_thread(thread))
        del self.threads[thread], self.active[thread]
        self.readers = [r for r in self.readers if r.thread != thread]
        for name, branches in self.threads.items():
            for path in branches:
                copies = {row: Row(row.id, name) for row in path if row.holder == thread}
                path[:] = [copies.get(row, row) for row in path]
                for reader in self.readers:
                    reader.there = (
                        [copies.get(row, row) for row in reader.there] if reader.thread == name else reader.there
                    )

    @rule(at=numbers, back=st.booleans())
    def a_reading_begins(self, at: int, back: bool) -> None:
        thread, branch, path = self.pick(at)
        self.readers.append(Reader(thread, branch, back, [*path]))
        self.read_on(len(self.readers) - 1, 2)

    @precondition(lambda self: self.readers)
    @rule(at=numbers, limit=limits)
    def a_reading_goes_on(self, at: int, limit: int) -> None:
        self.read_on(at % len(self.readers), limit)

    def read_on(self, which: int, limit: int) -> None:
        """Nothing is shown twice, nothing left out that was there and still is, and all in order."""
        reader = self.readers[which]
        page = self.do(
            self.handle.messages(
                reader.thread,
                branch=reader.branch,
                limit=limit,
                cursor=reader.cursor,
                newest=reader.back and not reader.begun,
            )
        )
        reader.begun = True
        ids = [str(s.message.id) for s in page.items]
        assert not set(ids) & set(reader.seen)
        reader.seen = ids + reader.seen if reader.back else reader.seen + ids
        reader.cursor = page.previous_cursor if reader.back else page.next_cursor
        if reader.cursor is None:
            del self.readers[which]
            now = {row.id for row in self.threads[reader.thread][reader.branch]}
            still = [row.id for row in reader.there if row.id in now]
            assert [i for i in reader.seen if i in set(still)] == still

    @rule(at=numbers, limit=limits)
    def all_is_as_it_should_be(self, at: int, limit: int) -> None:
        """A branch read by pages, there and back again; the thread's count; what a message is found by."""
        thread, branch, path = self.pick(at)
        wanted = [row.id for row in path]
        there, cursor = [], None
        while True:
            page = self.do(self.handle.messages(thread, branch=branch, limit=limit, cursor=cursor))
            there += [str(s.message.id) for s in page.items]
            last, cursor = page, page.next_cursor
            if cursor is None:
                break
        assert there == wanted
        back = [str(s.message.id) for s in last.items]
        while last.previous_cursor is not None:
            last = self.do(self.handle.messages(thread, branch=branch, limit=limit, cursor=last.previous_cursor))
            back = [str(s.message.id) for s in last.items] + back
        assert back == wanted
        record = self.do(self.handle.thread(thread))
        rows = {row for branches in self.threads.values() for p in branches for row in p}
        assert record.message_count == len({row for row in rows if row.holder == thread})
        assert record.branch == self.active[thread]
        shown = self.do(self.handle.messages(thread, limit=1000)).items
        assert [s.message.id for s in shown] == [row.id for row in self.threads[thread][self.active[thread]]]
        for row in path:
            assert self.do(self.handle.message(thread, row.id, branch=branch)).message.id == row.id
        try:
            missing = self.do(self.handle.message(thread, "never", branch=branch))
        except NotFoundError:
            missing = None
        assert missing is None


@pytest.mark.parametrize(("kind", "examples"), [("sqlite", 10), ("postgres", 1)])
def test_threads_are_as_lists_would_be(kind: str, examples: int, request: pytest.FixtureRequest, tmp_path) -> None:
    """Whatever is done to them, in whatever order, and whoever reads meanwhile."""
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else f"sqlite:///{tmp_path}/laws.db"
    machine = type("Machine", (Threads,), {"storage": open_storage(url)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples * MORE,
            stateful_step_count=40,
            deadline=None,
            database=None,
            derandomize=not EXPLORING,
            suppress_health_check=list(HealthCheck),
        ),
    )
