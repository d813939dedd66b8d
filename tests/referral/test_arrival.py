"""The receiving hospital's HIS registers the patient, knowing nothing of the referral: the referral arrives."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from referral_cases import service_request
from referral_scene import H1, H2, H3, Json, Scene

from fhir_server.interactions.transaction import transaction
from fhir_server.model.resource import Resource
from fhir_server.security.caller import Caller

VISIT = "http://cmc.example.org/sid/12999001MB0000019A/visit"
USCC = "http://cmc.example.org/sid/uscc"


@pytest.fixture
async def accepted(scene: Scene) -> Json:
    """A referral that H1 has accepted; H1 can be found by its USCC, the patient by a number."""
    organization = {
        "resourceType": "Organization",
        "id": "h1",
        "identifier": [{"system": USCC, "value": "A"}],
    }
    await scene.put(organization)
    await scene.put(
        {"resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:id", "value": "1"}]}
    )
    task = await scene.referral()
    return await scene.do(H1, task, "accept")


def admission(status: str = "in-progress", visit: str = "V1", patient: str = "1", **changes: Any) -> Json:
    """What the HIS's message becomes: a transaction of conditional writes, with references by name and by search."""
    encounter = {
        "resourceType": "Encounter",
        "identifier": [{"system": VISIT, "value": visit}],
        "status": status,
        "class": {"code": "IMP"},
        "subject": {"reference": "urn:uuid:00000000-0000-0000-0000-00000000000a"},
        "serviceProvider": {"reference": f"Organization?identifier={USCC}|A"},
        "period": {"start": "2026-03-02T15:15:00+08:00"},
        **changes,
    }
    person = {"resourceType": "Patient", "identifier": [{"system": "urn:id", "value": patient}]}
    entries = [
        {"resource": encounter, "request": {"method": "PUT", "url": f"Encounter?identifier={VISIT}|{visit}"}},
        {
            "fullUrl": "urn:uuid:00000000-0000-0000-0000-00000000000a",
            "resource": person,
            "request": {"method": "PUT", "url": f"Patient?identifier=urn:id|{patient}"},
        },
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


async def send(scene: Scene, bundle: Json, caller: Caller = H1) -> None:
    outcome = await transaction(scene.server, caller, Resource.of(bundle))
    assert orjson.loads(outcome.resource or b"{}")["type"] == "transaction-response"


async def state(scene: Scene, task: Json) -> str:
    now = await scene.read(f"Task/{task['id']}")
    return str(now["businessStatus"]["coding"][0]["code"])


async def test_the_admission_becomes_the_referrals_planned_encounter(scene: Scene, accepted: Json) -> None:
    (planned,) = await scene.find("Encounter", based_on="ServiceRequest/sr1")
    await send(scene, admission())
    (encounter,) = await scene.find("Encounter", based_on="ServiceRequest/sr1")
    assert encounter["id"] == planned["id"]
    assert encounter["identifier"] == [{"system": VISIT, "value": "V1"}]
    assert encounter["status"] == "in-progress"
    assert encounter["class"] == {"code": "IMP"}
    assert await state(scene, accepted) == "in-progress"
    versions = await scene.server.store.history("Task", accepted["id"])
    codes = [orjson.loads(r.content)["businessStatus"]["coding"][0]["code"] for r in versions.records]
    assert codes == ["in-progress", "arrived", "accepted", "requested"]


async def test_the_task_says_when_the_patient_came_and_who_checked(scene: Scene, accepted: Json) -> None:
    await send(scene, admission())
    outputs = (await scene.read(f"Task/{accepted['id']}"))["output"]
    assert outputs[0]["valueDateTime"] == "2026-03-02T15:15:00+08:00"
    assert outputs[1]["valueCodeableConcept"]["coding"][0]["code"] == "admission"


async def test_the_link_survives_what_the_his_sends_later(scene: Scene, accepted: Json) -> None:
    await send(scene, admission())
    await send(scene, admission(status="finished"))
    (encounter,) = await scene.find("Encounter", based_on="ServiceRequest/sr1")
    assert encounter["status"] == "finished"
    assert await state(scene, accepted) == "in-progress"


async def test_an_encounter_that_first_arrives_and_then_starts_moves_the_task_twice(
    scene: Scene, accepted: Json
) -> None:
    await send(scene, admission(status="arrived"))
    assert await state(scene, accepted) == "arrived"
    await send(scene, admission(status="in-progress"))
    assert await state(scene, accepted) == "in-progress"


async def test_a_second_visit_is_an_encounter_of_its_own(scene: Scene, accepted: Json) -> None:
    await send(scene, admission())
    await send(scene, admission(visit="V2"))
    assert len(await scene.find("Encounter", based_on="ServiceRequest/sr1")) == 1
    assert len(await scene.find("Encounter", subject="Patient/p1")) == 2


async def test_another_patient_or_hospital_arrives_nothing(scene: Scene, accepted: Json) -> None:
    await send(scene, admission(patient="2"))
    await send(scene, admission(visit="V9", serviceProvider={"reference": "Organization/h3"}), H3)
    assert await state(scene, accepted) == "accepted"


async def test_a_visit_that_began_before_the_referral_does_not_arrive_it(
    scene: Scene, accepted: Json
) -> None:
    await scene.do(H2, accepted, "cancel", reason=("valueCode", "sent-in-error"))
    await send(scene, admission())
    await scene.put(service_request(id="sr2"), H2)
    copy = {name: value for name, value in accepted.items() if name not in {"id", "meta"}}
    task = copy | {"status": "requested", "focus": {"reference": "ServiceRequest/sr2"}}
    del task["businessStatus"]
    second = await scene.post(task, H2)
    await scene.do(H1, second, "accept")
    await send(scene, admission(location=[{"location": {"display": "换床"}}]))
    assert await state(scene, second) == "accepted"


@pytest.mark.parametrize(("priority", "expected"), [("stat", "in-progress"), ("urgent", "requested")])
async def test_only_an_emergency_arrives_before_it_was_accepted(
    scene: Scene, priority: str, expected: str
) -> None:
    await scene.put(
        {"resourceType": "Organization", "id": "h1", "identifier": [{"system": USCC, "value": "A"}]}
    )
    await scene.put(
        {"resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:id", "value": "1"}]}
    )
    task = await scene.referral(priority=priority)
    await send(scene, admission())
    assert await state(scene, task) == expected
    linked = await scene.find("Encounter", based_on="ServiceRequest/sr1")
    assert len(linked) == (1 if priority == "stat" else 0)


async def test_a_plain_encounter_by_rest_arrives_the_referral_too(scene: Scene, accepted: Json) -> None:
    encounter = {
        "resourceType": "Encounter",
        "status": "arrived",
        "class": {"code": "IMP"},
        "subject": {"reference": "Patient/p1"},
        "serviceProvider": {"reference": "Organization/h1"},
    }
    made = await scene.post(encounter, H1)
    assert made["basedOn"] == [{"reference": "ServiceRequest/sr1"}]
    assert await state(scene, accepted) == "arrived"
