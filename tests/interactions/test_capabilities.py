"""metadata: what is declared is what answers."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
import pytest
from interaction_cases import BASE
from test_operations import operation

from fhir_server.interactions.capabilities import Forms, capabilities
from fhir_server.search.control import INCLUSIONS, READERS
from fhir_server.search.criteria import SPECIAL


@dataclass(frozen=True)
class Row:
    method: str
    path: str
    interaction: str


ROWS = (
    Row("GET", "metadata", "capabilities"),
    Row("POST", "", "transaction"),
    Row("GET", "_history", "history-system"),
    Row("GET", "{type}", "search-type"),
    Row("POST", "{type}", "create"),
    Row("PUT", "{type}", "update"),
    Row("GET", "{type}/{id}", "read"),
    Row("PUT", "{type}/{id}", "update"),
    Row("GET", "{type}/{id}/_history/{version}", "vread"),
)


FORMS = Forms(("application/fhir+json", "json", "xml"), ("application/json-patch+json",))


async def statement(server, rows=ROWS, base=BASE):
    return orjson.loads((await capabilities(server, rows, FORMS, base)).resource)


def codes(rest):
    return [item["code"] for item in rest["interaction"]]


@pytest.fixture(scope="module")
def by_type():
    return lambda shown: {item["type"]: item for item in shown["rest"][0]["resource"]}


async def test_it_is_a_valid_statement_of_every_type(server, by_type):
    shown = await statement(server)
    assert server.validate(shown) == []
    assert shown["fhirVersion"] == "4.0.1"
    assert (shown["format"], shown["patchFormat"]) == (list(FORMS.resources), list(FORMS.patches))
    assert shown["implementation"]["url"] == BASE
    assert by_type(shown).keys() == server.definitions.resource_types
    assert codes(shown["rest"][0]) == ["transaction", "batch", "history-system"]


async def test_interactions_are_those_of_the_route_table(server, by_type):
    patient = by_type(await statement(server))["Patient"]
    assert codes(patient) == ["read", "vread", "update", "create", "search-type"]
    flags = ("conditionalCreate", "conditionalUpdate", "updateCreate", "conditionalDelete", "readHistory")
    assert [patient[flag] for flag in flags] == [True, True, True, "not-supported", True]
    few = by_type(await statement(server, ROWS[6:7], "http://other"))["Patient"]
    assert codes(few) == ["read"]
    assert [few[flag] for flag in flags[:3]] == [False, False, False]


async def test_search_parameters_are_those_of_the_registry(server, by_type):
    shown = by_type(await statement(server))
    for type in ("Patient", "Observation", "Task"):
        declared = {item["name"]: item for item in shown[type]["searchParam"]}
        known = server.parameters.parameters(type)
        assert declared.keys() == known.keys()
        assert all(declared[code]["definition"] == item.url for code, item in known.items())
    assert "Observation:subject" in shown["Observation"]["searchInclude"]
    assert "Observation:subject" in shown["Patient"]["searchRevInclude"]
    assert "Observation:subject" not in shown["Practitioner"]["searchRevInclude"]


async def test_what_searches_can_do_is_declared(server, by_type):
    routes = (Row("GET", "", "search-system"), Row("GET", "{type}/{id}/{member}", "search-compartment"))
    few = (await statement(server))["rest"][0]
    assert few.keys().isdisjoint({"compartment", "searchParam"})
    whole = await statement(server, (*ROWS, *routes), "http://all")
    assert server.validate(whole) == []
    rest = whole["rest"][0]
    assert "http://hl7.org/fhir/CompartmentDefinition/patient" in rest["compartment"]
    assert len(rest["compartment"]) == 5
    assert {"_id", "_lastUpdated", "_tag"} <= {item["name"] for item in rest["searchParam"]}
    controls = [item["name"] for item in rest["searchParam"] if "definition" not in item]
    read = {*READERS, *INCLUSIONS, *SPECIAL} - {"_cursor", "_format", "_pretty", "_query"}
    assert controls == sorted({*read, "_has"})
    assert all(item["documentation"] for item in rest["searchParam"] if item["name"] in controls)
    patient = by_type({"rest": [rest]})["Patient"]
    assert {"*", "Patient:*"} <= set(patient["searchInclude"])
    assert {"*", "Provenance:target"} <= set(patient["searchRevInclude"])


async def test_operations_stand_where_they_are_called(with_rules, by_type):
    server = with_rules(
        operations={
            "do": (operation("do"),),
            "any": (operation("any", "type", ()),),
            "all": (operation("all", "system", ()),),
        }
    )
    shown = await statement(server)
    names = {type: [o["name"] for o in item.get("operation", ())] for type, item in by_type(shown).items()}
    assert (names["Task"], names["Patient"]) == (["any", "do"], ["any"])
    assert shown["rest"][0]["operation"] == [{"name": "all", "definition": "http://x/all"}]


async def test_reference_check_is_declared(with_rules, by_type):
    shown = by_type(await statement(with_rules(reference_check=True, made={})))
    assert "enforced" in shown["Patient"]["referencePolicy"]


async def test_it_is_made_once_for_each_base(server):
    first = await capabilities(server, ROWS, FORMS, BASE)
    assert (await capabilities(server, ROWS, FORMS, BASE)).resource is first.resource
    assert (await capabilities(server, ROWS, FORMS, "http://other")).resource is not first.resource
