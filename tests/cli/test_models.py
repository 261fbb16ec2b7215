"""`lumosai models`: weights that are here and can be had, providers with and without a key."""

from __future__ import annotations

import io
import json
import sys

import pytest

from lumosai.cli.models import Lines, _with_bar, megabytes
from lumosai.models.providers import PROVIDERS
from lumosai.models.weights import CATALOGUE, DEFAULT
from tests.cli.shell import environment, lumosai


@pytest.fixture
def cache(tmp_path):
    """Where weights are, with the smallest of the catalogue there (to the eye) and half of the default."""
    folder = tmp_path / "cache" / "weights"
    folder.mkdir(parents=True)
    smallest = min(CATALOGUE, key=lambda w: w.size)
    with (folder / f"{smallest.sha256}.gguf").open("wb") as file:
        file.truncate(smallest.size)  # a hole: as long as the weights, and no room taken
    with (folder / f"{DEFAULT.sha256}.part").open("wb") as file:
        file.truncate(DEFAULT.size // 2)
    return smallest, folder


def models(*arguments, home, **variables):
    env = environment(home, LUMOSAI_CACHE_DIR=str(home / "cache"), **variables)
    return lumosai("models", *arguments, env=env, cwd=home)


def test_the_list_for_programs(tmp_path, cache):
    """Each of the catalogue with what of it is here; each provider with whether it has a key, never the key."""
    smallest, folder = cache
    done = models("list", "--json", home=tmp_path, GROQ_API_KEY="gsk-s3cret")
    report = json.loads(done.stdout)
    rows = {w["name"]: w for w in report["weights"]}
    assert list(rows) == [w.name for w in CATALOGUE]
    assert rows[smallest.name]["installed"]
    assert rows[smallest.name]["path"] == str(folder / f"{smallest.sha256}.gguf")
    assert not rows[DEFAULT.name]["installed"]
    assert rows[DEFAULT.name]["bytes_here"] == DEFAULT.size // 2
    assert rows[DEFAULT.name]["default"]
    providers = {p["name"]: p for p in report["providers"]}
    assert list(providers) == list(PROVIDERS)
    assert (providers["groq"]["ready"], providers["groq"]["detail"]) == (True, "GROQ_API_KEY is set")
    assert (providers["openai"]["ready"], providers["openai"]["detail"]) == (False, "needs OPENAI_API_KEY")
    assert providers["ollama"]["ready"] is None
    assert "s3cret" not in done.stdout + done.stderr


def test_the_list_for_people(tmp_path, cache):
    """Sizes, what is here, what part is."""
    done = models("list", home=tmp_path)
    assert done.returncode == 0
    assert f"✓ {cache[0].name}" in done.stdout
    assert "50% fetched" in done.stdout
    assert "491 MB" in done.stdout
    assert "openai:gpt-5-mini" in done.stdout
    assert "\x1b" not in done.stdout


def test_weights_that_are_here_are_not_fetched_again(tmp_path, cache):
    """`pull` says where they are, at once and without a network."""
    smallest, folder = cache
    done = models("pull", smallest.name, home=tmp_path, HTTPS_PROXY="http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{folder / smallest.sha256}.gguf\n"


def test_removing_frees_what_is_there(tmp_path, cache):
    """Whole and half files go; what was not there is said."""
    smallest, folder = cache
    assert models("rm", smallest.name, home=tmp_path).stdout == f"{smallest.name}: 98 MB are free now\n"
    assert models("rm", "default", home=tmp_path).stdout == f"{DEFAULT.name}: 246 MB are free now\n"
    assert [f for f in folder.iterdir() if f.suffix in (".gguf", ".part")] == []
    assert models("rm", "default", home=tmp_path).stdout == f"{DEFAULT.name}: nothing of it was here\n"


@pytest.mark.parametrize("command", ["pull", "rm"])
def test_an_unknown_name(tmp_path, command):
    """One line with the names that there are and the near ones."""
    done = models(command, "qwen2.5-codr-0.5b", home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Did you mean 'qwen2.5-coder-0.5b'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_progress_without_a_terminal(capsys):
    """A line for each thing that is done and each tenth of the way, not one for each piece."""
    lines = Lines("w")
    for done in range(0, 1001, 10):
        lines(done * 1_000_000, 1_000_000_000, "fetching")
    lines(1_000_000_000, 1_000_000_000, "checking the digest")
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == ["w: fetching, 0 MB of 1,000 MB", "w: fetching, 100 MB of 1,000 MB"]
    assert said[-1] == "w: checking the digest, 1,000 MB of 1,000 MB"
    assert len(said) == 12
    assert megabytes(1_234_567_890) == "1,235 MB"


def test_progress_at_a_terminal(monkeypatch):
    """A bar with size and speed that is taken away at the end; what the work gives is given back."""

    class Tty(io.StringIO):
        def isatty(self):
            return True

    screen = Tty()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def work(progress):
        progress(50_000_000, 100_000_000, "asking [somebody]")
        progress(100_000_000, 100_000_000, "checking the digest")
        return "path"

    assert _with_bar("weights", work) == "path"
    assert "100.0/100.0 MB" in screen.getvalue()
    assert "checking the digest" in screen.getvalue()
