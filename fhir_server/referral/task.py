"""Reading a Task as a referral: its state, its parties, what it carries. Pure functions on JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_server.model.resource import Json
from fhir_server.referral.codes import BUSINESS_STATUS, CATEGORY, STANDARD_TASK_CODE, TASK_CODE, TASK_IO
from fhir_server.referral.workflow import Datum, State, Workflow
from fhir_server.security.caller import Caller


def codes(concepts: Json | list[Json] | None, system: str) -> list[str]:
    """The codes of ``system`` in a CodeableConcept or a list of them, in order."""
    listed = concepts if isinstance(concepts, list) else [concepts]
    codings = [
        coding for concept in listed if isinstance(concept, dict) for coding in concept.get("coding", ())
    ]
    return [coding["code"] for coding in codings if coding.get("system") == system and "code" in coding]


def reference(element: Json | None) -> str | None:
    """The literal reference in a Reference, without a version: ``Organization/h1``."""
    text = (element or {}).get("reference")
    return text.partition("/_history/")[0] if isinstance(text, str) else None


def split(text: str | None, type: str) -> str | None:
    """The id in ``text`` when it is a relative reference to ``type``."""
    kind, _, id = (text or "").partition("/")
    return id if kind == type and id and "/" not in id else None


def is_coordination(task: Json) -> bool:
    """True when ``task`` has the code *fulfill* and a ServiceRequest of this server as its focus."""
    is_fulfill = "fulfill" in codes(task.get("code"), STANDARD_TASK_CODE)
    return is_fulfill and service_request_id(task) is not None


def service_request_id(task: Json) -> str | None:
    """The id of the ServiceRequest that the Task is about."""
    return split(reference(task.get("focus")), "ServiceRequest")


def is_referral(service_request: Json | None) -> bool:
    """True for a ServiceRequest with a category of CodeSystem referral-category."""
    return bool(service_request and codes(service_request.get("category"), CATEGORY))


def child_code(task: Json) -> str | None:
    """What kind of child of a referral Task this is (``review-reply``), None when it is none."""
    return next(iter(codes(task.get("code"), TASK_CODE)), None) if task.get("partOf") else None


def roles(task: Json, caller: Caller) -> frozenset[str]:
    """Which sides of the referral ``caller`` is: sender, receiver, both (the server itself) or none."""
    if caller.system:
        return frozenset({"sender", "receiver"})
    sides = {"sender": "requester", "receiver": "owner"}
    return frozenset(
        side
        for side, member in sides.items()
        if caller.organization is not None and reference(task.get(member)) == caller.organization
    )


def business_code(task: Json | None) -> str | None:
    """The business status, a code of CodeSystem referral-business-status."""
    return next(iter(codes((task or {}).get("businessStatus"), BUSINESS_STATUS)), None)


def state_of(workflow: Workflow, task: Json | None) -> State | None:
    """The state a stored Task is in; None when its statuses name none of the table's."""
    if task is None:
        return workflow.states["new"]
    return workflow.state(task.get("status"), business_code(task)) or workflow.state(task.get("status"), None)


def target_of(workflow: Workflow, before: Json | None, after: Json) -> State | None:
    """The state that a write asks for.

    A business status that was left as it was (or left out) says nothing new: then the status decides,
    so a client that changes only ``status`` need not know our business statuses.
    """
    status, business = after.get("status"), business_code(after)
    is_new = business is not None and business != business_code(before)
    if is_new:
        return workflow.state(status, business)
    if before is not None and before.get("status") == status:
        return state_of(workflow, before)
    return workflow.state(status, None)


def priority(task: Json) -> str:
    """``Task.priority``, routine when it is absent (FHIR R4 request-priority)."""
    return str(task.get("priority", "routine"))


def entries(task: Json | None, datum: Datum) -> list[Json]:
    """The Task's inputs or outputs that hold ``datum``."""
    listed = (task or {}).get(datum.elements[0], ())
    return [entry for entry in listed if datum.io in codes(entry.get("type"), TASK_IO)]


def value_of(entry: Json) -> Any:
    """The value of an input or output, whatever its type."""
    return next((value for name, value in entry.items() if name.startswith("value")), None)


def references_of(task: Json, data: Iterable[Datum]) -> Iterator[tuple[Datum, str]]:
    """The literal references that ``data`` carry in the Task."""
    for datum in data:
        if datum.value == "Reference":
            yield from (
                (datum, text) for entry in entries(task, datum) if (text := reference(value_of(entry)))
            )
