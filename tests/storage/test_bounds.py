"""Pages read a bounded number of rows, and together they show what there is: each once, in order, in both directions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from lumosai.messages import Message
from lumosai.records import Scope
from lumosai.storage import MessageFilter, Storage, ThreadFilter, _listing, _mentions, _scan
from lumosai.storage.base import Batch, Handle, Page, RunRecord, StoredMessage

T = TypeVar("T")


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that some hundred rows reach."""
    for module in (_scan, _listing):
        monkeypatch.setattr(module, "LOOKED", 20)
        monkeypatch.setattr(module, "PATIENCE", 40)
        monkeypatch.setattr(module, "_FIRST", 5)
        monkeypatch.setattr(module, "_MOST", 10)
    monkeypatch.setattr(_mentions, "_FEW", 2)
    monkeypatch.setattr(_mentions, "_MANY", 3)


async def _pages(
    read: Callable[[str | None], Awaitable[Page[T]]], *, back: bool = False, at_most: int = 400
) -> list[list[T]]:
    """All pages, each with its items in the order in which they were come by."""
    found: list[list[T]] = []
    cursor: str | None = None
    while True:
        page = await read(cursor)
        found.append([*reversed(page.items)] if back else [*page.items])
        cursor = page.previous_cursor if back else page.next_cursor
        if cursor is None:
            return found
        assert len(found) < at_most


async def _conversation(mine: Handle) -> list[StoredMessage]:
    """A thread whose path goes through many branches, of one message and of many, with a long gap in it."""
    await mine.create_thread("t")
    branch = 0
    number = 0
    for length in (60, 1, 1, 1, 2, 1, 90, 1, 3, 40):
        new = []
        for _ in range(length):
            number += 1
            said = "needle" if number % 37 == 0 else "hay"
            role = Message.assistant if number % 2 else Message.user
            new.append(role(f"{said} {number}", id=str(number), metadata={"third": number % 3 == 0, "n": number}))
        await mine.add_messages("t", [*new, Message.user("left behind", id=f"x{number}")], branch=branch)
        branch = (await mine.add_branch("t", f"x{number}", branch=branch)).number
    await mine.select_branch("t", branch)
    await mine.delete_messages("t", [str(n) for n in range(70, 150)])
    whole = await _pages(lambda cursor: mine.messages("t", cursor=cursor, limit=1000))
    return [item for page in whole for item in page]


@pytest.mark.parametrize("limit", [4])
async def test_filters_page_by_page(storage: Storage, limit: int) -> None:
    """Whatever the filter, its pages show what fits, once and in order; none but the first fits nothing without an end."""
    mine = storage.scope(Scope())
    whole = await _conversation(mine)
    assert [s.message.id for s in whole] == [*map(str, range(1, 70)), *map(str, range(150, 201))]
    filters: list[tuple[MessageFilter, Callable[[StoredMessage], bool]]] = [
        (MessageFilter(), lambda _: True),
        (MessageFilter(text="NEEDLE"), lambda s: "needle" in s.message.text),
        (MessageFilter(text="nowhere"), lambda _: False),
        (MessageFilter(roles=("user",)), lambda s: s.message.role == "user"),
        (MessageFilter(metadata={"third": True}), lambda s: s.message.metadata["third"]),
        (MessageFilter(metadata={"n": 199}), lambda s: s.message.metadata["n"] == 199),
        (MessageFilter(run_id="none"), lambda _: False),
        (
            MessageFilter(until=whole[-1].at + 1, roles=("user",), text="hay"),
            lambda s: s.message.text.startswith("hay") and s.message.role == "user",
        ),
    ]
    for wanted, fits in filters:
        expected = [s for s in whole if fits(s)]
        for back in (False, True):
            pages = await _pages(
                lambda cursor, wanted=wanted, back=back: mine.messages(
                    "t", filter=wanted, limit=limit, cursor=cursor, newest=back
                ),
                back=back,
            )
            assert all(len(page) <= limit for page in pages)
            assert [s for page in pages for s in page] == ([*reversed(expected)] if back else expected)
            if wanted.run_id or wanted.text == "nowhere":
                assert len(pages) > 2  # it gave up in between


async def test_a_page_turns_round(storage: Storage) -> None:
    """From any page, also an empty one, its other cursor reads back to what was shown before it."""
    mine = storage.scope(Scope())
    whole = await _conversation(mine)
    wanted = MessageFilter(text="needle")
    needles = [s for s in whole if "needle" in s.message.text]
    cursor, seen = None, []
    while True:
        page = await mine.messages("t", filter=wanted, limit=1, cursor=cursor)
        if page.previous_cursor is not None:
            before = await _pages(
                lambda at, first=page.previous_cursor: mine.messages("t", filter=wanted, limit=5, cursor=at or first),
                back=True,
            )
            assert [s for p in before for s in p] == [*reversed(seen)]
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == needles


