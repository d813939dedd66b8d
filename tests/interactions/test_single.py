"""create, read, vread, update and delete of one resource."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from interaction_cases import expect, parsed, raw, resource

from fhir_server.errors import (
    Forbidden,
    Gone,
    InvalidContent,
    Issue,
    NotFound,
    PreconditionFailed,
    Unauthenticated,
    Unprocessable,
)
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.history import history
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update
from fhir_server.interactions.vread import vread
from fhir_server.security import access
from fhir_server.security.caller import SYSTEM

EXACT = (
    '{"resourceType":"Observation","id":"mine","status":"final","valueQuantity":{"value":1.00,"unit":"kg"},'
    '"code":{"text":"体重"},"meta":{"source":"urn:x","versionId":"99"}}'
)


async def test_create_gives_an_id_and_keeps_the_clients_bytes(server, caller):
    done = await create(server, caller, raw(EXACT))
    assert (done.status, done.record.id, done.record.version) == (201, "n1", 1)
    content = (await read(server, caller, "Observation", "n1")).record.content.decode()
    assert content == (
        '{"resourceType":"Observation","id":"n1","meta":{"source":"urn:x","versionId":"1",'
        '"lastUpdated":"2026-03-02T01:12:00.000Z"},"status":"final",'
        '"valueQuantity":{"value":1.00,"unit":"kg"},"code":{"text":"体重"}}'
    )


async def test_white_space_and_order_inside_members_stay(server, caller):
    text = '{ "resourceType" : "Patient",\n "name" : [ { "given":["b", "a"] , "family" : "王" } ], "active":true }'
    done = await create(server, caller, raw(text))
    assert (
        b'"name":[ { "given":["b", "a"] , "family" : "\xe7\x8e\x8b" } ],"active":true' in done.record.content
    )


async def test_update_makes_versions_even_without_a_change(server, caller):
    patient = resource(id="p", active=True)
    results = [await update(server, caller, patient, id="p") for _ in range(2)]
    assert [(r.status, r.record.version) for r in results] == [(201, 1), (200, 2)]
    assert [r.record.method for r in results] == ["PUT", "PUT"]
    assert (await vread(server, caller, "Patient", "p", "1")).record.version == 1


@pytest.mark.parametrize(("body", "code"), [({}, "required"), ({"id": "q"}, "value")])
async def test_update_needs_the_id_of_the_url(server, caller, body, code):
    error = await expect(InvalidContent, update(server, caller, resource(**body), id="p"))
    assert [(issue.code, issue.expression) for issue in error.issues] == [(code, "Patient.id")]


@pytest.mark.parametrize("id", ["x" * 65, "a b", "a/b", "患者", ""])
async def test_update_refuses_an_id_of_bad_syntax_even_when_the_url_has_it(server, caller, id):
    error = await expect(Unprocessable, update(server, caller, resource(id=id), id=id))
    assert {issue.expression for issue in error.issues} == {"Patient.id"}
    assert (await server.store.history()).records == ()


async def test_a_body_of_another_type_is_refused(server, caller):
    for call in (
        create(server, caller, resource("Group"), type="Patient"),
        update(server, caller, resource("Group", id="p"), id="p", type="Patient"),
    ):
        error = await expect(InvalidContent, call)
        assert "Patient" in error.issues[0].text
        assert "Group" in error.issues[0].text


async def test_all_faults_of_the_content_are_told_at_once(server, caller):
    body = resource(gender="banana", birthDate="1.1.2000", unknown=1)
    error = await expect(Unprocessable, create(server, caller, body))
    assert {"Patient.gender", "Patient.birthDate"} <= {issue.expression for issue in error.issues}
    assert len(error.issues) >= 3
    assert (await server.store.history()).records == ()


async def test_read_of_nothing_and_of_nonsense(server, caller):
    await expect(NotFound, read(server, caller, "Patient", "no"))
    await expect(NotFound, read(server, caller, "Patiens", "no"))
    await expect(NotFound, vread(server, caller, "Patient", "no", "1"))


@pytest.mark.parametrize("version", ["2", "0", "x", "-1", "9" * 30, "1.0"])
async def test_vread_of_a_version_that_is_not_there(server, caller, version):
    await create(server, caller, resource())
    await expect(NotFound, vread(server, caller, "Patient", "n1", version))


async def test_delete_read_vread_and_revival(server, caller):
    await create(server, caller, resource(active=True))
    deleted = await delete(server, caller, "Patient", "n1")
    assert (deleted.status, deleted.record.version, deleted.record.deleted) == (204, 2, True)
    assert (await delete(server, caller, "Patient", "n1")).status == 204
    gone = await expect(Gone, read(server, caller, "Patient", "n1"))
    assert gone.headers["ETag"] == 'W/"2"'
    await expect(Gone, vread(server, caller, "Patient", "n1", "2"))
    assert (await vread(server, caller, "Patient", "n1", "1")).status == 200
    revived = await update(server, caller, resource(id="n1"), id="n1")
    assert (revived.status, revived.record.version) == (201, 3)
    assert (await read(server, caller, "Patient", "n1")).record.version == 3


async def test_delete_of_what_never_was_is_done(server, caller):
    done = await delete(server, caller, "Patient", "never")
    assert (done.status, done.record) == (204, None)


async def test_if_match(server, caller):
    body = resource(id="p")
    await update(server, caller, body, id="p")
    assert (await update(server, caller, body, id="p", if_match='W/"1"')).record.version == 2
    error = await expect(PreconditionFailed, update(server, caller, body, id="p", if_match='W/"1"'))
    assert error.headers["ETag"] == 'W/"2"'
    await expect(PreconditionFailed, update(server, caller, resource(id="q"), id="q", if_match='W/"1"'))
    await expect(PreconditionFailed, delete(server, caller, "Patient", "p", if_match='W/"1"'))
    assert (await update(server, caller, body, id="p", if_match='W/"9", W/"2"')).record.version == 3
    assert (await update(server, caller, body, id="p", if_match="*")).record.version == 4
    await expect(InvalidContent, update(server, caller, body, id="p", if_match="version four"))
    assert (await delete(server, caller, "Patient", "p", if_match='W/"4"')).record.version == 5


async def test_the_domain_explains_a_stale_if_match(server, caller, with_rules):
    async def explain(server, caller, record):
        return [Issue("information", "informational", f"now at {record.version}", rule="WHO")]

    server = with_rules(stale={"Patient": explain})
    body = resource(id="p")
    await update(server, caller, body, id="p")
    error = await expect(PreconditionFailed, update(server, caller, body, id="p", if_match='W/"7"'))
    assert [issue.rule for issue in error.issues] == [None, "WHO"]
    assert error.issues[1].text == "now at 1"


async def test_if_none_match_on_update_lets_only_the_first_in(server, caller):
    body = resource(id="p")
    assert (await update(server, caller, body, id="p", if_none_match="*")).status == 201
    await expect(PreconditionFailed, update(server, caller, body, id="p", if_none_match="*"))
    await delete(server, caller, "Patient", "p")
    assert (await update(server, caller, body, id="p", if_none_match="*")).record.version == 3


@pytest.mark.parametrize(
    ("header", "status"), [('W/"1"', 304), ('"1"', 304), ("*", 304), ('W/"2"', 200), ('W/"2", W/"1"', 304)]
)
async def test_conditional_read(server, caller, header, status):
    await create(server, caller, resource())
    done = await read(server, caller, "Patient", "n1", if_none_match=header)
    assert (done.status, done.record.version) == (status, 1)


async def test_parallel_updates_all_make_a_version(server, caller):
    body = resource(id="p")
    results = await asyncio.gather(*(update(server, caller, body, id="p") for _ in range(20)))
    assert sorted(r.record.version for r in results) == list(range(1, 21))
    assert sum(r.status == 201 for r in results) == 1


async def test_parallel_updates_with_the_same_if_match_let_one_through(server, caller):
    await update(server, caller, resource(id="p"), id="p")
    results = await asyncio.gather(
        *(update(server, caller, resource(id="p"), id="p", if_match='W/"1"') for _ in range(10)),
        return_exceptions=True,
    )
    assert sum(isinstance(r, PreconditionFailed) for r in results) == 9
    assert (await read(server, caller, "Patient", "p")).record.version == 2


async def test_the_time_of_a_version_is_never_before_its_predecessors(server, caller, with_rules):
    body = resource(id="p")
    first = await update(server, caller, body, id="p")
    stopped = with_rules(now=lambda: datetime(2020, 1, 1, tzinfo=server.timezone))
    second = await update(stopped, caller, body, id="p")
    assert second.record.updated == first.record.updated


@pytest.mark.parametrize("who", ["client", "server"])
async def test_internal_types_are_nobodys_business(server, caller, who):
    asker = caller if who == "client" else SYSTEM
    for call in (
        read(server, asker, "_Client", "1"),
        vread(server, asker, "_Client", "1", "1"),
        delete(server, asker, "_Client", "1"),
        create(server, asker, resource("_Client")),
        update(server, asker, resource("_Client", id="1"), id="1"),
        history(server, asker, "_Client"),
        search(server, asker, "_Client", ()),
    ):
        await expect(NotFound, call)


async def test_access_is_checked_in_the_corridor(server, monkeypatch, caller):
    for call in (
        read(server, None, "Patient", "1"),
        create(server, None, resource()),
        update(server, None, resource(id="p"), id="p"),
        delete(server, None, "Patient", "1"),
        search(server, None, "Patient", ()),
        history(server, None),
    ):
        await expect(Unauthenticated, call)


async def test_what_the_table_of_access_does_not_grant_is_refused(server, monkeypatch, caller):
    monkeypatch.setattr(access, "GRANTED", access.GRANTED - {"delete"})
    await create(server, caller, resource())
    await expect(Forbidden, delete(server, caller, "Patient", "n1"))
    assert parsed(await read(server, caller, "Patient", "n1"))["id"] == "n1"
