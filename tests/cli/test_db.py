"""`lumosai db`: what it says of a database, and what it does to one."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from lumosai import Message, Scope
from lumosai.cli.root import make
from lumosai.storage import Storage, open_storage
from lumosai.storage._migrations import NEWEST
from tests.cli.shell import environment, lumosai
from tests.storage import stored

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line in this process, in a folder of its own where nothing is set."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "HOME": str(tmp_path),
        "LUMOSAI_DATA_DIR": str(tmp_path / "data"),
        "LUMOSAI_CONFIG": "",
    }.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, code: int = 0, given: str | None = None) -> Result:
        done = CliRunner().invoke(make(), ["db", *arguments], input=given)
        assert done.exit_code == code, done.output
        return done

    return call


def filled(url: str) -> None:
    """A thread about somebody, and one that is not."""

    async def fill(storage: Storage) -> None:
        handle = storage.scope(Scope(owner="ann"))
        await handle.create_thread("t", resource_id="eve", title="secret")
        await handle.add_messages("t", [Message.user("secret words that nobody else has")])
        await handle.create_thread("other")
        await storage.close()

    asyncio.run(fill(open_storage(url)))


def read(url: str) -> dict[str, Any]:
    async def ask(storage: Storage) -> dict[str, Any]:
        told = await stored.answers(storage)
        await storage.close()
        return told

    return asyncio.run(ask(open_storage(url)))


def test_a_database_is_shown_copied_written_out_taken_in_and_erased_from(run: Run, tmp_path: Path) -> None:
    """Each command does what it says, for people and as JSON; without --database it is the user's own."""
    (tmp_path / "data").mkdir()
    own = f"sqlite:///{tmp_path / 'data/lumosai.db'}"
    filled(own)
    shown = run("info", "--check").stdout
    assert f"schema {NEWEST}" in shown
    assert "2 threads, 1 messages" in shown
    assert "sound" in shown
    told = json.loads(run("info", "--json").stdout)
    assert (told["threads"], told["problems"], told["removable"]["runs"]) == (2, None, 0)
    assert json.loads(run("backup", "copy.db", "--json").stdout)["bytes"] == (tmp_path / "copy.db").stat().st_size
    assert "is there already" in run("backup", "copy.db", code=1).stderr
    run("export", "all.jsonl.gz")
    packed = gzip.decompress((tmp_path / "all.jsonl.gz").read_bytes()).splitlines()
    assert packed[1:] == run("export", "-").stdout_bytes.splitlines()[1:]  # but for the time in the first one
    assert "is there already" in run("export", "all.jsonl.gz", code=1).stderr
    assert (
        "new: 2 thread, 2 branch, 1 message" in run("import", "all.jsonl.gz", "--database", "sqlite:///new.db").stdout
    )
    assert "here already: 2 thread" in run("import", "all.jsonl.gz", "--database", "sqlite:///new.db").stdout
    assert read("sqlite:///new.db") == read(own) == read("sqlite:///copy.db")
    assert json.loads(run("export", "--owner", "nobody").stdout.splitlines()[-1]) == {"kind": "end", "lines": 1}
    assert "--yes says that it is meant" in run("erase", "--resource", "eve", code=1).stderr
    assert json.loads(run("erase", "--resource", "eve", "--yes", "--json").stdout)["threads"] == 1
    assert [t["id"] for t in read(own)["default/"]["threads"]] == ["other"]
    for path in (tmp_path / "data").iterdir():  # in the file, its log or beside it
        assert b"secret" not in path.read_bytes(), path
    assert "0 runs, 0 threads and 0 traces removed" in run("gc").stdout
    assert json.loads(run("gc", "--dry-run", "--json").stdout)["runs"] == 0
    assert "it is up to date" in run("migrate").stdout


def test_what_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    """No database is made by looking at one, nor by taking in what is no export."""
    assert "yet (a conversation that is kept begins it: lumosai chat --thread NAME)" in run("info", code=1).stderr
    assert "no.db': --database names another one" in run("gc", "--database", "sqlite:///no.db", code=1).stderr
    assert "there is no file" in run("import", "no.jsonl", code=1).stderr
    assert not list(tmp_path.glob("*.db"))
    (tmp_path / "text.jsonl").write_text("hello\n")
    assert "damaged" in run("import", "text.jsonl", "--database", "sqlite:///new.db", code=1).stderr


def test_an_old_file_gives_its_room_back_once_it_is_asked_to(run: Run, tmp_path: Path) -> None:
    """One that was made without that is written anew by gc; what retention means comes from lumosai.toml."""
    shutil.copyfile(stored.HERE / "schema-3.db", tmp_path / "old.db")
    (tmp_path / "lumosai.toml").write_text('memory = "sqlite:///old.db"\n[retention]\njournal_days = 0.0001\n')
    config = ("--config", "lumosai.toml")
    assert "3 runs, 0 threads" in run("gc", *config, "--dry-run").stdout
    before = json.loads(run("info", *config, "--json").stdout)
    assert before["runs"] == {"ended": 3, "paused": 1, "running": 1}
    assert json.loads(run("gc", *config, "--json").stdout)["runs"] == before["removable"]["runs"]
    after = json.loads(run("info", *config, "--check", "--json").stdout)
    assert "ended" not in after["runs"]
    assert (after["free_bytes"], after["shrinks"], after["problems"]) == (0, True, [])
    assert after["bytes"] < before["bytes"]


def test_postgresql_is_looked_after_by_the_same_commands(run: Run, bare_postgres_url: str, tmp_path: Path) -> None:
    """An old schema is brought up to date by hand; a backup is an export of one state, which SQLite takes in, too."""

    async def load() -> None:
        connection = await asyncpg.connect(bare_postgres_url)
        await connection.execute((stored.HERE / "schema-3.sql").read_text())
        await connection.close()

    asyncio.run(load())
    at = ("--database", bare_postgres_url)
    assert "lumosai db migrate --database" in run("info", *at, code=1).stderr
    assert f"{NEWEST - 3} steps" in run("migrate", *at).stdout
    assert "sound" in run("info", "--check", *at).stdout
    run("backup", "copy.jsonl", *at)
    run("import", "copy.jsonl", "--database", "sqlite:///new.db")
    assert read("sqlite:///new.db") == read(bare_postgres_url)
    assert "runs" in run("gc", *at).stdout


def test_a_pipe_carries_an_export(tmp_path: Path) -> None:
    """From one process into another."""
    filled(f"sqlite:///{tmp_path / 'a.db'}")
    env = environment(tmp_path)
    written = lumosai("db", "export", "--database", "sqlite:///a.db", env=env, cwd=tmp_path)
    assert written.returncode == 0
    taken = lumosai("db", "import", "-", "--database", "sqlite:///b.db", env=env, cwd=tmp_path, given=written.stdout)
    assert (taken.returncode, taken.stderr) == (0, "")
    assert read(f"sqlite:///{tmp_path / 'b.db'}") == read(f"sqlite:///{tmp_path / 'a.db'}")
