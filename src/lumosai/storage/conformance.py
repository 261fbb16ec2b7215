"""The suite that any back end must pass: each check is a promise of `storage.base`, kept on a storage that is empty.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_my_back_end(check):
        async with MyStorage(...) as storage:
            await check(storage)

A check fails with an AssertionError that says what was found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from lumosai.errors import ConfigurationError, ConflictError, InvalidInputError, LeaseLostError, NotFoundError
from lumosai.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.records import Scope
from lumosai.storage.base import Batch, MessageFilter, RunRecord, Storage, ThreadFilter

if TYPE_CHECKING:
    from lumosai.storage.base import Handle, Page, StoredMessage

Check = Callable[[Storage], Awaitable[None]]
"""A promise, tried on an empty storage."""

HOSTILE: Final = (
    "'; DROP TABLE threads; --",
    '"quoted" \\ back\\\\slash',
    "100% _under_ %%",
    '*"NEAR(a b)" AND NOT -x:y ^',
    "$.metadata['x'].\"y\"[0]",
    "line\nbreak\ttab\r\x01\x7f",
    "名字 🐉 é́ ﷽ \u202ertl",
    "a" * 1_000_000,
    "{lock} ? $1 :name",
)
"""Texts that a careless statement, pattern or path would trip over."""


async def thread_is_made_found_and_changed(storage: Storage) -> None:
    """A thread is what it was made as; a change gives it the next version; a stale version is refused."""
    mine = storage.scope(Scope())
    made = await mine.create_thread("t", title="One", agent_id="a", resource_id="r", metadata={"k": [1, {"x": None}]})
    assert (made.id, made.title, made.agent_id, made.resource_id) == ("t", "One", "a", "r")
    assert made.metadata == {"k": [1, {"x": None}]}
    assert made.version == 1
    assert await mine.thread("t") == made
    changed = await mine.update_thread("t", title="Two", version=1)
    assert (changed.title, changed.version, changed.metadata) == ("Two", 2, made.metadata)
    await _refused(ConflictError, mine.update_thread("t", title="Three", version=1))
    assert await mine.thread("t") == changed
    assert (await mine.update_thread("t", metadata={})).metadata == {}


async def thread_without_a_name_gets_one(storage: Storage) -> None:
    """Without an id a thread gets a new one; with one that is taken it is refused, or found."""
    mine = storage.scope(Scope())
    one, two = await mine.create_thread(), await mine.create_thread()
    assert one.id != two.id
    await _refused(ConflictError, mine.create_thread(one.id))
    assert await mine.ensure_thread(one.id, title="no") == one
    assert (await mine.ensure_thread("new", title="yes")).title == "yes"


async def what_is_not_there_is_said(storage: Storage) -> None:
    """Every call about a thread, branch or message that is not there says so, and nothing else happens."""
    mine = storage.scope(Scope())
    assert await mine.thread("none") is None
    assert await mine.delete_thread("none") is False
    for call in (
        mine.update_thread("none", title="x"),
        mine.add_messages("none", [Message.user("x")]),
        mine.messages("none"),
        mine.message("none", "m"),
        mine.branches("none"),
        mine.select_branch("none", 0),
        mine.add_branch("none", "m"),
        mine.fork_thread("none"),
        mine.delete_messages("none", ["m"]),
    ):
        await _refused(NotFoundError, call)
    await mine.create_thread("t")
    for call in (
        mine.messages("t", branch=1),
        mine.add_messages("t", [Message.user("x")], branch=7),
        mine.select_branch("t", 1),
        mine.add_branch("t", "m"),
        mine.fork_thread("t", after="m"),
    ):
        await _refused(NotFoundError, call)
    assert await mine.message("t", "m") is None
    assert await mine.delete_messages("t", ["m"]) == 0
    assert (await mine.list_threads()).items == (await mine.thread("t"),)


async def messages_come_back_as_they_were(storage: Storage) -> None:
    """Every kind of part comes back equal, its bytes and long texts too; the same bytes may lie in many messages."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    picture, long = bytes(range(256)) * 40, "長い text\n" * 40_000
    given = [
        Message.system("Be brief.", metadata={"pinned": True}),
        Message.user("看", ImagePart(data=picture), ImagePart(url="https://example.org/a.png"), AudioPart(data=b"\0")),
        Message.user(FilePart(data=picture, media_type="application/pdf", name="a.pdf"), long),
        Message.assistant(
            ReasoningPart("hm " * 50_000, signature="s", provider="p"),
            TextPart(""),
            ToolCallPart("1", "f", {"a": [1.5, None, "\u0000", {"б": "\\"}]}),
            ToolCallPart("2", "g", None, raw="{broken"),
            ProviderPart("p", "k", {"deep": [[[]]]}),
        ),
        Message.tool(
            ToolResultPart("1", "f", (TextPart("x"), ImagePart(data=picture), TextPart(long))),
            ToolResultPart("2", "g", long, is_error=True),
        ),
    ]
    stored = await mine.add_messages("t", given, run_id="run")
    assert [s.seq for s in stored] == [1, 2, 3, 4, 5]
    read = (await mine.messages("t")).items
    assert [r.message.parts for r in read] == [m.parts for m in given]
    assert [r.message.role for r in read] == [m.role for m in given]
    assert [r.message.metadata for r in read] == [m.metadata for m in given]
    assert [r.run_id for r in read] == ["run"] * 5
    assert read == stored
    assert await mine.message("t", str(read[1].message.id)) == read[1]


