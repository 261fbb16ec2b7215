"""`lumosai models …`: which models can be had, and the weights of those on this machine."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from lumosai.cli.guard import guarded
from lumosai.cli.options import Debug, Json  # noqa: TC001  # typer reads them at run time
from lumosai.cli.terminal import style_for, tell, write_json, write_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="'default', a name of the list, or the beginning of its SHA-256.")
]
_STEPS = 10
"""Lines that a download writes where nothing can be drawn."""


def make() -> typer.Typer:
    """The `models` commands."""
    from lumosai.cli.probing import probe

    tree = typer.Typer(help="See which models there are, test one; fetch and delete weights.", no_args_is_help=True)
    tree.rich_markup_mode = None
    tree.callback()(lambda: None)
    tree.command("list")(guarded(list_))
    tree.command("pull")(guarded(pull))
    tree.command("rm")(guarded(remove))
    tree.command("probe")(guarded(probe))
    return tree


def list_(*, json: Json = False, debug: Debug = False) -> None:
    """List the weights that can be fetched or are here, and the providers with and without a key."""
    _ = debug
    weights, providers = weights_rows(), provider_rows()
    if json:
        write_json({"weights": weights, "providers": providers})
        return
    style = style_for(sys.stdout)
    write_line(style.bold("Weights for models on this machine") + style.dim("  (lumosai models pull NAME)"))
    width = max(len(w["name"]) for w in weights)
    for row in weights:
        state = _state(row)
        mark = style.green("✓") if row["installed"] else style.dim("–")
        size = megabytes(row["bytes"])
        write_line(f"  {mark} {row['name']:<{width}}  {size:>8}  {state:<14}  {row['title']}")
    write_line()
    write_line(style.bold("Providers"))
    width = max(len(p["name"]) for p in providers)
    for row in providers:
        mark = style.dim("·" if row["ready"] is None else "–") if not row["ready"] else style.green("✓")
        example = f"{row['name']}:{row['default']}" if row["default"] else f"{row['name']}:NAME"
        write_line(f"  {mark} {row['name']:<{width}}  {example:<40}  {row['detail']}")


def pull(name: Name = "default", *, debug: Debug = False) -> None:
    """Fetch weights, or go on with a download that was interrupted, and check their digest.

    Standard output gets the file's path.
    """
    from lumosai.models import weights

    _ = debug
    wanted = weights.find(name)
    write_line(str(weights.path_of(name) or fetch(wanted.name)))


def fetch(name: str) -> Path:
    """Fetches weights with a progress bar; where they are then."""
    from lumosai.models import weights

    return cast("Path", _with_bar(name, lambda progress: weights.pull(name, progress)))


def remove(name: Name, *, debug: Debug = False) -> None:
    """Delete weights, and what is left of an interrupted download."""
    from lumosai.models import weights

    _ = debug
    freed = weights.remove(name)
    found = weights.find(name).name
    write_line(f"{found}: {megabytes(freed)} are free now" if freed else f"{found}: nothing of it was here")


def weights_rows() -> list[dict[str, Any]]:
    """The catalogue, each with what of it is here."""
    from lumosai.models import weights

    here = {i.weights.name: i for i in weights.installed()}
    rows = []
    for entry in weights.CATALOGUE:
        found = here.get(entry.name)
        rows.append(
            {
                "name": entry.name,
                "default": entry is weights.DEFAULT,
                "title": entry.title,
                "bytes": entry.size,
                "sha256": entry.sha256,
                "license": entry.license,
                "languages": list(entry.languages),
                "context_tokens": entry.context_tokens,
                "installed": found is not None and found.whole,
                "bytes_here": found.bytes if found is not None else 0,
                "path": str(found.path) if found is not None and found.whole else None,
            }
        )
    return rows


def provider_rows() -> list[dict[str, Any]]:
    """Every provider, and whether its key is set; `ready` is None for servers of this machine, which are not asked here."""
    from lumosai.models.providers import PROVIDERS, base_url_of

    rows = []
    for provider in PROVIDERS.values():
        variable = next((v for v in provider.keys if os.environ.get(v, "").strip()), None)
        ready: bool | None = variable is not None
        if provider.local:
            ready = None
            detail = f"a server at {base_url_of(provider.name)}, no key needed; `lumosai doctor` asks it"
        else:
            detail = f"{variable} is set" if variable else f"needs {' or '.join(provider.keys)}"
        rows.append({"name": provider.name, "default": provider.default, "ready": ready, "detail": detail})
    return rows


def megabytes(count: int) -> str:
    """A size as a person would say it."""
    return f"{count / 1e6:,.0f} MB"


def _state(row: dict[str, Any]) -> str:
    if row["installed"]:
        return "here"
    return f"{row['bytes_here'] / row['bytes']:.0%} fetched" if row["bytes_here"] else "not here"


def _with_bar(title: str, work: Callable[[Callable[[int, int, str], None]], Any]) -> Any:
    """Does the work with a progress bar on standard error, or with a line now and then where that is no terminal."""
    if not style_for(sys.stderr).colour:
        return work(Lines(title))
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[what]}"),
    )
    with Progress(TextColumn(title), *columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, what="")
        return work(lambda done, total, what: bar.update(task, completed=done, total=total, what=what))


class Lines:
    """Progress as lines: one for each thing that is done, and one for each tenth of the way."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._said: tuple[str, int] = ("", -1)

    def __call__(self, done: int, total: int, what: str) -> None:
        step = done * _STEPS // total if total else 0
        if (what, step) != self._said:
            self._said = (what, step)
            tell(f"{self._title}: {what}, {megabytes(done)} of {megabytes(total)}")
