from __future__ import annotations

from decimal import Decimal
from math import inf, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.model.decimals import implicit_range


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("100", 99.5, 100.5),
        ("100.00", 99.995, 100.005),
        ("1e2", 95, 105),
        ("1E+2", 95, 105),
        ("5.4", 5.35, 5.45),
        ("-5.40", -5.405, -5.395),
        ("0", -0.5, 0.5),
        ("0.000", -0.0005, 0.0005),
        ("1e-3", 0.00095, 0.00105),
        ("9007199254740993", 9007199254740992.5, 9007199254740993.5),
        ("1" + "0" * 40 + ".5", 1e40, nextafter(1e40, inf)),
        ("73.98388186765422", 73.98388186765422, nextafter(73.98388186765422, inf)),
    ],
)
def test_a_number_means_half_a_unit_to_each_side(text: str, low: float, high: float) -> None:
    assert implicit_range(text) == (low, high)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "1,5",
        ".5",
        "5.",
        "+5",
        "007",
        "0x10",
        "1e",
        "NaN",
        "Infinity",
        "1_000",
        "１２",
        "1e400",
        "-1e999999",
        "1e9999999999",
    ],
)
def test_what_is_no_usable_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number"):
        implicit_range(text)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4))
def test_a_number_lies_in_its_own_range(number: Decimal) -> None:
    low, high = implicit_range(f"{number:f}")
    assert low <= number <= high
    assert high - low == pytest.approx(0.0001, rel=0.01)
