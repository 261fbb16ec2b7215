"""Reading messages: by page, by filter, by search."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from lumosai.errors import ConfigurationError, InvalidInputError
from lumosai.messages import Message, TextPart
from lumosai.records import Scope
from lumosai.storage.base import MessageFilter, ThreadFilter
from lumosai.storage.conformance._expect import refused

if TYPE_CHECKING:
    from lumosai.storage.base import Handle, Page, Storage, StoredMessage
    from lumosai.storage.conformance._expect import Check


async def pages_show_each_once_in_both_directions(storage: Storage) -> None:
    """From either end every message is shown once, in order, whatever the page's size, while others are added and deleted."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user(str(i), id=str(i)) for i in range(25)])
    expected = [str(i) for i in range(25)]
    for limit in (1, 3, 24, 25, 26, 1000):
        assert await _forwards(mine, limit) == expected
        assert await _backwards(mine, limit) == expected
    first = await mine.messages("t", limit=10)
    assert first.previous_cursor is None
    last = await mine.messages("t", limit=10, newest=True)
    assert [i.message.text for i in last.items] == expected[-10:]
    assert last.next_cursor is None
    await mine.delete_messages("t", ["9", "10", "14"])
    await mine.add_messages("t", [Message.user("25")])
    second = await mine.messages("t", limit=10, cursor=first.next_cursor)
    assert [i.message.text for i in second.items] == ["11", "12", "13", *map(str, range(15, 22))]
    back = await mine.messages("t", limit=100, cursor=second.previous_cursor)
    assert [i.message.text for i in back.items] == list(map(str, range(9)))
    end = await mine.messages("t", limit=10, cursor=second.next_cursor)
    assert [i.message.text for i in end.items] == ["22", "23", "24", "25"]
    assert end.next_cursor is None
    for cursor in ("", "x", "AAAA", "bm9wZQ", "W10", "WyJhIiwxXQ", "é"):
        if cursor:
            await refused(InvalidInputError, mine.messages("t", cursor=cursor))
    for limit in (0, -1, 1001):
        await refused(InvalidInputError, mine.messages("t", limit=limit))


async def a_cursor_is_of_its_list(storage: Storage) -> None:
    """No other list takes it, no other thread; and it stays on its branch, whichever is the active one by then."""
    mine = storage.scope(Scope())
    for name in "tu":
        await mine.create_thread(name)
        await mine.add_messages(name, [Message.user(f"{name}{i}", id=f"{name}{i}") for i in range(6)])
    cursor = (await mine.messages("t", limit=2)).next_cursor
    listed = (await mine.list_threads(limit=1)).next_cursor
    await refused(InvalidInputError, mine.messages("u", cursor=cursor))
    await refused(InvalidInputError, mine.messages("t", cursor=listed))
    await refused(InvalidInputError, mine.list_threads(cursor=cursor))
    await refused(InvalidInputError, mine.list_runs(cursor=listed))
    await refused(InvalidInputError, mine.search("t", cursor=listed))
    made = await mine.add_branch("t", "t1", messages=[Message.user(f"new {i}") for i in range(9)])
    await mine.select_branch("t", made.number)
    on = await mine.messages("t", limit=2, cursor=cursor)
    assert [i.message.text for i in on.items] == ["t2", "t3"]
    on = await mine.messages("t", limit=2, cursor=on.next_cursor)
    assert [i.message.text for i in on.items] == ["t4", "t5"]
    await refused(InvalidInputError, mine.messages("t", branch=made.number, cursor=cursor))


async def what_is_looked_for_is_read_as_it_is_stored(storage: Storage) -> None:
    """A lone surrogate is U+FFFD in what is stored, in what is returned of it, and in a filter."""
    mine, torn = storage.scope(Scope()), {"a\ud800": ["\udfff"], "k": "\ud800"}
    made = await mine.create_thread("t", metadata=torn)
    assert made.metadata == {"a\ufffd": ["\ufffd"], "k": "\ufffd"}
    said = Message("user", (TextPart("x\ud800"),), metadata=torn)
    (stored,) = await mine.add_messages("t", [said])
    (found,) = (await mine.messages("t", filter=MessageFilter(metadata=torn))).items
    assert found.message == stored.message
    assert found.message.text == "x\ufffd"
    assert [t.id for t in (await mine.list_threads(filter=ThreadFilter(metadata=torn))).items] == ["t"]
    await refused(ConfigurationError, mine.fork_thread("t", after="x\ud800"))  # no message can have that id
    await refused(ConfigurationError, mine.add_branch("t", "x\ud800"))