async def messages_are_stored_once(storage: Storage) -> None:
    """A message whose id is there already is not stored again, neither in one call nor in the next; all or nothing."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    one, two = Message.user("one", id="1"), Message.user("two", id="2")
    await mine.add_messages("t", [one, one])
    again = await mine.add_messages("t", [one, two, one])
    assert [s.seq for s in again] == [1, 2, 1]
    assert await texts(mine, "t") == ["one", "two"]
    thread = await mine.thread("t")
    assert thread is not None
    assert thread.message_count == 2
    await _refused(ConfigurationError, mine.add_messages("t", [Message.user("three"), Message.user("x", id="")]))
    assert await texts(mine, "t") == ["one", "two"]


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
            await _refused(InvalidInputError, mine.messages("t", cursor=cursor))
    for limit in (0, -1, 1001):
        await _refused(InvalidInputError, mine.messages("t", limit=limit))


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
    assert await found(until=at - 1_000) == []


async def branches_share_what_comes_before(storage: Storage) -> None:
    """A branch shows what it shares and then its own; the others go on as they were; branches of branches too."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user(n, id=n) for n in "abcd"])
    branch = await mine.add_branch("t", "c")
    assert (branch.number, branch.start, branch.last) == (1, 2, 2)
    await mine.add_messages("t", [Message.user("C", id="C"), Message.user("D", id="D")], branch=1)
    await mine.add_messages("t", [Message.user("e", id="e")])
    assert await texts(mine, "t") == list("abcde")
    assert await texts(mine, "t", branch=1) == list("abCD")
    third = await mine.add_branch("t", "D", branch=1)
    await mine.add_messages("t", [Message.user("x", id="x")], branch=third.number)
    assert await texts(mine, "t", branch=2) == list("abCx")
    assert [b.number for b in await mine.branches("t")] == [0, 1, 2]
    first = await mine.add_branch("t", "a", branch=2)
    assert await texts(mine, "t", branch=first.number) == []
    await mine.add_messages("t", [Message.user("z", id="z")], branch=first.number)
    assert await texts(mine, "t", branch=first.number) == ["z"]
    selected = await mine.select_branch("t", 2)
    assert selected.branch == 2
    assert await texts(mine, "t") == list("abCx")
    await _refused(NotFoundError, mine.add_branch("t", "e", branch=2))
    assert await mine.message("t", "e") is None
    assert (await mine.messages("t", limit=2)).items == (await mine.messages("t", limit=2, branch=0)).items
    page = await mine.messages("t", limit=3, newest=True)
    assert [i.message.text for i in page.items] == ["b", "C", "x"]
    thread = await mine.thread("t")
    assert thread is not None
    assert thread.message_count == 9


