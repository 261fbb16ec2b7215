"""`lumosai models probe`: a table of what a live model does, kept for the other commands."""

from __future__ import annotations

import json

import pytest

from tests.cli.shell import environment, lumosai, provider
from tests.models.test_probing import as_text, capable, refusing
from tests.servers import Reply, serve_in_thread


def probe(*arguments, home, base_url, **variables):
    env = environment(home, LUMOSAI_CACHE_DIR=str(home / "cache"), **provider(base_url), **variables)
    return lumosai("models", "probe", *arguments, env=env, cwd=home)


def test_the_table(tmp_path):
    """What would be sent goes first, to standard error; then a line for each feature, the mode, and where it is kept."""
    with serve_in_thread(capable) as server:
        done = probe("openai:gpt-4o-mini", home=tmp_path, base_url=server.base_url)
        assert done.returncode == 0
        assert done.stderr.startswith(f"asking openai:gpt-4o-mini at {server.base_url}: up to 5 requests")
        lines = done.stdout.splitlines()
        assert "✓ native" in lines[1] and "look_up_weather" in lines[1]
        assert [line.split()[1] for line in lines[1:7]] == [
            "native", "streaming", "parallel", "strict", "json_schema", "dialect",
        ]  # fmt: skip
        assert "tools are called by: native" in lines[7]
        assert str(tmp_path / "cache" / "profiles.json") in lines[8]
        assert len(server.requests) == 4


def test_for_programs(tmp_path):
    """JSON with the same; nothing is kept where nothing is to be kept."""
    with serve_in_thread(refusing("tools", "tools are not supported by this model")) as server:
        done = probe("openai:gpt-4o-mini", "--json", "--no-store", home=tmp_path, base_url=server.base_url)
        report = json.loads(done.stdout)
        assert done.returncode == 0
        assert report["features"]["native"]["works"] is False
        assert "tools are not supported by this model" in report["features"]["native"]["why"]
        assert (report["tool_mode"], report["dialect"], report["kept"], report["error"]) == (
            "constrained",
            "hermes",
            None,
            "",
        )
        assert report["requests"] == len(server.requests)
        assert not (tmp_path / "cache" / "profiles.json").exists()


def test_only_said(tmp_path):
    """`--dry-run` says what would be sent and sends nothing."""
    with serve_in_thread(capable) as server:
        done = probe("openai:gpt-4o-mini", "--dry-run", home=tmp_path, base_url=server.base_url)
        assert (done.returncode, done.stdout, server.requests) == (0, "", [])
        assert "up to 5 requests of about 200 tokens" in done.stderr


@pytest.mark.parametrize("json_", [True, False])
def test_a_wrong_key(json_, tmp_path):
    """The server's words, exit code 1, nothing kept."""
    with serve_in_thread(lambda _r: Reply(status=401, text="Incorrect API key provided")) as server:
        done = probe("openai:gpt-4o-mini", *(["--json"] if json_ else []), home=tmp_path, base_url=server.base_url)
        assert done.returncode == 1
        assert "Incorrect API key provided" in (json.loads(done.stdout)["error"] if json_ else done.stderr)
        assert not (tmp_path / "cache" / "profiles.json").exists()


def test_a_server_that_is_not_there(tmp_path):
    """Exit code 1, and which it was."""
    done = probe("openai:gpt-4o-mini", home=tmp_path, base_url="http://127.0.0.1:9/v1")
    assert done.returncode == 1 and "127.0.0.1:9" in done.stderr and "Traceback" not in done.stderr


def test_an_unknown_model(tmp_path):
    """One line and exit code 1."""
    done = probe("nobody:x", home=tmp_path, base_url="http://127.0.0.1:9/v1")
    assert done.returncode == 1 and "nobody" in done.stderr and "Traceback" not in done.stderr


def test_the_other_commands_know(tmp_path):
    """`run` asks as was found out: without the proofs that it would have needed, and without tools that were refused."""
    with serve_in_thread(as_text) as server:
        assert probe("openai:gpt-4o-mini", home=tmp_path, base_url=server.base_url).returncode == 0
        count = len(server.requests)
        env = environment(tmp_path, LUMOSAI_CACHE_DIR=str(tmp_path / "cache"), **provider(server.base_url))
        lumosai("run", "-m", "openai:gpt-4o-mini", "-t", "calculator", "hello", env=env, cwd=tmp_path)
        assert "tools" not in (server.requests[count].json or {})
