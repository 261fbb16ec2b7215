"""Makes an environment under `.make/` from the locked, hashed requirements, and does nothing where it stands already.

    python scripts/environment.py run|dev|lock [--name NAME]       prints nothing where all is well and nothing is to do

`run` is what a user's installation holds, with the local model's runtime; `dev` is all that tests, checks, documents and
benchmarks need besides; `lock` is uv alone, which writes the locks. An environment is made anew when the locks, the
project's metadata or the interpreter change. It needs nothing but the standard library of Python 3.11 or later.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAKE = ROOT / ".make"
LOCKS = ROOT / "requirements"
Command = list[str | Path]
KINDS = {"run": ("run.txt",), "dev": ("dev.txt",), "lock": ()}


def main() -> int:
    """Makes the environment that the command line names; 0 where it stands, 1 with the reason where it cannot be made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--name", help="the folder under .make/, by default the kind")
    options = parser.parse_args()
    folder = MAKE / (options.name or options.kind)
    stamp = folder / "made-from"
    digest = digest_of(options.kind)
    MAKE.mkdir(exist_ok=True)
    with locked(folder):
        if stamp.exists() and stamp.read_text() == digest and python_of(folder).exists():
            return 0
        try:
            make(folder, options.kind)
        except subprocess.CalledProcessError as error:
            shown = " ".join(str(part) for part in error.cmd[:6])
            print(
                f"\nThe environment {folder} could not be made: `{shown} …` failed; its reason stands above.",
                file=sys.stderr,
            )
            return 1
        stamp.write_text(digest)
    return 0


def digest_of(kind: str) -> str:
    """What an environment depends on, as one digest."""
    whole = hashlib.sha256(f"{kind} {ROOT} {sys.version} {os.path.realpath(sys.executable)}".encode())
    for path in [ROOT / "pyproject.toml", Path(__file__), *sorted(LOCKS.glob("*.txt"))]:
        whole.update(path.read_bytes())
    return whole.hexdigest()


def make(folder: Path, kind: str) -> None:
    """Makes the environment from nothing.

    Raises:
        subprocess.CalledProcessError: a step failed; it has said why.
    """
    print(f"Making {folder.relative_to(ROOT)} with Python {sys.version.split()[0]} …", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    python = python_of(folder)
    pip: Command = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    uv: Command = [python, "-m", "uv", "pip", "install", "--quiet", "--python", python]
    locked_uv = ["--only-binary=:all:", "--require-hashes", "-r", LOCKS / "uv.txt"]
    got = subprocess.run(
        [*pip, *locked_uv], check=kind == "lock", stderr=None if kind == "lock" else subprocess.DEVNULL
    )
    if kind == "lock":
        return
    try:
        fill(uv if got.returncode == 0 else pip, kind)
    except subprocess.CalledProcessError:
        if got.returncode != 0:
            raise
        # Settings of pip's own, such as a company's index or certificate, are not seen by uv.
        print("uv could not do it; pip tries.", file=sys.stderr)
        fill(pip, kind)


def fill(install: Command, kind: str) -> None:
    """Installs what the locks of an environment hold, and the project itself."""
    for lock in KINDS[kind]:
        subprocess.run([*install, "--require-hashes", "-r", LOCKS / lock], check=True)
    if kind == "dev":
        add_local_runtime(install)
    subprocess.run([*install, "--no-build-isolation", "--no-deps", "-e", ROOT], check=True)


def add_local_runtime(install: Command) -> None:
    """Adds the local model's runtime where this platform has a build of it; elsewhere the tests that need it say so."""
    runtime = ["--only-binary=xllamacpp", "--require-hashes", "-r", LOCKS / "run.txt"]
    if subprocess.run([*install, *runtime], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        print("xllamacpp has no build for this platform: tests that need it are skipped and say so.", file=sys.stderr)


def python_of(folder: Path) -> Path:
    """The environment's interpreter."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps two makes from making the same environment at once, where the system can lock files."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (folder.parent / f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    raise SystemExit(main())
