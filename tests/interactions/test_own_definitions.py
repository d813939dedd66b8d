"""The server's own definitions: readable, found beside what is stored, page by page, and nobody's to change."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl

import orjson
import pytest
from interaction_cases import BASE, expect
from operation_calls import CALLER, OPERATIONS, addresses, keep, links

from fhir_server.errors import InvalidSearch, NotFound, Unprocessable
from fhir_server.interactions.own import MAKERS, RULES
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search
from fhir_server.interactions.vread import vread


@pytest.fixture
def own(with_rules):
    return with_rules(operations=OPERATIONS, rules=RULES)


async def ask(server, type, query):
    outcome = await search(server, CALLER, type, parse_qsl(query, keep_blank_values=True), base=BASE)
    return orjson.loads(outcome.resource)


async def pages(server, type, query):
    found = []
    while query is not None:
        bundle = await ask(server, type, query)
        found.append(addresses(bundle))
        query = links(bundle).get("next", "?").partition("?")[2] or None
    return found


def parameter(id, code, **more):
    data = {
        "resourceType": "SearchParameter",
        "id": id,
        "url": f"http://x/{id}",
        "name": code,
        "status": "draft",
    }
    return data | {"description": "d", "code": code, "base": ["Patient"], "type": "token"} | more


async def test_every_definition_of_the_tables_is_readable_and_valid(own):
    number = 0
    for type, make in MAKERS.items():
        ids = [data["id"] for data in make(own)]
        assert len(ids) == len(set(ids))
        for id in ids:
            record = (await read(own, CALLER, type, id)).record
            data = orjson.loads(record.content)
            assert (data["id"], data["meta"]["versionId"]) == (id, "1")
            assert own.validate(data) == [], f"{type}/{id}"
            number += 1
    assert number > 1380


async def test_its_one_version_is_readable_and_nothing_else(own):
    assert (await vread(own, CALLER, "OperationDefinition", "Patient-everything", "1")).record
    await expect(NotFound, vread(own, CALLER, "OperationDefinition", "Patient-everything", "2"))
    await expect(NotFound, read(own, CALLER, "OperationDefinition", "Patient-nothing"))
    await expect(NotFound, read(own, CALLER, "StructureDefinition", "Patient-name"))
    outcome = await read(own, CALLER, "SearchParameter", "clinical-code", if_none_match='W/"1"')
    assert outcome.status == 304


@pytest.mark.parametrize(
    ("type", "query", "expected"),
    [
        ("OperationDefinition", "code=everything", ["Encounter-everything", "Patient-everything"]),
        (
            "OperationDefinition",
            "url=http://hl7.org/fhir/OperationDefinition/Resource-meta",
            ["Resource-meta"],
        ),
        ("OperationDefinition", "instance=true&code:not=everything&kind=query", []),
        ("SearchParameter", "base=Patient&code=birthdate", ["individual-birthdate"]),
        ("SearchParameter", "_id=Patient-name", ["Patient-name"]),
        ("SearchParameter", "url=http://nowhere", []),
        ("CompartmentDefinition", "code=Patient", ["patient"]),
        ("CompartmentDefinition", "_sort=-code&_count=2", ["relatedperson", "practitioner"]),
    ],
)
async def test_they_are_found(own, type, query, expected):
    assert addresses(await ask(own, type, query)) == [f"{type}/{id}" for id in expected]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 50])
async def test_they_follow_what_is_stored(own, count):
    await keep(own, *(parameter(f"mine{number}", "birthdate") for number in range(3)))
    found = await pages(own, "SearchParameter", f"code=birthdate&_count={count}&_total=accurate")
    assert [len(page) for page in found[:-1]] == [count] * (len(found) - 1)
    flat = [address for page in found for address in page]
    assert sorted(flat[:3]) == [f"SearchParameter/mine{number}" for number in range(3)]
    assert flat[3:] == ["SearchParameter/individual-birthdate"]


async def test_they_are_counted(own):
    await keep(own, parameter("mine", "birthdate"))
    for query in (
        "code=birthdate&_summary=count",
        "code=birthdate&_count=0",
        "code=birthdate&_total=accurate",
    ):
        assert (await ask(own, "SearchParameter", query))["total"] == 2
    assert "entry" not in await ask(own, "SearchParameter", "code=birthdate&_summary=count")


async def test_parts_of_them_are_cut_out(own):
    bundle = await ask(own, "SearchParameter", "_id=Patient-name&_elements=code")
    assert "expression" not in bundle["entry"][0]["resource"]


@pytest.mark.parametrize("cursor", ["own.", "own.x", "own.-1", "own.9999999999"])
async def test_a_damaged_link_is_refused(own, cursor):
    await expect(InvalidSearch, ask(own, "SearchParameter", f"_cursor={cursor}"))


async def test_nobody_takes_their_place(own):
    error = await expect(Unprocessable, keep(own, parameter("Patient-name", "name")))
    assert error.issues[0].code == "conflict"
    await keep(own, parameter("Patient-names", "names"))


async def test_they_follow_the_registry(own):
    before = await ask(own, "OperationDefinition", "_summary=count")
    fewer = replace(own, operations={}, own=type(own.own)())
    assert (await ask(fewer, "OperationDefinition", "_summary=count"))["total"] == 0 < before["total"]
