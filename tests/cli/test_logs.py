"""Logs of the command line: briefly by default, else as its options, the environment or the configuration say."""

from __future__ import annotations

import json
from pathlib import Path

from lumosai.cli.logs import to_the_front
from tests.cli.shell import environment, lumosai, provider
from tests.servers import Call, Reply, serve_in_thread

TOOLS = """
import logging
from lumosai import tool

@tool
def look() -> str:
    logging.getLogger("lumosai.mine").warning("looked closely")
    return "seen"
"""


def test_options_for_logs_may_stand_anywhere() -> None:
    assert to_the_front(["run", "x", "--log-level", "debug", "--log-format=json", "-q"]) == [
        *("--log-level", "debug", "--log-format=json"),
        *("run", "x", "-q"),
    ]
    assert to_the_front(["run", "--", "--log-level"]) == ["run", "--", "--log-level"]
    assert to_the_front(["run", "--log-level"]) == ["--log-level", "run"]


def test_logs_go_where_options_environment_and_file_say(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TOOLS, encoding="utf-8")

    def answer(request):
        return Reply("", calls=[Call("look")]) if request.messages[-1]["role"] == "user" else Reply("done")

    words = ("run", "go", "-m", "openai:test-model", "-t", "mine:look", "-q")
    with serve_in_thread(answer) as server:
        env = environment(tmp_path, **provider(server.base_url))
        brief = lumosai(*words, env=env, cwd=tmp_path)
        assert (brief.stdout, brief.stderr.splitlines()) == ("done\n", ["lumosai: looked closely"])
        (tmp_path / "lumosai.toml").write_text('log_format = "json"\n', encoding="utf-8")
        line = json.loads(lumosai(*words, env=env, cwd=tmp_path).stderr)
        assert (line["message"], line["logger"]) == ("looked closely", "lumosai.mine")
        assert line["run_id"]
        text = lumosai(*words, "--log-format", "text", env=env, cwd=tmp_path).stderr
        assert "WARNING" in text
        assert "span_id=" in text
    silent = lumosai(*words, env={**env, "LUMOSAI_LOG_LEVEL": "error"}, cwd=tmp_path)
    assert "looked closely" not in silent.stderr
    wrong = lumosai("models", "list", "--log-level", "loud", env=env, cwd=tmp_path)
    assert wrong.returncode == 1
    assert "log level 'loud'" in wrong.stderr
