"""The program as a whole: help, version, wrong usage, and what starting it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lumosai._version import __version__
from tests.cli.shell import environment, lumosai

COMMANDS = ("chat", "run", "threads", "models", "config", "doctor", "new")


def test_version(tmp_path):
    """One line, exit code 0."""
    done = lumosai("--version", env=environment(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"lumosai {__version__}\n")


def test_help_names_every_command(tmp_path):
    """The first thing a newcomer reads."""
    done = lumosai("--help", env=environment(tmp_path), cwd=tmp_path)
    assert done.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


def test_each_command_has_help(capsys):
    """Every command and option says what it is for."""
    from lumosai.cli.root import make

    for command in (("chat",), ("run",), ("models",), ("models", "pull"), ("config", "show"), ("doctor",), ("new",)):
        with pytest.raises(SystemExit) as caught:
            make()([*command, "--help"], prog_name="lumosai")
        shown = capsys.readouterr().out
        assert caught.value.code == 0
        assert "--debug" in shown or command == ("models",)
        assert shown.startswith(f"Usage: lumosai {' '.join(command)}")


@pytest.mark.parametrize("arguments", [("nope",), ("run", "--nope"), ("new",), ("models", "nope"), ("config", "nope")])
def test_wrong_usage_leaves_with_2(tmp_path, arguments):
    """On standard error, with the way to help."""
    done = lumosai(*arguments, env=environment(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: lumosai" in done.stderr


def test_help_loads_nothing_heavy():
    """Asking for help does not wait for an HTTP client, a validator or an event loop."""
    code = (
        "import sys\nfrom lumosai.cli.root import make\nmake()\n"
        "heavy = ('asyncio', 'aiohttp', 'pydantic', 'rich', 'prompt_toolkit', 'yaml', 'msgspec', 'sqlite3')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=150, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(sys.platform == "win32", reason="the shell's ways are a Unix thing")
@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("config show >&-", 0, ""),
        ("threads show nope 2>&-", 1, ""),
        ("--version >/dev/full", 1, "No space left on device"),
        ("config show >/dev/full", 1, "No space left on device"),
        ("db import /dev/stdin </dev/null", 1, "export"),
    ],
)
def test_streams_that_are_closed_or_full(tmp_path, line, code, told):
    """One line at the most, no traceback; what can be done without the stream is done."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$0" -m lumosai {line}', sys.executable],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert "unexpected" not in done.stderr
    assert done.stderr.count("\n") <= 1


def test_a_working_directory_that_was_deleted(tmp_path):
    """It is told as what it is."""
    (tmp_path / "gone").mkdir()
    done = subprocess.run(
        ["/bin/sh", "-c", 'cd gone && rmdir ../gone && "$0" -m lumosai config show', sys.executable],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "the working directory was deleted" in done.stderr
