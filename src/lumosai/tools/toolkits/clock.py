"""`clock`: the date and time, which no model knows; and sums with dates, which models get wrong."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import cache

from lumosai.errors import MissingExtraError, ToolError
from lumosai.tools.base import tool
from lumosai.tools.toolkits._text import did_you_mean

_ALIASES = {
    "beijing": "Asia/Shanghai",
    "peking": "Asia/Shanghai",
    "china": "Asia/Shanghai",
    "shenzhen": "Asia/Shanghai",
    "guangzhou": "Asia/Shanghai",
    "北京": "Asia/Shanghai",
    "北京时间": "Asia/Shanghai",
    "中国": "Asia/Shanghai",
    "上海": "Asia/Shanghai",
    "深圳": "Asia/Shanghai",
    "广州": "Asia/Shanghai",
    "香港": "Asia/Hong_Kong",
    "台北": "Asia/Taipei",
    "东京": "Asia/Tokyo",
    "首尔": "Asia/Seoul",
    "新加坡": "Asia/Singapore",
    "伦敦": "Europe/London",
    "巴黎": "Europe/Paris",
    "柏林": "Europe/Berlin",
    "莫斯科": "Europe/Moscow",
    "纽约": "America/New_York",
    "洛杉矶": "America/Los_Angeles",
    "悉尼": "Australia/Sydney",
    "san francisco": "America/Los_Angeles",
    "seattle": "America/Los_Angeles",
    "washington": "America/New_York",
    "boston": "America/New_York",
    "mumbai": "Asia/Kolkata",
    "delhi": "Asia/Kolkata",
    "munich": "Europe/Berlin",
}
_UTC_NAMES = ("utc", "gmt", "z", "zulu", "utc+0")
_LOCAL_NAMES = ("", "local", "here", "本地")
_OFFSET = re.compile(r"(?:utc|gmt)?\s*([+-])(\d{1,2})(?::?([0-5]\d))?", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?(?:[T\s].*)?")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MAX_OFFSET_HOURS = 14
_MONTHS = 12


@tool(effect="idempotent")
def clock(timezone: str = "local") -> str:
    """Tell the current date, time and weekday.

    Args:
        timezone: such as "Europe/Paris", "Tokyo" or "UTC+8".
    """
    return describe(datetime.now(UTC), timezone)


@tool(effect="idempotent")
def add_to_date(start: str, days: int = 0, months: int = 0, years: int = 0) -> str:
    """Tell which date and weekday is some time after, or before, a date.

    Args:
        start: "YYYY-MM-DD" or "today".
        days: may be negative.
        months: likewise.
        years: likewise.
    """
    return shift(_day(start), days, months, years)


@tool(effect="idempotent")
def days_between(start: str, end: str) -> str:
    """Count the days from one date to another.

    Args:
        start: "YYYY-MM-DD" or "today".
        end: likewise.
    """
    first, last = _day(start), _day(end)
    return f"{(last - first).days} days from {_named(first)} to {_named(last)}"


def describe(instant: datetime, zone: str) -> str:
    """The instant as a model can use it: `2026-03-05T09:30:00+08:00, Thursday (Asia/Shanghai)`.

    Raises:
        ToolError: no such time zone.
    """
    name, place = resolve(zone)
    there = instant.astimezone(place)
    return f"{there.isoformat(timespec='seconds')}, {_WEEKDAYS[there.weekday()]} ({name or there.tzname()})"


def resolve(zone: str) -> tuple[str, tzinfo | None]:
    """A time zone by its name, its city or its distance from UTC; None is the machine's own.

    Raises:
        ToolError: no such time zone; names that look like it are given.
        MissingExtraError: neither the system nor a package has the time zones.
    """
    wanted = zone.strip()
    if wanted.casefold() in _LOCAL_NAMES:
        return "", None
    if wanted.casefold() in _UTC_NAMES:
        return "UTC", UTC
    if offset := _OFFSET.fullmatch(wanted):
        return _from_offset(offset, zone)
    names = _names()
    name = _ALIASES.get(wanted.casefold()) or names.get(_key(wanted))
    if name is None:
        raise ToolError(
            f"unknown time zone {zone!r}: give one such as 'Europe/Paris', a city, or 'UTC+8'."
            f"{did_you_mean(_key(wanted), [*names.values(), *(zone.rpartition('/')[2] for zone in names.values())])}"
        )
    from zoneinfo import ZoneInfo

    return name, ZoneInfo(name)


def shift(start: date, days: int = 0, months: int = 0, years: int = 0) -> str:
    """The date so much later; a day that its month does not have becomes the month's last.

    Raises:
        ToolError: beyond the calendar's years 1 to 9999.
    """
    try:
        year, month = divmod((start.year + years) * _MONTHS + start.month - 1 + months, _MONTHS)
        last = monthrange(year, month + 1)[1]
        return _named(date(year, month + 1, min(start.day, last)) + timedelta(days))
    except (ValueError, OverflowError):
        raise ToolError("that date is beyond the years 1 to 9999 of the calendar") from None


def _from_offset(offset: re.Match[str], zone: str) -> tuple[str, tzinfo]:
    sign, hours, minutes = offset.groups()
    if int(hours) > _MAX_OFFSET_HOURS:
        raise ToolError(f"no time zone is {zone!r}: the distance from UTC is at most {_MAX_OFFSET_HOURS} hours")
    distance = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return f"UTC{sign}{int(hours):02}:{minutes or '00'}", timezone(-distance if sign == "-" else distance)


@cache
def _names() -> dict[str, str]:
    """Every time zone, by its lower-case name and, where that is not taken, by its city's."""
    from zoneinfo import available_timezones

    # A name of the old form, such as "Poland", gives way to the city of the same name.
    zones = sorted(available_timezones(), key=lambda zone: (zone.count("/") != 1, zone))
    if not zones:
        # A system without its own table, such as Windows or a very small container.
        raise MissingExtraError("a time zone other than UTC", extra="tools")
    names = {_key(zone): zone for zone in zones}
    for zone in zones:
        names.setdefault(_key(zone.rpartition("/")[2]), zone)
    return names


def _key(name: str) -> str:
    return "_".join(name.casefold().split())


def _day(text: str) -> date:
    wanted = text.strip()
    if wanted.casefold() in ("today", "now", "今天"):
        return datetime.now(UTC).astimezone().date()
    found = _DATE.fullmatch(wanted)
    try:
        if found is not None:
            return date(*map(int, found.groups()))
        return date.fromisoformat(wanted)
    except ValueError:
        raise ToolError(
            f"{text!r} is not a date of the calendar: write it as YYYY-MM-DD, such as '2026-03-05'"
        ) from None


def _named(day: date) -> str:
    return f"{day.isoformat()} ({_WEEKDAYS[day.weekday()]})"
