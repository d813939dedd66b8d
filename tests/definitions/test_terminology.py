from __future__ import annotations

from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.definitions.expansion import Hierarchy, OpenValueSet, expand
from fhir_server.definitions.terminology import Terminology

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
SYSTEM: dict[str, Any] = {
    "resourceType": "CodeSystem",
    "url": "http://t/s",
    "content": "complete",
    "property": [{"code": "kind", "type": "code"}],
    "concept": [
        {
            "code": "a",
            "display": "A",
            "property": [{"code": "notSelectable", "valueBoolean": True}],
            "concept": [
                {"code": "a1", "property": [{"code": "kind", "valueCode": "x"}]},
                {"code": "a2", "property": [{"code": "child", "valueCode": "b1"}]},
            ],
        },
        {
            "code": "b",
            "concept": [{"code": "b1"}, {"code": "b2", "property": [{"code": "parent", "valueCode": "a"}]}],
        },
    ],
}


def value_set(*include: dict[str, Any], exclude: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    compose = {"include": list(include), "exclude": list(exclude)}
    return {"resourceType": "ValueSet", "url": "http://t/v", "compose": compose}


def codes(item: dict[str, Any], *others: dict[str, Any]) -> list[str]:
    known = {other["url"]: other for other in (SYSTEM, *others)}

    def find(url: str) -> dict[str, Any] | None:
        return known.get(url.partition("|")[0])

    return [concept.code for concept in expand(item, find, find)]


def where(op: str, value: str, property: str = "concept") -> dict[str, Any]:
    return {"system": "http://t/s", "filter": [{"property": property, "op": op, "value": value}]}


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ({"system": "http://t/s"}, ["a", "a1", "a2", "b", "b1", "b2"]),
        ({"system": "http://t/s", "concept": [{"code": "b2"}, {"code": "a1"}]}, ["b2", "a1"]),
        ({"system": "http://elsewhere", "concept": [{"code": "z"}]}, ["z"]),
        (where("is-a", "a"), ["a", "a1", "a2", "b1", "b2"]),
        (where("descendent-of", "a"), ["a1", "a2", "b1", "b2"]),
        (where("is-not-a", "a"), ["b"]),
        (where("is-a", "nothing"), []),
        (where("regex", "a.*", "code"), ["a", "a1", "a2"]),
        (where("=", "x", "kind"), ["a1"]),
        (where("in", "y,x", "kind"), ["a1"]),
        (where("in", "b,z,a2"), ["a2", "b"]),
        (where("not-in", "a,b"), ["a1", "a2", "b1", "b2"]),
        (where("generalizes", "b1"), ["a", "a2", "b", "b1"]),
        (where("exists", "true", "kind"), ["a1"]),
        (where("exists", "false", "kind"), ["a", "a2", "b", "b1", "b2"]),
    ],
)
def test_what_an_include_means(include: dict[str, Any], expected: list[str]) -> None:
    assert codes(value_set(include)) == expected


def test_exclude_takes_away_and_value_sets_of_one_include_intersect() -> None:
    small = value_set({"system": "http://t/s", "concept": [{"code": "a1"}, {"code": "b1"}]}) | {
        "url": "http://t/small"
    }
    assert codes(value_set({"system": "http://t/s"}, exclude=(where("is-a", "a"),))) == ["b"]
    assert codes(value_set({"system": "http://t/s", "valueSet": ["http://t/small|1"]}), small) == ["a1", "b1"]
    assert codes(value_set({"valueSet": ["http://t/small"]}), small) == ["a1", "b1"]


def test_a_whole_expansion_stands_for_what_cannot_be_computed() -> None:
    expansion = {
        "contains": [
            {"system": "http://e", "code": "x", "contains": [{"system": "http://e", "code": "y"}]},
            {"display": "a heading", "contains": [{"system": "http://e", "code": "z", "abstract": True}]},
        ]
    }
    open_one = value_set({"system": "http://elsewhere"})
    assert sorted(codes(open_one | {"expansion": expansion})) == ["x", "y", "z"]
    for part in ({"total": 9}, {"offset": 3}, {"contains": []}):
        with pytest.raises(OpenValueSet):
            codes(open_one | {"expansion": expansion | part})
    assert codes(value_set(where("is-a", "b1")) | {"expansion": expansion}) == ["b1"]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (value_set({"system": "http://elsewhere"}), "http://elsewhere is not here"),
        (value_set({"valueSet": ["http://t/none"]}), "http://t/none is not here"),
        (value_set(where("child-of", "a", "kind")), "kind child-of"),
        ({"resourceType": "ValueSet", "url": "http://t/v"}, "no definition of its content"),
    ],
)
def test_an_open_value_set_says_why(item: dict[str, Any], reason: str) -> None:
    with pytest.raises(OpenValueSet, match=reason):
        codes(item)


def test_a_value_set_that_includes_itself_is_refused() -> None:
    item = value_set({"valueSet": ["http://t/v"]})
    with pytest.raises(OpenValueSet, match="includes itself"):
        codes(item, item)


def test_headings_are_marked() -> None:
    marked = [
        concept.code
        for concept in expand(value_set({"system": "http://t/s"}), {"http://t/s": SYSTEM}.get, {}.get)
        if concept.abstract
    ]
    assert marked == ["a"]
    assert Hierarchy(SYSTEM).descendants("b") == {"b1", "b2"}


def test_r4_terminology_is_here(definitions: Definitions) -> None:
    terminology = definitions.terminology()
    assert terminology.display(ACT_CODE, "IMP") == "inpatient encounter"
    assert terminology.display(ACT_CODE, "nonsense") is None
    assert terminology.display("http://nowhere", "x") is None
    encounter_classes = "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode"
    assert terminology.contains(encounter_classes, ACT_CODE, "AMB") is True
    assert terminology.contains(encounter_classes, ACT_CODE, "_ActEncounterCode") is False
    assert (
        terminology.contains("http://hl7.org/fhir/ValueSet/mimetypes", "urn:ietf:bcp:13", "text/plain")
        is None
    )
    assert terminology.code_system("http://snomed.info/sct") is None
    assert terminology.value_set("http://hl7.org/fhir/ValueSet/observation-status|4.0.1") is not None


def test_own_vocabulary_joins_and_wins() -> None:
    own = value_set({"system": "http://t/s"}) | {"url": "http://hl7.org/fhir/ValueSet/administrative-gender"}
    terminology = Terminology([SYSTEM, own, {"resourceType": "NamingSystem"}])
    assert terminology.codes("http://hl7.org/fhir/ValueSet/administrative-gender") == {
        "a1",
        "a2",
        "b",
        "b1",
        "b2",
    }
    assert terminology.display("http://t/s", "a") == "A"
