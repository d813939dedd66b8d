"""URL parameters → Query: what takes effect, and every fault at once."""

from __future__ import annotations

import pytest

from fhir_server.errors import InvalidSearch
from fhir_server.search.control import LARGEST_PAGE, READERS
from fhir_server.search.query import CompositeValue, QuantityValue, ReferenceValue, StringValue, TokenValue


def faults(parse, type: str, *pairs: tuple[str, str], **options: object) -> list[tuple[str, str | None, str]]:
    with pytest.raises(InvalidSearch) as caught:
        parse(type, *pairs, **options)
    return [(issue.code, issue.expression, issue.text) for issue in caught.value.issues]


# ── criteria ──────────────────────────────────────────────────────────────────


def test_no_parameter_is_a_query_for_everything(parse) -> None:
    query = parse("Patient")
    assert (query.type, query.clauses, query.sort, query.count, query.total) == (
        "Patient",
        (),
        (),
        20,
        "none",
    )
    assert (query.applied, query.ignored, query.includes) == ((), (), ())


def test_commas_are_or_and_repetition_is_and(parse) -> None:
    query = parse("Patient", ("name", "a,b"), ("name", "c"))
    assert [[value.text for value in clause.values] for clause in query.clauses] == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"a\,b", TokenValue(None, "a,b")),
        (r"s\|x|a\|b", TokenValue("s|x", "a|b")),
        (r"a\$b", TokenValue(None, "a$b")),
        (r"a\\", TokenValue(None, "a\\")),
        (r"a\\\,b", TokenValue(None, "a\\,b")),
        (r"a\b", TokenValue(None, r"a\b")),
        ("|a", TokenValue("", "a")),
        ("urn:s|", TokenValue("urn:s", None)),
    ],
)
def test_escapes_in_a_token(parse, text: str, value: TokenValue) -> None:
    assert parse("Patient", ("identifier", text)).clauses[0].values == (value,)


def test_an_escaped_backslash_before_a_comma_separates(parse) -> None:
    values = parse("Patient", ("identifier", r"a\\,b")).clauses[0].values
    assert values == (TokenValue(None, "a\\"), TokenValue(None, "b"))


def test_a_string_keeps_what_was_typed_beside_its_normal_form(parse) -> None:
    values = parse("Patient", ("family:exact", "Ｌí  Wei")).clauses[0].values
    assert values == (StringValue("li wei", "Ｌí  Wei"),)


def test_a_type_modifier_becomes_the_values_type(parse) -> None:
    (clause,) = parse("Observation", ("subject:Patient", "7")).clauses
    assert (clause.modifier, clause.values) == (None, (ReferenceValue("Patient", "7"),))
    assert clause.parameter.keys == parse("Observation", ("subject", "7")).clauses[0].parameter.keys


def test_an_id_alone_has_a_type_where_only_one_is_possible(parse) -> None:
    assert parse("Observation", ("patient", "7")).clauses[0].values == (ReferenceValue("Patient", "7"),)
    assert parse("Observation", ("subject", "7")).clauses[0].values == (ReferenceValue(None, "7"),)


def test_a_composite_has_a_value_per_component(parse) -> None:
    (value,) = parse("Observation", ("code-value-quantity", r"a\$b$gt5||mg")).clauses[0].values
    assert isinstance(value, CompositeValue)
    code, quantity = value.parts
    assert (code, isinstance(quantity, QuantityValue)) == (TokenValue(None, "a$b"), True)
    assert (quantity.number.prefix, quantity.number.value, quantity.system, quantity.code) == (
        "gt",
        5.0,
        None,
        "mg",
    )


def test_missing_has_a_truth_value(parse) -> None:
    (clause,) = parse("Observation", ("code-value-quantity:missing", "false")).clauses
    assert (clause.modifier, clause.values) == ("missing", (False,))


# ── the shape of the answer ───────────────────────────────────────────────────


