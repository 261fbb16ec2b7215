"""Logs as text or as JSON, each line with the run, the span, the conversation and the agent that it comes from.

    logs.configure("info,lumosai.storage=debug", format="json")

The library logs to `lumosai.*` of the standard library and is silent until the program says where that goes: by this, by
`logging.basicConfig`, or by whatever it logs with otherwise, which sees the same fields (`at_work.FIELDS`).
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO, get_args

import msgspec

from lumosai._secrets import redact, redacted
from lumosai.errors import ConfigurationError
from lumosai.telemetry.at_work import FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping

LogFormat = Literal["text", "json"]

LEVELS: Final = ("debug", "info", "warning", "error", "critical", "off")
_OFF: Final = logging.CRITICAL + 10
_KNOWN: Final = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_LOGGER: Final = re.compile(r"[A-Za-z_][\w.-]*")
_JSON: Final = (str, int, float, bool, list, tuple, dict)
_encode: Final = msgspec.json.Encoder(enc_hook=lambda value: redact(_text(value))).encode


class TextFormatter(logging.Formatter):
    """One record as a line of text: time, level, logger, message, then what else it says as `name=value`.

    Further lines of a message or of an error's traceback are indented, so that none of them can look like a record. What
    looks like a secret is left out.
    """

    def format(self, record: logging.LogRecord) -> str:
        said = _said(record)
        at = datetime.fromtimestamp(record.created).astimezone()
        told = "".join([f"  {name}={_word(value)}" for name, value in said.items()])
        head = f"{at:%Y-%m-%d %H:%M:%S}.{int(record.msecs):03d} {record.levelname:<8} {record.name}  "
        text = f"{_message(record)}{told}"
        traced = _traced(self, record)
        return head + _plain(f"{text}\n{traced}" if traced else text)


class JsonFormatter(logging.Formatter):
    """One record as a line of JSON: `time` (UTC), `level`, `logger`, `message`, then whatever else it says.

    Of an error there are `error_type`, `error` and `traceback`. What looks like a secret is left out.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": f"{at:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error_type"] = record.exc_info[0].__name__
            line["error"] = redact(_text(record.exc_info[1]))
        traced = _traced(self, record)
        if traced:
            line["traceback"] = traced
        line |= {name: value for name, value in _said(record).items() if name not in line}
        try:
            return _encode(line).decode()
        except Exception:  # noqa: BLE001  # what a program logs may be anything, even what cannot be made text
            return _encode({name: _text(value) for name, value in line.items()}).decode()


def configure(
    level: str = "warning",
    *,
    format: LogFormat = "text",  # noqa: A002  # as in logging.basicConfig
    stream: TextIO | None = None,
) -> logging.Handler:
    """Has what `lumosai.*` logs written, in place of what an earlier call said. Other loggers stay as they are.

    Args:
        level: debug, info, warning, error, critical or off; and those of parts, such as
            "warning,lumosai.storage=debug,lumosai.models=off". A name of another library's has it written here as well.
        format: how.
        stream: where to; by default standard error, as it is at the time.

    Returns:
        The handler, to which filters can be added.

    Raises:
        ConfigurationError: there is no such level or format.
    """
    if format not in get_args(LogFormat):
        raise ConfigurationError(f"no log format {format!r}: it is text or json")
    levels = levels_of(level)
    handler = _StandardError() if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    _take_back()
    for name, value in levels.items():
        logger = logging.getLogger(name)
        _configured[name] = (logger.level, handler if _begins(name, levels) else None)
        logger.setLevel(value)
        if _begins(name, levels):
            logger.addHandler(handler)
    return handler


def levels_of(text: str) -> dict[str, int]:
    """The levels that a text such as "info,lumosai.storage=debug" gives, by logger; `lumosai` is always among them.

    Raises:
        ConfigurationError: it gives none.
    """
    found = {"lumosai": logging.WARNING}
    for part in text.split(","):
        name, _, level = part.strip().rpartition("=")
        if not part.strip():
            continue
        name = name.strip() or "lumosai"
        value = _level(level.strip().lower())
        if value is None or _LOGGER.fullmatch(name) is None:
            raise ConfigurationError(
                f"the log level {part.strip()!r} is none: it is one of {', '.join(LEVELS)}, "
                "or of a part, as in lumosai.storage=debug"
            )
        found[name] = value
    return found


def _level(word: str) -> int | None:
    if word not in LEVELS:
        return None
    return _OFF if word == "off" else logging.getLevelNamesMapping()[word.upper()]


_configured: Final[dict[str, tuple[int, logging.Handler | None]]] = {}


def _take_back() -> None:
    for name, (level, handler) in _configured.items():
        logger = logging.getLogger(name)
        logger.setLevel(level)
        if handler is not None:
            logger.removeHandler(handler)
    _configured.clear()


def _begins(name: str, levels: Mapping[str, int]) -> bool:
    """Whether what a logger says comes by no other one of these."""
    return not any(name.startswith(f"{other}.") for other in levels)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the time, which a program may have exchanged."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        if self.stream is not None:  # a program without a console has none
            super().emit(record)


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception as error:  # noqa: BLE001  # arguments that do not fit the message, or cannot be shown
        text = f"{_text(record.msg)} ({type(error).__name__} in its arguments)"
    return redact(text)


def _said(record: logging.LogRecord) -> dict[str, Any]:
    """What a record says besides its message: where it was made, then what was given as `extra`."""
    known = record.__dict__
    said = {name: known[name] for name in FIELDS if known.get(name)}
    said |= {k: v for k, v in known.items() if k not in _KNOWN and k not in said and not k.startswith("_")}
    return {name: _safe(value, name) for name, value in said.items() if value is not None}


def _safe(value: Any, name: str) -> Any:
    """The value as JSON without secrets; of another object its text."""
    try:
        return redacted(value if isinstance(value, _JSON) else _text(value), key=name)
    except RecursionError:  # it holds itself, or is too deep to be read by anybody
        return redact(_text(value))


def _traced(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(formatter.formatException(record.exc_info))
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return redact("\n".join(parts))


def _text(value: Any) -> str:
    try:
        return str(value).encode("utf-8", "replace").decode()
    except Exception:  # noqa: BLE001  # an object of the program's that cannot be shown
        return f"<{type(value).__name__}>"


def _word(value: Any) -> str:
    text = _text(value)
    return text if text and not re.search(r"[\s\"=]", text) else _encode(text).decode()


def _plain(text: str) -> str:
    """Text that writes to a terminal and does nothing else to it."""
    text = _CONTROLS.sub(lambda m: f"\\x{ord(m[0]):02x}", text.replace("\r\n", "\n"))
    return text.encode("utf-8", "replace").decode().replace("\n", "\n    ")
