"""`lumosai config show`: each value with its source, and no secret."""

from __future__ import annotations

import json

import pytest

from tests.cli.shell import environment, lumosai

FILE = """\
model = "openai:file"
[settings]
temperature = 0.5
[agents.a]
instructions = "Be brief."
[agents.b.model]
name = "openai:b"
api_key = "${HOUSE_KEY}"
base_url = "${HOUSE_URL:-http://127.0.0.1:1/v1}"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "lumosai.toml").write_text(FILE)
    return tmp_path


def report(*arguments, folder, **variables):
    done = lumosai("config", "show", "--json", *arguments, env=environment(folder, **variables), cwd=folder)
    return done, json.loads(done.stdout)


def test_each_value_names_its_source(folder):
    """File and line, variable, flag, or default."""
    done, shown = report("--model", "local", folder=folder, LUMOSAI_MAX_STEPS="3", LUMOSAI_MODEL="openai:env")
    assert done.returncode == 0, done.stderr
    assert shown["file"].endswith("lumosai.toml")
    assert (shown["agent"], shown["agents"]) == ("a", ["a", "b"])
    sources = {k: (v["value"], v["kind"], v["source"]) for k, v in shown["settings"].items()}
    assert sources["model"] == ("local", "flag", "--model")
    assert sources["limits.max_steps"] == (3, "environment", "LUMOSAI_MAX_STEPS")
    assert sources["settings.temperature"] == (0.5, "file", "lumosai.toml:3")
    assert sources["instructions"] == ("Be brief.", "file", "lumosai.toml:5")
    assert sources["limits.max_tool_calls"] == (50, "default", "default")


def test_the_table_says_the_same(folder):
    """For people: one line a value, plain where it is no terminal."""
    done = lumosai("config", "show", env=environment(folder, LUMOSAI_AGENT="b", HOUSE_KEY="s3cret"), cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "agent  b  (also: a)" in done.stdout
    assert "${HOUSE_KEY}" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout


def test_what_cannot_be_used_is_shown_and_fails(folder):
    """A variable that is not set or does not fit is told on standard error, beside all the rest."""
    done, shown = report("-a", "b", folder=folder, LUMOSAI_SEED="many")
    assert done.returncode == 1
    assert "HOUSE_KEY is not set" in shown["settings"]["model"]["problem"]
    assert "LUMOSAI_SEED: 'many'" in done.stderr
    assert shown["settings"]["model"]["value"]["api_key"] == "${HOUSE_KEY}"


def test_no_file_at_all(folder, tmp_path_factory):
    """The defaults, by an empty --config or where there is none."""
    done, shown = report("--config", "", folder=folder)
    assert done.returncode == 0
    assert shown["file"] is None
    assert {v["kind"] for v in shown["settings"].values()} == {"default"}


def test_a_broken_file_is_one_line(folder):
    """File, line, key and what is allowed."""
    (folder / "lumosai.toml").write_text("\nmodle = 'x'\n")
    done = lumosai("config", "show", env=environment(folder), cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lumosai: lumosai.toml:2: modle: there is no such key (did you mean 'model'?)")
    assert done.stderr.count("\n") == 1