def test_everything_that_shapes_the_answer(parse) -> None:
    query = parse(
        "Observation",
        ("_count", "5"),
        ("_sort", "-date,_id"),
        ("_total", "accurate"),
        ("_summary", "data"),
        ("_elements", "code,value,Observation.subject"),
        ("_include", "Observation:subject:Patient"),
        ("_include", "Observation:encounter"),
        ("_revinclude", "Provenance:target"),
        ("_cursor", "abc"),
        ("_format", "json"),
        ("_pretty", "true"),
    )
    assert (query.count, query.total, query.summary, query.cursor) == (5, "accurate", "data", "abc")
    assert [(key.parameter.code, key.descending) for key in query.sort] == [("date", True), ("_id", False)]
    assert query.elements[0] == "code"
    assert {"valueQuantity", "valueString", "subject"} < set(query.elements)
    assert [(item.type, item.parameter.code, item.target, item.reverse) for item in query.includes] == [
        ("Observation", "subject", "Patient", False),
        ("Observation", "encounter", None, False),
        ("Provenance", "target", None, True),
    ]


def test_applied_is_exactly_what_took_effect(parse) -> None:
    pairs = (
        ("status", "final"),
        ("_count", "999999"),
        ("code:not", "a"),
        ("_sort", "date"),
        ("_cursor", "x"),
    )
    assert parse("Observation", *pairs).applied == (
        ("status", "final"),
        ("_count", str(LARGEST_PAGE)),
        ("code:not", "a"),
        ("_sort", "date"),
    )


def test_a_count_of_zero_is_allowed(parse) -> None:
    assert parse("Observation", ("_count", "0")).count == 0


# ── faults ────────────────────────────────────────────────────────────────────


def test_every_fault_is_told_at_once(parse) -> None:
    found = faults(
        parse,
        "Observation",
        ("patien", "1"),
        ("status", "final"),
        ("code:foo", "x"),
        ("date", "yesterday"),
        ("value-quantity", "5|mg"),
        ("_count", "-1"),
    )
    assert [(code, expression) for code, expression, _ in found] == [
        ("not-supported", "http.patien"),
        ("invalid", "http.code:foo"),
        ("invalid", "http.date"),
        ("invalid", "http.value-quantity"),
        ("invalid", "http._count"),
    ]
    assert "did you mean patient?" in found[0][2]
    assert "allowed: :missing, :above, :below, :in, :not, :not-in, :of-type, :text" in found[1][2]


