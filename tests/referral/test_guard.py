"""The guard against cases written independently of its table: every state, operation and side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from referral_cases import everything, referral_task, service_request

from fhir_server.errors import Conflict, FhirError, Forbidden, NotFound, Unprocessable
from fhir_server.referral import guard
from fhir_server.referral.table import load_workflow
from fhir_server.referral.workflow import Workflow
from fhir_server.security.caller import SYSTEM, Caller

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/referral/transitions.yaml").read_text("utf-8"))
SIDES = {
    "sender": Caller("his-h2", "Organization/h2"),
    "receiver": Caller("his-h1", "Organization/h1"),
    "stranger": Caller("his-h3", "Organization/h3"),
}
ERRORS = {
    "ILLEGAL_TRANSITION": Conflict,
    "NOT_FOR_PRIORITY": Conflict,
    "NOT_OWNER": Forbidden,
    "NOT_REQUESTER": Forbidden,
}
MATRIX = [
    (priority, state, op, side, expected)
    for priority in ("routine", "stat")
    for state, ops in CASES[priority].items()
    for op, sides in ops.items()
    for side, expected in sides.items()
]


def attempt(state: str, op: str, side: str, priority: str = "routine") -> guard.Attempt:
    """``side`` calls ``op`` on a Task in ``state`` with everything there that it can need."""
    workflow = load_workflow()
    source, target = workflow.states[state], workflow.states[workflow.named(op)[0].target]
    before = referral_task(source.status, source.business, priority=priority)
    after = referral_task(target.status, target.business, priority=priority) | everything(workflow, op)
    return guard.Attempt(before, after, service_request(), SIDES[side], operation=op)


@pytest.mark.parametrize(("priority", "state", "op", "side", "expected"), MATRIX)
def test_every_state_operation_and_side(
    workflow: Workflow, priority: str, state: str, op: str, side: str, expected: str
) -> None:
    tried = attempt(state, op, side, priority)
    if expected in ERRORS:
        with pytest.raises(ERRORS[expected]) as refused:
            guard.judge(workflow, tried)
        assert refused.value.issues[0].rule == expected
    else:
        move = guard.judge(workflow, tried)
        assert move is not None
        assert (move.op, move.target) == (op, expected)


def test_the_cases_name_every_state_and_operation_of_the_table(workflow: Workflow) -> None:
    assert set(CASES["routine"]) == set(workflow.states) - {"new"}
    assert all(set(ops) == set(workflow.operations) for ops in CASES["routine"].values())


@pytest.mark.parametrize("op", load_workflow().operations)
def test_who_is_no_party_is_told_that_there_is_no_such_task(workflow: Workflow, op: str) -> None:
    with pytest.raises(NotFound, match="Task/t1"):
        guard.judge(workflow, attempt("requested", op, "stranger"))


def test_the_server_itself_is_every_side(workflow: Workflow) -> None:
    tried = attempt("requested", "accept", "sender")
    move = guard.judge(
        workflow, guard.Attempt(tried.before, tried.after, tried.service_request, SYSTEM, "accept")
    )
    assert move is not None
    assert move.target == "accepted"


@pytest.mark.parametrize(
    "case", CASES["plain"], ids=lambda case: f"{case['from']}-{case['status']}-{case['gives']}"
)
def test_a_plain_write_is_judged_as_the_operation_it_amounts_to(
    workflow: Workflow, case: dict[str, Any]
) -> None:
    source = workflow.states[case["from"]]
    before = None if source.name == "new" else referral_task(source.status, source.business)
    business = case.get("business", source.business)
    needed = everything(workflow, case["gives"]) if case["gives"] in workflow.operations else {}
    after = referral_task(case["status"], business) | needed
    tried = guard.Attempt(before, after, service_request(), SIDES[case["side"]])
    if case["gives"] in ERRORS:
        with pytest.raises(ERRORS[case["gives"]]) as refused:
            guard.judge(workflow, tried)
        assert refused.value.issues[0].rule == case["gives"]
    else:
        move = guard.judge(workflow, tried)
        assert (move.op if move else "edit") == case["gives"]


@pytest.mark.parametrize("case", CASES["missing"], ids=lambda case: f"{case['op']}-{len(case['without'])}")
def test_everything_that_is_missing_is_named_at_once(workflow: Workflow, case: dict[str, Any]) -> None:
    side = "sender" if case["op"] in {"submit", "cancel"} else "receiver"
    tried = attempt(case["from"], case["op"], side)
    for name in case["without"]:
        _take_out(tried, name)
    with pytest.raises(Unprocessable) as refused:
        guard.judge(workflow, tried)
    assert [issue.expression for issue in refused.value.issues] == case["expressions"]
    assert {issue.rule for issue in refused.value.issues} == {"MISSING_DATA"}


def _take_out(tried: guard.Attempt, name: str) -> None:
    type, _, member = name.partition(".")
    if type == "Task":
        del tried.after[member]
    elif type == "ServiceRequest":
        del tried.service_request[member]
    else:
        for element in ("input", "output"):
            kept = [e for e in tried.after.get(element, ()) if e["type"]["coding"][0]["code"] != name]
            tried.after[element] = kept


@pytest.mark.parametrize(
    "case", CASES["edits"], ids=lambda case: f"{case['state']}-{'-'.join(case['change'])}"
)
def test_what_may_change_without_a_move(workflow: Workflow, case: dict[str, Any]) -> None:
    state = workflow.states[case["state"]]
    before = referral_task(state.status, state.business, note=[{"text": "first"}])
    tried = guard.Attempt(before, before | case["change"], service_request(), SIDES[case["side"]])
    if not case["refused"]:
        assert guard.judge(workflow, tried) is None
        return
    with pytest.raises(Unprocessable) as refused:
        guard.judge(workflow, tried)
    assert [issue.expression for issue in refused.value.issues] == case["refused"]


def test_a_refused_move_tells_from_where_who_and_what_is_allowed(workflow: Workflow) -> None:
    with pytest.raises(Conflict) as refused:
        guard.judge(workflow, attempt("arrived", "cancel", "sender"))
    issue = refused.value.issues[0]
    assert issue.code == "business-rule"
    assert issue.text == "cancel is not allowed from in-progress/arrived; allowed now: nothing"
    assert (
        issue.diagnostics == "from=in-progress/arrived op=cancel actor=Organization/h2; allowed now: nothing"
    )
    assert issue.expression == "Task.status"


REJECT = "http://cmc.example.org/fhir/CodeSystem/referral-reject-reason"


@pytest.mark.parametrize(
    ("system", "code", "text", "is_enough"),
    [
        (REJECT, "no-capacity", None, True),
        (REJECT, "other", None, False),
        (REJECT, "other", "只收妇产科", True),
        (REJECT, "bored", None, False),
        ("urn:other", "no-capacity", None, False),
        (None, None, "no bed", False),
    ],
)
def test_a_referral_is_refused_only_for_a_coded_reason(
    workflow: Workflow, system: str | None, code: str | None, text: str | None, is_enough: bool
) -> None:
    tried = attempt("requested", "reject", "receiver")
    tried.after["statusReason"] = {"coding": [{"system": system, "code": code}] if code else [], "text": text}
    try:
        move = guard.judge(workflow, tried)
    except FhirError as refused:
        assert not is_enough
        assert refused.issues[0].rule == "UNCODED"
        assert "no-capacity" in refused.issues[0].text
    else:
        assert is_enough
        assert move is not None


def test_information_is_supplied_only_when_every_question_is_answered(workflow: Workflow) -> None:
    tried = attempt("info", "supply-info", "sender")
    waiting = guard.Attempt(
        tried.before, tried.after, service_request(), tried.caller, "supply-info", ("c1", "c2")
    )
    with pytest.raises(Unprocessable) as refused:
        guard.judge(workflow, waiting)
    assert [issue.rule for issue in refused.value.issues] == ["OPEN_QUESTION", "OPEN_QUESTION"]
    assert "Task/c2" in refused.value.issues[1].text


def test_a_question_that_was_asked_before_does_not_count_again(workflow: Workflow) -> None:
    tried = attempt("received", "request-info", "receiver")
    assert tried.before is not None
    tried.before["input"] = list(tried.after["input"])
    with pytest.raises(Unprocessable) as refused:
        guard.judge(workflow, tried)
    assert [issue.expression for issue in refused.value.issues] == [
        "Task.input.where(type.coding.code = 'question')"
    ]


def test_the_receiver_must_be_an_organization_of_this_server(workflow: Workflow) -> None:
    tried = attempt("draft", "submit", "sender")
    tried.after["owner"] = {"reference": "Practitioner/p9"}
    with pytest.raises(Unprocessable) as refused:
        guard.judge(workflow, tried)
    assert [issue.rule for issue in refused.value.issues] == ["NOT_AN_ORGANIZATION"]
