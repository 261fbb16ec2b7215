"""How long a server asks to wait before the next request."""

from __future__ import annotations

import email.utils
import re
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PART: Final = r"(\d+(?:\.\d+)?)\s*(milliseconds?|minutes?|seconds?|hours?|ms|h|m|s)(?![a-z])"
_SPAN: Final = re.compile(_PART, re.IGNORECASE)
_ASKED: Final = re.compile(rf"(?:try again|retry)[^.\n]{{0,20}}? in ((?:{_PART}\s*)+)", re.IGNORECASE)
_FACTORS: Final = {"ms": 0.001, "mil": 0.001, "h": 3600.0, "hou": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0, "sec": 1.0}


def retry_after_s(headers: Mapping[str, str], *, limited: bool, now: Callable[[], float] = time.time) -> float | None:
    """Seconds to wait, never negative; None where the answer does not say.

    Args:
        headers: the answer's. `retry-after-ms`, then `retry-after` (seconds or an HTTP date, RFC 9110 section 10.2.3).
        limited: whether a rate limit was hit: then `x-ratelimit-reset-*` of whatever has nothing remaining counts too.
        now: the clock, unix seconds.
    """
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = (headers.get(name) or "").strip()
        if not text:
            continue
        try:
            seconds = float(text) * factor
        except ValueError:
            seconds = _until(text, now)
        if seconds == seconds and seconds != float("inf"):  # noqa: PLR0124  # NaN is the one value unlike itself
            return max(0.0, seconds)
    return _reset_s(headers) if limited else None


def _until(date: str, now: Callable[[], float]) -> float:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - now()
    except ValueError:
        return float("nan")


def _reset_s(headers: Mapping[str, str]) -> float | None:
    """The longest reset of the limits that have nothing remaining."""
    waits = []
    for what in ("requests", "tokens"):
        if (headers.get(f"x-ratelimit-remaining-{what}") or "").strip() == "0":
            span = span_s(headers.get(f"x-ratelimit-reset-{what}") or "")
            if span is not None:
                waits.append(span)
    return max(waits, default=None)


def wait_in_text_s(text: str) -> float | None:
    """Seconds in "Please try again in 1m20.5s", None where nothing of the kind is said."""
    asked = _ASKED.search(text)
    return span_s(asked[1]) if asked else None


def wait_in_details_s(details: Any) -> float | None:
    """Seconds in the `RetryInfo` among a Google error's details; None where there is none, or a day's quota is used up.

    Of a daily quota it names the few seconds of another limit, after which the same error would come again.
    """
    found = [d for d in details if isinstance(d, dict)] if isinstance(details, list) else []
    violations = [v for d in found for v in _list(d.get("violations")) if isinstance(v, dict)]
    if any("PerDay" in str(v.get("quotaId")) for v in violations):
        return None
    for detail in found:
        delay = detail.get("retryDelay")
        if isinstance(delay, dict):
            delay = f"{delay.get('seconds') or 0}s {(delay.get('nanos') or 0) / 1e9:.9f}s"
        if isinstance(delay, str) and (seconds := span_s(delay)) is not None:
            return seconds
    return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def span_s(text: str) -> float | None:
    """Seconds in "6m0s", "20ms", "1.5s"; a bare number is seconds; None where it is neither."""
    parts = _SPAN.findall(text)
    if not parts:
        try:
            return max(0.0, float(text))
        except ValueError:
            return None
    return sum(float(number) * _factor(unit.lower()) for number, unit in parts)


def _factor(unit: str) -> float:
    return _FACTORS.get(unit) or _FACTORS[unit[:3]]