BAD_VALUES = [
    ("Patient", "name", "", "a value is missing"),
    ("Patient", "name", "a,,b", "a value is missing"),
    ("Patient", "name", "   ", "not blank"),
    ("Patient", "gender:missing", "yes", "true or false"),
    ("Patient", "identifier", "|", "neither a system nor a code"),
    ("Patient", "identifier", "a|b|c", "system|code"),
    ("Patient", "birthdate", "2020-13", "month must be"),
    ("Patient", "birthdate", "gr2020", "not a date"),
    ("Patient", "_id", "a|b", "allowed is an id"),
    ("Patient", "general-practitioner", "Patient/1", "refers to Organization, "),
    ("Patient", "general-practitioner", "#p", "contained resource"),
    ("Patient", "general-practitioner", "a b", "an id, Type/id"),
    ("RiskAssessment", "probability", "a", "not a decimal"),
    ("RiskAssessment", "probability", "gt", "not a decimal"),
    ("RiskAssessment", "probability", "inf", "not a decimal"),
    ("Observation", "value-quantity", "5|s", "number|system|code"),
    ("Observation", "code-value-quantity", "a", "2 values are needed: code$value-quantity"),
    ("Observation", "code-value-quantity", "a$b", "not a decimal"),
    ("Location", "near", "30", "latitude|longitude"),
    ("Location", "near", "91|0", "between -90 and 90"),
    ("Location", "near", "a|0", "not a number"),
    ("Location", "near", "nan|0", "finite"),
    ("Location", "near", "1|1|-1", "not negative"),
    ("Location", "near", "1|1|1|parsec", "allowed are km"),
    ("Patient", "_count", "x", "whole number"),
    ("Patient", "_count", "１０", "whole number"),
    ("Patient", "_total", "maybe", "none, estimate, accurate"),
    ("Patient", "_summary", "yes", "true, text, data, count, false"),
    ("Patient", "_elements", "shoeSize", "no element shoeSize"),
    ("Patient", "_sort", "shoe-size", "no search parameter shoe-size"),
    ("Patient", "_cursor", "", "next link"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("type", "name", "value", "text"), BAD_VALUES, ids=[f"{r[1]}={r[2]}" for r in BAD_VALUES]
)
def test_a_bad_value_is_refused_with_what_is_allowed(
    parse, type: str, name: str, value: str, text: str
) -> None:
    (found,) = faults(parse, type, (name, value))
    assert found[:2] == ("invalid", f"http.{name}")
    assert text in found[2]
    assert "did you mean" not in found[2]


BAD_MODIFIERS = [
    (
        "Patient",
        "gender:exact",
        "male",
        "allowed: :missing, :above, :below, :in, :not, :not-in, :of-type, :text",
    ),
    ("Patient", "name:not", "x", "allowed: :missing, :contains, :exact"),
    ("Patient", "birthdate:exact", "2020", "allowed: :missing"),
    ("Observation", "subject:not", "1", "allowed: :missing, :above, :below, :identifier, :text, :[type]"),
    ("Observation", "subject:Slot", "1", "refers to Device, Group, Location, Patient, not to Slot"),
    ("Observation", "code-value-quantity:not", "a$1", "allowed: :missing"),
    ("Patient", "_id:missing", "true", "allowed: none"),
    ("Patient", "_lastUpdated:not", "2020", "allowed: none"),
    ("Patient", "_sort:desc", "name", "_sort has no modifier :desc"),
]


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(
    ("type", "name", "value", "text"), BAD_MODIFIERS, ids=[row[1] for row in BAD_MODIFIERS]
)
def test_a_modifier_that_a_parameter_does_not_have_is_refused_even_leniently(
    parse, type: str, name: str, value: str, text: str, lenient: bool
) -> None:
    (found,) = faults(parse, type, (name, value), lenient=lenient)
    assert found[:2] == ("invalid", f"http.{name}")
    assert text in found[2]


NOT_YET = [
    ("_query", "x"),
    ("_list", "$current-allergies"),
    ("_sort", "code-value-quantity"),
]


@pytest.mark.parametrize(("name", "value"), NOT_YET, ids=[f"{name}={value}" for name, value in NOT_YET])
def test_what_is_not_supported_says_so(parse, name: str, value: str) -> None:
    (found,) = faults(parse, "Observation", (name, value))
    assert found[:2] == ("not-supported", f"http.{name}")
    assert "not supported" in found[2]


FITTING = {
    "_count": "1",
    "_sort": "date",
    "_total": "none",
    "_summary": "true",
    "_elements": "code",
    "_contained": "true",
    "_containedType": "contained",
    "_explain": "true",
}


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_parameter_of_the_answer_stands_once(parse, name: str) -> None:
    value = FITTING.get(name, "x")
    (found,) = faults(parse, "Observation", (name, value), (name, value))
    assert "given twice" in found[2]


def test_values_are_not_repeated_in_the_faults(parse) -> None:
    for _, _, text in faults(
        parse, "Patient", ("birthdate", "ge1980-13-77"), ("family:text", "张伟"), ("nam", "李")
    ):
        assert not any(secret in text for secret in ("1980", "张", "李"))


# ── lenient ───────────────────────────────────────────────────────────────────


def test_lenient_leaves_out_unknown_parameters_and_lists_them(parse) -> None:
    query = parse(
        "Patient",
        ("shoe-size", "44"),
        ("gender", "male"),
        ("link.shoe", "x"),
        ("link:Patient.shoe", "x"),
        lenient=True,
    )
    assert query.ignored == (("shoe-size", "44"), ("link.shoe", "x"), ("link:Patient.shoe", "x"))
    assert query.applied == (("gender", "male"),)


def test_lenient_still_refuses_a_bad_value(parse) -> None:
    (found,) = faults(parse, "Patient", ("birthdate", "x"), ("shoe-size", "44"), lenient=True)
    assert found[1] == "http.birthdate"
