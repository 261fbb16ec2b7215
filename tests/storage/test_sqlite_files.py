"""The file under an SQLite database: read-only, taken away while it is open, named in several ways, without room."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lumosai import Agent, Memory, Message, Scope
from lumosai.errors import LumosaiError, StorageBrokenError, StorageError, ThreadBusyError
from lumosai.storage import SqliteStorage
from lumosai.storage import sqlite as module
from lumosai.testing import ScriptedModel, call
from tests.conftest import ROOT

NOBODY = 65534
ROUNDS = 20 * int(os.environ.get("LUMOSAI_CRASH_ROUNDS", "1"))
"""How often a file is damaged."""


async def say(path: Path, *texts: str) -> None:
    """Adds messages to the thread `t` of a database, and closes it."""
    async with SqliteStorage(path) as storage:
        handle = storage.scope(Scope())
        await handle.ensure_thread("t")
        await handle.add_messages("t", [Message.user(text) for text in texts])


async def said(storage: SqliteStorage) -> list[str]:
    """The texts of the thread `t`."""
    return [m.message.text for m in (await storage.scope(Scope()).messages("t", limit=1000)).items]


def permit(path: Path, mode: int) -> None:
    """Gives a file or folder its permissions."""
    os.chmod(path, mode)


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user whom permissions bind: the superuser of a container they do not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may look into; pytest's are the user's own."""
    made = Path(tempfile.mkdtemp(prefix="lumosai-"))
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


@pytest.mark.parametrize(("file", "around"), [(0o444, 0o777), (0o444, 0o555), (0o644, 0o555)])
async def test_what_may_not_be_written_to_is_read_all_the_same(folder: Path, file: int, around: int) -> None:
    """Opening and reading work, again and again, and show what is there now; each write says why it is refused."""
    path = folder / "test.db"
    await say(path, "one")
    permit(path, file)
    permit(folder, around)
    storage = SqliteStorage(path)
    handle = storage.scope(Scope())
    with unprivileged():
        await storage.open()
        assert await said(storage) == ["one"]
        assert [t.id for t in (await handle.list_threads()).items] == ["t"]
        with pytest.raises(StorageBrokenError, match="is read-only: give its file and folder back"):
            await handle.add_messages("t", [Message.user("two")])
        agent = Agent("a", model=ScriptedModel("Hello."), memory=Memory(storage))
        with pytest.raises(StorageBrokenError, match="is read-only"):
            await agent.generate("Hi.", thread_id="t")
        assert await said(storage) == ["one"]
    permit(folder, 0o777)
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):  # a connection that is closed takes its files along
            permit(folder / name, 0o666)
    await handle.add_messages("t", [Message.user("two")])  # the permission is back
    assert await said(storage) == ["one", "two"]
    await storage.close()


@pytest.mark.parametrize("ends", [("", "-wal"), ("", "-wal", "-shm")])
async def test_a_copy_with_its_log_is_read_where_nothing_may_be_written(folder: Path, ends: tuple[str, ...]) -> None:
    """What lies in the log only is read, too; nothing is written beside it."""
    source, copy = SqliteStorage(folder / "test.db"), folder / "copy"
    handle = source.scope(Scope())
    await handle.ensure_thread("t")
    await handle.add_messages("t", [Message.user("one")])
    copy.mkdir()
    for end in ends:
        shutil.copy(f"{source.path}{end}", copy)
        permit(copy / f"test.db{end}", 0o444)
    assert (copy / "test.db-wal").stat().st_size
    permit(copy, 0o555)
    storage = SqliteStorage(copy / "test.db")
    with unprivileged():
        assert await said(storage) == ["one"]
        with pytest.raises(StorageBrokenError, match=r"is read-only|may be written to"):
            await storage.scope(Scope()).add_messages("t", [Message.user("two")])
        assert await said(storage) == ["one"]
        assert len(os.listdir(copy)) == len(ends)
    await storage.close()
    await source.close()
    permit(copy, 0o755)


async def test_a_damaged_file_is_told_to_be(tmp_path: Path) -> None:
    """Whatever bytes are not as they were, wherever they are read: an error of ours says so, or what was stored is given."""
    path, copy = tmp_path / "whole.db", tmp_path / "damaged.db"
    storage = SqliteStorage(path)
    agent = Agent("a", model=ScriptedModel(lambda request: "answer " * 200), memory=Memory(storage))
    for number in range(6):
        await agent.generate(f"question {number}", thread_id=f"t{number % 2}")
    await storage.close()
    whole, chance = path.read_bytes(), random.Random(2)
    told = 0
    for _ in range(ROUNDS):
        damaged = bytearray(whole)
        end = chance.choice((len(damaged), 32_768))  # where the schema lies
        for _ in range(chance.choice((1, 3, 8, 20, 60))):
            damaged[chance.randrange(100, end)] = chance.randrange(256)
        copy.write_bytes(damaged)
        memory = Memory(SqliteStorage(copy))
        for read in (_threads_of, _runs_of, _export_of, _search_in):
            with suppress(LumosaiError):
                await read(agent.replace(memory=memory, storage=None))
                told += 1
        await memory.close()
        for name in os.listdir(tmp_path):
            if name.startswith(copy.name):
                (tmp_path / name).unlink()
    assert 0 < told < 4 * ROUNDS


