"""An export taken in elsewhere answers every storage call as its source does; however often, cut where it may be."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from lumosai import Message, Retention, Scope
from lumosai.errors import InvalidInputError, LumosaiError
from lumosai.messages import AudioPart, ImagePart, TextPart, ToolResultPart
from lumosai.storage import PostgresStorage, SqliteStorage, Storage
from lumosai.storage import _info as info
from lumosai.storage import _tables as tables
from lumosai.storage._contents import PIECE
from lumosai.storage._remembering import Facts, SessionRecord
from lumosai.storage.base import Batch, InboxItem, RunRecord
from tests.storage import stored

ROUNDS = int(os.environ.get("LUMOSAI_TEST_ROUNDS", "2"))
WORDS = ("one", "Zwei", "看", "said", "'quoted'", "\0", "\ud800", "🐉", "%_\\", "x" * 70_000)


async def lines(given: Iterable[bytes]) -> AsyncIterator[bytes]:
    for line in given:
        yield line


async def exported(storage: Storage, scope: Scope | None = None) -> list[bytes]:
    return [line async for line in storage.system().export(scope)]


async def filled(storage: Storage, chance: random.Random) -> None:
    """Anything that the public API can make, in any order."""
    handles = [storage.scope(s) for s in stored.SCOPES]
    names = ("a", "b", "c", "d")
    ids = iter(range(10_000))

    def message() -> Message:
        parts: list[Any] = [chance.choice(WORDS)]
        if chance.random() < 0.3:
            parts.append(chance.choice((ImagePart(data=b"p" * chance.randrange(1, 900)), AudioPart(data=b"\0"))))
        made = Message.user(*parts, id=f"m{next(ids)}", metadata={chance.choice(WORDS[:8]): [1.5, None, {"k": True}]})
        if chance.random() < 0.2:
            inner = (TextPart("t"), ImagePart(data=b"in a result"))
            return Message.tool(ToolResultPart("c", "f", inner), id=made.id)
        return made

    for _ in range(60):
        handle, name = chance.choice(handles), chance.choice(names)
        with suppress(LumosaiError):  # of what is not there, or is there twice
            await handle.ensure_thread(name, title=chance.choice(WORDS), resource_id=chance.choice(("", "trip")))
            known = (await handle.messages(name, limit=100)).items
            some = chance.choice(known[1:] or known).message.id if known else "none"
            match chance.randrange(9):
                case 0:
                    await handle.add_branch(name, some, messages=[message()])
                case 1:
                    await handle.fork_thread(name, new_id=f"fork{next(ids)}", after=some)
                case 2:
                    await handle.delete_messages(name, [some])
                case 3:
                    await handle.delete_thread(chance.choice(names))
                case 4:
                    branch = chance.choice(await handle.branches(name)).number
                    await handle.select_branch(name, branch)
                case 5:
                    await handle.update_thread(name, title=chance.choice(WORDS), metadata={chance.choice(WORDS[:8]): 1})
                case _:
                    await handle.add_messages(name, [message() for _ in range(chance.randrange(1, 5))], run_id="r")
        with suppress(LumosaiError):
            await handle.change_facts(remembering(chance.choice(WORDS)), thread_id=name)
        with suppress(LumosaiError):
            await handle.change_facts(remembering(chance.choice(WORDS)), resource_id=name)
            await handle.open_session(
                SessionRecord(id=f"s{next(ids)}", resource_id=name, agent_id="a", thread_id=name, variables={"k": 1})
            )
    for number in range(12):
        handle, run = chance.choice(handles), f"run{number}"
        status = chance.choice(("running", "paused", "ended"))
        used = {f"h{chance.randrange(4)}": os.urandom(9), "long": b"l" * (2 * PIECE + 1)}
        lease = await handle.open_run(
            RunRecord(id=run, agent=chance.choice(("a", "b")), thread_id=chance.choice(("", *names))),
            Batch(first=1, last=2, data=b'{"a":1}\n{"b":"\\u0000"}', contents=used, children=(f"child{number}",)),
        )
        data = chance.choice((b'{"c": [1, 2]}', b"no json \xff", b""))
        await handle.append_events(lease, Batch(first=3, last=3, data=data, status=status, reason="why"))
        if status == "running":
            await handle.let_go(lease)  # as one whose process died: here it would be this one
        if status == "paused":
            await handle.post(run, InboxItem(f"i{number}", "send", b"\xfe more"))
            if chance.random() < 0.5:
                _, taken = await handle.take_run(run)
                assert taken is not None
                await handle.let_go(taken)
        await handle.keep_experience({chance.choice(WORDS[:5]): os.urandom(5)})


def remembering(text: str) -> Callable[[Facts], Facts]:
    """A change of what is remembered."""
    return lambda was: Facts(
        version=was.version + 1, document={**was.document, text[:20]: text}, changes=({"was": text},)
    )


async def answers(storage: Storage, scopes: Iterable[Scope] = stored.SCOPES) -> dict[str, Any]:
    """As `stored.answers`, with all that is told of runs, and what waits for whom."""
    told = await stored.answers(storage)
    for scope in scopes:
        handle = storage.scope(scope)
        runs = (await handle.list_runs()).items
        told[f"remembered in {scope}"] = (
            [await quietly(handle.facts(thread_id=name)) for name in "abcd"],
            [await quietly(handle.facts(resource_id=name)) for name in "abcd"],
            await handle.list_sessions(),
        )
        told[f"runs of {scope}"] = [
            (
                r,
                b"\n".join(await handle.events(r.id)),
                (await handle.stretch(r.id, limit=0)).epochs,
                await handle.contents([f"h{i}" for i in range(4)]),
                await handle.run(r.id.replace("run", "child")),
            )
            for r in runs
        ]
    told["orphans"] = sorted(r.id for _, r in await storage.system().orphans(["a", "b"]))
    return told


async def rows(storage: Any) -> dict[str, int]:
    """How many rows each table has that an export carries; events are put together where they arrive."""
    found: dict[str, int] = await storage.read(info.counts)
    return {t.name: found[t.name] for t in tables.TABLES if t.exported and t.name != "events"}


async def quietly(call: Awaitable[object]) -> object:
    """What it gives, or how it fails."""
    try:
        return await call
    except LumosaiError as error:
        return str(error)


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_what_was_written_out_is_the_same_where_it_is_taken_in(number: int, postgres_url: str) -> None:
    """From SQLite into PostgreSQL and back, cut on the way and done twice: every answer is equal, and so is the export."""
    chance = random.Random(number)
    source, there, back = SqliteStorage("sqlite://"), PostgresStorage(postgres_url), SqliteStorage("sqlite://")
    await filled(source, chance)
    first = await exported(source)
    with pytest.raises(InvalidInputError, match="cut short"):
        await there.system().load(lines(first[: chance.randrange(1, len(first) - 1)]))
    told = await there.system().load(lines(first))
    assert (told.conflicting, told.unknown) == (0, {})
    again = await there.system().load(lines(first))
    assert (again.taken, again.conflicting) == ({}, 0)
    second = await exported(there)
    assert second[1:] == first[1:]
    await back.system().load(lines(second))
    assert (await exported(back))[1:] == first[1:]
    expected, count = await answers(source), await rows(source)
    assert all(count.values()), f"nothing of some table is tried: {count}"
    for storage in (there, back):
        assert await answers(storage) == expected
        assert await rows(storage) == count
        assert (await storage.system().info(check=True)).problems == ()
    for storage in (source, there, back):
        await storage.close()


async def test_runs_of_agents_show_the_same_elsewhere() -> None:
    """What they are packed against at home is of no account: each event is the same, and a waiting one goes on."""
    source, there = SqliteStorage("sqlite://"), SqliteStorage("sqlite://")
    await stored.fill(source)
    await there.system().load(lines(await exported(source)))
    assert await stored.shown(there) == await stored.shown(source)
    assert await stored.answers(there) == await stored.answers(source)
    old = Retention(journal_days=None, threads_days=1e-12)
    assert (await there.system().collect(old, pause_s=0)).threads == 5  # but for those that a run may go on with
    assert (await there.system().info(check=True)).problems == ()
    shown = await stored.shown(there)
    assert len(shown) == 1, "the run without a thread, alone, is left of those that ended"
    assert shown.items() <= (await stored.shown(source)).items()
    await source.close()
    await there.close()


async def test_an_owner_is_written_out_alone() -> None:
    """What the owner sees is the same elsewhere, though it showed a part of somebody else's thread; no more comes along."""
    source, there = SqliteStorage("sqlite://"), SqliteStorage("sqlite://")
    bob, tenant = (source.scope(Scope(owner=o)) for o in ("bob", None))
    await bob.create_thread("his")
    picture = ImagePart(data=b"picture")
    await bob.add_messages("his", [Message.user(f"{i}", picture, id=f"m{i}") for i in range(60)])
    await bob.create_thread("secret", title="secret")
    await bob.add_messages("secret", [Message.user("secret", ImagePart(data=b"secret"))])
    await tenant.fork_thread("his", new_id="shared", after="m49")
    await tenant.add_messages("shared", [Message.user("more", id="more")])
    await tenant.update_thread("shared", title="theirs")
    # A thread of nobody's that begins with one of bob's is written with what it shows, where bob's is not.
    whole = await exported(source, Scope(owner="bob"))
    assert b"more" not in b"".join(whole)
    told = await there.system().load(lines(whole))
    assert told.taken["thread"] == 2
    theirs, expected = there.scope(Scope(owner="bob")), await bob.messages("his", limit=100)
    assert (await theirs.messages("his", limit=100)).items == expected.items
    everything = SqliteStorage("sqlite://")
    await everything.system().load(lines(await exported(source, Scope())))
    assert await stored.answers(everything) == await stored.answers(source)
    for storage in (source, there, everything):
        await storage.close()