async def test_lists_page_by_page(storage: Storage) -> None:
    """Threads and runs of a rare kind are found among many others, whatever combination is asked for."""
    mine, ann = storage.scope(Scope()), storage.scope(Scope(owner="ann"))
    for n in range(60):
        owner = ann if n % 2 else mine
        await owner.create_thread(
            f"t{n}", title=f"Thread {n}", agent_id=f"a{n % 7}", resource_id=f"r{n % 11}", metadata={"m": n % 13}
        )
        run = RunRecord(id=f"run{n}", agent=f"a{n % 7}")
        await owner.open_run(run, Batch(first=1, last=1, data=b"1", status="ended" if n % 5 else "paused"))
    filters: list[tuple[ThreadFilter, Callable[[int], bool]]] = [
        (ThreadFilter(), lambda _: True),
        (ThreadFilter(agent_id="a3"), lambda n: n % 7 == 3),
        (ThreadFilter(resource_id="r4"), lambda n: n % 11 == 4),
        (ThreadFilter(resource_id="r4", agent_id="a1"), lambda n: n % 11 == 4 and n % 7 == 1),
        (ThreadFilter(metadata={"m": 5}), lambda n: n % 13 == 5),
        (ThreadFilter(metadata={"m": 5.0}), lambda _: False),
        (ThreadFilter(text="thread 7", agent_id="a0"), lambda n: n in (7, 70)),
    ]
    for handle, own in ((mine, range(60)), (ann, range(1, 60, 2))):
        for wanted, fits in filters:
            pages = await _pages(
                lambda cursor, handle=handle, wanted=wanted: handle.list_threads(filter=wanted, limit=3, cursor=cursor)
            )
            assert [t.id for page in pages for t in page] == [f"t{n}" for n in reversed(own) if fits(n)]
        for status, agent in (("paused", ""), (None, "a2"), ("ended", "a6"), (None, "")):
            found = await _pages(
                lambda cursor, handle=handle, status=status, agent=agent: handle.list_runs(
                    status=status, agent=agent, limit=3, cursor=cursor
                )
            )
            assert [r.id for page in found for r in page] == [
                f"run{n}"
                for n in reversed(own)
                if (not agent or n % 7 == int(agent[1])) and (status is None or (n % 5 == 0) == (status == "paused"))
            ]


async def test_a_search_page_by_page(storage: Storage) -> None:
    """A search goes through threads, branches and copies that a deletion left, and finds each message once."""
    mine, ann = storage.scope(Scope()), storage.scope(Scope(owner="ann"))
    expected: list[str] = []
    for n in range(12):
        owner = ann if n % 2 else mine
        await owner.create_thread(f"t{n}", resource_id=f"r{n % 3}")
        await owner.add_messages(
            f"t{n}", [Message.user(f"{n}:{i} {'needle' if i % 9 == 4 else 'hay'}", id=f"{i}") for i in range(30)]
        )
    await mine.add_branch("t4", "20", messages=[Message.user("4:b needle")])
    await mine.fork_thread("t2", new_id="fork", after="15")
    await mine.add_messages("fork", [Message.user("f needle")])
    await mine.delete_thread("t2")
    for n in (11, 10, 9, 8, 7, 6, 5, 4, 3, 1, 0):
        expected += ["4:b"] if n == 4 else []
        expected += [f"{n}:{i}" for i in (22, 13, 4)]
    for limit in (2, 50):
        for handle, wanted in (
            (mine, ["f", "2:13", "2:4", *expected]),
            (ann, [e for e in expected if e[0] in "13579" and not e.startswith("10")]),
        ):
            for resource in ("", "r1"):
                pages = await _pages(
                    lambda cursor, handle=handle, limit=limit, resource=resource: handle.search(
                        "needle", resource_id=resource, limit=limit, cursor=cursor
                    )
                )
                found = [message.message.text.split()[0] for page in pages for _, message in page]
                of = [
                    e for e in wanted if not resource or (e.split(":")[0].isdigit() and int(e.split(":")[0]) % 3 == 1)
                ]
                assert found == of
                assert all(thread.owner == handle.scope.owner or handle is mine for page in pages for thread, _ in page)


async def test_ids_that_other_threads_have(storage: Storage) -> None:
    """A message is found by its id in its own thread, and stored there though others have one of the same id."""
    mine = storage.scope(Scope())
    for n in range(5):
        await mine.create_thread(f"t{n}")
        await mine.add_messages(f"t{n}", [Message.user(f"{n}", id="same")])
    for n in range(5):
        found = await mine.message(f"t{n}", "same")
        assert found is not None
        assert found.message.text == f"{n}"
        (again,) = await mine.add_messages(f"t{n}", [Message.user("not stored", id="same")])
        assert again.seq == 1