async def forks_outlive_their_original(storage: Storage) -> None:
    """A fork shows what it began with, copies nothing, and keeps all when the original is deleted, media included."""
    mine = storage.scope(Scope())
    await mine.create_thread("t", title="T", agent_id="a", resource_id="r")
    picture = Message.user("c", ImagePart(data=b"picture"), id="c")
    await mine.add_messages("t", [Message.user("a", id="a"), Message.user("b", id="b"), picture])
    fork = await mine.fork_thread("t", new_id="f")
    assert (fork.title, fork.agent_id, fork.resource_id, fork.message_count) == ("T", "a", "r", 0)
    early = await mine.fork_thread("t", new_id="g", after="b", title="G")
    assert early.title == "G"
    await mine.add_messages("f", [Message.user("d", id="d")])
    await mine.add_messages("t", [Message.user("later", id="later")])
    second = await mine.fork_thread("f", new_id="h")
    await mine.add_messages("h", [Message.user("e", id="e")])
    before = {name: await _all(mine, name) for name in ("f", "g", "h")}
    assert [m.text for m in before["h"]] == ["a", "b", "c", "d", "e"]
    assert await mine.delete_thread("t") is True
    assert await mine.thread("t") is None
    assert {name: await _all(mine, name) for name in ("f", "g", "h")} == before
    assert await mine.delete_thread("f") is True
    assert await _all(mine, "h") == before["h"]
    assert await _all(mine, "g") == before["g"]
    assert second.id == "h"
    await _refused(ConflictError, mine.fork_thread("h", new_id="g"))
    await mine.create_thread("empty")
    await mine.fork_thread("empty", new_id="empty fork")
    assert await texts(mine, "empty fork") == []


async def nothing_is_seen_outside_a_scope(storage: Storage) -> None:
    """Every method, called with what another owner or tenant has, finds nothing and changes nothing."""
    theirs = storage.scope(Scope("one", "alice"))
    await theirs.create_thread("t", title="secret", resource_id="r", metadata={"k": 1})
    await theirs.add_messages("t", [Message.user("secret words", ImagePart(data=b"secret"), id="m")])
    await theirs.add_branch("t", "m")
    before = await _everything(theirs, "t")
    for scope in (Scope("one", "bob"), Scope("two", "alice"), Scope("two"), Scope()):
        other = storage.scope(scope)
        assert await other.thread("t") is None
        assert (await other.list_threads()).items == ()
        assert (await other.list_threads(filter=ThreadFilter(resource_id="r", metadata={"k": 1}))).items == ()
        assert (await other.search("secret")).items == ()
        assert await other.delete_thread("t") is False
        for call in (
            other.update_thread("t", title="mine"),
            other.add_messages("t", [Message.user("x")]),
            other.messages("t"),
            other.message("t", "m"),
            other.branches("t"),
            other.select_branch("t", 1),
            other.add_branch("t", "m"),
            other.fork_thread("t"),
            other.delete_messages("t", ["m"]),
        ):
            await _refused(NotFoundError, call)
        await other.create_thread("t", title="own")  # the name is free here
        await other.add_messages("t", [Message.user("own", id="m")])
        assert await texts(other, "t") == ["own"]
        assert await other.delete_messages("t", ["m"]) == 1
        assert await other.delete_thread("t") is True
    assert await _everything(theirs, "t") == before


async def a_tenant_sees_all_its_owners(storage: Storage) -> None:
    """A handle without an owner sees every owner's threads; what it makes no owner sees; two of one name it refuses."""
    tenant, alice, bob = (storage.scope(Scope("one", owner)) for owner in (None, "alice", "bob"))
    await alice.create_thread("a")
    await bob.create_thread("b")
    await tenant.create_thread("c")
    assert {(t.id, t.owner) for t in (await tenant.list_threads()).items} == {("a", "alice"), ("b", "bob"), ("c", None)}
    assert [t.id for t in (await alice.list_threads()).items] == ["a"]
    assert await alice.thread("c") is None
    await tenant.add_messages("a", [Message.user("x")])
    assert await texts(alice, "a") == ["x"]
    await bob.create_thread("a")
    await _refused(ConflictError, tenant.thread("a"))
    await tenant.create_thread("a", title="unowned")
    found = await tenant.thread("a")
    assert found is not None
    assert found.title == "unowned"
    for scope in (Scope(""), Scope("one", "")):
        try:
            storage.scope(scope)
        except ConfigurationError:
            continue
        raise AssertionError(f"{scope} was let in")


