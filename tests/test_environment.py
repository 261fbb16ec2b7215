"""What a newcomer's machine may lack: the search for a Python, and the locks that environments are made from."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest

from tests.conftest import ROOT

FIND = ROOT / "scripts" / "find-python"
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINNED = re.compile(r"^([a-z0-9][a-z0-9.-]*)==\S+", re.MULTILINE)
NAME = re.compile(r"^[A-Za-z0-9._-]+")
ADDRESS = re.compile(r"https?://|index-url|find-links|\bfile:", re.IGNORECASE)
EVERY_LOCK = pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)


@pytest.fixture
def machine(tmp_path):
    """A machine whose programs are those given: names to shell scripts, `sh` besides."""

    def machine(variables=None, **programs):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name, script in programs.items():
            path = folder / name.replace("_", ".")
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
        environment = {"PATH": str(folder), "HOME": str(tmp_path), **(variables or {})}
        done = subprocess.run(["/bin/sh", FIND], env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.strip().removeprefix(f"{folder}/"), done.stderr.strip()

    return machine


def python(version="3.12.1", *, whole=True):
    """A script that answers as `python3 --version` and `python3 -c 'import sys, …'` would."""
    new = 0 if version >= "3.11" else 1
    return f"""
case "$*" in
--version) echo Python {version};;
*ensurepip*) exit {new if whole else 1};;
*) exit {new};;
esac"""


def test_the_usual_python_is_taken(machine):
    """`python3` is used where it will do."""
    assert machine(python3=python(), python3_13=python("3.13.0")) == (0, "python3", "")


def test_an_old_python3_is_passed_by_for_a_newer_one(machine):
    """Where `python3` is too old, a named newer version beside it is used."""
    assert machine(python3=python("3.09"), python3_13=python("3.13.0")) == (0, "python3.13", "")


def test_a_version_manager_that_refuses_is_passed_by(machine):
    """A shim that exists but does not run counts as absent."""
    assert machine(python3="exit 127", python3_12=python()) == (0, "python3.12", "")


def test_a_named_python_is_taken_or_refused(machine, tmp_path):
    """`$PYTHON` decides; one that will not do is an error that names it, not a silent other choice."""
    code, found, said = machine({"PYTHON": "python3.12"}, python3=python(), python3_12=python("3.09"))
    assert (code, found) == (1, "")
    assert said.startswith("PYTHON=python3.12 is not a Python 3.11 or later")


def test_no_python_is_one_clear_line(machine):
    """Without any Python the line says what is needed and how to name one."""
    code, found, said = machine()
    assert (code, found) == (1, "")
    assert (
        said
        == "Python 3.11 or later is needed; found: no python3. Install one, or name it: make PYTHON=/path/to/python3.12 …"
    )


def test_a_python_that_is_too_old_is_named(machine):
    """The line says which version was found."""
    code, _, said = machine(python3=python("3.09"))
    assert code == 1
    assert "found: Python 3.09" in said


def test_a_python_without_venv_names_the_package(machine):
    """Where the interpreter would do but cannot make environments, the line says what to install."""
    code, _, said = machine(python3=python(whole=False))
    assert code == 1
    assert "apt install python3-venv" in said


@EVERY_LOCK
def test_a_lock_names_no_index(lock):
    """No file of ours may name where packages come from."""
    assert ADDRESS.search(lock.read_text(encoding="utf-8")) is None


@EVERY_LOCK
def test_every_version_of_a_lock_has_its_hashes(lock):
    """Each pinned version is followed by at least one SHA-256."""
    entries = re.split(r"\n(?=[a-z0-9])", lock.read_text(encoding="utf-8").strip())[1:]
    assert entries
    assert [entry.split(" ")[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_locks_hold_what_the_project_asks_for():
    """Every dependency, extra and group of `pyproject.toml` is pinned in the lock that it belongs to."""
    pinned = {lock.stem: {*PINNED.findall(lock.read_text(encoding="utf-8"))} for lock in LOCKS}
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    extras = project["optional-dependencies"]
    base = names(project["dependencies"])
    everything = base | {n for k, v in extras.items() if k != "local" for n in names(v)}
    everything |= {n for k, v in groups.items() if k != "lock" for n in names(v)}
    assert everything - pinned["dev"] == set()
    assert (base | names(extras["local"]) | names(groups["build"])) - pinned["run"] == set()
    assert names(groups["lock"]) == pinned["uv"]


def test_the_locks_agree():
    """What stands in two locks has one version, so that the demo runs what the tests tested."""
    versions = [
        dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE)) for lock in LOCKS
    ]
    for name in versions[0].keys() & versions[1].keys():
        assert versions[0][name] == versions[1][name], name


def names(requirements):
    """The names in a list of requirements, as the locks spell them."""
    return {re.sub(r"[._]+", "-", NAME.match(text)[0].lower()) for text in requirements}


def test_every_dependency_has_its_reason():
    """Each base dependency and extra in `pyproject.toml` says on its line why it is there."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for requirement in [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]:
        wanted = requirement if isinstance(requirement, str) else requirement[0]
        line = next(line for line in text.splitlines() if wanted in line)
        assert re.search(r"# \S+", line), line
