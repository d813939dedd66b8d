"""What an evaluation is given: services, the clock, a budget; and what it never does, whatever it is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fhir_server.definitions import load_definitions
from fhir_server.fhirpath import ExpressionError, Model, Node, compile_expression
from fhir_server.fhirpath.functions import FUNCTIONS
from fhir_server.fhirpath.scope import Scope, Services

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


def _unknown(node: Node, *question: str) -> bool:
    raise KeyError(question[0])


def evaluated(model: Model, expression: str, patient: dict[str, Any], **services: Any) -> list[Any]:
    return compile_expression(expression, model)(Node.of(patient), Scope(services=Services(**services)))


def test_member_of_asks_the_terminology(model: Model, patient: dict[str, Any]) -> None:
    asked: list[tuple[Any, str]] = []

    def member_of(item: Any, value_set: str) -> bool | None:
        asked.append((item.value, value_set))
        return True if value_set == "urn:yes" else None

    assert evaluated(model, "Patient.gender.memberOf('urn:yes')", patient, member_of=member_of) == [True]
    assert evaluated(model, "Patient.gender.memberOf('urn:?')", patient, member_of=member_of) == []
    assert asked == [("female", "urn:yes"), ("female", "urn:?")]


def test_profiles_are_asked_of_the_services(model: Model, patient: dict[str, Any]) -> None:
    services = {
        "conforms": lambda node, profile: profile == "urn:mine",
        "in_slice": lambda node, profile, name: node.value.get("use") == name,
    }
    assert evaluated(model, "Patient.conformsTo('urn:mine')", patient, **services) == [True]
    assert evaluated(model, "Patient.conformsTo('urn:other')", patient, **services) == [False]
    assert len(evaluated(model, "Patient.name.slice('urn:mine', 'official')", patient, **services)) == 1


def test_a_profile_that_the_services_do_not_know_is_a_fault(model: Model, patient: dict[str, Any]) -> None:
    with pytest.raises(ExpressionError, match="the profile 'urn:x' is not known here"):
        evaluated(model, "conformsTo('urn:x')", patient, conforms=_unknown)


def test_modifier_extensions_that_are_not_named_are_a_fault(model: Model, patient: dict[str, Any]) -> None:
    patient["modifierExtension"] = [{"url": "urn:m"}]
    assert len(evaluated(model, "checkModifiers('urn:m')", patient)) == 1
    with pytest.raises(ExpressionError, match="the modifier 'urn:m' is not understood"):
        evaluated(model, "checkModifiers('urn:n', name)", patient)


def test_the_clock_is_read_once_for_each_evaluation(model: Model, patient: dict[str, Any]) -> None:
    ticks = count()

    def clock(zone: tzinfo) -> datetime:
        return (NOON + timedelta(hours=next(ticks))).astimezone(zone)

    scope = Scope(services=Services(clock=clock))
    text = (
        "now().toString() & ' ' & now().toString() & ' ' & today().toString() & ' ' & timeOfDay().toString()"
    )
    compiled = compile_expression(text, model)
    first = "2026-03-02T12:00:00.000+08:00"
    assert compiled(Node.of(patient), scope) == [f"{first} {first} 2026-03-02 12:00:00.000"]
    assert compiled(Node.of(patient), scope)[0].startswith("2026-03-02T13:00:00.000+08:00")


def test_a_trace_says_how_many_and_never_what(model: Model, patient: dict[str, Any]) -> None:
    with capture_logs() as logs:
        compile_expression("Patient.name.trace('names', given).count()", model)(Node.of(patient))
    assert logs == [{"event": "fhirpath.trace", "name": "names", "count": 3, "log_level": "info"}]
    with pytest.raises(ExpressionError, match="needs a name between quotes"):
        compile_expression("Patient.trace(name.family)", model)


@pytest.mark.parametrize(
    "text",
    [
        "1.repeat($this + 1)",
        "'a'.repeat($this & 'a')",
        "(1|2|3|4|5|6|7|8|9).select((1|2|3|4|5|6|7|8|9).select((1|2|3|4|5|6|7|8|9).select(1)))",
        "(1|2|3|4|5|6|7|8|9).aggregate($total.combine($total), 1).count()",
        "Patient.select(descendants().select(%resource.descendants()))",
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.toChars().select($this.toChars().combine('b'.toChars()))",
    ],
)
def test_a_budget_ends_what_runs_away(model: Model, patient: dict[str, Any], text: str) -> None:
    with pytest.raises(ExpressionError, match="the evaluation takes more than 100 steps"):
        compile_expression(text, model)(Node.of(patient), Scope({"%resource": [Node.of(patient)]}, steps=100))


def test_a_budget_is_for_one_evaluation(model: Model, patient: dict[str, Any]) -> None:
    scope, compiled = Scope(steps=10), compile_expression("name.where(use = 'official').count()", model)
    assert [compiled(Node.of(patient), scope) for _ in range(20)] == [[1]] * 20


def test_texts_cannot_grow_without_end(model: Model, patient: dict[str, Any]) -> None:
    doubling = "Patient.descendants().aggregate(iif($total.empty(), 'ab', $total & $total))"
    for text in (doubling, f"({doubling}).length()", "'a'" + ".replace('a', 'aaaaaaaaaa')" * 8):
        with pytest.raises(ExpressionError, match="a text of more than 1000000 characters"):
            compile_expression(text, model)(Node.of(patient))


def test_a_number_has_an_end(model: Model) -> None:
    with pytest.raises(ExpressionError, match="a number of more than 60 characters"):
        compile_expression("9" * 5000, model)


# ── whatever is asked ─────────────────────────────────────────────────────────

MODEL = Model(load_definitions())
_VALUES = """
    {} 1 (-1) 1.5 'a' '' true @2020-02-29 @T10:30 (1'mg') name name.given gender name.given[1] Patient now() $this
    extension.value '(a+)+$' (1|'a'|@2020) 1.type() (37'Cel') (1|2|3) string text.`div` (3days)
"""
_OPERATORS = "+ - * / div mod & = != ~ !~ < > <= >= | and or xor implies in contains"
VALUES = st.sampled_from(_VALUES.split())
OPERATORS = st.sampled_from(_OPERATORS.split())
CALLS = st.sampled_from(sorted(set(FUNCTIONS) - {"trace"}))
EXPRESSIONS = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, OPERATORS, inner),
        st.builds("({}).{}({})".format, inner, CALLS, st.lists(inner, max_size=2).map(", ".join)),
    ),
    max_leaves=6,
)
STRANGE = {
    "resourceType": "Patient",
    "_gender": {"id": "x"},
    "name": [{"given": ["A", None], "_given": [None, {"id": "q"}], "family": "F"}],
    "extension": [
        {"url": "u", "valueQuantity": {"value": 1e300, "code": "mg", "system": "http://unitsofmeasure.org"}},
        {"url": "v", "valueQuantity": {"value": 1, "comparator": "<", "code": "mg", "system": "urn:x"}},
    ],
    "text": {"div": "<div"},
}


@settings(max_examples=500, deadline=None)
@given(EXPRESSIONS)
def test_any_expression_gives_a_result_or_a_fault_with_its_place(text: str) -> None:
    try:
        compile_expression(text, MODEL)(Node.of(STRANGE), Scope(steps=2000))
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)
        assert error.cause
