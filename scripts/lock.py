"""Writes `requirements/*.txt`: every version with its hashes, for all platforms and Pythons, naming no index.

    .make/lock/bin/python scripts/lock.py [--upgrade]

Versions that are locked already stay unless `--upgrade` is given. `uv.txt` locks uv itself; `dev.txt` everything that
tests, checks, documents and benchmarks need; `run.txt` what a user gets with the local model's runtime, at the versions
of `dev.txt`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
HEADER = "# Written by `make lock`; installed with --require-hashes.\n"
ADDRESS = re.compile(r"https?://|--(?:extra-)?index-url|--find-links")


def main() -> int:
    """Writes the three locks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = [name for name in project["dependency-groups"] if name != "lock"]
    # Not for every platform is there a build of the local runtime: environment.py adds it from run.txt where it can.
    extras = [name for name in project["project"]["optional-dependencies"] if name != "local"]
    upgrade = sys.argv[1:]
    compile_lock("uv.txt", ["--group", "lock"], upgrade)
    compile_lock("dev.txt", ["pyproject.toml", *flags("--extra", extras), *flags("--group", groups)], upgrade)
    compile_lock(
        "run.txt", ["pyproject.toml", "--extra", "local", "--group", "build", "-c", "requirements/dev.txt"], upgrade
    )
    return 0


def flags(flag: str, names: list[str]) -> list[str]:
    """The flag before each name."""
    return [part for name in names for part in (flag, name)]


def compile_lock(name: str, sources: list[str], upgrade: list[str]) -> None:
    """Writes one lock.

    Raises:
        SystemExit: it could not be resolved, or holds an address, which no file of ours may.
    """
    path = LOCKS / name
    options = [
        "--universal",
        "--generate-hashes",
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--no-header",
        "--quiet",
    ]
    command = [sys.executable, "-m", "uv", "pip", "compile", *sources, *options, *upgrade, "-o", path]
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit(f"{name}: uv could not resolve it; its reason stands above")
    text = HEADER + path.read_text(encoding="utf-8").removeprefix(HEADER)
    if found := ADDRESS.search(text):
        raise SystemExit(f"{name} would hold an address ({found[0]!r}); nothing of ours may name an index")
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
