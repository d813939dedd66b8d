"""The one guard: may this caller bring the Task from what it was to what it is to be?

``judge`` is pure. Both doors end here: a plain PUT or PATCH (the operation is derived from the
difference) and a $operation (which names itself). Order of refusal: not a party (404, the Task's
existence is hidden), wrong side (403), no such move (409), priority (409), then everything that is
missing or must not change, at once (422).
Source: the conflict table of the referral model; FHIR R4 task.html#statemachine.
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.errors import Conflict, Forbidden, NotFound, Unprocessable
from fhir_server.model.resource import Json
from fhir_server.referral import needs, task
from fhir_server.referral.workflow import Move, State, Workflow
from fhir_server.security.caller import Caller

SIDES = {
    "sender": ("NOT_REQUESTER", "the sending organisation (Task.requester)"),
    "receiver": ("NOT_OWNER", "the receiving organisation (Task.owner)"),
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A write of a referral Task. ``before`` None: it is new. ``open_children``: ids of unanswered questions."""

    before: Json | None
    after: Json
    service_request: Json
    caller: Caller
    operation: str | None = None
    open_children: tuple[str, ...] = ()

    @property
    def known(self) -> Json:
        """The Task whose parties and priority count: as it was, or the new one."""
        return self.before or self.after


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a move is not allowed now: a rule code (``ILLEGAL_TRANSITION``) and a text."""

    rule: str
    text: str


def judge(workflow: Workflow, attempt: Attempt) -> Move | None:
    """The move that ``attempt`` makes, None when it only edits.

    Raises NotFound, Forbidden, Conflict or Unprocessable (with every fault) when the table refuses it.
    """
    sides = task.roles(attempt.known, attempt.caller)
    if not sides:
        raise _hidden(attempt)
    source = task.state_of(workflow, attempt.before)
    move = _move(workflow, attempt, source)
    faults = (
        needs.forbidden_edits(workflow, attempt.before, attempt.after, source, sides)
        if attempt.before
        else []
    )
    if move is not None:
        faults += needs.missing(move, attempt.before, attempt.after, attempt.service_request)
        faults += needs.unanswered(move, attempt.open_children)
    if faults:
        raise Unprocessable(issues=faults)
    return move


def refusal(workflow: Workflow, op: str, stored: Json, caller: Caller) -> Refusal | None:
    """Why ``caller`` may not do ``op`` on the Task as it is now; None when the table allows it."""
    source = task.state_of(workflow, stored)
    sides = task.roles(stored, caller)
    side = _wrong_side(workflow, op, sides)
    move = workflow.find(op, source.name) if source else None
    return side or _no_move(move, op, source) or _wrong_priority(move, op, stored)


def allowed(workflow: Workflow, stored: Json, caller: Caller) -> list[str]:
    """The operations that the table allows ``caller`` now."""
    return [op for op in workflow.operations if refusal(workflow, op, stored, caller) is None]


def _move(workflow: Workflow, attempt: Attempt, source: State | None) -> Move | None:
    target = task.target_of(workflow, attempt.before, attempt.after)
    if attempt.operation is None and source is target and source is not None:
        return None
    op = attempt.operation or _derived(workflow, source, target)
    found = workflow.find(op, source.name) if op and source else None
    if op is not None and (refused := _wrong_side(workflow, op, task.roles(attempt.known, attempt.caller))):
        raise Forbidden(refused.text, rule=refused.rule, expression="Task.status")
    if op is None or found is None or found.target != (target.name if target else None):
        raise _illegal(workflow, attempt, op, source, target)
    if refused := _wrong_priority(found, op, attempt.known):
        raise _conflict(workflow, attempt, op, source, refused)
    return found


def _derived(workflow: Workflow, source: State | None, target: State | None) -> str | None:
    if source is None or target is None:
        return None
    move = workflow.between(source.name, target.name)
    return move.op if move else None


def _wrong_side(workflow: Workflow, op: str, sides: frozenset[str]) -> Refusal | None:
    who = frozenset(side for move in workflow.named(op) for side in move.who)
    if not who or who & sides:
        return None
    rule, name = SIDES[min(who)]
    return Refusal(rule, f"only {name} may {op}")


def _no_move(move: Move | None, op: str, source: State | None) -> Refusal | None:
    if move is not None:
        return None
    return Refusal("ILLEGAL_TRANSITION", f"{op} is not allowed from {named(source)}")


def _wrong_priority(move: Move | None, op: str, stored: Json) -> Refusal | None:
    now = task.priority(stored)
    if move is None or now in move.priorities:
        return None
    only = ", ".join(move.priorities)
    return Refusal("NOT_FOR_PRIORITY", f"{op} from here is only for priority {only}; this referral is {now}")


def named(state: State | None) -> str:
    """A state for people: ``in-progress/arrived``."""
    if state is None:
        return "a state that is not of the referral workflow"
    return f"{state.status}/{state.business}" if state.status else "nothing"


def _illegal(
    workflow: Workflow, attempt: Attempt, op: str | None, source: State | None, target: State | None
) -> Conflict:
    wanted = f"{op} is" if op else f"a change to {named(target)} is"
    return _conflict(
        workflow,
        attempt,
        op,
        source,
        Refusal("ILLEGAL_TRANSITION", f"{wanted} not allowed from {named(source)}"),
    )


def _conflict(
    workflow: Workflow, attempt: Attempt, op: str | None, source: State | None, refused: Refusal
) -> Conflict:
    now = (
        allowed(workflow, attempt.before, attempt.caller) if attempt.before else ["create as draft", "submit"]
    )
    actor = attempt.caller.organization or attempt.caller.client
    listed = ", ".join(now) or "nothing"
    return Conflict(
        f"{refused.text}; allowed now: {listed}",
        code="business-rule",
        rule=refused.rule,
        expression="Task.status",
        diagnostics=f"from={named(source)} op={op or 'unknown'} actor={actor}; allowed now: {listed}",
    )


def _hidden(attempt: Attempt) -> NotFound | Forbidden:
    if attempt.before is None:
        return Forbidden(
            "only the sending organisation (Task.requester) may create a referral Task",
            rule="NOT_REQUESTER",
            expression="Task.requester",
        )
    return NotFound(f"there is no Task/{attempt.before.get('id')}")
