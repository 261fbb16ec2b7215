"""The clock: the moment in any zone that people name, and sums with dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai.errors import MissingExtraError, ToolError
from lumosai.tools.toolkits.clock import add_to_date, clock, days_between, describe, resolve, shift

WINTER = datetime(2026, 3, 5, 1, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", "2026-03-05T01:30:15+00:00, Thursday (UTC)"),
        ("gmt", "2026-03-05T01:30:15+00:00, Thursday (UTC)"),
        ("Asia/Shanghai", "2026-03-05T09:30:15+08:00, Thursday (Asia/Shanghai)"),
        ("asia/shanghai", "2026-03-05T09:30:15+08:00, Thursday (Asia/Shanghai)"),
        ("Shanghai", "2026-03-05T09:30:15+08:00, Thursday (Asia/Shanghai)"),
        ("北京", "2026-03-05T09:30:15+08:00, Thursday (Asia/Shanghai)"),
        ("Beijing", "2026-03-05T09:30:15+08:00, Thursday (Asia/Shanghai)"),
        ("new york", "2026-03-04T20:30:15-05:00, Wednesday (America/New_York)"),
        ("America/New York", "2026-03-04T20:30:15-05:00, Wednesday (America/New_York)"),
        ("UTC+8", "2026-03-05T09:30:15+08:00, Thursday (UTC+08:00)"),
        ("GMT-3", "2026-03-04T22:30:15-03:00, Wednesday (UTC-03:00)"),
        ("+05:30", "2026-03-05T07:00:15+05:30, Thursday (UTC+05:30)"),
        ("-0930", "2026-03-04T16:00:15-09:30, Wednesday (UTC-09:30)"),
    ],
)
def test_zone(zone: str, shown: str) -> None:
    """A zone is known by its name, its city, a usual alias or its distance from UTC."""
    assert describe(WINTER, zone) == shown


def test_summer_time() -> None:
    """The offset is that of the moment."""
    assert "-05:00" in describe(datetime(2026, 3, 8, 6, 59, tzinfo=UTC), "New York")
    assert "-04:00" in describe(datetime(2026, 3, 8, 7, 0, tzinfo=UTC), "New York")


def test_clock_tells_this_moment() -> None:
    """The tool gives the moment of its call, by default in the machine's own zone."""
    before = datetime.now(UTC).replace(microsecond=0)
    for text in (clock("Tokyo"), clock()):
        assert before <= datetime.fromisoformat(text.split(",")[0]) <= datetime.now(UTC)
    assert clock.definition().name == "clock"
    assert clock.definition().parameters.get("required", []) == []


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Shanghi", "'Shanghai'"),
        ("Europe/Pariss", "'Europe/Paris'"),
        ("../../etc/passwd", "unknown time zone"),
        ("/etc/localtime", "unknown time zone"),
        ("UTC+15", "at most 14 hours"),
        ("x\0y", "unknown time zone"),
        ("Mars/Olympus", "such as 'Europe/Paris'"),
    ],
)
def test_unknown_zone(zone: str, hint: str) -> None:
    """The error names zones that look like it; no zone name is ever used as a path."""
    with pytest.raises(ToolError) as caught:
        resolve(zone)
    assert hint in str(caught.value)


def test_system_without_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody has the table of zones, UTC still works and the rest says what to install."""
    module = import_module("lumosai.tools.toolkits.clock")
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    module._names.cache_clear()
    try:
        assert "+00:00" in describe(WINTER, "UTC")
        assert "+08:00" in describe(WINTER, "UTC+8")
        with pytest.raises(MissingExtraError, match=r"lumosai\[tools\]"):
            describe(WINTER, "Tokyo")
    finally:
        module._names.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("2026-03-05", 30), "2026-04-04 (Saturday)"),
        (("2026-03-05", -5), "2026-02-28 (Saturday)"),
        (("2024-01-31", 0, 1), "2024-02-29 (Thursday)"),
        (("2023-01-31", 0, 1), "2023-02-28 (Tuesday)"),
        (("2024-02-29", 0, 0, 1), "2025-02-28 (Friday)"),
        (("2026-03-05", 0, -3), "2025-12-05 (Friday)"),
        (("2026年3月5日", 1), "2026-03-06 (Friday)"),
        (("2026/3/5", 1), "2026-03-06 (Friday)"),
        (("2026-03-05T10:00:00", 1), "2026-03-06 (Friday)"),
        (("9999-12-01", 30), "9999-12-31 (Friday)"),
    ],
)
def test_adding_to_a_date(arguments: tuple[str, ...], shown: str) -> None:
    """Months and years keep the day, or take the last one of a shorter month."""
    assert add_to_date(*arguments) == shown


def test_days_between() -> None:
    """The difference counts days, and is negative backwards."""
    assert days_between("2026-01-01", "2026-12-25") == "358 days from 2026-01-01 (Thursday) to 2026-12-25 (Friday)"
    assert days_between("2026-12-25", "2026-01-01").startswith("-358 days")
    assert days_between("today", "今天").startswith("0 days")


@pytest.mark.parametrize("text", ["", "2026-13-01", "2026-02-30", "yesterday", "05/03/2026", "0000-01-01"])
def test_what_is_no_date(text: str) -> None:
    """The error says how a date is written."""
    with pytest.raises(ToolError, match="YYYY-MM-DD"):
        days_between(text, "today")


@pytest.mark.parametrize("change", [(10**9,), (0, 10**9), (0, 0, 10**9), (0, 0, -9999)])
def test_beyond_the_calendar(change: tuple[int, ...]) -> None:
    """A date that the calendar does not have is an error of ours."""
    with pytest.raises(ToolError, match="beyond"):
        shift(date(2026, 3, 5), *change)


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(-50_000, 50_000))
def test_adding_and_counting_days_agree(start: date, days: int) -> None:
    """The days between a date and the date so many days later are just so many."""
    later = shift(start, days).split()[0]
    assert later == (start + timedelta(days)).isoformat()
    assert days_between(start.isoformat(), later).startswith(f"{days} days")
