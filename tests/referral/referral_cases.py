"""Building blocks of a referral: H2 (township) sends patient p1 to H1 (county)."""

from __future__ import annotations

from typing import Any

from fhir_server.referral.codes import BUSINESS_STATUS, CATEGORY, STANDARD_TASK_CODE, TASK_IO
from fhir_server.referral.workflow import Datum, Workflow

Json = dict[str, Any]
VALUES: dict[str, Json] = {
    "CodeableConcept": {"valueCodeableConcept": {"text": "x"}},
    "Reference": {"valueReference": {"reference": "DocumentReference/d1"}},
    "dateTime": {"valueDateTime": "2026-03-02T15:15:00+08:00"},
    "string": {"valueString": "x"},
}


def service_request(**changes: Any) -> Json:
    """A complete ServiceRequest of an upward referral; ``None`` leaves a member out."""
    data = {
        "resourceType": "ServiceRequest",
        "id": "sr1",
        "status": "active",
        "intent": "order",
        "category": [{"coding": [{"system": CATEGORY, "code": "referral-up"}]}],
        "subject": {"reference": "Patient/p1"},
        "requester": {"reference": "Organization/h2"},
        "reasonCode": [{"text": "胸痛待查"}],
        **changes,
    }
    return {name: value for name, value in data.items() if value is not None}


def referral_task(status: str | None, business: str | None, **changes: Any) -> Json:
    """The referral's Task with nothing but its parties and state."""
    coding = {"coding": [{"system": BUSINESS_STATUS, "code": business}]} if business else None
    data = {
        "resourceType": "Task",
        "id": "t1",
        "meta": {"versionId": "1"},
        "status": status,
        "businessStatus": coding,
        "intent": "order",
        "code": {"coding": [{"system": STANDARD_TASK_CODE, "code": "fulfill"}]},
        "focus": {"reference": "ServiceRequest/sr1"},
        "for": {"reference": "Patient/p1"},
        "requester": {"reference": "Organization/h2"},
        "owner": {"reference": "Organization/h1"},
        **changes,
    }
    return {name: value for name, value in data.items() if value is not None}


def entry(datum: Datum) -> Json:
    """An input or output that holds ``datum``."""
    value = VALUES[datum.value or "string"]
    if datum.vocabulary:
        value = {
            "valueCodeableConcept": {
                "coding": [{"system": datum.vocabulary.system, "code": datum.vocabulary.codes[0]}]
            }
        }
    return {"type": {"coding": [{"system": TASK_IO, "code": datum.io}]}, **value}


def everything(workflow: Workflow, op: str) -> Json:
    """The members of a Task that has all that ``op`` can need."""
    members: Json = {}
    for datum in (need for move in workflow.named(op) for need in move.requires):
        if datum.io:
            members.setdefault(datum.elements[0], []).append(entry(datum))
        elif datum.elements[0] == "statusReason":
            code = datum.vocabulary.codes[0] if datum.vocabulary else "any"
            system = datum.vocabulary.system if datum.vocabulary else "urn:x"
            members["statusReason"] = {"coding": [{"system": system, "code": code}]}
    return members
