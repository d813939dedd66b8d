"""One referral through its operations, on a real store: who may, what follows, and how the loop closes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from referral_cases import referral_task, service_request
from referral_scene import H1, H2, H3, PARTIES, Json, Scene

from fhir_server.errors import (
    Conflict,
    Forbidden,
    InvalidContent,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    Unprocessable,
)

ARRIVAL: Json = {
    "arrival_time": ("valueDateTime", "2026-03-02T15:15:00+08:00"),
    "identity_check": ("valueCode", "id-card"),
}
REJECT: Json = {"reason": ("valueCode", "no-capacity")}
CANCEL: Json = {"reason": ("valueCode", "patient-declined")}
Reply = Callable[[], Awaitable[Json]]


def business(task: Json) -> str:
    return f"{task['status']}/{task['businessStatus']['coding'][0]['code']}"


async def test_the_whole_way_up_and_back(scene: Scene, reply: Reply) -> None:
    task = await scene.referral("draft")
    assert business(task) == "draft/draft"
    task = await scene.do(H2, task, "submit")
    assert business(task) == "requested/requested"
    assert task["businessStatus"]["text"] == "待受理"
    assert (await scene.read("ServiceRequest/sr1"))["status"] == "active"

    await scene.do(H1, task, "receive")
    task = await scene.do(H1, task, "accept", comment=("valueString", "心内科 7 床"))
    assert business(task) == "accepted/accepted"
    assert task["note"][0]["text"] == "心内科 7 床"
    assert task["note"][0]["authorReference"] == {"reference": "Organization/h1"}
    (planned,) = await scene.find("Encounter", based_on="ServiceRequest/sr1")
    assert planned["status"] == "planned"
    assert planned["serviceProvider"] == {"reference": "Organization/h1"}
    assert planned["subject"] == {"reference": "Patient/p1"}

    task = await scene.do(H1, task, "arrive", **ARRIVAL)
    assert business(task) == "in-progress/arrived"
    arrived = await scene.read(f"Encounter/{planned['id']}")
    assert arrived["status"] == "arrived"
    assert arrived["period"] == {"start": "2026-03-02T15:15:00+08:00"}

    task = await scene.do(H1, task, "start")
    assert business(task) == "in-progress/in-progress"
    task = await scene.do(H1, task, "complete", **await reply())
    assert business(task) == "completed/completed"
    assert (await scene.read(f"Encounter/{planned['id']}"))["status"] == "finished"
    assert (await scene.read("ServiceRequest/sr1"))["status"] == "active"

    (child,) = await scene.find("Task", part_of=f"Task/{task['id']}")
    assert child["owner"] == {"reference": "Organization/h2"}
    assert child["requester"] == {"reference": "Organization/h1"}
    assert child["focus"] == {"reference": "DocumentReference/letter"}
    child = await scene.do(H2, child, "complete")
    assert child["status"] == "completed"
    assert (await scene.read("ServiceRequest/sr1"))["status"] == "completed"


async def test_each_inbox_is_one_search(scene: Scene) -> None:
    task = await scene.referral()
    inbox = await scene.find("Task", owner="Organization/h1", status=["requested", "received"])
    assert [entry["id"] for entry in inbox] == [task["id"]]


async def test_a_question_and_its_answer(scene: Scene) -> None:
    task = await scene.referral()
    await scene.do(H1, task, "receive")
    questions = [("valueString", "既往有无出血史？"), ("valueString", "何时服用阿司匹林？")]
    task = await scene.do(H1, task, "request-info", reason=("valueString", "资料不全"), question=questions)
    assert business(task) == "received/awaiting-information"
    (child,) = await scene.find("Task", part_of=f"Task/{task['id']}")
    assert [entry["valueString"] for entry in child["input"]] == [question for _, question in questions]
    assert child["owner"] == {"reference": "Organization/h2"}

    error = await scene.refused(scene.do(H2, task, "supply-info"))
    assert isinstance(error, Unprocessable)
    assert error.issues[0].rule == "OPEN_QUESTION"
    actions = await scene.actions(H2, task)
    assert actions["supply-info"]["missing"] == [f"Task/{child['id']}"]

    await scene.do(H2, child, "complete", comment=("valueString", "无出血史；08:30"))
    task = await scene.do(H2, task, "supply-info")
    assert business(task) == "received/received"
    assert "statusReason" not in task
    task = await scene.do(H1, task, "accept")
    assert business(task) == "accepted/accepted"


async def test_a_refusal_needs_a_coded_reason_and_leaves_the_request_usable(scene: Scene) -> None:
    task = await scene.referral()
    error = await scene.refused(scene.do(H1, task, "reject"))
    assert isinstance(error, Unprocessable)
    assert [issue.expression for issue in error.issues] == ["Task.statusReason"]
    task = await scene.do(H1, task, "reject", **REJECT)
    assert business(task) == "rejected/rejected"
    assert task["statusReason"]["coding"][0]["code"] == "no-capacity"
    assert (await scene.read("ServiceRequest/sr1"))["status"] == "active"


async def test_a_booking_takes_the_slot_and_a_cancellation_gives_it_back(scene: Scene) -> None:
    await scene.put({"resourceType": "Schedule", "id": "s", "actor": [{"reference": "Location/ward"}]}, H1)
    slot = {
        "resourceType": "Slot",
        "id": "slot1",
        "schedule": {"reference": "Schedule/s"},
        "status": "free",
        "start": "2026-03-03T08:00:00+08:00",
        "end": "2026-03-03T08:30:00+08:00",
    }
    await scene.put(slot, H1)
    task = await scene.referral()
    await scene.do(H1, task, "accept")
    booking = {"appointment": ("valueReference", {"reference": "Slot/slot1"})}
    task = await scene.do(H2, task, "book", **booking)
    assert business(task) == "accepted/booked"
    assert (await scene.read("Slot/slot1"))["status"] == "busy"

    other = await _second_referral(scene)
    error = await scene.refused(scene.do(H1, other, "book", **booking))
    assert isinstance(error, Conflict)
    assert error.issues[0].rule == "SLOT_TAKEN"

    task = await scene.do(H2, task, "cancel", **CANCEL)
    assert business(task) == "cancelled/cancelled"
    assert (await scene.read("Slot/slot1"))["status"] == "free"
    assert (await scene.read("ServiceRequest/sr1"))["status"] == "revoked"
    (encounter,) = await scene.find("Encounter", based_on="ServiceRequest/sr1")
    assert encounter["status"] == "cancelled"


async def _second_referral(scene: Scene) -> Json:
    await scene.put(service_request(id="sr2"), H2)
    task = referral_task(
        "requested", "requested", focus={"reference": "ServiceRequest/sr2"}, id=None, meta=None
    )
    made = await scene.post(task, H2)
    return await scene.do(H1, made, "accept")


async def test_a_booking_must_name_something_that_is_here(scene: Scene) -> None:
    task = await scene.referral()
    await scene.do(H1, task, "accept")
    nowhere = {"appointment": ("valueReference", {"reference": "Appointment/nowhere"})}
    error = await scene.refused(scene.do(H1, task, "book", **nowhere))
    assert error.issues[0].rule == "REFERENCE_NOT_FOUND"
    patient = {"appointment": ("valueReference", {"reference": "Patient/p1"})}
    error = await scene.refused(scene.do(H1, task, "book", **patient))
    assert error.issues[0].rule == "WRONG_TARGET"


async def test_an_emergency_arrives_without_being_accepted_and_cannot_be_refused(scene: Scene) -> None:
    task = await scene.referral(priority="stat")
    error = await scene.refused(scene.do(H1, task, "reject", **REJECT))
    assert isinstance(error, Conflict)
    assert error.issues[0].rule == "NOT_FOR_PRIORITY"
    task = await scene.do(H1, task, "arrive", **ARRIVAL)
    assert business(task) == "in-progress/arrived"
    (encounter,) = await scene.find("Encounter", based_on="ServiceRequest/sr1")
    assert encounter["status"] == "arrived"
    assert encounter["class"]["code"] == "EMER"


# ── conflicts ─────────────────────────────────────────────────────────────────


async def test_a_second_accept_with_the_old_etag_is_told_what_happened(scene: Scene) -> None:
    task = await scene.referral()
    await scene.do(H1, task, "accept")
    error = await scene.refused(scene.do(H1, task, "accept", if_match='W/"1"'))
    assert isinstance(error, PreconditionFailed)
    assert error.headers["ETag"] == 'W/"2"'
    assert "the referral is accepted/accepted since" in error.issues[1].text
    assert "allowed for you now: book, arrive, start" in error.issues[1].text


async def test_a_second_accept_is_an_illegal_transition(scene: Scene) -> None:
    task = await scene.referral()
    await scene.do(H1, task, "accept")
    error = await scene.refused(scene.do(H1, task, "accept"))
    assert isinstance(error, Conflict)
    assert error.issues[0].rule == "ILLEGAL_TRANSITION"
    assert error.issues[0].code == "business-rule"


async def test_without_if_match_the_current_etag_is_told(scene: Scene) -> None:
    task = await scene.referral()
    error = await scene.refused(scene.do(H1, task, "accept", if_match=None))
    assert isinstance(error, PreconditionRequired)
    assert error.headers["ETag"] == 'W/"1"'
    changed = await scene.read(f"Task/{task['id']}") | {"status": "accepted"}
    error = await scene.refused(scene.put(changed, H1))
    assert isinstance(error, PreconditionRequired)


async def test_a_stranger_does_not_even_learn_that_the_task_is_there(scene: Scene) -> None:
    task = await scene.referral()
    assert isinstance(await scene.refused(scene.do(H3, task, "accept")), NotFound)
    assert isinstance(await scene.refused(scene.do(H3, task, "available-actions")), NotFound)
    changed = await scene.read(f"Task/{task['id']}") | {"status": "accepted"}
    assert isinstance(await scene.refused(scene.put(changed, H3, 'W/"1"')), NotFound)
    assert isinstance(await scene.refused(scene.put(changed, H3)), NotFound)


async def test_the_sender_cannot_accept_for_the_receiver(scene: Scene) -> None:
    task = await scene.referral()
    error = await scene.refused(scene.do(H2, task, "accept"))
    assert isinstance(error, Forbidden)
    assert error.issues[0].rule == "NOT_OWNER"


async def test_unknown_parameters_and_wrong_types_are_named_at_once(scene: Scene) -> None:
    task = await scene.referral()
    wrong = {"raeson": ("valueCode", "duplicate"), "reason": ("valueInteger", 3)}
    error = await scene.refused(scene.do(H1, task, "reject", **wrong))
    assert isinstance(error, InvalidContent)
    assert [issue.expression for issue in error.issues] == [
        "Parameters.parameter[0].name",
        "Parameters.parameter[1].value[x]",
    ]


@pytest.mark.parametrize("side", ["H1", "H2"])
async def test_available_actions_are_what_then_succeeds_and_nothing_else(scene: Scene, side: str) -> None:
    task = await scene.referral()
    actions = await scene.actions(PARTIES[side], task)
    allowed = {op for op, action in actions.items() if action["allowed"]}
    assert allowed == ({"receive", "accept", "reject"} if side == "H1" else {"cancel"})
    assert actions["reject" if side == "H1" else "cancel"]["missing"] == ["reason"]
    for op in actions.keys() - allowed:
        error = await scene.refused(scene.do(PARTIES[side], task, op))
        assert error.issues[0].rule == actions[op]["reason"]


async def test_available_actions_carry_the_etag_they_are_valid_for(scene: Scene) -> None:
    task = await scene.referral()
    answer = await scene.do(H1, task, "available-actions", if_match=None)
    assert answer["parameter"][0] == {"name": "etag", "valueString": 'W/"1"'}


# ── the plain door ────────────────────────────────────────────────────────────


async def test_a_plain_put_moves_the_task_as_the_operation_does(scene: Scene) -> None:
    task = await scene.referral()
    changed = await scene.put(task | {"status": "accepted"}, H1, 'W/"1"')
    assert business(changed) == "accepted/accepted"
    assert len(await scene.find("Encounter", based_on="ServiceRequest/sr1")) == 1


async def test_a_plain_put_keeps_the_clients_numbers(scene: Scene) -> None:
    from fhir_server.interactions.update import update
    from fhir_server.model.resource import Resource

    task = await scene.referral()
    task["input"] = [{"type": {"text": "体温"}, "valueDecimal": 0}]
    raw = orjson.dumps(task | {"status": "accepted"}).replace(b'"valueDecimal":0', b'"valueDecimal":37.50')
    outcome = await update(scene.server, H1, Resource.parse(raw), id=task["id"], if_match='W/"1"')
    assert outcome.record is not None
    assert b'"valueDecimal":37.50' in outcome.record.content
    moved = await scene.do(H1, task, "start")
    assert moved["status"] == "in-progress"
    record = await scene.server.store.read("Task", task["id"])
    assert record is not None
    assert b'"valueDecimal":37.50' in record.content


async def test_the_server_sets_the_time_and_never_before_authored_on(scene: Scene) -> None:
    task = await scene.referral()
    assert task["lastModified"] == task["authoredOn"] == "2026-03-02T09:12:00.000+08:00"
    later = await scene.put(
        task | {"lastModified": "1999-01-01T00:00:00+08:00", "note": [{"text": "x"}]}, H2, 'W/"1"'
    )
    assert later["lastModified"] == "2026-03-02T09:12:00.000+08:00"


async def test_a_task_is_not_made_in_the_middle_of_its_life(scene: Scene) -> None:
    await scene.put(service_request(), H2)
    task = referral_task("accepted", "accepted", id=None, meta=None)
    error = await scene.refused(scene.post(task, H2))
    assert isinstance(error, Conflict)
    error = await scene.refused(scene.post(task, H1))
    assert error.issues[0].rule in {"NOT_REQUESTER", "ILLEGAL_TRANSITION"}


async def test_a_task_that_becomes_a_referrals_is_judged_like_a_new_one(scene: Scene) -> None:
    await scene.put(service_request(), H2)
    other = referral_task("accepted", None, id=None, meta=None, code={"text": "something else"})
    made = await scene.post(other, H2)
    smuggled = referral_task("accepted", "accepted", id=made["id"])
    error = await scene.refused(scene.put(smuggled, H2, 'W/"1"'))
    assert isinstance(error, Conflict)


async def test_a_request_that_comes_after_its_task_does_not_legalise_it(scene: Scene) -> None:
    await scene.post(referral_task("accepted", None, id=None, meta=None), H2)
    error = await scene.refused(scene.put(service_request(), H2))
    assert isinstance(error, Conflict)
    assert error.issues[0].rule == "SERVICE_REQUEST_BOUND"


async def test_what_is_missing_for_a_submission_is_named_at_once(scene: Scene) -> None:
    await scene.put(service_request(reasonCode=None, requester=None), H2)
    task = referral_task("requested", "requested", id=None, meta=None, owner=None)
    error = await scene.refused(scene.post(task, H2))
    assert isinstance(error, Unprocessable)
    assert [issue.expression for issue in error.issues] == [
        "Task.owner",
        "ServiceRequest.requester",
        "ServiceRequest.reasonCode",
    ]


async def test_other_tasks_are_not_touched(scene: Scene) -> None:
    other = {"resourceType": "Task", "id": "x", "status": "in-progress", "intent": "order"}
    await scene.put(other, H3)
    changed = await scene.put(other | {"status": "completed"}, H1)
    assert changed["status"] == "completed"
    assert "businessStatus" not in changed


async def test_only_a_draft_is_deleted_and_only_by_its_sender(scene: Scene) -> None:
    from fhir_server.interactions.delete import delete

    task = await scene.referral("draft")
    assert isinstance(await scene.refused(delete(scene.server, H3, "Task", task["id"])), NotFound)
    assert isinstance(await scene.refused(delete(scene.server, H1, "Task", task["id"])), Conflict)
    await scene.do(H2, task, "submit")
    assert isinstance(await scene.refused(delete(scene.server, H2, "Task", task["id"])), Conflict)


# ── child Tasks and the ServiceRequest ────────────────────────────────────────


async def _child(scene: Scene, reply: Reply) -> Json:
    task = await scene.referral(priority="stat")
    await scene.do(H1, task, "arrive", **ARRIVAL)
    await scene.do(H1, task, "start")
    await scene.do(H1, task, "complete", **await reply())
    (child,) = await scene.find("Task", part_of=f"Task/{task['id']}")
    return child


async def test_only_its_owner_works_on_a_child_task(scene: Scene, reply: Reply) -> None:
    child = await _child(scene, reply)
    done = child | {"status": "completed"}
    assert isinstance(await scene.refused(scene.put(done, H3, 'W/"1"')), NotFound)
    assert isinstance(await scene.refused(scene.put(done, H1, 'W/"1"')), Forbidden)
    assert isinstance(await scene.refused(scene.put(done, H2)), PreconditionRequired)
    other = done | {"focus": {"reference": "DocumentReference/other"}}
    assert isinstance(await scene.refused(scene.put(other, H2, 'W/"1"')), Unprocessable)
    assert (await scene.put(done, H2, 'W/"1"'))["status"] == "completed"
    assert isinstance(await scene.refused(scene.put(child, H2, 'W/"2"')), Conflict)


async def test_nobody_makes_a_child_task_by_hand(scene: Scene, reply: Reply) -> None:
    child = await _child(scene, reply)
    copy: dict[str, Any] = {name: value for name, value in child.items() if name not in {"id", "meta"}}
    assert isinstance(await scene.refused(scene.post(copy, H2)), Forbidden)


async def test_the_request_is_the_senders_and_its_status_follows_the_task(scene: Scene) -> None:
    from fhir_server.interactions.delete import delete

    await scene.referral()
    request = await scene.read("ServiceRequest/sr1")
    assert isinstance(await scene.refused(scene.put(request | {"note": [{"text": "x"}]}, H1)), Forbidden)
    assert isinstance(await scene.refused(scene.put(request | {"note": [{"text": "x"}]}, H3)), NotFound)
    assert isinstance(await scene.refused(scene.put(request | {"status": "revoked"}, H2)), Conflict)
    assert isinstance(await scene.refused(delete(scene.server, H2, "ServiceRequest", "sr1")), Conflict)
    other = request | {"subject": {"reference": "Patient/p2"}}
    assert isinstance(await scene.refused(scene.put(other, H2)), Unprocessable)
    changed = await scene.put(request | {"note": [{"text": "补充"}]}, H2)
    assert changed["note"] == [{"text": "补充"}]
