"""Units: the table, hostile texts, and every unit that the official list and ours have in common."""

from __future__ import annotations

import tarfile
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from fhir_server.model import units
from fhir_server.model.ucum import canonical, commensurable, convert, decimal_of, equivalents
from fhir_server.model.unit_syntax import parse_unit, rows

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases" / "units.yaml").read_text("utf-8"))
ESSENCE = "fhir-test-cases/ucum/ucum-essence.xml"
OWN_DIMENSION = {"mol", "[IR]"}
"""UCUM calls them numbers; to us they are dimensions."""


@pytest.mark.parametrize(("value", "unit", "expected"), CASES["canonical"])
def test_a_quantity_has_one_form_in_base_units(value: str, unit: str, expected: str | None) -> None:
    found = canonical(Decimal(value), unit)
    assert (found and f"{found[0]:f} {found[1]}") == expected


@pytest.mark.parametrize(("value", "unit", "other", "expected"), CASES["convert"])
def test_a_quantity_in_another_unit(value: str, unit: str, other: str, expected: str | None) -> None:
    found = convert(Decimal(value), unit, other)
    assert (found and f"{found:f}") == expected


def test_every_common_unit_is_known_and_takes_part() -> None:
    for text in units.COMMON.split():
        assert commensurable(text)[text] == 1


def test_factors_lead_to_the_same_quantity() -> None:
    for text in ("mg/dL", "10*3/uL", "mm[Hg]", "d", "ukat/L"):
        for other, factor in commensurable(text).items():
            here, there = canonical(Decimal(7), text), canonical(7 * factor, other)
            assert here is not None and there is not None
            assert here[1] == there[1]
            assert abs(here[0] - there[0]) <= abs(here[0]) * Decimal("1e-25")


def test_mass_and_amount_are_not_commensurable() -> None:
    assert "mmol/L" not in commensurable("mg/dL")
    assert "/uL" not in commensurable("mmol/L")


def test_temperatures_have_equivalents_but_no_factors() -> None:
    assert commensurable("Cel") == {"Cel": 1}
    assert equivalents(Decimal(37), "Cel")["[degF]"] == Decimal("98.6")
    assert equivalents(Decimal("37.0"), "Cel")["K"] == Decimal("310.15")


def test_a_unit_that_is_not_listed_is_commensurable_with_listed_ones() -> None:
    assert commensurable("kg.m/m4")["g/L"] == 1
    assert commensurable("nonsense") == {}
    assert equivalents(Decimal(1), "nonsense") == {}


@given(st.text(alphabet="mgLkd10*^./(){}[]-+'%_Hgsu2", max_size=200))
def test_any_text_is_a_unit_or_none(text: str) -> None:
    unit = parse_unit(text)
    assert unit is None or unit.factor > 0


@given(st.fractions(max_denominator=10**12))
def test_a_number_comes_back_from_its_decimal(number: Fraction) -> None:
    assert abs(Fraction(decimal_of(number)) - number) <= abs(number) * Fraction(1, 10**30)


# ── the official list ─────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def essence(shared: Path) -> Any:
    archive = shared / "data" / "fhir-test-cases.tar.xz"
    if not archive.is_file():
        pytest.skip(f"the pack {archive} is not here")
    with tarfile.open(archive, "r:xz") as members:
        name = next(name for name in members.getnames() if name.endswith(ESSENCE))
        content = members.extractfile(name)
        assert content is not None
        return etree.fromstring(content.read(), etree.XMLParser(resolve_entities=False, no_network=True))


def test_our_units_are_those_of_the_official_list(essence: Any) -> None:
    space = {"u": "http://unitsofmeasure.org/ucum-essence"}
    checked = 0
    for unit in essence.findall("u:unit", space):
        code, value = unit.get("Code"), unit.find("u:value", space)
        ours = parse_unit(code)
        if ours is None or unit.get("isSpecial") or unit.get("isArbitrary") or code in OWN_DIMENSION:
            continue
        definition = parse_unit(value.get("Unit"))
        assert definition is not None, code
        if definition.dimension:
            assert ours.dimension == definition.dimension, code
        assert ours.factor == Fraction(value.get("value")) * definition.factor, code
        assert (unit.get("isMetric") == "yes") == (parse_unit(f"m{code}") is not None), code
        checked += 1
    assert checked > 150
    assert checked >= len(rows(units.DERIVED)) - 5
