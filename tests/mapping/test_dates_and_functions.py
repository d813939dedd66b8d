"""Dates by their formats and the named functions: rows in tests/cases/mapping."""

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapping_cases import cases

from fhir_server.mapping.dates import parse_format, read_date, write_date
from fhir_server.mapping.functions import FUNCTIONS

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize("case", cases("dates"), ids=lambda case: f"{case['text']} {case['formats'][0]}")
def test_date(case: dict[str, Any]):
    read = read_date(case["text"], tuple(map(parse_format, case["formats"])), SHANGHAI)
    assert (read[0] if read else "") == case["gives"]


@pytest.mark.parametrize("case", cases("functions"), ids=lambda case: f"{case['name']} {case['text']}")
def test_function(case: dict[str, Any]):
    assert (FUNCTIONS[case["name"]](case["text"]) or "") == case["gives"]


def test_every_function_has_a_row():
    assert {case["name"] for case in cases("functions")} == set(FUNCTIONS)


@pytest.mark.parametrize(
    ("text", "says"), [("%m%d", "no year"), ("%Y%Q", "uses %Q"), ("%Y%Y", "twice"), ("2026", "no year")]
)
def test_a_format_that_makes_no_sense_is_refused(text: str, says: str):
    with pytest.raises(ValueError, match=says):
        parse_format(text)


@pytest.mark.parametrize("form", ["hl7", "%Y-%m-%d", "%Y年%m月%d日"])
@given(day=st.dates(min_value=date(1000, 1, 1)))
def test_a_date_comes_back_as_it_was_written(form: str, day: date):
    parsed = parse_format(form)
    written = write_date(day.isoformat(), parsed, SHANGHAI)
    assert written is not None
    assert read_date(written, (parsed,), SHANGHAI) == (day.isoformat(), form)


def test_a_date_cannot_be_written_with_a_time():
    assert write_date("2026-03-02", parse_format("%Y-%m-%d %H:%M"), SHANGHAI) is None


@pytest.mark.parametrize(
    ("value", "written"), [("2026", "2026"), ("2026-03", "202603"), ("2026-03-02", "20260302")]
)
def test_hl7_keeps_the_precision(value: str, written: str):
    assert write_date(value, parse_format("hl7"), SHANGHAI) == written
