"""What a resource is found by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from search_cases import BASE_URL, ZONE

from fhir_server.definitions import Definitions
from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.model.dates import parse_interval
from fhir_server.search.extract import Extractor, edges
from fhir_server.search.index import (
    OPEN_HIGH,
    OPEN_LOW,
    CompositeRow,
    DateRow,
    IndexValues,
    NumberRow,
    PositionRow,
    ReferenceRow,
    TokenRow,
)
from fhir_server.search.match import rows_of
from fhir_server.search.registry import Registry

EMPTY = IndexValues()


def patient(**members: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **members}


def texts(values: IndexValues, registry: Registry, code: str) -> list[tuple[str, str, int]]:
    return [(row.text, row.exact, row.edge) for row in rows_of(registry.parameter("Patient", code), values)]


# ── rows ──────────────────────────────────────────────────────────────────────


def test_an_observation_gives_exactly_these_rows(extract: Extractor, registry: Registry) -> None:
    def key(code: str) -> int:
        return registry.parameter("Observation", code).keys[0]

    values = extract(
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
            "subject": {"reference": "Patient/1", "identifier": {"system": "urn:s", "value": "7"}},
            "effectiveDateTime": "2013-01-14",
            "valueQuantity": {
                "value": 70.5,
                "unit": "kg",
                "system": "http://unitsofmeasure.org",
                "code": "kg",
            },
        }
    )
    low, high = parse_interval("2013-01-14", ZONE)
    code = TokenRow(key("code"), "29463-7", "http://loinc.org")
    weight = NumberRow(key("value-quantity"), 70.5, 70.5, "http://unitsofmeasure.org", "kg", 3)
    identifier = registry.parameter("Observation", "subject").identifier_keys[0]
    assert values == IndexValues(
        date=low,
        tokens=[TokenRow(key("status"), "final", ""), code, TokenRow(identifier, "7", "urn:s")],
        references=[ReferenceRow(key("subject"), "1", "Patient")],
        dates=[DateRow(key("date"), low, high, 3)],
        numbers=[weight],
        composites=[
            CompositeRow(key("code-value-quantity"), (code._replace(key=0), weight._replace(key=0, edge=0)))
        ],
    )


def test_nothing_is_kept_twice(extract: Extractor) -> None:
    coding = {"system": "urn:s", "code": "a"}
    values = extract(
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [coding, coding]},
            "category": [],
        }
    )
    assert len(values.tokens) == 2


def test_a_resource_that_says_nothing_has_no_rows_but_what_its_absence_means(
    extract: Extractor, registry: Registry
) -> None:
    assert extract({"resourceType": "Slot"}) == EMPTY
    deceased = registry.parameter("Patient", "deceased").keys[0]
    assert extract(patient()) == IndexValues(tokens=[TokenRow(deceased, "false", "")])


def test_what_cannot_be_read_is_not_indexed(extract: Extractor, registry: Registry) -> None:
    values = extract(patient(birthDate="1980-13-45", name=[{"given": [None, "Eve"]}], identifier=[{}]))
    assert values.dates == []
    assert [text for text, _, _ in texts(values, registry, "name")] == ["eve"]


def test_absolute_references_to_this_server_are_relative_ones(
    registry: Registry, definitions: Definitions, extract: Extractor
) -> None:
    resource = {"resourceType": "Slot", "schedule": {"reference": f"{BASE_URL}/Schedule/1"}}
    here, anywhere = extract(resource), Extractor(registry, definitions, ZONE)(resource)
    assert [(row.type, row.id) for row in here.references] == [("Schedule", "1")]
    assert [(row.type, row.id) for row in anywhere.references] == [("", f"{BASE_URL}/Schedule/1")]


def test_positions_and_open_periods(extract: Extractor, registry: Registry) -> None:
    near = registry.parameter("Location", "near").keys[0]
    location = extract({"resourceType": "Location", "position": {"latitude": 30, "longitude": 120.5}})
    assert location.positions == [PositionRow(near, 30.0, 120.5)]
    slots = [{"start": "2013"}, {"end": "2013"}, {}]
    values = [extract({"resourceType": "Encounter", "period": period}).dates for period in slots]
    low, high = parse_interval("2013", ZONE)
    assert [[(row.low, row.high) for row in rows] for rows in values] == [
        [(low, OPEN_HIGH)],
        [(OPEN_LOW, high)],
        [],
    ]


# ── names ─────────────────────────────────────────────────────────────────────


def test_pinyin_rows_answer_starts_with_only_and_stay_out_of_the_order(
    extract: Extractor, registry: Registry
) -> None:
    values = extract(patient(name=[{"text": "张伟", "family": "张", "given": ["伟"]}]))
    assert texts(values, registry, "name") == [
        ("张伟", "张伟", 3),
        ("张", "张", 3),
        ("伟", "伟", 3),
        ("zhang", "", 0),
        ("z", "", 0),
        ("wei", "", 0),
        ("w", "", 0),
        ("zhangwei", "", 0),
        ("zw", "", 0),
    ]


@pytest.mark.parametrize(
    ("name", "sounds"),
    [
        ({"text": "单雄信"}, {"shanxiongxin", "sxx"}),
        ({"text": "欧阳 吕"}, {"ouyanglv", "ouyanglu", "oyl"}),
        ({"text": "覃海"}, {"qinhai", "tanhai", "qh", "th"}),
        ({"text": "欧阳", "family": "欧", "given": ["阳"]}, {"ouyang", "oy", "ou", "o", "yang", "y"}),
        ({"text": "Zhang 伟"}, set()),
        ({"text": "·张"}, set()),
        ({"family": "Li", "given": ["明"]}, {"ming", "m"}),
        ({"text": "𠀀𠀁"}, {"heqi", "hq"}),
    ],
)
def test_the_readings_of_a_name(
    extract: Extractor, registry: Registry, name: dict[str, Any], sounds: set[str]
) -> None:
    found = texts(extract(patient(name=[name])), registry, "name")
    assert {text for text, exact, _ in found if not exact} == sounds


# ── edges and primary dates ───────────────────────────────────────────────────


def test_each_key_has_one_least_and_one_greatest_row() -> None:
    rows = [(1, 5, 6), (1, 2, 9), (2, 0, 0), (1, 2, 3), (1, 1, 4), (1, 5, 9)]
    assert edges(rows) == [0, 2, 3, 0, 1, 0]
    assert edges([(1, 0, 0), (1, 0, 0)]) == [3, 0]


@pytest.mark.parametrize(
    ("resource", "date"),
    [
        ({"resourceType": "Condition", "recordedDate": "2020", "onsetDateTime": "2019"}, "2019"),
        ({"resourceType": "Condition", "recordedDate": "2020"}, "2020"),
        ({"resourceType": "Encounter", "period": {"start": "2019", "end": "2021"}}, "2019"),
        ({"resourceType": "Task", "authoredOn": "2020-01-01"}, "2020-01-01"),
        ({"resourceType": "DiagnosticReport", "issued": "2020-01-01T00:00:00Z"}, "2020-01-01T00:00:00Z"),
        ({"resourceType": "ServiceRequest", "occurrenceDateTime": "2020", "authoredOn": "2018"}, "2018"),
    ],
)
def test_the_primary_date_is_the_start_of_the_first_parameter_that_has_one(
    extract: Extractor, resource: dict[str, Any], date: str
) -> None:
    assert extract(resource).date == parse_interval(date, ZONE)[0]


def test_the_primary_date_of_a_period_without_a_start_is_its_end(extract: Extractor) -> None:
    values = extract({"resourceType": "Encounter", "period": {"end": "2021"}})
    assert values.date == parse_interval("2021", ZONE)[1]
    assert extract({"resourceType": "Organization", "name": "x"}).date == 0


# ── computed and custom paths ─────────────────────────────────────────────────

TABLE = Path(__file__).parents[1] / "cases" / "fhirpath" / "custom_parameters.yaml"
CUSTOM = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
FACES = {"token": "code", "string": "text", "number": "low"}


@pytest.mark.parametrize("row", CUSTOM, ids=[row["expression"] for row in CUSTOM])
def test_a_custom_parameter_finds_what_its_expression_selects(
    definitions: Definitions, row: dict[str, Any]
) -> None:
    registry = Registry(definitions)
    extract = Extractor(registry, definitions, ZONE)
    assert extract(patient()).strings == []
    registry.add(SearchParameterDefinition("urn:sp", "mine", ("Patient",), row["kind"], row["expression"]))
    rows = rows_of(registry.parameter("Patient", "mine"), extract(patient(**row["patient"])))
    assert [getattr(found, FACES[row["kind"]]) for found in rows] == row["finds"]


def test_content_that_a_custom_parameter_did_not_expect_is_kept_without_its_rows(
    definitions: Definitions,
) -> None:
    registry = Registry(definitions)
    registry.add(
        SearchParameterDefinition("urn:only", "only", ("Patient",), "string", "Patient.name.single().family")
    )
    extract = Extractor(registry, definitions, ZONE, BASE_URL)
    one, two = {"family": "张"}, {"family": "李"}
    assert [text for text, _, _ in texts(extract(patient(name=[one])), registry, "only")] == ["张"]
    assert texts(extract(patient(name=[one, two])), registry, "only") == []


@pytest.mark.parametrize(
    ("kind", "expression", "needs"),
    [
        ("string", "Patient.meta.versionId", True),
        ("date", "Patient.meta.lastUpdated", True),
        ("string", "Patient.id", True),
        ("string", "Patient.descendants().ofType(string)", True),
        ("token", "Patient.meta.tag", False),
        ("string", "Patient.identifier.value", False),
        ("string", "Patient.name.where(use = 'official').family", False),
    ],
)
def test_what_may_look_at_the_id_the_version_or_the_time_is_known(
    definitions: Definitions, kind: str, expression: str, needs: bool
) -> None:
    registry = Registry(definitions)
    extract = Extractor(registry, definitions, ZONE)
    assert not extract.needs_address("Patient")
    registry.add(SearchParameterDefinition("urn:sp", "mine", ("Patient",), kind, expression))
    assert extract.needs_address("Patient") is needs
    assert not extract.needs_address("Observation")


def test_no_parameter_of_r4_looks_at_the_id_the_version_or_the_time(definitions: Definitions) -> None:
    extract = Extractor(Registry(definitions), definitions, ZONE)
    assert [type for type in definitions.resource_types if extract.needs_address(type)] == []
