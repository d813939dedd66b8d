"""The rule for Task: every write of a referral Task, through whichever door, meets the guard here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from fhir_server.errors import Conflict, Issue, NotFound, PreconditionRequired, Unprocessable
from fhir_server.interactions.context import Change, Server
from fhir_server.model.resource import Json
from fhir_server.referral import guard, task
from fhir_server.referral.booking import keep_booking
from fhir_server.referral.children import check_child
from fhir_server.referral.codes import BUSINESS_STATUS
from fhir_server.referral.effects import enter
from fhir_server.referral.records import children_of, edited, read_json, read_reference
from fhir_server.referral.table import load_workflow
from fhir_server.referral.workflow import Move, State, Workflow
from fhir_server.security.caller import Caller
from fhir_server.store import Reading, Record


async def check_task(change: Change) -> Sequence[Issue]:
    """Let a referral Task be written only as the guard table allows, and write what follows from it.

    Other Tasks are not touched; one that becomes a referral's is judged like a new one. Raises NotFound,
    PreconditionRequired, Conflict, Forbidden or Unprocessable; sets the members that are the server's.
    """
    if _is_child(change.before) or _is_child(change.after):
        return await check_child(change)
    was = await _request_of(change, change.before)
    request = was or await _request_of(change, change.after)
    if request is None:
        return ()
    if change.after is None:
        _refuse_deletion(change)
    else:
        await _move(change, change.before if was else None, change.after, request)
    return ()


def _is_child(data: Json | None) -> bool:
    return data is not None and task.child_code(data) in load_workflow().children


async def _request_of(change: Change, data: Json | None) -> Json | None:
    """The ServiceRequest that ``data`` moves, when it is a referral Task."""
    if data is None or not task.is_coordination(data):
        return None
    request = await read_json(change, "ServiceRequest", task.service_request_id(data))
    return request if task.is_referral(request) else None


async def _move(change: Change, before: Json | None, after: Json, request: Json) -> None:
    workflow = load_workflow()
    if before is None and change.caller.system and not _begins(workflow, after):
        return
    require_if_match(change, before)
    move = guard.judge(
        workflow,
        guard.Attempt(
            before=before,
            after=after,
            service_request=request,
            caller=change.caller,
            operation=change.operation if change.cause is None else None,
            open_children=await open_questions(change.server, change.transaction, before),
        ),
    )
    if move is not None:
        await _require_references(change, move)
        await keep_booking(change, workflow, move)
    now = moment(change.server, after)
    state = workflow.states[move.target] if move else task.state_of(workflow, before)
    change.replace(edited(change.raw, _server_members(after, move, state, now)))
    if move is not None:
        await enter(change, workflow, move, now)


def _begins(workflow: Workflow, after: Json) -> bool:
    """False for a Task that the server itself takes over from elsewhere in the middle of its life (an import)."""
    target = task.target_of(workflow, None, after)
    return target is not None and workflow.between("new", target.name) is not None


def require_if_match(change: Change, before: Json | None) -> None:
    """Raises NotFound for who is no party, PreconditionRequired (with the current ETag) without ``If-Match``."""
    if before is None or change.cause is not None:
        return
    if not task.roles(before, change.caller):
        raise NotFound(f"there is no Task/{before['id']}")
    state = task.state_of(load_workflow(), before)
    if change.if_match is not None or state is None or state.terminal:
        return
    etag = f'W/"{before["meta"]["versionId"]}"'
    raise PreconditionRequired(
        f"a referral is moved by two sides: send If-Match; the current version is {etag}",
        expression="http.If-Match",
        rule="IF_MATCH_REQUIRED",
        headers={"ETag": etag},
    )


def _refuse_deletion(change: Change) -> None:
    assert change.before is not None
    sides = task.roles(change.before, change.caller)
    if not sides:
        raise NotFound(f"there is no Task/{change.before['id']}")
    if change.before.get("status") != "draft" or "sender" not in sides:
        raise Conflict(
            "only the sender deletes a referral Task, and only as a draft; use $cancel",
            code="business-rule",
            rule="DELETE_FORBIDDEN",
            expression="Task.status",
        )


async def open_questions(server: Server, reading: Reading, before: Json | None) -> tuple[str, ...]:
    """The ids of child Tasks that wait for the sender; read only in a state that has such children."""
    state = task.state_of(load_workflow(), before)
    if before is None or state is None or state.child is None:
        return ()
    found = await children_of(server, reading, before["id"], state.child)
    return tuple(child["id"] for child in found if child["status"] != "completed")


async def _require_references(change: Change, move: Move) -> None:
    """Raises Unprocessable unless what the move's data point to is here and of an allowed type."""
    assert change.after is not None
    faults = []
    for need, text in task.references_of(change.after, (*move.requires, *move.takes)):
        if need.targets and text.partition("/")[0] not in need.targets:
            listed = ", ".join(need.targets)
            faults.append(
                Issue("error", "value", f"{need.text} must be a {listed}", need.expression, "WRONG_TARGET")
            )
        elif await read_reference(change, text) is None:
            faults.append(
                Issue("error", "not-found", f"{text} is not here", need.expression, "REFERENCE_NOT_FOUND")
            )
    if faults:
        raise Unprocessable(issues=faults)


def _server_members(after: Json, move: Move | None, state: State | None, now: str) -> Json:
    """The members that the server sets: the state in full, the time, and no reason of an earlier state."""
    members: dict[str, Any] = {"lastModified": now}
    if state is not None and state.status is not None:
        members |= state_members(state)
    if move is not None and not any("statusReason" in need.elements for need in move.requires):
        members["statusReason"] = None
    if "authoredOn" not in after:
        members["authoredOn"] = now
    return members


def state_members(state: State) -> Json:
    """``status`` and ``businessStatus`` of a Task in ``state``."""
    coding = {"system": BUSINESS_STATUS, "code": state.business, "display": state.label}
    return {"status": state.status, "businessStatus": {"coding": [coding], "text": state.label}}


def moment(server: Server, data: Json) -> str:
    """Now, in the server's zone; never before ``authoredOn``, as R4's invariant inv-1 of Task demands."""
    now = server.now().astimezone(server.timezone)
    authored = data.get("authoredOn")
    if isinstance(authored, str) and "T" in authored and datetime.fromisoformat(authored) > now:
        return authored
    return now.isoformat(timespec="milliseconds")


async def explain_stale(server: Server, caller: Caller, current: Record) -> Sequence[Issue]:
    """What happened meanwhile, for who moves a referral Task with a stale ETag, and what is allowed now."""
    if current.deleted:
        return ()
    stored = orjson.loads(current.content)
    if not task.is_coordination(stored) or not task.roles(stored, caller):
        return ()
    workflow = load_workflow()
    state = task.state_of(workflow, stored)
    sides = {side for move in workflow.moves if state and move.target == state.name for side in move.who}
    moved = f"moved there by the {' or '.join(sorted(sides))}" if sides else "moved there meanwhile"
    now = ", ".join(guard.allowed(workflow, stored, caller)) or "nothing"
    text = (
        f"the referral is {guard.named(state)} since {stored.get('lastModified', 'a while')}, {moved}; "
        f"allowed for you now: {now}"
    )
    return (Issue("information", "business-rule", text, "Task.status", "STALE_VERSION"),)
