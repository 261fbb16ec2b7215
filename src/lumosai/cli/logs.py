"""Where a command's logs go: to standard error, a line a warning, or as `--log-level` and `--log-format` say."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.agent.config import AgentConfig

LEVEL = "--log-level"
FORMAT = "--log-format"

Level = Annotated[
    str | None,
    typer.Option(
        LEVEL,
        metavar="LEVEL",
        envvar="LUMOSAI_LOG_LEVEL",
        help="debug, info, warning, error or off, and of parts: info,lumosai.storage=debug. May stand behind the command.",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        FORMAT, metavar="NAME", envvar="LUMOSAI_LOG_FORMAT", help="text or json. May stand behind the command."
    ),
]


class Brief(logging.Formatter):
    """What a person at a terminal needs of a warning: one line, without the time and the ids."""

    def format(self, record: logging.LogRecord) -> str:
        from lumosai.cli.terminal import one_line

        error = record.exc_info[1] if record.exc_info else None
        why = f": {type(error).__name__}: {error}" if error is not None else ""
        return one_line(f"lumosai: {record.getMessage()}{why}", 2000)


def begin(level: str | None, form: str | None) -> None:
    """Says where this command's logs go, by its options and the environment.

    Raises:
        ConfigurationError: there is no such level or format.
    """
    _given[:] = [level, form]
    _write(level, form)


def as_configured(config: AgentConfig) -> None:
    """Has the configuration say what the command line and the environment do not.

    Raises:
        ConfigurationError: there is no such level or format.
    """
    level, form = _given
    if (level is None and config.log_level) or (form is None and config.log_format):
        _write(level or config.log_level or None, form or config.log_format or None)


_given: list[str | None] = [None, None]


def _write(level: str | None, form: str | None) -> None:
    from lumosai.telemetry import logs

    handler = logs.configure(level or "warning", format=cast("Any", form or "text"))
    if level is None and form is None:
        handler.setFormatter(Brief())


def to_the_front(arguments: Sequence[str]) -> list[str]:
    """The words of a command line with the options for logs before the command, wherever they stood."""
    first: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            return [*first, *rest, word, *words]
        name, equals, _ = word.partition("=")
        if name not in (LEVEL, FORMAT):
            rest.append(word)
        elif equals:
            first.append(word)
        else:
            first += [word, *[w for w in [next(words, None)] if w is not None]]
    return [*first, *rest]
