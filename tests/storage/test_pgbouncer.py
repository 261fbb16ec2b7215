"""Real PgBouncer in transaction mode, where it is installed: no transaction may count on the connection of the one before."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from lumosai import Message, Scope
from lumosai.errors import StorageBrokenError, StorageUnavailableError
from lumosai.storage import PostgresStorage, postgres
from lumosai.storage.conformance import CHECKS
from tests.conftest import ROOT

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed (apt-get install pgbouncer)"),
    pytest.mark.skipif("LUMOSAI_CRASH_ROUNDS" not in os.environ, reason="of .ci/run, which has the time for it"),
    pytest.mark.timeout(300),
]


class Bouncer:
    """PgBouncer before a database, with two connections to it."""

    def __init__(self, url: str, folder: Path) -> None:
        parts = urlsplit(url)
        host = self.host = parse_qs(parts.query).get("host", [parts.hostname or "127.0.0.1"])[0]
        self.database = parts.path.strip("/")
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        target = f"host={host} port={parts.port or 5432} dbname={self.database} user={parts.username or 'postgres'}"
        (folder / "users.txt").write_text('"ann" "right"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n{self.database} = {target}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = plain\nauth_file = {folder}/users.txt\n"
            "pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 60\nserver_reset_query_always = 1\n"
            "ignore_startup_parameters = extra_float_digits\nquery_wait_timeout = 20\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, password: str = "right", database: str = "") -> str:
        return f"postgresql://ann:{password}@127.0.0.1:{self.port}/{database or self.database}?sslmode=disable"

    def start(self) -> None:
        assert PROGRAM is not None
        self.process = subprocess.Popen([PROGRAM, "-q", str(self.folder / "pgbouncer.ini")], user=self._user())
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("pgbouncer does not listen")

    def _user(self) -> int | str | None:
        """It does not run as the superuser; the server's own user may use the server's socket."""
        if os.geteuid() != 0:
            return None
        owner = os.stat(self.host).st_uid if self.host.startswith("/") else 0
        return owner or "nobody"

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def bouncer(postgres_url: str) -> Iterator[Bouncer]:
    folder = Path(tempfile.mkdtemp(prefix="lumosai-bouncer-"))
    folder.chmod(0o755)
    made = Bouncer(postgres_url, folder)
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


async def test_every_promise_is_kept_behind_it(bouncer: Bouncer, postgres_url: str) -> None:
    """The whole suite for back ends, on one database that is emptied in between."""
    direct = await asyncpg.connect(postgres_url)
    names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'lumosai'"
    for check in CHECKS:
        async with PostgresStorage(bouncer.url()) as storage:
            tables = ", ".join([row[0] for row in await direct.fetch(names)])
            await direct.execute(f"TRUNCATE {tables}")
            await check(storage)
    await direct.close()


WORKER = """
import asyncio, sys
from lumosai import Agent, Memory, tool
from lumosai.testing import ScriptedModel, call

@tool
def look(what: str) -> str:
    "Looks."
    return f"{what} is there"

async def main(url, worker):
    async with Memory(url) as memory:
        async def one(number):
            agent = Agent("a", model=ScriptedModel([call("look", what="it"), "Done."]), tools=[look], memory=memory)
            for _ in range(3):
                agent = agent.replace(model=ScriptedModel([call("look", what="it"), "Done."]))
                assert (await agent.generate(f"{worker}", thread_id=f"t{number}")).text == "Done."
        await asyncio.gather(*[one(number) for number in range(10)])

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


def test_two_workers_share_two_connections(bouncer: Bouncer) -> None:
    """Ten threads that both workers write to: each turn is whole, none is lost, none is doubled."""

    async def make() -> None:
        async with PostgresStorage(bouncer.url()):
            pass

    asyncio.run(make())
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    workers = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", WORKER, bouncer.url(), f"worker {n}"], env=environment)
        for n in range(2)
    ]
    assert [w.wait(100) for w in workers] == [0, 0]

    async def look() -> None:
        async with PostgresStorage(bouncer.url()) as storage:
            for number in range(10):
                page = await storage.scope(Scope()).messages(f"t{number}", limit=100)
                messages = [m.message for m in page.items]
                assert [m.role for m in messages] == ["user", "assistant", "tool", "assistant"] * 6
                assert sorted(m.text for m in messages[::4]) == ["worker 0"] * 3 + ["worker 1"] * 3

    asyncio.run(look())


async def test_what_it_refuses_is_told_and_a_restart_is_waited_for(
    bouncer: Bouncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password and a database that it does not know are no lost connections; its restart is one, and shows nowhere."""
    for url in (bouncer.url(password="wrong"), bouncer.url(database="no_such_database")):
        with pytest.raises(StorageBrokenError, match="does not let us in"):
            await PostgresStorage(url).open()
    monkeypatch.setattr(postgres, "_PAUSE_S", 0.01)
    async with PostgresStorage(bouncer.url()) as storage:
        handle = storage.scope(Scope())
        await handle.create_thread("t")

        async def write() -> None:
            for number in range(100):
                await handle.add_messages("t", [Message.user("x", id=f"m{number}")])
                await asyncio.sleep(0.005)

        async def restart() -> None:
            await asyncio.sleep(0.1)
            await asyncio.to_thread(bouncer.stop)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(bouncer.start)

        await asyncio.gather(write(), restart())
        assert [m.message.id for m in (await handle.messages("t", limit=200)).items] == [f"m{n}" for n in range(100)]
        monkeypatch.setattr(postgres, "_PATIENCE_S", 0.1)
        bouncer.stop()
        with pytest.raises(StorageUnavailableError, match="cannot be reached"):
            await handle.list_threads()
