"""`--thread` of chat and run, and `lumosai threads`, in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.shell import environment, lumosai, provider
from tests.servers import Reply, Request, serve_in_thread

MODEL = ("-m", "openai:test-model")


def told(request: Request) -> Reply:
    """Says what it was sent."""
    return Reply(" | ".join(str(m["content"]) for m in request.messages if m["role"] == "user"))


@pytest.fixture
def env(tmp_path: Path):
    with serve_in_thread(told) as server:
        yield environment(tmp_path, **provider(server.base_url))


def test_yesterdays_conversation_goes_on(env, tmp_path):
    """A second process goes on where the first one stopped: in the user's own database, where nothing else is set."""
    first = lumosai("run", "我叫Alice", *MODEL, "--thread", "t1", "-q", env=env, cwd=tmp_path)
    assert (first.returncode, first.stdout, first.stderr) == (0, "我叫Alice\n", "")
    second = lumosai("chat", *MODEL, "--thread", "t1", env=env, cwd=tmp_path, given="我叫什么名字？\n/clear\n")
    assert second.returncode == 0
    assert "我叫Alice | 我叫什么名字？" in second.stdout
    assert "'t1' is kept" in second.stderr
    assert (tmp_path / ".local/share/lumosai/lumosai.db").is_file()
    listed = lumosai("threads", "list", env=env, cwd=tmp_path)
    assert listed.returncode == 0
    assert listed.stdout.startswith("t1 ")
    assert "4 messages  我叫Alice" in listed.stdout


def test_threads_are_shown_searched_forked_exported_and_deleted(env, tmp_path):
    """Each command says what it did, prints JSON where it is asked to, and names what is not there."""
    at = {"env": env, "cwd": tmp_path}
    memory = ("--memory", "sqlite:///kept.db")
    for text in ("apples", "pears"):
        assert lumosai("run", text, *MODEL, "--thread", "fruit", *memory, "-q", **at).returncode == 0
    shown = lumosai("threads", "show", "fruit", *memory, **at)
    assert shown.stdout == "user: apples\nassistant: apples\nuser: pears\nassistant: apples | pears\n"
    assert lumosai("threads", "show", "fruit", "-n", "1", *memory, **at).stdout == "assistant: apples | pears\n"
    found = json.loads(lumosai("threads", "search", "PEARS", "--json", *memory, **at).stdout)
    assert [(f["thread"], f["role"], f["highlights"]) for f in found] == [
        ("fruit", "user", [[0, 5]]),
        ("fruit", "assistant", [[9, 14]]),
    ]
    memory = ("--database", memory[1])  # the two names of one option
    first = json.loads(lumosai("threads", "show", "fruit", "--json", *memory, **at).stdout)["messages"][0]["id"]
    assert lumosai("threads", "fork", "fruit", "early", "--after", first, *memory, **at).returncode == 0
    exported = lumosai("threads", "export", "early", *memory, **at)
    (line,) = exported.stdout.splitlines()
    assert json.loads(line)["parts"] == [{"type": "text", "text": "apples"}]
    plan = lumosai("threads", "show", "fruit", "--plan", *memory, **at)
    assert plan.returncode == 0
    assert [line.split()[:3] for line in plan.stdout.splitlines()[1:4]] == [
        ["in", "history", "user"],
        ["in", "history", "assistant"],
        ["in", "input", "user"],
    ]
    assert "asked now  pears" in plan.stdout
    assert json.loads(lumosai("threads", "show", "fruit", "--plan", "--json", *memory, **at).stdout)["counted"]
    assert lumosai("threads", "rm", "fruit", *memory, **at).returncode == 0
    unplanned = lumosai("threads", "show", "early", "--plan", *memory, **at)
    assert (unplanned.returncode, unplanned.stdout) == (1, "")
    assert "no plan is kept" in unplanned.stderr
    gone = lumosai("threads", "show", "fruit", *memory, **at)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "no thread 'fruit'" in gone.stderr
    assert [t["id"] for t in json.loads(lumosai("threads", "list", "--json", *memory, **at).stdout)] == ["early"]


def test_a_configuration_names_the_memory(env, tmp_path):
    """A relative database lies beside the file, wherever the command is run; switched off there is none."""
    (tmp_path / "lumosai.toml").write_text('model = "openai:test-model"\nmemory = "sqlite:///mine.db"\n')
    inner = tmp_path / "deep"
    inner.mkdir()
    done = lumosai("run", "hello", "--thread", "t", "-q", env=env, cwd=inner)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "mine.db").is_file()
    assert "hello" in lumosai("threads", "list", env=env, cwd=inner).stdout
    off = {**env, "LUMOSAI_ENABLE_MEMORY_THREADS": "false"}
    refused = lumosai("run", "hello", "--thread", "t", env=off, cwd=inner)
    assert refused.returncode != 0
    assert "needs a memory" in refused.stderr


def test_where_nothing_is_kept_that_is_said(env, tmp_path):
    """No database, a URL of another kind, a file that is none: each a clear line."""
    none = lumosai("threads", "list", env=env, cwd=tmp_path)
    assert none.returncode == 1
    assert "no conversation is kept" in none.stderr
    wrong = lumosai("threads", "list", "--memory", "mysql://host/x", env=env, cwd=tmp_path)
    assert wrong.returncode == 1
    assert "sqlite:///" in wrong.stderr
    (tmp_path / "x.db").write_bytes(b"no database, surely not" * 100)
    broken = lumosai("run", "x", *MODEL, "--thread", "t", "--memory", "sqlite:///x.db", env=env, cwd=tmp_path)
    assert broken.returncode == 1
    assert "is no SQLite database" in broken.stderr
    assert "Traceback" not in broken.stderr


def test_leaving_a_chat_removes_what_is_too_old(env, tmp_path):
    """A conversation that is kept for years does not keep every run's events for years."""
    at = {"env": env, "cwd": tmp_path, "given": "Hi.\n"}
    assert lumosai("chat", *MODEL, "--thread", "t", **at).returncode == 0
    at["env"] = {**env, "LUMOSAI_RETENTION_JOURNAL_DAYS": "1e-9"}
    assert lumosai("chat", *MODEL, "--thread", "t", **at).returncode == 0
    told = json.loads(lumosai("db", "info", "--json", env=env, cwd=tmp_path).stdout)
    assert (told["runs"], told["messages"]) == ({}, 4)


def test_a_database_that_fails_is_one_line(env, tmp_path):
    """Whatever is wrong with it, each command names it and the way out, and ends with 1: no traceback, no password."""
    (tmp_path / "text.db").write_text("This is no database.\n" * 300)
    at = {"env": env, "cwd": tmp_path}
    for memory, what in (
        ("sqlite:///text.db", "is no SQLite database: give another path"),
        ("postgresql://ann:secret@127.0.0.1:1/x", "postgresql://ann@127.0.0.1:1/x cannot be reached"),
    ):
        listed = lumosai("threads", "list", "--memory", memory, **at)
        assert (listed.returncode, listed.stdout) == (1, "")
        (line,) = listed.stderr.splitlines()
        assert line.startswith("lumosai: ")
        assert what in line
    ran = lumosai("run", "Hi.", "-q", *MODEL, "--thread", "t", "--memory", "sqlite:///text.db", **at)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "is no SQLite database: give another path" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_conversation_without_a_name_is_refused(env, tmp_path):
    """Before anything is asked, and not once for each line."""
    done = lumosai("chat", "--thread", "", "--model", "openai:x", env=env, cwd=tmp_path, given="one\ntwo\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "lumosai: --thread '' must have 1 to 512 characters, none of them NUL\n"
