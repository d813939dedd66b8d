"""The Parameters of a referral operation: which there are, and what each puts into the Task.

Source: FHIR R4 parameters.html, operationdefinition.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.errors import InvalidContent, Issue
from fhir_server.interactions.operations.definition import OWN, giving, taking
from fhir_server.interactions.operations.definition import definition as operation_definition
from fhir_server.model.resource import Json
from fhir_server.referral.codes import TASK_IO
from fhir_server.referral.records import Added
from fhir_server.referral.workflow import Datum, Workflow

ACCEPTED = {
    "CodeableConcept": ("valueCodeableConcept", "valueCoding", "valueCode", "valueString"),
    "Reference": ("valueReference",),
    "dateTime": ("valueDateTime", "valueInstant"),
    "string": ("valueString", "valueMarkdown"),
}
"""FHIR type of a datum → the members of a parameter that can give it."""
REPEATING = frozenset({"input", "note"})


def data_of(workflow: Workflow, op: str) -> dict[str, Datum]:
    """The parameters of ``op`` by name: what its moves require or take, and a comment."""
    moves = workflow.named(op)
    listed = [datum for move in moves for datum in (*move.requires, *move.takes)] + [workflow.data["comment"]]
    return {datum.parameter: datum for datum in listed if datum.parameter}


def members_of(known: Mapping[str, Datum], parameters: Json | None, author: str | None, now: str) -> Json:
    """The members of the Task that ``parameters`` set or add to.

    ``author`` (``Organization/h1``) and ``now`` sign a comment. Raises InvalidContent with every parameter
    that is unknown or has a value of another type.
    """
    given: Sequence[Json] = (parameters or {}).get("parameter", ())
    faults = [fault for index, entry in enumerate(given) if (fault := _fault(known, index, entry))]
    if faults:
        raise InvalidContent(issues=faults)
    members: dict[str, Any] = {}
    for entry in given:
        _put(members, known[entry["name"]], entry, author, now)
    return members


def _fault(known: Mapping[str, Datum], index: int, entry: Json) -> Issue | None:
    where = f"Parameters.parameter[{index}]"
    datum = known.get(entry.get("name", ""))
    if datum is None:
        listed = ", ".join(known)
        return Issue("error", "invalid", f"no such parameter; allowed: {listed}", f"{where}.name")
    accepted = ACCEPTED[datum.value or "string"]
    if not any(name in entry for name in accepted):
        return Issue(
            "error", "invalid", f"{datum.parameter} is given as {' or '.join(accepted)}", f"{where}.value[x]"
        )
    return None


def _put(members: dict[str, Any], datum: Datum, entry: Json, author: str | None, now: str) -> None:
    value, element = _value(datum, entry), datum.elements[0]
    if datum.io is not None:
        coded = {"coding": [{"system": TASK_IO, "code": datum.io}]}
        members.setdefault(element, Added()).append({"type": coded, f"value{_capital(datum.value)}": value})
    elif element == "note":
        signed = {"authorReference": {"reference": author}} if author else {}
        members.setdefault(element, Added()).append({**signed, "time": now, "text": value})
    else:
        members[element] = value


def _value(datum: Datum, entry: Json) -> Any:
    name = next(name for name in ACCEPTED[datum.value or "string"] if name in entry)
    return _concept(datum, name, entry[name]) if datum.value == "CodeableConcept" else entry[name]


def _concept(datum: Datum, name: str, value: Any) -> Json:
    if name == "valueCoding":
        return {"coding": [value]}
    if name == "valueCode":
        system = {"system": datum.vocabulary.system} if datum.vocabulary else {}
        return {"coding": [{**system, "code": value}]}
    concept: Json = {"text": value} if name == "valueString" else value
    return concept


def _capital(type: str | None) -> str:
    text = type or "string"
    return text[0].upper() + text[1:]


def definition(
    op: str, description: str, known: Mapping[str, Datum], required: frozenset[str], out: str
) -> Json:
    """The OperationDefinition of ``op`` on a Task; ``required`` are the parameters that must be there."""
    return operation_definition(
        f"task-{op}",
        op,
        description,
        [*[_parameter(name, datum, name in required) for name, datum in known.items()], giving(out)],
        resource="Task",
        affects_state=out == "Task",
        root=OWN,
    )


def _parameter(name: str, datum: Datum, is_required: bool) -> Json:
    most = "*" if datum.elements[0] in REPEATING else "1"
    return taking(name, datum.value or "string", datum.text, min=int(is_required), max=most)
