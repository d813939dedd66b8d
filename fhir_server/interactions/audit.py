"""The record of what cannot be undone: an AuditEvent, written in the same transaction.

Source: FHIR R4 auditevent.html; value sets audit-event-type, object-lifecycle-events.
"""

from __future__ import annotations

from fhir_server.interactions.write import Corridor
from fhir_server.model.dates import instant
from fhir_server.model.resource import Json, Resource

TYPE = "AuditEvent"
_DESTROY: Json = {
    "system": "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle",
    "code": "destroy",
    "display": "Destroy/Delete Record Lifecycle Event",
}
_ERASURE: Json = {
    "system": "http://terminology.hl7.org/CodeSystem/dicom-audit-lifecycle",
    "code": "14",
    "display": "Permanent erasure / Physical destruction",
}
_INTERACTION = "http://hl7.org/fhir/restful-interaction"


async def record_erasure(writing: Corridor, interaction: str, type: str, id: str, told: str) -> None:
    """Keep who removed something of ``type/id`` for good, by which ``interaction``; ``told`` says what, in words."""
    event = {
        "resourceType": TYPE,
        "type": _DESTROY,
        "subtype": [{"system": _INTERACTION, "code": interaction}],
        "action": "D",
        "recorded": instant(writing.updated),
        "outcome": "0",
        "outcomeDesc": told,
        "agent": [_agent(writing)],
        "source": {"observer": {"display": "fhir-server"}},
        "entity": [{"what": {"reference": f"{type}/{id}"}, "lifecycle": _ERASURE}],
    }
    known = len(writing.pointers)
    await writing.put(Resource.of(event), writing.server.new_id(), None, method="POST")
    del writing.pointers[known:]  # it points to what is not here any more


def _agent(writing: Corridor) -> Json:
    caller = writing.caller
    who = {"reference": caller.organization} if caller.organization else {"display": caller.client}
    return {"who": who, "altId": caller.client, "requestor": True}
