"""`lumosai new`: a small project that runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lumosai.cli.options import Debug  # noqa: TC001  # typer reads it at run time
from lumosai.cli.terminal import write_line
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

_SUFFIX = ".tmpl"
"""Templates carry it so that no tool takes them for source code of this package."""
_RENAMED = {"gitignore": ".gitignore"}
_IGNORED = {".git"}
"""What a folder may hold and still count as empty."""


def new(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the project is to be; made if need be.")],
    *,
    debug: Debug = False,
) -> None:
    """Make a small project: an agent in lumosai.toml, a tool of its own, a test of both, a README."""
    _ = debug
    written = make_project(directory)
    for path in written:
        write_line(f"  {path}")
    write_line()
    write_line("Next:")
    if directory.resolve() != Path.cwd():
        write_line(f"  cd {_quoted(str(directory))}")
    write_line("  lumosai doctor          # which model answers, and what is missing")
    write_line("  lumosai chat            # talk with the agent")
    write_line("  python -m pytest        # its test, without a key or a network (pip install pytest)")


def make_project(directory: Path) -> list[Path]:
    """Writes the project; the files, in order.

    Raises:
        ConfigurationError: the directory holds something already, or cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(entry.name not in _IGNORED for entry in directory.iterdir()):
            raise ConfigurationError(f"{directory} is not empty: name a new directory, nothing is ever overwritten")
        return list(_write(directory))
    except OSError as error:
        raise ConfigurationError(f"{error.filename or directory}: {error.strerror or error}") from error


def _write(directory: Path) -> Iterator[Path]:
    from importlib.resources import files

    name = directory.resolve().name or "agent"
    words = {"{name}": name, "{package}": module_name(name)}
    for parts, template in _templates(files("lumosai.cli") / "templates" / "project"):
        *folders, file = parts
        file = {**_RENAMED, "tools.py": f"{words['{package}']}.py"}.get(file, file)
        path = directory.joinpath(*folders, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled(template.read_text("utf-8"), words), "utf-8")
        yield path


def _templates(folder: Traversable, inside: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir():
            yield from _templates(entry, (*inside, entry.name))
        elif entry.name.endswith(_SUFFIX):
            yield (*inside, entry.name.removesuffix(_SUFFIX)), entry


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub("|".join(map(re.escape, words)), lambda m: words[m[0]], text)


def module_name(name: str) -> str:
    """The name of the project's module of tools: an ASCII identifier made from the folder's name.

    It is not simply "tools", so that two projects can be loaded into one process.
    """
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not slug or slug[0].isdigit():
        slug = f"agent_{slug}".rstrip("_")
    return f"{slug}_tools"


def _quoted(path: str) -> str:
    import shlex

    return shlex.quote(path)
