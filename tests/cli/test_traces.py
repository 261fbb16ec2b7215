"""`lumosai traces`, `trace`, `stats` and `top`, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.shell import environment, lumosai, provider
from tests.servers import Reply, Request, serve_in_thread

MODEL = ("-m", "openai:test-model")


def told(request: Request) -> Reply:
    """Calls the calculator once, then answers; fails where it is asked to."""
    last = request.messages[-1]
    if "fail" in str(last["content"]):
        return Reply("no such thing", status=400)
    return Reply("4")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory):
    """A database in which two runs were recorded, one of which failed."""
    folder = tmp_path_factory.mktemp("traces")
    with serve_in_thread(told) as server:
        env = environment(folder, **provider(server.base_url))
        good = lumosai(
            "run", "hello", *MODEL, "--thread", "t1", "--memory", "sqlite:///k.db", "-q", env=env, cwd=folder
        )
        assert good.returncode == 0, good.stderr
        bad = lumosai("run", "fail", *MODEL, "--thread", "t2", "--memory", "sqlite:///k.db", "-q", env=env, cwd=folder)
        assert bad.returncode == 1
    return env, folder


def ask(kept: tuple[dict[str, str], Path], *words: str) -> subprocess.CompletedProcess[str]:
    env, folder = kept
    return lumosai(*words, "--database", "sqlite:///k.db", env=env, cwd=folder)


def test_runs_are_listed_found_and_paged(kept) -> None:
    listed = json.loads(ask(kept, "traces", "--json").stdout)["traces"]
    assert [(t["thread_id"], t["status"]) for t in listed] == [("t2", "error"), ("t1", "ok")]
    shown = ask(kept, "traces").stdout.splitlines()
    assert len(shown) == 2
    assert "error" in shown[0]
    assert listed[1]["run_id"] in shown[1]
    assert len(json.loads(ask(kept, "traces", "--json", "--status", "ok").stdout)["traces"]) == 1
    assert json.loads(ask(kept, "traces", "--json", "--thread", "t3").stdout)["traces"] == []
    assert json.loads(ask(kept, "traces", "--json", "--until", "1h").stdout)["traces"] == []
    assert len(json.loads(ask(kept, "traces", "--json", "--since", "1h").stdout)["traces"]) == 2
    first = json.loads(ask(kept, "traces", "--json", "-n", "1").stdout)
    second = json.loads(ask(kept, "traces", "--json", "--cursor", first["next_cursor"]).stdout)
    assert [t["thread_id"] for t in (*first["traces"], *second["traces"])] == ["t2", "t1"]


def test_a_run_is_shown_as_a_tree(kept) -> None:
    listed = json.loads(ask(kept, "traces", "--json").stdout)["traces"]
    good = listed[1]["run_id"]
    shown = ask(kept, "trace", good)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert good in lines[1]
    assert any("step 0" in line and "▕" in line for line in lines)
    assert any("└─" in line and "model test-model" in line and "●" in line for line in lines)
    assert ask(kept, "trace", good[-8:]).stdout == shown.stdout
    assert listed[0]["run_id"] in ask(kept, "trace").stdout, "the last one, where none is named"
    tree = json.loads(ask(kept, "trace", good, "--json").stdout)
    assert tree["steps"][0]["kind"] == "run"
    planned = ask(kept, "trace", good, "--plan").stdout
    assert "input" in planned.removeprefix(shown.stdout)
    assert json.loads(ask(kept, "trace", good, "--plan", "--json").stdout)["plan"]["plan"][-1]["kind"] == "input"
    missing = ask(kept, "trace", "nothing")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "lumosai traces lists" in missing.stderr


def test_how_agents_did_is_told_and_watched(kept) -> None:
    rows = json.loads(ask(kept, "stats", "--json").stdout)
    (row,) = rows.values()
    assert (row["count"], row["error_rate"]) == (2, 0.5)
    assert "50.0%" in ask(kept, "stats", "--window", "1d").stdout
    assert list(json.loads(ask(kept, "stats", "--by", "model", "--json").stdout)) == ["openai:test-model"]
    drawn = ask(kept, "top", "--once").stdout
    assert "failed last" in drawn
    assert "running: 0" in drawn


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("traces", "--since", "soon"), "no time"),
        (("traces", "--status", "fine"), "--status"),
        (("stats", "--window", "a while"), "no duration"),
        (("stats", "--by", "mood"), "--by"),
        (("traces", "--cursor", "x"), "no cursor"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_way_out(kept, words: tuple[str, ...], why: str) -> None:
    done = ask(kept, *words)
    assert done.returncode in (1, 2)
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_not_there_is_named(kept) -> None:
    env, folder = kept
    done = lumosai("traces", "--database", "sqlite:///none.db", env=env, cwd=folder)
    assert done.returncode == 1
    assert "none.db" in done.stderr
    assert not (folder / "none.db").exists()


def test_following_shows_a_run_that_ends_meanwhile(kept) -> None:
    env, folder = kept
    words = [sys.executable, "-m", "lumosai", "traces", "--follow", "--json", "--database", "sqlite:///k.db"]
    with subprocess.Popen(words, env=env, cwd=folder, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        shown = [json.loads(following.stdout.readline()) for _ in range(2)]
        assert {t["thread_id"] for t in shown} == {"t1", "t2"}
        with serve_in_thread(told) as server:
            again = environment(folder, **provider(server.base_url))
            lumosai("run", "hi", *MODEL, "--thread", "t9", "--memory", "sqlite:///k.db", "-q", env=again, cwd=folder)
        deadline = time.monotonic() + 20
        line = json.loads(following.stdout.readline())
        while line["status"] == "running" and time.monotonic() < deadline:
            line = json.loads(following.stdout.readline())
        assert (line["thread_id"], line["status"]) == ("t9", "ok")
        following.kill()
