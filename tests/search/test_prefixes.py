"""Prefixes against the standard's words, read literally on sets of moments and numbers.

"The range of the search value fully contains the range of the target value", "the range above the search
value intersects the range of the target value" … are said here of sets of small integers.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_cases import NOW, ZONE

from fhir_server.model.dates import parse_interval
from fhir_server.search.index import DateRow, NumberRow
from fhir_server.search.types import date, number
from fhir_server.search.types.base import PREFIXES, Reading
from fhir_server.search.types.number import parse_number
from fhir_server.search.values import DateValue, NumberValue

SCALE = 12
POINTS = st.integers(0, SCALE)
INTERVALS = st.tuples(POINTS, POINTS).map(sorted).filter(lambda pair: pair[0] < pair[1])


def literally(prefix: str, search: set[int], target: set[int], above: set[int], below: set[int]) -> bool:
    """R4 search.html#prefix, sentence by sentence."""
    if prefix == "eq":
        return target <= search
    if prefix == "ne":
        return not target <= search
    if prefix == "gt":
        return bool(above & target)
    if prefix == "lt":
        return bool(below & target)
    if prefix == "ge":
        return bool(above & target) or target <= search
    if prefix == "le":
        return bool(below & target) or target <= search
    if prefix == "sa":
        return not search & target and target <= above
    if prefix == "eb":
        return not search & target and target <= below
    return bool(search & target)


@given(st.sampled_from(PREFIXES), INTERVALS, INTERVALS)
def test_a_date_prefix_is_the_standards_sentence(prefix: str, search: list[int], target: list[int]) -> None:
    (low, high), (start, end) = search, target
    expected = literally(
        prefix, set(range(low, high)), set(range(start, end)), set(range(high, SCALE + 1)), set(range(low))
    )
    assert date.admits(DateValue(prefix, low, high), None, DateRow(1, start, end, 0)) is expected


@given(st.sampled_from(["gt", "lt", "ge", "le", "sa", "eb"]), POINTS, POINTS, POINTS)
def test_a_number_prefix_is_the_standards_sentence_about_the_exact_number(
    prefix: str, value: int, one: int, other: int
) -> None:
    low, high = sorted((one, other))
    target = set(range(low, high + 1))
    expected = literally(prefix, {value}, target, set(range(value + 1, SCALE + 1)), set(range(value)))
    if prefix in {"ge", "le"}:
        expected = expected or value in target
    asked = NumberValue(prefix, float(value), value - 0.5, value + 0.5)
    assert number.admits(asked, None, NumberRow(1, float(low), float(high), "", "", 0)) is expected


@given(st.integers(-10_000, 10_000), st.integers(-10_000, 10_000), st.integers(0, 3))
def test_a_number_equals_those_that_round_to_it(asked: int, other: int, places: int) -> None:
    text = f"{asked / 10**places:.{places}f}"
    value = parse_number(text)
    stored = other / 10**3
    expected = value.low <= stored < value.high
    row = NumberRow(1, stored, stored, "", "", 0)
    assert number.admits(value, None, row) is expected
    assert number.admits(parse_number("ne" + text), None, row) is not expected
    assert abs((value.high - value.low) - 10**-places) < 1e-6


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from(["%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    st.sampled_from(PREFIXES),
)
def test_a_moment_lies_in_every_partial_date_that_begins_like_it(
    moment: datetime, form: str, prefix: str
) -> None:
    stored = moment.replace(microsecond=0, tzinfo=ZONE)
    low, high = parse_interval(stored.isoformat(), ZONE)
    reading = Reading(None, ZONE, None, int(NOW.timestamp() * 1e6), None)  # type: ignore[arg-type]
    value = date.parse(None, prefix + stored.strftime(form), reading)  # type: ignore[arg-type]
    inside = prefix in {"eq", "ge", "le", "ap"}
    assert date.admits(value, None, DateRow(1, low, high, 0)) is inside


@pytest.mark.parametrize(("days", "matches"), [(0, True), (9, True), (11, False), (-9, True), (-11, False)])
def test_ap_widens_a_date_by_a_tenth_of_the_gap_to_now(days: int, matches: bool) -> None:
    asked = (NOW - timedelta(days=100)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    reading = Reading(None, ZONE, None, int(NOW.timestamp() * 1e6), None)  # type: ignore[arg-type]
    value = date.parse(None, "ap" + asked, reading)  # type: ignore[arg-type]
    moment = int((NOW - timedelta(days=100 + days)).timestamp()) * 1_000_000
    assert date.admits(value, None, DateRow(1, moment, moment + 1, 0)) is matches


NEAR = [("ap100", 110, True), ("ap100", 111, False), ("ap-100", -90, True), ("ap-100", -89, False)]
ZERO = [("ap0", 0.4, True), ("ap0", 0.6, False)]


@pytest.mark.parametrize(("text", "stored", "matches"), [*NEAR, *ZERO])
def test_ap_widens_a_number_by_a_tenth(text: str, stored: float, matches: bool) -> None:
    assert number.admits(parse_number(text), None, NumberRow(1, stored, stored, "", "", 0)) is matches
