"""The rule for ServiceRequest: the authorisation of a referral is the sender's, and follows its Task."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.errors import Conflict, Forbidden, Issue, NotFound, Unprocessable
from fhir_server.interactions.context import Change
from fhir_server.model.resource import Json
from fhir_server.referral import task
from fhir_server.referral.records import edited, tasks_about
from fhir_server.referral.table import load_workflow
from fhir_server.referral.workflow import State

BOUND = ("subject", "category", "intent")
"""What a receiver relies on once the referral was sent."""
NOT_YET_DECIDED = frozenset({"draft", "requested"})


async def check_service_request(change: Change) -> Sequence[Issue]:
    """Let only the sender edit a referral's ServiceRequest, and nobody its status while the Task is under way.

    Raises NotFound, Forbidden, Conflict or Unprocessable. What the server itself writes along with a Task
    passes.
    """
    known = change.before or change.after
    assert known is not None
    if change.cause is not None or not (task.is_referral(change.before) or task.is_referral(change.after)):
        return ()
    tasks = await tasks_about(change.server, change.transaction, known["id"])
    if change.before is None:
        _join(change, tasks)
        return ()
    for about in tasks:
        _require_sender(change, about)
        _require_unbound(change, about)
    return ()


def _join(change: Change, tasks: list[Json]) -> None:
    """A ServiceRequest that comes after its Task must not legalise one that nobody guarded."""
    for about in tasks:
        state = task.state_of(load_workflow(), about)
        if not change.caller.system and (state is None or state.name not in NOT_YET_DECIDED):
            raise Conflict(
                f"Task/{about['id']} already claims to work on this referral; write the ServiceRequest first",
                code="business-rule",
                rule="SERVICE_REQUEST_BOUND",
                expression="ServiceRequest.status",
            )
        if state and state.service_request:
            change.replace(edited(change.raw, {"status": state.service_request}))


def _require_sender(change: Change, about: Json) -> None:
    sides = task.roles(about, change.caller)
    if not sides:
        assert change.before is not None
        raise NotFound(f"there is no ServiceRequest/{change.before['id']}")
    if "sender" not in sides:
        raise Forbidden(
            "only the sending organisation edits the ServiceRequest of a referral; the receiver moves the Task",
            rule="NOT_REQUESTER",
            expression="ServiceRequest.requester",
        )


def _require_unbound(change: Change, about: Json) -> None:
    state = task.state_of(load_workflow(), about)
    if state is None or state.name == "draft":
        return
    if change.after is None:
        raise _bound(about, state, "it cannot be deleted")
    assert change.before is not None
    if not state.terminal and change.before.get("status") != change.after.get("status"):
        raise _bound(about, state, "its status follows the Task")
    locked = [name for name in BOUND if change.before.get(name) != change.after.get(name)]
    if locked:
        text = "ServiceRequest.{}: nobody may change this once the referral is sent"
        raise Unprocessable(
            issues=[
                Issue("error", "business-rule", text.format(name), f"ServiceRequest.{name}", "FIXED_ELEMENT")
                for name in locked
            ]
        )


def _bound(about: Json, state: State, text: str) -> Conflict:
    return Conflict(
        f"the ServiceRequest belongs to Task/{about['id']}, which is {state.status}/{state.business}: {text}; "
        "use $cancel",
        code="business-rule",
        rule="SERVICE_REQUEST_BOUND",
        expression="ServiceRequest.status",
    )