async def _threads_of(agent: Agent) -> None:
    for thread in (await agent.memory.list_threads()).items:
        await thread.get_messages(newest=True)


async def _runs_of(agent: Agent) -> None:
    for record in (await agent.storage.scope(Scope()).list_runs()).items:
        async with agent.resume(record.id, force=True) as run:
            await run.result()


async def _export_of(agent: Agent) -> None:
    async for _ in agent.storage.system().export(None):
        pass


async def _search_in(agent: Agent) -> None:
    await agent.memory.search("answer")


async def test_a_read_only_file_of_another_schema_is_refused(folder: Path) -> None:
    """It is neither brought up to date nor read as what it is not."""
    path = folder / "test.db"
    await say(path, "one")
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM lumosai WHERE number > 1")
    connection.close()
    permit(path, 0o444)
    permit(folder, 0o555)
    storage = SqliteStorage(path)
    with unprivileged(), pytest.raises(StorageBrokenError, match="read-only and has an older schema"):
        await storage.scope(Scope()).list_threads()
    await storage.close()


async def test_what_nobody_lets_us_look_at_is_told(folder: Path) -> None:
    """A closed folder, or a file of another user's, is an error of ours with the way out."""
    path = folder / "test.db"
    await say(path, "one")
    for file, around, what in ((0o600, 0o555, "cannot be opened"), (0o644, 0o700, "look at its permissions")):
        permit(path, file)
        permit(folder, around)
        storage = SqliteStorage(path)
        with unprivileged(), pytest.raises(StorageBrokenError, match=what):
            await said(storage)
        await storage.close()


@pytest.mark.parametrize("what", ["deleted", "moved", "replaced"])
async def test_a_file_that_is_taken_away_is_told_once(tmp_path: Path, what: str) -> None:
    """No call is acknowledged whose message lies nowhere; then what lies under the name is used, whole and undisturbed."""
    path, other = tmp_path / "test.db", tmp_path / "other.db"
    await say(other, "another one's")
    async with SqliteStorage(path) as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")
        await handle.add_messages("t", [Message.user("one")])
        assert await said(storage) == ["one"]
        if what == "moved":
            path.rename(tmp_path / "moved.db")
        elif what == "deleted":
            path.unlink()
        else:
            other.rename(path)
        with pytest.raises(StorageBrokenError, match="moved, replaced or deleted while it was open"):
            await handle.add_messages("t", [Message.user("two")])
        await handle.ensure_thread("t")
        await handle.add_messages("t", [Message.user("three")])
        for _ in range(module._READERS * 2):  # each reading thread finds out by itself
            try:
                assert (await said(storage))[-1] == "three"
            except StorageBrokenError as error:
                assert "while it was open" in str(error)  # any number of these, then all is well
        assert await said(storage) == (["another one's"] if what == "replaced" else []) + ["three"]
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM messages").fetchone()[0] == (2 if what == "replaced" else 1)
    connection.close()


async def test_a_commit_beside_its_name_is_not_acknowledged(tmp_path: Path) -> None:
    """A file that is taken away in the midst of a transaction: whoever wrote hears that it is not kept."""
    path = tmp_path / "test.db"
    async with SqliteStorage(path) as storage:
        await storage.open()

        def taking_away():
            yield module.Query("CREATE TABLE late (x)")
            path.unlink()

        with pytest.raises(StorageBrokenError, match="while it was open"):
            await storage.write(taking_away)


async def test_a_file_system_with_no_room_left_refuses_what_does_not_fit(tmp_path: Path) -> None:
    """Each call is stored whole or not at all, its caller is told, reading goes on, and so does writing once there is room."""
    path = tmp_path / "test.db"
    await say(path, "one")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with SqliteStorage(path) as storage:
        handle = storage.scope(Scope())
        stored = ["one"]
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
            refused = 0
            for number in range(60):
                text = f"{number} " + "x" * 20_000
                try:
                    await handle.add_messages("t", [Message.user(text)])
                    stored.append(text)
                except StorageError as error:
                    refused += 1
                    assert "test.db" in str(error)  # of many calls some
                assert await said(storage) == stored
                if refused > 3:
                    break
            assert refused
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        await handle.add_messages("t", [Message.user("last")])
        assert await said(storage) == [*stored, "last"]


