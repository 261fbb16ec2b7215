"""Runs the suite on each further interpreter there is, and says which of the supported ones it did not find.

    .make/dev/bin/python scripts/test_all.py [arguments for pytest]

Looked at: `$LUMOSAI_PYTHONS` (paths, separated as in `$PATH`), pyenv's versions, and `python3.N` on the path. `make test`
runs the suite on the interpreter that this program runs on, so that one is not run again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2], '%d.%d.%d' % sys.version_info[:3])"
CLASSIFIER = re.compile(r"Programming Language :: Python :: (3\.\d+)")


def main() -> int:
    """Runs them all; 0 where every one that ran passed."""
    own = "{}.{}".format(*sys.version_info[:2])
    found = interpreters()
    found.pop(own, None)
    said = {minor: run(path, whole, sys.argv[1:]) for minor, (path, whole) in sorted(found.items(), key=by_number)}
    print(f"\n{own}: run by `make test`")
    for minor in sorted({*supported(), *said} - {own}, key=lambda name: by_number((name, None))):
        print(f"{minor}: {said.get(minor, 'not run: no interpreter found, $LUMOSAI_PYTHONS may name one')}")
    return 0 if all(word == "passed" for word in said.values()) else 1


def supported() -> list[str]:
    """The versions that the project's classifiers name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [match[1] for line in project["classifiers"] if (match := CLASSIFIER.fullmatch(line))]


def interpreters() -> dict[str, tuple[str, str]]:
    """The first usable interpreter of each minor version from 3.11 on: its path and whole version."""
    named = os.environ.get("LUMOSAI_PYTHONS", "").split(os.pathsep)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = [str(path) for path in sorted(pyenv.glob("3.*/bin/python3"), reverse=True)]
    on_path = [shutil.which(f"python3.{n}") or "" for n in range(11, 30)]
    found: dict[str, tuple[str, str]] = {}
    for path in filter(None, [*named, *installed, *on_path]):
        if (version := version_of(path)) and by_number((version[0], None)) >= (3, 11):
            found.setdefault(version[0], (path, version[1]))
        elif path in named:
            print(f"{path}: no usable Python 3.11 or later (it needs venv and ensurepip)", file=sys.stderr)
    return found


def version_of(path: str) -> list[str] | None:
    """Its minor and whole version; None where it does not run or cannot make environments."""
    try:
        done = subprocess.run([path, "-c", VERSION], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.split() if done.returncode == 0 else None


def by_number(item: tuple[str, object]) -> tuple[int, ...]:
    """Sorts 3.9 before 3.10."""
    return tuple(int(part) for part in item[0].split("."))


def run(path: str, version: str, arguments: list[str]) -> str:
    """Makes an environment on the interpreter and runs the suite in it."""
    print(f"\n== Python {version} ({path})", flush=True)
    name = f"dev-{version}"
    if subprocess.run([path, ROOT / "scripts/environment.py", "dev", "--name", name], check=False).returncode != 0:
        return "not run, its environment could not be made"
    pytest = ["-m", "pytest", "-n", "auto", "--maxprocesses", "4", "--dist", "worksteal", *arguments]
    done = subprocess.run([ROOT / ".make" / name / "bin/python", *pytest], cwd=ROOT, check=False)
    return "passed" if done.returncode == 0 else "failed"


if __name__ == "__main__":
    raise SystemExit(main())
