"""`lumosai new`: the project it makes runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lumosai.cli.new import make_project, module_name
from lumosai.errors import ConfigurationError
from tests.cli.shell import environment, lumosai, provider
from tests.servers import Call, Reply, serve_in_thread


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "my project"
    make_project(folder)
    return folder


def test_its_own_test_passes(project, tmp_path):
    """`python -m pytest` in a new project is green, without a key and from a clean interpreter."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_its_agent_answers_with_its_own_tool(project, tmp_path):
    """`lumosai run` in the project finds the file, the built-in toolkit and the project's module."""
    replies = [Reply(calls=[Call("dice", {"sides": 2, "count": 3})]), Reply("Rolled.")]
    with serve_in_thread(replies) as server:
        env = environment(tmp_path, **provider(server.base_url), LUMOSAI_MODEL="openai:m")
        done = lumosai("run", "Roll.", env=env, cwd=project)
        declared = {t["function"]["name"] for t in server.requests[0].json["tools"]}
    assert done.stdout == "Rolled.\n"
    assert "← dice: " in done.stderr
    assert declared == {"calculator", "dice"}


def test_what_it_writes(project):
    """Every file is filled in: no placeholder is left, and no suffix of a template."""
    files = sorted(str(p.relative_to(project)) for p in project.rglob("*") if p.is_file())
    assert files == [".gitignore", "README.md", "lumosai.toml", "my_project_tools.py", "tests/test_agent.py"]
    for file in files:
        text = (project / file).read_text(encoding="utf-8")
        assert "{name}" not in text
        assert "{package}" not in text
    assert (project / "README.md").read_text(encoding="utf-8").startswith("# my project\n")


def test_nothing_is_overwritten(tmp_path):
    """A directory that holds anything but `.git` is refused, whatever that is; an empty one is taken."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".git").mkdir()
    assert make_project(tmp_path / "a")
    with pytest.raises(ConfigurationError, match="is not empty"):
        make_project(tmp_path / "a")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="file"):
        make_project(tmp_path / "file")


def test_the_command_says_what_to_do_next(tmp_path):
    """The files are listed, then the commands; a refusal is one line."""
    env = environment(tmp_path)
    done = lumosai("new", "here it is", env=env, cwd=tmp_path)
    assert done.returncode == 0
    assert "  cd 'here it is'" in done.stdout
    assert "lumosai chat" in done.stdout
    again = lumosai("new", "here it is", env=env, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "module"),
    [("demo", "demo_tools"), ("My-App 2", "my_app_2_tools"), ("3d", "agent_3d_tools"), ("智能体", "agent_tools")],
)
def test_the_module_has_a_name_that_can_be_imported(name, module):
    """An identifier whatever the folder is called."""
    assert module_name(name) == module
    assert module.isidentifier()
