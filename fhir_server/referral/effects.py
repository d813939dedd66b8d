"""What else becomes true when a referral enters a state: written in the same transaction.

The states' columns in the guard table say what (ServiceRequest and Encounter status, child Task).
"""

from __future__ import annotations

import orjson

from fhir_server.interactions.context import Change
from fhir_server.model.resource import Json, Resource
from fhir_server.referral import task
from fhir_server.referral.codes import ACT_CODE, TASK_CODE
from fhir_server.referral.records import edited, encounters_of
from fhir_server.referral.workflow import Child, Move, State, Workflow

ENCOUNTER_ORDER = ("planned", "arrived", "triaged", "in-progress", "onleave", "finished")


async def enter(change: Change, workflow: Workflow, move: Move, now: str) -> None:
    """Add to ``change`` the companions that belong to the state the move leads to."""
    assert change.after is not None
    state = workflow.states[move.target]
    await _align_service_request(change, state)
    await _align_encounter(change, workflow, state)
    if state.child is not None:
        change.also(child_task(change, workflow.children[state.child], move, now))


async def _align_service_request(change: Change, state: State) -> None:
    """One that comes later in the same Bundle is not here yet: its own rule aligns it (``request.py``)."""
    assert change.after is not None
    record = await change.transaction.read("ServiceRequest", task.service_request_id(change.after) or "")
    if record is None or record.deleted or state.service_request is None:
        return
    if orjson.loads(record.content).get("status") != state.service_request:
        change.also(edited(record.content, {"status": state.service_request}))


async def _align_encounter(change: Change, workflow: Workflow, state: State) -> None:
    if state.encounter is None:
        return
    raw = await current_encounter(change)
    if raw is None and state.encounter not in {"cancelled", "finished"}:
        change.also(_planned_encounter(change, workflow, state.encounter))
    elif raw is not None and _leads_on(orjson.loads(raw)["status"], state.encounter):
        change.also(edited(raw, {"status": state.encounter, **_period(change, workflow, orjson.loads(raw))}))


async def current_encounter(change: Change) -> bytes | None:
    """The referral's Encounter at the receiving organisation that is not over yet, if there is one."""
    assert change.after is not None
    owner, request = task.reference(change.after.get("owner")), task.service_request_id(change.after)
    found = await encounters_of(change.server, change.transaction, request or "", owner)
    return next((raw for raw in found if orjson.loads(raw)["status"] in ENCOUNTER_ORDER[:-1]), None)


def _leads_on(status: str, target: str) -> bool:
    """True when an Encounter goes forward from ``status`` to ``target``; only a planned one is cancelled."""
    if target == "cancelled":
        return status == "planned"
    return ENCOUNTER_ORDER.index(status) < ENCOUNTER_ORDER.index(target)


def _planned_encounter(change: Change, workflow: Workflow, status: str) -> Resource:
    """The Encounter at the receiving organisation; the class is a first guess that its HIS corrects on arrival."""
    assert change.after is not None
    code, display = ("EMER", "emergency") if task.priority(change.after) == "stat" else ("AMB", "ambulatory")
    members = {
        "resourceType": "Encounter",
        "status": status,
        "class": {"system": ACT_CODE, "code": code, "display": display},
        "subject": change.after.get("for"),
        "basedOn": [{"reference": task.reference(change.after["focus"])}],
        "serviceProvider": change.after.get("owner"),
        **_period(change, workflow, {}),
    }
    return _made(members)


def _made(members: Json) -> Resource:
    """A resource of ``members``, those that are None left out."""
    return Resource.of({name: value for name, value in members.items() if value is not None})


def _period(change: Change, workflow: Workflow, encounter: Json) -> Json:
    """``Encounter.period`` from the arrival time that the Task tells, unless the Encounter has one."""
    assert change.after is not None
    times = [task.value_of(entry) for entry in task.entries(change.after, workflow.data["arrival-time"])]
    return {"period": {"start": times[-1]}} if times and "period" not in encounter else {}


def child_task(change: Change, child: Child, move: Move, now: str) -> Resource:
    """The Task that is now the sender's turn: what to do, about what, for which referral."""
    parent = change.after
    assert parent is not None
    this = {"reference": f"Task/{parent['id']}"}
    asked = [
        entry for entry in parent.get("input", ()) if entry not in (change.before or {}).get("input", ())
    ]
    replies = [need for need in move.requires if need.name == "reply"]
    answers = [task.value_of(entry) for need in replies for entry in task.entries(parent, need)]
    members = {
        "resourceType": "Task",
        "groupIdentifier": parent.get("groupIdentifier"),
        "basedOn": [{"reference": task.reference(parent["focus"])}],
        "partOf": [this],
        "status": "requested",
        "intent": "order",
        "priority": parent.get("priority"),
        "code": {"coding": [{"system": TASK_CODE, "code": child.code, "display": child.label}]},
        "focus": answers[-1] if answers else this,
        "for": parent.get("for"),
        "authoredOn": now,
        "lastModified": now,
        "requester": parent.get("owner"),
        "owner": parent.get("requester"),
        "reasonCode": parent.get("statusReason"),
        "input": asked or None,
    }
    return _made(members)
