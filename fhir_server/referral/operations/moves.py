"""One $operation per move of the guard table: ``$submit $receive $accept …``.

They are made from the table, because they differ in nothing else. Each builds the Task as it shall be
and updates it: the update meets the same guard as anybody's PUT.
"""

from __future__ import annotations

from functools import partial

import orjson

from fhir_server.errors import InvalidContent, NotFound, Unprocessable
from fhir_server.interactions.context import Invocation, Operation, Outcome, Server
from fhir_server.interactions.read import read
from fhir_server.interactions.update import update
from fhir_server.model.resource import Json
from fhir_server.referral import task
from fhir_server.referral.operations.parameters import data_of, definition, members_of
from fhir_server.referral.records import edited
from fhir_server.referral.table import load_workflow
from fhir_server.referral.tasks import moment, state_members
from fhir_server.security.caller import Caller
from fhir_server.store import Record

CHILD_OPERATION = "complete"
"""The one operation that a child Task has too: its owner has done what was asked."""


async def run_move(op: str, server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """Do ``op`` on the Task: the outcome is the Task as it is now.

    Raises NotFound for who is no party, PreconditionRequired without ``If-Match``, InvalidContent for
    parameters that ``op`` does not have, and what the guard raises.
    """
    record = await referral_task(server, caller, invocation.id)
    stored = orjson.loads(record.content)
    members = _members(op, server, caller, stored, invocation.parameters)
    if_match = None if invocation.if_match is None else f'W/"{invocation.if_match}"'
    return await update(
        server,
        caller,
        edited(record.content, members),
        id=record.id,
        if_match=if_match,
        operation=op,
        parameters=invocation.parameters,
    )


async def referral_task(server: Server, caller: Caller, id: str | None) -> Record:
    """The Task of an operation. Raises NotFound when there is none or the caller is no party of it."""
    if id is None:
        raise InvalidContent("this operation is called on one Task: Task/[id]/$…", code="required")
    record = (await read(server, caller, "Task", id)).record
    assert record is not None
    stored = orjson.loads(record.content)
    if not task.is_coordination(stored) and task.child_code(stored) not in load_workflow().children:
        raise Unprocessable(
            f"Task/{id} is not the Task of a referral", expression="Task.code", rule="NOT_A_REFERRAL"
        )
    if not task.roles(stored, caller):
        raise NotFound(f"there is no Task/{id}")
    return record


def _members(op: str, server: Server, caller: Caller, stored: Json, parameters: Json | None) -> Json:
    workflow = load_workflow()
    known, now = data_of(workflow, op), moment(server, stored)
    is_child = not task.is_coordination(stored)
    if is_child and op != CHILD_OPERATION:
        raise Unprocessable(
            f"this Task is a part of a referral; it can only be completed, not: {op}",
            expression="Task.code",
            rule="ILLEGAL_TRANSITION",
        )
    if is_child:
        comment = {"comment": known["comment"]}
        return {"status": "completed", **members_of(comment, parameters, caller.organization, now)}
    target = workflow.states[workflow.named(op)[0].target]
    given = members_of(known, parameters, caller.organization, now)
    return {"statusReason": None, **state_members(target), **given}


def _operation(op: str) -> Operation:
    workflow = load_workflow()
    moves = workflow.named(op)
    known = data_of(workflow, op)
    needed = frozenset(datum.parameter for move in moves for datum in move.requires if datum.parameter)
    sources = ", ".join(source for move in moves for source in move.sources if source != "new")
    who = " or ".join(sorted(moves[0].who))
    text = f"Moves a referral Task from {sources} to {moves[0].target}; for the {who}. If-Match is required."
    return Operation(
        code=op,
        types=("Task",),
        level="instance",
        affects_state=True,
        run=partial(run_move, op),
        definition=definition(op, text, known, needed, "Task"),
    )


MOVES: tuple[Operation, ...] = tuple(_operation(op) for op in load_workflow().operations)