async def threads_are_listed_by_their_last_change(storage: Storage) -> None:
    """The thread that was written to last comes first; pages show each once; filters narrow down."""
    mine = storage.scope(Scope())
    for i in range(7):
        await mine.create_thread(f"t{i}", title=f"Thread {i}", agent_id="ab"[i % 2], metadata={"n": i, "odd": i % 2})
    await mine.add_messages("t2", [Message.user("x")])
    expected = ["t2", "t6", "t5", "t4", "t3", "t1", "t0"]
    for limit in (1, 2, 7, 50):
        names, cursor = [], None
        while True:
            page = await mine.list_threads(limit=limit, cursor=cursor)
            names += [t.id for t in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert names == expected, names

    async def found(**wanted: Any) -> list[str]:
        return [t.id for t in (await mine.list_threads(filter=ThreadFilter(**wanted))).items]

    assert await found(agent_id="b") == ["t5", "t3", "t1"]
    assert await found(metadata={"odd": 0}) == ["t2", "t6", "t4", "t0"]
    assert await found(text="THREAD 3") == ["t3"]
    assert await found(text="%") == []
    assert await found(metadata={"n": 3.0}) == []
    await _refused(InvalidInputError, mine.list_threads(cursor="WzEsMSwxXQ"))


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
    await _refused(InvalidInputError, mine.search(""))


async def hostile_texts_are_only_text(storage: Storage) -> None:
    """Quotes, operators, wildcards, paths, control characters and a megabyte: each is stored, found, and found alone."""
    mine = storage.scope(Scope())
    for i, text in enumerate(HOSTILE):
        name = text[:200].replace("\0", "")
        await mine.create_thread(name, title=text, agent_id=name, resource_id=name, metadata={text: text})
        await mine.add_messages(name, [Message.user(text, id=f"m{i}", metadata={text: [text]})], run_id=name)
    for text in HOSTILE:
        name = text[:200]
        assert await texts(mine, name) == [text]
        for wanted in (
            ThreadFilter(text=text),
            ThreadFilter(agent_id=name),
            ThreadFilter(resource_id=name),
            ThreadFilter(metadata={text: text}),
        ):
            assert [t.id for t in (await mine.list_threads(filter=wanted)).items] == [name], (name, wanted)
        for sought in (
            MessageFilter(text=text[:60_000]),
            MessageFilter(run_id=name),
            MessageFilter(metadata={text: [text]}),
        ):
            assert len((await mine.messages(name, filter=sought)).items) == 1, name
        assert [t.id for t, _ in (await mine.search(text[:60_000])).items] == [name]
    await mine.create_thread("nul", title="a\0b", metadata={"k\0": "v\0"})
    stored = await mine.thread("nul")
    assert stored is not None
    assert (stored.title, stored.metadata) == ("ab", {"k\0": "v\0"})
    lone = Message("user", (TextPart("a\ud83d!"),), "lone", {"k": "\udc00"})
    await mine.add_messages("nul", [lone])
    assert await texts(mine, "nul") == ["a\ufffd!"]
    for bad in ("", "a\0b", "\ud800", "x" * 513):
        await _refused(ConfigurationError, mine.create_thread(bad))
        if bad:
            await _refused(ConfigurationError, mine.create_thread("good", resource_id=bad))
        await _refused(ConfigurationError, mine.thread(bad))


async def writers_at_once_lose_nothing(storage: Storage) -> None:
    """Many tasks writing to few threads: every message is there once, numbered without a gap, in each task's order."""
    mine = storage.scope(Scope())
    for t in range(3):
        await mine.create_thread(str(t))

    async def write(task: int) -> None:
        for i in range(10):
            await mine.add_messages(str(task % 3), [Message.user(f"{task}:{i}"), Message.assistant(f"{task}:{i}!")])

    await asyncio.gather(*[write(task) for task in range(12)])
    for t in range(3):
        stored = (await mine.messages(str(t), limit=1000)).items
        assert [s.seq for s in stored] == list(range(1, 81))
        for task in range(t, 12, 3):
            own = [s.message.text for s in stored if s.message.text.startswith(f"{task}:")]
            assert own == [f"{task}:{i}{mark}" for i in range(10) for mark in ("", "!")]
        assert all(a.message.text + "!" == b.message.text for a, b in zip(stored[::2], stored[1::2], strict=True))


async def the_same_thread_made_at_once_is_made_once(storage: Storage) -> None:
    """Many tasks that make one thread: one makes it, the others hear so, or find it."""
    mine = storage.scope(Scope())
    made = await asyncio.gather(*[mine.create_thread("t") for _ in range(8)], return_exceptions=True)
    assert sum(not isinstance(m, BaseException) for m in made) == 1
    assert all(isinstance(m, ConflictError) for m in made if isinstance(m, BaseException))
    found = await asyncio.gather(*[mine.ensure_thread("u") for _ in range(8)])
    assert len(set(map(str, found))) == 1
    results = await asyncio.gather(
        *[mine.update_thread("t", title=str(i), version=1) for i in range(8)], return_exceptions=True
    )
    assert sum(not isinstance(r, BaseException) for r in results) == 1


async def deleted_content_is_gone(storage: Storage) -> None:
    """Bytes that two messages share outlive the first one's deletion, and no longer the second's."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.create_thread("u")
    await mine.add_messages("t", [Message.user(ImagePart(data=b"shared"), id="1")])
    await mine.add_messages("u", [Message.user(ImagePart(data=b"shared"), id="2")])
    assert await mine.delete_messages("t", ["1", "nobody"]) == 1
    assert await _all(mine, "t") == []
    (left,) = await _all(mine, "u")
    assert left.parts == (ImagePart(data=b"shared"),)
    await mine.delete_thread("u")
    await mine.add_messages("t", [Message.user(ImagePart(data=b"shared"), id="3")])
    (again,) = await _all(mine, "t")
    assert again.parts == (ImagePart(data=b"shared"),)


async def events_come_back_in_order(storage: Storage) -> None:
    """A run's batches come back as they were stored, from any number on; what they refer to is kept once."""
    mine = storage.scope(Scope())
    record = RunRecord(id="run", agent="a", definition_hash="d", thread_id="t", has_context=True)
    first = Batch(first=1, last=2, data=b"1\n2", contents={"h": b"content"}, children=("child",))
    lease = await mine.open_run(record, first)
    await mine.append_events(lease, Batch(first=3, last=3, data=b"3"))
    await mine.append_events(lease, Batch(first=4, last=6, data=b"4\n5\n6", contents={"h": b"content"}), urgent=True)
    assert await mine.events("run") == (b"1\n2", b"3", b"4\n5\n6")
    assert await mine.events("run", after=1) == (b"1\n2", b"3", b"4\n5\n6")
    assert await mine.events("run", after=2, limit=1) == (b"3",)
    assert await mine.events("child", after=5) == (b"4\n5\n6",)
    assert await mine.events("run", after=6) == ()
    assert await mine.contents(["h", "none"]) == {"h": b"content"}
    found = await mine.run("child")
    assert found is not None
    assert (found.id, found.agent, found.thread_id, found.has_context) == ("run", "a", "t", True)
    assert (found.status, found.last, found.epoch) == ("running", 6, 1)
    await _refused(ConflictError, mine.append_events(lease, Batch(first=9, last=9, data=b"9")))
    await mine.append_events(lease, Batch(first=7, last=7, data=b"7", status="ended", reason="stop"))
    assert [(r.id, r.status, r.reason) for r in (await mine.list_runs()).items] == [("run", "ended", "stop")]
    assert (await mine.list_runs(status="running")).items == ()
    assert (await mine.list_runs(agent="a", status="ended")).items != ()
    before = b"\n".join(await mine.events("run"))
    for _ in range(2):
        assert await mine.compact_run("run") == 1
        assert await mine.events("run") == (before,)
        assert await mine.events("run", after=5) == (before,)
        assert await mine.events("run", after=7) == ()
    assert await mine.delete_run("run") is True
    assert await mine.delete_run("run") is False
    assert await mine.run("child") is None
    assert await mine.contents(["h"]) == {}
    await _refused(NotFoundError, mine.events("run"))


async def one_process_writes_to_a_run(storage: Storage) -> None:
    """A run that is at work is not taken; one that is paused is; whoever had it before writes nothing more."""
    mine = storage.scope(Scope())
    lease = await mine.open_run(RunRecord(id="run"), Batch(first=1, last=1, data=b"1"))
    await _refused(ConflictError, mine.open_run(RunRecord(id="run"), Batch(first=1, last=2, data=b"1\n2")))
    await _refused(LeaseLostError, mine.take_run("run"))
    await _refused(ConflictError, mine.delete_run("run"))
    assert await mine.renew(lease) is True
    assert await mine.compact_run("run") == 1
    assert await storage.orphans(["", "a"]) == ()
    await mine.append_events(lease, Batch(first=2, last=2, data=b"2", status="paused", reason="approval"))
    assert await mine.renew(lease) is False
    record, taken = await mine.take_run("run")
    assert taken is not None
    assert (record.status, record.reason, record.last, taken.fence, taken.epoch) == ("paused", "approval", 2, 2, 2)
    await _refused(LeaseLostError, mine.append_events(lease, Batch(first=3, last=3, data=b"zombie")))
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user("mine", id="m1")], lease=taken)
    await _refused(LeaseLostError, mine.add_messages("t", [Message.user("zombie", id="m2")], lease=lease))
    await mine.let_go(taken)
    await _refused(LeaseLostError, mine.add_messages("t", [Message.user("gone", id="m3")], lease=taken))
    assert await texts(mine, "t") == ["mine"]
    assert [(s, r.id) for s, r in await storage.orphans([""])] == [(Scope(), "run")]
    assert await storage.orphans(["another"]) == ()
    await mine.append_events(taken, Batch(first=3, last=3, data=b"3", status="ended", reason="stop"))
    assert await storage.orphans([""]) == ()
    _, none = await mine.take_run("run")
    assert none is None
    assert b"\n".join(await mine.events("run")) == b"1\n2\n3"
    other = storage.scope(Scope("two"))
    await _refused(NotFoundError, other.take_run("run"))
    await _refused(NotFoundError, other.events("run"))
    assert await other.run("run") is None
    assert await other.delete_run("run") is False
    assert (await other.list_runs()).items == ()


