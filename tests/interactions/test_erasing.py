"""delete-history and purge: for administrators, with an AuditEvent, nothing else touched."""

from __future__ import annotations

import pytest
from interaction_cases import expect, parsed, resource

from fhir_server.errors import (
    Conflict,
    Forbidden,
    InvalidContent,
    NotFound,
    PreconditionFailed,
    Unauthenticated,
)
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.erase import delete_history, purge
from fhir_server.interactions.history import history
from fhir_server.interactions.operations import find_operations, invoke
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update
from fhir_server.interactions.vread import vread
from fhir_server.security.caller import Caller

ADMINISTRATOR = Caller("admin", "Organization/h1", administrator=True)
SECRET = "慕容雪"


@pytest.fixture
async def lived(server, caller):
    """Patient/p in three versions."""
    for name in (SECRET, "二", "三"):
        await update(server, caller, resource(id="p", name=[{"text": name}]), id="p")
    return server


async def audits(server):
    found = parsed(await search(server, ADMINISTRATOR, "AuditEvent", []))
    return [entry["resource"] for entry in found.get("entry", ())]


async def versions(server, *scope):
    found = parsed(await history(server, ADMINISTRATOR, *scope))
    return [entry["response"]["etag"] for entry in found.get("entry", ())]


async def test_past_versions_go_and_the_current_one_stays(lived):
    done = await delete_history(lived, ADMINISTRATOR, "Patient", "p")
    assert done.status == 204
    assert "2 past versions" in done.issues[0].text
    assert await versions(lived, "Patient", "p") == ['W/"3"']
    await expect(NotFound, vread(lived, ADMINISTRATOR, "Patient", "p", "1"))
    assert (await read(lived, ADMINISTRATOR, "Patient", "p")).record.version == 3
    assert (await update(lived, ADMINISTRATOR, resource(id="p"), id="p")).record.version == 4


async def test_one_version_goes(lived):
    await delete_history(lived, ADMINISTRATOR, "Patient", "p", "1")
    assert await versions(lived, "Patient", "p") == ['W/"3"', 'W/"2"']
    for version in ("1", "9", "x", "0", "1" * 30):
        await expect(NotFound, delete_history(lived, ADMINISTRATOR, "Patient", "p", version))
    await expect(Conflict, delete_history(lived, ADMINISTRATOR, "Patient", "p", "3"))
    await expect(NotFound, delete_history(lived, ADMINISTRATOR, "Patient", "none"))


async def test_a_deleted_resource_keeps_its_deletion(lived, caller):
    await delete(lived, caller, "Patient", "p")
    await delete_history(lived, ADMINISTRATOR, "Patient", "p")
    assert await versions(lived, "Patient", "p") == ['W/"4"']


async def test_a_purged_resource_was_never_here(lived, caller):
    await create(lived, caller, resource("Observation", subject={"reference": "Patient/p"}))
    done = await purge(lived, ADMINISTRATOR, "Patient", "p")
    assert (done.status, done.record) == (200, None)
    await expect(NotFound, read(lived, caller, "Patient", "p"))
    await expect(NotFound, history(lived, caller, "Patient", "p"))
    assert await versions(lived, "Patient") == []
    assert parsed(await search(lived, caller, "Patient", [("_total", "accurate")]))["total"] == 0
    assert parsed(await search(lived, caller, "Observation", [("_total", "accurate")]))["total"] == 1
    assert (await update(lived, caller, resource(id="p"), id="p")).status == 201


async def test_what_was_deleted_can_be_purged(lived, caller):
    await delete(lived, caller, "Patient", "p")
    await purge(lived, ADMINISTRATOR, "Patient", "p")
    await expect(NotFound, read(lived, caller, "Patient", "p"))
    await expect(NotFound, purge(lived, ADMINISTRATOR, "Patient", "p"))


async def test_every_removal_is_on_record_without_the_content(lived):
    await delete_history(lived, ADMINISTRATOR, "Patient", "p", "1")
    await delete_history(lived, ADMINISTRATOR, "Patient", "p")
    await delete_history(lived, ADMINISTRATOR, "Patient", "p")
    await purge(lived, ADMINISTRATOR, "Patient", "p")
    kept = await audits(lived)
    assert [event["subtype"][0]["code"] for event in kept] == ["operation", "delete", "delete"]
    assert all(lived.validate(event) == [] for event in kept)
    for event in kept:
        assert event["entity"][0]["what"] == {"reference": "Patient/p"}
        assert event["agent"][0]["altId"] == "admin"
        assert event["agent"][0]["who"] == {"reference": "Organization/h1"}
        assert SECRET not in str(event)


async def test_a_removal_that_fails_is_not_on_record(lived):
    await expect(Conflict, delete_history(lived, ADMINISTRATOR, "Patient", "p", "3"))
    await expect(PreconditionFailed, purge(lived, ADMINISTRATOR, "Patient", "p", if_match='W/"2"'))
    assert await audits(lived) == []
    await purge(lived, ADMINISTRATOR, "Patient", "p", if_match='W/"3"')
    assert len(await audits(lived)) == 1


async def test_an_audit_record_may_point_to_what_is_gone(lived, with_rules):
    strict = with_rules(reference_check=True)
    await update(strict, ADMINISTRATOR, resource("Organization", id="h1", name="x"), id="h1")
    await purge(strict, ADMINISTRATOR, "Patient", "p")
    assert len(await audits(strict)) == 1


@pytest.mark.parametrize("call", [delete_history, purge])
async def test_who_may(lived, caller, call):
    error = await expect(Forbidden, call(lived, caller, "Patient", "p"))
    assert "administrator" in error.issues[0].text
    await expect(Unauthenticated, call(lived, None, "Patient", "p"))
    await expect(NotFound, call(lived, ADMINISTRATOR, "_Client", "p"))
    assert len(await versions(lived, "Patient", "p")) == 3


@pytest.mark.parametrize("call", [delete_history, purge])
async def test_audit_records_stay(lived, call):
    await purge(lived, ADMINISTRATOR, "Patient", "p")
    (event,) = await audits(lived)
    await expect(Forbidden, call(lived, ADMINISTRATOR, "AuditEvent", event["id"]))
    assert len(await audits(lived)) == 1


async def test_the_operation(lived, caller, with_rules):
    import fhir_server.interactions.operations as folder

    server = with_rules(operations=find_operations(folder))

    def call(who, parameters=None, **more):
        return invoke(server, who, "instance", "Patient", "p", "purge", parameters, **more)

    await expect(Forbidden, call(caller))
    await expect(PreconditionFailed, call(ADMINISTRATOR, if_match='W/"1"'))
    unknown = {"resourceType": "Parameters", "parameter": [{"name": "shoe", "valueString": "x"}]}
    await expect(InvalidContent, call(ADMINISTRATOR, unknown))
    done = await call(ADMINISTRATOR, if_match='W/"3"')
    assert "3 versions" in done.issues[0].text
