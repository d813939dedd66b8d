"""A patient arrives: the receiving hospital's Encounter becomes the referral's, and moves its Task.

The HIS knows nothing of the referral. It sends an Encounter by its own visit number; the planned
Encounter of the waiting referral is adopted for it, so everything that refers to the visit number
(results, reports) hangs on the referral.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from fhir_server.errors import Issue
from fhir_server.interactions.context import Change, Server
from fhir_server.model.resource import Json, Resource
from fhir_server.referral import guard, task
from fhir_server.referral.codes import IDENTITY_CHECK, TASK_IO
from fhir_server.referral.records import Added, edited, encounters_of, find, read_json, tasks_about
from fhir_server.referral.table import load_workflow
from fhir_server.referral.tasks import state_members
from fhir_server.security.caller import Caller
from fhir_server.store import Reading, Transaction

STEPS = {"arrived": ("arrive",), "triaged": ("arrive",), "in-progress": ("arrive", "start")}
"""Encounter.status → the operations that it means for the Task, as far as the table allows them."""
WAITING = ("requested", "received", "accepted")
BY_ADMISSION = {"system": IDENTITY_CHECK, "code": "admission", "display": "入院登记核对"}
"""How the identity was confirmed when the HIS registered the patient."""


async def check_encounter(change: Change) -> Sequence[Issue]:
    """Keep the link to the referral in an Encounter, and arrive the referral that waits for it."""
    if change.after is None:
        return ()
    await _keep_link(change)
    if change.cause is None and change.after.get("status") in STEPS:
        await _arrive(change, change.after)
    return ()


async def adopt_encounter(server: Server, transaction: Transaction, data: Json, caller: Caller) -> str | None:
    """The id of the planned Encounter that ``data``, an Encounter with a new visit number, really is."""
    if data.get("status") not in STEPS:
        return None
    found = await _waiting_task(server, transaction, data, caller)
    if found is None:
        return None
    owner = task.reference(found.get("owner"))
    visits = await encounters_of(server, transaction, task.service_request_id(found) or "", owner)
    planned = [visit for raw in visits if (visit := orjson.loads(raw))["status"] == "planned"]
    return str(planned[0]["id"]) if planned else None


async def _keep_link(change: Change) -> None:
    """The HIS's update does not know of ``basedOn``: a referral that stood there stays there."""
    assert change.after is not None
    sent = [task.reference(entry) for entry in change.after.get("basedOn", ())]
    lost = [entry for entry in (change.before or {}).get("basedOn", ()) if task.reference(entry) not in sent]
    kept = [entry for entry in lost if task.is_referral(await _request(change, entry))]
    if kept:
        change.replace(edited(change.raw, {"basedOn": Added(kept)}))


async def _request(change: Change, based_on: Json) -> Json | None:
    return await read_json(change, "ServiceRequest", task.split(task.reference(based_on), "ServiceRequest"))


async def _arrive(change: Change, encounter: Json) -> None:
    """Only an Encounter that begins now can be the one that a referral waits for, unless it is linked already."""
    found = await _linked_task(change, encounter)
    if found is None and (change.before or {}).get("status") not in STEPS:
        found = await _waiting_task(change.server, change.transaction, encounter, change.caller)
    if found is None:
        return
    link = {"reference": task.reference(found["focus"])}
    if link["reference"] not in [task.reference(entry) for entry in encounter.get("basedOn", ())]:
        raw = change.replacement.raw if change.replacement else change.raw
        change.replace(edited(raw, {"basedOn": Added([link])}))
    for resource in await _moved(change, found, encounter):
        change.also(resource)


async def _linked_task(change: Change, encounter: Json) -> Json | None:
    """The live Task of a referral that the Encounter is already based on."""
    for based_on in encounter.get("basedOn", ()):
        id = task.split(task.reference(based_on), "ServiceRequest")
        if id is None or not task.is_referral(await _request(change, based_on)):
            continue
        for about in await tasks_about(change.server, change.transaction, id):
            if "receiver" in task.roles(about, change.caller) and _is_here(about, encounter, change.caller):
                return about
    return None


async def _waiting_task(server: Server, reading: Reading, encounter: Json, caller: Caller) -> Json | None:
    """The newest referral of this patient to this hospital that may arrive now, booked and accepted ones first."""
    patient = task.reference(encounter.get("subject"))
    owner = task.reference(encounter.get("serviceProvider")) or caller.organization
    if patient is None or owner is None:
        return None
    raws = await find(server, reading, "Task", patient=patient, owner=owner, status=WAITING)
    tasks: list[Json] = [data for raw in raws if task.is_coordination(data := orjson.loads(raw))]
    may = [about for about in tasks if guard.refusal(load_workflow(), "arrive", about, caller) is None]
    for about in sorted(may, key=_urgency, reverse=True):
        if await _is_referral_task(reading, about):
            return about
    return None


async def _is_referral_task(reading: Reading, about: Json) -> bool:
    record = await reading.read("ServiceRequest", task.service_request_id(about) or "")
    return record is not None and not record.deleted and task.is_referral(orjson.loads(record.content))


def _urgency(about: Json) -> tuple[bool, str]:
    return about["status"] == "accepted", str(about.get("authoredOn", ""))


def _is_here(about: Json, encounter: Json, caller: Caller) -> bool:
    owner = task.reference(about.get("owner"))
    return owner == (task.reference(encounter.get("serviceProvider")) or caller.organization)


async def _moved(change: Change, about: Json, encounter: Json) -> list[Resource]:
    """The Task after each step that the Encounter's status means and the table allows, in order."""
    record = await change.transaction.read("Task", about["id"])
    assert record is not None
    workflow, resource = load_workflow(), Resource.parse(record.content)
    moved = []
    for op in STEPS[encounter["status"]]:
        state = task.state_of(workflow, resource.data)
        move = workflow.find(op, state.name) if state else None
        if move is None or guard.refusal(workflow, op, resource.data, change.caller) is not None:
            continue
        members = state_members(workflow.states[move.target]) | _outputs(change, op, encounter, resource.data)
        resource = edited(resource.raw, members)
        moved.append(resource)
    return moved


def _outputs(change: Change, op: str, encounter: Json, about: Json) -> Json:
    """What ``$arrive`` needs, as the HIS's registration tells it."""
    if op != "arrive":
        return {}
    now = change.server.now().astimezone(change.server.timezone).isoformat(timespec="seconds")
    start = encounter.get("period", {}).get("start", now)
    method = {"coding": [BY_ADMISSION]}
    values = {"arrival-time": {"valueDateTime": start}, "identity-check": {"valueCodeableConcept": method}}
    entries = [{"type": _io(code), **value} for code, value in values.items()]
    return {"output": Added(entries)}


def _io(code: str) -> Json:
    return {"coding": [{"system": TASK_IO, "code": code}]}
