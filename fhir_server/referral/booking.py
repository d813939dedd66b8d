"""Slots and Appointments of a booked referral: taken on ``$book``, given back on ``$cancel``.

Source: FHIR R4 slot.html, appointment.html.
"""

from __future__ import annotations

import orjson

from fhir_server.errors import Conflict
from fhir_server.interactions.context import Change
from fhir_server.model.resource import Json
from fhir_server.referral import task
from fhir_server.referral.records import edited, read_reference
from fhir_server.referral.workflow import Move, Workflow


async def keep_booking(change: Change, workflow: Workflow, move: Move) -> None:
    """Add what the move means for the booking. Raises Conflict when the Slot is no longer free."""
    assert change.after is not None
    booked = [text for _, text in task.references_of(change.after, [workflow.data["appointment"]])]
    if not booked:
        return
    if move.op == "book":
        await _take(change, booked[-1])
    if move.op == "cancel":
        await _release(change, booked[-1])


async def _take(change: Change, booking: str) -> None:
    for text in await _slots(change, booking):
        raw = await read_reference(change, text)
        status = orjson.loads(raw)["status"] if raw else None
        if text == booking and status not in {"free", "busy-tentative"}:
            raise Conflict(
                f"{text} is {status}, not free: choose another slot",
                rule="SLOT_TAKEN",
                expression="Task.output",
            )
        if raw and status != "busy":
            change.also(edited(raw, {"status": "busy"}))


async def _release(change: Change, booking: str) -> None:
    raw = await read_reference(change, booking)
    if raw and task.split(booking, "Appointment") and orjson.loads(raw)["status"] != "cancelled":
        change.also(edited(raw, {"status": "cancelled"}))
    for text in await _slots(change, booking):
        slot = await read_reference(change, text)
        if slot and orjson.loads(slot)["status"] != "free":
            change.also(edited(slot, {"status": "free"}))


async def _slots(change: Change, booking: str) -> list[str]:
    """The Slots that ``booking`` (an Appointment or a Slot) stands for."""
    if task.split(booking, "Slot"):
        return [booking]
    raw = await read_reference(change, booking)
    appointment: Json = orjson.loads(raw) if raw else {}
    return [text for slot in appointment.get("slot", ()) if (text := task.reference(slot))]
