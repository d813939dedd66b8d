"""Conditional create and update: one resource, however many ask at once."""

from __future__ import annotations

import asyncio

import pytest
from interaction_cases import expect, parsed, resource

from fhir_server.errors import Conflict, InvalidContent, InvalidSearch, PreconditionFailed
from fhir_server.interactions.create import create
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update

NUMBER = {"identifier": [{"system": "urn:s", "value": "1"}]}
CRITERIA = "identifier=urn:s|1"


async def many(server, caller, count=2):
    for _ in range(count):
        await create(server, caller, resource(**NUMBER))


async def total(server, caller):
    return parsed(await search(server, caller, "Patient", [("_summary", "count")]))["total"]


@pytest.mark.parametrize(
    "criteria", [CRITERIA, "Patient?" + CRITERIA, "?" + CRITERIA, "identifier=urn%3As%7C1"]
)
async def test_conditional_create_makes_one_and_then_finds_it(server, caller, criteria):
    results = [await create(server, caller, resource(**NUMBER), if_none_exist=criteria) for _ in range(2)]
    assert [(r.status, r.record.id, r.record.version) for r in results] == [(201, "n1", 1), (200, "n1", 1)]


async def test_a_question_mark_inside_a_value_is_part_of_it(server, caller):
    criteria = "identifier=urn:x?y|1"
    body = resource(identifier=[{"system": "urn:x?y", "value": "1"}])
    results = [await create(server, caller, body, if_none_exist=criteria) for _ in range(2)]
    assert [r.status for r in results] == [201, 200]


async def test_conditional_create_is_refused_when_many_match(server, caller):
    await many(server, caller)
    error = await expect(
        PreconditionFailed, create(server, caller, resource(**NUMBER), if_none_exist=CRITERIA)
    )
    assert error.issues[0].code == "multiple-matches"
    assert await total(server, caller) == 2


async def test_a_thousand_parallel_conditional_creates_make_exactly_one(server, caller):
    results = await asyncio.gather(
        *(create(server, caller, resource(**NUMBER), if_none_exist=CRITERIA) for _ in range(1000))
    )
    assert sorted(r.status for r in results) == [200] * 999 + [201]
    assert {r.record.id for r in results} == {results[0].record.id}
    assert await total(server, caller) == 1


@pytest.mark.parametrize(
    ("criteria", "error"),
    [
        ("", PreconditionFailed),
        ("_count=1", PreconditionFailed),
        ("nonsense=1", InvalidSearch),
        ("birthdate=yesterday", InvalidSearch),
    ],
)
async def test_criteria_that_select_nothing_in_particular_are_refused(server, caller, criteria, error):
    await expect(error, create(server, caller, resource(), if_none_exist=criteria))
    await expect(error, update(server, caller, resource(), criteria=criteria))
    assert await total(server, caller) == 0


async def test_conditional_update_without_a_match_creates(server, caller):
    first = await update(server, caller, resource(**NUMBER), criteria=CRITERIA)
    assert (first.status, first.record.id, first.record.version) == (201, "n1", 1)
    second = await update(server, caller, resource(**NUMBER, active=True), criteria=CRITERIA)
    assert (second.status, second.record.id, second.record.version) == (200, "n1", 2)


async def test_conditional_update_takes_a_free_id_of_the_body(server, caller):
    done = await update(server, caller, resource(id="mine", **NUMBER), criteria=CRITERIA)
    assert (done.status, done.record.id) == (201, "mine")


async def test_conditional_update_refuses_an_id_that_is_another_resource(server, caller):
    await update(server, caller, resource(id="taken"), id="taken")
    await expect(Conflict, update(server, caller, resource(id="taken", **NUMBER), criteria=CRITERIA))
    await update(server, caller, resource(id="p", **NUMBER), id="p")
    await expect(InvalidContent, update(server, caller, resource(id="q", **NUMBER), criteria=CRITERIA))
    done = await update(server, caller, resource(id="p", **NUMBER), criteria=CRITERIA)
    assert (done.status, done.record.version) == (200, 2)


async def test_conditional_update_is_refused_when_many_match(server, caller):
    await many(server, caller)
    await expect(PreconditionFailed, update(server, caller, resource(**NUMBER), criteria=CRITERIA))


async def test_conditional_update_honours_if_match(server, caller):
    await update(server, caller, resource(**NUMBER), criteria=CRITERIA)
    call = update(server, caller, resource(**NUMBER), criteria=CRITERIA, if_match='W/"5"')
    await expect(PreconditionFailed, call)
    done = await update(server, caller, resource(**NUMBER), criteria=CRITERIA, if_match='W/"1"')
    assert done.record.version == 2


async def test_a_thousand_parallel_conditional_updates_make_exactly_one(server, caller):
    results = await asyncio.gather(
        *(update(server, caller, resource(**NUMBER), criteria=CRITERIA) for _ in range(1000))
    )
    assert sorted(r.record.version for r in results) == list(range(1, 1001))
    assert {r.record.id for r in results} == {results[0].record.id}
    assert await total(server, caller) == 1


async def test_the_domain_may_adopt_a_resource_when_nothing_matched(server, caller, with_rules):
    asked = []

    async def adopt(server, transaction, data, caller):
        asked.append(data["identifier"][0]["value"])
        found = await transaction.read("Patient", "planned")
        return found.id if found else None

    server = with_rules(adopt={"Patient": adopt})
    await update(server, caller, resource(id="planned"), id="planned")
    done = await update(server, caller, resource(**NUMBER), criteria=CRITERIA)
    assert (done.status, done.record.id, done.record.version) == (200, "planned", 2)
    again = await update(server, caller, resource(**NUMBER), criteria=CRITERIA)
    assert (again.record.id, again.record.version, asked) == ("planned", 3, ["1"])


async def test_a_reference_with_the_servers_own_address_is_matched(server, caller):
    base = "http://test/fhir"
    await update(server, caller, resource(id="p"), id="p")
    body = resource("Observation", subject={"reference": "Patient/p"})
    criteria = f"subject={base}/Patient/p"
    results = [await create(server, caller, body, if_none_exist=criteria, base=base) for _ in range(2)]
    assert [r.status for r in results] == [201, 200]
    assert (await read(server, caller, "Observation", results[1].record.id)).status == 200