async def a_lease_is_worth_nothing_in_another_scope(storage: Storage) -> None:
    """Who guesses a lease writes to no run outside its scope, and neither prolongs nor ends its lease."""
    mine = storage.scope(Scope("one", "ann"))
    lease = await mine.open_run(RunRecord(id="run"), Batch(first=1, last=1, data=b"1"))
    for scope in (Scope("one", "bob"), Scope("two"), Scope("two", "ann")):
        other = storage.scope(scope)
        await _refused(LeaseLostError, other.append_events(lease, Batch(first=2, last=2, data=b"2")))
        assert await other.renew(lease) is False
        await other.let_go(lease)
        await other.create_thread("t")
        await _refused(LeaseLostError, other.add_messages("t", [Message.user("x")], lease=lease))
        await _refused(ConflictError, other.open_run(RunRecord(id="run"), Batch(first=1, last=1, data=b"1")))
    assert await mine.renew(lease) is True
    assert await mine.events("run") == (b"1",)


async def readers_and_writers_do_not_hinder_each_other(storage: Storage) -> None:
    """Reading and writing at the same time neither fails nor shows half of what belongs together."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")

    async def write(name: str) -> None:
        for number in range(30):
            await mine.add_messages("t", [Message.user(f"{name}{number} {half}") for half in ("a", "b")])

    async def read() -> None:
        for _ in range(30):
            shown = (await mine.messages("t", limit=1000)).items
            assert len(shown) % 2 == 0
            assert [m.seq for m in shown] == [*range(1, len(shown) + 1)]

    await asyncio.gather(write("x"), read(), write("y"), read(), read())
    assert len(await texts(mine, "t")) == 120


async def what_is_shared_outlives_a_deletion_beside_it(storage: Storage) -> None:
    """Content and messages that one thread takes over while the other that has them is deleted stay whole."""
    mine = storage.scope(Scope())
    shared = b"shared " * 200
    for number in range(12):
        old, new, fork, again = f"old{number}", f"new{number}", f"fork{number}", f"again{number}"
        await mine.create_thread(old)
        await mine.create_thread(new)
        await mine.add_messages(old, [Message("user", (ImagePart(data=shared),), "m")])
        await asyncio.gather(
            mine.delete_thread(old), mine.add_messages(new, [Message("user", (ImagePart(data=shared),), "m")])
        )
        assert [m.parts for m in await _all(mine, new)] == [(ImagePart(data=shared),)]
        await mine.fork_thread(new, new_id=fork)
        forked = await asyncio.gather(
            mine.delete_thread(new), mine.fork_thread(fork, new_id=again), return_exceptions=True
        )
        assert not isinstance(forked[1], BaseException)
        for kept in (fork, again):
            assert [m.parts for m in await _all(mine, kept)] == [(ImagePart(data=shared),)]
        await asyncio.gather(mine.delete_thread(fork), mine.delete_thread(again))


async def what_was_learned_is_a_tenants(storage: Storage) -> None:
    """What runs learned of models is there for the whole tenant, and for no other; the newest counts."""
    mine = storage.scope(Scope("one", "alice"))
    assert await mine.experience() == {}
    await mine.keep_experience({"a": b"1", "b": b"2"})
    await mine.keep_experience({"b": b"3"})
    assert await storage.scope(Scope("one", "bob")).experience() == {"a": b"1", "b": b"3"}
    assert await storage.scope(Scope("two")).experience() == {}


async def a_closed_storage_opens_again(storage: Storage) -> None:
    """After `close` what was acknowledged is there, at the next use; closing twice is no error."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    if not storage.url.endswith("sqlite://"):
        await storage.close()
        await storage.close()
        assert await mine.thread("t") is not None
    await storage.open()