async def filters_find_what_they_say(storage: Storage) -> None:
    """Roles, run, time, text and metadata, alone and together; what only looks like it in JSON is not found."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user("Hello World", metadata={"lang": "en", "n": 1})], run_id="a")
    await mine.add_messages("t", [Message.assistant('{"lang":"en"}', metadata={"lang": "zh"})], run_id="a")
    await mine.add_messages("t", [Message.user("你好，ÉCOLE", metadata={"n": True, "é\"'": [1]})], run_id="b")

    async def found(**wanted: Any) -> list[int]:
        return [s.seq for s in (await mine.messages("t", filter=MessageFilter(**wanted))).items]

    assert await found() == [1, 2, 3]
    assert await found(roles=("user",)) == [1, 3]
    assert await found(roles=("user", "assistant"), run_id="a") == [1, 2]
    assert await found(text="hello w") == [1]
    assert await found(text="好") == [3]
    assert await found(text="école") == []  # only A to Z match either case
    assert await found(text="ÉCOLE") == [3]
    assert await found(text="lang") == [2]
    assert await found(text="type") == []
    assert await found(metadata={"lang": "en"}) == [1]
    assert await found(metadata={"n": 1}) == [1]
    assert await found(metadata={"n": True}) == [3]
    assert await found(metadata={"é\"'": [1]}) == [3]
    assert await found(metadata={"missing": None}) == []
    at = (await mine.messages("t")).items[1].at
    assert 1 in await found(until=at + 1)
    assert await found(since=at + 1_000) == []
    day = dt.timedelta(days=1)
    when = dt.datetime.fromtimestamp(at, tz=dt.UTC)
    assert await found(since=when - day, until=when + day) == [1, 2, 3]
    assert await found(until=when - day) == []
    assert await found(roles="user") == [1, 3]
    for wrong in ({"since": when.replace(tzinfo=None)}, {"until": "today"}, {"roles": ("robot",)}, {"text": 5}):
        await refused(InvalidInputError, mine.messages("t", filter=MessageFilter(**wrong)))
    assert await found(until=at - 1_000) == []


async def search_goes_through_all_threads(storage: Storage) -> None:
    """A search finds every message of the scope that holds the text, each with its thread, page by page."""
    mine = storage.scope(Scope())
    for n in "ab":
        await mine.create_thread(n, resource_id=n)
        await mine.add_messages(n, [Message.user(f"needle {i} in {n}") for i in range(3)])
        await mine.add_messages(n, [Message.user("hay", metadata={"needle": "needle"})])
    names, cursor = [], None
    while True:
        page = await mine.search("NEEDLE", limit=2, cursor=cursor)
        names += [(thread.id, found.message.text) for thread, found in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert names == [(n, f"needle {i} in {n}") for n in "ba" for i in (2, 1, 0)], names
    assert len((await mine.search("needle", resource_id="a")).items) == 3
    await refused(InvalidInputError, mine.search(""))


async def _forwards(handle: Handle, limit: int) -> list[str]:
    return await _paged(handle, limit, await handle.messages("t", limit=limit), back=False)


async def _backwards(handle: Handle, limit: int) -> list[str]:
    return await _paged(handle, limit, await handle.messages("t", limit=limit, newest=True), back=True)


async def _paged(handle: Handle, limit: int, page: Page[StoredMessage], *, back: bool) -> list[str]:
    found: list[str] = []
    while True:
        items = [i.message.text for i in page.items]
        found = [*items, *found] if back else [*found, *items]
        cursor = page.previous_cursor if back else page.next_cursor
        if cursor is None:
            return found
        page = await handle.messages("t", limit=limit, cursor=cursor)


CHECKS: Final[tuple[Check, ...]] = (
    pages_show_each_once_in_both_directions,
    a_cursor_is_of_its_list,
    what_is_looked_for_is_read_as_it_is_stored,
    filters_find_what_they_say,
    search_goes_through_all_threads,
)