async def test_what_is_here_stays() -> None:
    """A thread, branch or run that went on otherwise, or is another one of that name, is told and left as it is."""
    source, there = SqliteStorage("sqlite://"), SqliteStorage("sqlite://")
    mine, theirs = source.scope(Scope()), there.scope(Scope())
    await mine.create_thread("t", title="first")
    await mine.add_messages("t", [Message.user("1", id="m1")])
    await mine.create_thread("other")
    await mine.add_messages("other", [Message.user("from there", id="x")])
    lease = await mine.open_run(RunRecord(id="run"), Batch(first=1, last=1, data=b"1"))
    await theirs.create_thread("other", title="another one")
    await there.system().load(lines(await exported(source)))
    await mine.add_messages("t", [Message.user("2", id="m2"), Message.user("3", id="m3")])
    await mine.update_thread("t", title="second")
    await there.system().load(lines(await exported(source)))  # catches up
    assert [m.message.text for m in (await theirs.messages("t")).items] == ["1", "2", "3"]
    assert await theirs.thread("t") == await mine.thread("t")
    await mine.add_messages("t", [Message.user("mine", id="m4")])
    await mine.append_events(lease, Batch(first=2, last=2, data=b"2"))
    await theirs.add_messages("t", [Message.user("theirs", id="n4")])
    told = await there.system().load(lines(await exported(source)))
    assert told.conflicting == 3
    assert "another one of that name" in told.conflicts[0]
    assert "from number 4 on" in told.conflicts[1]
    assert "run 'run'" in told.conflicts[2]
    assert [m.message.text for m in (await theirs.messages("t")).items] == ["1", "2", "3", "theirs"]
    other = await theirs.thread("other")
    assert other is not None
    assert (other.title, other.message_count) == ("another one", 0)
    assert (await there.system().info(check=True)).problems == ()
    await source.close()
    await there.close()