CHECKS: Final[tuple[Check, ...]] = (
    thread_is_made_found_and_changed,
    thread_without_a_name_gets_one,
    what_is_not_there_is_said,
    messages_come_back_as_they_were,
    messages_are_stored_once,
    pages_show_each_once_in_both_directions,
    filters_find_what_they_say,
    branches_share_what_comes_before,
    forks_outlive_their_original,
    nothing_is_seen_outside_a_scope,
    a_tenant_sees_all_its_owners,
    threads_are_listed_by_their_last_change,
    search_goes_through_all_threads,
    hostile_texts_are_only_text,
    writers_at_once_lose_nothing,
    the_same_thread_made_at_once_is_made_once,
    deleted_content_is_gone,
    events_come_back_in_order,
    one_process_writes_to_a_run,
    a_lease_is_worth_nothing_in_another_scope,
    readers_and_writers_do_not_hinder_each_other,
    what_is_shared_outlives_a_deletion_beside_it,
    what_was_learned_is_a_tenants,
    a_closed_storage_opens_again,
)
"""Every check there is."""


async def texts(handle: Handle, thread_id: str, branch: int | None = None) -> list[str]:
    """The texts on a branch's path."""
    return [s.message.text for s in (await handle.messages(thread_id, branch=branch, limit=1000)).items]


async def _all(handle: Handle, thread_id: str) -> list[Message]:
    return [s.message for s in (await handle.messages(thread_id, limit=1000)).items]


async def _everything(handle: Handle, thread_id: str) -> tuple[object, ...]:
    return (
        await handle.thread(thread_id),
        await handle.list_threads(),
        await handle.branches(thread_id),
        await handle.messages(thread_id),
        await handle.messages(thread_id, branch=1),
    )


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


async def _refused(kind: type[Exception], call: Awaitable[object]) -> None:
    try:
        given = await call
    except kind:
        return
    raise AssertionError(f"expected {kind.__name__}, got {given!r}")
