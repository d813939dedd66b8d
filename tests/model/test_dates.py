from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.model.dates import CHINA, instant, parse_interval

SECOND = 1_000_000
DAY = 86_400 * SECOND
SHANGHAI = ZoneInfo("Asia/Shanghai")


def micros(*parts: int) -> int:
    return round((datetime(*parts, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * SECOND


@pytest.mark.parametrize(
    ("text", "low", "width"),
    [
        ("2026", micros(2025, 12, 31, 16), 365 * DAY),
        ("2024", micros(2023, 12, 31, 16), 366 * DAY),
        ("2026-02", micros(2026, 1, 31, 16), 28 * DAY),
        ("2026-12", micros(2026, 11, 30, 16), 31 * DAY),
        ("2026-03-02", micros(2026, 3, 1, 16), DAY),
        ("9999", micros(9998, 12, 31, 16), 365 * DAY),
        ("9999-12", micros(9999, 11, 30, 16), 31 * DAY),
        ("9999-12-31", micros(9999, 12, 30, 16), DAY),
        ("0001-01-02", micros(1, 1, 1, 16), DAY),
        ("2026-03-02T09:12", micros(2026, 3, 2, 1, 12), 60 * SECOND),
        ("2026-03-02T09:12Z", micros(2026, 3, 2, 9, 12), 60 * SECOND),
        ("2026-03-02T09:12:05", micros(2026, 3, 2, 1, 12, 5), SECOND),
        ("2026-03-02T09:12:05+08:00", micros(2026, 3, 2, 1, 12, 5), SECOND),
        ("2026-03-02T09:12:05-14:00", micros(2026, 3, 2, 23, 12, 5), SECOND),
        ("2026-03-02T09:12:05+05:30", micros(2026, 3, 2, 3, 42, 5), SECOND),
        ("2026-03-02T09:12:05.5Z", micros(2026, 3, 2, 9, 12, 5) + 500_000, 100_000),
        ("2026-03-02T09:12:05.050Z", micros(2026, 3, 2, 9, 12, 5) + 50_000, 1000),
        ("2026-03-02T09:12:05.123456Z", micros(2026, 3, 2, 9, 12, 5) + 123_456, 1),
        ("2026-03-02T09:12:05.123456789Z", micros(2026, 3, 2, 9, 12, 5) + 123_456, 1),
        ("9999-12-31T23:59:59-14:00", micros(9999, 12, 31, 23, 59, 59) + 14 * 3600 * SECOND, SECOND),
    ],
)
def test_a_partial_date_is_an_interval(text: str, low: int, width: int) -> None:
    assert parse_interval(text) == (low, low + width)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "26",
        "0000",
        "2026-1",
        "2026-00",
        "2026-13",
        "2026-02-29",
        "2026-02-30",
        "20260302",
        "2026-W10",
        "2026-061",
        "2026-03-02Z",
        "2026-03-02T",
        "2026-03-02T09",
        "2026-03-02T9:12",
        "2026-03-02 09:12",
        "2026-03-02T24:00:00Z",
        "2026-03-02T23:60:00Z",
        "2016-12-31T23:59:60Z",
        "2026-03-02T09:12.5Z",
        "2026-03-02T09:12:05.Z",
        "2026-03-02T09:12:05,5Z",
        "2026-03-02T09:12:05+08",
        "2026-03-02T09:12:05+0800",
        "2026-03-02T09:12:05+14:30",
        "2026-03-02T09:12:05+15:00",
        "2026-03-02T09:12:05z",
        "2026-03-02\n",
        " 2026",
        "２０２６",
        "-2026",
        "2026年3月2日",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_interval(text)


def test_the_default_zone_is_chinas() -> None:
    assert parse_interval("2026-03-02") == parse_interval("2026-03-02", CHINA)
    assert parse_interval("2026-03-02", UTC) == (micros(2026, 3, 2), micros(2026, 3, 3))
    assert parse_interval("2026-03-02T00:00:00Z", CHINA) == parse_interval("2026-03-02T00:00:00", UTC)


def test_a_day_with_a_clock_change_has_its_own_length() -> None:
    low, high = parse_interval("1988-04-17", SHANGHAI)
    assert high - low == DAY - 3600 * SECOND
    assert parse_interval("1988-04-18", SHANGHAI)[0] == high


@given(st.dates())
def test_a_day_lies_in_its_month_and_its_year(day: date) -> None:
    text = day.isoformat()
    inner, month, year = (parse_interval(text[:size]) for size in (10, 7, 4))
    assert year[0] <= month[0] <= inner[0] < inner[1] <= month[1] <= year[1]
    assert inner[1] - inner[0] == DAY


@given(
    st.dates(max_value=date(9999, 12, 30)), st.sampled_from([CHINA, SHANGHAI, UTC, ZoneInfo("Europe/Berlin")])
)
def test_days_follow_each_other_without_gap(day: date, zone: timezone) -> None:
    following = day + timedelta(days=1)
    assert parse_interval(day.isoformat(), zone)[1] == parse_interval(following.isoformat(), zone)[0]


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=ZONES), st.integers(0, 9))
def test_a_moment_lies_in_the_interval_of_its_text(moment: datetime, digits: int) -> None:
    fraction = f".{moment.microsecond:06d}000"[: digits + 1] if digits else ""
    offset = moment.strftime("%z")
    text = f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}{fraction}{offset[:3]}:{offset[3:]}"
    low, high = parse_interval(text)
    exact = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert low <= exact < high
    assert high - low == max(1, SECOND // 10**digits)


@given(st.integers(-62_135_596_800 * SECOND, 253_402_300_799 * SECOND))
def test_an_instant_reads_back_to_its_millisecond(moment: int) -> None:
    text = instant(moment)
    assert len(text) == 24
    low, high = parse_interval(text)
    assert low <= moment < high
    assert high - low == 1000
