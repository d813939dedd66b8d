"""The guard table stands behind every way to change a Task: each kind of patch, and operations inside a transaction."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from referral_cases import service_request
from referral_scene import H1, H2, Json, Scene

from fhir_server.errors import Conflict, FhirError
from fhir_server.interactions.patch import patch
from fhir_server.interactions.transaction import transaction
from fhir_server.model.resource import Resource
from fhir_server.referral.codes import BUSINESS_STATUS


def fhir_patch(status: str, business: str) -> Json:
    def replace(path: str, **value: str) -> Json:
        parts = [
            {"name": "type", "valueCode": "replace"},
            {"name": "path", "valueString": path},
            {"name": "value", **value},
        ]
        return {"name": "operation", "part": parts}

    return {
        "resourceType": "Parameters",
        "parameter": [
            replace("Task.status", valueCode=status),
            replace("Task.businessStatus.coding[0].code", valueCode=business),
        ],
    }


def merge_patch(status: str, business: str) -> Json:
    coding = {"coding": [{"system": BUSINESS_STATUS, "code": business}]}
    return {"status": status, "businessStatus": coding}


def json_patch(status: str, business: str) -> list[Json]:
    return [
        {"op": "replace", "path": "/status", "value": status},
        {"op": "replace", "path": "/businessStatus/coding/0/code", "value": business},
    ]


KINDS = {
    "application/fhir+json": fhir_patch,
    "application/merge-patch+json": merge_patch,
    "application/json-patch+json": json_patch,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("criteria", [None, "status=requested"])
async def test_a_patch_obeys_the_guard_table(scene: Scene, kind: str, criteria: str | None) -> None:
    task = await scene.referral()

    def change(status: str, business: str) -> Any:
        id = None if criteria else task["id"]
        body, version = orjson.dumps(KINDS[kind](status, business)), 'W/"1"'
        return patch(
            scene.server, H1, "Task", id, body, content_type=kind, criteria=criteria, if_match=version
        )

    error = await scene.refused(change("completed", "completed"))
    assert error.issues[0].rule == "ILLEGAL_TRANSITION"
    record = (await change("received", "received")).record
    assert orjson.loads(record.content)["status"] == "received"


def call(task: Json, op: str, version: int) -> Json:
    etag = f'W/"{version}"'
    return {"request": {"method": "POST", "url": f"Task/{task['id']}/${op}", "ifMatch": etag}}


def read(address: str) -> Json:
    return {"request": {"method": "GET", "url": address}}


async def run(scene: Scene, caller: Any, *entries: Json) -> Json:
    bundle = Resource.of({"resourceType": "Bundle", "type": "transaction", "entry": list(entries)})
    answer: Json = orjson.loads((await transaction(scene.server, caller, bundle)).resource or b"")
    return answer


async def test_a_step_of_a_referral_is_part_of_a_transaction(scene: Scene) -> None:
    task = await scene.referral()
    await scene.do(H1, task, "receive")
    answer = await run(scene, H1, call(task, "accept", 2), read(f"Task/{task['id']}"))
    assert [entry["response"]["status"] for entry in answer["entry"]] == ["200 OK", "200 OK"]
    assert answer["entry"][1]["resource"]["status"] == "accepted"
    (planned,) = await scene.find("Encounter", based_on="ServiceRequest/sr1")
    assert planned["status"] == "planned"


async def test_a_step_and_all_it_brings_are_undone_with_the_rest(scene: Scene) -> None:
    task = await scene.referral()
    await scene.do(H1, task, "receive")
    for other in (read("Patient/none"), call(task, "start", 2)):
        error: FhirError = await scene.refused(run(scene, H1, call(task, "accept", 2), other))
        assert str(error.issues[0].expression).startswith("Bundle.entry[1]")


async def test_an_illegal_step_refuses_the_transaction_and_names_the_entry(scene: Scene) -> None:
    task = await scene.referral()
    entry = {
        "resource": service_request(id="sr2"),
        "request": {"method": "PUT", "url": "ServiceRequest/sr2"},
    }
    error = await scene.refused(run(scene, H1, entry, call(task, "complete", 1)))
    assert type(error) is Conflict
    assert error.issues[0].rule == "ILLEGAL_TRANSITION"
    assert str(error.issues[0].expression).startswith("Bundle.entry[1]")
    assert (await scene.do(H2, task, "cancel", reason=("valueCode", "patient-declined")))[
        "status"
    ] == "cancelled"