async def test_an_export_of_the_first_version_is_read() -> None:
    """Where a text alone stood as a part of a message, as others do."""
    async with SqliteStorage("sqlite://") as source, SqliteStorage("sqlite://") as there:
        await source.scope(Scope()).create_thread("t")
        await source.scope(Scope()).add_messages("t", [Message.user("words", id="m")])
        now = b"".join(await exported(source))
        before = now.replace(b'"version":2', b'"version":1')
        before = before.replace(b'"body":"words"', b'"body":{"p":[{"type":"text","text":"words"}]}')
        assert len(before) > len(now)
        await there.system().load(lines(before.splitlines(keepends=True)))
        (stored,) = (await there.scope(Scope()).messages("t")).items
        assert stored.message == Message.user("words", id="m")


async def test_what_is_no_export_is_refused() -> None:
    """Another file, a later version, a damaged line, one that is cut: each by its name; an unknown kind is passed by."""
    async with SqliteStorage("sqlite://") as source, SqliteStorage("sqlite://") as there:
        await source.scope(Scope()).create_thread("t")
        await source.scope(Scope()).add_messages("t", [Message.user("words", ImagePart(data=b"p"), id="m")])
        whole = await exported(source)
        later = whole[0].replace(b'"version":2', b'"version":3')
        for given, what in (
            ([b"hello\n"], "damaged"),
            ([b'{"kind":"thread"}\n'], "no export"),
            ([later], r"version 3 and this program reads up to 2"),
            ([whole[0], b'{"kind":"thread"}\n'], "damaged"),
            ([x.replace(b'"role":"user"', b'"role":"cook"') for x in whole], r"message 'm' .* damaged"),
            ([x.replace(b'"text":"words"', b'"text":7') for x in whole], r"message 'm' .* damaged"),
            ([x for x in whole if b'"content"' not in x], r"content .* is not in the export"),
            (whole[:-1], "cut short"),
        ):
            with pytest.raises(InvalidInputError, match=what):
                await there.system().load(lines(given))
        assert (await there.system().info()).blobs == 1  # of what came before the end was missing
        told = await there.system().load(lines([whole[0], b'{"kind":"dream","of":"sheep"}\n', *whole[1:]]))
        assert told.unknown == {"dream": 1}
        for line in whole:
            msgspec.json.decode(line)
