"""Conditional delete: one, or all that match when the server is set so."""

from __future__ import annotations

import asyncio

import pytest
from interaction_cases import expect, parsed, resource

from fhir_server.errors import Conflict, InvalidSearch, NotFound, PreconditionFailed, Unauthenticated
from fhir_server.interactions import delete as deleting
from fhir_server.interactions.delete import delete
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update

NUMBER = {"identifier": [{"system": "urn:s", "value": "1"}]}
CRITERIA = "identifier=urn:s|1"


@pytest.fixture
async def two(server, caller):
    """Patient/a and /b with one number, /c without."""
    for id in "ab":
        await update(server, caller, resource(id=id, **NUMBER), id=id)
    await update(server, caller, resource(id="c"), id="c")
    return server


@pytest.fixture
def multiple(two, with_rules):
    return with_rules(conditional_delete="multiple")


async def left(server, caller):
    found = parsed(await search(server, caller, "Patient", []))
    return sorted(entry["resource"]["id"] for entry in found.get("entry", ()))


async def test_nothing_one_and_several(two, caller):
    nothing = await delete(two, caller, "Patient", None, criteria="identifier=other")
    assert (nothing.status, nothing.record) == (204, None)
    error = await expect(PreconditionFailed, delete(two, caller, "Patient", None, criteria=CRITERIA))
    assert error.issues[0].code == "multiple-matches"
    assert await left(two, caller) == ["a", "b", "c"]
    one = await delete(two, caller, "Patient", None, criteria="_id=a")
    assert (one.status, one.record.id, one.record.version, one.record.deleted) == (204, "a", 2, True)
    assert (await delete(two, caller, "Patient", None, criteria=CRITERIA)).record.id == "b"
    assert await left(two, caller) == ["c"]


async def test_all_that_match_go_when_the_server_is_set_so(multiple, caller):
    done = await delete(multiple, caller, "Patient", None, criteria=CRITERIA)
    assert (done.status, done.record) == (204, None)
    assert "2 resources" in done.issues[0].text
    assert await left(multiple, caller) == ["c"]
    assert (await multiple.store.read("Patient", "b")).version == 2


async def test_more_than_the_limit_are_refused(multiple, caller, monkeypatch):
    monkeypatch.setattr(deleting, "MOST_DELETED", 1)
    await expect(PreconditionFailed, delete(multiple, caller, "Patient", None, criteria=CRITERIA))
    assert await left(multiple, caller) == ["a", "b", "c"]


@pytest.mark.parametrize("setting", ["single", "multiple"])
async def test_if_match_goes_with_one(two, with_rules, caller, setting):
    server = with_rules(conditional_delete=setting)

    def call(criteria, if_match):
        return delete(server, caller, "Patient", None, criteria=criteria, if_match=if_match)

    error = await expect(PreconditionFailed, call("_id=a", 'W/"7"'))
    assert error.headers["ETag"] == 'W/"1"'
    await expect(PreconditionFailed, call(CRITERIA, 'W/"1"'))
    await expect(PreconditionFailed, call("_id=none", 'W/"1"'))
    assert (await call("_id=a", 'W/"1"')).record.version == 2


@pytest.mark.parametrize(
    ("criteria", "error"),
    [
        ("", PreconditionFailed),
        ("_count=1", PreconditionFailed),
        ("shoe=1", InvalidSearch),
        ("birthdate=x", InvalidSearch),
    ],
)
async def test_criteria_that_select_nothing_in_particular_are_refused(multiple, caller, criteria, error):
    await expect(error, delete(multiple, caller, "Patient", None, criteria=criteria))
    assert await left(multiple, caller) == ["a", "b", "c"]


async def test_a_rule_that_refuses_one_keeps_all(two, with_rules, caller):
    async def refuse(change):
        if change.before["id"] == "b":
            raise Conflict("no")
        return ()

    server = with_rules(rules={"Patient": (refuse,)}, conditional_delete="multiple")
    await expect(Conflict, delete(server, caller, "Patient", None, criteria=CRITERIA))
    assert await left(server, caller) == ["a", "b", "c"]


async def test_who_may(multiple, caller):
    await expect(NotFound, delete(multiple, caller, "_Client", None, criteria="_id=a"))
    await expect(Unauthenticated, delete(multiple, None, "Patient", None, criteria="_id=a"))


async def test_parallel_deletes_make_one_deletion_each(multiple, caller):
    await asyncio.gather(
        *(delete(multiple, caller, "Patient", None, criteria=CRITERIA) for _ in range(10)),
    )
    assert [(await multiple.store.read("Patient", id)).version for id in "ab"] == [2, 2]