def test_every_name_of_a_file_is_one_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path, a link, a way round: one writer, one queue for a thread; a later change of folder changes nothing."""
    (tmp_path / "a").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "a" / "test.db")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")
    storages = [
        SqliteStorage("sqlite:///test.db"),
        SqliteStorage("test.db"),
        SqliteStorage(tmp_path / "a" / ".." / "a" / "test.db"),
        SqliteStorage(f"sqlite:///{tmp_path}/link.db", durability="power"),
        SqliteStorage(tmp_path / "b" / "test.db"),
    ]
    monkeypatch.chdir(tmp_path)

    async def program() -> None:
        for number, storage in enumerate(storages):
            await storage.scope(Scope()).ensure_thread("t")
            await storage.scope(Scope()).add_messages("t", [Message.user(str(number))])
            assert len(await said(storage)) == number + 1
        assert len({id(s._open().writer) for s in storages}) == 1
        assert storages[0]._open().writer.durable  # as the strictest asked for
        assert len({s.identity for s in storages}) == 1
        began, go = asyncio.Event(), asyncio.Event()

        async def wait() -> str:
            began.set()
            await go.wait()
            return "done"

        from lumosai import tool

        slow = Agent(
            "slow",
            model=ScriptedModel([[call("wait")], "Done."]),
            tools=[tool(wait, name="wait")],
            memory=Memory(storages[0]),
        )
        task = asyncio.ensure_future(slow.generate("Wait.", thread_id="t"))
        await began.wait()
        quick = Agent("quick", model=ScriptedModel("Me."), memory=Memory(storages[3]))
        with pytest.raises(ThreadBusyError):
            await quick.generate("Now.", thread_id="t", if_busy="reject")
        go.set()
        await task
        for storage in storages:
            await storage.close()

    asyncio.run(program())
    assert [p.name for p in tmp_path.glob("**/*.db")].count("test.db") == 1


def test_many_threads_with_event_loops_of_their_own_share_a_file(tmp_path: Path) -> None:
    """Runs on one agent from eight threads, some by `generate_sync`: every message is there, each thread's in order."""
    memory = Memory(SqliteStorage(tmp_path / "test.db"))
    agent = Agent("a", model=ScriptedModel(lambda request: f"to {request.messages[-1].text}"), memory=memory)
    failed: list[BaseException] = []

    def work(number: int) -> None:
        async def runs() -> None:
            for turn in range(3):
                await agent.generate(f"{number} {turn}", thread_id=f"t{number % 4}")

        try:
            if number % 2:
                asyncio.run(runs())
            else:
                for turn in range(3):
                    agent.generate_sync(f"{number} {turn}", thread_id=f"t{number % 4}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []

    async def check() -> None:
        for number in range(4):
            page = await (await memory.thread(f"t{number}")).get_messages(limit=100)
            texts = [m.message.text for m in page.items]
            assert texts[1::2] == [f"to {text}" for text in texts[::2]]
            assert sorted(texts[::2]) == sorted(f"{n} {turn}" for n in (number, number + 4) for turn in range(3))
        await memory.close()

    asyncio.run(check())


FORKED = """
import asyncio, os, sys, threading
from lumosai import Agent, Memory, tool
from lumosai.testing import ScriptedModel, call

memory = Memory(sys.argv[1])
began, go = threading.Event(), threading.Event()

def wait() -> str:
    began.set()
    go.wait(30)
    return "done"

slow = Agent("slow", model=ScriptedModel([call("wait"), "Done."]), tools=[tool(wait)], memory=memory)
quick = Agent("quick", model=ScriptedModel(lambda request: "Here."), memory=memory)
thread = threading.Thread(target=lambda: slow.generate_sync("Wait.", thread_id="t"))
thread.start()
began.wait(30)
child = os.fork()  # while a run of the parent is at work on the thread
if child == 0:
    other = quick.generate_sync("Who?", thread_id="other", busy_timeout_s=20)
    told = quick.generate_sync("Who?", thread_id="t", busy_timeout_s=20)
    os._exit(0 if (other.text, told.text) == ("Here.", "Here.") else 1)
go.set()
assert os.waitpid(child, 0)[1] == 0
thread.join()
assert quick.generate_sync("And you?", thread_id="t").text == "Here."
roles = [m.message.role for m in asyncio.run(memory.storage.scope(__import__("lumosai").Scope()).messages("t")).items]
assert roles.count("user") == 3 and roles.count("assistant") == 4 and roles.count("tool") == 1, roles
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_process_forked_in_the_midst_of_a_run_works_by_itself(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each takes its turn on a thread, neither disturbs the other's connections; nothing is lost or doubled."""
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else f"sqlite:///{tmp_path}/test.db"
    command = [sys.executable, "-W", "ignore", "-c", FORKED, url]
    subprocess.run(command, check=True, timeout=150, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})


def _spawned(storage: SqliteStorage, number: int) -> None:
    asyncio.run(storage.scope(Scope()).add_messages("t", [Message.user(str(number))]))


def test_a_storage_goes_over_to_a_process_that_is_spawned(tmp_path: Path) -> None:
    """It is told by where it is, and opens there anew."""
    storage = SqliteStorage(tmp_path / "test.db")
    asyncio.run(say(tmp_path / "test.db", "one"))
    asyncio.run(storage.open())
    process = multiprocessing.get_context("spawn").Process(target=_spawned, args=(storage, 2))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert asyncio.run(said(storage)) == ["one", "2"]
    asyncio.run(storage.close())
