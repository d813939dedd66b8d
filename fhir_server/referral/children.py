"""Child Tasks of a referral: the server makes them, their owner works on them, their completion has effects.

``review-reply`` closes the loop: the referral's ServiceRequest is completed when the sender has read the reply.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from fhir_server.errors import Conflict, Forbidden, Issue, NotFound, PreconditionRequired, Unprocessable
from fhir_server.interactions.context import Change
from fhir_server.model.resource import Json
from fhir_server.referral import task
from fhir_server.referral.records import edited
from fhir_server.referral.table import load_workflow

ORDER = ("requested", "received", "accepted", "in-progress", "completed")
"""A child Task only goes forward; completed is its end."""
OWNERS = frozenset(
    {"status", "statusReason", "businessStatus", "output", "note", "executionPeriod", "lastModified"}
)
"""Members that the owner of a child Task may change; all others stay as the server made them."""


async def check_child(change: Change) -> Sequence[Issue]:
    """Let only the server make a child Task and only its owner work on it. Raises as the rule for Task does."""
    if change.before is None:
        _require_server(change)
        return ()
    if change.after is None:
        raise Conflict(
            "a Task that belongs to a referral is not deleted", rule="DELETE_FORBIDDEN", code="business-rule"
        )
    if change.cause is None:
        _require_owner(change, change.before, change.after)
        _require_forward(change.before, change.after)
        now = change.server.now().astimezone(change.server.timezone).isoformat(timespec="milliseconds")
        change.replace(edited(change.raw, {"lastModified": now}))
    if change.after["status"] == "completed" != change.before["status"]:
        await _close(change, change.after)
    return ()


def _require_server(change: Change) -> None:
    if change.cause is None and not change.caller.system:
        raise Forbidden(
            "the server makes the child Tasks of a referral ($request-info and $complete do)",
            rule="MADE_BY_SERVER",
            expression="Task.code",
        )


def _require_owner(change: Change, before: Json, after: Json) -> None:
    owner, requester = task.reference(before.get("owner")), task.reference(before.get("requester"))
    if not change.caller.system and change.caller.organization not in {owner, requester}:
        raise NotFound(f"there is no Task/{before['id']}")
    if not change.caller.system and change.caller.organization != owner:
        raise Forbidden(
            "only the owner of this Task may work on it", rule="NOT_OWNER", expression="Task.owner"
        )
    if change.if_match is None and before["status"] != "completed":
        etag = f'W/"{before["meta"]["versionId"]}"'
        raise PreconditionRequired(
            f"send If-Match; the current version is {etag}",
            expression="http.If-Match",
            rule="IF_MATCH_REQUIRED",
            headers={"ETag": etag},
        )


def _require_forward(before: Json, after: Json) -> None:
    old, new = before["status"], after["status"]
    if new not in ORDER or ORDER.index(new) < ORDER.index(old):
        allowed = ", ".join(ORDER[ORDER.index(old) + 1 :]) or "nothing: it is finished"
        raise Conflict(
            f"this Task is {old}; its status may become {allowed}",
            code="business-rule",
            rule="ILLEGAL_TRANSITION",
            expression="Task.status",
        )
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    text = "Task.{}: this was set by the server and stays"
    locked = sorted(changed - OWNERS - {"meta", "text", "id"})
    if locked:
        raise Unprocessable(
            issues=[
                Issue("error", "business-rule", text.format(n), f"Task.{n}", "FIXED_ELEMENT") for n in locked
            ]
        )


async def _close(change: Change, child: Json) -> None:
    """Complete the ServiceRequest when this kind of child closes the loop."""
    kind = load_workflow().children[task.child_code(child) or ""]
    ids = [task.split(task.reference(based), "ServiceRequest") for based in child.get("basedOn", ())]
    for id in ids if kind.closes else ():
        record = await change.transaction.read("ServiceRequest", id or "")
        if record and not record.deleted and orjson.loads(record.content)["status"] != "completed":
            change.also(edited(record.content, {"status": "completed"}))
