"""``Task/[id]/$available-actions``: what is allowed now, for whom asks; why not; and what is missing.

The answer carries the ETag it is valid for, which is the ``If-Match`` of the move.
"""

from __future__ import annotations

from typing import Any

import orjson

from fhir_server.interactions.context import Invocation, Operation, Outcome, Server
from fhir_server.model.resource import Json
from fhir_server.referral import guard, needs, task
from fhir_server.referral.operations.moves import CHILD_OPERATION, referral_task
from fhir_server.referral.operations.parameters import definition
from fhir_server.referral.table import load_workflow
from fhir_server.referral.tasks import open_questions
from fhir_server.referral.workflow import Workflow
from fhir_server.security.caller import Caller


async def run(server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """Parameters: ``etag``, then one ``action`` per operation. Raises NotFound for who is no party."""
    record = await referral_task(server, caller, invocation.id)
    stored = orjson.loads(record.content)
    etag = f'W/"{record.version}"'
    actions = await _actions(server, caller, stored)
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "etag", "valueString": etag},
            *[{"name": "action", "part": a} for a in actions],
        ],
    }
    return Outcome(200, resource=orjson.dumps(body), headers={"ETag": etag})


async def _actions(server: Server, caller: Caller, stored: Json) -> list[list[Json]]:
    if not task.is_coordination(stored):
        return [_child_action(caller, stored)]
    workflow = load_workflow()
    request = await server.store.read("ServiceRequest", task.service_request_id(stored) or "")
    service_request = orjson.loads(request.content) if request and not request.deleted else {}
    waiting = await open_questions(server, server.store, stored)
    return [_action(workflow, op, caller, stored, service_request, waiting) for op in workflow.operations]


def _action(
    workflow: Workflow, op: str, caller: Caller, stored: Json, service_request: Json, waiting: tuple[str, ...]
) -> list[Json]:
    refused = guard.refusal(workflow, op, stored, caller)
    if refused is not None:
        return _part(op, refused.rule, refused.text)
    state = task.state_of(workflow, stored)
    move = workflow.find(op, state.name) if state else None
    assert move is not None
    missing = needs.absent(move, stored, service_request)
    names = [datum.parameter or datum.expression for datum in missing]
    names += [f"Task/{id}" for id in waiting if move.children_done]
    return _part(op) + [{"name": "missing", "valueString": name} for name in names]


def _child_action(caller: Caller, stored: Json) -> list[Json]:
    if stored["status"] == "completed":
        return _part(CHILD_OPERATION, "ILLEGAL_TRANSITION", "this Task is completed")
    is_owner = caller.system or task.reference(stored.get("owner")) == caller.organization
    return (
        _part(CHILD_OPERATION)
        if is_owner
        else _part(CHILD_OPERATION, "NOT_OWNER", "only its owner completes it")
    )


def _part(op: str, rule: str | None = None, text: str | None = None) -> list[Json]:
    part: list[dict[str, Any]] = [
        {"name": "operation", "valueCode": op},
        {"name": "allowed", "valueBoolean": rule is None},
    ]
    if rule is not None:
        part += [{"name": "reason", "valueCode": rule}, {"name": "text", "valueString": text}]
    return part


OPERATION = Operation(
    code="available-actions",
    types=("Task",),
    level="instance",
    affects_state=False,
    run=run,
    definition=definition(
        "available-actions",
        "What may be done with a referral Task now by whom asks; if not, why; what is missing; and the ETag.",
        {},
        frozenset(),
        "Parameters",
    ),
)
