"""Times and durations, as people write and read them."""

from __future__ import annotations

import datetime as dt
import re

import typer

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SECOND_MS = 1_000
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def seconds_of(text: str) -> float:
    """A duration such as "90s", "15m", "2h", "7d" in seconds.

    Raises:
        BadParameter: it is none.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration: write 90s, 15m, 2h, 7d or 4w")
    return float(match[1]) * _UNITS[match[2]]


def moment_of(text: str | None, now: float) -> float | None:
    """A moment in unix seconds: a date, a date and time (here, where no zone is named), or how long ago; None of None.

    Raises:
        BadParameter: it is none.
    """
    if text is None:
        return None
    if _DURATION.fullmatch(text.strip().lower()):
        return now - seconds_of(text)
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time: write 2h (ago), 2026-05-01 or 2026-05-01T12:30 (with +02:00 or Z where it is not here)"
        ) from None


def lasted(duration_ms: float | None) -> str:
    """A duration in few characters: "820 ms", "1.24 s", "3 m 05 s"."""
    if duration_ms is None:
        return "…"
    if duration_ms < _SECOND_MS:
        return f"{duration_ms:.3g} ms" if duration_ms < 1 else f"{duration_ms:.0f} ms"
    seconds = duration_ms / _SECOND_MS
    if seconds < _UNITS["m"]:
        return f"{seconds:.2f} s"
    hours, minutes = divmod(round(seconds / _UNITS["m"]), 60)
    if not hours:
        return f"{int(seconds // 60)} m {int(seconds % 60):02} s"
    return f"{hours} h {minutes:02} m"


def clock(at: float) -> str:
    """A moment here: with its date, to the second."""
    return dt.datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
