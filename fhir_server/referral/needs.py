"""What a move needs and has not got, and what must not change: all of it, each issue with its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fhir_server.errors import Issue
from fhir_server.model.resource import Json
from fhir_server.referral import task
from fhir_server.referral.workflow import Datum, Move, State, Vocabulary, Workflow

SERVER_SET = frozenset({"id", "meta", "lastModified", "businessStatus"})
"""Members that the server sets anyway, or (tags in ``meta``) that say nothing about the work."""


def missing(move: Move, before: Json | None, after: Json, service_request: Json) -> list[Issue]:
    """An issue for everything that ``move`` requires and the two resources do not have."""
    resources = {"Task": after, "ServiceRequest": service_request}
    faults = [_fault(datum, move, before, resources[datum.resource]) for datum in move.requires]
    return [fault for fault in faults if fault is not None]


def absent(move: Move, stored: Json, service_request: Json) -> list[Datum]:
    """What ``move`` still needs when it is made on the Task as it is."""
    resources = {"Task": stored, "ServiceRequest": service_request}
    return [
        datum
        for datum in move.requires
        if datum.elements[0] == "statusReason" or not _is_present(datum, stored, resources[datum.resource])
    ]


def unanswered(move: Move, open_children: Sequence[str]) -> list[Issue]:
    """An issue for every child Task that must be completed before ``move``."""
    if not move.children_done:
        return []
    text = "{}: the question in Task/{} has not been answered (its status is not completed)"
    return [
        Issue("error", "business-rule", text.format(move.op, id), "Task.partOf", "OPEN_QUESTION")
        for id in open_children
    ]


def forbidden_edits(
    workflow: Workflow, before: Json, after: Json, state: State | None, sides: frozenset[str]
) -> list[Issue]:
    """An issue for every member that differs and that this side may not change in this state."""
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    if state is None or state.terminal:
        locked = changed - SERVER_SET - workflow.edits.closed
        reason = "a finished referral takes only notes, outputs and tags"
        return _locked(locked, reason) + _shrunk(workflow, changed, before, after)
    fixed = {"requester"} if state.name == "draft" else workflow.edits.fixed
    faults = _locked(changed & fixed, "nobody may change this once the referral is sent")
    if "sender" not in sides:
        faults += _locked(changed & workflow.edits.sender, "only the sending organisation may change this")
    return faults + ([] if state.name == "draft" else _shrunk(workflow, changed, before, after))


def _fault(datum: Datum, move: Move, before: Json | None, resource: Json) -> Issue | None:
    if not _is_present(datum, before, resource):
        return Issue(
            "error",
            "required",
            f"{move.op} needs {datum.text}",
            datum.expression,
            "MISSING_DATA",
            _remedy(datum),
        )
    if datum.name in {"sender", "receiver"} and not task.split(
        task.reference(resource[datum.elements[0]]), "Organization"
    ):
        return Issue(
            "error",
            "business-rule",
            f"{datum.expression} must be an Organization of this server",
            datum.expression,
            "NOT_AN_ORGANIZATION",
        )
    return _uncoded(datum, datum.vocabulary, resource) if datum.vocabulary else None


def _remedy(datum: Datum) -> str | None:
    return f"parameter of the operation: {datum.parameter}" if datum.parameter else None


def _is_present(datum: Datum, before: Json | None, resource: Json) -> bool:
    if datum.io is None:
        return any(resource.get(element) for element in datum.elements)
    held = task.entries(resource, datum)
    old = task.entries(before, datum) if datum.fresh else []
    return any(entry not in old and task.value_of(entry) is not None for entry in held)


def _uncoded(datum: Datum, vocabulary: Vocabulary, resource: Json) -> Issue | None:
    """The issue of a datum without one of the codes, or *other* without a text."""
    concept = task.value_of(task.entries(resource, datum)[-1]) if datum.io else resource[datum.elements[0]]
    given = [code for code in task.codes(concept, vocabulary.system) if code in vocabulary.codes]
    if given and (given[0] != "other" or concept.get("text")):
        return None
    listed = ", ".join(vocabulary.codes)
    text = f"{datum.text} must be one of {listed} (of {vocabulary.system}); other needs a text"
    return Issue("error", "business-rule", text, datum.expression, "UNCODED", _remedy(datum))


def _locked(members: Iterable[str], reason: str) -> list[Issue]:
    return [
        Issue("error", "business-rule", f"Task.{name}: {reason}", f"Task.{name}", "FIXED_ELEMENT")
        for name in sorted(members)
    ]


def _shrunk(workflow: Workflow, changed: set[str], before: Json, after: Json) -> list[Issue]:
    names = [
        name for name in sorted(changed & workflow.edits.growing) if _lost(before.get(name), after.get(name))
    ]
    return _locked(names, "entries may be added, not changed or removed")


def _lost(before: Any, after: Any) -> bool:
    return any(entry not in (after or ()) for entry in before or ())
