"""The tree of commands."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated

import typer

from lumosai.cli import chat, config, db, doctor, logs, models, new, run, sessions, threads, traces
from lumosai.cli.guard import guarded, reason, silence
from lumosai.cli.options import Debug  # noqa: TC001  # typer reads it at run time
from lumosai.cli.terminal import tell

_HELP = """Agents with tools and live streaming, on any model, and offline on a real one.

Settings come from flags, then LUMOSAI_* variables, then the nearest lumosai.toml; `lumosai config show` says which
counts. `lumosai doctor` says what is there and what is missing."""


def _version(*, value: bool) -> None:
    if value:
        from lumosai._version import __version__
        from lumosai.cli.terminal import write_line

        write_line(f"lumosai {__version__}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    log_level: logs.Level = None,
    log_format: logs.Format = None,
    debug: Debug = False,
) -> None:
    _ = version, debug
    logs.begin(log_level or None, log_format or None)


def make() -> typer.Typer:
    """The whole command line. Plain help, so that asking for it loads nothing that draws."""
    tree = typer.Typer(
        name="lumosai",
        help=_HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    tree.callback()(guarded(_root))
    tree.command("chat")(guarded(chat.chat))
    tree.command("run")(guarded(run.run))
    tree.add_typer(threads.make(), name="threads")
    tree.add_typer(sessions.make(), name="sessions")
    tree.add_typer(db.make(), name="db")
    tree.add_typer(traces.make(), name="traces")
    tree.command("trace")(guarded(traces.trace))
    tree.command("stats")(guarded(traces.stats))
    tree.command("top")(guarded(traces.top))
    tree.add_typer(models.make(), name="models")
    tree.add_typer(config.make(), name="config")
    tree.command("doctor")(guarded(doctor.doctor))
    tree.command("new")(guarded(new.new))
    return tree


def program() -> None:
    """Runs the command line that `sys.argv` holds."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # replaced by something that is no text file
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        make()(args=logs.to_the_front(sys.argv[1:]), prog_name="lumosai")
    except OSError as error:  # help or the version, on its way to a full disk: no command of ours was reached
        tell(f"lumosai: {reason(error)}")
        silence()
        sys.exit(1)


def _open_what_is_closed() -> None:
    """Points standard streams that are closed at nothing, for the next file, a database, would get their number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115  # kept open as long as the program runs
